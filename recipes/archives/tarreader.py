"""Tar streams from elsewhere, read by rules of our own: every header, name and length is bounded before it counts.

Python's tarfile believes what a header says: a long name or an extended header of some gigabytes is read into memory,
a sparse file grows, and what `extractall` does depends on the patch level. This reads what GNU tar, BusyBox, dpkg and
the container engine write, and refuses the rest. Format: POSIX.1-2001 pax, and GNU's long names
(https://www.gnu.org/software/tar/manual/html_node/Standard.html).
"""

from __future__ import annotations

import mmap
import os
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from enum import Enum
from typing import IO

BLOCK = 512
LONGEST_NAME = 4096
"""Bytes; PATH_MAX of Linux."""
_EXTENDED = 1 << 16  # bytes of one extended header or long name: a path, and a few numbers
_EXTENDED_KEYS = {"path", "linkpath", "size", "mtime", "uid", "gid"}
_LONGEST = 1 << 62  # bytes of one member, as a number; what is behind it ends long before
_LONGEST_NUMBER = 18  # digits


class TarError(ValueError):
    """The stream is no tar, is cut, or holds what no honest writer puts there."""


class Kind(Enum):
    """What a member is."""

    FILE = "file"
    FOLDER = "folder"
    LINK = "symbolic link"
    HARD_LINK = "hard link"
    OTHER = "device, FIFO or socket"


_KINDS = {b"0": Kind.FILE, b"\0": Kind.FILE, b"7": Kind.FILE, b"5": Kind.FOLDER, b"2": Kind.LINK, b"1": Kind.HARD_LINK}
_KINDS |= dict.fromkeys((b"3", b"4", b"6"), Kind.OTHER)


@dataclass(frozen=True, slots=True, kw_only=True)
class Member:
    """One member; its content follows through `Reader.content` and has to be taken before the next one."""

    name: str
    kind: Kind
    size: int
    mode: int
    target: str = ""
    time: int = 0
    """When it was changed; seconds since 1970."""
    owner: tuple[int, int] = (0, 0)
    """Numbers of user and group."""
    offset: int = 0
    """Where its content begins in the stream."""


@dataclass(slots=True)
class _Buffer:
    """The chunks of a stream as a file: exact reads, and a limit on all of them together."""

    chunks: Iterator[bytes]
    limit: int
    rest: bytes = b""
    taken: int = 0

    def read(self, size: int) -> bytes:
        """Return exactly `size` bytes; raises TarError where the stream ends before, or its limit is passed."""
        parts, missing = [], size
        while missing:
            part = self.some(missing)
            if not part:
                raise TarError("the stream ends within a member")
            parts.append(part)
            missing -= len(part)
        return b"".join(parts)

    def some(self, most: int) -> bytes:
        """Return up to `most` bytes, none at the end."""
        while not self.rest:
            chunk = next(self.chunks, None)
            if chunk is None:
                return b""
            self.taken += len(chunk)
            if self.taken > self.limit:
                raise TarError(f"the stream is longer than {self.limit:,} bytes")
            self.rest = chunk
        part, self.rest = self.rest[:most], self.rest[most:]
        return part

    @property
    def at(self) -> int:
        """How many bytes were returned."""
        return self.taken - len(self.rest)

    def skip(self, size: int) -> None:
        """Pass over `size` bytes; raises TarError where the stream ends before."""
        while size:
            part = self.some(min(size, 1 << 20))
            if not part:
                raise TarError("the stream ends within a member")
            size -= len(part)


@dataclass(slots=True)
class _File:
    """A file on this machine, with the same words: what is passed over is not read."""

    file: IO[bytes]
    size: int
    at: int = 0

    def read(self, size: int) -> bytes:
        data = self.some(size)
        if len(data) != size:
            raise TarError("the stream ends within a member")
        return data

    def some(self, most: int) -> bytes:
        data = self.file.read(most)
        self.at += len(data)
        return data

    def skip(self, size: int) -> None:
        self.at += size
        if self.at > self.size:
            raise TarError("the stream ends within a member")
        self.file.seek(self.at)


