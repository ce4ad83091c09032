"""The one writer of tar archives: entries are values, and nothing of this machine gets in that was not put into one.

What an archive says of names, owners and times is what its entries say: by default root's, and no time.
"""

from __future__ import annotations

import io
import os
import tarfile
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import IO, cast

USTAR = tarfile.USTAR_FORMAT
"""What BusyBox reads, and has one form only; names end at 255 bytes."""
PAX = tarfile.PAX_FORMAT
"""For names of any length and files of any size; the same as USTAR where that suffices."""


@dataclass(slots=True, kw_only=True)
class Streamed:
    """The content of a member that comes in parts, for a file of any length."""

    size: int
    parts: Iterator[bytes]
    _rest: bytes = b""

    def read(self, most: int) -> bytes:
        """Return exactly `most` bytes; fewer at the end."""
        pieces, missing = [], most
        while missing and (part := self._rest or next(self.parts, b"")):
            pieces.append(part[:missing])
            self._rest = part[missing:]
            missing -= len(pieces[-1])
        return b"".join(pieces)


@dataclass(frozen=True, slots=True, kw_only=True)
class TarEntry:
    """One member: a file, unless it is a folder or a link.

    Parameters
    ----------
    content:
        Of a file: its bytes, the file on this machine that holds them, or its parts as they come.
    link:
        The target of a symbolic link.
    same_as:
        Of a hard link: the name of the file, in this archive and before it.
    owner:
        Numbers of user and group.
    time:
        Seconds since 1970, for the few who unpack sources that a `make` compares.
    """

    name: str
    content: bytes | Path | Streamed = b""
    link: str | None = None
    same_as: str | None = None
    folder: bool = False
    mode: int = 0o644
    owner: tuple[int, int] = (0, 0)
    time: float = 0


def disk_entry(path: Path, name: str, *, mode: int, owner: tuple[int, int] = (0, 0), time: float = 0) -> TarEntry:
    """Return the entry of what is at a path of this machine: a file, a folder without what is in it, or a link."""
    if path.is_symlink():
        return TarEntry(name=name, link=os.readlink(path), mode=mode, owner=owner, time=time)
    return TarEntry(name=name, content=path, folder=path.is_dir(), mode=mode, owner=owner, time=time)


def write_tar(into: IO[bytes], entries: Iterable[TarEntry], *, form: int = PAX) -> None:
    """Write an archive of these entries, in their order.

    Raises
    ------
    OSError
        A file cannot be read, or `into` not written.
    ValueError
        A name is too long for the form.
    """
    with tarfile.open(fileobj=into, mode="w", format=form) as archive:
        for entry in entries:
            _add(archive, entry)


def tar_bytes(entries: Iterable[TarEntry], *, form: int = PAX) -> bytes:
    """Return an archive as bytes; see `write_tar`."""
    buffer = io.BytesIO()
    write_tar(buffer, entries, form=form)
    return buffer.getvalue()


def tar_parts(entries: Iterable[TarEntry], *, form: int = PAX) -> Iterator[bytes]:
    """Return an archive in parts, one for each entry, as they are asked for; see `write_tar`."""
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w", format=form) as archive:
        for entry in entries:
            _add(archive, entry)
            yield buffer.getvalue()
            buffer.seek(0)
            buffer.truncate()
    yield buffer.getvalue()


def _add(archive: tarfile.TarFile, entry: TarEntry) -> None:
    member = tarfile.TarInfo(entry.name)
    member.mode, member.mtime = entry.mode, entry.time
    member.uid, member.gid = entry.owner
    if entry.link is not None:
        member.type, member.linkname = tarfile.SYMTYPE, entry.link
        archive.addfile(member)
    elif entry.same_as is not None:
        member.type, member.linkname = tarfile.LNKTYPE, entry.same_as
        archive.addfile(member)
    elif entry.folder:
        member.type = tarfile.DIRTYPE
        archive.addfile(member)
    elif isinstance(entry.content, Path):
        with entry.content.open("rb") as file:
            member.size = os.fstat(file.fileno()).st_size
            archive.addfile(member, file)
    elif isinstance(entry.content, Streamed):
        member.size = entry.content.size
        archive.addfile(member, cast("IO[bytes]", entry.content))
    else:
        member.size = len(entry.content)
        archive.addfile(member, io.BytesIO(entry.content))
