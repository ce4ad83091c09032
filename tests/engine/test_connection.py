"""Whose a container is, and whether its program has ended."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

from recipes.engine import connection
from recipes.engine.connection import owner_is_gone, owner_mark, process_space


def test_a_program_that_runs_is_not_gone() -> None:
    assert owner_mark().rpartition(":")[2] == str(os.getpid())
    assert not owner_is_gone(owner_mark())
    assert not owner_is_gone(f"{process_space()}:1"), "it is another user's, and runs"


@pytest.mark.process
def test_one_that_has_ended_is_gone_where_its_ids_mean_something() -> None:
    ended = subprocess.run([sys.executable, "-c", "import os; print(os.getpid())"], capture_output=True, check=True)
    number = int(ended.stdout)
    assert owner_is_gone(f"{process_space()}:{number}")
    boot, _, space = process_space().rpartition("/")
    assert not owner_is_gone(f"{boot}:{number}"), "of a Boardcast before this one"
    assert not owner_is_gone(f"{boot}/pid[1]:{number}"), "of a container that was given the engine's socket"
    assert space.startswith("pid[")


@pytest.mark.parametrize("mark", ["", ":", "x", "x:y", "1234"])
def test_what_is_no_mark_is_nobodys_to_remove(mark: str) -> None:
    assert not owner_is_gone(mark)


def test_without_linux_ids_are_this_machines(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(connection, "Path", lambda _: (_ for _ in ()).throw(OSError("no /proc")))
    monkeypatch.setattr("platform.node", lambda: "mac:1")
    assert owner_mark() == f"mac1:{os.getpid()}"
