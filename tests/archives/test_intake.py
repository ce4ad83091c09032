"""What leaves a container, a store or a board: the honest comes whole, the rest is refused and touches nothing."""

from __future__ import annotations

import contextlib
import gzip
import io
import lzma
import os
import tarfile
import tracemalloc
from collections.abc import Callable, Iterator
from pathlib import Path, PurePosixPath

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from recipes.archives.intake import AbsoluteLinks, Limits, Part, RefusedError, take, take_parts
from recipes.archives.tarinput import tar_chunks
from recipes.errors import UserError


def member(
    name: str, content: bytes = b"", kind: bytes = tarfile.REGTYPE, **facts: object
) -> tuple[tarfile.TarInfo, bytes]:
    info = tarfile.TarInfo(name)
    info.type, info.size = kind, len(content)
    for fact, value in facts.items():
        setattr(info, fact, value)
    return info, content


def link(name: str, target: str, kind: bytes = tarfile.SYMTYPE) -> tuple[tarfile.TarInfo, bytes]:
    return member(name, kind=kind, linkname=target)


def stream(*members: tuple[tarfile.TarInfo, bytes], form: int = tarfile.PAX_FORMAT) -> Iterator[bytes]:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w", format=form) as archive:
        for info, content in members:
            archive.addfile(info, io.BytesIO(content))
    data = buffer.getvalue()
    return (data[start : start + 1000] for start in range(0, len(data), 1000))


@pytest.fixture
def into(tmp_path: Path) -> Path:
    (tmp_path / "victim").mkdir()
    (tmp_path / "victim" / "key").write_text("secret")
    (tmp_path / "into").mkdir()
    return tmp_path / "into"


def untouched(into: Path) -> bool:
    victim = into.parent / "victim"
    return {path.name for path in victim.iterdir()} == {"key"} and (victim / "key").read_text() == "secret"


@pytest.mark.parametrize("form", [tarfile.PAX_FORMAT, tarfile.GNU_FORMAT, tarfile.USTAR_FORMAT])
def test_an_honest_tree_comes_whole(into: Path, form: int) -> None:
    deep = "a/" + "b" * 90 + "/" + "c" * 60
    taken = take(
        stream(
            member("bin", kind=tarfile.DIRTYPE, mode=0o700),
            member("bin/app", b"program", mode=0o4755),
            member("lib/libx.so.1.2", b"x" * 70_000, mode=0o640),
            link("lib/libx.so", "libx.so.1.2"),
            link("lib64", "lib"),
            member(deep, b"deep"),
            link("bin/again", "bin/app", tarfile.LNKTYPE),
            form=form,
        ),
        into,
    )
    assert (into / "bin/app").read_bytes() == b"program"
    assert (into / "bin/app").stat().st_mode & 0o7777 == 0o755
    assert (into / "lib/libx.so.1.2").stat().st_mode & 0o7777 == 0o644
    assert (into / "lib64/libx.so").read_bytes() == b"x" * 70_000
    assert (into / deep).read_bytes() == b"deep"
    assert (into / "bin/again").read_bytes() == b"program"
    assert (into / "bin/again").stat().st_nlink == 1
    assert set(taken.links) == {"lib/libx.so", "lib64"}


def test_leading_folders_are_left_away(into: Path) -> None:
    take(stream(member("bc/out/usr/lib/a", b"1"), link("bc/out/usr/lib/b", "a")), into, strip=2)
    assert (into / "usr/lib/b").read_bytes() == b"1"


def test_an_absolute_link_of_a_root_stays_in_it(into: Path) -> None:
    take(stream(member("lib/a", b"1"), link("usr/lib/b", "/lib/a")), into, absolute=AbsoluteLinks.INSIDE)
    assert os.readlink(into / "usr/lib/b") == "../../lib/a"
    assert (into / "usr/lib/b").read_bytes() == b"1"


