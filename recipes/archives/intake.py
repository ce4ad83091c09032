"""What comes out of a container, a store or a board is taken here, and nowhere else: regular files and links that stay.

Nothing of this machine is opened by a name from elsewhere. A tree is made anew below a folder that nobody else writes
to; each file is created in a folder that this run made, by its descriptor and without following a link; links come
last, and only those that lead, all links of the tree followed, to a place inside. Modes become 0755 or 0644, owners the
caller's. Devices, FIFOs, sockets and setuid bits stay where they came from.
"""

from __future__ import annotations

import os
import posixpath
from collections.abc import Iterable, Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from enum import Enum
from pathlib import Path, PurePosixPath

from recipes.archives.tarreader import Kind, Member, Reader, TarError
from recipes.errors import BuildError
from recipes.files import disk_error

_WHOLE, _TOP = PurePosixPath(), PurePosixPath("/")
_HOPS = 64  # links on one way; Linux stops at 40


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """How much may come, so that nobody fills this machine's disk or memory."""

    members: int = 200_000
    bytes: int = 8 << 30
    """Of the whole stream."""
    depth: int = 64
    """Folders on one path."""


class AbsoluteLinks(Enum):
    """What becomes of a link whose target begins with `/`."""

    REFUSE = "refuse"
    """It leads out of an installed tree."""
    INSIDE = "inside"
    """It is meant from the tree's own root on, as in a sysroot; it is written as a relative one. One that is not below
    the `root` leads out."""


@dataclass(frozen=True, slots=True, kw_only=True)
class _Rules:
    """What is taken; the parameters of `take`."""

    limits: Limits
    strip: int
    below: tuple[str, ...]
    absolute: AbsoluteLinks
    root: str
    skip_odd: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Part:
    """A folder of a stream, and where what it holds is written to; the parameters of `take`."""

    into: Path
    below: PurePosixPath = _WHOLE
    absolute: AbsoluteLinks = AbsoluteLinks.REFUSE
    root: PurePosixPath = _TOP


@dataclass(frozen=True, slots=True, kw_only=True)
class Taken:
    """What was taken: paths below the folder, and what was left out."""

    files: tuple[str, ...]
    links: tuple[str, ...]
    left_out: tuple[str, ...]


class RefusedError(BuildError):
    """What came would have reached outside of its folder, or is of a kind that is not taken."""


