"""The size report as a picture: one bar per file, split by what the bytes are for, as plain SVG."""

from __future__ import annotations

from html import escape

from deploy.reports.sizes import FileSizes, SizeReport
from recipes import text

_COLOURS = {"code": "#2f6f8f", "data": "#79a86b", "symbols": "#d9a441", "other": "#9a9a9a"}
_ROW, _LEFT, _WIDTH, _RIGHT = 24, 300, 460, 110
_ROWS = 24
_FONT = 'font-family="DejaVu Sans, Arial, sans-serif" font-size="12"'


def draw_sizes(report: SizeReport, title: str) -> str:
    """Return the SVG; the largest files first, what is left in one last bar."""
    files = sorted(report.files, key=lambda file: -file.raw)
    shown = [(file.path, file) for file in files[:_ROWS]]
    rest = files[_ROWS:]
    if rest:
        shown.append((f"{len(rest)} smaller files", _sum(rest)))
    most = max((file.raw for _, file in shown), default=1)
    height = _ROW * len(shown) + 92
    width = _LEFT + _WIDTH + _RIGHT
    lines = [
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{width}" height="{height}" {_FONT}>',
        f'<rect width="{width}" height="{height}" fill="#ffffff"/>',
        f'<text x="16" y="26" font-size="15" font-weight="bold" fill="#222">{_fit(title)}</text>',
        f'<text x="16" y="46" fill="#555">{_fit(_summary(report))}</text>',
    ]
    for number, (name, file) in enumerate(shown):
        lines += _bar(name, file, 60 + number * _ROW, most)
    lines += _legend(60 + len(shown) * _ROW + 12)
    return "\n".join([*lines, "</svg>", ""])


def _summary(report: SizeReport) -> str:
    packed = sum(file.gzip for file in report.files)
    share = 100 * report.saved / report.naive if report.naive else 0
    travel = f"{_bytes(report.raw)} travel ({_bytes(packed)} gzipped)"
    return f"{travel}; {_bytes(report.saved)} of {_bytes(report.naive)} saved, {share:.0f} %"


def _bar(name: str, file: FileSizes, top: int, most: int) -> list[str]:
    short = name if len(name) <= 42 else f"…{name[-41:]}"
    lines = [f'<text x="{_LEFT - 8}" y="{top + 15}" text-anchor="end" fill="#222">{_fit(short)}</text>']
    left = float(_LEFT)
    whole = sum(file.parts.values()) or 1
    for kind, colour in _COLOURS.items():
        length = _WIDTH * file.raw / most * file.parts.get(kind, 0) / whole
        if length >= 0.5:
            lines.append(f'<rect x="{left:.1f}" y="{top + 4}" width="{length:.1f}" height="15" fill="{colour}"/>')
        left += length
    lines.append(f'<text x="{left + 6:.1f}" y="{top + 15}" fill="#555">{_bytes(file.raw)}</text>')
    return lines


def _legend(top: int) -> list[str]:
    lines = []
    for number, (kind, colour) in enumerate(_COLOURS.items()):
        left = _LEFT + number * 100
        lines.append(f'<rect x="{left}" y="{top}" width="12" height="12" fill="{colour}"/>')
        lines.append(f'<text x="{left + 18}" y="{top + 10}" fill="#333">{kind}</text>')
    return lines


def _sum(files: list[FileSizes]) -> FileSizes:
    parts = {kind: sum(file.parts.get(kind, 0) for file in files) for kind in _COLOURS}
    return FileSizes(
        path="",
        raw=sum(file.raw for file in files),
        gzip=sum(file.gzip for file in files),
        xz=sum(file.xz for file in files),
        parts=parts,
    )


def _bytes(size: int) -> str:
    return f"{size / 1024:,.1f} KiB" if size < 1 << 20 else f"{size / (1 << 20):,.1f} MiB"


def _fit(words: str) -> str:
    return escape(text.shown(words, lines=False))