def test_what_is_beside_the_folder_is_passed_over(into: Path) -> None:
    rows = (
        member("out", kind=tarfile.DIRTYPE),
        member("out/etc/passwd", b"x"),
        link("out/beside", "/etc"),
        member("out/bc/prefix", kind=tarfile.DIRTYPE),
        member("out/bc/prefix/lib/a", b"1"),
        link("out/bc/prefix/lib/again", "out/bc/prefix/lib/a", tarfile.LNKTYPE),
        link("out/bc/prefix/share/a", "/bc/prefix/lib/a"),
        member("out/bc/prefixed", b"x"),
    )
    below, root = PurePosixPath("out/bc/prefix"), PurePosixPath("/bc/prefix")
    taken = take(stream(*rows), into, below=below, absolute=AbsoluteLinks.INSIDE, root=root)
    assert set(taken.files) == {"lib/a", "lib/again"}
    assert os.readlink(into / "share/a") == "../lib/a"
    assert sorted(path.name for path in into.iterdir()) == ["lib", "share"]


@pytest.mark.parametrize("target", ["/etc/passwd", "/bc/prefix/../own", "/bc/prefixed/a", "/", "//etc"])
def test_an_absolute_link_beside_the_root_is_refused(into: Path, target: str) -> None:
    root = PurePosixPath("/bc/prefix")
    with pytest.raises(RefusedError, match="refused"):
        take(stream(link("a", target)), into, absolute=AbsoluteLinks.INSIDE, root=root)
    assert not list(into.iterdir())


@pytest.mark.parametrize("top", ["out", "out/bc", "out/bc/prefix"])
@pytest.mark.parametrize("kind", [tarfile.SYMTYPE, tarfile.REGTYPE, tarfile.FIFOTYPE, tarfile.CHRTYPE, tarfile.LNKTYPE])
def test_what_should_be_a_folder_and_is_none_is_refused(into: Path, top: str, kind: bytes) -> None:
    with pytest.raises(RefusedError) as caught:
        take(stream(member(top, kind=kind, linkname="/etc")), into, below=PurePosixPath("out/bc/prefix"))
    assert "no folder" in caught.value.why
    with pytest.raises(RefusedError):
        take(stream(member(top, kind=kind, linkname="/etc")), into, strip=3)


def test_a_large_file_by_many_names_counts_each_time(into: Path) -> None:
    rows = [member("a", bytes(1 << 20)), *(link(f"b{number}", "a", tarfile.LNKTYPE) for number in range(40))]
    with pytest.raises(RefusedError) as caught:
        take(stream(*rows), into, limits=Limits(bytes=8 << 20))
    assert "makes more than" in caught.value.why
    assert sum(path.stat().st_size for path in into.iterdir()) <= 8 << 20


def test_folders_are_for_all_to_read_whatever_the_umask(into: Path) -> None:
    old = os.umask(0o077)
    try:
        take(stream(member("a/b/c", b"1", mode=0o600)), into)
    finally:
        os.umask(old)
    assert {path.stat().st_mode & 0o7777 for path in into.rglob("*")} == {0o755, 0o644}


def test_a_link_that_leads_out_of_a_root_is_left_out_where_that_is_asked_for(into: Path) -> None:
    rows = (member("lib/a", b"1"), link("lib/out", "../../etc"), link("lib/in", "a"), link("lib/loop", "loop"))
    taken = take(stream(*rows), into, skip_odd=True)
    assert set(taken.left_out) == {"lib/out", "lib/loop"}
    assert sorted(path.name for path in (into / "lib").iterdir()) == ["a", "in"]


