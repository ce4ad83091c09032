"""Many looks at a healthy stream, with the clock moved on: all green. And what the looks read, in numbers."""

from __future__ import annotations

import asyncio
import time

import pytest

from deploy.cloud.collect import Look, observe
from deploy.cloud.judge import judge
from deploy.cloud.session import Calls
from tests.cloud.conftest import PROMISE
from tests.support.livecamera import CYCLE, Due, header, service_of
from tests.support.localservice import LocalService, Wire
from tests.support.media import end_of_fragment
from tests.support.producer import chunk, put_media_head

pytestmark = pytest.mark.loopback
RUNS, MOST_RED = 200, 2
"""P-28: at least 99 of 100."""


@pytest.mark.parametrize("runs", [60, pytest.param(RUNS, marks=pytest.mark.slow)])
def test_healthy_looks_are_green(local: LocalService, runs: int) -> None:
    """Each waits for a fragment; the camera's clock wanders, and a fragment is late now and then."""
    # Five minutes are the most that a signature may be off, so half of the time is before now.
    local.clock.ahead = -runs * 0.6
    wire, sent = Wire(local.port), 0
    wire.send(put_media_head("cam01", local.key()))
    wire.send(chunk(header(1, {})))

    async def next_fragment(_: float) -> None:
        nonlocal sent
        late = 0.8 if sent % 17 == 5 else 0.05
        local.clock.ahead += 1.0
        due = Due(sent % CYCLE, 1, {})
        wire.send(chunk(due.data(start + sent + 0.02 * (sent % 5)) + end_of_fragment()))
        local.clock.ahead += late - 0.05
        sent += 1
        behind = time.monotonic() + 5
        stream = local.service.store.streams.find(name="cam01", region="ap-northeast-1")
        while local.service.store.fragments.facts(stream)[0] < sent and time.monotonic() < behind:  # noqa: ASYNC110
            await asyncio.sleep(0.005)  # the store says nothing by itself
        local.clock.ahead -= late - 0.05

    start = local.clock() + 1.0
    calls, red = Calls(service_of(local)), dict[int, list[str]]()
    look = Look(patience=20, clock=local.clock, pause=next_fragment, known=frozenset({"cam01"}))
    try:
        for run in range(runs):
            found = judge(asyncio.run(observe(calls, PROMISE, look)))
            if wrong := [f"{one.check}: {one.evidence}" for one in found if one.state != "passed"]:
                red[run] = wrong
    finally:
        calls.close()
        wire.close()
    assert len(red) <= runs * MOST_RED // RUNS, red
    assert sent >= runs
