"""Indices kept in the cache: what a root's files contained last time, and how to tell that this still holds.

Listing a root is cheap, asking the kernel for the state of each of its files is not; so the state is asked of the
files that matter to a loader only: those that were ELF, and whatever is named like a library.
"""

from __future__ import annotations

import contextlib
import hashlib
import itertools
import json
import os
from collections.abc import Collection
from pathlib import Path
from typing import Any

from recipes import paths
from recipes.elf import ElfFile
from recipes.errors import ConfigError
from recipes.files import write_whole
from recipes.rootfs.codec import file_row, loader_row, long_texts, read_cache_rows, read_file_row, read_loader_row
from recipes.rootfs.files import SKIPPED_FOLDERS
from recipes.rootfs.index import Index, scan_root
from recipes.rootfs.loaderconf import is_kept_text, is_library_name

CACHE_SCHEMA = 10


def load_index(root: Path, *, key: str = "") -> Index:
    """Return the index of a directory or tar file, from the cache where nothing was changed since.

    Parameters
    ----------
    key:
        What the root was made of, for one that nobody changes afterwards; it is then not even listed.

    Raises
    ------
    ConfigError
        There is no such root, it cannot be read as one, or a library in it was replaced meanwhile.
    """
    name = key or hashlib.sha256(str(root.resolve()).encode()).hexdigest()[:32]
    stored = paths.cache() / "index" / f"{name}.json"
    try:
        root.stat()
        kept = _read(stored, root)
        if kept is not None and (key or kept[1] == _state(root, kept[0])):
            return kept[0]
        index = scan_root(root) if key else _scan(root)
        _write(stored, index, "" if key else _state(root, index))
    except OSError as error:
        raise ConfigError(f"no root at {root}", why=str(error.strerror), next_step="invoke sysroot") from error
    return index


def _scan(root: Path) -> Index:
    """Read a root that somebody may be updating; raises ConfigError where a library was replaced meanwhile."""
    before = _listed(root, set())
    index = scan_root(root)
    if changed := set(before) ^ set(_listed(root, set())):
        raise ConfigError(
            f"{min(changed).partition(chr(0))[0]} was replaced while the root was being read",
            where=str(root),
            why="it is being updated",
            next_step="the same command again",
        )
    return index


def _state(root: Path, known: Index) -> str:
    """Name the state of a root: each name in it, and size, time and inode of what a loader could take."""
    lines = _listed(root, known.files.keys() | known.damaged.keys() | known.others.keys())
    return hashlib.sha256("\n".join(lines).encode("utf-8", "surrogateescape")).hexdigest()


def _listed(root: Path, asked: Collection[str]) -> list[str]:
    if not root.is_dir():
        state = root.stat()
        return [f"{root}\0{state.st_size}\0{state.st_mtime_ns}\0{state.st_ino}"]
    listed: list[str] = []
    todo, base = [""], str(root)
    while todo:
        below = todo.pop()
        with contextlib.suppress(PermissionError), os.scandir(base + below) as entries:
            for entry in entries:
                path = f"{below}/{entry.name}"
                if entry.is_dir(follow_symlinks=False):
                    if below or entry.name not in SKIPPED_FOLDERS:
                        todo.append(path)
                        listed += [f"{path}/"] if is_library_name(entry.name) else []
                    continue
                listed.append(path)
                if path in asked or ".so" in entry.name or is_kept_text(path):
                    state = entry.stat(follow_symlinks=False)
                    listed.append(f"{path}\0{state.st_size}\0{state.st_mtime_ns}\0{state.st_ino}\0{state.st_mode}")
    return sorted(listed)


def _write(stored: Path, index: Index, state: str) -> None:
    """Keep an index: the symbols in a file of their own, since JSON reads long strings letter by letter."""
    symbols = bytearray()
    rows: dict[str, Any] = {}
    for path, file in index.files.items():
        texts = long_texts(file)
        rows[path] = [len(symbols), [len(text) for text in texts], file_row(file)]
        symbols += "".join(texts).encode("ascii")
    blob = hashlib.sha256(symbols).hexdigest()[:32]
    write_whole(stored.with_name(f"{blob}.symbols"), symbols)
    data = {
        "schema": CACHE_SCHEMA,
        "state": state,
        "symbols": [blob, len(symbols)],
        "fingerprint": index.fingerprint,
        **loader_row(index),
        "cache": index.cache,
        "places": index.places,
        "some": index.some,
        "links": index.links,
        "damaged": index.damaged,
        "others": index.others,
        "files": rows,
    }
    write_whole(stored, json.dumps(data).encode("ascii"))


def _read(stored: Path, root: Path) -> tuple[Index, str] | None:
    """Read a kept index and the state it was made of; None where there is none, or it is not one of this schema."""
    try:
        data = json.loads(stored.read_bytes())
        blob, size = data["symbols"]
        symbols = stored.with_name(f"{blob}.symbols").read_bytes().decode("ascii")
        if data["schema"] != CACHE_SCHEMA or len(symbols) != size:
            return None
        files = {path: _file(row, symbols) for path, row in data["files"].items()}
        index = Index(
            source=str(root),
            files=files,
            links=data["links"],
            damaged=data["damaged"],
            others=data["others"],
            fingerprint=data["fingerprint"],
            cache=read_cache_rows(data["cache"]),
            places={path: (offset, size) for path, (offset, size) in data["places"].items()},
            some=data["some"],
            **read_loader_row(data),
        )
        return index, data["state"]
    except (OSError, ValueError, KeyError, TypeError, IndexError, AttributeError):
        return None


def _file(kept: list[Any], symbols: str) -> ElfFile:
    start, lengths, row = kept
    ends = list(itertools.accumulate(lengths, initial=start))
    return read_file_row(row, [symbols[begin:end] for begin, end in itertools.pairwise(ends)])
