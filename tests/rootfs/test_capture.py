"""The captured index: small, a line a library, and as good as the root that it was taken of."""

from __future__ import annotations

import hashlib
import json
import shutil
import tracemalloc
from dataclasses import replace
from pathlib import Path

import pytest
import zstandard

from deploy.boards.index import capture_index
from deploy.reports.root_diff import root_differences
from recipes import paths
from recipes.errors import ConfigError
from recipes.rootfs.capture import INDEX_NAME, SYMBOLS_NAME, read_capture, relevant_part, write_capture
from recipes.rootfs.index import scan_root


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """Return a root with a program, two libraries and a link, of this machine's own files."""
    made = tmp_path / "root"
    (made / "usr/lib").mkdir(parents=True)
    (made / "usr/bin").mkdir()
    (made / "lib64").symlink_to("usr/lib")
    for name in ("libc.so.6", "libz.so.1", "ld-linux-x86-64.so.2"):
        source = next(Path("/lib/x86_64-linux-gnu").glob(name)).resolve()
        shutil.copy(source, made / "usr/lib" / f"{name}.real")
        (made / "usr/lib" / name).symlink_to(f"{name}.real")
    shutil.copy(Path("/bin/true").resolve(), made / "usr/bin/true")
    (made / "usr/bin/t").symlink_to("true")
    return made


def test_what_is_read_back_is_what_was_there(root: Path, tmp_path: Path) -> None:
    index = scan_root(root)
    write_capture(tmp_path / "cam", index, "cam")
    again = read_capture(tmp_path / "cam")
    kept = relevant_part(index)
    assert (again.files, again.links, again.directories) == (kept.files, kept.links, kept.directories)
    assert (again.loader, again.cache, again.fingerprint) == (index.loader, index.cache, index.fingerprint)
    assert again.digests(again.files) == index.digests(kept.files)
    assert root_differences(index, again) == []


def test_the_settings_by_which_files_are_opened_are_read_back(root: Path, tmp_path: Path) -> None:
    (root / "etc" / "ssl").mkdir(parents=True)
    (root / "etc" / "nsswitch.conf").write_text("hosts: files dns\n")
    (root / "etc" / "ssl" / "openssl.cnf").write_text("# nothing\n" + "x" * (1 << 17))
    before = scan_root(root)
    write_capture(tmp_path / "cam", before, "cam")
    texts = read_capture(tmp_path / "cam").texts
    assert texts is not None
    assert texts == before.texts
    assert texts["/etc/nsswitch.conf"] == "hosts: files dns\n"
    assert len(texts["/etc/ssl/openssl.cnf"]) == 1 << 16
    (root / "etc" / "nsswitch.conf").write_text("hosts: files\n")
    assert scan_root(root).fingerprint != before.fingerprint


@pytest.mark.parametrize("expands", [True, False])
def test_what_the_loader_knows_is_read_back(root: Path, tmp_path: Path, *, expands: bool) -> None:
    write_capture(tmp_path / "cam", replace(scan_root(root), expands=expands), "cam")
    assert read_capture(tmp_path / "cam").expands is expands


def test_programs_stay_out_and_the_links_to_libraries_do_not(root: Path, tmp_path: Path) -> None:
    data = json.loads(write_capture(tmp_path, scan_root(root), "cam").read_text())
    assert "/usr/bin/true" not in data["files"]
    assert "/usr/bin/t" not in data["links"]
    assert data["links"]["/usr/lib/libz.so.1"] == "libz.so.1.real"
    assert data["links"]["/lib64"] == "usr/lib"


def test_the_same_root_gives_the_same_bytes_and_one_library_one_line(root: Path, tmp_path: Path) -> None:
    first = write_capture(tmp_path / "a", scan_root(root), "cam").read_text().splitlines()
    assert write_capture(tmp_path / "b", scan_root(root), "cam").read_text().splitlines() == first
    with (root / "usr/lib/libz.so.1.real").open("ab") as file:
        file.write(b"\0")
    second = write_capture(tmp_path / "c", scan_root(root), "cam").read_text().splitlines()
    differ = [new for old, new in zip(first, second, strict=True) if old != new]
    assert len(differ) == 2, "the fingerprint and the library"
    assert any("libz.so.1.real" in line for line in differ)