@dataclass(slots=True, kw_only=True)
class _Tree:
    """The tree so far: every path that this run made, so that no name can lead through anything else."""

    root: int
    most: int
    """Bytes of all files together: a second name of a large file takes none in the stream, and all of them here."""
    written: int = 0
    folders: set[str] = field(default_factory=lambda: {""})
    files: dict[str, int] = field(default_factory=dict)
    links: dict[str, str] = field(default_factory=dict)
    left_out: list[str] = field(default_factory=list)

    def folder(self, path: str) -> int:
        """Open a folder of the tree, made where it is missing; the caller closes it."""
        here = os.dup(self.root)
        done = ""
        for part in filter(None, path.split("/")):
            done = f"{done}/{part}".lstrip("/")
            if done in self.files or done in self.links:
                os.close(here)
                raise _refused(done, "is a file or a link, and another name goes through it")
            if done not in self.folders:
                os.mkdir(part, 0o755, dir_fd=here)
            there = os.open(part, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC, dir_fd=here)
            os.close(here)
            here = there
            if done not in self.folders:
                os.fchmod(here, 0o755)  # whatever the caller's umask is
                self.folders.add(done)
        return here

    def add(self, path: str, content: Iterable[bytes], mode: int) -> None:
        self._new(path)
        parent, _, name = path.rpartition("/")
        here = self.folder(parent)
        try:
            flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
            with os.fdopen(os.open(name, flags, 0o600, dir_fd=here), "wb") as file:
                for part in content:
                    self.written += len(part)
                    if self.written > self.most:
                        raise _refused(path, f"makes more than {self.most:,} bytes")
                    file.write(part)
                os.fchmod(file.fileno(), 0o755 if mode & 0o100 else 0o644)
        finally:
            os.close(here)
        self.files[path] = mode

    def read(self, path: str) -> Iterator[bytes]:
        """Yield a file of this tree, for a second name of it."""
        parent, _, name = path.rpartition("/")
        here = self.folder(parent)
        try:
            with os.fdopen(os.open(name, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC, dir_fd=here), "rb") as file:
                while part := file.read(1 << 20):
                    yield part
        finally:
            os.close(here)

    def link(self, path: str, target: str) -> None:
        self._new(path)
        self.links[path] = target

    def _new(self, path: str) -> None:
        if path in self.files or path in self.links or path in self.folders:
            raise _refused(path, "comes twice")

    def place_links(self, *, skip_odd: bool) -> None:
        """Create the links, all of them after all files: none was there while a name was followed."""
        out = [path for path in self.links if not self._stays(path)]
        if out and not skip_odd:
            raise _refused(out[0], f"is a link that leads out: {self.links[out[0]]!r}")
        # A link that is gone leads nowhere, so those that led out by it no longer do.
        self.left_out += out
        for path in out:
            del self.links[path]
        for path, target in self.links.items():
            parent, _, name = path.rpartition("/")
            here = self.folder(parent)
            try:
                os.symlink(target, name, dir_fd=here)
            finally:
                os.close(here)

    def _stays(self, path: str) -> bool:
        """Follow a link as the kernel would, in the tree alone; a link to nothing inside is harmless."""
        done: list[str] = [part for part in path.split("/")[:-1] if part]
        todo = self.links[path].split("/")
        hops = 0
        while todo:
            part = todo.pop(0)
            if part in ("", "."):
                continue
            if part == "..":
                if not done:
                    return False
                done.pop()
                continue
            done.append(part)
            if (target := self.links.get("/".join(done))) is not None:
                hops += 1
                if hops > _HOPS:
                    return False
                done.pop()
                todo = target.split("/") + todo
        return True


def take(
    chunks: Iterable[bytes],
    into: Path,
    *,
    limits: Limits | None = None,
    strip: int = 0,
    below: PurePosixPath | None = None,
    absolute: AbsoluteLinks = AbsoluteLinks.REFUSE,
    root: PurePosixPath | None = None,
    skip_odd: bool = False,
) -> Taken:
    """Write what a tar stream holds below a folder that is empty and nobody else's.

    Parameters
    ----------
    strip:
        Leading folders of each name to leave away.
    below:
        The folder of the stream whose content is taken; what is beside it is passed over.
    root:
        Where that folder was, as absolute links have it, with `AbsoluteLinks.INSIDE`; `/` without it.
    skip_odd:
        Leave devices, FIFOs, sockets, links that lead out, and files where a folder should be, where they are: roots of
        packages and archives of sources have them. They are refused otherwise.

    Raises
    ------
    RefusedError
        A name leads outside, a link leads out, a path comes twice, a kind is not taken, what should be a folder is
        none, or a limit is passed. Nothing outside the folder was touched; what is in it is to be thrown away.
    """
    part = Part(into=into, below=below or _WHOLE, absolute=absolute, root=root or _TOP)
    return take_parts(chunks, [part], limits=limits, strip=strip, skip_odd=skip_odd)[0]


