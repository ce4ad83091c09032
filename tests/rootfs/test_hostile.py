"""A root that somebody gave us as a tar: damaged, huge or twisted ones end in words, and cost next to nothing."""

from __future__ import annotations

import bz2
import gzip
import io
import lzma
import tarfile
import tracemalloc
from collections.abc import Callable
from pathlib import Path

import pytest

from recipes.errors import ConfigError
from recipes.rootfs.index import scan_root
from tests.support.smallelf import small_elf

Rows = list[tuple[str, bytes, bytes, str]]
PACKINGS: dict[str, Callable[[bytes], bytes]] = {
    "plain": bytes,
    "gzip": gzip.compress,
    "bzip2": bz2.compress,
    "xz": lzma.compress,
    "lzma": lambda data: lzma.compress(data, format=lzma.FORMAT_ALONE),
    "two streams of gzip": lambda data: gzip.compress(data[:700]) + gzip.compress(data[700:]),
    "two streams of bzip2": lambda data: bz2.compress(data[:700]) + bz2.compress(data[700:]),
    "padded xz": lambda data: lzma.compress(data) + bytes(8),
}


def zstd(data: bytes) -> bytes:
    import zstandard

    return zstandard.ZstdCompressor().compress(data)


def tar(rows: Rows, form: int = tarfile.GNU_FORMAT) -> bytes:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w", format=form) as archive:
        for name, kind, content, target in rows:
            member = tarfile.TarInfo(name)
            member.type, member.linkname, member.size = kind, target, len(content)
            archive.addfile(member, io.BytesIO(content))
    return buffer.getvalue()


def root_tar(folder: Path, data: bytes) -> Path:
    folder.mkdir(exist_ok=True)
    (folder / "root.tar").write_bytes(data)
    return folder / "root.tar"


LIBRARY: Rows = [
    ("usr/lib", tarfile.DIRTYPE, b"", ""),
    ("usr/lib/libssl.so.3", tarfile.REGTYPE, small_elf(), ""),
    ("usr/lib/libssl.so", tarfile.SYMTYPE, b"", "libssl.so.3"),
    ("usr/lib/again.so", tarfile.LNKTYPE, b"", "usr/lib/libssl.so.3"),
    ("usr/lib/third.so", tarfile.LNKTYPE, b"", "./usr/lib/again.so"),
    ("etc/ld.so.conf", tarfile.REGTYPE, b"/opt/lib\n", ""),
]


@pytest.mark.parametrize("packing", [*PACKINGS, "zstd"])
@pytest.mark.parametrize("form", [tarfile.GNU_FORMAT, tarfile.PAX_FORMAT])
def test_every_packing_gives_the_same_index(tmp_path: Path, packing: str, form: int) -> None:
    made = (PACKINGS | {"zstd": zstd})[packing](tar(LIBRARY, form))
    root = root_tar(tmp_path, made)
    index = scan_root(root)
    assert set(index.files) == {"/usr/lib/libssl.so.3", "/usr/lib/again.so", "/usr/lib/third.so"}
    assert index.links == {"/usr/lib/libssl.so": "libssl.so.3"}
    assert bool(index.places) is (packing == "plain")
    assert len(set(index.digests(index.files).values())) == 1
    assert index.content("/usr/lib/third.so") == small_elf()
    assert index.fingerprint == scan_root(root_tar(tmp_path / "plain", tar(LIBRARY))).fingerprint


def bomb(kind: bytes, size: int) -> bytes:
    """Return a tar of one header that promises `size` bytes."""
    member = tarfile.TarInfo("usr/lib/libbomb.so")
    member.type, member.size = kind, size
    return member.tobuf(tarfile.GNU_FORMAT)


def long_name(size: int) -> bytes:
    member = tarfile.TarInfo("././@LongLink")
    member.type, member.size = tarfile.GNUTYPE_LONGNAME, size
    return member.tobuf(tarfile.GNU_FORMAT)


def extended(record: bytes) -> bytes:
    """Return a tar of one extended header and a file that it is about."""
    head = tarfile.TarInfo("pax")
    head.type, head.size = tarfile.XHDTYPE, len(record)
    return head.tobuf(tarfile.USTAR_FORMAT) + record + bytes(-len(record) % 512) + bomb(tarfile.REGTYPE, 0)


