"""How fast a figure rises: Theil and Sen's estimate, which a few values that are far off do not move. Pure.

Sen, Estimates of the Regression Coefficient Based on Kendall's Tau (1968): https://doi.org/10.1080/01621459.1968.10480934
"""

from __future__ import annotations

import itertools
import statistics
from collections.abc import Sequence
from dataclasses import dataclass

WARM_UP = 0.25
"""Share of a soak that is left out: caches fill, buffers grow to their size, a pool gets its threads."""
WARM_UP_MOST = 300.0
"""Seconds of it at most."""
FEWEST = 8
"""Values, behind the warm-up, of which a slope is told."""
_MOST = 240
"""Values that are compared, each with each; of more, neighbours are taken together."""
_RISING = 0.8
"""Share of all pairs that must not fall: what goes up and down is no leak."""

Series = Sequence[tuple[float, float]]
"""Seconds and values."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Trend:
    """How a figure goes.

    Attributes
    ----------
    slope:
        In an hour.
    growth:
        From the first third to the last one, by their medians: what did rise, and not what would.
    steady:
        Hardly any pair of values falls.
    """

    slope: float
    growth: float
    steady: bool


def warm_up(seconds: float) -> float:
    """Return how many seconds of a soak are left out."""
    return min(WARM_UP * seconds, WARM_UP_MOST)


def trend(series: Series) -> Trend | None:
    """Return how a figure goes; None for too few values."""
    if len(series) < FEWEST:
        return None
    points = _thinned(series)
    slopes = [
        (later - earlier) / (after - before)
        for (before, earlier), (after, later) in itertools.combinations(points, 2)
        if after > before
    ]
    if not slopes:
        return None
    third = max(1, len(points) // 3)
    first, last = (statistics.median(value for _, value in part) for part in (points[:third], points[-third:]))
    steady = sum(slope >= 0 for slope in slopes) >= _RISING * len(slopes)
    return Trend(slope=statistics.median(slopes) * 3600, growth=last - first, steady=steady)


def _thinned(series: Series) -> list[tuple[float, float]]:
    """Return at most so many points: medians of neighbours."""
    size = -(-len(series) // _MOST)
    groups = [series[at : at + size] for at in range(0, len(series), size)]
    return [
        (statistics.median(time for time, _ in group), statistics.median(value for _, value in group))
        for group in groups
    ]
