"""Built trees shared between machines: a directory, an HTTPS server or an S3 bucket. Read-only unless told otherwise.

An entry is two files named by its key: an archive, and its builder's signature. Whoever can write to the store can put
anything there, so an entry counts only where a key that is trusted here signed it (the keys that may sign bundles), and
where what comes out passes the gate of a build. Anything else is built here as if the store had nothing.
"""

from __future__ import annotations

import io
import os
import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager
from pathlib import Path
from typing import IO, Protocol
from urllib.parse import urlsplit

from recipes import console
from recipes.archives.packed import PackedError
from recipes.errors import ConfigError, UserError
from recipes.files import file_sha256, whole_folder
from recipes.progress import progress
from recipes.stage.entry import (
    ARCHIVE_LIMIT,
    SIGNATURE_LIMIT,
    archive_sha256,
    check_entry,
    pack_entry,
    sign_entry,
    unpack_entry,
)
from recipes.stage.keys import signing_key, trusted_keys
from recipes.stage.manifest import STAGE_MANIFEST, Stage, is_intact, load_stage
from recipes.stage.places import FolderPlace, HttpPlace, S3Place
from recipes.text import one_line

INSECURE_VARIABLE = "BOARDCAST_STORE_INSECURE"


class Place(Protocol):
    """Something that keeps files by name."""

    def chunks(self, name: str) -> AbstractContextManager[Iterator[bytes] | None]:
        """Give the content in parts, None where there is none of this name; UserError where nothing answers."""

    def write(self, name: str, content: IO[bytes]) -> None:
        """Keep the content, from its start on, under the name."""


class Store:
    """A place with built trees in it."""

    def __init__(self, where: str, place: Place, *, writable: bool) -> None:
        self.where = where
        self._place = place
        self._writable = writable

    def get(self, built: Path, faults: Callable[[Path], Sequence[str]]) -> bool:
        """Bring one entry into the cache.

        Parameters
        ----------
        faults:
            The gate: returns what is wrong with a tree.

        Returns
        -------
        False where the store does not have it, and, with a line that says so, where it is not signed by a trusted key,
        is not whole, is of another key, or does not pass the gate.
        """
        try:
            signature = io.BytesIO()
            if not self._read(f"{built.name}.sig", signature, SIGNATURE_LIMIT):
                if self._has(f"{built.name}.tar.gz"):
                    raise ConfigError("it is not signed")
                return False
            stated = check_entry(built.name, signature.getvalue(), trusted_keys())
            built.parent.mkdir(parents=True, exist_ok=True)
            with tempfile.TemporaryFile(dir=built.parent) as archive:
                with progress(f"{built.name}: out of the store", archive.tell):
                    there = self._read(f"{built.name}.tar.gz", archive, ARCHIVE_LIMIT)
                if not there:
                    raise ConfigError("its archive is gone")
                if archive_sha256(archive) != stated["archive"]:
                    raise ConfigError("its archive is not the one that was signed")
                length = archive.seek(0, os.SEEK_END)
                archive.seek(0)
                with whole_folder(built) as part:
                    unpack_entry(archive, length, part)
                    _check(part, built.name, stated["manifest"], faults)
        except (UserError, PackedError, OSError, ValueError) as error:
            why = f"{error.what}: {error.why}" if isinstance(error, UserError) and error.why else _first(error)
            console.say(f"{built.name}: the store's entry is not used ({one_line(why)}); it is built here")
            return False
        return True

    def put(self, built: Path) -> None:
        """Add an entry of the cache, signed, where writing was asked for."""
        if not self._writable:
            return
        private = signing_key()
        with tempfile.TemporaryFile(dir=built.parent) as archive:
            pack_entry(built, archive)
            signature = sign_entry(built, archive_sha256(archive), private)
            length = archive.seek(0, os.SEEK_END)
            archive.seek(0)
            # The signature last: until then there is at most an entry that nobody uses.
            with progress(f"{built.name}: into the store", archive.tell, total=length):
                self._place.write(f"{built.name}.tar.gz", archive)
            self._place.write(f"{built.name}.sig", io.BytesIO(signature))

    def _has(self, name: str) -> bool:
        with self._place.chunks(name) as parts:
            return parts is not None

    def _read(self, name: str, into: IO[bytes], most: int) -> bool:
        """Copy a file of the store; False where there is none. Raises ConfigError before more than `most` bytes."""
        with self._place.chunks(name) as parts:
            if parts is None:
                return False
            left = most
            for part in parts:
                left -= len(part)
                if left < 0:
                    raise ConfigError(f"{name} is larger than {most:,} bytes")
                into.write(part)
        return True


def _first(error: Exception) -> str:
    return error.what if isinstance(error, UserError) else str(error)


def _check(part: Path, name: str, manifest: str, faults: Callable[[Path], Sequence[str]]) -> None:
    """Check what was unpacked: the manifest that was signed, of this key; its files, and a build's gate."""
    if not (part / STAGE_MANIFEST).is_file() or file_sha256(part / STAGE_MANIFEST) != manifest:
        raise ConfigError("its manifest is not the one that was signed")
    kept = load_stage(part)
    if not is_intact(kept.tree, kept.manifest.files) or not _is(kept, name):
        raise ConfigError("its files are not those of its manifest")
    if wrong := faults(kept.tree):
        raise ConfigError("it does not pass the gate", why=wrong[0])


def _is(kept: Stage, name: str) -> bool:
    return any(f"{recipe.name}-{recipe.key[:24]}" == name for recipe in kept.manifest.recipes)


def open_store() -> Store | None:
    """Return the store that BOARDCAST_STORE names: a folder, https://… or s3://bucket/prefix; None without it.

    BOARDCAST_STORE_WRITE=1 lets this machine add to it, BOARDCAST_STORE_INSECURE=1 lets it be asked by plain HTTP.

    Raises
    ------
    ConfigError
        It is none of these.
    """
    where = os.environ.get("BOARDCAST_STORE", "")
    if not where:
        return None
    writable = os.environ.get("BOARDCAST_STORE_WRITE", "") == "1"
    insecure = os.environ.get(INSECURE_VARIABLE, "") == "1"
    scheme = urlsplit(where).scheme
    if scheme == "http" and not insecure:
        raise ConfigError(
            f"BOARDCAST_STORE={where!r} is asked without encryption",
            why="anybody on the way sees what you build and send, and can withhold it",
            next_step=f"use https://, or say {INSECURE_VARIABLE}=1 where the way is safe by itself",
        )
    if scheme in ("http", "https"):
        return Store(where, HttpPlace(where, insecure=insecure), writable=writable)
    if scheme == "s3":
        return Store(where, S3Place(where), writable=writable)
    if scheme not in ("", "file"):
        raise ConfigError(
            f"BOARDCAST_STORE={where!r} is no store", why="known: a folder, https://…, s3://bucket/prefix"
        )
    return Store(where, FolderPlace(Path(where.removeprefix("file://"))), writable=writable)
