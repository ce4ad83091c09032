"""Deploy the demo's bundle to the emulated board, and deploy it again: bytes, round trips, seconds; and start-up."""

from __future__ import annotations

import subprocess
import sys
import time

from deploy.boards.board import load_board
from deploy.boards.index import board_index
from deploy.bundle.assemble import make_bundle
from deploy.release.deployment import deploy_to
from deploy.sim.boards import bring_up, is_up, prepare_board, take_down
from recipes import paths
from recipes.builder.run import build_stage, prepare_build
from recipes.engine.docker import Engine
from recipes.errors import PreflightError
from recipes.toolchains.vendor import parse_arch
from tests.support.bench import show

HOST = "sim-armv7"


def measure() -> dict[str, object]:
    engine, board = Engine.connect(), load_board(HOST)
    prepare_board(board, engine)
    staged = build_stage(prepare_build(parse_arch(board.file.arch), board.ask(), engine=engine))
    bundle = make_bundle(board, staged, board_index(board))[0]
    if is_up(HOST, engine):
        # Somebody else may be at work on it, and would lose it at the end.
        raise PreflightError(f"{HOST} is up already", next_step=f"invoke sim down --host {HOST}, once nobody uses it")
    begun = time.perf_counter()
    bring_up(HOST, engine)
    up = time.perf_counter() - begun
    try:
        begun = time.perf_counter()
        first = deploy_to(HOST, bundle).release
        deployed = time.perf_counter() - begun
        begun = time.perf_counter()
        again = deploy_to(HOST, bundle).release
        repeated = time.perf_counter() - begun
    finally:
        take_down(HOST, engine)
    begun = time.perf_counter()
    for _ in range(5):
        argv = [sys.executable, "-m", "invoke", "--list"]
        subprocess.run(argv, cwd=paths.CHECKOUT, check=True, stdout=subprocess.DEVNULL)
    listing = (time.perf_counter() - begun) / 5
    return {
        "cached board up, s": round(up, 1),
        "first deploy and verify, s": round(deployed, 1),
        "first: bytes, round trips": f"{first.payload}, {first.round_trips}",
        "again, s": round(repeated, 1),
        "again: bytes, round trips": f"{again.payload}, {again.round_trips}",
        "first / again": round(deployed / repeated, 1),
        "invoke --list, s": round(listing, 2),
    }


if __name__ == "__main__":
    show("Deploy to the emulated board", measure)
