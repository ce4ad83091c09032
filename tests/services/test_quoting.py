"""What a program, systemd or procd gets is what the service says: thousands of random values in every field."""

from __future__ import annotations

import random
import re
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest

from deploy.services.quoting import environment_file, shell_word
from deploy.services.service import Credential, Incurable, Service, Stall
from deploy.services.supervise import control_script, supervise_script
from deploy.services.systems import INIT_SYSTEMS, init_system
from recipes.errors import ConfigError
from tests.services.values import random_line, random_path, random_text

SHELLS = [[path] for name in ("dash", "bash") if (path := shutil.which(name))]
if busybox := shutil.which("busybox"):
    SHELLS.append([busybox, "ash"])
each_shell = pytest.mark.parametrize("shell", SHELLS, ids=lambda shell: Path(shell[-1]).name)
MANY = 2_100
VERBS = ("enable", "disable", "start", "stop", "restart", "status", "remove")


def random_service(dice: random.Random) -> Service:
    while True:
        root = random_path(dice)
        try:
            return Service(
                name="cam",
                description=random_line(dice),
                command=f"{root}/current/run/{random_path(dice, 1)[1:]}",
                working_folder=random_path(dice),
                log_file=random_path(dice),
                state_folder=random_path(dice),
                environment_file=random_path(dice),
                credentials=(Credential(name="key", path=random_path(dice)),),
                stall=Stall(pattern=random_text(dice) or "x", seconds=4),
                incurable_lines=(Incurable(pattern=random_text(dice) or "x", meaning=random_text(dice)),),
            )
        except ConfigError as error:  # one path happened to be inside another
            assert "working" in error.why, error


def fields(service: Service) -> list[str]:
    assert service.stall
    (line,), (credential,) = service.incurable_lines, service.credentials
    head = [service.command, service.working_folder, service.log_file, service.state, service.environment_file]
    return [*head, service.stall.pattern, line.pattern, line.meaning, credential.path]


def heads(services: list[Service]) -> str:
    """Return the first parts of many loops, each followed by lines that print what it was given."""
    tell = """
    for word in "$command" "$work" "$log" "$state" "$environment_file" "$stall_pattern"; do printf '%s\\0' "$word"; done
    for_each_incurable; link_credentials
    """
    parts = [supervise_script(service).decode().partition("\n\n# Starts")[0] + tell for service in services]
    stubs = "incurable() { printf '%s\\0' \"$@\"; }\nln() { printf '%s\\0' \"$2\"; }\nmkdir() { :; }\n"
    return stubs + "\n".join(parts)


@pytest.mark.process
@each_shell
def test_the_loop_gets_what_the_service_says(shell: list[str]) -> None:
    dice = random.Random(f"loop {shell[-1]}")
    services = [random_service(dice) for _ in range(MANY)]
    done = subprocess.run(shell, input=heads(services).encode(), capture_output=True, check=True)
    assert not done.stderr
    got = done.stdout.decode().split("\0")[:-1]
    assert got == [value for service in services for value in fields(service)]


@pytest.mark.process
@each_shell
def test_the_init_script_gets_what_the_service_says(shell: list[str]) -> None:
    dice = random.Random(f"control {shell[-1]}")
    services = [random_service(dice) for _ in range(MANY)]
    tell = '\nprintf \'%s\\0\' "$state" "$script"\nmkdir() { printf \'%s\\0\' "$2"; }\nchown() { :; }\nmake_folders\n'
    parts = [control_script(service).decode().partition("\n\n# Starts and stops")[0] + tell for service in services]
    done = subprocess.run(shell, input="\n".join(parts).encode(), capture_output=True, check=True)
    wanted = []
    for service in services:
        made = [service.state, service.working_folder, service.log_file.rpartition("/")[0] or "/"]
        wanted += [service.state, service.script, *(path for path in made if not Path(path).is_dir())]
    assert done.stdout.decode().split("\0")[:-1] == wanted


@pytest.mark.process
@each_shell
def test_a_file_of_variables_is_read_as_it_was_written(shell: list[str], tmp_path: Path) -> None:
    dice = random.Random(f"variables {shell[-1]}")
    text = supervise_script(random_service(dice)).decode()
    reader = re.search(r"^read_environment\(\) \{.*?^\}", text, re.MULTILINE | re.DOTALL)
    assert reader
    for start in range(0, MANY, 300):
        values = {f"V{number}": random_text(dice) for number in range(start, start + 300)}
        file = tmp_path / "variables"
        file.write_bytes(environment_file(values))
        lines = f'{reader[0]}\nenvironment_file={shell_word(str(file))}\nread_environment\n"$ENV" -0\n'
        done = subprocess.run(
            shell, input=lines.encode(), capture_output=True, check=True, env={"ENV": str(shutil.which("env"))}
        )
        got = dict(line.split("=", 1) for line in done.stdout.decode().split("\0") if line)
        assert {name: got.get(name) for name in values} == values


