"""The loader's rules, per libc: where a name is looked for, and which file a process gets. Pure; the one place for it.

glibc: RPATH of the file and of those that led to it (none where the file has a RUNPATH), LD_LIBRARY_PATH, its RUNPATH,
the cache, the built-in folders (ld.so(8), elf/dl-load.c). musl: LD_LIBRARY_PATH, then the RPATH or RUNPATH, which are
one, of the file and of those that led to it, then its own list (ldso/dynlink.c). uClibc: the file's own RPATH,
LD_LIBRARY_PATH, its RUNPATH, the cache, the loader's folder, /lib, /usr/lib (ldso/ldso/dl-elf.c).

What depends on the processor (hwcaps folders, $PLATFORM) or on the folder a process is started in is not proved: such a
copy is no provider, but it is told as one that may be taken instead. tests/corpus holds the rules against the loaders.
"""

from __future__ import annotations

import posixpath
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from recipes.arch import Identity, compatible
from recipes.elf import ElfFile
from recipes.elfindex import Index
from recipes.loaderconf import CACHE, GLIBC, MUSL, UCLIBC, says

_TOKEN: Final = re.compile(r"\$(?:\{(ORIGIN|LIB|PLATFORM)\}|(ORIGIN|LIB|PLATFORM)(?!\w))", re.ASCII)
_PLATFORMS: Final = {
    (64, 62): ("haswell", "xeon_phi", "x86_64"),
    (32, 40): ("v7l", "v8l", "v6l"),
    (64, 183): ("aarch64",),
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Loaded:
    """One file of a process.

    Parameters
    ----------
    place:
        The file itself, all links followed; `bundle:PATH` for one of ours.
    found:
        The path it was opened by, links as they stand: its folder is the file's $ORIGIN. Of a program it is the file
        itself, since the kernel says where that is.
    by:
        Who asked for it; None for a program.
    instead:
        Copies that some processors get in its place.
    """

    place: str
    found: str
    elf: ElfFile
    by: Loaded | None = None
    instead: tuple[tuple[str, ElfFile], ...] = ()

    def chain(self) -> Iterator[Loaded]:
        one: Loaded | None = self
        while one is not None:
            yield one
            one = one.by


@dataclass(frozen=True, slots=True, kw_only=True)
class Step:
    """One name that a process asks for: by whom, what it gets (None: nothing), and the folders tried for it."""

    name: str
    by: Loaded
    got: Loaded | None
    tried: tuple[str, ...]


def start(place: str, file: ElfFile) -> Loaded:
    return Loaded(place=place, found=place, elf=file)


class Loader:
    """The loader of one root, for files of one machine.

    Parameters
    ----------
    more:
        Files beside the root's, by place (`bundle:lib/libz.so.1`).
    environment:
        The folders of LD_LIBRARY_PATH.
    platform:
        What the kernel calls the processor (AT_PLATFORM); empty where that is not known, and then nothing below
        $PLATFORM is proved.
    """

    def __init__(
        self,
        root: Index,
        identity: Identity,
        *,
        more: Mapping[str, ElfFile] | None = None,
        environment: Sequence[str] = (),
        platform: str = "",
    ) -> None:
        self._root, self._identity, self._more = root, identity, more or {}
        self._environment = environment
        self._libc = root.libc or GLIBC
        known = _PLATFORMS.get((identity.bits, identity.machine), ())
        self._platforms = (platform,) if platform else known
        self._sure = bool(platform) or len(known) == 1
        self._hwcaps = root.some if self._libc == GLIBC else {}

    def process(self, roots: Iterable[Loaded]) -> Iterator[Step]:
        """Yield every name that a process asks for, breadth first as all three loaders go; each name once."""
        queue = list(roots)
        places = {one.place: one for one in queue}
        known: dict[str, Loaded | None] = {}
        asked: set[str] = set()
        while queue:
            by = queue.pop(0)
            for name in by.elf.needed:
                if name in asked:
                    continue
                asked.add(name)
                tried: list[str] = []
                # glibc knows a library by its SONAME too; the others by the names it was asked for.
                got = known.get(name) or self.find(name, by, tried)
                if got is not None and got.place in places:
                    got = places[got.place]
                elif got is not None:
                    places[got.place] = got
                    queue.append(got)
                    if self._libc == GLIBC and got.elf.soname:
                        known.setdefault(got.elf.soname, got)
                yield Step(name=name, by=by, got=got, tried=tuple(tried))

    def find(self, name: str, by: Loaded | None, tried: list[str] | None = None) -> Loaded | None:
        """Find one name for a file, or for nobody in particular; the folders that are looked into go to `tried`."""
        if self._root.is_loader(name):
            own = self._root.resolve(self._root.loader)
            return Loaded(place=own, found=self._root.loader, elf=self._root.files[own], by=by)
        instead: dict[str, ElfFile] = {}
        for path, sure in self._paths(name, by, [] if tried is None else tried):
            taken = self._take(path)
            if taken is None:
                continue
            place, file = taken
            if sure and file is None:
                return None  # here the loader says what is wrong with it and ends
            if sure and file is not None:
                others = tuple((one, elf) for one, elf in instead.items() if one != place)
                return Loaded(place=place, found=path, elf=file, by=by, instead=others)
            if file is not None:
                instead.setdefault(place, file)
        return None

    def folders(self, by: Loaded | None) -> Iterator[tuple[str, bool]]:
        """Yield the folders that files and the environment name for a file, and whether each is sure to be looked into.

        The root's own come after these (`Index.candidates`).
        """
        if by is None:
            return
        own, chain = by.elf, list(by.chain())
        environment = tuple(self._expand(self._environment, chain[-1]))
        if self._libc == MUSL:
            yield from environment
            for one in chain:
                yield from self._expand(one.elf.runpath or one.elf.rpath, one)
            return
        if self._libc == UCLIBC:
            yield from self._expand(own.rpath, by)
        elif not own.runpath:
            for one in chain:
                if not one.elf.runpath:
                    yield from self._expand(one.elf.rpath, one)
        yield from environment
        yield from self._expand(own.runpath, by)

    def _paths(self, name: str, by: Loaded | None, tried: list[str]) -> Iterator[tuple[str, bool]]:
        """Yield the paths that are tried, in order, and whether a file there is sure to be taken."""
        if "/" in name:  # a path, and no name to look for
            yield from self._expand((name,), by) if by else ()
            return
        for folder, sure in self.folders(by):
            tried += [_tidy(folder)] if sure else []
            yield from self._for_some(folder, name)
            yield posixpath.join(folder, name), sure
        if self._root.cache is not None and self._libc != MUSL:
            tried.append(CACHE)
            for entry in self._root.cache.get(name, ()) if self._libc == GLIBC else ():
                if entry.hwcap and says(entry, self._identity):
                    yield entry.path, False
        for path in self._root.candidates(name, self._identity):
            folder = posixpath.dirname(path)
            if folder in self._root.directories:
                tried.append(folder)
                yield from self._for_some(folder, name)
            yield path, True

    def _for_some(self, folder: str, name: str) -> Iterator[tuple[str, bool]]:
        for below in self._hwcaps.get(self._root.resolve(folder), ()):
            yield posixpath.join(below, name), False

    def _take(self, path: str) -> tuple[str, ElfFile | None] | None:
        if path.startswith("/"):
            return self._root.take(path, self._identity)
        place = _tidy(path)
        found = self._more.get(place)
        if found is None:
            return None
        if compatible(found.identity, self._identity):
            return place, found
        return (place, None) if self._libc == MUSL else None

    def _expand(self, entries: Sequence[str], of: Loaded) -> Iterator[tuple[str, bool]]:
        """Yield what the entries of a path mean for a file; what is not proved is left out, or not sure."""
        origin = posixpath.dirname(of.found)
        if self._libc == MUSL:
            rest = [entry.replace("${ORIGIN}", "").replace("$ORIGIN", "") for entry in entries]
            if any("$" in entry for entry in rest):
                return  # it knows $ORIGIN only, and drops the whole path for anything else
        for entry in entries:
            if self._libc == GLIBC:
                wanted = {one or other for one, other in _TOKEN.findall(entry)}
                for platform in self._platforms if "PLATFORM" in wanted else ("",):
                    values = {"ORIGIN": origin, "LIB": self._lib(), "PLATFORM": platform}
                    text = _TOKEN.sub(lambda token, values=values: values[token[1] or token[2]], entry)  # type: ignore[misc]
                    if "LIB" not in wanted or values["LIB"]:
                        yield from _certain(text, sure=self._sure or "PLATFORM" not in wanted)
            elif self._libc == MUSL:
                yield from _certain(entry.replace("${ORIGIN}", origin).replace("$ORIGIN", origin))
            else:
                yield from _certain(origin + entry[7:] if entry.startswith("$ORIGIN") else entry)

    def _lib(self) -> str:
        """Return what $LIB is: Debian's glibc says lib/TRIPLE, all others the name of the C library's own folder."""
        if not self._root.loader or not self._root.directories:
            return ""
        first = self._root.directories[0]
        return first.lstrip("/") if "-linux-" in first else posixpath.basename(first)


def _certain(folder: str, *, sure: bool = True) -> Iterator[tuple[str, bool]]:
    """Yield a folder unless it depends on where the process was started, or holds a word that nobody replaces."""
    if "$" not in folder and (folder.startswith("/") or ":" in folder):
        yield folder, sure


def _tidy(path: str) -> str:
    where, colon, rest = path.rpartition(":")
    return where + colon + posixpath.normpath(rest)
