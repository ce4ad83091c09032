"""A service for tests that leaks, or does not, and a folder with what a board has of it."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from deploy.bundle.manifest import ServiceRow

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