def test_what_was_not_captured_has_no_hash(root: Path, tmp_path: Path) -> None:
    write_capture(tmp_path, scan_root(root), "cam")
    with pytest.raises(ConfigError, match="was not captured"):
        read_capture(tmp_path).digests(["/usr/bin/true"])


@pytest.mark.parametrize(
    ("change", "says"),
    [
        (lambda text: text.replace('"schema": 3', '"schema": 1'), "schema 1"),
        (lambda text: text[: len(text) // 2], "damaged"),
        (lambda text: text.replace('"size"', '"bytes"', 1), "damaged"),
        (lambda _: "[]", "damaged"),
    ],
)
def test_an_old_or_damaged_index_is_refused_with_the_next_command(
    root: Path, tmp_path: Path, change: object, says: str
) -> None:
    where = write_capture(tmp_path, scan_root(root), "cam")
    where.write_text(change(where.read_text()))  # type: ignore[operator]
    with pytest.raises(ConfigError, match=says) as caught:
        read_capture(tmp_path)
    assert "sysroot" in caught.value.next_step


def test_symbols_of_another_board_are_refused(root: Path, tmp_path: Path) -> None:
    write_capture(tmp_path, scan_root(root), "cam")
    (tmp_path / SYMBOLS_NAME).write_bytes(b"other")
    with pytest.raises(ConfigError, match="is not the one"):
        read_capture(tmp_path)
    (tmp_path / SYMBOLS_NAME).unlink()
    with pytest.raises(ConfigError, match="no captured index"):
        read_capture(tmp_path)


def test_a_root_of_another_architecture_is_not_captured(
    root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    boards = tmp_path / "boards"
    (boards / "cam").mkdir(parents=True)
    monkeypatch.setattr(paths, "BOARDS", boards)
    text = 'schema = 1\narch = "{}"\nsysroot = "debian12-armv7"\nrecipes = ["boardprobe"]\n'
    (boards / "cam" / "board.toml").write_text(text.format("armv7"))
    with pytest.raises(ConfigError, match="not one for cam") as caught:
        capture_index(scan_root(root), "cam")
    assert "armv7" in caught.value.why
    assert not (boards / "cam" / INDEX_NAME).exists()
    (boards / "cam" / "board.toml").write_text(text.format("x86_64"))
    assert capture_index(scan_root(root), "cam").is_file()


def planted(folder: Path, packed: bytes) -> None:
    """Give a captured index other symbols, and the hash that fits them: whoever can change one file can do both."""
    (folder / SYMBOLS_NAME).write_bytes(packed)
    data = json.loads((folder / INDEX_NAME).read_text())
    data["symbols"] = hashlib.sha256(packed).hexdigest()
    (folder / INDEX_NAME).write_text(json.dumps(data))


@pytest.mark.hostile(kind="bundle")
@pytest.mark.parametrize("stated", [True, False])
def test_symbols_that_unpack_to_gigabytes_are_refused_and_take_no_memory(
    root: Path, tmp_path: Path, *, stated: bool
) -> None:
    write_capture(tmp_path, scan_root(root), "cam")
    size = 6 << 30
    writer = zstandard.ZstdCompressor(level=3).compressobj(**({"size": size} if stated else {}))
    packed = b"".join(writer.compress(bytes(1 << 24)) for _ in range(size >> 24)) + writer.flush()
    assert len(packed) < 1 << 20
    planted(tmp_path, packed)
    tracemalloc.start()
    with pytest.raises(ConfigError, match="the index is damaged") as caught:
        read_capture(tmp_path)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert "unpacks to" in caught.value.why
    assert peak < 48 << 20


@pytest.mark.hostile(kind="bundle")
@pytest.mark.parametrize("text", [b"[" * 200_000, b"[" + b"[],[]," * 400_000, b'{"files": {"\\ud800": 1}}', b"\xff"])
def test_symbols_that_are_no_symbols_are_refused(root: Path, tmp_path: Path, text: bytes) -> None:
    write_capture(tmp_path, scan_root(root), "cam")
    planted(tmp_path, zstandard.ZstdCompressor(level=3).compress(text))
    with pytest.raises(ConfigError, match="the index is damaged"):
        read_capture(tmp_path)
