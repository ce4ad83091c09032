"""The house rules that a machine can hold: lint, types, and what must never stand in the repository."""

from __future__ import annotations

import re
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROOT = Path(__file__).parent.parent
pytestmark = pytest.mark.process


def run(*argv: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(argv, cwd=ROOT, capture_output=True, text=True, check=False)


def tracked() -> list[Path]:
    listed = run("git", "ls-files").stdout.split("\n")
    return [ROOT / name for name in listed if name and (ROOT / name).is_file()]


def test_ruff_is_content() -> None:
    done = run(sys.executable, "-m", "ruff", "check", ".")
    assert done.returncode == 0, done.stdout
    done = run(sys.executable, "-m", "ruff", "format", "--check", ".")
    assert done.returncode == 0, done.stdout


def test_mypy_is_content() -> None:
    # By the hash of each file; nothing that changed is taken from it.
    done = run(sys.executable, "-m", "mypy", f"--cache-dir={ROOT / '.boardcast' / 'mypy'}")
    assert done.returncode == 0, done.stdout


def test_no_host_of_this_machines_registries_is_named() -> None:
    """Ask apt and pip which hosts they use here: none of them may stand in a tracked file."""
    texts = [path.read_text() for folder in ("/etc/apt/sources.list.d",) for path in Path(folder).glob("*.[ls]*")]
    if Path("/etc/apt/sources.list").is_file():
        texts.append(Path("/etc/apt/sources.list").read_text())
    texts.append(run(sys.executable, "-m", "pip", "config", "list").stdout)
    hosts = set(re.findall(r"https?://([A-Za-z0-9.-]+)", "\n".join(texts)))
    for path in tracked():
        named = {host for host in hosts if host in path.read_text("utf-8", "replace")}
        assert not named, f"{path} names {named}"


def test_no_binary_and_no_archive_is_tracked() -> None:
    for path in tracked():
        head = path.read_bytes()[:1024]
        assert b"\0" not in head, f"{path} is binary"
        assert path.stat().st_size < 400_000, f"{path} is large"


def test_the_lock_has_every_requirement_in_its_range() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    asked = [Requirement(text) for text in (*project["dependencies"], *project["optional-dependencies"]["dev"])]
    lines = (ROOT / ".requirements.lock").read_text().splitlines()
    pairs = [line.split(" ", 1)[0].split("==") for line in lines if "==" in line and not line.startswith((" ", "#"))]
    locked = {canonicalize_name(name.partition("[")[0]): version for name, version in reversed(pairs)}
    assert len(asked) > 20
    assert not [str(one) for one in asked if locked.get(canonicalize_name(one.name), "") not in one.specifier]
