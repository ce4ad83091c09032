"""Tar files that somebody brought: plain or packed, opened for the reader, with a limit on what they unpack to."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO

from recipes.archives.packed import PackedError, is_packed, unpacked
from recipes.archives.tarreader import Reader, TarError

_UNPACKED = 32 << 30  # bytes of a packed archive; the largest sysroots of vendors come to a third of it
_AHEAD = 1 << 16
_RATIO, _SMALL = 100, 1 << 30  # how often its own size it may unpack to, and what any may


@contextmanager
def open_tar(path: Path) -> Iterator[Reader]:
    """Yield the reader of a tar file that somebody brought, plain or packed by gzip, bzip2, xz, lzma or zstd.

    What a plain one passes over is not read, and `Member.offset` is a place in it.

    Raises
    ------
    TarError, PackedError
        While it is read: it is no tar, or damaged; or unpacks to more than a tree does.
    """
    with path.open("rb", buffering=_AHEAD) as file:
        if (chunks := _unpacked(file)) is not None:
            yield Reader(*chunks)
        else:
            yield Reader.of_file(file)


def tar_chunks(path: Path) -> Iterator[bytes]:
    """Yield the bytes of such a file, unpacked, for who takes a stream; raises TarError for a damaged packing."""
    with path.open("rb", buffering=_AHEAD) as file:
        chunks = _unpacked(file)
        try:
            yield from chunks[0] if chunks is not None else iter(lambda: file.read(1 << 20), b"")
        except PackedError as error:
            raise TarError(str(error)) from error


def _unpacked(file: IO[bytes]) -> tuple[Iterator[bytes], int] | None:
    """Return what is in a packed file, and how many bytes may be; None for one that is not packed."""
    head = file.read(6)
    file.seek(0)
    if not is_packed(head):
        return None
    length = os.fstat(file.fileno()).st_size
    limit = min(_UNPACKED, max(_SMALL, _RATIO * length))
    return unpacked(file, length, limit=limit), limit