HOSTILE = {
    "a name from the root on": [member("/etc/passwd", b"x")],
    "a name that goes up": [member("../victim/new", b"x")],
    "a name that goes up later": [member("a/../../victim/new", b"x")],
    "a link to a folder of this machine, and a file through it": [link("out", "../victim"), member("out/new", b"x")],
    "an absolute link": [link("out", "/etc")],
    "a link that leads out": [link("debug", "../../..")],
    "a link that leads out by another link": [
        member("a/b/c", kind=tarfile.DIRTYPE),
        link("here", "a/b/c"),
        link("out", "here/../../../../victim"),
    ],
    "a chain of links longer than a path may be": [
        *(link(f"{'d' * 200}{number}", f"{'d' * 200}{number + 1}") for number in range(70)),
    ],
    "two links that point at each other": [link("a", "b/x"), link("b", "a/y")],
    "a file in the place of a link": [link("a", "b"), member("a", b"x")],
    "a link in the place of a file": [member("a", b"x"), link("a", "../victim/key")],
    "a file under a file": [member("a", b"x"), member("a/b", b"x")],
    "a hard link to a file of this machine": [link("a", "/etc/passwd", tarfile.LNKTYPE)],
    "a hard link that goes up": [link("a", "../victim/key", tarfile.LNKTYPE)],
    "a hard link to what did not come": [link("a", "b", tarfile.LNKTYPE)],
    "a device": [member("zero", kind=tarfile.CHRTYPE, devmajor=1, devminor=5)],
    "a block device": [member("disk", kind=tarfile.BLKTYPE)],
    "a pipe": [member("pipe", kind=tarfile.FIFOTYPE)],
    "a line break in a name": [member("a\nb", b"x")],
    "an escape sequence in a name": [member("\x1b[2Ja", b"x")],
    "an escape sequence in a target": [link("a", "\x1b]0;x\x07")],
    "an empty target": [link("a", "")],
    "a hundred folders": [member("/".join("d" * 100), b"x")],
}


@pytest.mark.hostile(kind="build")
@pytest.mark.parametrize("what", HOSTILE)
@pytest.mark.parametrize("form", [tarfile.PAX_FORMAT, tarfile.GNU_FORMAT])
def test_the_hostile_is_refused_and_touches_nothing(into: Path, what: str, form: int) -> None:
    with pytest.raises(RefusedError) as caught:
        take(stream(*HOSTILE[what], form=form), into)
    assert untouched(into)
    assert str(caught.value).replace("\n", "").isprintable()


def test_devices_of_a_root_are_left_out_where_that_is_asked_for(into: Path) -> None:
    taken = take(stream(HOSTILE["a device"][0], member("etc/a", b"1")), into, skip_odd=True)
    assert taken.left_out == ("zero",)
    assert sorted(path.name for path in into.iterdir()) == ["etc"]


def header(name: bytes, size: int, kind: bytes, **patches: bytes) -> bytes:
    """Write a header by hand, for what tarfile would not write."""
    fields = name.ljust(100, b"\0") + b"0000644\0" + b"0000000\0" * 2
    fields += (b"%011o\0" % size if size < 8**11 else b"\x80" + size.to_bytes(11, "big")) + b"00000000000\0"
    fields = (fields + b" " * 8 + kind).ljust(257, b"\0") + b"ustar\x0000"
    block = bytearray(fields.ljust(512, b"\0"))
    for at, data in patches.items():
        block[int(at[2:]) : int(at[2:]) + len(data)] = data
    block[148:156] = b"%06o\0 " % sum(block)
    return bytes(block)


