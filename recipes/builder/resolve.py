"""Which dependency comes from where, decided before anything is linked: SONAMEs differ, so later is too late.

Recipes, a sysroot's index and the versions in its `.pc` files go in, decisions with their reasons come out.
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
from recipes.builder.request import ASKED, SourcePolicy
from recipes.console import first_few
from recipes.elf import ElfFile
from recipes.errors import ConfigError
from recipes.proof.binding import exports_of, references
from recipes.proof.demand import Demand
from recipes.proof.prove import check_copy, library_closure
from recipes.rootfs.index import Index
from recipes.sources.recipe import Dependency, Recipe


class DependencyOrigin(Enum):
    """Where a dependency comes from."""

    BOARD = "board"
    """The sysroot's copy is linked; the board brings its own at run time."""
    SOURCE = "source"
    """Built here, at the lock's version."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Resolution:
    """One decision, and its reason in words."""

    name: str
    origin: DependencyOrigin
    version: str
    because: str

    def as_dict(self) -> dict[str, str]:
        return {"name": self.name, "origin": self.origin.value, "version": self.version, "because": self.because}


def pkgconfig_versions(tree: Path, arch: Arch) -> dict[str, str]:
    """Read the version of every `.pc` file of a sysroot."""
    found: dict[str, str] = {}
    for folder in (f"usr/lib/{arch.triple}/pkgconfig", "usr/lib/pkgconfig", "usr/share/pkgconfig"):
        for path in sorted((tree / folder).glob("*.pc")):
            if version := _pc_version(path.read_text("utf-8", "replace")):
                found.setdefault(path.stem, version)
    return found


def _pc_version(text: str) -> str:
    """Return the version that a `.pc` file says; libwebsockets of Debian 12 calls itself "4.1.6-"."""
    match = re.search(r"^Version:[ \t]*(\S+?)-?[ \t\r]*$", text, re.MULTILINE)
    if match is None:
        return ""
    named = re.fullmatch(r"\$\{([\w.]+)\}", match[1])
    if named is None:
        return match[1]
    value = re.search(rf"^{re.escape(named[1])}[ \t]*=[ \t]*(\S+?)-?[ \t\r]*$", text, re.MULTILINE)
    return value[1] if value else ""


def resolve_dependencies(
    recipes: Sequence[Recipe],
    asked: Sequence[str],
    index: Index,
    pc_versions: Mapping[str, str],
    arch: Arch,
    policies: Mapping[str, SourcePolicy | str] | None = None,
    before: Mapping[str, Sequence[ElfFile]] | None = None,
) -> dict[str, Resolution]:
    """Decide for each recipe of a closure (dependencies first) where it comes from.

    Parameters
    ----------
    before:
        Recipe to the ELF files of its last build. What they bind is asked for where a recipe names no symbols itself.

    Raises
    ------
    ConfigError
        The policy says `board` and the sysroot's copy is unsuitable; or a range is not one.
    """
    policies = policies or {}
    decided: dict[str, Resolution] = {}
    needs: dict[str, list[tuple[str, Dependency]]] = {}
    for recipe in recipes:
        for need in recipe.depends:
            needs.setdefault(need.name, []).append((recipe.name, need))
    for recipe in recipes:
        if recipe.name in asked:
            because = ASKED
            origin = DependencyOrigin.SOURCE
            version = recipe.version
        else:
            origin, version, because = _decide(
                recipe,
                needs.get(recipe.name, []),
                _Sysroot(index=index, versions=pc_versions, arch=arch, before=before or {}),
                policies.get(recipe.name, SourcePolicy.AUTO),
            )
            split = [need.name for need in recipe.depends if decided[need.name].origin is DependencyOrigin.SOURCE]
            if origin is DependencyOrigin.BOARD and split:
                origin, version = DependencyOrigin.SOURCE, recipe.version
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
        if decided[name].origin is DependencyOrigin.SOURCE:
            todo += [need.name for need in by_name[name].depends]
    return {name: resolution for name, resolution in decided.items() if name in wanted}


@dataclass(frozen=True, slots=True, kw_only=True)
class _Sysroot:
    """What is known before anything is linked."""

    index: Index
    versions: Mapping[str, str]
    arch: Arch
    before: Mapping[str, Sequence[ElfFile]]


def _decide(
    recipe: Recipe, needs: Sequence[tuple[str, Dependency]], sysroot: _Sysroot, policy: SourcePolicy | str
) -> tuple[DependencyOrigin, str, str]:
    if isinstance(policy, str):
        _fits(recipe, needs)
        return DependencyOrigin.SOURCE, recipe.version, f"the policy pins {recipe.version}"
    if policy is SourcePolicy.SOURCE:
        return DependencyOrigin.SOURCE, recipe.version, "the policy says source"
    version = sysroot.versions.get(recipe.pkgconfig, "") if recipe.pkgconfig else ""
    if recipe.varied and not recipe.libraries:
        # Nothing is proved of an archive: it has no SONAME, no versions, and may ask for anything.
        fault: str | None = f"asked for is an archive ({', '.join(recipe.varied)}), which is of our own build only"
    else:
        fault = _fault(recipe, needs, sysroot, version)
    if fault is None:
        return DependencyOrigin.BOARD, version, f"the sysroot has {version}, in range and with every symbol needed"
    if policy is SourcePolicy.BOARD:
        raise ConfigError(
            f"{recipe.name}: the policy says board, and the board's copy is unsuitable",
            why=fault,
            next_step=f"set the policy of {recipe.name} to auto or source",
        )
    return DependencyOrigin.SOURCE, recipe.version, fault


def _fits(recipe: Recipe, needs: Sequence[tuple[str, Dependency]]) -> None:
    """Raise where a pinned version is outside of what its users compile against."""
    faults = [
        f"{dependant} needs {need.range}"
        for dependant, need in needs
        if need.range and not _in_range(recipe.version, need.range, recipe.name)
    ]
    if faults:
        raise ConfigError(f"{recipe.name}: the policy pins {recipe.version}", why="; ".join(faults))


def _fault(recipe: Recipe, needs: Sequence[tuple[str, Dependency]], sysroot: _Sysroot, version: str) -> str | None:
    """Say why the sysroot's copy is unsuitable; None when it serves."""
    if not version:
        return "the sysroot has none"
    odd = "" if _comparable(version) else ", which this version cannot be compared with"
    faults = [
        f"{dependant} needs {need.range}{odd}"
        for dependant, need in needs
        if need.range and not _in_range(version, need.range, recipe.name)
    ]
    copies: list[tuple[str, ElfFile]] = []
    for library in recipe.libraries:
        found = sysroot.index.find(f"lib{library.link}.so", sysroot.arch.identity)
        if found is None:
            return f"the sysroot has {version} without lib{library.link}.so for {sysroot.arch.name}"
        copies.append(found)
    for dependant, need in needs:
        wanted = need.symbols or _bound(recipe, dependant, sysroot.before)
        missing = [symbol for symbol in wanted if not any(exports_of(copy).serves(symbol, "") for _, copy in copies)]
        if missing:
            faults.append(f"it lacks {first_few(missing, 3)}, which {dependant} needs")
    faults += [fault for path, copy in copies for fault in _unloadable(path, copy, sysroot)]
    return f"the sysroot has {version}: {'; '.join(faults)}" if faults else None


