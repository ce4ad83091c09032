"""What is wrong in a user's TOML file, said as its author needs it: the line, the key, and what to write there."""

from __future__ import annotations

import ast
import contextlib
import difflib
import inspect
import json
import re
import textwrap
import types
from collections.abc import Callable, Iterator, Sequence
from functools import cache
from itertools import pairwise
from typing import Any, Literal, Union, get_args, get_origin

from pydantic import BaseModel, Tag, ValidationError
from pydantic.fields import FieldInfo
from pydantic_core import ErrorDetails

from recipes.text import shown

Location = tuple[int | str, ...]
"""Keys and places of a list, from the top of a file on."""


def faults_of(error: ValidationError, text: str, model: type[BaseModel]) -> list[tuple[Location, str]]:
    """Return each fault of a file with its place: `line 3: hosts.cam01.port: …`."""
    lines = text.splitlines()
    rows = worded_faults(error, model, lambda place: line_of(lines, place)[1])
    return [(place, f"line {at}: {fault}" if (at := line_of(lines, place)[0]) else fault) for place, fault in rows]


def worded_faults(
    error: ValidationError, model: type[BaseModel], known_parts: Callable[[Location], int]
) -> list[tuple[Location, str]]:
    """Return each fault as `hosts.cam01.port: …`, with its place.

    Parameters
    ----------
    known_parts:
        How many parts of a place the text has.
    """
    rows: list[tuple[Location, str]] = []
    for fault in error.errors():
        # pydantic says [key] behind a name that is itself at fault.
        place = _without_tags(tuple(part for part in fault["loc"] if part != "[key]"), model)
        rows.append((place, _fault(place, fault, known_parts(place), model)))
    # A union tries each of its members: the same complaint in other words is said once.
    return list(dict.fromkeys(rows))


def _fault(place: Location, fault: ErrorDetails, known: int, model: type[BaseModel]) -> str:
    whole = fault["type"] in ("missing", "extra_forbidden")
    # pydantic also names the members of a union that it tried; they are no keys of the file.
    parts = place if whole else place[: max(known, _real_parts(place, model), 1)]
    key = ".".join(shown(str(part), lines=False) for part in parts)
    text = f"unknown key{_near(place, model)}" if fault["type"] == "extra_forbidden" else _wording(place, fault, model)
    return f"{key}: {shown(text, lines=False)}"


def _wording(place: Location, fault: ErrorDetails, model: type[BaseModel]) -> str:
    """Say what is wrong with a value in the words of a TOML file, with what to write where that is known."""
    kind, value = fault["type"], fault["input"]
    plain = isinstance(value, str | int | float)
    if kind == "missing":
        return f"missing: write {_example(place, model)}"
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
    return re.sub(r"^(Value error, |Input |String )", "", fault["msg"])


def _toml(value: object) -> str:
    """Return a value as TOML writes it; texts, figures and lists of these are written as in JSON."""
    return json.dumps(value, ensure_ascii=False)


def _example(place: Location, model: type[BaseModel]) -> str:
    """Return a line that sets a required key, and what its model says of it."""
    name = str(place[-1])
    field, text = _field(place, model)
    if field is None:
        return f"{name} = …"
    kind = field.annotation
    value = "…" if kind is str else ["…"] if get_origin(kind) is tuple else 1
    if get_origin(kind) is Literal:
        value = get_args(kind)[0]
    value = field.examples[0] if field.examples else value
    return f"{name} = {_toml(value)}" + (f" ({text.rstrip('.')})" if text else "")


def _field(place: Location, model: type[BaseModel]) -> tuple[FieldInfo | None, str]:
    """Return the field that a place in a file belongs to, and what its model says of it."""
    level: Any = model
    for part in place[:-1]:
        level = _inner(level, part)
    for kind in _models(level):
        for name, field in kind.model_fields.items():
            if place[-1] in (name, field.alias):
                return field, field_texts(kind).get(name, "")
    return None, ""


@cache
def field_texts(model: type[BaseModel]) -> dict[str, str]:
    """Return what the text below each field of a model says.

    pydantic's `use_attribute_docstrings` reads the source of every model when it is imported; it is shown rarely.
    """
    texts: dict[str, str] = {}
    for kind in reversed(model.__mro__):
        if kind is BaseModel or not issubclass(kind, BaseModel):
            continue
        (made,) = ast.parse(textwrap.dedent(inspect.getsource(kind))).body
        for field, text in pairwise(made.body if isinstance(made, ast.ClassDef) else ()):
            match field, text:
                case ast.AnnAssign(target=ast.Name(id=name)), ast.Expr(value=ast.Constant(value=str(said))):
                    texts[name] = inspect.cleandoc(said)
    return texts


def _near(place: Location, model: type[BaseModel]) -> str:
    """Return a hint at the key that was meant, from the model of that level."""
    level: Any = model
    for part in place[:-1]:
        level = _inner(level, part)
    names = [field.alias or name for kind in _models(level) for name, field in kind.model_fields.items()]
    near = difflib.get_close_matches(str(place[-1]), names, n=1)
    return f" (did you mean {near[0]!r}?)" if near else ""


def _without_tags(place: Location, model: type[BaseModel]) -> Location:
    """Return a place without the names that pydantic gives to the members of a tagged union: no file has them."""
    level: Any = model
    kept: list[int | str] = []
    for part in place:
        tagged = {rule.tag: member for member, rules in _members(level) for rule in rules if isinstance(rule, Tag)}
        if part in tagged:
            level = tagged[str(part)]
        else:
            kept.append(part)
            level = _inner(level, part)
    return tuple(kept)


def _members(level: Any) -> Iterator[tuple[Any, tuple[Any, ...]]]:
    """Yield each member of a union with what annotates it."""
    if get_origin(level) in (Union, types.UnionType):
        for member in get_args(level):
            yield member, getattr(member, "__metadata__", ())
    elif hasattr(level, "__metadata__"):
        yield from _members(get_args(level)[0])


def _models(level: Any) -> Iterator[type[BaseModel]]:
    return (kind for kind in _kinds(level) if isinstance(kind, type) and issubclass(kind, BaseModel))


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


def _real_parts(place: Location, model: type[BaseModel]) -> int:
    """Return how many parts of a place are keys and places of lists, before the first member of a union."""
    level: Any = model
    for count, part in enumerate(place):
        held = _inner(level, part)
        if held is None:
            return count
        level = held
    return len(place)


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


def line_of(lines: Sequence[str], place: Sequence[int | str]) -> tuple[int, int]:
    """Return the line, from 1 on, of the deepest part of a place that the file has, and how many parts that are.

    A scan of headers and keys, not a parser: what is within a value is at the line of its key. 0 where nothing fits.
    """
    best, deepest = 0, 0
    table: Location = ()
    counts: dict[Location, int] = {}
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
        depth = _shared(here, place)
        # A table of a longer path is not the line of a part of it that came before: the first fit is.
        if depth > deepest and depth in (len(here), len(place)):
            best, deepest = number, depth
    return best, deepest


def _parts(text: str) -> Location:
    return tuple(_unquoted(part) for part in _PART.findall(text))


def _unquoted(part: str) -> str:
    """Return a key without its quotes; TOML's escapes are those of JSON, but for a few."""
    with contextlib.suppress(ValueError):
        return str(json.loads(part)) if part.startswith('"') else part.strip("'")
    return part.strip('"')


def _shared(here: Sequence[int | str], place: Sequence[int | str]) -> int:
    count = 0
    for part, wanted in zip(here, place, strict=False):
        if part != wanted:
            break
        count += 1
    return count
