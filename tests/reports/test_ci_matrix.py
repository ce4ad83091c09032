"""The CI matrix: a row per board, never more than a matrix takes, never empty without saying so."""

from __future__ import annotations

import json

import pytest

from deploy.boards.board import Board, board_names, load_board
from deploy.reports.ci_matrix import matrix_rows, render_matrix
from recipes.errors import ConfigError


def boards(count: int) -> list[Board]:
    board = load_board("sim-armv7")
    return [Board(name=f"cam{number}", file=board.file) for number in range(count)]


def test_a_row_per_board_of_ours() -> None:
    found = matrix_rows([load_board(name) for name in board_names()])
    archs = {"sim-armv7": "armv7", "sim-camera": "armv7", "sim-tiny": "x86_64"}
    assert {row["board"]: row["arch"] for row in found} == archs


def test_github_gets_a_matrix_and_whether_it_is_empty() -> None:
    lines = dict(line.split("=", 1) for line in render_matrix(matrix_rows(boards(2)), "github").splitlines())
    assert [row["board"] for row in json.loads(lines["matrix"])["include"]] == ["cam0", "cam1"]
    assert lines["empty"] == "false"
    assert "empty=true" in render_matrix([], "github")


def test_gitlab_gets_a_job_per_board_and_never_none() -> None:
    jobs = json.loads(render_matrix(matrix_rows(boards(2)), "gitlab"))
    assert jobs["build cam1"]["script"][-1].endswith("build --arch armv7 --board cam1")
    assert "no boards" in json.loads(render_matrix([], "gitlab"))


def test_a_matrix_takes_256_rows() -> None:
    assert len(matrix_rows(boards(256))) == 256
    with pytest.raises(ConfigError, match="257 rows"):
        matrix_rows(boards(257))


def test_another_format_is_an_error() -> None:
    with pytest.raises(ConfigError, match="no matrix format 'yaml'"):
        render_matrix([], "yaml")
