"""What a container sees, and a running one: values for jobs, and the session that commands are run in."""

from __future__ import annotations

import io
import os
import tarfile
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath
from typing import IO, Any

from recipes.engine.tarstream import files_tar, unpack_stream
from recipes.errors import BuildError


@dataclass(frozen=True, slots=True, kw_only=True)
class Mount:
    """A folder of the workstation as a container sees it.

    An engine on another machine gets copies: of a mount with a `key` (its content's name) one that stays, in a volume;
    of any other one that goes with the container. An `optional` one is left out there.
    """

    source: Path
    target: PurePosixPath
    read_only: bool = True
    key: str = ""
    optional: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Job:
    """Everything that decides what a container sees."""

    image: str
    environment: Mapping[str, str] = field(default_factory=dict)
    mounts: tuple[Mount, ...] = ()
    present: Mapping[PurePosixPath, tuple[str, str]] = field(default_factory=dict)
    """Mount point to two variables: the first names it where it is mounted, the second is 1 where it is not."""
    network: str = "none"
    user: str = ""
    cwd: PurePosixPath

    def variables(self, mounted: Sequence[Mount]) -> dict[str, str]:
        """Return the environment, with what `present` says about these mounts."""
        there = {mount.target for mount in mounted}
        told = {
            yes if path in there else no: str(path) if path in there else "1"
            for path, (yes, no) in self.present.items()
        }
        return dict(self.environment) | told


def caller_ids() -> str:
    """Return `uid:gid` of the person at the keyboard, so that what a container writes is theirs."""
    return f"{os.getuid()}:{os.getgid()}"


class ContainerSession:
    """One running container; made by `Engine.session`, which also removes it."""

    def __init__(self, container: Any, copied: Sequence[Mount] = ()) -> None:
        self._container = container
        self._copied = copied

    def bring_back(self, folders: Sequence[PurePosixPath]) -> None:
        """Copy folders below a writable mount to this machine, where the engine is on another one."""
        for folder in folders:
            for mount in self._copied:
                if not mount.read_only and mount.target in folder.parents:
                    local = mount.source / folder.relative_to(mount.target)
                    unpack_stream(self.get(str(folder)), local.parent)

    def run(self, argv: Sequence[str], *, log: IO[bytes], cwd: PurePosixPath | None = None) -> int:
        """Run one command to its end, write both of its streams to `log`, return its exit code."""
        api = self._container.client.api
        started = api.exec_create(
            self._container.id, list(argv), workdir=None if cwd is None else str(cwd), stdout=True, stderr=True
        )
        stream = api.exec_start(started["Id"], stream=True)
        try:
            for chunk in stream:
                log.write(chunk)
        finally:
            stream._response.close()  # noqa: SLF001 - the SDK leaves it to us, and names no other way
        code = api.exec_inspect(started["Id"])["ExitCode"]
        return 1 if code is None else int(code)

    def put(self, folder: PurePosixPath, files: Mapping[str, tuple[bytes, int]]) -> None:
        """Write files (name to content and mode) into a folder of the container, owned by root."""
        self._container.put_archive(str(folder), files_tar(files))

    def get(self, path: str) -> Iterator[bytes]:
        """Stream a path of the container as a tar archive; with a trailing `/.`, what the folder holds."""
        chunks, _ = self._container.get_archive(path, chunk_size=1 << 20)
        yield from chunks

    def read(self, path: PurePosixPath) -> bytes:
        """Return one regular file of the container.

        Raises
        ------
        BuildError
            There is something else of this name: a folder, a link.
        """
        with tarfile.open(fileobj=io.BytesIO(b"".join(self.get(str(path))))) as archive:
            member = next(iter(archive))
            file = archive.extractfile(member) if member.isreg() else None
            if file is None:
                raise BuildError(f"{path} of the container is no regular file")
            return file.read()
