"""What a user wants built, as one value: from the command line, or from a board's file; and what of a Stage stays."""

from __future__ import annotations

import difflib
from collections.abc import Collection, Container, Iterator, Mapping
from dataclasses import dataclass, field
from enum import Enum

from recipes.arch import Arch
from recipes.errors import ConfigError
from recipes.sources.recipe import Dependency, Recipe, in_order
from recipes.sources.variants import apply_requests
from recipes.stage.manifest import StagedRecipe, StageManifest

ASKED = "asked for"
"""The reason of a recipe that was named, and is built whatever the sysroot has."""


@dataclass(frozen=True, slots=True, kw_only=True)
class BuildRequest:
    """What is wanted, beyond the architecture.

    Parameters
    ----------
    names:
        Recipes; the default ones where it is empty.
    sysroot:
        What is compiled against; the architecture's default where it is empty.
    policies:
        Per dependency a policy, or the version that is pinned.
    jobs:
        Compiler processes per recipe; one per processor for 0.
    keep:
        The other recipes of the Stage stay in it, as they were asked for; without it the Stage holds `names` alone.
    """

    names: tuple[str, ...] = ()
    sysroot: str = ""
    policies: Mapping[str, SourcePolicy | str] = field(default_factory=dict)
    variants: tuple[str, ...] = ()
    patches: tuple[str, ...] = ()
    jobs: int = 0
    verbose: bool = False
    keep: bool = False


class SourcePolicy(Enum):
    """What the user wants for a dependency; beside these, a version text pins one and builds it from source."""

    AUTO = "auto"
    BOARD = "board"
    SOURCE = "source"


def check_policies(
    policies: Mapping[str, SourcePolicy | str], recipes: Mapping[str, Recipe], *, where: str = ""
) -> None:
    """Refuse policies that can never act: for a library that no recipe links, or with a value that nobody knows.

    Raises
    ------
    ConfigError
        At least one is wrong; each is named, with the nearest name and the known ones.
    """
    known = {need.name for recipe in recipes.values() for need in _all_needs(recipe)}
    known |= {name for name, recipe in recipes.items() if recipe.versions}
    faults = []
    for name, value in policies.items():
        if name not in known:
            what = "always built, so no policy is for it" if name in recipes else "no recipe of this name"
            faults.append(f"{name}: {what}; {_nearest(name, sorted(known))}")
        elif isinstance(value, str) and value not in (versions := [recipes[name].version, *recipes[name].versions]):
            words = [policy.value for policy in SourcePolicy]
            faults.append(f"{name}: no policy {value!r}; {_nearest(value, [*words, *versions])}")
    if faults:
        raise ConfigError(
            "a policy that cannot act" if len(faults) == 1 else f"{len(faults)} policies that cannot act",
            where=where,
            why="\n       ".join(faults),
            next_step='correct it: NAME = "source" below [policy], or --policy NAME=source',
        )


def _all_needs(recipe: Recipe) -> list[Dependency]:
    return [*recipe.depends, *(need for variant in recipe.variants.values() for need in variant.depends)]


def _nearest(name: str, known: list[str]) -> str:
    near = difflib.get_close_matches(name, known, n=1)
    return f"{f'did you mean {near[0]!r}? ' if near else ''}known: {', '.join(known)}"


@dataclass(frozen=True, slots=True, kw_only=True)
class StageRequest:
    """What a whole Stage is to hold: what is asked for now, and what stays as it was asked for then.

    Parameters
    ----------
    recipes:
        Each in the form that it is wanted in.
    names:
        The recipes that were named, now or then, in the order of the Stage.
    asked:
        The recipes of this request, with all that they depend on.
    lost:
        Recipes of the Stage that cannot stay: the catalogue does not know them, or not in that form.
    """

    recipes: dict[str, Recipe]
    names: tuple[str, ...]
    policies: Mapping[str, SourcePolicy | str]
    asked: frozenset[str]
    lost: tuple[str, ...] = ()


def stage_request(
    recipes: dict[str, Recipe], ask: BuildRequest, arch: Arch, last: StageManifest | None
) -> StageRequest:
    """Put a request together with what of the last Stage stays; raises ConfigError as `apply_requests` does."""
    base = arch.base or arch.name
    fixed = {name: value for name, value in ask.policies.items() if isinstance(value, str)}
    chosen = apply_requests(recipes, ask.names, base, variants=ask.variants, patches=ask.patches, versions=fixed)
    asked = frozenset(recipe.name for recipe in in_order(chosen, ask.names))
    if last is None or not ask.keep:
        return StageRequest(recipes=chosen, names=ask.names, policies=ask.policies, asked=asked)
    there = {staged.name: staged for staged in last.recipes if _still_known(recipes, staged)}
    named = [row["name"] for row in last.resolution if row["because"].partition(";")[0] == ASKED]
    stay = [name for name in named if name in there or name in asked]
    others = recipes | {name: _as_staged(recipes, staged, base) for name, staged in there.items()}
    from_source = {row["name"] for row in last.resolution if row["origin"] == SourcePolicy.SOURCE.value} - asked
    return StageRequest(
        recipes={name: chosen[name] if name in asked else recipe for name, recipe in others.items()},
        names=(*stay, *(name for name in ask.names if name not in stay)),
        policies=dict.fromkeys(from_source, SourcePolicy.SOURCE)
        | {name: policy for name, policy in ask.policies.items() if name in asked},
        asked=asked,
        lost=tuple(name for name in named if name not in stay),
    )


def _still_known(recipes: Mapping[str, Recipe], staged: StagedRecipe) -> bool:
    recipe = recipes.get(staged.name)
    return recipe is not None and {*staged.variants} <= {*recipe.variants} and _patches(staged) <= {*recipe.patches}


def _patches(staged: StagedRecipe) -> set[str]:
    return {*staged.patches} - {"always"}


def _as_staged(recipes: dict[str, Recipe], staged: StagedRecipe, arch: str) -> Recipe:
    """Return a recipe in the form that a Stage has it in: variants, patches, the version if it can be pinned."""
    pinned = {staged.name: staged.version} if staged.version in recipes[staged.name].versions else {}
    form = apply_requests(
        recipes,
        [staged.name],
        arch,
        variants=staged.variants,
        patches=[name for name in recipes[staged.name].patches if name in _patches(staged)],
        versions=pinned,
    )
    return form[staged.name]


def without_effect(ask: BuildRequest, used: Container[str], built: Collection[Recipe]) -> Iterator[str]:
    """Say which policies and variants of a request change nothing, as they may be a slip.

    Parameters
    ----------
    used:
        The recipes that the request and its dependencies come down to, from the board or from source.
    built:
        Those of them that are built from source.
    """
    for name, policy in ask.policies.items():
        if name not in used:
            yield f"the policy of {name} changes nothing: no recipe that is asked for uses it"
        elif name in ask.names and policy in (SourcePolicy.AUTO, SourcePolicy.BOARD):
            yield f"the policy of {name} changes nothing: it is {ASKED} by name, so it is built from source"
    for variant in ask.variants:
        if not any(variant in recipe.varied for recipe in built):
            yield f"the variant {variant!r} changes nothing: no recipe that is built has it"
