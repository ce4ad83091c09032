"""SSH behind one small protocol: known host keys or nothing, and every answer has a limit in bytes and in time."""

from __future__ import annotations

import logging
import shlex
import socket
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

from deploy.ssh.channel import SILENT_SECONDS, Exchange, Pulse, TooLongError
from deploy.ssh.keys import KeyFile, check_key_file, pick_host_key
from recipes import console
from recipes.errors import PreflightError
from recipes.text import one_line

CONNECT_SECONDS = 20
"""For TCP, the SSH banner and the log-in, each; an emulated board takes one to two."""
TEXT_BYTES = 4 << 20
"""What a command may answer with, errors included; the listing of a board's libraries is larger and says so."""
_AGAIN = "the same command again: what arrived is kept, what runs there was not touched"


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


@dataclass(frozen=True, slots=True, kw_only=True)
class Reply:
    """What one remote command returned."""

    code: int
    out: str
    err: str


@dataclass(slots=True, kw_only=True)
class Traffic:
    """What a deploy cost on the wire, beyond SSH's own hand-shake."""

    round_trips: int = 0
    sent: int = 0
    received: int = 0


class BoardSession(Protocol):
    """All that deploying needs of a board: run a POSIX shell script there, with arguments and input."""

    traffic: Traffic

    def run(
        self, script: str, arguments: Sequence[str] = (), stdin: Iterable[bytes] = (), *, most: int = TEXT_BYTES
    ) -> Reply:
        """Run a script with `sh`; the arguments arrive as $1, $2, …, quoted, and stdin is sent as it is produced.

        Raises PreflightError where the connection goes, the board falls silent, or it answers with more than `most`
        bytes.
        """
        ...

    def fetch(self, script: str, arguments: Sequence[str] = (), stdin: Iterable[bytes] = (), *, most: int) -> bytes:
        """Run a script and return its output as it came; raises PreflightError as `run` does, and where it fails."""
        ...


@dataclass(slots=True)
class SshSession:
    """A session over fabric's connection."""

    target: Target
    _client: Any
    _pulse: Pulse
    traffic: Traffic = field(default_factory=Traffic)

    def run(
        self, script: str, arguments: Sequence[str] = (), stdin: Iterable[bytes] = (), *, most: int = TEXT_BYTES
    ) -> Reply:
        """Run a script; see `BoardSession`."""
        code, out, err = self._run(script, arguments, stdin, most)
        return Reply(code=code, out=out.decode("utf-8", "replace"), err=err.decode("utf-8", "replace"))

    def fetch(self, script: str, arguments: Sequence[str] = (), stdin: Iterable[bytes] = (), *, most: int) -> bytes:
        """Run a script and return its output as it came; see `BoardSession`."""
        code, out, err = self._run(script, arguments, stdin, most)
        if code != 0:
            raise PreflightError(
                f"{self.target.name} could not send what was asked for",
                why=one_line(err) or f"exit code {code}",
                next_step="the same command again; nothing was changed there",
            )
        return out

    def _run(
        self, script: str, arguments: Sequence[str], stdin: Iterable[bytes], most: int
    ) -> tuple[int, bytes, bytes]:
        import paramiko

        name, traffic = self.target.name, self.traffic
        words = " ".join(shlex.quote(word) for word in ("boardcast", *arguments))
        command = f"sh -c {shlex.quote(script)} {words}"
        traffic.round_trips += 1
        before = traffic.sent + traffic.received
        try:
            exchange = Exchange(channel=self._channel(), pulse=self._pulse, traffic=traffic, most=most)
            with console.progress(f"{name}: at work", lambda: traffic.sent + traffic.received - before):
                code = exchange.run(command, stdin)
            return code, bytes(exchange.out), bytes(exchange.err)
        except TooLongError as error:
            raise PreflightError(
                f"{name} answers with more than {console.size(most)}; the connection was ended",
                where=_place(self.target),
                why=f"the answer begins: {one_line(bytes(exchange.out[:200]), most=120)}",
                next_step="no board of ours answers like this: is hosts.toml naming the right one?",
            ) from error
        except (OSError, EOFError, paramiko.SSHException) as error:
            raise self._lost(error) from error

    def _channel(self) -> Any:
        transport = self._client.get_transport()
        if transport is None:
            raise EOFError("it was closed")
        # Without a timeout paramiko waits an hour for the channel of a board that vanished.
        return transport.open_session(timeout=CONNECT_SECONDS)

    def _lost(self, error: Exception) -> PreflightError:
        if self._pulse.silent:
            return PreflightError(
                f"{self.target.name} stopped answering",
                where=_place(self.target),
                why=f"not a byte, and no answer to SSH's own question, for {SILENT_SECONDS:.0f} s",
                next_step=f"is it still switched on and in reach? Then {_AGAIN}",
            )
        return PreflightError(
            f"the connection to {self.target.name} was lost",
            where=_place(self.target),
            why=one_line(str(error)) or type(error).__name__,
            next_step=_AGAIN,
        )


