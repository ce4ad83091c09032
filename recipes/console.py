"""What a person sees: progress lines on stderr, results on stdout, tables that fit the terminal. Owner of rich.

Everything that is printed goes through here, whoever's words it holds: what would move a cursor, hide, or forge a line
is shown as what it is (`recipes.text`). So no caller has to think of it, and a test looks for others that print.
"""

from __future__ import annotations

import itertools
import json
import sys
import textwrap
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

from recipes.text import shown

_ROOMY = 130
"""Terminal columns from which on a table shows all of its own."""
_SHORT = 30
"""A column whose cells are no longer than this is not broken over lines."""
_WIPE = "\r\x1b[K"
_LOCK = threading.Lock()
_START = time.monotonic()
_SAID = [_START]
_LIVE: list[Any] = []
"""The table that changes on the terminal, while there is one: lines are printed above it."""


def say(line: str) -> None:
    """Print one progress line on stderr with the seconds since the start; stdout stays for results."""
    with _LOCK:
        _SAID[0] = time.monotonic()
        told = f"[{_SAID[0] - _START:6.1f}s] {_cell(line)}"
        if _LIVE:
            _LIVE[0].console.print(told, markup=False, highlight=False, soft_wrap=True)
            return
        wipe = _WIPE if sys.stderr.isatty() else ""
        print(f"{wipe}{told}", file=sys.stderr, flush=True)


def out(*lines: str) -> None:
    """Print lines of a result on stdout; a line break within one is shown, and breaks nothing."""
    for line in lines:
        print(shown(line, most=len(line), lines=False))


def drawing(lines: Sequence[str]) -> None:
    """Print a picture of ours: lines of colours and blocks that were made here, of numbers alone."""
    for line in lines:
        print(line)


def note(line: str, *, end: str = "\n") -> None:
    """Print a line that is no result on stderr, without a clock: a warning, a question."""
    print(shown(line, most=len(line), lines=False), end=end, file=sys.stderr, flush=True)


def _cell(text: object) -> str:
    """Return a value that stands on one line of ours; a line break becomes a blank."""
    told = str(text).replace("\n", " ")
    return shown(told, most=len(told), lines=False)


def last_said() -> float:
    """Return when the last progress line was printed, by the clock of time.monotonic."""
    return _SAID[0]


def show_state(line: str, columns: int) -> None:
    """Show a line on the terminal that the next one takes the place of, no longer than the terminal is wide."""
    with _LOCK:
        told = _cell(line)
        short = told if len(told) < columns else f"{told[: columns - 2]}…"
        print(f"{_WIPE}{short}", end="", file=sys.stderr, flush=True)


def wipe_state() -> None:
    """Take away what `show_state` shows; nothing happens where no terminal is."""
    with _LOCK:
        if sys.stderr.isatty():
            print(_WIPE, end="", file=sys.stderr, flush=True)


def emit(data: object) -> None:
    """Print a result as JSON, for `--json`."""
    print(_json(data, indent=2))


def emit_line(data: object) -> None:
    """Print one of several results as JSON on a line of its own, at once."""
    print(_json(data), flush=True)


def _json(data: object, *, indent: int | None = None) -> str:
    # JSON in ASCII escapes all that acts but DEL.
    return json.dumps(data, indent=indent, sort_keys=True).replace("\x7f", "\\u007f")


def table(
    title: str,
    columns: Sequence[str],
    rows: Sequence[Sequence[str]],
    *,
    right: Sequence[str] = (),
    roomy: Sequence[str] = (),
) -> None:
    """Print a table: ruled on a terminal; elsewhere plain text, as wide as a roomy terminal, long cells over lines.

    Of the plain text no word is broken: a line is wider where a path is.

    Parameters
    ----------
    right:
        Columns of figures.
    roomy:
        Columns that a narrow terminal goes without; the plain text has them.
    """
    title, rows = _cell(title), [[_cell(cell) for cell in row] for row in rows]
    if sys.stdout.isatty():
        from rich.console import Console

        console = Console()
        console.print(_ruled(console.width, title, columns, rows, right, roomy))
        return
    _plain_table(title, columns, rows, right)


