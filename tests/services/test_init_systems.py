"""Services under real init systems: systemd, BusyBox init and OpenRC, each as process 1 of a container."""

from __future__ import annotations

import json
import random
import time
import uuid
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path, PurePosixPath
from typing import Any

import pytest

from deploy.boards.board import load_board
from deploy.release.scripts import SERVICES
from deploy.services.quoting import environment_file, systemd_argument, systemd_pattern
from deploy.services.service import Credential, Service
from deploy.services.systems import InitSystem, Phase, ServiceState, init_system, parse_status
from deploy.sim.boards import prepare_board
from recipes.arch import ARCHES
from recipes.engine.docker import Engine
from recipes.engine.tarstream import files_tar
from recipes.toolchains.debian_root import ensure_board_root
from tests.services.values import random_text
from tests.support.fakestream import board_of, contents_of, stream

pytestmark = [pytest.mark.process, pytest.mark.engine]
RUN = uuid.uuid4().hex[:6]
NETWORK = f"boardcast-services-{RUN}"
ROOT = "/opt/a  board's $HOME *"
INITTAB = b"::sysinit:/etc/init.d/rcS\n::shutdown:/etc/init.d/rcK\n::respawn:/bin/sleep 86400\n"
RC = b'#!/bin/sh\nfor script in /etc/init.d/S??*; do [ ! -f "$script" ] || "$script" %s; done\n'
MANY = 2_100


@dataclass(frozen=True, slots=True, kw_only=True)
class Machine:
    """How a container with an init system is made."""

    system: str
    packages: tuple[str, ...] = ()
    command: str
    booted: str = "true"
    capabilities: tuple[str, ...] = ()
    user: str = "root"
    groups: tuple[str, ...] = ()


MACHINES = (
    Machine(
        system="systemd",
        packages=("systemd", "systemd-sysv", "procps"),
        # The engine shows the hierarchies of cgroups to read only, and systemd has to write in its own; the folder of
        # credentials that it mounts for a service has to be seen outside the place where it mounts it.
        command="export container=docker; for part in /sys/fs/cgroup/systemd /sys/fs/cgroup; do "
        "mount -o remount,bind,rw $part 2>/dev/null; done; mount --make-rshared /; exec /lib/systemd/systemd",
        booted="systemctl is-system-running | grep -q -e running -e degraded",
        capabilities=("SYS_ADMIN",),
        user="daemon",
        groups=("video", "audio"),
    ),
    Machine(system="sysv", command="exec /bin/busybox init"),
    Machine(
        system="openrc",
        packages=("openrc", "procps"),
        command="sed -i 's/^#*rc_sys=.*/rc_sys=\"docker\"/' /etc/rc.conf; exec /sbin/openrc-init",
        booted="[ -e /run/openrc/softlevel ] && [ ! -e /run/openrc/rc.starting ]",
        user="daemon",
    ),
)


def container_of(system: str) -> str:
    return f"boardcast-services-{RUN}.{system}"


