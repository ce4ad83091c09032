"""SSH behind one small protocol: known host keys or nothing, and every answer has a limit in bytes and in time."""

from __future__ import annotations

import math
import shlex
import socket
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from typing import Any, Protocol, runtime_checkable

from deploy.ssh.bridge import Bridge
from deploy.ssh.channel import COMMAND_SECONDS, Exchange, Pulse, TooLongError
from deploy.ssh.dial import Target, dial, fell_silent, hang_up, lost_connection, too_late, too_much
from deploy.ssh.files import NotWrittenError, put_file
from deploy.ssh.jumps import CONNECT_SECONDS
from deploy.ssh.system import Line, open_line
from recipes import console
from recipes.errors import PreflightError
from recipes.process import TooMuchError
from recipes.progress import progress
from recipes.text import one_line

TEXT_BYTES = 4 << 20
"""What a command may answer with, errors included; the listing of a board's libraries is larger and says so."""
_BEYOND_SECONDS = 2.0
"""Beyond a deadline: where a command does not even end then, its connection does."""
_REOPENED = 2
"""Times that a session is opened again where it was lost between two commands."""


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
    latency: float = 0.0
    """Seconds that the quickest answer to SSH's own question took; 0 while there is none."""


Pace = Callable[[Iterable[bytes]], Iterator[bytes]]
"""Hands a stream on, no faster than wanted."""


class BoardSession(Protocol):
    """All that deploying needs of a board: run a POSIX shell script there, with arguments and input."""

    traffic: Traffic
    deadline: float
    """Moment of `time.monotonic` at which every command ends, begun or not; infinite for none. See `within`."""

    def run(
        self, script: str, arguments: Sequence[str] = (), stdin: Iterable[bytes] = (), *, most: int = TEXT_BYTES
    ) -> Reply:
        """Run a script with `sh`; the arguments arrive as $1, $2, …, quoted, and stdin is sent as it is produced.

        Raises PreflightError where the connection goes, the board falls silent, it answers with more than `most`
        bytes, or the deadline comes.
        """
        ...

    def fetch(self, script: str, arguments: Sequence[str] = (), stdin: Iterable[bytes] = (), *, most: int) -> bytes:
        """Run a script and return its output as it came; raises PreflightError as `run` does, and where it fails."""
        ...


@contextmanager
def within(session: BoardSession, seconds: float) -> Iterator[None]:
    """Bound what is done over a session in a block, all of it together; a deadline that comes sooner stays."""
    before = session.deadline
    session.deadline = min(before, time.monotonic() + seconds)
    try:
        yield
    finally:
        session.deadline = before


@runtime_checkable
class FileSession(Protocol):
    """What the way by SFTP needs besides."""

    def put(self, path: str, data: bytes, *, pace: Pace, offset: int | None = None) -> None:
        """Write a file, from `offset` on or where the file there ends; PreflightError where that fails."""
        ...


@runtime_checkable
class BridgeSession(Protocol):
    """What the way by rsync needs besides."""

    def bridge(self, link: socket.socket, *, pace: Pace, most: int) -> Reply:
        """Run the command that a local program asks for at the other end of a socket, its input and output there.

        Raises PreflightError where the connection goes, or more than `most` bytes come.
        """
        ...


@dataclass(slots=True, kw_only=True)
class SshSession:
    """A session by SSH: what both of its kinds share."""

    target: Target
    traffic: Traffic = field(default_factory=Traffic)
    deadline: float = math.inf
    _reopened: int = 0

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
        raise NotImplementedError

    def cut(self) -> None:
        """End the connection at once, whatever goes on over it."""
        raise NotImplementedError

    def _left(self) -> float:
        """Return the seconds until the deadline; as long as a command may take at most where there is none."""
        return max(0.0, min(self.deadline - time.monotonic(), COMMAND_SECONDS))

    def _say_reopened(self, why: str) -> None:
        self._reopened += 1
        console.say(f"{self.target.name}: the connection went ({why}); it is opened again")


