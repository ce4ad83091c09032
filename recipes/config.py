"""TOML files read into strict models: unknown keys are faults, and all faults of a file are told at once."""

from __future__ import annotations

import tomllib
from pathlib import Path
from typing import TypeVar

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
        faults = [_fault(fault["loc"], fault["msg"], lines, model) for fault in error.errors()]
        raise ConfigError(
            f"{len(faults)} fault{'s' * (len(faults) > 1)} in {path.name}",
            where=str(path),
            why="\n       ".join(faults),
        ) from error


def _fault(location: tuple[int | str, ...], message: str, lines: list[str], model: type[BaseModel]) -> str:
    import difflib

    key = ".".join(str(part) for part in location)
    names = [str(part) for part in location if isinstance(part, str)]
    last = names[-1] if names else ""
    at = next((number for number, line in enumerate(lines, 1) if last and last in line), 0)
    known = [field.alias or name for name, field in model.model_fields.items()]
    near = difflib.get_close_matches(last, known, n=1)
    hint = f" (did you mean {near[0]!r}?)" if "Extra inputs" in message and near else ""
    message = "unknown key" if "Extra inputs" in message else message
    return f"{f'line {at}: ' if at else ''}{key}: {message}{hint}"
