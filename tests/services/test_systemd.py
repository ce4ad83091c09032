"""What systemd alone offers a service, and how it reads what is written for it."""

from __future__ import annotations

import random
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from deploy.services.quoting import environment_file, systemd_argument, systemd_pattern
from deploy.services.service import Credential
from deploy.services.systems import Phase
from recipes.engine.docker import Engine
from tests.services.values import random_text
from tests.support.initboard import MACHINES, NETWORK, ROOT, InitBoard, container_of

pytestmark = [pytest.mark.process, pytest.mark.engine]
MANY = 2_100


@pytest.fixture(scope="module")
def systemd(engine: Engine, camera: Path) -> Iterator[InitBoard]:
    # To look at a service's own view of the file system.
    machine = replace(MACHINES[0], user="root", groups=(), capabilities=("SYS_ADMIN", "SYS_PTRACE"))
    try:
        made = InitBoard(machine, engine, camera.read_bytes())
        made.booted()
        yield made
    finally:
        engine.services.remove(container_of("systemd"))
        engine.services.remove_network(NETWORK)


def test_systemd_makes_a_user_and_hands_on_secrets(systemd: InitBoard) -> None:
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


def test_what_systemd_cannot_start_is_a_failure(systemd: InitBoard) -> None:
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


def test_systemd_gives_a_program_the_words_and_variables_that_were_written(systemd: InitBoard) -> None:
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
