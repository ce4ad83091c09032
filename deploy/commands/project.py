"""Tasks of the project itself: the CI matrix, the benches, and the test of what it does with hostile input."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

from invoke import Context, Exit

from deploy.commands.command import BOARD, benches, command
from recipes.errors import ConfigError, VerifyError, unknown
from recipes.text import shown

KINDS = ("store", "bundle", "names", "board", "build")
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
        "kind": "store, bundle, names, build or board; all without it; may be given more than once",
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
