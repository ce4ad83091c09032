"""TOML files read into strict models: unknown keys are faults, and all faults of a file are told at once."""

from __future__ import annotations

import difflib
import json
import re
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Literal, TypeVar, get_args, get_origin

from pydantic import BaseModel, ConfigDict, ValidationError
from pydantic.fields import FieldInfo
from pydantic_core import ErrorDetails

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
    try:
        raw = tomllib.loads(path.read_text())
    except FileNotFoundError as error:
        raise ConfigError(f"{path.name} is missing", where=str(path)) from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise ConfigError("not a TOML file", where=str(path), why=str(error)) from error
    try:
        return model.model_validate(raw)
    except ValidationError as error:
        lines = path.read_text().splitlines()
        faults = [_fault(fault["loc"], _wording(fault, model), lines, model) for fault in error.errors()]
        raise ConfigError(
            f"{len(faults)} fault{'s' * (len(faults) > 1)} in {path.name}",
            where=str(path),
            why="\n       ".join(faults),
        ) from error


def _wording(fault: ErrorDetails, model: type[BaseModel]) -> str:
    """Say what is wrong with a value in the words of a TOML file, with what to write where that is known."""
    kind, value = fault["type"], fault["input"]
    plain = isinstance(value, str | int | float)
    if kind == "missing":
        return f"missing: write {_example(fault['loc'], model)}"
    if kind == "tuple_type" and plain:
        return f"is a list: write {_toml([value])}"
    if kind == "string_type" and plain:
        return f"is text: write {_toml(_toml(value))}"
    if kind in ("dict_type", "model_type", "model_attributes_type"):
        return "is a table, not a single value"
    if kind in ("literal_error", "enum"):
        expected = str(fault["ctx"]["expected"])
        known = re.findall(r"'(.*?)'", expected) or [expected]
        near = difflib.get_close_matches(str(value), known, n=1)
        return f"no {_toml(value)}; {f'did you mean {_toml(near[0])}? ' if near else ''}known: {', '.join(known)}"
    return re.sub(r"^(Value error, |Input |String )", "", fault["msg"]) if kind != "extra_forbidden" else fault["msg"]


def _toml(value: object) -> str:
    """Return a value as TOML writes it; texts, figures and lists of these are written as in JSON."""
    return json.dumps(value, ensure_ascii=False)


def _example(location: tuple[int | str, ...], model: type[BaseModel]) -> str:
    """Return a line that sets a required key, and what its model says of it."""
    name = str(location[-1])
    field = _field(location, model)
    if field is None:
        return f"{name} = …"
    kind = field.annotation
    value = "…" if kind is str else ["…"] if get_origin(kind) is tuple else 1
    if get_origin(kind) is Literal:
        value = get_args(kind)[0]
    value = field.examples[0] if field.examples else value
    return f"{name} = {_toml(value)}" + (f" ({field.description.rstrip('.')})" if field.description else "")


def _field(location: tuple[int | str, ...], model: type[BaseModel]) -> FieldInfo | None:
    """Return the field that a place in a file belongs to; names that are no fields are those of a table of tables."""
    field, owners = None, [model]
    for part in location:
        for fields in (owner.model_fields for owner in owners):
            known = {known.alias or name: known for name, known in fields.items()}
            if part in known:
                field = known[str(part)]
                owners = list(_models(field.annotation))
    return field


def _models(kind: object) -> Iterator[type[BaseModel]]:
    if isinstance(kind, type) and issubclass(kind, BaseModel):
        yield kind
    for inner in get_args(kind):
        yield from _models(inner)


def _fault(location: tuple[int | str, ...], message: str, lines: list[str], model: type[BaseModel]) -> str:
    key = ".".join(str(part) for part in location)
    names = [str(part) for part in location if isinstance(part, str)]
    last = names[-1] if names else ""
    at = next((number for number, line in enumerate(lines, 1) if last and last in line), 0)
    known = [field.alias or name for name, field in model.model_fields.items()]
    near = difflib.get_close_matches(last, known, n=1)
    hint = f" (did you mean {near[0]!r}?)" if "Extra inputs" in message and near else ""
    message = "unknown key" if "Extra inputs" in message else message
    return f"{f'line {at}: ' if at else ''}{key}: {message}{hint}"
