"""How far the work is: a step that takes long says so, on a line that changes on a terminal, else now and then.

One thread shows all steps that run, so that those of several threads share one line, and none is silent for long.
"""

from __future__ import annotations

import os
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path

from recipes import console
from recipes.console import say, size

QUIET_SECONDS = 3.0
"""A step that takes no longer says nothing of its progress."""
HEARTBEAT_SECONDS = 10.0
"""Between two lines where no terminal shows one that changes: the longest silence of work that goes on."""
_TICK = 1.0
_BAR = 20
_NARROW = 80
"""Columns of a terminal that does not tell."""


@dataclass(slots=True, kw_only=True)
class Step:
    """A piece of work that may take long, and what is known of how far it is.

    Parameters
    ----------
    moved:
        Returns the bytes that were moved since the step began; it is asked from another thread.
    total:
        Bytes that there are to move; 0 where nobody knows.
    announced:
        A line said already that it began.
    last_resort:
        Shown only while no other step runs.
    """

    what: str
    moved: Callable[[], int] | None = None
    total: int = 0
    announced: bool = False
    last_resort: bool = False
    begun: float = field(default_factory=time.monotonic)
    shown: bool = False
    _phase: str = ""
    _phase_begun: float = 0.0
    _share: float = 0.0

    def at(self, phase: str, *, moved: Callable[[], int] | None = None, total: int = 0) -> None:
        """Say which part of the work begins, and how its bytes are counted where they are."""
        self._phase, self._phase_begun, self._share = phase, time.monotonic(), 0.0
        self.moved, self.total = moved, total

    def reached(self, share: float) -> None:
        """Say which share of the phase is done: 0 to 1."""
        self._share = min(1.0, max(0.0, share))

    def seconds(self) -> float:
        return time.monotonic() - self.begun

    def line(self, *, bar: bool = False) -> str:
        """Return how far it is, in words: bytes, rate and time left as far as they are known, else the time so far.

        Parameters
        ----------
        bar:
            With a bar before them, where it is known how much there is.
        """
        in_phase = time.monotonic() - (self._phase_begun or self.begun)
        words = [self._phase] if self._phase else []
        if count := self.count():
            rate = count / max(in_phase, 0.001)
            words += [_bar(count / self.total)] if bar and self.total else []
            words.append(f"{size(count)} of {size(self.total)}" if self.total else size(count))
            words.append(f"{size(int(rate))}/s")
            words += [f"{max(self.total - count, 0) / rate:.0f} s left"] if self.total else []
        elif self._share:
            left = in_phase / self._share - in_phase
            words += [f"{self._share:.0%}", f"{left:.0f} s left"]
        else:
            words.append(f"{self.seconds():.0f} s so far")
        return f"{self.what}: {', '.join(words)}"

    def count(self) -> int:
        """Return the bytes that were moved; 0 where what counted them was closed meanwhile."""
        try:
            return self.moved() if self.moved else 0
        except (OSError, ValueError):
            return 0


def _bar(share: float) -> str:
    done = round(min(share, 1.0) * _BAR)
    return f"[{'#' * done}{'.' * (_BAR - done)}] {min(share, 1.0):.0%}"


_RUNNING: list[Step] = []
_CHANGE = threading.Lock()
_WITHIN = threading.local()


@dataclass(slots=True)
class _Watcher:
    """The thread that shows what runs, as long as anything does; all of it is used under _CHANGE."""

    over: threading.Event = field(default_factory=threading.Event)
    thread: threading.Thread | None = None
    hushed: int = 0

    def start(self) -> None:
        self.over = threading.Event()
        self.thread = threading.Thread(target=_watch, args=(self.over,), name="progress", daemon=True)
        self.thread.start()


_WATCHER = _Watcher()


def _watch(over: threading.Event) -> None:
    while not over.wait(min(_TICK, QUIET_SECONDS, HEARTBEAT_SECONDS)):
        with _CHANGE:
            if not _WATCHER.hushed:
                _show([step for step in _RUNNING if step.seconds() >= QUIET_SECONDS])


