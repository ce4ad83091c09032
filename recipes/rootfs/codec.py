"""How an index is written as JSON and read back: the facts of its files and its loader, for the cache and captures.

The long lists of symbols are apart from the rest: both keep them in a file of their own.
"""

from __future__ import annotations

import functools
from collections.abc import Mapping, Sequence
from dataclasses import MISSING, fields
from typing import Any, Final

from recipes.arch import FloatAbi, Identity
from recipes.elf import ElfFile
from recipes.rootfs.index import Index
from recipes.rootfs.loaderconf import CacheEntry

LONG_FIELDS: Final = ("exports", "imports", "objects", "fixed")
_EMPTY: Final[dict[str, Any]] = {"bool": False, "str": "", "tuple[str, ...]": ()}
_USUAL: Final[dict[str, Any]] = {
    field.name: _EMPTY[str(field.type)] if field.default is MISSING else field.default
    for field in fields(ElfFile)
    if field.name not in ("identity", "size", *LONG_FIELDS)
}
"""Field to the value that is left out of a row."""
_TUPLES: Final = {name for name, usual in _USUAL.items() if usual == ()}


def file_row(file: ElfFile) -> dict[str, Any]:
    """Return the facts of a file, the long ones left out, as JSON has them: a usual value is not written."""
    identity = file.identity
    order = "little" if identity.little else "big"
    row: dict[str, Any] = {
        "size": file.size,
        "for": [identity.bits, order, identity.machine, identity.float_abi.value, *filter(None, [identity.abi])],
    }
    for name, usual in _USUAL.items():
        if (value := getattr(file, name)) != usual:
            row[name] = list(value) if isinstance(value, tuple) else value
    return row


def long_texts(file: ElfFile) -> list[str]:
    """Return the symbols of a file, in the order of `LONG_FIELDS`."""
    return [getattr(file, name) for name in LONG_FIELDS]


def read_file_row(row: Mapping[str, Any], long: Sequence[str]) -> ElfFile:
    """Return the facts that a row and its long texts hold; raises KeyError, TypeError or ValueError for any other."""
    facts = {name: row.get(name, usual) for name, usual in _USUAL.items()}
    for name in row.keys() & _TUPLES:
        facts[name] = tuple(row[name])
    exports, imports, objects, fixed = long
    return ElfFile(
        identity=_identity(*row["for"]),
        size=row["size"],
        exports=exports,
        imports=imports,
        objects=objects,
        fixed=fixed,
        **facts,
    )


@functools.lru_cache(maxsize=64)
def _identity(bits: int, order: str, machine: int, float_abi: str, abi: str = "") -> Identity:
    return Identity(bits=bits, little=order == "little", machine=machine, float_abi=FloatAbi(float_abi), abi=abi)


def loader_row(index: Index) -> dict[str, Any]:
    """Return what a root says of its loader, its cache left out, as JSON has it."""
    return {
        "loader": index.loader,
        "directories": list(index.directories),
        "listed": list(index.listed),
        "expands": index.expands,
        "texts": index.texts,
    }


def read_loader_row(data: Mapping[str, Any]) -> dict[str, Any]:
    """Return the fields of an `Index` that `loader_row` wrote; raises KeyError or TypeError for anything else."""
    return {
        "loader": data["loader"],
        "directories": tuple(data["directories"]),
        "listed": tuple(data["listed"]),
        "expands": data["expands"],
        # What was captured before has none: then nothing is known of them.
        "texts": dict(data["texts"]) if data.get("texts") is not None else None,
    }


def read_cache_rows(rows: Mapping[str, list[list[Any]]] | None) -> dict[str, tuple[CacheEntry, ...]] | None:
    """Return a loader's cache that was written as JSON; None where the root has none."""
    if rows is None:
        return None
    return {name: tuple(CacheEntry(*entry) for entry in entries) for name, entries in rows.items()}
