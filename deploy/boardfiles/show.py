"""A board's files as one, as TOML; each value with the file and the line that it is from, where that is asked for."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from pydantic import BaseModel

from deploy.boards.board import BoardFile
from deploy.boards.layers import Layers
from recipes.faults import Location
from recipes.paths import shown_path


@dataclass(frozen=True, slots=True, kw_only=True)
class ShownValue:
    """One value of a board: its key's parts, and where it is from."""

    place: Location
    value: Any
    origin: str
    """File and line, or `default`."""


def shown_values(layers: Layers, file: BoardFile) -> tuple[ShownValue, ...]:
    """Return every value of a board that its files or our defaults say, the written ones first in each table.

    Parameters
    ----------
    file:
        What the files say together, read.
    """
    written = [
        ShownValue(place=place, value=value, origin=_origin(layers, place))
        for place, value in _leaves(layers.merged, ())
        if place != ("extends",)
    ]
    there = {row.place[:count] for row in written for count in range(1, len(row.place) + 1)}
    leaves = {row.place for row in written}
    defaults = [
        ShownValue(place=place, value=value, origin="default")
        for place, value in _defaults(file, ())
        if place not in there and not any(place[:count] in leaves for count in range(1, len(place)))
    ]
    return (*written, *defaults)


def board_as_toml(values: tuple[ShownValue, ...], *, origin: bool = False) -> str:
    """Return values as a TOML file that reads as the same board.

    Parameters
    ----------
    origin:
        Add defaults, and behind each value where it is from.
    """
    tables: dict[Location, list[tuple[str, str]]] = {(): []}
    for row in values:
        if row.origin != "default" or origin:
            table = _table(row.place)
            key = ".".join(_key(str(part)) for part in row.place[len(table) :])
            tables.setdefault(table, []).append((f"{key} = {_value(row.value)}", row.origin))
    lines: list[str] = []
    for table, rows in tables.items():
        lines += ["", f"[{'.'.join(_key(str(part)) for part in table)}]"] if table else []
        lines += [f"{text}  # {where}" if origin else text for text, where in rows]
    return "\n".join(lines) + "\n"


def _origin(layers: Layers, place: Location) -> str:
    layer, line, _ = layers.find(place)
    return f"{shown_path(layer.path)}:{line}"


def _leaves(table: Mapping[str, Any], place: Location) -> Iterator[tuple[Location, Any]]:
    for key, value in table.items():
        if isinstance(value, dict) and value:
            yield from _leaves(value, (*place, key))
        else:
            yield (*place, key), value


def _defaults(model: BaseModel, place: Location) -> Iterator[tuple[Location, Any]]:
    """Yield what a model has without being told; nothing of streams and devices, whose elements have their own."""
    for name, field in type(model).model_fields.items():
        here, value = (*place, field.alias or name), getattr(model, name)
        if isinstance(value, BaseModel):
            yield from _defaults(value, here)
        elif value is not None and value != {} and name not in ("devices", "streams"):
            yield here, list(value) if isinstance(value, tuple) else value


def _table(place: Location) -> Location:
    """Return the header that a value is below: a table of the file's, a stream, or a rule of one library."""
    if len(place) == 1:
        return ()
    return place[:2] if place[0] in ("streams", "dedupe") and len(place) > 2 else place[:1]


def _key(part: str) -> str:
    return part if re.fullmatch(r"[A-Za-z0-9_-]+", part) else json.dumps(part, ensure_ascii=False)


def _value(value: Any) -> str:
    """Return a value as TOML writes it: texts, figures and lists but for one letter as in JSON."""
    if isinstance(value, dict):
        return (
            "{" + ", ".join(f" {_key(key)} = {_value(part)}" for key, part in value.items()) + (" }" if value else "}")
        )
    if isinstance(value, list):
        return "[" + ", ".join(_value(part) for part in value) + "]"
    return (
        json.dumps(value, ensure_ascii=False).replace("\x7f", "\\u007f") if isinstance(value, str | int) else str(value)
    )
