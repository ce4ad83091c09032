"""What two and more looks at a stream come to, and when it is given up: with a clock that a test moves on."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass, field
from types import SimpleNamespace
from typing import Any

import pytest

from deploy.causes.boardside import BoardView, StreamSeen, refusal_in
from deploy.cloud.reasons import REASONS
from deploy.verify.checks import test_streams
from deploy.verify.script import LAST_REFUSAL

ROW = {"name": "front", "stream": "front", "status": "/s", "confirmed": True, "log": "/l"}
RUNNING = {"state": "running", "supervisor": "yes", "pid": "5", "restarts": "0"}
Look = tuple[dict[str, str], dict[str, Any]]


@dataclass
class Board:
    """A board whose answers depend on the seconds that went by."""

    at: Callable[[float], Look]
    log: str = ""
    now: float = 1000.0
    begun: float = 1000.0
    asked: list[str] = field(default_factory=list)
    recorded: dict[str, object] = field(default_factory=dict)

    def run(self, command: str, *_: str, **__: Any) -> SimpleNamespace:
        self.asked.append(command)
        if command == LAST_REFUSAL:
            return SimpleNamespace(stdout=self.log)
        state, report = self.at(self.now - self.begun)
        lines = [f"{name}={value}" for name, value in state.items()]
        return SimpleNamespace(stdout="\n".join(["service=front", *lines, f"report={json.dumps(report)}", "end"]))

    def sleep(self, seconds: float) -> None:
        self.now += seconds

    def monotonic(self) -> float:
        return self.now

    def checked(self, **release: int) -> float:
        """Run the check; returns the seconds that it took."""
        wanted = {"root": "/r", "services": [ROW], "patience": 25, "stall": 12, **release}
        facts: Any = SimpleNamespace(clock=None, skew=None)
        test_streams.test_every_stream_goes_on(self, wanted, facts, self.recorded.__setitem__)
        return self.now - self.begun

    def seen(self) -> object:
        return json.loads(str(self.recorded["streams"]))["front"]


@pytest.fixture
def board(monkeypatch: pytest.MonkeyPatch) -> Callable[..., Board]:
    def make(at: Callable[[float], Look], log: str = "") -> Board:
        made = Board(at, log)
        monkeypatch.setattr(test_streams, "time", made)
        return made

    return make


def told(frames: int, fragments: int, **more: Any) -> dict[str, Any]:
    return {"pid": 5, "frames": frames, "fragments": fragments, "uptime": 100, "fps": 10.0, **more}


def red(board: Board, **release: int) -> tuple[str, float]:
    with pytest.raises(AssertionError) as caught:
        board.checked(**release)
    return str(caught.value), board.now - board.begun


def test_pictures_and_confirmed_fragments_that_go_on_are_green(board: Callable[..., Board]) -> None:
    made = board(lambda at: (RUNNING, told(int(at * 10), int(at / 2))))
    assert made.checked() < 10
    assert made.seen() == StreamSeen.CONFIRMED
    assert "fragments confirmed" in str(made.recorded["evidence"])


def test_pictures_that_stand_still_are_red_after_the_stall(board: Callable[..., Board]) -> None:
    made = board(lambda _: (RUNNING, told(500, 50)))
    why, seconds = red(made)
    assert (made.seen(), 12 <= seconds <= 16) == (StreamSeen.SILENT, True)
    assert why == "front: no picture since the last look, 500 in all"


def test_a_gate_waits_for_what_stands_still_for_a_while(board: Callable[..., Board]) -> None:
    made = board(lambda at: (RUNNING, told(500 + int(max(0, at - 90)), 50 + int(max(0, at - 90)))))
    assert 90 < made.checked(patience=120, stall=120) < 100


def test_pictures_that_are_not_confirmed_any_more_are_red(board: Callable[..., Board]) -> None:
    """It was confirmed for hours: that is no proof of now."""
    made = board(lambda at: (RUNNING, told(int(at * 10), 64, ack_age=int(at))), log="broken: no answer for 30 s\n")
    why, seconds = red(made)
    assert (made.seen(), 20 <= seconds <= 26) == (StreamSeen.UNCONFIRMED, True)
    assert "pictures, and no fragment is confirmed since" in why
    assert "its log: broken: no answer for 30 s" in why


def test_what_is_not_confirmed_for_hours_is_not_waited_for(board: Callable[..., Board]) -> None:
    made = board(lambda at: (RUNNING, told(int(at * 10), 64, uptime=9000, ack_age=8000 + int(at))))
    _, seconds = red(made)
    assert (made.seen(), seconds) == (StreamSeen.UNCONFIRMED, 3)


def test_long_fragments_are_waited_for(board: Callable[..., Board]) -> None:
    made = board(lambda at: (RUNNING, told(int(at * 10), 20 + (at > 27), uptime=300)))
    assert 27 < made.checked() < 33


def test_what_does_not_start_is_red_when_patience_is_over(board: Callable[..., Board]) -> None:
    made = board(lambda _: (RUNNING, told(0, 0)))
    _, seconds = red(made)
    assert (made.seen(), 25 <= seconds <= 29) == (StreamSeen.STARTING, True)


def test_a_program_that_gave_up_says_why_and_its_log_who_refused(board: Callable[..., Board]) -> None:
    ended = told(0, 0) | {"state": "ended", "reason": "sink: access denied: the credentials"}
    failed = {"state": "failed", "supervisor": "yes", "reason": "exit code 78"}
    log = 'describeStream answers 403: {"Message": "The security token included in the request is expired"}\n'
    log += "boardstream: error: sink: Failed to create stream. Error status: 0x52000010\n"
    made = board(lambda _: (failed, ended), log=log)
    why, seconds = red(made)
    assert (made.seen(), seconds) == (StreamSeen.EXPIRED, 3)
    assert why.startswith("front: failed: sink: access denied: the credentials; its log: describeStream answers 403")


def test_what_was_stopped_is_not_explained_by_an_old_line(board: Callable[..., Board]) -> None:
    made = board(lambda _: ({"state": "stopped", "reason": "as asked"}, {}), log="broken: status 0x52000037")
    why, _ = red(made)
    assert (made.seen(), why) == (StreamSeen.STOPPED, "front: stopped: as asked")
    assert LAST_REFUSAL not in made.asked


@pytest.mark.parametrize(
    ("text", "kind"),
    [
        ("The security token included in the request is expired", StreamSeen.EXPIRED),
        ("Signature not yet current: 20261127T103023Z is still later than 20261127T102425Z", StreamSeen.CLOCK),
        ("status 0x52000010: access denied", StreamSeen.REFUSED),
        ("broken: status 0x52000037: no answer for 30 s", StreamSeen.UNREACHED),
        ("Failed to connect to s-local port 443 after 1 ms: Couldn't connect to server", StreamSeen.UNREACHED),
        ("restarting: sink: the service did not answer in time", StreamSeen.UNREACHED),
        ("no picture since the last look", None),
    ],
)
def test_the_words_of_a_program_are_read(text: str, kind: StreamSeen | None) -> None:
    assert refusal_in(text) is kind


@pytest.mark.parametrize("seen", StreamSeen)
def test_each_word_of_the_board_leads_to_a_known_reason_or_to_none(seen: StreamSeen) -> None:
    view = BoardView(seen=seen)
    assert view.cause in {"", *REASONS}
    assert not (view.stands and view.reaches and not view.cause)
    off = BoardView(seen=seen, clock_off=True)
    assert (off.cause == "clock") == (seen in (StreamSeen.REFUSED, StreamSeen.CLOCK, StreamSeen.DOWN))
