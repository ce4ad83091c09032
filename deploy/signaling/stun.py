"""A STUN answerer: it tells who asks which address the question came from, and nothing else.

https://www.rfc-editor.org/rfc/rfc5389
"""

from __future__ import annotations

import asyncio
import binascii
import ipaddress
import socket
import struct
from collections.abc import Iterator
from typing import cast

COOKIE = 0x2112A442
_HEADER = struct.Struct("!HHI12s")
_REQUEST, _SUCCESS, _ERROR = 0x0001, 0x0101, 0x0111
_XOR_MAPPED, _ERROR_CODE, _UNKNOWN, _FINGERPRINT = 0x0020, 0x0009, 0x000A, 0x8028
# What a client may add to a binding request and may be left unread: its name and key, priority and roles of ICE.
_KNOWN = {0x0006, 0x0008, 0x0014, 0x0015, 0x0020, 0x0024, 0x0025}
_MOST = 1_280


def answer(data: bytes, host: str, port: int) -> bytes | None:
    """Return what is sent back for a datagram; None where it is no binding request.

    Parameters
    ----------
    host, port:
        Where the datagram came from.
    """
    if not _HEADER.size <= len(data) <= _MOST:
        return None
    kind, length, cookie, transaction = _HEADER.unpack_from(data)
    if kind != _REQUEST or cookie != COOKIE or length % 4 or length != len(data) - _HEADER.size:
        return None
    try:
        found = list(_attributes(data))
    except (struct.error, ValueError):
        return None
    unknown = [name for name, _, _ in found if name < 0x8000 and name not in _KNOWN]
    for name, at, value in found:
        if name == _FINGERPRINT and value != _fingerprint(data[:at], len(data)):
            return None
    if unknown:
        reason = b"Unknown Attribute"
        body = _attribute(_ERROR_CODE, bytes((0, 0, 4, 20)) + reason)
        body += _attribute(_UNKNOWN, struct.pack(f"!{len(unknown)}H", *unknown))
        return _message(_ERROR, transaction, body)
    return _message(_SUCCESS, transaction, _attribute(_XOR_MAPPED, _mapped(host, port, transaction)))


def binding_request(transaction: bytes) -> bytes:
    """Return a request as a client sends it.

    Parameters
    ----------
    transaction:
        12 random bytes.
    """
    return _message(_REQUEST, transaction, b"")


def _attributes(data: bytes) -> Iterator[tuple[int, int, bytes]]:
    """Yield name, place and value of each attribute.

    Raises
    ------
    ValueError, struct.error
        One goes past the end.
    """
    at = _HEADER.size
    while at < len(data):
        name, length = struct.unpack_from("!HH", data, at)
        if at + 4 + length > len(data):
            raise ValueError("an attribute goes past the end")
        yield name, at, data[at + 4 : at + 4 + length]
        at += 4 + length + -length % 4


def _mapped(host: str, port: int, transaction: bytes) -> bytes:
    address = ipaddress.ip_address(host.partition("%")[0])
    mask = struct.pack("!I", COOKIE) + transaction
    hidden = bytes(one ^ other for one, other in zip(address.packed, mask, strict=False))
    return struct.pack("!xBH", 1 if address.version == 4 else 2, port ^ COOKIE >> 16) + hidden


def _attribute(name: int, value: bytes) -> bytes:
    return struct.pack("!HH", name, len(value)) + value + bytes(-len(value) % 4)


def _message(kind: int, transaction: bytes, body: bytes) -> bytes:
    head = _HEADER.pack(kind, len(body) + 8, COOKIE, transaction) + body
    return head + _attribute(_FINGERPRINT, _fingerprint(head, len(head) + 8))


def _fingerprint(before: bytes, total: int) -> bytes:
    """Return the checksum of a message of `total` bytes up to its fingerprint."""
    counted = before[:2] + struct.pack("!H", total - _HEADER.size) + before[4:]
    return struct.pack("!I", binascii.crc32(counted) ^ 0x5354554E)


class Answerer(asyncio.DatagramProtocol):
    """Answers on one UDP socket."""

    _transport: asyncio.DatagramTransport

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Keep the way back."""
        # Python 3.11's own class does not say that it is one.
        self._transport = cast(asyncio.DatagramTransport, transport)

    def datagram_received(self, data: bytes, addr: tuple[str, int]) -> None:
        """Answer one datagram."""
        said = answer(data, addr[0], addr[1])
        # A client that floods us and does not read would fill our memory: its answers are dropped, as UDP may.
        waiting: int = self._transport.get_write_buffer_size()  # type: ignore[attr-defined]  # typeshed lacks it
        if said is not None and waiting < 1 << 16:
            self._transport.sendto(said, addr)


async def serve_stun(
    address: str = "", port: int = 0, *, opened: socket.socket | None = None
) -> asyncio.DatagramTransport:
    """Answer on a UDP port of one address until the transport is closed.

    Parameters
    ----------
    opened:
        A socket that is bound already, in place of address and port.

    Raises
    ------
    OSError
        The port is taken, or not ours to have.
    """
    where = {"sock": opened} if opened is not None else {"local_addr": (address, port)}
    transport, _ = await asyncio.get_running_loop().create_datagram_endpoint(Answerer, **where)
    return transport