def take_parts(
    chunks: Iterable[bytes],
    parts: Sequence[Part],
    *,
    limits: Limits | None = None,
    strip: int = 0,
    skip_odd: bool = False,
) -> list[Taken]:
    """Write folders of one stream, none of them below another, each into a folder of its own; see `take`.

    A link of one part leads nowhere in the others.

    Parameters
    ----------
    limits:
        Of all parts together.
    """
    most = limits or Limits()
    rules = [
        _Rules(
            limits=most,
            strip=strip,
            below=part.below.parts,
            absolute=part.absolute,
            root=str(part.root),
            skip_odd=skip_odd,
        )
        for part in parts
    ]
    where = parts[0].into
    with ExitStack() as opened:
        trees = []
        for part in parts:
            root = os.open(part.into, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC)
            opened.callback(os.close, root)
            trees.append(_Tree(root=root, most=most.bytes))
        try:
            _take_all([*zip(trees, rules, strict=True)], Reader(chunks, most.bytes), most)
        except TarError as error:
            raise RefusedError("what came is refused", where=str(where), why=str(error)) from error
        except OSError as error:
            raise disk_error(error, where) from error
    return [Taken(files=tuple(tree.files), links=tuple(tree.links), left_out=tuple(tree.left_out)) for tree in trees]


def _take_all(parts: Sequence[tuple[_Tree, _Rules]], reader: Reader, most: Limits) -> None:
    for number, member in enumerate(reader.members()):
        if number >= most.members:
            raise _refused(member.name, f"is one more than {most.members:,} members")
        for tree, rules in parts:
            path = _path(member.name, rules)
            if path:
                _take_one(tree, reader, member, path, rules)
            elif path is not None and member.kind is not Kind.FOLDER and rules.skip_odd:
                tree.left_out.append(member.name)
            elif path is not None and member.kind is not Kind.FOLDER:
                raise _refused(member.name, f"is no folder but a {member.kind.value}")
    for tree, rules in parts:
        tree.place_links(skip_odd=rules.skip_odd)


def _take_one(tree: _Tree, reader: Reader, member: Member, path: str, rules: _Rules) -> None:
    if member.kind is Kind.FOLDER:
        os.close(tree.folder(path))
    elif member.kind is Kind.FILE:
        try:
            tree.add(path, reader.content(), member.mode)
        except FileExistsError:
            # None of this run's: a disk to which two names are one, such as those of kernel headers on macOS.
            if not rules.skip_odd:
                raise
            tree.left_out.append(path)
    elif member.kind is Kind.LINK:
        tree.link(path, _target(path, member.target, rules))
    elif member.kind is Kind.HARD_LINK:
        first = _path(member.target, rules) or ""
        if first in tree.links:
            tree.link(path, tree.links[first])
        elif first in tree.files:
            tree.add(path, tree.read(first), tree.files[first])
        else:
            raise _refused(path, f"is a hard link to {member.target!r}, which did not come before it")
    elif rules.skip_odd:
        tree.left_out.append(path)
    else:
        raise _refused(path, f"is a {member.kind.value}")


def _path(name: str, rules: _Rules) -> str | None:
    """Return a member's path below the folder: empty for the folder itself and those above, None for what is beside."""
    if name.startswith("/") or not name.isprintable():
        raise _refused(name, "is no name below the folder")
    parts = tuple(part for part in name.split("/") if part not in ("", "."))
    if ".." in parts:
        raise _refused(name, "leads outside of the folder")
    if len(parts) > rules.limits.depth:
        raise _refused(name, f"has more than {rules.limits.depth} folders")
    parts = parts[rules.strip :]
    depth = len(rules.below)
    if parts[:depth] != rules.below[: len(parts)]:
        return None
    return "/".join(parts[depth:])


def _target(path: str, target: str, rules: _Rules) -> str:
    if not target or not target.isprintable():
        raise _refused(path, f"is a link to {target!r}")
    if not target.startswith("/"):
        return target
    inside = posixpath.relpath(posixpath.normpath(target).replace("//", "/", 1), rules.root)
    if rules.absolute is AbsoluteLinks.REFUSE or inside == ".." or inside.startswith("../"):
        raise _refused(path, f"is a link that leads out: {target!r}")
    return posixpath.relpath(inside, posixpath.dirname(path) or ".")


def _refused(path: str, why: str) -> RefusedError:
    shown = path if path.isprintable() and len(path) < 200 else repr(path[:200])
    return RefusedError("what came is refused", where=shown, why=f"it {why}")
