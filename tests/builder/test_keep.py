"""A recipe built by its name takes its place in the Stage; the others stay, as far as they still fit."""

from __future__ import annotations

import shutil
import uuid
from collections.abc import Callable
from pathlib import Path

import pytest

from deploy.cli.output import print_commands, print_resolution
from recipes.arch import ARCHES
from recipes.builder import run
from recipes.builder.plan import BuildPlan
from recipes.builder.recipe_build import build_recipe
from recipes.builder.request import BuildRequest, SourcePolicy
from recipes.builder.run import build_stage, explain_rebuilds, prepare_build
from recipes.errors import BuildError
from recipes.stage.manifest import Stage, is_intact

pytestmark = pytest.mark.engine
HEAD = 'schema = 1\nversion = "1.0.0"\nlicence = "MIT"\nsummary = "s"\nsource = "path:src"\nbuild = "make"\n'
LOUD = '[variants.loud]\nsummary = "says more"\nflags = ["-DLOUD"]\n'
NEEDS_BASE = '[[depends]]\nname = "base"\n'
PROGRAM = """all: {name}
{name}: app.c
\t$(CC) $(CPPFLAGS) $(CFLAGS) $(LDFLAGS) -I/bc/prefix/include -o $@ $< -L/bc/prefix/lib {libraries}
install: all
\tinstall -D {name} $(DESTDIR)$(PREFIX)/bin/{name}
"""
LIBRARY = """all: libbase.so.1
libbase.so.1: base.c
\t$(CC) $(CFLAGS) -shared -fPIC $(LDFLAGS) -Wl,-soname,libbase.so.1 -o $@ $<
install: all
\tinstall -D libbase.so.1 $(DESTDIR)$(PREFIX)/lib/libbase.so.1
\tln -s libbase.so.1 $(DESTDIR)$(PREFIX)/lib/libbase.so
"""


@pytest.fixture
def own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return a folder of three recipes: a library, a program that uses it, and one that uses nothing."""
    salt = f"/* {uuid.uuid4()} */\n"  # not what an earlier run has cached

    def write(name: str, more: str, makefile: str, source: str, text: str) -> None:
        folder = tmp_path / "own" / name / "src"
        folder.mkdir(parents=True)
        (folder.parent / "recipe.toml").write_text(f'{HEAD}name = "{name}"\n{more}')
        (folder / "Makefile").write_text(makefile)
        (folder / source).write_text(salt + text)

    library = '[[libraries]]\nlink = "base"\nsoname = "libbase.so.1"\n[[outputs]]\npath = "lib/libbase.so.1"\n'
    write("base", f'{library}kind = "library"\n{LOUD}', LIBRARY, "base.c", "int base(void) { return 7; }\n")
    for name, more, libraries in (("user", NEEDS_BASE, "-lbase"), ("alone", LOUD, "")):
        call = "int base(void);\nint main(void) { return base(); }\n" if libraries else "int main(void) { return 7; }\n"
        output = f'[[outputs]]\npath = "bin/{name}"\nkind = "program"\n'
        write(name, output + more, PROGRAM.format(name=name, libraries=libraries), "app.c", call)
    monkeypatch.setenv("BOARDCAST_RECIPES", str(tmp_path / "own"))
    return tmp_path / "own"


@pytest.fixture
def made(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Return the list of recipes that are really built."""
    names: list[str] = []

    def watch(*words: object) -> None:
        names.append(words[1].recipe.name)  # type: ignore[attr-defined]
        build_recipe(*words)  # type: ignore[arg-type]

    monkeypatch.setattr(run, "build_recipe", watch)
    return names


def planned(*names: str, **asked: object) -> BuildPlan:
    """Plan as `invoke build --recipe …` does."""
    return prepare_build(ARCHES["armv7"], BuildRequest(names=names, keep=True, **asked))  # type: ignore[arg-type]


def keys(stage: Stage) -> dict[str, str]:
    return {recipe.name: recipe.key for recipe in stage.manifest.recipes}


