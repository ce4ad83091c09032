"""A file written on a board by SFTP, gone on with where a cut ended it."""

from __future__ import annotations

from collections.abc import Iterable
from contextlib import suppress
from typing import Any

from deploy.ssh.channel import COMMAND_SECONDS, Counts, Pulse
from deploy.ssh.jumps import CONNECT_SECONDS

_PACKET = 32 << 10
"""Bytes that every SFTP server takes at once: draft-ietf-secsh-filexfer-02, 3."""


class NotWrittenError(Exception):
    """The board did not write the file: it is full, the folder is not there, or its server may not."""


def put_file(
    transport: Any, pulse: Pulse, traffic: Counts, path: str, data: bytes, pace: Any, offset: int | None = None
) -> None:
    """Write a file over SFTP.

    Parameters
    ----------
    pace:
        Makes pieces of what is to be sent, no faster than wanted.
    offset:
        Byte to begin at; None for the one where the file on the board ends.

    Raises
    ------
    NotWrittenError
        The board said no.
    OSError, EOFError, paramiko.SSHException
        There is no SFTP, or the connection went.
    """
    import paramiko

    channel = transport.open_session(timeout=CONNECT_SECONDS)
    channel.settimeout(COMMAND_SECONDS)
    channel.invoke_subsystem("sftp")
    client = paramiko.SFTPClient(channel)
    try:
        begin = _length(client, path) if offset is None else offset
        if offset is None and begin > len(data):
            begin = 0
        try:
            with client.open(path, "r+b" if begin else "wb") as file:
                file.set_pipelined(True)
                file.seek(begin)
                for piece in pace(_pieces(data, begin)):
                    file.write(piece)
                    traffic.sent += len(piece)
                    pulse.alive()
        except OSError as error:
            if not transport.is_active() or isinstance(error, TimeoutError):
                raise
            with suppress(OSError):
                client.remove(path)
            raise NotWrittenError(str(error)) from error
    finally:
        client.close()


def _length(client: Any, path: str) -> int:
    try:
        return int(client.stat(path).st_size or 0)
    except FileNotFoundError:
        return 0


def _pieces(data: bytes, begin: int) -> Iterable[bytes]:
    for at in range(begin, len(data), _PACKET):
        yield data[at : at + _PACKET]
