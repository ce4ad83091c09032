"""The program is compiled once for all of its tests."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from tests.support.boardstream import Boardstream, compiled
from tests.support.rtspcamera import nal_units


@pytest.fixture(scope="session")
def made(tmp_path_factory: pytest.TempPathFactory) -> Boardstream:
    return compiled(tmp_path_factory.mktemp("boardstream"))


@pytest.fixture(scope="session")
def units(made: Boardstream, tmp_path_factory: pytest.TempPathFactory) -> list[bytes]:
    """Return two seconds of H.264, one slice a picture."""
    path: Path = tmp_path_factory.mktemp("h264") / "two-seconds.h264"
    words = (
        "videotestsrc num-buffers=50 pattern=ball ! video/x-raw,width=64,height=48,framerate=25/1 ! "
        "x264enc threads=1 bframes=0 speed-preset=ultrafast key-int-max=25 ! video/x-h264,stream-format=byte-stream ! "
        f"filesink location={path}"
    ).split()
    subprocess.run(["gst-launch-1.0", "-q", *words], env=dict(made.environment), check=True)
    return nal_units(path.read_bytes())
