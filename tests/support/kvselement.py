"""Pipelines that end in kvsclient's element, run by this machine's GStreamer against a service of the tests."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from tests.support.boardstream import AVC
from tests.support.kvsclient import STREAM, Place, keys
from tests.support.putmedia import REGION, Service

_CODEC = f"x264enc tune=zerolatency key-int-max=10 option-string=scenecut=0 ! {AVC}"
TONE = "audiotestsrc is-live=true num-buffers=130 ! voaacenc ! aacparse ! audio/mpeg,stream-format=raw ! sink."


def camera(seconds: int = 0, *, live: bool = True) -> str:
    """Return a source of small pictures, a key frame each second."""
    count = f"num-buffers={seconds * 10} " if seconds else ""
    raw = "video/x-raw,width=64,height=48,framerate=10/1"
    return f"videotestsrc is-live={live} {count}pattern=ball ! {raw} ! videoconvert ! {_CODEC}"


def sink(more: str = "") -> str:
    return f"kvssink name=sink stream-name={STREAM} storage-size=16 {more}"


@dataclass(frozen=True)
class Ended:
    """What a pipeline came to."""

    code: int
    said: str
    seconds: float

    @property
    def fragments(self) -> tuple[int, int, int, int]:
        """Begun, confirmed, given up, sent again: as the element says when it is closed."""
        found = re.search(r"end: (\d+) fragments, (\d+) confirmed, (\d+) given up, (\d+) sent again", self.said)
        assert found, self.said
        begun, confirmed, lost, again = map(int, found.groups())
        return begun, confirmed, lost, again


@dataclass(frozen=True)
class Element:
    """The folder of the plugin, and one for GStreamer's registry."""

    plugins: Path
    folder: Path

    def environment(self, service: Service | Place, given: Mapping[str, str] | None = None) -> dict[str, str]:
        inherited = {name: value for name, value in os.environ.items() if not name.startswith("AWS_")}
        return {
            **inherited,
            "GST_PLUGIN_PATH": str(self.plugins),
            "GST_REGISTRY": str(self.folder / "registry.bin"),
            "AWS_DEFAULT_REGION": REGION,
            "AWS_KVS_CACERT_PATH": str(service.ca),
            "KVSCLIENT_CONNECT_TO": service.address,
            **(keys() if given is None else given),
        }

    def ran(
        self,
        service: Service | Place,
        pipeline: str,
        environment: Mapping[str, str] | None = None,
        interrupt: float = 0,
    ) -> Ended:
        """Run a pipeline to its end; `interrupt`: SIGINT after so many seconds."""
        began = time.monotonic()
        process = subprocess.Popen(
            ["gst-launch-1.0", "-e", *pipeline.split()],
            env=self.environment(service, environment),
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        try:
            if interrupt:
                time.sleep(interrupt)
                process.send_signal(signal.SIGINT)
            said, _ = process.communicate(timeout=60)
        finally:
            if process.poll() is None:
                process.kill()
                process.communicate()
        return Ended(process.returncode, said, time.monotonic() - began)
