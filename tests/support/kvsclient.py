"""Runs of kvsclient, the program that sends as kvssink does, against a service of the tests."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.support.boardstream import has_element
from tests.support.putmedia import KEY, REGION, SECRET, Service

STREAM = "cam01"
SMALL = ("--test", "--size", "64x48", "--fps", "10", "--bitrate", "64")
"""A picture that costs next to nothing."""


@dataclass(frozen=True)
class Ended:
    """What a run came to."""

    code: int
    rows: list[dict[str, Any]]
    said: str
    seconds: float

    @property
    def end(self) -> dict[str, Any]:
        """The last row: how many fragments there were."""
        return self.rows[-1]

    def acks(self, event: str) -> list[tuple[int, int]]:
        """Return connection and timecode of each ack of a kind."""
        return [(row["connection"], row["timecode"]) for row in self.rows if row.get("ack") == event]


@dataclass(frozen=True)
class Place:
    """Where a service answers, and the authority that vouches for it."""

    address: str
    ca: Path


@dataclass(frozen=True)
class Client:
    """The program."""

    program: Path

    @contextmanager
    def started(
        self, service: Service | Place, words: Sequence[str], environment: Mapping[str, str] | None = None
    ) -> Iterator[subprocess.Popen[bytes]]:
        """Start it; whatever happens, it does not outlive the block."""
        argv = [str(self.program), "--connect-to", service.address, "--ca", str(service.ca), *words]
        left_out = ("AWS_", "IOT_", "CERT_PATH", "PRIVATE_KEY_PATH", "ROLE_ALIAS", "CA_CERT_PATH")
        inherited = {name: value for name, value in os.environ.items() if not name.startswith(left_out)}
        process = subprocess.Popen(
            argv,
            env={**inherited, "AWS_DEFAULT_REGION": REGION, **(keys() if environment is None else environment)},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
        )
        try:
            yield process
        finally:
            if process.poll() is None:
                process.kill()
            process.communicate()

    def ran(
        self,
        service: Service | Place,
        words: Sequence[str],
        environment: Mapping[str, str] | None = None,
        given: bytes = b"",
    ) -> Ended:
        """Run it to its end."""
        began = time.monotonic()
        with self.started(service, words, environment) as process:
            out, said = process.communicate(given, timeout=90)
        return ended(process.returncode, out, said, time.monotonic() - began)

    def sent(self, service: Service, *more: str, seconds: int = 2, **environment: str) -> Ended:
        """Send a small test picture for some seconds."""
        words = ("--stream", STREAM, *SMALL, "--seconds", str(seconds), *more)
        return self.ran(service, words, {**keys(), **environment})


def ended(code: int, out: bytes, said: bytes, seconds: float) -> Ended:
    """Put together what a run left."""
    return Ended(code, [json.loads(line) for line in out.splitlines()], said.decode(), seconds)


def keys() -> dict[str, str]:
    return {"AWS_ACCESS_KEY_ID": KEY, "AWS_SECRET_ACCESS_KEY": SECRET}


def iot(service: Service) -> list[str]:
    """Return the options of a thing that the service knows."""
    return [
        *("--iot-endpoint", "c1.credentials.iot.ap-northeast-1.amazonaws.com", "--iot-role-alias", "cam-role"),
        *("--iot-cert", str(service.certificate), "--iot-key", str(service.key)),
    ]


def lacking() -> str:
    """Return why a test picture cannot be sent from this machine; "" where it can."""
    if shutil.which("gst-inspect-1.0") is None:
        return "no GStreamer here"
    if not has_element("x264enc") and not has_element("openh264enc"):
        return "this machine's GStreamer has neither x264enc nor openh264enc"
    if not has_element("voaacenc") and not has_element("avenc_aac"):
        return "this machine's GStreamer has neither voaacenc nor avenc_aac"
    return "" if has_element("h264parse") and has_element("aacparse") else "no h264parse or aacparse here"