def test_one_recipe_takes_its_place_and_the_others_stay(
    own: Path, made: list[str], built: Callable[..., Stage], capsys: pytest.CaptureFixture[str]
) -> None:
    before = built("armv7")
    plan = planned("alone")
    assert [plan.in_stage(step) for step in plan.steps] == [
        "stays in the Stage",
        "stays in the Stage",
        "new in the Stage",
    ]
    first = build_stage(plan)
    assert keys(first) == {**keys(before), "alone": plan.steps[-1].key}
    assert list(keys(first)) == ["libwebsockets", "boardprobe", "alone"]
    assert is_intact(first.tree, first.manifest.files)
    assert (first.tree / "bin" / "boardprobe").is_file()
    assert first.manifest.recipes[:2] == before.manifest.recipes
    rows = {row["name"]: row["because"] for row in first.manifest.resolution}
    assert rows == {row["name"]: row["because"] for row in before.manifest.resolution} | {"alone": "asked for"}

    loud = planned("alone", variants=("loud",))
    print_resolution(loud)
    print_commands(loud, in_full=False)
    out = capsys.readouterr().out
    assert "alone 1.0.0: to be built; replaces 1.0.0 there" in out
    assert "boardprobe 1.1.0: as it is; stays in the Stage" in out
    second = build_stage(loud)
    assert made == ["alone", "alone"]
    assert second.manifest.recipes[-1].variants == ("loud",)
    assert keys(second)["boardprobe"] == keys(before)["boardprobe"]
    assert keys(second)["alone"] != keys(first)["alone"]

    # The recipe that stays is as it was asked for then, though its sources are others now.
    source = own / "alone" / "src" / "app.c"
    source.write_text(source.read_text() + "int broken\n")
    third = build_stage(planned("boardprobe"))
    assert keys(third) == keys(second)
    assert {row["recipe"]: row["state"] for row in explain_rebuilds(planned("boardprobe"))}["alone"] == "kept"
    assert made == ["alone", "alone"]
    assert keys(built("armv7")) == keys(before), "without --recipe the Stage is what is asked for, and nothing else"


def test_what_does_not_fit_any_more_is_built_again(own: Path, made: list[str], built: Callable[..., Stage]) -> None:
    first = built("armv7", "", "user", "alone")
    assert sorted(made) == ["alone", "base", "user"]
    made.clear()
    second = build_stage(planned("base", variants=("loud",)), force=True)
    assert made == ["base", "user"], "the one that uses it, not the one that does not"
    assert keys(second)["alone"] == keys(first)["alone"]
    assert keys(second)["user"] != keys(first)["user"]
    # Now the board's own policy brings the same library in its plain form: the user follows again.
    made.clear()
    third = build_stage(planned("user", policies={"base": SourcePolicy.SOURCE}))
    assert keys(third) == keys(first)
    assert made == []


def test_what_cannot_stay_is_told(own: Path, built: Callable[..., Stage]) -> None:
    built("armv7", "", "user", "alone")
    shutil.rmtree(own / "alone")
    plan = planned("user")
    (note,) = [note for note in plan.notes if note.startswith("alone: no longer in the Stage")]
    assert "the catalogue" in note
    assert set(keys(build_stage(plan))) == {"base", "user"}
    plan = prepare_build(ARCHES["armv7"], BuildRequest(names=("base",)))
    assert "user: no longer in the Stage after this build" in plan.notes


def test_a_damaged_entry_of_what_stays_is_found_and_built_by_the_same_command(
    own: Path, made: list[str], built: Callable[..., Stage]
) -> None:
    built("armv7", "", "user", "alone")
    made.clear()
    plan = planned("user")
    victim = next(step for step in plan.steps if step.kept).built / "tree" / "bin" / "alone"
    victim.write_bytes(victim.read_bytes() + b"\0")
    with pytest.raises(BuildError, match="alone cannot stay") as caught:
        build_stage(plan)
    assert caught.value.next_step.startswith("the same command again")
    stage = build_stage(planned("user"))
    assert made == ["alone"]
    assert is_intact(stage.tree, stage.manifest.files)
