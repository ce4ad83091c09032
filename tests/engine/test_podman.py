"""The tests of the engine once more, on podman's socket: Debian has podman 4.3, others later ones."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from recipes import paths
from recipes.engine.docker import Engine
from recipes.tools.base import ensure_base_image
from tests.support.rootless import (
    TESTS,
    RootlessUser,
    all_passed,
    end_all,
    missing,
    own,
    rootless_user,
    served,
    short_place,
)

pytestmark = [pytest.mark.engine, pytest.mark.slow]
CONFIG = '[engine]\nruntime = "runc"\ncgroup_manager = "cgroupfs"\nevents_logger = "file"\n'
"""A runtime for every kind of cgroups (crun has none for hybrid ones), and nothing that needs systemd."""


@pytest.fixture
def place() -> Iterator[Path]:
    with short_place() as folder:
        yield folder


@pytest.fixture
def podman(place: Path) -> Iterator[str]:
    """Serve docker's API by podman, with images and containers of its own."""
    (place / "containers.conf").write_text(CONFIG)
    places = ["--root", str(place / "root"), "--runroot", str(place / "run")]
    environment = {**os.environ, "CONTAINERS_CONF": str(place / "containers.conf")}
    socket = place / "podman.sock"
    argv = ["podman", *places, "system", "service", "--time=0", f"unix://{socket}"]
    try:
        with served(argv, socket, place / "podman.log", environment) as address:
            yield address
    finally:
        subprocess.run(["podman", *places, "system", "reset", "--force"], env=environment, check=True)


@pytest.mark.skipif(bool(missing("podman", "catatonit", "runc")), reason="without podman")
def test_podman_does_what_docker_does(podman: str, tmp_path: Path) -> None:
    """Confinement, copies, links, volumes, networks, a full disk, an engine elsewhere, and a build of both."""
    # Which images there are is remembered in the cache, and what they are is part of a build's name there.
    (tmp_path / "cache").mkdir()
    for name in ("archives", "git", "sysroots", "index"):
        (tmp_path / "cache" / name).symlink_to(paths.cache() / name)
    mine = {"DOCKER_HOST": podman, "BOARDCAST_WORK": str(tmp_path / "work"), "BOARDCAST_CACHE": str(tmp_path / "cache")}
    all_passed(
        subprocess.run(
            [sys.executable, *TESTS, f"--basetemp={tmp_path / 'pytest'}"],
            env={**os.environ, **mine},
            capture_output=True,
            text=True,
            check=False,
        )
    )


@pytest.fixture
def user(place: Path) -> RootlessUser:
    if os.getuid() != 0:
        pytest.skip("only root becomes another user")
    return rootless_user(place)


@pytest.fixture
def rootless(user: RootlessUser, engine: Engine) -> Iterator[str]:
    """Serve it by a user's podman, which has the base image as if a registry had answered."""
    (user.home / ".config/containers/containers.conf").write_text(CONFIG)
    with (user.home / "base.tar").open("wb") as tar:
        engine.save(ensure_base_image(engine), tar)
    own(user.home)
    socket = user.home / "run" / "podman.sock"
    argv = [*user.words({}), "podman"]
    subprocess.run([*argv, "load", "--input", str(user.home / "base.tar")], check=True, capture_output=True)
    try:
        service = [*argv, "system", "service", "--time=0", f"unix://{socket}"]
        with served(service, socket, user.home.parent / "podman.log") as address:
            yield address
    finally:
        subprocess.run([*argv, "system", "reset", "--force"], check=True)
        end_all()


@pytest.mark.timeout(3600)
@pytest.mark.skipif(
    bool(missing("podman", "catatonit", "runc", "newuidmap", "slirp4netns")), reason="without a podman for users"
)
def test_a_users_podman_does_too(rootless: str, user: RootlessUser) -> None:
    """The same, as that user: a build's files are his there too, and he keeps the compiler's cache."""
    all_passed(user.python(rootless, *TESTS, f"--basetemp={user.home / 'pytest'}"))