@pytest.mark.process
@each_shell
@pytest.mark.parametrize("name", ["procd", "openrc"])
def test_an_init_script_hands_on_the_loop(shell: list[str], name: str) -> None:
    """Stand-ins for the few functions of procd and of OpenRC that a script calls, and OpenRC's own use of `eval`."""
    dice = random.Random(f"{name} {shell[-1]}")
    stubs = {
        "procd": "procd_open_instance() { :; }\nprocd_close_instance() { :; }\n"
        'procd_set_param() { [ "$1" != command ] || printf "%s\\0" "$@"; }\n',
        "openrc": "supervise() { printf '%s\\0' \"$@\"; }\n",
    }
    call = {"procd": "start_service", "openrc": "eval supervise command $command $command_args"}
    services = [random_service(dice) for _ in range(MANY)]
    script = f"mkdir() {{ :; }}\nchown() {{ :; }}\n{stubs[name]}"
    for service in services:
        content, _ = init_system(name).files(service)[f"/etc/init.d/{service.id}"]
        script += f"{content.decode()}\n{call[name]}\n"
    done = subprocess.run(shell, input=script.encode(), capture_output=True, check=True)
    wanted = [word for service in services for word in ("command", "/bin/sh", service.script)]
    assert done.stdout.decode().split("\0")[:-1] == wanted


def told_by_systemd(tmp_path: Path, units: list[bytes]) -> list[str]:
    """Return what systemd's own parser says about units."""
    files = [tmp_path / f"cam{number}.service" for number in range(len(units))]
    for file, unit in zip(files, units, strict=True):
        file.write_bytes(unit)
    done = subprocess.run(
        ["systemd-analyze", "verify", "--man=no", *map(str, files)], capture_output=True, text=True, check=False
    )
    return [line for line in done.stderr.splitlines() if str(tmp_path) in line or re.match(r"cam\d+\.service", line)]


@pytest.mark.process
@pytest.mark.skipif(not shutil.which("systemd-analyze"), reason="this machine has no systemd-analyze")
def test_systemd_reads_every_line_of_a_unit(tmp_path: Path) -> None:
    dice = random.Random("units")
    place = "/etc/systemd/system/boardcast-cam.service"
    units = [init_system("systemd").files(random_service(dice))[place][0] for _ in range(150)]
    assert told_by_systemd(tmp_path, units) == []
    assert told_by_systemd(tmp_path, [units[0] + b'ReadWritePaths="/x\n', *units[1:3]])


@pytest.mark.process
def test_every_script_passes_shellcheck(tmp_path: Path) -> None:
    dice = random.Random("shellcheck")
    files: list[Path] = []
    for name, system in INIT_SYSTEMS.items():
        service = random_service(dice)
        texts = {path.replace("/", "_"): content for path, (content, _) in system.files(service).items()}
        scripts: dict[str, Any] = {verb: getattr(system, verb) for verb in VERBS}
        texts |= {verb: b"#!/bin/sh\n" + script(service).encode() for verb, script in scripts.items()}
        for content in texts.values():
            if content.startswith(b"#!"):
                files.append(tmp_path / f"{name} {len(files)}")
                files[-1].write_bytes(content)
    assert len(files) > 40
    done = subprocess.run(
        ["shellcheck", "-S", "warning", *map(str, files)], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout
    for shell in SHELLS:
        for file in files:
            subprocess.run([*shell, "-n", str(file)], check=True)


@pytest.mark.parametrize("bad", ["a\nb", "a\rb", "a\0b", "a\x1bb", "a\u2028b", "\udc80", "\ufffe"])
def test_a_control_character_is_refused_everywhere(bad: str) -> None:
    with pytest.raises(ConfigError, match="is wrong") as caught:
        Service(name="cam", description="x", command=f"/r/current/run/{bad}", working_folder="/w", log_file=f"/l{bad}")
    assert caught.value.why.count("control character") == 2
    with pytest.raises(ConfigError, match="value of A") as hidden:
        environment_file({"A": f"secret{bad}"})
    assert "secret" not in str(hidden.value)


@pytest.mark.parametrize("bad", ["A-B", "1A", "wait", "A=B", ""])
def test_a_variable_has_the_name_of_one(bad: str) -> None:
    with pytest.raises(ConfigError, match="upper case"):
        environment_file({bad: "x"})
