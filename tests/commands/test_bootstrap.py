"""`bootstrap` on machines that lack something: it names what, and for whom."""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from recipes import paths
from tests.support.linkchain import link_chain, tar_of

pytestmark = pytest.mark.process


@pytest.fixture
def listening(tmp_path: Path) -> Iterator[Path]:
    """Yield the socket of an engine that is there, and that only its owner may use."""
    place = tmp_path / "docker.sock"
    with socket.socket(socket.AF_UNIX) as server:
        server.bind(str(place))
        server.listen()
        place.chmod(0o000)
        yield place


def run(folder: Path, action: str, engine: Path) -> subprocess.CompletedProcess[str]:
    """Run it as somebody who is not root: root may open any socket."""
    shutil.copy(paths.CHECKOUT / "bootstrap", folder / "bootstrap")
    nobody = {"user": 65534, "group": 65534, "extra_groups": []} if os.getuid() == 0 else {}
    for parent in (folder, *folder.parents):
        if nobody and parent.owner() == "root" and parent != Path("/"):
            parent.chmod(parent.stat().st_mode | 0o055)
    environment = {"PATH": "/usr/local/bin:/usr/bin:/bin", "DOCKER_HOST": f"unix://{engine}"}
    return subprocess.run(  # type: ignore[call-overload,no-any-return]
        ["sh", str(folder / "bootstrap"), action],
        env=environment,
        capture_output=True,
        text=True,
        check=False,
        **nobody,
    )


@pytest.mark.parametrize("action", ["install", "demo", "test"])
def test_an_engine_that_is_not_for_this_user_is_not_called_missing(
    tmp_path: Path, listening: Path, action: str
) -> None:
    done = run(tmp_path, action, listening)
    assert done.returncode == 2
    assert "may not use it" in done.stderr
    assert "usermod -aG docker" in done.stderr
    assert "apt-get install" not in done.stderr


def test_an_engine_that_is_not_there_is_called_missing(tmp_path: Path) -> None:
    done = run(tmp_path, "install", tmp_path / "none.sock")
    assert done.returncode == 2
    assert "may not use it" not in done.stderr
    assert "a container engine that answers: it is named by DOCKER_HOST" in done.stderr


_EXTRACT = """import sys, tarfile
with tarfile.open(sys.argv[1]) as archive:
    try:
        archive.extractall(sys.argv[2], filter="data")
    except (tarfile.TarError, OSError, TypeError):
        pass
"""


