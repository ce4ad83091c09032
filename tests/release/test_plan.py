"""Facts in, remote steps out: every case is a file of its own in tests/cases/release/."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from deploy.boards.probe import parse_facts
from deploy.bundle.manifest import BundleFile, Manifest
from deploy.release.plan import plan_release
from recipes.errors import PreflightError
from tests.support.facts import proof_row

CASES = sorted((Path(__file__).parent.parent / "cases" / "release").glob("*.json"))


def manifest(**changes: Any) -> Manifest:
    values: dict[str, Any] = {
        "schema_": 1,
        "board": "cam",
        "arch": "armv7",
        "machines": ("armv7l",),
        "root": "/opt/boardcast",
        "keep": 3,
        "stage_keys": {},
        "entries": ("bin/app",),
        "files": (
            BundleFile(path="bin/app", sha256="a" * 64, size=1000, mode=0o755),
            BundleFile(path="lib/libx.so.1", sha256="b" * 64, size=2_000_000, mode=0o755),
        ),
        "decisions": (),
        "proofs": (proof_row("libz.so.1", "/lib/libz.so.1", symbols=["inflate"]),),
        "providers": {},
        "notes": (),
    }
    return Manifest.model_validate(values | changes)


@pytest.mark.parametrize("path", CASES, ids=lambda path: path.stem)
def test_case(path: Path) -> None:
    case = json.loads(path.read_text())
    facts = parse_facts("\n".join(case["probe"]), now=case.get("now", 1_700_000_000))
    if "refused" in case:
        with pytest.raises(PreflightError) as caught:
            plan_release("new", manifest(), facts)
        assert case["refused"] in f"{caught.value.what} {caught.value.why}"
        assert caught.value.code == 5
        return
    planned = plan_release("new", manifest(), facts)
    assert [[step.kind.value, step.detail] for step in planned.steps] == case["steps"]
    if not planned.steps:
        assert planned.because == case["because"], "a no-op without a reason is a bug"


def test_there_are_cases() -> None:
    assert len(CASES) >= 10
