"""How a board is dialled: with its own host key or not at all, and by the way that the user's ssh configuration goes.

Jump hosts (`ProxyJump`) and commands (`ProxyCommand`) of that file are followed; the host keys of jump hosts are those
of the user's known_hosts.
"""

from __future__ import annotations

import logging
import shlex
import socket
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from deploy.ssh.channel import SILENT_SECONDS
from deploy.ssh.jumps import CONNECT_SECONDS, connection_to, hops_of, open_hops, place_of_key
from deploy.ssh.keys import KeyFile, check_key_file, pick_host_key
from recipes import console
from recipes.errors import PreflightError
from recipes.text import one_line

_AGAIN = "the same command again: what arrived is kept, invoke status --host HOST says what runs there"
_ENDING_SECONDS = 5
"""For a ProxyCommand that was told to end."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Target:
    """Where a board answers and how it proves that it is the one; no secret, only the path of one."""

    name: str
    address: str
    port: int
    user: str
    key: Path | None
    host_key: str
    """Type and base64, as in a known_hosts line."""
    inventory: str = "board-configs/hosts.toml"
    """The file that has its table, as messages show it."""
    openssh: bool = False
    """By the system's ssh, in place of our own."""


@contextmanager
def way_to(address: str, port: int) -> Iterator[Any]:
    """Give a socket to where a server listens, before anything is said; closed with the block.

    Raises
    ------
    PreflightError
        A jump host on the way cannot be passed.
    OSError, EOFError, paramiko.SSHException
        The server itself is not reached.
    """
    _hush()
    connection = connection_to(address, port, connect_timeout=CONNECT_SECONDS)
    try:
        if connection.gateway is None:
            with socket.create_connection((connection.host, connection.port), timeout=CONNECT_SECONDS) as link:
                yield link
            return
        open_hops(connection, _undelayed)
        link = connection.open_gateway()
        try:
            link.settimeout(CONNECT_SECONDS)
            yield link
        finally:
            _end(link)
    finally:
        hang_up(connection)


def dial(target: Target, *, seconds: float = CONNECT_SECONDS) -> Any:
    """Return fabric's connection to a board, open; `hang_up` closes it.

    Parameters
    ----------
    seconds:
        For TCP, the SSH banner and the log-in, each.

    Raises
    ------
    ConfigError
        The file of the key that logs in is missing, or no private key.
    PreflightError
        Nothing answers, the host key is not the known one (told before any log-in), or the log-in is refused.
    """
    import paramiko

    _hush()
    locked = target.key is not None and check_key_file(target.key) is KeyFile.LOCKED
    connection = connection_to(
        target.address,
        target.port,
        user=target.user,
        connect_timeout=seconds,
        connect_kwargs=_options(target, seconds, agent=target.key is None or locked),
    )
    _pin(connection, target)
    try:
        open_hops(connection, _undelayed)
        try:
            connection.open()
        except (OSError, EOFError, paramiko.SSHException) as error:
            raise _not_opened(target, error, locked=locked) from error
    except BaseException:
        hang_up(connection)
        raise
    return connection


def hang_up(connection: Any) -> None:
    """Close a connection and those that it goes through."""
    for hop in [connection, *hops_of(connection)]:
        transport = hop.client.get_transport()
        with suppress(OSError, EOFError):
            hop.close()
        if transport is not None:
            if hasattr(transport.sock, "process") and transport.is_alive():
                transport.join(_ENDING_SECONDS)  # its thread may still read what is closed next
            _end(transport.sock)


def _end(link: Any) -> None:
    """Close the way to a server; where it is a ProxyCommand, wait until that has ended.

    paramiko only signals its process, and leaves it and its pipes behind.
    """
    with suppress(OSError, EOFError):
        link.close()
    if (process := getattr(link, "process", None)) is None:
        return
    for pipe in (process.stdin, process.stdout, process.stderr):
        with suppress(OSError, AttributeError):
            pipe.close()
    end = time.monotonic() + _ENDING_SECONDS
    while process.poll() is None and time.monotonic() < end:
        time.sleep(0.02)
    process.kill()  # does nothing to one that has ended
    process.wait()


def _hush() -> None:
    # paramiko's thread prints its own traceback of a refused host key; our errors say it in one line.
    logging.getLogger("paramiko").setLevel(logging.CRITICAL)


def _options(target: Target, seconds: float, *, agent: bool) -> dict[str, Any]:
    """Return paramiko's connect options: one key where one is named, and a deadline for each phase."""
    return {
        **({"key_filename": str(target.key)} if target.key and not agent else {}),
        "look_for_keys": target.key is None,
        "allow_agent": agent,
        "banner_timeout": seconds,
        "auth_timeout": seconds,
        "channel_timeout": seconds,
        "transport_factory": _undelayed,
    }


def _undelayed(link: Any, **settings: Any) -> Any:
    """Return the transport over a link whose small packets go at once.

    Of two in a row Nagle's algorithm keeps the second back until the first is acknowledged, and the other side takes
    40 ms for that: at each step of a log-in, and at each window of a stream (tcp(7), TCP_NODELAY; paramiko sets
    nothing).
    """
    import paramiko

    if isinstance(link, socket.socket):
        link.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    return paramiko.Transport(link, **settings)


def _pin(connection: Any, target: Target) -> None:
    """Replace fabric's AutoAddPolicy: the board's host key is the known one.

    fabric accepts any host key and loads no known_hosts file (https://github.com/fabric/fabric/issues/2071).
    """
    import paramiko

    connection.client.set_missing_host_key_policy(paramiko.RejectPolicy())
    # The ssh configuration may have another HostName for the address, and paramiko looks by that.
    place = place_of_key(connection.host, connection.port)
    try:
        entry = paramiko.hostkeys.HostKeyEntry.from_line(f"{place} {pick_host_key(target.host_key)}")
    except (ValueError, paramiko.SSHException, paramiko.hostkeys.InvalidHostKey):
        entry = None
    if entry is None or entry.key is None:
        raise not_known(target)
    connection.client.get_host_keys().add(place, entry.key.get_name(), entry.key)


