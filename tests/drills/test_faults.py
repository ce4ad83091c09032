"""What a fault asks of a board, and when it is refused: no script here is run, for each would do it to this machine."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import pytest

from deploy.boards.board import Board, load_board
from deploy.boards.session import TEXT_BYTES, BoardSession, Reply, Traffic
from deploy.drills import faults
from deploy.drills.faults import Drilled, Kind, make_fault
from deploy.drills.scripts import BOOT, DETACH, FOLDER, KILL, PEER, REBOOT, UNDO
from recipes import paths
from recipes.errors import ExitCode, PreflightError
from tests.drills.test_judge import HEAD, RTSP, TEST, V4L2, service

Answer = Callable[[str, Sequence[str]], str]


class Said:
    """A session that answers from a table, and runs nothing."""

    def __init__(self, answer: Answer) -> None:
        self.answer, self.traffic = answer, Traffic()
        self.deadline = math.inf
        self.asked: list[str] = []

    def run(
        self, script: str, arguments: Sequence[str] = (), stdin: Iterable[bytes] = (), *, most: int = TEXT_BYTES
    ) -> Reply:
        self.asked.append(script)
        return Reply(code=0, out=self.answer(script, arguments), err="")

    def fetch(self, script: str, arguments: Sequence[str] = (), stdin: Iterable[bytes] = (), *, most: int) -> bytes:
        raise AssertionError(script)


@pytest.fixture
def on_board(home: Any, monkeypatch: pytest.MonkeyPatch) -> Callable[..., tuple[Said, Drilled]]:
    """Return a function that gives a real board which answers from a table, and what is drilled there."""

    def make(text: str, names: Sequence[str], answer: Answer, **given: Any) -> tuple[Said, Drilled]:
        (paths.BOARDS / "cam").mkdir(parents=True)
        (paths.BOARDS / "cam" / "board.toml").write_text(HEAD + text)
        board: Board = load_board("cam")
        session = Said(answer)

        @contextmanager
        def connect(_: object) -> Iterator[BoardSession]:
            yield session

        monkeypatch.setattr(faults, "connect", connect)
        monkeypatch.setattr(faults, "host_target", lambda _: None)
        monkeypatch.setattr(faults, "sim_state", lambda _: None)
        monkeypatch.setattr(faults, "running", lambda: None)
        monkeypatch.setattr("time.sleep", lambda _: None)
        values: dict[str, Any] = {"seconds": 0.01, "within": 0.05} | given
        services = tuple(service(name=name) for name in names)
        return session, Drilled(host="h1", board=board, root="/opt/boardcast", services=services, **values)

    return make


_FROM = "10.0.0.1 5 10.0.0.2 22\n"
OnBoard = Callable[..., tuple[Said, Drilled]]


@pytest.mark.parametrize(
    ("kind", "text", "names", "answers", "why"),
    [
        ("camera", RTSP, ["far"], {}, "the source of far (rtsp)"),
        ("camera", TEST, [], {}, "no stream with a source of its own runs there"),
        ("camera", TEST, ["back"], {PEER: ""}, "runs no more"),
        ("camera", V4L2, ["front"], {DETACH: "cannot the driver of /dev/video2 cannot let go of it\n"}, "let go of it"),
        ("network", V4L2, ["front"], {PEER: "\n"}, "from where it is reached"),
        ("network", V4L2, ["front"], {PEER: _FROM, DETACH: "cannot who logs in is not root\n"}, "not root"),
        ("network", V4L2, ["front"], {PEER: _FROM, DETACH: ""}, "did not say why"),
        ("power", V4L2, ["front"], {BOOT: "boot=a\nreboot=yes\n"}, "not root"),
        ("power", V4L2, ["front"], {BOOT: "boot=a\nroot=yes\n"}, "no `reboot`"),
        ("service", V4L2, [], {}, "no service of a stream runs there"),
        ("service", V4L2, ["front"], {KILL: "none front\n"}, "may not end front"),
    ],
)  # fmt: skip
def test_what_a_board_cannot_have_is_refused_and_nothing_is_changed(
    on_board: OnBoard, kind: Kind, text: str, names: list[str], answers: dict[str, str], why: str
) -> None:
    session, drilled = on_board(text, names, lambda script, _: answers.get(script, ""))
    with pytest.raises(PreflightError) as caught:
        make_fault(kind, drilled)
    assert why in caught.value.why
    assert "nothing was changed there" in caught.value.why
    assert caught.value.code is ExitCode.PREFLIGHT
    assert REBOOT not in session.asked
    if DETACH in session.asked:
        assert session.asked[-1] == UNDO, "whatever it did is taken back"


def test_a_network_is_cut_for_all_but_this_session(on_board: OnBoard) -> None:
    said: list[Sequence[str]] = []

    def answer(script: str, arguments: Sequence[str]) -> str:
        if script == DETACH:
            said.append(arguments)
        return {PEER: "::ffff:10.0.0.1 5 10.0.0.2 2222\n", DETACH: "begun nft\n"}.get(script, "")

    session, drilled = on_board(V4L2, ["front"], answer)
    made = make_fault("network", drilled)
    assert list(said[0][:6]) == [FOLDER, "hold", FOLDER, "0", "10.0.0.1", "2222"]
    assert "kinesisvideo.us-west-2.amazonaws.com" in said[0]
    assert "nft" in made.done
    assert made.begin <= made.end <= made.sure
    assert session.asked[-1] == UNDO


def test_a_board_restarts_where_it_says_another_start(on_board: OnBoard) -> None:
    boots = iter(["boot=a\nroot=yes\nreboot=yes\n", "boot=a\n", "boot=b\n"])
    session, drilled = on_board(V4L2, ["front"], lambda script, _: next(boots) if script == BOOT else "", within=60.0)
    made = make_fault("power", drilled)
    assert (made.done, made.trouble, made.lasted) == ("rebooted", "", 0.0)
    assert session.asked == [BOOT, REBOOT, BOOT, BOOT]


def test_a_board_that_answers_and_did_not_restart_is_no_fault(on_board: OnBoard) -> None:
    _, drilled = on_board(V4L2, ["front"], lambda *_: "boot=a\nroot=yes\nreboot=yes\n")
    assert make_fault("power", drilled).trouble == "it answers, and did not restart"


def test_a_board_that_does_not_come_back_says_why(on_board: OnBoard) -> None:
    def answer(script: str, _: Sequence[str]) -> str:
        if script == BOOT and REBOOT in session.asked:
            raise PreflightError("h1 does not answer", why="no route")
        return "boot=a\nroot=yes\nreboot=yes\n"

    session, drilled = on_board(V4L2, ["front"], answer)
    assert make_fault("power", drilled).trouble == "h1 does not answer: no route"


def test_a_program_that_was_killed_is_named(on_board: OnBoard) -> None:
    _, drilled = on_board(V4L2, ["front"], lambda script, _: "killed front 77\n" if script == KILL else "")
    made = make_fault("service", drilled)
    assert made.done == "SIGKILL to front (process 77)"
    assert made.sure >= made.end
