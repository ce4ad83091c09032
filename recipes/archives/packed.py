"""Packed streams from elsewhere, unpacked in parts: never more in memory than who reads asked for.

The usual calls unpack in one go, and zstd's believes the size that the file itself states: some hundred kilobytes
become gigabytes before anybody looked at them. Here a limit is checked before each part, the stream must be one and end
exactly where its bytes do, and zstd gets no more memory for looking back than its levels up to 19 use.

`PackedReader` is for what we packed ourselves (gzip, zstd); `unpacked` for files that people bring.
"""

from __future__ import annotations

import io
import zlib
from collections.abc import Callable, Iterator
from typing import IO, Any, Literal

Packing = Literal["gzip", "zstd"]
PART = 1 << 16
"""Bytes that are unpacked in one step."""
_ZSTD = (0xFD2FB528).to_bytes(4, "little")
_LONGEST_HEADER = 18
_RLE = 1
_XZ_MEMORY = 1 << 27  # `xz -9` takes 65 MiB to unpack
_WINDOW = 1 << 23  # RFC 8878, 3.1.1.1.2: what every decoder should at least support; up to level 19 none needs more


class PackedError(ValueError):
    """The stream is damaged, cut, followed by something, or longer than its limit."""


class PackedReader:
    """One packed stream while it is unpacked.

    Parameters
    ----------
    source:
        The packed bytes, from where it stands on.
    length:
        How many of them are the stream.
    limit:
        Bytes that may come out; it may be lowered while reading.

    Raises
    ------
    PackedError
        It is no stream of this packing at all.
    """

    def __init__(self, source: IO[bytes], length: int, packing: Packing, *, limit: int) -> None:
        self.limit = limit
        self.taken = 0
        """Bytes that came out so far."""
        self.stated: int | None = None
        """Bytes that will come out, as a zstd frame says itself; None where it does not."""
        stretch = _Source(source, length)
        self._parts = _gzip(stretch) if packing == "gzip" else self._zstd(stretch)
        self._rest = b""

    def some(self, most: int) -> bytes:
        """Return up to `most` bytes; none at the end of the stream, which is then known to be whole."""
        while not self._rest:
            part = next(self._parts, None)
            if part is None:
                return b""
            self.taken += len(part)
            if self.taken > self.limit:
                raise PackedError(f"it unpacks to more than {self.limit:,} bytes")
            self._rest = part
        part, self._rest = self._rest[:most], self._rest[most:]
        return part

    def exactly(self, size: int) -> bytes:
        """Return `size` bytes; raises PackedError before the first of them where that is over the limit."""
        if size > self.limit:
            raise PackedError(f"a part of {size:,} bytes, more than {self.limit:,}")
        buffer = io.BytesIO()
        while buffer.tell() < size:
            part = self.some(size - buffer.tell())
            if not part:
                raise PackedError("it ends too early")
            buffer.write(part)
        return buffer.getvalue()

    def __iter__(self) -> Iterator[bytes]:
        """Yield what is left, in parts."""
        while part := self.some(PART):
            yield part

    def _zstd(self, source: _Source) -> Iterator[bytes]:
        import zstandard

        head = source.read(min(_LONGEST_HEADER, source.left))
        try:
            facts, length = zstandard.get_frame_parameters(head), zstandard.frame_header_size(head)
        except zstandard.ZstdError as error:
            raise PackedError(str(error)) from error
        if not head.startswith(_ZSTD):
            raise PackedError("it is no frame of zstd")
        self.stated = facts.content_size if facts.content_size != zstandard.CONTENTSIZE_UNKNOWN else None
        if (self.stated or 0) > self.limit:
            raise PackedError(f"it states that it unpacks to {self.stated:,} bytes, more than {self.limit:,}")
        source.back(head[length:])
        return _zstd(source, head[:length], checked=facts.has_checksum)


class _Source:
    """A stretch of a file, read to its end and no further."""

    def __init__(self, file: IO[bytes], length: int) -> None:
        self._file, self.left, self._ahead = file, length, b""

    def back(self, data: bytes) -> None:
        """Give back what was read too much."""
        self._ahead, self.left = data + self._ahead, self.left + len(data)

    def read(self, size: int) -> bytes:
        """Return exactly `size` bytes; raises PackedError where the stretch has less left."""
        if size > self.left:
            raise PackedError("it ends too early")
        data, self._ahead = self._ahead[:size], self._ahead[size:]
        data += self._file.read(size - len(data))
        if len(data) != size:
            raise PackedError("its file is shorter than it was")
        self.left -= size
        return data


