"""Every fault on a simulated board that streams to the local service: it comes back, and the board is as it was."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from deploy.boards.inventory import SimState, host_target
from deploy.boards.session import connect
from deploy.control.services import carry_out
from deploy.drills.run import drill_host
from deploy.soak.run import soak_host
from deploy.soak.watch import Plan
from deploy.verdicts.flow import CloudWay
from recipes.engine.docker import Engine
from recipes.errors import PreflightError
from recipes.stage.manifest import Stage
from tests.support.fieldboard import field_board

pytestmark = [pytest.mark.engine, pytest.mark.sim, pytest.mark.slow]
PATIENCE = 300.0
"""An emulated board on a busy machine."""


@pytest.fixture
def camera(
    arm: SimState, engine: Engine, built: Callable[..., Stage], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[str]:
    monkeypatch.setenv("BOARDCAST_BOARDS", str(tmp_path / "boards"))
    with field_board(arm, engine, tmp_path, built) as board:
        board.deploy()
        yield board.host


def routes(host: str) -> str:
    with connect(host_target(host)) as session:
        return session.run("ip route; ip -6 route; ls -d /var/run/boardcast-drill 2>/dev/null").out


def test_what_streams_comes_back_after_every_fault(camera: str) -> None:
    before = routes(camera)
    done = drill_host(camera, ["service", "network", "camera", "power"], 15, lambda _: PATIENCE, CloudWay())
    assert [(one.check, one.state, one.evidence) for one in done.drilled if one.state != "passed"] == []
    assert [drill.kind for drill in done.drills] == ["service", "network", "camera", "power"]
    assert all(0 < drill.back["board-test"] <= PATIENCE for drill in done.drills)
    assert routes(camera) == before
    soaked = soak_host(camera, Plan(seconds=20, interval=1), CloudWay())
    assert soaked.soak is not None
    assert soaked.soak.samples > 3
    assert [(one.check, one.evidence) for one in soaked.soaked if one.state == "failed"] == []
    # Nothing comes back in a moment, and the board is put back all the same.
    late = drill_host(camera, ["service"], 15, lambda _: 0.5, CloudWay())
    assert late.drilled[0].reason in ("drill-service", "drill-not-back")
    carry_out(camera, "stop", [])
    with pytest.raises(PreflightError, match="nothing that could come back"):
        drill_host(camera, ["network"], 15, lambda _: 1.0, CloudWay())
    assert routes(camera) == before
