"""From build plans to Stages: what is there already is left alone, what does not wait for another runs beside it."""

from __future__ import annotations

import contextlib
import os
import threading
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from recipes import console, paths
from recipes.arch import Arch
from recipes.archives.intake import Limits, take
from recipes.archives.tarinput import tar_chunks
from recipes.builder.plan import BuildPlan, RecipeBuild, plan_build
from recipes.builder.recipe_build import (
    Sources,
    build_recipe,
    gate_of,
    is_built,
    needed_builds,
    stage_manifest,
)
from recipes.builder.request import BuildRequest
from recipes.builder.reuse import forget_compiled
from recipes.builder.schedule import run_in_order
from recipes.engine.docker import Engine
from recipes.errors import BuildError, ConfigError
from recipes.files import whole_folder
from recipes.sources.fetch import archive_path, fetch_pins
from recipes.sources.git import check_out
from recipes.sources.lock import Archive, PatchArchive, Repository, load_lock
from recipes.sources.recipe import in_order, load_catalogue
from recipes.sources.unit import refuse_mixed_unit
from recipes.stage.manifest import STAGE_MANIFEST, Stage, graft_tree, is_intact, load_stage, write_manifest
from recipes.stage.store import open_store
from recipes.toolchains.debian_source import any_distribution
from recipes.toolchains.images import ensure_image, known_image
from recipes.toolchains.sysroots import default_sysroot, ensure_sysroot, known_sysroot, sysroot_spec
from recipes.tools.box import shared_tools

_SOURCES = Limits(members=1_000_000, bytes=32 << 30)
"""Of an archive of sources."""
_STEP_MEMORY = 1_500_000_000
"""Bytes that one compile with a handful of processes may take; C++ with templates takes the most."""


def build_stage(prepared: BuildPlan, *, mirror: Sequence[Path] = (), force: bool = False) -> Stage:
    """Build what is missing for one architecture and put the Stage together; see `build_stages`."""
    return build_stages([prepared], mirror=mirror, force=force)[0]


def build_stages(plans: Sequence[BuildPlan], *, mirror: Sequence[Path] = (), force: bool = False) -> list[Stage]:
    """Build what is missing and put the Stages together.

    Raises
    ------
    BuildError
        A source is unavailable, a command failed, or an output did not pass the gate. What was built before stays.
    """
    todo = {
        _id(prepared, step): (prepared, step)
        for prepared in plans
        for step in prepared.steps
        if _is_to_be_built(prepared, step, force=force)
    }
    if force:
        for prepared, step in todo.values():
            forget_compiled(prepared, step)
    if todo:
        _build_all(todo, mirror)
    staged = [_assemble(prepared) for prepared in plans]
    for prepared in plans:
        if (kept := _unpack_kept_sources(prepared)) is not None:
            console.say(f"the sources of {prepared.arch.name} as locked: {kept}")
    return staged


def _id(prepared: BuildPlan, step: RecipeBuild) -> str:
    return f"{prepared.arch.name}:{step.recipe.name}"


def _is_to_be_built(prepared: BuildPlan, step: RecipeBuild, *, force: bool) -> bool:
    if step.kept is None:
        return force or not (is_built(step) or _from_store(prepared, step))
    if not is_built(step):
        raise BuildError(
            f"{step.recipe.name} cannot stay in the Stage as it was built",
            where=str(step.built),
            why="its cache entry was changed on disk, and is removed now",
            next_step="the same command again builds it too",
        )
    return False


def _from_store(prepared: BuildPlan, step: RecipeBuild) -> bool:
    shared = open_store()

    def faults(tree: Path) -> list[str]:
        return gate_of(prepared, step, tree)

    # Without what it depends on nothing says that it finds its libraries and symbols: then it is built.
    if shared is None or not all((made.built / "tree").is_dir() for made in needed_builds(prepared, step)):
        return False
    if not shared.get(step.built, faults):
        return False
    console.say(f"{step.recipe.name} {step.recipe.version} for {prepared.arch.name}: from {shared.where}")
    return is_built(step)


def _build_all(todo: dict[str, tuple[BuildPlan, RecipeBuild]], mirror: Sequence[Path]) -> None:
    pins = load_lock()
    fetched = {
        name: step.recipe.source for name, (_, step) in todo.items() if not step.recipe.source.startswith("path:")
    }
    with shared_tools():
        sources = {
            name: fetch_pins(pins.needed(source), mirror, distribution=any_distribution())
            for name, source in fetched.items()
        }
        for source in fetched.values():
            refuse_mixed_unit(pins.needed(source))
    with contextlib.closing(Engine.connect()) as first:
        _same_images(todo, first)
    _run(todo, sources)


def _same_images(todo: dict[str, tuple[BuildPlan, RecipeBuild]], engine: Engine) -> None:
    for prepared in {id(prepared): prepared for prepared, _ in todo.values()}.values():
        if ensure_image(prepared.arch, engine).id != prepared.image.id:
            raise BuildError(
                "the toolchain image was made anew meanwhile, or is another engine's",
                where=prepared.image.tag,
                next_step="the same command again",
            )


