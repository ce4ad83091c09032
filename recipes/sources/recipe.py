"""Recipes: what a catalogue entry may say, read strictly, with every fault of every file in one message."""

from __future__ import annotations

import graphlib
import os
from collections.abc import Iterable
from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field, StringConstraints

from recipes import paths
from recipes.config import (
    FileName,
    FileNameOrNone,
    GlobPattern,
    MakeTarget,
    Name,
    OneLine,
    RelativePath,
    SourceName,
    Strict,
    Symbol,
    Text,
    VariableName,
    VersionOrNone,
    VersionRange,
    read_toml,
)
from recipes.config import Version as VersionText
from recipes.errors import ConfigError, unknown
from recipes.sources.lock import Lock, load_lock


class Dependency(Strict):
    """One library that a recipe links against."""

    name: Name
    """Its recipe."""
    range: VersionRange = ""
    """A version range as `packaging` reads it; any version without one."""
    symbols: tuple[Symbol, ...] = ()
    """Those that the recipe's own sources need beyond what every version of the range exports: SONAMEs are no guide."""


class Library(Strict):
    """One shared library that a recipe brings."""

    link: FileName
    """The linker's name for it, without `lib` and `.so`."""
    soname: FileName
    """The SONAME that it must come out with."""


class Output(Strict):
    """One file that the recipe must have installed."""

    path: RelativePath
    """Below the prefix."""
    kind: Literal["program", "plugin", "library", "data"]
    """What the gate checks it for; `data` may be a folder."""


Pattern = Annotated[GlobPattern, StringConstraints(pattern=r"^(src|build|files)/[A-Za-z0-9._*/+-]+$")]


class Collect(Strict):
    """Files that upstream builds and does not install: a pattern below the build's `src/`, `build/` or `files/`."""

    from_: Pattern = Field(alias="from")
    """The pattern; `*` stands for any part of a name."""
    to: RelativePath
    """A folder of the installed tree."""
    optional: bool = False
    """Not every release has it, and nothing that goes to a board depends on it."""


class Edit(Strict):
    """One text of one source file, replaced exactly as often as stated; anything else stops the build."""

    file: RelativePath
    """Below the sources."""
    find: Text
    """The text to replace."""
    put: Text
    """The text in its place."""
    times: int = 1
    """How often it must be there."""


class Patch(Strict):
    """A named change of upstream's sources, applied on request and recorded in the Stage."""

    summary: OneLine
    """What it changes, for a person."""
    edits: tuple[Edit, ...]
    """The texts that it replaces."""
    keep: bool = False
    """Keep the sources, as built, for a person to look at."""


class Variant(Strict):
    """A named way to build a recipe, added to its defaults."""

    summary: OneLine
    """What it is, for a person."""
    refused: OneLine = ""
    """Why it cannot be; asking for it is an error with this reason."""
    instead: OneLine = ""
    """The command to offer where it is refused; ARCH stands for the architecture."""
    arches: tuple[Name, ...] = ()
    """The only architectures that it is for; all without one."""
    options: dict[VariableName, OneLine] = Field(default_factory=dict)
    """Options added to the recipe's, or in their place."""
    arguments: tuple[OneLine, ...] = ()
    """Words added to the recipe's."""
    flags: tuple[OneLine, ...] = ()
    """Compiler flags added to the recipe's."""
    targets: tuple[MakeTarget, ...] = ()
    """Make targets in place of the recipe's."""
    drop: tuple[GlobPattern, ...] = ()
    """Patterns of outputs and of what is collected that this variant does not have."""
    outputs: tuple[Output, ...] = ()
    """Outputs that only this variant has."""
    collect: tuple[Collect, ...] = ()
    """Files to collect that only this variant has."""
    depends: tuple[Dependency, ...] = ()
    """Dependencies that only this variant has."""
    forget: tuple[Name, ...] = ()
    """Dependencies that it does without."""


