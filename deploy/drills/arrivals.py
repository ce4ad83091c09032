"""What arrives while a board is in a drill: by the service, never by a process that lives."""

from __future__ import annotations

import asyncio
import statistics
import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Self

from deploy.cloud.evidence import Seen
from deploy.cloud.listing import StreamAt, describe, list_fragments
from deploy.cloud.promise import StreamPromise
from deploy.cloud.session import Calls, Service, ServiceRefusalError
from recipes.errors import PreflightError

BASELINE = 30.0
"""Seconds in which a stream has to show that it streams at all, before anything is done to it."""
_BEFORE = 20.0
_POLL = 0.5
_TRIES = 5
_NEAR, _FAR = 0.2, 2.0
"""Seconds that the clocks of this workstation and the service may differ unseen: one machine's, and AWS's."""


@dataclass(slots=True, kw_only=True)
class Arrivals:
    """One stream, and what is known of it before the fault.

    Attributes
    ----------
    shift:
        Seconds to add to a time of the board, for one of the service: the least that a fragment was late by.
    """

    promise: StreamPromise
    calls: Calls
    at: StreamAt
    before: tuple[Seen, ...]

    @property
    def name(self) -> str:
        return self.promise.name

    @property
    def shift(self) -> float:
        return min(one.server - one.producer - one.length for one in self.before)

    @property
    def usual_length(self) -> float:
        return statistics.median(one.length for one in self.before)

    def now(self) -> float:
        """Return the service's time, as far as this workstation can tell."""
        return time.time() - (self.at.skew or 0.0)

    def since(self, begin: float) -> tuple[Seen, ...]:
        """Return what arrived from a time on; raises ServiceRefusalError where the service does not say it."""
        return asyncio.run(list_fragments(self.calls, self.at.arn, begin, self.now() + 5))

    def taken_after(self, one: Seen, end: float) -> bool:
        """Tell whether a fragment was filmed after a fault: what was buffered and comes late is no sign of life."""
        slack = _NEAR if self.calls.service.is_local else _FAR
        if not self.promise.live:
            return one.server - one.length >= end
        return one.server >= end and one.producer + self.shift >= end - slack


def baseline(promise: StreamPromise, service: Service, *, patience: float = BASELINE) -> Arrivals:
    """Wait until a stream has two fragments of now.

    Raises
    ------
    PreflightError
        The service does not say, or nothing arrives: there is nothing that could come back.
    """
    calls = Calls(service)
    try:
        return _streaming(promise, calls, patience)
    except ServiceRefusalError as refusal:
        calls.close()
        raise PreflightError(
            f"a drill cannot see what {promise.name} gets", why=f"{refusal.words}; nothing was done to the board"
        ) from refusal
    except BaseException:
        calls.close()
        raise


def _streaming(promise: StreamPromise, calls: Calls, patience: float) -> Arrivals:
    at = asyncio.run(describe(calls, promise.name, time.time))
    if not at.hours:
        raise PreflightError(
            f"a drill cannot see what {promise.name} gets: it keeps nothing",
            why="its retention is 0 h, so fragments cannot be listed",
            next_step=f"aws kinesisvideo update-data-retention for {promise.name}, or another stream",
        )
    found = Arrivals(promise=promise, calls=calls, at=at, before=())
    until = time.monotonic() + patience
    asked = found.now()
    while True:
        found.before = found.since(asked - _BEFORE)
        # One that arrived while it was asked: a stream that was just stopped has recent ones too.
        if len(found.before) > 1 and found.before[-1].server > asked:
            return found
        if time.monotonic() >= until:
            raise PreflightError(
                f"{promise.name} does not stream, so there is nothing that could come back",
                why=f"{len(found.before)} fragments in {patience:.0f} s; nothing was done to the board",
                next_step="invoke verify --host HOST --cloud says why",
            )
        time.sleep(_POLL)


class Watch:
    """Several streams, waited for together."""

    def __init__(self, streams: Sequence[Arrivals]) -> None:
        self.streams = tuple(streams)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        for one in self.streams:
            one.calls.close()

    def wait(self, end: float, sure: float, until: float) -> dict[str, float]:
        """Wait for a fragment of each stream that was filmed after a moment.

        Parameters
        ----------
        end, sure, until:
            When the fault ended, when that was certain, and when the patience ends; by this workstation's clock.

        Returns
        -------
        dict
            By stream, seconds from the end to its arrival; without those that did not come back.
        """
        back: dict[str, float] = {}
        failures = 0
        while len(back) < len(self.streams):
            for one in self.streams:
                if one.name in back:
                    continue
                skew = one.at.skew or 0.0
                try:
                    new = [seen for seen in one.since(sure - skew) if one.taken_after(seen, sure - skew)]
                except ServiceRefusalError:
                    failures += 1
                    if failures >= _TRIES:
                        raise
                    continue
                if new:
                    back[one.name] = max(0.0, new[0].server + skew - end)
            if len(back) == len(self.streams) or time.time() >= until:
                break
            time.sleep(_POLL)
        return {name: seconds for name, seconds in back.items() if seconds <= until - end}

    def came_within(self, begin: float, end: float) -> dict[str, int]:
        """Return, by stream, how many fragments arrived in a time in which none should have."""
        found = {}
        for one in self.streams:
            skew = one.at.skew or 0.0
            # What was under way still comes: up to two fragments, and the uplink's own delay.
            margin = 2 * one.usual_length + 3.0
            first, last = begin - skew + margin, end - skew
            if last - first >= max(one.usual_length, 1.0):
                found[one.name] = sum(first < seen.server < last for seen in one.since(first))
        return found