def pax(record: bytes) -> bytes:
    """Write an extended header of one record; its length counts its own digits."""
    length = len(record) + 2
    while length != len(str(length)) + len(record) + 2:
        length += 1
    body = b"%d %s\n" % (length, record)
    return header(b"x", len(body), b"x") + body.ljust(-(-len(body) // 512) * 512, b"\0")


BOMBS = {
    "an extended header of a tebibyte": header(b"x", 1 << 40, b"x"),
    "a long name of a gibibyte": header(b"././@LongLink", 1 << 30, b"L"),
    "a file that is not there": header(b"a", 1 << 40, b"0") + b"x" * 4096,
    "a sparse file of a tebibyte": header(b"a", 0, b"S"),
    "a number that is none": header(b"a", 0, b"0", at124=b"99999999999\0"),
    "a negative length": header(b"a", 0, b"0", at124=b"\xff" * 12),
    "a wrong checksum": header(b"a", 0, b"0")[:-1] + b"x",
    "a stream that ends within a header": header(b"a", 0, b"0")[:300],
    "a name of 60 kB": pax(b"path=" + b"a/" * 30_000) + header(b"a", 0, b"0"),
    "a kind nobody knows": header(b"a", 0, b"Z"),
}


@pytest.mark.hostile(kind="build")
@pytest.mark.parametrize("what", BOMBS)
def test_a_bomb_takes_no_memory(into: Path, what: str) -> None:
    tracemalloc.start()
    with pytest.raises(RefusedError):
        take(iter([BOMBS[what]]), into)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 2_000_000
    assert untouched(into)


@pytest.mark.hostile(kind="build")
def test_an_endless_stream_ends(into: Path) -> None:
    def endless() -> Iterator[bytes]:
        yield header(b"a", 1 << 40, b"0")
        while True:
            yield bytes(1 << 16)

    with pytest.raises(RefusedError, match="longer than"):
        take(endless(), into, limits=Limits(bytes=1 << 20))


@pytest.mark.hostile(kind="build")
def test_a_million_members_end(into: Path) -> None:
    members = (header(b"f%d" % number, 0, b"0") for number in range(1_000_000))
    with pytest.raises(RefusedError, match="more than 100"):
        take(members, into, limits=Limits(members=100))


NAMES = st.sampled_from(["a", "b", "..", ".", "", "c", "/", "a/b", "../victim", "b/../..", "victim/key"])
PATHS = st.lists(NAMES, min_size=1, max_size=4).map("/".join)
KINDS = st.sampled_from([tarfile.REGTYPE, tarfile.DIRTYPE, tarfile.SYMTYPE, tarfile.LNKTYPE, tarfile.CHRTYPE])


@pytest.mark.hostile(kind="build")
@settings(max_examples=300, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(st.tuples(PATHS, KINDS, PATHS), max_size=8), st.sampled_from(AbsoluteLinks))
def test_no_sequence_of_members_reaches_outside(
    tmp_path_factory: pytest.TempPathFactory, rows: list[tuple[str, bytes, str]], absolute: AbsoluteLinks
) -> None:
    """What was taken resolves inside, by the kernel's own word; what is outside stays as it was."""
    folder = tmp_path_factory.mktemp("fuzz")
    (folder / "victim").mkdir()
    (folder / "victim" / "key").write_text("secret")
    into = folder / "into"
    into.mkdir()
    members = [
        member(name, b"x" if kind == tarfile.REGTYPE else b"", kind, linkname=target) for name, kind, target in rows
    ]
    try:
        take(stream(*members), into, absolute=absolute)
    except UserError:
        pass
    else:
        for path in into.rglob("*"):
            assert path.resolve().is_relative_to(into.resolve()) or not path.exists()
    assert untouched(into)


@pytest.mark.hostile(kind="build")
@settings(max_examples=200, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.data())
def test_a_damaged_stream_is_refused_or_read(tmp_path_factory: pytest.TempPathFactory, data: st.DataObject) -> None:
    whole = bytearray(b"".join(stream(member("a/b", b"x" * 700), link("c", "a/b"), member("d" * 120, b"y"))))
    for _ in range(data.draw(st.integers(1, 4))):
        whole[data.draw(st.integers(0, len(whole) - 1))] = data.draw(st.integers(0, 255))
    cut = whole[: data.draw(st.integers(0, len(whole)))]
    into = tmp_path_factory.mktemp("fuzz")
    with contextlib.suppress(UserError):
        take(iter([bytes(cut)]), into)


@pytest.mark.parametrize("pack", [bytes, gzip.compress, lzma.compress])
def test_a_file_of_sources_is_taken_and_what_is_beside_its_folder_is_left(
    tmp_path: Path, pack: Callable[[bytes], bytes]
) -> None:
    rows = (
        member("package.xml", b"x"),
        member("demo-1/configure", b"#!/bin/sh", mode=0o4755),
        link("demo-1/up", "../.."),
    )
    (tmp_path / "demo.tar").write_bytes(pack(b"".join(stream(*rows))))
    into = tmp_path / "into"
    into.mkdir()
    taken = take(tar_chunks(tmp_path / "demo.tar"), into, strip=1, skip_odd=True)
    assert (taken.files, set(taken.left_out)) == (("configure",), {"package.xml", "up"})
    assert (into / "configure").stat().st_mode & 0o7777 == 0o755


@pytest.mark.hostile(kind="build")
def test_a_damaged_file_of_sources_is_refused(tmp_path: Path) -> None:
    (tmp_path / "demo.tar").write_bytes(gzip.compress(b"".join(stream(member("demo-1/a", b"x" * 9999))))[:-30])
    (tmp_path / "into").mkdir()
    with pytest.raises(RefusedError, match="what came is refused"):
        take(tar_chunks(tmp_path / "demo.tar"), tmp_path / "into", strip=1, skip_odd=True)


@pytest.fixture
def halves(into: Path) -> tuple[Part, Part]:
    for name in ("tree", "debug"):
        (into / name).mkdir()
    tree = Part(into=into / "tree", below=PurePosixPath("left/out/prefix"), absolute=AbsoluteLinks.INSIDE)
    return tree, Part(into=into / "debug", below=PurePosixPath("left/debug"))


def test_two_folders_of_one_stream_are_taken_each_for_itself(into: Path, halves: tuple[Part, Part]) -> None:
    tree, debug = take_parts(
        stream(
            member("left/out/prefix/bin/app", b"program"),
            member("left/debug/app.debug", b"symbols"),
            member("left/out/beside", b"not taken"),
            link("left/out/prefix/bin/again", "/bin/app"),
        ),
        halves,
    )
    assert (tree.files, tree.links, debug.files) == (("bin/app",), ("bin/again",), ("app.debug",))
    assert (into / "tree/bin/again").read_bytes() == b"program"
    assert (into / "debug/app.debug").read_bytes() == b"symbols"
    assert untouched(into)


@pytest.mark.parametrize(
    "bad",
    [
        link("left/out/prefix/lib", "../../../debug"),
        link("left/debug/key", "../../../victim/key"),
        link("left/debug", "out"),
        link("left/debug/app", "left/out/prefix/bin/app", tarfile.LNKTYPE),
        member("left/out", b"a file"),
    ],
)
def test_a_part_has_no_way_into_another(
    into: Path, halves: tuple[Part, Part], bad: tuple[tarfile.TarInfo, bytes]
) -> None:
    with pytest.raises(RefusedError):
        take_parts(stream(member("left/out/prefix/bin/app", b"program"), bad), halves)
    assert untouched(into)


def test_limits_are_of_all_parts_together(halves: tuple[Part, Part]) -> None:
    half = (member("left/out/prefix/a", b"x"), member("left/debug/a", b"x"))
    with pytest.raises(RefusedError, match="one more than 1 members"):
        take_parts(stream(*half), halves, limits=Limits(members=1))


def test_a_name_that_the_disk_has_already_is_left_out_of_a_root(into: Path) -> None:
    """As on a disk to which xt_MARK.h and xt_mark.h are one file; elsewhere it is refused."""
    (into / "xt_mark.h").write_bytes(b"first")
    members = (member("xt_mark.h", b"second"), member("after", b"x"))
    with pytest.raises(UserError):
        take(stream(*members), into)
    taken = take(stream(*members), into, skip_odd=True)
    assert taken.left_out == ("xt_mark.h",)
    assert (into / "xt_mark.h").read_bytes() == b"first"
    assert (into / "after").read_bytes() == b"x"
