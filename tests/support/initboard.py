"""Boards with a real init system: systemd, BusyBox init and OpenRC, each as process 1 of a container."""

from __future__ import annotations

import time
import uuid
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

from deploy.boards.board import load_board
from deploy.services.service import Service
from deploy.services.systems import InitSystem, Phase, ServiceState, init_system, parse_status
from deploy.sim.boards import prepare_board
from recipes.arch import ARCHES
from recipes.engine.docker import Engine
from recipes.engine.tarstream import files_tar
from recipes.toolchains.debian_root import ensure_board_root

RUN = uuid.uuid4().hex[:6]
NETWORK = f"boardcast-services-{RUN}"
ROOT = "/opt/a  board's $HOME *"
INITTAB = b"::sysinit:/etc/init.d/rcS\n::shutdown:/etc/init.d/rcK\n::respawn:/bin/sleep 86400\n"
RC = b'#!/bin/sh\nfor script in /etc/init.d/S??*; do [ ! -f "$script" ] || "$script" %s; done\n'


@dataclass(frozen=True, slots=True, kw_only=True)
class Machine:
    """How a container with an init system is made."""

    system: str
    packages: tuple[str, ...] = ()
    command: str
    booted: str = "true"
    shutdown: str = "SIGTERM"
    """What tells process 1 to stop everything."""

    capabilities: tuple[str, ...] = ()
    user: str = "root"
    groups: tuple[str, ...] = ()


MACHINES = (
    Machine(
        system="systemd",
        packages=("systemd", "systemd-sysv", "procps"),
        # The engine shows the hierarchies of cgroups to read only, and systemd has to write in its own; the folder of
        # credentials that it mounts for a service has to be seen outside the place where it mounts it.
        command="export container=docker; for part in /sys/fs/cgroup/systemd /sys/fs/cgroup; do "
        "mount -o remount,bind,rw $part 2>/dev/null; done; mount --make-rshared /; exec /lib/systemd/systemd",
        booted="systemctl is-system-running | grep -q -e running -e degraded",
        shutdown="SIGRTMIN+3",
        capabilities=("SYS_ADMIN",),
        user="daemon",
        groups=("video", "audio"),
    ),
    Machine(system="sysv", command="exec /bin/busybox init"),
    Machine(
        system="openrc",
        packages=("openrc", "procps"),
        command="sed -i 's/^#*rc_sys=.*/rc_sys=\"docker\"/' /etc/rc.conf; exec /sbin/openrc-init",
        booted="[ -e /run/openrc/softlevel ] && [ ! -e /run/openrc/rc.starting ]",
        user="daemon",
    ),
)


def container_of(system: str) -> str:
    return f"boardcast-services-{RUN}.{system}"


