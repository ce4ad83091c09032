"""A rollout as people and programs see it: a table that changes on a terminal, plain lines elsewhere, JSON by line."""

from __future__ import annotations

import sys
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field

from deploy.fleet.journal import HostRecord
from recipes import console
from recipes.progress import HEARTBEAT_SECONDS, Step, phases_of, quiet

_COLUMNS = ("host", "state", "s", "what")
_MOST_WORDS = 90
BAD = ("failed", "off")


@dataclass(slots=True, kw_only=True)
class Display:
    """What is shown while hosts are at work, and of each outcome."""

    title: str
    total: int
    json: bool = False
    """A line of JSON for each outcome, on stdout."""
    _table: bool = False
    """A terminal shows the table; what went well needs no line then."""
    _running: dict[str, Step] = field(default_factory=dict)
    _done: list[HostRecord] = field(default_factory=list)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def watched(self, host: str, work: Callable[[], HostRecord]) -> HostRecord:
        """Do the work of one host, and show how far it is."""
        with phases_of(host) as step:
            with self._lock:
                self._running[host] = step
            try:
                return work()
            finally:
                with self._lock:
                    del self._running[host]

    def told(self, record: HostRecord) -> None:
        """Show an outcome."""
        with self._lock:
            self._done.append(record)
        if self.json:
            console.emit_line(record.model_dump())
        if not self._table or record.state in BAD:
            console.say(self._line(record))

    def _line(self, record: HostRecord) -> str:
        told = f"{record.host}: {outcome_words(record)} ({record.seconds:.1f} s)"
        return f"{told}: {record.words}" if record.state in BAD else told

    @contextmanager
    def shown(self) -> Iterator[None]:
        """Show the table, or a line now and then, until the block ends."""
        over = threading.Event()
        with ExitStack() as stack:
            stack.enter_context(quiet())
            stack.callback(over.set)
            if sys.stderr.isatty() and not (self.json and sys.stdout.isatty()):
                self._table = True
                stack.enter_context(console.live_table(_COLUMNS, self._drawn, right=["s"]))
            else:
                threading.Thread(target=self._beat, args=(over,), name="rollout", daemon=True).start()
            yield

    def _beat(self, over: threading.Event) -> None:
        while not over.wait(1.0):
            if time.monotonic() - console.last_said() >= HEARTBEAT_SECONDS:
                console.say(self._count())

    def _count(self) -> str:
        with self._lock:
            running, done = list(self._running), list(self._done)
        bad = sum(record.state in BAD for record in done)
        at_work = f"; at work: {console.first_few(running, 6)}" if running else ""
        return f"{self.title}: {len(done)} of {self.total} done, {bad} failed{at_work}"

    def _drawn(self, lines: int) -> console.Drawn:
        with self._lock:
            running, done = dict(self._running), list(self._done)
        rows = [[host, "at work", f"{step.seconds():.0f}", phase_of(step)] for host, step in running.items()]
        bad = [record for record in reversed(done) if record.state in BAD]
        good = [record for record in reversed(done) if record.state not in BAD]
        rows += [[one.host, outcome_words(one), f"{one.seconds:.0f}", one.words[:_MOST_WORDS]] for one in (*bad, *good)]
        return self._count_in_title(done), rows[:lines]

    def _count_in_title(self, done: Sequence[HostRecord]) -> str:
        counted = ", ".join(f"{count} {state}" for state, count in Counter(one.state for one in done).items())
        return f"{self.title}: {len(done)} of {self.total}{f' ({counted})' if counted else ''}"


def phase_of(step: Step) -> str:
    """Return what a host is at, without its name."""
    return step.line().removeprefix(f"{step.what}: ").removeprefix(f"{step.what}: ")[:_MOST_WORDS]


def outcome_words(record: HostRecord) -> str:
    """Return an outcome in few words."""
    if record.state == "off":
        return "does not answer"
    sent = f", {console.size(record.sent)} sent" if record.sent else ""
    release = f" {record.release[:12]}" if record.release else ""
    return f"{record.state}{release}{sent}"


def print_results(title: str, hosts: Sequence[str], results: Mapping[str, HostRecord]) -> None:
    """Print what became of every host, those that failed first; of the others that they are still to come."""
    rows = []
    for host in sorted(hosts, key=lambda host: host not in results or results[host].state not in BAD):
        if (one := results.get(host)) is None:
            rows.append([host, "still to come", "-", "-", "-", "-"])
            continue
        sent = console.size(one.sent) if one.sent else "-"
        rows.append([host, one.state, one.release[:12] or "-", sent, f"{one.seconds:.1f}", one.words or "-"])
    console.table(title, ["host", "result", "release", "sent", "s", "why"], rows, right=["sent", "s"], roomy=["sent"])
