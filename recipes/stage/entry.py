"""One entry of a store: an archive of a built tree, and beside it what its builder signed about it.

What is signed is a statement: the entry's name, the sha256 of its archive and that of the manifest inside. So neither
another tree nor another name can be given to a signature, and nothing is unpacked before both were checked.
"""

from __future__ import annotations

import base64
import gzip
import hashlib
import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any, cast

from recipes.archives.intake import Limits, take
from recipes.archives.packed import PackedReader
from recipes.archives.tarfiles import TarEntry, disk_entry, write_tar
from recipes.errors import ConfigError
from recipes.files import file_sha256
from recipes.stage.keys import is_signed, key_id
from recipes.stage.manifest import STAGE_MANIFEST
from recipes.text import shown

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

ARCHIVE_LIMIT = 2 << 30
"""Bytes of an entry's archive; a build of an SDK with its debug files has some hundred millions."""
SIGNATURE_LIMIT = 4096
"""Bytes of what is beside it."""
_UNPACKED = Limits(members=100_000, bytes=8 << 30)
_RATIO = 50
"""How much larger than its archive a tree may be; programs and libraries with debug files are three to six times."""
_SMALL = 32 << 20
"""Bytes that a tree may have whatever its archive's size; a few files of zeros pack well."""
_PLACES = {"tree", "debug", STAGE_MANIFEST}


def pack_entry(built: Path, into: IO[bytes]) -> None:
    """Write an entry as an archive that is the same bytes wherever it is made."""
    with gzip.GzipFile(fileobj=into, mode="wb", compresslevel=6, mtime=0, filename="") as packed:
        write_tar(cast("IO[bytes]", packed), _members(built))


def _members(built: Path) -> Iterator[TarEntry]:
    for path in sorted(built.rglob("*")):
        mode = 0o755 if path.lstat().st_mode & 0o100 else 0o644
        yield disk_entry(path, path.relative_to(built).as_posix(), mode=mode)


def unpack_entry(archive: IO[bytes], length: int, into: Path) -> None:
    """Unpack an archive that was checked into an empty folder.

    Raises
    ------
    ConfigError
        It holds something that has no place in an entry, or a link that leads out of its tree.
    RefusedError
        It is more than an entry may be, or no tar that we take; see `recipes.archives.intake`.
    PackedError
        It is no gzip stream, or grows more than a built tree does.
    """
    reader = PackedReader(archive, length, "gzip", limit=min(_UNPACKED.bytes, max(_SMALL, _RATIO * length)))
    taken = take(reader, into, limits=_UNPACKED)
    if odd := {path.name for path in into.iterdir()} - _PLACES:
        raise ConfigError(f"{min(odd)!r} has no place in an entry")
    for link in taken.links:
        top = into / link.partition("/")[0]
        if not (into / link).resolve().is_relative_to(top.resolve()):
            raise ConfigError(f"{link!r} is a link that leads out of its tree")


def sign_entry(built: Path, archive_sha256: str, private: Ed25519PrivateKey) -> bytes:
    """Return what goes beside an entry's archive; the same build, archive and key give the same bytes."""
    stated = _statement(built.name, archive_sha256, file_sha256(built / STAGE_MANIFEST))
    fields = {
        "statement": stated,
        "key": key_id(private.public_key().public_bytes_raw()),
        "signature": base64.b64encode(private.sign(_canonical(stated))).decode(),
    }
    return json.dumps(fields, indent=1, sort_keys=True).encode() + b"\n"


def check_entry(name: str, signature: bytes, keys: Mapping[str, bytes]) -> dict[str, str]:
    """Return the statement about the entry of this name, signed by one of these keys (key id to raw public key).

    Raises
    ------
    ConfigError
        It is no such statement, is about another entry, or is signed by nobody who is trusted.
    """
    try:
        fields: dict[str, Any] = json.loads(signature)
        key, value = str(fields["key"]), base64.b64decode(str(fields["signature"]), validate=True)
        stated = {str(word): str(text) for word, text in fields["statement"].items()}
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        raise ConfigError("its signature cannot be read") from error
    if key not in keys:
        raise ConfigError(f"it is signed by {shown(key, most=16, lines=False)!r}, a key that is not trusted here")
    if not is_signed(_canonical(stated), value, keys[key]):
        raise ConfigError(f"its signature is not one of {key}")
    if stated != _statement(name, stated.get("archive", ""), stated.get("manifest", "")):
        raise ConfigError("its signature is one of another entry")
    return stated


def archive_sha256(archive: IO[bytes]) -> str:
    """Return the sha256 of an open file, from its start on."""
    digest = hashlib.sha256()
    archive.seek(0)
    while part := archive.read(1 << 20):
        digest.update(part)
    return digest.hexdigest()


def _statement(name: str, archive: str, manifest: str) -> dict[str, str]:
    return {"what": "boardcast store entry 1", "entry": name, "archive": archive, "manifest": manifest}


def _canonical(stated: Mapping[str, str]) -> bytes:
    return json.dumps(stated, sort_keys=True, separators=(",", ":")).encode() + b"\n"
