"""The plan of a build: which recipes, from what, under which keys, with which commands.

It is made of files that are read and digests of them; no engine is asked, so a plan can be printed at any time.
"""

from __future__ import annotations

import contextlib
import hashlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path

from recipes import elf, paths
from recipes.arch import Arch
from recipes.builder.commands import COMMAND_RULES, PATCH_RULES, Command, cache_key, json_digest, recipe_commands
from recipes.builder.request import BuildRequest, StageRequest, check_policies, stage_request, without_effect
from recipes.builder.resolve import DependencyOrigin, Resolution, pkgconfig_versions, resolve_dependencies
from recipes.elf import ElfFile
from recipes.errors import ConfigError
from recipes.sources.lock import Archive, Lock, Repository
from recipes.sources.recipe import Recipe, in_order
from recipes.sources.variants import refuse_unused_patches
from recipes.stage.manifest import Stage, StagedRecipe, load_stage, stage_folder
from recipes.toolchains.environment import build_environment, build_files
from recipes.toolchains.images import ToolchainImage, image_tag
from recipes.toolchains.sysroots import Sysroot, sysroot_key


@dataclass(frozen=True, slots=True, kw_only=True)
class RecipeBuild:
    """One recipe to build: its key, what the key is made of, and its commands."""

    recipe: Recipe
    parts: dict[str, str]
    commands: tuple[Command, ...]
    kept: StagedRecipe | None = None
    """What the Stage has of it, where that stays as it was built; it has no commands then."""

    @property
    def key(self) -> str:
        return cache_key(self.parts)

    @property
    def built(self) -> Path:
        return paths.cache() / "built" / f"{self.recipe.name}-{self.key[:24]}"


@dataclass(frozen=True, slots=True, kw_only=True)
class BuildPlan:
    """All that a build will do."""

    arch: Arch
    image: ToolchainImage
    sysroot: Sysroot
    resolution: dict[str, Resolution]
    steps: tuple[RecipeBuild, ...]
    before: Mapping[str, StagedRecipe] = field(default_factory=dict)
    """What the Stage holds now."""
    notes: tuple[str, ...] = ()
    """What was asked for and changes nothing; which recipes leave the Stage."""

    @property
    def folder(self) -> Path:
        return stage_folder(self.arch.name, self.sysroot.name)

    def in_stage(self, step: RecipeBuild) -> str:
        """Say what a step means for the Stage that is there: `new in the Stage`, `replaces 4.3.5 (static) there`, …."""
        last = self.before.get(step.recipe.name)
        if last is None:
            return "new in the Stage"
        if step.kept is not None:
            return "stays in the Stage"
        asked = ", ".join([*last.variants, *(name for name in last.patches if name != "always")])
        return "in the Stage" if last.key == step.key else f"replaces {last.version}{asked and f' ({asked})'} there"

    def as_dict(self) -> dict[str, object]:
        return {
            "arch": self.arch.name,
            "image": self.image.tag,
            "sysroot": self.sysroot.name,
            "resolution": [decision.as_dict() for decision in self.resolution.values()],
            "notes": list(self.notes),
            "steps": [
                {
                    "recipe": step.recipe.name,
                    "version": step.recipe.version,
                    "key": step.key[:24],
                    "cached": step.built.is_dir(),
                    "stage": self.in_stage(step),
                    "commands": [" ".join(command.full) for command in step.commands],
                }
                for step in self.steps
            ],
        }


