"""The index of a root: every ELF file's facts, every link, and where its loader looks; with a fingerprint.

A root is a directory or a tar file (an image's layer, a board's backup). `scan_root` reads it once; only `digests` and
`content` go back to its files.
"""

from __future__ import annotations

import functools
import hashlib
import os
import posixpath
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from recipes import elf
from recipes.arch import Identity, Libc, compatible
from recipes.archives.packed import PackedError
from recipes.archives.tarreader import TarError
from recipes.elf import ElfFile
from recipes.errors import ConfigError
from recipes.rootfs.files import MARKER, Found, marked_root, root_members, tar_files
from recipes.rootfs.loaderconf import (
    LD_CACHE,
    LIBC_NAMES,
    ORIGIN,
    CacheEntry,
    built_in_folders,
    chosen_entry,
    conf_folders,
    glibc_passes_over,
    is_library_name,
    is_loader_conf,
    is_run_time_text,
    libc_of,
    loader_of_root,
    processor_folders,
    read_cache,
    search_folders,
)

TEXT_BYTES = 1 << 16
"""Bytes of a file of settings that are looked at."""


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
        Files that begin like ELF and cannot be used, with the reason, and what cannot be read; nothing is concluded
        from them.
    others:
        What is no ELF file and has a library's name, or a link of such a name leads there, and what it is: a loader
        opens it, and its search may end there.
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
    others: dict[str, str] = field(default_factory=dict)
    fingerprint: str = ""
    loader: str = ""
    listed: tuple[str, ...] = ()
    cache: dict[str, tuple[CacheEntry, ...]] | None = None
    texts: dict[str, str] | None = None
    """nsswitch.conf and every openssl.cnf, by which files are opened by name; None where that was not looked for."""
    places: dict[str, tuple[int, int]] = field(default_factory=dict)
    """Offset and bytes of each ELF file in a tar that is not compressed."""
    expands: bool = True
    """False where the loader knows no $ORIGIN at all: uClibc's before uClibc-ng."""
    some: dict[str, list[str]] = field(default_factory=dict)
    """Folder to those below it that only some processors look into (`loaderconf.processor_folders`)."""
    # What was asked before: every process of a board asks for the same names. A changed copy of an index starts anew.
    resolved: dict[str, str] = field(default_factory=dict, init=False, compare=False, repr=False)
    tried: dict[tuple[str, Identity], list[str]] = field(default_factory=dict, init=False, compare=False, repr=False)
    stems: dict[str, list[str]] = field(default_factory=dict, init=False, compare=False, repr=False)
    searched: set[str] = field(default_factory=set, init=False, compare=False, repr=False)
    taken: dict[tuple[str, Identity], tuple[str, ElfFile | None] | None] = field(
        default_factory=dict, init=False, compare=False, repr=False
    )

    @property
    def libc(self) -> Libc | None:
        return _libc(self.loader)

    def resolve(self, path: str) -> str:
        """Follow every link of a path inside the root, as the kernel would; returns "" for a cycle."""
        if path not in self.resolved:
            self.resolved[path] = self._resolve(path)
        return self.resolved[path]

    def _resolve(self, path: str) -> str:
        done, todo = "/", [part for part in path.split("/") if part]
        for _ in range(512):
            if not todo:
                return done
            part = todo.pop(0)
            if part in ("", "."):
                continue
            step = posixpath.dirname(done) if part == ".." else f"{done.rstrip('/')}/{part}"
            target = self.links.get(step)
            if target is None:
                done = step
                continue
            todo = [piece for piece in target.split("/") if piece] + todo
            if target.startswith("/"):
                done = "/"
        return ""

    def is_loader(self, name: str) -> bool:
        """Tell whether a name is the loader's own: it is in every process, wherever its file is."""
        itself = self.libc is not None and name.startswith(LIBC_NAMES[self.libc].answers)
        return (itself or name == posixpath.basename(self.loader)) and self.resolve(self.loader) in self.files

    def candidates(self, name: str, identity: Identity, *, own: bool = True) -> list[str]:
        """Return the paths that the root's loader tries for a name, when no file and no variable says where to look.

        Parameters
        ----------
        own:
            False leaves out what is in the built-in folders, the cache's entries of them too.
        """
        if not own:
            built = {folder for folder in self.directories if self.libc is not None}
            return [path for path in self.candidates(name, identity) if posixpath.dirname(path) not in built]
        known = (name, identity)
        if known not in self.tried:
            self.tried[known] = self._candidates(name, identity)
        return self.tried[known]

    def _candidates(self, name: str, identity: Identity) -> list[str]:
        if self.is_loader(name):
            return [self.loader]
        paths = [posixpath.join(folder, name) for folder in self.directories]
        if self.cache is None or self.libc is Libc.MUSL:
            return paths
        entries = self.cache.get(name, ())
        if self.libc is Libc.UCLIBC:
            return [*(entry.path for entry in entries), *paths]
        chosen = chosen_entry(entries, identity)
        return [chosen.path, *paths] if chosen else paths

    def take(self, path: str, identity: Identity) -> tuple[str, ElfFile | None] | None:
        """Return the file at a path as a loader takes it.

        None is passed over: nothing is there, or a file of another machine. A path without a file is where the loader
        stops: one that it cannot read, for musl one of another machine, for uClibc one of another ABI.
        """
        known = (path, identity)
        if known not in self.taken:
            self.taken[known] = self._take(path, identity)
        return self.taken[known]

    def _take(self, path: str, identity: Identity) -> tuple[str, ElfFile | None] | None:
        place = self.resolve(path)
        file = self.files.get(place)
        if file is None:
            return (place, None) if self._ends(place) else None
        itself = self.files.get(self.resolve(self.loader))
        wanted = (identity, itself.identity) if itself is not None else (identity,)
        if all(compatible(file.identity, one) for one in wanted):
            return place, file
        if self.libc is Libc.MUSL:
            return place, None  # it ends at any other file
        if self.libc is Libc.UCLIBC:  # asks for the machine only, and takes one of another float ABI
            return (place, None) if file.identity.machine == identity.machine else None
        return None if glibc_passes_over(file.identity, wanted[-1]) else (place, None)

    def _ends(self, place: str) -> bool:
        """Tell whether a search ends where there is no ELF file: something else is there, or may be."""
        if not place:  # links in a circle: glibc's and musl's loaders say so and end
            return self.libc is not Libc.UCLIBC
        if place in self.others:
            return True
        while place and self.damaged:  # a folder that could not be read may have anything
            if place in self.damaged:
                return True
            place = posixpath.dirname(place.rstrip("/")).rstrip("/")
        return False

    def find(self, name: str, identity: Identity) -> tuple[str, ElfFile] | None:
        """Find a library as the root's loader does for a file that says nothing itself: cache, then the folders."""
        for path in self.candidates(name, identity):
            taken = self.take(path, identity)
            if taken is not None:
                return (taken[0], taken[1]) if taken[1] is not None else None
        return None

    def family(self, soname: str, identity: Identity) -> list[tuple[str, str]]:
        """Return (SONAME, path) of other versions of the same library: `libwebsockets.so.17` for `….so.19`."""
        if not self.stems:
            for path, file in self.files.items():
                self.stems.setdefault(file.soname.partition(".so")[0], []).append(path)
            cached = (posixpath.dirname(entry.path) for entries in (self.cache or {}).values() for entry in entries)
            folders = {*self.directories, *cached}
            self.searched.update(folders, map(self.resolve, folders))
        return sorted(
            (file.soname, path)
            for path in self.stems.get(soname.partition(".so")[0], ())
            if (file := self.files[path]).soname != soname
            and posixpath.dirname(path) in self.searched
            and compatible(file.identity, identity)
        )

    def digests(self, wanted: Iterable[str]) -> dict[str, str]:
        """Return the sha256 of some of the files, read from the root that was indexed in one pass.

        Raises
        ------
        ConfigError
            A file is not there any more, or another one took its place.
        """
        names, root = set(wanted), Path(self.source)
        hashes: dict[str, str] = {}
        if root.is_dir():
            for path in names:
                hashes[path] = self._digest(path)
        elif self.places.keys() >= names:
            with root.open("rb") as file:
                for path in names:
                    offset, size = self.places[path]
                    hashes[path] = hashlib.sha256(os.pread(file.fileno(), size, offset)).hexdigest()
        elif names:
            hashes = {path: hashlib.sha256(data).hexdigest() for path, data in self._packed(names)}
        if lost := names - hashes.keys():
            raise _moved(min(lost), "is not in the root any more", self.source)
        return hashes

    def content(self, path: str) -> bytes:
        """Return a file of the root that was indexed; raises ConfigError where it is not there any more."""
        root = Path(self.source)
        try:
            if root.is_dir():
                return (root / path.lstrip("/")).read_bytes()
            if path in self.places:
                offset, size = self.places[path]
                with root.open("rb") as file:
                    return os.pread(file.fileno(), size, offset)
        except OSError as error:
            raise _moved(path, "is not in the root any more", self.source) from error
        for _, data in self._packed({path}):
            return data
        raise _moved(path, "is not in the root any more", self.source)

    def _packed(self, names: set[str]) -> Iterator[tuple[str, bytes]]:
        """Yield some files of a tar that is packed."""
        try:
            yield from tar_files(Path(self.source), names)
        except (OSError, TarError, PackedError) as error:
            raise _moved(min(names), "is not in the root any more", self.source) from error

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


