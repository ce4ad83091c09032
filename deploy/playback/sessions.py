"""Sessions of players: a token that stands for a stream, a range and a form, for a while.

A player has no keys, only the token in the URL; so a token is random, ends, opens nothing but its own session's
fragments, and there are few of them.
"""

from __future__ import annotations

import re
import secrets
from collections import OrderedDict
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal

from deploy.kvs.arguments import choice, number, part
from deploy.kvs.errors import ServiceError, invalid, not_found
from deploy.kvsstore.service import Service
from deploy.kvsstore.streams import Stream
from deploy.playback.request import DAY_MS, By, Span, by_of, span_of, stream_of
from deploy.playback.segments import Segments
from deploy.playback.window import MODES, Breaks, Entry, Mode, Window

if TYPE_CHECKING:
    from aiohttp import web

Kind = Literal["hls", "dash"]
MOST_OF_A_STREAM = 10
"""Sessions of a kind; the oldest is revoked for one more (limits.html)."""
MOST_SESSIONS = 500
MOST_RESULTS = 5000
"""Fragments in a list."""
MOST_ENTRIES = 100_000
"""Of all sessions' lists together, about 50 MB; the oldest sessions are revoked beyond."""
_HOST = re.compile(r"[A-Za-z0-9._-]{1,255}(?::[0-9]{1,5})?|\[[0-9a-fA-F:.]{2,45}\](?::[0-9]{1,5})?")
_LATELY_MS = 30_000
"""A stream is live that has a fragment of the last 30 s, as the service says."""


@dataclass(slots=True)
class Session:
    """What one player plays.

    Attributes
    ----------
    expires:
        Seconds since 1970.
    span:
        The range, and whose clock the segments' times are of.
    stamped, numbered:
        Whether the list tells the time, and the number, of each fragment.
    given:
        For each track, the last fragment that a list told of.
    """

    token: str
    kind: Kind
    stream: Stream
    mode: Mode
    span: Span
    window: Window
    created: float
    expires: float
    stamped: bool = False
    numbered: bool = False
    given: dict[int, int] = field(default_factory=dict)


@dataclass
class Playback:
    """What the read side keeps while the service runs."""

    segments: Segments
    sessions: OrderedDict[str, Session] = field(default_factory=OrderedDict)

    def add(self, session: Session, now: float) -> None:
        """Take a session in; expired ones go, and the oldest where there are too many."""
        for token in [one.token for one in self.sessions.values() if one.expires <= now]:
            del self.sessions[token]
        same = [one for one in self.sessions.values() if (one.kind, one.stream.id) == (session.kind, session.stream.id)]
        for one in same[: max(0, len(same) + 1 - MOST_OF_A_STREAM)]:
            del self.sessions[one.token]
        self.sessions[session.token] = session
        while len(self.sessions) > 1 and (
            len(self.sessions) > MOST_SESSIONS or sum(len(one.window) for one in self.sessions.values()) > MOST_ENTRIES
        ):
            self.sessions.popitem(last=False)


def playback(service: Service) -> Playback:
    """Return what the read side keeps; made at the first call."""
    if "playback" not in service.state:
        service.state["playback"] = Playback(Segments(service.store))
    found = service.state["playback"]
    assert isinstance(found, Playback)  # noqa: S101
    return found


