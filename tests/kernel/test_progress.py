"""How far work is: nothing on short steps, a line now and then on long ones, and one that changes on a terminal."""

from __future__ import annotations

import io
import os
import pty
import re
import subprocess
import sys
import threading
import time
from typing import Any

import pytest

from recipes import paths, process, progress
from recipes.builder.diagnosis import CallLog
from recipes.engine.docker import pull_total

STEPS = """
import threading, time
from recipes import progress
progress.QUIET_SECONDS = 0.1
def work(name):
    with progress.timed(name) as step:
        step.at("compile")
        step.reached(0.5)
        time.sleep(0.6)
threads = [threading.Thread(target=work, args=(name * 30,)) for name in ("curl", "lws")]
for thread in threads: thread.start()
for thread in threads: thread.join()
print("the result")
"""


@pytest.fixture
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(progress, "QUIET_SECONDS", 0.1)
    monkeypatch.setattr(progress, "HEARTBEAT_SECONDS", 0.2)


def test_a_step_that_takes_long_says_how_far_it_is(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(progress, "QUIET_SECONDS", 0.1)
    monkeypatch.setattr(progress, "HEARTBEAT_SECONDS", 0.1)
    moved = [0]
    with progress.progress("cam01: sending", lambda: moved[0], total=4 << 20):
        time.sleep(0.15)
        moved[0] = 1 << 20
        with progress.progress("cam01: within"):
            time.sleep(0.3)
    lines = capsys.readouterr().err.splitlines()
    assert lines[0].endswith("cam01: sending: 0 s so far")
    assert re.search(r"cam01: sending: 1\.0 MiB of 4\.0 MiB, [\d.]+ [KM]iB/s, \d+ s left$", lines[1])
    assert re.search(r"cam01: sending: done in 0\.\d s, 1\.0 MiB$", lines[-1])
    assert not [line for line in lines if "within" in line], "the outer step tells more"


@pytest.mark.parametrize(("moved", "bar"), [(1, "[#####...............] 25%"), (9, "[####################] 100%")])
def test_a_terminal_gets_a_bar(moved: int, bar: str) -> None:
    step = progress.Step(what="sending", moved=lambda: moved << 20, total=4 << 20)
    assert step.line(bar=True).startswith(f"sending: {bar}, {moved}.0 MiB of 4.0 MiB, ")
    assert "[" not in step.line()
    assert "[" not in progress.Step(what="sending", moved=lambda: 1).line(bar=True), "nobody knows how much there is"


def test_a_short_step_says_nothing_and_a_failed_one_is_not_done(capsys: pytest.CaptureFixture[str]) -> None:
    with progress.progress("short"):
        pass
    with pytest.raises(ValueError, match="broken"), progress.progress("broken"):
        raise ValueError("broken")
    assert capsys.readouterr().err == ""
    with progress.progress("again"):
        pass


@pytest.mark.usefixtures("quick")
def test_a_step_that_was_announced_beats_until_it_is_done(capsys: pytest.CaptureFixture[str]) -> None:
    with progress.timed("sysroot debian12"):
        time.sleep(0.7)
    lines = [line.partition("] ")[2] for line in capsys.readouterr().err.splitlines()]
    assert lines[0] == "sysroot debian12 …"
    assert re.fullmatch(r"sysroot debian12: done in 0\.\d s", lines[-1])
    assert 2 <= len(lines[1:-1]) <= 4
    assert set(lines[1:-1]) <= {"sysroot debian12: 0 s so far", "sysroot debian12: 1 s so far"}


@pytest.mark.usefixtures("quick")
def test_what_counted_may_be_closed_and_the_line_goes_on(capsys: pytest.CaptureFixture[str]) -> None:
    counted = io.BytesIO(b"x")
    with progress.timed("image x") as step:
        step.at("into the engine", moved=counted.tell, total=1)
        counted.close()
        time.sleep(0.5)
    assert "image x: into the engine, 0 s so far" in capsys.readouterr().err


@pytest.mark.usefixtures("quick")
def test_steps_of_several_threads_share_a_line(capsys: pytest.CaptureFixture[str]) -> None:
    def work(name: str) -> None:
        with progress.timed(name) as step:
            step.at("compile")
            step.reached(0.5)
            time.sleep(0.5)

    threads = [threading.Thread(target=work, args=(name,)) for name in ("curl", "lws")]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    shared = [line for line in capsys.readouterr().err.splitlines() if "; " in line]
    assert shared
    assert all(re.search(r"\w+: compile, 50%, 0 s left; \w+: compile, 50%, 0 s left$", line) for line in shared)


@pytest.mark.usefixtures("quick")
def test_a_command_that_says_nothing_is_at_work_and_one_that_does_is_not_doubled(
    capsys: pytest.CaptureFixture[str],
) -> None:
    with progress.at_work():
        time.sleep(0.35)
        with progress.progress("bringing 3 files"):
            time.sleep(0.5)
        with progress.quiet():
            time.sleep(0.5)
            print("? ", file=sys.stderr)
    lines = [line.partition("] ")[2] for line in capsys.readouterr().err.splitlines()]
    named = [at for at, line in enumerate(lines) if line.startswith("bringing")]
    assert lines[0] == "at work: 0 s so far"
    assert named == list(range(named[0], named[-1] + 1)), "while a step runs, it alone is told"
    assert lines[-2:] == [lines[named[-1]], ""], "nothing comes between a question and its answer"


@pytest.mark.process
@pytest.mark.usefixtures("quick")
def test_a_program_of_the_users_own_has_the_terminal_to_itself(capfd: pytest.CaptureFixture[str]) -> None:
    with progress.at_work():
        assert process.passthrough(["sh", "-c", "sleep 0.5; echo its own"]) == 0
    assert capfd.readouterr() == ("its own\n", "")


def test_steps_of_a_host_are_phases_that_somebody_else_shows(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(progress, "QUIET_SECONDS", 0.0)
    with progress.phases_of("cam01") as host:
        assert host.line().startswith("cam01: 0 s")
        with progress.progress("sending", lambda: 512, total=1024) as step:
            step.at("", moved=lambda: 256, total=1024)
            assert "256 B of 1.0 KiB" in host.line()
            with progress.progress("cam01: at work"):
                assert "256 B of 1.0 KiB" in host.line(), "what is within a phase stays silent"
        with progress.progress("checks"):
            assert "checks" in host.line()
    assert capsys.readouterr() == ("", "")
    with progress.progress("said again"):
        pass
    assert "said again: done" in capsys.readouterr().err


@pytest.mark.process
def test_on_a_terminal_one_line_changes_and_is_gone_before_the_result() -> None:
    ours, theirs = pty.openpty()
    argv = [sys.executable, "-c", STEPS]
    with subprocess.Popen(argv, cwd=paths.CHECKOUT, stdin=theirs, stdout=theirs, stderr=theirs) as child:
        os.close(theirs)
        printed = b""
        try:
            while part := os.read(ours, 4096):
                printed += part
        except OSError:
            pass  # how a terminal says that nobody is at its other end
        assert child.wait(20) == 0
    os.close(ours)
    text = printed.decode()
    changing = [part for part in text.split("\r\x1b[K") if "50%" in part or part.endswith("…")]
    assert len([part for part in changing if "\n" not in part]) >= 2
    assert all(len(part) < 80 for part in changing if "\n" not in part), "a line that wraps cannot be wiped"
    assert re.fullmatch(r"\[ *[\d.]+s\] \w+: done in 0\.\d s\r\nthe result\r\n", text.split("\r\x1b[K")[-1])


@pytest.mark.parametrize(
    ("printed", "says"),
    [
        (b"[ 40%] Building C object\n[ 75%] Linking\n", "75%"),
        (b"[30/40] cc -c a.c\n", "75%"),
        (b"[999999/1] odd\n", "100%"),
        (b"[12/0] odd\n", "100%"),
        (b"gcc -c a.c\n  [ 40%] not a line of its own\n", "so far"),
        (b"\x1b[31m[99999%]\xff", "so far"),
    ],
)
def test_a_compilers_log_tells_its_share(printed: bytes, says: str) -> None:
    log = io.BytesIO()
    step = progress.Step(what="producer")
    step.at("build")
    watched = CallLog(log=log, told=step, commands=())
    watched.write(printed)
    watched.close()
    assert log.getvalue() == printed
    assert says in step.line()


def test_a_pull_counts_the_layers_that_come() -> None:
    layers: dict[str, tuple[int, int]] = {}
    events: list[dict[str, Any]] = [
        {"status": "Pulling from library/debian", "id": "x"},
        {"status": "Downloading", "id": "a", "progressDetail": {"current": 10, "total": 100}},
        {"status": "Downloading", "id": "b", "progressDetail": {"current": 5, "total": 50}},
        {"status": "Downloading", "id": "a", "progressDetail": {"current": 90, "total": 100}},
        {"status": "Extracting", "id": "a", "progressDetail": {"current": 1, "total": 100}},
        {"status": "Downloading", "id": "c", "progressDetail": {}},
    ]
    assert [pull_total(layers, event) for event in events] == [0, 100, 150, 150, 150, 150]
    assert sum(came for came, _ in layers.values()) == 95
