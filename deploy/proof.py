"""The proof that a board's copy of a library serves what we ship: every symbol and version node, none guessed.

Binding rules: glibc's elf/dl-lookup.c (check_match) and elf/dl-version.c; musl's ldso/dynlink.c (find_sym), which knows
no versions. What cannot be shown is a failure. The pairs of tests/corpus hold this against the loaders themselves.
"""

from __future__ import annotations

import posixpath
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from deploy.symbols import Exports, exports, parts, references, spelled, strong, words
from recipes.arch import FloatAbi, Identity
from recipes.elf import ElfFile
from recipes.elfindex import Index

__all__ = ["Exports", "Proof", "bound_to", "closure", "prove", "references"]
_Pair = tuple[str, str]
_OF_MUSL = ("libc.", "libpthread.", "librt.", "libm.", "libdl.", "libutil.", "libxnet.")
"""musl's loader is the C library: it answers to these names itself, whatever a file of that name says it is."""


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
    faults:
        What else speaks against it, in words: another type or size, another machine, its own needs not met.
    """

    library: str
    provider: str
    build_id: str
    symbols: tuple[str, ...]
    missing: tuple[str, ...]
    weaker: bool
    sha256: str = ""
    """Of the board's copy; compared with the live board before a release is switched on."""
    faults: tuple[str, ...] = ()

    @property
    def holds(self) -> bool:
        return not self.missing and not self.faults

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


def bound_to(file: ElfFile, soname: str, built_with: Mapping[str, Exports]) -> Iterator[tuple[_Pair, str]]:
    """Yield the (name, node) pairs that a file binds to one of its libraries, and what it fixed of each.

    That is the bytes of its own copy of an object, `f` for an address that it gave a function, and else nothing.

    Parameters
    ----------
    built_with:
        SONAME to exports of the libraries that the link saw. An unversioned reference is required of each that has the
        name, since the board's order may differ.
    """
    asked = [(name, library, node, weak, "") for name, library, node, weak in references(file)]
    for text in file.fixed.split():
        symbol, _, use = text.rpartition(":")
        asked.append((*parts(symbol), False, use))
    for name, library, node, weak, use in asked:
        if library:
            if library == soname:
                yield (name, node), use
            continue
        if soname in built_with:
            if built_with[soname].has(name, ""):
                yield (name, ""), use
        elif not weak and not any(one.has(name, "") for one in built_with.values()):
            # No library of the link has it and this one was never seen: it can only be meant to come from here.
            yield (name, ""), use


def prove(
    soname: str,
    provider: str,
    board_copy: ElfFile,
    users: Iterable[ElfFile],
    built_with: Mapping[str, Exports],
    companions: Iterable[ElfFile] | None = None,
    *,
    musl: bool = False,
) -> Proof:
    """Check every symbol that any of our files binds to a library against the board's copy of it.

    Parameters
    ----------
    companions:
        What the board's copy itself needs, all the way down (`closure`); without it nobody asks whether the copy itself
        loads. A versioned reference names the library that had the symbol when the file was linked; the loader takes
        the same name at the same node from any that is loaded: glibc 2.34 moved libpthread's symbols into libc so.
    musl:
        The board's loader is musl's: it ignores versions, and does not know indirect functions.
    """
    users, needed, copy = list(users), list(companions or ()), exports(board_copy)
    beside = [exports(one) for one in needed]
    wanted = _wanted(soname, users, built_with)
    faults = _unlike(soname, board_copy, users, wanted, musl=musl)
    if companions is not None:
        faults += _unmet([board_copy, *needed], users, musl=musl)
    missing: list[str] = []
    for (name, node), uses in sorted(wanted.items()):
        moved = (one for one in beside if f"{name}@{node}" in one.versioned)
        found = next((one for one in (copy, *moved) if one.serves(name, node, musl=musl)), None)
        if found is None:
            missing.append(spelled(name, node))
        else:
            faults += _differences(name, node, built_with.get(soname), found, uses)
    if copy.nodes and not musl:
        # Weak needs start with "?" and do not match: the loader forgives them.
        needs = {need.rpartition(":") for user in users for need in user.version_needs}
        missing += sorted(f"node {node}" for library, _, node in needs if library == soname and node not in copy.nodes)
    return Proof(
        library=soname,
        provider=provider,
        build_id=board_copy.build_id,
        symbols=tuple(sorted(spelled(name, node) for name, node in wanted)),
        missing=tuple(missing),
        weaker=not copy.nodes,
        faults=tuple(faults),
    )


def _wanted(soname: str, users: Sequence[ElfFile], built_with: Mapping[str, Exports]) -> dict[_Pair, set[str]]:
    wanted: dict[_Pair, set[str]] = {}
    for user in users:
        for pair, use in bound_to(user, soname, built_with):
            wanted.setdefault(pair, set()).add(use)
    return wanted


