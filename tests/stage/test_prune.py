"""Pruning: what fits a pattern goes, by names of the tree's own; nothing is removed through a link."""

from __future__ import annotations

from pathlib import Path

import pytest

from recipes.stage.manifest import prune_tree

FILES = ("bin/tool", "lib/liba.la", "lib/liba.so", "lib/sub/libb.la", "share/doc/a/b", "share/doc/c", ".hidden/x")


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    for name in FILES:
        (tmp_path / "tree" / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "tree" / name).write_text("x")
    (tmp_path / "victim" / "doc").mkdir(parents=True)
    (tmp_path / "victim" / "doc" / "a").write_text("x")
    return tmp_path / "tree"


def left(tree: Path) -> set[str]:
    return {path.relative_to(tree).as_posix() for path in tree.rglob("*") if path.is_file()}


@pytest.mark.parametrize(
    ("pattern", "gone"),
    [
        ("lib/*.la", {"lib/liba.la"}),
        ("share", {"share/doc/a/b", "share/doc/c"}),
        ("share/*", {"share/doc/a/b", "share/doc/c"}),
        ("**/*.la", {"lib/liba.la", "lib/sub/libb.la"}),
        ("share/**/b", {"share/doc/a/b"}),
        ("*/tool", {"bin/tool"}),
        ("tool", set()),
        ("../victim", set()),
        ("../victim/*", set()),
        ("bin/../share", set()),
        ("/", set()),
        (".", set()),
        ("", set()),
    ],
)
def test_what_fits_a_pattern_goes(tree: Path, pattern: str, gone: set[str]) -> None:
    prune_tree(tree, (pattern,))
    assert left(tree) == set(FILES) - gone
    assert (tree.parent / "victim" / "doc" / "a").is_file()


@pytest.mark.parametrize("pattern", ["out", "out/doc", "out/*", "**/doc", "o*/d*/a"])
def test_nothing_is_removed_through_a_link(tree: Path, pattern: str) -> None:
    (tree / "out").symlink_to(tree.parent / "victim")
    prune_tree(tree, (pattern,))
    assert (tree.parent / "victim" / "doc" / "a").is_file()
    assert (tree / "out").is_symlink() == (pattern != "out")