class Board:
    """A container with an init system, and a service on it."""

    def __init__(self, machine: Machine, engine: Engine, camera: bytes) -> None:
        self.machine = machine
        self.engine = engine
        self.name = container_of(machine.system)
        self.system: InitSystem = init_system(machine.system)
        self.service = Service(
            name="cam",
            description='The camera: 100 % "real", for $5',
            command=f"{ROOT}/current/run/cam's",
            working_folder=f"{ROOT}/work/cam",
            log_file="/var/log/cam/log",
            user=machine.user,
            groups=machine.groups,
            int_seconds=2,
            term_seconds=2,
        )
        self._start(camera)

    def _image(self) -> str:
        if not self.machine.packages:
            return prepare_board(load_board("sim-tiny"), self.engine).image
        name, packages = f"services-{self.machine.system}", self.machine.packages
        return ensure_board_root(name, ARCHES["x86_64"], "bookworm", "configure", packages, (), self.engine).image

    def _start(self, camera: bytes) -> None:
        image = self._image()
        self.engine.services.remove(self.name)
        self.engine.services.ensure_network(NETWORK)
        files = {f"{ROOT[1:]}/releases/1/run/cam's": (camera, 0o755)}
        if self.machine.system == "sysv":
            files |= {"etc/inittab": (INITTAB, 0o644), "etc/init.d/rcS": (RC % b"start", 0o755)}
            files |= {"etc/init.d/rcK": (RC % b"stop", 0o755)}
        self.engine.services.start(
            self.name,
            image,
            ["/bin/sh", "-c", self.machine.command],
            network=NETWORK,
            files=files,
            tmpfs={"/run": ""},
            capabilities=self.machine.capabilities,
        )
        self.sh('ln -s releases/1 "$1/current"', ROOT)

    def sh(self, script: str, *words: str, good: bool = True) -> str:
        code, out = self._container().exec_run(["/bin/sh", "-c", script, "sh", *words])
        text = str(out.decode("utf-8", "replace"))
        assert code == 0 or not good, f"{script}\n{text}"
        return text

    def put(self, files: dict[str, tuple[bytes, int]]) -> None:
        self._container().put_archive("/", files_tar({path[1:]: file for path, file in files.items()}))

    def _container(self) -> Any:
        return self.engine.services._client.containers.get(self.name)

    def reboot(self) -> None:
        """Start the container anew: everything that was in memory is gone, and process 1 starts what is enabled."""
        self._container().restart(timeout=15)
        self.booted()

    def booted(self) -> None:
        deadline = time.monotonic() + 40
        while self.sh(f"if {self.machine.booted}; then echo booted; fi", good=False).strip() != "booted":
            assert time.monotonic() < deadline, self.engine.services.log_tail(self.name, 30)
            time.sleep(0.2)

    def install(self, *behaviour: str, **values: Any) -> None:
        self.service = replace(self.service, **values)
        self.put(self.system.files(self.service))
        self.sh(self.system.enable(self.service))
        if behaviour:
            self.behave(*behaviour)
        self.sh(self.system.start(self.service))

    def behave(self, *lines: str) -> None:
        self.put({f"{self.service.working_folder}/behave": ("".join(f"{line}\n" for line in lines).encode(), 0o644)})

    def state(self) -> ServiceState:
        return parse_status(self.sh(self.system.status(self.service)))

    def until(self, what: Callable[[ServiceState], bool], seconds: float = 30) -> ServiceState:
        deadline = time.monotonic() + seconds
        while not what(state := self.state()):
            assert time.monotonic() < deadline, f"{state}\n{self.log()}"
            time.sleep(0.2)
        return state

    def running(self, other_than: int = 0) -> ServiceState:
        """Wait until the program runs, and has come so far as to listen to signals."""
        return self.until(
            lambda state: (
                state.phase is Phase.RUNNING
                and state.pid != other_than
                and any(line.startswith(f"start {state.pid} ") for line in self.seen())
            )
        )

    def seen(self) -> list[str]:
        return self.sh('cat "$1/seen" 2>/dev/null', self.service.working_folder, good=False).splitlines()

    def log(self) -> str:
        return self.sh('cat "$1"; ps -ef 2>/dev/null || ps', self.service.log_file, good=False)

    def programs(self) -> list[str]:
        """Return the command lines that have to do with the service."""
        script = "for line in /proc/[0-9]*/cmdline; do tr '\\0' ' ' 2>/dev/null <$line; echo; done"
        return [
            line for line in self.sh(script, good=False).splitlines() if "/services/cam" in line or "/run/cam" in line
        ]

    def traces(self) -> set[str]:
        """Return every path that may be of the service."""
        names = "-name 'boardcast-*' -o -path '/opt/*' -o -path '/var/log/cam*'"
        script = (
            f"find / -xdev \\( -path /proc -o -path /sys \\) -prune -o \\( {names} \\) -print; ls -d /run/boardcast*"
        )
        return {line for line in self.sh(f"{script} 2>/dev/null", good=False).splitlines() if "/services-" not in line}


@pytest.fixture(scope="module", params=MACHINES, ids=lambda machine: str(machine.system))
def board(request: pytest.FixtureRequest, engine: Engine, camera: Path) -> Iterator[Board]:
    try:
        made = Board(request.param, engine, camera.read_bytes())
        made.booted()
        yield made
    finally:
        engine.services.remove(container_of(request.param.system))
        engine.services.remove_network(NETWORK)


def test_a_service_lives_its_life(board: Board) -> None:
    before = board.traces()
    board.install()
    first = board.running()
    assert (first.installed, first.enabled, first.restarts) == (True, True, 0)

    board.sh(f"kill -9 {first.pid}")
    second = board.running(other_than=first.pid)
    assert (second.restarts, second.last_exit, second.reason) == (1, 137, "killed by signal 9")

    board.behave("say the stream's type is another", "exit 78")
    board.sh(f"kill -9 {second.pid}")
    failed = board.until(lambda state: state.phase is Phase.FAILED)
    assert failed.reason == "exit code 78, which a restart does not cure: the stream's type is another"
    starts = len(board.seen())
    time.sleep(4)
    assert len(board.seen()) == starts, "it is not tried in a loop"

    board.behave("talk x")
    board.sh(board.system.restart(board.service))
    assert board.running().restarts == 0
    board.sh(board.system.stop(board.service))
    assert board.state().phase is Phase.STOPPED
    assert [line for line in board.seen() if not line.startswith("start")] == ["INT"]
    assert board.programs() == []

    board.reboot()
    assert board.running().restarts == 0

    board.sh(board.system.disable(board.service))
    assert not board.state().enabled
    board.sh(board.system.enable(board.service))
    assert board.state().enabled
    for _ in range(2):
        board.sh(board.system.remove(board.service))
        assert board.programs() == []
        assert board.traces() - before == set()
    assert not board.state().installed


