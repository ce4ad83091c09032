"""The other direction: nothing that travels may hide a library from the board's own code in the same process. Pure.

A process of ours is its program, our plugins, whatever GStreamer plugin of the board a pipeline may name, and what the
programs load by name. Two versions of one library family among them, or one of ours in the place of the board's that
cannot serve its users, end in wrong data or a crash far from the cause, so both are found before anything travels.
"""

from __future__ import annotations

import posixpath
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from deploy.dedupe.closure import board_loader
from deploy.dedupe.preferences import library_stem
from recipes.arch import Arch, Libc
from recipes.elf import ElfFile
from recipes.errors import ProofError
from recipes.proof.binding import Exports, exports_of
from recipes.proof.prove import prove
from recipes.proof.search import first_file
from recipes.rootfs.index import Index
from recipes.rootfs.origin import Origin

PLUGINS_FOLDER = "gstreamer-1.0/"
_GSTREAMER = "libgstreamer-1.0.so.0"


@dataclass(frozen=True, slots=True, kw_only=True)
class ProcessLibrary:
    """One library of a process, and by what chain of needs it got there."""

    place: Origin
    elf: ElfFile
    chain: tuple[str, ...]

    @property
    def ours(self) -> bool:
        return self.place.ours

    def describe(self) -> str:
        return f"{' → '.join(self.chain)} ({self.place})"


def process_libraries(
    roots: Sequence[tuple[Origin, ElfFile]], bundle: Mapping[str, ElfFile], board: Index, arch: Arch
) -> dict[str, ProcessLibrary]:
    """Return what a process loads, breadth first as the loader does: SONAME to library, and the roots by their place.

    What is not found is left out: that is for `deploy.dedupe.closure.close_loop`; here only what meets matters.
    """
    found: dict[str, ProcessLibrary] = {
        place: ProcessLibrary(place=place, elf=file, chain=(posixpath.basename(place),)) for place, file in roots
    }
    chains = {library.place: library.chain for library in found.values()}
    for step in board_loader(bundle, board, arch).process([first_file(place, file) for place, file in roots]):
        if step.got is not None:
            chain = (*chains[step.by.place], step.name)
            chains.setdefault(step.got.place, chain)
            # uClibc's loader may have two copies of one name; the second is called by its place.
            second_copy = step.name in found and found[step.name].place != step.got.place
            found[step.got.place if second_copy else step.name] = ProcessLibrary(
                place=step.got.place, elf=step.got.elf, chain=chain
            )
    return found


def board_processes(
    bundle: Mapping[str, ElfFile], board: Index, arch: Arch, loaded_by_name: Iterable[str] = ()
) -> Iterator[tuple[str, dict[str, ProcessLibrary]]]:
    """Yield each program of a bundle, and one pipeline that may name any plugin, with all that they may load."""
    ours = [(Origin.bundle(path), file) for path, file in bundle.items() if path.startswith(PLUGINS_FOLDER)]
    theirs = [
        (Origin(path), file)
        for path, file in board.files.items()
        if "/gstreamer-1.0/" in path and path.endswith(".so") and arch.matches(file.identity)
    ]
    by_name = [
        (Origin(found[0]), found[1])
        for name in loaded_by_name
        if (found := board.find(name, arch.identity)) is not None
    ]
    # What any pipeline may load is the same for all programs, and the largest part: worked out once.
    shared = process_libraries([*by_name, *ours, *theirs], bundle, board, arch)
    if ours:
        yield "a pipeline with " + posixpath.basename(ours[0][0]), shared
    for path, file in bundle.items():
        if file.soname or path.startswith(PLUGINS_FOLDER):
            continue
        alone = process_libraries([(Origin.bundle(path), file)], bundle, board, arch)
        # A program without GStreamer loads no plugin, unless it looks for GStreamer by name.
        pipelines = _GSTREAMER in alone or _GSTREAMER in set(loaded_by_name)
        yield path, {**shared, **alone} if pipelines else alone


def check_shadowing(
    bundle: Mapping[str, ElfFile], board: Index, arch: Arch, loaded_by_name: Iterable[str] = ()
) -> None:
    """Check every process against both rules.

    Raises
    ------
    ProofError
        Two versions of one library would be in one process (both chains are printed), or ours would hide the board's
        from something that ours cannot serve (the symbol is named).
    """
    names = tuple(loaded_by_name)
    done: set[frozenset[str]] = set()
    for entry, loaded in board_processes(bundle, board, arch, names):
        travelling = {name: library for name, library in loaded.items() if library.ours}
        _two_versions(entry, loaded, travelling)
        seen = frozenset(library.place for library in loaded.values())
        if seen not in done:
            done.add(seen)
            _hidden(loaded, travelling, board, arch)


def _two_versions(entry: str, loaded: Mapping[str, ProcessLibrary], travelling: Mapping[str, ProcessLibrary]) -> None:
    families: dict[str, list[str]] = {}
    for name in loaded:
        families.setdefault(library_stem(posixpath.basename(name)), []).append(name)
    for soname, ours in travelling.items():
        for name in families[library_stem(posixpath.basename(soname))]:
            neighbour = loaded[name]
            if name != soname:
                raise ProofError(
                    f"{soname} and {name} would meet in one process",
                    where=entry,
                    why=f"{ours.describe()}\n       {neighbour.describe()}",
                    next_step=f"let both come from one side: policy board or source for what brings {soname}",
                )


def _hidden(
    loaded: Mapping[str, ProcessLibrary], travelling: Mapping[str, ProcessLibrary], board: Index, arch: Arch
) -> None:
    """Check each of our libraries against what the board's code in the same process binds to that name."""
    exports: dict[str, Exports] = {}
    board_users: dict[str, list[ProcessLibrary]] = {}
    for library in loaded.values():
        for name in () if library.ours else library.elf.needed:
            board_users.setdefault(name, []).append(library)
    for soname, ours in travelling.items():
        users = board_users.get(soname, [])
        if not users:
            continue
        for name in {name for user in users for name in user.elf.needed}:
            copy = board.find(name, arch.identity)
            if name not in exports and copy is not None:
                exports[name] = exports_of(copy[1])
        proof = prove(
            soname, ours.place, ours.elf, [user.elf for user in users], exports, libc=board.libc or Libc.GLIBC
        )
        if not proof.holds:
            first = users[0]
            raise ProofError(
                f"{soname}: ours would hide the board's from {first.elf.soname or first.place}",
                why=f"ours lacks {', '.join(proof.missing[:2])}\n       {ours.describe()}\n       {first.describe()}",
                next_step=f"take {soname} from the board, or build its users from source",
            )