def open_session(
    service: Service,
    request: web.Request,
    arguments: Mapping[str, Any],
    *,
    kind: Kind,
    selector: str,
    most: str,
    breaks: Breaks | None = None,
) -> Session:
    """Make a session from what GetHLSStreamingSessionURL and GetDASHStreamingSessionURL have in common.

    Parameters
    ----------
    selector, most:
        What the call names its selector of fragments, and the most fragments in a list.
    breaks:
        Where players begin a new timeline; None for what the clock has by default.

    Raises
    ------
    ServiceError
        The arguments are wrong, or there is nothing to play.
    """
    stream = stream_of(service, request, arguments, retained=True)
    mode: Mode = choice(arguments, "PlaybackMode", MODES, "LIVE")  # type: ignore[assignment]  # one of the modes
    span = _span(arguments, selector, mode, now=service.clock())
    expires = number(arguments, "Expires", low=300, high=43_200, default=300)
    usual = 1000 if mode == "ON_DEMAND" else 5
    listed = number(arguments, most, low=1, high=MOST_RESULTS, default=usual)
    kept, now = playback(service), service.clock()
    if mode == "LIVE":
        latest = service.store.fragments.latest(stream)
        if latest is None or latest.server_ms < now * 1000 - _LATELY_MS:
            raise not_found(f"The stream {stream.name} has no fragment of the last 30 seconds.")
    window = Window(
        service, stream, kept.segments,
        mode=mode, span=span, most=listed,
        breaks=breaks or ("ALWAYS" if span.by == "SERVER" else "NEVER"),
    )  # fmt: skip
    if not window.shown():
        raise not_found(f"The stream {stream.name} has no fragment in the requested range.")
    session = Session(
        secrets.token_urlsafe(48), kind, stream, mode, span, window, created=now, expires=now + expires
    )  # fmt: skip
    kept.add(session, now)
    return session


def _span(arguments: Mapping[str, Any], name: str, mode: Mode, *, now: float) -> Span:
    selector = part(arguments, name)
    if mode == "LIVE":
        if selector.get("TimestampRange") is not None:
            raise invalid(f"{name}.TimestampRange must not be set in LIVE mode.")
        by: By = by_of(selector, "SERVER_TIMESTAMP")
        return Span(by)
    if not part(selector, "TimestampRange"):
        raise invalid(f"{name}.TimestampRange must be set in {mode} mode.")
    span = span_of(
        {name: {"FragmentSelectorType": "SERVER_TIMESTAMP"} | selector}, name,
        open_end=mode == "LIVE_REPLAY", longest_ms=DAY_MS,
    )  # fmt: skip
    if span.by == "SERVER" and span.end_ms is not None and span.end_ms > now * 1000 + 1000:
        raise invalid("EndTimestamp must be in the past.")
    return span


def url_of(request: web.Request, path: str, session: Session) -> str:
    """Return the URL that a player opens: where the client came to, since the session is there.

    Raises
    ------
    ServiceError
        The Host header is none.
    """
    if not _HOST.fullmatch(request.host):
        raise invalid("The Host header is no host.")
    scheme = "https" if request.secure else "http"
    return f"{scheme}://{request.host}{path}?SessionToken={session.token}"


def session_of(service: Service, request: web.Request, kind: Kind | None = None) -> Session:
    """Return the session that a player's URL names.

    Raises
    ------
    ServiceError
        There is no such session, it ended or was revoked, or its stream is gone.
    """
    token = request.query.get("SessionToken", "")
    session = playback(service).sessions.get(token) if re.fullmatch(r"[A-Za-z0-9_-]{64}", token) else None
    if session is None or session.expires <= service.clock() or (kind and session.kind != kind):
        raise ServiceError(403, "NotAuthorizedException", "The session token is not valid, or the session has ended.")
    service.store.streams.find(arn=session.stream.arn)
    return session


def whole_number(request: web.Request, name: str, default: int | None = None) -> int:
    """Return a number of a player's URL.

    Raises
    ------
    ServiceError
        It is none, or left out where there is no default.
    """
    value = request.query.get(name)
    if value is None and default is not None:
        return default
    if value is None or not re.fullmatch(r"[0-9]{1,9}", value):
        raise invalid(f"{name} must be a number.")
    return int(value)


def entry_of(session: Session, request: web.Request) -> Entry:
    """Return the fragment of a session that a player's URL names, by its number or its place.

    Raises
    ------
    ServiceError
        It is none of the session's, or no longer.
    """
    named = request.query.get("FragmentNumber", "")
    found = (
        session.window.find(number=named) if named
        else session.window.find(sequence=whole_number(request, "SequenceNumber"))
    )  # fmt: skip
    if found is None:
        raise not_found("The fragment is none of this session's, or no longer in its window.")
    return found
