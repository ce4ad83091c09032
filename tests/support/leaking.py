"""A service for tests that leaks, or does not, and a folder with what a board has of it."""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from deploy.bundle.manifest import ServiceRow
from deploy.soak.watch import Plan

LEAKING = """
import json, os, sys, time
kept, files = [], []
while True:
    kept.append(bytearray(200_000))
    files.append(open(os.devnull))
    time.sleep(0.05)
"""
HEALTHY = """
import os, time
while True:
    kept, file = bytearray(200_000), open(os.devnull)
    file.close()
    time.sleep(0.05)
"""
STATUS = (
    "echo installed=yes\necho enabled=yes\necho supervisor=yes\necho state=running\necho pid={pid}\necho restarts=0\n"
)


class Steps:
    """A time that goes on by what is waited for alone: a busy machine gives as many samples as a quick one."""

    def __init__(self, real: float = 0.2) -> None:
        self.now, self.real = 1000.0, real

    def time(self) -> float:
        return self.now

    def pause(self, seconds: float) -> None:
        self.now += max(seconds, 0.01)
        time.sleep(self.real)

    def plan(self, seconds: float, interval: float, **given: Any) -> Plan:
        return Plan(seconds=seconds, interval=interval, clock=self.time, pause=self.pause, **given)


def row(name: str = "front", status: str = "") -> ServiceRow:
    return ServiceRow(
        name=name,
        stream=name,
        log="/var/log/x",
        status=status,
        confirmed=False,
    )


def put_in(root: Path, name: str, pid: int) -> None:
    """Make a service of a process: what `applied` has of one."""
    folder = root / "applied" / name
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "status").write_text(STATUS.format(pid=pid))


@contextmanager
def service(root: Path, program: str, name: str = "front") -> Iterator[int]:
    """Run a program as a service; gives its process id."""
    with subprocess.Popen([sys.executable, "-c", program]) as child:
        try:
            put_in(root, name, child.pid)
            yield child.pid
        finally:
            child.kill()
