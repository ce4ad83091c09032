"""Containers that run on: a simulated board, and the network that it answers on."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from recipes.engine.confinement import Confinement, Rights
from recipes.engine.connection import refusals, uninterrupted
from recipes.engine.tarstream import files_tar

LABEL = "boardcast"
_CONFLICT, _GOING_SECONDS = 409, 20
"""Status of an answer that a container is being removed already, and how long that may take."""


class Services:
    """Containers of an engine that outlive the command that started them, and the networks that they are on."""

    def __init__(self, client: Any) -> None:
        self._client = client

    def _found(self, name: str) -> Any | None:
        """Return a container; None where there is none of this name."""
        import docker

        try:
            return self._client.containers.get(name)
        except docker.errors.NotFound:
            return None
        except docker.errors.APIError as error:
            # What podman 4.3 says of one that goes at this moment.
            if "does not exist" in str(error.explanation):
                return None
            raise

    def remove(self, name: str) -> None:
        """Remove a container of this name, running or not; nothing happens where there is none.

        One that goes by itself at this moment is waited for.
        """
        import docker

        until = time.monotonic() + _GOING_SECONDS
        while (there := self._found(name)) is not None:
            try:
                there.remove(force=True, v=True)
            except docker.errors.NotFound:
                return
            except docker.errors.APIError as error:
                if error.status_code != _CONFLICT or time.monotonic() >= until:
                    raise
                time.sleep(0.1)

    def ensure_network(self, name: str) -> str:
        """Make sure that our bridge network exists and return the address of its gateway (this machine).

        An engine lets two programs that come at once make two of one name: the first stays. Who shares a network with
        others changes it in turns (`recipes.files.exclusive`).
        """
        import docker

        found = self._networks(name)
        if not found:
            with contextlib.suppress(docker.errors.APIError):  # another program was quicker
                self._client.networks.create(name, driver="bridge", labels={LABEL: "network"}, check_duplicate=True)
            found = self._networks(name)
        for twin in found[1:]:
            with contextlib.suppress(docker.errors.NotFound, docker.errors.APIError):
                twin.remove()
        return str(found[0].attrs["IPAM"]["Config"][0]["Gateway"])

    def _networks(self, name: str) -> list[Any]:
        """Return the networks of exactly this name, the oldest first."""
        found = [network for network in self._client.networks.list(names=[name]) if network.name == name]
        return sorted(found, key=lambda network: (network.attrs["Created"], network.id))

    def remove_network(self, name: str) -> None:
        """Remove a network of this name; it stays where there is none, or a container is still on it.

        One that stands still counts too, which the engine does not ask for: it could not be started any more.
        """
        import docker

        for network in self._networks(name):
            with contextlib.suppress(docker.errors.NotFound, docker.errors.APIError):
                if not self._client.containers.list(all=True, filters={"network": network.id}, ignore_removed=True):
                    network.remove()

    def start(
        self,
        name: str,
        image: str,
        command: Sequence[str],
        *,
        network: str,
        files: Mapping[str, tuple[bytes, int]],
        tmpfs: Mapping[str, str] | None = None,
        capabilities: Sequence[str] = (),
        rights: Rights = Rights.BOARD,
        binds: Mapping[Path, str] | None = None,
    ) -> str:
        """Start a long-running container with extra files in it and return its address on the network.

        It is root of its own, with the rights of a board and no more (`recipes.engine.confinement`). On this machine's
        own network (`host`) it has no address of its own: nothing is returned then.

        Parameters
        ----------
        capabilities:
            Linux capabilities beyond those, such as SYS_ADMIN for an init system that mounts.
        binds:
            Folders of this machine, and where they are in the container.
        """
        held = Confinement(rights=rights, user="0:0").options()
        held["tmpfs"] = held.get("tmpfs", {}) | dict(tmpfs or {})
        with refusals("the container engine makes no container of this image"):
            container = self._client.containers.create(
                image,
                list(command),
                name=name,
                hostname=name.rpartition(".")[2],
                labels={LABEL: "sim"},
                network=network,
                volumes={str(folder): {"bind": inside, "mode": "rw"} for folder, inside in (binds or {}).items()},
                **(held | {"cap_add": [*held["cap_add"], *capabilities]}),
            )
        try:
            if files:
                container.put_archive("/", files_tar(files))
            with refusals("the container engine does not start a container"):
                container.start()
            container.reload()
            return str(container.attrs["NetworkSettings"]["Networks"][network]["IPAddress"])
        except BaseException:
            with uninterrupted():
                self.remove(name)
            raise

    def beside(self, name: str, other: str, command: Sequence[str], *, capabilities: Sequence[str]) -> None:
        """Start a container in another one's network and of its image, with no rights but these; it goes as it ends.

        So what needs more rights than a board has is done beside it, and for as long as it takes.
        """
        there = self._client.containers.get(other)
        held = Confinement(rights=Rights.BOARD, user="0:0").options() | {"cap_add": list(capabilities)}
        self._client.containers.create(
            there.image.id,
            list(command),
            name=name,
            labels={LABEL: "sim"},
            network_mode=f"container:{there.id}",
            auto_remove=True,
            **held,
        ).start()

    def stop(self, name: str, seconds: int) -> None:
        """End a container: SIGTERM, and SIGKILL so many seconds later; nothing happens where there is none."""
        import docker

        if (there := self._found(name)) is not None:
            with contextlib.suppress(docker.errors.NotFound):
                there.stop(timeout=seconds)

    def restart(self, name: str, *, network: str, before: Sequence[str] = ()) -> str:
        """Kill a container, start it anew with its files as they are, and return its address, which may be another.

        Parameters
        ----------
        before:
            A command that runs in it first.
        """
        container = self._client.containers.get(name)
        if before:
            container.exec_run(list(before))
        container.restart(timeout=0)
        container.reload()
        return str(container.attrs["NetworkSettings"]["Networks"][network]["IPAddress"])

    def running(self, name: str) -> bool:
        """Tell whether a container of this name runs."""
        there = self._found(name)
        return there is not None and str(there.status) == "running"

    def log_tail(self, name: str, lines: int = 10) -> str:
        """Return the last lines of a container's log; empty where there is no such container."""
        there = self._found(name)
        return "" if there is None else str(there.logs(tail=lines).decode("utf-8", "replace"))
