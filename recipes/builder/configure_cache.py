"""What an autotools `configure` found out, kept for the next build in exactly the same surroundings.

It is autoconf's own cache file, named through its own site file, so a release's script is run as it is:
https://www.gnu.org/software/autoconf/manual/autoconf-2.71/html_node/Site-Defaults.html
"""

from __future__ import annotations

import contextlib
import hashlib
from collections.abc import Mapping
from pathlib import Path

from recipes import paths
from recipes.builder.commands import cache_key, json_digest
from recipes.engine.container import AbsentError, ContainerSession
from recipes.engine.layout import ANSWERS, SITE
from recipes.files import write_whole
from recipes.sources.recipe import Recipe

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


def read_answers(session: ContainerSession) -> bytes:
    """Return the answers that a build left in its container; nothing where it left none.

    Raises
    ------
    RefusedError
        There is something else of that name, or far too much.
    """
    try:
        return session.read(ANSWERS, most=_LONGEST)
    except AbsentError:
        return b""


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
