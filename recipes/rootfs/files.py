"""The files of a root that a loader could take: links, ELF files and its configuration, of a directory or a tar."""

from __future__ import annotations

import mmap
import os
import posixpath
import tarfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from recipes import elf
from recipes.errors import ConfigError
from recipes.rootfs.loaderconf import is_loader_conf

SKIPPED_FOLDERS = ("proc", "sys", "dev", "run", "tmp")
MARKER = ".boardcast"
"""Name of the file at the root of our releases on a board: what is below it is ours, not the board's."""


def absolute_path(name: str) -> str:
    return "/" + posixpath.normpath(name).lstrip("./")


def marked_root(path: str) -> str:
    """Return the root of our releases that a file of this path marks; empty where it marks none.

    Roots made by 0.1 have no marker file; each of their releases has its list. One at `/` itself would be a whole
    board, and counts for nothing.
    """
    folder, _, name = path.rpartition("/")
    if name == MARKER:
        return folder
    parts = folder.split("/")
    return "/".join(parts[:-2]) if name == ".list" and parts[-2:-1] == ["releases"] else ""


def walk_root(root: str, below: str, unread: dict[str, str] | None = None) -> Iterator[tuple[str, os.DirEntry[str]]]:
    """Yield (path in the root, entry) of all that is no folder; folders that may not be read go to `unread`."""
    try:
        with os.scandir(root + below) as entries:
            listed = sorted(entries, key=lambda item: item.name)
    except PermissionError as error:
        if unread is None or not below:
            raise
        unread[below] = f"cannot be read: {error.strerror}"
        return
    for entry in listed:
        path = f"{below}/{entry.name}"
        if entry.is_dir(follow_symlinks=False):
            if below or entry.name not in SKIPPED_FOLDERS:
                yield from walk_root(root, path, unread)
        else:
            yield path, entry


def root_members(
    root: Path, unread: dict[str, str], places: dict[str, tuple[int, int]], marks: set[str]
) -> Iterator[tuple[str, str | None, Any]]:
    """Yield (path, link target, content) of links, ELF files and the loader's configuration.

    The files that mark a root of our releases (`marked_root`) go to `marks`; what they are about may have come before.
    """
    if not root.is_dir():
        try:
            yield from _tar_members(root, places, marks)
        except tarfile.TarError as error:
            what = "not a root: neither a directory nor a tar file"
            raise ConfigError(what, where=str(root), why=str(error)) from error
        return
    for path, entry in walk_root(str(root), "", unread):
        if entry.is_symlink():
            yield path, os.readlink(entry.path), None
        elif entry.is_file(follow_symlinks=False):
            if marked_root(path):
                marks.add(path)
            try:
                with open(entry.path, "rb") as file:  # noqa: PTH123 - a Path per file of a root costs more than the read
                    if is_loader_conf(path):
                        yield path, None, file.read()
                    elif file.read(4) == elf.MAGIC:
                        with mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as data:
                            yield path, None, data
            except PermissionError as error:
                if ".so" in entry.name or is_loader_conf(path):
                    unread[path] = f"cannot be read: {error.strerror}"


def _tar_members(
    root: Path, places: dict[str, tuple[int, int]], marks: set[str]
) -> Iterator[tuple[str, str | None, Any]]:
    with root.open("rb") as file:
        plain = file.read(512)[257:262] == b"ustar"
    with tarfile.open(root, "r:" if plain else "r:*") as archive, root.open("rb") as file:
        spots: dict[str, tuple[int, int]] = {}
        for member in archive:
            path = absolute_path(member.name)
            if path.split("/", 2)[1] in SKIPPED_FOLDERS:
                continue
            if marked_root(path) and (member.isfile() or member.islnk()):
                marks.add(path)
            if member.issym():
                yield path, member.linkname, None
            elif plain and not member.sparse and (member.isfile() or absolute_path(member.linkname) in spots):
                # Read straight from the file: a tar holds libraries of 100 MB, and every copy of one counts.
                spot = (
                    spots.get(absolute_path(member.linkname)) if member.islnk() else (member.offset_data, member.size)
                )
                offset, size = spots[path] = spot or (0, 0)
                if is_loader_conf(path) or os.pread(file.fileno(), 4, offset) == elf.MAGIC:
                    places[path] = offset, size
                    yield path, None, os.pread(file.fileno(), size, offset)
            elif member.isfile() or member.islnk():
                reader = archive.extractfile(member)
                head = reader.read(4) if reader else b""
                if reader and (head == elf.MAGIC or is_loader_conf(path)):
                    yield path, None, head + reader.read()