class Version(Strict):
    """Another version of a library, built when a policy names it."""

    source: Name
    """A name of the lock."""
    libraries: tuple[Library, ...]
    """In place of the recipe's."""
    outputs: tuple[Output, ...]
    """In place of the recipe's."""
    arguments: tuple[OneLine, ...] = ()
    """In place of the recipe's, where there are any."""
    targets: tuple[MakeTarget, ...] = ()
    """In place of the recipe's, where there are any."""
    edits: tuple[Edit, ...] = ()
    """In place of the recipe's, where there are any."""


class RecipeFile(Strict):
    """One catalogue entry, `recipes/catalog/<name>/recipe.toml`."""

    schema_: Literal[1] = Field(alias="schema")
    """The form of this file."""
    name: Name
    """The name of its folder too."""
    version: VersionOrNone = ""
    """Of sources that are beside the recipe; all others have the version that the lock says, and none is written."""
    licence: OneLine
    """An expression of SPDX."""
    summary: OneLine
    """What it is, for a person."""
    source: SourceName
    """A name of the lock; or `path:FOLDER` for sources beside the recipe, `path:../RECIPE/FOLDER` beside another."""
    build: Literal["cmake", "autotools", "openssl", "meson", "make"]
    """How upstream builds it."""
    generator: Literal["Ninja", "Unix Makefiles"] = "Ninja"
    """Of CMake."""
    pkgconfig: FileNameOrNone = ""
    """The `.pc` name that tells the version of a copy in a sysroot."""
    depends: tuple[Dependency, ...] = ()
    """The libraries that it links against."""
    sysroot: tuple[FileName, ...] = ()
    """`.pc` names that must be in the sysroot because nothing of ours builds them (GStreamer)."""
    libraries: tuple[Library, ...] = ()
    """The shared libraries that it brings."""
    outputs: tuple[Output, ...]
    """The files that it must have installed."""
    options: dict[VariableName, OneLine] = Field(default_factory=dict)
    """Options of CMake and Meson, or variables of a hand-written Makefile."""
    arch_options: dict[Name, dict[VariableName, OneLine]] = Field(default_factory=dict, alias="arch-options")
    """Architecture to options that come on top, or in place of those above."""
    arguments: tuple[OneLine, ...] = ()
    """Words for an autotools or OpenSSL configure line."""
    targets: tuple[MakeTarget, ...] = ()
    """Make targets instead of the default one."""
    install: tuple[MakeTarget, ...] = ("install",)
    """Make targets that install; empty where `collect` alone does."""
    prune: tuple[GlobPattern, ...] = ()
    """Installed files that neither a board nor a later build needs, as glob patterns."""
    dlopen: tuple[FileName, ...] = ()
    """SONAMEs that the programs load at run time, if the board has them."""
    flags: tuple[OneLine, ...] = ()
    """More words for CFLAGS and CXXFLAGS."""
    c_flags: tuple[OneLine, ...] = Field(default=(), alias="c-flags")
    """More words for CFLAGS alone."""
    collect: tuple[Collect, ...] = ()
    """Files that upstream builds and does not install."""
    edits: tuple[Edit, ...] = ()
    """Changes that every build needs, recorded in the Stage: no path of ours may be in what goes to a board."""
    hidden: tuple[FileName, ...] = ()
    """`.pc` names that the build must not find in a sysroot: it nests its own release of them."""
    patches: dict[Name, Patch] = Field(default_factory=dict)
    """Name to a change that is made when it is asked for."""
    variants: dict[Name, Variant] = Field(default_factory=dict)
    """Name to another way to build it."""
    versions: dict[VersionText, Version] = Field(default_factory=dict)
    """Version to what is other about it."""
    default: bool = False
    """Built where no recipe is named."""


