"""The proof that a board's copy of a library serves what we ship: every symbol and version node, none guessed.

Binding rules: glibc's elf/dl-lookup.c (check_match) and elf/dl-version.c; musl's ldso/dynlink.c (find_sym) and
uClibc's ldso/ldso/dl-hash.c, which know no versions. What cannot be shown is a failure. The pairs of tests/corpus
check this against the loaders themselves.
"""

from __future__ import annotations

import posixpath
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Final

from recipes.arch import Identity, Libc, compatible
from recipes.elf import ElfFile
from recipes.proof.binding import (
    Exports,
    differ,
    exports_of,
    reference_parts,
    references,
    spelled,
    strong_by_library,
    unbound,
    without_readable_symbols,
)
from recipes.proof.demand import PLAIN, Demand, Want
from recipes.proof.grants import Grants
from recipes.proof.result import Proof
from recipes.proof.search import Loader, first_file
from recipes.rootfs.index import Index
from recipes.rootfs.loaderconf import LIBC_NAMES, is_library_name

_Pair = tuple[str, str]
_PRIVATE: Final = "GLIBC_PRIVATE"


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
        asked.append((*reference_parts(symbol), False, use))
    for name, library, node, weak, use in asked:
        if library:
            if library == soname:
                yield (name, node), use
            continue
        if soname in built_with:
            if built_with[soname].has(name, ""):
                yield (name, ""), use
        elif not weak and not any(exports.has(name, "") for exports in built_with.values()):
            # No library of the link has it and this one was never seen: it can only be meant to come from here.
            yield (name, ""), use


def demand_of(soname: str, users: Sequence[ElfFile], built_with: Mapping[str, Exports]) -> Demand:
    """Return all that files of ours ask of one library."""
    uses: dict[_Pair, set[str]] = {}
    for user in users:
        for pair, use in bound_to(user, soname, built_with):
            uses.setdefault(pair, set()).add(use)
    # Weak needs start with "?" and do not match: the loader forgives them.
    needs = {need.rpartition(":") for user in users for need in user.version_needs}
    return Demand(
        library=soname,
        wants={(name, node): Want.of(name, node, built_with.get(soname), uses[name, node]) for name, node in uses},
        nodes=tuple(sorted(node for library, _, node in needs if library == soname)),
        identities=tuple(dict.fromkeys(user.identity for user in users)),
    )


def private_names(symbols: Iterable[str], nodes: Iterable[str]) -> list[str]:
    """Return those of a proof's symbols and nodes that glibc promises to nobody: they hold for one build alone."""
    return [name for name in symbols if name.endswith(f"@{_PRIVATE}")] + [node for node in nodes if node == _PRIVATE]


def prove(
    soname: str,
    provider: str,
    board_copy: ElfFile,
    users: Iterable[ElfFile],
    built_with: Mapping[str, Exports],
    companions: Iterable[ElfFile] | None = None,
    *,
    libc: Libc = Libc.GLIBC,
) -> Proof:
    """Check every symbol that any of our files binds to a library against the board's copy of it, as `check` does."""
    users = list(users)
    return check_copy(demand_of(soname, users, built_with), provider, board_copy, companions, users, libc=libc)


def check_copy(
    demand: Demand,
    provider: str,
    board_copy: ElfFile,
    companions: Iterable[ElfFile] | None = None,
    users: Sequence[ElfFile] = (),
    lost: Iterable[str] = (),
    *,
    libc: Libc = Libc.GLIBC,
) -> Proof:
    """Check a board's copy of a library against what is asked of it.

    Parameters
    ----------
    companions:
        What the board's copy itself needs, all the way down (`closure`); without it nobody asks whether the copy itself
        loads. A versioned reference names the library that had the symbol when the file was linked; the loader takes
        the same name at the same node from any that is loaded: glibc 2.34 moved libpthread's symbols into libc so.
    users:
        Our files; the board's copy may call back into them.
    lost:
        What the board's copy needs and the board does not have.
    libc:
        Whose loader the board has. musl's and uClibc's know neither versions nor indirect functions.
    """
    needed, copy = list(companions or ()), exports_of(board_copy)
    beside = [exports_of(file) for file in needed]
    faults = _unlike(demand, board_copy, libc=libc)
    if companions is not None:
        faults += _unloadable(board_copy, needed, users, libc=libc)
    faults += [f"its own copy needs {name}, which is not there" for name in lost]
    missing, objects, differences = _symbols(demand, copy, beside, libc=libc)
    faults += differences
    if copy.nodes and libc is Libc.GLIBC:
        missing += [f"node {node}" for node in demand.nodes if node not in copy.nodes]
    return Proof(
        library=demand.library,
        provider=provider,
        build_id=board_copy.build_id,
        symbols=tuple(sorted(spelled(name, node) for name, node in demand.wants)),
        missing=tuple(missing),
        weaker=not copy.nodes,
        faults=tuple(faults),
        nodes=demand.nodes,
        objects=objects,
    )


def _unloadable(copy: ElfFile, needed: Sequence[ElfFile], users: Sequence[ElfFile], *, libc: Libc) -> list[str]:
    """Say why the board's loader would not load the board's copy, or might not."""
    faults, grants = _unmet([copy, *needed], users, libc=libc), Grants(libc, needed)
    faults += grants.refused(copy)
    strange = [name for file in (copy, *needed) for name in file.needed if not is_library_name(name)]
    faults += [f"it needs {name}: what else has such a name is not known" for name in strange]
    faults += [f"{file.soname or 'what it needs'}: {why}" for file in needed for why in grants.refused(file)]
    unseen = without_readable_symbols([copy, *needed], needed) if libc is Libc.UCLIBC else []
    return faults + [f"{file.soname}: the loader may not read its only table of symbols, GNU's" for file in unseen]


