"""Built trees shared between machines: a directory, an HTTP server or an S3 bucket. Read-only unless told otherwise.

An entry is one file named by its key. What comes out is checked like what is in the cache: each file against the
manifest inside, the manifest against the key; anything else is built here as if the store had nothing.
"""

from __future__ import annotations

import io
import json
import os
import tarfile
from collections.abc import Iterator
from pathlib import Path, PurePosixPath
from typing import Protocol
from urllib.parse import urlsplit

from recipes import console
from recipes.errors import ConfigError, UserError
from recipes.files import whole_folder
from recipes.stage.manifest import STAGE_MANIFEST, Stage, is_intact, load_stage
from recipes.stage.places import FolderPlace, HttpPlace, S3Place
from recipes.tarfiles import TarEntry, disk_entry, tar_bytes


class Place(Protocol):
    """Something that keeps files by name."""

    def read(self, name: str) -> bytes | None:
        """Return the content, None where there is none of this name; raises UserError where nothing answers."""

    def write(self, name: str, data: bytes) -> None:
        """Keep the content under the name."""


class Store:
    """A place with built trees in it."""

    def __init__(self, where: str, place: Place, *, writable: bool) -> None:
        self.where = where
        self._place = place
        self._writable = writable

    def get(self, built: Path) -> bool:
        """Bring one entry into the cache; False where the store does not have it, whole and of this key."""
        try:
            data = self._place.read(f"{built.name}.tar.gz")
            if data is None:
                return False
            with whole_folder(built) as part:
                _unpack(data, part)
                kept = load_stage(part)
                if not is_intact(kept.tree, kept.manifest.files) or not _is(kept, built.name):
                    raise ConfigError("its files are not those of its manifest")
        except (UserError, tarfile.TarError, OSError, ValueError) as error:
            console.say(f"{built.name}: the store's entry is not used ({str(error).splitlines()[0]}); it is built here")
            return False
        return True

    def put(self, built: Path) -> None:
        """Add an entry of the cache, where writing was asked for."""
        if self._writable:
            self._place.write(f"{built.name}.tar.gz", _pack(built))


def _is(kept: Stage, name: str) -> bool:
    return any(f"{recipe.name}-{recipe.key[:24]}" == name for recipe in kept.manifest.recipes)


def open_store() -> Store | None:
    """Return the store that BOARDCAST_STORE names: a folder, http(s)://… or s3://bucket/prefix; None without it.

    BOARDCAST_STORE_WRITE=1 lets this machine add to it.
    """
    where = os.environ.get("BOARDCAST_STORE", "")
    if not where:
        return None
    writable = os.environ.get("BOARDCAST_STORE_WRITE", "") == "1"
    scheme = urlsplit(where).scheme
    if scheme in ("http", "https"):
        return Store(where, HttpPlace(where), writable=writable)
    if scheme == "s3":
        return Store(where, S3Place(where), writable=writable)
    if scheme not in ("", "file"):
        raise ConfigError(
            f"BOARDCAST_STORE={where!r} is no store", why="known: a folder, http://…, https://…, s3://bucket/prefix"
        )
    return Store(where, FolderPlace(Path(where.removeprefix("file://"))), writable=writable)


def _pack(built: Path) -> bytes:
    """Return an entry as an archive that is the same bytes wherever it is made."""
    import gzip

    return gzip.compress(tar_bytes(_entries(built)), compresslevel=6, mtime=0)


def _entries(built: Path) -> Iterator[TarEntry]:
    for path in sorted(built.rglob("*")):
        mode = 0o755 if path.lstat().st_mode & 0o100 else 0o644
        yield disk_entry(path, path.relative_to(built).as_posix(), mode=mode)


def _unpack(data: bytes, into: Path) -> None:
    with tarfile.open(fileobj=io.BytesIO(data), mode="r:gz") as archive:
        for member in archive:
            parts = PurePosixPath(member.name).parts
            if parts[:1] not in (("tree",), ("debug",), (STAGE_MANIFEST,)):
                raise ConfigError(f"{json.dumps(member.name)} has no place in an entry")
        archive.extractall(into, filter="data")
