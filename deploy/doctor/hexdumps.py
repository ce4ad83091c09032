"""Lines of a hex dump: what bytes they show, and the same line without some of them. Pure.

libwebsockets prints `0010: 22 61 63 …    "ac…`, GStreamer, xxd and hexdump their own forms of it, each behind what a
logger puts before a line.
"""

from __future__ import annotations

import re
from collections.abc import Collection
from dataclasses import dataclass

_MOST = 32
"""Bytes of one line that are read."""
_START = re.compile(
    r"(?:^|[ \t\]:|])(?P<offset>[0-9A-Fa-f]{4,16})(?::|[ \t]{1,2}\(0x[0-9A-Fa-f]{1,16}\):|(?=[ \t]))"
    r"[ \t]{1,4}(?=[0-9A-Fa-f]{2})"
)
_BYTE = re.compile(r"[ \t]{0,2}([0-9A-Fa-f]{2})")
_LONGEST = 400
"""Characters of a line that may be one of a dump."""


@dataclass(frozen=True, slots=True, kw_only=True)
class DumpLine:
    """One line of a hex dump."""

    text: str
    offset: int
    raw: bytes
    places: tuple[int, ...]
    """Where in the line each byte begins."""
    letters: int
    """Where in the line the column of letters begins; -1 where each letter's place is not known."""
    rest: int
    """Where what is behind the bytes begins."""

    def without(self, secret: Collection[int]) -> str:
        """Return the line with `**` in place of the bytes of these numbers, and `*` in place of their letters."""
        if not secret:
            return self.text
        line = list(self.text)
        for number in secret:
            place = self.places[number]
            line[place : place + 2] = "**"
            if self.letters >= 0 and self.letters + number < len(line):
                line[self.letters + number] = "*"
        if self.letters < 0:
            line[self.rest :] = ["***"] if self.text[self.rest :].strip() else []
        return "".join(line)


def read_dump_line(text: str) -> DumpLine | None:
    """Return a line of a log as one of a hex dump; None where it is none."""
    if len(text) > _LONGEST:
        return None
    for start in _START.finditer(text):
        places = _places(text, start.end())
        raw = bytes.fromhex("".join(text[place : place + 2] for place in places))
        for count in range(len(raw), 0, -1):
            letters = _letters(text, places[count - 1] + 2, raw[:count])
            if letters is not None:
                return _line(text, start["offset"], raw[:count], places, letters)
        behind = text[places[-1] + 2 :] if places else ""
        enough = 8 if behind.strip() else 1 if behind.startswith("   ") else 4
        if len(raw) >= enough:
            return _line(text, start["offset"], raw, places, -1)
    return None


def _line(text: str, offset: str, raw: bytes, places: list[int], letters: int) -> DumpLine:
    kept = tuple(places[: len(raw)])
    return DumpLine(text=text, offset=int(offset, 16), raw=raw, places=kept, letters=letters, rest=kept[-1] + 2)


def _places(text: str, at: int) -> list[int]:
    places: list[int] = []
    while len(places) < _MOST and (byte := _BYTE.match(text, at)):
        places.append(byte.start(1))
        at = byte.end()
    return places


def _letters(text: str, at: int, raw: bytes) -> int | None:
    """Return where the column of letters begins, if what is behind the bytes is that column."""
    column = "".join(chr(byte) if 0x20 <= byte < 0x7F else "\0" for byte in raw)
    behind = text[at:]
    bare = behind.strip(" \t")
    if len(bare) == len(column) + 2 and bare[0] == bare[-1] == "|" and _same(bare[1:-1], column):
        return at + behind.index("|") + 1
    stripped = column.lstrip(" ")
    if not bare or not _same(bare, stripped.rstrip(" ")):
        return None
    if len(raw) == 1 and not behind.startswith("   "):
        return None  # two words of a line, more likely
    return at + len(behind) - len(behind.lstrip(" \t")) - (len(column) - len(stripped))


def _same(shown: str, column: str) -> bool:
    return len(shown) == len(column) and all(want in ("\0", got) for got, want in zip(shown, column, strict=True))
