"""Tasks of the project itself: simulated boards and the demo, the CI matrix, the benches, and hostile input."""

from __future__ import annotations

import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

from invoke import Context, Exit

from deploy.cli.command import BOARD, HOST, benches, command
from recipes.errors import ConfigError, VerifyError, unknown
from recipes.text import shown

if TYPE_CHECKING:
    from deploy.boards.board import Board
    from deploy.release.deployment import DeployOutcome
    from recipes.engine.docker import Engine

KINDS = ("store", "bundle", "names", "board", "build", "media")
"""Where hostile input may come from; the marks of the tests name them."""
_SELFTEST_SECONDS = 1800


@command(
    positional=["what"],
    help={
        "what": "{benches}",
        "svg": "dedupe only: also draw its cost by the size of the root into this file",
    },
)
def bench(_: Context, what: str, svg: str = "", json: bool = False, dry_run: bool = False) -> None:
    """Measure ratios side by side in one run."""
    import shlex

    from recipes import console, paths, process

    if what not in (known := benches()):
        raise unknown("bench", what, known, next_step="invoke bench elf")
    script = paths.CHECKOUT / "tests" / "bench" / f"bench_{what}.py"
    if svg and what != "dedupe":
        raise ConfigError(f"bench {what} draws nothing", next_step="invoke bench dedupe --svg FILE")
    argv = [sys.executable, str(script), *(["--json"] if json else []), *(["--svg", svg] if svg else [])]
    if dry_run and json:
        console.emit(argv)
    elif dry_run:
        console.out(*shlex.join(argv).splitlines())
    elif code := process.passthrough(argv, env={"PYTHONPATH": str(paths.CHECKOUT)}):
        raise Exit("", code)


@command(
    iterable=["board"],
    help={
        "format": "github, gitlab or json",
        "board": f"{BOARD}; all without it",
        "json": "the same as --format json",
    },
)
def matrix(_: Context, board: list[str], format: str = "json", json: bool = False) -> None:  # noqa: A002
    """Print the CI matrix: a row per board and its recipes."""
    from deploy.boards.board import board_names, load_board
    from deploy.reports.ci_matrix import matrix_rows, render_matrix
    from recipes import console

    rows = matrix_rows([load_board(name) for name in board or board_names()])
    if not rows:
        console.note("no board is configured: the matrix is empty")
    console.out(*render_matrix(rows, "json" if json else format).splitlines())


def _tried(table: Path) -> dict[str, dict[str, Any]]:
    """Return what was tried by kind, as the tests wrote it down; nothing where they did not come so far."""
    import json

    try:
        rows = json.loads(table.read_text())
    except (OSError, ValueError):
        rows = {}
    return {name: rows[name] for name in KINDS if name in rows}


@command(
    iterable=["kind"],
    help={
        "kind": "store, bundle, names, build, board or media; all without it; may be given more than once",
        "engine": "also what needs a container engine and simulated boards",
        "dry_run": "print the command line only",
    },
)
def security(_: Context, kind: list[str], engine: bool = False, json: bool = False, dry_run: bool = False) -> None:
    """Hand hostile input to this installation, and count what is refused."""
    import shlex
    import tempfile

    from recipes import console, paths, process

    if strange := [name for name in kind if name not in KINDS]:
        raise unknown("kind of hostile input", strange[0], KINDS, next_step="invoke selftest.security")
    wanted = " or ".join(f"hostile(kind='{name}')" for name in kind or KINDS)
    tests = paths.CHECKOUT / "tests"
    if not tests.is_dir():
        raise ConfigError("the tests are not here", where=str(tests), next_step="run it in a checkout of Boardcast")
    with tempfile.TemporaryDirectory(prefix="boardcast-selftest-") as folder:
        table = Path(folder) / "table.json"
        argv = [sys.executable, "-m", "pytest", "-q", "-p", "tests.support.hostile", "--hostile-table", str(table)]
        argv += [
            "-m",
            wanted if engine else f"({wanted}) and not engine and not sim",
            f"--basetemp={folder}/pytest",
            "--",
            str(tests),
        ]
        if dry_run:
            console.emit(argv) if json else console.out(*shlex.join(argv).splitlines())
            return
        environment = {"PYTHONPATH": str(paths.CHECKOUT)}
        done = process.run(argv, cwd=paths.CHECKOUT, env=environment, check=False, timeout=_SELFTEST_SECONDS)
        rows = _tried(table)
    if json:
        console.emit(rows)
    else:
        lines = [
            [name, f"{row['inputs']:,}", f"{row['refused']:,}", "; ".join(row["figures"])] for name, row in rows.items()
        ]
        console.table("Hostile input", ["kind", "inputs", "refused", "figures"], lines, right=["inputs", "refused"])
    if done.code:
        tail = shown("\n".join(done.text.splitlines()[-12:]))
        raise VerifyError("not all hostile input was refused", why=tail, next_step=shlex.join(argv))


@command(
    positional=["action"],
    help={
        "action": "up, down or status",
        "host": f"{HOST}; every simulated one without it",
        "kvs": "up only: bring the local service up too, and make the boards take it for AWS",
    },
)
def sim(_: Context, action: str, host: str = "", kvs: bool = False, json: bool = False, dry_run: bool = False) -> None:
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
            if kvs:
                _lead_to_service(name)
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


def _lead_to_service(host: str) -> None:
    """Bring the local service up, unless it is, and make a simulated board take it for AWS."""
    from deploy.kvsboards.simulated import lead_to_service
    from deploy.localkvs.lifecycle import bring_up
    from deploy.sim.boards import NETWORK

    lead_to_service(host, bring_up(network=NETWORK))


@command(help={"host": f"{HOST}, a simulated one"})
def demo(_: Context, host: str = "sim-armv7", json: bool = False, dry_run: bool = False) -> None:
    """Build, dedupe, deploy to a simulated board, verify."""
    from deploy.boards.board import load_board
    from deploy.boards.inventory import load_host
    from deploy.cli.output import outcome_facts
    from deploy.sim.boards import bring_up, is_up, take_down
    from recipes import console
    from recipes.engine.docker import Engine

    board = load_board(load_host(host).board)
    if dry_run:
        steps = [f"build the recipes of {board.name}", f"bring {host} up", "bundle", "deploy", "verify", "deploy again"]
        steps.append(f"take {host} down, unless it was up before")
        console.emit({"host": host, "steps": steps}) if json else console.out(*steps)
        return
    begun = time.monotonic()
    engine = Engine.connect()
    _build_beside_the_root(board, engine, quiet=json)
    was_up = is_up(host, engine)
    try:
        bring_up(host, engine)
        outcomes = _deploy_twice(host, board, quiet=json)
    finally:
        # Somebody else may be at work on a board that was up: it is not taken away under their hands.
        if not was_up:
            take_down(host, engine)
    seconds = time.monotonic() - begun
    if json:
        console.emit({"host": host, "deploys": [outcome_facts(done) for done in outcomes], "seconds": round(seconds)})
    left = "stays up, as it was" if was_up else "is gone"
    console.say(f"the demo took {seconds:.0f} s; the board {left}, the bundle stays in .boardcast/bundles")


def _build_beside_the_root(board: Board, engine: Engine, *, quiet: bool) -> None:
    """Build while the board's root is made: the one waits for the mirror, the other for emulation."""
    from concurrent.futures import ThreadPoolExecutor

    from deploy.cli.output import print_resolution, print_stage
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
    from deploy.cli.output import print_bundle, print_outcome
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
