"""The supervising loop, run by the shells that boards have, with a real program to watch over."""

from __future__ import annotations

import contextlib
import os
import re
import shutil
import signal
import subprocess
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from deploy.services.quoting import environment_file
from deploy.services.service import Credential, Incurable, Service, Stall
from deploy.services.supervise import supervise_script
from deploy.services.systems import Phase, ServiceState, init_system, parse_status

pytestmark = [pytest.mark.process, pytest.mark.engine]
SHELLS = [[path] for name in ("dash", "bash") if (path := shutil.which(name))]
if busybox := shutil.which("busybox"):
    SHELLS.append([busybox, "ash"])
each_shell = pytest.mark.parametrize("shell", SHELLS, ids=lambda shell: Path(shell[-1]).name)


class Board:
    """Folders of a board, and a service in them; its loop is started as an init system would."""

    def __init__(self, folder: Path, camera: Path) -> None:
        self.folder = folder
        for part in ("current/run", "services", "work", "log", "state"):
            (folder / "root" / part).mkdir(parents=True)
        shutil.copy(camera, folder / "root/current/run/cam")
        root = str(folder / "root")
        self.service = Service(
            name="cam",
            description="A camera",
            command=f"{root}/current/run/cam",
            working_folder=f"{root}/work",
            log_file=f"{root}/log/cam",
            state_folder=f"{root}/state",
            int_seconds=1,
            term_seconds=1,
            needs_network=False,
        )
        self.loops: list[subprocess.Popen[bytes]] = []

    def start(self, shell: list[str], *behaviour: str, **values: Any) -> subprocess.Popen[bytes]:
        self.behave(*behaviour)
        self.service = replace(self.service, **values)
        script = Path(self.service.script)
        script.write_bytes(supervise_script(self.service))
        loop = subprocess.Popen([*shell, str(script)], stderr=subprocess.DEVNULL)
        self.loops.append(loop)
        return loop

    def behave(self, *lines: str) -> None:
        (self.folder / "root/work/behave").write_text("".join(f"{line}\n" for line in lines))

    def state(self) -> ServiceState:
        script = init_system("none").status(self.service)
        return parse_status(subprocess.run(["sh", "-c", script], capture_output=True, text=True, check=True).stdout)

    def until(self, what: Callable[[ServiceState], bool], seconds: float = 20) -> ServiceState:
        deadline = time.monotonic() + seconds
        while not what(state := self.state()):
            assert time.monotonic() < deadline, f"{state}\n{self.log()}"
            time.sleep(0.05)
        return state

    def running(self, restarts: int = 0) -> ServiceState:
        """Wait until the program runs, and has come so far as to listen to signals."""
        return self.until(
            lambda state: (
                state.phase is Phase.RUNNING
                and state.restarts >= restarts
                and any(line.startswith(f"start {state.pid} ") for line in self.seen())
            )
        )

    def seen(self) -> list[str]:
        path = self.folder / "root/work/seen"
        return path.read_text().splitlines() if path.exists() else []

    def starts(self) -> int:
        return sum(line.startswith("start ") for line in self.seen())

    def log(self) -> str:
        return "".join(
            path.read_text("utf-8", "replace")
            for path in (Path(f"{self.service.log_file}.1"), Path(self.service.log_file))
            if path.exists()
        )


def alive(pid: int) -> bool:
    with contextlib.suppress(OSError):
        return Path(f"/proc/{pid}/stat").read_text().rpartition(") ")[2][0] != "Z"
    return False


@pytest.fixture
def board(tmp_path: Path, camera: Path) -> Iterator[Board]:
    made = Board(tmp_path / "a board's", camera)
    yield made
    for loop in made.loops:
        if loop.poll() is None:
            loop.terminate()
        with contextlib.suppress(subprocess.TimeoutExpired):
            loop.wait(10)
        loop.kill()
        loop.wait()
    for line in made.seen():
        if line.startswith("start ") and alive(int(line.split()[1])):
            os.kill(int(line.split()[1]), signal.SIGKILL)


