"""A changed file as what differs from the one that the board has, put together there by `dd`, `gzip` and `tail`.

No board has a program for differences, but each `gzip -d` copies from what it unpacked before. So every 24 KiB of the
new file become a gzip stream of their own (RFC 1952): it begins with 31 KiB of the old file, unpacked, and goes on with
the new bytes, packed with these 31 KiB as their dictionary. Only the second half travels: the board has the first, and
throws it away again behind `gzip`. What comes of it is hashed like any other content.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping

_SEGMENT = 24 << 10
_BLOCK = 1 << 10
_WINDOW = 31
"""KiB of the old file: with them all of a segment's neighbourhood is within the 32 KiB that deflate looks back."""
_BEFORE = 3 << 10
"""How far the window begins before the place where the segment was."""
_PIECE = 512
_SAMPLE = 16
_STEP = 13
"""Between two places of a segment that are looked up; odd, for each fourth place of the old file is known."""
_LEAST, _MOST = 48 << 10, 16 << 20
"""Bytes of a file for which a difference is made: below the whole of it is as good, above it takes too long here."""
_END = "end"

PATCH = rf"""
# Each NAME~ in `incoming` becomes NAME: the name of the old content, rows of numbers, and what they count in blocks.
patch() {{
    for delta in *~; do
        [ -f "$delta" ] || continue
        blob=${{delta%'~'}}
        : > "$blob"
        {{
            read -r base
            while read -r skip at count && [ "$skip" != {_END} ]; do
                {{
                    printf '\037\213\010\000\000\000\000\000\000\003\000\000\174\377\203'
                    dd if="../store/$base" bs={_BLOCK} skip="$skip" count={_WINDOW} 2>/dev/null
                    dd if="$delta" bs={_PIECE} skip="$at" count="$count" 2>/dev/null
                }} | gzip -dc 2>/dev/null | tail -c +{_WINDOW * _BLOCK + 1} >> "$blob" || failed
            done
        }} < "$delta"
        rm -f "$delta"
    done
}}
"""


def make_delta(base: str, old: bytes, new: bytes) -> bytes | None:
    """Return what turns `old` into `new` on a board; None where sending all of it is as good, or nearly so. Pure.

    Parameters
    ----------
    base:
        Name of `old` in the board's store.
    """
    import zlib

    blocks = len(old) // _BLOCK - _WINDOW
    if not _LEAST <= len(new) <= _MOST or len(old) > _MOST or blocks < 0:
        return None
    places = {old[at : at + _SAMPLE]: at for at in range(len(old) - _SAMPLE, -1, -4)}
    rows, pieces, at = [], [], 0
    for begin in range(0, len(new), _SEGMENT):
        segment = new[begin : begin + _SEGMENT]
        skip = min(max(0, (_nearest(places, segment, begin) - _BEFORE) // _BLOCK), blocks)
        window = old[skip * _BLOCK : (skip + _WINDOW) * _BLOCK]
        piece = _packed(segment, window)
        count = -(-len(piece) // _PIECE)
        rows.append((skip, at, count))
        # Whoever unpacks passes over zeros behind the end.
        pieces.append(piece.ljust(count * _PIECE, b"\0"))
        at += count
    if sum(map(len, pieces)) * 4 > len(zlib.compress(new, 6)) * 3:
        return None
    return _head(base, rows) + b"".join(pieces)


def _nearest(places: Mapping[bytes, int], segment: bytes, begin: int) -> int:
    """Return where most of a segment was in the old file; where it is now, if nothing of it is known there."""
    votes: Counter[int] = Counter()
    for at in range(0, len(segment) - _SAMPLE, _STEP):
        found = places.get(segment[at : at + _SAMPLE])
        if found is not None:
            votes[(found - at) // 256] += 1
    return votes.most_common(1)[0][0] * 256 + 128 if votes else begin


def _packed(segment: bytes, window: bytes) -> bytes:
    """Return the end of a gzip stream that begins with the window, unpacked."""
    import zlib

    packer = zlib.compressobj(9, zlib.DEFLATED, -15, 9, zlib.Z_DEFAULT_STRATEGY, window)
    packed = packer.compress(segment) + packer.flush()
    check = zlib.crc32(segment, zlib.crc32(window))
    return packed + check.to_bytes(4, "little") + (len(window) + len(segment)).to_bytes(4, "little")


def _head(base: str, rows: list[tuple[int, int, int]]) -> bytes:
    """Return the rows, filled up to whole blocks; their places count from the begin of the file."""
    length = 0
    while True:
        blocks = length // _PIECE
        lines = [f"{skip} {at + blocks} {count}" for skip, at, count in rows]
        text = "\n".join([base, *lines, _END, ""]).encode()
        filled = -(-len(text) // _PIECE) * _PIECE
        if filled == length:
            return text.ljust(length, b"\n")
        length = filled
