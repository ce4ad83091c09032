"""A program of this workstation and one of a board, input to output: over the connection that is open already.

So it has the host key that is known, goes by the same jump hosts, and is of the process that holds the board's lock.
"""

from __future__ import annotations

import socket
import threading
from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

from deploy.ssh.channel import COMMAND_SECONDS, Counts, Pulse, TooLongError
from deploy.ssh.jumps import CONNECT_SECONDS

_PACKET = 32 << 10
_SAID = 4096
_LONGEST = 4096


@dataclass(slots=True, kw_only=True)
class Bridge:
    """What lies between a local program, at the other end of `link`, and a channel."""

    transport: Any
    pulse: Pulse
    traffic: Counts
    link: socket.socket
    pace: Callable[[Iterable[bytes]], Iterator[bytes]]
    """Makes pieces of what is to be sent, no faster than wanted."""
    most: int
    """Bytes that the board may send."""

    def carry(self) -> tuple[int, str]:
        """Run the command that the local program asks for, to its end; returns its exit code and what it complained of.

        The local program says the command first, and a NUL.

        Raises
        ------
        TooLongError
            The board sent more than it may.
        TimeoutError, OSError, EOFError, paramiko.SSHException
            The connection went, or nothing moved for too long.
        """
        command = self._command()
        if not command:
            return -1, ""
        channel = self.transport.open_session(timeout=CONNECT_SECONDS)
        feeder = threading.Thread(target=self._feed, args=(channel,), name="bridge", daemon=True)
        try:
            channel.settimeout(COMMAND_SECONDS)
            channel.exec_command(command)
            feeder.start()
            if not self._take(channel):
                return -1, ""
            if not channel.status_event.wait(COMMAND_SECONDS):
                raise TimeoutError(f"no exit code within {COMMAND_SECONDS} s")
            said = channel.recv_stderr(_SAID).decode("utf-8", "replace") if channel.recv_stderr_ready() else ""
            if not self.transport.is_active():
                raise EOFError
            return int(channel.exit_status), said
        finally:
            with suppress(OSError):
                self.link.shutdown(socket.SHUT_RDWR)
            channel.close()
            if feeder.ident is not None:
                feeder.join()

    def _command(self) -> str:
        said = bytearray()
        while not said.endswith(b"\0"):
            piece = self.link.recv(1)
            if not piece or len(said) > _LONGEST:
                return ""
            said += piece
        return said[:-1].decode()

    def _take(self, channel: Any) -> bool:
        """Hand on what comes; returns False where the local program takes no more: it ended, and says itself why."""
        taken = 0
        while data := channel.recv(1 << 16):
            taken += len(data)
            self.traffic.received += len(data)
            self.pulse.alive()
            if taken > self.most:
                raise TooLongError
            try:
                self.link.sendall(data)
            except OSError:
                return False
        return True

    def _feed(self, channel: Any) -> None:
        import paramiko

        with suppress(OSError, EOFError, paramiko.SSHException):
            for piece in self.pace(iter(lambda: self.link.recv(_PACKET), b"")):
                channel.sendall(piece)
                self.traffic.sent += len(piece)
                self.pulse.alive()
            channel.shutdown_write()
