"""What is known of a release that is on a board: from its bundle here, or from the signed manifest that it carries.

What a board sends is not believed before the signature of a trusted key is checked, and never read without a limit.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path
from typing import Protocol

from deploy.boards.session import BoardSession
from deploy.bundle.load import Bundle, bundle_path, load_bundle, read_bundle, signed_manifest
from deploy.bundle.manifest import ID_LETTERS, MANIFEST_NAME, SIGNATURE_NAME, Manifest
from deploy.transfer.cargo import Rows
from recipes.errors import PreflightError

PAPERS_FOLDER = ".bundle"
"""In the folder of a release: its manifest and the signature, beside what the manifest lists."""
_MANIFEST_BYTES = 32 << 20
_SIGNATURE_BYTES = 4096
_HEAD_BYTES = 64
# Sizes first, then both files; a board that says otherwise than it sends is refused.
_READ = f"""
cd "$1/releases/$2/{PAPERS_FOLDER}" 2>/dev/null || exit 0
signature=$(wc -c < {SIGNATURE_NAME}) && manifest=$(wc -c < {MANIFEST_NAME}) || exit 0
echo $signature $manifest
[ "$signature" -le {_SIGNATURE_BYTES} ] && [ "$manifest" -le {_MANIFEST_BYTES} ] || exit 0
cat {SIGNATURE_NAME} {MANIFEST_NAME}
"""
_CONTENTS = """
cd "$1" || exit 1
while IFS= read -r path; do cat "./$path" || exit 1; done
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Bases:
    """What is known here of the release that runs on a board, so that a newer one is made of it there."""

    release: str = ""
    """Its id; empty for none."""
    rows: Rows = ()
    contents: Mapping[str, tuple[str, bytes]] = field(default_factory=dict)
    """Store name of a content to that of an older one of the same file, and its bytes."""


