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
from recipes.files import exclusive, whole_folder, write_whole


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
