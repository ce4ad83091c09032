"""Board to service, with our own element: a board's file, a deploy, and pictures that arrive and are confirmed."""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from deploy.boards.board import load_board
from deploy.boards.index import board_index
from deploy.boards.inventory import SimState, host_target
from deploy.boards.session import connect
from deploy.bundle.assemble import make_bundle
from deploy.bundle.load import Bundle
from deploy.kvsboards.simulated import lead_away, lead_to_service
from deploy.localkvs.lifecycle import Running, bring_up, take_down
from deploy.release.deployment import deploy_to
from deploy.sim.boards import NETWORK
from deploy.verify.run import run_checks
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
    assert evidence["elements have what the launch scripts set"].startswith("kvssink ")
    assert "since its last start" in evidence["log says nothing bad: test"]
    assert re.search(r"; process \d+ runs for \d+ (s|min)", evidence["every stream goes on"])
    looks_at_what_somebody_changed(arm, bundle)


SPOIL = r"""
cd "$1/current/run" &&
    sed -i '$s/ kvssink / kvssink no-such-property=1 /; $s/ -- / -- v4l2src device=\/dev\/video9 ! fakesink /' test
: > /dev/video9
(exec 3< /dev/video9; exec sleep 60) > /dev/null 2>&1 < /dev/null &
echo 'Signature expired: 20261127' >> "$2"
"""


def looks_at_what_somebody_changed(arm: SimState, bundle: Bundle) -> None:
    """Look at a launch script that was changed, at a device that another has, and at a line in the log."""
    (row,) = bundle.manifest.services
    with connect(host_target(arm.name)) as session:
        session.run(SPOIL, [bundle.manifest.root, row.log])
        verdict = run_checks(session, arm.name, bundle.manifest.identity, bundle.manifest, fast=True)
        session.run("rm -f /dev/video9")
    seen = {one.name: one for one in verdict.checks}
    assert "run/test" in seen["files are intact"].evidence
    assert "test: kvssink has no no-such-property" in seen["elements have what the launch scripts set"].evidence
    assert seen["devices are there and free"].cause == "device-busy"
    assert "test: /dev/video9 is in use by sleep (process " in seen["devices are there and free"].evidence
    assert "earlier, it streams now: the clock is wrong" in seen["log says nothing bad: test"].evidence
    assert seen["cameras offer what the streams ask for"].state == "skipped", "no driver is behind that node"


def kept(running: Running) -> int:
    streams = running.ask("GET", "/-/status")["streams"]
    return next(int(stream["fragments"]) for stream in streams if stream["name"] == "board-test")
