"""Child processes: what may be a name stands behind `--`, and our own folders begin with a slash."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

from recipes import paths

OPERANDS = {
    "recipes/sources/git.py": {"fetch", "init", "verify-pack", "ls-tree", "update-ref", "rev-list", "show"},
    "recipes/sources/debian.py": {"download-file", "source"},
    "recipes/tools/base.py": {"--variant=minbase"},
}
"""Files to the words behind which operands follow."""


def lists(node: ast.AST) -> list[list[str]]:
    """Return the literal words of each call and list below a node."""
    found = []
    for part in ast.walk(node):
        words = (
            part.args if isinstance(part, ast.Call) else part.elts if isinstance(part, (ast.List, ast.Tuple)) else []
        )
        found.append([word.value for word in words if isinstance(word, ast.Constant) and isinstance(word.value, str)])
    return found


@pytest.mark.hostile(kind="names")
@pytest.mark.parametrize("file", OPERANDS)
def test_operands_come_behind_two_dashes(file: str) -> None:
    tree = ast.parse((paths.CHECKOUT / file).read_text())
    seen = set()
    for function in (node for node in ast.walk(tree) if isinstance(node, ast.FunctionDef)):
        words = [word for line in lists(function) for word in line]
        for program in OPERANDS[file] & set(words):
            seen.add(program)
            assert "--" in words, f"{file}: {function.name} gives {program} its operands without --"
    assert seen == OPERANDS[file]


def test_our_folders_are_absolute(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("BOARDCAST_WORK", "-work")
    monkeypatch.setenv("BOARDCAST_CACHE", "-cache")
    assert paths.work() == Path.cwd() / "-work"
    assert paths.cache() == Path.cwd() / "-cache"