_libc = functools.lru_cache(maxsize=64)(libc_of)


def _moved(path: str, what: str, root: str) -> ConfigError:
    return ConfigError(f"{path} {what}", where=root, why="it is being updated", next_step="the same command again")


def scan_root(root: Path) -> Index:
    """Read every ELF file of a root; unreadable and damaged ones are listed, never guessed about.

    Releases of ours are left out: an index says what a board has by itself.
    """
    files: dict[str, ElfFile] = {}
    links: dict[str, str] = {}
    damaged: dict[str, str] = {}
    confs: dict[str, str] = {}
    texts: dict[str, str] = {}
    cached: bytes | None = None
    built: dict[str, tuple[str, ...]] = {}
    places: dict[str, tuple[int, int]] = {}
    found = Found()
    for path, target, data in root_members(root, damaged, places, found):
        if target is not None:
            links[path] = target
        elif path == LD_CACHE:
            cached = bytes(data)
        elif is_loader_conf(path):
            confs[path] = bytes(data).decode("utf-8", "replace")
        elif is_run_time_text(path):
            texts[path] = bytes(data[:TEXT_BYTES]).decode("utf-8", "replace")
        else:
            try:
                files[path] = elf.parse(data)
            except elf.ElfError as error:
                damaged[path] = str(error)
            if (which := libc_of(path)) in (Libc.GLIBC, Libc.UCLIBC):
                built[path] = built_in_folders(data, which)
    _leave_out(_our_roots(found.marks, files), files, links, damaged, built, places, found.others)
    loader = loader_of_root((file.interpreter for file in files.values()), (*files, *links))
    index = Index(
        source=str(root),
        files=files,
        links=links,
        damaged=damaged,
        directories=(),
        loader=loader,
        listed=tuple(conf_folders(confs)),
        cache=read_cache(cached, libc_of(loader)) if cached is not None else None,
        texts=texts,
        places=places,
        some=processor_folders((*files, *links)),
    )
    _add_others(index, found)
    own = built.get(index.resolve(index.loader)) or next(iter(built.values()), ())
    folders = search_folders(loader, own, confs, wide=any(file.identity.bits == 64 for file in files.values()))
    rest = [*sorted((confs | texts).items()), cached, *sorted(index.others.items())]
    searched = replace(index, directories=folders, fingerprint=_fingerprint(files, links, rest))
    return _as_built(searched, own) if index.libc is Libc.UCLIBC and own else searched


