"""Stage and board to the contents of a Bundle: the files that travel, each with its origin and its licence."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

from deploy import account, bundle, loader, packages, render, sbom, typecheck
from deploy.archive import Manifest, Search, Suffix
from deploy.board import Board
from deploy.bundle import Bundle
from deploy.decision import DedupePlan
from deploy.dedupe import plan
from recipes import elfindex, indexfile, indexstore, loadercheck, lock, paths, roots, stage
from recipes import recipe as recipes
from recipes.arch import Arch
from recipes.elfindex import Index
from recipes.errors import ConfigError
from recipes.loaderconf import CACHE
from recipes.stage import Stage


def decide(
    board: Board, staged: Stage, sysroot: Index, board_index: Index, i_know: str = "", *, types: bool = False
) -> tuple[DedupePlan, dict[str, dict[str, str]]]:
    """Make every decision for a board and close the loop over what would be written."""
    arch = Arch.parse(board.file.arch)
    compare = typecheck.comparer(staged, sysroot, board_index) if types else None
    policies = replace(board.policies(i_know), ranges=ranges(staged), types=compare)
    decided = plan(staged, elfindex.scan(staged.tree), sysroot, board_index, arch, policies)
    names = {one.library for one in decided.decisions}
    stale = [line for line in loadercheck.disagreements(board_index) if line.partition(":")[0] in names]
    decided = replace(decided, notes=(*decided.notes, *stale))
    files = {payload.path: payload.elf for payload in decided.payload}
    forgiven = {symbol for proof in decided.proofs if proof.overridden for symbol in proof.missing}
    return decided, loader.close(files, board_index, arch, forgiven)


def make(
    board: Board,
    staged: Stage,
    board_index: Index,
    *,
    write: bool = True,
    suffix: Suffix = ".tar.zst",
    i_know: str = "",
    types: bool = False,
) -> tuple[Bundle, DedupePlan]:
    """Make the bundle of a board from a Stage; without `write` nothing is written, and no key is asked for.

    Parameters
    ----------
    i_know:
        A reason to use a board's copy whose proof fails, where a rule of the board allows no other.
    types:
        Also compare the types of each library with libabigail: seconds each, and only with debug information.

    Raises
    ------
    ProofError
        The board cannot run what was built.
    ConfigError
        The Stage is for another architecture, or its sysroot is gone.
    """
    arch = Arch.parse(board.file.arch)
    sysroot = _sysroot(board, staged, arch)
    decided, providers = decide(board, staged, sysroot.index(), board_index, i_know, types=types)
    contents = _contents(board, staged, sysroot.tree, decided)
    owned, texts = packages.owners(sysroot, _copies(decided))
    decided = replace(decided, notes=(*decided.notes, *packages.unlicensed(owned)))
    manifest = _manifest(board, staged, decided, providers, board_index).model_copy(update={"packages": owned})
    origins = dict(_origins(staged, decided))
    notices = _notices(staged) | {f"{sbom.PACKAGES}{name}": text for name, text in texts.items()}
    packed = bundle.pack(manifest, contents, origins=origins, notices=notices, suffix=suffix, write=write)
    return packed, decided


def _manifest(
    board: Board, staged: Stage, decided: DedupePlan, providers: dict[str, dict[str, str]], board_index: Index
) -> Manifest:
    arch = Arch.parse(board.file.arch)
    manifest = Manifest(
        schema_=1,
        board=board.name,
        arch=arch.name,
        machines=arch.machine,
        root=board.file.root,
        keep=board.file.keep,
        stage_keys={one.name: one.key for one in staged.manifest.recipes},
        entries=tuple(sorted(providers)),
        files=(),
        decisions=tuple(one.as_dict() for one in decided.decisions),
        proofs=tuple(one.as_dict() for one in decided.proofs),
        refused=tuple(one.as_dict() for one in decided.refused),
        providers=providers,
        notes=decided.notes,
        loader=next((one.elf.interpreter for one in decided.payload if one.elf.interpreter), ""),
        search=_search(board_index),
        sources=sbom.sources(staged.manifest, lock.load()),
    )
    theirs = {path: board_index.files[path].build_id for path in account.from_board(manifest).values()}
    return manifest.model_copy(update={"build_ids": theirs})


def _copies(decided: DedupePlan) -> dict[str, str]:
    """Return which files of a bundle are copies from the sysroot, and from where in it."""
    parts = ((one.path, one.origin.partition(":")) for one in decided.payload)
    return {path: place for path, (kind, _, place) in parts if kind == "sysroot"}


def ranges(staged: Stage) -> dict[str, str]:
    """Return the versions that the recipes of a Stage ask of their libraries, by SONAME."""
    known = recipes.catalogue()
    found: dict[str, str] = {}
    for recipe in staged.manifest.recipes:
        for need in known[recipe.name].depends if recipe.name in known else ():
            for library in known[need.name].libraries if need.range else ():
                found[library.soname] = ",".join(filter(None, [found.get(library.soname), need.range]))
    return found


def _search(board_index: Index) -> Search:
    cached = board_index.digests([CACHE])[CACHE] if board_index.cache is not None else ""
    return Search(loader=board_index.loader, directories=board_index.directories, cache=cached)


def _sysroot(board: Board, staged: Stage, arch: Arch) -> roots.Sysroot:
    """Return the sysroot of a Stage; raises ConfigError where it is gone, or the Stage for another architecture."""
    if staged.manifest.arch != arch.name:
        raise ConfigError(f"the Stage is for {staged.manifest.arch}, board {board.name} is {arch.name}")
    sysroot = roots.known_sysroot(staged.manifest.sysroot)
    if sysroot is None or sysroot.fingerprint != staged.manifest.sysroot_fingerprint:
        raise ConfigError(
            f"the sysroot {staged.manifest.sysroot} that this Stage was built against is gone",
            next_step=f"invoke build --arch {arch.name} --board {board.name}",
        )
    return sysroot


def _contents(board: Board, staged: Stage, sysroot: Path, decided: DedupePlan) -> dict[str, tuple[bytes, int]]:
    found: dict[str, tuple[bytes, int]] = {}
    for payload in decided.payload:
        kind, _, place = payload.origin.partition(":")
        tree = staged.tree if kind == "stage" else sysroot
        found[payload.path] = ((tree / place.lstrip("/")).read_bytes(), 0o755)
    for path in staged.manifest.data():
        found[path] = ((staged.tree / path).read_bytes(), 0o644)
    plugins = any(path.startswith("gstreamer-1.0/") for path in found)
    for path in [path for path in found if path.startswith("bin/")]:
        name = path.removeprefix("bin/")
        script = render.launch_script(
            title=f"{name} on {board.name}",
            program=path,
            arguments=_arguments(board, name),
            environment={},
            plugins=plugins,
        )
        found[f"run/{name}"] = (script, 0o755)
    return found


def _arguments(board: Board, program: str) -> list[str]:
    """Return the words that a board's file gives one of the programs."""
    if program != "boardprobe":
        return []
    probe = board.file.probe
    words = [word for name in probe.elements for word in ("--element", name)]
    for option, value in (("--ca-file", probe.ca_file), ("--https", probe.https), ("--wss", probe.wss)):
        words += [option, value] if value else []
    return words


