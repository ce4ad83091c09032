"""Services under real init systems: systemd, BusyBox init and OpenRC, each as process 1 of a container."""

from __future__ import annotations

import time
from dataclasses import replace

import pytest

from deploy.services.systems import Phase, init_system, parse_status
from tests.support.initboard import InitBoard

pytestmark = [pytest.mark.process, pytest.mark.engine]


def test_a_service_lives_its_life(board: InitBoard) -> None:
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


def test_the_loop_itself_is_watched_over(board: InitBoard) -> None:
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


def test_a_user_outside_its_groups_is_refused(board: InitBoard) -> None:
    if board.machine.system != "openrc":
        pytest.skip("systemd puts a user into groups, and the BusyBox board has root alone")
    service = replace(board.service, groups=("video",))
    board.put(board.system.files(service))
    assert "user daemon is not in group video: addgroup daemon video" in board.sh(
        board.system.enable(service), good=False
    )
    board.sh(board.system.remove(service))


def test_rc_local_starts_it_and_is_left_as_it_was(board: InitBoard) -> None:
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
