"""The CI matrix: a row per board and architecture, caches by the keys of the builds, never more than a matrix takes."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest

from deploy.boards.board import Board, board_names, load_board
from deploy.ci.matrix import Row, deployable, matrix_rows, render_matrix
from recipes import paths
from recipes.arch import ARCHES
from recipes.builder.plan import keys_ahead
from recipes.builder.request import BuildRequest, SourcePolicy
from recipes.errors import ConfigError
from recipes.sources.lock import load_lock
from recipes.sources.recipe import load_catalogue

ALL = list(ARCHES.values())


def boards(count: int) -> list[Board]:
    board = load_board("sim-armv7")
    return [Board(name=f"cam{number}", file=board.file) for number in range(count)]


def ours() -> list[Row]:
    return matrix_rows([load_board(name) for name in board_names()], ALL, {name: name for name in board_names()})


def github(rows: list[Row], bundled: list[Row]) -> dict[str, str]:
    return dict(line.split("=", 1) for line in render_matrix(rows, bundled, "github").splitlines())


def test_a_row_per_board_of_ours_and_per_architecture_of_the_table() -> None:
    found = {row.name: row for row in ours()}
    archs = {"sim-armv7": "armv7", "sim-camera": "armv7", "sim-tiny": "x86_64"}
    assert {name: row.arch for name, row in found.items() if row.board} == archs
    sdks = {name: row for name, row in found.items() if not row.board}
    assert set(sdks) == {f"{name}-sdks" for name in ARCHES}
    assert all({"producer", "webrtc"} <= {*row.recipes.split()} for row in sdks.values())
    assert found["sim-camera"].ask == "--board sim-camera"
    assert found["armv5-sdks"].ask == "--arch armv5"


def test_only_boards_whose_root_is_known_get_a_bundle(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    known = [load_board(name) for name in ("sim-tiny", "sim-armv7")]
    rows = matrix_rows(known, ALL, {"sim-tiny": "a-host"})
    assert [(row.name, row.host) for row in deployable(rows, known)] == [("sim-tiny", "a-host")]
    (tmp_path / "cam0").mkdir()
    (tmp_path / "cam0" / "board.toml").write_text((paths.BOARDS / "sim-armv7" / "board.toml").read_text())
    monkeypatch.setenv("BOARDCAST_BOARDS", str(tmp_path))
    real = [load_board("cam0")]
    rows = matrix_rows(real, [], {})
    assert deployable(rows, real) == []
    (tmp_path / "cam0" / "root.tar").touch()
    assert [row.name for row in deployable(rows, real)] == ["cam0"]


def test_github_gets_both_matrices_and_whether_they_are_empty() -> None:
    rows = matrix_rows(boards(2), [], {})
    lines = github(rows, rows[:1])
    assert [row["board"] for row in json.loads(lines["matrix"])["include"]] == ["cam0", "cam1"]
    assert [row["board"] for row in json.loads(lines["boards"])["include"]] == ["cam0"]
    assert (lines["empty"], lines["no-boards"]) == ("false", "false")
    assert github(rows, [])["no-boards"] == "true"
    assert github([], [])["empty"] == "true"


def test_gitlab_gets_a_job_per_row_and_never_none() -> None:
    jobs = json.loads(render_matrix(matrix_rows(boards(2), ALL[:1], {}), [], "gitlab"))
    assert any(line.endswith("build --board cam1") for line in jobs["build cam1"]["script"])
    assert any(line.endswith("build --arch armv7") for line in jobs["build armv7-sdks"]["script"])
    assert "no boards" in json.loads(render_matrix([], [], "gitlab"))


def test_a_matrix_takes_256_rows() -> None:
    assert len(matrix_rows(boards(256), [], {})) == 256
    with pytest.raises(ConfigError, match="257 rows"):
        matrix_rows(boards(256), ALL[:1], {})


def test_two_rows_of_one_name_would_share_a_cache() -> None:
    named = [Board(name="armv7-sdks", file=load_board("sim-armv7").file)]
    with pytest.raises(ConfigError, match="named armv7-sdks"):
        matrix_rows(named, ALL, {})


def test_another_format_is_an_error() -> None:
    with pytest.raises(ConfigError, match="no matrix format 'yaml'"):
        render_matrix([], [], "yaml")


def test_keys_are_known_before_anything_is_made_and_change_with_what_goes_in(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With an empty cache; each change is one that makes a build another one, and changes the half that it should."""
    monkeypatch.setenv("BOARDCAST_CACHE", str(tmp_path))
    recipes, pins, arm = load_catalogue(), load_lock(), ARCHES["armv7"]
    ask = BuildRequest(names=("boardprobe",), sysroot="debian12-armv7")
    toolchain, key = keys_ahead(recipes, pins, ask, arm)
    assert keys_ahead(load_catalogue(), load_lock(), ask, arm) == (toolchain, key)
    for other in (
        replace(ask, variants=("https-only",)),
        replace(ask, policies={"curl": SourcePolicy.SOURCE}),
        replace(ask, names=("boardprobe", "streamer")),
    ):
        assert keys_ahead(recipes, pins, other, arm)[0] == toolchain
        assert keys_ahead(recipes, pins, other, arm)[1] != key
    edited = recipes | {"curl": recipes["curl"].model_copy(update={"arguments": ("--more",)})}
    assert keys_ahead(edited, pins, ask, arm) != (toolchain, key), "what it depends on counts"
    assert keys_ahead(recipes, pins, replace(ask, sysroot="debian12-aarch64"), ARCHES["aarch64"])[0] != toolchain
    docker = tmp_path / "docker"
    docker.mkdir()
    for file in paths.DOCKER.iterdir():
        if file.is_file():
            (docker / file.name).write_bytes(file.read_bytes())
    (docker / "Dockerfile").write_text("FROM other\n")
    monkeypatch.setattr(paths, "DOCKER", docker)
    changed = keys_ahead(recipes, pins, ask, arm)
    assert changed[0] != toolchain
    assert changed[1] != key
