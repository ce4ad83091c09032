"""Facts in, remote steps out: every case is a file of its own in tests/cases/release/."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import pytest

from deploy.boards.probe import HostFacts, parse_facts
from deploy.boards.session import Reply, Traffic
from deploy.bundle.load import Bundle
from deploy.bundle.manifest import BundleFile, Manifest
from deploy.release.plan import plan_release
from deploy.release.run import ReleaseResult, deploy_release
from recipes.errors import PreflightError, RolledBackError, VerifyError
from tests.support.facts import proof_row

CASES = sorted((Path(__file__).parent.parent / "cases" / "release").glob("*.json"))


def manifest(**changes: Any) -> Manifest:
    values: dict[str, Any] = {
        "schema_": 1,
        "board": "cam",
        "arch": "armv7",
        "machines": ("armv7l",),
        "root": "/opt/boardcast",
        "keep": 3,
        "stage_keys": {},
        "entries": ("bin/app",),
        "files": (
            BundleFile(path="bin/app", sha256="a" * 64, size=1000, mode=0o755),
            BundleFile(path="lib/libx.so.1", sha256="b" * 64, size=2_000_000, mode=0o755),
        ),
        "decisions": (),
        "proofs": (proof_row("libz.so.1", "/lib/libz.so.1", symbols=["inflate"]),),
        "providers": {},
        "notes": (),
    }
    return Manifest.model_validate(values | changes)


@pytest.mark.parametrize("path", CASES, ids=lambda path: path.stem)
def test_case(path: Path) -> None:
    case = json.loads(path.read_text())
    facts = parse_facts("\n".join(case["probe"]), now=case.get("now", 1_700_000_000))
    if "refused" in case:
        with pytest.raises(PreflightError) as caught:
            plan_release("new", manifest(), facts)
        assert case["refused"] in f"{caught.value.what} {caught.value.why}"
        assert caught.value.code == 5
        return
    planned = plan_release("new", manifest(), facts)
    assert [[step.kind.value, step.detail] for step in planned.steps] == case["steps"]
    if not planned.steps:
        assert planned.because == case["because"], "a no-op without a reason is a bug"


def test_there_are_cases() -> None:
    assert len(CASES) >= 10


class Board:
    """A session that answers what it is told to, and writes down what was asked of it."""

    def __init__(self, *answers: Reply) -> None:
        self.answers = list(answers)
        self.asked: list[tuple[str, ...]] = []
        self.traffic = Traffic()

    def run(self, script: str, arguments: Sequence[str] = (), stdin: Iterable[bytes] = ()) -> Reply:
        self.asked.append(tuple(arguments))
        self.traffic.sent += sum(len(chunk) for chunk in stdin)
        self.traffic.round_trips += 1
        return self.answers.pop(0)

    def fetch(self, script: str, arguments: Sequence[str] = (), stdin: Iterable[bytes] = ()) -> bytes:
        raise AssertionError("nothing is fetched here")


def ok(out: str = "") -> Reply:
    return Reply(code=0, out=out, err="")


class Content(Bundle):
    """A bundle of values."""

    def blobs(self) -> dict[str, bytes]:
        return {file.blob: b"x" * 10 for file in self.manifest.files}


FACTS = HostFacts(
    machine="armv7l",
    uid=0,
    clock=0,
    skew=0,
    free_kib=10**6,
    writable=True,
    tools=frozenset({"tar", "sha256sum"}),
    current="old",
    previous="",
    confirmed=frozenset({"old"}),
    blobs=frozenset(),
    files={"/lib/libz.so.1": "c" * 64},
)


LIST = hashlib.sha256(f"{'a' * 64}.x bin/app\n{'b' * 64}.x lib/libx.so.1\n".encode()).hexdigest()


def deploy(board: Board, check: Any) -> ReleaseResult:
    bundle = Content(id="new", path=Path("new.tar.gz"), manifest=manifest(), packed=1)
    planned = plan_release("new", bundle.manifest, FACTS)
    return deploy_release(board, "cam", bundle, check, planned=planned, tools=FACTS.tools)


def test_green_checks_confirm_the_release() -> None:
    board = Board(ok(), ok("current=new"), ok())
    assert deploy(board, lambda: None).changed
    assert board.asked == [
        ("/opt/boardcast", "tar"),
        ("/opt/boardcast", "new", LIST),
        ("/opt/boardcast", "new", "3"),
    ]


def test_red_checks_go_back_and_say_why() -> None:
    def red() -> None:
        raise VerifyError("1 of 4 checks is red", why="loader: libx not found")

    board = Board(ok(), ok("current=new"), ok("current=old"))
    with pytest.raises(RolledBackError) as caught:
        deploy(board, red)
    assert board.asked[-1] == ("/opt/boardcast", "new", "drop")
    assert caught.value.code == 6
    assert "old runs there again" in caught.value.what
    assert "libx not found" in caught.value.why


def test_ctrl_c_during_the_checks_goes_back_too() -> None:
    def interrupted() -> None:
        raise KeyboardInterrupt

    board = Board(ok(), ok("current=new"), ok("current=old"))
    with pytest.raises(KeyboardInterrupt):
        deploy(board, interrupted)
    assert board.asked[-1] == ("/opt/boardcast", "new", "drop")


@pytest.mark.parametrize(
    ("code", "err", "says"),
    [
        (71, "tar: write error: No space left on device", "no space left on the board"),
        (73, "", "damaged"),
        (75, "locked by process 7", "another deploy"),
        (99, "what", "exit code 99"),
    ],
)
def test_a_board_that_stops_is_told_with_its_reason(code: int, err: str, says: str) -> None:
    with pytest.raises(PreflightError) as caught:
        deploy(Board(Reply(code=code, out="", err=err)), lambda: None)
    assert says in caught.value.what


def test_a_board_without_tar_gets_each_file_by_itself() -> None:
    board = Board(ok(), ok(), ok("current=new"), ok())
    bundle = Content(id="new", path=Path("new.tar.gz"), manifest=manifest(), packed=1)
    deploy_release(
        board,
        "cam",
        bundle,
        lambda: None,
        planned=plan_release("new", bundle.manifest, FACTS),
        tools=frozenset({"sha256sum"}),
    )
    assert [words[1] for words in board.asked] == [f"{'a' * 64}.x", f"{'b' * 64}.x", "new", "new"]