@contextmanager
def connect(target: Target) -> Iterator[SshSession]:
    """Open a session to a board and close it when the block ends.

    Raises
    ------
    ConfigError
        The file of the key that logs in is missing, or no private key.
    PreflightError
        Nothing answers, the host key is not the known one (told before any log-in), or the log-in is refused.
    """
    import fabric
    import paramiko

    # paramiko's thread prints its own traceback of a refused host key; the error below says it in one line.
    logging.getLogger("paramiko").setLevel(logging.CRITICAL)
    locked = target.key is not None and check_key_file(target.key) is KeyFile.LOCKED
    connection = fabric.Connection(
        target.address,
        user=target.user,
        port=target.port,
        connect_timeout=CONNECT_SECONDS,
        connect_kwargs=_options(target, agent=target.key is None or locked),
    )
    _pin(connection, target)
    pulse = None
    try:
        try:
            connection.open()
        except (OSError, EOFError, paramiko.SSHException) as error:
            raise _not_opened(target, error, locked=locked) from error
        pulse = Pulse(connection.client.get_transport())
        pulse.start()
        yield SshSession(target, connection.client, pulse)
    finally:
        if pulse is not None:
            pulse.stop()
        connection.close()


def _options(target: Target, *, agent: bool) -> dict[str, Any]:
    """Return paramiko's connect options: one key where one is named, and a deadline for each phase."""
    return {
        **({"key_filename": str(target.key)} if target.key and not agent else {}),
        "look_for_keys": target.key is None,
        "allow_agent": agent,
        "banner_timeout": CONNECT_SECONDS,
        "auth_timeout": CONNECT_SECONDS,
        "channel_timeout": CONNECT_SECONDS,
    }


def _pin(connection: Any, target: Target) -> None:
    """Replace fabric's AutoAddPolicy on the target and on every hop before it.

    fabric accepts any host key and loads no known_hosts file (https://github.com/fabric/fabric/issues/2071).
    """
    import paramiko

    hop = connection
    while hop is not None:
        hop.client.set_missing_host_key_policy(paramiko.RejectPolicy())
        if hop is connection:
            place = target.address if target.port == 22 else f"[{target.address}]:{target.port}"
            try:
                entry = paramiko.hostkeys.HostKeyEntry.from_line(f"{place} {pick_host_key(target.host_key)}")
            except (ValueError, paramiko.SSHException, paramiko.hostkeys.InvalidHostKey):
                entry = None
            if entry is None or entry.key is None:
                raise PreflightError(
                    f"the host key of {target.name} cannot be read",
                    where=one_line(target.host_key, most=60),
                    next_step=f"ssh-keyscan -t ed25519 -p {target.port} {target.address}",
                )
            hop.client.get_host_keys().add(place, entry.key.get_name(), entry.key)
        else:
            hop.client.load_system_host_keys()
        gateway = hop.gateway
        hop = gateway if hasattr(gateway, "client") else None


def _place(target: Target) -> str:
    return f"{target.user}@{target.address}:{target.port}"


def _not_opened(target: Target, error: Exception, *, locked: bool) -> PreflightError:
    """Say why a connection could not be opened; each cause has its own cure."""
    import paramiko

    said = one_line(str(error)) or type(error).__name__
    if isinstance(error, paramiko.BadHostKeyException):
        return _refused_key(target, f"it shows {error.key.get_name()} {error.key.get_base64()[:32]}…")
    if "not found in known_hosts" in said:
        return _refused_key(target, "it has no key of the type that is known")
    if isinstance(error, paramiko.ssh_exception.IncompatiblePeer):
        return PreflightError(
            f"{target.name} speaks an SSH too old for this side",
            where=_place(target),
            why=f"{said}: a server with an ssh-rsa key of SHA-1 alone is the usual case",
            next_step="on the board: ssh-keygen -A, or dropbearkey -t ed25519 -f FILE; then its new key in "
            f"{target.inventory}",
        )
    # paramiko has no class of its own for a client that has nothing to show.
    nothing = "No authentication methods" in said or "No identities" in said
    if isinstance(error, paramiko.AuthenticationException) or nothing:
        return _refused_log_in(target, said, locked=locked, nothing=nothing)
    what, cure = f"{target.name} does not answer", "is it switched on, and is SSH let through?"
    if isinstance(error, socket.gaierror):
        what, cure = f"nobody knows the address of {target.name}", f"is `address` in {target.inventory} right?"
    elif "Error reading SSH protocol banner" in said:
        cure = f"does an SSH server listen on this port? `port` in {target.inventory} says which;"
    return PreflightError(
        what, where=_place(target), why=said, next_step=f"{cure} `invoke sim status` for a simulated one"
    )


def _refused_log_in(target: Target, said: str, *, locked: bool, nothing: bool) -> PreflightError:
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
            where=_place(target),
            why=f"`key` is not set in {target.inventory}, no SSH agent has one, and ~/.ssh has none",
            next_step=f"ssh-keygen -t ed25519, then ssh-copy-id -p {target.port} {target.user}@{target.address}",
        )
    return PreflightError(f"{target.name} refuses the log-in", where=_place(target), why=said, next_step=try_it)


def _refused_key(target: Target, why: str) -> PreflightError:
    return PreflightError(
        f"the host key of {target.name} is not the one that is known; nothing was sent",
        where=_place(target),
        why=why,
        next_step=f"compare it on the board itself, then correct host_key in {target.inventory}",
    )
