"""The Bundle: one deterministic archive named by its content; packed, signed, read back and checked to its end."""

from __future__ import annotations

import hashlib
import json
import re
import threading
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

from deploy.boards.board import board_names, load_board
from deploy.bundle.archive import SUFFIXES, Members, Suffix, open_archive
from deploy.bundle.audit import contradictions, decision_differences, unaccounted
from deploy.bundle.manifest import ID_LETTERS, MANIFEST_NAME, SBOM_NAME, SIGNATURE_NAME, Manifest, manifest_identity
from deploy.bundle.sign import check_signature
from recipes import elf, paths
from recipes.config import Name, Strict, checked_name
from recipes.errors import ConfigError, PreflightError
from recipes.stage.keys import trusted_keys
from recipes.text import one_line

_STAYS = 16 << 20
"""Bytes of a bundle whose contents stay in memory."""
_LAST: dict[str, Any] = {}
_LOCK = threading.Lock()


@dataclass(frozen=True, slots=True, kw_only=True)
class Bundle:
    """A bundle on disk."""

    id: str
    path: Path
    manifest: Manifest
    packed: int
    """Bytes of the archive."""

    def blobs(self) -> dict[str, bytes]:
        """Read the contents back, by store name; each is checked against the manifest that this bundle has here.

        Those of the last bundle stay in memory, where they are few: a fleet gets the same ones board by board.
        """
        facts = self.path.stat()
        key = (self.id, self.path, facts.st_ino, facts.st_size, facts.st_mtime_ns)
        with _LOCK:
            if _LAST.get("of") != key:
                _LAST.clear()
                found = self.read_blobs()
                if self.packed > _STAYS:
                    return found
                _LAST.update(of=key, contents=found)
            return dict(_LAST["contents"])

    def read_blobs(self) -> dict[str, bytes]:
        """Read the contents back as `blobs` does, whatever is in memory."""
        with open_archive(self.path, _suffix(self.path)) as archive:
            if archive.manifest != self.manifest.canonical():
                raise ConfigError("the bundle was changed since it was read", where=str(self.path))
            members = archive.members(_wanted(self.manifest))
        _check_contents(self.manifest, members, self.path)
        return {file.blob: members[file.path][0] for file in self.manifest.files}

    def papers(self) -> dict[str, bytes]:
        """Return the manifest and its signature, by their names in the archive: what a release on a board carries."""
        facts = self.path.stat()
        return dict(_papers(self.path, (facts.st_ino, facts.st_size, facts.st_mtime_ns)))


@lru_cache(maxsize=4)
def _papers(path: Path, _facts: tuple[int, int, int]) -> Mapping[str, bytes]:
    with open_archive(path, _suffix(path)) as archive:
        return {MANIFEST_NAME: archive.manifest, SIGNATURE_NAME: archive.signature}


class MadeOf(Strict):
    """`<id>.made.json`, beside a bundle and no part of it: digests of what it was made of on this workstation."""

    stage: Name
    """sha256 of `stage.json`."""
    board: Name
    """sha256 of the board's file."""
    index: Name
    """Fingerprint of what the board had."""


@dataclass(frozen=True, slots=True, kw_only=True)
class VerifiedBundle:
    """A bundle that was checked to its last byte, and by whose key it is signed."""

    bundle: Bundle
    key: str
    components: int
    """Of its bill of materials."""

    def as_dict(self) -> dict[str, str | int]:
        manifest = self.bundle.manifest
        overrides = [f"{proof.library}: {proof.overridden}" for proof in manifest.proofs if proof.overridden]
        counts = {"files": len(manifest.files), "proofs": len(manifest.proofs), "components": self.components}
        return {
            "id": self.bundle.id,
            "board": manifest.board,
            "arch": manifest.arch,
            "key": self.key,
            **counts,
            **({"used without a proof": "; ".join(overrides)} if overrides else {}),
        }


