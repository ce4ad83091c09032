"""What is packed here is unpacked by the programs that boards have."""

from __future__ import annotations

import random
import shutil
import subprocess
import threading
import zlib
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import pytest

from deploy.transfer.cargo import Part
from deploy.transfer.means import Means, Way
from deploy.transfer.packing import PIECE, Packing, ahead, pack, packed_once, shared_packs
from deploy.transfer.send import _key_of

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


def test_what_many_boards_get_is_packed_once_and_bounded() -> None:
    made: list[int] = []

    def make(number: int) -> Iterator[bytes]:
        made.append(number)
        yield bytes(400)
        yield bytes([number])

    assert shared_packs() is None
    with packed_once(1000):
        packs = shared_packs()
        assert packs is not None
        with ThreadPoolExecutor(8) as pool:
            found = list(pool.map(lambda number: packs.get(f"{number % 2}", lambda: make(number % 2)), range(40)))
        assert sorted(made) == [0, 1], "each was made once, whoever asked at once"
        assert [pieces[1][0] for pieces in found] == [0, 1] * 20
        packs.get("2", lambda: make(2))
        packs.get("0", lambda: make(0))
        assert made.count(0) == 2, "the oldest makes room"
    assert shared_packs() is None


def test_a_packed_stream_is_known_by_all_that_is_in_it() -> None:
    whole = Part(blob="a" * 64, content=b"x" * 100)
    gzip = Means(way=Way.TAR, packing=Packing.GZIP)
    told = {
        _key_of(parts, means)
        for parts, means in (
            ([whole], gzip),
            ([whole, Part(blob="b" * 64, content=b"")], gzip),
            ([Part(blob="b" * 64, content=b""), whole], gzip),
            ([replace(whole, offset=10)], gzip),
            ([replace(whole, delta=b"1")], gzip),
            ([replace(whole, delta=b"2")], gzip),
            ([whole], replace(gzip, slow=True)),
            ([whole], replace(gzip, packing=Packing.XZ)),
        )
    }
    assert len(told) == 8
    assert _key_of([whole], gzip) in told
    assert _key_of([whole], replace(gzip, rate=1000)) in told, "how fast it goes changes no byte"