@each_shell
def test_a_state_folder_that_takes_no_file_ends_it(board: Board, shell: list[str]) -> None:
    """`[ -w ]` says yes to root on a file system that is read only; /proc is one on every machine."""
    assert board.start(shell, state_folder="/proc/sys/kernel").wait(10) == 70


@each_shell
def test_it_comes_back_and_stops_with_sigint(board: Board, shell: list[str]) -> None:
    loop = board.start(shell)
    os.kill(board.running().pid, signal.SIGKILL)
    again = board.running(restarts=1)
    assert (again.restarts, again.last_exit, again.reason) == (1, 137, "killed by signal 9")
    begun = time.monotonic()
    os.kill(again.pid, signal.SIGSEGV)
    third = board.running(restarts=2)
    assert third.last_exit == 139
    assert time.monotonic() - begun > 1.5, "the second wait is twice the first"
    os.kill(loop.pid, signal.SIGINT)
    assert loop.wait(10) == 0
    assert [line for line in board.seen() if not line.startswith("start")] == ["INT"]
    assert not alive(third.pid)
    stopped = board.state()
    assert (stopped.phase, stopped.reason, stopped.last_exit) == (Phase.STOPPED, "stopped by SIGINT", 0)
    assert re.findall(r"restart (\d) in (\d) s", board.log()) == [("1", "1"), ("2", "2")]
    assert [path.name for path in Path(board.service.state).iterdir()] == ["state"]


@each_shell
@pytest.mark.parametrize("told", [signal.SIGINT, signal.SIGTERM])
def test_a_deaf_program_gets_sigterm_too(board: Board, shell: list[str], told: signal.Signals) -> None:
    loop = board.start(shell, "deaf")
    board.running()
    os.kill(loop.pid, told)
    assert loop.wait(10) == 0
    assert board.seen()[1:] == ["INT", "TERM"], board.log()
    assert "still there: SIGTERM" in board.log()


@each_shell
def test_a_program_that_hangs_is_killed(board: Board, shell: list[str]) -> None:
    loop = board.start(shell)
    pid = board.running().pid
    os.kill(pid, signal.SIGSTOP)
    os.kill(loop.pid, signal.SIGTERM)
    assert loop.wait(15) == 0
    assert not alive(pid)
    assert board.state().last_exit == 137


@each_shell
@pytest.mark.parametrize("after", [0.02, 0.05, 0.1, 0.2])
def test_a_stop_is_never_missed_while_it_starts(board: Board, shell: list[str], after: float) -> None:
    loop = board.start(shell)
    time.sleep(after)
    os.kill(loop.pid, signal.SIGTERM)
    assert loop.wait(10) in {0, -signal.SIGTERM}
    assert not [line for line in board.seen() if line.startswith("start") and alive(int(line.split()[1]))]


@each_shell
def test_what_a_restart_does_not_cure_is_reported_and_tried_again_later(board: Board, shell: list[str]) -> None:
    board.start(shell, "say access denied: 403", "exit 78", retry_seconds=4)
    failed = board.until(lambda state: state.phase is Phase.FAILED)
    assert (failed.last_exit, failed.pid) == (78, 0)
    assert failed.reason == "exit code 78, which a restart does not cure: access denied: 403"
    time.sleep(1.5)
    assert board.starts() == 1
    board.behave()
    board.running(restarts=1)
    assert board.starts() == 2


@each_shell
def test_a_line_of_the_log_may_say_that_a_restart_does_not_cure_it(board: Board, shell: list[str]) -> None:
    rule = Incurable(pattern="0x5200007c|it's \\$PATH", meaning="the stream's type is another")
    board.start(shell, "say status 0x5200007c", "exit 1", incurable_lines=(rule,))
    failed = board.until(lambda state: state.phase is Phase.FAILED)
    assert failed.reason == "the stream's type is another, which a restart does not cure"
    assert board.starts() == 1


