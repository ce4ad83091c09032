"""Tasks of boards: bundle, deploy, verify, roll back, simulate."""

from __future__ import annotations

import sys

from invoke import Context

from deploy.commands.command import BOARD, DRY, HOST, JSON, command
from recipes.errors import ConfigError


@command(
    help={
        "host": HOST,
        "bundle": "file to deploy; the last one made for the board without it",
        "json": JSON,
        "dry_run": DRY,
    }
)
def deploy(_: Context, host: str, bundle: str = "", json: bool = False, dry_run: bool = False) -> None:
    """Send a bundle, switch to it, check it; go back if red."""
    from deploy import host as hosts
    from deploy import report
    from recipes import console

    chosen = hosts.bundle_for(host, bundle)
    if dry_run:
        planned = hosts.plan_deploy(host, chosen)
        if json:
            console.emit({"host": host, "release": chosen.id, "steps": [step.detail for step in planned.steps]})
        else:
            report.release_plan(host, planned)
        return
    done = hosts.deploy(host, chosen)
    if json:
        console.emit(
            {
                "host": host,
                "release": done.release.id,
                "changed": done.release.changed,
                "payload": done.release.payload,
                "round_trips": done.release.round_trips,
                "verdict": done.verdict.as_dict() if done.verdict else None,
            }
        )
    else:
        report.outcome(done)


@command(iterable=["host"], help={"host": f"{HOST}; every reachable one without it", "json": JSON, "dry_run": DRY})
def verify(_: Context, host: list[str], json: bool = False, dry_run: bool = False) -> None:
    """Check what runs on boards, with evidence and JUnit."""
    from deploy import host as hosts
    from deploy import report
    from deploy import verify as verifying
    from recipes import console

    names = host or hosts.reachable()
    if not names:
        raise ConfigError(
            "no host to verify",
            why="no simulated board is up, no real one is in the inventory",
            next_step="invoke sim up",
        )
    if dry_run:
        print("\n".join(f"{name}: release, loader and boardprobe checks" for name in names))
        return
    verdicts = [hosts.verify_host(name) for name in names]
    if json:
        console.emit([verdict.as_dict() for verdict in verdicts])
    else:
        report.verdicts(verdicts)
    for verdict in verdicts:
        verifying.demand(verdict)


@command(help={"host": HOST, "json": JSON, "dry_run": "print which release it would be"})
def rollback(_: Context, host: str, json: bool = False, dry_run: bool = False) -> None:
    """Go back to the release that ran before."""
    from deploy import host as hosts
    from recipes import console

    identity = hosts.roll_back(host, dry_run=dry_run)
    if json:
        console.emit({"host": host, "release": identity, "done": not dry_run})
    else:
        print(
            f"{host}: {'would go' if dry_run else 'went'} back to {identity[:12] or 'nothing: no release came before'}"
        )


@command(
    positional=["action"],
    help={
        "action": "up, down or status",
        "host": f"{HOST}; every simulated one without it",
        "json": JSON,
        "dry_run": DRY,
    },
)
def sim(_: Context, action: str, host: str = "", json: bool = False, dry_run: bool = False) -> None:
    """Bring simulated boards up or down, or list them."""
    from deploy.board import load_host, load_hosts
    from deploy.sim import boards
    from recipes import console
    from recipes.engine import Engine

    if action not in ("up", "down", "status"):
        raise ConfigError(f"no action {action!r}", why="known: up, down, status", next_step="invoke sim status")
    if host:
        load_host(host)
    names = [host] if host else [name for name, one in load_hosts().items() if one.simulated]
    engine = None if dry_run else Engine.connect()
    rows = []
    for name in names:
        if engine is not None and action == "up":
            boards.up(name, engine)
        elif engine is not None and action == "down":
            boards.down(name, engine)
        there = boards.state(name)
        running = there is not None and engine is not None and engine.running(there.container)
        rows.append([name, "up" if running else "recorded" if there else "down", there.address if there else "-"])
    if json:
        console.emit([dict(zip(("host", "state", "address"), row, strict=True)) for row in rows])
    else:
        console.table("Simulated boards", ["host", "state", "address"], rows)


@command(
    iterable=["board"],
    help={
        "format": "github, gitlab or json",
        "board": f"{BOARD}; all without it",
        "json": "the same as --format json",
        "dry_run": "accepted; this task only reads",
    },
)
def matrix(_: Context, board: list[str], format: str = "json", json: bool = False, dry_run: bool = False) -> None:  # noqa: A002
    """Print the CI matrix: a row per board and its recipes."""
    from deploy import matrix as matrices
    from deploy.board import board_names, load_board

    found = matrices.rows([load_board(name) for name in board or board_names()])
    if not found:
        print("no board is configured: the matrix is empty", file=sys.stderr)
    print(matrices.render(found, "json" if json else format))


@command(help={"host": f"{HOST}, a simulated one", "json": "accepted; the demo is for people", "dry_run": DRY})
def demo(_: Context, host: str = "sim-armv7", json: bool = False, dry_run: bool = False) -> None:
    """Build, dedupe, deploy to a simulated board, verify."""
    from deploy import demo as showing

    if dry_run:
        print(f"build the recipes of {host}, bring it up, bundle, deploy, verify, deploy again, take it down")
        return
    showing.run(host)
