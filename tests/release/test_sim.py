"""Real SSH servers on simulated boards: deploy, verify, what boardprobe tells, and whom nobody talks to."""

from __future__ import annotations

import json
import re
from dataclasses import replace
from pathlib import Path

import pytest

from deploy.boards.inventory import SimState, host_target, sim_state
from deploy.boards.session import connect
from deploy.bundle.load import Bundle, load_bundle
from deploy.bundle.manifest import BundleFile
from deploy.release.deployment import deploy_to
from deploy.sim.boards import bring_up, take_down
from deploy.sim.keys import ed25519_pair
from deploy.ssh.dial import Target
from recipes.engine.docker import Engine
from recipes.errors import PreflightError
from tests.support import tls
from tests.support.simrelease import FLASH, shell, variant

pytestmark = [pytest.mark.engine, pytest.mark.sim]
ROOT = "/opt/boardcast"


def test_the_whole_way_on_an_emulated_armv7_board(arm: SimState, arm_bundle: Bundle) -> None:
    shell(arm.name, f"rm -rf {ROOT}")
    done = deploy_to(arm.name, arm_bundle)
    assert done.release.changed
    assert done.verdict is not None
    assert done.verdict.green
    left_out = {one.name for one in done.verdict.checks if one.state != "passed"}
    assert left_out <= {"elements have what the launch scripts set", "what is opened by name is there"}
    assert len(done.verdict.checks) == 9
    evidence = {one.name: one.evidence for one in done.verdict.checks}
    assert re.search(r"armv7l, glibc 2\.36, curl 7\.88", evidence["boardprobe answers without an error"])
    assert "7 of 7 elements load" in evidence["boardprobe answers without an error"]
    assert done.verdict.junit.is_file()
    actions = {row.library: row.action for row in arm_bundle.manifest.decisions}
    assert actions["libwebsockets.so.19"] == "keep-private"
    assert actions["libcrypto.so.3"] == actions["libcurl.so.4"] == "use-board"


def test_deploying_again_sends_nothing(arm: SimState, arm_bundle: Bundle) -> None:
    deploy_to(arm.name, arm_bundle)
    again = deploy_to(arm.name, arm_bundle)
    assert not again.release.changed
    assert again.release.payload == 0
    assert again.release.round_trips <= 3


def test_a_board_that_comes_up_again_has_a_key_of_its_own(arm: SimState, engine: Engine) -> None:
    before = sim_state(arm.name)
    take_down(arm.name, engine, keep_network=True)
    assert sim_state(arm.name) is None
    after = bring_up(arm.name, engine)
    assert before is not None
    assert after.host_key != before.host_key
    assert bring_up(arm.name, engine) == after, "a board that is up is left alone"


def test_boardprobe_meets_https_and_wss(arm: SimState, arm_bundle: Bundle, tmp_path: Path) -> None:
    deploy_to(arm.name, arm_bundle)
    state = sim_state(arm.name)
    assert state is not None
    probe = f"{ROOT}/current/bin/boardprobe"
    with tls.serve(state.gateway, tmp_path) as cloud:
        shell(arm.name, 'printf "%s" "$1" > /tmp/ca.pem', cloud.ca.decode())
        place = f"{cloud.address}:{cloud.port}"
        ask = f'"$0" --ca-file /tmp/ca.pem --https https://{place}/ --wss wss://{place}/wss; echo "exit $?"'
        text, code = shell(arm.name, ask.replace('"$0"', probe)).rsplit("exit ", 1)
        report = json.loads(text)
        assert int(code) == 0, report
        assert report["https"]["status"] == 200
        assert report["https"]["certificate"] == "ok"
        assert abs(report["https"]["clock_skew"]) <= 2
        assert report["wss"]["established"] is True
        assert report["ca_certificates"] == 1
        # The board's own CA file does not vouch for this server: both ways must see that.
        other = shell(
            arm.name,
            f"{probe} --ca-file /etc/ssl/certs/ca-certificates.crt --https https://{place}/ --wss wss://{place}/wss; "
            'echo "exit $?"',
        )
        text, code = other.rsplit("exit ", 1)
        report = json.loads(text)
        assert int(code) == 2
        assert report["https"]["status"] == 0
        assert "issuer" in report["https"]["certificate"] or "self" in report["https"]["certificate"]
        assert report["wss"]["established"] is False
        assert report["ca_certificates"] > 100


