"""The same endpoints from this workstation, so that a verdict can say which side does not reach one."""

from __future__ import annotations

import contextlib
import errno
import secrets
import socket
import ssl
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

from deploy.reach.endpoints import Endpoint
from deploy.reach.seen import Seen
from deploy.signaling.stun import COOKIE, binding_request
from recipes.text import one_line

SECONDS = 5.0
"""For one step of one endpoint."""
_THREADS = 12
_TRIES = 3
_STATES = {
    errno.ECONNREFUSED: "refused",
    errno.ETIMEDOUT: "timeout",
    errno.ECONNRESET: "reset",
    errno.EPIPE: "reset",
    errno.ENETUNREACH: "unreachable",
    errno.EHOSTUNREACH: "unreachable",
    errno.EPERM: "forbidden",
    errno.EACCES: "forbidden",
}
# OpenSSL's X509_V_ERR_* numbers: https://docs.openssl.org/3.0/man3/X509_STORE_CTX_get_error/
_VERDICTS = {2: "ca", 18: "ca", 19: "ca", 20: "ca", 21: "ca", 27: "ca"}
_VERDICTS |= {9: "early", 10: "expired", 62: "name", 64: "name"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Way:
    """How this workstation goes to the service.

    Attributes
    ----------
    address:
        Where every name leads to, for the local service; empty: the names' own addresses.
    ca:
        Whom its certificates are checked with; the machine's own authorities without.
    """

    address: str = ""
    ca: Path | None = None


def look_from_here(endpoints: Sequence[Endpoint], way: Way) -> dict[str, Seen]:
    """Return what this workstation sees of endpoints, by their names; it takes some seconds at most."""
    asked = [endpoint for endpoint in endpoints if endpoint.kind in ("tls", "stun", "turn")]
    if not asked:
        return {}
    trust = ssl.create_default_context(cafile=str(way.ca) if way.ca else None)
    with ThreadPoolExecutor(_THREADS, thread_name_prefix="reach") as pool:
        seen = pool.map(lambda endpoint: _look(endpoint, way, trust), asked)
        return {endpoint.name: one for endpoint, one in zip(asked, seen, strict=True)}


def _look(endpoint: Endpoint, way: Way, trust: ssl.SSLContext) -> Seen:
    begun = time.monotonic()
    # A TURN server's address is its own in any case.
    host = endpoint.host if endpoint.kind == "turn" else way.address or endpoint.host
    try:
        if endpoint.kind == "tls" or endpoint.transport == "tls":
            state = _tls(endpoint, host, trust)
        else:
            state = _stun(host, endpoint.port, stream=endpoint.transport == "tcp")
    except OSError as error:
        state, detail = _state(error), one_line(str(error), most=200)
        return Seen(state=state, notes={"detail": detail})
    return Seen(state=state, milliseconds=round((time.monotonic() - begun) * 1000))


def _state(error: OSError) -> str:
    if isinstance(error, ssl.SSLCertVerificationError):
        return _VERDICTS.get(error.verify_code, "certificate")
    if isinstance(error, socket.gaierror):
        return "dns"
    if isinstance(error, TimeoutError):
        return "timeout"
    if isinstance(error, ssl.SSLError):
        return "not-tls" if error.reason == "WRONG_VERSION_NUMBER" else "handshake"
    return _STATES.get(error.errno or 0, "failed")


def _tls(endpoint: Endpoint, host: str, trust: ssl.SSLContext) -> str:
    with (
        socket.create_connection((host, endpoint.port), timeout=SECONDS) as line,
        trust.wrap_socket(line, server_hostname=endpoint.host),
    ):
        return "ok"


def _stun(host: str, port: int, *, stream: bool) -> str:
    """Ask a STUN or TURN server for our address, which both answer; raises OSError."""
    transaction = secrets.token_bytes(12)
    kind = socket.SOCK_STREAM if stream else socket.SOCK_DGRAM
    family, _, _, _, address = socket.getaddrinfo(host, port, type=kind)[0]
    with socket.socket(family, kind) as line:
        line.settimeout(SECONDS if stream else SECONDS / _TRIES)
        line.connect(address)
        for _ in range(1 if stream else _TRIES):
            line.send(binding_request(transaction))
            with contextlib.suppress(TimeoutError):
                answer = line.recv(1500)
                if answer[4:20] == COOKIE.to_bytes(4, "big") + transaction:
                    return "ok"
    return "timeout"
