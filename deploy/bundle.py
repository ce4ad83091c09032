"""Stage and board to a Bundle: the files that travel, why, and one deterministic archive named by its content."""

from __future__ import annotations

import gzip
import hashlib
import io
import json
import tarfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from deploy import loader, render
from deploy.board import Board
from deploy.decision import DedupePlan
from deploy.dedupe import plan
from recipes import elfindex, indexstore, paths, roots, stage
from recipes.arch import Arch
from recipes.elfindex import Index
from recipes.errors import ConfigError
from recipes.recipe import Strict
from recipes.stage import Stage

_MANIFEST = "manifest.json"


class BundleFile(Strict):
    """One file of a bundle."""

    path: str
    sha256: str
    size: int
    mode: int

    @property
    def blob(self) -> str:
        """Return the name of its content in a board's store; hard links share their mode, so that is part of it."""
        return f"{self.sha256}{'.x' if self.mode & 0o100 else ''}"


class Manifest(Strict):
    """`manifest.json`: everything that decides what a board gets; its hash is the bundle's id."""

    schema_: int
    board: str
    arch: str
    machines: tuple[str, ...]
    root: str
    keep: int
    stage_keys: dict[str, str]
    entries: tuple[str, ...]
    files: tuple[BundleFile, ...]
    decisions: tuple[dict[str, Any], ...]
    proofs: tuple[dict[str, Any], ...]
    providers: dict[str, dict[str, str]]
    notes: tuple[str, ...]
    loader: str = ""
    """The dynamic loader that the programs name; it also lists what a plugin would load."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Bundle:
    """A bundle on disk."""

    id: str
    path: Path
    manifest: Manifest
    packed: int
    """Bytes of the archive."""

    def blobs(self) -> dict[str, bytes]:
        """Read the contents back, by store name; each is checked against the manifest."""
        by_path = {file.path: file for file in self.manifest.files}
        found: dict[str, bytes] = {}
        with tarfile.open(self.path) as archive:
            for member in archive:
                reader = archive.extractfile(member)
                if reader is None or member.name == _MANIFEST:
                    continue
                data = reader.read()
                file = by_path.get(member.name)
                if file is None or hashlib.sha256(data).hexdigest() != file.sha256:
                    raise ConfigError(
                        f"{member.name} in the bundle is not what its manifest says", where=str(self.path)
                    )
                found[file.blob] = data
        if missing := {file.blob for file in self.manifest.files} - found.keys():
            raise ConfigError(f"{len(missing)} files are missing from the bundle", where=str(self.path))
        return found


def _canonical(manifest: Manifest) -> bytes:
    return json.dumps(manifest.model_dump(), sort_keys=True, separators=(",", ":")).encode() + b"\n"


def decide(
    board: Board, staged: Stage, sysroot: Index, board_index: Index
) -> tuple[DedupePlan, dict[str, dict[str, str]]]:
    """Make every decision for a board and close the loop over what would be written."""
    arch = Arch.parse(board.file.arch)
    decided = plan(staged, elfindex.scan(staged.tree), sysroot, board_index, arch)
    files = {payload.path: payload.elf for payload in decided.payload}
    return decided, loader.close(files, board_index, arch)


def make(board: Board, staged: Stage, board_index: Index, *, write: bool = True) -> tuple[Bundle, DedupePlan]:
    """Make the bundle of a board from a Stage.

    Raises
    ------
    ProofError
        The board cannot run what was built.
    ConfigError
        The Stage is for another architecture, or its sysroot is gone.
    """
    arch = Arch.parse(board.file.arch)
    if staged.manifest.arch != arch.name:
        raise ConfigError(f"the Stage is for {staged.manifest.arch}, board {board.name} is {arch.name}")
    sysroot = roots.known_sysroot(staged.manifest.sysroot)
    if sysroot is None or sysroot.fingerprint != staged.manifest.sysroot_fingerprint:
        raise ConfigError(
            f"the sysroot {staged.manifest.sysroot} that this Stage was built against is gone",
            next_step=f"invoke build --arch {arch.name} --board {board.name}",
        )
    decided, providers = decide(board, staged, sysroot.index(), board_index)
    contents = _contents(board, staged, sysroot.tree, decided)
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
        providers=providers,
        notes=decided.notes,
        loader=next((one.elf.interpreter for one in decided.payload if one.elf.interpreter), ""),
    )
    return pack(manifest, contents, write=write), decided


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


def pack(manifest: Manifest, contents: Mapping[str, tuple[bytes, int]], *, write: bool = True) -> Bundle:
    """Pack contents (path to bytes and mode) under a manifest; its list of files is made from them."""
    files = tuple(
        BundleFile(path=path, sha256=hashlib.sha256(data).hexdigest(), size=len(data), mode=mode)
        for path, (data, mode) in sorted(contents.items())
    )
    manifest = manifest.model_copy(update={"files": files})
    data = _canonical(manifest)
    identity = hashlib.sha256(data).hexdigest()[:32]
    buffer = io.BytesIO()
    # Neither names nor times of the build machine: the same content is the same archive, byte for byte.
    with (
        gzip.GzipFile(fileobj=buffer, mode="wb", mtime=0, filename="") as zipped,
        tarfile.open(fileobj=zipped, mode="w", format=tarfile.USTAR_FORMAT) as archive,
    ):
        for name, (content, mode) in ((_MANIFEST, (data, 0o644)), *sorted(contents.items())):
            member = tarfile.TarInfo(name)
            member.size, member.mode = len(content), mode
            archive.addfile(member, io.BytesIO(content))
    target = folder(manifest.board) / f"{identity}.tar.gz"
    if not write:
        return Bundle(id=identity, path=target, manifest=manifest, packed=len(buffer.getvalue()))
    paths.write_whole(target, buffer.getvalue())
    paths.write_whole(folder(manifest.board) / "latest", f"{identity}\n".encode())
    return Bundle(id=identity, path=target, manifest=manifest, packed=len(buffer.getvalue()))


def folder(board: str) -> Path:
    return paths.work() / "bundles" / board


def load(path: Path) -> Bundle:
    """Read a bundle back; raises ConfigError for a file that is not one, or whose manifest was changed."""
    try:
        with tarfile.open(path) as archive:
            first = archive.next()
            reader = archive.extractfile(first) if first and first.name == _MANIFEST else None
            data = reader.read() if reader else b""
        manifest = Manifest.model_validate(json.loads(data))
    except FileNotFoundError as error:
        raise ConfigError("no such bundle", where=str(path), next_step="invoke bundle --board BOARD") from error
    except (OSError, EOFError, tarfile.TarError, ValueError, ValidationError) as error:
        raise ConfigError("not a bundle", where=str(path), why=str(error).splitlines()[0]) from error
    identity = hashlib.sha256(_canonical(manifest)).hexdigest()[:32]
    if path.name != f"{identity}.tar.gz":
        raise ConfigError("the bundle's manifest does not belong to its name", where=str(path), why=f"it is {identity}")
    return Bundle(id=identity, path=path, manifest=manifest, packed=path.stat().st_size)


def latest(board: str) -> Bundle:
    """Return the bundle of a board that was made last; raises ConfigError where there is none."""
    try:
        identity = (folder(board) / "latest").read_text().strip()
    except OSError as error:
        raise ConfigError(
            f"no bundle for {board} yet", where=str(folder(board)), next_step=f"invoke bundle --board {board}"
        ) from error
    return load(folder(board) / f"{identity}.tar.gz")


def board_index(board: Board) -> Index:
    """Return what a board has: its captured root, or the root of the simulated board of this name.

    Raises
    ------
    ConfigError
        Nothing was captured yet.
    """
    captured = paths.BOARDS / board.name / "root.tar"
    if captured.is_file():
        return indexstore.load(captured)
    sim = board.file.sim
    if sim is not None:
        parts = [board.file.arch, sim.suite, sim.mode, *sim.packages]
        tar = roots.board_root_tar(board.name, parts, sim.scripts)
        if tar.is_file():
            return indexstore.load(tar, key=tar.stem)
    raise ConfigError(
        f"nothing is known of what {board.name} has",
        where=str(captured),
        next_step=f"invoke sim up --host {board.name}" if sim else "tar -C / -cf root.tar usr lib etc on the board",
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
