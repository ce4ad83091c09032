"""A process that has imported pytest and testinfra, and forks for each board's checks: imports cost more than those.

Whoever starts it sends it work: the words of pytest, and four descriptors: the channel to the session, the log, the
folder to be in, and one that tells how it ended. Run as `python -m deploy.verify.warm DESCRIPTOR`. It ends with its
parent, whatever becomes of that: the socket closes.
"""

from __future__ import annotations

import contextlib
import gc
import importlib
import json
import os
import select
import signal
import socket
import sys
import tempfile
import threading
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Self

from deploy.verify.line import CHANNEL_VARIABLE
from recipes import paths, process

_WORDS_BYTES = 1 << 16
ENVIRONMENT = {
    "PYTHONPATH": str(paths.CHECKOUT),
    "PYTHONDONTWRITEBYTECODE": "1",
    "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1",
}
"""What pytest runs with, besides what every child of ours gets."""


@dataclass
class Forked:
    """A run of pytest that was forked: how it ends is read from a socket, which closes with it."""

    _status: socket.socket
    _said: bytes = b""

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        with self._status:
            self._end()

    def wait(self, seconds: float) -> int:
        """Return its exit code, -1 where something ended it; raises TimeoutError where it runs on after `seconds`."""
        end = time.monotonic() + seconds
        while True:
            if not select.select([self._status], [], [], max(0.0, end - time.monotonic()))[0]:
                raise TimeoutError(f"the program did not end within {seconds:g} s")
            part = self._status.recv(64)
            if not part:
                _, _, code = self._said.partition(b" ")
                return int(code) if code else -1
            self._said += part

    def _end(self) -> None:
        """End it where it still runs."""
        with contextlib.suppress(TimeoutError):
            self.wait(0)
            return
        pid, blank, code = self._said.partition(b" ")
        if blank and not code:
            with contextlib.suppress(ProcessLookupError):
                os.kill(int(pid), signal.SIGKILL)


@dataclass
class Template:
    """The process that forks, as its parent sees it."""

    _control: socket.socket
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def fork(self, words: Sequence[str], cwd: Path, log: IO[bytes], channel: socket.socket) -> Forked | None:
        """Run pytest with these words, until the block of what is returned ends; None where the template is gone."""
        ours, theirs = socket.socketpair()
        folder = os.open(cwd, os.O_RDONLY | os.O_DIRECTORY)
        try:
            descriptors = [channel.fileno(), log.fileno(), folder, theirs.fileno()]
            with self._lock:
                socket.send_fds(self._control, [json.dumps(list(words)).encode()], descriptors)
        except OSError:
            ours.close()
            return None
        finally:
            os.close(folder)
            theirs.close()
        return Forked(ours)


_READY: list[Template] = []


@contextlib.contextmanager
def ready() -> Iterator[None]:
    """Have a template for all checks that run within the block; it starts at once, beside whatever comes first."""
    if _READY:
        yield
        return
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    with ours, theirs, tempfile.TemporaryFile() as log:
        argv = [sys.executable, "-m", "deploy.verify.warm", str(theirs.fileno())]
        with process.child(argv, cwd=Path("/"), env=ENVIRONMENT, output=log, descriptor=theirs.fileno()):
            theirs.close()
            _READY.append(Template(ours))
            try:
                yield
            finally:
                _READY.clear()


def template() -> Template | None:
    """Return the template of the block that we are in; None where there is none."""
    return _READY[0] if _READY else None


def _serve(control: socket.socket) -> None:
    """Fork for each piece of work until the parent closes its end."""
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)  # nobody waits: the kernel takes them away
    while True:
        data, descriptors, _, _ = socket.recv_fds(control, _WORDS_BYTES, 4)
        if not data:
            return
        if os.fork() == 0:
            control.close()
            _run(json.loads(data), *descriptors)
        for descriptor in descriptors:
            os.close(descriptor)


def _run(words: list[str], channel: int, log: int, folder: int, told: int) -> None:
    """Run pytest in this process, which is a fork, and end it."""
    import pytest

    code, status = 3, socket.socket(fileno=told)  # 3 is pytest's own for an internal error
    try:
        status.sendall(b"%d " % os.getpid())
        signal.signal(signal.SIGCHLD, signal.SIG_DFL)
        os.fchdir(folder)
        os.close(folder)
        for number in (1, 2):
            os.dup2(log, number)
        os.close(log)
        os.environ[CHANNEL_VARIABLE] = str(channel)
        code = int(pytest.main(words))
        sys.stdout.flush()
        sys.stderr.flush()
    finally:
        status.sendall(b"%d" % code)
        os._exit(code)


def main() -> None:
    """Import what every run needs, then serve."""
    from _pytest.config import default_plugins

    control = socket.socket(fileno=int(sys.argv[1]))
    ours = ("deploy.verify.plugin", "testinfra.modules.file", "recipes.rootfs.origin", "recipes.console")
    for name in (*(f"_pytest.{plugin}" for plugin in default_plugins), *ours):
        importlib.import_module(name)
    gc.freeze()
    _serve(control)


if __name__ == "__main__":
    main()
