"""The program that runs streams, made on this machine with its fake kvssink, and one process of it."""

from __future__ import annotations

import json
import os
import re
import shutil
import signal
import subprocess
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from recipes import paths

CAMERA = (
    "videotestsrc is-live=true pattern=ball ! video/x-raw,width=64,height=48,framerate=25/1 ! videoconvert ! "
    "x264enc tune=zerolatency speed-preset=ultrafast key-int-max=25 ! h264parse"
)
AVC = "video/x-h264,stream-format=avc,alignment=au"
SINK = "kvssink name=sink stream-name=s storage-size=16"
_NEEDED = ("videotestsrc", "x264enc", "h264parse", "videoconvert", "rtspsrc", "rtph264depay", "fakesink", "v4l2src")


def pipeline(source: str = CAMERA, sink: str = SINK) -> list[str]:
    """Return the words of a pipeline that ends in a sink for AVC."""
    return f"{source} ! {AVC} ! {sink}".split()


@dataclass(slots=True, kw_only=True)
class Process:
    """One run of it, with what it said."""

    process: subprocess.Popen[str]
    status_file: Path
    log: Path

    @property
    def said(self) -> str:
        return self.log.read_text()

    def wait_for(self, pattern: str, seconds: float = 30) -> re.Match[str]:
        """Wait until the log has a line; fails when it ends without it."""
        deadline = time.monotonic() + seconds
        while time.monotonic() < deadline:
            ended = self.process.poll() is not None
            if match := re.search(pattern, self.said, re.MULTILINE):
                return match
            if ended:
                break
            time.sleep(0.02)
        raise AssertionError(f"no {pattern!r} in:\n{self.said}")

    def end(self, seconds: float = 60) -> int:
        """Wait for its exit code; a negative number is a signal."""
        return self.process.wait(timeout=seconds)

    def stop(self, number: int = signal.SIGINT) -> tuple[int, float]:
        """Ask it to stop; return the exit code and the seconds that it took."""
        began = time.monotonic()
        self.process.send_signal(number)
        return self.end(), time.monotonic() - began

    def status(self) -> dict[str, Any]:
        read: dict[str, Any] = json.loads(self.status_file.read_text())
        return read


@dataclass(frozen=True, slots=True, kw_only=True)
class Boardstream:
    """The program and the plugin's folder."""

    program: Path
    environment: Mapping[str, str]
    folder: Path
    counter: list[int] = field(default_factory=lambda: [0])

    @contextmanager
    def started(
        self,
        words: Sequence[str],
        options: Sequence[str] = (),
        environment: Mapping[str, str] | None = None,
        status: Path | None = None,
    ) -> Iterator[Process]:
        """Start it; whatever happens, it does not outlive the block."""
        self.counter[0] += 1
        number = self.counter[0]
        status = status or self.folder / f"status-{number}.json"
        log = self.folder / f"log-{number}"
        with log.open("w") as stream:
            argv = [str(self.program), "--name", "cam", "--status", str(status), *options, "--", *words]
            process = subprocess.Popen(
                argv, env={**self.environment, **(environment or {})}, stderr=stream, stdout=stream, text=True
            )
        try:
            yield Process(process=process, status_file=status, log=log)
        finally:
            if process.poll() is None:
                process.kill()
            process.wait()

    def ran(
        self, words: Sequence[str], options: Sequence[str] = (), environment: Mapping[str, str] | None = None
    ) -> tuple[int, str]:
        """Run it to its end; return the exit code and what it said."""
        with self.started(words, options, environment) as process:
            return process.end(), process.said


def compiled(folder: Path) -> Boardstream:
    """Compile both recipes' sources with this machine's compiler; skips where it or GStreamer's headers are missing."""
    if not shutil.which("gcc") or not shutil.which("pkg-config"):
        pytest.skip("no gcc or no pkg-config here: boardstream cannot be compiled")
    asked = subprocess.run(
        ["pkg-config", "--cflags", "--libs", "gstreamer-1.0"], capture_output=True, text=True, check=False
    )
    if asked.returncode:
        pytest.skip("no headers of GStreamer here (libgstreamer1.0-dev): boardstream cannot be compiled")
    lacking = [name for name in _NEEDED if not has_element(name)]
    if lacking:
        pytest.skip(f"this machine's GStreamer lacks {', '.join(lacking)}")
    strict = ["gcc", "-std=gnu11", "-O1", "-g", "-Wall", "-Wextra", "-Werror", "-Wformat=2", '-DVERSION="1.0.0"']
    plugins = folder / "plugins"
    plugins.mkdir()
    made = {
        ("streamer/src",): ["-o", str(folder / "boardstream")],
        ("kvsclient/src/element", "kvsclient/src/fake"): [
            *("-fPIC", "-shared", "-o", str(plugins / "libgstfakekvssink.so"))
        ],
    }
    for folders, words in made.items():
        sources = sorted(str(path) for folder in folders for path in (paths.CATALOG / folder).glob("*.c"))
        subprocess.run([*strict, *words, *sources, *asked.stdout.split()], check=True)
    environment = {
        **os.environ,
        "GST_PLUGIN_PATH": str(plugins),
        "GST_REGISTRY": str(folder / "registry.bin"),
        "LC_ALL": "C.UTF-8",
    }
    return Boardstream(program=folder / "boardstream", environment=environment, folder=folder)


def has_element(name: str) -> bool:
    inspect = shutil.which("gst-inspect-1.0")
    return inspect is not None and not subprocess.run([inspect, "--exists", name], check=False).returncode
