"""Unit tests cannot reach the world; engine and sim tests share images, roots and builds, and do not mock them."""

from __future__ import annotations

import os
import socket
import subprocess
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from deploy import assemble
from deploy.board import load_board
from deploy.bundle import Bundle
from deploy.sim import boards
from deploy.sim.boards import State
from recipes import build, buildplan, images, paths, roots
from recipes.arch import Arch
from recipes.ask import Ask
from recipes.engine import Engine
from recipes.roots import BoardRoot
from recipes.stage import Stage
from tests.support.standin import Standin, lock_text
from tests.support.standin import make as make_standin

SDKS = Ask(names=("producer", "webrtc"))


def pytest_configure() -> None:
    """Make the folder that pytest's temporary ones are put into."""
    paths.work().mkdir(parents=True, exist_ok=True)


@pytest.fixture(autouse=True)
def _no_world(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Make processes and sockets raise in a test without a marker: a unit test that needs one is not one."""
    marks = {mark.name for mark in request.node.iter_markers()}
    if marks & {"engine", "sim", "process", "loopback"}:
        return

    def refuse(*_: object, **__: object) -> Any:
        raise AssertionError("a unit test reached for the world; mark it, or give it a value")

    monkeypatch.setattr(subprocess, "Popen", refuse)
    monkeypatch.setattr(socket.socket, "connect", refuse)


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return a cache and a work folder of this test's own."""
    monkeypatch.setenv("BOARDCAST_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("BOARDCAST_WORK", str(tmp_path / "work"))
    monkeypatch.delenv("BOARDCAST_MIRROR", raising=False)
    return tmp_path / "cache"


@pytest.fixture(scope="session")
def _work(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """Give the session its own stages, bundles and boards; sources, roots and builds stay in the user's cache."""
    folder = tmp_path_factory.mktemp("work")
    # Its own signing key too: the user's is for the user's bundles.
    mine = {"BOARDCAST_WORK": str(folder), "XDG_CONFIG_HOME": str(folder / "config")}
    old = {name: os.environ.get(name) for name in mine}
    os.environ.update(mine)
    yield folder
    for name, value in old.items():
        if value is None:
            del os.environ[name]
        else:
            os.environ[name] = value


@pytest.fixture(scope="session")
def engine(_work: Path) -> Iterator[Engine]:
    """Return the real engine; at the end no container with our session label may be left."""
    connected = Engine.connect()
    yield connected
    left = connected.sessions()
    assert not left, f"containers were left behind: {left}"


@pytest.fixture(scope="session")
def arm_root(engine: Engine) -> Iterator[Future[BoardRoot]]:
    """Start to make the emulated board's root when the first engine test runs: it takes minutes, beside the others."""
    images.ensure_base(engine)
    with ThreadPoolExecutor(max_workers=1) as pool:
        second = Engine.connect()
        future = pool.submit(boards.prepare, load_board("sim-armv7"), second)
        yield future
        if not future.done():
            second.abort()


@pytest.fixture(scope="session")
def built(engine: Engine, arm_root: Future[BoardRoot]) -> Callable[..., Stage]:
    """Return a function that gives the Stage of an architecture, built on its first use."""

    def get(arch: str, sysroot: str = "", *recipes: str) -> Stage:
        # A Stage belongs to an architecture and a sysroot: another test may have put other recipes in its place. What
        # is built comes from the cache the second time, so asking again costs little.
        ask = Ask(names=recipes or ("boardprobe",), sysroot=sysroot)
        return build.run(buildplan.prepare(Arch.parse(arch), ask, engine=engine))

    return get


@pytest.fixture(scope="session")
def standin(engine: Engine, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Standin]:
    """Return the stand-in upstreams; the lock of this session is ours with their commits, the recipes are the same."""
    made = make_standin(tmp_path_factory.mktemp("standin"))
    (made.mirror / "lock.toml").write_text(lock_text(made))
    old = os.environ.get("BOARDCAST_LOCK")
    os.environ["BOARDCAST_LOCK"] = str(made.mirror / "lock.toml")
    yield made
    if old is None:
        del os.environ["BOARDCAST_LOCK"]
    else:
        os.environ["BOARDCAST_LOCK"] = old


@pytest.fixture(scope="session")
def sdk(standin: Standin) -> Callable[..., Stage]:
    """Return a function that builds the SDKs' recipes, as they are, on the stand-ins."""

    def get(arch: str, ask: Ask = SDKS, *, force: bool = False) -> Stage:
        return build.run(buildplan.prepare(Arch.parse(arch), ask), mirror=[standin.mirror], force=force)

    return get


@pytest.fixture(scope="session")
def tiny(engine: Engine) -> Iterator[State]:
    """Return the BusyBox and dropbear board, up."""
    yield boards.up("sim-tiny", engine)
    boards.down("sim-tiny", engine)


@pytest.fixture(scope="session")
def tiny_bundle(built: Callable[..., Stage], tiny: State) -> Bundle:
    board = load_board("sim-tiny")
    return assemble.make(board, built("x86_64", "tiny-x86_64"), assemble.board_index(board))[0]


@pytest.fixture(scope="session")
def arm(engine: Engine, arm_root: Future[BoardRoot]) -> Iterator[State]:
    """Return the emulated armv7 board, up."""
    arm_root.result(timeout=1800)
    yield boards.up("sim-armv7", engine)
    boards.down("sim-armv7", engine)


@pytest.fixture(scope="session")
def arm_bundle(built: Callable[..., Stage], arm: State) -> Bundle:
    board = load_board("sim-armv7")
    return assemble.make(board, built("armv7"), assemble.board_index(board))[0]


@pytest.fixture(scope="session")
def arm_sysroot(engine: Engine) -> roots.Sysroot:
    return roots.ensure_sysroot("debian12-armv7", engine)
