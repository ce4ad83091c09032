"""What viewers see of a board's channels while it is in a drill: pictures that were decoded, never a connection alone.

A channel has no fragments, so a viewer of this workstation looks: before the fault, once within it, and after it again
and again. aiortc, an extra, does the looking.
"""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Final, Self

from deploy.cloud.promise import ChannelPromise
from deploy.cloud.session import Calls, Service
from deploy.webrtc.viewer import FRAMES, SECONDS, Viewed, view
from recipes.errors import PreflightError

_PAUSE: Final = 1.0
_SETTLED: Final = 8.0
"""Seconds from the fault's begin, in which a connection may still have pictures under way."""
_LEAST: Final = 3.0


@dataclass(slots=True, kw_only=True)
class Audience:
    """A channel, and the way of its viewers."""

    promise: ChannelPromise
    calls: Calls

    @property
    def name(self) -> str:
        return self.promise.name

    def look(self, seconds: float, frames: int = FRAMES) -> Viewed:
        return asyncio.run(view(self.calls, self.promise.name, frames=frames, seconds=seconds))


def audience(promise: ChannelPromise, service: Service, *, patience: float = SECONDS) -> Audience:
    """Return a channel's audience, once a viewer had its pictures.

    Parameters
    ----------
    patience:
        Seconds for those.

    Raises
    ------
    PreflightError
        None came, or this workstation cannot look: there is nothing that could be seen to come back.
    """
    found = Audience(promise=promise, calls=Calls(service, patient=True))
    try:
        viewed = found.look(patience)
    except ImportError as error:
        found.calls.close()
        raise PreflightError(
            f"a drill cannot see channel {promise.name}", why="aiortc is missing; nothing was done to the board",
            next_step="pip install 'boardcast[webrtc]'",
        ) from error  # fmt: skip
    except BaseException:
        found.calls.close()
        raise
    if viewed.frames < FRAMES:
        found.calls.close()
        raise PreflightError(
            f"no viewer of channel {promise.name} gets pictures, so there is nothing that could come back",
            why=f"{viewed.fault or f'{viewed.frames} pictures in {patience:.0f} s'}; nothing was done to the board",
            next_step="invoke verify --host HOST --cloud says why",
        )
    return found


class Gallery:
    """Several channels, looked at together: each in a thread of its own, with an event loop of its own."""

    def __init__(self, audiences: Sequence[Audience]) -> None:
        self.audiences = tuple(audiences)
        self._over = threading.Event()
        self._within: dict[str, tuple[float, float, int]] = {}
        self._lookers: list[threading.Thread] = []

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._end_looks()
        for one in self.audiences:
            one.calls.close()

    def look_within(self, seconds: float) -> None:
        """Begin one look at each channel while a fault of so many seconds is being made; a shorter one has none."""
        left = seconds - _SETTLED
        if left < _LEAST:
            return
        self._over.clear()
        self._lookers = [
            threading.Thread(target=self._peep, args=(one, left / 2), name=f"viewer-{at}")
            for at, one in enumerate(self.audiences)
        ]
        for looker in self._lookers:
            looker.start()

    def _peep(self, one: Audience, seconds: float) -> None:
        if self._over.wait(_SETTLED):
            return
        begin = time.time()
        viewed = one.look(seconds, frames=1)
        self._within[one.name] = begin, time.time(), viewed.frames

    def _end_looks(self) -> None:
        self._over.set()
        for looker in self._lookers:
            looker.join()
        self._lookers = []

    def came_within(self, begin: float, end: float) -> dict[str, int]:
        """Return, by channel, how many pictures a viewer had who came and went while none should have come."""
        self._end_looks()
        return {name: frames for name, (came, went, frames) in self._within.items() if begin <= came and went <= end}

    def wait(self, end: float, until: float) -> dict[str, float]:
        """Wait until a viewer of each channel has its pictures.

        Parameters
        ----------
        end, until:
            When the fault ended, and when the patience does; by this workstation's clock.

        Returns
        -------
        dict
            By channel, seconds from the end until its viewer had them; without those that did not come back.
        """
        if not self.audiences:
            return {}
        with ThreadPoolExecutor(len(self.audiences)) as pool:
            found = list(pool.map(lambda one: (one.name, _back(one, until)), self.audiences))
        return {name: max(0.0, at - end) for name, at in found if at is not None}


def _back(one: Audience, until: float) -> float | None:
    """Return when a viewer who came after the fault had its pictures; None where none had by then."""
    while (left := until - time.time()) > 0:
        viewed = one.look(min(SECONDS, max(left, _LEAST)))
        if viewed.frames >= FRAMES and (now := time.time()) <= until:
            return now
        time.sleep(_PAUSE)
    return None
