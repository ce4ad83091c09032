"""The Bundle: one deterministic archive named by its content; packed, signed, read back and checked to its end."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from pydantic import ValidationError

from deploy import account, archive, rederive, sbom, sign
from deploy.archive import BundleFile, Manifest, Members, Suffix
from recipes import elf, paths
from recipes.errors import ConfigError, ProofError

__all__ = ["Bundle", "BundleFile", "Manifest", "Verified"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Bundle:
    """A bundle on disk."""

    id: str
    path: Path
    manifest: Manifest
    packed: int
    """Bytes of the archive."""

    def blobs(self) -> dict[str, bytes]:
        """Read the contents back, by store name; each is checked against the manifest that this bundle has here."""
        manifest, members = _opened(self.path)
        if manifest.canonical() != self.manifest.canonical():
            raise ConfigError("the bundle was changed since it was read", where=str(self.path))
        _complete(manifest, members, self.path)
        return {file.blob: members[file.path][0] for file in manifest.files}


@dataclass(frozen=True, slots=True, kw_only=True)
class Verified:
    """A bundle that was checked to its last byte, and by whose key it is signed."""

    bundle: Bundle
    key: str
    components: int
    """Of its bill of materials."""

    def as_dict(self) -> dict[str, str | int]:
        manifest = self.bundle.manifest
        overrides = [f"{row['library']}: {row['overridden']}" for row in manifest.proofs if row["overridden"]]
        counts = {"files": len(manifest.files), "proofs": len(manifest.proofs), "components": self.components}
        return {
            "id": self.bundle.id,
            "board": manifest.board,
            "arch": manifest.arch,
            "key": self.key,
            **counts,
            **({"used without a proof": "; ".join(overrides)} if overrides else {}),
        }


def pack(
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
    origins = {file.path: file.origin for file in manifest.files} if origins is None else origins
    files = tuple(
        BundleFile(
            path=path,
            sha256=hashlib.sha256(data).hexdigest(),
            size=len(data),
            mode=mode,
            origin=origins.get(path, ""),
            needed=_needed(data),
        )
        for path, (data, mode) in sorted(contents.items())
    )
    texts = sbom.licences(manifest, notices or {})
    own = {archive.MANIFEST, archive.SIGNATURE, archive.SBOM, *texts}
    if odd := [path for path in contents if path in own or not archive.plain(path)]:
        raise ConfigError(f"{odd[0]!r} cannot be the name of a file in a bundle")
    digests = {name: hashlib.sha256(text).hexdigest() for name, text in texts.items()}
    manifest = manifest.model_copy(update={"files": files, "licences": digests, "sbom": ""})
    bill = sbom.make(manifest)
    manifest = manifest.model_copy(update={"sbom": hashlib.sha256(bill).hexdigest()})
    if faults := account.unaccounted(manifest, bill) + contradictions(manifest) + rederive.differences(manifest):
        raise ProofError("this bundle could not account for all that is in it", why="\n       ".join(faults[:5]))
    data = manifest.canonical()
    signature = sign.sign(data, sign.key()) if write else sign.unsigned()
    parts = {archive.MANIFEST: data, archive.SIGNATURE: signature, archive.SBOM: bill, **texts}
    packed = archive.pack({**{name: (text, 0o644) for name, text in parts.items()}, **contents}, suffix)
    target = folder(manifest.board) / f"{manifest.identity}{suffix}"
    if write:
        paths.write_whole(target, packed)
        paths.write_whole(target.with_name("latest"), f"{manifest.identity}\n".encode())
    return Bundle(id=manifest.identity, path=target, manifest=manifest, packed=len(packed))


def _needed(data: bytes) -> tuple[str, ...]:
    return elf.parse(data).needed if data.startswith(elf.MAGIC) else ()


def folder(board: str) -> Path:
    return paths.work() / "bundles" / board


def find(board: str, identity: str) -> Path:
    """Return where the bundle of this id lies, or would lie."""
    found = [folder(board) / f"{identity}{suffix}" for suffix in archive.SUFFIXES]
    return next((path for path in found if path.is_file()), found[0])


def latest(board: str) -> Bundle:
    """Return the bundle of a board that was made last; raises ConfigError where there is none."""
    try:
        identity = (folder(board) / "latest").read_text().strip()
    except OSError as error:
        raise ConfigError(
            f"no bundle for {board} yet", where=str(folder(board)), next_step=f"invoke bundle --board {board}"
        ) from error
    return load(find(board, identity))


def load(path: Path) -> Bundle:
    """Read a bundle back, checked as `verify` does: nothing of one that fails may reach a board."""
    return verify(path).bundle


def verify(path: Path, keys: Mapping[str, bytes] | None = None) -> Verified:
    """Check a bundle to its last byte; needs the file and the keys, and neither a network nor a Stage nor a sysroot.

    Parameters
    ----------
    keys:
        Key id to raw public key; those that are trusted here without it.

    Raises
    ------
    PreflightError
        It is not signed, or by nobody whose key is among these.
    ConfigError
        It is damaged or incomplete, or does not account for what is in it.
    """
    manifest, members = _opened(path)
    if path.name not in [f"{manifest.identity}{suffix}" for suffix in archive.SUFFIXES]:
        why = f"it is {manifest.identity}"
        raise ConfigError("the bundle's manifest does not belong to its name", where=str(path), why=why)
    signature, _ = members.get(archive.SIGNATURE, (b"", 0))
    trusted = sign.trusted() if keys is None else keys
    key = sign.check(members[archive.MANIFEST][0], signature, trusted, where=str(path))
    _complete(manifest, members, path)
    bill, _ = members[archive.SBOM]
    faults = account.unaccounted(manifest, bill) + contradictions(manifest) + rederive.differences(manifest)
    faults += [
        f"{file.path} needs other libraries" for file in manifest.files if _needed(members[file.path][0]) != file.needed
    ]
    if faults:
        raise ConfigError(
            "the bundle does not account for what is in it", where=str(path), why="\n       ".join(faults[:5])
        )
    bundle = Bundle(id=manifest.identity, path=path, manifest=manifest, packed=path.stat().st_size)
    return Verified(bundle=bundle, key=key, components=len(json.loads(bill)["components"]))


def _opened(path: Path) -> tuple[Manifest, Members]:
    """Read an archive and its manifest, of which nothing is believed yet."""
    suffix = next((one for one in archive.SUFFIXES if path.name.endswith(one)), None)
    if suffix is None:
        raise ConfigError("not a bundle", where=str(path), why=f"its name ends in none of {archive.SUFFIXES}")
    try:
        members = archive.unpack(path.read_bytes(), suffix, where=str(path))
        data, _ = members.get(archive.MANIFEST, (b"", 0))
        manifest = Manifest.model_validate(json.loads(data))
    except FileNotFoundError as error:
        raise ConfigError("no such bundle", where=str(path), next_step="invoke bundle --board BOARD") from error
    except (OSError, ValueError, RecursionError, ValidationError) as error:
        raise ConfigError("not a bundle", where=str(path), why=str(error).splitlines()[0]) from error
    if manifest.canonical() != data:
        why = "its manifest is not written as this version of Boardcast writes it"
        raise ConfigError("not a bundle", where=str(path), why=why, next_step="invoke bundle --board BOARD")
    return manifest, members


def _complete(manifest: Manifest, members: Members, path: Path) -> None:
    """Hold every member against the manifest: raises ConfigError for one too many, one too few, or other content."""
    wanted = manifest.members()
    if odd := wanted.keys() ^ (members.keys() - {archive.MANIFEST, archive.SIGNATURE}):
        state = "missing from the bundle" if min(odd) in wanted else "in the bundle, and its manifest does not name it"
        raise ConfigError(f"{min(odd)} is {state}", where=str(path))
    for name, (digest, mode) in wanted.items():
        if hashlib.sha256(members[name][0]).hexdigest() != digest or members[name][1] != mode:
            raise ConfigError(f"{name} in the bundle is not what its manifest says", where=str(path))


def contradictions(manifest: Manifest) -> list[str]:
    """Return where decisions, proofs and providers do not fit together. Empty for a manifest that holds."""
    paths = {file.path for file in manifest.files}
    decisions = {str(row["library"]): row for row in manifest.decisions}
    proofs = {str(row["library"]): row for row in manifest.proofs}
    faults = (
        [] if manifest.entries == tuple(sorted(manifest.providers)) else ["the entries are not those with providers"]
    )
    for name in sorted({name for file in manifest.files for name in file.needed}):
        row, proof = decisions.get(name), proofs.get(name)
        if row is None:
            faults.append(f"{name} is needed, and nothing was decided about it")
        elif row["action"] != "use-board":
            faults += [] if row["provider"].removeprefix("bundle:") in paths else [f"{name} is kept, and is not there"]
        elif proof is None:
            faults.append(f"{name} is left to the board without a proof")
        elif (
            (proof["missing"] and not proof["overridden"])
            or not proof["sha256"]
            or proof["provider"] != row["provider"]
        ):
            faults.append(f"{name} is left to the board, and its proof does not hold")
    for entry, closure in manifest.providers.items():
        faults += [] if entry in paths else [f"{entry} is an entry, and is not there"]
        for name, provider in closure.items():
            theirs = proofs[name]["provider"] if name in proofs else provider
            if provider.startswith("bundle:"):
                faults += [] if provider.removeprefix("bundle:") in paths else [f"{provider} is not in the bundle"]
            elif not provider.startswith("/") or provider != theirs:
                faults.append(f"{entry} would get {name} from {provider}, which is not what was proved")
    return faults
