"""Boards with a real init system, for faults that need a boot."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from recipes.engine.docker import Engine
from tests.support.initboard import MACHINES, NETWORK, InitBoard, container_of


@pytest.fixture(scope="module", params=MACHINES, ids=lambda machine: str(machine.system))
def booted(request: pytest.FixtureRequest, engine: Engine) -> Iterator[InitBoard]:
    """Give a board that was started by systemd, BusyBox init or OpenRC."""
    try:
        made = InitBoard(request.param, engine, b"#!/bin/sh\n")
        made.booted()
        yield made
    finally:
        engine.services.remove(container_of(request.param.system))
        engine.services.remove_network(NETWORK)
