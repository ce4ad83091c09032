"""What a board has: its captured index or root, and one way to name any root (a path, a board, a sysroot)."""

from __future__ import annotations

import shutil
from pathlib import Path

from deploy.boards.board import Board, SimSettings, board_names, load_board
from deploy.boards.layers import board_path
from recipes.arch import Arch
from recipes.errors import ConfigError
from recipes.files import whole_folder
from recipes.rootfs.cache import load_index
from recipes.rootfs.capture import INDEX_NAME, SYMBOLS_NAME, read_capture, write_capture
from recipes.rootfs.index import Index
from recipes.toolchains.debian_root import board_root_tar
from recipes.toolchains.sysroots import known_sysroot, sysroot_names
from recipes.toolchains.vendor import parse_arch


def same_machine(board: Board, index: Index) -> Index:
    """Return an index that is one for this board; raises ConfigError where its loader is for another machine."""
    refuse_other_machine(index, board.name, parse_arch(board.file.arch))
    return index


def refuse_other_machine(index: Index, board: str, arch: Arch) -> None:
    """Raise ConfigError where the loader of a root is for another machine than a board of this name is to have."""
    place = index.resolve(index.loader)
    loader = index.files.get(place)
    if loader is not None and arch.matches(loader.identity):
        return
    has = f"its loader {place} is {loader.identity.describe()}" if loader else "it has no dynamic loader"
    raise ConfigError(
        f"the root is not one for {board}",
        where=index.source,
        why=f"{board} is {arch.name} ({arch.identity.describe()}); {has}",
        next_step="is it the right root, and `arch` in the board's file the right one?",
    )


BEFORE = "index.before"
"""Folder beside a board's index: the one that the last bundle was made from, until one is made from the new index."""


def set_index_aside(folder: Path) -> None:
    """Take a board's index away, and keep it as `index.before` where none is kept yet."""
    if not (folder / INDEX_NAME).is_file():
        return
    before = folder / BEFORE
    if before.is_dir():
        (folder / INDEX_NAME).unlink()
        return
    with whole_folder(before) as kept:
        for name in (SYMBOLS_NAME, INDEX_NAME):
            if (folder / name).is_file():
                (folder / name).replace(kept / name)


def forget_index_before(board: str) -> None:
    """Drop the index from before: a bundle was made from the new one."""
    shutil.rmtree(board_path(board).parent / BEFORE, ignore_errors=True)


def board_index(board: Board) -> Index:
    """Return what a board has: its captured index or root, or the root of the simulated board of this name.

    Raises
    ------
    ConfigError
        Nothing was captured yet, or it was captured of another board.
    """
    here = board.folder
    if (here / INDEX_NAME).is_file():
        index = read_capture(here)
        if index.of != board.name:
            raise ConfigError(
                f"the index is of {index.of}, not of {board.name}",
                where=index.source,
                next_step=f"invoke sysroot.pull --host HOST, or invoke sysroot.index ROOT --board {board.name}",
            )
        return same_machine(board, index)
    captured = here / "root.tar"
    if captured.is_file():
        return same_machine(board, load_index(captured))
    sim = board.file.sim
    if sim is not None and (tar := _root_tar(board.name, board.file.arch, sim)).is_file():
        return load_index(tar, key=tar.stem)
    raise ConfigError(
        f"nothing is known of what {board.name} has",
        where=str(captured),
        next_step=f"invoke sim up --host {board.name}" if sim else "invoke sysroot.pull --host HOST",
    )


def has_index(board: Board) -> bool:
    """Tell whether what a board has was captured: then a bundle of it needs no board."""
    return any((board.folder / name).is_file() for name in (INDEX_NAME, "root.tar"))


def board_root(board: Board) -> str:
    """Return what the root of a simulated board is made of, as a digest; empty for a real one."""
    sim = board.file.sim
    return _root_tar(board.name, board.file.arch, sim).stem.rpartition("-")[2] if sim else ""


def _root_tar(board: str, arch: str, sim: SimSettings) -> Path:
    return board_root_tar(board, [arch, sim.suite, sim.mode, *sim.packages], sim.scripts)


def find_index(name: str) -> Index:
    """Return the index of what a name or a path stands for.

    Raises
    ------
    ConfigError
        It is neither a path nor a name, or nothing is known of that board or sysroot yet.
    """
    path = Path(name)
    if path.name == INDEX_NAME and path.is_file():
        return read_capture(path.parent)
    if path.exists():
        return load_index(path)
    if name in board_names():
        return board_index(load_board(name))
    if name in sysroot_names():
        found = known_sysroot(name)
        if found is None:
            raise ConfigError(f"sysroot {name} was not made yet", next_step=f"invoke sysroot --name {name}")
        return found.index()
    raise ConfigError(
        f"{name!r} is no root",
        why=f"no directory, no tar file; boards: {', '.join(board_names())}; sysroots: {', '.join(sysroot_names())}",
        next_step="invoke sysroot.index DIR",
    )


def capture_index(index: Index, board: str) -> Path:
    """Write a root's index as that of a board; raises ConfigError for a root of another architecture."""
    read = load_board(board)
    same_machine(read, index)
    set_index_aside(read.folder)
    return write_capture(read.folder, index, board)
