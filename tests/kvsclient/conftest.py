"""The program is built once, as a board's is, in the toolchain's container, and runs with this machine's libraries."""

from __future__ import annotations

import platform
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from recipes.stage.manifest import Stage
from tests.support.kvsclient import Client, lacking
from tests.support.putmedia import Service, serving


@pytest.fixture(scope="session")
def client(built: Callable[..., Stage]) -> Client:
    """Return the program for x86_64; skip where it cannot run on this machine."""
    if platform.machine() != "x86_64":
        pytest.skip("the program is built for x86_64 here")
    if why := lacking():
        pytest.skip(why)
    program = built("x86_64", "", "kvsclient").tree / "bin" / "kvsclient"
    tried = subprocess.run([program, "--version"], capture_output=True, text=True, check=False)
    if "error while loading shared libraries" in tried.stderr:
        pytest.skip(f"this machine lacks a library: {tried.stderr}")
    assert tried.stdout == "kvsclient 1.1.0\n", tried.stderr
    return Client(program)


@pytest.fixture
def service(tmp_path: Path) -> Iterator[Service]:
    with serving(tmp_path) as made:
        yield made
