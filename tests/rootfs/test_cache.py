"""A kept index holds as long as nothing that a loader could take was changed, and not a moment longer."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from recipes.errors import ConfigError
from recipes.rootfs import cache as index_cache
from recipes.rootfs.cache import load_index
from recipes.rootfs.index import Index, scan_root
from tests.support.smallelf import small_elf


@pytest.fixture
def root(tmp_path: Path) -> Path:
    folder = tmp_path / "root"
    (folder / "usr/lib").mkdir(parents=True)
    (folder / "etc").mkdir()
    (folder / "usr/lib/liba.so.1").write_bytes(small_elf())
    (folder / "usr/lib/liba.so").symlink_to("liba.so.1")
    (folder / "usr/lib/libtext.so").write_text("GROUP ( libc.so.6 )")
    (folder / "etc/ld.so.conf").write_text("/opt/lib\n")
    return folder


def test_the_second_reading_says_the_same(cache: Path, root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    first = load_index(root)

    def refuse(_: Path) -> None:
        raise AssertionError("it was read again")

    monkeypatch.setattr(index_cache, "scan_root", refuse)
    assert load_index(root) == first
    assert first.directories[0] == "/opt/lib"


@pytest.mark.parametrize(
    "change",
    [
        lambda root: (root / "usr/lib/libb.so.1").write_bytes(small_elf()),
        lambda root: (root / "usr/lib/liba.so.1").write_bytes(small_elf(machine=62)),
        lambda root: (root / "usr/lib/liba.so.1").unlink(),
        lambda root: (root / "usr/lib/liba.so.1").rename(root / "usr/lib/libz.so.1"),
        lambda root: (root / "usr/lib/libtext.so").write_bytes(small_elf()),
        lambda root: (root / "etc/ld.so.conf").write_text("/srv/lib\n"),
    ],
    ids=["added", "rewritten", "removed", "renamed", "text became ELF", "search path"],
)
def test_every_change_that_matters_is_seen(cache: Path, root: Path, change: object) -> None:
    before = load_index(root)
    change(root)  # type: ignore[operator]
    os.utime(root / "etc/ld.so.conf")
    after = load_index(root)
    assert (after.files, after.directories) != (before.files, before.directories)


def test_a_damaged_store_is_read_anew(cache: Path, root: Path) -> None:
    first = load_index(root)
    for path in (cache / "index").iterdir():
        path.write_bytes(path.read_bytes()[:-3])
    assert load_index(root) == first


def test_a_link_cycle_resolves_to_nothing(cache: Path, root: Path) -> None:
    (root / "usr/lib/x").symlink_to("y")
    (root / "usr/lib/y").symlink_to("x")
    assert scan_root(root).resolve("/usr/lib/x") == ""


def test_links_are_followed_inside_the_root(cache: Path, root: Path) -> None:
    (root / "lib").symlink_to("/usr/lib")
    index = scan_root(root)
    assert index.resolve("/lib/liba.so") == "/usr/lib/liba.so.1"
    assert index.resolve("/lib/../lib/./liba.so.1") == "/usr/lib/liba.so.1"


def test_no_root_is_told_so(cache: Path, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="no root at"):
        load_index(tmp_path / "nowhere")


def test_a_library_that_is_replaced_while_it_is_read_is_named(
    cache: Path, root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = scan_root

    def meanwhile(where: Path) -> Index:
        index = real(where)
        (root / "usr/lib/new").write_bytes(small_elf(machine=62))
        (root / "usr/lib/new").replace(root / "usr/lib/liba.so.1")
        return index

    monkeypatch.setattr(index_cache, "scan_root", meanwhile)
    with pytest.raises(ConfigError, match=r"/usr/lib/liba\.so\.1 was replaced while the root was being read") as caught:
        load_index(root)
    assert "again" in caught.value.next_step
    monkeypatch.setattr(index_cache, "scan_root", real)
    assert load_index(root).files["/usr/lib/liba.so.1"].identity.machine == 62


def test_a_hash_is_of_the_file_that_was_indexed(root: Path) -> None:
    index = scan_root(root)
    (root / "usr/lib/liba.so.1").write_bytes(small_elf(machine=62))
    with pytest.raises(ConfigError, match="was replaced while"):
        index.digests(["/usr/lib/liba.so.1"])
    (root / "usr/lib/liba.so.1").unlink()
    with pytest.raises(ConfigError, match="not in the root any more"):
        index.digests(["/usr/lib/liba.so.1"])


def test_what_may_not_be_read_is_listed(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Tests may run as root, who reads everything: the kernel's answer is given in its place."""
    real, denied = os.scandir, PermissionError(13, "Permission denied")

    def scandir(path: str) -> object:
        if str(path).endswith("/private"):
            raise denied
        return real(path)

    (root / "usr/lib/private").mkdir()
    monkeypatch.setattr(os, "scandir", scandir)
    index = scan_root(root)
    assert index.damaged["/usr/lib/private"] == "cannot be read: Permission denied"
    assert "/usr/lib/liba.so.1" in index.files


def test_cyclic_and_dangling_links_lead_nowhere_and_stop_nothing(root: Path) -> None:
    (root / "usr/lib/libx.so.1").symlink_to("liby.so.1")
    (root / "usr/lib/liby.so.1").symlink_to("libx.so.1")
    (root / "usr/lib/libgone.so.1").symlink_to("/nowhere/libgone.so.1")
    index = scan_root(root)
    for name in ("libx.so.1", "libgone.so.1"):
        assert index.find(name, index.files["/usr/lib/liba.so.1"].identity) is None
