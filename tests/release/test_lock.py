"""Who holds a board: one deploy at a time, by the real scripts on a folder of this machine."""

from __future__ import annotations

import os
import shutil
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from deploy.transfer.lock import ITSELF
from recipes.errors import PreflightError
from tests.support.localboard import ConnectedSession
from tests.support.plainrelease import bundle_of, deploy, running

pytestmark = [pytest.mark.process, pytest.mark.usefixtures("home")]


@pytest.fixture
def root(tmp_path: Path) -> Path:
    return tmp_path / "board" / "boardcast"


def hold(root: Path, who: str = "") -> None:
    """Take the lock as another one would: a process that lives."""
    (root / ".lock").mkdir()
    boot = Path("/proc/sys/kernel/random/boot_id").read_text()
    (root / ".lock" / "pid").write_text(f"{os.getpid()} {boot}")
    if who:
        (root / ".lock" / "who").write_text(f"{who}\n")


def test_a_living_deploy_is_not_disturbed(root: Path) -> None:
    first, second = bundle_of(root, "first"), bundle_of(root, "second")
    deploy(first)
    hold(root)
    with pytest.raises(PreflightError, match="another deploy is at work there") as caught:
        deploy(second)
    assert f"held by somebody (process {os.getpid()} on the board)" in caught.value.why
    assert caught.value.code == 5
    assert running(root) == first.id


def test_what_a_board_does_at_its_start_is_waited_for(root: Path) -> None:
    """Right behind a power cut it takes back what was on trial: over in seconds, and nobody has to try again."""
    first, second = bundle_of(root, "first"), bundle_of(root, "second")
    deploy(first)
    hold(root, ITSELF)
    over = threading.Timer(1.5, lambda: shutil.rmtree(root / ".lock"))
    over.start()
    deploy(second)
    over.join()
    assert running(root) == second.id


@pytest.fixture
def connection(tmp_path: Path) -> Iterator[Callable[[], ConnectedSession]]:
    made: list[ConnectedSession] = []

    def connect() -> ConnectedSession:
        made.append(ConnectedSession(tmp_path / f"connection{len(made)}"))
        return made[-1]

    yield connect
    for session in made:
        session.cut()


Connect = Callable[[], ConnectedSession]


def test_a_board_is_held_from_the_first_write_to_the_last(root: Path, connection: Connect) -> None:
    """Between the commands of one deploy nobody else gets in, and is told who is at work there, and since when."""
    first, second = bundle_of(root, "first"), bundle_of(root, "second")
    refusals: list[str] = []

    def try_meanwhile() -> None:
        with pytest.raises(PreflightError, match="another deploy is at work there") as caught:
            deploy(second, session=connection(), who="bob@desk since noon")
        refusals.append(caught.value.why)
        assert "give the same command again" in caught.value.next_step
        assert not list((root / "incoming").iterdir()), "nothing of the second is taken"

    deploy(first, try_meanwhile, session=connection(), who="alice@laptop_since_ten")
    assert "held by alice@laptop_since_ten (process " in refusals[0]
    assert running(root) == first.id
    assert not (root / ".lock").exists()
    deploy(second, session=connection())
    assert running(root) == second.id


def test_a_lock_whose_connection_was_cut_is_taken_over(root: Path, connection: Connect) -> None:
    first, second, session = bundle_of(root, "first"), bundle_of(root, "second"), connection()

    def cut() -> None:
        session.cut()
        raise KeyError("the process was killed")

    with pytest.raises(KeyError):
        deploy(first, cut, session=session)
    assert (root / ".lock" / "pid").is_file()
    deploy(second, session=connection())
    assert running(root) == second.id


def test_a_lock_of_a_process_whose_number_is_anothers_now_is_taken_over(root: Path) -> None:
    first = bundle_of(root, "first")
    (root / ".lock").mkdir(parents=True)
    boot = Path("/proc/sys/kernel/random/boot_id").read_text().strip()
    (root / ".lock" / "pid").write_text(f"{os.getpid()} {boot} 1\n")
    deploy(first)
    assert running(root) == first.id
