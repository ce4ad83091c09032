"""What STUN, TURN and the NAT on the board's way mean for viewers, in words.

Mapping and filtering are those of RFC 4787; how they are found out is RFC 5780's.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

from deploy.reach.judge import Judged
from deploy.reach.seen import Seen

_MAPPINGS = {
    "NOT_BEHIND_ANY_NAT": "no NAT",
    "NO_UDP_CONNECTIVITY": "no UDP",
    "ENDPOINT_INDEPENDENT": "independent",
    "ADDRESS_DEPENDENT": "by address",
    "PORT_DEPENDENT": "by address and port",
    "NONE": "not found out",
}
"""The SDK's words for a NAT's behaviour."""
_SDK = re.compile(rf"Detected NAT (mapping|filtering) behavior ({'|'.join(_MAPPINGS)})", re.ASCII)
_SYMMETRIC = {
    "address": "by address",
    "port": "by address and port",
    "dependent": "by where it goes to",
}
OUTSIDE = "viewers-outside"
"""Its name in the catalogue of causes."""
_OUTSIDE = "viewers outside of the board's network"
_SAME = "viewers on the board's own network connect directly"


@dataclass(frozen=True, slots=True, kw_only=True)
class Relay:
    """A TURN server and what the board saw of it."""

    transport: str
    seen: Seen


def viewers(nat: Seen, relays: Sequence[Relay], program: str = "") -> Judged:
    """Say which viewers will see the board's pictures, by which way, and which will not.

    Parameters
    ----------
    nat:
        What the ways to several servers said together.
    relays:
        The TURN servers; none where none is known.
    program:
        What the SDK's own program for this printed; empty where it was not run.
    """
    ready = [relay for relay in relays if relay.seen.state == "ok"]
    by = " or ".join(dict.fromkeys("TLS" if relay.transport == "tls" else relay.transport.upper() for relay in ready))
    found = _without_stun(by, bool(relays)) if nat.state != "ok" else _with_stun(nat, by, bool(relays))
    seen = _seen(nat)
    words = "; ".join(part for part in (seen, found.words, _sdk(program)) if part)
    return Judged(reached=found.reached, words=words, cause=found.cause, cure=found.cure)


def _seen(nat: Seen) -> str:
    if nat.state != "ok":
        return "no STUN server answers the board: UDP is blocked on its way"
    mapping, mapped = nat.notes.get("mapping", "unknown"), nat.notes.get("mapped", "?")
    if mapping == "none":
        return f"no NAT: the board is seen as {mapped}, which is its own address"
    kind = {
        "independent": "one address for all destinations (endpoint-independent mapping)",
        "ports": "one address for two ports of a server; whether for two servers too is not known",
        "unknown": "its mapping is not known: one server answered, and it has no second address",
    }.get(mapping, f"another address or port {_SYMMETRIC.get(mapping, mapping)} (symmetric)")
    filtering = nat.notes.get("filtering", "unknown")
    lets_in = {
        "independent": ", lets anybody answer",
        "address": ", lets in only addresses that the board has sent to",
        "port": ", lets in only addresses and ports that the board has sent to",
    }.get(filtering, "")
    return f"NAT: the board is seen as {mapped}, {kind}{lets_in}"


def _without_stun(by: str, known: bool) -> Judged:
    if by:
        return Judged(reached=True, words=f"{_SAME}; {_OUTSIDE} only by TURN ({by}), which costs delay and traffic")
    what = "TURN is not reached either" if known else "no TURN server is known"
    return Judged(
        reached=False,
        words=f"{_SAME}; {_OUTSIDE} not at all: {what}",
        cause=OUTSIDE,
        cure="let the board out to UDP port 443, or at least to the TURN servers by TCP port 443",
    )


def _with_stun(nat: Seen, by: str, known: bool) -> Judged:
    mapping, filtering = nat.notes.get("mapping", "unknown"), nat.notes.get("filtering", "unknown")
    rest = f"by TURN ({by})" if by else f"not at all: {'TURN is not reached' if known else 'no TURN server is known'}"
    if mapping == "none":
        return Judged(reached=True, words=f"all viewers connect directly; where a firewall keeps them out, {rest}")
    if mapping in _SYMMETRIC:
        words = f"{_SAME}; outside, those with a public address or an open NAT connect by STUN, all others {rest}"
        if by or not known:
            return Judged(reached=True, words=words)
        cure = "let the board out to the TURN servers, UDP or TCP port 443; or a NAT with endpoint-independent mapping"
        return Judged(reached=False, words=words, cause=OUTSIDE, cure=cure)
    if filtering == "independent":
        return Judged(reached=True, words=f"all viewers connect directly, by STUN; if one does not, {rest}")
    return Judged(reached=True, words=f"viewers connect directly, by STUN; those behind a symmetric NAT {rest}")


def _sdk(text: str) -> str:
    """Return what the SDK's discoverNatBehavior says; nothing where it printed neither of its two lines."""
    lines = [_SDK.fullmatch(line.strip()) for line in text.splitlines()]
    found = {told[1]: told[2] for told in lines if told}
    if not found:
        return ""
    parts = [f"{kind} {_MAPPINGS[found[kind]]}" for kind in ("mapping", "filtering") if kind in found]
    return f"the SDK's discoverNatBehavior says: {', '.join(parts)}"
