"""What a drill runs on a board: whatever it changes is put back, by its own timer, a signal, or whoever asks."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Self

import pytest

from deploy.drills.scripts import BOOT, CAMERA, CUT, DETACH, KILL, PEER, STANDSTILL, UNDO
from tests.support.leaking import put_in
from tests.support.localboard import LocalSession

pytestmark = pytest.mark.process
PEER_ADDRESS, SERVICE = "10.9.0.1", "10.9.0.7"
_TOOLS = ("sh", "sed", "sleep", "cat", "mv", "rm", "mkdir", "id", "sort", "kill", "netstat", "ss", "ip")


def until(reached: Callable[[], bool], seconds: float = 60) -> None:
    deadline = time.monotonic() + seconds
    while not reached() and time.monotonic() < deadline:
        time.sleep(0.05)
    assert reached()


class Network:
    """A network of its own with an address, in which this user is root; what is cut in it is cut nowhere else."""

    def __init__(self, folder: Path, tools: Path | None) -> None:
        self.folder, self.script = folder / "drill", folder / "cut"
        self.script.write_text(CUT)
        self.way = "routes" if tools else "iptables"
        path = str(tools) if tools else os.environ["PATH"]
        self.environment = {"PATH": path}
        unshare, sh = shutil.which("unshare") or "", shutil.which("sh") or "sh"
        setup = "ip link set lo up; ip addr add 10.9.0.2/24 dev lo; echo up; exec sleep 600"
        argv = [unshare, "-rn", sh, "-c", setup]
        self.world = subprocess.Popen(argv, env=self.environment, stdout=subprocess.PIPE)
        assert self.world.stdout is not None
        if self.world.stdout.readline() != b"up\n":
            self.close()
            pytest.skip("this machine lets nobody have a network of his own")

    def close(self) -> None:
        self.world.kill()
        self.world.communicate()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def argv(self, *words: str) -> list[str]:
        enter = shutil.which("nsenter") or ""
        return [enter, "--preserve-credentials", "-U", "-n", "-t", str(self.world.pid), *words]

    def start(self, seconds: int) -> subprocess.Popen[bytes]:
        words = ["sh", str(self.script), "hold", str(self.folder), str(seconds), PEER_ADDRESS, "22", SERVICE]
        quiet = subprocess.DEVNULL
        argv = self.argv(*words)
        child = subprocess.Popen(argv, env=self.environment, stdout=quiet, stderr=quiet, start_new_session=True)
        until(lambda: (self.folder / "said").exists() or child.poll() is not None)
        return child

    def undo(self) -> None:
        words = ["sh", str(self.script), "undo", str(self.folder), "0"]
        subprocess.run(self.argv(*words), env=self.environment, check=True)

    def state(self) -> str:
        """Return routes and rules, as they are."""
        ways = "ip route show table main; ip -6 route; iptables -S 2>/dev/null; ip6tables -S 2>/dev/null"
        done = subprocess.run(self.argv("sh", "-c", ways), env=self.environment, capture_output=True, check=False)
        return done.stdout.decode()

    def reaches(self, address: str) -> bool:
        argv = self.argv("ip", "route", "get", address)
        return subprocess.run(argv, env=self.environment, capture_output=True, check=False).returncode == 0


def few_tools(folder: Path) -> Path:
    """Return a folder with what a small board has: neither nft nor iptables."""
    folder.mkdir()
    for name in _TOOLS:
        if found := shutil.which(name):
            (folder / name).symlink_to(found)
    return folder


@pytest.fixture(params=["routes", "iptables"])
def network(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Network]:
    tools = few_tools(tmp_path / "bin") if request.param == "routes" else None
    if tools is None and shutil.which("iptables") is None:
        pytest.skip("this machine has no iptables")
    with Network(tmp_path, tools) as made:
        yield made


@pytest.mark.parametrize("end", ["timer", "signal", "asked", "killed"])
def test_a_network_is_cut_and_put_back_however_it_ends(network: Network, end: str) -> None:
    before = network.state()
    assert network.reaches(SERVICE)
    child = network.start(1 if end == "timer" else 600)
    said = (network.folder / "said").read_text().split() if (network.folder / "said").exists() else []
    if end != "timer":
        if said != ["begun", network.way]:
            pytest.skip(f"this kernel has another way: {said}")
        assert network.state() != before
        if network.way == "routes":
            assert not network.reaches(SERVICE)
            assert not network.reaches("192.0.2.1")
            assert network.reaches(PEER_ADDRESS), "who watches is shut out"
    if end == "signal":
        child.send_signal(signal.SIGTERM)
    elif end == "asked":
        network.undo()
    elif end == "killed":
        os.killpg(child.pid, signal.SIGKILL)
        child.wait(60)
        assert network.state() != before
        network.undo()
    child.wait(60)
    assert network.state() == before
    assert network.reaches(SERVICE)
    assert not network.folder.exists()


def test_a_service_where_the_session_comes_from_cannot_be_told_apart_by_routes(tmp_path: Path) -> None:
    with Network(tmp_path, few_tools(tmp_path / "bin")) as network:
        words = ["sh", str(network.script), "hold", str(network.folder), "5", SERVICE, "22", SERVICE]
        before = network.state()
        done = subprocess.run(network.argv(*words), env=network.environment, capture_output=True, check=False)
        assert done.returncode == 3
        assert b"cannot tell the two apart" in done.stdout
        assert network.state() == before


def stands_still(pid: int) -> bool:
    return Path(f"/proc/{pid}/stat").read_text().rpartition(") ")[2][0] == "T"


@pytest.fixture
def program() -> Iterator[int]:
    with subprocess.Popen([sys.executable, "-c", "import time\nwhile True: time.sleep(0.01)"]) as child:
        yield child.pid
        child.kill()


def born(pid: int) -> str:
    out = LocalSession().run(PEER, [str(pid)]).out.splitlines()
    return next(line.split()[2] for line in out if line.startswith(f"born {pid} "))


@pytest.mark.parametrize("early", [False, True])
def test_a_program_stands_still_and_goes_on_by_the_boards_own_timer(tmp_path: Path, program: int, early: bool) -> None:
    folder, session = str(tmp_path / "drill"), LocalSession()
    seconds = "600" if early else "1"
    words = [folder, "hold", folder, seconds, f"{program}:{born(program)}"]
    reply = session.run(DETACH, words, [STANDSTILL.encode()])
    assert reply.out == "begun 1\n"
    if early:
        assert stands_still(program)
        session.run(UNDO, [folder])
    until(lambda: not stands_still(program))
    until(lambda: not Path(folder).exists())


def test_another_process_of_that_number_is_left_alone(tmp_path: Path, program: int) -> None:
    folder = str(tmp_path / "drill")
    words = [folder, "hold", folder, "600", f"{program}:{int(born(program)) + 500}"]
    reply = LocalSession().run(DETACH, words, [STANDSTILL.encode()])
    assert reply.out.startswith("cannot process")
    assert not stands_still(program)


class Sysfs:
    """The part of sysfs that has a camera: on USB, or of a driver that can let go of it."""

    def __init__(self, top: Path, kind: str) -> None:
        self.top = top
        self.device = top / "devices" / "bus" / "1-1" / "1-1:1.0"
        (self.device / "video4linux" / "video0").mkdir(parents=True)
        (top / "class" / "video4linux").mkdir(parents=True)
        (top / "class" / "video4linux" / "video0").symlink_to(self.device / "video4linux" / "video0")
        (self.device / "video4linux" / "video0" / "device").symlink_to(self.device)
        driver = top / "bus" / "drivers" / "cam"
        driver.mkdir(parents=True)
        (self.device / "driver").symlink_to(driver)
        self.files = [driver / "unbind", driver / "bind"] if kind == "driver" else []
        if kind == "usb":
            (self.device.parent / "idVendor").write_text("046d\n")
            self.files = [self.device.parent / "authorized"]
        for file in self.files:
            file.write_text("")

    def has(self) -> list[str]:
        return [file.read_text().strip() for file in self.files]


@pytest.mark.parametrize(("kind", "away", "back"), [
    ("usb", ["0"], ["1"]),
    ("driver", ["1-1:1.0", ""], ["1-1:1.0", "1-1:1.0"]),
])  # fmt: skip
def test_a_camera_is_taken_away_and_given_back(tmp_path: Path, kind: str, away: list[str], back: list[str]) -> None:
    sysfs, folder = Sysfs(tmp_path / "sys", kind), str(tmp_path / "drill")
    session = LocalSession(as_root())
    words = [folder, "hold", folder, "600", str(sysfs.top), "/dev/video0"]
    assert session.run(DETACH, words, [CAMERA.encode()]).out.startswith("begun ")
    assert sysfs.has() == away
    session.run(UNDO, [folder])
    assert sysfs.has() == back


def test_a_camera_that_nobody_can_take_is_left_as_it_is(tmp_path: Path) -> None:
    sysfs, folder = Sysfs(tmp_path / "sys", "none"), str(tmp_path / "drill")
    words = [folder, "hold", folder, "600", str(sysfs.top), "/dev/video0"]
    reply = LocalSession(as_root()).run(DETACH, words, [CAMERA.encode()])
    assert reply.out == "cannot the driver of /dev/video0 cannot let go of it\n"


def as_root() -> tuple[str, ...]:
    """Return a shell that is root, of its own files at least."""
    if os.getuid() == 0:
        return ("sh",)
    if subprocess.run(["unshare", "-r", "true"], capture_output=True, check=False).returncode:
        pytest.skip("this user cannot be root of anything")
    return ("unshare", "-r", "sh")


def test_the_program_of_a_service_is_killed_and_no_other(tmp_path: Path, program: int) -> None:
    put_in(tmp_path, "front", program)
    put_in(tmp_path, "back", 1)
    reply = LocalSession().run(KILL, [str(tmp_path)], [b"front\nback\nnone\n"])
    assert reply.out.splitlines() == [f"killed front {program}", "none back", "none none"]
    assert os.waitpid(program, 0)[1] == signal.SIGKILL


def test_each_start_of_a_board_has_a_name_of_its_own() -> None:
    first, second = (LocalSession().run(BOOT).out.splitlines()[0] for _ in range(2))
    assert first == second
    assert len(first) > len("boot=.")
