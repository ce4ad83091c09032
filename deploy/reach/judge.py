"""What both sides saw of an endpoint, as one verdict: which side it is, why, and what to do."""

from __future__ import annotations

import re
from dataclasses import dataclass

from deploy.reach.endpoints import Endpoint
from deploy.reach.reasons import CERTIFICATE, cause, cause_name, in_words
from deploy.reach.seen import Seen

_ANSWERED = frozenset({"login", "full", "refuses"})
"""States that a TURN server itself gave."""
SKEW_REFUSED = 240
"""Seconds that a clock may be off; AWS refuses requests whose clock is 300 s off."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Judged:
    """A verdict on one endpoint.

    Attributes
    ----------
    reached:
        The board can use it.
    words:
        Who saw what, and the cause.
    cause:
        Its name in the catalogue of causes; empty for one that is reached.
    cure:
        What comes next; HOST in it is for the caller to fill in.
    """

    reached: bool
    words: str
    cause: str = ""
    cure: str = ""


def judge(endpoint: Endpoint, board: Seen, here: Seen, skew: int | None) -> Judged:
    """Judge one endpoint.

    Parameters
    ----------
    here:
        What this workstation saw; without a state where it did not look.
    skew:
        Seconds that the board's clock is ahead of this workstation's.
    """
    reason = _reason(board, skew)
    if not reason:
        return Judged(reached=True, words=_reached(endpoint, board, here))
    known = cause(reason)
    told = f"{_who(endpoint, reason, here)}: {_saw(endpoint, board, reason, skew)}; {known.why}"
    return Judged(reached=False, words=told, cause=cause_name(reason), cure=_filled(known.next_step, endpoint))


def _reason(board: Seen, skew: int | None) -> str:
    """Return what is wrong, empty for nothing; a certificate out of its time is the clock's fault where that is off."""
    off = board.number("skew")
    off = skew if off is None else off
    if board.state == "early" or (board.state == "expired" and off is not None and abs(off) >= SKEW_REFUSED):
        return "clock"
    if board.state == "ok":
        return "clock" if off is not None and abs(off) >= SKEW_REFUSED else ""
    if board.state == "timeout" and board.stage == "udp":
        return "no-udp"
    return board.state or "failed"


def _who(endpoint: Endpoint, reason: str, here: Seen) -> str:
    """Say which side cannot: the board, or nobody."""
    place = endpoint.place
    if reason == "clock":
        return f"the board cannot use {place}"
    fails = f"refuses the certificate of {place}" if reason in CERTIFICATE else f"cannot reach {place}"
    if reason in _ANSWERED:
        return f"the board reaches {place} and cannot use it"
    if not here.state:
        return f"the board {fails}, and this workstation did not look"
    if here.state == "ok":
        return f"the board {fails}, this workstation can" if reason not in CERTIFICATE else _taken(fails)
    if here.state in CERTIFICATE and reason in CERTIFICATE:
        return f"the board {fails}, and so does this workstation ({in_words(here.state)})"
    if here.state in CERTIFICATE:
        return f"the board {fails}, this workstation can, and refuses its certificate ({in_words(here.state)})"
    if reason in CERTIFICATE:
        return f"the board {fails}, and this workstation does not even reach it ({in_words(here.state)})"
    return f"nobody can reach {place}, neither the board nor this workstation ({in_words(here.state)})"


def _taken(fails: str) -> str:
    return f"the board {fails}, this workstation takes it"


def _saw(endpoint: Endpoint, board: Seen, reason: str, skew: int | None) -> str:
    """Say what the board saw, in few words."""
    notes = board.notes
    by = f"it is by {notes['issuer']!r}" if notes.get("issuer") else ""
    if reason == "clock":
        off, whose = board.number("skew"), "the service's"
        if off is None:
            off, whose = skew, "this workstation's"
        ahead = f"its clock is {abs(off)} s {'ahead of' if off > 0 else 'behind'} {whose}" if off else ""
        span = f"the certificate is good from {notes.get('from', '?')} to {notes.get('until', '?')}"
        late = board.state in ("early", "expired")
        return ", ".join(part for part in (span if late else "", ahead) if part)
    if reason == "ca-file":
        return f"{endpoint.ca} cannot be read"
    if reason == "ca":
        return f"{by or 'its issuer is unknown'}, which {endpoint.ca} does not know"
    if reason in CERTIFICATE:
        return ", ".join(part for part in (by, in_words(reason), notes.get("detail", "")) if part)
    busy = {"dns": "looking up the name", "tcp": "connecting", "tls": "in the TLS handshake", "udp": "by UDP"}
    at = f" at {notes['address']}" if notes.get("address") else ""
    when = f", {busy[board.stage]}" if board.stage in busy and board.state == "timeout" else ""
    return f"{in_words(board.state)}{at}{when}"


def _reached(endpoint: Endpoint, board: Seen, here: Seen) -> str:
    parts = [f"the board reaches {endpoint.place} in {board.milliseconds} ms"]
    if board.notes.get("issuer"):
        parts.append(f"certificate by {board.notes['issuer']!r}")
    if board.notes.get("relayed"):
        parts.append(f"relays at {board.notes['relayed']}")
    if board.notes.get("mapped"):
        parts.append(f"seen there as {board.notes['mapped']}")
    if (off := board.number("skew")) is not None:
        parts.append(f"clock {off:+d} s to the service's")
    if here.state == "ok":
        parts.append("this workstation reaches it too")
    elif here.state:
        fails = "refuses its certificate" if here.state in CERTIFICATE else "cannot reach it"
        parts.append(f"this workstation {fails} ({in_words(here.state)})")
    return ", ".join(parts)


def _filled(step: str, endpoint: Endpoint) -> str:
    region = re.search(r"kinesisvideo\.([a-z0-9-]+)\.", endpoint.host)
    step = re.sub(r"\bNAME\b", endpoint.host, step)
    step = re.sub(r"\bPORT\b", str(endpoint.port), step)
    step = re.sub(r"\bFILE\b", endpoint.ca or "FILE", step)
    return re.sub(r"\bREGION\b", region[1] if region else "REGION", step)
