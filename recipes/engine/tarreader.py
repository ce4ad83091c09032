"""Tar streams from elsewhere, read by rules of our own: every header, name and length is bounded before it counts.

Python's tarfile believes what a header says: a long name or an extended header of some gigabytes is read into memory,
a sparse file grows, and what `extractall` does depends on the patch level. This reads what GNU tar, BusyBox, dpkg and
the container engine write, and refuses the rest. Format: POSIX.1-2001 pax, and GNU's long names
(https://www.gnu.org/software/tar/manual/html_node/Standard.html).
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from enum import Enum

BLOCK = 512
LONGEST_NAME = 4096
"""Bytes; PATH_MAX of Linux."""
_EXTENDED = 1 << 16  # bytes of one extended header or long name: a path, and a few numbers
_EXTENDED_KEYS = {"path", "linkpath", "size"}


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
    _buffer: _Buffer = field(init=False)
    _left: int = 0
    _padding: int = 0

    def __post_init__(self) -> None:
        self._buffer = _Buffer(iter(self.chunks), self.limit)

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
            for _ in self.content():
                pass
            self._buffer.read(self._padding)
            self._padding, extended = 0, {}

    def content(self) -> Iterator[bytes]:
        """Yield the content of the member that was yielded last, in parts; nothing of it is read twice."""
        while self._left:
            part = self._buffer.some(min(self._left, 1 << 20))
            if not part:
                raise TarError("the stream ends within a file")
            self._left -= len(part)
            yield part

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
        if header[257:262] == b"ustar" and header[262:263] == b"\0" and (prefix := header[345:500].partition(b"\0")[0]):
            name = prefix + b"/" + name
        if "size" in extended:
            size = int(extended["size"]) if extended["size"].isdigit() else -1
        if size < 0 or (size and _KINDS[kind] is not Kind.FILE):
            # GNU tar writes the size of a hard link's target, with no content behind it.
            size = 0 if _KINDS[kind] is not Kind.FILE and size > 0 else -1
            if size < 0:
                raise TarError("a member of a length that cannot be")
        self._left, self._padding = size, -size % BLOCK
        return Member(
            name=_text(extended.get("path", name)),
            kind=_KINDS[kind],
            size=size,
            mode=_number(header[100:108]) & 0o7777,
            target=_text(extended.get("linkpath", header[157:257].partition(b"\0")[0])),
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


def _records(data: bytes) -> Iterator[tuple[str, bytes]]:
    """Yield the records of a pax header: `LENGTH KEY=VALUE` and a line break."""
    while data:
        length, _, _ = data.partition(b" ")
        if not length.isdigit() or not len(length) < int(length) <= len(data):
            raise TarError("a damaged extended header")
        record, data = data[len(length) + 1 : int(length) - 1], data[int(length) :]
        key, _, value = record.partition(b"=")
        yield key.decode("utf-8", "replace"), value


def _text(name: bytes) -> str:
    if len(name) > LONGEST_NAME:
        raise TarError(f"a name of {len(name):,} bytes")
    return name.decode("utf-8", "surrogateescape")
