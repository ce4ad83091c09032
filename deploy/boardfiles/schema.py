"""The JSON Schema of a board's file, for editors: keys, types and words, each with what the reference says of it.

What hangs together (a width needs a height, an encoder its settings) is no part of it: `invoke board.check` says that.
`python -m deploy.boardfiles.schema > board-configs/board.schema.json` writes it; a test says when it is not current.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

from deploy.boards.board import BoardFile
from recipes.config import Strict
from recipes.faults import field_texts


def board_schema() -> dict[str, Any]:
    """Return the schema, of the draft 2020-12."""
    made = BoardFile.model_json_schema(by_alias=True)
    models = {model.__name__: model for model in _models(Strict)}
    tables = made.get("$defs", {})
    for name, table in [(BoardFile.__name__, made), *tables.items()]:
        if name in models and "properties" in table:
            _describe(table, models[name])
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        **_without_titles(made),
        "title": "Boardcast board file",
    }


def schema_text() -> str:
    """Return the schema as its file has it."""
    return json.dumps(board_schema(), indent=1, ensure_ascii=False) + "\n"


def _models(base: type[Strict]) -> Iterator[type[Strict]]:
    for model in base.__subclasses__():
        yield model
        yield from _models(model)


def _describe(table: dict[str, Any], model: type[Strict]) -> None:
    """Put what the model says of a key behind the key; of several words each is the same field."""
    texts = field_texts(model)
    fields = {field.alias or name: name for name, field in model.model_fields.items()}
    for key, shown in table["properties"].items():
        if text := texts.get(fields.get(key, "address"), ""):
            shown["description"] = " ".join(text.split())
        # A key that may be left out is left out; TOML has no null.
        shown.pop("default", None)
        if "anyOf" in shown:
            shown["anyOf"] = [kind for kind in shown["anyOf"] if kind != {"type": "null"}]


def _without_titles(part: Any) -> Any:
    if isinstance(part, dict):
        return {
            key: _without_titles(value)
            for key, value in part.items()
            if not (key == "title" and isinstance(value, str))
        }
    return [_without_titles(value) for value in part] if isinstance(part, list) else part


def main() -> None:
    """Print the schema."""
    print(schema_text(), end="")


if __name__ == "__main__":
    main()