def _symbols(
    demand: Demand, copy: Exports, beside: Sequence[Exports], *, libc: Libc
) -> tuple[list[str], dict[str, tuple[str, str]], list[str]]:
    """Return what is missing, what of the rest is more than a function to call, and where it differs."""
    missing: list[str] = []
    objects: dict[str, tuple[str, str]] = {}
    differences: list[str] = []
    for (name, node), want in sorted(demand.wants.items()):
        moved = (exports for exports in beside if f"{name}@{node}" in exports.versioned)
        owner = next((exports for exports in (copy, *moved) if exports.serves(name, node, libc)), None)
        text = spelled(name, node)
        if owner is None:
            missing.append(text)
            continue
        has = owner.kind(name, node)
        if want != PLAIN or has[0] is not PLAIN.kind:
            objects[text] = (want.text(), ":".join(has))
        differences += want.differences(text, *has)
    return missing, objects, differences


def _unlike(demand: Demand, copy: ElfFile, *, libc: Libc) -> list[str]:
    """Say where the board's copy, as a file, is not the library that is asked for."""
    faults: list[str] = []
    if unfit := next((asks for asks in demand.identities if not compatible(copy.identity, asks)), None):
        faults.append(f"it is {copy.identity.describe()}, ours is {unfit.describe()}")
    # glibc loads neither ET_EXEC nor a program; its own libc.so.6 can be run, and has both names.
    if (copy.executable and not (copy.interpreter and copy.soname)) or not (copy.soname or copy.exports):
        faults.append("it is no shared library")
    if not copy.mappable:
        faults.append("its segments do not begin at pages: it cannot be mapped")
    if "no-copy" in copy.asks and any(want.copied or want.address for want in demand.wants.values()):
        faults.append("its data is to have no copies, and a program of ours has one")
    if not is_library_name(demand.library):
        faults.append("no library has such a name: what else has it, before this one, is not known")
    soname, nodes = demand.library, {node for _, node in demand.wants}
    by_node = bool(nodes) and "" not in nodes and bool(copy.version_defs)
    if copy.soname not in ("", soname) and not by_node and not soname.startswith(LIBC_NAMES[libc].answers):
        # Another name is another interface, but for old names that a library with version nodes goes on to serve.
        faults.append(f"it calls itself {copy.soname}")
    if libc is Libc.GLIBC and not (copy.version_defs or copy.version_needs) and nodes - {""}:
        # Without a table of versions glibc does not warn but stops: an assertion of check_match in elf/dl-lookup.c.
        faults.append("it has no symbol versions at all, and ours asks for some")
    return faults


def _unmet(files: Sequence[ElfFile], users: Sequence[ElfFile], *, libc: Libc) -> list[str]:
    """Say what the board's copy, and what it needs, would themselves not find: with LD_BIND_NOW=1 they do not start."""
    scope, hosts = [exports_of(file) for file in files], [exports_of(user) for user in users]
    by_name = {file.soname: file for file in files}
    faults = []
    for file in files:
        for name, node in _astray(file, by_name, scope, libc=libc):
            # A library may call back into whoever loads it: then each of them has to have it.
            if not (hosts and all(host.has(name, node, libc) for host in hosts)):
                faults.append(f"{file.soname or 'it'} itself finds no {spelled(name, node)}")
        for need in file.version_needs if libc is Libc.GLIBC else ():
            library, _, node = need.partition(":")
            owner = exports_of(by_name[library]) if library in by_name else None
            there = owner is not None and (node in owner.nodes if owner.nodes else owner.marked)
            if not there and not need.startswith("?"):
                faults.append(f"{file.soname or 'it'} itself finds no node {node} of {library}")
    return faults


def _astray(file: ElfFile, by_name: Mapping[str, ElfFile], scope: Sequence[Exports], *, libc: Libc) -> Iterator[_Pair]:
    """Yield what a file finds neither where it was when the file was linked nor in any other library of the process."""
    for library, pairs in strong_by_library(file).items():
        near = by_name.get(library)
        left = pairs if near is None else unbound(file, library, near, libc)
        for exports in scope:
            left = [pair for pair in left if not exports.has(*pair, libc)]
        yield from left


def library_closure(board: Index, path: str, copy: ElfFile, identity: Identity) -> tuple[dict[str, ElfFile], list[str]]:
    """Return what a library of the board needs, all the way down, by name, and what of it is not there.

    Found by the rules of the board's loader. Where some processors load another copy, that one must be alike, so that
    the proof is about both.
    """
    loader = Loader(board, identity)
    usual = loader.find(copy.soname, None)
    first = replace(usual, elf=copy) if usual is not None and usual.place == path else first_file(path, copy)
    closure: dict[str, ElfFile] = {}
    lost: list[str] = []
    several = [first]
    for step in loader.process([first]):
        if step.got is None:
            lost.append(step.name)
        elif step.name in closure:
            lost.append(f"one copy of {step.name} (another is {step.got.place})")
        else:
            closure[step.name] = step.got.elf
            several.append(step.got)
    if (itself := board.files.get(board.resolve(board.loader))) is not None:
        # In every process, and not always named; what they ask for says what the loader grants.
        closure.setdefault(posixpath.basename(board.loader), itself)
        for name in LIBC_NAMES[board.libc].files if board.libc is not None else ():
            if (found := board.find(name, identity)) is not None:
                closure.setdefault(name, found[1])
    unsure = {place for loaded in several for place, instead in loaded.instead if differ(instead, loaded.elf)}
    return closure, sorted(lost) + [f"one library for every processor ({place} differs)" for place in sorted(unsure)]