class KnownRelease(Protocol):
    """A release whose manifest was checked; its contents are read when they are asked for."""

    @property
    def id(self) -> str: ...

    @property
    def manifest(self) -> Manifest: ...

    def blobs(self) -> Mapping[str, bytes]:
        """Return the contents by store name, each of the hash that the manifest has."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class CarriedRelease:
    """A release whose signed manifest came from the board."""

    id: str
    manifest: Manifest
    key: str
    """Who signed it."""
    session: BoardSession

    def blobs(self) -> dict[str, bytes]:
        """Read the contents from the board, in one stream.

        Raises
        ------
        PreflightError
            A file is not there, or is not what the manifest says.
        """
        files = self.manifest.files
        names = "".join(f"{file.path}\n" for file in files).encode()
        data = self.session.fetch(
            _CONTENTS, [f"{self.manifest.root}/releases/{self.id}"], [names], most=sum(file.size for file in files)
        )
        found: dict[str, bytes] = {}
        at = 0
        for file in files:
            content = data[at : at + file.size]
            at += file.size
            if hashlib.sha256(content).hexdigest() != file.sha256:
                raise PreflightError(f"{file.path} of {self.id[:12]} is damaged on the board", where=self.manifest.root)
            found[file.blob] = content
        return found


def older_contents(bundle: Bundle, current: str, wanted: Sequence[str], there: frozenset[str]) -> Bases:
    """Return what the release that runs is made of, by the bundle of it that is here; nothing without one.

    Nobody's word is taken for it: the board looks at the hash of all that comes of it.

    Parameters
    ----------
    current:
        Id of the release that runs; empty for none.
    wanted:
        Store names of what is to be sent.
    there:
        Store names of what the board has.
    """
    manifest = bundle.manifest
    if not current or not wanted or not (path := bundle_path(manifest.board, current)).is_file():
        return Bases()
    changed = path.stat().st_mtime_ns
    rows = _rows_of(path, changed)
    before = {path: blob for blob, path in rows}
    asked = frozenset(wanted)
    pairs = {blob: before.get(path, "") for blob, path in release_rows(bundle) if blob in asked}
    pairs = {blob: base for blob, base in pairs.items() if base in there}
    contents = _contents_of(path, changed, frozenset(pairs.values())) if pairs else {}
    return Bases(release=current, rows=rows, contents={blob: (base, contents[base]) for blob, base in pairs.items()})


@lru_cache(maxsize=4)
def _rows_of(path: Path, _changed: int) -> Rows:
    return release_rows(read_bundle(path))


@lru_cache(maxsize=4)
def _contents_of(path: Path, _changed: int, wanted: frozenset[str]) -> Mapping[str, bytes]:
    """Return some contents of an older bundle: the boards of a fleet ask for the same ones."""
    old = read_bundle(path)
    found = old.read_blobs() | dict(bundle_papers(old).values())
    return {blob: found[blob] for blob in wanted}


def release_rows(bundle: Bundle) -> Rows:
    """Return what a release is made of, as its list on the board has it."""
    rows = [(file.blob, file.path) for file in bundle.manifest.files]
    return [*rows, *((blob, path) for path, (blob, _) in bundle_papers(bundle).items())]


def find_release(session: BoardSession, host: str, board: str, root: str, identity: str) -> tuple[KnownRelease, str]:
    """Return a release of a board by its id, and a sentence of where its manifest is from.

    Raises
    ------
    ConfigError
        The bundle here is damaged, or what the board carries is no manifest.
    PreflightError
        It is not signed by a key that is trusted here, is of another release, or nothing is known of it at all.
    """
    path = bundle_path(board, identity)
    if path.is_file():
        return load_bundle(path), f"checked with the bundle of this workstation: {path}"
    carried = read_carried(session, root, identity)
    if carried is None:
        raise PreflightError(
            f"nothing says what release {identity[:12]} on {host} is made of",
            where=f"{root}/releases/{identity}/{PAPERS_FOLDER}",
            why=f"it carries no manifest, and its bundle is not here ({path})",
            next_step=f"invoke deploy --host {host}",
        )
    if carried.manifest.board != board:
        raise PreflightError(
            f"the release on {host} is one for {carried.manifest.board}, the inventory says {board}",
            next_step="is hosts.toml naming the right board?",
        )
    return carried, f"checked with the manifest that the release on the board carries, signed by {carried.key}"


def read_carried(session: BoardSession, root: str, identity: str) -> CarriedRelease | None:
    """Return what a release on a board carries, its signature checked; None where it carries nothing.

    Raises
    ------
    ConfigError
        It is no manifest, or no signature, as Boardcast writes them.
    PreflightError
        No trusted key signed it, it is of another release, or the board sends something else than it says.
    """
    data = session.fetch(_READ, [root, identity], most=_HEAD_BYTES + _SIGNATURE_BYTES + _MANIFEST_BYTES)
    head, _, rest = data.partition(b"\n")
    if not head:
        return None
    where = f"{root}/releases/{identity}/{PAPERS_FOLDER}"
    sizes = [int(word) for word in head.split() if word.isdigit() and len(word) < 10]
    if len(sizes) != 2 or sum(sizes) != len(rest) or sizes[0] > _SIGNATURE_BYTES or sizes[1] > _MANIFEST_BYTES:
        raise PreflightError("the board does not send the manifest that it says it has", where=where)
    signature, manifest = rest[: sizes[0]], rest[sizes[0] :]
    read, key = signed_manifest(manifest, signature, where=where)
    if not (of := hashlib.sha256(manifest).hexdigest()).startswith(identity) or len(identity) != ID_LETTERS:
        raise PreflightError(
            f"the manifest on the board is that of another release, {of[:12]}",
            where=where,
            next_step="somebody changed it there: deploy again",
        )
    return CarriedRelease(id=identity, manifest=read, key=key, session=session)


def bundle_papers(bundle: Bundle) -> dict[str, tuple[str, bytes]]:
    """Return what a release carries besides its files: path in it to store name and content."""
    found = bundle.papers()
    return {
        f"{PAPERS_FOLDER}/{name}": (hashlib.sha256(content).hexdigest(), content) for name, content in found.items()
    }


def paper_sizes(bundle: Bundle) -> dict[str, int]:
    """Return store name to bytes of what a release carries besides its files, for a plan."""
    return {blob: len(content) for blob, content in bundle_papers(bundle).values()}
