"""The container engine, with the docker SDK behind it: images in, commands run, files copied, everything removed."""

from __future__ import annotations

import contextlib
import io
import os
import re
import threading
import uuid
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path, PurePosixPath
from typing import IO, Any

from recipes.arch import debian_processor
from recipes.console import say
from recipes.engine.confinement import NOBODY, Confinement, is_rootless
from recipes.engine.connection import (
    engine_client,
    engine_endpoint,
    owner_is_gone,
    owner_mark,
    refusals,
    uninterrupted,
)
from recipes.engine.container import ContainerSession, Job, Mount
from recipes.engine.disk import engine_folders, watched
from recipes.engine.mounts import begin, first_unseen, is_copied, keyed_volumes
from recipes.engine.services import LABEL, Services
from recipes.engine.tarstream import files_tar
from recipes.errors import BuildError
from recipes.progress import Step, progress
from recipes.text import one_line

OWNER_LABEL = f"{LABEL}.owner"
RUN_LABEL = f"{LABEL}.run"

_STEP = re.compile(r"Step (\d{1,4})/(\d{1,4}) :")


def pull_total(layers: dict[str, tuple[int, int]], event: Mapping[str, Any]) -> int:
    """Note what one event of a pull tells (layer to bytes that came, and bytes in all); return the bytes of all."""
    if event.get("status") == "Downloading":
        detail = event.get("progressDetail") or {}
        layers[str(event.get("id"))] = (int(detail.get("current") or 0), int(detail.get("total") or 0))
    return sum(total for _, total in layers.values())


class _Removal(threading.Thread):
    """The removal of one container, over a connection of its own."""

    def __init__(self, container: str) -> None:
        super().__init__(name=f"removal of {container}")
        self._container = container
        self.error: Exception | None = None

    def run(self) -> None:
        try:
            with contextlib.closing(engine_client()) as client:
                Services(client).remove(self._container)
        except Exception as error:  # noqa: BLE001 - it is raised where it is waited for
            self.error = error


