"""What every check gets: the release that should be on the board, and one way to run a command there."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import pytest


@pytest.fixture(scope="session")
def release() -> dict[str, Any]:
    """Return the manifest of the release that should be on the board."""
    loaded: dict[str, Any] = json.loads(Path(os.environ["BOARDCAST_RELEASE"]).read_text())
    return loaded
