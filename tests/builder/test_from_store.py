"""A real build out of a store: signed and through the gate it is taken; what a build would refuse is refused."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from recipes import paths
from recipes.builder.recipe_build import is_built, needed_builds
from recipes.builder.request import BuildRequest
from recipes.builder.run import _from_store, prepare_build
from recipes.engine.docker import Engine
from recipes.stage.manifest import Stage, load_stage, walk_tree, write_manifest
from recipes.stage.places import FolderPlace
from recipes.stage.store import Store
from recipes.toolchains.vendor import parse_arch

pytestmark = [pytest.mark.engine, pytest.mark.hostile(kind="store")]


def test_a_build_is_taken_out_of_a_store_through_the_gate(
    engine: Engine,
    built: Callable[..., Stage],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    built("x86_64", "tiny-x86_64")
    ask = BuildRequest(names=("boardprobe",), sysroot="tiny-x86_64")
    plan = prepare_build(parse_arch("x86_64"), ask, engine=engine)
    sysroot = plan.sysroot.index()
    store = Store("store", FolderPlace(tmp_path / "store"), writable=True)
    (step,) = (step for step in plan.steps if step.recipe.name == "boardprobe")
    needed = needed_builds(plan, step)
    assert {"openssl", "libwebsockets"} <= {made.recipe.name for made in needed}
    for made in (*needed, step):
        store.put(made.built)
    original = step.built
    monkeypatch.setenv("BOARDCAST_STORE", str(tmp_path / "store"))
    monkeypatch.setenv("BOARDCAST_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(type(plan.sysroot), "index", lambda _: sysroot)
    assert step.built != original
    assert not _from_store(plan, step), "not before that which it is linked against"
    assert all(_from_store(plan, made) for made in needed)
    assert _from_store(plan, step)
    assert is_built(step)
    assert load_stage(step.built).manifest == load_stage(original).manifest
    # Somebody with a trusted key signs another program: consistent, but nothing that a build would have let through.
    changed = paths.cache() / "changed" / step.built.name
    shutil.copytree(step.built, changed, symlinks=True)
    program = changed / "tree" / "bin" / "boardprobe"
    program.write_bytes(program.read_bytes()[:64] + b"/bc/work/src/x\0" * 20)
    manifest = load_stage(changed).manifest
    write_manifest(manifest.model_copy(update={"files": tuple(walk_tree(changed / "tree"))}), changed)
    store.put(changed)
    shutil.rmtree(step.built)
    capsys.readouterr()
    assert not _from_store(plan, step)
    assert "does not pass the gate: bin/boardprobe" in capsys.readouterr().err
    assert not step.built.exists()
