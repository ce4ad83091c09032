"""The one writer of tar archives: byte for byte what tarfile itself makes of the same members."""

from __future__ import annotations

import gzip
import io
import os
import tarfile
from collections.abc import Callable
from pathlib import Path, PurePosixPath

import pytest

from deploy.boards import pull
from deploy.boards.listing import Listing
from deploy.bundle import archive
from deploy.transfer.cargo import parts_of, tar_of_parts
from recipes.archives.tarfiles import PAX, USTAR, TarEntry, read_ustar, tar_bytes, tar_parts, ustar_header
from recipes.engine.tarstream import files_tar, pack_folder
from recipes.errors import ConfigError
from recipes.stage.entry import pack_entry

LONG = "lib/" + "/".join(["a-folder-of-thirty-characters-x"] * 5) + "/libx.so.1"  # over 100 bytes: two fields of USTAR
LONGEST = "lib/" + "x" * 300  # over 255: a header of its own, in PAX only
BINARY = bytes(range(256)) * 41


def plain(form: int, write: Callable[[tarfile.TarFile], None]) -> bytes:
    """Return what tarfile makes of members that are added by hand."""
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w", format=form) as made:
        write(made)
    return buffer.getvalue()


def member(name: str, data: bytes, mode: int) -> tuple[tarfile.TarInfo, io.BytesIO]:
    info = tarfile.TarInfo(name)
    info.size, info.mode = len(data), mode
    return info, io.BytesIO(data)


def test_a_bundle_is_what_tarfile_writes() -> None:
    members = {
        LONG: (BINARY, 0o755),
        "sbom.cdx.json": (b"{}", 0o644),
        "bin/app": (b"", 0o755),
        "signature.json": (b"[]", 0o644),
        "manifest.json": (b"x" * 512, 0o644),
    }

    def by_hand(made: tarfile.TarFile) -> None:
        for name in ("manifest.json", "signature.json", "sbom.cdx.json", "bin/app", LONG):
            made.addfile(*member(name, *members[name]))

    assert archive.tar_of(members) == plain(tarfile.USTAR_FORMAT, by_hand)
    with pytest.raises(ConfigError, match="too long for a bundle"):
        archive.tar_of({LONGEST: (b"", 0o644)})