def plan_build(
    recipes: dict[str, Recipe], pins: Lock, ask: BuildRequest, *, arch: Arch, image: ToolchainImage, sysroot: Sysroot
) -> BuildPlan:
    """Decide what is built, from what, and under which key. Touches nothing but files it reads."""
    check_policies(ask.policies, recipes)
    last = _last_stage(arch, sysroot)
    wanted = stage_request(recipes, ask, arch, last.manifest if last else None)
    ordered = in_order(wanted.recipes, wanted.names)
    pc_versions = pkgconfig_versions(sysroot.tree, arch)
    resolution = resolve_dependencies(
        ordered, wanted.names, sysroot.index(), pc_versions, arch, wanted.policies, _outputs(last)
    )
    before = {recipe.name: recipe for recipe in last.manifest.recipes} if last else {}
    made: dict[str, RecipeBuild] = {}
    for recipe in ordered:
        if recipe.name not in resolution or resolution[recipe.name].origin is not DependencyOrigin.SOURCE:
            continue
        parts = _key_parts(recipe, pins, arch, image, sysroot)
        parts |= {f"dependency {need.name}": made[need.name].key for need in recipe.depends if need.name in made}
        there = None if recipe.name in wanted.asked else before.get(recipe.name)
        if there is not None and (kept := _kept(recipe, there, parts)) is not None:
            made[recipe.name] = kept
            resolution[recipe.name] = replace(resolution[recipe.name], version=there.version)
            continue
        _check_sysroot(recipe, pc_versions, sysroot)
        pin = None if recipe.source.startswith("path:") else pins.get(recipe.source)
        git = {"url": pin.url, "commit": pin.commit} if isinstance(pin, Repository) else {}
        patched = isinstance(pin, Archive) and bool(pin.patches)
        commands = recipe_commands(recipe, arch, jobs=ask.jobs or 1, verbose=ask.verbose, patched=patched, **git)
        made[recipe.name] = RecipeBuild(recipe=recipe, parts=parts, commands=commands)
        if pin is not None and pin.eol is not None:
            resolution[recipe.name] = _dated(resolution[recipe.name], pin)
    mine = [step.recipe for name, step in made.items() if name in wanted.asked]
    refuse_unused_patches(mine, ask.patches)
    return BuildPlan(
        arch=arch,
        image=image,
        sysroot=sysroot,
        resolution=_reasons_from_before(resolution, wanted, last),
        steps=tuple(made.values()),
        before=before,
        notes=(*without_effect(ask, wanted.asked & resolution.keys(), mine), *_leaving(wanted, before, made)),
    )


def keys_ahead(recipes: dict[str, Recipe], pins: Lock, ask: BuildRequest, arch: Arch) -> tuple[str, str]:
    """Return what a build will be made of, as two digests, before there is an image or a sysroot: a CI cache's names.

    The first is of the image and the sysroot, by what they are made from; the second of every step's key with these in
    the places of what only a made one has, and of all that the recipes may depend on: which of it the sysroot has is
    not known yet.
    """
    image, root = image_tag(arch), sysroot_key(ask.sysroot)
    wanted = stage_request(recipes, ask, arch, None)
    unmade = Sysroot(name=ask.sysroot, arch=arch, tree=paths.cache(), packages=(), fingerprint=root)
    steps = {
        recipe.name: _key_parts(recipe, pins, arch, ToolchainImage(tag=image, id=image), unmade)
        for recipe in in_order(wanted.recipes, wanted.names)
    }
    policies = {name: value if isinstance(value, str) else value.value for name, value in wanted.policies.items()}
    return json_digest([image, root])[:16], json_digest([steps, policies, list(wanted.names)])[:16]


def _check_sysroot(recipe: Recipe, pc_versions: Mapping[str, str], sysroot: Sysroot) -> None:
    if absent := [name for name in recipe.sysroot if name not in pc_versions]:
        raise ConfigError(
            f"{recipe.name} needs {', '.join(absent)} of the sysroot, which has none",
            where=sysroot.name,
            why="nothing of ours builds it: GStreamer and glib are the board's own, or they clash in one process",
            next_step=f"add the -dev package to board-configs/sysroots/{sysroot.name}.toml",
        )


def _kept(recipe: Recipe, there: StagedRecipe, parts: Mapping[str, str]) -> RecipeBuild | None:
    """Return a recipe of the Stage as it was built, where it still fits to what it would meet there; else None."""
    fits = {*parts, *there.parts} - {"recipe", "source", "flags", "patches", "files"}
    if any(parts.get(name) != there.parts.get(name) for name in fits):
        return None
    same = recipe.model_copy(update={"version": there.version})
    kept = RecipeBuild(recipe=same, parts=there.parts, commands=(), kept=there)
    return kept if kept.built.is_dir() else None


