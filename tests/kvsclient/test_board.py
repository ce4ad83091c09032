"""Board to service, with our own element: a board's file, a deploy, and pictures that arrive and are confirmed."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from deploy.boards.board import load_board
from deploy.boards.index import board_index
from deploy.boards.inventory import SimState, host_target
from deploy.boards.session import connect
from deploy.bundle.assemble import make_bundle
from deploy.kvsboards.simulated import lead_away, lead_to_service
from deploy.localkvs.lifecycle import Running, bring_up, take_down
from deploy.release.deployment import deploy_to
from deploy.sim.boards import NETWORK
from recipes import paths
from recipes.stage.manifest import Stage

pytestmark = [pytest.mark.engine, pytest.mark.sim]
STREAM = """
[environment]
region = "eu-west-1"
[credentials]
file = "/etc/boardcast/keys"
[streams.test]
source = { test = "ball" }
video = { encoder = "x264enc", tune = "zerolatency", speed = "ultrafast", width = 64, height = 48, framerate = 5, \
bitrate = 64, key_frame_interval = 5 }
sink = { kvs = "board-test", storage_size = 16 }
"""


@pytest.fixture
def running(arm: SimState, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Running]:
    """Run the local service, and give the emulated board a stream and a view of it."""
    own = (paths.CHECKOUT / "board-configs" / arm.name / "board.toml").read_text()
    head = 'init = "none"\nkvssink = "kvsclient"\n'
    (tmp_path / arm.name).mkdir()
    (tmp_path / arm.name / "board.toml").write_text(own.replace("schema = 1\n", f"schema = 2\n{head}") + STREAM)
    monkeypatch.setenv("BOARDCAST_BOARDS", str(tmp_path))
    service = bring_up(network=NETWORK)
    lead_to_service(arm.name, service)
    yield service
    with connect(host_target(arm.name)) as session:
        session.run("cd /opt/boardcast/current && sh services/test/stop; sh services/test/remove")
    lead_away(arm.name)
    take_down()


def test_a_boards_file_ends_in_pictures_at_the_service(
    arm: SimState, built: Callable[..., Stage], running: Running
) -> None:
    board = load_board(arm.name)
    assert "producer" not in board.recipes
    bundle, _ = make_bundle(board, built("armv7", "", *board.recipes), board_index(board))
    carried = {file.path for file in bundle.manifest.files}
    assert "gstreamer-1.0/libgstkvsclient.so" in carried
    assert "bin/kvsclient" not in carried, "the program is for who asks for it"
    done = deploy_to(arm.name, bundle)
    assert done.verdict is not None
    assert done.verdict.green
    evidence = {one.name: one.evidence for one in done.verdict.checks}
    assert "fragments confirmed" in evidence["every stream goes on"]
    before = kept(running)
    assert before > 0
    deadline = time.monotonic() + 30
    while kept(running) < before + 2 and time.monotonic() < deadline:
        time.sleep(0.5)
    assert kept(running) >= before + 2


def kept(running: Running) -> int:
    streams = running.ask("GET", "/-/status")["streams"]
    return next(int(stream["fragments"]) for stream in streams if stream["name"] == "board-test")
