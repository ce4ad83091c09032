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

from deploy.boards.board import load_board
from deploy.boards.index import board_index
from deploy.boards.inventory import SimState
from deploy.bundle.assemble import make_bundle
from deploy.bundle.load import Bundle
from deploy.sim.boards import bring_up, prepare_board, take_down
from recipes import paths
from recipes.builder.request import BuildRequest
from recipes.builder.run import build_stage, prepare_build
from recipes.engine.docker import Engine
from recipes.stage.keys import KEY_VARIABLE
from recipes.stage.manifest import Stage
from recipes.toolchains.debian_root import BoardRoot
from recipes.toolchains.sysroots import Sysroot, ensure_sysroot
from recipes.toolchains.vendor import parse_arch
from recipes.tools.base import ensure_base_image
from tests.support.standin import Standin, lock_text
from tests.support.standin import make as make_standin

SDKS = BuildRequest(names=("producer", "webrtc"))


def pytest_configure() -> None:
    """Make the folder that pytest's temporary ones are put into; a terminal's width is none of the tests' business."""
    os.environ.pop("COLUMNS", None)
    paths.work().mkdir(parents=True, exist_ok=True)


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Put the files that take longest first, so that side by side none is left for the end; let each test try twice.

    Four workers share two cores with compilers, emulated boards and a browser, and what is late there is no fault of
    the code: not even of a test that only starts a thread. What failed is run once more, and pytest's summary names
    each. `-p no:rerunfailures` asks once.
    """
    places = {name: place for place, name in enumerate(_LONGEST)}
    items.sort(key=lambda item: places.get(item.path.relative_to(_HERE).with_suffix("").as_posix(), len(places)))
    again = config.pluginmanager.hasplugin("rerunfailures")
    for item in items if again else ():
        item.add_marker(pytest.mark.flaky(reruns=1, reruns_delay=3))


_HERE = Path(__file__).parent
_REAL = ("engine", "sim", "process", "loopback")
_LONGEST = (
    *("integration/test_first_hour", "release/test_recheck", "corpus/test_corpus", "faults/test_cuts"),
    *("services/test_init_systems", "services/test_init_releases", "builder/test_reproducible", "release/test_tiny"),
    *("fleet/test_boards", "builder/test_build", "builder/test_hostile", "release/test_services", "release/test_sim"),
    *("streamer/test_streamer", "builder/test_sdks", "boards/test_frozen", "builder/test_apps"),
    *("ci/test_workflow", "corpus/test_loader_rules", "corpus/test_fuzz", "streams/test_argv", "services/test_systemd"),
    *("engine/test_remote", "commands/test_tasks", "boards/test_pull", "kvsclient/test_faults", "probe/test_script"),
)


@pytest.fixture(autouse=True)
def _no_world(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Make processes and sockets raise in a test without a marker: a unit test that needs one is not one."""
    marks = {mark.name for mark in request.node.iter_markers()}
    if marks & set(_REAL):
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


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Give each test a workstation of its own; return the user's configuration folder."""
    for name in ("work", "cache"):
        monkeypatch.setenv(f"BOARDCAST_{name.upper()}", str(tmp_path / name))
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))
    monkeypatch.delenv(KEY_VARIABLE, raising=False)
    monkeypatch.setattr(paths, "BOARDS", tmp_path / "boards")
    return tmp_path / "config" / "boardcast"


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
    ensure_base_image(engine)
    with ThreadPoolExecutor(max_workers=1) as pool:
        second = Engine.connect()
        future = pool.submit(prepare_board, load_board("sim-armv7"), second)
        yield future
        if not future.done():
            second.abort()


@pytest.fixture(scope="session")
def built(engine: Engine, arm_root: Future[BoardRoot]) -> Callable[..., Stage]:
    """Return a function that gives the Stage of an architecture, built on its first use."""

    def get(arch: str, sysroot: str = "", *recipes: str) -> Stage:
        # A Stage belongs to an architecture and a sysroot: another test may have put other recipes in its place. What
        # is built comes from the cache the second time, so asking again costs little.
        ask = BuildRequest(names=recipes or ("boardprobe",), sysroot=sysroot)
        return build_stage(prepare_build(parse_arch(arch), ask, engine=engine))

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

    def get(arch: str, ask: BuildRequest = SDKS, *, force: bool = False) -> Stage:
        return build_stage(prepare_build(parse_arch(arch), ask), mirror=[standin.mirror], force=force)

    return get


@pytest.fixture(scope="session")
def tiny(engine: Engine) -> Iterator[SimState]:
    """Return the BusyBox and dropbear board, up."""
    yield bring_up("sim-tiny", engine)
    take_down("sim-tiny", engine)


@pytest.fixture(scope="session")
def tiny_bundle(built: Callable[..., Stage], tiny: SimState) -> Bundle:
    board = load_board("sim-tiny")
    return make_bundle(board, built("x86_64", "tiny-x86_64"), board_index(board))[0]


@pytest.fixture(scope="session")
def arm(engine: Engine, arm_root: Future[BoardRoot]) -> Iterator[SimState]:
    """Return the emulated armv7 board, up."""
    arm_root.result(timeout=1800)
    yield bring_up("sim-armv7", engine)
    take_down("sim-armv7", engine)


@pytest.fixture(scope="session")
def arm_bundle(built: Callable[..., Stage], arm: SimState) -> Bundle:
    board = load_board("sim-armv7")
    return make_bundle(board, built("armv7"), board_index(board))[0]


@pytest.fixture(scope="session")
def arm_sysroot(engine: Engine) -> Sysroot:
    return ensure_sysroot("debian12-armv7", engine)
