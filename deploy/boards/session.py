"""SSH behind one small protocol. The only user of fabric: known host keys or nothing, and every call has a deadline."""

from __future__ import annotations

import io
import logging
import shlex
import threading
import time
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

from recipes.errors import PreflightError

CONNECT_SECONDS = 20
"""For TCP, the SSH banner and the log-in, each; an emulated board takes one to two."""
COMMAND_SECONDS = 300


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


class BoardSession(Protocol):
    """All that deploying needs of a board: run a POSIX shell script there, with arguments and input."""

    traffic: Traffic

    def run(self, script: str, arguments: Sequence[str] = (), stdin: Iterable[bytes] = ()) -> Reply:
        """Run a script with `sh`; the arguments arrive as $1, $2, …, quoted, and stdin is sent as it is produced."""
        ...

    def fetch(self, script: str, arguments: Sequence[str] = (), stdin: Iterable[bytes] = ()) -> bytes:
        """Run a script and return its output as it came; raises PreflightError where it fails."""
        ...


@dataclass(slots=True)
class SshSession:
    """A session over fabric's connection."""

    target: Target
    _client: Any
    traffic: Traffic = field(default_factory=Traffic)

    def run(self, script: str, arguments: Sequence[str] = (), stdin: Iterable[bytes] = ()) -> Reply:
        code, out, err = self._run(script, arguments, stdin)
        return Reply(code=code, out=out.decode("utf-8", "replace"), err=err.decode("utf-8", "replace"))

    def fetch(self, script: str, arguments: Sequence[str] = (), stdin: Iterable[bytes] = ()) -> bytes:
        """Run a script and return its output as it came; raises PreflightError where it fails."""
        code, out, err = self._run(script, arguments, stdin)
        if code != 0:
            raise PreflightError(
                f"{self.target.name} could not send what was asked for",
                why=err.decode("utf-8", "replace").strip()[:400] or f"exit code {code}",
                next_step="the same command again; nothing was changed there",
            )
        return out

    def _run(self, script: str, arguments: Sequence[str], stdin: Iterable[bytes]) -> tuple[int, bytes, bytes]:
        import paramiko

        words = " ".join(shlex.quote(word) for word in ("boardcast", *arguments))
        command = f"sh -c {shlex.quote(script)} {words}"
        self.traffic.round_trips += 1
        try:
            # Without a timeout paramiko waits an hour for the channel of a board that vanished.
            channel = self._client.get_transport().open_session(timeout=CONNECT_SECONDS)
            channel.settimeout(COMMAND_SECONDS)
            # paramiko waits for the server's answer to this without any limit of its own.
            watchdog = threading.Timer(COMMAND_SECONDS, channel.close)
            watchdog.start()
            try:
                channel.exec_command(command)
            finally:
                watchdog.cancel()
            for chunk in stdin:
                channel.sendall(chunk)
                self.traffic.sent += len(chunk)
            channel.shutdown_write()
            return self._collect(channel)
        except (OSError, EOFError, paramiko.SSHException) as error:
            raise PreflightError(
                f"the connection to {self.target.name} was lost",
                where=f"{self.target.address}:{self.target.port}",
                why=str(error) or type(error).__name__,
                next_step="the same command again: what arrived is kept, what runs there was not touched",
            ) from error

    def _collect(self, channel: Any) -> tuple[int, bytes, bytes]:
        out, err = io.BytesIO(), io.BytesIO()
        deadline = time.monotonic() + COMMAND_SECONDS
        while True:
            moved = False
            while channel.recv_ready():
                out.write(channel.recv(65536))
                moved = True
            while channel.recv_stderr_ready():
                err.write(channel.recv_stderr(65536))
                moved = True
            # OpenSSH may send the exit status before the last of the output: the end of that is waited for too.
            ended = channel.exit_status_ready() and (channel.eof_received or channel.closed)
            if ended and not channel.recv_ready() and not channel.recv_stderr_ready():
                break
            if time.monotonic() > deadline:
                channel.close()
                raise TimeoutError(f"no answer within {COMMAND_SECONDS} s")
            if not moved:
                time.sleep(0.01)
        code = channel.recv_exit_status()
        if code < 0:
            raise EOFError("the command ended without an exit code")
        return code, out.getvalue(), err.getvalue()


@contextmanager
def connect(target: Target) -> Iterator[SshSession]:
    """Open a session to a board and close it when the block ends.

    Raises
    ------
    PreflightError
        Nothing answers, the host key is not the known one (told before any log-in), or the log-in is refused.
    """
    import fabric
    import paramiko

    # paramiko's thread prints its own traceback of a refused host key; the error below says it in one line.
    logging.getLogger("paramiko").setLevel(logging.CRITICAL)
    connection = fabric.Connection(
        target.address,
        user=target.user,
        port=target.port,
        connect_timeout=CONNECT_SECONDS,
        connect_kwargs=_options(target),
    )
    _pin(connection, target)
    where = f"{target.user}@{target.address}:{target.port}"
    try:
        try:
            connection.open()
            connection.client.get_transport().set_keepalive(15)
        except paramiko.BadHostKeyException as error:
            raise _refused_key(
                target, where, f"it shows {error.key.get_name()} {error.key.get_base64()[:32]}…"
            ) from error
        except paramiko.AuthenticationException as error:
            raise PreflightError(
                f"{target.name} refuses the log-in",
                where=where,
                why=str(error),
                next_step=f"ssh -i {target.key or '~/.ssh/id_ed25519'} -p {target.port} {target.user}@{target.address}",
            ) from error
        except (OSError, EOFError, paramiko.SSHException) as error:
            if "not found in known_hosts" in str(error):
                raise _refused_key(target, where, "it has no key of the type that is known") from error
            raise PreflightError(
                f"{target.name} does not answer",
                where=where,
                why=str(error) or type(error).__name__,
                next_step="is it switched on, and is SSH let through? `invoke sim status` for a simulated one",
            ) from error
        yield SshSession(target, connection.client)
    finally:
        connection.close()


def _options(target: Target) -> dict[str, Any]:
    """Return paramiko's connect options: one key where one is named, and a deadline for each phase."""
    return {
        **({"key_filename": str(target.key)} if target.key else {}),
        "look_for_keys": target.key is None,
        "allow_agent": target.key is None,
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
            entry = paramiko.hostkeys.HostKeyEntry.from_line(f"{place} {target.host_key}")
            if entry is None or entry.key is None:
                raise PreflightError(f"the host key of {target.name} cannot be read", where=target.host_key[:60])
            hop.client.get_host_keys().add(place, entry.key.get_name(), entry.key)
        else:
            hop.client.load_system_host_keys()
        gateway = hop.gateway
        hop = gateway if hasattr(gateway, "client") else None


def _refused_key(target: Target, where: str, why: str) -> PreflightError:
    return PreflightError(
        f"the host key of {target.name} is not the one that is known; nothing was sent",
        where=where,
        why=why,
        next_step="compare it on the board itself, then correct host_key in board-configs/hosts.toml",
    )
