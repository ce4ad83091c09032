"""From build plans to Stages: what is there already is left alone, what does not wait for another runs beside it."""

from __future__ import annotations

import contextlib
import os
import threading
from collections.abc import Mapping, Sequence
from pathlib import Path

from recipes import console, images, lock, paths, schedule, stage, store, worker
from recipes.buildplan import BuildStep, Plan
from recipes.engine import Engine
from recipes.errors import BuildError, ConfigError
from recipes.fetch import bring
from recipes.stage import Stage

_STEP_MEMORY = 1_500_000_000
"""Bytes that one compile with a handful of processes may take; C++ with templates takes the most."""


def run(prepared: Plan, *, mirror: Sequence[Path] = (), force: bool = False) -> Stage:
    """Build what is missing for one architecture and put the Stage together; see `run_all`."""
    return run_all([prepared], mirror=mirror, force=force)[0]


def run_all(plans: Sequence[Plan], *, mirror: Sequence[Path] = (), force: bool = False) -> list[Stage]:
    """Build what is missing and put the Stages together.

    Raises
    ------
    BuildError
        A source cannot be had, a command failed, or an output did not pass the gate. What was built before stays.
    """
    todo = {
        _id(prepared, step): (prepared, step)
        for prepared in plans
        for step in prepared.steps
        if force or not (worker.whole(step) or _from_store(prepared, step))
    }
    if todo:
        _build_all(todo, mirror)
    staged = [_assemble(prepared) for prepared in plans]
    for prepared in plans:
        if (kept := worker.kept_sources(prepared)) is not None:
            console.say(f"the sources of {prepared.arch.name} as locked: {kept}")
    return staged


def _id(prepared: Plan, step: BuildStep) -> str:
    return f"{prepared.arch.name}:{step.recipe.name}"


def _from_store(prepared: Plan, step: BuildStep) -> bool:
    shared = store.open_store()
    if shared is None or not shared.get(step.built):
        return False
    console.say(f"{step.recipe.name} {step.recipe.version} for {prepared.arch.name}: from {shared.where}")
    return worker.whole(step)


def _build_all(todo: dict[str, tuple[Plan, BuildStep]], mirror: Sequence[Path]) -> None:
    pins = lock.load()
    sources = {
        name: bring(pins.needed(step.recipe.source), mirror)
        for name, (_, step) in todo.items()
        if not step.recipe.source.startswith("path:")
    }
    with contextlib.closing(Engine.connect()) as first:
        _same_images(todo, first)
    _run(todo, sources)


def _same_images(todo: dict[str, tuple[Plan, BuildStep]], engine: Engine) -> None:
    for prepared in {id(prepared): prepared for prepared, _ in todo.values()}.values():
        if images.ensure(prepared.arch, engine).id != prepared.image.id:
            raise BuildError(
                "the toolchain image was made anew meanwhile",
                where=prepared.image.tag,
                next_step="the same command again",
            )


def _run(todo: dict[str, tuple[Plan, BuildStep]], sources: Mapping[str, worker.Sources]) -> None:
    """Carry the builds out, as far as they wait for each other one after another, else side by side."""
    engines: list[Engine] = []
    stopped = threading.Event()

    def work(name: str) -> None:
        prepared, step = todo[name]
        # One connection per thread: the SDK's session is not made for sharing.
        with contextlib.closing(Engine.connect()) as engine:
            engines.append(engine)
            if stopped.is_set():
                return
            worker.build(prepared, step, engine, sources.get(name, []))
        if (shared := store.open_store()) is not None:
            shared.put(step.built)

    def stop() -> None:
        stopped.set()
        for engine in engines:
            engine.abort()

    waits = {
        name: {other for need in step.recipe.depends if (other := f"{prepared.arch.name}:{need.name}") in todo}
        for name, (prepared, step) in todo.items()
    }
    schedule.run(waits, work, workers=_workers(), stop=stop)


def _workers() -> int:
    """Return how many recipes build side by side: the processors, as far as the free memory goes."""
    free = os.sysconf("SC_AVPHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    return max(1, min(os.cpu_count() or 1, free // _STEP_MEMORY))


def _assemble(prepared: Plan) -> Stage:
    """Put the built trees together; nothing is touched where the Stage is already this one."""
    keys = [step.key for step in prepared.steps]
    if (prepared.folder / stage.MANIFEST).is_file():
        try:
            there = stage.load(prepared.folder)
        except ConfigError:  # an old or damaged Stage is simply made anew
            there = None
        if (
            there
            and [one.key for one in there.manifest.recipes] == keys
            and stage.intact(there.tree, there.manifest.files)
        ):
            return there
    with paths.making(prepared.folder) as part:
        (part / "tree").mkdir()
        for step in prepared.steps:
            stage.graft(step.built / "tree", part / "tree")
            if (step.built / "debug").is_dir():
                stage.graft(step.built / "debug", part / "debug")
        stage.write(worker.manifest(prepared, prepared.steps, part / "tree"), part)
    return stage.load(prepared.folder)


def why(prepared: Plan) -> list[dict[str, str]]:
    """Say for each recipe of a plan what would be rebuilt, and which part of its key changed since the last Stage."""
    try:
        last = {one.name: one for one in stage.load(prepared.folder).manifest.recipes}
    except ConfigError:  # no readable Stage: everything is new
        last = {}
    rows = []
    for step in prepared.steps:
        before = last.get(step.recipe.name)
        if step.built.is_dir():
            state, reason = "cached", ""
        elif before is None:
            state, reason = "build", "never built for this stage"
        else:
            names = sorted(set(step.parts) | set(before.parts))
            changed = [name for name in names if step.parts.get(name) != before.parts.get(name)]
            state, reason = "build", ", ".join(changed) or "the cache entry is gone"
        rows.append({"recipe": step.recipe.name, "state": state, "changed": reason, "key": step.key[:24]})
    return rows
