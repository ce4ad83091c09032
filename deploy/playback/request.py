"""What the calls of the read side have in common: which stream, which clock, from when to when."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

from deploy.kvs.arguments import choice, part, text
from deploy.kvs.errors import ServiceError, invalid, not_found
from deploy.kvsstore.caller import caller_of
from deploy.kvsstore.fragments import Fragment
from deploy.kvsstore.service import Service
from deploy.kvsstore.streams import Stream

if TYPE_CHECKING:
    from aiohttp import web

By = Literal["SERVER", "PRODUCER"]
"""Whose clock a time is of."""

SELECTORS = ("PRODUCER_TIMESTAMP", "SERVER_TIMESTAMP")
DAY_MS = 86_400_000
_LAST = 253_402_300_799
"""The last second of the year 9999, which is as far as a client can name one."""
_NUMBER = re.compile(r"[0-9]{47}")


@dataclass(frozen=True, slots=True)
class Span:
    """A range of time.

    Attributes
    ----------
    start_ms, end_ms:
        Milliseconds since 1970, both included; None for no bound.
    """

    by: By
    start_ms: int | None = None
    end_ms: int | None = None

    def time_of(self, fragment: Fragment) -> int:
        """Return when a fragment begins, in milliseconds of the clock that counts here."""
        return fragment.server_ms if self.by == "SERVER" else fragment.producer_ms

    def holds(self, fragment: Fragment) -> bool:
        """Tell whether a fragment begins within."""
        at = self.time_of(fragment)
        return (self.start_ms is None or at >= self.start_ms) and (self.end_ms is None or at <= self.end_ms)

    def fragments(self, service: Service, stream: Stream, *, limit: int, after: str = "") -> list[Fragment]:
        """Return a stream's fragments that begin within, by number."""
        return service.store.fragments.select(
            stream, start_ms=self.start_ms, end_ms=self.end_ms, by=self.by, after=after, limit=limit
        )


def stream_of(
    service: Service, request: web.Request, arguments: Mapping[str, Any], *, retained: bool = False
) -> Stream:
    """Return the stream that a call names.

    Parameters
    ----------
    retained:
        Whether the call is about what is kept, so that a stream which keeps nothing is an error.

    Raises
    ------
    ServiceError
        There is no such stream, or none that keeps anything.
    """
    stream = service.store.streams.find(
        name=text(arguments, "StreamName", most=256), arn=text(arguments, "StreamARN", most=1024),
        region=caller_of(request).region,
    )  # fmt: skip
    if retained and not stream.retention_hours:
        raise ServiceError(400, "NoDataRetentionException", f"The stream {stream.name} has no data retention.")
    return stream


def milliseconds(arguments: Mapping[str, Any], name: str, *, needed: bool = True) -> int | None:
    """Return a point of time, in milliseconds since 1970; on the wire it is seconds, with a fraction.

    Raises
    ------
    ServiceError
        It is no time, or left out where it is needed.
    """
    value = arguments.get(name)
    if value is None and not needed:
        return None
    if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
        raise invalid(f"{name} must be a time, in seconds since 1970.")
    if not 0 <= value <= _LAST:
        raise invalid(f"{name} is out of range.")
    return round(value * 1000)


def span_of(arguments: Mapping[str, Any], name: str, *, open_end: bool = False, longest_ms: int | None = None) -> Span:
    """Read a selector of fragments: whose clock, and a range of time.

    Parameters
    ----------
    open_end:
        Whether the end may be left out.
    longest_ms:
        How long the range may be.

    Raises
    ------
    ServiceError
        It is left out, or its range is none.
    """
    selector = part(arguments, name)
    if not selector:
        raise invalid(f"{name} must be provided.")
    by = by_of(selector)
    times = part(selector, "TimestampRange")
    start = milliseconds(times, "StartTimestamp")
    end = milliseconds(times, "EndTimestamp", needed=not open_end)
    assert start is not None  # noqa: S101
    if end is not None and longest_ms is not None and end <= start:
        raise invalid("EndTimestamp must be later than StartTimestamp.")
    if end is not None and end < start:
        raise invalid("StartTimestamp must not be later than EndTimestamp.")
    if end is not None and longest_ms is not None and end - start > longest_ms:
        raise invalid("EndTimestamp must be within 24 hours of StartTimestamp.")
    return Span(by, start, end)


def by_of(selector: Mapping[str, Any], default: str = "") -> By:
    """Return whose clock a selector means."""
    return "SERVER" if choice(selector, "FragmentSelectorType", SELECTORS, default) == SELECTORS[1] else "PRODUCER"


def fragment_number(value: Any, name: str) -> str:
    """Return the number of a fragment.

    Raises
    ------
    ServiceError
        It is none; that such a fragment is kept is not said.
    """
    if not isinstance(value, str) or not re.fullmatch(r"[0-9]{1,128}", value):
        raise invalid(f"{name} must be the number of a fragment.")
    if not _NUMBER.fullmatch(value):
        raise not_found(f"The fragment {value} is not in the stream.")
    return value


def seconds(milliseconds_: int) -> str:
    """Return a time as Matroska's tags have it: seconds with three decimals."""
    return f"{milliseconds_ // 1000}.{milliseconds_ % 1000:03d}"
