"""What a container sees, and a running one: values for jobs, and the session that commands are run in."""

from __future__ import annotations

import base64
import json
from collections.abc import Generator, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass, field, replace
from pathlib import Path, PurePosixPath
from typing import Any, Protocol

from recipes.archives.intake import AbsoluteLinks, Limits, Part, RefusedError, Taken, take, take_parts
from recipes.archives.tarreader import Kind, Reader, TarError
from recipes.engine.confinement import Rights, build_ids
from recipes.engine.tarstream import empty_folder, files_tar, pack_folder, read_chunks
from recipes.errors import BuildError

LONGEST_LOG = 128 << 20
"""Bytes that one command may print."""
LARGEST_READ = 64 << 20
"""Bytes of a file that is read as a whole."""
_TWO_DEEP = 3  # with the root: the volume's own folder stays root's
_NOT_FOUND = 404
_GO_SYMLINK = 1 << 27
_AROUND = 2 << 20  # headers and padding, and the part that the engine sends with the last of the file


def _is_link(told: str) -> bool:
    """Tell whether an engine's word on a path is that of a link, by Go's mode bits (io/fs ModeSymlink)."""
    try:
        mode = json.loads(base64.b64decode(told, validate=True))["mode"]
    except (ValueError, KeyError, TypeError):
        return False  # an engine that says nothing: the archive's own members are looked at
    return isinstance(mode, int) and bool(mode & _GO_SYMLINK)


