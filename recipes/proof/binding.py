"""What a symbol of one file binds to in another: names, versions and kinds, by the rules of each loader.

glibc's elf/dl-lookup.c (check_match); musl's ldso/dynlink.c (find_sym); uClibc's ldso/ldso/dl-hash.c.
"""

from __future__ import annotations

import functools
from collections.abc import Iterable
from typing import Final

from recipes.arch import Libc
from recipes.elf import ElfFile, SymbolKind
from recipes.rootfs.loaderconf import LIBC_NAMES

# Looking up a member in its enum costs as much as the rest of a question, and these are asked for every symbol.
_MUSL, _UCLIBC, _INDIRECT = Libc.MUSL, Libc.UCLIBC, SymbolKind.INDIRECT
_CALLED: Final = (SymbolKind.FUNCTION, "0")
_UNSEEN: Final = (_INDIRECT, SymbolKind.UNIQUE)
"""uClibc's loader passes over indirect functions, and finds nothing unique."""
_BY_LETTER: Final = {kind.value: kind for kind in SymbolKind}
_WORDS: Final = {
    SymbolKind.OBJECT: "data",
    SymbolKind.OWN_OBJECT: "data",
    SymbolKind.UNIQUE: "data",
    SymbolKind.THREAD_LOCAL: "thread-local",
    SymbolKind.UNTYPED: "of no type",
}


def differ(left: ElfFile, right: ElfFile) -> bool:
    """Tell whether two copies of a library differ in anything that a proof looks at, code apart."""
    return _compared_facts(left) != _compared_facts(right)


def _compared_facts(file: ElfFile) -> tuple[object, ...]:
    symbols = (file.exports, file.objects, file.imports)
    lists = (file.needed, file.version_defs, file.version_needs)
    return (
        file.soname,
        file.mappable,
        *(sorted(text.split()) for text in symbols),
        *(sorted(names) for names in lists),
    )


def without_readable_symbols(files: Iterable[ElfFile], process: Iterable[ElfFile]) -> list[ElfFile]:
    """Return those of which uClibc's loader may see no symbol: they have only GNU's table of them.

    It reads that if it was built so (LDSO_GNU_HASH_SUPPORT, which is off unless somebody asks for it). It was where the
    C library, or itself, has no other table.
    """
    itself = ("libc.so.", *LIBC_NAMES[_UCLIBC].loaders)
    if any(file.soname.startswith(itself) and not file.sysv for file in process):
        return []
    return [file for file in files if not file.sysv and file.exports]


