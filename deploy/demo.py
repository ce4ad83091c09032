"""The first ten minutes: build for armv7, dedupe, deploy to a simulated board, verify, and leave nothing behind."""

from __future__ import annotations

import time
from concurrent.futures import Future, ThreadPoolExecutor

from deploy import assemble, report
from deploy import host as hosts
from deploy.board import Board, load_board, load_host
from deploy.sim import boards
from recipes import build, buildplan, console, images, paths
from recipes.arch import Arch
from recipes.engine import Engine
from recipes.roots import BoardRoot

HOST = "sim-armv7"


def run(host_name: str = HOST) -> None:
    """Run the whole path against a simulated board.

    The board's root and the toolchain are made side by side: the one waits for emulation, the other for the mirror.
    """
    begun = time.monotonic()
    board = load_board(load_host(host_name).board)
    engine, second = Engine.connect(), Engine.connect()
    images.ensure_base(engine)
    with ThreadPoolExecutor(max_workers=1) as pool:
        root = pool.submit(boards.prepare, board, second)
        try:
            with paths.exclusive("build"):
                arch = Arch.parse(board.file.arch)
                prepared = buildplan.prepare(arch, board.ask(), engine=engine)
                report.resolution(prepared)
                staged = build.run(prepared)
            if not root.done():
                console.say("the build is done; the board's packages are still being configured under emulation …")
            root.result()
        except BaseException:
            _stop(root, second)
            raise
    report.stage(staged)
    try:
        boards.up(host_name, engine)
        _deploy(host_name, board)
    finally:
        boards.down(host_name, engine)
    console.say(
        f"the demo took {time.monotonic() - begun:.0f} s; the board is gone, the bundle stays in .boardcast/bundles"
    )


def _stop(root: Future[BoardRoot], engine: Engine) -> None:
    """End the other half at once: its container goes, so its command ends."""
    if not root.done():
        engine.abort()


def _deploy(host_name: str, board: Board) -> None:
    made, decided = assemble.make(board, assemble.stage_for(board), assemble.board_index(board))
    report.bundle(made, decided)
    report.outcome(hosts.deploy(host_name, made))
    report.outcome(hosts.deploy(host_name, made))
