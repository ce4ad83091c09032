"""What a soak means, check by check: leaks, restarts, heat, fewer pictures, fragments that are missing. Pure."""

from __future__ import annotations

import itertools
import statistics
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from deploy.cloud.evidence import Seen, gaps
from deploy.cloud.reasons import Finding, ok, red, skipped
from deploy.soak.sampler import Sample
from deploy.soak.series import (
    CPU,
    FRAMES,
    HEAT,
    LOOP_MEMORY,
    LOOP_OPEN,
    MEMORY,
    OPEN,
    THREADS,
    Measured,
    longest_life,
    measure,
)
from deploy.soak.slope import FEWEST
from deploy.soak.watch import Watched

STAYS, AGAIN, COOL, SPEED, WHOLE, USES = (
    "the board stays", "no restart", "not too hot", "pictures keep their rate", "no gaps for long", CPU,
)  # fmt: skip
_LEAKS = {
    MEMORY: ("memory does not grow", "leak-memory"),
    OPEN: ("descriptors do not grow", "leak-descriptors"),
    THREADS: ("threads do not grow", "leak-threads"),
    LOOP_MEMORY: ("memory of its supervising loop does not grow", "leak-memory"),
    LOOP_OPEN: ("descriptors of its supervising loop do not grow", "leak-descriptors"),
}
_SLOWER = 0.8
"""Of the rate at the beginning: what is left of it at the end at least."""


def judge_soak(seen: Watched, names: Sequence[str]) -> list[Finding]:
    """Return every check of a soak, the board's first, then those of each service."""
    figures = measure(seen.samples, names, seen.seconds)
    found = [_stays(seen), *_heat(seen.samples, figures)]
    for name in names:
        found.append(_again(seen.samples, name))
        own = {one.name: one for one in figures if one.subject == name}
        found += [_grows(name, figure, own.get(figure)) for figure in _LEAKS]
        found += [_uses(name, own.get(CPU)), _speed(name, own.get(FRAMES))]
    return found


def judge_gaps(fragments: Mapping[str, Sequence[Seen] | str], live: Mapping[str, bool]) -> Iterator[Finding]:
    """Judge what arrived while a soak went on.

    Parameters
    ----------
    fragments:
        By stream, all that arrived meanwhile; in words why that is not known.
    live:
        By stream, whether the times in it are those of a clock.
    """
    for name, seen in fragments.items():
        if isinstance(seen, str):
            yield skipped(name, WHOLE, seen)
            continue
        if not live.get(name, True):
            yield skipped(name, WHOLE, "the pictures are a file's, and have its times")
            continue
        lost = gaps(seen)
        total = sum(gap.seconds for gap in lost)
        if not seen:
            yield red("stopped", name, WHOLE, "not one fragment arrived in all that time", count=0)
        elif lost:
            what = f"{total:.1f} s of pictures are missing in {len(lost)} places between {len(seen)} fragments"
            yield red("gaps", name, WHOLE, what, count=len(lost), seconds=total)
        else:
            yield ok(name, WHOLE, f"{len(seen)} fragments without a gap", count=0, fragments=len(seen))


def _stays(seen: Watched) -> Finding:
    samples = seen.samples
    for before, after in itertools.pairwise(samples):
        if before.uptime is not None and after.uptime is not None and after.uptime < before.uptime:
            what = f"after {before.at:.0f} s it had been up for {before.uptime:.0f} s, then for {after.uptime:.0f} s"
            return red("rebooted", "", STAYS, what)
    if seen.ended == "board":
        last = samples[-1].at if samples else 0.0
        return red("board-gone", "", STAYS, f"the last sample is of {last:.0f} s after the begin; {seen.gone}")
    if not samples:
        return skipped("", STAYS, "it was ended before the first sample")
    lost = f", the connection went {seen.breaks} times and came back" if seen.breaks else ""
    early = "" if seen.ended == "time" else ", ended by hand"
    said = f"{len(samples)} samples in {seen.seconds:.0f} of {seen.plan.seconds:.0f} s{early}{lost}"
    return ok("", STAYS, said, samples=len(samples), seconds=seen.seconds, breaks=seen.breaks)


