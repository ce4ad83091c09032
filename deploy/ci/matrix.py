"""The CI matrix: rows per board and per architecture, with the names of their caches; for GitHub and for GitLab."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, replace

from deploy.boards.board import Board
from deploy.boards.index import board_root, has_index
from recipes.arch import Arch
from recipes.builder.plan import keys_ahead
from recipes.builder.request import BuildRequest
from recipes.errors import ConfigError
from recipes.sources.lock import Lock, load_lock
from recipes.sources.recipe import Recipe, load_catalogue
from recipes.toolchains.sysroots import default_sysroot
from recipes.toolchains.vendor import parse_arch

MOST_JOBS = 256
"""GitHub's limit of jobs in one matrix."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """One build of the matrix; every value is text, as a CI system hands it on."""

    name: str
    """Of its jobs, artefacts and caches: the board's, or `ARCH-sdks`."""
    arch: str
    """Of the table, or of a vendor's toolchain."""
    sysroot: str
    """What is compiled against."""
    recipes: str
    """Their names, with blanks between."""
    toolchain: str
    """Digest of what the image and the sysroot are made from."""
    key: str
    """Digest of all steps of the build; with `toolchain` the name of its cache."""
    ask: str = ""
    """What `invoke build` is given."""
    board: str = ""
    """Empty in a row of an architecture."""
    host: str = ""
    """The simulated board that its bundle is deployed to; empty where there is none."""
    root: str = ""
    """Digest of what that board's root is made from."""

    def as_dict(self) -> dict[str, str]:
        return asdict(self)


def matrix_rows(boards: Sequence[Board], arches: Sequence[Arch], hosts: Mapping[str, str]) -> list[Row]:
    """Return a row per board, and one per architecture with the recipes that are built by default: the SDKs.

    Parameters
    ----------
    hosts:
        Board to the simulated host of it.

    Raises
    ------
    ConfigError
        There are more rows than a matrix takes, or two of one name.
    """
    names = [*(board.name for board in boards), *map(_sdks, arches)]
    if twice := [name for name in names if names.count(name) > 1]:
        raise ConfigError(f"two rows of the matrix are named {twice[0]}", next_step="name the board otherwise")
    if len(names) > MOST_JOBS:
        raise ConfigError(
            f"{len(names)} rows, and a matrix takes {MOST_JOBS}",
            next_step="name the boards and architectures: invoke matrix --board A --board B --arch ARCH",
        )
    recipes, pins = load_catalogue(), load_lock()
    return [
        *(_board_row(board, hosts.get(board.name, ""), recipes, pins) for board in boards),
        *(_arch_row(arch, recipes, pins) for arch in arches),
    ]


def _sdks(arch: Arch) -> str:
    return f"{arch.name}-sdks"


def _board_row(board: Board, host: str, recipes: dict[str, Recipe], pins: Lock) -> Row:
    row = _row(board.name, parse_arch(board.file.arch), board.ask(), recipes, pins)
    root = board_root(board) if host else ""
    return replace(row, ask=f"--board {board.name}", board=board.name, host=host, root=root)


def _arch_row(arch: Arch, recipes: dict[str, Recipe], pins: Lock) -> Row:
    row = _row(_sdks(arch), arch, BuildRequest(sysroot=default_sysroot(arch)), recipes, pins)
    return replace(row, ask=f"--arch {arch.name}")


def _row(name: str, arch: Arch, ask: BuildRequest, recipes: dict[str, Recipe], pins: Lock) -> Row:
    names = ask.names or tuple(known for known, recipe in recipes.items() if recipe.default)
    toolchain, key = keys_ahead(recipes, pins, replace(ask, names=names), arch)
    return Row(
        name=name,
        arch=arch.name,
        sysroot=ask.sysroot,
        recipes=" ".join(names),
        toolchain=toolchain,
        key=key,
    )


def deployable(rows: Sequence[Row], boards: Sequence[Board]) -> list[Row]:
    """Return the rows that a bundle can be made of: what the board has is known, or it is simulated."""
    known = {board.name for board in boards if has_index(board)}
    return [row for row in rows if row.host or row.board in known]


def render_matrix(rows: Sequence[Row], bundled: Sequence[Row], style: str) -> str:
    """Return the matrix as GitHub, GitLab or a program reads it.

    GitHub: lines for $GITHUB_OUTPUT, `matrix=` with all rows and `boards=` with those that get a bundle; an empty
    matrix is an error there, so a job asks `empty` or `no-boards` first. GitLab: a child pipeline; it is JSON, which is
    YAML too.

    Raises
    ------
    ConfigError
        The format has another name.
    """
    if style == "json":
        return json.dumps([row.as_dict() for row in rows], indent=2)
    if style == "github":
        return "\n".join(_github(rows, bundled))
    if style == "gitlab":
        from deploy.ci.gitlab import child_pipeline

        return json.dumps(child_pipeline([row.as_dict() for row in rows], {row.name for row in bundled}), indent=2)
    raise ConfigError(f"no matrix format {style!r}", why="known: github, gitlab, json")


def _github(rows: Sequence[Row], bundled: Sequence[Row]) -> Iterator[str]:
    for name, empty, chosen in (("matrix", "empty", rows), ("boards", "no-boards", bundled)):
        yield f"{name}={json.dumps({'include': [row.as_dict() for row in chosen]}, separators=(',', ':'))}"
        yield f"{empty}={'false' if chosen else 'true'}"
