"""P-20: a board whose packets go nowhere, from any step of a deploy on, is given up in time; what ran there runs on."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterable, Sequence

import pytest

from deploy.boards.inventory import SimState, host_target
from deploy.boards.session import TEXT_BYTES, BoardSession, Reply, connect
from deploy.bundle.load import Bundle
from deploy.release import run as release
from deploy.ssh import channel
from recipes.engine.docker import Engine
from recipes.errors import PreflightError
from tests.faults.test_cuts import current, deploy, whole
from tests.support.simboard import lose
from tests.support.simrelease import FLASH, variant

pytestmark = [pytest.mark.engine, pytest.mark.sim]
HOLE = "what it sends is dropped"
STEPS = ("the probe", "sending", "the switch", "the confirmation")


class HoleSession:
    """A real session to a board that is lost in front of one of its commands."""

    def __init__(self, session: BoardSession, at: int, board: SimState, engine: Engine) -> None:
        self.session, self.at, self.board, self.engine = session, at, board, engine
        self.traffic = session.traffic
        self.deadline = math.inf
        self.count = 0
        self.lost = 0.0

    def fetch(self, script: str, arguments: Sequence[str] = (), stdin: Iterable[bytes] = (), *, most: int) -> bytes:
        return self.session.fetch(script, arguments, stdin, most=most)

    def run(
        self, script: str, arguments: Sequence[str] = (), stdin: Iterable[bytes] = (), *, most: int = TEXT_BYTES
    ) -> Reply:
        self.count += 1
        if self.count == self.at:
            lose(self.board, self.engine, HOLE, lost=True)
            self.lost = time.monotonic()
        return self.session.run(script, arguments, stdin, most=most)


@pytest.mark.slow
@pytest.mark.parametrize("share", [5, 1])
def test_a_board_that_is_lost_at_any_step_is_given_up_in_time(
    tiny: SimState,
    tiny_bundle: Bundle,
    engine: Engine,
    share: int,
    monkeypatch: pytest.MonkeyPatch,
    figure: Callable[[str], None],
) -> None:
    """The limits of silence are a share of the real ones in the short form."""
    monkeypatch.setattr(channel, "SILENT_SECONDS", channel.SILENT_SECONDS / share)
    monkeypatch.setattr(channel, "BEAT_SECONDS", channel.BEAT_SECONDS / share)
    monkeypatch.setattr(release, "BACK_SECONDS", 20 / share)
    old, new = variant(tiny_bundle, "old"), variant(tiny_bundle, "new")
    waits = []
    for at in range(1, len(STEPS) + 1):
        with connect(host_target(tiny.name)) as session:
            session.run(f"rm -rf {FLASH}")
            deploy(session, old)  # it is known to answer, and lost after that
            time.sleep(2 * channel.BEAT_SECONDS)
            holed = HoleSession(session, at, tiny, engine)
            try:
                with pytest.raises(PreflightError):
                    deploy(holed, new)
                waits.append(time.monotonic() - holed.lost)
            finally:
                lose(tiny, engine, HOLE, lost=False)
        with connect(host_target(tiny.name)) as session:
            assert whole(session, old, new) == (new.id if at == len(STEPS) else old.id), STEPS[at - 1]
            deploy(session, new)
            assert current(session)[0] == new.id
    # 30 s of silence and the 15 s in which that is noticed, and 5 s more.
    told = ", ".join(f"{step} {seconds:.0f} s" for step, seconds in zip(STEPS, waits, strict=True))
    figure(f"black hole, given up after (limits / {share}): {told}")
    assert max(waits) <= 45 / share + 5 + (20 / share)
    with connect(host_target(tiny.name)) as session:
        session.run(f"rm -rf {FLASH}")
