"""The container engine. The only user of the docker SDK: images in, commands run, files copied, everything removed."""

from __future__ import annotations

import contextlib
import io
import os
import signal
import tarfile
import threading
import uuid
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath
from typing import IO, Any

from recipes.errors import BuildError

LABEL = "boardcast"
OWNER = f"{LABEL}.owner"
RUN = f"{LABEL}.run"


@dataclass(frozen=True, slots=True, kw_only=True)
class Mount:
    """A folder of the workstation as a container sees it."""

    source: Path
    target: PurePosixPath
    read_only: bool = True


@dataclass(frozen=True, slots=True, kw_only=True)
class Job:
    """Everything that decides what a container sees."""

    image: str
    environment: Mapping[str, str] = field(default_factory=dict)
    mounts: tuple[Mount, ...] = ()
    network: str = "none"
    user: str = ""
    cwd: PurePosixPath


def caller() -> str:
    """Return `uid:gid` of the person at the keyboard, so that what a container writes is theirs."""
    return f"{os.getuid()}:{os.getgid()}"


class Session:
    """One running container; made by `Engine.session`, which also removes it."""

    def __init__(self, container: Any) -> None:
        self._container = container

    def run(self, argv: Sequence[str], *, log: IO[bytes], cwd: PurePosixPath | None = None) -> int:
        """Run one command to its end, write both of its streams to `log`, return its exit code."""
        api = self._container.client.api
        started = api.exec_create(
            self._container.id, list(argv), workdir=None if cwd is None else str(cwd), stdout=True, stderr=True
        )
        for chunk in api.exec_start(started["Id"], stream=True):
            log.write(chunk)
        code = api.exec_inspect(started["Id"])["ExitCode"]
        return 1 if code is None else int(code)

    def put(self, folder: PurePosixPath, files: Mapping[str, tuple[bytes, int]]) -> None:
        """Write files (name to content and mode) into a folder of the container, owned by root."""
        self._container.put_archive(str(folder), _tar(files))

    def get(self, path: str) -> Iterator[bytes]:
        """Stream a path of the container as a tar archive; with a trailing `/.`, what the folder holds."""
        chunks, _ = self._container.get_archive(path, chunk_size=1 << 20)
        yield from chunks


def _tar(files: Mapping[str, tuple[bytes, int]]) -> bytes:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as archive:
        for name, (data, mode) in sorted(files.items()):
            member = tarfile.TarInfo(name)
            member.size, member.mode = len(data), mode
            archive.addfile(member, io.BytesIO(data))
    return buffer.getvalue()