class Exports:
    """The exported symbols of one library, ready to be asked."""

    def __init__(self, library: ElfFile) -> None:
        self.defaults: dict[str, str] = {}
        """Name to the node that a reference without one gets; empty for a symbol without a node."""
        self.versioned: set[str] = set()
        self.superseded: set[str] = set()
        self.nodes = set(library.version_defs)
        self.first = library.version_defs[0] if library.version_defs else ""
        self.marked = bool(library.version_defs or library.version_needs)
        """True with a table of versions (DT_VERSYM): a linker writes it for either."""
        self._objects = library.objects
        for symbol in library.exports.split():
            name, _, node = symbol.partition("@")
            if not node:
                self.defaults[name] = ""
            elif node[0] == "@":
                self.defaults[name] = node[1:]
                self.versioned.add(name + node)
            else:
                self.superseded.add(symbol)
                self.versioned.add(symbol)

    def has(self, name: str, node: str, libc: Libc = Libc.GLIBC) -> bool:
        """Tell whether a reference to this name at this node (or at none) binds here."""
        if libc is _UCLIBC:
            return name in self._nodes and all(self._seen(name, defined) for defined in self._nodes[name])
        if not node or libc is _MUSL:
            return name in self.defaults
        # A symbol without a node satisfies any, in a library that has nodes for others as well.
        return f"{name}@{node}" in self.versioned or self.defaults.get(name) == ""

    def serves(self, name: str, node: str, libc: Libc = Libc.GLIBC) -> bool:
        """Tell whether a reference binds here, and to what was meant when it was linked."""
        if libc is _UCLIBC:
            # It reads no versions, and of several takes the one that the table of symbols happens to have first.
            has = self._nodes.get(name, [])
            meant = name in self.defaults if not node else has[:1] in ([""], [node])
            return len(has) == 1 and meant and self._seen(name, has[0])
        if libc is _MUSL:
            # It takes the default whatever the node, and that of another node is by its maker's word another function.
            same = self.defaults.get(name) in ("", node) if node else name in self.defaults
            return same and self.kind(name, "")[0] is not _INDIRECT
        # Of two versions a reference without one gets that of the first node, if there is one, before the default.
        return self.has(name, node) and (bool(node) or f"{name}@{self.first}" not in self.superseded)

    def kind(self, name: str, node: str) -> tuple[SymbolKind, str]:
        """Return the kind of what a reference binds to, and its bytes as they are written."""
        exact = f"{name}@{node}"
        return self._kinds.get(exact if exact in self.versioned else name, _CALLED)

    def _seen(self, name: str, node: str) -> bool:
        """Tell whether uClibc's loader sees a symbol."""
        return self.kind(name, node)[0] not in _UNSEEN

    @functools.cached_property
    def _nodes(self) -> dict[str, list[str]]:
        nodes: dict[str, list[str]] = {name: [node] for name, node in self.defaults.items()}
        for symbol in sorted(self.superseded):
            name, _, node = symbol.partition("@")
            nodes.setdefault(name, []).append(node)
        return nodes

    @functools.cached_property
    def _kinds(self) -> dict[str, tuple[SymbolKind, str]]:
        kinds: dict[str, tuple[SymbolKind, str]] = {}
        for text in self._objects.split():
            symbol, size, letter = text.rsplit(":", 2)
            name, _, node = symbol.partition("@")
            kind = (_BY_LETTER[letter], size)
            kinds[name + node if node[:1] == "@" else symbol] = kind
            if node[:1] in ("", "@"):
                kinds[name] = kind
        return kinds


@functools.lru_cache(maxsize=256)
def exports_of(library: ElfFile) -> Exports:
    """Return the exports of a library; a board's C library is asked for every proof."""
    return Exports(library)


@functools.lru_cache(maxsize=512)
def references(file: ElfFile) -> tuple[tuple[str, str, str, bool], ...]:
    """Return (name, library, node, weak) of each undefined symbol; library and node are empty without a version."""
    return tuple((*reference_parts(text.lstrip("?")), text.startswith("?")) for text in file.imports.split())


@functools.lru_cache(maxsize=512)
def strong_by_library(file: ElfFile) -> dict[str, list[tuple[str, str]]]:
    """Return (name, node) of each symbol that a file cannot be loaded without, by the library it was linked with."""
    strong: dict[str, list[tuple[str, str]]] = {}
    for name, library, node, weak in references(file):
        if not weak:
            strong.setdefault(library, []).append((name, node))
    return strong


@functools.lru_cache(maxsize=4096)
def unbound(file: ElfFile, library: str, owner: ElfFile, libc: Libc = Libc.GLIBC) -> tuple[tuple[str, str], ...]:
    """Return what a file binds to a library of this name and this copy of it does not have.

    Kept, since the files that a library needs are the same few for most libraries of a board.
    """
    has = exports_of(owner).has
    return tuple(pair for pair in strong_by_library(file).get(library, ()) if not has(*pair, libc))


def reference_parts(text: str) -> tuple[str, str, str]:
    """Return name, library and node of a reference."""
    name, _, version = text.partition("@")
    library, _, node = version.rpartition(":")
    return name, library, node


def spelled(name: str, node: str) -> str:
    """Return a symbol as people write it."""
    return f"{name}@{node}" if node else name


def kind_words(kind: SymbolKind) -> str:
    """Return what a kind of symbol is to whoever uses it."""
    return _WORDS.get(kind, "a function")
