"""The loader's rules, per libc: where a name is looked for, and which file a process gets.

glibc: RPATH of the file and of those that led to it (none where the file has a RUNPATH), LD_LIBRARY_PATH, its RUNPATH,
the cache, the built-in folders (ld.so(8), elf/dl-load.c). musl: LD_LIBRARY_PATH, then the RPATH or RUNPATH, which are
one, of the file and of those that led to it, then its own list (ldso/dynlink.c). uClibc: the file's own RPATH (none
where it has a RUNPATH), LD_LIBRARY_PATH, its RUNPATH, the cache, the loader's folder, /lib, /usr/lib; it looks for each
name anew for every file that asks, and knows $ORIGIN in an RPATH only (ldso/ldso/dl-elf.c).

What depends on the processor (hwcaps folders, $PLATFORM), on how uClibc was built or on the folder a process is started
in is not proved: such a copy is no provider, but it is told as one that may be taken instead. Where a root's loader
looks by itself, once all that the files say is tried, is in `recipes.rootfs.index.Index`. tests/corpus checks the rules
against the loaders.
"""

from __future__ import annotations

import posixpath
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from recipes.arch import Identity, Libc, compatible
from recipes.elf import ElfFile
from recipes.proof.grants import filtees
from recipes.proof.tokens import PathTokens, SearchFolder, as_unsure
from recipes.rootfs.index import Index
from recipes.rootfs.loaderconf import LD_CACHE, entry_fit
from recipes.rootfs.origin import Origin


@dataclass(frozen=True, slots=True, kw_only=True)
class LoadedFile:
    """One file of a process.

    Parameters
    ----------
    place:
        The file itself, all links followed: a path of the root, or a file of the bundle.
    found:
        The path it was opened by, links as they stand: its folder is the file's $ORIGIN. Of a program it is the file
        itself, since the kernel says where that is.
    by:
        Who asked for it; None for a program.
    instead:
        Copies that some processors get in its place.
    """

    place: Origin
    found: str
    elf: ElfFile
    by: LoadedFile | None = None
    instead: tuple[tuple[Origin, ElfFile], ...] = ()

    def chain(self) -> Iterator[LoadedFile]:
        file: LoadedFile | None = self
        while file is not None:
            yield file
            file = file.by


@dataclass(frozen=True, slots=True, kw_only=True)
class Lookup:
    """One name that a process asks for: by whom, what it gets (None: nothing), and the folders tried for it."""

    name: str
    by: LoadedFile
    got: LoadedFile | None
    tried: tuple[str, ...]


def first_file(place: str, file: ElfFile) -> LoadedFile:
    return LoadedFile(place=Origin(place), found=place, elf=file)


