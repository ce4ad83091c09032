"""Real SSH servers on simulated boards: deploy, verify, roll back, and what must be refused."""

from __future__ import annotations

import json
import re
import secrets
import shutil
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from cryptography.hazmat.primitives import serialization

from deploy.boards.inventory import SimState, host_target, sim_folder, sim_state
from deploy.boards.probe import probe_host
from deploy.boards.session import connect
from deploy.bundle.assemble import pack_bundle
from deploy.bundle.load import Bundle, load_bundle
from deploy.bundle.manifest import BundleFile
from deploy.release.carried import paper_sizes
from deploy.release.deployment import deploy_to, roll_back_host, verify_host
from deploy.release.plan import plan_release
from deploy.release.recheck import watched_paths
from deploy.release.run import deploy_release, install_release
from deploy.release.status import host_status
from deploy.sim.boards import bring_up, take_down
from deploy.sim.keys import ed25519_pair
from deploy.ssh.dial import Target
from deploy.verify.verdict import require_green
from recipes import paths
from recipes.engine.docker import Engine
from recipes.errors import PreflightError, RolledBackError, VerifyError
from recipes.stage.keys import signing_key
from tests.support import tls

pytestmark = [pytest.mark.engine, pytest.mark.sim]
ROOT = "/opt/boardcast"
FLASH = "/flash/boardcast"


def shell(name: str, script: str, *arguments: str) -> str:
    with connect(host_target(name)) as session:
        reply = session.run(script, arguments)
    assert reply.code == 0, reply.err
    return reply.out


@pytest.fixture
def clean_tiny(tiny: SimState) -> Iterator[str]:
    """Give the BusyBox board without anything of ours on it."""
    shell(tiny.name, f"rm -rf {FLASH}")
    yield tiny.name
    shell(tiny.name, f"rm -rf {FLASH}")


def variant(bundle: Bundle, tag: str, **contents: bytes) -> Bundle:
    """Make another release of the same bundle: some files have other contents."""
    kept = bundle.blobs()
    blobs = {file.path: kept[file.blob] for file in bundle.manifest.files}
    blobs["run/note"] = tag.encode()
    blobs |= {name.replace("__", "/"): data for name, data in contents.items()}
    return pack_bundle(bundle.manifest, {path: (data, 0o755) for path, data in blobs.items()})


def test_the_whole_way_on_an_emulated_armv7_board(arm: SimState, arm_bundle: Bundle) -> None:
    shell(arm.name, f"rm -rf {ROOT}")
    done = deploy_to(arm.name, arm_bundle)
    assert done.release.changed
    assert done.verdict is not None
    assert done.verdict.green
    assert {one.state for one in done.verdict.checks} == {"passed"}
    assert len(done.verdict.checks) == 4
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


def test_a_board_of_busybox_and_dropbear_takes_a_release(clean_tiny: str, tiny_bundle: Bundle) -> None:
    have = shell(clean_tiny, "for t in bash python3 sftp-server scp rsync curl perl; do command -v $t; done; true")
    assert have == "", f"the small board is not small: {have}"
    done = deploy_to(clean_tiny, tiny_bundle)
    assert done.verdict is not None
    assert done.verdict.green
    assert {row.action for row in tiny_bundle.manifest.decisions if row.library == "libcurl.so.4"} == {"keep"}
    assert "goes without" in tiny_bundle.manifest.notes[0]


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


def test_a_root_is_compared_as_the_board_resolves_it(clean_tiny: str, tiny_bundle: Bundle) -> None:
    """A healthy release was rolled back for a link in the way."""
    shell(clean_tiny, "mkdir -p /flash/real; ln -sfn real /flash/link")
    made = pack_bundle(
        tiny_bundle.manifest.model_copy(update={"root": "/flash/link/boardcast"}),
        {file.path: (tiny_bundle.blobs()[file.blob], file.mode) for file in tiny_bundle.manifest.files},
    )
    try:
        done = deploy_to(clean_tiny, made)
        assert done.verdict is not None
        assert done.verdict.green
    finally:
        shell(clean_tiny, "rm -rf /flash/real /flash/link")


def test_the_launch_script_quotes_under_busybox(clean_tiny: str, tiny_bundle: Bundle) -> None:
    from deploy.launch.script import launch_script

    words = ["a b", "$(reboot)", "it's", "`id`", "*", "&", "|x", '"', "\\n", "é", ""]
    script = launch_script(title="t", program="bin/app", arguments=words, environment={"V": "$HOME;"}, plugins=False)
    shell(
        clean_tiny,
        'mkdir -p /tmp/r/bin /tmp/r/run; printf "%s" "$1" > /tmp/r/run/app; '
        "printf '%s\\n' '#!/bin/sh' 'for w; do echo \"<$w>\"; done; echo \"[$V]\"' "
        "> /tmp/r/bin/app; chmod 755 /tmp/r/bin/app",
        script.decode(),
    )
    assert shell(clean_tiny, "sh /tmp/r/run/app") == "".join(f"<{word}>\n" for word in words) + "[$HOME;]\n"