def _command(script: str, arguments: Sequence[str]) -> str:
    """Return the command line of a script, as the board's own shell reads it."""
    words = " ".join(shlex.quote(word) for word in ("boardcast", *arguments))
    return f"sh -c {shlex.quote(script)} {words}"


@dataclass(slots=True, kw_only=True)
class OwnSession(SshSession):
    """A session over fabric's connection; one that is lost between two commands is opened again."""

    _connection: Any
    _pulse: Pulse

    def put(self, path: str, data: bytes, *, pace: Pace, offset: int | None = None) -> None:
        """Write a file by SFTP; see `FileSession`."""
        import paramiko

        self.traffic.round_trips += 4  # open the channel, ask for the length, open the file, close it
        try:
            put_file(self._connection.transport, self._pulse, self.traffic, path, data, pace, offset)
        except NotWrittenError as error:
            raise PreflightError(
                f"{self.target.name} did not write what was sent by SFTP",
                where=path,
                why=one_line(str(error)) or "its server does not say why",
                next_step="is its file system full? Else leave out --via sftp",
            ) from error
        except (OSError, EOFError, paramiko.SSHException) as error:
            raise self._lost(error) from error

    def bridge(self, link: socket.socket, *, pace: Pace, most: int) -> Reply:
        """Run the command that a local program asks for; see `BridgeSession`."""
        import paramiko

        self.traffic.round_trips += 1
        try:
            with self._guarded():
                code, said = Bridge(
                    transport=self._connection.transport, pulse=self._pulse, traffic=self.traffic,
                    link=link, pace=pace, most=most,
                ).carry()  # fmt: skip
        except TooLongError as error:
            raise too_much(self.target, most, b"") from error
        except (OSError, EOFError, paramiko.SSHException) as error:
            raise self._lost(error) from error
        return Reply(code=code, out="", err=said)

    @contextmanager
    def _guarded(self) -> Iterator[None]:
        """End the connection where what goes on over it in a block does not end by the deadline."""
        guard = threading.Timer(self._left() + _BEYOND_SECONDS, self.cut)
        guard.daemon = True
        if math.isfinite(self.deadline):
            guard.start()
        try:
            yield
        finally:
            guard.cancel()

    def _run(
        self, script: str, arguments: Sequence[str], stdin: Iterable[bytes], most: int
    ) -> tuple[int, bytes, bytes]:
        import paramiko

        name, traffic = self.target.name, self.traffic
        command = _command(script, arguments)
        traffic.round_trips += 1
        before, begun = traffic.sent + traffic.received, time.monotonic()
        try:
            with self._guarded(), progress(f"{name}: at work", lambda: traffic.sent + traffic.received - before):
                exchange = Exchange(
                    channel=self._channel(), pulse=self._pulse, traffic=traffic, most=most, deadline=self.deadline
                )
                code = exchange.run(command, stdin)
            traffic.latency = self._pulse.latency
            return code, bytes(exchange.out), bytes(exchange.err)
        except TooLongError as error:
            raise too_much(self.target, most, bytes(exchange.out[:200])) from error
        except (OSError, EOFError, paramiko.SSHException) as error:
            if time.monotonic() >= self.deadline and not self._pulse.silent:
                raise too_late(self.target, time.monotonic() - begun) from error
            raise self._lost(error) from error

    def cut(self) -> None:
        """End the connection at once, whatever goes on over it."""
        self._connection.transport.close()

    def _channel(self) -> Any:
        """Return a channel for a command; where the connection went before that was asked for, over a new one.

        Nothing of the command was sent by then, so it runs once.
        """
        import paramiko

        while True:
            transport = self._connection.transport
            if not self._left():
                raise TimeoutError("the time was over before it was asked")
            try:
                # Without a timeout paramiko waits an hour for the channel of a board that vanished.
                return transport.open_session(timeout=min(CONNECT_SECONDS, self._left()))
            except (OSError, EOFError, paramiko.SSHException):
                if transport.is_active() or self._pulse.silent or self._reopened >= _REOPENED:
                    raise
                self._reopen(transport)

    def _reopen(self, lost: Any) -> None:
        """Open the connection again; raises PreflightError where that fails."""
        self._say_reopened(_ended(lost))
        self.close()
        # TCP, banner and log-in have a limit each.
        self._connection = dial(self.target, seconds=max(1.0, min(CONNECT_SECONDS, self._left() / 3)))
        self._pulse = Pulse(self._connection.transport)
        self.start()

    def start(self) -> None:
        """Begin to look whether the board lives."""
        self._pulse.start()

    def close(self) -> None:
        """End the connection."""
        self._pulse.stop()
        hang_up(self._connection)

    def _lost(self, error: Exception) -> PreflightError:
        if self._pulse.silent:
            return fell_silent(self.target)
        return lost_connection(
            self.target, f"{one_line(str(error)) or type(error).__name__}: {_ended(self._connection.transport)}"
        )


