"""How a stream to a board is packed: by what the board can unpack, and by how far away it is."""

from __future__ import annotations

import queue
import threading
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
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


class Packs:
    """Streams that were packed, by what is in them: many boards get the same one."""

    def __init__(self, most: int) -> None:
        self._most = most
        self._held: dict[str, tuple[bytes, ...]] = {}
        self._lock = threading.Lock()

    def get(self, key: str, make: Callable[[], Iterable[bytes]]) -> tuple[bytes, ...]:
        """Return the pieces of a stream, made once; who asks meanwhile waits for that."""
        with self._lock:
            found = self._held.get(key)
            if found is None:
                found = tuple(make())
                size = sum(map(len, found))
                while self._held and size + self._size() > self._most:
                    del self._held[next(iter(self._held))]
                self._held[key] = found
            return found

    def _size(self) -> int:
        return sum(len(piece) for pieces in self._held.values() for piece in pieces)


_PACKS: list[Packs] = []
_MOST_HELD = 32 << 20


@contextmanager
def packed_once(most: int = _MOST_HELD) -> Iterator[None]:
    """Pack streams of the same content once within the block, and hold so many bytes of them."""
    _PACKS.append(Packs(most))
    try:
        yield
    finally:
        _PACKS.pop()


def shared_packs() -> Packs | None:
    """Return what is held in the block that we are in; None where there is none."""
    return _PACKS[-1] if _PACKS else None


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
            yield packer.compress(bytes(view[at : at + (1 << 18)]))
    yield packer.flush()


def _packer(packing: Packing, *, slow: bool) -> _Packer:
    if packing is Packing.GZIP:
        return _Gzip(9 if slow else 6)
    if packing is Packing.XZ:
        import lzma

        filters = [{"id": lzma.FILTER_LZMA2, "preset": 6, "dict_size": _XZ_WINDOW}]
        # BusyBox checks CRC32 and CRC64, and passes over the others.
        return lzma.LZMACompressor(lzma.FORMAT_XZ, check=lzma.CHECK_CRC32, filters=filters)
    import zstandard

    made: Any = zstandard.ZstdCompressor(level=19 if slow else 6, write_checksum=True).compressobj()
    return made  # type: ignore[no-any-return]


class _Gzip:
    """gzip (RFC 1952) in which contents that are packed already, pictures above all, are stored as they are.

    zlib takes as long over those as over all else, the board too, and makes nothing smaller.
    """

    def __init__(self, level: int) -> None:
        import zlib

        self._zlib: Any = zlib
        self._packer: Any = zlib.compressobj(level, zlib.DEFLATED, -15)
        self._check, self._size, self._head = 0, 0, _GZIP_HEAD

    def compress(self, data: bytes, /) -> bytes:
        self._check = self._zlib.crc32(data, self._check)
        self._size += len(data)
        head, self._head = self._head, b""
        if not _is_dense(data):
            return head + bytes(self._packer.compress(data))
        # Behind a full flush nothing refers to what was before (RFC 1951, 2.3, and zlib.h), so blocks of our own go in.
        blocks = [head, self._packer.flush(self._zlib.Z_FULL_FLUSH)]
        for at in range(0, len(data), _STORED):
            block = data[at : at + _STORED]
            blocks += [b"\0", len(block).to_bytes(2, "little"), (len(block) ^ 0xFFFF).to_bytes(2, "little"), block]
        return b"".join(blocks)

    def flush(self) -> bytes:
        tail = self._check.to_bytes(4, "little") + (self._size & 0xFFFFFFFF).to_bytes(4, "little")
        return self._head + bytes(self._packer.flush()) + tail


_GZIP_HEAD = b"\x1f\x8b\x08" + bytes(6) + b"\xff"
_STORED = 0xFFFF
_SAMPLE, _DISTINCT = 512, 200
"""Of so many bytes drawn at random 221 are distinct, give or take 5; of a program's or a text's no 170."""
_SMALL = 1 << 15
_WORD = 6


def _is_dense(data: bytes) -> bool:
    """Tell whether a content is packed already, by a look at its middle; at more of it where more is at stake."""
    import zlib

    middle = len(data) // 2
    if len(data) < 2 * _SAMPLE or len(set(data[middle : middle + _SAMPLE])) < _DISTINCT:
        return False
    if len(data) <= _SMALL:
        return data.count(data[middle : middle + _WORD]) == 1  # in a table all bytes may come, and come again
    part = data[len(data) // 3 : len(data) // 3 + _SMALL // 2]
    return len(zlib.compress(part, 1)) > len(part)


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
