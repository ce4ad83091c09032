"""One way to name a root: a directory, a tar file, a board, or a sysroot."""

from __future__ import annotations

from pathlib import Path

from deploy import assemble
from deploy.board import board_names, load_board
from recipes import indexfile, indexstore, paths, roots
from recipes.elfindex import Index
from recipes.errors import ConfigError


def load(name: str) -> Index:
    """Return the index of what a name or a path stands for.

    Raises
    ------
    ConfigError
        It is neither a path nor a name, or nothing is known of that board or sysroot yet.
    """
    path = Path(name)
    if path.name == indexfile.NAME and path.is_file():
        return indexfile.read(path.parent)
    if path.exists():
        return indexstore.load(path)
    if name in board_names():
        return assemble.board_index(load_board(name))
    if name in roots.names():
        found = roots.known_sysroot(name)
        if found is None:
            raise ConfigError(f"sysroot {name} was not made yet", next_step=f"invoke sysroot --name {name}")
        return found.index()
    raise ConfigError(
        f"{name!r} is no root",
        why=f"no directory, no tar file; boards: {', '.join(board_names())}; sysroots: {', '.join(roots.names())}",
        next_step="invoke sysroot.index DIR",
    )


def capture(index: Index, board: str) -> Path:
    """Write a root's index as that of a board; raises ConfigError for a root of another architecture."""
    read = load_board(board)
    assemble.same_machine(read, index)
    return indexfile.write(paths.BOARDS / board, index, board)
