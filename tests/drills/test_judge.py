"""What a drill means: back in time, or what did not come back."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from deploy.boards.board import Board
from deploy.cloud.promise import ChannelPromise, StreamPromise
from deploy.control.services import HostService
from deploy.drills.faults import Kind, Made, sources
from deploy.drills.judge import judge_drill
from deploy.services.systems import Phase, ServiceState
from tests.support.leaking import row

STREAM = StreamPromise(stream="front", name="cam01")


def service(phase: Phase = Phase.RUNNING, *, enabled: bool = True, name: str = "front") -> HostService:
    state = ServiceState(
        phase=phase, installed=True, enabled=enabled, pid=7 if phase is Phase.RUNNING else 0, since=1, restarts=0,
        last_exit=None, reason="no camera",
    )  # fmt: skip
    return HostService(row=row(name), state=state)


def made(**given: Any) -> Made:
    values: dict[str, Any] = {"done": "cut", "begin": 0.0, "end": 60.0, "sure": 60.0, "lasted": 60.0}
    return Made(**values | given)


@pytest.mark.parametrize(
    ("kind", "given", "back", "through", "after", "reason", "word"),
    [
        ("network", {}, {"cam01": 4.0}, {"cam01": 0}, [service()], "", "4.0 s after it"),
        ("network", {}, {"cam01": 4.0}, {"cam01": 9}, [service()], "drill-no-fault", "9 fragments"),
        ("network", {}, {}, {"cam01": 0}, [service()], "drill-not-back", "front runs (process 7)"),
        ("service", {}, {}, {}, [service(Phase.FAILED)], "drill-service", "front is failed: no camera"),
        ("service", {}, {}, {}, [service(Phase.RESTARTING)], "drill-service", "restarting"),
        ("power", {}, {}, {}, [service(Phase.STOPPED, enabled=False)], "drill-boot", "stopped"),
        ("power", {}, {}, {}, [service(Phase.STOPPED)], "drill-service", "stopped"),
        ("power", {"trouble": "no route"}, {}, {}, [], "board-gone", "no route"),
        ("camera", {}, {}, {}, [], "board-gone", "does not answer"),
    ],
)
def test_a_stream_is_back_or_says_what_is_not(
    kind: Kind, given: dict[str, Any], back: dict[str, float], through: dict[str, int], after: list[HostService],
    reason: str, word: str,
) -> None:  # fmt: skip
    (found,) = judge_drill(kind, made(**given), [STREAM], back, through, after, 60.0)
    assert (found.reason, found.state) == (reason, "failed" if reason else "passed")
    assert word in found.evidence
    assert found.check == f"comes back after {kind}"


def test_a_channel_is_judged_by_its_viewers() -> None:
    door = ChannelPromise(stream="front", name="door")
    (back,) = judge_drill("network", made(), [door], {"door": 4.0}, {"door": 0}, [service()], 60.0)
    assert (back.state, back.check) == ("passed", "is seen again after network")
    assert "a viewer had its pictures 4.0 s after it" in back.evidence
    (through,) = judge_drill("network", made(), [door], {"door": 4.0}, {"door": 1}, [service()], 60.0)
    assert (through.reason, "meanwhile 1 picture arrived" in through.evidence) == ("drill-no-fault", True)
    (gone,) = judge_drill("service", made(), [door], {}, {}, [service(Phase.FAILED)], 60.0)
    assert (gone.reason, "no viewer got pictures in 60 s" in gone.evidence) == ("drill-service", True)


def test_a_service_that_does_not_say_is_no_evidence() -> None:
    (found,) = judge_drill("network", made(), [STREAM], {}, {}, [service()], 60.0, "there are no credentials")
    assert found.state == "skipped"


HEAD = 'schema = 2\narch = "armv7"\nsysroot = "debian12-armv7"\ninit = "systemd"\n'
V4L2 = '[streams.front]\nsource = { v4l2 = "/dev/video2" }\nvideo = { encoder = "x264enc" }\nsink = { kvs = "a" }\n'
TEST = '[streams.back]\nsource = { test = "ball" }\nvideo = { encoder = "x264enc" }\nsink = { kvs = "b" }\n'
RTSP = '[streams.far]\nsource = { rtsp = "rtsp://192.0.2.7/a" }\nsink = { kvs = "c" }\n'
SAMPLE = '[streams.own]\nsample = "kvs_gstreamer_sample"\nstream = "d"\n'


@pytest.mark.parametrize(
    ("text", "names", "devices", "inside", "strange"),
    [
        (V4L2, ["front"], ["/dev/video2"], [], ""),
        (TEST, ["back"], [], ["back"], ""),
        (SAMPLE, ["own"], ["/dev/video0"], [], ""),
        (RTSP, ["far"], [], [], "the source of far (rtsp)"),
        (V4L2 + TEST, ["front", "back"], [], [], "one at a time"),
        (V4L2 + TEST, ["front"], ["/dev/video2"], [], ""),
        (TEST, [], [], [], ""),
    ],
)
def test_a_camera_is_what_the_board_file_says(
    home: Path, text: str, names: list[str], devices: list[str], inside: list[str], strange: str
) -> None:
    from deploy.boards.board import load_board
    from recipes import paths

    (paths.BOARDS / "cam").mkdir(parents=True)
    (paths.BOARDS / "cam" / "board.toml").write_text(HEAD + text)
    board: Board = load_board("cam")
    found = sources(board, [service(name=name) for name in names])
    assert (found[0], [one.row.name for one in found[1]]) == (devices, inside)
    assert strange in found[2]
    assert bool(found[2]) == bool(strange)
