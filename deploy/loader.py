"""Closing the loop: who provides every library of a written bundle, found as the board's loader will find it. Pure."""

from __future__ import annotations

import posixpath
from collections.abc import Mapping

from deploy.proof import Exports, references
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
            provider, library = search(name, place, file, bundle, board, arch, tried)
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


def search(
    name: str,
    place: str,
    file: ElfFile,
    bundle: Mapping[str, ElfFile],
    board: Index,
    arch: Arch,
    tried: list[str],
) -> tuple[str | None, ElfFile | None]:
    """Find one library as the board's loader would for a file at `place`; the folders it looks into go to `tried`."""
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


def unresolved(entry: str, found: Mapping[str, str], bundle: Mapping[str, ElfFile], board: Index) -> list[str]:
    """Return every strong reference of a travelling file that nothing in its process would satisfy.

    The whole process is searched, as `LD_BIND_NOW=1` would: a file may bind to a library that it does not name itself.
    """
    travelling = {entry: bundle[entry]}
    scope = [Exports(bundle[entry])]
    for provider in found.values():
        if provider.startswith("bundle:"):
            path = provider.removeprefix("bundle:")
            travelling[path] = bundle[path]
            scope.append(Exports(bundle[path]))
        else:
            scope.append(Exports(board.files[provider]))
    missing = []
    for path, file in sorted(travelling.items()):
        for name, _, node, weak in references(file):
            if not weak and not any(exports.has(name, node) for exports in scope):
                missing.append(f"{name}{'@' + node if node else ''}, needed by {path}")
    return missing


def close(bundle: Mapping[str, ElfFile], board: Index, arch: Arch) -> dict[str, dict[str, str]]:
    """Close the loop over a bundle: return each program's providers.

    Raises
    ------
    ProofError
        A library or a symbol would not be found on the board.
    """
    closed: dict[str, dict[str, str]] = {}
    for entry, file in bundle.items():
        if file.soname and not entry.startswith("gstreamer-1.0/"):
            continue
        closed[entry] = providers(entry, bundle, board, arch)
        if missing := unresolved(entry, closed[entry], bundle, board):
            raise ProofError(
                f"{entry} would stop on the board: {missing[0]}",
                why=f"{len(missing)} symbols that no library of the process would have" if len(missing) > 1 else "",
                next_step="build the library that has it from source: set its policy to source in the board's file",
            )
    return closed