class Loader:
    """The loader of one root, for files of one machine.

    Parameters
    ----------
    more:
        Files beside the root's: those of a bundle.
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
        more: Mapping[Origin, ElfFile] | None = None,
        environment: Sequence[str] = (),
        platform: str = "",
    ) -> None:
        self._root, self._identity = root, identity
        self._more: Mapping[Origin, ElfFile] = more or {}
        self._environment = environment
        self._libc = root.libc or Libc.GLIBC
        self._words = PathTokens(self._libc, identity, platform, _own_folder(root), expands=root.expands)
        self._hwcaps = root.some if self._libc is Libc.GLIBC else {}

    def process(self, roots: Iterable[LoadedFile]) -> Iterator[Lookup]:
        """Yield every name that a process asks for, breadth first as all three loaders go.

        Each name comes once; with uClibc once more for every other copy that somebody gets by it.
        """
        queue = list(roots)
        places = {loaded.place: loaded for loaded in queue}
        known: dict[str, LoadedFile | None] = {}
        asked: dict[str, set[str]] = {}
        while queue:
            by = queue.pop(0)
            for name in self._needs(by.elf):
                if name in asked and self._libc is not Libc.UCLIBC:
                    continue
                tried: list[str] = []
                # glibc knows a library by its SONAME too; the others by the names it was asked for.
                got = known.get(name) or self.find(name, by, tried)
                if got is not None and got.place in places:
                    got = places[got.place]
                elif got is not None:
                    places[got.place] = got
                    queue.append(got)
                    if self._libc is Libc.GLIBC and got.elf.soname:
                        known.setdefault(got.elf.soname, got)
                if got is None and name not in by.elf.needed and (name, False) in filtees(by.elf):
                    continue
                before = asked.setdefault(name, set())
                if (place := got.place if got is not None else "") in before:
                    continue
                before.add(place)
                yield Lookup(name=name, by=by, got=got, tried=tuple(tried))

    def _needs(self, file: ElfFile) -> Sequence[str]:
        """Return what a file names: glibc's loader counts the libraries that it is a filter of, no other does."""
        if not file.asks or self._libc is not Libc.GLIBC:
            return file.needed
        return list(dict.fromkeys([*(name for name, _ in filtees(file)), *file.needed]))

    def find(self, name: str, by: LoadedFile | None, tried: list[str] | None = None) -> LoadedFile | None:
        """Find one name for a file, or for nobody in particular; the folders that are looked into go to `tried`."""
        if self._root.is_loader(name):
            own = Origin(self._root.resolve(self._root.loader))
            return LoadedFile(place=own, found=self._root.loader, elf=self._root.files[own], by=by)
        instead: dict[Origin, ElfFile] = {}
        for path, sure in self._paths(name, by, [] if tried is None else tried):
            taken = self._take(path)
            if taken is None:
                continue
            place, file = taken
            if sure and file is None:
                return None  # here the loader says what is wrong with it and ends
            if sure and file is not None:
                copies = tuple((copy, elf) for copy, elf in instead.items() if copy != place)
                return LoadedFile(place=place, found=path, elf=file, by=by, instead=copies)
            if file is not None:
                instead.setdefault(place, file)
        return None

    def folders(self, by: LoadedFile | None) -> Iterator[SearchFolder]:
        """Yield the folders that files and the environment name for a file, and whether each is sure to be looked into.

        The root's own come after these (`Index.candidates`).
        """
        if by is None:
            return
        own, chain = by.elf, list(by.chain())
        if self._libc is Libc.MUSL:
            yield from self._words.literal(self._environment)
            for loaded in chain:
                yield from self._expand(loaded.elf.runpath or loaded.elf.rpath, loaded)
            return
        if self._libc is Libc.UCLIBC:
            yield from self._expand(() if own.runpath else own.rpath, by)
            yield from self._words.literal(self._environment)
            for path in own.runpath:  # no release expands $ORIGIN there, as far as is known; a later one may
                yield from as_unsure(self._expand([path], by)) if "$" in path else self._words.literal([path])
            # Built with LDSO_RUNPATH_OF_EXECUTABLE it lets all share the program's.
            yield from as_unsure(self._words.literal(chain[-1].elf.rpath))
            return
        if not own.runpath:
            for loaded in chain:
                if not loaded.elf.runpath:
                    yield from self._expand(loaded.elf.rpath, loaded)
        yield from self._expand(self._environment, chain[-1])
        yield from self._expand(own.runpath, by)

    def _paths(self, name: str, by: LoadedFile | None, tried: list[str]) -> Iterator[SearchFolder]:
        """Yield the paths that are tried, in order, and whether a file there is sure to be taken."""
        if "/" in name:  # a path, and no name to look for
            yield from self._expand((name,), by) if by else ()
            if self._libc is not Libc.UCLIBC:
                return
            name = posixpath.basename(name)
        for folder, sure in self.folders(by):
            tried += [Origin(folder).tidied()] if sure else []
            yield from self._for_some(folder, name)
            yield posixpath.join(folder, name), sure
        if self._root.cache is not None and self._libc is not Libc.MUSL:
            tried.append(LD_CACHE)
            for entry in self._root.cache.get(name, ()) if self._libc is Libc.GLIBC else ():
                if entry.hwcap and entry_fit(entry, self._identity):
                    yield entry.path, False
        for path in self._root.candidates(name, self._identity, own=not self._shuts_out(by)):
            folder = posixpath.dirname(path)
            if folder in self._root.directories:
                tried.append(folder)
                yield from self._for_some(folder, name)
            yield path, True

    def _shuts_out(self, by: LoadedFile | None) -> bool:
        """Tell whether nothing of the built-in folders is for a file (DF_1_NODEFLIB); only glibc's loader looks."""
        return by is not None and self._libc is Libc.GLIBC and "nodeflib" in by.elf.asks

    def _for_some(self, folder: str, name: str) -> Iterator[SearchFolder]:
        for below in self._hwcaps.get(self._root.resolve(folder), ()):
            yield posixpath.join(below, name), False

    def _take(self, path: str) -> tuple[Origin, ElfFile | None] | None:
        if path.startswith("/"):
            taken = self._root.take(path, self._identity)
            return (Origin(taken[0]), taken[1]) if taken is not None else None
        place = Origin(path).tidied()
        file = self._more.get(place)
        if file is None:
            return None
        if compatible(file.identity, self._identity):
            return place, file
        return (place, None) if self._libc is Libc.MUSL else None

    def _expand(self, entries: Sequence[str], of: LoadedFile) -> Iterator[SearchFolder]:
        return self._words.expand(entries, posixpath.dirname(of.found))


def _own_folder(root: Index) -> str:
    """Return what $LIB is: Debian's glibc says lib/TRIPLE, all others the name of the C library's own folder."""
    if not root.loader or not root.directories:
        return ""
    first = root.directories[0]
    return first.lstrip("/") if "-linux-" in first else posixpath.basename(first)
