"""One command on one SSH channel: input and output move side by side, bounded in bytes, in time and in silence.

A board that froze, or whose cable was pulled, answers nothing: no byte, and none of the questions that `Pulse` asks
every few seconds and that each SSH server answers while a command of ours is still busy.
"""

from __future__ import annotations

import itertools
import math
import socket
import struct
import threading
import time
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import Any, Protocol

BEAT_SECONDS = 5.0
SILENT_SECONDS = 30.0
"""Without a byte and without an answer, a connection is given up: within 45 s of the last one, all told."""
COMMAND_SECONDS = 300
"""For a command, from the last byte of its input on; and for a board that takes no more of the input."""
_MIN_RTT = 148  # of tcpi_min_rtt in struct tcp_info, since Linux 4.6: include/uapi/linux/tcp.h
SLOWEST = 16 << 10
"""Bytes a second: what a fetch is given beyond COMMAND_SECONDS."""

_LOOK_SECONDS = 0.05
"""Between two looks at the clock, while nothing moves."""


class TooLongError(Exception):
    """A board answered with more bytes than the question may have."""


class Counts(Protocol):
    """Where the bytes are counted while they move."""

    sent: int
    received: int


def _tcp_seconds(link: Any) -> float:
    """Return the quickest round trip that the kernel saw on a TCP connection; infinite where it does not tell.

    On a busy machine, here or there, an answer of SSH takes many times as long, and the link is none the slower.
    """
    if not isinstance(link, socket.socket) or not hasattr(socket, "TCP_INFO"):
        return math.inf
    try:
        facts = link.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, 256)
        (micros,) = struct.unpack_from("=I", facts, _MIN_RTT)
    except (OSError, struct.error):
        return math.inf
    return micros / 1e6 if 0 < micros < 0xFFFFFFFF else math.inf


@dataclass(slots=True)
class Pulse:
    """Whether the other end of a transport lives; the transport is closed where it does not, whoever waits for it.

    A server that answered no beat at all is not judged by them: SSH asks for the answer (RFC 4254, 4), but such a one
    may be busy and well.
    """

    transport: Any
    heard: float = field(default_factory=time.monotonic)
    answers: bool = False
    silent: bool = False
    latency: float = 0.0
    """Seconds that the quickest answer took; 0 while there is none."""
    stopped: threading.Event = field(default_factory=threading.Event)

    def start(self) -> None:
        for work in (self._beat, self._watch):
            threading.Thread(target=work, name="pulse", daemon=True).start()

    def stop(self) -> None:
        self.stopped.set()

    def alive(self) -> None:
        self.heard = time.monotonic()

    def _beat(self) -> None:
        import paramiko

        while not self.stopped.wait(BEAT_SECONDS if self.answers else 0) and self.transport.is_active():
            asked = time.monotonic()
            try:
                self.transport.global_request("keepalive@openssh.com", wait=True)
            except (OSError, EOFError, paramiko.SSHException):
                return
            if self.transport.is_active():
                took = min(time.monotonic() - asked, _tcp_seconds(self.transport.sock))
                self.latency = min(self.latency, took) if self.answers else took
                self.answers = True
                self.alive()

    def _watch(self) -> None:
        # A thread of its own: paramiko's calls, the beat's among them, wait for a full socket without any limit.
        while not self.stopped.wait(1) and self.transport.is_active():
            if self.answers and time.monotonic() - self.heard > SILENT_SECONDS:
                self.silent = True
                self.transport.close()


class _Came(threading.Event):
    """Set where a part of the output came, or its end; both of a channel's buffers share one.

    paramiko clears it where one of them is empty, whatever is in the other: only `forget` does.
    """

    def clear(self) -> None:
        pass

    def forget(self) -> None:
        super().clear()


