"""The schema that editors read: current, with every key of the models, a text for each, and no key beside them."""

from __future__ import annotations

import tomllib
from collections.abc import Iterator
from typing import Any

import pytest
from pydantic import BaseModel

from deploy.boardfiles.schema import board_schema, schema_text
from deploy.boards.board import BoardFile
from deploy.boards.layers import board_paths, example_paths
from deploy.reports.reference import model_fields, nested_models
from recipes import paths

SCHEMA = board_schema()
TABLES = {"BoardFile": SCHEMA, **SCHEMA["$defs"]}


def test_the_file_is_current() -> None:
    made = (paths.BOARDS / "board.schema.json").read_text()
    assert made == schema_text(), "python -m deploy.boardfiles.schema > board-configs/board.schema.json"


def test_every_key_is_in_it_with_a_text_and_no_other_is_allowed() -> None:
    models: list[type[BaseModel]] = [BoardFile, *nested_models(BoardFile)]
    for model in models:
        table = TABLES[model.__name__]
        keys = {word for key, _, _ in model_fields(model) for word in key.split(" or ")}
        assert set(table["properties"]) == keys, model
        assert table["additionalProperties"] is False
        assert [key for key, shown in table["properties"].items() if not shown.get("description")] == []


def kinds(part: dict[str, Any]) -> Iterator[dict[str, Any]]:
    """Yield a part of the schema without the references and choices around it."""
    if "$ref" in part:
        yield from kinds(SCHEMA["$defs"][part["$ref"].rpartition("/")[2]])
    elif choices := part.get("anyOf") or (part.get("oneOf") if "properties" not in part else None):
        for choice in choices:
            yield from kinds(choice)
    else:
        yield part


def strange(value: Any, part: dict[str, Any], place: str) -> list[str]:
    """Return the keys of a file that the schema has no place for."""
    if not isinstance(value, dict):
        return []
    found: list[list[str]] = []
    for kind in kinds(part):
        named = list(kind.get("patternProperties", {}).values())
        known, more = kind.get("properties", {}), named[0] if named else kind.get("additionalProperties")
        odd = [f"{place}{key}" for key in value if key not in known and not isinstance(more, dict)]
        for key, below in value.items():
            inner = known.get(key, more)
            odd += strange(below, inner, f"{place}{key}.") if isinstance(inner, dict) else []
        found.append(odd)
    return min(found, key=len)


@pytest.mark.parametrize("name", [*board_paths(), *example_paths()])
def test_every_key_of_a_shipped_file_has_its_place(name: str) -> None:
    raw = tomllib.loads({**board_paths(), **example_paths()}[name].read_text())
    assert strange(raw, SCHEMA, "") == []
    assert strange({**raw, "kep": 1}, SCHEMA, "") == ["kep"]


def test_a_level_may_be_a_name() -> None:
    level = TABLES["Environment"]["properties"]["log_level"]
    assert {"enum": ["verbose", "debug", "info", "warn", "error", "fatal", "silent", "profile"]} in level["anyOf"]
