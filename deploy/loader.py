"""Closing the loop: who provides every library of a written bundle, found as the board's loader will find it. Pure."""

from __future__ import annotations

import posixpath
from collections.abc import Mapping

from recipes.arch import Arch
from recipes.elf import ElfFile
from recipes.elfindex import Index
from recipes.errors import ProofError


def providers(entry: str, bundle: Mapping[str, ElfFile], board: Index, arch: Arch) -> dict[str, str]:
    """Return SONAME to provider for the whole closure of one program.

    A provider is `bundle:PATH` or a path of the board. Breadth first, as glibc loads: a name that is loaded already is
    not searched again, and the RUNPATH of a file serves its own needs only.

    Raises
    ------
    ProofError
        A library would not be found; names the file that needs it and the folders that were tried.
    """
    found: dict[str, str] = {}
    queue: list[tuple[str, ElfFile]] = [(f"bundle:{entry}", bundle[entry])]
    while queue:
        place, file = queue.pop(0)
        for name in file.needed:
            if name in found:
                continue
            tried: list[str] = []
            provider, library = _search(name, place, file, bundle, board, arch, tried)
            if provider is None or library is None:
                raise ProofError(
                    f"{name} would not be found on the board",
                    where=place,
                    why=f"folders tried: {', '.join(tried)}",
                    next_step="build the library that needs it from source: then it knows where its neighbours are",
                )
            found[name] = provider
            queue.append((provider, library))
    return found


def _search(
    name: str,
    place: str,
    file: ElfFile,
    bundle: Mapping[str, ElfFile],
    board: Index,
    arch: Arch,
    tried: list[str],
) -> tuple[str | None, ElfFile | None]:
    if place.startswith("bundle:"):
        origin = posixpath.dirname(place.removeprefix("bundle:"))
        for entry in file.runpath or file.rpath:
            folder = posixpath.normpath(entry.replace("${ORIGIN}", "$ORIGIN").replace("$ORIGIN", origin))
            tried.append(f"bundle:{folder}")
            path = posixpath.join(folder, name)
            if path in bundle and arch.matches(bundle[path].identity):
                return f"bundle:{path}", bundle[path]
    tried += board.directories
    in_board = board.find(name, arch.identity)
    return in_board or (None, None)
