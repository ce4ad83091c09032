"""Recipes whose build is hostile: whatever a container leaves behind, nothing of this machine is read or written."""

from __future__ import annotations

import os
import re
import stat
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from recipes import paths
from recipes.arch import ARCHES
from recipes.builder import recipe_build
from recipes.builder.recipe_build import shell_job
from recipes.builder.request import BuildRequest
from recipes.builder.run import build_stage, prepare_build
from recipes.engine.docker import Engine
from recipes.errors import BuildError
from recipes.stage.manifest import Stage
from recipes.toolchains.sysroots import Sysroot
from tests.builder.test_build import without_builds

pytestmark = [pytest.mark.engine, pytest.mark.hostile(kind="build")]

_RECIPE = """schema = 1
name = "NAME"
version = "1.0.0"
licence = "MIT"
summary = "does in its install what it is told to"
source = "path:src"
build = "make"
prune = ["share/victim"]

[[outputs]]
path = "bin/NAME"
kind = "program"
"""
_MAKEFILE = """BIN = $(DESTDIR)$(PREFIX)/bin
SHARE = $(DESTDIR)$(PREFIX)/share

app: app.c
	$(CC) $(CFLAGS) $(LDFLAGS) -o $@ $<

install: app
	mkdir -p $(BIN) $(SHARE)
	cp app $(BIN)/NAME
"""
Build = Callable[..., Stage]


@pytest.fixture
def victim(tmp_path: Path) -> Path:
    """Return a folder of this machine that looks like an installed tree, with something in it to lose."""
    tree = tmp_path / "victim" / "bc" / "prefix"
    for folder in (tree / "share" / "victim", tmp_path / "victim" / "share" / "victim"):
        folder.mkdir(parents=True)
        (folder / "data").write_text("precious")
    (tmp_path / "victim" / "key").write_text("secret")
    return tmp_path / "victim"


def contents(folder: Path) -> dict[str, tuple[int, bytes]]:
    return {
        path.relative_to(folder).as_posix(): (path.lstat().st_mode, path.read_bytes() if path.is_file() else b"")
        for path in folder.rglob("*")
    }


@pytest.fixture
def build(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, engine: Engine, arm_sysroot: Sysroot, victim: Path) -> Build:
    """Return a function that builds a recipe with these lines in its `make install`, in a cache of this test's own.

    The sysroot is made before: where this machine has none yet, each of these caches would make one.
    """
    monkeypatch.setenv("BOARDCAST_WORK", str(tmp_path / "work"))
    without_builds(tmp_path / "cache", monkeypatch)
    monkeypatch.setenv("BOARDCAST_RECIPES", str(tmp_path / "recipes"))

    def made(*lines: str, name: str = "evil", force: bool = False) -> Stage:
        source = tmp_path / "recipes" / name / "src"
        source.mkdir(parents=True, exist_ok=True)
        (source.parent / "recipe.toml").write_text(_RECIPE.replace("NAME", name))
        told = "".join(f"\t{line.replace('VICTIM', str(victim))}\n" for line in lines)
        (source / "Makefile").write_text(_MAKEFILE.replace("NAME", name) + told)
        (source / "app.c").write_text("int main(void) { return 0; }\n")
        planned = prepare_build(ARCHES["armv7"], BuildRequest(names=(name,)), engine=engine)
        return build_stage(planned, force=force)

    return made


def built(name: str = "evil") -> list[Path]:
    return sorted((paths.cache() / "built").glob(f"{name}-*"))