@pytest.mark.parametrize(("skew", "level", "code"), [(-400, "error", 2), (90, "warn", 1), (5, "ok", 0)])
def test_boardprobe_judges_the_clock(
    tiny: SimState, tiny_bundle: Bundle, tmp_path: Path, skew: int, level: str, code: int
) -> None:
    deploy_to(tiny.name, tiny_bundle)
    with tls.serve(tiny.gateway, tmp_path, skew=skew) as cloud:
        shell(tiny.name, 'printf "%s" "$1" > /tmp/ca.pem', cloud.ca.decode())
        place = f"https://{cloud.address}:{cloud.port}/"
        text, got = shell(
            tiny.name, f'{FLASH}/current/bin/boardprobe --ca-file /tmp/ca.pem --https {place}; echo "exit $?"'
        ).rsplit("exit ", 1)
    report = json.loads(text)
    assert {one["check"]: one["level"] for one in report["findings"]}["clock-skew"] == level
    assert int(got) == code


def test_a_missing_ca_file_is_an_error(tiny: SimState, tiny_bundle: Bundle) -> None:
    deploy_to(tiny.name, tiny_bundle)
    text, code = shell(tiny.name, f'{FLASH}/current/bin/boardprobe --ca-file /gone.pem; echo "exit $?"').rsplit(
        "exit ", 1
    )
    assert int(code) == 2
    assert any(one["check"] == "ca-file" and one["level"] == "error" for one in json.loads(text)["findings"])


@pytest.mark.parametrize(
    ("name", "files", "words"), [("tiny", 2000, 1), pytest.param("arm", 780, 11, marks=pytest.mark.slow)]
)
def test_a_list_of_140_kb_is_read_back(request: pytest.FixtureRequest, name: str, files: int, words: int) -> None:
    """Dropbear refuses a command of 9,000 characters, the kernel one of 128 KiB: a list never is one."""
    board, made = request.getfixturevalue(name), request.getfixturevalue(f"{name}_bundle")
    folder = f"share__{'models_' * words}"
    many = {
        f"{folder}__{'layer_' * words}of_the_network_number_{number:04}.bin": b"%d" % number for number in range(files)
    }
    done = deploy_to(board.name, variant(made, "many", **many))
    assert done.verdict is not None
    count = len(made.manifest.files) + files + 1
    assert f"{count} of {count} files intact" in {check.evidence for check in done.verdict.checks}


def test_another_host_key_is_refused_before_any_log_in(tiny: SimState, arm: SimState) -> None:
    target = replace(host_target(tiny.name), host_key=arm.host_key)
    with pytest.raises(PreflightError, match="is not the one that is known; nothing was sent"), connect(target):
        pass


def test_another_key_is_refused_with_the_command_to_try(tiny: SimState, tmp_path: Path) -> None:
    private, _ = ed25519_pair()
    (tmp_path / "key").write_bytes(private)
    (tmp_path / "key").chmod(0o600)
    target = replace(host_target(tiny.name), key=tmp_path / "key")
    with pytest.raises(PreflightError, match="refuses the log-in") as caught, connect(target):
        pass
    assert caught.value.next_step.startswith("ssh -i")


def test_a_board_that_is_not_there_is_told_so() -> None:
    target = Target(name="gone", address="127.0.0.1", port=1, user="root", key=None, host_key=KEY)
    with pytest.raises(PreflightError, match="gone does not answer"), connect(target):
        pass


KEY = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIIkQvd3Ob2ZwZb4yAPkvXJIWYqzLKq1sHAt8QWm6mMPa"


def test_files_of_a_bundle_are_listed_once(tiny_bundle: Bundle) -> None:
    listed = [file.path for file in tiny_bundle.manifest.files]
    assert listed == sorted(set(listed))
    assert all(isinstance(file, BundleFile) for file in tiny_bundle.manifest.files)
    assert load_bundle(tiny_bundle.path).id == tiny_bundle.id