def _unlike(soname: str, copy: ElfFile, users: Sequence[ElfFile], wanted: Iterable[_Pair], *, musl: bool) -> list[str]:
    """Say where the board's copy, as a file, is not the library that is asked for."""
    faults: list[str] = []
    if other := next((user for user in users if not _fits(copy.identity, user.identity)), None):
        faults.append(f"it is {copy.identity.describe()}, ours is {other.identity.describe()}")
    # glibc loads neither ET_EXEC nor a program; its own libc.so.6 can be run, and has both names.
    if (copy.executable and not (copy.interpreter and copy.soname)) or not (copy.soname or copy.exports):
        faults.append("it is no shared library")
    if not copy.mappable:
        faults.append("its segments do not begin at pages: it cannot be mapped")
    nodes = {node for _, node in wanted}
    by_node = bool(nodes) and "" not in nodes and bool(copy.version_defs)
    if copy.soname not in ("", soname) and not by_node and not (musl and soname.startswith(_OF_MUSL)):
        # Another name is another interface, but for old names that a library with version nodes goes on to serve.
        faults.append(f"it calls itself {copy.soname}")
    if not (musl or copy.version_defs or copy.version_needs) and nodes - {""}:
        # Without a table of versions glibc does not warn but stops: an assertion of check_match in elf/dl-lookup.c.
        faults.append("it has no symbol versions at all, and ours asks for some")
    return faults


def _differences(name: str, node: str, ours: Exports | None, theirs: Exports, uses: set[str]) -> list[str]:
    """Say where one symbol is not what it was when our files were linked."""
    kind, size = theirs.kind(name, node)
    copied = uses - {"", "f"}
    known, bytes_ = ("o", min(copied)) if copied else ("a" if "f" in uses else "f", "0")
    if ours is not None and ours.has(name, node):
        known, bytes_ = ours.kind(name, node)
    text = spelled(name, node)
    if words(kind) != words(known):
        return [f"{text} is {words(kind)}, ours is {words(known)}"]
    if kind in "olt" and {bytes_, *copied} != {size}:
        return [f"{text} has {size} bytes, ours has {bytes_}"]
    if copied and kind == "l" and known != "l":
        return [f"{text} would be one object in the program and another in the library"]
    if "f" in uses and kind != "a" and known == "a":
        return [f"{text} would have one address in the program and another in the library"]
    return []


def _unmet(files: Sequence[ElfFile], users: Sequence[ElfFile], *, musl: bool) -> list[str]:
    """Say what the board's copy, and what it needs, would themselves not find: with LD_BIND_NOW=1 they do not start."""
    scope, hosts = [exports(one) for one in files], [exports(one) for one in users]
    by_name = dict(zip((one.soname for one in files), scope, strict=True))
    faults = []
    for file in files:
        for name, library, node in strong(file):
            near = by_name.get(library)  # mostly where it was when the file was linked, which saves the search
            found = near is not None and near.has(name, node, musl=musl)
            found = found or any(one.has(name, node, musl=musl) for one in scope)
            # A library may call back into whoever loads it: then each of them has to have it.
            if not found and not (hosts and all(one.has(name, node, musl=musl) for one in hosts)):
                faults.append(f"{file.soname or 'it'} itself finds no {spelled(name, node)}")
        for need in () if musl else file.version_needs:
            library, _, node = need.partition(":")
            owner = by_name.get(library)
            there = owner is not None and (node in owner.nodes if owner.nodes else owner.marked)
            if not there and not need.startswith("?"):
                faults.append(f"{file.soname or 'it'} itself finds no node {node} of {library}")
    return faults


def _fits(found: Identity, wanted: Identity) -> bool:
    same = (found.bits, found.little, found.machine) == (wanted.bits, wanted.little, wanted.machine)
    return same and (FloatAbi.NONE in (found.float_abi, wanted.float_abi) or found.float_abi is wanted.float_abi)


def closure(board: Index, path: str, copy: ElfFile, identity: Identity) -> tuple[dict[str, ElfFile], list[str]]:
    """Return what a library of the board needs, all the way down, by name, and the names that are not found.

    Each file looks where its own RUNPATH says, or its RPATH and those of the files that led to it, then where the
    loader does (ld.so(8)).
    """
    found: dict[str, ElfFile] = {}
    lost: set[str] = set()
    todo: list[tuple[str, ElfFile, tuple[str, ...]]] = [(path, copy, ())]
    while todo:
        place, file, inherited = todo.pop(0)
        origin = posixpath.dirname(place)
        own, handed = (
            tuple(entry.replace("${ORIGIN}", "$ORIGIN").replace("$ORIGIN", origin) for entry in entries)
            for entries in (file.runpath, file.rpath)
        )
        handed = inherited if own else (*handed, *inherited)
        for name in file.needed:
            if name in found or name in lost:
                continue
            paths = (board.resolve(posixpath.join(folder, name)) for folder in own or handed)
            near = next((one for one in paths if one in board.files and _fits(board.files[one].identity, identity)), "")
            hit = (near, board.files[near]) if near else board.find(name, identity)
            if hit is None:
                lost.add(name)
            else:
                found[name] = hit[1]
                todo.append((*hit, handed))
    return found, sorted(lost)
