"""Closing the loop: who provides every library of a written bundle, found as the board's loader will find it. Pure."""

from __future__ import annotations

from collections.abc import Collection, Mapping

from deploy.dedupe.byname import UNWINDER, OpenedByName, opened_by_name, wants_unwinder
from recipes.arch import Arch, Libc
from recipes.elf import ElfFile
from recipes.errors import ProofError
from recipes.proof.binding import differ, exports_of, references, without_readable_symbols
from recipes.proof.search import LoadedFile, Loader, first_file
from recipes.rootfs.index import Index
from recipes.rootfs.origin import Origin

_UNWINDER_HERE = f"lib/{UNWINDER}"


def providers_of(entry: str, bundle: Mapping[str, ElfFile], board: Index, arch: Arch) -> dict[str, Origin]:
    """Return SONAME to provider for the whole closure of one program: a file of the bundle, or one of the board.

    They are found by the rules of its loader (`recipes.proof.search`).

    Raises
    ------
    ProofError
        A library would not be found; names the file that needs it and the folders that were tried.
    """
    return {name: library.place for name, library in _loaded(entry, bundle, board, arch).items()}


def board_loader(bundle: Mapping[str, ElfFile], board: Index, arch: Arch) -> Loader:
    """Return the board's loader, which finds the files of a bundle too."""
    return Loader(board, arch.identity, more={Origin.bundle(path): file for path, file in bundle.items()})


def _loaded(entry: str, bundle: Mapping[str, ElfFile], board: Index, arch: Arch) -> dict[str, LoadedFile]:
    roots = [first_file(Origin.bundle(entry), bundle[entry])]
    found = _steps(entry, roots, bundle, board, arch)
    if UNWINDER in found or board.find(UNWINDER, arch.identity) is not None:
        return found
    ours = [bundle[entry], *(library.elf for library in found.values() if library.place.ours)]
    asker = next((name for file in ours if (name := wants_unwinder(file, board.libc))), "")
    if not asker:
        return found
    if _UNWINDER_HERE not in bundle or _is_plugin(entry):
        raise ProofError(
            f"{UNWINDER} would not be found on the board",
            where=entry,
            why=f"it calls {asker}, for which the C library opens {UNWINDER} by name and without it ends the program",
            next_step=f"bring {UNWINDER} to the board (Debian: libgcc-s1), or link it: -Wl,--no-as-needed -lgcc_s",
        )
    # The launch script names it to the loader, so it is there before it is asked for.
    unwinder = first_file(Origin.bundle(_UNWINDER_HERE), bundle[_UNWINDER_HERE])
    return _steps(entry, [*roots, unwinder], bundle, board, arch) | {UNWINDER: unwinder}


def _is_plugin(entry: str) -> bool:
    return entry.startswith("gstreamer-1.0/")


def process_files(
    entry: str, providers: Mapping[str, Origin], bundle: Mapping[str, ElfFile], board: Index
) -> dict[Origin, ElfFile]:
    """Return every file of the process of an entry, by its place."""
    found = {Origin.bundle(entry): bundle[entry]}
    for place in providers.values():
        found[place] = bundle[place.path] if place.ours else board.files[place]
    return found


def named_files(
    closed: Mapping[str, Mapping[str, Origin]], bundle: Mapping[str, ElfFile], board: Index, arch: Arch
) -> tuple[OpenedByName, ...]:
    """Return what the processes of a bundle open by name, beside what is needed; the first that asks is named."""
    found: dict[str, OpenedByName] = {}
    for entry, providers in sorted(closed.items()):
        process = process_files(entry, providers, bundle, board)
        for row in opened_by_name(process, board, arch):
            found.setdefault(row.name, row)
    return tuple(found[name] for name in sorted(found))


def _refuse_without_loader(entry: str, file: ElfFile, board: Index, arch: Arch) -> None:
    """Raise where the kernel would not find the loader that a program names, which it reports as the program's own."""
    if not file.interpreter:
        return
    place = board.resolve(file.interpreter)
    there = board.files.get(place)
    if there is not None and arch.matches(there.identity):
        return
    why = f"the board's loader is {board.loader}" if board.loader else "nothing that is known of the board is a loader"
    if there is not None:
        why = f"what is there is {there.identity.describe()}"
    elif place in board.damaged:
        why = f"what is there cannot be used: {board.damaged[place]}"
    raise ProofError(
        f"{entry} would not start: the board has no {file.interpreter}",
        where=entry,
        why=why,
        next_step="build against the C library of the board: name its toolchain or its suite in `sysroot` of its file",
    )