def _ruled(
    width: int,
    title: str,
    columns: Sequence[str],
    rows: Sequence[Sequence[str]],
    right: Sequence[str],
    roomy: Sequence[str],
) -> Any:
    """Return a table of rich for a terminal of this width."""
    from rich import box
    from rich.table import Table
    from rich.text import Text

    # A plain string would be read for rich's own marks.
    ruled = Table(title=Text(title), title_justify="left", box=box.SIMPLE_HEAD, pad_edge=False)
    taken = [at for at, column in enumerate(columns) if width >= _ROOMY or column not in roomy]
    for at in taken:
        short = max((len(row[at]) for row in rows), default=0) <= _SHORT
        ruled.add_column(
            columns[at], justify="right" if columns[at] in right else "left", no_wrap=short, overflow="fold"
        )
    for row in rows:
        ruled.add_row(*(Text(row[at]) for at in taken))
    return ruled


Drawn = tuple[str, Sequence[Sequence[str]]]
"""A title, and rows."""


@contextmanager
def live_table(columns: Sequence[str], draw: Callable[[int], Drawn], *, right: Sequence[str] = ()) -> Iterator[None]:
    """Show a table on the terminal of stderr that changes until the block ends; nothing of it stays.

    Parameters
    ----------
    draw:
        Gets the lines that there is room for; it is asked some times a second, from another thread.
    right:
        Columns of figures.
    """
    from rich.console import Console
    from rich.live import Live

    console = Console(stderr=True)

    def drawn() -> Any:
        title, rows = draw(max(3, console.height - 6))
        cells = [[_cell(cell) for cell in row] for row in rows]
        return _ruled(console.width, _cell(title), columns, cells, right, ())

    with Live(
        get_renderable=drawn, console=console, transient=True, redirect_stdout=False, redirect_stderr=False
    ) as live:
        _LIVE.append(live)
        try:
            yield
        finally:
            _LIVE.clear()


def _plain_table(title: str, columns: Sequence[str], rows: Sequence[Sequence[str]], right: Sequence[str]) -> None:
    print(title)
    widths = _plain_widths([[row[at] for row in (columns, *rows)] for at in range(len(columns))])
    for row in (columns, *rows):
        cells = [
            textwrap.wrap(cell, width, break_on_hyphens=False, break_long_words=False)
            for cell, width in zip(row, widths, strict=True)
        ]
        for parts in itertools.zip_longest(*cells, fillvalue=""):
            line = [
                part.rjust(width) if column in right else part.ljust(width)
                for part, width, column in zip(parts, widths, columns, strict=True)
            ]
            print("  " + "  ".join(line).rstrip())


def _plain_widths(columns: Sequence[Sequence[str]]) -> list[int]:
    """Return the widths of columns in plain text: short ones as they are, the long ones share what is left.

    None is narrower than its longest word: a path or an id is to be copied, so it is never broken.
    """
    natural = [max(map(len, cells)) for cells in columns]
    words = [max((len(word) for cell in cells for word in cell.split()), default=0) for cells in columns]
    left = _ROOMY - 2 * len(natural) - sum(width for width in natural if width <= _SHORT)
    widths = list(natural)
    # What cannot be narrow first, then the shortest of the long ones: what it leaves is for the longer ones.
    long = [at for at, width in enumerate(natural) if width > _SHORT]
    for done, at in enumerate(sorted(long, key=lambda at: (words[at] <= _SHORT, natural[at]))):
        widths[at] = min(natural[at], max(_SHORT, words[at], left // (len(long) - done)))
        left -= widths[at]
    return widths


def fields(title: str, values: Mapping[str, object]) -> None:
    """Print named values, one a line, aligned."""
    print(_cell(title))
    width = max((len(name) for name in values), default=0)
    for name, value in values.items():
        print(f"  {name.ljust(width)}  {_cell(value)}")


def first_few(names: Sequence[str], most: int = 2) -> str:
    """Return the first names of a list, and how many more there are: `a, b and 3 more`."""
    shown = ", ".join(names[:most])
    return shown if len(names) <= most else f"{shown} and {len(names) - most} more"


def size(count: int) -> str:
    """Return a byte count as people read it: `612 B`, `1.4 MiB`."""
    value, unit = float(count), "B"
    for unit in ("B", "KiB", "MiB", "GiB"):
        if value < 1024 or unit == "GiB":
            break
        value /= 1024
    return f"{count} B" if unit == "B" else f"{value:.1f} {unit}"
