"""The project as a package: what `pip install .` brings is all of it, and the tasks are found with it."""

from __future__ import annotations

import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

from recipes import paths

pytestmark = pytest.mark.process


def test_a_wheel_holds_every_file_of_both_packages(tmp_path: Path) -> None:
    """Built as pip builds it, from a copy: setuptools leaves folders in the sources."""
    source = tmp_path / "source"
    subprocess.run(["git", "clone", "-q", str(paths.CHECKOUT), str(source)], check=True)
    build = "import setuptools.build_meta as backend, sys; print(backend.build_wheel(sys.argv[1]))"
    done = subprocess.run(
        [sys.executable, "-c", build, str(tmp_path)], cwd=source, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr[-500:]
    (wheel,) = tmp_path.glob("*.whl")
    with zipfile.ZipFile(wheel) as archive:
        packed = set(archive.namelist())
    committed = subprocess.run(
        ["git", "ls-files", "recipes", "deploy", "tasks.py"], cwd=source, capture_output=True, text=True, check=True
    )
    assert set(committed.stdout.split()) <= packed
