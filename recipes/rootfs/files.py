"""The files of a root that a loader could take: links, ELF files and its configuration, of a directory or a tar."""

from __future__ import annotations

import mmap
import os
import posixpath
from collections.abc import Collection, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from recipes import elf
from recipes.archives.packed import PackedError
from recipes.archives.tarinput import open_tar
from recipes.archives.tarreader import Kind, Member, Reader, TarError
from recipes.errors import ConfigError
from recipes.rootfs.loaderconf import is_kept_text, is_library_name

SKIPPED_FOLDERS = ("proc", "sys", "dev", "run", "tmp")
LARGEST_FILE = 1 << 30
"""Bytes of a file of a tar that is read; no library comes near."""
_MEMBERS = 1_000_000
MARKER = ".boardcast"
"""Name of the file at the root of our releases on a board: what is below it is ours, not the board's."""


@dataclass(frozen=True, slots=True)
class Found:
    """What was found in a root beside what it yields.

    Parameters
    ----------
    marks:
        The files that mark a root of our releases (`marked_root`); what they are about may have come before.
    others:
        Path to what it is, of all that is neither an ELF file nor a link: a link may lead there.
    private:
        ELF files that not every user may read.
    """

    marks: set[str] = field(default_factory=set)
    others: dict[str, str] = field(default_factory=dict)
    private: set[str] = field(default_factory=set)


FOLDER, SPECIAL, EMPTY, NO_ELF = "is a folder", "is a device, FIFO or socket", "is empty", "is no ELF file"
_READABLE = 0o004


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
    """Yield (path in the root, entry) of all there is; folders that may not be read go to `unread`."""
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
                yield path, entry
                yield from walk_root(root, path, unread)
        else:
            yield path, entry


def root_members(
    root: Path, unread: dict[str, str], places: dict[str, tuple[int, int]], found: Found
) -> Iterator[tuple[str, str | None, Any]]:
    """Yield (path, link target, content) of links, ELF files and the loader's configuration; the rest goes to `found`.

    What is there and cannot be read goes to `unread`.
    """
    if not root.is_dir():
        try:
            yield from _tar_members(root, unread, places, found)
        except (TarError, PackedError) as error:
            what = "not a root: neither a directory nor a tar file"
            raise ConfigError(what, where=str(root), why=str(error)) from error
        return
    for path, entry in walk_root(str(root), "", unread):
        if entry.is_symlink():
            yield path, os.readlink(entry.path), None
        elif entry.is_file(follow_symlinks=False):
            if marked_root(path):
                found.marks.add(path)
            try:
                with open(entry.path, "rb") as file:  # noqa: PTH123 - a Path per file of a root costs more than the read
                    if is_kept_text(path):
                        yield path, None, file.read()
                    elif (head := file.read(len(elf.MAGIC))) == elf.MAGIC:
                        if not os.fstat(file.fileno()).st_mode & _READABLE:
                            found.private.add(path)
                        with mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as data:
                            yield path, None, data
                    else:
                        found.others[path] = NO_ELF if head else EMPTY
            except PermissionError as error:
                if is_library_name(entry.name) or is_kept_text(path):
                    unread[path] = f"cannot be read: {error.strerror}"
                else:
                    found.others[path] = "cannot be read"
        else:
            found.others[path] = FOLDER if entry.is_dir(follow_symlinks=False) else SPECIAL


def _tar_members(
    root: Path, unread: dict[str, str], places: dict[str, tuple[int, int]], found: Found
) -> Iterator[tuple[str, str | None, Any]]:
    """Yield the same of a tar; where it is not packed, the offset and size of what is yielded go to `places`."""
    first: dict[str, str] = {}
    later: dict[str, str] = {}
    taken: set[str] = set()
    with open_tar(root) as reader:
        for member in _members(reader):
            path = absolute_path(member.name)
            if path.split("/", 2)[1] in SKIPPED_FOLDERS:
                continue
            if marked_root(path) and member.kind in (Kind.FILE, Kind.HARD_LINK):
                found.marks.add(path)
            if member.kind is Kind.LINK:
                yield path, member.target, None
            elif member.kind is Kind.HARD_LINK:
                origin = first[path] = first.get(absolute_path(member.target), absolute_path(member.target))
                if origin in taken:
                    later[path] = origin
                elif origin in found.others:
                    found.others[path] = found.others[origin]
                found.private.update({path} if origin in found.private else ())
            elif member.kind is not Kind.FILE:
                found.others[path] = FOLDER if member.kind is Kind.FOLDER else SPECIAL
            elif not (data := _wanted(reader, member, path, unread)):
                found.others[path] = NO_ELF if member.size else EMPTY
            else:
                taken.add(path)
                if not member.mode & _READABLE:
                    found.private.add(path)
                if reader.is_file:
                    places[path] = member.offset, member.size
                yield path, None, data
    for path, data in tar_files(root, set(later.values())):
        for again in (name for name, origin in later.items() if origin == path):
            if path in places:
                places[again] = places[path]
            yield again, None, data


def _members(reader: Reader) -> Iterator[Member]:
    """Yield the members of a root; raises TarError where there is none, or more than a root has."""
    count = 0
    for count, member in enumerate(reader.members(), 1):
        if count > _MEMBERS:
            raise TarError(f"it has more than {_MEMBERS:,} members")
        yield member
    if not count:
        raise TarError("it holds nothing")


def _wanted(reader: Reader, member: Member, path: str, unread: dict[str, str]) -> bytes | memoryview:
    """Return the content of an ELF file or of the loader's configuration; of the rest only the begin is read."""
    head = reader.begin(len(elf.MAGIC))
    if head != elf.MAGIC and not is_kept_text(path):
        return b""
    if member.size > LARGEST_FILE:
        unread[path] = f"has {member.size:,} bytes; {LARGEST_FILE:,} are read"
        return b""
    if reader.is_file and member.size:
        return reader.mapped(member)
    data, at = bytearray(member.size), len(head)  # once: parts that are joined would be there twice
    data[:at] = head
    for part in reader.content():
        data[at : at + len(part)] = part
        at += len(part)
    return memoryview(data)


def tar_files(root: Path, wanted: Collection[str]) -> Iterator[tuple[str, bytes]]:
    """Yield (path in the root, content) of some files of a tar, in its order; a hard link brings its first name's.

    Raises
    ------
    TarError, PackedError
        It is no tar, or damaged.
    """
    first: dict[str, str] = {}
    again: dict[str, list[str]] = {}
    with open_tar(root) as reader:
        for member in _members(reader) if wanted else ():
            path = absolute_path(member.name)
            if member.kind is Kind.FILE:
                if path in wanted and member.size <= LARGEST_FILE:
                    yield path, b"".join(reader.content())
            elif member.kind is Kind.HARD_LINK:
                origin = first[path] = first.get(absolute_path(member.target), absolute_path(member.target))
                if path in wanted and path != origin:
                    again.setdefault(origin, []).append(path)
    for origin, data in tar_files(root, again.keys() - first.keys()) if again else ():
        for path in again[origin]:
            yield path, data
