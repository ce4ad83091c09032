"""Simulated boards whose power goes: killed at once, and switched on again."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from dataclasses import asdict, replace
from pathlib import PurePosixPath
from typing import Any

from deploy.boards.board import load_board
from deploy.boards.inventory import SimState, sim_folder, sim_state
from deploy.bundle.assemble import pack_bundle
from deploy.bundle.load import Bundle
from deploy.bundle.streams import Contents, service_rows
from deploy.sim.boards import NETWORK, _wait, prepare_board
from recipes import paths, process
from recipes.engine.docker import Engine
from recipes.files import exclusive, write_whole
from tests.support.fakestream import STREAMER, board_of, contents_of


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


def streaming_bundle(plain: Bundle, root: PurePosixPath, streams: Mapping[str, Any], programs: Contents) -> Bundle:
    """Return a bundle with what another one has, and streams: services that our own loop runs.

    Parameters
    ----------
    programs:
        What stands in for boardstream, and other files.
    """
    board = board_of(root, dict(streams))
    streamer = programs.get("bin/boardstream", (STREAMER, 0o755))[0]
    kept = plain.blobs()
    contents = {file.path: (kept[file.blob], file.mode) for file in plain.manifest.files}
    contents |= contents_of(board, streamer) | programs
    return pack_bundle(plain.manifest.model_copy(update={"services": service_rows(board), "root": str(root)}), contents)


def lose(board: SimState, engine: Engine, fault: str, lost: bool) -> None:
    """Lose a board, or find it again: all that it runs stands still, or its answers go into a black hole."""
    if fault == "its server stands still":
        process.run(["docker", "pause" if lost else "unpause", board.container], check=False)
    elif fault == "what it sends is dropped":
        image = prepare_board(load_board("sim-tiny"), engine).image
        beside = ["docker", "run", "--rm", "--network", f"container:{board.container}", "--cap-add", "NET_ADMIN"]
        way = ["ip", "route", "add" if lost else "del", "blackhole", board.gateway]
        process.run([*beside, "--entrypoint", "/bin/busybox", image, *way], check=False)
