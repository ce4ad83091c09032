"""A bundle's archive: the one form in which the manifest and all that it names are packed.

The tar inside has exactly one form for a given content: every header is compared, byte for byte, with the one that we
would write, and so are order, padding and end. So a link, a time, another order or a byte after the end cannot get in.
It is read in parts: the manifest and its signature first, within small bounds; of the rest no more than they allow.
"""

from __future__ import annotations

import gzip
import hashlib
import io
import os
import struct
import tarfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Literal, get_args

from deploy.bundle.manifest import MANIFEST_NAME, SBOM_NAME, SIGNATURE_NAME
from recipes.archives.packed import PackedError, PackedReader
from recipes.archives.tarfiles import USTAR, TarEntry, read_ustar, tar_bytes
from recipes.config import is_relative_path
from recipes.errors import ConfigError
from recipes.text import one_line

# A board never gets the archive, deploy sends it the contents one by one: what it can unpack does not matter here.
# .tar.gz is for people who unpack a bundle by hand where there is no zstd.
Suffix = Literal[".tar.zst", ".tar.gz"]
SUFFIXES: tuple[Suffix, ...] = get_args(Suffix)
ZSTD_LEVEL = 12
"""Of zstd. The id of a bundle is its content's, so another level or zstd makes another file, never another id."""
UNPACKED_LIMIT = 1 << 30
"""Bytes of an unpacked bundle."""
MANIFEST_LIMIT = 8 << 20
"""Bytes of a manifest: it is read before it is known who wrote it. A board's has some ten thousand."""
SIGNATURE_LIMIT = 1 << 12
"""Bytes of a signature."""
TEXT_LIMIT = 32 << 20
"""Bytes of each text whose size the manifest does not state: the bill of materials, and the licences."""
Members = dict[str, tuple[bytes, int]]
"""Name to content and mode."""
_HEAD = (MANIFEST_NAME, SIGNATURE_NAME, SBOM_NAME)
_TAR_ERRORS = (PackedError, tarfile.TarError, ValueError, OverflowError)


def pack_archive(members: Mapping[str, tuple[bytes, int]], suffix: Suffix) -> bytes:
    """Pack members: neither names nor times of the build machine, one thread, one level, sealed.

    Raises
    ------
    ConfigError
        They are more than what is read back.
    """
    tar = tar_of(members)
    if len(tar) > UNPACKED_LIMIT or len(members.get(MANIFEST_NAME, (b"", 0))[0]) > MANIFEST_LIMIT:
        raise ConfigError("this is more than a bundle may hold", why=f"{len(tar):,} bytes; its manifest among them")
    if suffix == ".tar.gz":
        buffer = io.BytesIO()
        with gzip.GzipFile(fileobj=buffer, mode="wb", compresslevel=9, mtime=0, filename="") as zipped:
            zipped.write(tar)
        body = buffer.getvalue()
    else:
        import zstandard

        body = zstandard.ZstdCompressor(level=ZSTD_LEVEL, write_checksum=True, write_content_size=True).compress(tar)
    return body + _seal(hashlib.sha256(body).digest(), suffix)


def tar_of(members: Mapping[str, tuple[bytes, int]]) -> bytes:
    """Return the one tar of these members; raises ConfigError for a path that its headers have no room for."""
    for name in members:
        try:
            tarfile.TarInfo(name).tobuf(tarfile.USTAR_FORMAT)
        except ValueError as error:
            raise ConfigError(
                "the path of a file is too long for a bundle",
                where=name,
                why="a name has up to 100 bytes, the folders before it up to 155",
                next_step="a shorter name where the file is installed, then invoke build and invoke bundle",
            ) from error
    entries = (TarEntry(name=name, content=members[name][0], mode=members[name][1]) for name in _in_order(members))
    return tar_bytes(entries, form=USTAR)


def _in_order(names: Mapping[str, object]) -> list[str]:
    return sorted(names, key=lambda name: (_HEAD.index(name) if name in _HEAD else len(_HEAD), name))