class Engine:
    """A connected engine; `services` are its containers with a life of their own."""

    def __init__(self, client: Any, *, remote: bool = False) -> None:
        self._client = client
        self.services = Services(client)
        self._run = uuid.uuid4().hex[:12]
        self._aborted = False
        self._told: dict[str, Any] | None = None
        self._podman: bool | None = None
        self._seen: set[Path] = set()
        self._over: list[str] = []
        self._going: list[_Removal] = []
        self.remote = remote
        """It does not see the files of this program: all is copied."""

    @staticmethod
    def connect() -> Engine:
        """Connect to the engine that DOCKER_HOST or the docker context names, or to the usual socket.

        Raises
        ------
        BuildError
            None answers, or the one that is there is not for this user; says what was tried and how to get one.
        """
        host, _ = engine_endpoint()
        engine = Engine(engine_client(), remote=not host.startswith(("unix://", "npipe://")))
        engine.sweep()
        return engine

    def close(self) -> None:
        """Close the connections to the engine, once what is being removed is gone; a later call opens new ones."""
        self._remove_beside()
        going, self._going = self._going, []
        for removal in going:
            removal.join()
        self._client.close()
        for removal in going:
            if removal.error is not None:
                raise removal.error

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

        layers: dict[str, tuple[int, int]] = {}
        try:
            with progress(f"pulling {reference}", lambda: sum(came for came, _ in [*layers.values()])) as step:
                for event in self._client.api.pull(reference, stream=True, decode=True):
                    if "error" in event:  # the HTTP status stays 200
                        raise BuildError(f"cannot pull {reference}", why=one_line(str(event["error"])))
                    step.total = pull_total(layers, event)
        except docker.errors.APIError as error:
            raise BuildError(f"cannot pull {reference}", why=one_line(str(error.explanation))) from error
        return self.image_id(reference)

    def import_tar(self, tar: IO[bytes], tag: str, *, changes: Sequence[str] = ()) -> str:
        """Make an image of one layer from a root file system; the stream is sent as it is read.

        The SDK's own import calls hold the file in memory, or name a path on the engine's side.
        """
        api = self._client.api
        answer = api._post(  # noqa: SLF001 - the SDK has no streaming import
            api._url("/images/create"),  # noqa: SLF001
            # Podman 4.3 overlooks a `tag` beside it, and calls the image `latest`.
            params={"fromSrc": "-", "repo": tag, "changes": list(changes)},
            data=tar,
            headers={"Content-Type": "application/tar"},
        )
        api._raise_for_status(answer)  # noqa: SLF001
        return self.image_id(tag)

    def save(self, tag: str, into: IO[bytes]) -> None:
        """Write an image, with its name and all its layers, as the engine's own kind of tar file."""
        # Podman has names with a registry before them, so the SDK finds this one not among the image's.
        for part in self._client.api.get_image(tag):
            into.write(part)

    def load(self, archive: IO[bytes]) -> None:
        """Take images out of a file that `save` wrote, by the names in it.

        Raises
        ------
        BuildError
            The engine cannot read it.
        """
        import docker

        try:
            self._client.images.load(archive)
        except (docker.errors.APIError, docker.errors.ImageLoadError) as error:
            raise BuildError("the engine takes no images out of this file", why=one_line(str(error))) from error

    def build(
        self,
        context: Mapping[str, tuple[bytes, int]],
        tag: str,
        arguments: Mapping[str, str],
        *,
        told: Step | None = None,
    ) -> str:
        """Build an image with the classic builder and return its id.

        Parameters
        ----------
        told:
            Learns at which step of the Dockerfile the builder is.

        Raises
        ------
        BuildError
            A step failed; carries the last lines that it printed.
        """
        lines: list[str] = []
        stream = self._client.api.build(
            fileobj=io.BytesIO(files_tar(context)),
            custom_context=True,
            tag=tag,
            buildargs=dict(arguments),
            labels={LABEL: "image"},
            rm=True,
            forcerm=True,
            decode=True,
        )
        for event in stream:
            lines += (printed := str(event.get("stream", "")).splitlines())
            if told is not None:
                for found in filter(None, map(_STEP.match, printed)):
                    told.at(f"step {found[1]} of {found[2]}")
            if "error" in event:  # the HTTP status stays 200
                tail = [*[line for line in lines if line.strip()][-12:], str(event["error"]).strip()]
                raise BuildError(f"image {tag} did not build", why="\n       ".join(map(one_line, tail)))
        return self.image_id(tag)

    @contextlib.contextmanager
    def session(self, job: Job, *, later: bool = False) -> Iterator[ContainerSession]:
        """Start a container that waits for commands; it is removed when the block ends, however it ends.

        Where the engine turns out not to see the files of this program it gets copies, then and from then on.

        Parameters
        ----------
        later:
            A container whose block ended well is removed beside the next session, and `close` waits for it: what a
            build wrote takes a while to delete.

        Raises
        ------
        BuildError
            The engine's disk is nearly full, before it starts or while it runs (`recipes.engine.disk`).
        """
        if self._aborted:
            raise BuildError("stopped")
        job = self._for_its_user(job)
        name = f"{LABEL}-{self._run}-{uuid.uuid4().hex[:6]}"
        ended_well = False
        try:
            container, copied, bound = self._create(job, name)
            with watched(self._folders(), lambda: self._end(container)):
                self._begin(container, copied, job)
                if (lost := first_unseen(container, bound, self._seen)) is not None:
                    self._goes_blind(lost, name)
                    container, copied, _ = self._create(job, name)
                    self._begin(container, copied, job)
                self._remove_beside()
                yield ContainerSession(container)
            ended_well = True
        finally:
            if later and ended_well:
                self._over.append(name)
            else:
                with uninterrupted():
                    self.services.remove(name)

    def _remove_beside(self) -> None:
        """Begin to remove what is over; docker makes no volume while it deletes one, so not before a session begins."""
        over, self._over = self._over, []
        for name in over:
            self._going.append(_Removal(name))
            self._going[-1].start()

    def _create(self, job: Job, name: str) -> tuple[Any, list[Mount], dict[Path, PurePosixPath]]:
        """Create the container of a session; return it, what is to be copied into it, and what is bound."""
        mounted = [mount for mount in job.mounts if not (self.remote and mount.kept)]
        copied = [mount for mount in mounted if is_copied(mount, job, remote=self.remote)]
        bound = [mount for mount in mounted if mount not in copied]
        labels = {LABEL: "session", OWNER_LABEL: owner_mark(), RUN_LABEL: self._run}
        binds = {
            str(mount.source): {"bind": str(mount.target), "mode": "rw" if mount.kept else "ro"} for mount in bound
        }
        held = self._confined(job).options()
        api = self._client.api
        with refusals("the container engine makes no container of this image"):
            host = api.create_host_config(
                init=True,
                binds=binds | keyed_volumes(self._client, [mount for mount in copied if mount.key], job, labels),
                mounts=[{"Type": "volume", "Target": str(job.volume)}] if job.volume else [],
                network_mode=job.network,
                **{name: value for name, value in held.items() if name != "user"},
            )
            if self._keeps_ids(job):  # the SDK knows docker's words alone
                host["UsernsMode"] = "keep-id"
            made = api.create_container(
                job.image,
                ["sleep", "86400"],
                name=name,
                labels=labels,
                environment=job.variables(mounted),
                user=held["user"],
                working_dir=str(job.cwd),
                host_config=host,
            )
            container = self._client.containers.get(made["Id"])
        own = [mount for mount in copied if not mount.key]
        return container, own, {mount.source: mount.target for mount in bound}

    def _for_its_user(self, job: Job) -> Job:
        """Return a job as an engine that runs as a user can carry it out.

        To the ids of such an engine's containers this user's files are root's. With docker a build is nobody, who gets
        copies; what it would write to is left out.
        """
        if not is_rootless(self._facts()) or job.runs_as.startswith("0:") or self._keeps_ids(job):
            return job
        return replace(job, user=NOBODY, mounts=tuple(mount for mount in job.mounts if not mount.kept))

    def _keeps_ids(self, job: Job) -> bool:
        """Tell whether a container's user has this user's own id: podman can let it be what it is here."""
        mine = job.runs_as.startswith(f"{os.getuid()}:") and not job.runs_as.startswith("0:")
        return mine and is_rootless(self._facts()) and self.is_podman()

    def _goes_blind(self, lost: Path, name: str) -> None:
        """Copy from now on, and remove the container that was shown something else."""
        self.remote = True
        say(f"the container engine does not see {lost}: what it needs is copied to it, and ccache is not used")
        self.services.remove(name)

    def _confined(self, job: Job) -> Confinement:
        return Confinement(rights=job.rights, user=job.runs_as, memory=self._memory())

    def _facts(self) -> dict[str, Any]:
        if self._told is None:
            self._told = dict(self._client.info())
        return self._told

    @property
    def processor(self) -> str:
        """That of the engine's machine, as Debian calls it: amd64, arm64, …."""
        return debian_processor(str(self._facts().get("Architecture") or ""))

    def _memory(self) -> int:
        return int(self._facts().get("MemTotal") or 0)

    def _folders(self) -> tuple[Path, ...]:
        """Return the engine's folders, where they are on this machine."""
        return () if self.remote else engine_folders(str(self._facts().get("DockerRootDir") or ""))

    def _end(self, container: Any) -> None:
        import docker

        with contextlib.suppress(docker.errors.APIError):
            container.kill()

    def _begin(self, container: Any, copied: Sequence[Mount], job: Job) -> None:
        with refusals("the container engine does not start a container"):
            begin(container, copied, job, podman=self.is_podman())

    def is_podman(self) -> bool:
        """Tell whether podman answers behind docker's API; it is asked once."""
        if self._podman is None:
            parts = self._client.version().get("Components") or []
            self._podman = any(str(part.get("Name", "")).startswith("Podman") for part in parts)
        return self._podman

    def interactive(self, job: Job) -> list[str]:
        """Return the command line that opens a shell in the same container and environment as a build.

        Raises
        ------
        BuildError
            The engine is on another machine: it would not see the folders.
        """
        if self.remote:
            raise BuildError(
                "a shell needs an engine on this machine",
                why="its folders are mounted, and the engine that DOCKER_HOST or the context names is elsewhere",
                next_step="unset DOCKER_HOST, or docker context use default",
            )
        held = ["--label", f"{LABEL}=session", "--label", f"{OWNER_LABEL}={owner_mark()}"]
        return job.shell([*held, *self._confined(job).words()])

    def sweep(self) -> None:
        """Remove containers of runs that were killed: they carry our label, and their owner is gone."""
        import docker

        for container in self._client.containers.list(
            all=True, ignore_removed=True, filters={"label": f"{LABEL}=session"}
        ):
            if owner_is_gone(container.labels.get(OWNER_LABEL, "")):
                with contextlib.suppress(docker.errors.APIError):
                    container.remove(force=True, v=True)

    def sessions(self) -> list[str]:
        """Return the names of the containers of this connection's own sessions that still exist."""
        return self._names(f"{RUN_LABEL}={self._run}")

    def _names(self, label: str) -> list[str]:
        return [
            container.name
            for container in self._client.containers.list(all=True, ignore_removed=True, filters={"label": label})
        ]

    def abort(self) -> None:
        """Remove the containers of this connection's own sessions: commands that run in them in other threads end."""
        import docker

        self._aborted = True
        for container in self._client.containers.list(
            all=True, ignore_removed=True, filters={"label": f"{RUN_LABEL}={self._run}"}
        ):
            with contextlib.suppress(docker.errors.APIError):
                container.remove(force=True, v=True)
