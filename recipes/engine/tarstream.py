"""Folders as tar streams, for an engine that cannot see this machine's disk: sources go in, results come back."""

from __future__ import annotations

import stat
import tarfile
import tempfile
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path, PurePosixPath
from typing import IO

from recipes.tarfiles import TarEntry, disk_entry, tar_bytes, write_tar

_CHUNK = 1 << 20


def files_tar(files: Mapping[str, tuple[bytes, int]]) -> bytes:
    """Return an archive of small files: name to content and mode, owned by root."""
    return tar_bytes(TarEntry(name=name, content=data, mode=mode) for name, (data, mode) in sorted(files.items()))


def pack_folder(source: Path, target: PurePosixPath, user: str) -> IO[bytes]:
    """Return an open archive that, unpacked at `/`, makes `target` a copy of `source`, owned by `user` (uid:gid).

    Times stay: a `make` in the container compares them. It is in a temporary file: a sysroot is too large for memory.
    """
    uid, gid = (int(part) for part in user.split(":")) if user else (0, 0)
    spool = tempfile.TemporaryFile()  # noqa: SIM115 - the caller closes it
    write_tar(spool, _copied(source, target, (uid, gid)))
    spool.seek(0)
    return spool


def _copied(source: Path, target: PurePosixPath, owner: tuple[int, int]) -> Iterator[TarEntry]:
    for parent in reversed(target.parents[:-1]):
        yield TarEntry(name=str(parent).lstrip("/"), folder=True, mode=0o755, owner=owner)
    for path in (source, *sorted(source.rglob("*"))):
        name = str(target / path.relative_to(source)).lstrip("/")
        there = path.lstat()
        yield disk_entry(path, name, mode=stat.S_IMODE(there.st_mode), owner=owner, time=there.st_mtime)


def read_chunks(stream: IO[bytes]) -> Iterator[bytes]:
    while part := stream.read(_CHUNK):
        yield part


def unpack_stream(stream: Iterable[bytes], into: Path) -> None:
    """Write an archive's one top folder over `into`; members that would leave it are refused by tarfile's filter."""
    with tempfile.TemporaryFile() as spool:
        for chunk in stream:
            spool.write(chunk)
        spool.seek(0)
        with tarfile.open(fileobj=spool) as archive:
            archive.extractall(into, filter="tar")
