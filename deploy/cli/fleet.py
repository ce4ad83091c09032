"""Many boards verified side by side: each result as it is, in the order of their names."""

from __future__ import annotations

import queue
import threading
from collections.abc import Callable, Sequence
from typing import TypeVar

from deploy.release.deployment import HostVerdict, verdict_on
from deploy.verdicts.flow import CloudWay, Further, finish
from deploy.verdicts.publish import Published
from deploy.verify.warm import ready

PARALLEL = 8
"""Boards at once: most of the time one waits for its board, and imports are made once for all."""
_Item = TypeVar("_Item")
_Result = TypeVar("_Result")
Finished = tuple[HostVerdict, Published | None]


def verify_hosts(
    names: Sequence[str],
    way: CloudWay | None,
    *,
    further: Further | None = None,
    fast: bool = False,
    parallel: int = PARALLEL,
) -> list[Finished]:
    """Check what runs on hosts, and where it is asked for what the service has of it; then write the papers.

    The service is asked of hosts that answered and have a release of ours, and of no others.

    Parameters
    ----------
    way:
        How the service is asked; None: it is not.
    further:
        Makes soak and drills.
    fast:
        Do not wait for pictures.
    parallel:
        Hosts at once.

    Raises
    ------
    ConfigError
        The AWS profile cannot be used.
    """
    service = way.service if way else None

    def work(name: str) -> Finished:
        return finish(verdict_on(name, fast=fast, service=service), way, further)

    with ready():
        return side_by_side(work, names, parallel)


def side_by_side(work: Callable[[_Item], _Result], items: Sequence[_Item], parallel: int) -> list[_Result]:
    """Return what the work makes of each item, in their order; the first error of any ends it, and is raised.

    The threads are daemons: who interrupts this does not wait for a board that does not answer.
    """
    if min(parallel, len(items)) <= 1:
        return [work(item) for item in items]
    waiting: queue.SimpleQueue[int] = queue.SimpleQueue()
    done: queue.SimpleQueue[tuple[int, _Result | None, BaseException | None]] = queue.SimpleQueue()
    for place in range(len(items)):
        waiting.put(place)
    over = threading.Event()

    def worker() -> None:
        while not over.is_set():
            try:
                place = waiting.get_nowait()
            except queue.Empty:
                return
            try:
                done.put((place, work(items[place]), None))
            except BaseException as error:  # noqa: BLE001 - it is raised where it is waited for
                done.put((place, None, error))

    for number in range(min(parallel, len(items))):
        threading.Thread(target=worker, name=f"board {number}", daemon=True).start()
    found: dict[int, _Result] = {}
    try:
        while len(found) < len(items):
            place, result, error = done.get()
            if error is not None:
                raise error
            found[place] = result  # type: ignore[assignment] # there is one where there is no error
    finally:
        over.set()
    return [found[place] for place in range(len(items))]
