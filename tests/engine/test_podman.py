"""The tests of the engine once more, on podman's socket: Debian has podman 4.3, others later ones."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

pytestmark = [pytest.mark.engine, pytest.mark.slow]
NEEDED = ("podman", "catatonit", "runc")
MISSING = [name for name in NEEDED if not shutil.which(name, path=f"{os.environ['PATH']}:/usr/libexec/podman")]


def config(folder: Path) -> Path:
    """Write podman's configuration: a runtime for every kind of cgroups (crun has none for hybrid ones)."""
    path = folder / "containers.conf"
    path.write_text('[engine]\nruntime = "runc"\ncgroup_manager = "cgroupfs"\n')
    return path


@pytest.fixture
def podman(tmp_path: Path) -> Iterator[str]:
    """Serve docker's API by podman, with images and containers of its own."""
    socket = tmp_path / "podman.sock"
    places = ["--root", str(tmp_path / "root"), "--runroot", str(tmp_path / "run")]
    environment = {**os.environ, "CONTAINERS_CONF": str(config(tmp_path))}
    with (tmp_path / "podman.log").open("wb") as log:
        service = subprocess.Popen(
            ["podman", *places, "system", "service", "--time=0", f"unix://{socket}"],
            env=environment,
            stdout=log,
            stderr=log,
        )
    try:
        until = time.monotonic() + 60
        while not socket.exists() and service.poll() is None and time.monotonic() < until:
            time.sleep(0.1)
        assert socket.exists(), (tmp_path / "podman.log").read_text()
        yield f"unix://{socket}"
    finally:
        service.terminate()
        service.wait(60)
        subprocess.run(["podman", *places, "system", "reset", "--force"], env=environment, check=True)


@pytest.mark.skipif(bool(MISSING), reason=f"without {', '.join(MISSING)}")
def test_podman_does_what_docker_does(podman: str, tmp_path: Path) -> None:
    """Confinement, copies, links, volumes, networks, a full disk, an engine elsewhere, and a build of both."""
    words = ["-q", "-p", "no:cacheprovider", "-p", "no:randomly", "-m", "engine and not slow", "tests/engine"]
    ran = subprocess.run(
        [sys.executable, "-m", "pytest", f"--basetemp={tmp_path / 'pytest'}", *words],
        # Which images there are is remembered in the working folder.
        env={**os.environ, "DOCKER_HOST": podman, "BOARDCAST_WORK": str(tmp_path / "work")},
        capture_output=True,
        text=True,
        check=False,
    )
    assert ran.returncode == 0, ran.stdout[-12000:]
    found = re.search(r"(\d+) passed", ran.stdout)
    assert found, ran.stdout[-12000:]
    assert int(found[1]) >= 20