def test_the_loop_itself_is_watched_over(board: Board) -> None:
    """Where the init system does that; the program that the killed loop leaves gets SIGINT, or goes with its group."""
    if board.machine.system == "sysv":
        pytest.skip("nothing watches over the loop under SysV init")
    board.install()
    first = board.running()
    board.sh(f"kill -9 $(awk '{{print $4}}' /proc/{first.pid}/stat)")
    second = board.running(other_than=first.pid)
    assert second.pid != first.pid
    assert sum("/run/cam" in line for line in board.programs()) == 1
    board.sh(board.system.remove(board.service))
    assert board.programs() == []


def test_a_user_outside_its_groups_is_refused(board: Board) -> None:
    if board.machine.system != "openrc":
        pytest.skip("systemd puts a user into groups, and the BusyBox board has root alone")
    service = replace(board.service, groups=("video",))
    board.put(board.system.files(service))
    assert "user daemon is not in group video: addgroup daemon video" in board.sh(
        board.system.enable(service), good=False
    )
    board.sh(board.system.remove(service))


def test_rc_local_starts_it_and_is_left_as_it_was(board: Board) -> None:
    if board.machine.system != "sysv":
        pytest.skip("one board is enough")
    before = b"#!/bin/sh\n# what the board does\ntrue\nexit 0\n"
    board.put({"/etc/rc.local": (before, 0o755)})
    system = init_system("none")
    files = system.files(board.service)
    board.put(files)
    for _ in range(2):
        board.sh(system.enable(board.service))
    lines = board.sh("cat /etc/rc.local").splitlines()
    assert lines[:3] == before.decode().splitlines()[:3]
    assert lines[3].endswith("# boardcast-cam")
    assert lines[4:] == ["exit 0"]
    assert parse_status(board.sh(system.status(board.service))).enabled
    board.sh("/etc/rc.local")
    assert board.running().installed
    board.sh(system.remove(board.service))
    assert board.sh("cat /etc/rc.local").encode() == before
    assert board.programs() == []


def streams_of(board: Board, release: str, streams: dict[str, Any]) -> None:
    """Put a release of these streams on the board, switch to it, and let its services be put in, as a deploy does."""
    root = PurePosixPath("/opt/boardcast")
    init = {"init": board.system.name, "service": {"log_folder": "/var/log/boardcast", "groups": []}}
    files = contents_of(board_of(root, streams, **init))
    board.put({f"{root}/releases/{release}/{path}": file for path, file in files.items()})
    switch(board, release)


def switch(board: Board, release: str) -> None:
    board.sh('ln -sfn "releases/$1" /opt/boardcast/current', release)
    board.sh(SERVICES, "/opt/boardcast", release, "a test")


def stream_state(board: Board, name: str) -> ServiceState:
    return parse_status(board.sh('sh "$1/status" 2>/dev/null', f"/opt/boardcast/applied/{name}", good=False))


def frames(board: Board, name: str) -> int:
    told = board.sh('cat "$1" 2>/dev/null', f"/var/run/boardcast-{name}/stream.json", good=False)
    return int(json.loads(told)["frames"]) if told else 0


def streaming(board: Board, name: str) -> None:
    """Wait until the same process counts on."""
    deadline, last = time.monotonic() + 30, frames(board, name)
    while stream_state(board, name).phase is not Phase.RUNNING or not last < (last := frames(board, name)):
        assert time.monotonic() < deadline, board.sh("cat /var/log/boardcast/*; ps -ef || ps", good=False)
        time.sleep(0.7)


def test_a_release_puts_in_starts_and_takes_away_what_streams(board: Board) -> None:
    before = board.traces()
    streams_of(board, "one", {"front": stream(3), "back": stream(4)})
    streaming(board, "front")
    streaming(board, "back")
    assert stream_state(board, "front").enabled

    board.reboot()
    streaming(board, "front")
    streaming(board, "back")

    streams_of(board, "two", {"front": stream(5), "side": stream(6)})
    streaming(board, "front")
    streaming(board, "side")
    assert not stream_state(board, "back").installed
    switch(board, "one")
    streaming(board, "back")
    assert not stream_state(board, "side").installed

    board.sh(SERVICES, "/opt/boardcast", "", "a test")
    assert not [line for line in board.programs() if "boardstream" in line]
    assert {path for path in board.traces() - before if not path.startswith("/opt/boardcast/releases/")} <= {
        *("/opt/boardcast", "/opt/boardcast/current", "/opt/boardcast/releases")
    }
    board.sh("rm -rf /opt/boardcast")


