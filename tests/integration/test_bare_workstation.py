"""A workstation with Python, SSH and a container engine, and nothing else: on this machine, and in a Debian 13."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import uuid
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import Future
from pathlib import Path
from typing import Any, Protocol

import pytest

from recipes import paths
from recipes.arch import ARCHES
from recipes.engine.docker import Engine
from recipes.toolchains.debian_root import BoardRoot, ensure_board_root
from tests.support.standin import Standin

pytestmark = [pytest.mark.engine, pytest.mark.sim, pytest.mark.slow]
NEEDED = (
    "deploy",
    "recipes",
    "docker",
    "board-configs",
    "tasks.py",
    "bootstrap",
    ".requirements.lock",
    ".devcontainer",
)
"""What of a checkout the commands need."""
SHELL = ("sh", "cat", "cksum", "dirname", "grep", "id", "sed", "uname")
"""What `bootstrap` takes of a shell's own programs where nothing is to be installed; docs/workstations-and-ci.md."""
TRIXIE = ("ca-certificates", "git", "openssh-client", "python3", "python3-venv")
HOST = "sim-armv7"


class Terminal(Protocol):
    """Where a person types."""

    def types(self, *words: str) -> str:
        """Give a command; returns what it prints, and fails where it does."""


def checkout(folder: Path) -> Path:
    folder.mkdir()
    for name in NEEDED:
        source = paths.CHECKOUT / name
        if source.is_dir():
            shutil.copytree(source, folder / name, ignore=shutil.ignore_patterns("__pycache__", "root.tar"))
        else:
            shutil.copy(source, folder / name)
    return folder


def settings(folder: Path, standin: Standin) -> dict[str, str]:
    """Return a person's environment: a cache of their own, but for the roots of boards, which take minutes each."""
    cache = folder / ".boardcast" / "cache"
    cache.mkdir(parents=True)
    (cache / "roots").mkdir()
    for tar in (paths.cache() / "roots").glob("*.tar"):
        try:
            (cache / "roots" / tar.name).hardlink_to(tar)
        except OSError:  # it is on another disk
            shutil.copy(tar, cache / "roots")
    return {
        "BOARDCAST_CACHE": str(cache),
        "BOARDCAST_WORK": str(folder / ".boardcast"),
        "BOARDCAST_LOCK": str(standin.mirror / "lock.toml"),
        "BOARDCAST_MIRROR": str(standin.mirror),
        "HOME": str(folder),
        "NO_COLOR": "1",
    }


def check(words: Sequence[str], code: int, printed: str) -> str:
    assert code == 0, f"{' '.join(words)}: exit code {code}\n{printed[-6000:]}"
    assert "Traceback" not in printed
    return printed


class BareShell:
    """A terminal of this machine, whose PATH has what a bare workstation has."""

    def __init__(self, folder: Path, environment: Mapping[str, str]) -> None:
        self.folder, programs = folder, folder / "programs"
        programs.mkdir()
        for name in (*SHELL, "ssh"):
            (programs / name).symlink_to(str(shutil.which(name)))
        # The interpreter that the environment was made with; the environment itself is the one that the tests run in.
        (programs / "python3").symlink_to(Path(sys._base_executable))  # type: ignore[attr-defined]
        (folder / ".venv").symlink_to(sys.prefix)
        self.environment = {**environment, "PATH": f"{programs}:{folder}/.venv/bin"}

    def types(self, *words: str) -> str:
        done = subprocess.run(
            list(words),
            cwd=self.folder,
            env=self.environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            check=False,
        )
        return check(words, done.returncode, done.stdout)


class InContainer:
    """A terminal of another system, as .devcontainer/ is: this machine's engine, and the checkout at its own path."""

    def __init__(self, container: Any, folder: Path, environment: Mapping[str, str]) -> None:
        self.container, self.folder, self.environment = container, folder, environment

    def types(self, *words: str) -> str:
        code, printed = self.container.exec_run(
            list(words), workdir=str(self.folder), environment=dict(self.environment)
        )
        return check(words, code, printed.decode("utf-8", "replace"))


