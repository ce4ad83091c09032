"""Folders as tar streams, for an engine that cannot see this machine's disk: sources go in."""

from __future__ import annotations

import stat
import tempfile
from collections.abc import Iterator, Mapping
from pathlib import Path, PurePosixPath
from typing import IO

from recipes.archives.tarfiles import TarEntry, disk_entry, tar_bytes, write_tar

_CHUNK = 1 << 20


def files_tar(files: Mapping[str, tuple[bytes, int]]) -> bytes:
    """Return an archive of small files: name to content and mode, owned by root."""
    return tar_bytes(TarEntry(name=name, content=data, mode=mode) for name, (data, mode) in sorted(files.items()))


def empty_folder(name: PurePosixPath, user: str) -> bytes:
    """Return an archive of one folder, and those above it, owned by `user` (uid:gid)."""
    above = [*reversed(name.parents[:-1]), name]
    return tar_bytes(TarEntry(name=str(path), folder=True, mode=0o755, owner=_owner(user)) for path in above)


def pack_folder(source: Path, target: PurePosixPath, user: str) -> IO[bytes]:
    """Return an open archive that makes `target` a copy of `source`, owned by `user` (uid:gid).

    Times stay: a `make` in the container compares them. It is in a temporary file: a sysroot is too large for memory.

    Parameters
    ----------
    target:
        From the folder on that it will be unpacked in.
    """
    spool = tempfile.TemporaryFile()  # noqa: SIM115 - the caller closes it
    write_tar(spool, _copied(source, target, _owner(user)))
    spool.seek(0)
    return spool


def _owner(user: str) -> tuple[int, int]:
    uid, gid = (int(part) for part in user.split(":"))
    return uid, gid


def _copied(source: Path, target: PurePosixPath, owner: tuple[int, int]) -> Iterator[TarEntry]:
    for parent in reversed(target.parents[:-1]):
        yield TarEntry(name=str(parent), folder=True, mode=0o755, owner=owner)
    for path in (source, *sorted(source.rglob("*"))):
        there = path.lstat()
        if stat.S_IFMT(there.st_mode) not in (stat.S_IFREG, stat.S_IFDIR, stat.S_IFLNK):
            continue  # a FIFO would be waited for
        name = str(target / path.relative_to(source))
        yield disk_entry(path, name, mode=stat.S_IMODE(there.st_mode), owner=owner, time=there.st_mtime)


def read_chunks(stream: IO[bytes]) -> Iterator[bytes]:
    while part := stream.read(_CHUNK):
        yield part