class InitBoard:
    """A container with an init system, and a service on it."""

    def __init__(self, machine: Machine, engine: Engine, camera: bytes) -> None:
        self.machine = machine
        self.engine = engine
        self.name = container_of(machine.system)
        self.system: InitSystem = init_system(machine.system)
        self.service = Service(
            name="cam",
            description='The camera: 100 % "real", for $5',
            command=f"{ROOT}/current/run/cam's",
            working_folder=f"{ROOT}/work/cam",
            log_file="/var/log/cam/log",
            user=machine.user,
            groups=machine.groups,
            int_seconds=2,
            term_seconds=2,
        )
        self._start(camera)

    def _image(self) -> str:
        if not self.machine.packages:
            return prepare_board(load_board("sim-tiny"), self.engine).image
        name, packages = f"services-{self.machine.system}", self.machine.packages
        return ensure_board_root(name, ARCHES["x86_64"], "bookworm", "configure", packages, (), self.engine).image

    def _start(self, camera: bytes) -> None:
        image = self._image()
        self.engine.services.remove(self.name)
        self.engine.services.ensure_network(NETWORK)
        files = {f"{ROOT[1:]}/releases/1/run/cam's": (camera, 0o755)}
        if self.machine.system == "sysv":
            files |= {"etc/inittab": (INITTAB, 0o644), "etc/init.d/rcS": (RC % b"start", 0o755)}
            files |= {"etc/init.d/rcK": (RC % b"stop", 0o755)}
        self.engine.services.start(
            self.name,
            image,
            ["/bin/sh", "-c", self.machine.command],
            network=NETWORK,
            files=files,
            tmpfs={"/run": ""},
            capabilities=self.machine.capabilities,
        )
        self.sh('ln -s releases/1 "$1/current"', ROOT)

    def sh(self, script: str, *words: str, good: bool = True) -> str:
        code, out = self._container().exec_run(["/bin/sh", "-c", script, "sh", *words])
        text = str(out.decode("utf-8", "replace"))
        assert code == 0 or not good, f"{script}\n{text}"
        return text

    def put(self, files: dict[str, tuple[bytes, int]]) -> None:
        self._container().put_archive("/", files_tar({path[1:]: file for path, file in files.items()}))

    def _container(self) -> Any:
        return self.engine.services._client.containers.get(self.name)

    def reboot(self) -> None:
        """Shut the system down, and start it anew: what was in memory is gone, and process 1 starts what is enabled."""
        container = self._container()
        container.kill(signal=self.machine.shutdown)
        deadline = time.monotonic() + 15
        while self.up() and self.programs():
            assert time.monotonic() < deadline, f"it runs on: {self.programs()}"
            time.sleep(0.2)
        container.restart(timeout=0)
        self.booted()

    def up(self) -> bool:
        return str(self._container().status) == "running"

    def booted(self) -> None:
        deadline = time.monotonic() + 40
        while self.sh(f"if {self.machine.booted}; then echo booted; fi", good=False).strip() != "booted":
            assert time.monotonic() < deadline, self.engine.services.log_tail(self.name, 30)
            time.sleep(0.2)

    def install(self, *behaviour: str, **values: Any) -> None:
        self.service = replace(self.service, **values)
        self.put(self.system.files(self.service))
        self.sh(self.system.enable(self.service))
        if behaviour:
            self.behave(*behaviour)
        self.sh(self.system.start(self.service))

    def behave(self, *lines: str) -> None:
        self.put({f"{self.service.working_folder}/behave": ("".join(f"{line}\n" for line in lines).encode(), 0o644)})

    def state(self) -> ServiceState:
        return parse_status(self.sh(self.system.status(self.service)))

    def until(self, what: Callable[[ServiceState], bool], seconds: float = 30) -> ServiceState:
        deadline = time.monotonic() + seconds
        while not what(state := self.state()):
            assert time.monotonic() < deadline, f"{state}\n{self.log()}"
            time.sleep(0.2)
        return state

    def running(self, other_than: int = 0) -> ServiceState:
        """Wait until the program runs, and has come so far as to listen to signals."""
        return self.until(
            lambda state: (
                state.phase is Phase.RUNNING
                and state.pid != other_than
                and any(line.startswith(f"start {state.pid} ") for line in self.seen())
            )
        )

    def seen(self) -> list[str]:
        return self.sh('cat "$1/seen" 2>/dev/null', self.service.working_folder, good=False).splitlines()

    def log(self) -> str:
        return self.sh('cat "$1"; ps -ef 2>/dev/null || ps', self.service.log_file, good=False)

    def programs(self) -> list[str]:
        """Return the command lines that have to do with the service."""
        script = "for line in /proc/[0-9]*/cmdline; do tr '\\0' ' ' 2>/dev/null <$line; echo; done"
        return [
            line for line in self.sh(script, good=False).splitlines() if "/services/cam" in line or "/run/cam" in line
        ]

    def traces(self) -> set[str]:
        """Return every path that may be of the service."""
        names = "-name 'boardcast-*' -o -path '/opt/*' -o -path '/var/log/cam*'"
        script = (
            f"find / -xdev \\( -path /proc -o -path /sys \\) -prune -o \\( {names} \\) -print; ls -d /run/boardcast*"
        )
        return {line for line in self.sh(f"{script} 2>/dev/null", good=False).splitlines() if "/services-" not in line}