def needed_of(data: bytes) -> tuple[str, ...]:
    return elf.parse(data).needed if data.startswith(elf.MAGIC) else ()


def bundles_folder(board: str) -> Path:
    return paths.work() / "bundles" / checked_name("board", board)


def bundle_path(board: str, identity: str) -> Path:
    """Return where the bundle of this id is, or would be; raises ConfigError for what cannot be an id."""
    if not re.fullmatch(r"[0-9a-f]{32}", identity):
        raise ConfigError(f"{identity[:64]!r} is no id of a bundle", where=str(bundles_folder(board)))
    found = [bundles_folder(board) / f"{identity}{suffix}" for suffix in SUFFIXES]
    return next((path for path in found if path.is_file()), found[0])


def find_bundle(given: str) -> Path:
    """Return the file of a bundle that was named: a path, or the id of one that was made here, or its beginning.

    Raises
    ------
    ConfigError
        There is none, or more than one.
    """
    path = Path(given)
    if path.is_file() or not re.fullmatch(rf"[0-9a-f]{{4,{ID_LETTERS}}}", given):
        return path
    here = paths.work() / "bundles"
    files = sorted(file for suffix in SUFFIXES for file in here.glob(f"*/{given}*{suffix}"))
    ids = {f"{file.name[:12]} ({file.parent.name})": file for file in files}
    if len(ids) > 1:
        raise ConfigError(f"more than one bundle begins with {given}", where=str(here), why=", ".join(ids))
    if not files:
        known = sorted(file.name[:12] for suffix in SUFFIXES for file in here.glob(f"*/*{suffix}"))
        raise ConfigError(
            f"no bundle begins with {given}",
            where=str(here),
            why=f"there are: {', '.join(known) or 'none'}",
            next_step="invoke bundle --board BOARD",
        )
    return files[0]


def read_made_of(board: str, identity: str) -> MadeOf | None:
    """Return what a bundle of this workstation was made of; None where nothing readable says so."""
    try:
        return MadeOf.model_validate_json((bundles_folder(board) / f"{identity}.made.json").read_bytes())
    except (OSError, ValueError):
        return None


def latest_bundle(board: str) -> Bundle:
    """Return the bundle of a board that was made last; raises ConfigError where there is none."""
    try:
        identity = (bundles_folder(board) / "latest").read_text().strip()
    except OSError as error:
        raise ConfigError(
            f"no bundle for {board} yet", where=str(bundles_folder(board)), next_step=f"invoke bundle --board {board}"
        ) from error
    return load_bundle(bundle_path(board, identity))


def load_bundle(path: Path) -> Bundle:
    """Read a bundle back, checked as `verify_bundle` does: nothing of one that fails may reach a board."""
    return verify_bundle(path).bundle


def read_bundle(path: Path) -> Bundle:
    """Read a bundle of which only contents are wanted, each by its hash: neither signature nor account is checked.

    Raises
    ------
    ConfigError
        It is damaged.
    """
    with open_archive(path, _suffix(path)) as archive:
        manifest = _read_manifest(archive.manifest, str(path))
    return Bundle(id=manifest.identity, path=path, manifest=manifest, packed=path.stat().st_size)


