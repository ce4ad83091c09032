"""A board's index as two files that go under version control: what it has, a line a library, and all their symbols.

`index.json` is for people and their diffs; `index.symbols.zst` holds the long lists, and is named by its hash in the
first. Together they are as good as the board's root: a proof needs nothing else of it.
"""

from __future__ import annotations

import hashlib
import io
import json
import os
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from recipes.archives.packed import PackedReader
from recipes.errors import ConfigError
from recipes.files import write_whole
from recipes.rootfs.codec import file_row, loader_row, long_texts, read_cache_rows, read_file_row, read_loader_row
from recipes.rootfs.index import Index
from recipes.rootfs.loaderconf import LD_CACHE, processor_folders
from recipes.text import one_line

CAPTURE_SCHEMA = 3
INDEX_NAME, SYMBOLS_NAME = "index.json", "index.symbols.zst"
_LIMIT = 1 << 27
"""Bytes of either file, unpacked; a Debian with GStreamer has 16 million of symbols."""
_RATIO, _SMALL = 64, 1 << 20
"""How often its own size the file of symbols may unpack to, and what any may; the same Debian's is seven times."""
_VALUES = 1 << 20
"""Lists and values of either file: each takes memory whatever its length. The same Debian's symbols have 8,477."""


@dataclass(frozen=True, slots=True, kw_only=True)
class CapturedIndex(Index):
    """An index without its root: the hashes were taken when it was captured."""

    of: str
    """The board, or whatever else it was captured of."""
    hashes: dict[str, str] = field(default_factory=dict)

    def digests(self, wanted: Iterable[str]) -> dict[str, str]:
        names = set(wanted)
        if lost := names - self.hashes.keys():
            raise ConfigError(
                f"{min(lost)} was not captured", where=self.source, next_step="invoke sysroot.pull --host HOST"
            )
        return {name: self.hashes[name] for name in names}

    def content(self, path: str) -> bytes:
        raise ConfigError(
            f"of {path} only its facts were captured", where=self.source, next_step="invoke sysroot.pull --host HOST"
        )


def relevant_part(index: Index) -> Index:
    """Return what can matter to a process of ours: libraries, plugins, the loader, and the links that lead there."""
    files = {
        path: file
        for path, file in index.files.items()
        if file.soname or ".so" in path.rpartition("/")[2] or path == index.resolve(index.loader)
    }
    folders = {*index.directories, *(path.rpartition("/")[0] for path in (*files, index.loader))}
    links = {
        path: target
        for path, target in index.links.items()
        if ".so" in path.rpartition("/")[2] or any(f"{folder}/".startswith(f"{path}/") for folder in folders)
    }
    damaged = {
        path: why
        for path, why in index.damaged.items()
        if ".so" in path.rpartition("/")[2] or why.startswith("cannot be read")
    }
    return replace(index, files=files, links=links, damaged=damaged)


def write_capture(folder: Path, index: Index, of: str) -> Path:
    """Write both files of a board; the same root gives the same bytes. Returns the path of the first.

    Raises
    ------
    ConfigError
        A file of the root changed while it was read, or the disk is full.
    """
    import zstandard

    kept = relevant_part(index)
    extra = [LD_CACHE] if index.cache is not None else []
    hashes = index.digests([*kept.files, *extra])
    long = {path: long_texts(file) for path, file in sorted(kept.files.items())}
    body = json.dumps({"files": long, "cache": kept.cache}, separators=(",", ":")).encode("ascii")
    packed = zstandard.ZstdCompressor(level=12, write_checksum=True).compress(body)
    head: dict[str, Any] = {
        "schema": CAPTURE_SCHEMA,
        "of": of,
        "fingerprint": index.fingerprint,
        "symbols": hashlib.sha256(packed).hexdigest(),
        **loader_row(kept),
        "cache": hashes.get(LD_CACHE, ""),
    }
    tables: dict[str, Mapping[str, Any]] = {
        "files": {path: {"sha256": hashes[path], **file_row(file)} for path, file in sorted(kept.files.items())},
        "links": dict(sorted(kept.links.items())),
        "damaged": dict(sorted(kept.damaged.items())),
        "others": dict(sorted(kept.others.items())),
    }
    write_whole(folder / SYMBOLS_NAME, packed)
    write_whole(folder / INDEX_NAME, _lines(head, tables).encode("ascii"))
    return folder / INDEX_NAME


def _lines(head: Mapping[str, Any], tables: Mapping[str, Mapping[str, Any]]) -> str:
    """Return JSON with a line for each row: so a changed library is a changed line."""
    parts = [f" {json.dumps(name)}: {json.dumps(value)}" for name, value in head.items()]
    for name, rows in tables.items():
        inner = ",\n".join(f"  {json.dumps(key)}: {json.dumps(value)}" for key, value in rows.items())
        parts.append(f" {json.dumps(name)}: {{\n{inner}\n }}" if inner else f" {json.dumps(name)}: {{}}")
    return "{\n" + ",\n".join(parts) + "\n}\n"


def read_capture(folder: Path) -> CapturedIndex:
    """Read a captured index back.

    Raises
    ------
    ConfigError
        There is none, it is of another schema or damaged, or the two files do not belong together.
    """
    where = folder / INDEX_NAME
    again = "invoke sysroot.pull --host HOST, or invoke sysroot.index ROOT --board BOARD"
    try:
        data = _bounded_json(_read(where))
        if data["schema"] != CAPTURE_SCHEMA:
            what = f"the index is of schema {one_line(str(data['schema']))}, not {CAPTURE_SCHEMA}"
            raise ConfigError(what, where=str(where), next_step=again)
        packed = _read(folder / SYMBOLS_NAME)
        if hashlib.sha256(packed).hexdigest() != data["symbols"]:
            raise ConfigError(
                f"{SYMBOLS_NAME} is not the one that {INDEX_NAME} names", where=str(folder), next_step=again
            )
        limit = min(_LIMIT, max(_SMALL, _RATIO * len(packed)))
        rest = _bounded_json(b"".join(PackedReader(io.BytesIO(packed), len(packed), "zstd", limit=limit)))
        return CapturedIndex(
            source=str(where),
            of=one_line(data["of"]),
            files={path: read_file_row(row, rest["files"][path]) for path, row in data["files"].items()},
            links=data["links"],
            damaged=data["damaged"],
            others=data["others"],
            fingerprint=data["fingerprint"],
            cache=read_cache_rows(rest["cache"]),
            some=processor_folders((*data["files"], *data["links"])),
            hashes={path: row["sha256"] for path, row in data["files"].items()} | {LD_CACHE: data["cache"]},
            **read_loader_row(data),
        )
    except FileNotFoundError as error:
        raise ConfigError("no captured index", where=str(error.filename), next_step=again) from error
    except (OSError, ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        raise ConfigError(
            "the index is damaged", where=str(where), why=one_line(repr(error)), next_step=again
        ) from error


def _read(path: Path) -> bytes:
    with path.open("rb") as file:
        size = os.fstat(file.fileno()).st_size
        if size > _LIMIT:
            raise ValueError(f"{path.name} has more than {_LIMIT:,} bytes")
        return file.read(size)


def _bounded_json(data: bytes) -> Any:
    """Parse JSON that has at most so many values; raises ValueError for more, and for what is no JSON."""
    if sum(data.count(mark) for mark in (b",", b"[", b"{")) > _VALUES:
        raise ValueError(f"it has more than {_VALUES:,} values")
    return json.loads(data)
