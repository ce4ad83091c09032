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
from dataclasses import dataclass, field

from recipes.text import shown

_ROOMY = 130
"""Terminal columns from which on a table shows all of its own."""
_SHORT = 30
"""A column whose cells are no longer than this is not broken over lines."""
QUIET_SECONDS = 3.0
"""A step that takes no longer says nothing of its progress."""
HEARTBEAT_SECONDS = 10.0
"""Between two lines of progress where no terminal shows one that changes."""
_WIPE = "\r\x1b[K"
_LOCK = threading.Lock()
_START = time.monotonic()
_STEPS = threading.local()


def say(line: str) -> None:
    """Print one progress line on stderr with the seconds since the start; stdout stays for results."""
    with _LOCK:
        wipe = _WIPE if sys.stderr.isatty() else ""
        print(f"{wipe}[{time.monotonic() - _START:6.1f}s] {_cell(line)}", file=sys.stderr, flush=True)


def out(*lines: str) -> None:
    """Print lines of a result on stdout; a line break within one is shown, and breaks nothing."""
    for line in lines:
        print(shown(line, most=len(line), lines=False))


def note(line: str, *, end: str = "\n") -> None:
    """Print a line that is no result on stderr, without a clock: a warning, a question."""
    print(shown(line, most=len(line), lines=False), end=end, file=sys.stderr, flush=True)


def _cell(text: object) -> str:
    """Return a value that stands on one line of ours; a line break becomes a blank."""
    told = str(text).replace("\n", " ")
    return shown(told, most=len(told), lines=False)


@dataclass(slots=True, kw_only=True)
class _Step:
    """A step that may take long, and what is known of how far it is."""

    what: str
    moved: Callable[[], int] | None
    total: int
    begun: float = field(default_factory=time.monotonic)
    over: threading.Event = field(default_factory=threading.Event)

    def line(self) -> str:
        seconds = time.monotonic() - self.begun
        count = self.moved() if self.moved else 0
        if not count:
            return f"{self.what}: {seconds:.0f} s so far"
        rate = count / max(seconds, 0.001)
        far = f"{size(count)} of {size(self.total)}" if self.total else size(count)
        left = max(self.total - count, 0) / rate
        return f"{self.what}: {far}, {size(int(rate))}/s" + (f", {left:.0f} s left" if self.total else "")

    def watch(self) -> None:
        """Show the step until it is over: a line that changes on a terminal, a line now and then elsewhere."""
        pause = QUIET_SECONDS
        while not self.over.wait(pause):
            if sys.stderr.isatty():
                with _LOCK:
                    print(f"{_WIPE}{self.line()}", end="", file=sys.stderr, flush=True)
                pause = 1.0
            else:
                say(self.line())
                pause = HEARTBEAT_SECONDS


@contextmanager
def progress(what: str, moved: Callable[[], int] | None = None, *, total: int = 0) -> Iterator[None]:
    """Show how far a step is, once it takes longer than QUIET_SECONDS, and how long it took when it ended well.

    A step within another one of the same thread stays silent: the outer one tells more.

    Parameters
    ----------
    moved:
        Returns the bytes that were moved since the step began; it is asked from another thread.
    total:
        Bytes that there are to move; 0 where nobody knows.
    """
    if getattr(_STEPS, "busy", False):
        yield
        return
    step = _Step(what=_cell(what), moved=moved, total=total)
    watcher = threading.Thread(target=step.watch, name="progress", daemon=True)
    _STEPS.busy = True
    watcher.start()
    try:
        yield
    finally:
        _STEPS.busy = False
        step.over.set()
        watcher.join()
        took = time.monotonic() - step.begun
        if took > QUIET_SECONDS and sys.stderr.isatty():
            with _LOCK:
                print(_WIPE, end="", file=sys.stderr, flush=True)
    if took > QUIET_SECONDS:
        count = moved() if moved else 0
        say(f"{what}: done in {took:.1f} s" + (f", {size(count)}" if count else ""))


@contextmanager
def timed(line: str) -> Iterator[None]:
    """Announce a long step, and say how long it took when it ended well."""
    begun = time.monotonic()
    say(f"{line} …")
    yield
    say(f"{line}: done in {time.monotonic() - begun:.1f} s")


def emit(data: object) -> None:
    """Print a result as JSON, for `--json`."""
    # JSON in ASCII escapes all that acts but DEL.
    print(json.dumps(data, indent=2, sort_keys=True).replace("\x7f", "\\u007f"))


def table(
    title: str,
    columns: Sequence[str],
    rows: Sequence[Sequence[str]],
    *,
    right: Sequence[str] = (),
    roomy: Sequence[str] = (),
) -> None:
    """Print a table: ruled on a terminal; elsewhere plain text, as wide as a roomy terminal, long cells over lines.

    Parameters
    ----------
    right:
        Columns of figures.
    roomy:
        Columns that a narrow terminal goes without; the plain text has them.
    """
    title, rows = _cell(title), [[_cell(cell) for cell in row] for row in rows]
    if sys.stdout.isatty():
        from rich import box
        from rich.console import Console
        from rich.table import Table
        from rich.text import Text

        console = Console()
        # A plain string would be read for rich's own marks.
        ruled = Table(title=Text(title), title_justify="left", box=box.SIMPLE_HEAD, pad_edge=False)
        taken = [at for at, column in enumerate(columns) if console.width >= _ROOMY or column not in roomy]
        for at in taken:
            short = max((len(row[at]) for row in rows), default=0) <= _SHORT
            ruled.add_column(
                columns[at], justify="right" if columns[at] in right else "left", no_wrap=short, overflow="fold"
            )
        for row in rows:
            ruled.add_row(*(Text(row[at]) for at in taken))
        console.print(ruled)
        return
    print(title)
    widths = _plain_widths([max(len(row[at]) for row in (columns, *rows)) for at in range(len(columns))])
    for row in (columns, *rows):
        cells = [textwrap.wrap(cell, width, break_on_hyphens=False) for cell, width in zip(row, widths, strict=True)]
        for parts in itertools.zip_longest(*cells, fillvalue=""):
            line = [
                part.rjust(width) if column in right else part.ljust(width)
                for part, width, column in zip(parts, widths, columns, strict=True)
            ]
            print("  " + "  ".join(line).rstrip())


def _plain_widths(natural: Sequence[int]) -> list[int]:
    """Return the widths of columns in plain text: short ones as they are, the long ones share what is left."""
    left = _ROOMY - 2 * len(natural) - sum(width for width in natural if width <= _SHORT)
    widths = list(natural)
    # The shortest of the long ones first: what it leaves is for the longer ones.
    long = sorted((width, at) for at, width in enumerate(natural) if width > _SHORT)
    for done, (width, at) in enumerate(long):
        widths[at] = min(width, max(_SHORT, left // (len(long) - done)))
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
