"""Run named pieces of work side by side, each after those it waits for; the first failure or Ctrl-C ends them all."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from collections.abc import Set as AbstractSet
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait


def _heights(waits: Mapping[str, AbstractSet[str]]) -> dict[str, int]:
    """Return how many pieces run one after another from each on: the longest chain starts first.

    Else it would begin last where much can run beside it, and end alone, on one processor.
    """
    heights = dict.fromkeys(waits, 1)
    for _ in waits:
        for name, needs in waits.items():
            for need in needs & heights.keys():
                heights[need] = max(heights[need], heights[name] + 1)
    return heights


def run_in_order(
    waits: Mapping[str, AbstractSet[str]], work: Callable[[str], None], *, workers: int, stop: Callable[[], None]
) -> None:
    """Do all the work.

    Parameters
    ----------
    waits:
        Name to the names that must be done before it; a circle among them is the caller's mistake.
    workers:
        Pieces that may run at the same time.
    stop:
        Called once when something failed, or the user interrupts: ends what is still running, from outside.

    Raises
    ------
    Exception
        What the first piece that failed raised; the others have ended by then.
    """
    heights = _heights(waits)
    left = {name: set(waits[name]) for name in sorted(waits, key=lambda name: -heights[name])}
    running: dict[Future[None], str] = {}
    with ThreadPoolExecutor(max_workers=workers) as pool:
        try:
            while left or running:
                # No more is handed over than can start: what waits in the pool's queue could not be taken back.
                ready = [name for name, needs in left.items() if not needs][: workers - len(running)]
                for name in ready:
                    del left[name]
                    running[pool.submit(work, name)] = name
                done, _ = wait(running, return_when=FIRST_COMPLETED)
                for future in done:
                    name = running.pop(future)
                    future.result()
                    for needs in left.values():
                        needs.discard(name)
        except BaseException:
            stop()
            raise