def verify_bundle(path: Path, keys: Mapping[str, bytes] | None = None) -> VerifiedBundle:
    """Check a bundle to its last byte; needs the file and the keys, and neither a network nor a Stage nor a sysroot.

    Parameters
    ----------
    keys:
        Key id to raw public key; those that are trusted here without it.

    Raises
    ------
    PreflightError
        It is not signed, or by nobody whose key is among these; or its board's file allows other keys only.
    ConfigError
        It is damaged or incomplete, or does not account for what is in it.
    """
    with open_archive(path, _suffix(path)) as archive:
        identity = manifest_identity(archive.manifest)
        if path.name not in [f"{identity}{suffix}" for suffix in SUFFIXES]:
            why = f"it is {identity}"
            raise ConfigError("the bundle's manifest does not belong to its name", where=str(path), why=why)
        trusted = trusted_keys() if keys is None else keys
        key = check_signature(archive.manifest, archive.signature, trusted, where=str(path))
        # Whose it is is known from here on: what the manifest says counts, and bounds what else is read.
        manifest = _read_manifest(archive.manifest, str(path))
        if keys is None:
            _check_board_trusts(manifest.board, key, path)
        members = archive.members(_wanted(manifest))
    _check_contents(manifest, members, path)
    bill, _ = members[SBOM_NAME]
    faults = unaccounted(manifest, bill) + contradictions(manifest) + decision_differences(manifest)
    faults += [
        f"{file.path} needs other libraries"
        for file in manifest.files
        if needed_of(members[file.path][0]) != file.needed
    ]
    if faults:
        raise ConfigError(
            "the bundle does not account for what is in it", where=str(path), why="\n       ".join(faults[:5])
        )
    bundle = Bundle(id=manifest.identity, path=path, manifest=manifest, packed=path.stat().st_size)
    return VerifiedBundle(bundle=bundle, key=key, components=len(json.loads(bill)["components"]))


def _check_board_trusts(board: str, key: str, path: Path) -> None:
    """Raise PreflightError where a board's file names the keys that may sign for it, and this one is none of them."""
    names = load_board(board).file.trusted_keys if board in board_names() else None
    if names is None or key in (trusted := trusted_keys(names)):
        return
    raise PreflightError(
        f"the bundle is signed by a key that may not sign for {board}",
        where=str(path),
        why=f"signed by {key}; trusted_keys of {board}: {', '.join(sorted(trusted)) or 'none'}",
        next_step=f"sign it with one of them (BOARDCAST_SIGNING_KEY), or correct board-configs/{board}/board.toml",
    )


def signed_manifest(data: bytes, signature: bytes, *, where: str) -> tuple[Manifest, str]:
    """Read a manifest that came by itself, and return it with the id of the trusted key that signed it.

    Raises
    ------
    PreflightError
        No trusted key signed it.
    ConfigError
        It is no signature or no manifest as Boardcast writes them.
    """
    try:
        key = check_signature(data, signature, trusted_keys(), where=where)
        # Another version may have written it: what was signed are these bytes, whatever we would write today.
        return Manifest.model_validate(json.loads(data)), key
    except (ValueError, RecursionError) as error:
        raise ConfigError("this is no manifest", where=where, why=str(error).splitlines()[0]) from error


def _suffix(path: Path) -> Suffix:
    suffix = next((ending for ending in SUFFIXES if path.name.endswith(ending)), None)
    if suffix is None:
        raise ConfigError("not a bundle", where=str(path), why=f"its name ends in none of {SUFFIXES}")
    if not path.is_file():
        raise ConfigError("no such bundle", where=str(path), next_step="invoke bundle --board BOARD")
    return suffix


def _read_manifest(data: bytes, where: str) -> Manifest:
    try:
        manifest = Manifest.model_validate(json.loads(data))
    except (ValueError, RecursionError) as error:
        raise ConfigError("not a bundle", where=where, why=one_line(str(error).splitlines()[0])) from error
    if manifest.canonical() != data:
        why = "its manifest is not written as this version of Boardcast writes it"
        raise ConfigError("not a bundle", where=where, why=why, next_step="invoke bundle --board BOARD")
    return manifest


def _wanted(manifest: Manifest) -> dict[str, tuple[int | None, int]]:
    """Return the size, as far as the manifest states it, and the mode of each member but the first two."""
    sizes = {file.path: file.size for file in manifest.files}
    return {name: (sizes.get(name), mode) for name, (_, mode) in manifest.members().items()}


def _check_contents(manifest: Manifest, members: Members, path: Path) -> None:
    for name, (digest, _) in manifest.members().items():
        if hashlib.sha256(members[name][0]).hexdigest() != digest:
            raise ConfigError(f"{name} in the bundle is not what its manifest says", where=str(path))
