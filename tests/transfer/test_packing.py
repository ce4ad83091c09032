"""What is packed here is unpacked by the programs that boards have."""

from __future__ import annotations

import hashlib
import random
import shutil
import subprocess
import threading
import zlib
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from deploy.transfer import send
from deploy.transfer.cargo import Part, tar_of_parts
from deploy.transfer.means import Means, Way
from deploy.transfer.packing import PIECE, Packing, ahead, pack

pytestmark = pytest.mark.process
DRAW = random.Random(4)
PARTS = [b"", b"text " * 40_000, DRAW.randbytes(300_000), b"x" * 10]
UNPACKERS = [
    pytest.param(packing, [*before, packing.value, "-dc"], id=f"{packing.value} {' '.join(before)}")
    for packing, before in (
        (Packing.ZSTD, []),
        (Packing.XZ, []),
        (Packing.GZIP, []),
        (Packing.XZ, ["busybox"]),
        (Packing.GZIP, ["busybox"]),
    )
]


@pytest.mark.parametrize("slow", [False, True])
@pytest.mark.parametrize(("packing", "argv"), UNPACKERS)
def test_what_is_packed_is_unpacked_there(packing: Packing, argv: list[str], slow: bool) -> None:
    if not shutil.which(argv[0]):
        pytest.skip(f"no {argv[0]} here")
    pieces = list(pack(PARTS, packing, slow=slow))
    done = subprocess.run(argv, input=b"".join(pieces), capture_output=True, check=True)
    assert done.stdout == b"".join(PARTS)
    assert {len(piece) for piece in pieces[:-1]} == {PIECE}
    assert pieces == list(pack(PARTS, packing, slow=slow)), "the same bytes again"


def test_nothing_is_packed_where_nothing_unpacks() -> None:
    assert b"".join(pack(PARTS, Packing.NONE, slow=True)) == b"".join(PARTS)


@pytest.mark.parametrize("unpacker", [["gzip", "-dc"], ["busybox", "gzip", "-dc"]], ids=" ".join)
def test_what_is_packed_already_is_stored_between_what_is_not(unpacker: list[str]) -> None:
    if not shutil.which(unpacker[0]):
        pytest.skip("no BusyBox here")
    draw = random.Random(11)
    kinds: list[Callable[[], bytes]] = [
        lambda: draw.randbytes(draw.randrange(1, 9000)),
        lambda: draw.randbytes(draw.randrange(60_000, 200_000)),
        lambda: b"text and more of it " * draw.randrange(1, 4000),
        lambda: draw.randbytes(3000) * 30,
        lambda: b"",
        lambda: bytes(range(256)) * draw.randrange(4, 200),
    ]
    for _ in range(10):
        parts = [draw.choice(kinds)() for _ in range(40)]
        packed = b"".join(pack(parts, Packing.GZIP, slow=False))
        done = subprocess.run(unpacker, input=packed, capture_output=True, check=True)
        assert done.stdout == b"".join(parts)
        plain = sum(len(zlib.compress(part, 6)) for part in parts)
        assert len(packed) <= plain * 1.02 + 64 * len(parts)


def test_a_packed_stream_is_kept_for_the_next_board(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    data = [DRAW.randbytes(700_000), b"text " * 200_000]
    parts = [Part(blob=hashlib.sha256(part).hexdigest(), content=part) for part in data]
    means = Means(way=Way.TAR, packing=Packing.GZIP)
    made = b"".join(pack(tar_of_parts(parts), Packing.GZIP, slow=False))
    first = send._kept(parts, means)
    assert first is not None
    assert b"".join(send._read(first)) == made
    begun = first.stat().st_ino
    assert send._kept(parts, means) == first
    assert first.stat().st_ino == begun, "it was packed again"
    # A file that is damaged is made anew, and no more than a few stay.
    first.write_bytes(first.read_bytes()[:-1] + b"?")
    assert send._kept(parts, means) == first
    assert b"".join(send._read(first)) == made
    for number in range(6):
        send._kept([*parts, Part(blob=f"{number}" * 64, content=b"x")], means)
    assert len(list(first.parent.iterdir())) == 4
    # Another part of the same content, another packing and a difference are other streams.
    more = replace(parts[0], offset=10_000)
    assert send._kept([more, parts[1]], means) not in (None, send._kept(parts, means))
    assert send._kept(parts, replace(means, slow=True)) != send._kept(parts, means)
    assert send._kept([replace(parts[0], delta=b"x" * 2_000_000)], means) is None
    assert send._kept(parts, replace(means, packing=Packing.NONE)) is None
    # Without room for it, it is packed as it is sent.
    monkeypatch.setenv("BOARDCAST_WORK", "/proc/none")
    assert send._kept(parts, means) is None


def test_a_stream_is_produced_ahead_and_in_order() -> None:
    assert list(ahead(bytes([number]) for number in range(100))) == [bytes([number]) for number in range(100)]


def test_what_goes_wrong_ahead_is_raised_where_it_is_taken() -> None:
    def parts() -> Iterator[bytes]:
        yield b"first"
        raise ValueError("no more")

    taken = ahead(parts())
    assert next(taken) == b"first"
    with pytest.raises(ValueError, match="no more"):
        next(taken)


def test_the_thread_ends_with_who_takes() -> None:
    taken = ahead(b"x" for _ in range(10_000))
    next(taken)
    taken.close()  # type: ignore[attr-defined]
    assert "packing" not in {thread.name for thread in threading.enumerate()}
