"""Tasks of the project itself: simulated boards and the demo, the CI matrix, the benches, and hostile input."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from invoke import Context, Exit

from deploy.cli.command import ARCH, BOARD, HOST, benches, command
from recipes.errors import ConfigError, VerifyError, unknown
from recipes.text import shown

KINDS = ("store", "bundle", "names", "board", "build", "media")
"""Where hostile input may come from; the marks of the tests name them."""
_SELFTEST_SECONDS = 3600
_MIRRORS = ("BOARDCAST_MIRROR", "BOARDCAST_DEBIAN_MIRROR", "BOARDCAST_DEBIAN_SNAPSHOTS")
_FAULTS_SECONDS = 4 * 3600


def _of_tests(more: Mapping[str, str] | None = None) -> dict[str, str]:
    """Return what our own tests have of this user's environment: the cache, and where sources come from."""
    import os

    from recipes import paths
    from recipes.tools.base import proxies

    mirrors = {name: os.environ[name] for name in _MIRRORS if name in os.environ}
    here = {"PYTHONPATH": str(paths.CHECKOUT), "BOARDCAST_CACHE": str(paths.cache())}
    return {**proxies(), **mirrors, **here, **(more or {})}


@command(
    positional=["what"],
    help={
        "what": "{benches}",
        "svg": "dedupe: also draw its cost by the size of the root into this file; fleet: only draw time by boards",
    },
)
def bench(_: Context, what: str, svg: str = "", json: bool = False, dry_run: bool = False) -> None:
    """Measure ratios side by side in one run."""
    import shlex

    from recipes import console, paths, process

    if what not in (known := benches()):
        raise unknown("bench", what, known, next_step="invoke bench elf")
    script = paths.CHECKOUT / "tests" / "bench" / f"bench_{what}.py"
    if svg and what not in ("dedupe", "fleet"):
        raise ConfigError(f"bench {what} draws nothing", next_step="invoke bench dedupe --svg FILE")
    argv = [sys.executable, str(script), *(["--json"] if json else []), *(["--svg", svg] if svg else [])]
    if dry_run and json:
        console.emit(argv)
    elif dry_run:
        console.out(*shlex.join(argv).splitlines())
    elif code := process.passthrough(argv, env=_of_tests()):
        raise Exit("", code)


@command(
    name="test",
    positional=["what"],
    help={
        "what": "faults: cut deploys and boards in full, and print what that came to",
        "seed": "repeats what a run before tried at random, by the number that it printed",
        "dry_run": "print the command line only",
    },
)
def try_promises(_: Context, what: str, seed: str = "", json: bool = False, dry_run: bool = False) -> None:
    """Try the promises of a deploy on simulated boards, in full."""
    import secrets
    import shlex
    import tempfile

    from recipes import console, paths, process

    if what != "faults":
        raise unknown("kind of test", what, ["faults"], next_step="invoke test faults")
    if seed and not seed.isdecimal():
        raise ConfigError(f"--seed {seed}: a number")
    tests = paths.CHECKOUT / "tests"
    if not tests.is_dir():
        raise ConfigError("the tests are not here", where=str(tests), next_step="run it in a checkout of Boardcast")
    seed = seed or str(secrets.randbelow(10**6))
    with tempfile.TemporaryDirectory(prefix="boardcast-test-") as folder:
        argv = [sys.executable, "-m", "pytest", "-q", "-p", "no:rerunfailures", f"--basetemp={folder}/pytest"]
        argv += ["--", str(tests / "faults")]
        if dry_run:
            console.emit(argv) if json else console.out(*shlex.join(argv).splitlines())
            return
        figures = Path(folder) / "figures"
        environment = _of_tests({"BOARDCAST_FULL": "yes", "BOARDCAST_SEED": seed, "BOARDCAST_FIGURES": str(figures)})
        console.say(f"seed {seed}; this takes about an hour")
        done = process.run(argv, cwd=paths.CHECKOUT, env=environment, check=False, timeout=_FAULTS_SECONDS)
        told = figures.read_text().splitlines() if figures.is_file() else []
    rows = [line.split("\t", 1) for line in told if "\t" in line]
    if json:
        console.emit({"seed": seed, "figures": [{"test": name, "figure": text} for name, text in rows]})
    else:
        console.table(f"Faults, seed {seed}", ["test", "figure"], rows, roomy=["figure"])
    if done.code:
        tail = shown("\n".join(done.text.splitlines()[-12:]))
        raise VerifyError("a promise of a deploy was not kept", why=tail, next_step=f"invoke test faults --seed {seed}")


@command(
    iterable=["board", "arch"],
    help={
        "format": "github, gitlab or json",
        "board": f"{BOARD}; all without it, and without --arch",
        "arch": f"{ARCH}, with the recipes that are built by default; all without it, and without --board",
        "json": "the same as --format json",
    },
)
def matrix(
    _: Context,
    board: list[str],
    arch: list[str],
    format: str = "json",  # noqa: A002
    json: bool = False,
) -> None:
    """Print the CI matrix: a row per board, and one per architecture."""
    from deploy.boards.board import board_names, load_board
    from deploy.boards.inventory import load_hosts
    from deploy.ci.matrix import deployable, matrix_rows, render_matrix
    from recipes import console
    from recipes.arch import ARCHES
    from recipes.toolchains.vendor import parse_arch

    every = not (board or arch)
    boards = [load_board(name) for name in (board_names() if every else board)]
    arches = list(ARCHES.values()) if every else [parse_arch(name) for name in arch]
    hosts = {known.board: name for name, known in reversed(load_hosts().items()) if known.simulated}
    rows = matrix_rows(boards, arches, hosts)
    console.out(*render_matrix(rows, deployable(rows, boards), "json" if json else format).splitlines())


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
        done = process.run(argv, cwd=paths.CHECKOUT, env=_of_tests(), check=False, timeout=_SELFTEST_SECONDS)
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


@command(
    help={
        "host": f"{HOST}, a simulated one",
        "stay": "serve the page until Ctrl-C, also where nobody watches the terminal",
    }
)
def demo(_: Context, host: str = "sim-camera", stay: bool = False, json: bool = False, dry_run: bool = False) -> None:
    """Build, deploy to a simulated board, stream: ends in a picture."""
    from deploy.boards.board import load_board
    from deploy.boards.inventory import load_host
    from deploy.demo.run import run_demo, steps_of
    from recipes import console

    board = load_board(load_host(host).board)
    if dry_run:
        steps = steps_of(host, board)
        console.emit({"host": host, "steps": steps}) if json else console.out(*steps)
        return
    run_demo(host, board, stay=stay or (sys.stdout.isatty() and not json), json=json)
