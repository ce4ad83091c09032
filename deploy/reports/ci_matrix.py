"""The CI matrix: one row per board and recipe set, from the board files. Pure."""

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
    found = [
        {
            "board": board.name,
            "arch": board.file.arch,
            "sysroot": board.file.sysroot,
            "recipes": " ".join(board.file.recipes),
        }
        for board in boards
    ]
    if len(found) > MOST_JOBS:
        raise ConfigError(
            f"{len(found)} rows, and a matrix takes {MOST_JOBS}",
            next_step="name the boards: invoke matrix --board A --board B",
        )
    return found


def render_matrix(found: Sequence[dict[str, str]], style: str) -> str:
    """Return the matrix as GitHub, GitLab or a program reads it.

    GitHub: `matrix=` and `empty=` lines for $GITHUB_OUTPUT; an empty matrix is an error there, so a job asks `empty`
    first. GitLab: a child pipeline; it is JSON, which is YAML too.

    Raises
    ------
    ConfigError
        The format has another name.
    """
    if style == "json":
        return json.dumps(list(found), indent=2)
    if style == "github":
        matrix = json.dumps({"include": list(found)}, separators=(",", ":"))
        return f"matrix={matrix}\nempty={'true' if not found else 'false'}"
    if style == "gitlab":
        return json.dumps(_gitlab(found), indent=2)
    raise ConfigError(f"no matrix format {style!r}", why="known: github, gitlab, json")


def _gitlab(found: Sequence[dict[str, str]]) -> dict[str, object]:
    if not found:
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
        for row in found
    }
