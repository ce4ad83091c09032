"""The disk that the engine keeps its volumes on: a container that fills it is ended, and what it wrote is gone."""

from __future__ import annotations

import io
import os
import subprocess
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from recipes.engine import disk
from recipes.engine.container import Job
from recipes.engine.disk import engine_folders, too_little, watched
from recipes.engine.docker import Engine
from recipes.engine.layout import WORK
from recipes.errors import BuildError
from recipes.process import run as run_process
from recipes.tools.base import ensure_base_image


@pytest.fixture
def small(tmp_path: Path) -> Iterator[Path]:
    """Yield a file system of 64 MiB and 100 files."""
    folder = tmp_path / "small"
    folder.mkdir()
    if run_process(["mount", "-t", "tmpfs", "-o", "size=64m,nr_inodes=100", "tmpfs", str(folder)], check=False).code:
        pytest.skip("this machine mounts nothing")
    yield folder
    subprocess.run(["umount", str(folder)], check=True)


def test_where_the_engine_is_not_here_nothing_is_watched(tmp_path: Path) -> None:
    assert engine_folders("") == ()
    assert engine_folders("/no/such/folder") == ()
    assert engine_folders(str(tmp_path)) == (tmp_path,)
    (tmp_path / "volumes").mkdir()
    assert engine_folders(str(tmp_path)) == (tmp_path, tmp_path / "volumes")
    with watched((), lambda: pytest.fail("nothing is watched")):
        time.sleep(0.3)


@pytest.mark.process
def test_bytes_and_files_are_counted(small: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(disk, "RESERVE", 32 << 20)
    monkeypatch.setattr(disk, "RESERVED_FILES", 20)
    assert too_little([small]) is None
    (small / "large").write_bytes(bytes(40 << 20))
    assert too_little([small]) == (small, "24.0 MiB are free there; 32.0 MiB are to stay free")
    (small / "large").unlink()
    for number in range(90):
        (small / str(number)).touch()
    found = too_little([small.parent, small])
    assert found is not None
    assert "more files can be made there; room for 20 is to stay" in found[1]


def fill(folder: Path, ended: threading.Event) -> None:
    with (folder / "large").open("wb") as file:
        while not ended.wait(0.05):
            file.write(bytes(1 << 20))
            file.flush()
    raise BuildError("exit code 137")


@pytest.mark.process
def test_what_fills_it_is_ended_and_the_error_says_so(small: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(disk, "RESERVE", 32 << 20)
    monkeypatch.setattr(disk, "RESERVED_FILES", 20)
    ended = threading.Event()
    with pytest.raises(BuildError, match="a container was ended") as caught, watched([small], ended.set):
        fill(small, ended)
    assert caught.value.where == str(small)
    assert "docker system" in caught.value.next_step
    assert 32 << 20 <= (small / "large").stat().st_size < 64 << 20
    with pytest.raises(BuildError, match="nothing was started"), watched([small], ended.set):
        pytest.fail("it began")


def test_other_errors_stay_what_they_are(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(disk, "RESERVE", 0)
    monkeypatch.setattr(disk, "RESERVED_FILES", 0)
    with pytest.raises(BuildError, match="exit code 2"), watched([tmp_path], lambda: None):
        raise BuildError("exit code 2")
    assert not [thread for thread in threading.enumerate() if thread.name == "disk"]


@pytest.mark.engine
@pytest.mark.hostile(kind="build")
def test_a_build_that_fills_the_disk_is_ended_and_leaves_nothing(
    engine: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    folders = engine._folders()
    if not folders:
        pytest.skip("the engine's disk is not on this machine")
    image = ensure_base_image(engine)
    there = os.statvfs(folders[-1])
    free = there.f_bavail * there.f_frsize
    monkeypatch.setattr(disk, "RESERVE", free - (1 << 30))
    job = Job(image=image, cwd=WORK)
    with pytest.raises(BuildError, match="a container was ended"), engine.session(job) as session:
        (volume,) = [mount["Name"] for mount in session._container.attrs["Mounts"] if mount["Type"] == "volume"]
        code = session.run(["dd", "if=/dev/zero", "of=x", "bs=1M", "count=6000"], log=io.BytesIO())
        assert code != 0, "6 GB were written"
    assert volume not in {left.name for left in engine._client.volumes.list()}
