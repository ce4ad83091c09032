"""A changed file as a difference: smaller than all of it, and put together by the tools that boards have."""

from __future__ import annotations

import random
import shutil
import subprocess
from pathlib import Path

import pytest

from deploy.transfer.cargo import Part, with_deltas
from deploy.transfer.delta import make_delta
from deploy.transfer.means import Means, Way
from deploy.transfer.packing import Packing, pack
from deploy.transfer.send import send_parts
from tests.support.localboard import LocalSession
from tests.transfer.test_receive import named, session, store

pytestmark = pytest.mark.process
__all__ = ["session"]
TAR = Means(way=Way.TAR, packing=Packing.GZIP, patch=True)


def library(size: int, seed: int = 5) -> bytes:
    """Return bytes like those of a program: words that come again, calls of which each is another."""
    draw = random.Random(seed)
    words = [draw.randbytes(4) for _ in range(3000)]
    return b"".join(draw.choice(words) for _ in range(size // 4))


def patched(data: bytes, *, at: int, more: int) -> bytes:
    """Return it after a small change: some code more, and each call past it is of another length."""
    new = bytearray(data[:at] + random.Random(8).randbytes(more) + data[at:])
    for place in range(2048, len(new) - 4, 120):
        new[place : place + 4] = (int.from_bytes(new[place : place + 4], "little") + more & 0xFFFFFFFF).to_bytes(
            4, "little"
        )
    return bytes(new)


OLD = library(250_000)
CASES = {
    "a patch": (OLD, patched(OLD, at=80_000, more=292)),
    "bytes put in at the begin": (OLD, b"odd" + OLD),
    "bytes taken out": (OLD, OLD[:1000] + OLD[70_000:]),
    "parts that changed places": (OLD, OLD[125_000:] + OLD[:125_000]),
    "longer at the end": (OLD, OLD + library(60_000, seed=9)),
    "of 31 KiB": (OLD[: 31 << 10], OLD[:10_000] + b"x" * 60_000 + OLD[10_000 : 31 << 10]),
}


def packed(data: bytes) -> int:
    return sum(map(len, pack([data], Packing.GZIP, slow=True)))


@pytest.mark.parametrize("case", CASES)
def test_the_board_makes_the_new_file_of_the_old_one(session: LocalSession, tmp_path: Path, case: str) -> None:
    old, new = CASES[case]
    base, blob = named(old, program=True), named(new, program=True)
    assert send_parts(session, str(tmp_path), [Part(blob=base, content=old)], TAR, "me").code == 0
    before = session.traffic.sent
    parts = with_deltas([Part(blob=blob, content=new)], {blob: (base, old)})
    assert [part.name for part in parts] == [f"{blob}~"]
    assert send_parts(session, str(tmp_path), parts, TAR, "me").code == 0
    assert store(tmp_path) == {base: old, blob: new}
    assert session.traffic.sent - before < packed(new) * 0.8
    print(f"{case}: {session.traffic.sent - before:,} bytes, all of it {packed(new):,}")


def test_another_old_file_than_was_thought_is_found(session: LocalSession, tmp_path: Path) -> None:
    """It was damaged since it was checked: what comes of it is thrown away, and all of it is sent then."""
    old, new = CASES["a patch"]
    base, blob = named(old), named(new)
    (tmp_path / "store").mkdir()
    (tmp_path / "store" / base).write_bytes(old[:100_000] + b"?" + old[100_001:])
    parts = with_deltas([Part(blob=blob, content=new)], {blob: (base, old)})
    reply = send_parts(session, str(tmp_path), parts, TAR, "me")
    assert (reply.code, reply.out.split()) == (73, [f"damaged={blob}"])
    assert [path.name for path in (tmp_path / "store").iterdir()] == [base]


@pytest.mark.parametrize(
    ("old", "new"),
    [
        (OLD, library(250_000, seed=6)),
        (OLD, OLD[:40_000]),
        (OLD[: 30 << 10], OLD),
        (b"", OLD),
        (OLD, b""),
    ],
    ids=["all is new", "a small file", "an old one below the window", "an empty old one", "an empty new one"],
)
def test_all_of_it_is_sent_where_that_is_as_good(old: bytes, new: bytes) -> None:
    assert make_delta("old", old, new) is None


def test_what_a_cut_left_is_gone_on_with_instead() -> None:
    old, new = CASES["a patch"]
    part = Part(blob=named(new), content=new, offset=100_000)
    assert with_deltas([part], {part.blob: (named(old), old)}) == [part]


def test_it_is_less_than_rsync_sends(session: LocalSession, tmp_path: Path) -> None:
    if not shutil.which("rsync"):
        pytest.skip("no rsync here")
    old, new = CASES["a patch"]
    delta = make_delta("old", old, new)
    assert delta is not None
    ours = sum(map(len, pack([delta], Packing.GZIP, slow=True)))
    (tmp_path / "there").write_bytes(old)
    (tmp_path / "here").write_bytes(new)
    argv = ["rsync", "-Iz", "--no-whole-file", "--stats", str(tmp_path / "here"), str(tmp_path / "there")]
    said = subprocess.run(
        argv, capture_output=True, text=True, check=True, env={"LC_ALL": "C", "PATH": "/usr/bin:/bin"}
    )
    line = next(line for line in said.stdout.splitlines() if line.startswith("Total bytes sent"))
    theirs = int(line.rpartition(" ")[2].replace(",", ""))
    print(f"a patched library: {ours:,} bytes, rsync -z {theirs:,}")
    assert ours < theirs
