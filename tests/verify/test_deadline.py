"""Every command of the checks has an end: a board whose command hangs, and one that nothing reaches any more (P-20)."""

from __future__ import annotations

import re
import threading
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from deploy.boards.probe import probe_host
from deploy.boards.session import SshSession, connect, within
from deploy.bundle.assemble import pack_bundle
from deploy.release.carried import paper_sizes
from deploy.release.plan import plan_release
from deploy.release.run import deploy_release
from deploy.verify import run
from deploy.verify.verdict import require_green
from recipes.errors import PreflightError, RolledBackError
from tests.support.bundles import manifest
from tests.support.localboard import ARCH
from tests.support.sshserver import Line, ssh_line
from tests.verify.test_checks import look, program, put

pytestmark = [pytest.mark.loopback, pytest.mark.process, pytest.mark.usefixtures("home")]
DEADLINE, BEYOND = 4, 5
"""Seconds of these tests, and those that an end may be late (P-20)."""
HANGS = "def test_it_hangs(host):\n    host.run('exec sleep 600')\n"


@pytest.fixture
def line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Line]:
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.delenv("SSH_AUTH_SOCK", raising=False)
    monkeypatch.setattr(run, "TIMEOUT_SECONDS", DEADLINE)
    with ssh_line(tmp_path) as made:
        yield made


@pytest.fixture
def hanging(tmp_path: Path) -> Path:
    """Return a folder with a check whose command does not end."""
    (tmp_path / "checks").mkdir()
    (tmp_path / "checks/test_hangs.py").write_text(HANGS)
    return tmp_path / "checks"


@pytest.mark.parametrize("fault", ["its command hangs", "nothing reaches it"])
def test_checks_end_by_their_deadline(line: Line, tmp_path: Path, hanging: Path, fault: str) -> None:
    _, made = put(tmp_path / "flash/boardcast", program())
    with connect(line.target) as session:
        if fault == "nothing reaches it":
            threading.Timer(1, line.frozen.set).start()
        begun = time.monotonic()
        with pytest.raises(PreflightError, match=r"cam01 did not do in time|did not end within"):
            look(made, session, own=[hanging])
        assert time.monotonic() - begun < DEADLINE + BEYOND
        if fault == "its command hangs":
            assert session.run("echo on").out == "on\n", "the connection is as good as before"


def test_a_board_that_nothing_reaches_from_the_first_byte_on_ends_by_the_deadline(line: Line) -> None:
    with connect(line.target) as session:
        line.frozen.set()
        begun = time.monotonic()
        with pytest.raises(PreflightError, match="did not do in time"), within(session, 2):
            session.run("true")
        with pytest.raises(PreflightError, match="did not do in time"), within(session, 0):
            session.run("true")
        assert time.monotonic() - begun < 2 + BEYOND


def test_a_full_line_does_not_keep_a_command_beyond_the_deadline(line: Line) -> None:
    """What is sent stays in the socket, and paramiko itself waits there for ever."""
    with connect(line.target) as session:
        threading.Timer(1, line.frozen.set).start()
        begun = time.monotonic()
        with pytest.raises(PreflightError), within(session, 3):
            session.run("exec cat > /dev/null", stdin=(b"x" * 65536 for _ in iter(int, 1)))
        assert time.monotonic() - begun < 3 + BEYOND


def test_a_shorter_deadline_outside_stays(line: Line) -> None:
    with connect(line.target, seconds=100) as session:
        outer = session.deadline
        with within(session, 200):
            assert session.deadline == outer
        with within(session, 10):
            assert session.deadline < outer
        assert session.deadline == outer


def gate(session: SshSession, root: Path, hanging: Path) -> None:
    """Deploy a first release with a check whose command hangs behind the switch."""
    nothing: dict[str, Any] = {
        "entries": (),
        "decisions": (),
        "proofs": (),
        "refused": (),
        "providers": {},
        "build_ids": {},
    }
    plain = manifest(arch=ARCH.name, machines=ARCH.machine, root=str(root), **nothing)
    bundle = pack_bundle(plain, {"share/boardcast/text": (b"any", 0o644)})
    root.parent.mkdir(exist_ok=True)
    facts = replace(probe_host(session, str(root), []), files={"/etc/ld.so.cache": "absent"})
    planned = plan_release(bundle.id, bundle.manifest, facts, papers=paper_sizes(bundle))

    def check() -> None:
        require_green(run.run_checks(session, "cam", bundle.id, bundle.manifest, own=[hanging], fast=True))

    deploy_release(session, "cam", bundle, check, planned=planned, tools=facts.tools, who="a test")


def test_a_gate_that_hangs_takes_the_release_back(line: Line, tmp_path: Path, hanging: Path) -> None:
    root = tmp_path / "board/boardcast"
    with connect(line.target) as session:
        begun = time.monotonic()
        with pytest.raises(RolledBackError, match="nothing runs there, as before") as caught:
            gate(session, root, hanging)
        assert re.search("did not do in time|did not end within", caught.value.why)
        assert time.monotonic() - begun < DEADLINE + BEYOND + 10
    assert not (root / "current").exists()


def test_a_gate_of_a_board_that_is_gone_says_what_is_on(
    line: Line, tmp_path: Path, hanging: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("deploy.release.run.BACK_SECONDS", 2)
    root = tmp_path / "board/boardcast"
    with connect(line.target) as session:
        frozen = threading.Thread(target=freeze_once, args=(root / "current", line), daemon=True)
        frozen.start()
        begun = time.monotonic()
        with pytest.raises(PreflightError, match="switched on, and neither confirmed nor taken back"):
            gate(session, root, hanging)
        assert time.monotonic() - begun < 10 + DEADLINE + 2 + 2 * BEYOND


def freeze_once(link: Path, line: Line) -> None:
    while not link.is_symlink():
        time.sleep(0.05)
    time.sleep(1)
    line.frozen.set()
