"""What a release brings to be started at boot, under real init systems."""

from __future__ import annotations

import json
import time
from pathlib import PurePosixPath
from typing import Any

import pytest

from deploy.atboot.put_in import SERVICES
from deploy.services.systems import Phase, ServiceState, parse_status
from tests.support.fakestream import board_of, contents_of, stream
from tests.support.initboard import InitBoard

pytestmark = [pytest.mark.process, pytest.mark.engine]


def streams_of(board: InitBoard, release: str, streams: dict[str, Any], streamer: bytes) -> None:
    """Put a release of these streams on the board, switch to it, and let its services be put in, as a deploy does."""
    root = PurePosixPath("/opt/boardcast")
    init = {"init": board.system.name, "service": {"log_folder": "/var/log/boardcast", "groups": []}}
    files = contents_of(board_of(root, streams, **init), streamer)
    board.put({f"{root}/releases/{release}/{path}": file for path, file in files.items()})
    switch(board, release)


def switch(board: InitBoard, release: str) -> None:
    board.sh('ln -sfn "releases/$1" /opt/boardcast/current', release)
    board.sh(SERVICES, "/opt/boardcast", release, "a test")


def stream_state(board: InitBoard, name: str) -> ServiceState:
    return parse_status(board.sh('sh "$1/status" 2>/dev/null', f"/opt/boardcast/applied/{name}", good=False))


def frames(board: InitBoard, name: str) -> int:
    told = board.sh('cat "$1" 2>/dev/null', f"/var/run/boardcast-{name}/stream.json", good=False)
    return int(json.loads(told)["frames"]) if told else 0


def streaming(board: InitBoard, name: str) -> None:
    """Wait until the same process counts on."""
    deadline, last = time.monotonic() + 30, frames(board, name)
    while stream_state(board, name).phase is not Phase.RUNNING or not last < (last := frames(board, name)):
        assert time.monotonic() < deadline, board.sh("cat /var/log/boardcast/*; ps -ef || ps", good=False)
        time.sleep(0.7)


def test_a_release_puts_in_starts_and_takes_away_what_streams(board: InitBoard, streamer: bytes) -> None:
    before = board.traces()
    streams_of(board, "one", {"front": stream(3), "back": stream(4)}, streamer)
    streaming(board, "front")
    streaming(board, "back")
    assert stream_state(board, "front").enabled

    board.reboot()
    streaming(board, "front")
    streaming(board, "back")

    streams_of(board, "two", {"front": stream(5), "side": stream(6)}, streamer)
    streaming(board, "front")
    streaming(board, "side")
    assert not stream_state(board, "back").installed
    switch(board, "one")
    streaming(board, "back")
    assert not stream_state(board, "side").installed

    board.sh(SERVICES, "/opt/boardcast", "", "a test")
    assert not [line for line in board.programs() if "boardstream" in line]
    assert {path for path in board.traces() - before if not path.startswith("/opt/boardcast/releases/")} <= {
        *("/opt/boardcast", "/opt/boardcast/current", "/opt/boardcast/releases")
    }
    board.sh("rm -rf /opt/boardcast")
