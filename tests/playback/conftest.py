"""One service for the tests that only read, another for each test that changes what there is."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.kvscamera import Camera, make_camera
from tests.support.kvsserver import Served, served


@pytest.fixture(scope="session")
def camera(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Camera]:
    with served(tmp_path_factory.mktemp("service")) as service:
        yield make_camera(service, "cam01")


@pytest.fixture
def service(tmp_path: Path) -> Iterator[Served]:
    with served(tmp_path) as running:
        yield running
