"""States of an endpoint, in words; why each one is so, and what to do, is in the catalogue of causes."""

from __future__ import annotations

from deploy.causes.catalogue import Cause, causes

_STATES = {
    "dns": "its name is not found",
    "refused": "refused",
    "timeout": "no answer",
    "unreachable": "no route",
    "forbidden": "forbidden by a firewall of its own",
    "reset": "cut in the handshake",
    "not-tls": "what answers does not speak TLS",
    "handshake": "no common TLS version or cipher",
    "ca": "CA unknown",
    "ca-file": "its CA file cannot be read",
    "expired": "expired",
    "early": "not yet valid",
    "name": "for another host name",
    "certificate": "refused",
    "failed": "it could not be asked",
    "no-udp": "no answer",
    "login": "the password is refused",
    "full": "no room",
    "refuses": "no allocation",
}
CERTIFICATE = frozenset({"ca", "ca-file", "expired", "early", "name", "certificate", "clock"})
"""States in which the server was reached, and its certificate or the clock is at fault."""


def in_words(state: str) -> str:
    """Return a state in words; one that nobody knows, as it is."""
    return _STATES.get(state, state)


def cause_name(reason: str) -> str:
    """Return the name in the catalogue of what is wrong with an endpoint."""
    name = f"endpoint-{reason}"
    return name if name in causes() else "endpoint-failed"


def cause(reason: str) -> Cause:
    """Return why an endpoint is not reached."""
    return causes()[cause_name(reason)]