def _origins(staged: Stage, decided: DedupePlan) -> Iterator[tuple[str, str]]:
    """Yield where each file of a bundle comes from; what Boardcast writes itself is not among them."""
    for payload in decided.payload:
        kind, _, place = payload.origin.partition(":")
        copied = f"sysroot:{staged.manifest.sysroot}:{place}"
        yield payload.path, copied if kind == "sysroot" else _recipe(staged, payload.path)
    for path in staged.manifest.data():
        yield path, _recipe(staged, path)


def _recipe(staged: Stage, path: str) -> str:
    owner = staged.owner(path)
    return f"recipe:{owner}" if owner else "stage"


def _notices(staged: Stage) -> dict[str, bytes]:
    """Return upstream's licence texts in a Stage by recipe; those whose path names no recipe go under `stage`."""
    found: dict[str, bytes] = {}
    for file in staged.manifest.files:
        folders, _, name = file.path.lower().rpartition("/")
        if not file.target and name.startswith(("license", "licence", "copying", "notice")):
            owner = next((one.name for one in staged.manifest.recipes if one.name in folders.split("/")), "stage")
            found[owner] = found.get(owner, b"") + (staged.tree / file.path).read_bytes() + b"\n"
    return found


def same_machine(board: Board, index: Index) -> Index:
    """Return an index that is one for this board; raises ConfigError where its loader is for another machine."""
    arch = Arch.parse(board.file.arch)
    place = index.resolve(index.loader)
    loader = index.files.get(place)
    if loader is not None and arch.matches(loader.identity):
        return index
    has = f"its loader {place} is {loader.identity.describe()}" if loader else "it has no dynamic loader"
    raise ConfigError(
        f"the root is not one for {board.name}",
        where=index.source,
        why=f"{board.name} is {arch.name} ({arch.identity.describe()}); {has}",
        next_step="is it the right root, and `arch` in the board's file the right one?",
    )


def board_index(board: Board) -> Index:
    """Return what a board has: its captured index or root, or the root of the simulated board of this name.

    Raises
    ------
    ConfigError
        Nothing was captured yet, or it was captured of another board.
    """
    here = paths.BOARDS / board.name
    if (here / indexfile.NAME).is_file():
        index = indexfile.read(here)
        if index.of != board.name:
            raise ConfigError(
                f"the index is of {index.of}, not of {board.name}",
                where=index.source,
                next_step=f"invoke sysroot.pull --host HOST, or invoke sysroot.index ROOT --board {board.name}",
            )
        return same_machine(board, index)
    captured = here / "root.tar"
    if captured.is_file():
        return same_machine(board, indexstore.load(captured))
    sim = board.file.sim
    if sim is not None:
        parts = [board.file.arch, sim.suite, sim.mode, *sim.packages]
        tar = roots.board_root_tar(board.name, parts, sim.scripts)
        if tar.is_file():
            return indexstore.load(tar, key=tar.stem)
    raise ConfigError(
        f"nothing is known of what {board.name} has",
        where=str(captured),
        next_step=f"invoke sim up --host {board.name}" if sim else "invoke sysroot.pull --host HOST",
    )


def stage_for(board: Board) -> Stage:
    """Return the Stage that a board's bundle is made from; raises ConfigError where it was not built."""
    where = stage.folder(board.file.arch, board.file.sysroot)
    if not (where / stage.MANIFEST).is_file():
        raise ConfigError(
            f"nothing was built for {board.name} yet",
            where=str(where),
            next_step=f"invoke build --arch {board.file.arch} --board {board.name}",
        )
    return stage.load(where)
