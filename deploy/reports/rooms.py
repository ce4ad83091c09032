"""The rooms as a picture: the layers that import-linter checks, each room with the first line of its own docstring.

`python -m deploy.reports.rooms > docs/rooms.svg` draws it again.
"""

from __future__ import annotations

import ast
import re
import tomllib
from html import escape

from recipes import paths

_WIDTH, _MARGIN, _GAP, _HEIGHT, _STEP = 1000, 20, 12, 48, 62
_FILL = {"deploy": "#dcebdd", "recipes": "#eef2f8"}
_EDGE = {"deploy": "#5d9163", "recipes": "#8da2c0"}
_WORDS = {"deploy": "#3d5f43", "recipes": "#51606f"}
_KERNEL = (
    "the kernel of recipes: no knowledge of the field but the architectures; these may import each other, in no circle"
)


def layers() -> list[list[str]]:
    """Return the rooms of each layer, the top one first, as `pyproject.toml` has them."""
    contracts = tomllib.loads((paths.CHECKOUT / "pyproject.toml").read_text())["tool"]["importlinter"]["contracts"]
    rows = next(contract["layers"] for contract in contracts if contract["id"] == "layers")
    return [re.split(r"\s*[|:]\s*", row) for row in rows]


def caption(room: str) -> str:
    """Return the first line of a room's docstring; empty for a module of the kernel."""
    path = paths.CHECKOUT / room.replace(".", "/") / "__init__.py"
    if not path.is_file():
        return ""
    text = ast.get_docstring(ast.parse(path.read_text())) or ""
    return text.partition("\n")[0].rstrip(".")


def draw() -> str:
    """Return the picture as SVG."""
    rows = layers()
    top, lines = _MARGIN, []
    for rooms in rows:
        if not caption(rooms[0]):
            lines.append(_text(_MARGIN, top + 8, _KERNEL, size=12, colour=_WORDS["recipes"], anchor="start"))
            top += 14
        lines += _layer(rooms, top)
        top += _STEP
    height = top + 32
    head = f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {_WIDTH} {height}" font-size="14" '
    head += 'font-family="DejaVu Sans, Verdana, sans-serif">'
    title = "  <title>The rooms of Boardcast: each row may import the rows below it</title>"
    paper = f'  <rect width="{_WIDTH}" height="{height}" fill="#ffffff"/>'
    return "\n".join([head, title, paper, *lines, *_legend(top), "</svg>", ""])


def _layer(rooms: list[str], top: int) -> list[str]:
    width = (_WIDTH - 2 * _MARGIN - _GAP * (len(rooms) - 1)) // len(rooms)
    lines = ['  <g class="layer">']
    for number, room in enumerate(rooms):
        package, _, name = room.partition(".")
        left, words = _MARGIN + number * (width + _GAP), caption(room)
        lines.append(
            f'    <rect x="{left}" y="{top}" width="{width}" height="{_HEIGHT}" rx="6" fill="{_FILL[package]}" '
            f'stroke="{_EDGE[package]}" stroke-width="1.4"/>'
        )
        middle = left + width // 2
        lines.append(
            f'    <text class="room {package}" x="{middle}" y="{top + (20 if words else 30)}" text-anchor="middle" '
            f'font-weight="bold" fill="#1d2733">{name}</text>'
        )
        if words:
            lines.append("  " + _text(middle, top + 38, words, size=12, colour=_WORDS[package], anchor="middle"))
    return [*lines, "  </g>"]


def _legend(top: int) -> list[str]:
    lines = []
    for package, left, words in (("deploy", 20, "deploy"), ("recipes", 120, "recipes, which never imports deploy")):
        box = f'  <rect x="{left}" y="{top}" width="16" height="16" rx="3" fill="{_FILL[package]}" '
        lines.append(f'{box}stroke="{_EDGE[package]}"/>')
        lines.append(_text(left + 24, top + 13, words, size=12, colour="#1d2733", anchor="start"))
    words = "imports run downwards only; rooms of one row do not know each other"
    return [*lines, _text(_WIDTH - _MARGIN, top + 13, words, size=12, colour=_WORDS["recipes"], anchor="end")]


def _text(left: int, top: int, words: str, *, size: int, colour: str, anchor: str) -> str:
    return (
        f'  <text x="{left}" y="{top}" font-size="{size}" text-anchor="{anchor}" fill="{colour}">{escape(words)}</text>'
    )


if __name__ == "__main__":
    print(draw(), end="")
