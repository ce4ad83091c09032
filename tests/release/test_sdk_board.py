"""Both SDKs' outputs on an emulated armv7 board: deduped, deployed, loaded by the board's own GStreamer and loader."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from deploy.boards.board import load_board
from deploy.boards.index import board_index
from deploy.boards.inventory import SimState, host_target
from deploy.boards.session import connect
from deploy.bundle.assemble import make_bundle
from deploy.release.deployment import deploy_to
from recipes.builder.request import BuildRequest
from recipes.stage.manifest import Stage

pytestmark = [pytest.mark.engine, pytest.mark.sim]
ROOT = "/opt/boardcast"


def run(name: str, script: str) -> tuple[int, str]:
    with connect(host_target(name)) as session:
        reply = session.run(script, [])
    return reply.code, reply.out + reply.err


def test_the_boards_own_gstreamer_loads_kvssink_and_its_loader_the_rest(
    sdk: Callable[..., Stage], arm: SimState
) -> None:
    board = load_board("sim-armv7")
    staged = sdk("armv7", BuildRequest(names=("producer", "webrtc", "boardprobe")))
    made, decided = make_bundle(board, staged, board_index(board))
    actions = {one.library: one.action.value for one in decided.decisions}
    assert actions["libcrypto.so.3"] == actions["libcurl.so.4"] == actions["libgstreamer-1.0.so.0"] == "use-board"
    assert actions["liblog4cplus-2.0.so.3"] == "keep", "this board has none"
    assert actions["libwebsockets.so.19"] == "keep-private"
    travelling = {file.path for file in made.manifest.files}
    assert {"gstreamer-1.0/libgstkvssink.so", "lib/libcproducer.so", "share/kvs/kvs_log_configuration"} <= travelling

    run(arm.name, f"rm -rf {ROOT}")
    done = deploy_to(arm.name, made)
    assert done.verdict is not None
    assert done.verdict.green
    evidence = {one.name: one.evidence for one in done.verdict.checks}
    assert "8 of 8 elements load" in evidence["boardprobe answers without an error"], (
        "kvssink, which travels, is the eighth"
    )

    where = f"GST_PLUGIN_PATH={ROOT}/current/gstreamer-1.0 GST_REGISTRY=/tmp/r"
    code, out = run(arm.name, f"unset LD_LIBRARY_PATH; {where} gst-inspect-1.0 kvssink")
    assert code == 0, out
    for line in ("primary + 10 (266)", "KVS Sink", "Sink/Video/Network"):
        assert line in out
    for program in ("kvsWebrtcClientMaster", "kvs_gstreamer_sample", "discoverNatBehavior"):
        code, out = run(arm.name, f"{ROOT}/current/run/{program} 2>&1")
        assert "error while loading shared libraries" not in out
        assert "symbol lookup error" not in out
        assert code < 126, out