def test_a_red_check_goes_back_to_the_release_before(clean_tiny: str, tiny_bundle: Bundle) -> None:
    deploy_to(clean_tiny, tiny_bundle)
    bad = variant(tiny_bundle, "bad", run__boardprobe=b"#!/bin/sh\nexit 9\n")
    with pytest.raises(RolledBackError) as caught:
        deploy_to(clean_tiny, bad)
    assert caught.value.code == 6
    assert "boardprobe" in caught.value.why
    assert tiny_bundle.id in shell(clean_tiny, f"readlink {FLASH}/current")
    assert bad.id not in shell(clean_tiny, f"ls {FLASH}/releases")
    assert verify_host(clean_tiny).green
    # What failed once is never taken for done: the same bundle is tried, and refused, again.
    with pytest.raises(RolledBackError):
        deploy_to(clean_tiny, bad)


def test_a_red_first_release_leaves_nothing_running(clean_tiny: str, tiny_bundle: Bundle) -> None:
    bad = variant(tiny_bundle, "bad", run__boardprobe=b"#!/bin/sh\nexit 9\n")
    with pytest.raises(RolledBackError, match="nothing runs there, as before"):
        deploy_to(clean_tiny, bad)
    assert shell(clean_tiny, f"ls -A {FLASH}/releases; ls {FLASH}/current 2>/dev/null; true") == ""


def test_rollback_goes_back_and_forth(clean_tiny: str, tiny_bundle: Bundle) -> None:
    second = variant(tiny_bundle, "second")
    deploy_to(clean_tiny, tiny_bundle)
    deploy_to(clean_tiny, second)
    assert roll_back_host(clean_tiny, dry_run=True) == tiny_bundle.id
    assert roll_back_host(clean_tiny, dry_run=False) == tiny_bundle.id
    assert verify_host(clean_tiny).green
    assert roll_back_host(clean_tiny, dry_run=False) == second.id


def test_nothing_to_roll_back_to_is_an_error(clean_tiny: str, tiny_bundle: Bundle) -> None:
    deploy_to(clean_tiny, tiny_bundle)
    with pytest.raises(Exception, match="nothing to go back to"):
        roll_back_host(clean_tiny, dry_run=False)


def test_old_releases_go_and_the_live_ones_stay(clean_tiny: str, tiny_bundle: Bundle) -> None:
    ids = []
    for number in range(6):
        release_ = variant(tiny_bundle, f"release {number}")
        deploy_to(clean_tiny, release_)
        ids.append(release_.id)
    kept = shell(clean_tiny, f"ls {FLASH}/releases").split()
    assert len(kept) == 3
    assert {ids[-1], ids[-2]} <= set(kept)
    blobs = shell(clean_tiny, f"ls {FLASH}/store").split()
    listed = shell(clean_tiny, f"cat {FLASH}/releases/*/.list | cut -d' ' -f1 | sort -u").split()
    assert sorted(blobs) == sorted(listed), "the store has what no release uses"


def test_a_damaged_file_on_the_board_is_found_and_healed(clean_tiny: str, tiny_bundle: Bundle) -> None:
    deploy_to(clean_tiny, tiny_bundle)
    path = f"{FLASH}/current/lib/libwebsockets.so.19"
    shell(clean_tiny, f"printf X | dd of={path} bs=1 seek=5000 conv=notrunc 2>/dev/null; rm {FLASH}/current/.confirmed")
    verdict = verify_host(clean_tiny)
    assert not verdict.green
    with pytest.raises(VerifyError, match="checks are red"):
        require_green(verdict)
    assert "lib/libwebsockets.so.19" in next(one.evidence for one in verdict.checks if one.name == "files are intact")
    with pytest.raises(PreflightError, match="damaged"):  # the store's hard link is the damaged file itself
        deploy_to(clean_tiny, tiny_bundle)
    assert deploy_to(clean_tiny, tiny_bundle).verdict is not None
    assert verify_host(clean_tiny).green


def test_the_cure_of_a_red_verify_cures(clean_tiny: str, tiny_bundle: Bundle) -> None:
    """A release that was verified once, and damaged since: a deploy by itself would find nothing to do."""
    deploy_to(clean_tiny, tiny_bundle)
    shell(clean_tiny, f"printf X | dd of={FLASH}/current/bin/boardprobe bs=1 seek=5000 conv=notrunc 2>/dev/null")
    with pytest.raises(VerifyError) as caught:
        require_green(verify_host(clean_tiny))
    assert caught.value.next_step.startswith(f"invoke deploy --host {clean_tiny} --again")
    assert not deploy_to(clean_tiny, tiny_bundle).release.changed
    assert deploy_to(clean_tiny, tiny_bundle, again=True).release.changed
    assert verify_host(clean_tiny).green


