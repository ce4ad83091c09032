"""Boards with a real init system, for faults that need a boot."""

from __future__ import annotations

import os
import random
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from recipes.engine.docker import Engine
from tests.support.initboard import MACHINES, NETWORK, InitBoard, container_of

_BOOTED = [
    pytest.param(machine, id=machine.system, marks=[pytest.mark.slow] if machine.system == "openrc" else [])
    for machine in MACHINES
]


@pytest.fixture(scope="module", params=_BOOTED)
def booted(request: pytest.FixtureRequest, engine: Engine) -> Iterator[InitBoard]:
    """Give a board that was started by systemd, BusyBox init or OpenRC."""
    try:
        made = InitBoard(request.param, engine, b"#!/bin/sh\n")
        made.booted()
        yield made
    finally:
        engine.services.remove(container_of(request.param.system))
        engine.services.remove_network(NETWORK)


@pytest.fixture
def figure(request: pytest.FixtureRequest) -> Callable[[str], None]:
    """Return what takes a measured figure: it is printed, and written down for `invoke test faults`."""

    def tell(text: str) -> None:
        print(text)
        if file := os.environ.get("BOARDCAST_FIGURES"):
            with Path(file).open("a") as lines:
                lines.write(f"{request.node.name}\t{text}\n")

    return tell


@pytest.fixture
def dice() -> random.Random:
    """Return the source of all that is random in a test; BOARDCAST_SEED repeats a run."""
    seed = os.environ.get("BOARDCAST_SEED") or str(random.SystemRandom().randrange(10**6))
    print(f"seed {seed}")
    return random.Random(seed)