@each_shell
def test_an_old_line_does_not_count(board: Board, shell: list[str]) -> None:
    rule = Incurable(pattern="0x5200007c", meaning="type")
    Path(board.service.log_file).write_text("status 0x5200007c\n")
    board.start(shell, "exit 1", incurable_lines=(rule,))
    board.until(lambda state: state.restarts == 2)
    assert board.starts() >= 2


@each_shell
def test_a_program_that_stalls_is_started_again(board: Board, shell: list[str]) -> None:
    board.start(shell, "talk fragment acked", "mute 3", stall=Stall(pattern="frag.*acked$", seconds=4))
    state = board.running(restarts=1)
    assert state.reason == "stalled: its log had nothing like frag.*acked$ for 4 s"
    assert "INT" in board.seen()


@each_shell
def test_a_program_that_talks_runs_on_when_its_log_changes(board: Board, shell: list[str]) -> None:
    words = "fragment acked " + "x" * 900
    board.start(shell, f"talk {words}", stall=Stall(pattern="fragment acked", seconds=4), log_bytes=4096)
    board.running()
    time.sleep(7)
    assert board.state().restarts == 0
    assert Path(f"{board.service.log_file}.1").exists()


@each_shell
def test_no_line_is_lost_when_the_log_changes(board: Board, shell: list[str]) -> None:
    board.start(shell, "flood 5000", "say end", log_bytes=100_000)
    board.running()
    wanted = [f"line {number} of a flood of words" for number in range(5000)]
    deadline = time.monotonic() + 20
    while "\nend\n" not in board.log():
        assert time.monotonic() < deadline, board.log()[-500:]
        time.sleep(0.1)
    assert [line for line in board.log().splitlines() if line.startswith("line ")] == wanted
    old, new = Path(f"{board.service.log_file}.1"), Path(board.service.log_file)
    assert old.read_bytes().endswith(b"\n")
    assert 100_000 <= old.stat().st_size < 170_000
    assert new.stat().st_size < 100_000


@each_shell
def test_logs_stay_within_two_generations(board: Board, shell: list[str]) -> None:
    board.start(shell, "flood 60000", "say end", log_bytes=50_000)
    board.running()
    deadline = time.monotonic() + 30
    while "\nend\n" not in board.log():
        assert time.monotonic() < deadline
        sizes = [path.stat().st_size for path in Path(board.service.log_file).parent.iterdir()]
        assert sum(sizes) <= 2 * (50_000 + 65_536 + 4096)
        time.sleep(0.05)
    assert {path.name for path in Path(board.service.log_file).parent.iterdir()} == {"cam", "cam.1"}


@each_shell
def test_a_program_that_a_killed_loop_left_is_stopped_first(board: Board, shell: list[str]) -> None:
    first = board.start(shell)
    orphan = board.running().pid
    first.kill()
    first.wait(10)
    assert alive(orphan)
    dead = board.state()
    assert (dead.phase, dead.reason) == (Phase.FAILED, "nothing watches over it: its supervising loop is gone")
    board.start(shell)
    board.until(lambda state: state.phase is Phase.RUNNING and state.pid != orphan and board.starts() == 2)
    assert not alive(orphan)
    assert [line.split()[0] for line in board.seen()] == ["start", "INT", "start"]


@each_shell
def test_a_second_loop_gives_way(board: Board, shell: list[str]) -> None:
    board.start(shell)
    board.running()
    second = board.start(shell)
    assert second.wait(10) == 0
    assert board.starts() == 1


@each_shell
def test_it_waits_for_the_clock_within_bounds(board: Board, shell: list[str]) -> None:
    board.start(shell, clock_floor=4_000_000_000, patience=3)
    waiting = board.until(lambda state: state.phase is Phase.STARTING)
    assert waiting.reason == "waits for clock past 4000000000"
    board.running()
    assert "no clock past 4000000000 within 3 s: starting without" in board.log()


