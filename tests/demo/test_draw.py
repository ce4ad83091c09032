"""A picture in the characters of a terminal: its colours are where they are in the picture."""

from __future__ import annotations

import re

import pytest

from deploy.demo.draw import WIDEST, drawn
from deploy.media.codecs import describe
from deploy.media.matroska import parse_cluster, parse_header
from deploy.media.pictures import still
from tests.support.media import make_fragments, make_header

_CELL = re.compile(r"\x1b\[38;2;(\d+);(\d+);(\d+);48;2;(\d+);(\d+);(\d+)m\u2580")


def jpeg(picture: str = "moving") -> bytes:
    header = parse_header(make_header(audio=False))
    cluster = parse_cluster(make_fragments(1, audio=False, picture=picture)[0], header)
    track = header.tracks[0]
    return still(track, describe(track), cluster.of(track.number), at=0).jpeg


@pytest.mark.parametrize("columns", [20, 80, 400])
def test_a_drawing_is_as_wide_as_the_terminal_has_room_and_keeps_its_shape(columns: int) -> None:
    lines = drawn(jpeg(), columns)
    width = min(columns, WIDEST)
    assert [len(_CELL.findall(line)) for line in lines] == [width] * len(lines)
    # Two pixels above each other in a character: 4:3 is three eighths as many lines as columns.
    assert abs(len(lines) - width * 3 / 8) <= 1
    assert all(line.endswith("\x1b[0m") for line in lines)


def test_black_is_black_and_a_moving_picture_is_not() -> None:
    dark = [int(value) for line in drawn(jpeg("black"), 32) for cell in _CELL.findall(line) for value in cell]
    assert max(dark) < 24
    bright = [int(value) for line in drawn(jpeg(), 32) for cell in _CELL.findall(line) for value in cell]
    assert max(bright) > 180
