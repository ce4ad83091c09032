"""What a container may do: as little as its work needs, whoever starts it.

A build runs code of others. It is never root, has no capability, gains none by a setuid program, cannot write to its
image, and ends where it takes more than a build does. https://docs.docker.com/engine/security/
"""

from __future__ import annotations

import os
import stat
from collections.abc import Mapping
from dataclasses import dataclass
from enum import Enum
from pathlib import Path
from typing import Any

_NOBODY = 65534
NOBODY = f"{_NOBODY}:{_NOBODY}"
_PROCESSES = 4096
"""Of one container: a compile takes five, and this many can run side by side on the largest of workstations."""
_ULIMITS = {"fsize": 8 << 30, "nofile": 4096, "nproc": 2 * _PROCESSES, "core": 0}
"""Bytes of one file, files that one process has open, processes of one user on the machine, bytes of a core dump: no
build comes near. An engine that may not raise its own limits refuses what is above them (podman asks for four million
processes by itself): the numbers are below those of all."""
_MEMORY_SHARE = 0.9
"""Of the engine's machine: what is left keeps it answering."""
_TMP = {"/tmp": "rw,exec,nosuid,nodev,mode=1777"}  # noqa: S108 - the container's own
"""Beside its working folder the one place that a container without rights writes to; in memory, and of its memory."""


class Rights(Enum):
    """What a container's work needs; the values are capabilities(7), without their CAP_."""

    NONE = ()
    """A build, a check, a shell: an unprivileged user, the image read-only, a volume of its own for its work."""
    PACKAGES = ("CHOWN", "DAC_OVERRIDE", "FOWNER", "FSETID", "SETFCAP", "SETGID", "SETUID", "SYS_CHROOT")
    """A root of packages: root of the container, which makes files of all owners and modes (CHOWN, DAC_OVERRIDE,
    FOWNER, FSETID), and runs the packages' own scripts in it (SYS_CHROOT), some as the users they add (SETGID, SETUID).
    Where a script cannot give a program a capability (SETFCAP), it makes it setuid root.
    """
    BOARD = ("CHOWN", "DAC_OVERRIDE", "FOWNER", "FSETID", "KILL", "NET_BIND_SERVICE", "SETGID", "SETUID", "SYS_CHROOT")
    """A simulated board: root of the container, whose SSH server listens on port 22 (NET_BIND_SERVICE), has a folder of
    its own for what has no rights yet (SYS_CHROOT), and becomes who logs in (SETGID, SETUID); and who deploys there as
    root may do to files and processes what root of a board may. It makes no devices, and sends no packets by hand.
    """
    DOOR = ("NET_BIND_SERVICE",)
    """What opens port 443 for the local service: root of the container, which may do nothing but that."""


def build_ids() -> str:
    """Return the `uid:gid` that a build runs as: the caller's; nobody's where the caller is root."""
    return f"{os.getuid() or _NOBODY}:{os.getgid() or _NOBODY}"


def is_rootless(facts: Mapping[str, Any]) -> bool:
    """Tell by what an engine says of itself whether it runs as a user: its containers have ids of that user alone."""
    return bool(facts.get("Rootless")) or "name=rootless" in (facts.get("SecurityOptions") or ())


def is_readable(source: Path, user: str, *, deep: bool = True) -> bool:
    """Tell whether a container's user can read a folder or file of this machine, with all that is in it.

    Parameters
    ----------
    deep:
        False for a large tree that this program made: only its top is looked at.
    """
    if int(user.partition(":")[0]) in (0, os.getuid()):
        return True
    below = source.rglob("*") if deep else ()
    return all(_for_all(path.lstat().st_mode) for path in (source, *below))


def _for_all(mode: int) -> bool:
    wanted = stat.S_IROTH | stat.S_IXOTH if stat.S_ISDIR(mode) else stat.S_IROTH
    return stat.S_ISLNK(mode) or mode & wanted == wanted


@dataclass(frozen=True, slots=True, kw_only=True)
class Confinement:
    """How one container is held.

    Parameters
    ----------
    memory:
        Bytes of the machine that the engine is on; no limit for 0, where it does not say.
    """

    rights: Rights
    user: str
    memory: int = 0

    def __post_init__(self) -> None:
        if self.rights is Rights.NONE and self.user.partition(":")[0] in ("", "0", "root"):
            raise ValueError("a container without rights is not root's")

    def options(self) -> dict[str, Any]:
        """Return what the docker SDK gets, beside image, mounts and environment."""
        given: dict[str, Any] = {
            "user": self.user,
            "cap_drop": ["ALL"],
            "cap_add": list(self.rights.value),
            "security_opt": ["no-new-privileges"],
            "pids_limit": _PROCESSES,
            "ulimits": [{"name": name, "soft": most, "hard": most} for name, most in _ULIMITS.items()],
        }
        if self.memory:
            given["mem_limit"] = self._most_memory()
        if self.rights in (Rights.NONE, Rights.DOOR):
            given |= {"read_only": True, "tmpfs": _TMP}
        return given

    def words(self) -> list[str]:
        """Return the same for `docker run`."""
        told = ["--user", self.user, "--cap-drop", "ALL", "--security-opt", "no-new-privileges"]
        told += ["--pids-limit", str(_PROCESSES)]
        told += [word for name in self.rights.value for word in ("--cap-add", name)]
        told += [word for name, most in _ULIMITS.items() for word in ("--ulimit", f"{name}={most}")]
        told += ["--memory", str(self._most_memory())] if self.memory else []
        if self.rights is Rights.NONE:
            told += ["--read-only", *(word for place in _TMP.items() for word in ("--tmpfs", ":".join(place)))]
        return told

    def _most_memory(self) -> int:
        return int(self.memory * _MEMORY_SHARE)
