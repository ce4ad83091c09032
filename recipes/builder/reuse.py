"""What a build leaves for the next one: what the compilers made, and what an autotools `configure` found out.

The latter is for exactly the same surroundings. It is autoconf's own cache file, named through its own site file, so a
release's script is run as it is:
https://www.gnu.org/software/autoconf/manual/autoconf-2.71/html_node/Site-Defaults.html
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import time
from collections.abc import Mapping
from pathlib import Path

from recipes import paths, process
from recipes.archives.intake import RefusedError
from recipes.builder.commands import cache_key, json_digest
from recipes.builder.plan import BuildPlan, RecipeBuild, own_sources
from recipes.engine.confinement import build_ids
from recipes.engine.layout import ANSWERS, SITE
from recipes.files import write_whole
from recipes.sources.recipe import Recipe

_UNUSED = 30 * 86400
"""Seconds after which the compiler's cache of sources that were not built again goes."""
_LONGEST = 4 << 20
"""Bytes; the answers of the largest configure are a twentieth of it."""
_DECIDING = {"name", "version", "build", "arguments", "options", "arch_options", "edits"}
"""Fields of a recipe that reach its configure; what is built, collected and expected afterwards does not."""


def place_answers(recipe: Recipe, parts: Mapping[str, str], work: Path) -> None:
    """Put the site file, and the answers of an earlier build where there are whole ones, into a build's folder.

    Parameters
    ----------
    parts:
        What the build's key is made of: the sources, the flags, the image, the sysroot, the dependencies.
    """
    (work / SITE.name).write_text(f"cache_file={ANSWERS}\n")
    for kept in _folder().glob(f"{_key(recipe, parts)}-*"):
        # configure sources this file as shell: one that was cut short must not be read.
        with contextlib.suppress(OSError):
            if _name(recipe, parts, text := kept.read_bytes()) == kept.name:
                (work / ANSWERS.name).write_bytes(text)
            else:
                kept.unlink()


def read_answers(folder: Path) -> bytes:
    """Return the answers that a build left, in the folder where they were taken to; nothing where it left none.

    Raises
    ------
    RefusedError
        There is something else of that name, or far too much.
    """
    left = folder / ANSWERS.name
    if not left.is_symlink() and not left.exists():
        return b""
    if left.is_symlink() or not left.is_file() or left.stat().st_size > _LONGEST:
        raise RefusedError(f"{ANSWERS} of the container is no regular file, or has more than {_LONGEST:,} bytes")
    return left.read_bytes()


def keep_answers(recipe: Recipe, parts: Mapping[str, str], text: bytes) -> None:
    """Keep the answers of a build that went well, where it left any."""
    if not text:
        return
    target = _folder() / _name(recipe, parts, text)
    if target.is_file():
        return
    before = list(_folder().glob(f"{_key(recipe, parts)}-*"))
    write_whole(target, text)
    for old in before:
        old.unlink(missing_ok=True)


def _folder() -> Path:
    return paths.cache() / "configure"


def _key(recipe: Recipe, parts: Mapping[str, str]) -> str:
    around = {name: value for name, value in parts.items() if name != "recipe"}
    return cache_key({**around, "configure": json_digest(recipe.model_dump(include=_DECIDING))})[:32]


def _name(recipe: Recipe, parts: Mapping[str, str], text: bytes) -> str:
    return f"{_key(recipe, parts)}-{hashlib.sha256(text).hexdigest()[:32]}"


def compiled_folder(prepared: BuildPlan, step: RecipeBuild) -> Path:
    """Return the folder of ccache for one recipe and source: no other recipe's objects get into what it builds.

    The sources of one's own change with every edit, so their folder stands for them. Other users of this machine see
    nothing of it: a build may leave programs there that run as whoever built.
    """
    recipe = step.recipe
    own = recipe.source.startswith("path:")
    source = json_digest(str(own_sources(recipe))) if own else step.parts["source"]
    top = paths.cache() / "ccache"
    folder = top / prepared.arch.name / f"{recipe.name}-{source[:16]}"
    folder.mkdir(parents=True, exist_ok=True)
    top.chmod(0o700)
    if os.getuid() == 0:
        os.chown(folder, *(int(part) for part in build_ids().split(":")))
    os.utime(folder)
    for old in folder.parent.glob(f"{recipe.name}-{'[0-9a-f]' * 16}"):
        if time.time() - old.stat().st_mtime > _UNUSED:
            _remove(old)
    return folder


def forget_compiled(prepared: BuildPlan, step: RecipeBuild) -> None:
    """Throw away what ccache has of a recipe, settings and all: the next build of it compiles everything."""
    _remove(compiled_folder(prepared, step))


def _remove(folder: Path) -> None:
    # A build may have left folders deeper than shutil can go.
    process.run(["rm", "-rf", "--", str(folder)])