def _show(running: list[Step]) -> None:
    steps = [step for step in running if not step.last_resort]
    if steps and sys.stderr.isatty():
        console.show_state("; ".join(step.line(bar=len(steps) == 1) for step in steps), _columns())
        return
    silent = time.monotonic() - console.last_said()
    fresh = any(not (step.announced or step.shown) for step in steps)
    if not steps:
        # The line that a new step said is enough for a while.
        steps = running
        fresh = silent >= QUIET_SECONDS and not all(step.shown for step in running)
    if steps and (fresh or silent >= HEARTBEAT_SECONDS):
        for step in steps:
            step.shown = True
        say("; ".join(step.line() for step in steps))


def _columns() -> int:
    with suppress(OSError, ValueError):
        return os.get_terminal_size(sys.stderr.fileno()).columns or _NARROW
    return _NARROW


@contextmanager
def _shown(step: Step) -> Iterator[Step]:
    """Show a step while the block runs."""
    with _CHANGE:
        _RUNNING.append(step)
        if len(_RUNNING) == 1:
            _WATCHER.start()
    try:
        yield step
    finally:
        with _CHANGE:
            _RUNNING.remove(step)
            over, thread = _WATCHER.over, _WATCHER.thread if not _RUNNING else None
            if thread is not None:
                over.set()
        if thread is not None:
            thread.join()
        console.wipe_state()


@contextmanager
def progress(what: str, moved: Callable[[], int] | None = None, *, total: int = 0) -> Iterator[Step]:
    """Show how far a step is, once it takes longer than QUIET_SECONDS, and how long it took when it ended well.

    A step within another one of the same thread stays silent: the outer one tells more.

    Parameters
    ----------
    moved, total:
        See `Step`.
    """
    step = Step(what=what, moved=moved, total=total)
    if getattr(_WITHIN, "busy", False):
        outer: Step | None = getattr(_WITHIN, "phases", None)
        if outer is None:
            yield step
            return
        # What is within a phase stays silent, as what is within a step does.
        _WITHIN.phases = None
        outer.at(what, moved=moved, total=total)
        try:
            yield outer
        finally:
            _WITHIN.phases = outer
        return
    _WITHIN.busy = True
    try:
        with _shown(step):
            yield step
    finally:
        _WITHIN.busy = False
    if step.seconds() > QUIET_SECONDS:
        count = step.count()
        say(f"{what}: done in {step.seconds():.1f} s" + (f", {size(count)}" if count else ""))


@contextmanager
def phases_of(what: str) -> Iterator[Step]:
    """Take the steps that this thread begins in the block as phases of one, which the caller shows: nothing is said."""
    step = Step(what=what)
    _WITHIN.busy, _WITHIN.phases = True, step
    try:
        yield step
    finally:
        _WITHIN.busy, _WITHIN.phases = False, None


@contextmanager
def timed(line: str, moved: Callable[[], int] | None = None, *, total: int = 0) -> Iterator[Step]:
    """Announce a long step, show how far it is, and say how long it took when it ended well; see `progress`."""
    step = Step(what=line, moved=moved, total=total, announced=True)
    say(f"{line} …")
    if getattr(_WITHIN, "busy", False):
        yield step
    else:
        _WITHIN.busy = True
        try:
            with _shown(step):
                yield step
        finally:
            _WITHIN.busy = False
    say(f"{line}: done in {step.seconds():.1f} s")


@contextmanager
def at_work() -> Iterator[None]:
    """Say now and then that a command is at work, while nothing that it does says more."""
    with _shown(Step(what="at work", last_resort=True)):
        yield


@contextmanager
def quiet() -> Iterator[None]:
    """Show nothing while somebody else has the terminal: a question, or a program of the user's own."""
    with _CHANGE:
        _WATCHER.hushed += 1
    console.wipe_state()
    try:
        yield
    finally:
        with _CHANGE:
            _WATCHER.hushed -= 1


def file_size(path: Path) -> int:
    """Return the bytes of a file that grows; 0 while it is not there."""
    try:
        return path.stat().st_size
    except OSError:
        return 0
