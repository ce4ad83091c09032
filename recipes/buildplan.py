"""The plan of a build: which recipes, from what, under which keys, with which commands. Pure, so it can be printed."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from recipes import images, lock, paths, roots, stage, steps
from recipes.arch import Arch
from recipes.engine import Engine
from recipes.errors import BuildError
from recipes.images import Image
from recipes.lock import Lock
from recipes.recipe import Recipe, catalogue, closure
from recipes.resolve import Origin, Policy, Resolution, resolve, versions
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


def plan(
    recipes: dict[str, Recipe],
    pins: Lock,
    names: Sequence[str],
    *,
    arch: Arch,
    image: Image,
    sysroot: Sysroot,
    policies: dict[str, Policy] | None = None,
    jobs: int = 1,
    verbose: bool = False,
) -> Plan:
    """Decide what is built, from what, and under which key. Touches nothing but files it reads."""
    ordered = closure(recipes, names)
    pc_versions = versions(sysroot.tree, arch)
    resolution = resolve(ordered, names, sysroot.index(), pc_versions, arch, policies)
    made: dict[str, BuildStep] = {}
    for recipe in ordered:
        if recipe.name not in resolution or resolution[recipe.name].origin is not Origin.SOURCE:
            continue
        parts = {
            "recipe": steps.digest(recipe.model_dump(exclude={"default"})),
            "source": _source_digest(recipe, pins),
            "flags": steps.digest([steps.environment(arch), steps.RULES]),
            "image": image.id,
            "sysroot": sysroot.fingerprint,
        }
        parts |= {f"dependency {need.name}": made[need.name].key for need in recipe.depends if need.name in made}
        commands = steps.commands(recipe, arch, jobs=jobs, verbose=verbose)
        made[recipe.name] = BuildStep(recipe=recipe, parts=parts, commands=commands)
    return Plan(arch=arch, image=image, sysroot=sysroot, resolution=resolution, steps=tuple(made.values()))


def _source_digest(recipe: Recipe, pins: Lock) -> str:
    if not recipe.source.startswith("path:"):
        return pins.get(recipe.source).sha256
    digest = hashlib.sha256()
    folder = recipe.folder() / recipe.source.removeprefix("path:")
    for path in sorted(folder.rglob("*")):
        if path.is_file():
            digest.update(path.relative_to(folder).as_posix().encode() + b"\0" + path.read_bytes() + b"\0")
    return digest.hexdigest()


def prepare(
    arch: Arch,
    names: Sequence[str],
    *,
    sysroot: str = "",
    policies: dict[str, Policy] | None = None,
    jobs: int = 0,
    verbose: bool = False,
    engine: Engine | None = None,
    build: bool = True,
) -> Plan:
    """Plan a build, with the image and the sysroot made first where they are not known yet.

    Parameters
    ----------
    build:
        The plan will be carried out; False for one that is only printed, which then asks no engine for what is known.
    """
    recipes = catalogue()
    names = list(names) or [name for name, recipe in recipes.items() if recipe.default]
    closure(recipes, names)  # an unknown name is told before minutes go into images
    where = sysroot or roots.default_for(arch)
    read = roots.spec(where)
    image, root = images.known(arch), roots.known_sysroot(where)
    if read.arch != arch.name:
        raise BuildError(f"sysroot {where} is for {read.arch}, not for {arch.name}")
    if engine is not None or image is None or root is None:
        engine = engine or Engine.connect()
        image, root = images.ensure(arch, engine), roots.ensure_sysroot(where, engine)
    planned = plan(
        recipes,
        lock.load(),
        names,
        arch=arch,
        image=image,
        sysroot=root,
        policies=policies,
        jobs=jobs or os.cpu_count() or 1,
        verbose=verbose,
    )
    if engine is None and build and not all(step.built.is_dir() for step in planned.steps):
        # Something is to be built, so the engine is needed anyhow; it may have lost the image that was recorded.
        live = Engine.connect()
        return prepare(arch, names, sysroot=where, policies=policies, jobs=jobs, verbose=verbose, engine=live)
    return planned