def test_an_entry_of_the_store_is_what_tarfile_writes(tmp_path: Path) -> None:
    for name in ("tree/bin/app", f"tree/{LONG}", f"tree/{'y' * 120}"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_bytes(name.encode() * 99)
    (tmp_path / "tree/bin/app").chmod(0o751)
    (tmp_path / "tree/bin").chmod(0o700)
    (tmp_path / "tree/bin/twin").hardlink_to(tmp_path / "tree/bin/app")
    (tmp_path / "tree/libx.so").symlink_to(LONG)
    (tmp_path / "tree/folder").symlink_to("bin")
    os.utime(tmp_path / "tree/bin/app", (1.5, 1_700_000_000.25))

    def by_hand(made: tarfile.TarFile) -> None:
        for path in sorted(tmp_path.rglob("*")):
            info = made.gettarinfo(path, path.relative_to(tmp_path).as_posix())
            info.uid = info.gid = info.mtime = 0
            info.uname = info.gname = ""
            info.mode = 0o755 if info.mode & 0o100 else 0o644
            if path.is_file() and not path.is_symlink():
                info.type, info.linkname, info.size = tarfile.REGTYPE, "", path.stat().st_size
                with path.open("rb") as file:
                    made.addfile(info, file)
            else:
                made.addfile(info)

    packed = io.BytesIO()
    pack_entry(tmp_path, packed)
    assert gzip.decompress(packed.getvalue()) == plain(tarfile.PAX_FORMAT, by_hand)


def test_a_pulled_root_is_what_tarfile_writes(tmp_path: Path) -> None:
    files = {f"/usr/{LONG}": "a" * 64, "/lib/ld.so": "b" * 64, f"/opt/{'z' * 120}": "c" * 64}
    for name, digest in files.items():
        (tmp_path / digest).write_bytes(name.encode() * 77)
    links = {"/lib/libx.so": "w" * 120, "/lib": "usr/lib", "/usr/lost": ""}

    def by_hand(made: tarfile.TarFile) -> None:
        for path in sorted({*files, *links}):
            if path in links:
                info = tarfile.TarInfo(path.lstrip("/"))
                info.type, info.linkname = tarfile.SYMTYPE, links[path]
                made.addfile(info)
            else:
                made.addfile(*member(path.lstrip("/"), (tmp_path / files[path]).read_bytes(), 0o755))

    entries = pull._entries(tmp_path, Listing(files=files, links=links))
    assert tar_bytes(entries) == plain(tarfile.PAX_FORMAT, by_hand)


def test_what_is_sent_to_a_board_is_what_tarfile_writes() -> None:
    blobs = {"b" * 64: BINARY, "a" * 64: b"", "c" * 64: b"not asked for"}

    def by_hand(made: tarfile.TarFile) -> None:
        for name in ("b" * 64, "a" * 64):
            made.addfile(*member(name, blobs[name], 0o644))

    stream = tar_of_parts(parts_of(["b" * 64, "a" * 64], blobs, {}))
    assert b"".join(stream) == plain(tarfile.USTAR_FORMAT, by_hand)


def test_small_files_for_a_container_are_roots() -> None:
    def by_hand(made: tarfile.TarFile) -> None:
        made.addfile(*member("Dockerfile", b"FROM x\n", 0o644))
        made.addfile(*member("run", b"#!", 0o755))

    made = files_tar({"run": (b"#!", 0o755), "Dockerfile": (b"FROM x\n", 0o644)})
    assert made == plain(tarfile.PAX_FORMAT, by_hand)


def test_a_folder_for_a_container_is_a_copy_with_its_times_and_another_owner(tmp_path: Path) -> None:
    source = tmp_path / "source"
    (source / "sub").mkdir(parents=True)
    (source / "sub" / LONGEST.rpartition("/")[2][:200]).write_bytes(BINARY)
    (source / "run").write_bytes(b"#!")
    (source / "run").chmod(0o750)
    (source / "link").symlink_to("/elsewhere")
    os.utime(source / "run", (1, 1_600_000_000.5))
    with pack_folder(source, PurePosixPath("bc/work"), "4711:42") as packed, tarfile.open(fileobj=packed) as read:
        members = {info.name: info for info in read}
        content = {name: read.extractfile(info) for name, info in members.items() if info.isfile()}
        assert {name: file.read() for name, file in content.items() if file} == {
            "bc/work/run": b"#!",
            f"bc/work/sub/{'x' * 200}": BINARY,
        }
    assert list(members) == ["bc", "bc/work", "bc/work/link", "bc/work/run", "bc/work/sub", f"bc/work/sub/{'x' * 200}"]
    assert {(info.uid, info.gid, info.uname, info.gname) for info in members.values()} == {(4711, 42, "", "")}
    assert (members["bc/work/run"].mode, members["bc/work/run"].mtime) == (0o750, 1_600_000_000.5)
    assert members["bc/work/link"].linkname == "/elsewhere"
    with (
        pack_folder(source / "run", PurePosixPath("bc/archive"), "0:0") as packed,
        tarfile.open(fileobj=packed) as read,
    ):
        assert [(info.name, info.size, info.uid) for info in read] == [("bc", 0, 0), ("bc/archive", 2, 0)]


@pytest.mark.parametrize("form", [USTAR, PAX])
def test_nothing_of_this_machine_gets_in(form: int, tmp_path: Path) -> None:
    path = tmp_path / "file"
    first = None
    for time, mode in ((1_000_000_000, 0o600), (1_700_000_000.75, 0o777)):
        path.write_bytes(BINARY)
        path.chmod(mode)
        os.utime(path, (time, time))
        made = tar_bytes([TarEntry(name="file", content=path), TarEntry(name="d", folder=True, mode=0o755)], form=form)
        assert first in (None, made)
        first = made


NAMES = ["a", "run/app", "x" * 100, f"d/{'x' * 99}", f"{'d' * 100}/x", f"{'d' * 155}/{'x' * 100}", f"{'ab/' * 84}x",
         f"{'é' * 40}/{'ü' * 50}", "broken \udcff"]  # fmt: skip
TOO_LONG = ["x" * 101, f"{'d' * 156}/x" * 2, f"d/{'é' * 51}", f"{'d' * 160}/x"]


@pytest.mark.parametrize("name", [*NAMES, *TOO_LONG])
@pytest.mark.parametrize(("size", "mode", "same_as"), [(0, 0o644, ""), (8**11 - 1, 0o7755, ""), (0, 0o755, "store/x")])
def test_a_header_is_what_tarfile_writes(name: str, size: int, mode: int, same_as: str) -> None:
    info = tarfile.TarInfo(name)
    info.size, info.mode, info.linkname = size, mode, same_as
    info.type = tarfile.LNKTYPE if same_as else tarfile.REGTYPE
    if name in TOO_LONG:
        with pytest.raises(ValueError, match="name is too long"):
            info.tobuf(tarfile.USTAR_FORMAT, "utf-8")
        with pytest.raises(ValueError, match="name is too long"):
            ustar_header(name, size, mode, same_as)
        return
    made = ustar_header(name, size, mode, same_as)
    assert made == info.tobuf(tarfile.USTAR_FORMAT, "utf-8")
    assert read_ustar(made) == (None if same_as else (name, size, mode))


@pytest.mark.parametrize(("size", "link", "owner"), [(8**11, "", (0, 0)), (0, "x" * 101, (0, 0)), (0, "", (8**7, 0))])
def test_what_a_header_has_no_room_for_is_refused(size: int, link: str, owner: tuple[int, int]) -> None:
    with pytest.raises(ValueError, match="no room"):
        ustar_header("file", size, 0o644, link, owner)


def test_a_header_with_any_byte_changed_is_none_of_ours() -> None:
    made = ustar_header("lib/libx.so", 4711, 0o755)
    for at in range(len(made)):
        changed = made[:at] + bytes([made[at] ^ 1]) + made[at + 1 :]
        assert read_ustar(changed) is None, f"byte {at}"


@pytest.mark.parametrize(
    "entry", [TarEntry(name="d", folder=True), TarEntry(name="l", link="x"), TarEntry(name="t", time=1.0)]
)
def test_parts_are_of_files_and_hard_links_alone(entry: TarEntry) -> None:
    with pytest.raises(ValueError, match="neither"):
        list(tar_parts([entry]))
