"""Applications of one's own against the same Stage: CMake, Meson, Make, autotools; only what changed is built."""

from __future__ import annotations

import itertools
import os
import shutil
import threading
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from recipes import elf
from recipes.arch import ARCHES
from recipes.builder import run
from recipes.builder.plan import BuildPlan, RecipeBuild
from recipes.builder.recipe_build import Sources, build_recipe
from recipes.builder.request import BuildRequest
from recipes.builder.run import explain_rebuilds, prepare_build
from recipes.engine.container import ContainerSession, Job
from recipes.engine.docker import Engine
from recipes.errors import BuildError, ConfigError
from recipes.sources.recipe import load_catalogue
from recipes.stage.manifest import Stage
from tests.support.standin import TREES

pytestmark = pytest.mark.engine
APPS = ["withmeson", "withmake", "withautotools"]


@pytest.fixture
def own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return a folder of recipes outside of the checkout, as a user keeps them."""
    shutil.copytree(TREES / "apps", tmp_path / "apps")
    monkeypatch.setenv("BOARDCAST_RECIPES", str(tmp_path / "apps"))
    return tmp_path / "apps"


def test_the_example_finds_the_sdk_and_its_plugins_folder(sdk: Callable[..., Stage]) -> None:
    staged = sdk("armv7", BuildRequest(names=("teststream",)))
    facts = elf.read(staged.tree / "bin" / "teststream")
    assert "libgstreamer-1.0.so.0" in facts.needed
    assert facts.runpath == ("$ORIGIN/../lib",)
    assert (staged.tree / "gstreamer-1.0" / "libgstkvssink.so").is_file()


def test_an_own_project_links_the_sdk_found_through_pkg_config(own: Path, sdk: Callable[..., Stage]) -> None:
    staged = sdk("armv7", BuildRequest(names=tuple(APPS)))
    for name in APPS:
        facts = elf.read(staged.tree / "bin" / name)
        assert ARCHES["armv7"].matches(facts.identity), name
        assert "libcproducer.so" in facts.needed, name
        assert facts.runpath == ("$ORIGIN/../lib",), name


def test_one_changed_source_builds_that_recipe_and_nothing_else(
    own: Path, sdk: Callable[..., Stage], monkeypatch: pytest.MonkeyPatch
) -> None:
    sdk("armv7", BuildRequest(names=tuple(APPS)))
    source = own / "withmake" / "src" / "app.c"
    source.write_text(source.read_text() + f"/* {uuid.uuid4()} */\n")  # not what an earlier run has cached
    planned = prepare_build(ARCHES["armv7"], BuildRequest(names=tuple(APPS)))
    assert {row["recipe"]: row["changed"] for row in explain_rebuilds(planned) if row["state"] == "build"} == {
        "withmake": "source"
    }
    made: list[str] = []
    real = build_recipe

    def watch(*words: object) -> None:
        made.append(words[1].recipe.name)  # type: ignore[attr-defined]
        real(*words)  # type: ignore[arg-type]

    monkeypatch.setattr(run, "build_recipe", watch)
    sdk("armv7", BuildRequest(names=tuple(APPS)))
    assert made == ["withmake"]


def test_independent_recipes_build_side_by_side(
    own: Path, sdk: Callable[..., Stage], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Two recipes wait for each other with their containers open: one after another, neither would ever go on."""
    ask = BuildRequest(names=("withmake", "withautotools"))
    for name in ask.names:
        source = own / name / "src" / "app.c"
        source.write_text(source.read_text() + f"/* {uuid.uuid4()} */\n")
    meet, turn, here = threading.Barrier(2), itertools.count(), threading.local()
    met: list[str] = []
    real_build, real_session = build_recipe, Engine.session

    def build(prepared: BuildPlan, step: RecipeBuild, engine: Engine, sources: Sources) -> None:
        here.recipe = step.recipe.name
        try:
            real_build(prepared, step, engine, sources)
        finally:
            del here.recipe

    @contextmanager
    def session(self: Engine, job: Job, **more: bool) -> Iterator[ContainerSession]:
        with real_session(self, job, **more) as opened:
            if hasattr(here, "recipe") and here.recipe in ask.names and next(turn) < 2:
                meet.wait(timeout=120)
                met.append(here.recipe)
            yield opened

    monkeypatch.setattr(run, "build_recipe", build)
    monkeypatch.setattr(Engine, "session", session)
    monkeypatch.setattr(run, "_workers", lambda: 2)
    sdk("armv7", ask)
    assert set(met) == set(ask.names)


def test_a_missing_header_is_told_with_its_line(own: Path, sdk: Callable[..., Stage]) -> None:
    source = own / "withmeson" / "src" / "app.c"
    source.write_text(source.read_text().replace("cproducer/Include.h", "cproducer/Missing.h"))
    with pytest.raises(BuildError, match=r"withmeson 1\.0\.0: build failed") as caught:
        sdk("armv7", BuildRequest(names=("withmeson",)))
    assert "Missing.h" in caught.value.why


def test_a_folder_that_is_not_there_is_told(own: Path, sdk: Callable[..., Stage]) -> None:
    (own / "withmake" / "src").rename(own / "withmake" / "source")
    with pytest.raises(ConfigError, match="its sources are not there") as caught:
        sdk("armv7", BuildRequest(names=("withmake",)))
    assert str(own / "withmake" / "src") == caught.value.where


def test_two_recipes_of_one_name_are_a_fault(own: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("BOARDCAST_RECIPES", os.pathsep.join([str(own), str(own)]))
    with pytest.raises(ConfigError, match="the catalogue has faults") as caught:
        load_catalogue()
    assert "another recipe has this name" in caught.value.why
