"""Recipes: what a catalogue entry may say, read strictly, with every fault of every file in one message."""

from __future__ import annotations

import graphlib
import os
from collections.abc import Iterable
from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field, StringConstraints

from recipes import paths
from recipes.config import Strict, read_toml
from recipes.errors import ConfigError, unknown


class Dependency(Strict):
    """One library that a recipe links against.

    `range` is a version range as `packaging` reads it; `symbols` are those the recipe's own sources need beyond what
    every version of the range exports: SONAMEs are no guide to them.
    """

    name: str
    range: str = ""
    symbols: tuple[str, ...] = ()


class Library(Strict):
    """One shared library that a recipe brings: the linker's name for it and the SONAME it must come out with."""

    link: str
    soname: str


class Output(Strict):
    """One file that the recipe must have installed."""

    path: str
    kind: Literal["program", "plugin", "library", "data"]


Pattern = Annotated[str, StringConstraints(pattern=r"^(src|build|files)/[A-Za-z0-9._*/+-]+$")]


class Collect(Strict):
    """Files that upstream builds and does not install: a pattern below the build's `src/`, `build/` or `files/`."""

    from_: Pattern = Field(alias="from")
    to: Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9._/+-]+$")]
    """A folder of the installed tree."""
    optional: bool = False
    """Not every release has it, and nothing that goes to a board depends on it."""


class Edit(Strict):
    """One text of one source file, replaced exactly as often as stated; anything else stops the build."""

    file: str
    find: str
    put: str
    times: int = 1


class Patch(Strict):
    """A named change of upstream's sources, applied on request and recorded in the Stage."""

    summary: str
    edits: tuple[Edit, ...]
    keep: bool = False
    """Keep the sources, as built, for a person to look at."""


class Variant(Strict):
    """A named way to build a recipe, added to its defaults."""

    summary: str
    refused: str = ""
    """Why it cannot be; asking for it is an error with this reason."""
    instead: str = ""
    arches: tuple[str, ...] = ()
    options: dict[str, str] = Field(default_factory=dict)
    arguments: tuple[str, ...] = ()
    flags: tuple[str, ...] = ()
    targets: tuple[str, ...] = ()
    drop: tuple[str, ...] = ()
    """Patterns of outputs and of what is collected that this variant does not have."""
    outputs: tuple[Output, ...] = ()
    collect: tuple[Collect, ...] = ()
    depends: tuple[Dependency, ...] = ()
    forget: tuple[str, ...] = ()
    """Dependencies that it does without."""


class Version(Strict):
    """Another version of a library, built when a policy names it."""

    source: str
    libraries: tuple[Library, ...]
    outputs: tuple[Output, ...]
    arguments: tuple[str, ...] = ()
    targets: tuple[str, ...] = ()
    edits: tuple[Edit, ...] = ()


class Recipe(Strict):
    """One catalogue entry, `recipes/catalog/<name>/recipe.toml`."""

    schema_: Literal[1] = Field(alias="schema")
    name: str
    version: str
    licence: str
    summary: str
    source: str
    """A name of the lock, or `path:FOLDER` for sources that stand beside the recipe."""
    build: Literal["cmake", "autotools", "openssl", "meson", "make"]
    generator: Literal["Ninja", "Unix Makefiles"] = "Ninja"
    pkgconfig: str = ""
    """The `.pc` name that tells the version of a copy in a sysroot."""
    depends: tuple[Dependency, ...] = ()
    sysroot: tuple[str, ...] = ()
    """`.pc` names that must stand in the sysroot because nothing of ours builds them (GStreamer)."""
    libraries: tuple[Library, ...] = ()
    outputs: tuple[Output, ...]
    options: dict[str, str] = Field(default_factory=dict)
    arch_options: dict[str, dict[str, str]] = Field(default_factory=dict, alias="arch-options")
    arguments: tuple[str, ...] = ()
    """Words for an autotools or OpenSSL configure line."""
    targets: tuple[str, ...] = ()
    """Make targets instead of the default one."""
    install: tuple[str, ...] = ("install",)
    prune: tuple[str, ...] = ()
    """Installed files that neither a board nor a later build needs, as glob patterns."""
    dlopen: tuple[str, ...] = ()
    """SONAMEs that the programs load at run time, if the board has them."""
    flags: tuple[str, ...] = ()
    """More words for CFLAGS and CXXFLAGS."""
    collect: tuple[Collect, ...] = ()
    edits: tuple[Edit, ...] = ()
    """Changes that every build needs, recorded in the Stage: no path of ours may stand in what goes to a board."""
    hidden: tuple[str, ...] = ()
    """`.pc` names that the build must not find in a sysroot: it nests its own release of them."""
    patches: dict[str, Patch] = Field(default_factory=dict)
    variants: dict[str, Variant] = Field(default_factory=dict)
    versions: dict[str, Version] = Field(default_factory=dict)
    default: bool = False
    applied: tuple[str, ...] = ()
    """Patches that were asked for; never in a file."""
    varied: tuple[str, ...] = ()
    """Variants that were asked for; never in a file."""

    home: str = ""
    """The folder that it was read from; never in a file."""

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
    for path in (path for one in folders for path in sorted(one.glob("*/recipe.toml"))):
        try:
            recipe = read_toml(path, Recipe)
        except ConfigError as error:
            faults.append(f"{error.where}: {error.why or error.what}")
            continue
        faults += [
            f"{path}: {key} is ours to set, not a recipe's"
            for key in ("applied", "varied", "home")
            if getattr(recipe, key)
        ]
        if recipe.name != path.parent.name:
            faults.append(f"{path}: name is {recipe.name!r}, its folder {path.parent.name!r}")
        if recipe.name in found:
            faults.append(f"{path}: another recipe has this name: {found[recipe.name].folder()}")
        found[recipe.name] = recipe.model_copy(update={"home": str(path.parent.resolve())})
    for recipe in found.values():
        faults += [
            f"{recipe.name}: depends on {need.name!r}, which has no recipe"
            for need in recipe.depends
            if need.name not in found
        ]
    if faults:
        raise ConfigError("the catalogue has faults", where=str(folder or paths.CATALOG), why="\n       ".join(faults))
    return found


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
            raise unknown("recipe", name, recipes, next_step="invoke build --arch armv7 --recipe boardprobe")
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
