"""Deploy the demo's bundle to the emulated board, and deploy it again: bytes, round trips, seconds; and start-up."""

from __future__ import annotations

import subprocess
import sys
import time

from deploy import assemble
from deploy import host as hosts
from deploy.board import load_board
from deploy.sim import boards
from recipes import build, buildplan, paths
from recipes.arch import Arch
from recipes.engine import Engine
from tests.support.bench import show

HOST = "sim-armv7"


def measure() -> dict[str, object]:
    engine, board = Engine.connect(), load_board(HOST)
    boards.prepare(board, engine)
    staged = build.run(buildplan.prepare(Arch.parse(board.file.arch), board.ask(), engine=engine))
    bundle = assemble.make(board, staged, assemble.board_index(board))[0]
    begun = time.perf_counter()
    boards.up(HOST, engine)
    up = time.perf_counter() - begun
    try:
        begun = time.perf_counter()
        first = hosts.deploy(HOST, bundle).release
        deployed = time.perf_counter() - begun
        begun = time.perf_counter()
        again = hosts.deploy(HOST, bundle).release
        repeated = time.perf_counter() - begun
    finally:
        boards.down(HOST, engine)
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
