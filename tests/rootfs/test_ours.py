"""An index says what a board has by itself: our releases on it are left out, marked or as older versions made them."""

from __future__ import annotations

import tarfile
from pathlib import Path

import pytest

from recipes.rootfs.cache import load_index
from recipes.rootfs.index import Index, scan_root
from tests.support.smallelf import small_elf


def deployed(root: Path, ours: str, *, marker: bool) -> None:
    """Lay out a release as the board's scripts do: contents in the store, a release of hard links, and its list."""
    base = root / ours
    for folder in ("store", "incoming", "releases/abc/lib"):
        (base / folder).mkdir(parents=True)
    (base / "store" / "blob.x").write_bytes(small_elf())
    (base / "releases/abc/lib/libssl.so.3").hardlink_to(base / "store" / "blob.x")
    (base / "releases/abc/lib/libssl.so").symlink_to("libssl.so.3")
    (base / "releases/abc/.list").write_text("blob.x lib/libssl.so.3\n")
    (base / "current").symlink_to("releases/abc")
    if marker:
        (base / ".boardcast").touch()


@pytest.fixture
def root(tmp_path: Path) -> Path:
    folder = tmp_path / "root"
    (folder / "usr/lib").mkdir(parents=True)
    (folder / "opt/vendor/releases/2024").mkdir(parents=True)
    (folder / "usr/lib/libssl.so.3").write_bytes(small_elf())
    # Somebody else's folder of releases has a list too, and no store of contents.
    (folder / "opt/vendor/releases/2024/.list").touch()
    (folder / "opt/vendor/releases/2024/libvendor.so.1").write_bytes(small_elf())
    return folder


def packed(root: Path, compression: str) -> Path:
    target = root.with_name(f"root{compression}.tar")
    with tarfile.open(target, f"w:{compression}") as archive:  # type: ignore[call-overload]
        archive.add(root, ".")
    return target


def facts(index: Index) -> tuple[object, ...]:
    return index.files, index.links, index.damaged, index.fingerprint


@pytest.mark.parametrize("form", ["folder", "", "gz"])
@pytest.mark.parametrize("marker", [True, False])
@pytest.mark.parametrize("ours", ["opt/boardcast", "usr/lib/old-root"])
def test_a_root_with_our_release_has_the_index_of_one_without(root: Path, form: str, marker: bool, ours: str) -> None:
    before = scan_root(root if form == "folder" else packed(root, form))
    deployed(root, ours, marker=marker)
    after = scan_root(root if form == "folder" else packed(root, form))
    assert facts(after) == facts(before)
    assert set(after.files) == {"/usr/lib/libssl.so.3", "/opt/vendor/releases/2024/libvendor.so.1"}
    assert not [path for path in after.places if "boardcast" in path or "old-root" in path]


def test_a_kept_index_sees_the_marker_arrive(cache: Path, root: Path) -> None:
    deployed(root, "opt/boardcast", marker=False)
    (root / "opt/boardcast/releases/abc/.list").unlink()
    assert "/opt/boardcast/store/blob.x" in load_index(root).files
    (root / "opt/boardcast/.boardcast").touch()
    assert "/opt/boardcast/store/blob.x" not in load_index(root).files


def test_a_marker_at_the_top_hides_nothing(root: Path) -> None:
    (root / ".boardcast").touch()
    assert scan_root(root).files
