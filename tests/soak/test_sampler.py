"""One sample of a board, by the shells that boards have; what a board answers may be anything."""

from __future__ import annotations

import os
import shutil
import time
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from deploy.soak.sampler import Sample, read_sample, take_sample
from recipes.errors import PreflightError
from tests.support.leaking import HEALTHY, put_in, row, service
from tests.support.localboard import LocalSession

SHELLS = [shell for shell in (("sh",), ("busybox", "sh"), ("dash",), ("bash", "--posix")) if shutil.which(shell[0])]


@pytest.mark.process
@pytest.mark.parametrize("shell", SHELLS, ids=" ".join)
def test_a_service_is_its_program_and_what_that_started(tmp_path: Path, shell: tuple[str, ...]) -> None:
    report = tmp_path / "report.json"
    report.write_text('{"frames": 12, "pid": 99999}')
    parent = "import subprocess, sys; subprocess.run([sys.executable, '-c', 'import time; time.sleep(600)'])"
    with service(tmp_path, parent) as pid:
        session = LocalSession(shell)
        sample = Sample(at=0.0, uptime=None, memory_free=None)
        deadline = time.monotonic() + 60
        while time.monotonic() < deadline:
            sample = take_sample(session, str(tmp_path), [row(status=str(report))], 3.5)
            if len(sample.services["front"].processes) == 2:
                break
    front = sample.services["front"]
    try:
        assert (sample.at, front.state.pid, front.report["frames"]) == (3.5, pid, 12)
        assert front.processes[0].pid == pid
        assert all(one.rss and one.rss > 1000 and one.threads == 1 for one in front.processes)
        assert all(one.descriptors is not None and 3 <= one.descriptors < 40 for one in front.processes)
        assert front.loop is not None
        assert front.loop.pid == os.getpid()
        assert sample.uptime
        assert sample.memory_free
        assert session.traffic.round_trips >= 1
    finally:
        os.kill(front.processes[-1].pid, 9)


@pytest.mark.process
def test_a_service_without_a_process_has_none(tmp_path: Path) -> None:
    put_in(tmp_path, "front", 4_000_000)
    sample = take_sample(LocalSession(), str(tmp_path), [row(), row("back")], 0.0)
    assert sample.services["front"].processes == sample.services["back"].processes == ()
    assert not sample.services["back"].state.installed


@pytest.mark.process
def test_processor_time_is_counted(tmp_path: Path) -> None:
    with service(tmp_path, "while True: pass"):
        session, ticks = LocalSession(), [0]
        deadline = time.monotonic() + 60
        while ticks[-1] < 20 and time.monotonic() < deadline:
            sample = take_sample(session, str(tmp_path), [row()], 0.0)
            ticks.append(sum(one.ticks for one in sample.services["front"].processes))
    assert ticks[-1] >= 20
    assert ticks == sorted(ticks)


class Silent(LocalSession):
    def _run(self, script: str, arguments: object, stdin: object) -> tuple[int, bytes, bytes]:
        return 0, b"\n@nothing board\nuptime=1\n", b""


def test_an_answer_without_an_end_is_an_error() -> None:
    with pytest.raises(PreflightError, match="did not say how it is"):
        take_sample(Silent(), "/opt/boardcast", [row()], 0.0)


ANSWER = """
@m board
uptime=100.5
MemAvailable=5000
zone=45000 90000 thermal_zone0 cpu thermal
zone=-5000 - thermal_zone1 case
zone=hot - thermal_zone2
@m service front
state=running
supervisor=yes
pid=12
@m processes front
loop=11 800 1 5 S 1 11 0 0 -1 0 0 0 0 0 1 2 0 0 20 0 1 0 77 0 0|sh
own=12 9000 4 - S 11 12 0 0 -1 0 0 0 0 0 30 12 0 0 20 0 4 0 99 0 0|a) b (\x1b[31m
own=13 x
@m end
"""


def test_an_answer_is_read() -> None:
    sample = read_sample(ANSWER, "m", 7.0)
    assert (sample.uptime, sample.memory_free) == (100.5, 5000)
    assert [(zone.name, zone.heat, zone.limit) for zone in sample.zones] == [
        ("cpu thermal", 45.0, 90.0),
        ("case", -5.0, None),
    ]
    front = sample.services["front"]
    assert front.loop is not None
    assert (front.loop.ticks, front.loop.born) == (3, 77)
    (own,) = front.processes
    assert (own.rss, own.threads, own.descriptors, own.ticks, own.born) == (9000, 4, None, 42, 99)
    assert "\x1b" not in own.name


@given(st.text(), st.text(), st.text())
def test_whatever_a_board_says_is_read(board: str, service_text: str, processes: str) -> None:
    text = f"\n@m board\n{board}\n@m service front\n{service_text}\n@m processes front\nown={processes}\n@m end\n"
    assert read_sample(text, "m", 0.0).at == 0.0


@pytest.mark.process
def test_nothing_stays_on_the_board(tmp_path: Path) -> None:
    with service(tmp_path, HEALTHY):
        before = sorted(tmp_path.rglob("*"))
        take_sample(LocalSession(), str(tmp_path), [row()], 0.0)
        assert sorted(tmp_path.rglob("*")) == before
