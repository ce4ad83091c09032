"""What an init system has to offer, what a board says about a service, and the init systems that we know."""

from __future__ import annotations

import re
from dataclasses import dataclass
from enum import StrEnum
from typing import Protocol

from deploy.services.none import NoInit
from deploy.services.openrc import OpenRc
from deploy.services.procd import Procd
from deploy.services.service import Files, Service
from deploy.services.systemd import Systemd
from deploy.services.sysv import SysV
from recipes.errors import unknown
from recipes.text import one_line


class Phase(StrEnum):
    """Where a service stands."""

    RUNNING = "running"
    STARTING = "starting"
    """It waits for the network or the clock."""
    RESTARTING = "restarting"
    """The program ended; it is started again in a moment."""
    FAILED = "failed"
    """It ended in a way that a restart does not cure, or nothing watches over it though it was started."""
    STOPPED = "stopped"


@dataclass(frozen=True, slots=True, kw_only=True)
class ServiceState:
    """What a board says about a service."""

    phase: Phase
    installed: bool
    enabled: bool
    """It starts at boot."""
    pid: int
    """Of the program; 0 for none."""
    since: int
    """When the phase began, seconds since 1970 by the board's clock; 0 where it is not known."""
    restarts: int
    """Since the service was started."""
    last_exit: int | None
    """Exit code of the program's last end, 128 and the number for a signal."""
    reason: str
    """Why it ended last, or what it waits for; one line, fit to be shown."""


_UNWATCHED = "nothing watches over it: its supervising loop is gone"
_PHASES = {
    "running": Phase.RUNNING,
    "waiting": Phase.STARTING,
    "restarting": Phase.RESTARTING,
    "failed": Phase.FAILED,
    "stopped": Phase.STOPPED,
}


def parse_status(text: str) -> ServiceState:
    """Read what a `status` script printed; lines that it does not know are passed over."""
    told: dict[str, str] = {}
    for line in text[:65_536].splitlines():
        name, _, value = line.partition("=")
        told.setdefault(name, value)
    phase = _PHASES.get(told.get("state", ""), Phase.STOPPED)
    reason = one_line(told.get("reason", ""))
    if told.get("supervisor") != "yes" and phase is not Phase.STOPPED:
        phase, reason = Phase.FAILED, one_line(told.get("init_reason", "")) or _UNWATCHED
    return ServiceState(
        phase=phase,
        installed=told.get("installed") == "yes",
        enabled=told.get("enabled") == "yes",
        pid=_number(told.get("pid", "")) or 0 if phase is Phase.RUNNING else 0,
        since=_number(told.get("since", "")) or 0,
        restarts=_number(told.get("restarts", "")) or 0,
        last_exit=_number(told.get("last_exit", "")),
        reason=reason,
    )


def _number(text: str) -> int | None:
    return int(text) if re.fullmatch(r"[0-9]{1,15}", text) else None


class InitSystem(Protocol):
    """What starts programs on a board. Every script is POSIX sh, to be run there as root."""

    name: str

    def files(self, service: Service) -> Files:
        """Return the files of a service; raises ConfigError where this init system cannot have it."""
        ...

    def enable(self, service: Service) -> str:
        """Return the script that makes the folders and lets the service start at boot, after `files` are there."""
        ...

    def disable(self, service: Service) -> str:
        """Return the script after which the service no longer starts at boot; it runs on if it runs."""
        ...

    def start(self, service: Service) -> str: ...

    def stop(self, service: Service) -> str:
        """Return the script that stops a service and returns when its program has ended."""
        ...

    def restart(self, service: Service) -> str: ...

    def status(self, service: Service) -> str:
        """Return the script whose output `parse_status` reads."""
        ...

    def remove(self, service: Service) -> str:
        """Return the script that stops a service and takes away all that `files` and `enable` made."""
        ...


_ALL: tuple[InitSystem, ...] = (Systemd(), Procd(), SysV(), OpenRc(), NoInit())
INIT_SYSTEMS = {system.name: system for system in _ALL}


def init_system(name: str) -> InitSystem:
    """Return an init system by its name; raises ConfigError for an unknown one, with the known ones.

    `busybox` is another name for sysv.
    """
    known = "sysv" if name == "busybox" else name
    if known not in INIT_SYSTEMS:
        raise unknown("init system", name, INIT_SYSTEMS)
    return INIT_SYSTEMS[known]
