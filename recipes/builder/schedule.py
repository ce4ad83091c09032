"""Run named pieces of work side by side, each after those it waits for; the first failure or Ctrl-C ends them all."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from collections.abc import Set as AbstractSet
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from graphlib import TopologicalSorter


def _heights(waits: Mapping[str, AbstractSet[str]]) -> dict[str, int]:
    """Return how many pieces run one after another from each on: the longest chain starts first.

    Else it would begin last where much can run beside it, and end alone, on one processor.
    """
    heights = dict.fromkeys(waits, 1)
    for name in reversed([*TopologicalSorter(waits).static_order()]):
        for need in waits[name]:
            heights[need] = max(heights[need], heights[name] + 1)
    return heights


def run_in_order(
    waits: Mapping[str, AbstractSet[str]], work: Callable[[str], None], *, workers: int, stop: Callable[[], None]
) -> None:
    """Do all the work.

    Parameters
    ----------
    waits:
        Name to the names that must be done before it, each of them a key too.
    workers:
        Pieces that may run at the same time.
    stop:
        Called once when something failed, or the user interrupts: ends what is still running, from outside.

    Raises
    ------
    graphlib.CycleError
        Pieces wait for each other: the caller's mistake. Nothing was started.
    Exception
        What the first piece that failed raised; the others have ended by then.
    """
    heights = _heights(waits)
    # Longest chain first; pieces of equal height start in the order in which they were given.
    turn = {name: at for at, name in enumerate(sorted(waits, key=lambda name: -heights[name]))}
    order = TopologicalSorter(waits)
    order.prepare()
    ready: list[str] = []
    running: dict[Future[None], str] = {}
    with ThreadPoolExecutor(max_workers=workers) as pool:
        try:
            while order.is_active():
                ready = sorted([*ready, *order.get_ready()], key=turn.__getitem__)
                # No more is handed over than can start: what waits in the pool's queue could not be taken back.
                while ready and len(running) < workers:
                    name = ready.pop(0)
                    running[pool.submit(work, name)] = name
                done, _ = wait(running, return_when=FIRST_COMPLETED)
                for future in done:
                    name = running.pop(future)
                    future.result()
                    order.done(name)
        except BaseException:
            stop()
            raise
