"""The index of a root: every ELF file's facts, every link, and where its loader looks. A value, with a fingerprint.

A root is a directory or a tar file (an image's layer, a board's backup).
"""

from __future__ import annotations

import hashlib
import mmap
import os
import posixpath
import tarfile
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from recipes import elf, loaderconf
from recipes.arch import Identity, compatible
from recipes.elf import ElfFile
from recipes.errors import ConfigError

_LARGE = 4 << 20
"""Bytes; below that a copy is faster than a mapping."""
SKIPPED = ("proc", "sys", "dev", "run", "tmp")


@dataclass(frozen=True, slots=True, kw_only=True)
class Index:
    """What a root has, by its own absolute paths.

    Parameters
    ----------
    files:
        Regular ELF files.
    links:
        Symbolic links, targets as they are written.
    directories:
        The folders that the loader searches by itself, in order.
    damaged:
        Files that begin like ELF and cannot be used, with the reason; nothing is concluded from them.
    loader:
        The root's loader; empty where it has none, and the rules are then glibc's.
    listed:
        The folders that ld.so.conf names; they count through the cache only.
    cache:
        /etc/ld.so.cache: name to entries; None where there is none.
    """

    source: str
    files: dict[str, ElfFile]
    links: dict[str, str]
    directories: tuple[str, ...]
    damaged: dict[str, str] = field(default_factory=dict)
    fingerprint: str = ""
    loader: str = ""
    listed: tuple[str, ...] = ()
    cache: dict[str, tuple[loaderconf.Cached, ...]] | None = None
    places: dict[str, tuple[int, int]] = field(default_factory=dict)
    """Offset and bytes of each ELF file in a tar that is not compressed."""
    some: dict[str, list[str]] = field(default_factory=dict)
    """Folder to those below it that only some processors look into (`loaderconf.for_some`)."""

    @property
    def libc(self) -> str:
        return loaderconf.libc(self.loader)

    def resolve(self, path: str) -> str:
        """Follow every link of a path inside the root, as the kernel would; returns "" for a cycle."""
        done, todo = "/", [part for part in path.split("/") if part]
        for _ in range(512):
            if not todo:
                return done
            part = todo.pop(0)
            if part in ("", "."):
                continue
            step = posixpath.dirname(done) if part == ".." else posixpath.join(done, part)
            target = self.links.get(step)
            if target is None:
                done = step
                continue
            todo = [piece for piece in target.split("/") if piece] + todo
            if target.startswith("/"):
                done = "/"
        return ""

    def is_loader(self, name: str) -> bool:
        """Tell whether a name is the loader's own: it is in every process, wherever it lies."""
        musl = self.libc == loaderconf.MUSL and name.startswith(loaderconf.OF_MUSL)
        return (musl or name == posixpath.basename(self.loader)) and self.resolve(self.loader) in self.files

    def candidates(self, name: str, identity: Identity) -> list[str]:
        """Return the paths that the root's loader tries for a name, when no file and no variable says where to look."""
        if self.is_loader(name):
            return [self.loader]
        paths = [posixpath.join(folder, name) for folder in self.directories]
        if self.cache is None or self.libc == loaderconf.MUSL:
            return paths
        entries = self.cache.get(name, ())
        if self.libc == loaderconf.UCLIBC:
            return [*(one.path for one in entries), *paths]
        one = loaderconf.chosen(entries, identity)
        return [one.path, *paths] if one else paths

    def take(self, path: str, identity: Identity) -> tuple[str, ElfFile | None] | None:
        """Return the file at a path as a loader takes it.

        None is passed over: nothing is there, or a file of another machine. A path without a file is where the loader
        stops: one that it cannot read, and for musl one of another machine.
        """
        place = self.resolve(path)
        found = self.files.get(place)
        if found is None:
            return (place, None) if place in self.damaged else None
        if compatible(found.identity, identity):
            return place, found
        return (place, None) if self.libc == loaderconf.MUSL else None

    def find(self, name: str, identity: Identity) -> tuple[str, ElfFile] | None:
        """Find a library as the root's loader does for a file that says nothing itself: cache, then the folders."""
        for path in self.candidates(name, identity):
            taken = self.take(path, identity)
            if taken is not None:
                return (taken[0], taken[1]) if taken[1] is not None else None
        return None

    def family(self, soname: str, identity: Identity) -> list[tuple[str, str]]:
        """Return (SONAME, path) of other versions of the same library: `libwebsockets.so.17` for `….so.19`."""
        stem = soname.partition(".so")[0]
        cached = (posixpath.dirname(one.path) for entries in (self.cache or {}).values() for one in entries)
        folders = {*self.directories, *cached}
        searched = folders | {self.resolve(folder) for folder in folders}
        return sorted(
            (found.soname, path)
            for path, found in self.files.items()
            if found.soname.partition(".so")[0] == stem
            and found.soname != soname
            and posixpath.dirname(path) in searched
            and compatible(found.identity, identity)
        )

    def digests(self, wanted: Iterable[str]) -> dict[str, str]:
        """Return the sha256 of some of the files, read from the root that was indexed in one pass.

        Raises
        ------
        ConfigError
            A file is not there any more, or another one took its place.
        """
        names, root = set(wanted), Path(self.source)
        found: dict[str, str] = {}
        if root.is_dir():
            for path in names:
                found[path] = self._digest(path)
        elif self.places.keys() >= names:
            with root.open("rb") as file:
                for path in names:
                    offset, size = self.places[path]
                    found[path] = hashlib.sha256(os.pread(file.fileno(), size, offset)).hexdigest()
        elif names:
            with tarfile.open(root) as archive:
                for member in archive:
                    path = _absolute(member.name)
                    if path in names and (reader := archive.extractfile(member)) is not None:
                        found[path] = hashlib.sha256(reader.read()).hexdigest()
        if lost := names - found.keys():
            raise _moved(min(lost), "is not in the root any more", self.source)
        return found

    def content(self, path: str) -> bytes:
        """Return a file of the root that was indexed; raises ConfigError where it cannot be had any more."""
        root = Path(self.source)
        try:
            if root.is_dir():
                return (root / path.lstrip("/")).read_bytes()
            if path in self.places:
                offset, size = self.places[path]
                with root.open("rb") as file:
                    return os.pread(file.fileno(), size, offset)
            with tarfile.open(root) as archive:
                for member in archive:
                    if _absolute(member.name) == path and (reader := archive.extractfile(member)) is not None:
                        return reader.read()
        except (OSError, tarfile.TarError) as error:
            raise _moved(path, "is not in the root any more", self.source) from error
        raise _moved(path, "is not in the root any more", self.source)

    def _digest(self, path: str) -> str:
        """Return the sha256 of a file of a directory, which somebody may be updating right now."""
        try:
            data = (Path(self.source) / path.lstrip("/")).read_bytes()
            same = path not in self.files or elf.parse(data) == self.files[path]
        except (OSError, elf.ElfError) as error:
            raise _moved(path, "is not in the root any more", self.source) from error
        if not same:
            raise _moved(path, "was replaced while the root was being read", self.source)
        return hashlib.sha256(data).hexdigest()


