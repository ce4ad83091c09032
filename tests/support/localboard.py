"""A board that is a folder of this machine: the scripts run for real, without a network and an engine."""

from __future__ import annotations

import platform
import subprocess
from collections.abc import Iterable, Sequence
from pathlib import Path

from deploy.boards.session import TEXT_BYTES, Reply, Traffic
from recipes import elf
from recipes.arch import ARCHES

ARCH = next((arch for arch in ARCHES.values() if platform.machine() in arch.machine), ARCHES["x86_64"])
"""This machine's."""


class LocalSession:
    """Runs each script with this machine's `sh`, as a board's SSH server would, and writes down its arguments."""

    def __init__(self) -> None:
        self.traffic = Traffic()
        self.asked: list[tuple[str, ...]] = []

    def run(
        self, script: str, arguments: Sequence[str] = (), stdin: Iterable[bytes] = (), *, most: int = TEXT_BYTES
    ) -> Reply:
        code, out, err = self._run(script, arguments, stdin)
        return Reply(code=code, out=out.decode(), err=err.decode())

    def fetch(self, script: str, arguments: Sequence[str] = (), stdin: Iterable[bytes] = (), *, most: int) -> bytes:
        code, out, err = self._run(script, arguments, stdin)
        assert code == 0, err.decode()
        assert len(out) <= most
        return out

    def _run(self, script: str, arguments: Sequence[str], stdin: Iterable[bytes]) -> tuple[int, bytes, bytes]:
        data = b"".join(stdin)
        self.asked.append(tuple(arguments))
        self.traffic.round_trips += 1
        self.traffic.sent += len(data)
        argv = ["sh", "-c", script, "boardcast", *arguments]
        done = subprocess.run(argv, input=data, capture_output=True, check=False)
        return done.returncode, done.stdout, done.stderr


def own_libc() -> tuple[Path, Path]:
    """Return this machine's C library and its loader, as the running Python has them."""
    maps = Path("/proc/self/maps").read_text().splitlines()
    libc = next(Path(line.split()[-1]) for line in maps if line.endswith("/libc.so.6"))
    loader = elf.read(libc).needed[0]
    return libc, next(Path(line.split()[-1]) for line in maps if line.endswith(f"/{loader}"))