@dataclass(slots=True)
class Reader:
    """A stream while it is read.

    Parameters
    ----------
    chunks:
        The bytes as they come.
    limit:
        Bytes of the stream, headers and padding included.
    """

    chunks: Iterable[bytes]
    limit: int
    _buffer: _Buffer | _File = field(init=False)
    _left: int = 0
    _padding: int = 0

    def __post_init__(self) -> None:
        self._buffer = _Buffer(iter(self.chunks), self.limit)

    @staticmethod
    def of_file(file: IO[bytes]) -> Reader:
        """Return the reader of a plain archive, from its begin on; `Member.offset` is then a place in the file."""
        size = os.fstat(file.fileno()).st_size
        made = Reader((), size)
        made._buffer = _File(file, size)
        return made

    @property
    def is_file(self) -> bool:
        """Whether it reads a plain archive, in which a place of the stream is one of the file."""
        return isinstance(self._buffer, _File)

    def members(self) -> Iterator[Member]:
        """Yield each member in its order.

        Raises
        ------
        TarError
            The stream is damaged, cut or longer than its limit, or a member is of a kind that is not known.
        """
        extended: dict[str, bytes] = {}
        while (header := self._header()) is not None:
            kind, size = header[156:157], _number(header[124:136])
            if kind in (b"x", b"L", b"K"):
                extended |= self._extension(kind, size)
                continue
            if kind == b"g":  # facts about the whole archive: none that matters here
                self._extension(kind, size)
                continue
            yield self._member(header, kind, size, extended)
            self._buffer.skip(self._left + self._padding)
            self._left, self._padding, extended = 0, 0, {}

    def begin(self, most: int) -> bytes:
        """Return the first bytes of the member that was yielded last, all where it has no more; the rest follows."""
        data = self._buffer.read(min(most, self._left))
        self._left -= len(data)
        return data

    def content(self) -> Iterator[bytes]:
        """Yield the content of the member that was yielded last, in parts; nothing of it is read twice."""
        while self._left:
            part = self._buffer.some(min(self._left, 1 << 20))
            if not part:
                raise TarError("the stream ends within a file")
            self._left -= len(part)
            yield part

    def mapped(self, member: Member) -> memoryview:
        """Return the content of a member of a plain archive as the kernel maps it: what is not looked at is not read.

        Raises
        ------
        TarError
            The archive ends within it, or is none of a file (`is_file`).
        """
        if not isinstance(self._buffer, _File):
            raise TarError("a stream cannot be mapped")
        if member.offset + member.size > self._buffer.size:
            raise TarError("the stream ends within a file")
        before = member.offset % mmap.ALLOCATIONGRANULARITY
        length, start = member.size + before, member.offset - before
        return memoryview(mmap.mmap(self._buffer.file.fileno(), length, access=mmap.ACCESS_READ, offset=start))[before:]

    def _header(self) -> bytes | None:
        first = self._buffer.some(BLOCK)
        if not first:
            return None
        header = first + (self._buffer.read(BLOCK - len(first)) if len(first) < BLOCK else b"")
        if not header.strip(b"\0"):
            return None  # the mark of the end; what follows is padding
        check = sum(header[:148]) + 8 * 32 + sum(header[156:])
        if _number(header[148:156]) != check:
            raise TarError("a header's checksum is wrong: this is no tar, or it is damaged")
        return header

    def _extension(self, kind: bytes, size: int) -> dict[str, bytes]:
        if not 0 <= size <= _EXTENDED:
            raise TarError(f"an extended header of {size:,} bytes")
        data = self._buffer.read(size)
        self._buffer.read(-size % BLOCK)
        if kind in (b"L", b"K"):
            return {"path" if kind == b"L" else "linkpath": data.partition(b"\0")[0]}
        records = dict(_records(data))
        if any(key.startswith("GNU.sparse") for key in records):
            raise TarError("a sparse file")
        return {key: value for key, value in records.items() if key in _EXTENDED_KEYS}

    def _member(self, header: bytes, kind: bytes, size: int, extended: dict[str, bytes]) -> Member:
        if kind not in _KINDS:
            raise TarError(f"a member of the unknown kind {kind!r}")
        name = header[:100].partition(b"\0")[0]
        what = _KINDS[kind]
        if kind == b"\0" and name.endswith(b"/"):
            what = Kind.FOLDER  # before POSIX's form there was no other sign
        if header[257:262] == b"ustar" and header[262:263] == b"\0" and (prefix := header[345:500].partition(b"\0")[0]):
            name = prefix + b"/" + name
        if "size" in extended:
            size = _digits(extended["size"])
        if size < 0 or size > _LONGEST:
            raise TarError("a member of a length that cannot be")
        if what is not Kind.FILE:
            size = 0  # GNU tar writes the size of a hard link's target, with no content behind it
        self._left, self._padding = size, -size % BLOCK
        return Member(
            name=_text(extended.get("path", name)),
            kind=what,
            size=size,
            mode=_number(header[100:108]) & 0o7777,
            target=_text(extended.get("linkpath", header[157:257].partition(b"\0")[0])),
            time=_whole(extended.get("mtime"), header[136:148]),
            owner=(_whole(extended.get("uid"), header[108:116]), _whole(extended.get("gid"), header[116:124])),
            offset=self._buffer.at,
        )


def _number(data: bytes) -> int:
    """Read a number field: octal digits, or GNU's base 256."""
    if data[0] & 0x80:
        return int.from_bytes(bytes([data[0] & 0x7F]) + data[1:], "big")
    text = data.strip(b" \0")
    try:
        return int(text, 8) if text else 0
    except ValueError as error:
        raise TarError(f"{text!r} is no number of a header") from error


def _whole(told: bytes | None, header: bytes) -> int:
    """Return a number of an extended header, without what is behind its point, or else that of the header."""
    if told is None:
        return _number(header)
    return max(0, _digits(told.partition(b".")[0]))


def _digits(text: bytes) -> int:
    """Read a number in decimal digits; -1 where it is none, or longer than one can be."""
    return int(text) if text.isdigit() and len(text) <= _LONGEST_NUMBER else -1


def _records(data: bytes) -> Iterator[tuple[str, bytes]]:
    """Yield the records of a pax header: `LENGTH KEY=VALUE` and a line break."""
    while data:
        length, _, _ = data.partition(b" ")
        if not len(length) < _digits(length) <= len(data):
            raise TarError("a damaged extended header")
        record, data = data[len(length) + 1 : int(length) - 1], data[int(length) :]
        key, _, value = record.partition(b"=")
        yield key.decode("utf-8", "replace"), value


def _text(name: bytes) -> str:
    if len(name) > LONGEST_NAME:
        raise TarError(f"a name of {len(name):,} bytes")
    return name.decode("utf-8", "surrogateescape")
