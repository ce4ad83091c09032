"""Simulated boards whose power goes: killed at once, and switched on again."""

from __future__ import annotations

import json
import os
from dataclasses import asdict, replace
from typing import Any

from deploy.boards.inventory import SimState, sim_folder, sim_state
from deploy.sim.boards import NETWORK, _wait
from recipes import paths
from recipes.engine.docker import Engine
from recipes.files import exclusive, write_whole


def container_of(host: str, engine: Engine) -> Any:
    """Return the engine's handle of a board that was brought up."""
    state = sim_state(host)
    assert state is not None
    return engine.services._client.containers.get(state.container)


def power_up(host: str, engine: Engine) -> SimState:
    """Switch a board on again that was killed, or lives still; its files are as they were but for those in memory."""
    state = sim_state(host)
    assert state is not None
    container = container_of(host, engine)
    with exclusive("change-of-networks", paths.cache()):
        container.reload()
        if container.status == "running":
            container.kill()
        container.wait()
        container.start()
        container.reload()
    address = str(container.attrs["NetworkSettings"]["Networks"][NETWORK]["IPAddress"])
    moved = replace(state, address=address)
    write_whole(sim_folder(host) / "state.json", json.dumps(asdict(moved), indent=1).encode())
    _wait(moved, engine)
    return moved


def rounds(short: int, full: int) -> int:
    """Return how often something is tried: in full by `invoke test faults`."""
    return full if os.environ.get("BOARDCAST_FULL") else short
