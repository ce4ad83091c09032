"""Tasks of simulated boards: up, down, status, and the demo."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from invoke import Context

from deploy.commands.command import HOST, command
from recipes.errors import ConfigError

if TYPE_CHECKING:
    from deploy.boards.board import Board
    from deploy.release.deployment import DeployOutcome
    from recipes.engine.docker import Engine


@command(
    positional=["action"],
    help={
        "action": "up, down or status",
        "host": f"{HOST}; every simulated one without it",
    },
)
def sim(_: Context, action: str, host: str = "", json: bool = False, dry_run: bool = False) -> None:
    """Bring simulated boards up or down, or list them."""
    from deploy.boards.inventory import load_host, load_hosts, sim_state
    from deploy.sim.boards import bring_up, take_down
    from recipes import console
    from recipes.engine.docker import Engine

    if action not in ("up", "down", "status"):
        raise ConfigError(f"no action {action!r}", why="known: up, down, status", next_step="invoke sim status")
    if host:
        load_host(host)
    names = [host] if host else [name for name, known in load_hosts().items() if known.simulated]
    engine = None if dry_run else Engine.connect()
    rows = []
    for name in names:
        if engine is not None and action == "up":
            bring_up(name, engine)
        elif engine is not None and action == "down":
            take_down(name, engine)
        there = sim_state(name)
        running = there is not None and engine is not None and engine.services.running(there.container)
        state = "up" if running else "recorded" if there else "down"
        if dry_run and action != "status":
            state = f"{state}; to be {'brought up' if action == 'up' else 'taken down'}"
        rows.append([name, state, there.address if there else "-"])
    if json:
        console.emit([dict(zip(("host", "state", "address"), row, strict=True)) for row in rows])
    else:
        console.table("Simulated boards", ["host", "state", "address"], rows)


@command(help={"host": f"{HOST}, a simulated one"})
def demo(_: Context, host: str = "sim-armv7", json: bool = False, dry_run: bool = False) -> None:
    """Build, dedupe, deploy to a simulated board, verify."""
    from deploy.boards.board import load_board
    from deploy.boards.inventory import load_host
    from deploy.commands.output import outcome_facts
    from deploy.sim.boards import bring_up, take_down
    from recipes import console
    from recipes.engine.docker import Engine

    board = load_board(load_host(host).board)
    if dry_run:
        steps = [f"build the recipes of {board.name}", f"bring {host} up", "bundle", "deploy", "verify", "deploy again"]
        steps.append(f"take {host} down")
        console.emit({"host": host, "steps": steps}) if json else print("\n".join(steps))
        return
    begun = time.monotonic()
    engine = Engine.connect()
    _build_beside_the_root(board, engine, quiet=json)
    try:
        bring_up(host, engine)
        outcomes = _deploy_twice(host, board, quiet=json)
    finally:
        take_down(host, engine)
    seconds = time.monotonic() - begun
    if json:
        console.emit({"host": host, "deploys": [outcome_facts(done) for done in outcomes], "seconds": round(seconds)})
    console.say(f"the demo took {seconds:.0f} s; the board is gone, the bundle stays in .boardcast/bundles")


def _build_beside_the_root(board: Board, engine: Engine, *, quiet: bool) -> None:
    """Build while the board's root is made: the one waits for the mirror, the other for emulation."""
    from concurrent.futures import ThreadPoolExecutor

    from deploy.commands.output import print_resolution, print_stage
    from deploy.sim.boards import prepare_board
    from recipes import console
    from recipes.builder.run import build_stage, prepare_build
    from recipes.engine.docker import Engine
    from recipes.files import exclusive
    from recipes.toolchains.images import ensure_base_image
    from recipes.toolchains.vendor import parse_arch

    second = Engine.connect()
    ensure_base_image(engine)
    with ThreadPoolExecutor(max_workers=1) as pool:
        root = pool.submit(prepare_board, board, second)
        try:
            with exclusive("build"):
                prepared = prepare_build(parse_arch(board.file.arch), board.ask(), engine=engine)
                if not quiet:
                    print_resolution(prepared)
                staged = build_stage(prepared)
            if not root.done():
                console.say("the build is done; the board's packages are still being configured under emulation …")
            root.result()
        except BaseException:
            if not root.done():
                second.abort()  # its container goes, so its command ends
            raise
    if not quiet:
        print_stage(staged)


def _deploy_twice(host: str, board: Board, *, quiet: bool) -> list[DeployOutcome]:
    """Deploy a new bundle, and the same again: the second time nothing is left to do."""
    from deploy.boards.index import board_index
    from deploy.bundle.assemble import make_bundle, stage_for
    from deploy.commands.output import print_bundle, print_outcome
    from deploy.release.deployment import deploy_to

    made, decided = make_bundle(board, stage_for(board), board_index(board))
    if not quiet:
        print_bundle(made, decided)
    outcomes = []
    for _ in range(2):
        outcomes.append(deploy_to(host, made))
        if not quiet:
            print_outcome(outcomes[-1])
    return outcomes
