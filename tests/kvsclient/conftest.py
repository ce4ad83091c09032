"""The program is built once, as a board's is, in the toolchain's container, and runs with this machine's libraries."""

from __future__ import annotations

import platform
import shutil
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from recipes.stage.manifest import Stage
from tests.support.kvsclient import Client, lacking
from tests.support.kvselement import Element
from tests.support.putmedia import Service, serving


@pytest.fixture(scope="session")
def made(built: Callable[..., Stage], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder with what both recipes give: the Stage is another test's soon."""
    tree = built("x86_64", "", "kvsclient", "fakekvssink").tree
    kept = tmp_path_factory.mktemp("kvsclient")
    for folder in ("bin", "gstreamer-1.0", "test-plugins"):
        shutil.copytree(tree / folder, kept / folder)
    return kept


@pytest.fixture(scope="session")
def client(made: Path) -> Client:
    """Return the program for x86_64; skip where it cannot run on this machine."""
    if platform.machine() != "x86_64":
        pytest.skip("the program is built for x86_64 here")
    if why := lacking():
        pytest.skip(why)
    program = made / "bin" / "kvsclient"
    tried = subprocess.run([program, "--version"], capture_output=True, text=True, check=False)
    if "error while loading shared libraries" in tried.stderr:
        pytest.skip(f"this machine lacks a library: {tried.stderr}")
    assert tried.stdout == "kvsclient 1.1.0\n", tried.stderr
    return Client(program)


@pytest.fixture
def element(client: Client, made: Path, tmp_path: Path) -> Element:
    """Return the plugin; skip where the program of the same build cannot run here."""
    assert client.program.is_file()
    return Element(made / "gstreamer-1.0", tmp_path)


@pytest.fixture
def service(tmp_path: Path) -> Iterator[Service]:
    with serving(tmp_path) as made:
        yield made
