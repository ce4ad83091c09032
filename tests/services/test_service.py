"""A service refuses what no board can have, and a board's answer is read whatever it says."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from deploy.services.service import Credential, Service, Stall
from deploy.services.systems import INIT_SYSTEMS, Phase, init_system, parse_status
from recipes.errors import ConfigError

GOOD = Service(
    name="cam",
    description="A camera",
    command="/opt/boardcast/current/run/cam",
    working_folder="/opt/boardcast/work/cam",
    log_file="/var/log/boardcast-cam/log",
)


@pytest.mark.parametrize(
    ("change", "told"),
    [
        ({"name": "Cam"}, "name is to be"),
        ({"name": "cam.sh"}, "not end in .sh"),
        ({"name": "../cam"}, "name is to be"),
        ({"command": "/usr/bin/cam"}, "<root>/current/run/<file>"),
        ({"command": "/current/run/cam"}, "<root>/current/run/<file>"),
        ({"command": "/r/current/run/../cam"}, "absolute path"),
        ({"working_folder": "/opt/boardcast/releases/1"}, "outside the releases"),
        ({"working_folder": "/opt/boardcast/current"}, "outside the releases"),
        ({"working_folder": "work"}, "absolute path"),
        ({"log_file": "/log "}, "no blank at its ends"),
        ({"log_file": "/log\\"}, "no backslash"),
        ({"log_file": f"/{'x' * 1100}"}, "too long"),
        ({"description": "a camera\\"}, "no backslash"),
        ({"user": "a b"}, "no name of a user"),
        ({"groups": ("video;",)}, "no name of a group"),
        ({"environment_file": "/opt/boardcast/work/cam/env"}, "emptied"),
        ({"credentials": (Credential(name="a", path="/opt/boardcast/work/cam/a"),)}, "emptied"),
        ({"credentials": (Credential(name="a/b", path="/a"),)}, "no name of a credential"),
        ({"int_seconds": 0}, "int_seconds is to be 1 or more"),
        ({"first_wait": 9, "longest_wait": 5}, "shorter than first_wait"),
        ({"log_bytes": 100}, "4096"),
        ({"incurable_exits": (0,)}, "1 to 255"),
        ({"stall": Stall(pattern="x", seconds=3)}, "4 or more"),
        ({"stall": Stall(pattern="", seconds=9)}, "empty pattern"),
    ],
)
def test_a_fault_is_named(change: dict[str, Any], told: str) -> None:
    with pytest.raises(ConfigError) as caught:
        replace(GOOD, **change)
    assert told in caught.value.why


def test_all_faults_are_named_at_once() -> None:
    with pytest.raises(ConfigError) as caught:
        replace(GOOD, name="Cam", user="a b", int_seconds=0)
    assert caught.value.why.count(";") == 2


def test_the_logs_of_a_service_are_small_unless_asked_for() -> None:
    assert 2 * GOOD.log_bytes <= 5_000_000


@pytest.mark.parametrize("name", ["procd", "openrc", "sysv", "none"])
def test_a_user_for_the_moment_is_systemds_alone(name: str) -> None:
    with pytest.raises(ConfigError, match="names no user"):
        init_system(name).files(replace(GOOD, user=""))


def test_a_user_for_the_moment_needs_its_own_folders() -> None:
    with pytest.raises(ConfigError, match="cannot write"):
        init_system("systemd").files(replace(GOOD, user=""))


def test_an_unknown_init_system_is_named() -> None:
    assert init_system("busybox") is INIT_SYSTEMS["sysv"]
    with pytest.raises(ConfigError, match="no init system 'systemb'") as caught:
        init_system("systemb")
    assert "did you mean 'systemd'" in caught.value.why


def test_what_a_program_writes_is_no_state() -> None:
    """The state's file is the service's user's; what the script itself prints comes first, and counts."""
    state = parse_status(
        "installed=yes\nsupervisor=yes\nstate=running\npid=12\nrestarts=3\nlast_exit=137\nsince=170\n"
        "reason=killed\x1b[2J by \u202e9\ninstalled=no\nsupervisor=no\nstate=stopped\n"
    )
    assert (state.phase, state.installed, state.enabled, state.pid) == (Phase.RUNNING, True, False, 12)
    assert (state.restarts, state.last_exit, state.since) == (3, 137, 170)
    assert state.reason == r"killed\x1b[2J by \u202e9"


@pytest.mark.parametrize("text", ["", "=\n==\n\0", "state=running\npid=-1\nrestarts=9999999999999999999999\nsince=x"])
def test_any_answer_is_read(text: str) -> None:
    state = parse_status(text)
    assert (state.pid, state.restarts, state.since, state.last_exit) == (0, 0, 0, None)


def test_a_state_that_nobody_watches_over_is_a_failure() -> None:
    state = parse_status("supervisor=no\nstate=running\npid=12\n")
    assert (state.phase, state.pid) == (Phase.FAILED, 0)
    assert "nothing watches over it" in state.reason
