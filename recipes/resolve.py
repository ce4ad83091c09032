"""Which dependency comes from where, decided before anything is linked: SONAMEs differ, so later is too late.

Pure: recipes, a sysroot's index and the versions in its `.pc` files go in, decisions with their reasons come out.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import Enum
from pathlib import Path

from packaging.specifiers import InvalidSpecifier, SpecifierSet
from packaging.version import InvalidVersion, Version

from recipes.arch import Arch
from recipes.elf import ElfFile
from recipes.elfindex import Index
from recipes.errors import ConfigError
from recipes.recipe import Dependency, Recipe


class Origin(Enum):
    """Where a dependency comes from."""

    BOARD = "board"
    """The sysroot's copy is linked; the board brings its own at run time."""
    SOURCE = "source"
    """Built here, at the lock's version."""


class Policy(Enum):
    """What the user wants for a dependency; beside these, a version text pins one and builds it from source."""

    AUTO = "auto"
    BOARD = "board"
    SOURCE = "source"


@dataclass(frozen=True, slots=True, kw_only=True)
class Resolution:
    """One decision, and its reason in words."""

    name: str
    origin: Origin
    version: str
    because: str

    def as_dict(self) -> dict[str, str]:
        return {"name": self.name, "origin": self.origin.value, "version": self.version, "because": self.because}


def versions(tree: Path, arch: Arch) -> dict[str, str]:
    """Read the version of every `.pc` file of a sysroot."""
    found: dict[str, str] = {}
    for folder in (f"usr/lib/{arch.triple}/pkgconfig", "usr/lib/pkgconfig", "usr/share/pkgconfig"):
        for path in sorted((tree / folder).glob("*.pc")):
            # libwebsockets of Debian 12 calls itself "4.1.6-"
            match = re.search(r"^Version:\s*(\S+?)-?\s*$", path.read_text("utf-8", "replace"), re.MULTILINE)
            if match:
                found.setdefault(path.stem, match[1])
    return found


def resolve(
    recipes: Sequence[Recipe],
    asked: Sequence[str],
    index: Index,
    pc_versions: Mapping[str, str],
    arch: Arch,
    policies: Mapping[str, Policy | str] | None = None,
) -> dict[str, Resolution]:
    """Decide for each recipe of a closure (dependencies first) where it comes from.

    Raises
    ------
    ConfigError
        The policy says `board` and the sysroot's copy does not do; or a range is not one.
    """
    policies = policies or {}
    decided: dict[str, Resolution] = {}
    needs: dict[str, list[tuple[str, Dependency]]] = {}
    for recipe in recipes:
        for need in recipe.depends:
            needs.setdefault(need.name, []).append((recipe.name, need))
    for recipe in recipes:
        if recipe.name in asked:
            because = "asked for"
            origin = Origin.SOURCE
            version = recipe.version
        else:
            origin, version, because = _decide(
                recipe, needs.get(recipe.name, []), index, pc_versions, arch, policies.get(recipe.name, Policy.AUTO)
            )
            split = [need.name for need in recipe.depends if decided[need.name].origin is Origin.SOURCE]
            if origin is Origin.BOARD and split:
                origin, version = Origin.SOURCE, recipe.version
                because = f"{', '.join(split)} is built from source, and two copies of it in one process clash"
        decided[recipe.name] = Resolution(name=recipe.name, origin=origin, version=version, because=because)
    return _reachable(recipes, asked, decided)


def _reachable(
    recipes: Sequence[Recipe], asked: Sequence[str], decided: dict[str, Resolution]
) -> dict[str, Resolution]:
    """Leave out what nothing needs any more because its only users come from the board."""
    by_name = {recipe.name: recipe for recipe in recipes}
    wanted: set[str] = set()
    todo = list(asked)
    while todo:
        name = todo.pop()
        if name in wanted:
            continue
        wanted.add(name)
        if decided[name].origin is Origin.SOURCE:
            todo += [need.name for need in by_name[name].depends]
    return {name: resolution for name, resolution in decided.items() if name in wanted}


def _decide(
    recipe: Recipe,
    needs: Sequence[tuple[str, Dependency]],
    index: Index,
    pc_versions: Mapping[str, str],
    arch: Arch,
    policy: Policy | str,
) -> tuple[Origin, str, str]:
    if isinstance(policy, str):
        _fits(recipe, needs)
        return Origin.SOURCE, recipe.version, f"the policy pins {recipe.version}"
    if policy is Policy.SOURCE:
        return Origin.SOURCE, recipe.version, "the policy says source"
    version = pc_versions.get(recipe.pkgconfig, "") if recipe.pkgconfig else ""
    fault = _fault(recipe, needs, index, version, arch)
    if fault is None:
        return Origin.BOARD, version, f"the sysroot has {version}, in range and with every symbol needed"
    if policy is Policy.BOARD:
        raise ConfigError(
            f"{recipe.name}: the policy says board, and the board's copy does not do",
            why=fault,
            next_step=f"set the policy of {recipe.name} to auto or source",
        )
    return Origin.SOURCE, recipe.version, fault


def _fits(recipe: Recipe, needs: Sequence[tuple[str, Dependency]]) -> None:
    """Raise where a pinned version is outside of what its users compile against."""
    faults = [
        f"{dependant} needs {need.range}"
        for dependant, need in needs
        if need.range and not _in_range(recipe.version, need.range, recipe.name)
    ]
    if faults:
        raise ConfigError(f"{recipe.name}: the policy pins {recipe.version}", why="; ".join(faults))


def _fault(
    recipe: Recipe, needs: Sequence[tuple[str, Dependency]], index: Index, version: str, arch: Arch
) -> str | None:
    """Say why the sysroot's copy does not do; None when it does."""
    if not version:
        return "the sysroot has none"
    faults = [
        f"{dependant} needs {need.range}"
        for dependant, need in needs
        if need.range and not _in_range(version, need.range, recipe.name)
    ]
    exported: set[str] = set()
    for library in recipe.libraries:
        found = index.find(f"lib{library.link}.so", arch.identity)
        if found is None:
            return f"the sysroot has {version} without lib{library.link}.so for {arch.name}"
        exported |= names(found[1])
    for dependant, need in needs:
        missing = [symbol for symbol in need.symbols if symbol not in exported]
        if missing:
            faults.append(f"it lacks {', '.join(missing)}, which {dependant} needs")
    return f"the sysroot has {version}: {'; '.join(faults)}" if faults else None


def names(found: ElfFile) -> set[str]:
    """Return the names that a library exports, version nodes left out."""
    return {symbol.partition("@")[0] for symbol in found.exports.split()}


def _in_range(version: str, wanted: str, name: str) -> bool:
    # OpenSSL's 1.1.1t is later than 1.1.1; the letter is a post release in the words of PEP 440.
    lettered = re.fullmatch(r"(\d+(?:\.\d+)*)([a-z])", version)
    comparable = f"{lettered[1]}.post{ord(lettered[2]) - ord('a') + 1}" if lettered else version
    try:
        return Version(comparable) in SpecifierSet(wanted)
    except InvalidVersion:
        return False  # a version that cannot be compared proves nothing
    except InvalidSpecifier as error:
        raise ConfigError(f"{name}: {wanted!r} is not a version range", why=str(error)) from error