def _run(todo: dict[str, tuple[BuildPlan, RecipeBuild]], sources: Mapping[str, Sources]) -> None:
    """Carry the builds out, as far as they wait for each other one after another, else side by side."""
    engines: list[Engine] = []
    stopped = threading.Event()
    mine = threading.local()

    def work(name: str) -> None:
        prepared, step = todo[name]
        # One connection per thread: the SDK's session is not made for sharing.
        if not hasattr(mine, "engine"):
            mine.engine = Engine.connect()
            engines.append(mine.engine)
        if stopped.is_set():
            return
        build_recipe(prepared, step, mine.engine, sources.get(name, []))
        if (shared := open_store()) is not None:
            shared.put(step.built)

    def stop() -> None:
        stopped.set()
        for engine in engines:
            engine.abort()

    waits = {
        name: {library for need in step.recipe.depends if (library := f"{prepared.arch.name}:{need.name}") in todo}
        for name, (prepared, step) in todo.items()
    }
    with contextlib.ExitStack() as opened:
        opened.callback(lambda: _close_all(engines))
        run_in_order(waits, work, workers=_workers(), stop=stop)


def _close_all(engines: Sequence[Engine]) -> None:
    with contextlib.ExitStack() as opened:
        for engine in engines:
            opened.callback(engine.close)


def _workers() -> int:
    """Return how many recipes build side by side: the processors, as far as the free memory goes."""
    free = os.sysconf("SC_AVPHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    return max(1, min(os.cpu_count() or 1, free // _STEP_MEMORY))


def _assemble(prepared: BuildPlan) -> Stage:
    """Put the built trees together; nothing is touched where the Stage is already this one."""
    keys = [step.key for step in prepared.steps]
    if (prepared.folder / STAGE_MANIFEST).is_file():
        try:
            there = load_stage(prepared.folder)
        except ConfigError:  # an old or damaged Stage is simply made anew
            there = None
        if (
            there
            and [recipe.key for recipe in there.manifest.recipes] == keys
            and is_intact(there.tree, there.manifest.files)
        ):
            return there
    with whole_folder(prepared.folder) as part:
        (part / "tree").mkdir()
        for step in prepared.steps:
            graft_tree(step.built / "tree", part / "tree")
            if (step.built / "debug").is_dir():
                graft_tree(step.built / "debug", part / "debug")
        write_manifest(stage_manifest(prepared, prepared.steps, part / "tree"), part)
    return load_stage(prepared.folder)


def explain_rebuilds(prepared: BuildPlan) -> list[dict[str, str]]:
    """Say for each recipe of a plan what would be rebuilt, and which part of its key changed since the last Stage."""
    rows = []
    for step in prepared.steps:
        before = prepared.before.get(step.recipe.name)
        if step.kept is not None:
            state, reason = "kept", ""
        elif step.built.is_dir():
            state, reason = "cached", ""
        elif before is None:
            state, reason = "build", "never built for this stage"
        else:
            names = sorted(set(step.parts) | set(before.parts))
            changed = [name for name in names if step.parts.get(name) != before.parts.get(name)]
            state, reason = "build", ", ".join(changed) or "the cache entry is gone"
        rows.append({"recipe": step.recipe.name, "state": state, "changed": reason, "key": step.key[:24]})
    return rows


def prepare_build(
    arch: Arch, ask: BuildRequest | None = None, *, engine: Engine | None = None, build: bool = True
) -> BuildPlan:
    """Plan a build, with the image and the sysroot made first where they are not known yet.

    Parameters
    ----------
    build:
        The plan will be carried out; False for one that is only printed, which then asks no engine for what is known.
    """
    recipes = load_catalogue()
    ask = ask or BuildRequest()
    names = ask.names or tuple(name for name, recipe in recipes.items() if recipe.default)
    ask = replace(ask, names=names, jobs=ask.jobs or os.cpu_count() or 1, sysroot=ask.sysroot or default_sysroot(arch))
    in_order(recipes, names)  # an unknown name is told before minutes go into images
    read = sysroot_spec(ask.sysroot)
    image, root = known_image(arch), known_sysroot(ask.sysroot)
    if read.arch != arch.name:
        raise ConfigError(
            f"sysroot {ask.sysroot} is for {read.arch}, not for {arch.name}",
            next_step=f"--arch {read.arch}; or a sysroot for {arch.name}, such as {default_sysroot(arch)}",
        )
    if engine is not None or image is None or root is None:
        engine = engine or Engine.connect()
        image, root = ensure_image(arch, engine), ensure_sysroot(ask.sysroot, engine)
    planned = plan_build(recipes, load_lock(), ask, arch=arch, image=image, sysroot=root)
    if engine is None and build and not all(step.built.is_dir() for step in planned.steps):
        # Something is to be built, so the engine is needed anyhow; it may have lost the image that was recorded.
        return prepare_build(arch, ask, engine=Engine.connect())
    return planned


def _unpack_kept_sources(prepared: BuildPlan) -> Path | None:
    """Unpack the sources of a build for a person to look at, where an applied patch asks for that."""
    if not any(step.recipe.patches[name].keep for step in prepared.steps for name in step.recipe.applied):
        return None
    target = paths.work() / "sources" / prepared.arch.name
    pins = load_lock()
    with whole_folder(target) as part:
        for step in prepared.steps:
            if not step.recipe.source.startswith("path:"):
                for pin in pins.needed(step.recipe.source):
                    _unpack(pin, part / pin.name)
                    if isinstance(pin, Archive) and pin.patch_archive is not None:
                        _unpack(pin.patch_archive, part / f"{pin.name}.patches")
    return target


def _unpack(pin: Archive | PatchArchive | Repository, into: Path) -> None:
    if into.exists():
        return
    into.mkdir(parents=True)
    if isinstance(pin, Repository):
        check_out(pin.url, pin.commit, into)
    else:
        take(tar_chunks(archive_path(pin)), into, strip=1, limits=_SOURCES, skip_odd=True)
