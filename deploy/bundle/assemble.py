"""Stage and board to the contents of a Bundle: the files that travel, each with its origin and its licence."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path

from pydantic import ValidationError

from deploy.boards.board import Board
from deploy.boards.index import forget_index_before
from deploy.bundle.archive import Suffix, pack_archive
from deploy.bundle.audit import board_libraries, contradictions, decision_differences, unaccounted
from deploy.bundle.dpkg import package_owners, unlicensed
from deploy.bundle.load import Bundle, MadeOf, bundles_folder, needed_of
from deploy.bundle.manifest import (
    MANIFEST_NAME,
    SBOM_NAME,
    SIGNATURE_NAME,
    BundleFile,
    DecisionRow,
    LoaderSearch,
    Manifest,
    NamedRow,
    ProofRow,
)
from deploy.bundle.sbom import PACKAGES_FOLDER, licence_texts, make_sbom, source_recipes
from deploy.bundle.sign import sign_manifest, unsigned_signature
from deploy.bundle.streams import idle_programs, refuse_faulty_streams, service_rows, stream_contents, stream_plugins
from deploy.dedupe.abidiff import type_comparer
from deploy.dedupe.closure import close_loop, named_files
from deploy.dedupe.decision import DedupePlan
from deploy.dedupe.plan import plan_dedupe
from deploy.launch.arguments import probe_arguments
from deploy.launch.script import launch_script
from recipes.arch import Arch
from recipes.config import is_relative_path
from recipes.errors import ConfigError, ProofError
from recipes.files import file_sha256, write_whole
from recipes.proof.consistency import cache_disagreements
from recipes.rootfs.index import Index, scan_root
from recipes.rootfs.loaderconf import LD_CACHE
from recipes.rootfs.origin import Origin, OriginKind
from recipes.sources.lock import load_lock
from recipes.sources.recipe import load_catalogue
from recipes.stage.keys import signing_key
from recipes.stage.manifest import STAGE_MANIFEST, Stage, load_stage, stage_folder
from recipes.text import one_line
from recipes.toolchains.sysroots import Sysroot, known_sysroot
from recipes.toolchains.vendor import parse_arch


def decide_for_board(
    board: Board, staged: Stage, sysroot: Index, board_index: Index, i_know: str = "", *, types: bool = False
) -> tuple[DedupePlan, dict[str, dict[str, Origin]]]:
    """Make every decision for a board and close the loop over what would be written."""
    arch = parse_arch(board.file.arch)
    compare = type_comparer(staged, sysroot, board_index) if types else None
    preferences = replace(board.preferences(i_know), ranges=version_ranges(staged), types=compare)
    idle = idle_programs(board, staged)
    decided = plan_dedupe(staged, scan_root(staged.tree), sysroot, board_index, arch, preferences, idle=idle)
    names = {decision.library for decision in decided.decisions}
    stale = [line for line in cache_disagreements(board_index) if line.partition(":")[0] in names]
    files = {payload.path: payload.elf for payload in decided.payload}
    forgiven = {symbol for proof in decided.proofs if proof.overridden for symbol in proof.missing}
    closed = close_loop(files, board_index, arch, forgiven)
    named = (*named_files(closed, files, board_index, arch), *stream_plugins(board, board_index, arch))
    absent = [row.note for row in named if row.note]
    return replace(decided, notes=(*decided.notes, *stale, *absent), named=named), closed


def make_bundle(
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
    arch = parse_arch(board.file.arch)
    refuse_faulty_streams(board)
    sysroot = _sysroot(board, staged, arch)
    decided, providers = decide_for_board(board, staged, sysroot.index(), board_index, i_know, types=types)
    contents = _contents(board, staged, sysroot.tree, decided)
    if not contents:
        raise _empty(board, staged, arch)
    owned, texts = package_owners(sysroot, _copies(decided))
    decided = replace(decided, notes=(*decided.notes, *unlicensed(owned)))
    origins = dict(_origins(staged, decided))
    notices = _notices(staged) | {f"{PACKAGES_FOLDER}{name}": text for name, text in texts.items()}
    try:
        manifest = _manifest(board, staged, decided, providers, board_index).model_copy(update={"packages": owned})
        packed = pack_bundle(manifest, contents, origins=origins, notices=notices, suffix=suffix, write=write)
    except ValidationError as error:
        raise ProofError(
            "a name of the Stage or of the board is none that a bundle may have",
            where=board_index.source,
            why=one_line("; ".join(f"{fault['msg']}: {fault['input']!r}" for fault in error.errors()[:3])),
        ) from error
    if write:
        made = made_of(board, staged, board_index)
        write_whole(packed.path.with_name(f"{packed.id}.made.json"), made.model_dump_json(indent=1).encode())
        forget_index_before(board.name)
    return packed, decided


def _empty(board: Board, staged: Stage, arch: Arch) -> ConfigError:
    return ConfigError(
        f"the bundle of {board.name} would be empty",
        where=str(staged.folder),
        why=f"of {', '.join(recipe.name for recipe in staged.manifest.recipes) or 'no recipe'} nothing travels",
        next_step=f"name what the board gets in `recipes` of its file, then invoke build --arch {arch.name} "
        f"--board {board.name}",
    )


def made_of(board: Board, staged: Stage, board_index: Index) -> MadeOf:
    """Return the digests of what a bundle of this board is made of now."""
    return MadeOf(
        stage=file_sha256(staged.folder / STAGE_MANIFEST),
        board=board.digest,
        index=board_index.fingerprint,
    )


def _manifest(
    board: Board, staged: Stage, decided: DedupePlan, providers: dict[str, dict[str, Origin]], board_index: Index
) -> Manifest:
    arch = parse_arch(board.file.arch)
    manifest = Manifest(
        schema_=1,
        board=board.name,
        arch=arch.name,
        machines=arch.machine,
        root=board.file.root,
        keep=board.file.keep,
        number=board.file.number,
        stage_keys={recipe.name: recipe.key for recipe in staged.manifest.recipes},
        entries=tuple(sorted(providers)),
        files=(),
        decisions=tuple(DecisionRow.of(decision) for decision in decided.decisions),
        proofs=tuple(ProofRow.of(proof) for proof in decided.proofs),
        refused=tuple(ProofRow.of(proof) for proof in decided.refused),
        providers=providers,
        notes=decided.notes,
        loader=next((file.elf.interpreter for file in decided.payload if file.elf.interpreter), ""),
        search=_search(board_index),
        sources=source_recipes(staged.manifest, load_lock()),
        services=service_rows(board),
        named=tuple(NamedRow.of(row) for row in decided.named),
    )
    build_ids = {path: board_index.files[path].build_id for path in board_libraries(manifest).values()}
    return manifest.model_copy(update={"build_ids": build_ids})


def _copies(decided: DedupePlan) -> dict[str, str]:
    """Return which files of a bundle are copies from the sysroot, and from where in it."""
    return {file.path: file.origin.path for file in decided.payload if file.origin.kind is OriginKind.SYSROOT}


def version_ranges(staged: Stage) -> dict[str, str]:
    """Return the versions that the recipes of a Stage ask of their libraries, by SONAME."""
    known = load_catalogue()
    found: dict[str, str] = {}
    for recipe in staged.manifest.recipes:
        for need in known[recipe.name].depends if recipe.name in known else ():
            for library in known[need.name].libraries if need.range else ():
                found[library.soname] = ",".join(filter(None, [found.get(library.soname), need.range]))
    return found


def _search(board_index: Index) -> LoaderSearch:
    cached = board_index.digests([LD_CACHE])[LD_CACHE] if board_index.cache is not None else ""
    return LoaderSearch(loader=board_index.loader, directories=board_index.directories, cache=cached)


def _sysroot(board: Board, staged: Stage, arch: Arch) -> Sysroot:
    """Return the sysroot of a Stage; raises ConfigError where it is gone, or the Stage for another architecture."""
    if staged.manifest.arch != arch.name:
        raise ConfigError(f"the Stage is for {staged.manifest.arch}, board {board.name} is {arch.name}")
    sysroot = known_sysroot(staged.manifest.sysroot)
    if sysroot is None or sysroot.fingerprint != staged.manifest.sysroot_fingerprint:
        raise ConfigError(
            f"the sysroot {staged.manifest.sysroot} that this Stage was built against is gone",
            next_step=f"invoke build --arch {arch.name} --board {board.name}",
        )
    return sysroot


def _contents(board: Board, staged: Stage, sysroot: Path, decided: DedupePlan) -> dict[str, tuple[bytes, int]]:
    found: dict[str, tuple[bytes, int]] = {}
    for payload in decided.payload:
        tree = staged.tree if payload.origin.kind is OriginKind.STAGE else sysroot
        found[payload.path] = ((tree / payload.origin.path.lstrip("/")).read_bytes(), 0o755)
    for path in staged.manifest.data():
        found[path] = ((staged.tree / path).read_bytes(), 0o644)
    plugins = any(path.startswith("gstreamer-1.0/") for path in found)
    for path in [path for path in found if path.startswith("bin/")]:
        name = path.removeprefix("bin/")
        script = launch_script(
            title=f"{name} on {board.name}",
            program=path,
            arguments=probe_arguments(board, name),
            environment={},
            plugins=plugins,
        )
        found[f"run/{name}"] = (script, 0o755)
    return found | stream_contents(board, found, plugins=plugins)


def _origins(staged: Stage, decided: DedupePlan) -> Iterator[tuple[str, str]]:
    """Yield where each file of a bundle comes from; what Boardcast writes itself is not among them."""
    for payload in decided.payload:
        copied = Origin.sysroot(f"{staged.manifest.sysroot}:{payload.origin.path}")
        from_sysroot = payload.origin.kind is OriginKind.SYSROOT
        yield payload.path, copied if from_sysroot else _recipe_origin(staged, payload.path)
    for path in staged.manifest.data():
        yield path, _recipe_origin(staged, path)


def _recipe_origin(staged: Stage, path: str) -> str:
    owner = staged.owner(path)
    return f"recipe:{owner}" if owner else "stage"


def _notices(staged: Stage) -> dict[str, bytes]:
    """Return upstream's licence texts in a Stage by recipe; those whose path names no recipe go under `stage`."""
    found: dict[str, bytes] = {}
    for file in staged.manifest.files:
        folders, _, name = file.path.lower().rpartition("/")
        if not file.target and name.startswith(("license", "licence", "copying", "notice")):
            owner = next(
                (recipe.name for recipe in staged.manifest.recipes if recipe.name in folders.split("/")), "stage"
            )
            found[owner] = found.get(owner, b"") + (staged.tree / file.path).read_bytes() + b"\n"
    return found