def _steps(
    entry: str, roots: list[LoadedFile], bundle: Mapping[str, ElfFile], board: Index, arch: Arch
) -> dict[str, LoadedFile]:
    found: dict[str, LoadedFile] = {}
    for step in board_loader(bundle, board, arch).process(roots):
        if step.got is None:
            cure = "build the library that needs it from source: then it knows where its neighbours are"
            if not board.expands:
                cure = "a firmware with uClibc-ng: this uClibc knows no $ORIGIN, by which all of ours find theirs"
            raise ProofError(
                f"{step.name} would not be found on the board",
                where=step.by.place,
                why=f"folders tried: {', '.join(step.tried)}",
                next_step=cure,
            )
        first = found.setdefault(step.name, step.got)
        if first is not step.got:
            raise ProofError(
                f"two copies of {step.name} would meet in one process",
                where=entry,
                why=f"{first.place} for {first.by.place if first.by else entry}, {step.got.place} for {step.by.place}",
                next_step=f"take {step.name} from the board, or build all that need it from source",
            )
    return found


def unresolved_symbols(
    entry: str, found: Mapping[str, Origin], bundle: Mapping[str, ElfFile], board: Index
) -> list[str]:
    """Return every strong reference of a travelling file that nothing in its process would satisfy.

    The whole process is searched, as `LD_BIND_NOW=1` would: a file may bind to a library that it does not name itself.
    """
    libc = board.libc or Libc.GLIBC
    travelling = {entry: bundle[entry]}
    scope = [exports_of(bundle[entry])]
    for provider in found.values():
        if provider.ours:
            travelling[provider.path] = bundle[provider.path]
            scope.append(exports_of(bundle[provider.path]))
        else:
            scope.append(exports_of(board.files[provider]))
    missing = []
    for path, file in sorted(travelling.items()):
        for name, _, node, weak in references(file):
            if not weak and not any(exports.has(name, node, libc) for exports in scope):
                missing.append(f"{name}{'@' + node if node else ''}, needed by {path}")
    return missing


def close_loop(
    bundle: Mapping[str, ElfFile], board: Index, arch: Arch, forgiven: Collection[str] = ()
) -> dict[str, dict[str, Origin]]:
    """Close the loop over a bundle: return each program's providers; `forgiven` symbols may be missing.

    Raises
    ------
    ProofError
        A library or a symbol would not be found on the board.
    """
    closed: dict[str, dict[str, Origin]] = {}
    for entry, file in bundle.items():
        if file.soname and not _is_plugin(entry):
            continue
        _refuse_without_loader(entry, file, board, arch)
        loaded = _loaded(entry, bundle, board, arch)
        closed[entry] = {name: library.place for name, library in loaded.items()}
        missing = unresolved_symbols(entry, closed[entry], bundle, board)
        for name, place, copy in _others(loaded):
            missing += unresolved_symbols(entry, closed[entry] | {name: place}, bundle, board)
            missing += [f"{need}, needed by {place}" for need in copy.needed if need not in loaded]
        if board.libc is Libc.UCLIBC:
            process = [file, *(library.elf for library in loaded.values())]
            unreadable = [library.soname or entry for library in without_readable_symbols(process, process)]
            missing += [f"every symbol of {name}, it has only GNU's table" for name in unreadable]
        if missing := [line for line in missing if line.partition(", needed by ")[0] not in forgiven]:
            raise ProofError(
                f"{entry} would stop on the board: {missing[0]}",
                why=f"{len(missing)} symbols that no library of the process would have" if len(missing) > 1 else "",
                next_step="build the library that has it from source: set its policy to source in the board's file",
            )
    return closed


def _others(loaded: Mapping[str, LoadedFile]) -> list[tuple[str, Origin, ElfFile]]:
    """Return the copies that may be loaded instead, by some processors or by a loader built otherwise, and differ."""
    return [
        (name, place, copy)
        for name, library in loaded.items()
        for place, copy in library.instead
        if differ(copy, library.elf)
    ]
