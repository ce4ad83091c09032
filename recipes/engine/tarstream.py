"""Folders as tar streams, for an engine that cannot see this machine's disk: sources go in, results come back."""

from __future__ import annotations

import io
import tarfile
import tempfile
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path, PurePosixPath
from typing import IO

_CHUNK = 1 << 20


def files_tar(files: Mapping[str, tuple[bytes, int]]) -> bytes:
    """Return an archive of small files: name to content and mode, owned by root."""
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as archive:
        for name, (data, mode) in sorted(files.items()):
            member = tarfile.TarInfo(name)
            member.size, member.mode = len(data), mode
            archive.addfile(member, io.BytesIO(data))
    return buffer.getvalue()


def pack_folder(source: Path, target: PurePosixPath, user: str) -> IO[bytes]:
    """Return an open archive that, unpacked at `/`, makes `target` a copy of `source`, owned by `user` (uid:gid).

    It lies in a temporary file: a sysroot is too large for memory.
    """
    uid, gid = (int(part) for part in user.split(":")) if user else (0, 0)

    def owned(member: tarfile.TarInfo) -> tarfile.TarInfo:
        member.uid, member.gid, member.uname, member.gname = uid, gid, "", ""
        return member

    spool = tempfile.TemporaryFile()  # noqa: SIM115 - the caller closes it
    with tarfile.open(fileobj=spool, mode="w") as archive:
        for parent in reversed(target.parents[:-1]):
            folder = tarfile.TarInfo(str(parent).lstrip("/"))
            folder.type, folder.mode = tarfile.DIRTYPE, 0o755
            archive.addfile(owned(folder))
        archive.add(source, str(target).lstrip("/"), filter=owned)
    spool.seek(0)
    return spool


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
