"""What has a library's name and is none is known, in a folder, a tar, the cache and a captured index alike."""

from __future__ import annotations

import os
import tarfile
from pathlib import Path

import pytest

from recipes.arch import ARCHES
from recipes.rootfs.cache import load_index
from recipes.rootfs.capture import read_capture, write_capture
from recipes.rootfs.index import Index, scan_root
from tests.support.smallelf import small_elf

ARM = ARCHES["armv7"].identity
LOADER, MUSL = "lib/ld-linux-armhf.so.3", "lib/ld-musl-armhf.so.1"
ODD = ("empty", "script", "folder", "fifo", "linked", "led", "private")


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """Return a root with something else in front of each of its libraries."""
    made = tmp_path / "root"
    first, second = made / "lib", made / "usr/lib"
    for folder in (first, second, made / "data/folder"):
        folder.mkdir(parents=True)
    (made / LOADER).write_bytes(small_elf(soname="ld-linux-armhf.so.3"))
    for name in (*ODD, "dangling", "circle"):
        (second / f"lib{name}.so.1").write_bytes(small_elf(soname=f"lib{name}.so.1"))
    (first / "libempty.so.1").touch()
    (first / "libscript.so.1").write_text("INPUT(libscript.so.2)\n")
    (first / "libfolder.so.1").mkdir()
    os.mkfifo(first / "libfifo.so.1")
    (made / "data/blob").write_text("text")
    (first / "liblinked.so.1").symlink_to("../data/blob")
    (first / "libled.so.1").symlink_to("/data/folder")
    (first / "libprivate.so.1").write_bytes(small_elf(soname="libprivate.so.1"))
    (first / "libprivate.so.1").chmod(0o640)
    (first / "libdangling.so.1").symlink_to("gone")
    (first / "libcircle.so.1").symlink_to("libcircle.so.1")
    return made


def check(index: Index) -> None:
    for name in (*ODD, "circle"):
        assert index.find(f"lib{name}.so.1", ARM) is None, name
    found = index.find("libdangling.so.1", ARM)
    assert found is not None
    assert found[0] == "/usr/lib/libdangling.so.1"
    assert index.others == {
        "/lib/libempty.so.1": "is empty",
        "/lib/libscript.so.1": "is no ELF file",
        "/lib/libfolder.so.1": "is a folder",
        "/lib/libfifo.so.1": "is a device, FIFO or socket",
        "/data/blob": "is no ELF file",
        "/data/folder": "is a folder",
        "/lib/libprivate.so.1": "cannot be read by every user",
    }


def test_a_folder_says_what_ends_a_search(root: Path) -> None:
    check(scan_root(root))


def test_a_tar_says_the_same(root: Path, tmp_path: Path) -> None:
    with tarfile.open(tmp_path / "root.tar", "w") as archive:
        archive.add(root, arcname=".")
    check(scan_root(tmp_path / "root.tar"))


def test_the_cache_and_a_captured_index_keep_it(root: Path, tmp_path: Path, cache: Path) -> None:
    check(load_index(root))
    check(load_index(root))
    write_capture(tmp_path / "cam", scan_root(root), "cam")
    check(read_capture(tmp_path / "cam"))


def test_what_appears_later_is_seen(root: Path, cache: Path) -> None:
    before = scan_root(root).fingerprint
    (root / "lib/libempty.so.1").unlink()
    assert scan_root(root).fingerprint != before
    assert load_index(root).find("libempty.so.1", ARM) is not None
    (root / "lib/libempty.so.1").mkdir()
    assert load_index(root).find("libempty.so.1", ARM) is None


def test_uclibc_goes_on_behind_a_circle_and_musl_does_not(root: Path) -> None:
    for name, goes_on in (("ld-uClibc.so.1", True), ("ld-musl-armhf.so.1", False)):
        (root / LOADER).unlink(missing_ok=True)
        (root / "lib" / name).write_bytes(small_elf(soname=name))
        assert (scan_root(root).find("libcircle.so.1", ARM) is not None) is goes_on
        (root / "lib" / name).unlink()


def test_a_root_of_somebody_who_lets_nobody_read_counts_as_it_is(root: Path) -> None:
    (root / LOADER).chmod(0o600)
    assert scan_root(root).find("libprivate.so.1", ARM) is not None
