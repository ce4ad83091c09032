"""The proof that a board's copy of a library serves what we ship: every symbol and version node, none guessed.

Binding rules: glibc's elf/dl-lookup.c. A versioned reference takes a definition of the same node, or any definition in
a library without version nodes; an unversioned reference takes the default version. What cannot be shown is a failure.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from recipes.elf import ElfFile


@dataclass(frozen=True, slots=True, kw_only=True)
class Proof:
    """One library of the board, and everything that was checked against it.

    Parameters
    ----------
    library:
        The SONAME.
    provider:
        Path on the board.
    symbols:
        Every `name` or `name@NODE` that files of ours bind to it.
    missing:
        Those that it lacks; empty for a proof that holds.
    weaker:
        True where the board's copy has no version nodes, so that names are all there is to compare.
    """

    library: str
    provider: str
    build_id: str
    symbols: tuple[str, ...]
    missing: tuple[str, ...]
    weaker: bool
    sha256: str = ""
    """Of the board's copy; compared with the live board before a release is switched on."""

    @property
    def holds(self) -> bool:
        return not self.missing

    def as_dict(self) -> dict[str, object]:
        return {
            "library": self.library,
            "provider": self.provider,
            "build_id": self.build_id,
            "sha256": self.sha256,
            "symbols": list(self.symbols),
            "missing": list(self.missing),
            "kind": "names only: the board's copy has no version nodes" if self.weaker else "names and version nodes",
        }


class Exports:
    """The exported symbols of one library, ready to be asked."""

    def __init__(self, found: ElfFile) -> None:
        self.versioned: set[str] = set()
        self.plain: set[str] = set()
        self.nodes = set(found.version_defs)
        for symbol in found.exports.split():
            name, _, node = symbol.partition("@")
            default = node.startswith("@")
            if node:
                self.versioned.add(f"{name}@{node.lstrip('@')}")
            if not node or default:
                self.plain.add(name)

    def has(self, name: str, node: str) -> bool:
        """Tell whether a reference to this name at this node (or at none) binds here."""
        if not node:
            return name in self.plain
        if not self.nodes:
            return name in self.plain  # a library without nodes satisfies any version, with a warning of the loader
        return f"{name}@{node}" in self.versioned


def references(file: ElfFile) -> Iterable[tuple[str, str, str, bool]]:
    """Yield (name, library, node, weak) of each undefined symbol; library and node are empty without a version."""
    for text in file.imports.split():
        weak = text.startswith("?")
        name, _, version = text.lstrip("?").partition("@")
        library, _, node = version.rpartition(":")
        yield name, library, node, weak


def bound_to(file: ElfFile, soname: str, built_with: Mapping[str, Exports]) -> set[tuple[str, str]]:
    """Return the (name, node) pairs that a file binds to one of its libraries.

    Parameters
    ----------
    built_with:
        SONAME to exports of the libraries that the link saw, in its order. An unversioned reference belongs to the
        first that has it; a name that two of them have is required of both, since the board's order may differ.
    """
    pairs: set[tuple[str, str]] = set()
    for name, library, node, weak in references(file):
        if library:
            if library == soname:
                pairs.add((name, node))
            continue
        owners = [other for other, exports in built_with.items() if exports.has(name, "")]
        if soname in owners or (not owners and not weak and soname not in built_with):
            # No library of the link has it and this one was never seen: it can only be meant to come from here.
            pairs.add((name, ""))
    return pairs


def prove(
    soname: str,
    provider: str,
    board_copy: ElfFile,
    users: Iterable[ElfFile],
    built_with: Mapping[str, Exports],
    companions: Iterable[ElfFile] = (),
) -> Proof:
    """Check every symbol that any of our files binds to a library against the board's copy of it.

    Parameters
    ----------
    companions:
        What the board's copy itself needs, all the way down. A versioned reference names the library that had the
        symbol when the file was linked; the loader takes the same name at the same node from any library that is
        loaded. glibc 2.34 moved libpthread's symbols into libc so, and old files go on to work.
    """
    exports = Exports(board_copy)
    beside = [Exports(one) for one in companions]
    wanted: set[tuple[str, str]] = set()
    nodes: set[str] = set()
    for user in users:
        wanted |= bound_to(user, soname, built_with)
        nodes |= {
            need.partition(":")[2] for need in user.version_needs if need.partition(":")[0] == soname
        }  # weak needs start with "?" and do not match: the loader forgives them
    missing = sorted(
        _text(name, node)
        for name, node in wanted
        if not exports.has(name, node) and not (node and any(f"{name}@{node}" in one.versioned for one in beside))
    )
    if exports.nodes:
        missing += sorted(f"node {node}" for node in nodes - exports.nodes)
    return Proof(
        library=soname,
        provider=provider,
        build_id=board_copy.build_id,
        symbols=tuple(sorted(_text(name, node) for name, node in wanted)),
        missing=tuple(missing),
        weaker=not exports.nodes,
    )


def _text(name: str, node: str) -> str:
    return f"{name}@{node}" if node else name