def walk(terminal: Terminal, folder: Path) -> None:
    """Build the SDKs from their stand-ins, and bring a bundle to a simulated board."""
    invoke = (f"{folder}/.venv/bin/python", "-m", "invoke")
    assert "Stage for armv7" in terminal.types(*invoke, "build", "--arch", "armv7")
    bundled = terminal.types(*invoke, "bundle", "--board", HOST)
    assert re.search(rf"^Bundle \w+ for {HOST}", bundled, re.MULTILINE)
    try:
        terminal.types(*invoke, "sim", "up", "--host", HOST)
        assert "runs there now" in terminal.types(*invoke, "deploy", "--host", HOST)
        assert f"{HOST}: green" in terminal.types(*invoke, "verify", "--host", HOST)
    finally:
        terminal.types(*invoke, "sim", "down", "--host", HOST)


def test_python_ssh_and_an_engine_are_enough(standin: Standin, arm_root: Future[BoardRoot], tmp_path: Path) -> None:
    arm_root.result(timeout=1800)
    stamp = Path(sys.prefix) / ".stamp"
    text = (paths.CHECKOUT / ".requirements.lock").read_bytes()
    lock = subprocess.run(["cksum"], input=text, capture_output=True, check=True)
    if not stamp.is_file() or stamp.read_bytes().strip() != lock.stdout.strip():
        pytest.skip("the tests do not run in the environment that bootstrap makes")  # it would be made anew
    folder = checkout(tmp_path / "checkout")
    terminal = BareShell(folder, settings(folder, standin))
    assert "ready: . .venv/bin/activate" in terminal.types("sh", "./bootstrap", "install")
    doctor = terminal.types("sh", "./bootstrap", "doctor")
    for name in ("git", "apt-get", "abidiff", "mksquashfs"):
        assert re.search(rf"^ +{name} +the tools image's$", doctor, re.MULTILINE)
    assert re.search(r"fetch, sysroot, build +yes", doctor)
    walk(terminal, folder)
    fetched = terminal.types("python", "-m", "invoke", "fetch", "--check", "--source", "libwebsockets")
    assert "libwebsockets" in fetched


@pytest.fixture
def trixie(engine: Engine, tmp_path: Path) -> Iterator[InContainer]:
    """Start a Debian 13 with this machine's engine; its Python packages come as pip here is set up to bring them."""
    root = ensure_board_root("trixie", ARCHES["x86_64"], "trixie", "configure", TRIXIE, (), engine)
    file = (paths.CHECKOUT / ".devcontainer" / "Dockerfile").read_bytes()
    image = f"boardcast/test-trixie:{uuid.uuid4().hex[:12]}"
    folder = checkout(tmp_path / "checkout")
    mine = {name: value for name, value in os.environ.items() if name.upper().startswith(("PIP_", "SSL_CERT"))}
    seen = ["/etc/pip.conf", *(value for value in mine.values() if value.startswith("/") and Path(value).exists())]
    seen += [str(path) for path in (Path("/opt/pypi"), Path("/opt/pypi-more")) if path.exists()]
    engine.build({"Dockerfile": (file, 0o644)}, image, {"BASE": root.image})
    container = engine._client.containers.run(
        image,
        ["sleep", "7200"],
        detach=True,
        init=True,
        network_mode="host",
        volumes={
            str(folder): {"bind": str(folder), "mode": "rw"},
            "/var/run/docker.sock": {"bind": "/var/run/docker.sock", "mode": "rw"},
            **{path: {"bind": path, "mode": "ro"} for path in seen if Path(path).exists()},
        },
    )
    try:
        yield InContainer(container, folder, mine)
    finally:
        container.remove(force=True, v=True)
        engine._client.images.remove(image, force=True)


def test_a_debian_13_with_its_own_python_is_enough(
    trixie: InContainer, standin: Standin, arm_root: Future[BoardRoot]
) -> None:
    arm_root.result(timeout=1800)
    shutil.copytree(standin.mirror, trixie.folder / "standin")
    own = settings(trixie.folder, Standin(mirror=trixie.folder / "standin", commits={}))
    trixie.environment = {**trixie.environment, **own}
    assert "VERSION_CODENAME=trixie" in trixie.types("cat", "/etc/os-release")
    assert trixie.types("python3", "--version").startswith("Python 3.13")
    assert "ready: . .venv/bin/activate" in trixie.types("sh", "./bootstrap", "install")
    doctor = trixie.types("sh", "./bootstrap", "doctor")
    assert re.search(r"system +Debian GNU/Linux 13 \(trixie\), x86_64; packages by apt-get", doctor)
    walk(trixie, trixie.folder)