class AbsentError(BuildError):
    """The container has nothing of this name."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Mount:
    """A folder or file of the workstation as a container sees it.

    What can only be read is bound. What can be written to is a copy in the container's own volume and goes with it:
    nothing that a container wrote is ever opened here by its name. An engine on another machine gets copies of all: of
    a mount with a `key` (its content's name) one that stays, in a volume.

    Parameters
    ----------
    kept:
        Bound for writing: for what this program never reads again, a compiler's cache or a person's own folder. Left
        out at an engine on another machine.
    """

    source: Path
    target: PurePosixPath
    read_only: bool = True
    key: str = ""
    kept: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Job:
    """Everything that decides what a container sees, and what it may do.

    Without rights its working folder is its user's own, in a volume that goes with the container; beside it only /tmp
    can be written to. All mounts are below the first folder of the working folder's path: it is that volume.
    """

    image: str
    environment: Mapping[str, str] = field(default_factory=dict)
    mounts: tuple[Mount, ...] = ()
    present: Mapping[PurePosixPath, tuple[str, str]] = field(default_factory=dict)
    """Mount point to two variables: the first names it where it is mounted, the second is 1 where it is not."""
    network: str = "none"
    rights: Rights = Rights.NONE
    user: str = ""
    """`uid:gid`; without it root with rights, else the unprivileged user of `build_ids`."""
    cwd: PurePosixPath

    def __post_init__(self) -> None:
        if self.rights is Rights.NONE and len(self.cwd.parts) < _TWO_DEEP:
            raise ValueError(f"{self.cwd} is no folder in a volume of the container's own")

    @property
    def runs_as(self) -> str:
        return self.user or (build_ids() if self.rights is Rights.NONE else "0:0")

    @property
    def volume(self) -> PurePosixPath | None:
        """The folder of the container that is a volume of its own; None where all of the image can be written to."""
        return PurePosixPath("/", self.cwd.parts[1]) if self.rights is Rights.NONE else None

    def variables(self, mounted: Sequence[Mount]) -> dict[str, str]:
        """Return the environment, with what `present` says about these mounts."""
        there = {mount.target for mount in mounted}
        told = {
            yes if path in there else no: str(path) if path in there else "1"
            for path, (yes, no) in self.present.items()
        }
        return dict(self.environment) | told

    def shell(self, held: Sequence[str]) -> list[str]:
        """Return the command line that opens a shell in such a container.

        Parameters
        ----------
        held:
            Words for `docker run`: labels, and what it may do.
        """
        words = ["docker", "run", "--rm", "-it", "--init", "--network", self.network, "--workdir", str(self.cwd), *held]
        words += ["--mount", f"type=volume,target={self.volume}"] if self.volume else []
        told = self.variables(self.mounts)
        words += [word for name, value in sorted(told.items()) for word in ("--env", f"{name}={value}")]
        for mount in self.mounts:
            words += ["--volume", f"{mount.source}:{mount.target}:{'rw' if mount.kept else 'ro'}"]
        return [*words, self.image, "bash"]


class Log(Protocol):
    """What takes the output of a command."""

    def write(self, data: bytes, /) -> object: ...


class ContainerSession:
    """One running container; made by `Engine.session`, which also removes it."""

    def __init__(self, container: Any) -> None:
        self._container = container
        self.taken = 0
        """Bytes that came out of it as archives so far."""

    def run(self, argv: Sequence[str], *, log: Log, cwd: PurePosixPath | None = None, most: int = LONGEST_LOG) -> int:
        """Run one command to its end, write both of its streams to `log`, return its exit code.

        Parameters
        ----------
        most:
            Bytes that it may print.

        Raises
        ------
        BuildError
            It prints more; it is still running then, and ends with the container.
        """
        api = self._container.client.api
        started = api.exec_create(
            self._container.id, list(argv), workdir=None if cwd is None else str(cwd), stdout=True, stderr=True
        )
        stream = api.exec_start(started["Id"], stream=True)
        printed = 0
        try:
            for chunk in stream:
                printed += len(chunk)
                if printed > most:
                    raise BuildError(f"{argv[0]} prints without end", why=f"more than {most:,} bytes")
                log.write(chunk)
        finally:
            stream._response.close()  # noqa: SLF001 - the SDK leaves it to us, and names no other way
        code = api.exec_inspect(started["Id"])["ExitCode"]
        return 1 if code is None else int(code)

    def call(
        self, argv: Sequence[str], *, environment: Mapping[str, str] | None = None, most: int = LONGEST_LOG
    ) -> tuple[int, bytes, bytes]:
        """Run one command to its end; return its exit code, and its two streams apart, for what reads them.

        Raises
        ------
        BuildError
            It prints more than `most` bytes; it is still running then, and ends with the container.
        """
        api = self._container.client.api
        given = dict(environment or {})
        started = api.exec_create(self._container.id, list(argv), environment=given, stdout=True, stderr=True)
        stream = api.exec_start(started["Id"], stream=True, demux=True)
        parts: tuple[list[bytes], list[bytes]] = ([], [])
        printed = 0
        try:
            for both in stream:
                for kept, chunk in zip(parts, both, strict=True):
                    printed += len(chunk or b"")
                    kept.append(chunk or b"")
                if printed > most:
                    raise BuildError(f"{argv[0]} prints without end", why=f"more than {most:,} bytes")
        finally:
            stream._response.close()  # noqa: SLF001 - as in `run`
        code = api.exec_inspect(started["Id"])["ExitCode"]
        return 1 if code is None else int(code), b"".join(parts[0]), b"".join(parts[1])

    def copy_in(self, source: Path, target: PurePosixPath, *, top: PurePosixPath, user: str) -> None:
        """Make `target`, below the container's volume `top`, a copy of a folder or file of ours, owned by `user`."""
        with pack_folder(source, target.relative_to(top), user) as archive:
            self._container.put_archive(str(top), read_chunks(archive))

    def make_folder(self, target: PurePosixPath, *, top: PurePosixPath, user: str) -> None:
        """Make an empty folder `target`, below the container's volume `top`, owned by `user`."""
        self._container.put_archive(str(top), empty_folder(target.relative_to(top), user))

    def put(self, folder: PurePosixPath, files: Mapping[str, tuple[bytes, int]]) -> None:
        """Write files (name to content and mode) into a folder of the container, owned by root."""
        self._container.put_archive(str(folder), files_tar(files))

    def get(self, path: str) -> Generator[bytes]:
        """Stream a path of the container as a tar archive; with a trailing `/.`, what the folder holds.

        Raises
        ------
        AbsentError
            There is nothing of this name.
        RefusedError
            It is a link, whoever would follow it: docker gives the link itself, podman what it leads to.
        """
        api = self._container.client.api
        answer = api._get(  # noqa: SLF001 - the SDK's own call leaves nothing by which the answer could be closed
            api._url("/containers/{0}/archive", self._container.id),  # noqa: SLF001
            params={"path": path},
            stream=True,
        )
        # An answer that nobody reads to its end holds the engine's lock on the container: it could not be removed.
        with closing(answer):
            if answer.status_code == _NOT_FOUND:
                raise AbsentError(f"{path} of the container is not there")
            api._raise_for_status(answer)  # noqa: SLF001
            if _is_link(answer.headers.get("X-Docker-Container-Path-Stat", "")):
                raise RefusedError(f"{path} of the container is a link: no regular file, and no folder")
            for chunk in answer.iter_content(1 << 20):
                self.taken += len(chunk)
                yield chunk

    def take(
        self,
        path: PurePosixPath,
        into: Path,
        *,
        below: PurePosixPath | None = None,
        limits: Limits | None = None,
        absolute: AbsoluteLinks = AbsoluteLinks.REFUSE,
        root: PurePosixPath | None = None,
        skip_odd: bool = False,
    ) -> Taken:
        """Take a folder of the container, or what is `below` it, into an empty folder of ours; see `intake.take`.

        Raises
        ------
        AbsentError
            It is not there.
        RefusedError
            It is no folder, or holds what is not taken.
        """
        with closing(self.get(str(path))) as chunks:
            return take(
                chunks,
                into,
                below=PurePosixPath(path.name) / (below or ""),
                limits=limits,
                absolute=absolute,
                root=root,
                skip_odd=skip_odd,
            )

    def take_parts(self, path: PurePosixPath, parts: Sequence[Part], *, limits: Limits) -> list[Taken]:
        """Take folders below one of the container, in one call; see `intake.take_parts`.

        Parameters
        ----------
        parts:
            Each `below` is from that folder on.

        Raises
        ------
        AbsentError
            It is not there.
        RefusedError
            It is no folder, or one of the parts holds what is not taken.
        """
        with closing(self.get(str(path))) as chunks:
            return take_parts(chunks, [replace(part, below=path.name / part.below) for part in parts], limits=limits)

    def still(self) -> None:
        """End everything that runs in the container, for good: what is read of it afterwards changes no more."""
        self._container.kill()

    def read(self, path: PurePosixPath, *, most: int = LARGEST_READ) -> bytes:
        """Return one regular file of the container.

        Raises
        ------
        AbsentError
            There is nothing of this name.
        RefusedError
            It is something else (a folder, a link), or has more than `most` bytes.
        """
        with closing(self.get(str(path))) as chunks:
            reader = Reader(chunks, most + _AROUND)
            try:
                member = next(reader.members(), None)
                if member is None or member.kind is not Kind.FILE:
                    raise RefusedError(f"{path} of the container is no regular file")
                if member.size > most:
                    raise RefusedError(f"{path} of the container has {member.size:,} bytes, more than {most:,}")
                return b"".join(reader.content())
            except TarError as error:
                raise RefusedError(f"{path} of the container cannot be read", why=str(error)) from error