class Recipe(RecipeFile):
    """A recipe of the catalogue as it is asked for: what its file says, where that is, and what was asked of it."""

    applied: tuple[Name, ...] = ()
    """Patches that were asked for."""
    varied: tuple[Name, ...] = ()
    """Variants that were asked for."""
    home: OneLine = ""
    """The folder that it was read from; the catalogue's own without one."""

    def folder(self) -> Path:
        return Path(self.home) if self.home else paths.CATALOG / self.name


def load_catalogue(folder: Path | None = None) -> dict[str, Recipe]:
    """Read every recipe of the catalogue, and of the folders that BOARDCAST_RECIPES lists (separated like PATH).

    Raises
    ------
    ConfigError
        At least one recipe has faults, or depends on a recipe that nobody wrote.
    """
    found: dict[str, Recipe] = {}
    faults: list[str] = []
    more = [Path(part) for part in os.environ.get("BOARDCAST_RECIPES", "").split(os.pathsep) if part]
    folders = [folder] if folder else [paths.CATALOG, *more]
    pins = load_lock()
    for path in (path for place in folders for path in sorted(place.glob("*/recipe.toml"))):
        try:
            file = read_toml(path, RecipeFile)
        except ConfigError as error:
            faults.append(f"{error.where}: {error.why or error.what}")
            continue
        recipe = Recipe.model_validate(dict(file) | {"home": str(path.parent.resolve())})
        recipe, wrong = _at_the_locks_version(recipe, pins)
        faults += [f"{path}: {fault}" for fault in wrong]
        if recipe.name != path.parent.name:
            faults.append(f"{path}: name is {recipe.name!r}, its folder {path.parent.name!r}")
        if recipe.name in found:
            faults.append(f"{path}: another recipe has this name: {found[recipe.name].folder()}")
        found[recipe.name] = recipe
    for recipe in found.values():
        faults += [
            f"{recipe.name}: depends on {need.name!r}, which has no recipe"
            for need in recipe.depends
            if need.name not in found
        ]
    if faults:
        raise ConfigError("the catalogue has faults", where=str(folder or paths.CATALOG), why="\n       ".join(faults))
    return found


def _at_the_locks_version(recipe: Recipe, pins: Lock) -> tuple[Recipe, list[str]]:
    """Return a recipe with the version of its source, and what is wrong with its other versions.

    A source that the lock does not have is told of when somebody asks for it: the lock may be another one.
    """
    known = {pin.name: pin.version for pin in pins.pins}
    faults = [
        f"[versions.{version!r}] is built from {other.source}, which the lock has at {known[other.source]}"
        for version, other in recipe.versions.items()
        if known.get(other.source, version) != version
    ]
    if recipe.source.startswith("path:"):
        if not recipe.version:
            faults.append("version: these sources are beside the recipe, and nothing else says theirs")
    elif recipe.version:
        faults.append(f"version: it is the lock's of {recipe.source!r}, which moves alone; take this one out")
    return recipe.model_copy(update={"version": recipe.version or known.get(recipe.source, "")}), faults


def in_order(recipes: dict[str, Recipe], names: Iterable[str]) -> list[Recipe]:
    """Return the named recipes and all they depend on, dependencies first.

    Raises
    ------
    ConfigError
        A name is unknown, or recipes depend on each other in a circle (the circle is printed).
    """
    ordered: list[Recipe] = []
    needs: dict[str, list[str]] = {}

    def visit(name: str) -> None:
        if name in needs:
            return
        if name not in recipes:
            raise unknown("recipe", name, recipes, next_step="invoke build --arch ARCH --recipe boardprobe")
        needs[name] = [need.name for need in recipes[name].depends]
        for need in needs[name]:
            visit(need)
        ordered.append(recipes[name])

    for name in names:
        visit(name)
    # Not its static_order: that goes by layers, and the order here is the one that Stages and bundles are written in.
    try:
        graphlib.TopologicalSorter(needs).prepare()
    except graphlib.CycleError as error:
        circle = " → ".join(reversed(error.args[1]))
        raise ConfigError("recipes depend on each other", why=circle) from error
    return ordered