def test_another_workstation_verifies_and_goes_back_by_what_the_board_carries(
    clean_tiny: str, tiny_bundle: Bundle, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It has the inventory and the trusted public key; neither a bundle nor a Stage nor the private key."""
    second = variant(tiny_bundle, "second")
    deploy_to(clean_tiny, tiny_bundle)
    deploy_to(clean_tiny, second)
    trusted = signing_key().public_key()
    boards = tmp_path / "board-configs"
    shutil.copytree(paths.BOARDS, boards, ignore=shutil.ignore_patterns("*.tar", "trusted-keys"))
    state = sim_folder(clean_tiny) / "state.json"
    there = tmp_path / "work" / "sim" / clean_tiny
    there.mkdir(parents=True)
    shutil.copy(state, there)
    monkeypatch.setenv("BOARDCAST_WORK", str(tmp_path / "work"))
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))
    monkeypatch.setattr(paths, "BOARDS", boards)
    with pytest.raises(PreflightError, match="not trusted here"):
        verify_host(clean_tiny)
    (boards / "trusted-keys").mkdir()
    form = (serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo)
    (boards / "trusted-keys" / "colleague.pub").write_bytes(trusted.public_bytes(*form))
    verdict = verify_host(clean_tiny)
    assert verdict.green
    assert "the manifest that the release on the board carries, signed by" in verdict.notes[-1]
    assert roll_back_host(clean_tiny, dry_run=False) == tiny_bundle.id
    shell(clean_tiny, f"rm -r {FLASH}/current/.bundle")
    with pytest.raises(PreflightError, match="nothing says what release"):
        verify_host(clean_tiny)


def test_the_status_says_what_runs_who_brought_it_and_what_ran_before(clean_tiny: str, tiny_bundle: Bundle) -> None:
    bare = host_status(clean_tiny)
    assert (bare.release, bare.previous, bare.verified) == ("", "", False)
    assert bare.lines()["runs"] == "nothing of ours"
    second = variant(tiny_bundle, "second")
    deploy_to(clean_tiny, tiny_bundle)
    deploy_to(clean_tiny, second)
    found = host_status(clean_tiny)
    assert (found.release, found.previous, found.verified) == (second.id, tiny_bundle.id, True)
    assert re.fullmatch(r"\S+@\S+ since \d{4}-\S+Z", found.deployed_by)
    assert found.previous_by
    assert 0 < found.free < 32 << 20
    assert not found.locked
    assert "verified" in found.lines()["runs"]


def test_two_deploys_at_once_take_turns(clean_tiny: str, tiny_bundle: Bundle) -> None:
    """Each over its own connection; the second is told who is at work there, before it sends anything."""
    second = variant(tiny_bundle, "second")
    deploy_to(clean_tiny, tiny_bundle)
    with connect(host_target(clean_tiny)) as session:
        facts = probe_host(session, FLASH, watched_paths(second.manifest))
        planned = plan_release(second.id, second.manifest, facts, papers=paper_sizes(second))
        refused: list[PreflightError] = []

        def meanwhile() -> None:
            with pytest.raises(PreflightError, match="another deploy is at work there") as caught:
                deploy_to(clean_tiny, variant(tiny_bundle, "third"))
            refused.append(caught.value)
            assert host_status(clean_tiny).locked.startswith("alice@laptop since ten (process ")

        who = "alice@laptop since ten"
        deploy_release(session, clean_tiny, second, meanwhile, planned=planned, tools=facts.tools, who=who)
    assert "alice@laptop since ten" in refused[0].why
    assert second.id in shell(clean_tiny, f"readlink {FLASH}/current")
    assert deploy_to(clean_tiny, variant(tiny_bundle, "third")).release.changed


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


def test_no_room_is_told_and_the_old_release_runs_on(clean_tiny: str, tiny_bundle: Bundle) -> None:
    deploy_to(clean_tiny, tiny_bundle)
    try:
        free = int(shell(clean_tiny, "df -Pk /flash | tail -n 1 | awk '{print $4}'"))
        shell(clean_tiny, f"dd if=/dev/zero of=/flash/fill bs=1k count={free - 2000} 2>/dev/null")
        big = variant(tiny_bundle, "big", lib__extra=secrets.token_bytes(1 << 20))
        with pytest.raises(PreflightError, match="no room"):
            deploy_to(clean_tiny, big)
        # The probe's figure is overtaken: the disk fills up while files arrive.
        with connect(host_target(clean_tiny)) as session:
            facts = probe_host(session, FLASH, watched_paths(big.manifest))
            planned = plan_release(big.id, big.manifest, replace(facts, free_kib=10**6), papers=paper_sizes(big))
            shell(clean_tiny, "dd if=/dev/zero of=/flash/fill2 bs=1k count=1900 2>/dev/null; true")
            with pytest.raises(PreflightError):
                install_release(session, big, planned, facts.tools)
        shell(clean_tiny, "rm -f /flash/fill /flash/fill2")
        assert verify_host(clean_tiny).green
        assert deploy_to(clean_tiny, big).release.changed
    finally:
        shell(clean_tiny, "rm -f /flash/fill /flash/fill2")


def test_files_of_a_bundle_are_listed_once(tiny_bundle: Bundle) -> None:
    listed = [file.path for file in tiny_bundle.manifest.files]
    assert listed == sorted(set(listed))
    assert all(isinstance(file, BundleFile) for file in tiny_bundle.manifest.files)
    assert load_bundle(tiny_bundle.path).id == tiny_bundle.id