class Engine:
    """A connected engine."""

    def __init__(self, client: Any) -> None:
        self._client = client
        self._run = uuid.uuid4().hex[:12]

    @staticmethod
    def connect() -> Engine:
        """Connect to the engine that DOCKER_HOST names, or to the usual socket.

        Raises
        ------
        BuildError
            None answers; says what was tried and how to get one.
        """
        import docker

        tried = os.environ.get("DOCKER_HOST", "unix:///var/run/docker.sock")
        try:
            client = docker.from_env(timeout=600)
            client.ping()
        except docker.errors.DockerException as error:
            raise BuildError(
                "no container engine answers",
                where=tried,
                why=_innermost(error),
                next_step="as root: ./bootstrap demo installs and starts one; or set DOCKER_HOST to yours",
            ) from error
        engine = Engine(client)
        engine.sweep()
        return engine

    def image_id(self, reference: str) -> str:
        """Return the content id of an image, or an empty string where the engine has none of this name."""
        import docker

        try:
            return str(self._client.images.get(reference).id)
        except docker.errors.ImageNotFound:
            return ""

    def pull(self, reference: str) -> str:
        """Pull an image by digest and return its id; raises BuildError with the registry's answer."""
        import docker

        try:
            return str(self._client.images.pull(reference).id)
        except docker.errors.APIError as error:
            raise BuildError(f"cannot pull {reference}", why=str(error.explanation)) from error

    def import_tar(self, tar: IO[bytes], tag: str, *, changes: Sequence[str] = ()) -> str:
        """Make an image of one layer from a root file system; the stream is sent as it is read.

        The SDK's own import calls hold the file in memory, or name a path on the engine's side.
        """
        api = self._client.api
        repository, _, version = tag.rpartition(":")
        answer = api._post(  # noqa: SLF001 - the SDK has no streaming import
            api._url("/images/create"),  # noqa: SLF001
            params={"fromSrc": "-", "repo": repository, "tag": version, "changes": list(changes)},
            data=tar,
            headers={"Content-Type": "application/tar"},
        )
        api._raise_for_status(answer)  # noqa: SLF001
        return self.image_id(tag)

    def build(self, context: Mapping[str, tuple[bytes, int]], tag: str, arguments: Mapping[str, str]) -> str:
        """Build an image with the classic builder and return its id.

        Raises
        ------
        BuildError
            A step failed; carries the last lines that it printed.
        """
        lines: list[str] = []
        stream = self._client.api.build(
            fileobj=io.BytesIO(_tar(context)),
            custom_context=True,
            tag=tag,
            buildargs=dict(arguments),
            labels={LABEL: "image"},
            rm=True,
            forcerm=True,
            decode=True,
        )
        for event in stream:
            lines += str(event.get("stream", "")).splitlines()
            if "error" in event:  # the HTTP status stays 200
                tail = [line for line in lines if line.strip()][-12:]
                raise BuildError(
                    f"image {tag} did not build", why="\n       ".join([*tail, str(event["error"]).strip()])
                )
        return self.image_id(tag)

    @contextlib.contextmanager
    def session(self, job: Job) -> Iterator[Session]:
        """Start a container that waits for commands; it is removed when the block ends, however it ends."""
        name = f"{LABEL}-{self._run}-{uuid.uuid4().hex[:6]}"
        try:
            container = self._client.containers.create(
                job.image,
                ["sleep", "86400"],
                name=name,
                init=True,
                labels={LABEL: "session", OWNER: _owner(), RUN: self._run},
                environment=dict(job.environment),
                volumes={
                    str(mount.source): {"bind": str(mount.target), "mode": "ro" if mount.read_only else "rw"}
                    for mount in job.mounts
                },
                network_mode=job.network,
                user=job.user,
                working_dir=str(job.cwd),
            )
            container.start()
            yield Session(container)
        finally:
            with _uninterrupted():
                self.remove(name)

    def interactive(self, job: Job) -> list[str]:
        """Return the command line that opens a shell in the same container and environment as a build."""
        words = ["docker", "run", "--rm", "-it", "--init", "--network", job.network, "--workdir", str(job.cwd)]
        words += ["--label", f"{LABEL}=session", "--label", f"{OWNER}={_owner()}"]
        words += ["--user", job.user] if job.user else []
        words += [word for name, value in sorted(job.environment.items()) for word in ("--env", f"{name}={value}")]
        for mount in job.mounts:
            words += ["--volume", f"{mount.source}:{mount.target}:{'ro' if mount.read_only else 'rw'}"]
        return [*words, job.image, "bash"]

    def remove(self, name: str) -> None:
        """Remove a container of this name, running or not; nothing happens where there is none."""
        import docker

        with contextlib.suppress(docker.errors.NotFound):
            self._client.containers.get(name).remove(force=True, v=True)

    def sweep(self) -> None:
        """Remove containers of runs that were killed: they carry our label, and their owner is gone."""
        import docker

        for container in self._client.containers.list(all=True, filters={"label": f"{LABEL}=session"}):
            machine, _, pid = container.labels.get(OWNER, "").rpartition(":")
            if machine == _machine() and pid.isdigit() and not Path(f"/proc/{pid}").exists():
                with contextlib.suppress(docker.errors.APIError):
                    container.remove(force=True, v=True)

    def sessions(self) -> list[str]:
        """Return the names of the containers of this connection's own sessions that still exist."""
        return [one.name for one in self._client.containers.list(all=True, filters={"label": f"{RUN}={self._run}"})]

    def sessions_of_anyone(self) -> list[str]:
        """Return the names of all session containers with our label, of this run or another."""
        return [one.name for one in self._client.containers.list(all=True, filters={"label": f"{LABEL}=session"})]

    def abort(self) -> None:
        """Remove the containers of this connection's own sessions: commands that run in them in other threads end."""
        import docker

        for container in self._client.containers.list(all=True, filters={"label": f"{RUN}={self._run}"}):
            with contextlib.suppress(docker.errors.APIError):
                container.remove(force=True, v=True)

    def ensure_network(self, name: str) -> str:
        """Make sure that our bridge network exists and return the address of its gateway (this machine)."""
        import docker

        try:
            network = self._client.networks.get(name)
        except docker.errors.NotFound:
            network = self._client.networks.create(name, driver="bridge", labels={LABEL: "network"})
            network.reload()
        return str(network.attrs["IPAM"]["Config"][0]["Gateway"])

    def remove_network(self, name: str) -> None:
        import docker

        with contextlib.suppress(docker.errors.NotFound, docker.errors.APIError):
            self._client.networks.get(name).remove()

    def start(
        self,
        name: str,
        image: str,
        command: Sequence[str],
        *,
        network: str,
        files: Mapping[str, tuple[bytes, int]],
        tmpfs: Mapping[str, str] | None = None,
    ) -> str:
        """Start a long-running container with extra files in it and return its address on the network."""
        container = self._client.containers.create(
            image,
            list(command),
            name=name,
            hostname=name.rpartition(".")[2],
            labels={LABEL: "sim"},
            network=network,
            tmpfs=dict(tmpfs or {}),
        )
        try:
            container.put_archive("/", _tar(files))
            container.start()
            container.reload()
            return str(container.attrs["NetworkSettings"]["Networks"][network]["IPAddress"])
        except BaseException:
            with _uninterrupted():
                self.remove(name)
            raise

    def running(self, name: str) -> bool:
        import docker

        try:
            return str(self._client.containers.get(name).status) == "running"
        except docker.errors.NotFound:
            return False

    def log_tail(self, name: str, lines: int = 10) -> str:
        import docker

        try:
            return str(self._client.containers.get(name).logs(tail=lines).decode("utf-8", "replace"))
        except docker.errors.NotFound:
            return ""


def _machine() -> str:
    """Return this boot of this machine: process ids mean nothing elsewhere."""
    return Path("/proc/sys/kernel/random/boot_id").read_text().strip()


def _owner() -> str:
    return f"{_machine()}:{os.getpid()}"


def _innermost(error: BaseException) -> str:
    while (inner := error.__cause__ or error.__context__) is not None:
        error = inner
    return str(error)


@contextlib.contextmanager
def _uninterrupted() -> Iterator[None]:
    """Hold Ctrl-C back while a container is removed: a second one must not leave it behind."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    old = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, old)