def _reasons_from_before(
    resolution: dict[str, Resolution], wanted: StageRequest, last: Stage | None
) -> dict[str, Resolution]:
    """Give what stays in the Stage the reason that it had, where its origin is the same."""
    rows = {row["name"]: row for row in last.manifest.resolution} if last else {}
    return {
        name: replace(decision, because=rows[name]["because"])
        if name not in wanted.asked and name in rows and rows[name]["origin"] == decision.origin.value
        else decision
        for name, decision in resolution.items()
    }


def _leaving(
    wanted: StageRequest, before: Mapping[str, StagedRecipe], made: Mapping[str, RecipeBuild]
) -> Iterator[str]:
    """Say what a build takes out of the Stage."""
    if gone := [name for name in before if name not in made and name not in wanted.lost]:
        yield f"{', '.join(gone)}: no longer in the Stage after this build"
    for name in wanted.lost:
        yield f"{name}: no longer in the Stage after this build: the catalogue has no such recipe, variant or patch now"


def _key_parts(recipe: Recipe, pins: Lock, arch: Arch, image: ToolchainImage, sysroot: Sysroot) -> dict[str, str]:
    """Return the digests that a recipe's key is made of, dependencies left out."""
    unused = {"default", "variants", "versions", "patches", "summary", "home", "c_flags"}  # the last is among the flags
    parts = {
        "recipe": json_digest(recipe.model_dump(exclude=unused)),
        "source": _source_digest(recipe, pins),
        "flags": json_digest([build_environment(arch, recipe), build_files(arch), COMMAND_RULES]),
        "image": image.id,
        "sysroot": sysroot.fingerprint,
    }
    if recipe.applied:
        parts["patches"] = json_digest([recipe.patches[name].model_dump() for name in recipe.applied])
    if (recipe.folder() / "files").is_dir():
        parts["files"] = _folder_digest(recipe.folder() / "files")
    return parts


def _dated(resolution: Resolution, pin: Archive | Repository) -> Resolution:
    """Say when a version reaches its end of life; the date alone, so that a plan is the same on every day."""
    because = f"{resolution.because}; its line ends upstream on {pin.eol}"
    return replace(resolution, because=because)


def _source_digest(recipe: Recipe, pins: Lock) -> str:
    if recipe.source.startswith("path:"):
        return _folder_digest(own_sources(recipe))
    first, *nested = pins.needed(recipe.source)
    if isinstance(first, Archive):
        # What is applied is decided by the package's own hash, what is left out, and how they are applied.
        without = [left.patch for left in first.without]
        return json_digest([first.sha256, first.patches, without, PATCH_RULES]) if first.patches else first.sha256
    return json_digest([first.commit, sorted((pin.name, pin.pinned) for pin in nested)])


def _last_stage(arch: Arch, sysroot: Sysroot) -> Stage | None:
    """Return the Stage that is there; None where there is none, or a damaged one: it is simply made anew."""
    try:
        return load_stage(stage_folder(arch.name, sysroot.name))
    except ConfigError:
        return None


def _outputs(last: Stage | None) -> dict[str, list[ElfFile]]:
    """Return the programs and libraries of a Stage by recipe."""
    if last is None:
        return {}
    found: dict[str, list[ElfFile]] = {}
    for recipe in last.manifest.recipes:
        for path in recipe.outputs:
            with contextlib.suppress(OSError, elf.ElfError):
                found.setdefault(recipe.name, []).append(elf.read(last.tree / path))
    return found


def own_sources(recipe: Recipe) -> Path:
    """Return the folder of a recipe whose sources are on this machine; raises ConfigError where there is none."""
    folder = (recipe.folder() / recipe.source.removeprefix("path:")).resolve()
    if not folder.is_dir():
        raise ConfigError(
            f"{recipe.name}: its sources are not there",
            where=str(folder),
            why=f"the recipe says source = {recipe.source!r}, read from its own folder",
            next_step=f"correct {recipe.folder() / 'recipe.toml'}",
        )
    return folder


def _folder_digest(folder: Path) -> str:
    digest = hashlib.sha256()
    for path in sorted(folder.rglob("*")):
        if path.is_file() and ".git" not in path.relative_to(folder).parts:
            digest.update(path.relative_to(folder).as_posix().encode() + b"\0" + path.read_bytes() + b"\0")
    return digest.hexdigest()
