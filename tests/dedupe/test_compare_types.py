"""`bundle --types`: a struct with another layout has the same symbols, and ours travels all the same."""

from __future__ import annotations

import shutil
from dataclasses import replace
from pathlib import Path

import pytest

from deploy.dedupe.abidiff import type_comparer
from deploy.dedupe.decision import Action, DedupePlan
from deploy.dedupe.plan import plan_dedupe
from deploy.dedupe.preferences import Preferences
from recipes import elf
from recipes.arch import ARCHES
from recipes.elf import ElfFile
from recipes.rootfs.index import Index, scan_root
from tests.support.compiler import compiled
from tests.support.facts import stage

pytestmark = [pytest.mark.process, pytest.mark.engine]
LAYOUT = "struct frame {{ {first} int size; }}; int send(struct frame *one) {{ return one->size; }}"
OURS, OTHER = LAYOUT.format(first=""), LAYOUT.format(first="int flags;")
UNUSED = "\nstruct other {{ {first} int size; }}; int unused(struct other *one) {{ return one->size; }}"


def decide(
    request: pytest.FixtureRequest, tmp_path: Path, theirs: str, flags: str = "-g", ours: str = OURS
) -> DedupePlan:
    """Plan for a board whose libframe is compiled of another source."""
    sources = {"ours.c": ours, "theirs.c": theirs}
    build = "$CC {} -fPIC -shared -Wl,-soname,libframe.so.1 -o {}.so {}.c"
    script = "\n".join(build.format(flags, name, name) for name in ("ours", "theirs"))
    made = compiled(request, tmp_path / "made", sources, script)
    staged_tree, board_tree = tmp_path / "stage/tree", tmp_path / "board"
    for tree, name in ((staged_tree / "lib", "ours"), (board_tree / "usr/lib", "theirs")):
        tree.mkdir(parents=True)
        shutil.copy(made / f"{name}.so", tree / "libframe.so.1")
    library = elf.read(staged_tree / "lib/libframe.so.1")
    staged, facts = stage({"bin/app": user(library), "lib/libframe.so.1": library})
    staged = type(staged)(folder=tmp_path / "stage", manifest=staged.manifest)
    board = scan_root(board_tree)
    board = Index(source=board.source, files=board.files, links={}, directories=("/usr/lib",))
    compare = type_comparer(staged, board, board)
    return plan_dedupe(staged, facts, board, board, ARCHES["x86_64"], Preferences(types=compare))


def user(of: ElfFile) -> ElfFile:
    return replace(of, soname="", executable=True, needed=("libframe.so.1",), exports="", imports="send", objects="")


def row(plan: DedupePlan) -> tuple[Action, str]:
    return next((one.action, one.because) for one in plan.decisions if one.library == "libframe.so.1")


def test_the_same_types_are_told_as_the_stronger_kind(request: pytest.FixtureRequest, tmp_path: Path) -> None:
    plan = decide(request, tmp_path, OURS)
    assert row(plan)[0] is Action.USE_BOARD
    assert plan.proofs[0].types.startswith("compatible: ")
    assert plan.proofs[0].types.endswith("behind what is bound (1)")


def test_a_change_behind_a_symbol_that_nobody_binds_is_none(request: pytest.FixtureRequest, tmp_path: Path) -> None:
    ours, theirs = OURS + UNUSED.format(first=""), OURS + UNUSED.format(first="int flags;")
    plan = decide(request, tmp_path, theirs, ours=ours)
    assert row(plan)[0] is Action.USE_BOARD
    assert plan.proofs[0].types.startswith("compatible: ")


def test_another_layout_behind_the_same_symbols_is_kept(request: pytest.FixtureRequest, tmp_path: Path) -> None:
    plan = decide(request, tmp_path, OTHER)
    action, because = row(plan)
    assert action is Action.KEEP_PRIVATE
    assert "types" in because
    assert plan.refused[0].types.startswith("changed: ")
    assert plan.refused[0].missing == ()


@pytest.mark.parametrize("theirs", [OURS, OTHER])
def test_without_debug_information_the_symbols_decide_and_it_is_said(
    request: pytest.FixtureRequest, tmp_path: Path, theirs: str
) -> None:
    plan = decide(request, tmp_path, theirs, flags="")
    assert row(plan)[0] is Action.USE_BOARD
    assert "no debug information" in plan.proofs[0].types