REFUSED = {
    "out is a folder of this machine": ["rm -rf $(DESTDIR)", "ln -s VICTIM $(DESTDIR)"],
    "the prefix is a folder of this machine": ["rm -rf $(DESTDIR)$(PREFIX)", "ln -s VICTIM $(DESTDIR)$(PREFIX)"],
    "the prefix is a link that goes up": [
        "rm -rf $(DESTDIR)$(PREFIX)",
        "ln -s ../../../../../../../../VICTIM $(DESTDIR)$(PREFIX)",
    ],
    "out is a file": ["rm -rf $(DESTDIR)", "cp app $(DESTDIR)"],
    "out is gone": ["rm -rf $(DESTDIR)"],
    "debug is a folder of this machine": ["rm -rf /bc/work/debug", "ln -s VICTIM /bc/work/debug"],
    "debug is gone": ["rm -rf /bc/work/debug"],
    "config.cache is a file of this machine": ["ln -s VICTIM/key /bc/work/config.cache"],
    "config.cache is a pipe": ["mkfifo /bc/work/config.cache"],
    "config.cache is endless": ["head -c 100M /dev/zero > /bc/work/config.cache"],
    "an absolute link": ["ln -s VICTIM/key $(SHARE)/key"],
    "a link that goes up": ["ln -s ../../../../../../../../VICTIM/key $(SHARE)/key"],
    "a link out of the prefix by another one": ["ln -s bin $(BIN)/../b", "ln -s ../b/../../../x $(SHARE)/key"],
    "a pruned folder is a link": ["ln -s VICTIM/share/victim $(SHARE)/victim"],
    "share is a link, and the pruned folder behind it": ["rmdir $(SHARE)", "ln -s VICTIM/share $(SHARE)"],
    "a device": ["mknod $(SHARE)/null c 1 3"],
    "a pipe": ["mkfifo $(SHARE)/pipe"],
    "a name with an escape sequence": ["touch \"$(SHARE)/$$(printf 'a\\033[2Jb')\""],
    "a file of a tebibyte that takes no room": ["truncate -s 1T $(SHARE)/large"],
    "output without end": ["yes"],
}


MUCH = {
    "very many files": (["cd $(SHARE) && seq {150000} | xargs touch"], "members"),
    "many files that take no room": (["for n in 1 2 3 4; do truncate -s {900}M $(SHARE)/$$n; done"], "bytes"),
    "one large file by very many names": (
        ["head -c {100}M /dev/zero > $(SHARE)/f", "for n in $$(seq 30); do ln $(SHARE)/f $(SHARE)/$$n; done"],
        "bytes",
    ),
}
"""Numbers in braces are divided as the limits are."""


