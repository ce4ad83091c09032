"""The manifest of a bundle: everything that decides what a board gets."""

from __future__ import annotations

import hashlib
import json
from typing import Literal, Self

from pydantic import Field

from deploy.dedupe.byname import OpenedByName, Presence
from deploy.dedupe.decision import Action, Decision
from recipes.config import AbsoluteBoardPath, AbsoluteBoardPathOrNone, FileName, Name, OneLine, RelativePath, Strict
from recipes.proof.result import Proof
from recipes.rootfs.origin import Origin, OriginKind
from recipes.sources.lock import Sha256
from recipes.sources.patches import DistributionPatches

MANIFEST_NAME = "manifest.json"
SIGNATURE_NAME = "signature.json"
SBOM_NAME = "sbom.cdx.json"
LICENCES_FOLDER = "licences/"
ID_LETTERS = 32
"""Hexadecimal digits of a bundle's id: the first of its manifest's sha256."""


class BundleFile(Strict):
    """One file of a bundle."""

    path: RelativePath
    sha256: Sha256
    size: int
    mode: int
    origin: OneLine = ""
    """`recipe:NAME`, or `sysroot:NAME:PATH` for a copy from there; empty for what Boardcast itself wrote."""
    needed: tuple[OneLine, ...] = ()
    """Its DT_NEEDED."""

    @property
    def copied(self) -> bool:
        """True for a copy from the sysroot."""
        return Origin(self.origin).kind is OriginKind.SYSROOT

    @property
    def blob(self) -> str:
        """Return the name of its content in a board's store; hard links share their mode, so that is part of it."""
        return f"{self.sha256}{'.x' if self.mode & 0o100 else ''}"


class PinnedSource(Strict):
    """One source that a recipe was built from."""

    name: Name
    version: OneLine = ""
    url: OneLine = ""
    digest: OneLine
    """A commit (40 characters) or the sha256 of an archive."""


class SourceRecipe(Strict):
    """A recipe as it was built."""

    name: Name
    version: OneLine
    licence: OneLine
    """An SPDX expression."""
    pins: tuple[PinnedSource, ...] = ()
    """The recipe's own first, then what it nests; none for a source of this repository."""
    variants: tuple[Name, ...] = ()
    patches: dict[OneLine, OneLine] = Field(default_factory=dict)
    distribution: DistributionPatches | None = None
    """The distribution's own patches that its source was built with; left out where there are none."""

    @property
    def patch_level(self) -> str:
        """Return the distribution's version where its patches are in it, upstream's otherwise."""
        return self.distribution.version if self.distribution else self.version

    @property
    def fixed(self) -> set[str]:
        """Return the CVEs that those patches name."""
        return {cve for patch in self.distribution.patches for cve in patch.cves} if self.distribution else set()


class PackagedFiles(Strict):
    """What files of a bundle that were copied from the sysroot came out of."""

    kind: Literal["deb", "toolchain", "sysroot"]
    """`sysroot` where nothing else is known to own them."""
    name: FileName
    version: OneLine
    arch: Name
    suite: OneLine = ""
    source: OneLine = ""
    """Name and version of the source package, a space between."""
    licence: OneLine = ""
    """An SPDX expression, `LicenseRef-debian-…` for what SPDX has no name for; empty where nothing is known."""
    digest: OneLine = ""
    """sha256 of the archive that it came in."""
    files: tuple[RelativePath, ...] = ()


class LoaderSearch(Strict):
    """Where the board's loader looks by itself, as it was when the proofs were made."""

    loader: OneLine = ""
    directories: tuple[OneLine, ...] = ()
    cache: OneLine = ""
    """sha256 of /etc/ld.so.cache; empty where the board has none."""


class DecisionRow(Strict):
    """One decision, as `Decision.as_dict` writes it."""

    library: OneLine
    """A SONAME; for files that no board needs the name of their group."""
    action: Action
    because: OneLine
    provider: Origin
    """Who brings it: the bundle or the board; of a merged copy the path of the one that travels, in the Stage; empty
    for what no process gets."""
    size: int
    """Bytes of ours that it decides about."""

    @classmethod
    def of(cls, decision: Decision) -> Self:
        return cls.model_validate(decision.as_dict())


