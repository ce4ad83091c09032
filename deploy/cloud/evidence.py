"""What was seen of a stream: fragments with both clocks, their media, pictures; and the numbers that follow. Pure."""

from __future__ import annotations

import itertools
import statistics
from collections.abc import Sequence
from dataclasses import dataclass

from deploy.cloud.promise import StreamPromise

RESENT = 0.05
"""Seconds between two fragments that begin at one moment: the same one, sent again after a cut."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Seen:
    """A fragment as the service lists it; times in seconds since 1970, by the service's and by the board's clock."""

    number: str
    server: float
    producer: float
    length: float
    size: int = 0

    @property
    def ahead(self) -> float:
        """Seconds that the board's clock was ahead of the service's, when the fragment was whole; waiting counts."""
        return self.producer + self.length - self.server


@dataclass(frozen=True, slots=True, kw_only=True)
class Media:
    """What is in one fragment.

    Attributes
    ----------
    codec_data:
        Fingerprint of the pictures' codec private data.
    codec, profile:
        As RFC 6381 writes it, and in words; empty where it cannot be read, `fault` says why then.
    frames, keys:
        Of the pictures.
    rate:
        Frames a second, from the first to the last; 0 where there is one frame only.
    size:
        Bytes of the pictures.
    sound:
        Frames of sound; None where there is no track for it.
    """

    number: str = ""
    codec_data: str = ""
    codec: str = ""
    profile: str = ""
    width: int = 0
    height: int = 0
    frames: int = 0
    keys: int = 0
    rate: float = 0.0
    seconds: float = 0.0
    size: int = 0
    sound: int | None = None
    sound_codec: str = ""
    writer: str = ""
    fault: str = ""

    @property
    def kbps(self) -> float:
        return self.size * 8 / 1000 / self.seconds if self.seconds > 0 else 0.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Shot:
    """One picture, as JPEG; `width` is 0 where it was not looked at, and `fault` says why."""

    at: float
    image: bytes
    width: int = 0
    height: int = 0
    mean: float = 0.0
    spread: float = 0.0
    blank: str = ""
    fault: str = ""


SAME = 2
"""Steps of brightness, of 255, by which an encoder changes a cell of pictures that are the same."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Change:
    """How much pictures of a stream differ: the most in any of 32 x 32 cells, of 255 steps of brightness."""

    most: int
    pictures: int
    seconds: float

    @property
    def none(self) -> bool:
        """Whether they show the same: an encoder changes a cell by two steps at most, and a hand by far more."""
        return self.most <= SAME


@dataclass(frozen=True, slots=True, kw_only=True)
class DrawnClock:
    """What was seen of a clock in the upper left of pictures that are a second apart or more.

    Attributes
    ----------
    least:
        The least by which two pictures differ there, of 255 steps of brightness.
    light:
        The brightest pixel there, 0 to 255.
    width:
        Pixels of the pictures.
    """

    least: int
    pictures: int
    seconds: float
    light: int
    width: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Trouble:
    """Why nothing could be learned from the service: its word for it, and what that means."""

    code: str
    words: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Metrics:
    """Sums of CloudWatch over the last minutes."""

    minutes: int
    frames: float
    bytes: float
    newest: float
    """Seconds since 1970 of the newest value; 0 where there is none."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Evidence:
    """Everything that was learned of one stream.

    Attributes
    ----------
    began, ended:
        Seconds since 1970 by the service's clock, when the look began and ended.
    skew:
        Seconds that this workstation's clock is ahead of the service's; None where the service did not say its time.
    source:
        Where fragments are from: ListFragments, or GetMedia where the stream keeps nothing.
    before, new:
        Fragments that were there when the look began, of the last two minutes; those that came since. By arrival.
    last_ever:
        Of the newest fragment of any time, where those are empty; 0 where there is none.
    elsewhere:
        Streams that get fragments now and are in no board's file.
    """

    promise: StreamPromise
    began: float
    ended: float
    skew: float | None = None
    retention_hours: int = 0
    source: str = "ListFragments"
    before: tuple[Seen, ...] = ()
    new: tuple[Seen, ...] = ()
    last_ever: float = 0.0
    media: tuple[Media, ...] = ()
    shots: tuple[Shot, ...] = ()
    shots_from: str = "GetImages"
    change: Change | None = None
    drawn: DrawnClock | None = None
    elsewhere: tuple[str, ...] = ()
    metrics: Metrics | None = None
    trouble: Trouble | None = None

    @property
    def fragments(self) -> tuple[Seen, ...]:
        return (*self.before, *self.new)

    @property
    def age(self) -> float:
        """Seconds from the end of the newest fragment to the end of the look; infinite without one."""
        newest = self.fragments[-1] if self.fragments else None
        return float("inf") if newest is None else max(0.0, self.ended - newest.server)

    @property
    def usual_length(self) -> float:
        """Seconds of a usual fragment; 2 where none is known."""
        lengths = [one.length for one in self.fragments if one.length > 0]
        return statistics.median(lengths) if lengths else 2.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Gap:
    """Time between two fragments in which there are no pictures; seconds by the board's clock."""

    begin: float
    seconds: float


def gaps(fragments: Sequence[Seen]) -> list[Gap]:
    """Return where pictures are missing between fragments; less than a second, or half a fragment, is none."""
    ordered = sorted(fragments, key=lambda one: one.producer)
    found = []
    for one, following in itertools.pairwise(ordered):
        end = one.producer + one.length
        if following.producer - end > max(1.0, 0.5 * one.length):
            found.append(Gap(begin=end, seconds=following.producer - end))
    return found


def overlaps(fragments: Sequence[Seen]) -> list[str]:
    """Return the numbers of fragments that begin before the one that arrived before them ended.

    One producer's never do: it sends a fragment again from its very beginning, or goes on behind it.
    """
    starts: list[float] = []
    found = []
    for one, following in itertools.pairwise(fragments):
        starts.append(one.producer)
        within = one.producer + one.length - following.producer
        again = any(abs(following.producer - start) <= RESENT for start in starts)
        if within > max(0.1, 0.2 * one.length) and not again:
            found.append(following.number)
    return found


def alternates(values: Sequence[str]) -> bool:
    """Say whether a value comes back after another one: one producer that is started anew changes it once."""
    runs = [value for value, _ in itertools.groupby(values)]
    return len(runs) > len(set(runs))


def ahead(fragments: Sequence[Seen]) -> float | None:
    """Return how many seconds the board's clock is ahead of the service's: the median; None without fragments."""
    return statistics.median(one.ahead for one in fragments) if fragments else None


def drift(fragments: Sequence[Seen]) -> float | None:
    """Return by how many milliseconds a minute the board's clock gains on the service's; None for less than 10 s."""
    if len(fragments) < 3 or fragments[-1].server - fragments[0].server < 10:
        return None
    times = [one.server for one in fragments]
    if len(set(times)) < 2:
        return None
    slope, _ = statistics.linear_regression(times, [one.ahead for one in fragments])
    return slope * 60_000


def rate_of(media: Sequence[Media]) -> float:
    """Return the frames a second of several fragments together; 0 where none says it."""
    known = [one for one in media if one.rate]
    seconds = sum((one.frames - 1) / one.rate for one in known)
    return sum(one.frames - 1 for one in known) / seconds if seconds else 0.0