def not_known(target: Target) -> PreflightError:
    """Return the error of a host key that cannot be read."""
    return PreflightError(
        f"the host key of {target.name} cannot be read",
        where=one_line(target.host_key, most=60),
        next_step=f"ssh-keyscan -t ed25519 -p {target.port} {target.address}",
    )


def place_of(target: Target) -> str:
    return f"{target.user}@{target.address}:{target.port}"


def _not_opened(target: Target, error: Exception, *, locked: bool) -> PreflightError:
    """Say why a connection could not be opened; each cause has its own cure."""
    import paramiko

    said = one_line(str(error)) or type(error).__name__
    if isinstance(error, paramiko.BadHostKeyException):
        return refused_key(target, f"it shows {error.key.get_name()} {error.key.get_base64()[:32]}…")
    if "not found in known_hosts" in said:
        return refused_key(target, "it has no key of the type that is known")
    if isinstance(error, paramiko.ssh_exception.IncompatiblePeer):
        return PreflightError(
            f"{target.name} speaks an SSH too old for this side",
            where=place_of(target),
            why=f"{said}: a server with an ssh-rsa key of SHA-1 alone is the usual case",
            next_step="on the board: ssh-keygen -A, or dropbearkey -t ed25519 -f FILE; then its new key in "
            f'{target.inventory}; or ssh = "openssh" there, with HostKeyAlgorithms +ssh-rsa in ~/.ssh/config',
        )
    # paramiko has no class of its own for a client that has nothing to show.
    nothing = "No authentication methods" in said or "No identities" in said
    if isinstance(error, paramiko.AuthenticationException) or nothing:
        return refused_log_in(target, said, locked=locked, nothing=nothing)
    what, cure = f"{target.name} does not answer", "is it switched on, and is SSH let through?"
    if isinstance(error, socket.gaierror):
        what, cure = f"nobody knows the address of {target.name}", f"is `address` in {target.inventory} right?"
    elif "Error reading SSH protocol banner" in said:
        cure = f"does an SSH server listen on this port? `port` in {target.inventory} says which"
    return PreflightError(
        what, where=place_of(target), why=said, next_step=f"{cure} `invoke sim status` for a simulated one"
    )


def refused_log_in(target: Target, said: str, *, locked: bool, nothing: bool) -> PreflightError:
    """Return the error of a board that lets nobody in.

    Parameters
    ----------
    locked:
        The key has a passphrase.
    nothing:
        There was no key to show.
    """
    try_it = f"ssh -i {target.key or '~/.ssh/id_ed25519'} -p {target.port} {target.user}@{target.address}"
    if locked:
        return PreflightError(
            f"the key that logs in to {target.name} has a passphrase, and no agent has it unlocked",
            where=str(target.key),
            why="nobody is asked for a passphrase here",
            next_step=f'eval "$(ssh-agent)"; ssh-add {shlex.quote(str(target.key))}; then the same command again',
        )
    if nothing:
        return PreflightError(
            f"there is no key to log in to {target.name} with",
            where=place_of(target),
            why=f"`key` is not set in {target.inventory}, no SSH agent has one (IdentityAgent in ~/.ssh/config, "
            "else SSH_AUTH_SOCK), and ~/.ssh has none",
            next_step=f"ssh-keygen -t ed25519, then ssh-copy-id -p {target.port} {target.user}@{target.address}",
        )
    return PreflightError(f"{target.name} refuses the log-in", where=place_of(target), why=said, next_step=try_it)


def refused_key(target: Target, why: str) -> PreflightError:
    """Return the error of a board that shows another host key than the known one."""
    return PreflightError(
        f"the host key of {target.name} is not the one that is known; nothing was sent",
        where=place_of(target),
        why=why,
        next_step=f"has it a new system? invoke enroll --host {target.name} shows its key, to be compared on the board"
        f" itself, and writes {target.inventory}",
    )


def too_much(target: Target, most: int, begin: bytes) -> PreflightError:
    """Return the error of a board that answers with more bytes than the question may have."""
    return PreflightError(
        f"{target.name} answers with more than {console.size(most)}; the connection was ended",
        where=place_of(target),
        why=f"the answer begins: {one_line(begin, most=120)}" if begin else "more than rsync has to say",
        next_step="no board of ours answers like this: is hosts.toml naming the right one?",
    )


def too_late(target: Target, seconds: float) -> PreflightError:
    """Return the error of a board that had no time left for its last command."""
    return PreflightError(
        f"{target.name} did not do in time what it was asked",
        where=place_of(target),
        why=f"the time for all of it is over; its last command had {seconds:.0f} s of that",
        next_step=_AGAIN,
    )


def fell_silent(target: Target) -> PreflightError:
    """Return the error of a board that says nothing any more."""
    return PreflightError(
        f"{target.name} stopped answering",
        where=place_of(target),
        why=f"not a byte, and no answer to SSH's own question, for {SILENT_SECONDS:.0f} s",
        next_step=f"is it still switched on and in reach? Then {_AGAIN}",
    )


def lost_connection(target: Target, why: str) -> PreflightError:
    """Return the error of a connection that ended by itself."""
    return PreflightError(
        f"the connection to {target.name} was lost", where=place_of(target), why=why, next_step=_AGAIN
    )
