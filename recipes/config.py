"""TOML files read into strict models: unknown keys are faults, and all faults of a file are told at once."""

from __future__ import annotations

import difflib
import re
import tomllib
import types
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, TypeVar, Union, get_args, get_origin

from pydantic import BaseModel, ConfigDict, ValidationError

from recipes.errors import ConfigError


class Strict(BaseModel):
    """Base of every file model: unknown keys are errors, values are frozen; the text below a field describes it."""

    model_config = ConfigDict(extra="forbid", frozen=True, populate_by_name=True, use_attribute_docstrings=True)


Model = TypeVar("Model", bound=BaseModel)


def read_toml(path: Path, model: type[Model]) -> Model:
    """Read one TOML file into its model.

    Raises
    ------
    ConfigError
        The file is missing, is not TOML, or has faults; all of them are named, with file and key.
    """
    read, _, faults = _validated(path, model, "")
    if read is None:
        raise _faulty(path, faults)
    return read


def read_tables(path: Path, model: type[Model], tables: str) -> tuple[Model, dict[str, ConfigError]]:
    """Read a TOML file whose key `tables` has a table for each of many things: one that is wrong spoils no other.

    Returns the model of all that is right, and for each wrong table the error to raise for who asks for it.

    Raises
    ------
    ConfigError
        As `read_toml`, for faults outside of those tables.
    """
    read, wrong, faults = _validated(path, model, tables)
    if read is None:
        raise _faulty(path, faults)
    return read, {name: _faulty(path, lines) for name, lines in wrong.items()}


def _faulty(path: Path, faults: Sequence[str]) -> ConfigError:
    return ConfigError(
        f"{len(faults)} fault{'s' * (len(faults) > 1)} in {path.name}",
        where=str(path),
        why="\n       ".join(faults),
    )


def _validated(path: Path, model: type[Model], tables: str) -> tuple[Model | None, dict[str, list[str]], list[str]]:
    """Return the model, the faults of each table that was left out for them, and the faults of all else."""
    try:
        text = path.read_text()
        raw = tomllib.loads(text)
    except FileNotFoundError as error:
        raise ConfigError(f"{path.name} is missing", where=str(path)) from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise ConfigError("not a TOML file", where=str(path), why=str(error)) from error
    try:
        return model.model_validate(raw), {}, []
    except ValidationError as error:
        lines = text.splitlines()
        wrong: dict[str, list[str]] = {}
        faults: list[str] = []
        for fault in error.errors():
            told = _fault(fault["loc"], fault["msg"], lines, model)
            at = fault["loc"]
            if tables and at[:1] == (tables,) and len(at) > 1:
                wrong.setdefault(str(at[1]), []).append(told)
            else:
                faults.append(told)
        if faults or not wrong:
            return None, {}, [*faults, *(told for rows in wrong.values() for told in rows)]
    kept = raw | {tables: {name: table for name, table in raw[tables].items() if name not in wrong}}
    return model.model_validate(kept), wrong, []


def _fault(location: tuple[int | str, ...], message: str, lines: Sequence[str], model: type[BaseModel]) -> str:
    """Say a fault: the line, the key, what is wrong with it, and the nearest right key for a wrong one."""
    at, known = line_of(lines, location)
    # pydantic also names the members of a union that it tried; they are no keys of the file.
    key = ".".join(str(part) for part in location[: max(known, 1)])
    text = message
    if "Extra inputs" in message:
        key, near = ".".join(map(str, location)), _near(location, model)
        text = f"unknown key{near}"
    elif message == "Field required":
        key, text = ".".join(map(str, location)), f"is missing: write `{location[-1]} = …`"
    elif message == "Input should be a valid tuple":
        text = f'is a list: write `{location[-1]} = ["…"]`'
    return f"{f'line {at}: ' if at else ''}{key}: {text}"


def _near(location: tuple[int | str, ...], model: type[BaseModel]) -> str:
    """Return a hint at the key that was meant, from the model of that level."""
    level: Any = model
    for part in location[:-1]:
        level = _inner(level, part)
    models = [kind for kind in _kinds(level) if isinstance(kind, type) and issubclass(kind, BaseModel)]
    names = [field.alias or name for kind in models for name, field in kind.model_fields.items()]
    near = difflib.get_close_matches(str(location[-1]), names, n=1)
    return f" (did you mean {near[0]!r}?)" if near else ""


def _inner(level: Any, part: int | str) -> Any:
    """Return the type of what a key or a place of a value of this type holds."""
    for kind in _kinds(level):
        if isinstance(kind, type) and issubclass(kind, BaseModel):
            for name, field in kind.model_fields.items():
                if part in (name, field.alias):
                    return field.annotation
        elif get_args(kind):
            return get_args(kind)[-1 if get_origin(kind) is dict else 0]
    return None


def _kinds(level: Any) -> Iterator[Any]:
    """Yield the members of a union, whatever is annotated taken off; a plain type is its own."""
    if get_origin(level) in (Union, types.UnionType):
        for member in get_args(level):
            yield from _kinds(member)
    elif hasattr(level, "__metadata__"):
        yield from _kinds(get_args(level)[0])
    else:
        yield level


_HEADER = re.compile(r"\s*(\[\[?)\s*(.+?)\s*\]\]?\s*(#.*)?$")
_KEY = re.compile(r"""\s*((?:[\w-]+|"[^"]*"|'[^']*')(?:\s*\.\s*(?:[\w-]+|"[^"]*"|'[^']*'))*)\s*=""")
_PART = re.compile(r"""[\w-]+|"[^"]*"|'[^']*'""")


def line_of(lines: Sequence[str], location: Sequence[int | str]) -> tuple[int, int]:
    """Return the line, from 1 on, of the deepest part of a location that the file has, and how many parts that are.

    A scan of headers and keys, not a parser: what is within a value is at the line of its key. 0 where nothing fits.
    """
    best, deepest = 0, 0
    table: tuple[int | str, ...] = ()
    counts: dict[tuple[int | str, ...], int] = {}
    quote = ""
    for number, line in enumerate(lines, 1):
        if quote:
            quote = "" if quote in line else quote
            continue
        if header := _HEADER.match(line):
            table = _parts(header[2])
            if header[1] == "[[":
                counts[table] = counts.get(table, -1) + 1
                table = (*table, counts[table])
            here = table
        elif key := _KEY.match(line):
            here = (*table, *_parts(key[1]))
            quote = next((mark for mark in ('"""', "'''") if line.count(mark) % 2), "")
        else:
            continue
        depth = _shared(here, location)
        # A table of a longer path is not the line of a part of it that came before: the first fit is.
        if depth > deepest and (depth == len(here) or depth == len(location)):
            best, deepest = number, depth
    return best, deepest


def _parts(text: str) -> tuple[int | str, ...]:
    return tuple(part.strip("\"'") for part in _PART.findall(text))


def _shared(here: Sequence[int | str], location: Sequence[int | str]) -> int:
    count = 0
    for mine, wanted in zip(here, location, strict=False):
        if mine != wanted:
            break
        count += 1
    return count
