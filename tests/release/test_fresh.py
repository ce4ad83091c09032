"""Nothing old goes to a board unnoticed: a Stage and a bundle know what they were made of, and what changed since."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from deploy.boards.board import Board, load_board
from deploy.boards.index import board_index
from deploy.boards.inventory import SimState
from deploy.bundle.assemble import make_bundle, stage_for
from deploy.bundle.load import MadeOf, bundles_folder, find_bundle, read_made_of
from deploy.release.deployment import bundle_for
from deploy.release.fresh import changed_since, current_bundle, current_stage, plan_chain, up_to_date_bundle
from recipes import paths
from recipes.errors import ConfigError
from recipes.files import file_sha256
from recipes.stage.manifest import STAGE_MANIFEST, Stage
from tests.support import bundles

NAME = "sim-tiny"


@pytest.fixture
def boards(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return a copy of the boards' files, to be changed."""
    shutil.copytree(paths.BOARDS, tmp_path / "boards", ignore=shutil.ignore_patterns("*.tar"))
    monkeypatch.setattr(paths, "BOARDS", tmp_path / "boards")
    return tmp_path / "boards"


def change(boards: Path, old: str, new: str) -> Board:
    path = boards / NAME / "board.toml"
    text = path.read_text()
    assert old in text
    path.write_text(text.replace(old, new, 1))
    return load_board(NAME)


@pytest.mark.engine
@pytest.mark.sim
def test_what_changed_since_is_named_and_refused_or_made_again(
    built: Callable[..., Stage], tiny: SimState, boards: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    board = load_board(NAME)
    made = make_bundle(board, built("x86_64", "tiny-x86_64"), board_index(board))[0]
    assert changed_since(board, made.id) == []
    assert bundle_for(tiny.name).id == made.id
    assert [step.split(",")[0] for step in plan_chain(board)[:2]] == ["build: skipped", "bundle: skipped"]

    board = change(boards, "schema = 1", "# another line\nschema = 1")
    assert changed_since(board, made.id) == ["the board's file"]
    with pytest.raises(ConfigError, match="is older than what it was made of") as caught:
        bundle_for(tiny.name)
    assert caught.value.why == "changed since: the board's file"
    assert caught.value.next_step.startswith(f"invoke deploy --host {tiny.name} --build")
    assert bundle_for(tiny.name, made.id[:12]).id == made.id, "the one that is named is meant"
    assert bundle_for(tiny.name, build=True).id == made.id, "a comment makes the same bundle"
    assert changed_since(board, made.id) == []

    record = bundles_folder(NAME) / f"{made.id}.made.json"
    before = read_made_of(NAME, made.id)
    assert before is not None
    other = {"stage": "the Stage (built again)", "index": "what the board has (its index)"}
    for field, words in other.items():
        record.write_text(before.model_copy(update={field: "0" * 64}).model_dump_json())
        assert changed_since(board, made.id) == [words]
    record.unlink()
    assert changed_since(board, made.id) == ["nothing says what it was made of"]
    capsys.readouterr()
    assert up_to_date_bundle(board).id == made.id
    said = capsys.readouterr().err
    assert "build: skipped" in said
    assert "bundle: changed since: nothing says what it was made of" in said


@pytest.mark.engine
@pytest.mark.sim
@pytest.mark.usefixtures("tiny")
def test_a_stage_that_is_older_than_what_the_board_asks_for_is_refused(
    built: Callable[..., Stage], boards: Path
) -> None:
    board = load_board(NAME)
    made = make_bundle(board, built("x86_64", "tiny-x86_64"), board_index(board))[0]
    board = change(boards, "[probe]", '[policy]\nopenssl = "1.1.1t"\n\n[probe]')
    with pytest.raises(ConfigError, match="is older than its recipes") as caught:
        current_stage(board)
    assert "boardprobe (" in caught.value.why
    assert caught.value.next_step.startswith("invoke build --arch x86_64 --board sim-tiny")
    assert current_stage(board, as_built=True).manifest.recipes
    assert any(reason.startswith("the recipe boardprobe (") for reason in changed_since(board, made.id))
    assert plan_chain(board)[0].startswith("build: changed since: ")
    board = change(boards, 'openssl = "1.1.1t"', "")
    board = change(boards, 'recipes = ["boardprobe"]', 'recipes = ["boardprobe", "producer"]')
    with pytest.raises(ConfigError, match="the Stage has no producer, which sim-tiny asks for") as caught:
        stage_for(board)
    assert caught.value.next_step == "invoke build --arch x86_64 --board sim-tiny"


@pytest.mark.engine
@pytest.mark.sim
@pytest.mark.usefixtures("tiny")
def test_a_bundle_that_would_be_empty_is_refused(built: Callable[..., Stage]) -> None:
    board = load_board(NAME)
    staged = built("x86_64", "tiny-x86_64", "openssl")
    with pytest.raises(ConfigError, match="the bundle of sim-tiny would be empty") as caught:
        make_bundle(board, staged, board_index(board))
    assert "openssl" in caught.value.why
    built("x86_64", "tiny-x86_64")


@pytest.mark.usefixtures("home")
def test_where_nothing_is_built_the_boards_file_alone_is_compared() -> None:
    """A bundle and its record came to a machine that only deploys."""
    shutil.copytree(bundles.ROOT / "board-configs", paths.BOARDS, ignore=shutil.ignore_patterns("*.tar"))
    made, board = bundles.make(), load_board(NAME)
    path = paths.BOARDS / NAME / "board.toml"
    record = MadeOf(stage="s", board=file_sha256(path), index="i")
    (bundles_folder(NAME) / f"{made.id}.made.json").write_text(record.model_dump_json())
    assert not (paths.work() / "stage" / "x86_64" / "tiny-x86_64" / STAGE_MANIFEST).exists()
    assert current_bundle(board, NAME).id == made.id
    change(paths.BOARDS, "schema = 1", "schema = 1 # other")
    with pytest.raises(ConfigError, match="is older than what it was made of"):
        current_bundle(board, NAME)


@pytest.mark.usefixtures("home")
def test_a_first_bundle_is_made_and_that_is_said(capsys: pytest.CaptureFixture[str]) -> None:
    shutil.copytree(bundles.ROOT / "board-configs", paths.BOARDS, ignore=shutil.ignore_patterns("*.tar"))
    board = load_board(NAME)
    with pytest.raises(ConfigError) as caught:
        current_bundle(board, NAME, make=False)
    assert "invoke bundle --board" in caught.value.next_step
    assert capsys.readouterr().err == ""
    with pytest.raises(ConfigError) as caught:  # nothing is built here, so it ends there
        current_bundle(board, NAME)
    assert "invoke build" in caught.value.next_step
    assert f"there is no bundle of {NAME} yet: it is made now" in capsys.readouterr().err


@pytest.mark.usefixtures("home")
def test_a_bundle_is_found_by_its_id_or_its_beginning_as_it_is_printed() -> None:
    first, second = bundles.make(), bundles.make(tag="other")
    for given in (first.id, first.id[:12], first.id[:4], str(first.path)):
        assert find_bundle(given) == first.path
    assert find_bundle("elsewhere/x.tar.zst") == Path("elsewhere/x.tar.zst"), "a path is read, or refused, as one"
    with pytest.raises(ConfigError, match="no bundle begins with 00000000") as caught:
        find_bundle("00000000")
    assert second.id[:12] in caught.value.why
    twin = second.path.with_name(f"{first.id[:6]}{'0' * 26}.tar.zst")
    shutil.copy(second.path, twin)
    with pytest.raises(ConfigError, match="more than one bundle begins with"):
        find_bundle(first.id[:6])
