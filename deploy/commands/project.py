"""Tasks of the project itself: the CI matrix and the benches."""

from __future__ import annotations

import sys

from invoke import Context, Exit

from deploy.commands.command import BOARD, benches, command
from recipes.errors import ConfigError, unknown


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
        print(shlex.join(argv))
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

    rows = matrix_rows([load_board(name) for name in board or board_names()])
    if not rows:
        print("no board is configured: the matrix is empty", file=sys.stderr)
    print(render_matrix(rows, "json" if json else format))
