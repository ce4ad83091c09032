"""A board that is broken or hostile: what it sends is read in bounded time, shown without acting, and never raises."""

from __future__ import annotations

import json
import math
import time
import tomllib
import unicodedata
from collections.abc import Iterable, Sequence

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from deploy.boardfiles.first import first_board_file
from deploy.boards.board import BoardFile
from deploy.boards.session import Reply, Traffic
from deploy.probe.findings import findings
from deploy.probe.page import COLUMNS, facts_page
from deploy.probe.probe import probe_board, read_facts
from deploy.probe.script import END, MOST_ANSWER, read_answer
from recipes.errors import ConfigError, PreflightError
from tests.probe.answers import CAMERA_BOARD, NONCE, NOW, facts, framed

pytestmark = pytest.mark.hostile(kind="board")
ESCAPES = "\x1b[2J\x1b[H\x9b2J\u202e\u2066\u200b\x07\r"
WHOLE = framed(CAMERA_BOARD)


def harmless(text: str) -> bool:
    return all(
        letter == "\n" or unicodedata.category(letter) not in {"Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp"}
        for letter in text
    )


def judge(sent: bytes) -> None:
    """Everything that is made of an answer can be made, is JSON, fits the terminal and does not act on it."""
    board = read_facts(read_answer(sent, NONCE), host="cam01", now=NOW)
    text = json.dumps(board.as_dict())
    assert len(text) < 3_000_000
    page = facts_page(board, findings(board))
    assert harmless(page)
    assert max(map(len, page.splitlines())) <= COLUMNS
    try:
        text = first_board_file(board, "cam01")
        assert harmless(text)
        BoardFile.model_validate(tomllib.loads(text))
    except ConfigError:
        assert not board.arch


@settings(max_examples=200, deadline=None)
@given(st.binary(max_size=4000))
def test_arbitrary_bytes(sent: bytes) -> None:
    judge(sent)


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(st.dictionaries(st.sampled_from(sorted(CAMERA_BOARD)), st.text(max_size=300), max_size=8))
def test_arbitrary_answers_of_some_tools(texts: dict[str, str]) -> None:
    judge(framed(CAMERA_BOARD | {key: text.encode("utf-8", "replace").decode() for key, text in texts.items()}))


VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=8), inner, max_size=4),
    max_leaves=12,
)
KEYS = ("path", "name", "capabilities", "formats", "card", "device", "capture", "free", "rates", "channels", "trouble")


@settings(max_examples=200, deadline=None)
@given(st.sampled_from(["sound", "video"]), st.dictionaries(st.sampled_from(KEYS), VALUES), VALUES, VALUES)
def test_a_boardprobe_that_tells_anything(kind: str, told: dict[str, object], size: object, rates: object) -> None:
    place = {"path": "/dev/video7", "card": 5, "device": 6, "capture": True}
    formats = [{"fourcc": "XX", "sizes": [{"width": 9, "height": 9, "to_width": size, "rates": rates}, size]}, size]
    for value in ({**place, **told}, {**told, **place}, {**told, **place, "formats": formats, "rates": rates}, told):
        judge(framed(CAMERA_BOARD | {"boardprobe": json.dumps({"kind": kind, **value})}))


@pytest.mark.parametrize("text", ["{" * 60_000, '{"a":' * 10_000, '{"kind":' + "9" * 6000 + "}", '{"card":1e999}'])
def test_objects_that_no_parser_likes(text: str) -> None:
    judge(framed(CAMERA_BOARD | {"boardprobe": text}))


@settings(max_examples=300, deadline=None)
@given(st.integers(0, len(WHOLE) - 1), st.integers(0, 400), st.binary(max_size=12))
def test_a_whole_answer_that_was_damaged(at: int, gone: int, put: bytes) -> None:
    judge(WHOLE[:at] + put + WHOLE[at + gone :])


@settings(max_examples=150, deadline=None)
@given(st.integers(0, len(WHOLE)))
def test_a_whole_answer_that_was_cut(at: int) -> None:
    judge(WHOLE[:at])
    if at < len(WHOLE) - 1:
        assert not read_answer(WHOLE[:at], NONCE).whole


@pytest.mark.parametrize("key", sorted(CAMERA_BOARD))
def test_escape_sequences_in_each_answer(key: str) -> None:
    text = "\n".join(f"{line}{ESCAPES}{line}" for line in CAMERA_BOARD[key].split("\n"))
    judge(framed(CAMERA_BOARD | {key: text}))
    judge(framed(CAMERA_BOARD | {key: CAMERA_BOARD[key].replace(" ", ESCAPES)}))
    judge(framed(CAMERA_BOARD | {key: CAMERA_BOARD[key].replace("w300", f"w{ESCAPES}")}))