@dataclass(slots=True, kw_only=True)
class Exchange:
    """A command that runs: what is still to be sent, and what came so far."""

    channel: Any
    pulse: Pulse
    traffic: Counts
    most: int
    """Bytes that it may answer with, errors included."""
    deadline: float = math.inf
    """Moment of `time.monotonic` at which it is given up, whatever it does."""

    out: bytearray = field(default_factory=bytearray)
    err: bytearray = field(default_factory=bytearray)

    def run(self, command: str, stdin: Iterable[bytes]) -> int:
        """Run a command to its end and return its exit code.

        A command without input gets /dev/null: whatever is sent to one that ended already, the mark of the input's end
        too, makes an SSH server end the whole connection ("nonexistent channel"), and that is a race with a quick one.

        Raises
        ------
        TooLongError
            It answers with more than `most` bytes; the channel is closed.
        TimeoutError
            It took too long.
        OSError, EOFError, paramiko.SSHException
            The connection went.
        """
        source = iter(stdin)
        first = next(source, None)
        # paramiko waits for the server's answer to this without any limit of its own.
        left = min(COMMAND_SECONDS, max(0.0, self.deadline - time.monotonic()))
        watchdog = threading.Timer(left, self.channel.close)
        watchdog.daemon = True
        watchdog.start()
        try:
            self.channel.exec_command(command if first is not None else f"{command} </dev/null")
        finally:
            watchdog.cancel()
        self._move(itertools.chain([first], source) if first is not None else None)
        code = int(self.channel.recv_exit_status())
        if code < 0:
            raise EOFError("the command ended without an exit code")
        return code

    def _move(self, source: Iterator[bytes] | None) -> None:
        """Send and receive, whichever is possible, until the command has ended."""
        waiting = None if source is None else memoryview(b"")
        spare = self.most // SLOWEST
        deadline = time.monotonic() + COMMAND_SECONDS + spare
        self.channel.settimeout(_LOOK_SECONDS)
        came = _Came()
        for buffer in (self.channel.in_buffer, self.channel.in_stderr_buffer):
            buffer.set_event(came)
        while True:
            came.forget()
            sent, waiting = self._send(waiting, source)
            moved = self._receive() or sent
            if sent:
                deadline = time.monotonic() + COMMAND_SECONDS + spare
            # OpenSSH may send the exit status before the last of the output: the end of that is waited for too.
            ended = self.channel.exit_status_ready() and (self.channel.eof_received or self.channel.closed)
            if ended and not self.channel.recv_ready() and not self.channel.recv_stderr_ready():
                return
            if time.monotonic() > min(deadline, self.deadline):
                self.channel.close()
                raise TimeoutError(f"no answer within {COMMAND_SECONDS + spare} s")
            if moved:
                self.pulse.alive()
            elif waiting is None:
                # Behind the end of the output only the exit code comes.
                over = self.channel.eof_received or self.channel.closed
                (self.channel.status_event if over else came).wait(_LOOK_SECONDS)

    def _send(self, waiting: memoryview | None, source: Iterator[bytes] | None) -> tuple[bool, memoryview | None]:
        """Send a part of the input; returns whether some went, and what is left of the chunk: None at the end.

        Where the board takes none it is waited for, for a moment: its window, Dropbear's has 24 KiB, bounds the speed,
        and each that opens is used at once.
        """
        if waiting is None or source is None:
            return False, None
        if not waiting:
            chunk = next(source, None)
            if chunk is None:
                self.channel.shutdown_write()
                return False, None
            waiting = memoryview(chunk)
        if not waiting:
            return False, waiting
        try:
            count = self.channel.send(waiting[: 32 << 10])
        except TimeoutError:
            return False, waiting
        except OSError:
            # A script that ends before its input does closes the channel; its exit code says why.
            if not self.channel.closed or not self.pulse.transport.is_active():
                raise
            return False, None
        if not count:
            return False, None
        self.traffic.sent += count
        return True, waiting[count:]

    def _receive(self) -> bool:
        moved = False
        for ready, read, kept in (
            (self.channel.recv_ready, self.channel.recv, self.out),
            (self.channel.recv_stderr_ready, self.channel.recv_stderr, self.err),
        ):
            while ready():
                part = read(65536)
                if not part:
                    break
                kept.extend(part)
                moved = True
                self.traffic.received += len(part)
                if len(self.out) + len(self.err) > self.most:
                    self.channel.close()
                    raise TooLongError
        return moved
