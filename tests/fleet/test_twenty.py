"""Twenty boards of their own: half of them reached, the rollout cut by hand, gone on with, and all in one page."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from deploy.bundle.load import Bundle
from recipes import paths
from recipes.engine.docker import Engine
from tests.support.fleetboards import small_fleet
from tests.support.simrelease import FLASH, shell

pytestmark = [pytest.mark.engine, pytest.mark.sim, pytest.mark.slow]
BOARDS, AT_ONCE = 20, 4


def invoke(*words: str) -> subprocess.CompletedProcess[str]:
    argv = [sys.executable, "-m", "invoke", *words]
    environment = {**os.environ, "PYTHONPATH": str(paths.CHECKOUT)}
    return subprocess.run(argv, cwd=paths.CHECKOUT, env=environment, capture_output=True, text=True, check=False)


def test_twenty_boards_half_cut_and_gone_on_with(tiny_bundle: Bundle, engine: Engine, tmp_path: Path) -> None:
    words = ["deploy", "--group", "cameras", "--fast", "--parallel", str(AT_ONCE)]
    with small_fleet(tmp_path / "boards", engine, BOARDS, prefix="many") as names:
        argv = [sys.executable, "-m", "invoke", *words, "--bundle", str(tiny_bundle.path), "--json"]
        environment = {**os.environ, "PYTHONPATH": str(paths.CHECKOUT)}
        begun, first = time.monotonic(), list[str]()
        with subprocess.Popen(
            argv, cwd=paths.CHECKOUT, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
        ) as process:
            assert process.stdout is not None
            assert process.stderr is not None
            for line in process.stdout:
                first.append(line)
                if len(first) == BOARDS // 2:
                    process.send_signal(signal.SIGINT)
            said = process.stderr.read()
            assert process.wait(120) == 130
        cut = time.monotonic() - begun
        assert "Traceback" not in said
        assert "--group cameras --fast --resume" in said
        done = {json.loads(line)["host"] for line in first}
        assert BOARDS // 2 <= len(done) <= BOARDS // 2 + AT_ONCE, "who was at work came to an end, nobody was begun"
        running = {host: shell(host, f"readlink {FLASH}/current 2>/dev/null; true").strip() for host in names}
        assert {host for host, link in running.items() if link} == done, "a board was left between two releases"

        begun = time.monotonic()
        resumed = invoke(*words, "--resume", "--json")
        assert resumed.returncode == 0, resumed.stderr
        second = {json.loads(line)["host"] for line in resumed.stdout.splitlines()}
        assert second == set(names) - done, "those that were still to come, and no others"
        went_on = time.monotonic() - begun

        page = tmp_path / "fleet.html"
        told = invoke("status", "--group", "cameras", "--html", str(page), "--json")
        assert told.returncode == 0, told.stderr
        views = json.loads(told.stdout)
        assert {(view["release"], view["verified"], view["state"]) for view in views} == {(tiny_bundle.id, True, "ok")}
        assert not [view for view in views if view["drift"]]
        text = page.read_text()
        assert len(re.findall(r'<tr class="is-ok">', text)) == BOARDS
        assert f"<b>{BOARDS}</b>as they should be" in text
        figures = (
            f"{len(done)} of {BOARDS} boards within {cut:.0f} s, then cut; the other {len(second)} in {went_on:.0f} s"
        )
        print(f"{figures}; one page of {len(text):,} bytes")
