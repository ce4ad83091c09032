"""EBML, the binary tree that Matroska is written in (RFC 8794): heads, numbers and texts, read with bounds and written.

Every number that a file says is checked before it is used: nothing here reads past the bytes that it was given.
"""

from __future__ import annotations

import math
import struct
from collections.abc import Iterator
from typing import NamedTuple

from deploy.media.model import MediaError

UNKNOWN = -1
"""The size of an element that does not say its size: it ends where an element of a level above begins."""

Buffer = bytes | bytearray | memoryview


class Head(NamedTuple):
    """What stands before an element's body.

    Attributes
    ----------
    size:
        Bytes of the body, or `UNKNOWN`.
    body:
        Where the body begins.
    """

    id: int
    size: int
    body: int


def read_head(data: Buffer, at: int, end: int) -> Head | None:
    """Read the ID and the size at a place; None where more bytes are needed (12 are always enough).

    Raises
    ------
    MediaError
        No element begins with these bytes.
    """
    if at >= end:
        return None
    width = 9 - data[at].bit_length()
    if width > 4:
        raise MediaError(f"no element begins with the byte 0x{data[at]:02x}")
    size_at = at + width
    if size_at >= end:
        return None
    size_width = 9 - data[size_at].bit_length()
    if size_width > 8:
        raise MediaError("an element's size has more than 8 bytes")
    body = size_at + size_width
    if body > end:
        return None
    ones = (1 << (7 * size_width)) - 1
    size = int.from_bytes(data[size_at:body]) & ones
    return Head(int.from_bytes(data[at:size_at]), UNKNOWN if size == ones else size, body)


def read_number(data: Buffer, at: int, end: int) -> tuple[int, int]:
    """Read a number of variable length, as blocks have it for their track; return it and where it ends."""
    width = 9 - data[at].bit_length() if at < end else 9
    if width > 8 or at + width > end:
        raise MediaError("a number of variable length is cut short or too long")
    return int.from_bytes(data[at : at + width]) & ((1 << (7 * width)) - 1), at + width


def children(data: Buffer, start: int, end: int) -> Iterator[tuple[int, int, int]]:
    """Yield ID, begin and end of the body of each element between two places.

    Raises
    ------
    MediaError
        An element is cut short, is longer than its parent, or does not say its size.
    """
    at = start
    while at < end:
        head = read_head(data, at, end)
        if head is None or head.size == UNKNOWN or head.body + head.size > end:
            raise MediaError("an element does not fit into its parent")
        at = head.body + head.size
        yield head.id, head.body, at


def as_uint(body: Buffer) -> int:
    """Read an unsigned number of 0 to 8 bytes."""
    if len(body) > 8:
        raise MediaError(f"a number of {len(body)} bytes")
    return int.from_bytes(body)


def as_float(body: Buffer) -> float:
    """Read a number with a fraction: 0, 4 or 8 bytes, finite."""
    if len(body) not in {0, 4, 8}:
        raise MediaError(f"a number with a fraction of {len(body)} bytes")
    value: float = struct.unpack(">d" if len(body) == 8 else ">f", body)[0] if body else 0.0
    if not math.isfinite(value):
        raise MediaError("a number that is not finite")
    return value


def as_text(body: Buffer) -> str:
    """Read a text up to its first NUL (GStreamer leaves one behind codec IDs); what cannot be shown becomes U+FFFD."""
    text = bytes(body).partition(b"\0")[0].decode("utf-8", "replace")
    return "".join(letter if letter.isprintable() else "\ufffd" for letter in text)


def write(ident: int, body: bytes, *, width: int = 0) -> bytes:
    """Write one element; the size takes `width` bytes, as few as it needs where that is 0."""
    width = width or next(some for some in range(1, 9) if len(body) < (1 << (7 * some)) - 1)
    size = (len(body) | 1 << (7 * width)).to_bytes(width)
    return write_id(ident) + size + body


def write_id(ident: int) -> bytes:
    return ident.to_bytes((ident.bit_length() + 7) // 8)


def write_uint(ident: int, value: int, *, width: int = 0) -> bytes:
    """Write an unsigned number in `width` bytes, as few as it needs where that is 0."""
    return write(ident, value.to_bytes(width or max(1, (value.bit_length() + 7) // 8)))