def _zstd(source: _Source, header: bytes, *, checked: bool) -> Iterator[bytes]:
    """Unpack one frame block by block: one becomes 128 KiB at most, however small it is (RFC 8878, 3.1.1.2)."""
    import zstandard

    unpacker = zstandard.ZstdDecompressor(max_window_size=_WINDOW).decompressobj()
    try:
        unpacker.decompress(header)
        last = False
        while not last:
            head = source.read(3)
            field = int.from_bytes(head, "little")
            last, one_byte = bool(field & 1), field >> 1 & 3 == _RLE
            yield from _cut(unpacker.decompress(head + source.read(1 if one_byte else field >> 3)))
        if checked:
            yield from _cut(unpacker.decompress(source.read(4)))
    except zstandard.ZstdError as error:
        raise PackedError(str(error)) from error
    if not unpacker.eof or source.left:
        raise PackedError("something follows its end")


def _cut(data: bytes) -> Iterator[bytes]:
    for at in range(0, len(data), PART):
        yield data[at : at + PART]


def _gzip(source: _Source) -> Iterator[bytes]:
    unpacker = zlib.decompressobj(wbits=31)
    data = b""
    try:
        while not unpacker.eof:
            part = unpacker.decompress(data, PART)
            data = unpacker.unconsumed_tail
            if part:
                yield part
            elif not data and not unpacker.eof:
                data = source.read(max(1, min(PART, source.left)))
    except zlib.error as error:
        raise PackedError(str(error)) from error
    if unpacker.unused_data or source.left:
        raise PackedError("something follows its end")


class _Gzip:
    """Zlib with the methods that bz2 and lzma have."""

    def __init__(self) -> None:
        self._inner = zlib.decompressobj(wbits=31)

    @property
    def eof(self) -> bool:
        return self._inner.eof

    @property
    def unused_data(self) -> bytes:
        return self._inner.unused_data

    def decompress(self, data: bytes, most: int) -> bytes:
        return self._inner.decompress(self._inner.unconsumed_tail + data, most)


def _bzip2() -> Any:
    import bz2

    return bz2.BZ2Decompressor()


def _xz() -> Any:
    import lzma

    return lzma.LZMADecompressor(memlimit=_XZ_MEMORY)


_UNPACKERS: tuple[tuple[bytes, Callable[[], Any]], ...] = (
    (b"\x1f\x8b", _Gzip),
    (b"BZh", _bzip2),
    (b"\xfd7zXZ\0", _xz),
    (b"\x5d\0\0", _xz),
)


def is_packed(head: bytes) -> bool:
    """Tell by its first bytes (six suffice) whether a file is packed in a way that `unpacked` knows."""
    return head.startswith((_ZSTD, *(magic for magic, _ in _UNPACKERS)))


def unpacked(file: IO[bytes], length: int, *, limit: int) -> Iterator[bytes]:
    """Yield what is in a file packed by gzip, bzip2, xz, lzma or zstd, in parts.

    Streams that follow one another count as one, as the tools that make them read them; zstd's must be one.

    Parameters
    ----------
    file:
        Stands at its begin.
    length:
        Bytes of the file.
    limit:
        Bytes that may come out.

    Raises
    ------
    PackedError
        It is damaged, cut, longer than the limit, takes more memory than such files do, or is packed in another way.
    """
    head = file.read(6)
    file.seek(0)
    if head.startswith(_ZSTD):
        yield from PackedReader(file, length, "zstd", limit=limit)
        return
    make = next((maker for magic, maker in _UNPACKERS if head.startswith(magic)), None)
    if make is None:
        raise PackedError("it is packed in no known way")
    taken = 0
    for part in _streams(make, file):
        taken += len(part)
        if taken > limit:
            raise PackedError(f"it unpacks to more than {limit:,} bytes")
        yield part


def _streams(make: Callable[[], Any], file: IO[bytes]) -> Iterator[bytes]:
    """Unpack stream after stream; zeros between them are padding."""
    data = file.read(PART)
    while data:
        unpacker = make()
        while not unpacker.eof:
            part = _step(unpacker, data)
            data = b""
            if part:
                yield part
            elif not unpacker.eof and not (data := file.read(PART)):
                raise PackedError("it ends too early")
        data = unpacker.unused_data.lstrip(b"\0")
        while not data and (more := file.read(PART)):
            data = more.lstrip(b"\0")


def _step(unpacker: Any, data: bytes) -> bytes:
    try:
        return bytes(unpacker.decompress(data, PART))
    except Exception as error:
        # zlib.error, lzma.LZMAError, and bz2's OSError, ValueError and EOFError have nothing else in common.
        raise PackedError(str(error)) from error