def stage_for(board: Board) -> Stage:
    """Return the Stage that a board's bundle is made from.

    Raises
    ------
    ConfigError
        It was not built, or has fewer recipes than the board's file asks for.
    """
    where = stage_folder(board.file.arch, board.file.sysroot)
    if not (where / STAGE_MANIFEST).is_file():
        raise ConfigError(
            f"nothing was built for {board.name} yet",
            where=str(where),
            next_step=f"invoke build --arch {board.file.arch} --board {board.name}",
        )
    staged = load_stage(where)
    has = [recipe.name for recipe in staged.manifest.recipes]
    if lost := [name for name in board.recipes if name not in has]:
        raise ConfigError(
            f"the Stage has no {', '.join(lost)}, which {board.name} asks for",
            where=str(where),
            why=f"it holds {', '.join(has) or 'no recipe'}",
            next_step=f"invoke build --arch {board.file.arch} --board {board.name}",
        )
    return staged


def pack_bundle(
    manifest: Manifest,
    contents: Mapping[str, tuple[bytes, int]],
    *,
    origins: Mapping[str, str] | None = None,
    notices: Mapping[str, bytes] | None = None,
    suffix: Suffix = ".tar.zst",
    write: bool = True,
) -> Bundle:
    """Pack contents (path to bytes and mode) under a manifest, and sign it.

    The manifest's lists of files and licences and its bill of materials are made from the contents; where a file comes
    from is taken from `origins`, else from the manifest as it was.

    Raises
    ------
    ProofError
        A library that a file needs is neither bundled nor proved on the board.
    """
    texts = licence_texts(manifest, notices or {})
    own = {MANIFEST_NAME, SIGNATURE_NAME, SBOM_NAME, *texts}
    if odd := [path for path in contents if path in own or not is_relative_path(path)]:
        raise ConfigError(f"{odd[0]!r} cannot be the name of a file in a bundle")
    origins = {file.path: file.origin for file in manifest.files} if origins is None else origins
    files = tuple(
        BundleFile(
            path=path,
            sha256=hashlib.sha256(data).hexdigest(),
            size=len(data),
            mode=mode,
            origin=origins.get(path, ""),
            needed=needed_of(data),
        )
        for path, (data, mode) in sorted(contents.items())
    )
    digests = {name: hashlib.sha256(text).hexdigest() for name, text in texts.items()}
    manifest = manifest.model_copy(update={"files": files, "licences": digests, "sbom": ""})
    bill = make_sbom(manifest)
    manifest = manifest.model_copy(update={"sbom": hashlib.sha256(bill).hexdigest()})
    if faults := unaccounted(manifest, bill) + contradictions(manifest) + decision_differences(manifest):
        raise ProofError("this bundle could not account for all that is in it", why="\n       ".join(faults[:5]))
    data = manifest.canonical()
    signature = sign_manifest(data, signing_key()) if write else unsigned_signature()
    parts = {MANIFEST_NAME: data, SIGNATURE_NAME: signature, SBOM_NAME: bill, **texts}
    packed = pack_archive({**{name: (text, 0o644) for name, text in parts.items()}, **contents}, suffix)
    target = bundles_folder(manifest.board) / f"{manifest.identity}{suffix}"
    if write:
        write_whole(target, packed)
        write_whole(target.with_name("latest"), f"{manifest.identity}\n".encode())
    return Bundle(id=manifest.identity, path=target, manifest=manifest, packed=len(packed))
