"""A board that is a folder of this machine: the scripts run for real, without a network and an engine."""

from __future__ import annotations

import math
import platform
import shlex
import shutil
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

    def __init__(self, shell: Sequence[str] = ("sh",)) -> None:
        self.shell = shell
        self.traffic = Traffic()
        self.deadline = math.inf
        self.asked: list[tuple[str, ...]] = []
        self.scripts: list[str] = []

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
        self.scripts.append(script)
        self.traffic.round_trips += 1
        self.traffic.sent += len(data)
        argv = [*self.shell, "-c", script, "boardcast", *arguments]
        done = subprocess.run(argv, input=data, capture_output=True, check=False)
        return done.returncode, done.stdout, done.stderr


class ConnectedSession(LocalSession):
    """Runs each script below a process of its own that is called `sshd`, as one connection to a board does."""

    def __init__(self, folder: Path) -> None:
        super().__init__()
        folder.mkdir(parents=True)
        self._folder = folder
        shutil.copy("/bin/sh", folder / "sshd")
        loop = 'while read -r number; do eval "set -- $(cat arguments)"; '
        loop += 'sh -c "$(cat script)" boardcast "$@" <in >out 2>err; echo $?; done'
        argv = [str(folder / "sshd"), "-c", loop]
        self.process = subprocess.Popen(argv, cwd=folder, stdin=subprocess.PIPE, stdout=subprocess.PIPE)

    def _run(self, script: str, arguments: Sequence[str], stdin: Iterable[bytes]) -> tuple[int, bytes, bytes]:
        self.traffic.round_trips += 1
        (self._folder / "script").write_text(script)
        (self._folder / "arguments").write_text(shlex.join(arguments))
        (self._folder / "in").write_bytes(b"".join(stdin))
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        self.process.stdin.write(b"1\n")
        self.process.stdin.flush()
        code = int(self.process.stdout.readline())
        return code, (self._folder / "out").read_bytes(), (self._folder / "err").read_bytes()

    def cut(self) -> None:
        """End the connection, as a cable that is pulled does."""
        self.process.kill()
        self.process.communicate()


def own_libc() -> tuple[Path, Path]:
    """Return this machine's C library and its loader, as the running Python has them."""
    maps = Path("/proc/self/maps").read_text().splitlines()
    libc = next(Path(line.split()[-1]) for line in maps if line.endswith("/libc.so.6"))
    loader = elf.read(libc).needed[0]
    return libc, next(Path(line.split()[-1]) for line in maps if line.endswith(f"/{loader}"))
