"""Programs that we start: what becomes of them where a person ends us."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from recipes import paths

pytestmark = pytest.mark.process
_SLOW_TO_END = "trap 'sleep 1; echo down > down; exit 3' INT; echo up > up; while :; do sleep 0.1; done"


def test_a_program_on_our_terminal_takes_down_what_it_has_before_we_end(tmp_path: Path) -> None:
    """A Ctrl-C, and a second one of somebody in a hurry, reach it as well as us."""
    code = f"from recipes import process; process.passthrough(['sh', '-c', {_SLOW_TO_END!r}])"
    argv = [sys.executable, "-c", code]
    environment = {**os.environ, "PYTHONPATH": str(paths.CHECKOUT)}
    with subprocess.Popen(
        argv, cwd=tmp_path, env=environment, stderr=subprocess.PIPE, text=True, start_new_session=True
    ) as ours:
        give_up = time.monotonic() + 20
        while not (tmp_path / "up").is_file() and time.monotonic() < give_up:
            time.sleep(0.05)
        os.killpg(ours.pid, signal.SIGINT)
        time.sleep(0.4)
        os.killpg(ours.pid, signal.SIGINT)
        assert ours.communicate(timeout=20)[1].rstrip().endswith("KeyboardInterrupt")
    assert (tmp_path / "down").read_text() == "down\n"
