"""The evaluator of expressions that the workflow's tests stand on: values as GitHub has them, and no name invented."""

from __future__ import annotations

from typing import Any

import pytest

from tests.support.expressions import ExpressionError, Status, evaluate, filled, holds, value_of
from tests.support.runner import Lenient

CONTEXTS: dict[str, Any] = {
    "github": {"ref_type": "tag", "ref_name": "v1.2"},
    "needs": {"matrix": {"result": "success", "outputs": {"empty": "false", "no-boards": "true"}}},
    "matrix": {"host": "", "name": "cam"},
    "steps": {"cache": {"outputs": {"cache-hit": ""}}},
    "vars": Lenient(),
}


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("github.ref_type == 'tag'", True),
        ("github.ref_type == 'TAG'", True),
        ("github.ref_type != 'tag'", False),
        ("matrix.host != ''", False),
        ("needs.matrix.outputs.no-boards", "true"),
        ("needs['matrix'].outputs['empty']", "false"),
        ("startsWith(github.ref_name, 'V') && matrix.name", "cam"),
        ("matrix.host || 'none'", "none"),
        ("!(matrix.host == '' && true)", False),
        ("'it''s'", "it's"),
        ("3 == 3.0", True),
        ("vars.NOBODY_SET_IT", ""),
        ("fromJSON('{\"include\": [1]}')", {"include": [1]}),
        ("contains('Boardcast', 'CAST')", True),
        ("false || true && false", False),
    ],
)
def test_a_value_is_that_of_github(text: str, value: object) -> None:
    assert evaluate(text, CONTEXTS) == value


@pytest.mark.parametrize(
    "text",
    [
        "needs.matrix.outputs.emtpy == 'false'",
        "needs.build.result",
        "steps.cache.outputs.hit",
        "secrets.KEY",
        "github.ref_type == 1",
        "true || matrix.nothing",
        "github.ref_type = 'tag'",
        "matrix.host !=",
        "(matrix.host",
        "matrix.name matrix.name",
        "hashFiles('**')",
        "success()",
        "1 < 2",
        'matrix.name == "cam"',
        "matrix.name.more",
        "matrix.",
    ],
)
def test_what_github_would_pass_over_is_an_error(text: str) -> None:
    with pytest.raises(ExpressionError):
        evaluate(text, CONTEXTS)


def test_holes_are_filled_as_text() -> None:
    assert filled("a-${{ matrix.name }}-${{ 1 == 1 }}-${{ 5 }}-${{ null }}!", CONTEXTS) == "a-cam-true-5-!"
    assert value_of("${{ fromJSON('[1]') }}", CONTEXTS) == [1]
    with pytest.raises(ExpressionError, match="written as a text"):
        filled("x ${{ matrix }}", CONTEXTS)


@pytest.mark.parametrize(
    ("text", "good", "failed"),
    [
        ("matrix.name == 'cam'", True, False),
        ("${{ matrix.name == 'cam' }}", True, False),
        ("always()", True, True),
        ("always() && matrix.host != ''", False, False),
        ("failure()", False, True),
        ("matrix.name == 'always()'", False, False),
        ("success() || failure()", True, True),
    ],
)
def test_a_condition_without_a_status_asks_for_success(text: str, good: bool, failed: bool) -> None:
    assert holds(text, CONTEXTS, Status()) is good
    assert holds(text, CONTEXTS, Status(failed=True)) is failed
