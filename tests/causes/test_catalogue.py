"""One catalogue of causes: whatever names one finds it, and the page is made from it."""

from __future__ import annotations

import ast
import re
from pathlib import Path

import pytest

import tasks
from deploy.causes.catalogue import Catalogue, catalogue, causes, causes_of_checks, written_at
from deploy.causes.page import troubleshooting_page
from deploy.verify.verdict import check_name
from recipes import paths
from recipes.builder.diagnosis import cause_table
from tests.test_papers import anchors, task_names

CHECKS = sorted((paths.CHECKOUT / "deploy" / "verify" / "checks").glob("test_*.py"))


def test_the_page_is_the_generators() -> None:
    page = paths.CHECKOUT / "docs" / "troubleshooting.md"
    assert page.read_text() == troubleshooting_page(), "python -m deploy.causes.page > docs/troubleshooting.md"


def test_every_check_of_ours_has_a_cause_and_no_other_is_named() -> None:
    trees = [ast.parse(path.read_text()) for path in CHECKS]
    tests = {node.name for tree in trees for node in tree.body if isinstance(node, ast.FunctionDef)}
    assert {check_name(name) for name in tests if name.startswith("test_")} == set(causes_of_checks())


@pytest.mark.parametrize("module", ["probe/findings.py", "doctor/stream.py"])
def test_every_finding_is_written_down(module: str) -> None:
    source = (paths.CHECKOUT / "deploy" / module).read_text()
    named = re.findall(r'check="([a-z-]+)"|_busy\(\s*"([a-z-]+)"|Level\.[A-Z]+,\s*"([a-z-]+)",', source)
    found = {name for names in named for name in names if name}
    assert len(found) >= 8
    assert {name for name in found if not written_at(name)} == set()


def test_every_place_that_is_named_is_on_its_page() -> None:
    names = [*causes(), "camera-busy", "clock-signature", *(f"build-{rule.name}" for rule in cause_table().rule)]
    for name in names:
        page, _, anchor = written_at(name).partition("#")
        assert anchor in anchors(paths.CHECKOUT / page), name
    assert written_at("no-such-cause") == ""


def test_every_command_that_a_cause_names_exists() -> None:
    text = (Path(paths.CHECKOUT) / "deploy/causes/causes.toml").read_text()
    named = set(re.findall(r"\binvoke ([a-z][a-z._-]*)", text))
    assert len(named) > 10
    assert named <= task_names(tasks.ns)


MESSAGES = re.compile(r"`([^`]+)`")


@pytest.mark.parametrize("section", ["setting-up", "deploying", "board"])
def test_every_message_that_is_quoted_is_said_somewhere(section: str) -> None:
    """What is between backquotes in `sees` is a message of ours; what it fills in is … there."""
    said = "".join(path.read_text() for room in ("recipes", "deploy") for path in (paths.CHECKOUT / room).rglob("*.py"))
    said += (paths.CHECKOUT / "bootstrap").read_text()
    said = re.sub(r'"\s*\n\s*f?"', "", said)
    chosen = next(one for one in catalogue().section if one.name == section)
    for cause in chosen.cause:
        for message in (part for sees in cause.sees for part in MESSAGES.findall(sees)):
            pieces = [piece.strip(" ,") for piece in message.split("…")]
            assert [piece for piece in pieces if piece and piece not in said] == [], cause.name


@pytest.mark.parametrize(
    ("row", "why"),
    [
        ({"name": "root-missing", "sees": ["x"], "why": "y", "cure": "z"}, "name root-missing is there twice"),
        ({"name": "new", "sees": ["x"], "why": "y"}, "needs cure or next"),
        ({"name": "new", "sees": ["x"], "why": "y", "cure": "z", "checks": ["clock is right"]}, "check clock is right"),
        ({"name": "new", "sees": ["x"], "why": "y", "cure": "z", "findings": ["arch"]}, "finding arch is there twice"),
        ({"name": "new", "sees": [], "why": "y", "cure": "z"}, "at least 1"),
    ],
)
def test_a_table_with_a_fault_is_refused(row: dict[str, object], why: str) -> None:
    whole = catalogue().model_dump(by_alias=True, mode="python")
    more = {"name": "more", "title": "More", "cause": [row]}
    with pytest.raises(ValueError, match=why):
        Catalogue.model_validate({"schema": 1, "section": [*whole["section"], more]})
