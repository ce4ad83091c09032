"""The Stage: what was built for one architecture, as a tree and the facts about it. The seam between the halves."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
from collections.abc import Collection, Iterator
from dataclasses import dataclass
from fnmatch import fnmatchcase
from pathlib import Path, PurePosixPath
from typing import Any, Literal

from pydantic import Field, ValidationError

from recipes import paths
from recipes.config import FileName, Name, OneLine, RelativePath, SourceName, Strict, Version, checked_name
from recipes.errors import ConfigError
from recipes.files import write_whole
from recipes.sources.patches import DistributionPatches

STAGE_MANIFEST = "stage.json"


class StageFile(Strict):
    """One file or link of a tree; a link has a target and no hash."""

    path: RelativePath
    sha256: OneLine = ""
    size: int = 0
    mode: int = 0
    target: OneLine = ""


class StagedRecipe(Strict):
    """What a recipe brought to a Stage, and the key it was built under."""

    name: Name
    version: Version
    licence: OneLine
    source: SourceName
    key: OneLine
    parts: dict[OneLine, OneLine]
    outputs: dict[RelativePath, OneLine]
    """Path to kind."""
    dlopen: tuple[FileName, ...] = ()
    pins: dict[Name, OneLine] = Field(default_factory=dict)
    """Name in the lock to the commit or sha256 that was built."""
    variants: tuple[Name, ...] = ()
    patches: dict[Name, OneLine] = Field(default_factory=dict)
    """Name to the digest of what it changes."""
    distribution: DistributionPatches | None = None
    """The distribution's own patches of its source that were applied."""


class StageManifest(Strict):
    """`stage.json`."""

    schema_: Literal[1] = Field(alias="schema")
    arch: Name
    sysroot: Name
    sysroot_fingerprint: OneLine
    image: OneLine
    recipes: tuple[StagedRecipe, ...]
    resolution: tuple[dict[OneLine, OneLine], ...]
    files: tuple[StageFile, ...]

    def data(self) -> list[str]:
        """Return the files that programs read at run time: outputs of kind `data` outside of lib/, folders opened."""
        wanted = [path for recipe in self.recipes for path, kind in recipe.outputs.items() if kind == "data"]
        inside = tuple(f"{path}/" for path in wanted)
        return [
            file.path
            for file in self.files
            if not file.target
            and not file.path.startswith("lib/")
            and (file.path in wanted or file.path.startswith(inside))
        ]


@dataclass(frozen=True, slots=True, kw_only=True)
class Stage:
    """A Stage on disk."""

    folder: Path
    manifest: StageManifest

    @property
    def tree(self) -> Path:
        return self.folder / "tree"

    def owner(self, path: str) -> str:
        """Return the recipe that lists a file among its outputs; empty where none does."""
        for recipe in self.manifest.recipes:
            if any(path == output or path.startswith(f"{output}/") for output in recipe.outputs):
                return recipe.name
        return ""


def stage_folder(arch: str, sysroot: str) -> Path:
    return paths.work() / "stage" / checked_name("architecture", arch) / checked_name("sysroot", sysroot)


def walk_tree(tree: Path) -> Iterator[StageFile]:
    """Yield every file and link of a tree in a fixed order, hashed."""
    for path in sorted(tree.rglob("*")):
        name = path.relative_to(tree).as_posix()
        if path.is_symlink():
            yield StageFile(path=name, target=os.readlink(path))
        elif path.is_file():
            data = path.read_bytes()
            mode = 0o755 if path.stat().st_mode & 0o100 else 0o644
            yield StageFile(path=name, sha256=hashlib.sha256(data).hexdigest(), size=len(data), mode=mode)


def is_intact(tree: Path, files: tuple[StageFile, ...]) -> bool:
    """Tell whether a tree is, byte for byte, what its manifest says."""
    try:
        return tuple(walk_tree(tree)) == files
    except OSError:
        return False


def load_stage(where: Path) -> Stage:
    """Read a Stage back.

    Raises
    ------
    ConfigError
        There is none, or its manifest is not one of this version.
    """
    try:
        data: Any = json.loads((where / STAGE_MANIFEST).read_bytes())
        return Stage(folder=where, manifest=StageManifest.model_validate(data))
    except OSError as error:
        raise ConfigError(
            "nothing was built yet", where=str(where), next_step=f"invoke build --arch {where.parent.name}"
        ) from error
    except (ValueError, ValidationError) as error:
        raise ConfigError(
            "this Stage was not made by this version of Boardcast",
            where=str(where),
            why=str(error).splitlines()[0],
            next_step=f"invoke build --arch {where.parent.name} --force",
        ) from error


def write_manifest(manifest: StageManifest, into: Path) -> None:
    write_whole(
        into / STAGE_MANIFEST, json.dumps(manifest.model_dump(by_alias=True), indent=1, sort_keys=True).encode() + b"\n"
    )


def graft_tree(source: Path, target: Path) -> None:
    """Add a tree's files to another, as hard links where the file system allows it.

    A library that two recipes bring is an error: which one wins must not depend on the order.
    """
    for path in sorted(source.rglob("*")):
        there = target / path.relative_to(source)
        if path.is_dir() and not path.is_symlink():
            there.mkdir(parents=True, exist_ok=True)
            continue
        there.parent.mkdir(parents=True, exist_ok=True)
        if there.exists() or there.is_symlink():
            raise ConfigError(f"two recipes bring {path.relative_to(source)}", where=str(source))
        if path.is_symlink():
            there.symlink_to(os.readlink(path))
            continue
        try:
            os.link(path, there)
        except OSError:  # another file system, or one without links
            shutil.copy2(path, there)


def prune_tree(tree: Path, patterns: Collection[str]) -> None:
    """Remove what fits a pattern: paths below the tree, with `*` in a name, and `**` for any folders.

    What is removed is what a walk of the tree itself comes upon: no link is followed, and a pattern leads nowhere else.
    """
    wanted = [PurePosixPath(pattern).parts for pattern in patterns]
    for here, folders, files in os.walk(tree):
        inside = Path(here).relative_to(tree).parts
        for name in (*folders, *files):
            if not any(_fits((*inside, name), parts) for parts in wanted):
                continue
            path = Path(here) / name
            if name in folders and not path.is_symlink():
                shutil.rmtree(path)
                folders.remove(name)
            else:
                path.unlink()


def _fits(path: tuple[str, ...], pattern: tuple[str, ...]) -> bool:
    if not pattern:
        return not path
    if pattern[0] == "**":
        return _fits(path, pattern[1:]) or (bool(path) and _fits(path[1:], pattern))
    return bool(path) and fnmatchcase(path[0], pattern[0]) and _fits(path[1:], pattern[1:])
