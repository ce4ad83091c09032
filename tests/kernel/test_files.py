"""Nothing half-done is taken for whole, and a full disk is told with its bytes."""

from __future__ import annotations

import errno
import os
import subprocess
import sys
from pathlib import Path

import pytest

from recipes import paths
from recipes.errors import ConfigError
from recipes.files import exclusive, whole_file, whole_folder, write_whole


def test_a_folder_appears_whole_or_not_at_all(tmp_path: Path) -> None:
    target = tmp_path / "stage"
    with pytest.raises(KeyboardInterrupt), whole_folder(target) as part:
        (part / "half").write_text("x")
        raise KeyboardInterrupt
    assert list(tmp_path.iterdir()) == []
    with whole_folder(target) as part:
        (part / "whole").write_text("x")
    assert [path.name for path in tmp_path.iterdir()] == ["stage"]


def test_a_failed_remake_leaves_the_old_one(tmp_path: Path) -> None:
    target = tmp_path / "stage"
    with whole_folder(target) as part:
        (part / "old").write_text("x")
    with pytest.raises(ValueError, match="no"), whole_folder(target):
        raise ValueError("no")
    assert [path.name for path in target.iterdir()] == ["old"]


def test_a_file_appears_whole_or_not_at_all(tmp_path: Path) -> None:
    target = tmp_path / "not" / "yet" / "file"
    with pytest.raises(KeyboardInterrupt), whole_file(target) as file:
        file.write(b"half")
        raise KeyboardInterrupt
    assert list(target.parent.iterdir()) == []
    with whole_file(target, mode=0o640) as file:
        file.write(b"whole")
        assert not target.exists()
        assert Path(file.name).stat().st_mode & 0o777 == 0o600, "somebody could read a secret before it is whole"
    assert (target.read_bytes(), target.stat().st_mode & 0o777) == (b"whole", 0o640)
    assert [path.name for path in target.parent.iterdir()] == ["file"]


def test_a_program_may_put_its_own_file_in_the_place_of_the_part(tmp_path: Path) -> None:
    """As downloaders do: they write elsewhere and rename."""
    with whole_file(tmp_path / "file") as file:
        (tmp_path / "download").write_bytes(b"whole")
        (tmp_path / "download").rename(file.name)
    assert (tmp_path / "file").read_bytes() == b"whole"
    assert [path.name for path in tmp_path.iterdir()] == ["file"]


def test_a_file_that_must_not_be_replaced_stays_and_no_part_is_left(tmp_path: Path) -> None:
    target = tmp_path / "key"
    with whole_file(target, mode=0o600, replace=False) as file:
        file.write(b"first")
    with whole_file(target, replace=False) as file:
        file.write(b"second")
    assert (target.read_bytes(), target.stat().st_mode & 0o777) == (b"first", 0o600)
    assert [path.name for path in tmp_path.iterdir()] == ["key"]


def test_a_place_that_cannot_be_written_to_is_told(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("x")
    for target in (tmp_path / "file" / "below", tmp_path / "file" / "deep" / "below"):
        with pytest.raises(ConfigError, match="cannot write"):
            write_whole(target, b"x")
        with pytest.raises(ConfigError, match="cannot write"), whole_folder(target):
            pass


def test_a_full_disk_names_the_bytes_and_the_cure(tmp_path: Path) -> None:
    target = tmp_path / "stage"
    with pytest.raises(ConfigError) as caught, whole_folder(target):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
    assert "bytes free" in caught.value.why
    assert "BOARDCAST_CACHE" in caught.value.next_step
    assert list(tmp_path.iterdir()) == []


@pytest.mark.process
def test_a_really_full_disk_leaves_nothing_half_written(tmp_path: Path) -> None:
    """A file system of 256 KiB, filled to the brim: the old file stays, no part is left."""
    small = tmp_path / "small"
    small.mkdir()
    mounted = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=256k", "tmpfs", str(small)], check=False)
    if mounted.returncode != 0:
        pytest.skip("mounting a small file system takes root")
    try:
        target = small / "file"
        write_whole(target, b"old")
        with pytest.raises(ConfigError, match="cannot write"):
            write_whole(target, os.urandom(1 << 20))
        assert target.read_bytes() == b"old"
        assert [path.name for path in small.iterdir()] == ["file"]
    finally:
        subprocess.run(["umount", str(small)], check=True)


@pytest.mark.process
def test_a_second_run_in_a_checkout_waits_and_says_so(cache: Path) -> None:
    code = "from recipes.files import exclusive\nwith exclusive('build'): print('mine', flush=True)"
    with exclusive("build"):
        other = subprocess.Popen(
            [sys.executable, "-c", code],
            cwd=paths.CHECKOUT,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        assert other.stderr is not None
        line = other.stderr.readline()
        assert "another build is at work" in line
        assert other.poll() is None
    out, _ = other.communicate(timeout=20)
    assert out == "mine\n"
