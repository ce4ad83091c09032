"""The reference is current, has a meaning for every key, and knows every variable that the code reads."""

from __future__ import annotations

import re

import pytest
from pydantic import BaseModel

from deploy.reports.reference import (
    FILES,
    VARIABLES,
    model_fields,
    nested_models,
    render_reference,
)
from recipes import paths
from recipes.faults import field_texts
from recipes.sources.recipe import Edit, Recipe

PAGE = paths.CHECKOUT / "docs" / "reference.md"
WRITE_IT = "python -m deploy.reports.reference > docs/reference.md"


def test_the_page_is_current() -> None:
    assert PAGE.read_text() == render_reference(), f"docs/reference.md is not current; write it anew: {WRITE_IT}"


@pytest.mark.parametrize(("path", "model"), FILES)
def test_every_key_has_a_meaning(path: str, model: type[BaseModel]) -> None:
    silent = [
        f"{table.__name__}.{key}"
        for table in (model, *nested_models(model))
        for key, name, _ in model_fields(table)
        if not field_texts(table).get(name)
    ]
    assert not silent, f"{path}: write a docstring below these fields: {silent}"


def test_every_variable_of_the_code_is_in_the_table_and_no_other() -> None:
    code = [path for folder in ("recipes", "deploy") for path in (paths.CHECKOUT / folder).rglob("*.py")]
    code = [path for path in code if path.name != "reference.py"]
    texts = [path.read_text() for path in (*code, paths.CHECKOUT / "tasks.py", paths.CHECKOUT / "bootstrap")]
    read = {name for text in texts for name in re.findall(r"BOARDCAST_[A-Z_]*[A-Z]", text)}
    assert read == {row.name for row in VARIABLES}


def test_a_table_is_named_wherever_a_file_may_have_it() -> None:
    assert nested_models(Recipe)[Edit] == ["[[edits]]", "[[patches.<name>.edits]]", "[[versions.<name>.edits]]"]


def test_every_file_of_the_checkout_is_one_of_the_reference() -> None:
    """A TOML file that no model of the reference reads would be one that it forgot."""
    forms = [re.compile(re.sub(r"<\w+>", "[^/]+", re.escape(path))) for path, _ in FILES]
    folders = [paths.BOARDS, paths.CATALOG, paths.DOCKER]
    found = [path.relative_to(paths.CHECKOUT) for folder in folders for path in folder.rglob("*.toml")]
    assert len(found) > 20
    assert not [
        path for path in found if not any(form.fullmatch(str(path).replace("/examples/", "/")) for form in forms)
    ]