@dataclass(slots=True, kw_only=True)
class SystemSession(SshSession):
    """A session by the system's ssh; one that is lost between two commands is opened again."""

    _line: Line
    _held: ExitStack

    def _run(
        self, script: str, arguments: Sequence[str], stdin: Iterable[bytes], most: int
    ) -> tuple[int, bytes, bytes]:
        traffic, begun = self.traffic, time.monotonic()
        before, last = traffic.sent + traffic.received, [begun]

        def moved(sent: int, received: int) -> None:
            traffic.sent += sent
            traffic.received += received
            last[0] = time.monotonic()

        def left() -> float:
            return min(self.deadline - time.monotonic(), COMMAND_SECONDS + last[0] - time.monotonic())

        traffic.round_trips += 1
        try:
            self._reopen_if_lost()
            with progress(f"{self.target.name}: at work", lambda: traffic.sent + traffic.received - before):
                done = self._line.run(_command(script, arguments), stdin, most=most, left=left, moved=moved)
        except TooMuchError as error:
            raise too_much(self.target, most, error.begin) from error
        except TimeoutError as error:
            raise too_late(self.target, time.monotonic() - begun) from error
        except OSError as error:
            said = one_line(str(error))
            raise (
                fell_silent(self.target) if "not responding" in said else lost_connection(self.target, said)
            ) from error
        return done.code, done.stdout, done.stderr

    def _reopen_if_lost(self) -> None:
        if not self._line.master.ended():
            return
        if self._reopened >= _REOPENED:
            raise ConnectionError(self._line.words() or "the other side closed it")
        self._say_reopened(self._line.words() or "the other side closed it")
        self.close()
        seconds = max(1.0, min(CONNECT_SECONDS, self._left() / 3))
        self._line = self._held.enter_context(open_line(self.target, seconds=seconds))

    def cut(self) -> None:
        """End the connection at once, whatever goes on over it."""
        self._held.close()

    def close(self) -> None:
        """End the connection."""
        self._held.close()


def _ended(transport: Any) -> str:
    """Say how a connection ended, as far as this side knows."""
    error = transport.saved_exception
    if error is None or isinstance(error, EOFError):
        return "the other side closed it"
    return one_line(str(error)) or type(error).__name__


@contextmanager
def connect(target: Target, *, seconds: float = math.inf) -> Iterator[SshSession]:
    """Open a session to a board and close it when the block ends; raises what `dial` or `open_line` does.

    Parameters
    ----------
    seconds:
        For all of it, from now on.
    """
    deadline = time.monotonic() + seconds
    if target.openssh:
        with ExitStack() as held:
            line = held.enter_context(open_line(target))
            yield SystemSession(target=target, deadline=deadline, _line=line, _held=held)
        return
    connection = dial(target)
    session = OwnSession(target=target, deadline=deadline, _connection=connection, _pulse=Pulse(connection.transport))
    session.start()
    try:
        yield session
    finally:
        session.close()
