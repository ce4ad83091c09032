"""Soak and drills on the page: a picture of each figure over time, and what came back after each fault."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from html import escape

from deploy.verdicts.record import DrillRecord, SeriesRecord, SoakRecord
from recipes.text import shown

_WIDTH, _HEIGHT, _LEFT, _RIGHT, _TOP, _BOTTOM = 440, 130, 70, 24, 24, 22
_LINE, _RED, _SOFT, _GRID = "#2f6f8f", "#c0392b", "#5b6875", "#d5dce3"
_POINTS = 600
"""Of one line: more cannot be seen."""
_STEPS = (1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 900, 1800, 3600, 7200, 14_400, 28_800, 43_200, 86_400)
FLAT = 0.02
"""Share of a value that its scale shows at least: noise is not to look like mountains."""


def soak_figures(soak: SoakRecord) -> str:
    """Return every figure of a soak as a picture, by what it is about; a leak is red, with the line of its slope."""
    parts = []
    for subject, group in itertools.groupby(soak.series, key=lambda one: one.subject):
        drawn = "".join(
            f"<figure class='chart'>{draw_series(one, soak.seconds)}</figure>" for one in group if len(one.values) > 1
        )
        title = _fit(subject) if subject else "the board"
        parts += [f'<h3>{title}</h3><div class="look">{drawn}</div>'] if drawn else []
    return "\n".join(parts)


def soak_facts(soak: SoakRecord) -> dict[str, str]:
    """Return what is to be said of a soak as a whole."""
    ended = {"time": "", "hand": ", ended by hand", "board": ", ended by the board, which did not answer any more"}
    lost = f"{soak.breaks} times, and came back" if soak.breaks and soak.ended != "board" else ""
    return {
        "watched": f"{soak.seconds:.0f} of {soak.asked:.0f} s{ended[soak.ended]}",
        "samples": f"{soak.samples}, one in {soak.interval:g} s",
        "connection lost": lost,
    }


def drill_facts(drill: DrillRecord) -> dict[str, str]:
    """Return what is to be said of a drill."""
    back = "; ".join(f"{name} after {seconds:.1f} s" for name, seconds in drill.back.items())
    return {
        "done": drill.done,
        "lasted": f"{drill.seconds:.0f} s" if drill.seconds else "a moment",
        "to be back within": f"{drill.within:.0f} s",
        "came back": back or "nothing",
    }


def draw_series(series: SeriesRecord, seconds: float) -> str:
    """Return one figure as SVG."""
    points = list(zip(series.times, series.values, strict=True))
    points = points[:: -(-len(points) // _POINTS)]
    scale = _Scale(points, max(seconds, points[-1][0], 1.0), counted=not series.unit)
    colour = _RED if series.red else _LINE
    unit = f" {series.unit}" if series.unit else ""
    rate = "" if series.slope is None else f", {series.slope:+,.0f}{unit}/h"
    label = f"{series.name}: {_number(points[0][1])} → {_number(points[-1][1])}{unit}{rate}"
    line = " ".join(f"{scale.across(at):.1f},{scale.up(value):.1f}" for at, value in points)
    head = f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {_WIDTH} {_HEIGHT}" role="img" font-size="11" '
    return "\n".join(
        [
            f'{head}aria-label="{_fit(label)}">',
            _text(_LEFT, 13, label, "start", colour if series.red else _SOFT),
            *_grid(scale, series),
            f'<polyline points="{line}" fill="none" stroke="{colour}" stroke-width="1.6"/>',
            _slope(scale, series, points),
            "</svg>",
        ]
    )


class _Scale:
    """Where a time is, and how high a value."""

    def __init__(self, points: Sequence[tuple[float, float]], end: float, *, counted: bool) -> None:
        self.end = end
        values = [value for _, value in points]
        low, high = min(values), max(values)
        room = max(high - low, FLAT * abs(high), 4.0 if counted else 0.1)
        self.low = max(0.0, low - room / 4) if low >= 0 else low - room / 4
        self.high = high + room / 4

    def across(self, at: float) -> float:
        return _LEFT + (_WIDTH - _LEFT - _RIGHT) * at / self.end

    def up(self, value: float) -> float:
        span = self.high - self.low
        inside = min(max(value, self.low), self.high)
        return _TOP + (_HEIGHT - _TOP - _BOTTOM) * (1 - (inside - self.low) / span)


def _grid(scale: _Scale, series: SeriesRecord) -> list[str]:
    bottom = _HEIGHT - _BOTTOM
    lines = []
    if series.warm_up:
        wide = min(scale.across(series.warm_up), _WIDTH - _RIGHT) - _LEFT
        lines.append(
            f'<rect x="{_LEFT}" y="{_TOP}" width="{wide:.1f}" height="{bottom - _TOP}" fill="{_GRID}" opacity="0.4">'
            "<title>warm-up: not part of the slope</title></rect>"
        )
    for value in (scale.low, scale.high):
        at = scale.up(value)
        lines.append(f'<line x1="{_LEFT}" y1="{at:.1f}" x2="{_WIDTH - _RIGHT}" y2="{at:.1f}" stroke="{_GRID}"/>')
        lines.append(_text(_LEFT - 5, at + 4, _number(value), "end"))
    step = next((step for step in _STEPS if scale.end / step <= 6), scale.end / 6)
    marks = [place * step for place in range(int(scale.end / step) + 1)]
    return [*lines, *(_text(scale.across(at), _HEIGHT - 6, _time(at), "middle") for at in marks)]


def _slope(scale: _Scale, series: SeriesRecord, points: Sequence[tuple[float, float]]) -> str:
    """Draw the estimate through the middle of what is behind the warm-up."""
    settled = [point for point in points if point[0] >= series.warm_up]
    if series.slope is None or not series.red or len(settled) < 2:
        return ""
    rise = series.slope / 3600
    offsets = sorted(value - rise * at for at, value in settled)
    base = offsets[len(offsets) // 2]
    ends = [
        f'x{place}="{scale.across(at):.1f}" y{place}="{scale.up(base + rise * at):.1f}"'
        for place, at in ((1, settled[0][0]), (2, settled[-1][0]))
    ]
    return f'<line {" ".join(ends)} stroke="{_RED}" stroke-width="1" stroke-dasharray="5 4"/>'


def _number(value: float) -> str:
    return f"{value:,.0f}" if abs(value) >= 100 or value == int(value) else f"{value:.3g}"


def _time(seconds: float) -> str:
    for size, word in ((3600, "h"), (60, "min")):
        if seconds >= size:
            return f"{seconds / size:g} {word}"
    return f"{seconds:g} s"


def _text(left: float, top: float, words: str, anchor: str, colour: str = _SOFT) -> str:
    return f'<text x="{left:.1f}" y="{top:.1f}" text-anchor="{anchor}" fill="{colour}">{_fit(words)}</text>'


def _fit(words: str) -> str:
    return escape(shown(words, lines=False))
