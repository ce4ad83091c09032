"""The root of a simulated board, from the container that made it to a tar of ours: read by our rules, written anew.

It is never unpacked on this machine: it is indexed, and goes back to the engine as an image. So it keeps what a root
has and a tree of ours has not: owners, setuid bits, absolute links. Devices, FIFOs and sockets stay behind.
"""

from __future__ import annotations

import posixpath
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import IO

from recipes.archives.intake import Limits, RefusedError
from recipes.archives.tarfiles import Streamed, TarEntry, write_tar
from recipes.archives.tarreader import Kind, Member, Reader, TarError
from recipes.text import shown


def rewrite_tar(chunks: Iterable[bytes], into: IO[bytes], *, limits: Limits) -> tuple[str, ...]:
    """Write what a tar stream holds of files, folders and links as a tar of ours; returns what was left out.

    Raises
    ------
    RefusedError
        A name leads outside or through a link or a file, comes twice or cannot be printed; a hard link leads to no file
        that came before; or a limit is passed. What was written is to be thrown away.
    OSError
        It cannot be written.
    """
    tree = _Tree(limits=limits)
    try:
        write_tar(into, tree.entries(Reader(chunks, limits.bytes)))
    except TarError as error:
        raise RefusedError("what came is refused", why=str(error)) from error
    return tuple(tree.left_out)


@dataclass(slots=True, kw_only=True)
class _Tree:
    limits: Limits
    seen: dict[str, Kind] = field(default_factory=dict)
    left_out: list[str] = field(default_factory=list)

    def entries(self, reader: Reader) -> Iterator[TarEntry]:
        for number, member in enumerate(reader.members()):
            if number >= self.limits.members:
                raise _refused(member.name, f"is one more than {self.limits.members:,} members")
            path = self._path(member.name)
            if member.kind is Kind.OTHER:
                self.left_out.append(path)
                continue
            if path in self.seen:
                raise _refused(path, "comes twice")
            self.seen[path] = member.kind
            yield self._entry(reader, member, path)

    def _entry(self, reader: Reader, member: Member, path: str) -> TarEntry:
        name = path or "."
        if member.kind is Kind.FOLDER:
            return TarEntry(name=name, folder=True, mode=member.mode, owner=member.owner, time=member.time)
        if not path:
            raise _refused(member.name, f"is no folder but a {member.kind.value}")
        if member.kind is Kind.LINK:
            if not member.target or not member.target.isprintable():
                raise _refused(path, f"is a link to {member.target!r}")
            return TarEntry(name=name, link=member.target, mode=0o777, owner=member.owner, time=member.time)
        if member.kind is Kind.HARD_LINK:
            first = self._path(member.target)
            if self.seen.get(first) not in (Kind.FILE, Kind.HARD_LINK) or first == path:
                raise _refused(path, f"is a hard link to {member.target!r}, which is no file that came before it")
            return TarEntry(name=name, same_as=first, mode=member.mode, owner=member.owner, time=member.time)
        content = Streamed(size=member.size, parts=reader.content())
        return TarEntry(name=name, content=content, mode=member.mode, owner=member.owner, time=member.time)

    def _path(self, name: str) -> str:
        """Return a name in its shortest form; the folders above it are folders, as far as they came."""
        parts = [part for part in name.split("/") if part not in ("", ".")]
        if name.startswith("/") or ".." in parts or not name.isprintable():
            raise _refused(name, "is no name below the root")
        if len(parts) > self.limits.depth:
            raise _refused(name, f"has more than {self.limits.depth} folders")
        above = path = "/".join(parts)
        while above := posixpath.dirname(above):
            if self.seen.get(above, Kind.FOLDER) is not Kind.FOLDER:
                raise _refused(path, f"goes through {above}, which is no folder")
        return path


def _refused(path: str, why: str) -> RefusedError:
    return RefusedError("what came is refused", where=shown(path, most=200, lines=False), why=f"it {why}")