def _heat(samples: Sequence[Sample], figures: Sequence[Measured]) -> Iterator[Finding]:
    heat = next((one for one in figures if one.name == HEAT), None)
    if heat is None:
        yield skipped("", COOL, "the board has no thermal zone")
        return
    zones = [(zone.heat, zone) for one in samples for zone in one.zones]
    most = max(value for _, value in heat.points)
    over = [zone for _, zone in zones if zone.limit is not None and zone.heat >= zone.limit]
    if over:
        worst = max(over, key=lambda zone: zone.heat)
        what = f"{worst.name} had {worst.heat:.1f} °C, and slows down or switches off from {worst.limit:.1f} °C on"
        yield red("hot", "", COOL, what, most=most)
        return
    limits = [zone.limit for _, zone in zones if zone.limit is not None]
    bound = f", slows down from {min(limits):.1f} °C on" if limits else ", and does not say how hot is too hot"
    yield ok("", COOL, f"{most:.1f} °C at most{bound}", most=most)


def _again(samples: Sequence[Sample], name: str) -> Finding:
    """Count the ends of a program by what watches over it, and by its process: a loop that was killed counts anew."""
    states = [one.services[name].state for one in samples if name in one.services]
    pids = [pid for pid, _ in itertools.groupby(state.pid for state in states if state.pid)]
    if not states:
        return skipped(name, AGAIN, "it is not put in on the board")
    counted = sum(max(0, after.restarts - before.restarts) for before, after in itertools.pairwise(states))
    if (count := max(counted, len(pids) - 1)) > 0:
        last = next((state.reason for state in reversed(states) if state.reason), "no reason is known")
        return red("restarts", name, AGAIN, f"its program was started again {count} times: {last}", count=count)
    if not pids:
        return red("drill-service", name, AGAIN, f"it never ran: {states[-1].reason or 'no reason is known'}")
    if not states[-1].pid:
        return red("restarts", name, AGAIN, f"it runs no more: {states[-1].reason or 'no reason is known'}", count=1)
    return ok(name, AGAIN, f"process {pids[0]} all the time", count=0)


def _grows(name: str, figure: str, seen: Measured | None) -> Finding:
    check, reason = _LEAKS[figure]
    if seen is None:
        return skipped(name, check, "the board does not say it")
    goes = seen.trend
    if goes is None:
        return skipped(name, check, f"{len(seen.settled)} values behind the warm-up, {FEWEST} are the least")
    first, last = seen.settled[0], seen.settled[-1]
    unit = f" {seen.unit}" if seen.unit else ""
    span = f"{first[1]:.0f} → {last[1]:.0f}{unit} in {last[0] - first[0]:.0f} s"
    numbers: dict[str, Any] = {"per_hour": goes.slope, "first": first[1], "last": last[1]}
    rate = f"{goes.slope:+,.0f}{unit or f' {figure.split(maxsplit=1)[0]}'}/h"
    if seen.leaks:
        return red(reason, name, check, f"{rate}, without coming down: {span}", **numbers)
    return ok(name, check, f"{rate}; {span}", **numbers)


def _uses(name: str, seen: Measured | None) -> Finding:
    if seen is None or len(seen.points) < 2:
        return skipped(name, USES, "too few values")
    values = [value for _, value in seen.points]
    middle, most = statistics.median(values), max(values)
    return ok(name, USES, f"{middle:.0f} % of one processor, {most:.0f} % at most", median=middle, most=most)


def _speed(name: str, seen: Measured | None) -> Finding:
    if seen is None:
        return skipped(name, SPEED, "its program does not say how many pictures it has")
    settled = [value for _, value in seen.settled]
    if len(settled) < FEWEST:
        return skipped(name, SPEED, f"{len(settled)} values behind the warm-up, {FEWEST} are the least")
    third = len(settled) // 3
    first, last = statistics.median(settled[:third]), statistics.median(settled[-third:])
    said = f"{first:.1f} a second at the beginning, {last:.1f} at the end"
    if not last:
        return red("stopped", name, SPEED, f"it has no picture any more: {said}", first=first, last=last)
    if last < _SLOWER * first:
        return red("slows-down", name, SPEED, said, first=first, last=last)
    return ok(name, SPEED, said, first=first, last=last)


def lives(samples: Sequence[Sample], names: Sequence[str]) -> dict[str, float]:
    """Return, for a service that was started again, how many seconds its longest life had: its slopes are of that."""
    found = {}
    for name in names:
        life = longest_life(samples, name)
        pids = {one.services[name].state.pid for one in samples if name in one.services}
        if life and len(pids) > 1:
            found[name] = life[-1][0] - life[0][0]
    return found
