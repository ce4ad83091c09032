"""Programs to watch over, and boards with an init system that does."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from recipes.engine.docker import Engine
from tests.support.compiler import compiled
from tests.support.initboard import MACHINES, NETWORK, InitBoard, container_of


@pytest.fixture(scope="session")
def camera(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a static program that does what a file says, and writes down the signals that it gets."""
    source = {"camera.c": (Path(__file__).parent / "camera.c").read_text()}
    folder = compiled(request, tmp_path_factory.mktemp("camera"), source, "$CC -O2 -static -o camera camera.c")
    return folder / "camera"


@pytest.fixture(scope="session")
def streamer(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> bytes:
    """Return a static program in place of boardstream that counts pictures."""
    source = {"streamer.c": (Path(__file__).parent / "streamer.c").read_text()}
    folder = compiled(request, tmp_path_factory.mktemp("streamer"), source, "$CC -O2 -static -o streamer streamer.c")
    return (folder / "streamer").read_bytes()


@pytest.fixture(scope="module", params=MACHINES, ids=lambda machine: str(machine.system))
def board(request: pytest.FixtureRequest, engine: Engine, camera: Path) -> Iterator[InitBoard]:
    try:
        made = InitBoard(request.param, engine, camera.read_bytes())
        made.booted()
        yield made
    finally:
        engine.services.remove(container_of(request.param.system))
        engine.services.remove_network(NETWORK)
