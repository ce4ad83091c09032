"""How long a stream is down that a release changes, on the emulated armv7 board; one that is not changed never is."""

from __future__ import annotations

import os
from collections.abc import Callable

import pytest

from deploy.atboot.put_in import put_in
from deploy.boards.inventory import SimState, host_target
from deploy.boards.session import connect
from recipes.arch import ARCHES
from recipes.engine.docker import Engine
from tests.support.counting import counting_streamer
from tests.support.fakestream import stream
from tests.support.initsession import ROOT, bundle_of, deploy

pytestmark = [pytest.mark.engine, pytest.mark.sim, pytest.mark.slow]
ROUNDS = 5


def test_a_changed_stream_is_down_for_seconds(arm: SimState, engine: Engine, figure: Callable[[str], None]) -> None:
    program, arch = counting_streamer("armv7", engine), ARCHES["armv7"]
    seconds = []
    with connect(host_target(arm.name)) as session:
        try:
            for number in range(ROUNDS + 1):
                streams = {"front": stream(2 + number), "back": stream(1)}
                moved = deploy(session, bundle_of("none", streams, "", program, arch)).services
                if number:
                    assert moved.kept == ("back",)
                    seconds.append(moved.down["front"])
        finally:
            put_in(session, str(ROOT), "", "a test")
            session.run(f"rm -rf {ROOT}")
    load = os.getloadavg()[0]
    told = ", ".join(f"{second:.1f}" for second in sorted(seconds))
    figure(
        f"down on sim-armv7 over {ROUNDS} deploys: {told} s (this machine: load {load:.1f} on {os.cpu_count()} cores)"
    )
