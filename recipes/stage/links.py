"""Whether what was built finds its libraries and symbols: in its own tree, what it depends on, and the sysroot. Pure.

A shared object links though a library that it needs is nowhere, and though a symbol of it is defined nowhere: the
linker leaves both to the board's loader, which then ends the program (`--no-undefined` in
https://sourceware.org/binutils/docs/ld/Options.html).
"""

from __future__ import annotations

import posixpath
from collections.abc import Iterable, Iterator, Mapping, Sequence

from recipes.arch import Identity
from recipes.console import first_few
from recipes.elf import ElfFile
from recipes.rootfs.index import Index
from recipes.rootfs.loaderconf import is_of_libc


class Neighbours:
    """All that the files of a tree may find: the tree's own libraries, those it depends on, and the sysroot's.

    Parameters
    ----------
    linked:
        Path to facts of every program and shared object of the tree.
    depends:
        Roots of what it depends on that was built too.
    """

    def __init__(self, linked: Mapping[str, ElfFile], depends: Sequence[Index], floor: Index) -> None:
        self._floor = floor
        self._ours: dict[str, ElfFile] = {}
        places = [*linked.items(), *(pair for root in depends for pair in root.files.items())]
        for path, file in places:
            for name in filter(None, (file.soname, posixpath.basename(path))):
                self._ours.setdefault(name, file)
        self._names = {file: _exported(file) for file in self._ours.values()}

    def find(self, name: str, identity: Identity) -> ElfFile | None:
        found = self._floor.find(name, identity) if name not in self._ours else None
        return found[1] if found is not None else self._ours.get(name)

    def process(self, first: ElfFile) -> tuple[list[ElfFile], list[str]]:
        """Return all that is loaded with a file, itself first, and the names that nothing answers to."""
        loaded, lost, asked = [first], list[str](), set[str]()
        for file in loaded:
            for name in file.needed:
                if name in asked:
                    continue
                asked.add(name)
                found = self.find(name, first.identity)
                if found is None:
                    lost.append(name)
                elif found not in loaded:
                    loaded.append(found)
        return loaded, lost

    def has(self, name: str, process: Iterable[ElfFile]) -> bool:
        return any(name in self._exports(file) for file in process)

    def beside(self, identity: Identity) -> list[ElfFile]:
        """Return what a program may have brought before a library asks: any library of ours, and the C library's."""
        libc = [path for path in self._floor.files if is_of_libc(posixpath.basename(path))]
        return [*self._ours.values(), *(self._floor.files[path] for path in libc if self._fits(path, identity))]

    def _fits(self, path: str, identity: Identity) -> bool:
        return self._floor.files[path].identity.machine == identity.machine

    def _exports(self, file: ElfFile) -> frozenset[str]:
        if file not in self._names:
            self._names[file] = _exported(file)
        return self._names[file]


def link_faults(
    linked: Mapping[str, ElfFile], programs: Iterable[str], depends: Sequence[Index], floor: Index
) -> Iterator[str]:
    """Yield a line for each file whose libraries or symbols are nowhere.

    A program must find every symbol in what it loads. A library may leave some to its program, so it is enough that any
    library of ours or of the C library has them. A symbol with a version was found when it was linked, and its node
    is compared with the sysroot's by the gate.
    """
    around, whole = Neighbours(linked, depends, floor), set(programs)
    for path, file in linked.items():
        process, lost = around.process(file)
        own = [name for name in file.needed if name in lost]
        if own:
            yield (
                f"{path}: needs {first_few(own)}, which neither this build, nor what it depends on, nor the sysroot has"
            )
        if lost:
            continue  # which symbols those would have is not known
        scope = process if path in whole else [*process, *around.beside(file.identity)]
        missing = [name for name in _unversioned(file) if not around.has(name, scope)]
        if missing:
            what = "is" if len(missing) == 1 else "are"
            yield f"{path}: {first_few(missing)} {what} defined nowhere, in nothing that it loads"


def _unversioned(file: ElfFile) -> list[str]:
    """Return the names that a file cannot be loaded without, and of which nothing says whose they are."""
    return [name for name in file.imports.split() if not name.startswith("?") and "@" not in name]


def _exported(file: ElfFile) -> frozenset[str]:
    return frozenset(symbol.partition("@")[0] for symbol in file.exports.split())
