"""Work on many boards side by side, a bounded number at once: results as they come, or in the order of the boards."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from queue import Empty, SimpleQueue
from typing import Generic, TypeVar

_Item = TypeVar("_Item")
_Result = TypeVar("_Result")
_TICK = 1.0


class Crew(Generic[_Item, _Result]):
    """Threads that take one piece of work after the other; iterating gives what each made of it, as it comes.

    The threads are daemons: who leaves does not wait for a board that does not answer. Who was interrupted may go on
    iterating.
    """

    def __init__(self, work: Callable[[_Item], _Result], items: Sequence[_Item], parallel: int) -> None:
        self._work = work
        self._waiting = deque(enumerate(items))
        self._done: SimpleQueue[tuple[int, _Result | None, BaseException | None]] = SimpleQueue()
        self._lock = threading.Lock()
        self._at_work: dict[int, _Item] = {}
        for number in range(min(parallel, len(items))):
            threading.Thread(target=self._labour, name=f"board {number}", daemon=True).start()

    def __iter__(self) -> Iterator[tuple[int, _Result]]:
        """Give the place of each item and its result; the first error of any is raised."""
        while self._left():
            try:
                place, result, error = self._done.get(timeout=_TICK)
            except Empty:
                continue
            if error is not None:
                raise error
            yield place, result  # type: ignore[misc] # there is one where there is no error

    def stop(self) -> int:
        """Begin nothing more; what is at work ends by itself. Returns how many those are."""
        with self._lock:
            self._waiting.clear()
            return len(self._at_work)

    def at_work(self) -> list[_Item]:
        """Return what is being worked on now."""
        with self._lock:
            return list(self._at_work.values())

    def _left(self) -> bool:
        with self._lock:
            return bool(self._waiting or self._at_work or not self._done.empty())

    def _labour(self) -> None:
        while True:
            with self._lock:
                if not self._waiting:
                    return
                place, item = self._waiting.popleft()
                self._at_work[place] = item
            result, failed = None, None
            try:
                result = self._work(item)
            except BaseException as error:  # noqa: BLE001 - it is raised where it is waited for
                failed = error
            with self._lock:
                self._done.put((place, result, failed))
                del self._at_work[place]


def side_by_side(work: Callable[[_Item], _Result], items: Sequence[_Item], parallel: int) -> list[_Result]:
    """Return what the work makes of each item, in their order; the first error of any ends it, and is raised."""
    if min(parallel, len(items)) <= 1:
        return [work(item) for item in items]
    crew = Crew(work, items, parallel)
    try:
        found = dict(crew)
    finally:
        crew.stop()
    return [found[place] for place in range(len(items))]
