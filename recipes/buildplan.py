"""The plan of a build: which recipes, from what, under which keys, with which commands. Pure, so it can be printed."""

from __future__ import annotations

import contextlib
import hashlib
import os
from dataclasses import dataclass, replace
from pathlib import Path

from recipes import elf, images, lock, paths, roots, stage, steps, variant
from recipes.arch import Arch
from recipes.ask import Ask
from recipes.elf import ElfFile
from recipes.engine import Engine
from recipes.errors import BuildError, ConfigError
from recipes.images import Image
from recipes.lock import Archive, Lock, Repository
from recipes.recipe import Recipe, catalogue, closure
from recipes.resolve import Origin, Resolution, resolve, versions
from recipes.roots import Sysroot


@dataclass(frozen=True, slots=True, kw_only=True)
class BuildStep:
    """One recipe to build: its key, what the key is made of, and its commands."""

    recipe: Recipe
    parts: dict[str, str]
    commands: tuple[steps.Step, ...]

    @property
    def key(self) -> str:
        return steps.key(self.parts)

    @property
    def built(self) -> Path:
        return paths.cache() / "built" / f"{self.recipe.name}-{self.key[:24]}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """All that a build will do."""

    arch: Arch
    image: Image
    sysroot: Sysroot
    resolution: dict[str, Resolution]
    steps: tuple[BuildStep, ...]

    @property
    def folder(self) -> Path:
        return stage.folder(self.arch.name, self.sysroot.name)

    def as_dict(self) -> dict[str, object]:
        return {
            "arch": self.arch.name,
            "image": self.image.tag,
            "sysroot": self.sysroot.name,
            "resolution": [one.as_dict() for one in self.resolution.values()],
            "steps": [
                {
                    "recipe": step.recipe.name,
                    "version": step.recipe.version,
                    "key": step.key[:24],
                    "cached": step.built.is_dir(),
                    "commands": [" ".join(command.full) for command in step.commands],
                }
                for step in self.steps
            ],
        }


def plan(recipes: dict[str, Recipe], pins: Lock, ask: Ask, *, arch: Arch, image: Image, sysroot: Sysroot) -> Plan:
    """Decide what is built, from what, and under which key. Touches nothing but files it reads."""
    fixed = {name: value for name, value in ask.policies.items() if isinstance(value, str)}
    chosen = variant.apply(
        recipes, ask.names, arch.base or arch.name, variants=ask.variants, patches=ask.patches, versions=fixed
    )
    ordered = closure(chosen, ask.names)
    pc_versions = versions(sysroot.tree, arch)
    resolution = resolve(ordered, ask.names, sysroot.index(), pc_versions, arch, ask.policies, before(arch, sysroot))
    made: dict[str, BuildStep] = {}
    for recipe in ordered:
        if recipe.name not in resolution or resolution[recipe.name].origin is not Origin.SOURCE:
            continue
        if absent := [name for name in recipe.sysroot if name not in pc_versions]:
            raise ConfigError(
                f"{recipe.name} needs {', '.join(absent)} of the sysroot, which has none",
                where=sysroot.name,
                why="nothing of ours builds it: GStreamer and glib are the board's own, or they clash in one process",
                next_step=f"add the -dev package to board-configs/sysroots/{sysroot.name}.toml",
            )
        pin = None if recipe.source.startswith("path:") else pins.get(recipe.source)
        parts = _parts(recipe, pins, arch, image, sysroot)
        parts |= {f"dependency {need.name}": made[need.name].key for need in recipe.depends if need.name in made}
        git = {"url": pin.url, "commit": pin.commit} if isinstance(pin, Repository) else {}
        commands = steps.commands(recipe, arch, jobs=ask.jobs or 1, verbose=ask.verbose, **git)
        made[recipe.name] = BuildStep(recipe=recipe, parts=parts, commands=commands)
        if pin is not None and pin.eol is not None:
            resolution[recipe.name] = _dated(resolution[recipe.name], pin)
    variant.refused([step.recipe for step in made.values()], ask.patches)
    return Plan(arch=arch, image=image, sysroot=sysroot, resolution=resolution, steps=tuple(made.values()))


def _parts(recipe: Recipe, pins: Lock, arch: Arch, image: Image, sysroot: Sysroot) -> dict[str, str]:
    """Return the digests that a recipe's key is made of, dependencies left out."""
    unused = {"default", "variants", "versions", "patches", "summary", "home"}
    parts = {
        "recipe": steps.digest(recipe.model_dump(exclude=unused)),
        "source": _source_digest(recipe, pins),
        "flags": steps.digest([steps.environment(arch, recipe), steps.files(arch), steps.RULES]),
        "image": image.id,
        "sysroot": sysroot.fingerprint,
    }
    if recipe.applied:
        parts["patches"] = steps.digest([recipe.patches[name].model_dump() for name in recipe.applied])
    if (recipe.folder() / "files").is_dir():
        parts["files"] = _folder_digest(recipe.folder() / "files")
    return parts


