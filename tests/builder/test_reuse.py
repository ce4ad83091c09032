"""What configure found out is used again only in the same surroundings, and only whole."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from recipes.arch import ARCHES
from recipes.builder.commands import recipe_commands
from recipes.builder.reuse import keep_answers, place_answers
from recipes.sources.recipe import load_catalogue

CURL = load_catalogue()["curl"]
PARTS = {"recipe": "1", "source": "2", "flags": "3", "image": "4", "sysroot": "5", "dependency openssl": "6"}
TEXT = "ac_cv_func_poll=${ac_cv_func_poll=yes}\n"


@pytest.fixture
def kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return the cache after a build of curl that left answers."""
    monkeypatch.setenv("BOARDCAST_CACHE", str(tmp_path / "cache"))
    keep_answers(CURL, PARTS, TEXT.encode())
    return tmp_path / "cache" / "configure"


def _laid(folder: Path, parts: dict[str, str], **changes: object) -> str:
    work = folder / "next"
    work.mkdir()
    place_answers(CURL.model_copy(update=changes), parts, work)
    assert (work / "config.site").read_text() == "cache_file=/bc/work/config.cache\n"
    answer = work / "config.cache"
    return answer.read_text() if answer.is_file() else ""


def test_the_next_build_in_the_same_surroundings_has_them(kept: Path, tmp_path: Path) -> None:
    assert _laid(tmp_path, PARTS) == TEXT


def test_outputs_of_a_recipe_do_not_matter_to_them(kept: Path, tmp_path: Path) -> None:
    assert _laid(tmp_path, {**PARTS, "recipe": "another"}, prune=("share",)) == TEXT


@pytest.mark.parametrize("part", [name for name in PARTS if name != "recipe"])
def test_each_part_of_the_surroundings_counts(kept: Path, tmp_path: Path, part: str) -> None:
    assert _laid(tmp_path, {**PARTS, part: "another"}) == ""


def test_arguments_of_the_recipe_count(kept: Path, tmp_path: Path) -> None:
    assert _laid(tmp_path, PARTS, arguments=("--enable-static",)) == ""


def test_answers_that_were_cut_short_are_thrown_away(kept: Path, tmp_path: Path) -> None:
    (one,) = kept.iterdir()
    one.write_text(TEXT[:-5])
    assert _laid(tmp_path, PARTS) == ""
    assert not list(kept.iterdir())


def test_new_answers_take_the_place_of_old_ones(kept: Path, tmp_path: Path) -> None:
    keep_answers(CURL, PARTS, f"{TEXT}ac_cv_func_epoll=${{ac_cv_func_epoll=yes}}\n".encode())
    assert len(list(kept.iterdir())) == 1
    assert "epoll" in _laid(tmp_path, PARTS)


def test_only_a_librarys_own_configure_gets_them() -> None:
    def given(name: str, **more: Any) -> tuple[str, ...]:
        made = recipe_commands(load_catalogue()[name], ARCHES["armv7"], jobs=2, verbose=False, **more)
        return next(step.given for step in made if step.name == "configure")

    assert given("curl") == ("CONFIG_SITE=/bc/work/config.site",)
    assert given("libwebsockets") == ("CCACHE_DISABLE=1",)
    assert given("producer", commit="0" * 40, url="x") == ()  # libraries are built while it is configured
    assert given("boardprobe") == ()
