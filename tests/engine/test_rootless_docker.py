"""The tests of the engine once more, on a user's docker: its containers have no ids of this user's but root's."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from recipes.engine.docker import Engine
from recipes.tools.base import ensure_base_image
from tests.support.rootless import TESTS, RootlessUser, all_passed, missing, rootless_user, served, short_place

SCRIPT = next(
    (
        found
        for found in ("/usr/bin/dockerd-rootless.sh", "/usr/share/docker.io/contrib/dockerd-rootless.sh")
        if Path(found).exists()
    ),
    "dockerd-rootless.sh",
)
MISSING = missing("rootlesskit", "slirp4netns", "newuidmap", SCRIPT)
pytestmark = [
    pytest.mark.engine,
    pytest.mark.slow,
    pytest.mark.timeout(3600),
    pytest.mark.skipif(bool(MISSING) or os.getuid() != 0, reason=f"only root becomes a user; missing: {MISSING}"),
]


@pytest.fixture
def user() -> Iterator[RootlessUser]:
    with short_place() as place:
        yield rootless_user(place)


@pytest.fixture
def rootless(user: RootlessUser, engine: Engine) -> Iterator[str]:
    """Serve it by a user's docker, which has the base image as if a registry had answered."""
    socket, place = user.home / "run" / "docker.sock", user.home.parent
    settings = {"PATH": f"{os.environ['PATH']}:{user.path}", "DOCKERD_ROOTLESS_ROOTLESSKIT_NET": "slirp4netns"}
    settings["DOCKERD_ROOTLESS_ROOTLESSKIT_PORT_DRIVER"] = "builtin"
    words = ["sh", SCRIPT, "--storage-driver=overlay2", "--exec-opt", "native.cgroupdriver=cgroupfs"]
    with (place / "base.tar").open("wb") as tar:
        engine.save(ensure_base_image(engine), tar)
    with served([*user.words(settings), *words], socket, place / "docker.log") as address:
        load = "import sys; from recipes.engine.docker import Engine; Engine.connect().load(open(sys.argv[1], 'rb'))"
        loaded = user.python(address, "-c", load, str(place / "base.tar"))
        assert loaded.returncode == 0, loaded.stderr
        yield address


def test_a_users_docker_does_what_roots_does(rootless: str, user: RootlessUser) -> None:
    """A build is nobody's there, gets copies of what it could not read, and does without the compiler's cache."""
    all_passed(user.python(rootless, *TESTS, f"--basetemp={user.home / 'pytest'}"))
