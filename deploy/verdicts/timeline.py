"""The fragments of a stream as a picture: when each arrived, how long and how heavy it is, and where one is missing."""

from __future__ import annotations

import datetime as dt
from collections.abc import Sequence
from html import escape

from deploy.cloud.evidence import Seen, gaps
from deploy.verdicts.record import FragmentRecord, StreamRecord
from recipes.text import shown

_WIDTH, _LEFT, _RIGHT, _TOP, _BARS, _LANE = 900, 88, 16, 22, 70, 26
_COLOURS = {"before": "#9db4c8", "new": "#2f6f8f", "gap": "#c0392b", "line": "#d5dce3", "words": "#5b6875"}
_STEPS = (0.5, 1, 2, 5, 10, 15, 30, 60, 120, 300)
_MOST = 400
"""Fragments that are drawn."""


def draw_timeline(stream: StreamRecord) -> str:
    """Return the picture as SVG; empty where there is no fragment.

    Above: fragments by the service's clock, each as high as its bits a second. Below: how long each was on its way.
    """
    fragments = stream.fragments[-_MOST:]
    if not fragments:
        return ""
    scale = _Scale(fragments, stream)
    height = _TOP + _BARS + _LANE + 30
    label = f"{len(fragments)} fragments of {shown(stream.name, lines=False)}, the heaviest of {scale.most:.0f} kbit/s"
    head = f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {_WIDTH} {height}" role="img" '
    lines = [
        f'{head}aria-label="{escape(label)}" font-size="11">',
        *_axis(scale),
        *(_bar(scale, one) for one in fragments),
        *_missing(scale, fragments),
        *_delays(scale, fragments),
        _mark(scale, stream.began),
        "</svg>",
    ]
    return "\n".join(line for line in lines if line)


class _Scale:
    """Where a time is, and how high a bitrate."""

    def __init__(self, fragments: Sequence[FragmentRecord], stream: StreamRecord) -> None:
        self.begin = min(one.server - one.length for one in fragments)
        self.end = max(stream.ended, *(one.server for one in fragments))
        self.most = max(_kbps(one) for one in fragments) or 1.0
        self.late = max(_delay(one) for one in fragments)

    def at(self, when: float) -> float:
        span = max(self.end - self.begin, 0.1)
        return _LEFT + (_WIDTH - _LEFT - _RIGHT) * (when - self.begin) / span


def _kbps(one: FragmentRecord) -> float:
    return one.size * 8 / 1000 / one.length if one.length > 0 else 0.0


def _delay(one: FragmentRecord) -> float:
    return max(0.0, one.server - one.producer - one.length)


def _axis(scale: _Scale) -> list[str]:
    span = scale.end - scale.begin
    step = next((step for step in _STEPS if span / step <= 10), span / 10)
    bottom = _TOP + _BARS
    lines = [
        _text(_LEFT - 8, _TOP + 10, f"{scale.most:.0f} kbit/s", "end"),
        _text(_LEFT - 8, bottom, "0", "end"),
        _text(_LEFT - 8, bottom + _LANE - 2, f"delay ≤ {scale.late:.1f} s", "end"),
        f'<line x1="{_LEFT}" y1="{bottom}" x2="{_WIDTH - _RIGHT}" y2="{bottom}" stroke="{_COLOURS["line"]}"/>',
    ]
    first = int(scale.begin / step) + 1
    for when in (step * place for place in range(first, first + 11)):
        if when > scale.end:
            break
        at = scale.at(when)
        lines.append(
            f'<line x1="{at:.1f}" y1="{_TOP}" x2="{at:.1f}" y2="{bottom + _LANE}" stroke="{_COLOURS["line"]}" '
            'stroke-dasharray="2 3"/>'
        )
        lines.append(_text(at, bottom + _LANE + 20, _time(when), "middle"))
    return lines


def _time(when: float) -> str:
    moment = dt.datetime.fromtimestamp(min(max(when, 0.0), 253_402_300_799.0), dt.UTC)
    return f"{moment:%H:%M:%S}" + (f".{moment.microsecond // 100_000}" if when % 1 else "")


def _bar(scale: _Scale, one: FragmentRecord) -> str:
    left, right = scale.at(one.server - one.length), scale.at(one.server)
    high = max(2.0, _BARS * _kbps(one) / scale.most)
    words = f"{_time(one.server)}: {one.length:.2f} s, {one.size:,} bytes, {_kbps(one):.0f} kbit/s, {_delay(one):.2f} s"
    return (
        f'<rect x="{left:.1f}" y="{_TOP + _BARS - high:.1f}" width="{max(1.0, right - left - 1):.1f}" '
        f'height="{high:.1f}" fill="{_COLOURS["new" if one.new else "before"]}"><title>{escape(words)}</title></rect>'
    )


def _missing(scale: _Scale, fragments: Sequence[FragmentRecord]) -> list[str]:
    """Draw gaps where they are by the board's clock, moved to the service's by the mean delay."""
    seen = [Seen(number=one.number, server=one.server, producer=one.producer, length=one.length) for one in fragments]
    shift = sum(one.server - one.producer - one.length for one in fragments) / len(fragments)
    lines = []
    for gap in gaps(seen):
        left, right = scale.at(gap.begin + shift), scale.at(gap.begin + gap.seconds + shift)
        lines.append(
            f'<rect x="{left:.1f}" y="{_TOP}" width="{max(1.0, right - left):.1f}" height="{_BARS}" '
            f'fill="{_COLOURS["gap"]}" opacity="0.18"><title>{gap.seconds:.1f} s are missing</title></rect>'
        )
        lines.append(_text((left + right) / 2, _TOP + _BARS / 2, f"{gap.seconds:.1f} s", "middle", _COLOURS["gap"]))
    return lines


def _delays(scale: _Scale, fragments: Sequence[FragmentRecord]) -> list[str]:
    top, most = _TOP + _BARS + 4, max(scale.late, 1.0)
    points = " ".join(
        f"{scale.at(one.server):.1f},{top + (_LANE - 4) * (1 - _delay(one) / most):.1f}" for one in fragments
    )
    return [f'<polyline points="{points}" fill="none" stroke="#b9770e" stroke-width="1.5"/>']


def _mark(scale: _Scale, began: float) -> str:
    if not scale.begin <= began <= scale.end:
        return ""
    at = scale.at(began)
    return f'<line x1="{at:.1f}" y1="8" x2="{at:.1f}" y2="{_TOP + _BARS}" stroke="currentColor"/>' + _text(
        at + 4, 16, "the look began", "start", "currentColor"
    )


def _text(left: float, top: float, words: str, anchor: str, colour: str = _COLOURS["words"]) -> str:
    return f'<text x="{left:.1f}" y="{top:.1f}" text-anchor="{anchor}" fill="{colour}">{escape(words)}</text>'
