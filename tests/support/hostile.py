"""A plugin of pytest for `invoke selftest.security`: counts the hostile input that was handed to the product, by kind.

A test with the mark `hostile(kind=KIND)` hands it one input, or as many as it says with
`record_property("inputs", NUMBER)`; `record_property("figure", TEXT)` is something that it measured. They were refused,
or did no harm, where it passes.
"""

from __future__ import annotations

import json
from collections.abc import Generator
from pathlib import Path
from typing import Any

import pytest


class Tried:
    """What was tried so far: by kind, the numbers of inputs and of those that were refused, and the figures."""

    def __init__(self, file: Path) -> None:
        self._file = file
        self._rows: dict[str, dict[str, Any]] = {}

    @pytest.hookimpl(wrapper=True)
    def pytest_runtest_makereport(
        self, item: pytest.Item, call: pytest.CallInfo[None]
    ) -> Generator[None, pytest.TestReport, pytest.TestReport]:
        report = yield
        mark = item.get_closest_marker("hostile")
        if mark is None or report.skipped or (call.when != "call" and not report.failed):
            return report
        row = self._rows.setdefault(mark.kwargs["kind"], {"inputs": 0, "refused": 0, "figures": []})
        told = dict(item.user_properties)
        inputs = int(str(told.get("inputs", 1)))
        row["inputs"] += inputs
        row["refused"] += inputs if report.passed else 0
        row["figures"] += [text for name, text in item.user_properties if name == "figure"]
        return report

    def pytest_sessionfinish(self) -> None:
        self._file.write_text(json.dumps(self._rows))


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--hostile-table", default="", help="write what was tried into this file")


def pytest_configure(config: pytest.Config) -> None:
    if file := config.getoption("--hostile-table"):
        config.pluginmanager.register(Tried(Path(file)))


def pytest_ignore_collect(collection_path: Path) -> bool | None:
    """Leave out files without the mark: to read them all takes longer than the tests of one kind."""
    if collection_path.name.startswith("test_") and "hostile(" not in collection_path.read_text():
        return True
    return None
