"""Whether the repositories of one SDK release are those that its own files ask for.

A release nests others at a tag or a commit that its CMake files name. A build follows the lock and not those files, so
a lock that moved the release and not what it nests would mix two releases, which often compiles.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Final

from recipes.errors import BuildError
from recipes.sources.git import repository_path, run_git
from recipes.sources.lock import Archive, Repository, lock_path
from recipes.text import one_line

_FILES: Final = ("*CMakeLists.txt", "*.cmake", "*.cmake.in", "*-CMakeLists.txt")
_LARGEST: Final = 1 << 20
"""Characters of a CMake file that are read."""
# https://cmake.org/cmake/help/latest/module/ExternalProject.html#git
_BLOCK: Final = re.compile(r"\b(?:ExternalProject_Add|FetchContent_Declare)\s{0,80}\(", re.IGNORECASE)
_WORD: Final = re.compile(r"\b(GIT_REPOSITORY|GIT_TAG)\s{1,80}\"?([^\s\"()]{1,300})")
_VARIABLE: Final = re.compile(r"\$\{(\w{1,80})\}")
_COMMENT: Final = re.compile(r"#[^\n]*")


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """What a file of a release clones: from where, and which tag, branch or commit."""

    file: str
    url: str
    ref: str


def refuse_mixed_unit(pins: Sequence[Archive | Repository]) -> None:
    """Refuse a unit of the lock whose repositories are not those that its releases ask for.

    Raises
    ------
    BuildError
        A file of a release names another tag or commit than the lock has of that repository; names both.
    """
    repositories = [pin for pin in pins if isinstance(pin, Repository)]
    nested = {_place(pin.url): pin for pin in repositories}
    for pin in repositories:
        for asked in asked_of(pin):
            other = nested.get(_place(asked.url))
            if other is None or other is pin or _names(other, asked.ref):
                continue
            has = ", ".join([*other.refs, other.commit[:12]])
            raise BuildError(
                f"{pin.name} {pin.version} asks for {one_line(asked.ref, most=80)} of {other.name}, the lock has {has}",
                where=f"{one_line(asked.file)} of {pin.name}",
                why=f"what {pin.unit} nests is of another release than its own files say; such a mix often compiles",
                next_step=f"in {lock_path().name}: set `version`, `commit` and `refs` of {other.name} to what "
                f"{one_line(asked.ref, most=80)} is upstream (git ls-remote {other.url}), then invoke fetch",
            )


def asked_of(pin: Repository) -> Iterator[Asked]:
    """Yield what the CMake files of a locked commit clone; a name that only a configured build knows is left out."""
    path = repository_path(pin.url, pin.commit)
    listed = run_git("grep", "-lI", "GIT_TAG", pin.commit, "--", *_FILES, repository=path, check=False)
    for line in listed.text.splitlines() if listed.code == 0 else ():
        file = line.partition(":")[2]
        text = run_git("show", f"{pin.commit}:{file}", repository=path).text[:_LARGEST]
        yield from clones_of(file, text)


def clones_of(file: str, text: str) -> Iterator[Asked]:
    """Yield what one CMake file clones."""
    plain = _COMMENT.sub("", text)
    for block in _BLOCK.split(plain)[1:]:
        found: dict[str, str] = {}
        for word, value in _WORD.findall(block):
            found.setdefault(word, value)
        url, ref = (_filled(found.get(word, ""), plain) for word in ("GIT_REPOSITORY", "GIT_TAG"))
        if url and ref:
            yield Asked(file=file, url=url, ref=ref)


def _filled(value: str, text: str) -> str:
    """Return a value with the variables that its own file sets; empty where one of them is set elsewhere."""
    for name in dict.fromkeys(_VARIABLE.findall(value)):
        given = re.findall(rf"\bset\s{{0,80}}\(\s{{0,80}}{name}\s{{1,80}}\"?([^\s\"()$]{{1,300}})", text)
        if len(set(given)) != 1:
            return ""
        value = value.replace(f"${{{name}}}", given[0])
    return "" if "$" in value else value


def _place(url: str) -> str:
    return re.sub(r"^(?:https?|git|ssh)://|^git@", "", url).replace(":", "/").removesuffix("/").removesuffix(".git")


def _names(pin: Repository, ref: str) -> bool:
    """Tell whether a tag or a commit, whole or short, is what is locked."""
    bare = ref.removeprefix("refs/tags/").removeprefix("tags/").removeprefix("origin/")
    short = re.fullmatch(r"[0-9a-f]{7,40}", bare) is not None
    return bare in pin.refs or (short and pin.commit.startswith(bare))
