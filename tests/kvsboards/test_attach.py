"""A real board's streams are started in a view in which the local service is AWS; the board itself stays as it is."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from deploy.control.services import services_if_any
from deploy.kvsboards.attached import MADE, attach, detach
from deploy.localkvs.lifecycle import require_running, running, take_down
from deploy.reach.endpoints import VIEW_FOLDER
from deploy.services.systems import Phase
from recipes.engine.docker import Engine
from recipes.errors import PreflightError
from recipes.paths import CHECKOUT
from tests.support.attachedboard import (
    CA_FILE,
    HOST,
    HOSTS_FILE,
    KEYS,
    MISSING,
    OWN_CA,
    ROOT,
    STREAM,
    AttachedBoard,
    attached_board,
)

pytestmark = [pytest.mark.engine, pytest.mark.process, pytest.mark.loopback]
Boards = Callable[..., AttachedBoard]


@pytest.fixture
def service(engine: Engine, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setenv("BOARDCAST_WORK", str(tmp_path / "work"))
    yield
    take_down()


@pytest.fixture
def board(engine: Engine, service: None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[AttachedBoard]:
    with attached_board(engine, tmp_path, monkeypatch, capabilities=("SYS_ADMIN", "SYS_PTRACE")) as made:
        yield made


def _stream() -> dict[str, Any]:
    told = require_running().ask("GET", "/-/status")
    return next(row for row in told["streams"] if row["name"] == STREAM)


def _sends(board: AttachedBoard) -> None:
    """Wait until fragments arrive, two and more."""
    deadline, begun = time.monotonic() + 30, _stream()["fragments"]
    while _stream()["fragments"] < begun + 2:
        assert time.monotonic() < deadline, board.sh("tail -n 5 /var/log/boardcast/*")
        time.sleep(0.3)


def _invoke(*words: str) -> subprocess.CompletedProcess[str]:
    argv = [sys.executable, "-m", "invoke", *words]
    environment = {**os.environ, "PYTHONPATH": str(CHECKOUT)}
    return subprocess.run(argv, cwd=CHECKOUT, env=environment, capture_output=True, text=True, check=False)


def test_attached_streams_see_the_local_service_and_nobody_else_does(board: AttachedBoard) -> None:
    before = board.files()
    assert services_if_any(HOST)[0].state.phase is Phase.RUNNING
    attached = attach(HOST)
    (one,) = attached.services
    assert one.state.phase is Phase.RUNNING
    _sends(board)
    told = _invoke("status", "--host", HOST, "--json")
    assert '"running"' in told.stdout, told.stdout + told.stderr

    # The stream's process sees the service, and its keys are its user's alone.
    process = str(services_if_any(HOST)[0].state.pid)
    assert f"{attached.address} kinesisvideo." in board.seen_by(process, HOSTS_FILE)
    authority = attached.running.authority.read_text()
    assert board.seen_by(process, CA_FILE) == f"{OWN_CA.decode()}\n{authority}"
    assert attached.running.own_key().access in board.seen_by(process, KEYS)
    assert board.sh('ls -l "/proc/$1/root$2"', process, KEYS).split()[:3:2] == ["-rw-------", "camera"]

    # Nobody else does: byte for byte what was, and one placeholder, with its folder.
    now = board.files()
    assert before < now
    assert {line.split()[-1] for line in now - before} == {MISSING, f"{ROOT}/{MADE}"}
    assert board.sh('cat "$1"', MISSING) == ""
    assert board.seen_by(process, MISSING) == authority
    assert VIEW_FOLDER not in board.sh("cat /proc/mounts")

    # Twice is once.
    assert attach(HOST).services[0].state.phase is Phase.RUNNING
    _sends(board)
    hosts = board.seen_by(str(services_if_any(HOST)[0].state.pid), HOSTS_FILE)
    assert hosts.count(" kinesisvideo.") == 1
    assert len(board.sh("ps | grep '[b]oardstream --name'").splitlines()) == 1

    (after,) = detach(HOST)
    assert after.state.phase is Phase.RUNNING
    process = str(services_if_any(HOST)[0].state.pid)
    assert board.seen_by(process, CA_FILE) == OWN_CA.decode()
    assert board.files() == before, "nothing of ours is left"
    assert board.sh('ls -d "$1" "${2%/*/*}" 2>/dev/null || true', VIEW_FOLDER, MISSING) == ""
    count = _stream()["fragments"]
    time.sleep(2)
    assert _stream()["fragments"] == count, "the old stream sends elsewhere"


def test_after_a_reboot_the_streams_are_as_they_were(board: AttachedBoard) -> None:
    before = board.files()
    attach(HOST)
    _sends(board)
    board.reboot()
    deadline = time.monotonic() + 30
    while services_if_any(HOST)[0].state.phase is not Phase.RUNNING:
        assert time.monotonic() < deadline
        time.sleep(0.3)
    process = str(services_if_any(HOST)[0].state.pid)
    assert board.seen_by(process, CA_FILE) == OWN_CA.decode()
    assert "kinesisvideo" not in board.seen_by(process, HOSTS_FILE)
    # What a reboot does not take away, detach does.
    assert detach(HOST)[0].state.phase is Phase.RUNNING
    # The engine writes the hosts file anew.
    assert {line for line in board.files() ^ before if not line.endswith(HOSTS_FILE)} == set()


def test_a_board_without_private_mounts_says_so_and_streams_on(
    engine: Engine, service: None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with attached_board(engine, tmp_path, monkeypatch, capabilities=()) as board:
        before, running_before = board.files(), services_if_any(HOST)[0].state
        with pytest.raises(PreflightError, match="cannot give its streams a view of their own") as caught:
            attach(HOST)
        assert "it allows no private mounts" in caught.value.why
        assert "sim up --kvs" in caught.value.next_step
        done = _invoke("kvs", "attach", "--host", HOST)
        assert done.returncode == int(PreflightError.code)
        assert "Traceback" not in done.stderr
        assert board.files() == before
        assert services_if_any(HOST)[0].state.pid == running_before.pid, "it was not even stopped"
        assert running() is None, "and no service was started for it"
        assert json.loads(_invoke("status", "--host", HOST, "--json").stdout)
