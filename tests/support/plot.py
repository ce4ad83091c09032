"""A cost by a size as plain SVG: a line each for what is compared."""

from __future__ import annotations

from collections.abc import Sequence

_COLOURS = ("#2f6f8f", "#d9a441")
_WIDTH, _HEIGHT, _LEFT, _TOP = 460, 260, 60, 50


def plot(title: str, names: Sequence[str], rows: Sequence[tuple[int, *tuple[float, ...]]]) -> str:
    """Return a plot.

    Parameters
    ----------
    names:
        Of two lines at most.
    rows:
        A size, and what each line has there.
    """
    widest, highest = max(row[0] for row in rows), max(max(row[1:]) for row in rows)

    def at(size: float, value: float) -> tuple[float, float]:
        return _LEFT + _WIDTH * size / widest, _TOP + _HEIGHT * (1 - value / highest)

    font = 'font-family="DejaVu Sans, Arial, sans-serif" font-size="12"'
    lines = [
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{_WIDTH + _LEFT + 90}" height="{_HEIGHT + _TOP + 50}" {font}>',
        '<rect width="100%" height="100%" fill="#ffffff"/>',
        f'<text x="{_LEFT}" y="26" font-size="15" font-weight="bold">{title}</text>',
        f'<path d="M{_LEFT},{_TOP} V{_TOP + _HEIGHT} H{_LEFT + _WIDTH}" fill="none" stroke="#555"/>',
    ]
    for number, (name, colour) in enumerate(zip(names, _COLOURS, strict=False)):
        points = [at(row[0], row[1 + number]) for row in rows]
        line = " ".join(f"{x:.1f},{y:.1f}" for x, y in points)
        lines.append(f'<polyline points="{line}" fill="none" stroke="{colour}" stroke-width="2"/>')
        for (x, y), row in zip(points, rows, strict=True):
            lines.append(f'<circle cx="{x:.1f}" cy="{y:.1f}" r="3" fill="{colour}"/>')
            above = y - 8 if number == 0 else y + 18
            lines.append(f'<text x="{x:.1f}" y="{above:.1f}" text-anchor="middle">{row[1 + number]:.3g}</text>')
        lines.append(f'<text x="{points[-1][0] + 22:.1f}" y="{points[-1][1] + 4:.1f}" fill="{colour}">{name}</text>')
    for size, *_ in rows:
        lines.append(f'<text x="{at(size, 0)[0]:.1f}" y="{_TOP + _HEIGHT + 20}" text-anchor="middle">{size:,}</text>')
    return "\n".join([*lines, "</svg>", ""])