def _add_others(index: Index, found: Found) -> None:
    """Add what a loader opens as a library and is none, and take out what only some users may open."""
    named = {path for path in index.links if is_library_name(posixpath.basename(path))}
    led_to = set(map(index.resolve, named))
    for path, what in found.others.items():
        if path in led_to or is_library_name(posixpath.basename(path)):
            index.others[path] = what
    if index.resolve(index.loader) not in found.private:  # else whoever made this root let nobody read anything
        for path in found.private & index.files.keys():
            if is_library_name(posixpath.basename(path)):
                index.others[path] = "cannot be read by every user"
                del index.files[path]


def _our_roots(marks: Iterable[str], files: Iterable[str]) -> tuple[str, ...]:
    """Return the folders of our releases, with a slash at the end, by the files that mark them."""
    sure = {f"{marked_root(mark)}/" for mark in marks if mark.endswith(f"/{MARKER}")}
    likely = {f"{marked_root(mark)}/" for mark in marks} - sure
    # A list of that name alone may be anybody's; with a store beside it, it is ours.
    stored = {path.partition("/store/")[0] + "/" for path in files if "/store/" in path} if likely else set()
    return tuple(sorted((sure | likely & stored) - {"/"}))


def _leave_out(roots: tuple[str, ...], *tables: dict[str, Any]) -> None:
    for table in tables if roots else ():
        for path in [path for path in table if path.startswith(roots)]:
            del table[path]


def _as_built(index: Index, own: tuple[str, ...]) -> Index:
    """Return the index of a uClibc root by what its loader was built to do, as far as its file tells."""
    folders, itself = index.directories, index.files.get(index.resolve(index.loader))
    # It looks beside itself with LDSO_SEARCH_INTERP_PATH, and then has a variable for that folder.
    if itself is not None and "_dl_ldsopath" not in itself.exports.split():
        listed = {posixpath.normpath(folder) for folder in own}
        folders = tuple(folder for folder in folders if folder in listed)
    cache = index.cache if LD_CACHE in own else None
    return replace(index, directories=folders, cache=cache, expands=ORIGIN in own)


def _fingerprint(files: dict[str, ElfFile], links: dict[str, str], rest: list[Any]) -> str:
    """Return a hash of all facts; taken file by file, since the symbols of a root fill many megabytes."""
    digest = hashlib.sha256(repr([sorted(links.items()), rest]).encode("utf-8", "replace"))
    for path, file in sorted(files.items()):
        digest.update(repr((path, file)).encode("utf-8", "replace"))
    return digest.hexdigest()
