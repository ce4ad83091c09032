"""A changed file as what differs from the one that the board has, put together there by `dd`, `gzip` and `tar`.

No board has a program for differences, but each `gzip -d` copies from what it unpacked before. So every 24 KiB of the
new file become a member of a gzip stream (RFC 1952): it begins with 31 KiB of the old file, unpacked, and goes on with
the new bytes, packed with these 31 KiB as their dictionary. Only the second half travels: the board has the first. What
`gzip` gives is a tar: the old bytes are a file in it that nobody unpacks, the new ones are. One `gzip` and one `tar` do
for all members, and two `dd` for each. What comes of it is hashed like any other content.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from functools import lru_cache

from recipes.archives.tarfiles import ustar_header

_SEGMENT = 24 << 10
_BLOCK = 1 << 10
_WINDOW = 31
"""KiB of the old file: with them all of a segment's neighbourhood is within the 32 KiB that deflate looks back."""
_BEFORE = 3 << 10
"""How far the window begins before the place where the segment was."""
_PIECE = 512
"""What `dd` counts a difference in; each member's begin is filled up to it, in a field that gzip passes over."""
_SAMPLE = 16
_STEP = 13
"""Between two places of a segment that are looked up; odd, for each fourth place of the old file is known."""
_LEAST, _MOST = 48 << 10, 16 << 20
"""Bytes of a file for which a difference is made: below the whole of it is as good, above it takes too long here."""
_END = "end"

_MEMBER = b"\x1f\x8b\x08\x04" + bytes(5) + b"\xff"
"""Begin of a member that has an extra field (RFC 1952, 2.3.1.1); its length follows."""
_TAR_BLOCK = 512
_OLD, _NEW = "o", "n"
"""Names in the tar: of old bytes, and of new ones."""
PATCH = rf"""
# Each NAME~ in `incoming` becomes NAME: the name of the old content, rows of numbers, and what they count in blocks.
patch() {{
    for delta in *~; do
        [ -f "$delta" ] || continue
        blob=${{delta%'~'}}
        {{
            read -r base
            while read -r skip at count && [ "$skip" != {_END} ]; do
                [ "$skip" = - ] || dd if="../store/$base" bs={_BLOCK} skip="$skip" count={_WINDOW} 2>/dev/null
                dd if="$delta" bs={_PIECE} skip="$at" count="$count" 2>/dev/null
            done
        }} < "$delta" | gzip -dc 2>/dev/null | tar -xOf - {_NEW} > "$blob" || failed
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
    skips, ends = ["-"], [b""]
    for begin in range(0, len(new), _SEGMENT):
        segment = new[begin : begin + _SEGMENT]
        skip = min(max(0, (_nearest(places, segment, begin) - _BEFORE) // _BLOCK), blocks)
        skips.append(str(skip))
        window = old[skip * _BLOCK : (skip + _WINDOW) * _BLOCK]
        ends.append(_packed(segment, window, last=begin + _SEGMENT >= len(new)))
    pieces = [*(_filled(end) for end in ends[:-1]), ends[-1].ljust(-(-len(ends[-1]) // _PIECE) * _PIECE, b"\0")]
    if sum(map(len, pieces)) * 4 > len(zlib.compress(new, 6)) * 3:
        return None
    return _head(base, skips, [len(piece) // _PIECE for piece in pieces]) + b"".join(pieces)


def _nearest(places: Mapping[bytes, int], segment: bytes, begin: int) -> int:
    """Return where most of a segment was in the old file; where it is now, if nothing of it is known there."""
    votes: Counter[int] = Counter()
    for at in range(0, len(segment) - _SAMPLE, _STEP):
        found = places.get(segment[at : at + _SAMPLE])
        if found is not None:
            votes[(found - at) // 256] += 1
    return votes.most_common(1)[0][0] * 256 + 128 if votes else begin


def _packed(segment: bytes, window: bytes, *, last: bool) -> bytes:
    """Return the end of a member of the gzip stream that begins with the window, unpacked."""
    import zlib

    text = ustar_header(_NEW, len(segment), 0o644) + segment + bytes(-len(segment) % _TAR_BLOCK)
    text += bytes(2 * _TAR_BLOCK) if last else b""
    packer = zlib.compressobj(9, zlib.DEFLATED, -15, 9, zlib.Z_DEFAULT_STRATEGY, window)
    packed = packer.compress(text) + packer.flush()
    check = zlib.crc32(text, zlib.crc32(window, zlib.crc32(_old_header())))
    return packed + check.to_bytes(4, "little") + (_TAR_BLOCK + len(window) + len(text)).to_bytes(4, "little")


def _filled(end: bytes) -> bytes:
    """Return the end of one member and the begin of the next, to its window: whole blocks of `dd`."""
    extra = -(len(end) + len(_MEMBER) + 2 + len(_begin())) % _PIECE
    return end + _MEMBER + extra.to_bytes(2, "little") + bytes(extra) + _begin()


def _old_header() -> bytes:
    return ustar_header(_OLD, _WINDOW * _BLOCK, 0o644)


@lru_cache(maxsize=1)
def _begin() -> bytes:
    """Return what a member begins with, packed: the header of old bytes in the tar, and that so many follow stored."""
    import zlib

    size = _WINDOW * _BLOCK
    packer = zlib.compressobj(9, zlib.DEFLATED, -15)
    # Behind a full flush nothing refers to what was before, so a stored block of our own goes in (RFC 1951, 3.2.4).
    packed = packer.compress(_old_header()) + packer.flush(zlib.Z_FULL_FLUSH)
    return packed + b"\0" + size.to_bytes(2, "little") + (size ^ 0xFFFF).to_bytes(2, "little")


def _head(base: str, skips: Sequence[str], counts: Sequence[int]) -> bytes:
    """Return the rows, filled up to whole blocks; their places count from the begin of the file."""
    length = 0
    while True:
        places = [length // _PIECE + sum(counts[:number]) for number in range(len(counts))]
        lines = [f"{skip} {at} {count}" for skip, at, count in zip(skips, places, counts, strict=True)]
        text = "\n".join([base, *lines, _END, ""]).encode()
        filled = -(-len(text) // _PIECE) * _PIECE
        if filled == length:
            return text.ljust(length, b"\n")
        length = filled
