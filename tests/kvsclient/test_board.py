"""Board to service, with our own element: a board's file, a deploy, pictures that arrive, and no false green."""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager

import pytest

from deploy.boards.board import load_board
from deploy.boards.inventory import SimState, host_target
from deploy.boards.session import connect
from deploy.verdicts.flow import CloudWay
from deploy.verify.run import run_checks
from recipes.engine.docker import Engine
from recipes.stage.manifest import Stage
from tests.support.fieldboard import Blocked, FieldBoard, field_board

pytestmark = [pytest.mark.engine, pytest.mark.sim]
MOST_SECONDS = 60
"""For a red verdict, P-28."""
Fault = Callable[[FieldBoard], AbstractContextManager[None]]


@pytest.fixture(scope="module")
def board(
    arm: SimState, engine: Engine, built: Callable[..., Stage], tmp_path_factory: pytest.TempPathFactory
) -> Iterator[FieldBoard]:
    folder = tmp_path_factory.mktemp("field")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("BOARDCAST_BOARDS", str(folder / "boards"))
        with field_board(arm, engine, folder, built) as made:
            yield made


def test_a_boards_file_ends_in_pictures_at_the_service(board: FieldBoard) -> None:
    assert "producer" not in load_board(board.host).recipes
    done = board.deploy()
    assert "bin/kvsclient" not in board.carried, "the program is for who asks for it"
    assert "gstreamer-1.0/libgstkvsclient.so" in board.carried
    assert done.verdict is not None
    assert done.verdict.green
    evidence = {one.name: one.evidence for one in done.verdict.checks}
    assert "fragments confirmed" in evidence["every stream goes on"]
    assert evidence["elements have what the launch scripts set"].startswith("kvssink ")
    assert "since its last start" in evidence["log says nothing bad: test"]
    assert re.search(r"; process \d+ runs for \d+ (s|min)", evidence["every stream goes on"])
    board.wait_for_fragments(2)


def seen(board: FieldBoard, fault: Fault, reason: str, way: CloudWay | None = None) -> float:
    """Return the seconds to a red verdict that gives the reason."""
    with fault(board):
        looked = board.verify(way)
        assert looked.reasons[:1] == [reason], (looked.reasons, looked.red)
    return looked.seconds


def test_what_is_not_seen_by_the_process_is_red(board: FieldBoard) -> None:
    """Three rows of the table below, for every run."""
    assert board.green().record.streams[0].width == 96
    assert seen(board, FieldBoard.other_stream, "elsewhere")
    assert seen(board, lambda one: one.nothing(), "workstation-blocked", Blocked())


ROWS: dict[str, tuple[str, Fault, CloudWay | None]] = {
    "the producer is stopped by SIGSTOP": ("stopped", FieldBoard.stopped, None),
    "it streams to another stream": ("elsewhere", FieldBoard.other_stream, None),
    "old fragments alone": ("old", FieldBoard.down, None),
    "another board writes the same stream": ("two-producers", FieldBoard.second_producer, None),
    "black pictures": ("black", lambda one: one.deployed(picture="black"), None),
    "a picture that stands still": ("frozen", lambda one: one.deployed(picture="smpte75"), None),
    "no sound": ("no-sound", lambda one: one.deployed(sound=False), None),
    "half of the frame rate": ("frame-rate", lambda one: one.deployed(rate=5), None),
    "retention 0": ("retention", FieldBoard.keeps_nothing, None),
    "the board's clock is 6 minutes ahead": ("clock", lambda one: one.clock_off(360), None),
    "the board's token is over": ("board-expired", FieldBoard.token_over, None),
    "the endpoint is blocked from the board": ("board-blocked", FieldBoard.board_blocked, None),
    "the endpoint is blocked from here": ("workstation-blocked", lambda one: one.nothing(), Blocked()),
}


@pytest.mark.slow
@pytest.mark.parametrize("row", ROWS)
def test_each_row_of_the_false_green_table(row: str, board: FieldBoard, capsys: pytest.CaptureFixture[str]) -> None:
    """Real media of an emulated board: red within a minute, each with its own reason, and green when cured."""
    board.deploy()  # nothing, where it is on already
    board.wait_for_fragments(2)
    reason, fault, way = ROWS[row]
    seconds = seen(board, fault, reason, way)
    told = f"{reason} after {seconds:.1f} s, green again after {board.green().seconds:.1f} s"
    with capsys.disabled():
        print(f"\n  {row}: {told} (load {os.getloadavg()[0]:.0f})", end=" ", flush=True)
    assert seconds < MOST_SECONDS


SPOIL = r"""
cd "$1/current/run" &&
    sed -i '$s/ kvssink / kvssink no-such-property=1 /; $s/ -- / -- v4l2src device=\/dev\/video9 ! fakesink /' test
: > /dev/video9
(exec 3< /dev/video9; exec sleep 60) > /dev/null 2>&1 < /dev/null &
echo 'Signature expired: 20261127' >> "$2"
"""


def test_what_somebody_changed_is_seen(board: FieldBoard) -> None:
    """A launch script that was changed, a device that another has, and a line in the log; the release stays damaged."""
    bundle = board.bundle()
    board.deploy()
    (row,) = bundle.manifest.services
    with connect(host_target(board.host)) as session:
        session.run(SPOIL, [bundle.manifest.root, row.log])
        verdict = run_checks(session, board.host, bundle.manifest.identity, bundle.manifest, fast=True)
        session.run("rm -f /dev/video9")
    seen = {one.name: one for one in verdict.checks}
    assert "run/test" in seen["files are intact"].evidence
    assert "test: kvssink has no no-such-property" in seen["elements have what the launch scripts set"].evidence
    assert seen["devices are there and free"].cause == "device-busy"
    assert "test: /dev/video9 is in use by sleep (process " in seen["devices are there and free"].evidence
    log = seen["log says nothing bad: test"].evidence
    assert "earlier, it streams now: " in log
    assert "the clock is wrong" in log, "whatever else earlier tests left there"
    assert seen["cameras offer what the streams ask for"].state == "skipped", "no driver is behind that node"
