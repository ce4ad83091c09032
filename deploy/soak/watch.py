"""A board sampled at an interval, until the time is over, a person ends it, or the board does not come back."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from typing import Literal

from deploy.boards.session import BoardSession
from deploy.bundle.manifest import ServiceRow
from deploy.soak.sampler import Sample, take_sample
from recipes.errors import PreflightError
from recipes.progress import progress

PATIENCE = 60.0
"""Seconds that a board may be out of reach: a wireless link comes back within them, and a restart most often too."""
_AGAIN = 2.0
_SHORTEST, _LONGEST, _SAMPLES = 1.0, 60.0, 240

Connect = Callable[[], AbstractContextManager[BoardSession]]
"""Opens a session to the board."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """How long a board is watched, and how often it is asked.

    Attributes
    ----------
    interval:
        Seconds from one sample to the next; 0: so that there are about 240, one a minute at least.
    patience:
        Seconds that the board may be out of reach.
    """

    seconds: float
    interval: float = 0.0
    patience: float = PATIENCE
    clock: Callable[[], float] = time.monotonic
    pause: Callable[[float], None] = time.sleep

    @property
    def every(self) -> float:
        return self.interval or min(_LONGEST, max(_SHORTEST, self.seconds / _SAMPLES))


@dataclass(slots=True, kw_only=True)
class Watched:
    """What was seen of a board.

    Attributes
    ----------
    began:
        Seconds since 1970, by this workstation's clock.
    gone:
        Why the board could not be asked any more.
    """

    plan: Plan
    began: float
    seconds: float = 0.0
    samples: list[Sample] = field(default_factory=list)
    ended: Literal["time", "hand", "board"] = "time"
    breaks: int = 0
    gone: str = ""


def watch_board(host: str, connect: Connect, root: str, rows: Sequence[ServiceRow], plan: Plan) -> Watched:
    """Sample a board until the time is over; where it goes, or a person ends it, that is the end, and no error."""
    seen = Watched(plan=plan, began=time.time())
    begun = plan.clock()
    lost: float | None = None
    with progress(f"{host}: soak") as step:

        def ask(session: BoardSession) -> None:
            nonlocal lost
            while (at := plan.clock() - begun) < plan.seconds:
                seen.samples.append(take_sample(session, root, rows, at))
                lost = None
                step.reached(at / plan.seconds)
                step.at(f"{len(seen.samples)} samples, {at:.0f} s of {plan.seconds:.0f} s")
                spent = plan.clock() - begun - at
                plan.pause(max(0.0, min(plan.every - spent, plan.seconds - at - spent)))

        try:
            while plan.clock() - begun < plan.seconds:
                try:
                    with connect() as session:
                        ask(session)
                except PreflightError as error:
                    now = plan.clock()
                    if lost is None:
                        lost, seen.breaks = now, seen.breaks + 1
                    if now - lost >= plan.patience:
                        seen.ended, seen.gone = "board", f"{error.what}: {error.why}" if error.why else error.what
                        break
                    plan.pause(_AGAIN)
            if lost is not None and seen.ended == "time":
                seen.ended, seen.gone = "board", f"not one answer in the last {plan.clock() - lost:.0f} s"
        except KeyboardInterrupt:
            seen.ended = "hand"
    seen.seconds = plan.clock() - begun
    return seen
