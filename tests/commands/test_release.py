"""What a person reads of a deploy, a verdict and a bundle, and what comes next."""

from __future__ import annotations

import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import pytest
from invoke import Context, Exit

from deploy.boards.inventory import load_hosts
from deploy.cli.fleet import verify_hosts
from deploy.cli.output import print_bundle, print_outcome
from deploy.commands import release
from deploy.dedupe.decision import DedupePlan
from deploy.release.deployment import DeployOutcome, HostVerdict, free_flash_if_on
from deploy.release.plan import ReleasePlan
from deploy.release.run import ReleaseResult
from deploy.verdicts import flow
from deploy.verify.verdict import Check, Verdict, require_green
from recipes import paths
from recipes.errors import PreflightError, VerifyError
from tests.support import bundles

KEY = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIIkQvd3Ob2ZwZb4yAPkvXJIWYqzLKq1sHAt8QWm6mMPa"
RESULT = ReleaseResult(host="cam01", id="ab" * 16, changed=True, because="", round_trips=9, payload=2048)


@pytest.fixture
def boards(home: Path) -> Path:
    """Return a copy of the boards' files, with two real hosts that nobody answers for."""
    shutil.copytree(bundles.ROOT / "board-configs", paths.BOARDS, ignore=shutil.ignore_patterns("*.tar"))
    host = f'board = "sim-tiny"\naddress = "127.0.0.1"\nport = 1\nhost_key = "{KEY}"\n'
    with (paths.BOARDS / "hosts.toml").open("a") as file:
        file.write(f"\n[hosts.cam01]\n{host}\n[hosts.cam02]\n{host}")
    return paths.BOARDS


def test_a_deploy_says_what_runs_there_now(capsys: pytest.CaptureFixture[str]) -> None:
    print_outcome(DeployOutcome(release=RESULT, plan=ReleasePlan(steps=(), because=""), verdict=None))
    again = replace(RESULT, changed=False, because="abababababab runs there already", round_trips=1)
    print_outcome(DeployOutcome(release=again, plan=ReleasePlan(steps=(), because=""), verdict=None))
    assert capsys.readouterr().out.splitlines() == [
        "Deploy to cam01: abababababab runs there now (2.0 KiB sent, 9 round trips)",
        "Deploy to cam01: nothing to do: abababababab runs there already (0 B payload, 1 round trip)",
    ]


def test_a_bundle_names_its_file_and_the_next_command(boards: Path, capsys: pytest.CaptureFixture[str]) -> None:
    made = bundles.make()
    print_bundle(made, DedupePlan(decisions=(), proofs=(), payload=()))
    lines = capsys.readouterr().out.splitlines()
    assert lines[-2:] == [f"  file: {made.path}", "  next: invoke deploy --host sim-tiny"]
    (boards / "hosts.toml").write_text("schema = 1\n")
    print_bundle(made, DedupePlan(decisions=(), proofs=(), payload=()))
    assert "once board-configs/hosts.toml names one of sim-tiny" in capsys.readouterr().out
    made.path.unlink()
    print_bundle(made, DedupePlan(decisions=(), proofs=(), payload=()))
    assert "next:" not in capsys.readouterr().out, "a dry run has no file"


@pytest.mark.parametrize(
    ("red", "says"),
    [
        (["boardprobe answers without an error", "files are intact"], "invoke deploy --host cam01 --again"),
        (["every library comes from its named provider"], "invoke sysroot.pull --host cam01"),
        (["boardprobe answers without an error"], "invoke rollback --host cam01"),
        (["current points to this release"], "invoke status --host cam01"),
        (["a check of the user's own"], "invoke rollback --host cam01"),
    ],
)
def test_a_red_verdict_says_what_cures_it(red: list[str], says: str, tmp_path: Path) -> None:
    checks = tuple(Check(name=name, state="failed", evidence="e", seconds=0) for name in red)
    with pytest.raises(VerifyError) as caught:
        require_green(Verdict(host="cam01", release="x", checks=checks, junit=tmp_path / "cam01.xml"))
    assert says in caught.value.next_step
    lines = [line.strip().partition(" (docs/troubleshooting.md#") for line in caught.value.why.splitlines()]
    assert [line for line, _, _ in lines] == [f"{name}: e" for name in red[::-1]], "the cause first"
    assert all(anchor for _, anchor, _ in lines)
    assert "HOST" not in caught.value.next_step


@pytest.mark.loopback
@pytest.mark.usefixtures("boards")
def test_hosts_that_are_off_are_off_and_no_fault_of_the_others() -> None:
    assert {"cam01", "cam02"} <= load_hosts().keys()
    (first, _), (second, _) = verify_hosts(["cam01", "cam02"], None)
    assert first.off
    assert first.state.startswith("off (")
    assert second.as_dict()["state"] == "off"
    lost = HostVerdict(host="cam03", error=PreflightError("the connection to cam03 was lost"))
    assert not lost.off
    assert lost.as_dict() == {"host": "cam03", "state": "error", **PreflightError(lost.error.what).as_dict()}  # type: ignore[union-attr]


@pytest.mark.loopback
@pytest.mark.process
@pytest.mark.usefixtures("boards")
def test_the_service_is_asked_nothing_of_hosts_that_are_off(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Each is told once: in the table, or as the error at the end."""
    monkeypatch.setattr(flow, "chosen_service", lambda *_, **__: pytest.fail("the service was asked"))
    with pytest.raises(Exit, match="cam01 does not answer") as ended:
        release.verify(Context(), host=["cam01", "cam02"], group=[], label=[], drill=[], cloud=True, json=False)
    said = capsys.readouterr().out
    assert (said.count("cam01"), said.count("cam02")) == (0, 1), said
    assert "cam02: off (" in said
    assert ended.value.code == int(PreflightError.code)
    with pytest.raises(Exit, match="no host answers"):
        release.verify(Context(), host=[], group=[], label=[], drill=[], cloud=True, json=False)


@pytest.mark.loopback
@pytest.mark.usefixtures("boards")
def test_sizes_are_told_though_the_board_is_off(capsys: pytest.CaptureFixture[str]) -> None:
    assert free_flash_if_on("cam01") is None
    assert re.search(r"cam01 does not answer \(.+\): what its flash has left is not known", capsys.readouterr().err)


@pytest.mark.loopback
@pytest.mark.process
def test_ctrl_c_in_a_deploy_says_that_what_arrived_is_kept(boards: Path, tmp_path: Path) -> None:
    """The board takes the connection and says nothing more."""
    made = bundles.make()
    with socket.create_server(("127.0.0.1", 0)) as server:
        inventory = boards / "hosts.toml"
        inventory.write_text(inventory.read_text().replace("port = 1\n", f"port = {server.getsockname()[1]}\n"))
        code = (
            "import sys, pathlib; from recipes import paths; paths.BOARDS = pathlib.Path(sys.argv.pop(1)); "
            "import tasks; from invoke import Program; Program(namespace=tasks.ns).run()"
        )
        argv = [sys.executable, "-c", code, str(boards), "deploy", "--host", "cam01", "--bundle", made.id[:12]]
        started = subprocess.Popen(
            argv, cwd=paths.CHECKOUT, env=os.environ, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
        )
        server.settimeout(60)
        link, _ = server.accept()
        with link:
            time.sleep(0.5)
            started.send_signal(signal.SIGINT)
            _, said = started.communicate(timeout=60)
    assert started.returncode == 130, said
    assert "what arrived is kept" in said
    assert "give the same command again: invoke deploy --host cam01" in said
