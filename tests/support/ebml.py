"""EBML read element by element, with the bytes that each size was written in: for tests that compare framing.

Independent of the product's own reader, so that one is a check of the other.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field

MASTERS = {
    0x1A45DFA3: "EBML",
    0x18538067: "Segment",
    0x1549A966: "Info",
    0x1654AE6B: "Tracks",
    0xAE: "TrackEntry",
    0xE0: "Video",
    0xE1: "Audio",
    0x1F43B675: "Cluster",
    0x1254C367: "Tags",
    0x7373: "Tag",
    0x67C8: "SimpleTag",
}
SEGMENT, CLUSTER, TIMECODE, BLOCK, TAGS, TAG_NAME = 0x18538067, 0x1F43B675, 0xE7, 0xA3, 0x1254C367, 0x45A3
END_OF_FRAGMENT = b"AWS_KINESISVIDEO_END_OF_FRAGMENT"


@dataclass(frozen=True)
class Element:
    """One element: where it is, how its size is written, and what it holds (nothing for a master)."""

    path: str
    id: int
    size: str
    data: bytes

    @property
    def block(self) -> tuple[int, int, int]:
        """Return a SimpleBlock's track, relative time and flags."""
        return self.data[0] & 0x7F, int.from_bytes(self.data[1:3], "big", signed=True), self.data[3]


def number(data: bytes | bytearray, at: int) -> tuple[int, int]:
    """Return the length of a variable-size number and its bytes as one integer; IndexError where it is cut off."""
    length = 9 - data[at].bit_length()
    if length > 8 or at + length > len(data):
        raise IndexError(at)
    return length, int.from_bytes(data[at : at + length], "big")


def walk(data: bytes, at: int = 0, end: int | None = None, path: str = "") -> Iterator[Element]:
    """Go through elements and what is in them; a master of unknown size goes to the end, as nobody needs more here."""
    end = len(data) if end is None else end
    while at < end:
        length, ident = number(data, at)
        size_length, size = number(data, at + length)
        written = data[at + length : at + length + size_length].hex()
        start = at + length + size_length
        size &= (1 << 7 * size_length) - 1
        unknown = size == (1 << 7 * size_length) - 1
        stop = end if unknown else start + size
        if stop > end:
            raise IndexError(start)
        if name := MASTERS.get(ident):
            yield Element(f"{path}/{name}", ident, written, b"")
            # Clusters follow one another in a segment; a cluster of unknown size ends where the next one begins.
            if ident not in {SEGMENT, CLUSTER}:
                yield from walk(data, start, stop, f"{path}/{name}")
            else:
                stop = start
        else:
            yield Element(f"{path}/{ident:x}", ident, written, data[start:stop])
        at = stop


@dataclass
class Fragments:
    """Reads a body as it arrives: says when a cluster begins and when the end-of-fragment tag is there."""

    buffer: bytearray = field(default_factory=bytearray)
    timecodes: list[int] = field(default_factory=list)

    def feed(self, data: bytes) -> list[int | None]:
        """Return, in order, the timecode of each cluster that began, and None for each end-of-fragment tag."""
        self.buffer += data
        found: list[int | None] = []
        while self.buffer:
            try:
                length, ident = number(self.buffer, 0)
                size_length, size = number(self.buffer, length)
            except IndexError:
                return found
            start = length + size_length
            size &= (1 << 7 * size_length) - 1
            if ident in {SEGMENT, CLUSTER}:
                size = 0
            if len(self.buffer) < start + size:
                return found
            payload = bytes(self.buffer[start : start + size])
            if ident == TIMECODE:
                self.timecodes.append(int.from_bytes(payload, "big"))
                found.append(self.timecodes[-1])
            elif ident == TAGS and END_OF_FRAGMENT in payload:
                found.append(None)
            del self.buffer[: start + size]
        return found
