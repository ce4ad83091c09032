"""The CI matrix: a row per board, never more than a matrix takes, never empty without saying so."""

from __future__ import annotations

import json

import pytest

from deploy import matrix
from deploy.board import Board, board_names, load_board
from recipes.errors import ConfigError


def boards(count: int) -> list[Board]:
    one = load_board("sim-armv7")
    return [Board(name=f"cam{number}", file=one.file) for number in range(count)]


def test_a_row_per_board_of_ours() -> None:
    found = matrix.rows([load_board(name) for name in board_names()])
    assert {row["board"]: row["arch"] for row in found} == {"sim-armv7": "armv7", "sim-tiny": "x86_64"}


def test_github_gets_a_matrix_and_whether_it_is_empty() -> None:
    lines = dict(line.split("=", 1) for line in matrix.render(matrix.rows(boards(2)), "github").splitlines())
    assert [row["board"] for row in json.loads(lines["matrix"])["include"]] == ["cam0", "cam1"]
    assert lines["empty"] == "false"
    assert "empty=true" in matrix.render([], "github")


def test_gitlab_gets_a_job_per_board_and_never_none() -> None:
    jobs = json.loads(matrix.render(matrix.rows(boards(2)), "gitlab"))
    assert jobs["build cam1"]["script"][-1].endswith("build --arch armv7 --board cam1")
    assert "no boards" in json.loads(matrix.render([], "gitlab"))


def test_a_matrix_takes_256_rows() -> None:
    assert len(matrix.rows(boards(256))) == 256
    with pytest.raises(ConfigError, match="257 rows"):
        matrix.rows(boards(257))


def test_another_format_is_an_error() -> None:
    with pytest.raises(ConfigError, match="no matrix format 'yaml'"):
        matrix.render([], "yaml")