REFUSED: dict[str, bytes] = {
    "nothing": b"",
    "no tar": b"x" * 4096,
    "an end and no begin": bytes(1024),
    "a cut tar": tar(LIBRARY)[:1500],
    "a member of a TiB": bomb(tarfile.REGTYPE, 1 << 40),
    "a sparse member": bomb(tarfile.GNUTYPE_SPARSE, 512) + bytes(512),
    "a name of a GiB": long_name(1 << 30),
    "a size of 5,000 digits": extended(b"5011 size=" + b"9" * 5000 + b"\n"),
    "a size below nothing": extended(b"11 size=-1\n"),
    "a record of 5,000 digits": extended(b"9" * 5000 + b" path=a\n"),
    "gzip of nothing": gzip.compress(b""),
    "cut gzip": gzip.compress(tar(LIBRARY))[:200],
    "gzip of noise": gzip.compress(b"noise" * 1000),
    "damaged bzip2": b"BZh9" + b"x" * 100,
    "damaged xz": lzma.compress(tar(LIBRARY))[:60] + bytes(90),
    "xz that looks back 1 GiB": lzma.compress(
        tar(LIBRARY), filters=[{"id": lzma.FILTER_LZMA2, "dict_size": 1 << 30, "mode": lzma.MODE_FAST}]
    ),
    "zstd of noise": zstd(b"noise" * 1000),
}


@pytest.mark.hostile(kind="board")
@pytest.mark.parametrize("what", REFUSED)
def test_what_is_no_root_is_refused_in_words(tmp_path: Path, what: str) -> None:
    with pytest.raises(ConfigError, match="not a root") as caught:
        scan_root(root_tar(tmp_path, REFUSED[what]))
    assert caught.value.why


@pytest.mark.hostile(kind="board")
def test_a_bomb_in_a_packed_root_takes_no_memory(
    tmp_path: Path, record_property: Callable[[str, object], None]
) -> None:
    path = tmp_path / "root.tar.xz"
    packer = lzma.LZMACompressor(preset=0)
    with path.open("wb") as file:
        file.write(packer.compress(bomb(tarfile.REGTYPE, 2 << 30)))
        for _ in range(17):
            file.write(packer.compress(bytes(1 << 26)))
        file.write(packer.flush())
    tracemalloc.start()
    try:
        with pytest.raises(ConfigError, match="not a root") as caught:
            scan_root(path)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert "unpacks to more than 1,073,741,824 bytes" in caught.value.why
    assert peak < 16 << 20
    record_property(
        "figure",
        f"{path.stat().st_size:,} bytes of .tar.xz that unpack to more than 1 GiB: {peak >> 10:,} KiB of memory",
    )


@pytest.mark.hostile(kind="board")
def test_twisted_hard_links_come_to_an_end(tmp_path: Path) -> None:
    rows: Rows = [
        ("a.so", tarfile.LNKTYPE, b"", "b.so"),
        ("b.so", tarfile.LNKTYPE, b"", "a.so"),
        ("c.so", tarfile.LNKTYPE, b"", "c.so"),
        ("usr/lib/d.so", tarfile.LNKTYPE, b"", "../../../etc/passwd"),
        ("usr/lib/e.so", tarfile.REGTYPE, small_elf(), ""),
        ("usr/lib/f.so", tarfile.LNKTYPE, b"", "usr/lib/e.so"),
    ]
    for data in (tar(rows), gzip.compress(tar(rows))):
        index = scan_root(root_tar(tmp_path, data))
        assert set(index.files) == {"/usr/lib/e.so", "/usr/lib/f.so"}
        with pytest.raises(ConfigError, match="not in the root any more"):
            index.content("/a.so")


@pytest.mark.hostile(kind="board")
def test_a_library_of_two_gibibytes_is_named_and_not_read(tmp_path: Path) -> None:
    path = root_tar(tmp_path, bomb(tarfile.REGTYPE, 2 << 30))
    with path.open("r+b") as file:
        file.seek(512)
        file.write(b"\x7fELF")
        file.truncate(512 + (2 << 30) + 1024)  # a hole: no disk is taken
    tracemalloc.start()
    try:
        index = scan_root(path)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert "1,073,741,824 are read" in index.damaged["/usr/lib/libbomb.so"]
    assert peak < 8 << 20
