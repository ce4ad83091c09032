"""What unit tests share."""

from __future__ import annotations

from pathlib import Path

import pytest

from deploy import sign
from recipes import paths


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Give each test a workstation of its own; return the user's configuration folder."""
    for name in ("work", "cache"):
        monkeypatch.setenv(f"BOARDCAST_{name.upper()}", str(tmp_path / name))
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))
    monkeypatch.delenv(sign.VARIABLE, raising=False)
    monkeypatch.setattr(paths, "BOARDS", tmp_path / "boards")
    return tmp_path / "config" / "boardcast"
