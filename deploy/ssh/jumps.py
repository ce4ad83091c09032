"""The way to a server by the user's ssh configuration: who is on it, whose keys are known, which agent has ours.

As ssh_config(5) has it, where fabric and paramiko do something else, or nothing.
"""

from __future__ import annotations

import io
import os
import shlex
import socket
from pathlib import Path
from typing import Any

from recipes.errors import ConfigError, PreflightError
from recipes.process import name_user
from recipes.text import one_line

CONNECT_SECONDS = 20
"""For TCP, the SSH banner and the log-in, each; an emulated board takes one to two."""
_SSH_FILES = ("~/.ssh/config", "/etc/ssh/ssh_config")
_KNOWN_FILES = "~/.ssh/known_hosts ~/.ssh/known_hosts2 /etc/ssh/ssh_known_hosts"
_MOST_HOPS = 8


def connection_to(address: str, port: int, *, user: str = "", **options: Any) -> Any:
    """Return fabric's connection to a server, not opened, with the jump hosts that are on the way.

    `%p` and `%r` of the user's ssh files are what we ask for, as with `ssh`.

    Raises
    ------
    ConfigError
        Jump hosts lead to each other.
    PreflightError
        One of the user's ssh files cannot be read.
    """
    import fabric

    config = _configuration(address, port, user)
    asked = {"user": user} if user else {}
    connection = fabric.Connection(address, port=port, config=config, gateway=False, **asked, **options)
    connection.gateway = _gateway(connection, config)
    if connection.connect_kwargs.get("allow_agent", True):
        _ask_agent(connection)
    return connection


def _configuration(address: str, port: int, user: str) -> Any:
    import fabric
    import paramiko

    name_user()
    # Of several values the first one counts: ssh_config(5). paramiko expands the tokens by the files alone.
    ours = paramiko.SSHConfig()
    ours.parse(io.StringIO(f"Host {address}\nPort {port}\n" + (f"User {user}\n" if user else "")))
    try:
        for file in _SSH_FILES:
            if (path := Path(file).expanduser()).is_file():
                ours.parse(io.StringIO(path.read_text(errors="replace")))
    except (OSError, paramiko.SSHException) as error:
        raise PreflightError(
            "the ssh configuration cannot be read", where=str(path), why=one_line(str(error))
        ) from error
    return fabric.Config(ssh_config=ours)


def _gateway(connection: Any, config: Any, depth: int = 0) -> Any:
    """Return the jump host next to a server, which is reached by those before it; or a command; or None.

    fabric takes the last one that is named for the first on the way (https://github.com/fabric/fabric/issues/2203), and
    `none` for the name of one (https://github.com/fabric/fabric/issues/2354).
    """
    import fabric

    jumps = connection.ssh_config.get("proxyjump", "")
    if not jumps:
        command = connection.ssh_config.get("proxycommand") or "none"
        return None if command.lower() == "none" else command
    hops = [] if jumps.lower() == "none" else [hop.strip().removeprefix("ssh://") for hop in jumps.split(",")]
    # A line for all hosts counts for the jump host too, which is no way to itself.
    if any(connection.derive_shorthand(hop)["host"] in (connection.host, connection.original_host) for hop in hops):
        return None
    if len(hops) + depth > _MOST_HOPS:
        raise ConfigError(
            f"more than {_MOST_HOPS} jump hosts are on the way, or they lead to each other",
            where=_SSH_FILES[0],
            why=one_line(jumps, most=200),
            next_step=f"ssh -G {shlex.quote(connection.original_host)} | grep -i proxyjump, and so on from there",
        )
    way = None
    for hop in hops:
        before, way = way, fabric.Connection(hop, config=config.clone(), gateway=False)
        way.gateway = before or _gateway(way, config, depth + len(hops))
        _ask_agent(way)
    return way


def _ask_agent(connection: Any) -> None:
    """Let the keys be those of the agent that `IdentityAgent` names; paramiko knows that of the environment alone."""
    import paramiko.agent

    named = connection.ssh_config.get("identityagent", "SSH_AUTH_SOCK").strip('"')
    if named == "SSH_AUTH_SOCK":
        return

    class Named(paramiko.agent.AgentSSH):  # type: ignore[misc]
        """What paramiko's own agent is, at a place of its own; without a key where that is `none` or nobody answers."""

        def __init__(self, place: str) -> None:
            super().__init__()
            link = socket.socket(socket.AF_UNIX)
            try:
                link.settimeout(CONNECT_SECONDS)
                link.connect(place)
                self._connect(link)
            except (OSError, paramiko.SSHException):
                link.close()

        def close(self) -> None:
            self._close()

    if named.startswith("$"):
        place = os.environ.get(named[1:].strip("{}"), "")
    else:
        place = "" if named.lower() == "none" else str(Path(named).expanduser())
    connection.client._agent = Named(place)  # noqa: SLF001 - paramiko has no other door for one


def hops_of(connection: Any) -> list[Any]:
    """Return the jump hosts of a connection, the one next to the board first."""
    hops = []
    while hasattr(connection.gateway, "client"):
        connection = connection.gateway
        hops.append(connection)
    return hops


def open_hops(connection: Any, transport: Any) -> None:
    """Open the jump hosts, the first on the way first, so that what goes wrong is told of the right machine.

    Parameters
    ----------
    transport:
        Makes the transport over a link.

    Raises
    ------
    PreflightError
        One of them cannot be passed; its key has to be known before anything is sent.
    """
    import paramiko

    for hop in reversed(hops_of(connection)):
        hop.client.set_missing_host_key_policy(paramiko.RejectPolicy())
        _know(hop)
        hop.connect_timeout = CONNECT_SECONDS
        hop.connect_kwargs = {**hop.connect_kwargs, "transport_factory": transport}
        try:
            hop.open()
        except (OSError, EOFError, paramiko.SSHException) as error:
            raise PreflightError(
                f"the jump host {hop.host} cannot be passed",
                where=f"{hop.user}@{hop.host}:{hop.port}, on the way to {connection.host}",
                why=one_line(str(error)) or type(error).__name__,
                next_step=f"ssh -p {hop.port} {shlex.quote(f'{hop.user}@{hop.host}')} has to work first; "
                f"ProxyJump in ~/.ssh/config says who is on the way",
            ) from error


def place_of_key(host: str, port: int) -> str:
    """Return what a host's key is found by in a known_hosts file: sshd(8)."""
    return host if port == 22 else f"[{host}]:{port}"


def _know(hop: Any) -> None:
    """Take a jump host's key out of the files that the user's ssh reads, by its alias where it has one."""
    import paramiko

    known = paramiko.HostKeys()
    told = hop.ssh_config
    for file in f"{told.get('userknownhostsfile', _KNOWN_FILES)} {told.get('globalknownhostsfile', '')}".split():
        path = Path(file.strip('"')).expanduser()
        if path.is_file():
            known.load(str(path))
    place = place_of_key(hop.host, hop.port)
    for kind, key in (known.lookup(told.get("hostkeyalias") or place) or {}).items():
        hop.client.get_host_keys().add(place, kind, key)
