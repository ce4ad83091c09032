"""A program to watch over."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.support.compiler import compiled


@pytest.fixture(scope="session")
def camera(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a static program that does what a file says, and writes down the signals that it gets."""
    source = {"camera.c": (Path(__file__).parent / "camera.c").read_text()}
    folder = compiled(request, tmp_path_factory.mktemp("camera"), source, "$CC -O2 -static -o camera camera.c")
    return folder / "camera"
