"""What travels to a board that streams by kvssink alone."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from deploy.boards.board import Board, BoardFile, load_board
from deploy.boards.index import board_index
from deploy.boards.inventory import SimState, host_target, sim_state
from deploy.boards.session import connect
from deploy.bundle.assemble import make_bundle
from deploy.release.deployment import deploy_to
from recipes.stage.manifest import Stage
from tests.support import tls

pytestmark = [pytest.mark.engine, pytest.mark.sim]
CAMERA = {
    "source": {"v4l2": "/dev/video0"},
    "video": {"encoder": "x264enc", "width": 640, "height": 480, "framerate": 15, "key_frame_interval": 30},
    "sink": {"kvs": "front-door", "storage_size": 32},
}


REAL_SDK = 451_000
"""Bytes of kvssink of 3.6.0 for armv7 with all of the SDK in one file, and none of our libraries."""


def camera(runs: str = "boot") -> Board:
    plain = load_board("sim-armv7")
    stream = {**CAMERA, "runs": runs}
    text = {
        "schema": 2,
        "arch": "armv7",
        "sysroot": plain.file.sysroot,
        "init": "systemd",
        "streams": {"front": stream},
    }
    return Board(name=plain.name, file=BoardFile.model_validate(text))


def test_a_camera_for_kvssink_gets_nothing_that_it_does_not_use(sdk: Callable[..., Stage], arm: SimState) -> None:
    """Each library of it is one that kvssink needs; boardprobe alone would bring libwebsockets, 245 KB of it."""
    plain, board = load_board("sim-armv7"), camera()
    assert board.recipes == ("producer", "streamer", "boardprobe")
    assert board.ask().variants == ("https-only",)
    staged = sdk("armv7", board.ask())
    made, decided = make_bundle(board, staged, board_index(plain))
    sizes = {file.path: file.size for file in made.manifest.files}
    ours = {"bin/boardprobe", "bin/boardstream", *(f"run/{name}" for name in ("boardprobe", "boardstream", "front"))}
    library = {f"lib/{name}" for name in ("libKinesisVideoProducer.so", "libcproducer.so", "liblog4cplus-2.0.so.3")}
    logs = {"share/kvs/kvs_log_configuration", "share/boardcast/kvs_log_configuration"}
    assert {path for path in sizes if not path.startswith("services/")} == {
        *ours, *library, *logs, "gstreamer-1.0/libgstkvssink.so",
    }  # fmt: skip
    # The SDK's own part is a stand-in here, and counted as the real one.
    parts = {"gstreamer-1.0/libgstkvssink.so", *library} - {"lib/liblog4cplus-2.0.so.3"}
    rest = sum(size for path, size in sizes.items() if path not in parts)
    assert rest + REAL_SDK <= 1 << 20, sizes
    assert decided.saved > 0


@pytest.mark.slow
def test_its_small_boardprobe_answers_on_the_board(sdk: Callable[..., Stage], arm: SimState, tmp_path: Path) -> None:
    plain, board = load_board("sim-armv7"), camera("hand")
    made, _ = make_bundle(board, sdk("armv7", board.ask()), board_index(plain))
    done = deploy_to(arm.name, made)
    assert done.verdict is not None
    assert done.verdict.green
    evidence = {check.name: check.evidence for check in done.verdict.checks}
    assert "libwebsockets none, 1 of 1 elements load" in evidence["boardprobe answers without an error"]
    state = sim_state(arm.name)
    assert state is not None
    with tls.serve(state.gateway, tmp_path) as cloud, connect(host_target(arm.name)) as session:
        session.run('printf "%s" "$1" > /tmp/ca.pem', [cloud.ca.decode()])
        place = f"{cloud.address}:{cloud.port}"
        ask = [f"{board.file.root}/current/bin/boardprobe", f"https://{place}/", f"wss://{place}/wss"]
        told = json.loads(session.run('"$1" --ca-file /tmp/ca.pem --https "$2"', ask).out)
        assert abs(told["https"]["clock_skew"]) <= 2
        refused = json.loads(session.run('"$1" --wss "$3"', ask).out)
    assert [row["detail"] for row in refused["findings"] if row["check"] == "wss"] == [
        f"wss://{place}/wss was not tried: this program was built without libwebsockets"
    ]
