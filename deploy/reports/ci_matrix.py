"""The CI matrix: one row per board and recipe set, from the board files."""

from __future__ import annotations

import json
from collections.abc import Sequence

from deploy.boards.board import Board
from recipes.errors import ConfigError

MOST_JOBS = 256
"""GitHub's limit of jobs in one matrix."""


def matrix_rows(boards: Sequence[Board]) -> list[dict[str, str]]:
    """Return a row per board: what to build for it, and against which sysroot.

    Raises
    ------
    ConfigError
        There are more rows than a matrix takes.
    """
    rows = [
        {
            "board": board.name,
            "arch": board.file.arch,
            "sysroot": board.file.sysroot,
            "recipes": " ".join(board.recipes),
        }
        for board in boards
    ]
    if len(rows) > MOST_JOBS:
        raise ConfigError(
            f"{len(rows)} rows, and a matrix takes {MOST_JOBS}",
            next_step="name the boards: invoke matrix --board A --board B",
        )
    return rows


def render_matrix(rows: Sequence[dict[str, str]], style: str) -> str:
    """Return the matrix as GitHub, GitLab or a program reads it.

    GitHub: `matrix=` and `empty=` lines for $GITHUB_OUTPUT; an empty matrix is an error there, so a job asks `empty`
    first. GitLab: a child pipeline; it is JSON, which is YAML too.

    Raises
    ------
    ConfigError
        The format has another name.
    """
    if style == "json":
        return json.dumps(list(rows), indent=2)
    if style == "github":
        matrix = json.dumps({"include": list(rows)}, separators=(",", ":"))
        return f"matrix={matrix}\nempty={'true' if not rows else 'false'}"
    if style == "gitlab":
        return json.dumps(_gitlab(rows), indent=2)
    raise ConfigError(f"no matrix format {style!r}", why="known: github, gitlab, json")


def _gitlab(rows: Sequence[dict[str, str]]) -> dict[str, object]:
    if not rows:
        # GitLab refuses a pipeline without jobs.
        return {"no boards": {"script": ["echo 'no board is configured: nothing to build'"]}}
    return {
        f"build {row['board']}": {
            "script": [
                "./bootstrap install",
                f".venv/bin/invoke build --arch {row['arch']} --board {row['board']}",
            ],
            "artifacts": {"paths": [f".boardcast/stage/{row['arch']}/{row['sysroot']}"]},
        }
        for row in rows
    }