@each_shell
def test_a_stop_does_not_wait_for_the_end_of_a_wait(board: Board, shell: list[str]) -> None:
    loop = board.start(shell, "exit 78")
    board.until(lambda state: state.phase is Phase.FAILED)
    begun = time.monotonic()
    os.kill(loop.pid, signal.SIGTERM)
    assert loop.wait(5) == 0
    assert time.monotonic() - begun < 2


@each_shell
def test_variables_and_credentials_reach_the_program(board: Board, shell: list[str], tmp_path: Path) -> None:
    secret, file = tmp_path / "it's a key", tmp_path / "camera's $env"
    secret.write_text("key")
    values = {
        "KVS": "a 'b' \"c\" \\d $e `f` \\\\ é%s",
        "EMPTY": "",
        "AWS_DEFAULT_REGION": "eu-west-1",
        "https_proxy": "x",
    }
    rest = b"# a comment\n\n; another\nnot a line\nPLAIN=$(reboot) b\nX='a\"'\nname=other\nlog=/dev/null\n"
    file.write_bytes(rest + environment_file(values))
    given = (Credential(name="aws", path=str(secret)),)
    board.start(shell, environment_file=str(file), credentials=given)
    os.kill(board.running().pid, signal.SIGKILL)
    board.running(restarts=1)
    text = (board.folder / "root/work/environment").read_text()
    got = dict(line.split("=", 1) for line in text.split("\0") if line)
    assert {name: got[name] for name in values} == values
    assert (got["PLAIN"], got["X"], got["name"]) == ("$(reboot) b", 'a"', "other")
    assert Path(got["CREDENTIALS_DIRECTORY"], "aws").read_text() == "key"
    assert board.log().count("cam: started") == 2, "the loop's own variables are its own"


@each_shell
def test_a_file_of_variables_that_is_missing_is_said(board: Board, shell: list[str], tmp_path: Path) -> None:
    board.start(shell, environment_file=str(tmp_path / "none"))
    failed = board.until(lambda state: state.phase is Phase.FAILED)
    assert failed.reason.endswith(f"cannot read {tmp_path}/none")


@each_shell
def test_a_working_folder_is_emptied_when_it_grows(board: Board, shell: list[str]) -> None:
    work = board.folder / "root/work"
    (work / ".cache").write_bytes(bytes(300_000))
    (work / "deep").mkdir()
    board.start(shell, working_kib=200)
    board.running()
    assert not (work / ".cache").exists()
    assert (work / "deep").is_dir()
    assert f"more than 200 KiB in {work}" in board.log()


def test_the_loop_costs_next_to_nothing(board: Board) -> None:
    """At most 0.5 % of a core and 2 MB, with a stall rule and a line every fifth of a second."""
    loop = board.start(SHELLS[0], "talk fragment acked", stall=Stall(pattern="acked", seconds=8))
    program = board.running().pid
    time.sleep(1)
    before, seconds = cpu(loop.pid, program), 10
    time.sleep(seconds)
    spent = (cpu(loop.pid, program) - before) / seconds
    assert spent <= 0.005, f"{100 * spent:.2f} % of a core"
    kib = sum(pss(pid) for pid in family(loop.pid) - {program})
    assert 0 < kib <= 2000, f"{kib} KiB"


def family(pid: int) -> set[int]:
    children = Path(f"/proc/{pid}/task/{pid}/children")
    told = children.read_text().split() if children.exists() else []
    return {pid}.union(*(family(int(child)) for child in told))


def cpu(loop: int, program: int) -> float:
    """Return seconds that a loop and its children used, those among them that have ended too."""
    ticks = 0
    for pid in family(loop) - {program}:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(") ")[2].split()
        ticks += sum(map(int, fields[11:15]))
    return ticks / os.sysconf("SC_CLK_TCK")


def pss(pid: int) -> int:
    """Return KiB of memory that a process uses, its share of what it shares among them; 0 where it has ended."""
    with contextlib.suppress(OSError):
        found = re.search(r"^Pss:\s+(\d+)", Path(f"/proc/{pid}/smaps_rollup").read_text(), re.MULTILINE)
        return int(found[1]) if found else 0
    return 0
