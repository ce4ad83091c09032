"""Variants, named patches and pinned versions: what a user may ask of a recipe beyond its defaults.

Recipes go in, changed recipes come out; nothing is read or run.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from fnmatch import fnmatchcase

from recipes.errors import ConfigError, unknown
from recipes.sources.recipe import Recipe, in_order


def apply_requests(
    recipes: Mapping[str, Recipe],
    names: Sequence[str],
    arch: str,
    *,
    variants: Sequence[str] = (),
    patches: Sequence[str] = (),
    versions: Mapping[str, str] | None = None,
) -> dict[str, Recipe]:
    """Return the catalogue as asked for: pinned versions first, then variants, then patches.

    A variant reaches every recipe that knows it; each recipe that does not is as before.

    Parameters
    ----------
    names:
        The recipes to be built: only these and what they depend on can refuse a variant.

    Raises
    ------
    ConfigError
        No recipe knows a name, a recipe refuses a variant (with its reason), or a version is not one of its.
    """
    asked = {"variant": variants, "patch": patches}
    known = {
        "variant": {name for recipe in recipes.values() for name in recipe.variants},
        "patch": {name for recipe in recipes.values() for name in recipe.patches},
    }
    for kind, wanted in asked.items():
        for name in wanted:
            if name not in known[kind]:
                raise unknown(kind, name, known[kind], next_step="invoke build --help has them all")
    found: dict[str, Recipe] = dict(recipes)
    for name, version in (versions or {}).items():
        found[name] = _pinned(found[name], version)
    for variant in variants:
        found = {name: _varied(recipe, variant) for name, recipe in found.items()}
        for recipe in in_order(found, names):
            _allowed(recipe, variant, arch)
    return {
        name: recipe.model_copy(update={"applied": tuple(patch for patch in patches if patch in recipe.patches)})
        for name, recipe in found.items()
    }


def _pinned(recipe: Recipe, version: str) -> Recipe:
    if version == recipe.version:
        return recipe
    if version not in recipe.versions:
        raise unknown(f"version of {recipe.name}", version, [recipe.version, *recipe.versions])
    pinned = recipe.versions[version]
    changes: dict[str, object] = {"version": version, "source": pinned.source}
    changes |= {"libraries": pinned.libraries, "outputs": pinned.outputs}
    if pinned.arguments:
        changes["arguments"] = pinned.arguments
    if pinned.targets:
        changes["targets"] = pinned.targets
    if pinned.edits:
        changes["edits"] = pinned.edits
    return recipe.model_copy(update=changes)


def _allowed(recipe: Recipe, name: str, arch: str) -> None:
    variant = recipe.variants.get(name)
    if variant is None:
        return
    if variant.refused:
        raise ConfigError(
            f"{recipe.name} cannot be built as {name!r}",
            why=variant.refused,
            next_step=variant.instead.replace("ARCH", arch),
        )
    if variant.arches and arch not in variant.arches:
        raise ConfigError(f"{recipe.name}: {name!r} is for {', '.join(variant.arches)}, not for {arch}")


def _varied(recipe: Recipe, name: str) -> Recipe:
    variant = recipe.variants.get(name)
    if variant is None or variant.refused:
        return recipe

    def kept(path: str) -> bool:
        return not any(fnmatchcase(path, pattern) for pattern in variant.drop)

    return recipe.model_copy(
        update={
            "options": recipe.options | variant.options,
            "arguments": (*recipe.arguments, *variant.arguments),
            "flags": (*recipe.flags, *variant.flags),
            "targets": variant.targets or recipe.targets,
            "outputs": (*(output for output in recipe.outputs if kept(output.path)), *variant.outputs),
            "libraries": tuple(library for library in recipe.libraries if kept(f"lib/{library.soname}")),
            "collect": (*(files for files in recipe.collect if kept(files.from_)), *variant.collect),
            "depends": (
                *(need for need in recipe.depends if need.name not in variant.forget),
                *variant.depends,
            ),
            "varied": (*recipe.varied, name),
        }
    )


def refuse_unused_patches(recipes: Iterable[Recipe], patches: Sequence[str]) -> None:
    """Raise where a patch was asked for and no recipe that is built takes it: it would silently do nothing."""
    listed = list(recipes)
    for patch in patches:
        if not any(patch in recipe.applied for recipe in listed):
            raise ConfigError(
                f"no recipe of this build takes the patch {patch!r}",
                why=f"built are: {', '.join(recipe.name for recipe in listed)}",
                next_step="add the recipe that has it with --recipe",
            )