class ProofRow(Strict):
    """One proof, as `Proof.as_dict` writes it; the fields mean what they mean there."""

    library: OneLine
    provider: OneLine
    opened: OneLine
    earlier: tuple[OneLine, ...]
    build_id: OneLine
    sha256: OneLine
    symbols: tuple[OneLine, ...]
    nodes: tuple[OneLine, ...]
    objects: dict[OneLine, tuple[OneLine, OneLine]]
    missing: tuple[OneLine, ...]
    faults: tuple[OneLine, ...]
    range: OneLine
    types: OneLine
    overridden: OneLine
    kind: OneLine
    """What was compared, in words."""

    @classmethod
    def of(cls, proof: Proof) -> Self:
        return cls.model_validate(proof.as_dict())


class NamedRow(Strict):
    """What a process of the bundle opens by name: no file needs it, and no loader lists it."""

    name: OneLine
    by: OneLine
    """Which file asks for it, and by which function or setting."""
    presence: Presence
    provider: Origin = Origin("")
    without: OneLine
    """What happens where it is absent."""

    @classmethod
    def of(cls, row: OpenedByName) -> Self:
        return cls.model_validate({field: getattr(row, field) for field in cls.model_fields})


class ServiceRow(Strict):
    """A service that a release brings, one for each program of a stream."""

    name: Name
    """Its files are below `services/<name>` of the release, its launch script is `run/<name>`."""
    stream: Name
    """Of the board's file."""
    log: AbsoluteBoardPath
    status: AbsoluteBoardPathOrNone = ""
    """File on the board where the program says how it is; empty for a program of the SDK, which says nothing."""
    confirmed: bool = False
    """Its fragments are confirmed by the service that gets them."""


def manifest_identity(data: bytes) -> str:
    """Return the id of the bundle with a manifest of these bytes."""
    return hashlib.sha256(data).hexdigest()[:ID_LETTERS]


class Manifest(Strict):
    """`manifest.json`: everything that decides what a board gets; its hash is the bundle's id."""

    schema_: int
    board: Name
    arch: Name
    machines: tuple[OneLine, ...]
    root: AbsoluteBoardPath
    keep: int
    stage_keys: dict[OneLine, OneLine]
    entries: tuple[RelativePath, ...]
    files: tuple[BundleFile, ...]
    decisions: tuple[DecisionRow, ...]
    proofs: tuple[ProofRow, ...]
    """Of the libraries that are the board's."""
    refused: tuple[ProofRow, ...] = ()
    """Of those that travel: what speaks against the board's copy."""
    providers: dict[RelativePath, dict[OneLine, Origin]]
    notes: tuple[OneLine, ...]
    loader: OneLine = ""
    """The dynamic loader that the programs name; it also lists what a plugin would load."""
    sources: tuple[SourceRecipe, ...] = ()
    packages: tuple[PackagedFiles, ...] = ()
    """Of the files whose origin is the sysroot."""
    search: LoaderSearch = LoaderSearch()
    build_ids: dict[OneLine, OneLine] = Field(default_factory=dict)
    """Path of each library of the board that a program may get, to its build id; empty where it has none."""
    services: tuple[ServiceRow, ...] = ()
    """What is started at boot; a bundle without any is written as before there were some."""
    named: tuple[NamedRow, ...] = ()
    """What is opened by name; left out where there is none."""
    number: int = Field(default=0, ge=0)
    """Order of a board's releases, from its file; 0, and left out, where nobody gave one."""
    sbom: OneLine = ""
    """sha256; with these two the manifest's signature covers every byte of the archive."""
    licences: dict[RelativePath, OneLine] = Field(default_factory=dict)
    """Name in the archive to sha256."""

    def canonical(self) -> bytes:
        """Return the one way to write this manifest; these bytes are hashed and signed."""
        later = {name for name in ("services", "named", "number") if not getattr(self, name)}
        fields = self.model_dump(exclude=later or None)
        for source in fields["sources"]:
            if source["distribution"] is None:
                del source["distribution"]
        return json.dumps(fields, sort_keys=True, separators=(",", ":")).encode() + b"\n"

    @property
    def identity(self) -> str:
        return manifest_identity(self.canonical())

    def members(self) -> dict[str, tuple[str, int]]:
        """Return the sha256 and mode of every member of the archive but the manifest and its signature."""
        named = {SBOM_NAME: self.sbom, **self.licences}
        return {
            **{file.path: (file.sha256, file.mode) for file in self.files},
            **{name: (digest, 0o644) for name, digest in named.items()},
        }