@pytest.mark.parametrize("what", MUCH)
@pytest.mark.parametrize("share", [20, pytest.param(1, marks=pytest.mark.slow)])
def test_too_much_of_it_is_refused_at_the_limit(
    build: Build, victim: Path, what: str, share: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    limits = recipe_build._OUTPUT
    fewer = replace(limits, members=limits.members // share, bytes=limits.bytes // share)
    monkeypatch.setattr(recipe_build, "_OUTPUT", fewer)
    lines, limit = MUCH[what]
    before = contents(victim)
    with pytest.raises(BuildError, match="what its build left is refused") as caught:
        build(*(re.sub(r"\{(\d+)\}", lambda number: str(int(number[1]) // share), line) for line in lines))
    assert f" than {getattr(fewer, limit):,} {limit}" in caught.value.why
    assert contents(victim) == before
    assert not built()
    assert not list((paths.work() / "scratch").iterdir())


@pytest.mark.parametrize("what", REFUSED)
def test_what_a_build_leaves_is_refused_and_touches_nothing(build: Build, victim: Path, what: str) -> None:
    before = contents(victim)
    with pytest.raises(BuildError) as caught:
        build(*REFUSED[what])
    assert contents(victim) == before
    assert not built()
    assert not list((paths.work() / "scratch").iterdir())
    assert all(line.isprintable() for line in str(caught.value).splitlines())
    kept = [path.read_bytes() for path in paths.cache().joinpath("configure").glob("*")]
    assert b"secret" not in b"".join(kept)


@pytest.mark.parametrize("folder", ["files", "src"])
def test_a_link_in_a_recipes_own_folder_brings_no_file_of_this_machine(
    build: Build, tmp_path: Path, victim: Path, folder: str
) -> None:
    where = tmp_path / "recipes" / "evil" / folder
    where.mkdir(parents=True)
    (where / "leak").symlink_to(victim / "key")
    with pytest.raises(BuildError, match="install failed"):
        build(f"cp /bc/work/{folder}/leak $(SHARE)/leak")
    assert not built()


def test_a_setuid_bit_stays_where_it_was_made(build: Build) -> None:
    staged = build("chmod 6755 $(BIN)/evil", "chmod 1777 $(SHARE)", "touch $(SHARE)/x", "chmod 0666 $(SHARE)/x")
    entry = built()[0]
    modes = {stat.S_IMODE(path.lstat().st_mode) for top in (staged.folder, entry) for path in top.rglob("*")}
    assert modes == {0o755, 0o644}
    assert all(path.lstat().st_uid == os.getuid() for path in entry.rglob("*"))


def test_a_link_to_the_prefix_is_made_relative(build: Build) -> None:
    """Makefiles write such ones; they mean the tree that they install, wherever that is later."""
    staged = build("ln -s $(PREFIX)/bin/evil $(SHARE)/again", "ln -s evil $(BIN)/other")
    assert os.readlink(staged.tree / "share" / "again") == "../bin/evil"
    assert os.readlink(staged.tree / "bin" / "other") == "evil"


def test_what_is_pruned_by_a_link_inside_is_the_link(build: Build) -> None:
    staged = build("mkdir $(SHARE)/kept", "touch $(SHARE)/kept/a", "ln -s kept $(SHARE)/victim")
    assert sorted(path.name for path in (staged.tree / "share").rglob("*")) == ["a", "kept"]


def test_what_runs_on_is_ended_before_the_tree_is_taken(build: Build) -> None:
    """A file that grows while it is read has no end, and a link that changes was checked as another one."""
    loop = "while :; do echo x >> $(SHARE)/grows; done"
    staged = build(f"setsid nohup sh -c '{loop}' > /dev/null 2>&1 & sleep 0.2")
    grown = (staged.tree / "share" / "grows").read_bytes()
    assert set(grown.split(b"\n")) == {b"x", b""}


def test_a_compiler_cache_is_one_recipes_own(build: Build) -> None:
    build("touch $$CCACHE_DIR/marker")
    build("test ! -e $$CCACHE_DIR/marker", "test ! -e $$CCACHE_DIR/../marker", name="other")


def test_force_compiles_whatever_an_earlier_build_left_in_the_cache(build: Build) -> None:
    """What a build wrote there may be more than objects: ccache reads its settings from the folder, too."""
    poison = (
        "printf '#!/bin/sh\\ntouch /bc/work/poisoned\\nexec \"$$@\"\\n' > $$CCACHE_DIR/poison",
        "chmod +x $$CCACHE_DIR/poison",
        "echo prefix_command=$$CCACHE_DIR/poison > $$CCACHE_DIR/ccache.conf",
    )
    build("test ! -e /bc/work/poisoned", *poison)
    build("test ! -e /bc/work/poisoned", *poison, force=True)


def test_a_shells_small_files_are_not_written_through_what_the_last_shell_left(
    build: Build, engine: Engine, victim: Path
) -> None:
    build()
    prepared = prepare_build(ARCHES["armv7"], BuildRequest(names=("evil",)), engine=engine)
    shell_job(prepared)
    where = paths.work() / "shell"
    for name in (".gitconfig", "meson-cross.ini"):
        (where / name).unlink(missing_ok=True)
        (where / name).symlink_to(victim / "key")
    before = contents(victim)
    shell_job(prepared)
    assert contents(victim) == before


def test_a_log_that_is_shown_moves_no_cursor(build: Build) -> None:
    forged = "\\033[2J\\033[1Aerror: all is well\\r\\342\\200\\256 undefined reference to `\\033]0;x\\007f`"
    with pytest.raises(BuildError) as caught:
        build(f"printf '{forged}\\n' >&2", "exit 1")
    assert "all is well" in str(caught.value)
    assert all(line.isprintable() for line in str(caught.value).splitlines()), repr(str(caught.value))
