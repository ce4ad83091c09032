"""Our verdict on a pair, from the ELF facts of the files as they were built, beside that of the loader."""

from __future__ import annotations

import functools
from dataclasses import dataclass
from pathlib import Path

from recipes import elf
from recipes.arch import Libc
from recipes.elf import ElfError, ElfFile
from recipes.proof.binding import Exports
from recipes.proof.prove import library_closure, prove
from recipes.rootfs.index import Index
from recipes.rootfs.loaderconf import libc_of
from tests.corpus.targets import Batch, Target
from tests.support.corpus import OURS, SONAME, Pair


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """What the loader and we said of one pair."""

    target: str
    pair: str
    works: bool
    possible: bool
    dropped: bool
    why: str

    @property
    def wrong(self) -> bool:
        return self.dropped and not self.works

    @property
    def missed(self) -> bool:
        return self.possible and self.works and not self.dropped


@functools.lru_cache(maxsize=4096)
def _facts(data: bytes) -> ElfFile | None:
    try:
        return elf.parse(data)
    except ElfError:
        return None


def judge(target: Target, pair: Pair, batch: Batch) -> Outcome:
    """Decide as the dedupe does, and look up how the program ended."""
    code, said = batch.status[pair.name]
    dropped, why = _ours(target, pair, batch)
    return Outcome(
        target=target.name,
        pair=pair.name,
        works=code == 0,
        possible=pair.possible,
        dropped=dropped,
        why=f"exit status {code}, {said.strip() or 'silent'}; ours: {why}",
    )


def _ours(target: Target, pair: Pair, batch: Batch) -> tuple[bool, str]:
    here = f"pairs/{pair.name}"
    kept = {place: _certain(batch.files[f"{here}/{place}"]) for place in pair.kept}
    board, identity = _index(target, batch, here, pair), kept["program"].identity
    found = board.find(SONAME, identity)
    if found is None:
        return False, "no such library on the board"
    path, copy = found
    needed, lost = library_closure(board, path, copy, identity)
    linked = {file.soname: file for file in (*kept.values(), _certain(batch.files[f"{here}/{OURS}"])) if file.soname}
    users = [file for file in kept.values() if SONAME in file.needed]
    built_with = {}
    for name in dict.fromkeys(name for user in users for name in user.needed):
        on_board = board.find(name, identity)
        if name in linked or on_board is not None:
            built_with[name] = Exports(linked[name] if name in linked or on_board is None else on_board[1])
    shown = prove(SONAME, path, copy, users, built_with, needed.values(), libc=target.traits.libc)
    against = [*shown.missing, *shown.faults, *(f"needs {name}" for name in lost)]
    return not against, "; ".join(against) or "serves"


def _certain(data: bytes) -> ElfFile:
    found = _facts(data)
    assert found is not None, "a file that the compiler made is not readable"
    return found


def _index(target: Target, batch: Batch, here: str, pair: Pair) -> Index:
    """Return the pair's folder as the root of a board, with the C library of its target in it."""
    files: dict[str, ElfFile] = {}
    places = [(f"{here}/", "/"), ("system/", "/usr/lib/")]
    for below, above in places:
        for path, data in batch.files.items():
            if path.startswith(below) and path.removeprefix(below) not in (OURS, *pair.kept):
                found = _facts(data)
                if found is not None:
                    files[above + path.removeprefix(below)] = found
    links = {path.removeprefix(here): target for path, target in batch.links.items() if path.startswith(f"{here}/")}
    loader = next((path for path in sorted(files) if libc_of(path) is target.traits.libc), "")
    if target.traits.libc is Libc.MUSL:
        loader = "/usr/lib/ld-musl-corpus.so.1"
        links[loader] = "libc.so"
    elif target.traits.libc is Libc.UCLIBC:
        loader = "/usr/lib/" + Path(target.loader).name
    return Index(source="corpus", files=files, links=links, directories=("/lib", "/usr/lib"), loader=loader)