def _moved(path: str, what: str, root: str) -> ConfigError:
    return ConfigError(f"{path} {what}", where=root, why="it is being updated", next_step="the same command again")


def _absolute(name: str) -> str:
    return "/" + posixpath.normpath(name).lstrip("./")


def walk(root: str, below: str, unread: dict[str, str] | None = None) -> Iterator[tuple[str, os.DirEntry[str]]]:
    """Yield (path in the root, entry) of all that is no folder; folders that may not be read go to `unread`."""
    try:
        with os.scandir(root + below) as entries:
            listed = sorted(entries, key=lambda item: item.name)
    except PermissionError as error:
        if unread is None or not below:
            raise
        unread[below] = f"cannot be read: {error.strerror}"
        return
    for entry in listed:
        path = f"{below}/{entry.name}"
        if entry.is_dir(follow_symlinks=False):
            if below or entry.name not in SKIPPED:
                yield from walk(root, path, unread)
        else:
            yield path, entry


def scan(root: Path) -> Index:
    """Read every ELF file of a root; unreadable and damaged ones are listed, never guessed about."""
    files: dict[str, ElfFile] = {}
    links: dict[str, str] = {}
    damaged: dict[str, str] = {}
    confs: dict[str, str] = {}
    cached: bytes | None = None
    built: dict[str, tuple[str, ...]] = {}
    places: dict[str, tuple[int, int]] = {}
    for path, target, data in _members(root, damaged, places):
        if target is not None:
            links[path] = target
        elif path == loaderconf.CACHE:
            cached = bytes(data)
        elif loaderconf.is_conf(path):
            confs[path] = bytes(data).decode("utf-8", "replace")
        else:
            try:
                files[path] = elf.parse(data)
            except elf.ElfError as error:
                damaged[path] = str(error)
            if loaderconf.libc(path) == loaderconf.GLIBC:
                built[path] = loaderconf.built_in(data)
    index = Index(
        source=str(root),
        files=files,
        links=links,
        damaged=damaged,
        directories=(),
        fingerprint=_fingerprint(files, links, [*sorted(confs.items()), cached]),
        loader=loaderconf.loader((one.interpreter for one in files.values()), (*files, *links)),
        listed=tuple(loaderconf.conf(confs)),
        cache=loaderconf.cache(cached) if cached is not None else None,
        places=places,
        some=loaderconf.for_some((*files, *links)),
    )
    wide = any(one.identity.bits == 64 for one in files.values())
    own = built.get(index.resolve(index.loader)) or next(iter(built.values()), ())
    return replace(index, directories=loaderconf.folders(index.loader, own, confs, wide=wide))