@pytest.mark.parametrize("python", [Path(sys.executable).resolve(), "/usr/bin/python3"])
def test_a_python_is_named_whose_tarfile_writes_outside_and_no_other(tmp_path: Path, python: Path | str) -> None:
    """What it says is held against what an archive with a chain of links does to this very Python."""
    if not Path(python).exists():
        pytest.skip("the distribution has no Python here")
    outside = tmp_path / "outside"
    (tmp_path / "into").mkdir()
    outside.mkdir()
    (tmp_path / "chain.tar").write_bytes(tar_of(link_chain("../../outside")))
    subprocess.run([python, "-c", _EXTRACT, tmp_path / "chain.tar", tmp_path / "into"], check=True)
    writes = (outside / "written").exists()
    (tmp_path / "bin").mkdir()
    (tmp_path / "bin/python3").symlink_to(python)
    shutil.copy(paths.CHECKOUT / "bootstrap", tmp_path / "bootstrap")
    environment = {"PATH": f"{tmp_path}/bin:/usr/bin:/bin", "DOCKER_HOST": f"unix://{tmp_path}/none.sock"}
    argv = ["sh", str(tmp_path / "bootstrap"), "install", "--no-install"]
    done = subprocess.run(argv, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 2
    assert ("lacks the fix of CVE-2025-4517" in done.stderr) is writes


# As the systems' own /etc/os-release say it, what is not read left out.
SYSTEMS = {
    "debian12": 'PRETTY_NAME="Debian GNU/Linux 12 (bookworm)"\nVERSION_ID="12"\nID=debian\n',
    "debian13": 'PRETTY_NAME="Debian GNU/Linux 13 (trixie)"\nVERSION_ID="13"\nID=debian\n',
    "ubuntu22": 'PRETTY_NAME="Ubuntu 22.04.5 LTS"\nVERSION_ID="22.04"\nID=ubuntu\nID_LIKE=debian\n',
    "ubuntu24": 'PRETTY_NAME="Ubuntu 24.04.1 LTS"\nVERSION_ID="24.04"\nID=ubuntu\nID_LIKE=debian\n',
    "ubuntu20": 'PRETTY_NAME="Ubuntu 20.04.6 LTS"\nVERSION_ID="20.04"\nID=ubuntu\nID_LIKE=debian\n',
    "raspbian": 'PRETTY_NAME="Raspbian GNU/Linux 12 (bookworm)"\nVERSION_ID="12"\nID=raspbian\nID_LIKE=debian\n',
    "fedora": 'NAME="Fedora Linux"\nVERSION_ID=41\nID=fedora\nPRETTY_NAME="Fedora Linux 41 (Server Edition)"\n',
    "rocky": 'PRETTY_NAME="Rocky Linux 9.4"\nVERSION_ID="9.4"\nID="rocky"\nID_LIKE="rhel centos fedora"\n',
    "arch": 'NAME="Arch Linux"\nPRETTY_NAME="Arch Linux"\nID=arch\n',
}
BASICS = ("sh", "dirname", "grep", "cat", "cksum", "sed", "mktemp", "rm", "tail")


class Machine:
    """A machine with nothing but a shell's own programs, and what a test puts there."""

    def __init__(self, folder: Path, system: str) -> None:
        self.folder, self.bin, self.root = folder, folder / "bin", folder / "root"
        self.bin.mkdir()
        (self.root / "etc/ssl/certs").mkdir(parents=True)
        (self.root / "etc/ssl/certs/ca-certificates.crt").write_text("x")
        for name in BASICS:
            (self.bin / name).symlink_to(str(shutil.which(name)))
        kernel = "Darwin" if system == "macos" else "Linux"
        self.program("uname", f"case $1 in -s) echo {kernel} ;; *) echo x86_64 ;; esac")
        self.program("id", "echo 1000")
        if system in SYSTEMS:
            (self.root / "etc/os-release").write_text(SYSTEMS[system])
        shutil.copy(paths.CHECKOUT / "bootstrap", folder / "bootstrap")

    def program(self, name: str, script: str) -> None:
        (self.bin / name).unlink(missing_ok=True)
        (self.bin / name).write_text(f"#!/bin/sh\n{script}\n")
        (self.bin / name).chmod(0o755)

    def real_python(self) -> None:
        (self.bin / "python3").unlink(missing_ok=True)
        self.program("python3", f'exec {sys.executable} "$@"')

    def hide_engine(self) -> None:
        """Hide the one that this very machine has at the usual place."""
        text = (self.folder / "bootstrap").read_text()
        (self.folder / "bootstrap").write_text(text.replace("=/var/run/docker.sock", "=/nowhere/docker.sock"))

    def emulates(self) -> None:
        folder = self.root / "proc/sys/fs/binfmt_misc"
        folder.mkdir(parents=True)
        for name in ("arm", "aarch64", "mipsel"):
            (folder / f"qemu-{name}").write_text("enabled\nflags: POCF\n")

    def run(self, *words: str, **environment: str) -> subprocess.CompletedProcess[str]:
        told = {"PATH": str(self.bin), "HOME": str(self.folder), "XDG_RUNTIME_DIR": str(self.folder / "run")}
        told |= {"BOOTSTRAP_ROOT": str(self.root), "DOCKER_HOST": f"unix://{self.folder}/none.sock"} | environment
        return subprocess.run(
            [str(self.bin / "sh"), str(self.folder / "bootstrap"), *words],
            env={name: value for name, value in told.items() if value},
            capture_output=True,
            text=True,
            check=False,
        )


@pytest.fixture
def machine(request: pytest.FixtureRequest, tmp_path: Path) -> Machine:
    return Machine(tmp_path, request.param)


UNNAMED = {"DOCKER_HOST": ""}  # the usual places are looked at


@pytest.mark.parametrize(
    ("machine", "python"),
    [
        ("debian12", "apt-get install python3 python3-venv"),
        ("debian13", "apt-get install python3 python3-venv"),
        ("ubuntu24", "apt-get install python3 python3-venv"),
        ("ubuntu22", "apt-get install python3.11 python3.11-venv"),
        ("ubuntu20", "uv python install 3.12"),
        ("raspbian", "apt-get install python3 python3-venv"),
        ("fedora", "dnf install python3"),
        ("rocky", "dnf install python3.11"),
        ("arch", "uv python install 3.12"),
        ("macos", "brew install python@3.13"),
    ],
    indirect=["machine"],
)
def test_an_old_python_is_told_in_the_systems_own_words(machine: Machine, python: str) -> None:
    machine.program("python3", '[ "$1" != --version ] || echo Python 3.10.12; exit 1')
    done = machine.run("install", "--no-install")
    assert done.returncode == 2
    assert "Python 3.11 or newer, with venv, and here is Python 3.10.12 (or it has no venv): " in done.stderr
    assert python in done.stderr
    assert "mmdebstrap" not in done.stderr
    others = {"apt-get", "dnf", "brew"} - {python.split(maxsplit=1)[0]}
    assert not any(f"{other} install" in done.stderr for other in others)


@pytest.mark.parametrize(
    ("machine", "engine"),
    [
        ("debian13", "a container engine: apt-get install docker.io"),
        ("ubuntu22", "a container engine: apt-get install docker.io"),
        ("fedora", "a container engine: dnf install moby-engine"),
        ("rocky", "a container engine: Docker or Podman from your distribution"),
        ("macos", "a container engine: Docker Desktop, or: brew install colima docker && colima start"),
    ],
    indirect=["machine"],
)
def test_a_missing_engine_is_told_in_the_systems_own_words(machine: Machine, engine: str) -> None:
    machine.real_python()
    machine.hide_engine()
    done = machine.run("install", "--no-install", **UNNAMED)
    assert done.returncode == 2
    assert engine in done.stderr
    assert "emulation" not in done.stderr, "building and deploying need none"


@pytest.mark.parametrize("machine", ["debian12"], indirect=True)
@pytest.mark.parametrize(
    ("program", "says"),
    [
        ("podman", "systemctl --user enable --now podman.socket, and DOCKER_HOST=unix://"),
        ("dockerd", "takes root (sudo ./bootstrap install)"),
    ],
)
def test_nothing_is_put_beside_an_engine_that_is_silent(machine: Machine, program: str, says: str) -> None:
    machine.real_python()
    machine.program(program, "exit 0")
    machine.hide_engine()
    done = machine.run("install", **UNNAMED)
    assert done.returncode == 2
    assert says in done.stderr
    assert "docker.io" not in done.stderr
    named = machine.run("install", DOCKER_HOST=f"unix://{machine.folder}/mine.sock")
    assert named.returncode == 2
    assert "start that one, or name another" in named.stderr


@pytest.mark.parametrize("machine", ["debian12"], indirect=True)
def test_an_engine_at_another_of_the_usual_places_is_found_and_named(machine: Machine) -> None:
    """Rootless Docker, Podman and Colima have places of their own."""
    machine.real_python()
    place = machine.folder / "run/podman/podman.sock"
    place.parent.mkdir(parents=True)
    (machine.root / ".dockerenv").touch()  # where no dockerd is: the engine is another machine's, and its emulation too
    body = b'{"Version":"4.3.1","Arch":"amd64","Components":[{"Name":"Podman Engine"}]}'
    answer = b"HTTP/1.0 200 OK\r\nContent-Type: application/json\r\n\r\n" + body
    machine.hide_engine()
    with socket.socket(socket.AF_UNIX) as server:
        server.bind(str(place))
        server.listen()
        server.settimeout(60)

        def serve() -> None:
            for _ in range(2):  # it is found, then asked what it is
                link, _address = server.accept()
                with link:
                    link.recv(4096)
                    link.sendall(answer)

        thread = threading.Thread(target=serve)
        thread.start()
        done = machine.run("doctor", **UNNAMED)
        thread.join()
    assert f"answers Podman 4.3.1 amd64 ({place})" in done.stdout
    assert f"export DOCKER_HOST=unix://{place}" in done.stdout
    assert "the engine's machine has it or has not" in done.stdout


@pytest.mark.parametrize(
    ("machine", "command"),
    [
        ("debian13", "apt-get install -y --no-install-recommends python3 python3-venv docker.io"),
        ("fedora", "dnf install -y --setopt=install_weak_deps=False python3 moby-engine"),
    ],
    indirect=["machine"],
)
def test_what_is_missing_is_brought_as_root(machine: Machine, command: str) -> None:
    manager = command.split(maxsplit=1)[0]
    machine.hide_engine()
    done = machine.run("install", **UNNAMED)
    assert "takes root (sudo ./bootstrap install)" in done.stderr
    machine.program("id", "echo 0")
    log = machine.folder / "log"
    machine.program(manager, f'echo "{manager} $*" >> {log}; exit 7')
    failed = machine.run("install", **UNNAMED)
    assert failed.returncode == 2
    assert f"{manager} could not install:" in failed.stderr or "stays missing" in failed.stderr
    if manager == "apt-get":
        machine.program(manager, f'echo "{manager} $*" >> {log}; [ "$1" != install ]')
        machine.run("install", **UNNAMED)
    assert command in log.read_text()


@pytest.mark.parametrize("machine", ["macos"], indirect=True)
def test_homebrew_is_never_run_as_root_and_brings_no_engine(machine: Machine) -> None:
    machine.program("brew", f'echo "brew $*" >> {machine.folder}/log')
    machine.program("id", "echo 0")
    done = machine.run("install", DOCKER_HOST="tcp://192.0.2.1:2375")
    assert done.returncode == 2
    assert "does not work as root" in done.stderr
    machine.program("id", "echo 501")
    machine.run("install", DOCKER_HOST="tcp://192.0.2.1:2375")
    assert (machine.folder / "log").read_text() == "brew install python@3.13\n"
    machine.real_python()
    machine.hide_engine()
    done = machine.run("install", **UNNAMED)
    assert done.returncode == 2
    assert "yours to bring:\n  a container engine: Docker Desktop" in done.stderr


@pytest.mark.parametrize("machine", ["debian12", "fedora", "macos", "arch"], indirect=True)
def test_the_doctor_is_one_page_and_changes_nothing(machine: Machine) -> None:
    machine.real_python()
    machine.emulates()
    before = sorted(machine.folder.rglob("*"))
    done = machine.run("doctor")
    assert done.returncode == 2, "there is no engine"
    assert done.stderr == "" or "CVE-2025-4517" in done.stderr
    lines = done.stdout.splitlines()
    assert len(lines) < 40
    assert max(map(len, lines)) < 200
    for part in (
        "system",
        "python",
        "container engine",
        "emulation",
        "fetch, sysroot, build",
        "bundle, deploy, verify",
    ):
        assert any(line.strip().startswith(part) for line in lines), part
    assert "no: no container engine for this user" in done.stdout
    assert "the tools image's" in done.stdout
    assert sorted(machine.folder.rglob("*")) == before


def test_the_doctor_says_what_this_very_machine_can() -> None:
    """With the engine and the environment that the tests themselves run in."""
    done = subprocess.run(
        ["sh", "./bootstrap", "doctor"], cwd=paths.CHECKOUT, capture_output=True, text=True, check=False
    )
    assert "container engine" in done.stdout
    assert "It can" in done.stdout
