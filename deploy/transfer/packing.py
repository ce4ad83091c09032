"""How a stream to a board is packed: by what the board can unpack, and by how far away it is."""

from __future__ import annotations

import queue
import threading
from collections.abc import Iterable, Iterator
from enum import Enum
from typing import Any, Protocol

FAR = 0.025
"""Seconds of a round trip from which on a link counts as slow: a network at home takes 1 to 10 ms, LTE 30 and more."""
PIECE = 1 << 16
"""Bytes that are handed on at once; SSH sends them in packets of 32 KiB."""
_XZ_WINDOW = 1 << 21  # what unpacking takes of the board's memory, and a little more
_AHEAD = 16


class Packing(Enum):
    """A packing; the value is the name of the program that unpacks it there with `-dc`."""

    ZSTD = "zstd"
    XZ = "xz"
    GZIP = "gzip"
    NONE = "none"


def choose_packing(tools: Iterable[str], *, slow: bool) -> Packing:
    """Choose for a board with these programs. Pure.

    xz makes a tenth less than gzip of libraries, and takes three times as long to unpack: that pays on a slow link.
    """
    order = (Packing.ZSTD, Packing.XZ, Packing.GZIP) if slow else (Packing.ZSTD, Packing.GZIP, Packing.XZ)
    return next((packing for packing in order if packing.value in set(tools)), Packing.NONE)


def pack(parts: Iterable[bytes], packing: Packing, *, slow: bool) -> Iterator[bytes]:
    """Pack a stream as it is produced; the same content makes the same bytes."""
    return _pieces(_packed(parts, packing, slow=slow))


class _Packer(Protocol):
    def compress(self, data: bytes, /) -> bytes: ...
    def flush(self) -> bytes: ...


def _packed(parts: Iterable[bytes], packing: Packing, *, slow: bool) -> Iterator[bytes]:
    if packing is Packing.NONE:
        yield from parts
        return
    packer = _packer(packing, slow=slow)
    for part in parts:
        view = memoryview(part)
        # A file of megabytes is sent while its end is being packed.
        for at in range(0, len(view), 1 << 18):
            yield packer.compress(view[at : at + (1 << 18)])  # type: ignore[arg-type]
    yield packer.flush()


def _packer(packing: Packing, *, slow: bool) -> _Packer:
    if packing is Packing.GZIP:
        import zlib

        return zlib.compressobj(9 if slow else 6, wbits=31)
    if packing is Packing.XZ:
        import lzma

        filters = [{"id": lzma.FILTER_LZMA2, "preset": 6, "dict_size": _XZ_WINDOW}]
        # BusyBox checks CRC32 and CRC64, and passes over the others.
        return lzma.LZMACompressor(lzma.FORMAT_XZ, check=lzma.CHECK_CRC32, filters=filters)
    import zstandard

    made: Any = zstandard.ZstdCompressor(level=19 if slow else 6, write_checksum=True).compressobj()
    return made  # type: ignore[no-any-return]


def _pieces(parts: Iterable[bytes]) -> Iterator[bytes]:
    """Hand on pieces of about PIECE bytes, whatever the packer gives."""
    waiting = bytearray()
    for part in parts:
        waiting += part
        while len(waiting) >= PIECE:
            yield bytes(waiting[:PIECE])
            del waiting[:PIECE]
    if waiting:
        yield bytes(waiting)


def ahead(parts: Iterable[bytes]) -> Iterator[bytes]:
    """Produce a stream in a thread of its own, a little ahead of who takes it: packing and sending overlap."""
    ready: queue.Queue[bytes | Exception | None] = queue.Queue(maxsize=_AHEAD)
    over = threading.Event()

    def hand_on(part: bytes | Exception | None) -> None:
        while not over.is_set():
            try:
                ready.put(part, timeout=0.2)
            except queue.Full:
                continue
            return

    def produce() -> None:
        last: Exception | None = None
        try:
            for part in parts:
                hand_on(part)
                if over.is_set():
                    return
        except Exception as error:  # noqa: BLE001 - whatever it is, it is raised where the stream is taken
            last = error
        hand_on(last)

    worker = threading.Thread(target=produce, name="packing", daemon=True)
    worker.start()
    try:
        while (part := ready.get()) is not None:
            if isinstance(part, Exception):
                raise part
            yield part
    finally:
        over.set()
        worker.join()