class ArchiveReader:
    """An archive of which the manifest and its signature were read, and nothing else yet; nothing is believed so far.

    Parameters
    ----------
    where:
        The file's name, for messages.
    """

    def __init__(self, stream: PackedReader, where: str) -> None:
        self._stream, self._where = stream, where
        self._position = 0
        self.manifest = self._first(MANIFEST_NAME, MANIFEST_LIMIT)
        self._next = self._header()
        self.signature = b""
        """Empty where the archive has none."""
        if self._next is not None and self._next[0] == SIGNATURE_NAME:
            self.signature = self._content(self._next[1], SIGNATURE_LIMIT)
            self._next = self._header()

    def members(self, wanted: Mapping[str, tuple[int | None, int]]) -> Members:
        """Return all other members.

        Parameters
        ----------
        wanted:
            What the signed manifest names: to its size in bytes, None where that is not stated, and its mode.

        Raises
        ------
        ConfigError
            The archive holds more, less, something of another size or mode, or is not what `pack_archive` makes.
        """
        sizes = {name: size for name, (size, _) in wanted.items()}
        self._bound([TEXT_LIMIT if size is None else size for size in sizes.values()])
        found: Members = {}
        order = iter(_in_order(wanted))
        while self._next is not None:
            name, size, mode = self._next
            if not is_relative_path(name):
                raise _refused(self._where, f"{name!r} would be outside of the bundle")
            if name not in wanted:
                raise ConfigError(f"{name} is in the bundle, and its manifest does not name it", where=self._where)
            if name in found:
                raise _refused(self._where, f"{name!r} is there twice")
            if (due := next(order)) != name:
                why = f"{due} is missing from the bundle" if due not in found else "its members are in another order"
                raise ConfigError(why, where=self._where)
            if mode != wanted[name][1] or size != (size if sizes[name] is None else sizes[name]):
                raise ConfigError(f"{name} in the bundle is not what its manifest says", where=self._where)
            found[name] = (self._content(size, TEXT_LIMIT if sizes[name] is None else size), mode)
            self._next = self._header()
        if lost := next(order, None):
            raise ConfigError(f"{lost} is missing from the bundle", where=self._where)
        self._end()
        return found

    def _bound(self, sizes: list[int]) -> None:
        """Lower the limit of the stream to what these members can come to, and compare what it states of itself."""
        blocks = sum(_HEADER + size + -size % tarfile.BLOCKSIZE for size in sizes)
        most = min(UNPACKED_LIMIT, self._position + _HEADER + blocks + 2 * tarfile.RECORDSIZE)
        self._stream.limit = most
        if (self._stream.stated or 0) > most:
            why = f"it states that it unpacks to {self._stream.stated:,} bytes, its manifest allows {most:,}"
            raise _refused(self._where, why)

    def _first(self, name: str, most: int) -> bytes:
        header = self._header()
        if header is None or header[0] != name:
            raise _refused(self._where, f"it does not begin with {name}")
        if header[2] != 0o644:
            raise _refused(self._where, f"{name} has the mode {header[2]:04o}")
        return self._content(header[1], most)

    def _header(self) -> tuple[str, int, int] | None:
        """Return name, size and mode of the next member, None at the end; refused unless it is just as we write it."""
        raw = self._read(_HEADER)
        if raw == bytes(_HEADER):
            return None
        if (plain := read_ustar(raw)) is not None and plain[0].isprintable():
            return plain
        info = tarfile.TarInfo.frombuf(raw, "utf-8", "surrogateescape")
        if not info.isreg():
            raise _refused(self._where, f"{info.name!r} is a link or no file at all")
        raise _refused(self._where, f"{info.name!r} is not written in the form that a bundle has")

    def _content(self, size: int, most: int) -> bytes:
        if not 0 <= size <= most:
            raise _refused(self._where, f"a member of {size:,} bytes, more than {most:,}")
        data = self._read(size)
        if self._read(-size % tarfile.BLOCKSIZE).strip(b"\0"):
            raise _refused(self._where, "something is in the padding between its members")
        return data

    def _end(self) -> None:
        """Check what follows the first block of zeros: as many as fill the record, and then nothing."""
        length = self._position + _HEADER
        length += -length % tarfile.RECORDSIZE
        if self._read(length - self._position).strip(b"\0") or self._stream.some(1):
            raise _refused(self._where, "something follows its end")

    def _read(self, size: int) -> bytes:
        data = self._stream.exactly(size)
        self._position += size
        return data


_HEADER = tarfile.BLOCKSIZE


@contextmanager
def open_archive(path: Path, suffix: Suffix) -> Iterator[ArchiveReader]:
    """Open an archive, and read its manifest and signature.

    Raises
    ------
    ConfigError
        It is damaged, or is not what `pack_archive` makes.
    OSError
        It cannot be read.
    """
    where = str(path)
    with path.open("rb") as file:
        length = _sealed(file, suffix)
        if length <= 0:
            raise _refused(where, "the file is damaged, cut or was changed: its hash is not the one at its end")
        file.seek(0)
        packing: Literal["gzip", "zstd"] = "gzip" if suffix == ".tar.gz" else "zstd"
        try:
            stream = PackedReader(file, length, packing, limit=UNPACKED_LIMIT)
            if packing == "zstd" and not stream.stated:
                raise PackedError("it does not say how large it is")
            yield ArchiveReader(stream, where)
        except _TAR_ERRORS as error:
            raise _refused(where, one_line(str(error)) or type(error).__name__) from error


def _refused(where: str, why: str) -> ConfigError:
    return ConfigError("not a bundle", where=where, why=why, next_step="copy it again, or invoke bundle --board BOARD")


def _sealed(file: IO[bytes], suffix: Suffix) -> int:
    """Return how many bytes of a file come before its seal; 0 where that is not the one of these bytes."""
    ending = len(_seal(bytes(32), suffix))
    left = body = file.seek(0, os.SEEK_END) - ending
    digest = hashlib.sha256()
    file.seek(0)
    while left > 0 and (part := file.read(min(left, 1 << 20))):
        digest.update(part)
        left -= len(part)
    return body if left == 0 and body and file.read() == _seal(digest.digest(), suffix) else 0


def _seal(digest: bytes, suffix: Suffix) -> bytes:
    """Return what ends the file: the sha256 of all before it, in a part that every unpacker passes over.

    Both formats have bits that no unpacker looks at (padding, reserved flags). They cannot change the content, which is
    signed, but a file with one of them flipped is not the file that was made; with the seal that is seen, and first.
    """
    if suffix == ".tar.zst":
        return struct.pack("<II", 0x184D2A5B, len(digest)) + digest  # RFC 8878, 3.1.2: a skippable frame
    extra = b"bc" + struct.pack("<H", len(digest)) + digest  # RFC 1952, 2.3.1.1: an empty member with an extra field
    return b"\x1f\x8b\x08\x04\0\0\0\0\0\xff" + struct.pack("<H", len(extra)) + extra + b"\x03\0" + bytes(8)