def _fingerprint(files: dict[str, ElfFile], links: dict[str, str], rest: list[Any]) -> str:
    """Return a hash of all facts; taken file by file, since the symbols of a root fill many megabytes."""
    digest = hashlib.sha256(repr([sorted(links.items()), rest]).encode("utf-8", "replace"))
    for path, found in sorted(files.items()):
        digest.update(repr((path, found)).encode("utf-8", "replace"))
    return digest.hexdigest()


def _members(
    root: Path, unread: dict[str, str], places: dict[str, tuple[int, int]]
) -> Iterator[tuple[str, str | None, Any]]:
    """Yield (path, link target, content) of links, ELF files and the loader's configuration."""
    if not root.is_dir():
        try:
            yield from _tar_members(root, places)
        except tarfile.TarError as error:
            what = "not a root: neither a directory nor a tar file"
            raise ConfigError(what, where=str(root), why=str(error)) from error
        return
    for path, entry in walk(str(root), "", unread):
        if entry.is_symlink():
            yield path, os.readlink(entry.path), None
        elif entry.is_file(follow_symlinks=False):
            try:
                with open(entry.path, "rb") as file:  # noqa: PTH123 - a Path per file of a root costs more than the read
                    if loaderconf.is_conf(path):
                        yield path, None, file.read()
                    elif file.read(4) == elf.MAGIC:
                        with mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as data:
                            yield path, None, data
            except PermissionError as error:
                if ".so" in entry.name or loaderconf.is_conf(path):
                    unread[path] = f"cannot be read: {error.strerror}"


def _tar_members(root: Path, places: dict[str, tuple[int, int]]) -> Iterator[tuple[str, str | None, Any]]:
    with root.open("rb") as file:
        plain = file.read(512)[257:262] == b"ustar"
    with tarfile.open(root, "r:" if plain else "r:*") as archive, root.open("rb") as file:
        spots: dict[str, tuple[int, int]] = {}
        for member in archive:
            path = _absolute(member.name)
            if path.split("/", 2)[1] in SKIPPED:
                continue
            if member.issym():
                yield path, member.linkname, None
            elif plain and not member.sparse and (member.isfile() or _absolute(member.linkname) in spots):
                # Read straight from the file: a tar holds libraries of 100 MB, and every copy of one counts.
                spot = spots.get(_absolute(member.linkname)) if member.islnk() else (member.offset_data, member.size)
                offset, size = spots[path] = spot or (0, 0)
                if loaderconf.is_conf(path) or os.pread(file.fileno(), 4, offset) == elf.MAGIC:
                    places[path] = offset, size
                    yield path, None, os.pread(file.fileno(), size, offset)
            elif member.isfile() or member.islnk():
                reader = archive.extractfile(member)
                head = reader.read(4) if reader else b""
                if reader and (head == elf.MAGIC or loaderconf.is_conf(path)):
                    yield path, None, head + reader.read()


def _part(file: int, offset: int, size: int) -> bytes | memoryview:
    """Return a part of a file; a large one is mapped, so that only what is looked at takes memory."""
    if size < _LARGE:
        return os.pread(file, size, offset)
    aside = offset % mmap.ALLOCATIONGRANULARITY
    return memoryview(mmap.mmap(file, size + aside, access=mmap.ACCESS_READ, offset=offset - aside))[aside:]