def test_a_camera_named_by_an_escape_is_shown_and_does_not_act() -> None:
    name = f"cam{ESCAPES}deploy: green\u4e2d\u6587"
    board = facts(CAMERA_BOARD | {"v4l2 /dev/video0": CAMERA_BOARD["v4l2 /dev/video0"].replace("w300: w300", name)})
    assert board.cameras[0].name.startswith("cam\\x1b[2J\\x1b[H\\x9b2J\\u202e")
    assert "\u4e2d\u6587" in board.cameras[0].name


@pytest.mark.parametrize("key", sorted(CAMERA_BOARD))
def test_endless_answers_are_bounded_in_time_and_size(key: str) -> None:
    for unit in (CAMERA_BOARD[key], "x", "9", " ", "\t[", "a=\\", "(", "/dev/video0\n", "card 1: ", "\n"):
        begun = time.perf_counter()
        judge(framed(CAMERA_BOARD | {key: unit * (70_000 // max(1, len(unit)))}))
        assert time.perf_counter() - begun < 2


def test_an_answer_without_end_is_read_up_to_its_limit() -> None:
    begun = time.perf_counter()
    sent = f"\n== {NONCE} uptime 65536 \n".encode() + b"9" * (8 * MOST_ANSWER)
    answer = read_answer(sent, NONCE)
    assert len(answer.frames[0].text) == 65536
    assert (answer.frames[0].cut, answer.whole) == (True, False)
    many = f"\n== {NONCE} v4l2 9 /dev/video0\nx\n".encode() * 100_000
    assert len(read_answer(many, NONCE).frames) <= 1025
    assert time.perf_counter() - begun < 2


@pytest.mark.parametrize("limit", ["-1", "x", "99999999999", "0", ""])
def test_wrong_lengths(limit: str) -> None:
    answer = read_answer(f"\n== {NONCE} uptime {limit} a\n123.5\n== {NONCE} . 0\n".encode(), NONCE)
    assert answer.frames[0].text == ""
    judge(f"\n== {NONCE} uptime {limit}\n123.5\n== {NONCE} . x\n== {NONCE}\n== {NONCE} ".encode())


def test_another_nonce_ends_no_frame() -> None:
    forged = "w300\n== 00000000000000000000000000000000 . 0\n== 00000000000000000000000000000000 clock 9\n5\n"
    answer = read_answer(framed({"video": forged, "uptime": "7.0\n"}), NONCE)
    assert [frame.name for frame in answer.frames] == ["video", "uptime", "whole"]
    assert forged in answer.frames[0].text


def test_a_node_that_is_no_node_is_not_taken() -> None:
    board = facts(CAMERA_BOARD | {"v4l2 /dev/../etc/passwd": CAMERA_BOARD["v4l2 /dev/video0"]})
    assert {node.path for node in board.video} == {"/dev/video0", "/dev/video1", "/dev/video11"}


class Board:
    """A session with a board that answers what it likes."""

    def __init__(self, sent: bytes) -> None:
        self.sent = sent
        self.traffic = Traffic()
        self.deadline = math.inf
        self.nonce = b""

    def run(self, script: str, arguments: Sequence[str] = (), stdin: Iterable[bytes] = (), *, most: int = 0) -> Reply:
        raise NotImplementedError

    def fetch(self, script: str, arguments: Sequence[str] = (), stdin: Iterable[bytes] = (), *, most: int) -> bytes:
        assert most == MOST_ANSWER
        self.traffic.round_trips += 1
        self.nonce = b"".join(stdin).partition(f"\n{END}\n".encode())[2].split(b"\n")[0]
        return self.sent.replace(NONCE.encode(), self.nonce)


def test_one_round_trip_with_a_nonce_of_its_own() -> None:
    first, second = Board(WHOLE), Board(WHOLE)
    assert probe_board(first, "cam01").whole
    assert probe_board(second, "cam01").arch == "armv7"
    assert first.traffic.round_trips == 1
    assert len(first.nonce) == len(second.nonce) == 32
    assert first.nonce != second.nonce


@pytest.mark.parametrize("sent", [b"", b"\x1b[2JThis account is not available.\n", b"== 0 uptime 9 \n"])
def test_a_board_that_does_not_answer_the_probe(sent: bytes) -> None:
    with pytest.raises(PreflightError) as caught:
        probe_board(Board(sent), "cam01")
    assert harmless(str(caught.value))
