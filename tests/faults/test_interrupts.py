"""P-35: Ctrl-C at random moments of a deploy leaves nothing behind, here or on the board."""

from __future__ import annotations

import os
import pty
import random
import select
import signal
import subprocess
import sys
import termios
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from deploy.boards.inventory import SimState, host_target
from deploy.boards.session import connect
from deploy.bundle.load import Bundle
from recipes import paths
from recipes.engine.connection import owner_is_gone
from recipes.engine.docker import OWNER_LABEL, Engine
from tests.support.simboard import rounds
from tests.support.simrelease import FLASH, shell, variant

pytestmark = [pytest.mark.engine, pytest.mark.sim]
HOST = "sim-tiny"


class Terminal:
    """A command in a terminal of its own, as a person has one."""

    def __init__(self, words: list[str], temporary: Path) -> None:
        self.ours, theirs = pty.openpty()
        self.before = termios.tcgetattr(theirs)
        self.theirs = theirs
        self.said = b""
        environment = {**os.environ, "TMPDIR": str(temporary), "TERM": "xterm"}
        self.process = subprocess.Popen(
            [sys.executable, "-m", "invoke", *words],
            cwd=paths.CHECKOUT,
            env=environment,
            stdin=theirs,
            stdout=theirs,
            stderr=theirs,
            start_new_session=True,
        )

    def read(self, seconds: float) -> None:
        """Take what it prints, for a time or until it ended."""
        until = time.monotonic() + seconds
        while (left := until - time.monotonic()) > 0 and self.process.poll() is None:
            if select.select([self.ours], [], [], min(left, 0.05))[0]:
                self.said += os.read(self.ours, 65536)

    def interrupt(self) -> None:
        """Do what the terminal does at Ctrl-C: every process of the foreground gets the signal."""
        os.killpg(self.process.pid, signal.SIGINT)

    def restored(self) -> bool:
        """Tell whether the terminal is as it was: its modes, and a cursor that is seen."""
        while select.select([self.ours], [], [], 0)[0]:
            self.said += os.read(self.ours, 65536)
        hidden, shown = self.said.rfind(b"\x1b[?25l"), self.said.rfind(b"\x1b[?25h")
        return bool(termios.tcgetattr(self.theirs) == self.before) and hidden <= shown

    def close(self) -> None:
        os.close(self.ours)
        os.close(self.theirs)


def containers(engine: Engine) -> set[str]:
    """Return the containers that have an owner, each with that."""
    listed = engine.services._client.containers.list(all=True, filters={"label": OWNER_LABEL}, ignore_removed=True)
    return {f"{container.id} {container.labels[OWNER_LABEL]}" for container in listed}


def left_over(session: int) -> list[str]:
    """Return the processes that are still in a session."""
    found = subprocess.run(["ps", "-o", "pid=,args=", "-s", str(session)], capture_output=True, text=True, check=False)
    return found.stdout.splitlines()


def test_ctrl_c_at_any_moment_leaves_nothing_behind(
    tiny: SimState,
    tiny_bundle: Bundle,
    engine: Engine,
    dice: random.Random,
    figure: Callable[[str], None],
    tmp_path: Path,
) -> None:
    one, two = variant(tiny_bundle, "one"), variant(tiny_bundle, "two")
    temporary = tmp_path / "tmp"
    temporary.mkdir()
    before = containers(engine)
    shell(HOST, f"rm -rf {FLASH}")

    def start(bundle: Bundle) -> Terminal:
        return Terminal(["deploy", "--host", HOST, "--bundle", bundle.id], temporary)

    begun = time.monotonic()
    whole = start(one)
    whole.read(120)
    assert whole.process.wait(5) == 0, whole.said.decode(errors="replace")
    whole.close()
    usual = time.monotonic() - begun
    interrupted = finished = 0
    tries = rounds(2, 100)
    for number in range(tries):
        target, moment = (two, one)[number % 2], dice.uniform(0.05, usual * 1.05)
        run = start(target)
        run.read(moment)
        ended = run.process.poll() is not None
        if not ended:
            run.interrupt()
        run.read(90)
        code = run.process.wait(10)
        said = run.said.decode(errors="replace")
        where = f"try {number}, after {moment:.2f} of {usual:.2f} s: {said[-600:]}"
        # The signal may come when all is said already, or before Python is so far as to have a handler.
        assert code in ({0} if ended else {0, 130, 1, -signal.SIGINT}), f"exit {code}, {where}"
        assert "Traceback" not in said or moment < 1.5, where
        assert run.restored(), where
        deadline = time.monotonic() + 5
        while (processes := left_over(run.process.pid)) and time.monotonic() < deadline:
            time.sleep(0.1)
        assert not processes, f"{processes}, {where}"
        run.close()
        assert not list(temporary.iterdir()), where
        interrupted, finished = interrupted + (code != 0), finished + (code == 0)
        with connect(host_target(HOST)) as session:
            current = session.run(f"readlink {FLASH}/current").out.strip().rpartition("/")[2]
            damaged = session.run(f"cd {FLASH}/current && sed 's/^\\([0-9a-f]*\\)[.x]* /\\1  /' .list | sha256sum -c")
        assert current in (one.id, two.id), where
        assert damaged.code == 0, where
    orphans = [container for container in containers(engine) - before if owner_is_gone(container.rpartition(" ")[2])]
    assert not orphans
    figure(
        f"{tries} Ctrl-C ({interrupted} ended by it, {finished} had finished): 0 processes, 0 containers, 0 files in "
        "TMPDIR left, the terminal as it was, a whole release each time"
    )
