"""The inventory of hosts: where each board answers, and how it proves that it is the one."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field

from deploy.boards.board import board_names
from deploy.boards.session import Target
from recipes import paths
from recipes.config import HostAddress, LocalPath, Name, OneLine, Strict, UserName, checked_name, read_toml
from recipes.errors import ConfigError, PreflightError, unknown


class Host(Strict):
    """One reachable board. Keys and passwords are never in it: `key` is a path."""

    board: Name = Field(examples=["mycam"])
    """A folder of `board-configs/`."""
    simulated: bool = False
    """A board that `sim up` starts; it needs no other key of this table."""
    address: HostAddress = ""
    """Name or IP address."""
    port: Annotated[int, Field(ge=1, le=65535)] = 22
    """Where its SSH server listens."""
    user: UserName = "root"
    """Who logs in."""
    key: LocalPath = ""
    """Path of the private key on this machine; the SSH agent and the user's own keys where it is empty."""
    host_key: OneLine = ""
    """Type and base64 of the board's host key, as `ssh-keyscan` prints them."""


class HostsFile(Strict):
    """`board-configs/hosts.toml`."""

    schema_: Literal[1] = Field(alias="schema")
    """The form of this file."""
    hosts: dict[Name, Host] = Field(default_factory=dict)
    """By a name of your own, for `--host`."""


def load_hosts() -> dict[str, Host]:
    """Read the inventory; raises ConfigError for faults, or a host whose board nobody described."""
    path = paths.BOARDS / "hosts.toml"
    hosts = read_toml(path, HostsFile).hosts
    known = board_names()
    faults = [
        f"hosts.{name}: no board {host.board!r}; known: {', '.join(known)}"
        for name, host in hosts.items()
        if host.board not in known
    ]
    faults += [
        f"hosts.{name}: address and host_key are needed for a real board"
        for name, host in hosts.items()
        if not host.simulated and not (host.address and host.host_key)
    ]
    if faults:
        raise ConfigError("the inventory has faults", where=str(path), why="\n       ".join(faults))
    return hosts


def load_host(name: str) -> Host:
    hosts = load_hosts()
    checked_name("host", name)
    if name not in hosts:
        raise unknown("host", name, hosts, where=str(paths.BOARDS / "hosts.toml"))
    return hosts[name]


@dataclass(frozen=True, slots=True, kw_only=True)
class SimState:
    """What is known of a board that is up."""

    name: str
    container: str
    address: str
    host_key: str
    key: str
    gateway: str
    """This machine, as the board sees it."""


def sim_folder(name: str) -> Path:
    return paths.work() / "sim" / checked_name("host", name)


def sim_state(name: str) -> SimState | None:
    """Return what was recorded when a board was brought up; None where nothing readable was."""
    try:
        return SimState(**json.loads((sim_folder(name) / "state.json").read_text()))
    except (OSError, ValueError, TypeError):
        return None


def host_target(host_name: str) -> Target:
    """Return how to reach a host of the inventory, simulated or real.

    Raises
    ------
    ConfigError
        The inventory does not name it, or has faults.
    PreflightError
        It is simulated, and not up.
    """
    host = load_host(host_name)
    if host.simulated:
        state = sim_state(host_name)
        if state is None:
            raise PreflightError(f"{host_name} is not up", next_step=f"invoke sim up --host {host_name}")
        return Target(
            name=host_name, address=state.address, port=22, user="root", key=Path(state.key), host_key=state.host_key
        )
    key = Path(host.key).expanduser() if host.key else None
    return Target(name=host_name, address=host.address, port=host.port, user=host.user, key=key, host_key=host.host_key)
