"""A root's tar from a container, written anew: the same members, and no others."""

from __future__ import annotations

import io
import tarfile
from collections.abc import Iterator

import pytest

from recipes.archives.intake import Limits, RefusedError
from recipes.archives.rewrite import rewrite_tar

Row = tuple[tarfile.TarInfo, bytes]
BIG = bytes(range(256)) * 10_000


def row(name: str, kind: bytes = tarfile.REGTYPE, content: bytes = b"", **facts: object) -> Row:
    member = tarfile.TarInfo(name)
    member.type, member.size, member.mode = kind, len(content), 0o644
    for key, value in facts.items():
        setattr(member, key, value)
    return member, content


def stream(*rows: Row, form: int = tarfile.PAX_FORMAT, part: int = 1 << 16) -> Iterator[bytes]:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w", format=form) as archive:
        for member, content in rows:
            archive.addfile(member, io.BytesIO(content))
    data = buffer.getvalue()
    return (data[at : at + part] for at in range(0, len(data), part))


def facts(member: tarfile.TarInfo) -> tuple[object, ...]:
    return member.type, member.mode, member.uid, member.gid, member.mtime, member.linkname, member.size


@pytest.mark.parametrize("form", [tarfile.PAX_FORMAT, tarfile.GNU_FORMAT, tarfile.USTAR_FORMAT])
@pytest.mark.parametrize("part", [1, 700, 1 << 16])
def test_a_root_keeps_what_a_root_has(form: int, part: int) -> None:
    rows = [
        row("./", tarfile.DIRTYPE, mode=0o755),
        row("./usr/bin", tarfile.DIRTYPE, mode=0o755),
        row("./bin", tarfile.SYMTYPE, linkname="usr/bin", mode=0o777),
        row("./usr/bin/su", content=b"su" * 400, mode=0o4755, uid=0, gid=4711, mtime=1_700_000_000),
        row("./usr/bin/again", tarfile.LNKTYPE, linkname="./usr/bin/su", mode=0o4755, gid=4711),
        row("./etc/localtime", tarfile.SYMTYPE, linkname="/usr/share/zoneinfo/UTC", mode=0o777),
        row("./usr/share/certs/Főtanúsítvány.pem", content=BIG[: 100 * part]),
        row(f"./usr/{'deep/' * 18}file", content=b"x"),
    ]
    buffer = io.BytesIO()
    assert rewrite_tar(stream(*rows, form=form, part=part), buffer, limits=Limits()) == ()
    buffer.seek(0)
    with tarfile.open(fileobj=buffer) as read:
        made = {member.name: (facts(member), None if member.issym() else read.extractfile(member)) for member in read}
        contents = {name: file.read() if file else b"" for name, (_, file) in made.items()}
    for member, content in rows:
        name = member.name.removeprefix("./").rstrip("/") or "."
        member.linkname = member.linkname.removeprefix("./")
        assert made[name][0] == facts(member)
        assert contents[name] == (contents["usr/bin/su"] if member.type == tarfile.LNKTYPE else content)
    assert len(made) == len(rows)


@pytest.mark.hostile(kind="build")
def test_devices_pipes_and_sockets_stay_behind() -> None:
    rows = [row("dev/zero", tarfile.CHRTYPE), row("dev/sda", tarfile.BLKTYPE), row("pipe", tarfile.FIFOTYPE), row("a")]
    buffer = io.BytesIO()
    assert rewrite_tar(stream(*rows), buffer, limits=Limits()) == ("dev/zero", "dev/sda", "pipe")
    buffer.seek(0)
    with tarfile.open(fileobj=buffer) as read:
        assert read.getnames() == ["a"]


REFUSED: dict[str, list[Row]] = {
    "an absolute name": [row("/etc/passwd")],
    "a name upwards": [row("usr/../../etc/passwd")],
    "a name with a line break": [row("usr/a\nb")],
    "a name through a link": [row("usr", tarfile.SYMTYPE, linkname="/tmp"), row("usr/a")],
    "a name through a file": [row("usr"), row("usr/a")],
    "a hard link through a link": [
        row("usr", tarfile.SYMTYPE, linkname="/tmp"),
        row("b", tarfile.LNKTYPE, linkname="usr/a"),
    ],
    "a hard link to what did not come": [row("a", tarfile.LNKTYPE, linkname="etc/shadow")],
    "a hard link to itself": [row("a", tarfile.LNKTYPE, linkname="a")],
    "a hard link to a folder": [row("d", tarfile.DIRTYPE), row("a", tarfile.LNKTYPE, linkname="d")],
    "a name twice": [row("a", content=b"1"), row("./a", content=b"2")],
    "a folder and a link of one name": [row("a", tarfile.DIRTYPE), row("a", tarfile.SYMTYPE, linkname="/")],
    "a link to nothing": [row("a", tarfile.SYMTYPE, linkname="\x1b")],
    "a file for the root itself": [row("./", tarfile.REGTYPE)],
    "more members than may be": [row(f"f{number}") for number in range(101)],
    "more bytes than may be": [row("a", content=bytes(1 << 20))],
    "more folders than may be": [row("d/" * 70 + "a")],
    "a sparse file": [row("a", tarfile.GNUTYPE_SPARSE)],
}


@pytest.mark.hostile(kind="build")
@pytest.mark.parametrize("what", REFUSED)
def test_what_no_root_holds_is_refused(what: str) -> None:
    with pytest.raises(RefusedError, match="what came is refused") as caught:
        rewrite_tar(stream(*REFUSED[what]), io.BytesIO(), limits=Limits(members=100, bytes=1 << 20))
    assert caught.value.why


@pytest.mark.hostile(kind="build")
def test_a_cut_stream_is_refused() -> None:
    cut = b"".join(stream(row("a", content=BIG)))[:5000]
    with pytest.raises(RefusedError):
        rewrite_tar([cut], io.BytesIO(), limits=Limits())