def _bound(recipe: Recipe, dependant: str, before: Mapping[str, Sequence[ElfFile]]) -> list[str]:
    """Return the names that a dependant's last build bound to a recipe's libraries."""
    ours = {library.soname for library in recipe.libraries}
    built = {name for file in before.get(recipe.name, ()) if file.soname for name in export_names(file)}
    return sorted(
        name
        for file in before.get(dependant, ())
        for name, library, _, weak in references(file)
        if not weak and (library in ours or (not library and name in built))
    )


def _unloadable(path: str, copy: ElfFile, sysroot: _Sysroot) -> list[str]:
    """Say why the sysroot's copy would not load there itself, by the proof that a bundle makes of a board's."""
    companions, lost = library_closure(sysroot.index, path, copy, sysroot.arch.identity)
    nothing = Demand(library=copy.soname, wants={}, nodes=(), identities=(sysroot.arch.identity,))
    return list(check_copy(nothing, path, copy, companions.values(), lost=lost).faults)


def export_names(found: ElfFile) -> set[str]:
    """Return the names that a library exports, version nodes left out."""
    return {symbol.partition("@")[0] for symbol in found.exports.split()}


def _in_range(version: str, wanted: str, name: str) -> bool:
    try:
        asked = SpecifierSet(wanted)
    except InvalidSpecifier as error:
        raise ConfigError(f"{name}: {wanted!r} is not a version range", why=str(error)) from error
    found = _comparable(version)
    return found is not None and asked.contains(found, prereleases=True)


def _comparable(version: str) -> Version | None:
    """Return a version as it compares, of all that upstreams and distributions write; None for what is none.

    OpenSSL's 1.1.1t is later than 1.1.1: the letter is a post release in the words of PEP 440. What follows the numbers
    and is no such word tells where it was built (libwebsockets calls itself 4.3.5-unknown), not what it is.
    """
    lettered = re.fullmatch(r"(\d+(?:\.\d+)*)([a-z])(?:[-_+~].*)?", version)
    text = f"{lettered[1]}.post{ord(lettered[2]) - ord('a') + 1}" if lettered else version
    numbers = re.match(r"v?(\d+(?:\.\d+)*)(?=$|[-_+~. ])", version)
    for candidate in (text, numbers[1] if numbers else ""):
        try:
            return Version(candidate)
        except InvalidVersion:
            continue
    return None
