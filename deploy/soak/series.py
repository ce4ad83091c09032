"""What samples come to, figure by figure: memory, descriptors, threads, processor time, pictures, heat. Pure."""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from deploy.soak.sampler import TICKS, ProcessFact, Sample, ServiceSample
from deploy.soak.slope import Trend, trend, warm_up
from deploy.verdicts.record import SeriesRecord

MEMORY, OPEN, THREADS, CPU = "memory", "descriptors", "threads", "processor time"
LOOP_MEMORY, LOOP_OPEN = "memory of its supervising loop", "descriptors of its supervising loop"
FRAMES, HEAT, FREE = "pictures", "temperature", "memory left"
UNITS = {MEMORY: "KiB", LOOP_MEMORY: "KiB", FREE: "KiB", CPU: "%", HEAT: "°C", FRAMES: "/s"}
_LEAST: dict[str, tuple[float, float]] = {
    MEMORY: (256, 0.01), LOOP_MEMORY: (128, 0.05), OPEN: (3, 0.0), LOOP_OPEN: (3, 0.0), THREADS: (3, 0.0),
}  # fmt: skip
"""Of what may leak: the least growth that counts, and as a share of what there is. A page or two come and go."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Measured:
    """One figure over time; seconds since the soak began.

    Attributes
    ----------
    points:
        Seconds and values.
    warm_up:
        Until when its slope is not told.
    """

    subject: str
    name: str
    points: tuple[tuple[float, float], ...]
    warm_up: float

    @property
    def unit(self) -> str:
        return UNITS.get(self.name, "")

    @property
    def settled(self) -> tuple[tuple[float, float], ...]:
        """The values behind the warm-up."""
        return tuple(point for point in self.points if point[0] >= self.warm_up)

    @property
    def trend(self) -> Trend | None:
        return trend(self.settled)

    @property
    def leaks(self) -> bool:
        """Whether it grows as what leaks does: by more than comes and goes, and hardly ever down again."""
        goes = self.trend
        if goes is None or self.name not in _LEAST:
            return False
        least, share = _LEAST[self.name]
        usual = self.settled[0][1]
        return goes.steady and goes.slope > 0 and goes.growth >= max(least, share * usual)

    def record(self) -> SeriesRecord:
        goes = self.trend
        return SeriesRecord(
            subject=self.subject,
            name=self.name,
            unit=self.unit,
            times=tuple(round(time, 2) for time, _ in self.points),
            values=tuple(round(value, 2) for _, value in self.points),
            warm_up=round(self.warm_up, 1),
            slope=None if goes is None else round(goes.slope, 2),
            red=self.leaks,
        )


def measure(samples: Sequence[Sample], names: Sequence[str], seconds: float) -> list[Measured]:
    """Return every figure of a board and its services that has a value."""
    found = [
        *(one for name in names for one in _of_service(samples, name, seconds)),
        _board(FREE, [(one.at, one.memory_free) for one in samples], seconds),
        _board(HEAT, [(one.at, max((zone.heat for zone in one.zones), default=None)) for one in samples], seconds),
    ]
    return [one for one in found if one.points]


def _board(name: str, values: Sequence[tuple[float, float | None]], seconds: float) -> Measured:
    points = tuple((at, float(value)) for at, value in values if value is not None)
    return Measured(subject="", name=name, points=points, warm_up=warm_up(seconds))


def longest_life(samples: Sequence[Sample], name: str) -> list[tuple[float, ServiceSample]]:
    """Return the samples of the program that lived longest: those of two processes are not compared."""
    seen = [(one.at, one.services[name]) for one in samples if name in one.services]
    alive = [(at, one) for at, one in seen if one.processes]
    lives = list[list[tuple[float, ServiceSample]]]()
    for at, one in alive:
        if not lives or not _same(lives[-1][-1][1].processes[0], one.processes[0]):
            lives.append([])
        lives[-1].append((at, one))
    return max(lives, key=lambda life: life[-1][0] - life[0][0], default=[])


def _same(one: ProcessFact, other: ProcessFact) -> bool:
    """Tell whether two facts are of one process; an emulator of user programs may say its birth some ticks off."""
    return one.pid == other.pid and abs(one.born - other.born) <= _BIRTH


_BIRTH = 10


def _of_service(samples: Sequence[Sample], name: str, seconds: float) -> Iterator[Measured]:
    life = longest_life(samples, name)
    if not life:
        return
    begun = life[0][0]
    # A program that was started later warms up later.
    cut = begun + warm_up(min(seconds, samples[-1].at) - begun)

    def made(figure: str, points: Sequence[tuple[float, float | None]]) -> Measured:
        known = tuple((at, float(value)) for at, value in points if value is not None)
        return Measured(subject=name, name=figure, points=known, warm_up=cut)

    yield made(MEMORY, [(at, _sum([process.rss for process in one.processes])) for at, one in life])
    yield made(OPEN, [(at, _sum([process.descriptors for process in one.processes])) for at, one in life])
    yield made(THREADS, [(at, _sum([process.threads for process in one.processes])) for at, one in life])
    yield made(CPU, list(_shares(life)))
    yield made(FRAMES, list(_rates(life)))
    loops = [(at, one.loop) for at, one in life if one.loop is not None]
    yield made(LOOP_MEMORY, [(at, loop.rss) for at, loop in loops])
    yield made(LOOP_OPEN, [(at, loop.descriptors) for at, loop in loops])


def _sum(values: Sequence[int | None]) -> int | None:
    """Return the sum; None where one of them is not known: what is missing would look like a fall."""
    known = [value for value in values if value is not None]
    return sum(known) if known and len(known) == len(values) else None


def _shares(life: Sequence[tuple[float, ServiceSample]]) -> Iterator[tuple[float, float]]:
    """Yield percent of one processor between two samples; of processes that are in both."""
    for (before, old), (at, new) in itertools.pairwise(life):
        was = {process.pid: process for process in old.processes}
        both = [(was[now.pid], now) for now in new.processes if now.pid in was and _same(was[now.pid], now)]
        spent = sum(max(0, now.ticks - then.ticks) for then, now in both)
        if at > before:
            yield at, 100 * spent / TICKS / (at - before)


def frames_of(one: ServiceSample) -> int | None:
    """Return the pictures that a program says it has had; None for one that says nothing."""
    value = one.report.get("frames")
    return value if isinstance(value, int) and not isinstance(value, bool) and 0 <= value < 1 << 53 else None


def _rates(life: Sequence[tuple[float, ServiceSample]]) -> Iterator[tuple[float, float]]:
    """Yield pictures a second by what the program says of itself: it writes that now and then, by its own clock."""
    told = [(at, count, written) for at, one in life if (count := frames_of(one)) is not None
            for written in [one.report.get("updated")] if isinstance(written, int)]  # fmt: skip
    anew = [rows[0] for rows in (list(group) for _, group in itertools.groupby(told, key=lambda row: row[2]))]
    for (_, had, before), (at, has, after) in itertools.pairwise(anew):
        if after > before and has >= had:
            yield at, (has - had) / (after - before)