@pytest.fixture(scope="module")
def systemd(engine: Engine, camera: Path) -> Iterator[Board]:
    # To look at a service's own view of the file system.
    machine = replace(MACHINES[0], user="root", groups=(), capabilities=("SYS_ADMIN", "SYS_PTRACE"))
    try:
        made = Board(machine, engine, camera.read_bytes())
        made.booted()
        yield made
    finally:
        engine.services.remove(container_of("systemd"))
        engine.services.remove_network(NETWORK)


def test_systemd_makes_a_user_and_hands_on_secrets(systemd: Board) -> None:
    values = {"KVS": "a 'b' \"c\" \\d $e `f` \\\\ é%s", "AWS_DEFAULT_REGION": "eu-west-1"}
    variables, secret = "/etc/camera's [*] $env", "/etc/camera's %n key"
    systemd.put({variables: (environment_file(values), 0o600), secret: (b"key", 0o600)})
    systemd.install(
        user="",
        groups=("video",),
        working_folder="/var/lib/boardcast-cam",
        log_file="/var/log/boardcast-cam/log",
        environment_file=variables,
        credentials=(Credential(name="aws", path=secret),),
        memory_mib=64,
    )
    state = systemd.running()
    got = systemd.sh("cat /var/lib/boardcast-cam/environment").split("\0")
    assert {f"{name}={value}" for name, value in values.items()} <= set(got)
    folder = next(line.partition("=")[2] for line in got if line.startswith("CREDENTIALS_DIRECTORY="))
    assert systemd.sh(f"nsenter -t {state.pid} -m cat {folder}/aws") == "key"
    status = systemd.sh(f"cat /proc/{state.pid}/status")
    identity = next(line.split()[1] for line in status.splitlines() if line.startswith("Uid:"))
    assert 61184 <= int(identity) <= 65519, "a user of systemd's making"
    assert "NoNewPrivs:\t1" in status
    denied = systemd.sh(f"nsenter -t {state.pid} -m touch /usr/x; nsenter -t {state.pid} -m touch /etc/x", good=False)
    assert denied.count("Read-only file system") == 2
    systemd.sh(systemd.system.remove(systemd.service))
    left = systemd.sh(
        "ls -d /var/lib/*boardcast* /var/lib/private/*boardcast* /var/log/*boardcast* /run/*boardcast*", good=False
    )
    assert left.count("No such file") == 4, left


def test_what_systemd_cannot_start_is_a_failure(systemd: Board) -> None:
    home: dict[str, Any] = {
        "user": "root",
        "working_folder": f"{ROOT}/work/cam",
        "log_file": "/var/log/cam/log",
        "credentials": (),
    }
    systemd.service = replace(systemd.service, environment_file="/none", **home)
    systemd.put(systemd.system.files(systemd.service))
    systemd.sh(systemd.system.enable(systemd.service))
    systemd.sh(systemd.system.start(systemd.service), good=False)
    failed = systemd.until(lambda state: state.phase is Phase.FAILED)
    assert failed.reason == "systemd cannot start it: resources"
    systemd.put({"/none": (b"", 0o600)})
    systemd.running()
    systemd.sh(systemd.system.remove(systemd.service))


def test_systemd_gives_a_program_the_words_and_variables_that_were_written(systemd: Board) -> None:
    """Its own parsers of a command line and of a file of variables, on thousands of random texts."""
    dice = random.Random("systemd")
    words = [random_text(dice) for _ in range(MANY)]
    values = {f"V{number}": random_text(dice) for number in range(MANY)}
    place = "/etc/va[r]i*ables %n"
    run = "\n".join(
        f"ExecStart=/bin/sh /print /words {' '.join(map(systemd_argument, words[start : start + 100]))}"
        for start in range(0, MANY, 100)
    )
    variables = f"EnvironmentFile={systemd_pattern(place, 'the file')}"
    unit = f"[Service]\nType=oneshot\n{variables}\n{run}\nExecStart=/bin/sh -c 'env -0 >/values'\n"
    systemd.put(
        {
            "/print": (b'file=$1\nshift\nprintf \'%s\\0\' "$@" >>"$file"\n', 0o755),
            place: (environment_file(values), 0o644),
            "/etc/systemd/system/words.service": (unit.encode(), 0o644),
        }
    )
    systemd.sh("systemctl daemon-reload && systemctl start words")
    assert systemd.sh("cat /words").split("\0")[:-1] == words
    got = dict(line.split("=", 1) for line in systemd.sh("cat /values").split("\0") if line)
    assert {name: got.get(name) for name in values} == values
