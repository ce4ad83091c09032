"""Makes ELF facts, indices and stages as values, so that decisions are tested without files."""

from __future__ import annotations

import itertools
from pathlib import Path
from typing import Any

from deploy.bundle.manifest import DecisionRow, ProofRow
from deploy.dedupe.decision import Action
from recipes.arch import ARCHES, FloatAbi, Identity
from recipes.elf import ElfFile
from recipes.proof.result import Proof
from recipes.rootfs.index import Index
from recipes.stage.manifest import Stage, StagedRecipe, StageFile, StageManifest

ARM = ARCHES["armv7"].identity
LOADER = "/lib/ld-linux-armhf.so.3"
_COUNT = itertools.count()


def elf(
    soname: str = "",
    *,
    needed: tuple[str, ...] = (),
    exports: str = "",
    imports: str = "",
    identity: Identity = ARM,
    runpath: tuple[str, ...] = ("$ORIGIN/../lib",),
    rpath: tuple[str, ...] = (),
    size: int = 1000,
    sysv: bool = False,
    loader: str = LOADER,
) -> ElfFile:
    """Make the facts of a file; its version nodes follow from its symbols."""
    nodes = dict.fromkeys(part.rpartition("@")[2] for part in exports.split() if "@" in part)
    needs = dict.fromkeys(part.partition("@")[2] for part in imports.split() if "@" in part)
    return ElfFile(
        identity=identity,
        executable=not soname,
        soname=soname,
        needed=needed,
        rpath=rpath,
        runpath=runpath,
        interpreter="" if soname else loader,
        build_id=f"{next(_COUNT):040x}",
        version_needs=tuple(needs),
        version_defs=tuple(nodes),
        exports=exports,
        imports=imports,
        size=size,
        sysv=sysv,
    )


class BoardIndex(Index):
    """An index of values: it has no files behind it to hash."""

    def digests(self, wanted: Any) -> dict[str, str]:
        return {path: f"{hash(path) & 0xFFFF:064x}" for path in wanted}


def index(*libraries: ElfFile, folder: str = "/usr/lib") -> Index:
    """Make an index whose loader folder has these libraries under their SONAMEs, and the loader that `elf` names."""
    files = {f"{folder}/{library.soname}": library for library in libraries}
    files[LOADER] = elf("ld-linux-armhf.so.3", runpath=())
    return BoardIndex(source="values", files=files, links={}, directories=("/usr/lib",), fingerprint="values")


def stage(
    files: dict[str, ElfFile], *, plain: tuple[str, ...] = (), dlopen: tuple[str, ...] = ()
) -> tuple[Stage, Index]:
    """Make a Stage of ELF facts and plain files; everything below bin/ is an output of kind program."""
    recipe = StagedRecipe(
        name="app",
        version="1",
        licence="MIT",
        source="app",
        key="k",
        parts={},
        outputs={path: "program" for path in files if path.startswith("bin/")},
        dlopen=dlopen,
    )
    listed = [StageFile(path=path, sha256="0" * 64, size=found.size, mode=0o755) for path, found in files.items()]
    listed += [StageFile(path=path, sha256="0" * 64, size=10, mode=0o644) for path in plain]
    manifest = StageManifest.model_validate(
        {
            "schema": 1,
            "arch": "armv7",
            "sysroot": "debian12-armv7",
            "sysroot_fingerprint": "f",
            "image": "i",
            "recipes": (recipe,),
            "resolution": (),
            "files": tuple(listed),
        }
    )
    facts = Index(
        source="values", files={f"/{path}": found for path, found in files.items()}, links={}, directories=("/lib",)
    )
    return Stage(folder=Path("values"), manifest=manifest), facts


SOFT = Identity(bits=32, little=True, machine=40, float_abi=FloatAbi.SOFT)


def proof_row(library: str, provider: str, **changes: Any) -> ProofRow:
    """Make a proof as it stands in a manifest."""
    values = Proof(
        library=library,
        provider=provider,
        build_id="ab" * 20,
        sha256="c" * 64,
        symbols=(),
        missing=(),
        weaker=False,
        opened=provider,
    )
    return ProofRow.model_validate(values.as_dict() | changes)


def decision_row(library: str, action: Action, provider: str) -> DecisionRow:
    """Make a decision as it stands in a manifest."""
    return DecisionRow(library=library, action=action, because="", provider=provider, size=0)