def _dated(resolution: Resolution, pin: Archive | Repository) -> Resolution:
    """Say when upstream stops to mend a version; the date alone, so that a plan is the same on every day."""
    because = f"{resolution.because}; its line ends upstream on {pin.eol}"
    return replace(resolution, because=because)


def _source_digest(recipe: Recipe, pins: Lock) -> str:
    if recipe.source.startswith("path:"):
        return _folder_digest(own(recipe))
    first, *nested = pins.needed(recipe.source)
    if isinstance(first, Archive):
        return first.sha256
    return steps.digest([first.commit, sorted((one.name, one.pinned) for one in nested)])


def before(arch: Arch, sysroot: Sysroot) -> dict[str, list[ElfFile]]:
    """Return the programs and libraries of the last Stage by recipe; nothing where there is none, or a damaged one."""
    try:
        last = stage.load(stage.folder(arch.name, sysroot.name))
    except ConfigError:
        return {}
    found: dict[str, list[ElfFile]] = {}
    for recipe in last.manifest.recipes:
        for path in recipe.outputs:
            with contextlib.suppress(OSError, elf.ElfError):
                found.setdefault(recipe.name, []).append(elf.read(last.tree / path))
    return found


def own(recipe: Recipe) -> Path:
    """Return the folder of a recipe whose sources stand on this machine; raises ConfigError where there is none."""
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


def prepare(arch: Arch, ask: Ask | None = None, *, engine: Engine | None = None, build: bool = True) -> Plan:
    """Plan a build, with the image and the sysroot made first where they are not known yet.

    Parameters
    ----------
    build:
        The plan will be carried out; False for one that is only printed, which then asks no engine for what is known.
    """
    recipes = catalogue()
    ask = ask or Ask()
    names = ask.names or tuple(name for name, recipe in recipes.items() if recipe.default)
    ask = replace(
        ask, names=names, jobs=ask.jobs or os.cpu_count() or 1, sysroot=ask.sysroot or roots.default_for(arch)
    )
    closure(recipes, names)  # an unknown name is told before minutes go into images
    read = roots.spec(ask.sysroot)
    image, root = images.known(arch), roots.known_sysroot(ask.sysroot)
    if read.arch != arch.name:
        raise BuildError(f"sysroot {ask.sysroot} is for {read.arch}, not for {arch.name}")
    if engine is not None or image is None or root is None:
        engine = engine or Engine.connect()
        image, root = images.ensure(arch, engine), roots.ensure_sysroot(ask.sysroot, engine)
    planned = plan(recipes, lock.load(), ask, arch=arch, image=image, sysroot=root)
    if engine is None and build and not all(step.built.is_dir() for step in planned.steps):
        # Something is to be built, so the engine is needed anyhow; it may have lost the image that was recorded.
        return prepare(arch, ask, engine=Engine.connect())
    return planned
