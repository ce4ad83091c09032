"""Boards without an init system of ours: started by a script, on this machine with plain sh."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from deploy.services.service import Service
from deploy.services.systems import Phase, ServiceState, init_system, parse_status

pytestmark = [pytest.mark.process, pytest.mark.engine]
NONE = init_system("none")
_TOOLS = "cat chown cut date dd du env grep id kill ls mkdir mkfifo mv rm rmdir sed sh sleep tail tr wc"
TOOLS = _TOOLS.split()


@pytest.fixture
def service(tmp_path: Path, camera: Path) -> Iterator[Service]:
    root = tmp_path / "a board's"
    (root / "current/run").mkdir(parents=True)
    (root / "services").mkdir()
    shutil.copy(camera, root / "current/run/cam")
    user = subprocess.run(["id", "-un"], capture_output=True, text=True, check=True).stdout.strip()
    made = Service(
        name="cam",
        description="A camera",
        command=f"{root}/current/run/cam",
        working_folder=f"{root}/deep/work",
        log_file=f"{root}/logs/cam/log",
        state_folder=f"{root}/state",
        user=user,
        groups=(),
        needs_network=False,
        int_seconds=2,
        term_seconds=2,
    )
    for path, (content, mode) in NONE.files(made).items():
        Path(path).write_bytes(content)
        Path(path).chmod(mode)
    yield made
    subprocess.run(["sh", "-c", NONE.stop(made)], check=False)


def tell(script: str, tools: Path) -> str:
    done = subprocess.run(
        ["/bin/sh", "-c", script], capture_output=True, text=True, check=False, env={"PATH": str(tools)}
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def state(service: Service, tools: Path) -> ServiceState:
    return parse_status(tell(NONE.status(service), tools))


@pytest.mark.parametrize("extra", [("start-stop-daemon",), ("setsid",), ("nohup",), ()], ids="".join)
def test_it_outlives_the_log_in_that_started_it(service: Service, tmp_path: Path, extra: tuple[str, ...]) -> None:
    tools = tmp_path / "tools"
    tools.mkdir()
    for name in (*TOOLS, *extra):
        path = shutil.which(name, path=f"{os.environ['PATH']}:/sbin:/usr/sbin")
        if path is None:
            pytest.skip(f"this machine has no {name}")
        (tools / name).symlink_to(path)
    before = sorted(tmp_path.rglob("*"))
    tell(NONE.enable(service), tools)
    # As a log-in: a session of its own, which gets SIGHUP when the line is cut.
    login = subprocess.Popen(
        ["/bin/sh", "-c", f"{NONE.start(service)}; sleep 60"], start_new_session=True, env={"PATH": str(tools)}
    )
    deadline = time.monotonic() + 15
    while (first := state(service, tools)).phase is not Phase.RUNNING:
        assert time.monotonic() < deadline, first
        time.sleep(0.1)
    os.killpg(login.pid, signal.SIGHUP)
    login.wait()
    time.sleep(0.5)
    assert state(service, tools).pid == first.pid
    tell(NONE.start(service), tools)
    assert state(service, tools).pid == first.pid, "a second start changes nothing"
    tell(NONE.restart(service), tools)
    again = state(service, tools)
    assert again.pid != first.pid
    seen = Path(service.working_folder, "seen").read_text().splitlines()
    assert [line for line in seen if not line.startswith("start")] == ["INT"]
    tell(NONE.remove(service), tools)
    gone = {Path(path) for path in NONE.files(service)} | {Path(service.root, "services")}
    assert sorted(tmp_path.rglob("*")) == sorted(set(before) - gone)


def test_a_service_may_not_name_another_users_process(service: Service, tmp_path: Path) -> None:
    """The file with the process id is the service's user's; root's `stop` must not fall for what is written there."""
    if os.getuid() != 0:
        pytest.skip("to have another user's process takes root")
    foreign = subprocess.Popen(["sleep", "60"], user=1)
    born = Path(f"/proc/{foreign.pid}/stat").read_text().rpartition(") ")[2].split()[19]
    Path(service.state).mkdir()
    Path(service.state, "supervisor").write_text(f"{foreign.pid} {born}\n")
    subprocess.run(["sh", "-c", NONE.stop(service)], check=True)
    assert foreign.poll() is None
    foreign.kill()
    foreign.wait()
