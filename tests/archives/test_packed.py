"""Packed streams: whole or refused, in parts, and never more than was asked for."""

from __future__ import annotations

import contextlib
import gzip
import io
import os
import random
import tracemalloc

import pytest
import zstandard
from hypothesis import given, settings
from hypothesis import strategies as st

from recipes.archives.packed import PART, PackedError, PackedReader, Packing

PACKINGS: tuple[Packing, ...] = ("gzip", "zstd")
EACH = pytest.mark.parametrize("packing", PACKINGS)


def pack(data: bytes, packing: Packing) -> bytes:
    return gzip.compress(data) if packing == "gzip" else zstandard.ZstdCompressor(write_checksum=True).compress(data)


def unpack(data: bytes, packing: Packing, limit: int = 1 << 22) -> bytes:
    return b"".join(PackedReader(io.BytesIO(data), len(data), packing, limit=limit))


@EACH
@pytest.mark.parametrize("size", [0, 1, PART - 1, PART, PART + 1, 3 * PART, (1 << 17) + 1])
def test_what_was_packed_comes_out(packing: Packing, size: int) -> None:
    for data in (bytes(size), os.urandom(size), b"ab" * (size // 2)):
        assert unpack(pack(data, packing), packing) == data


@pytest.mark.parametrize("stated", [True, False])
@pytest.mark.parametrize("checked", [True, False])
@pytest.mark.parametrize("level", [-5, 1, 3, 12, 19])
def test_every_form_of_a_frame_is_read(level: int, *, stated: bool, checked: bool) -> None:
    data = random.Random(level).randbytes(9000) + bytes(400_000) + b"text and text " * 9000
    packer = zstandard.ZstdCompressor(level=level, write_content_size=stated, write_checksum=checked)
    packed = packer.compress(data)
    reader = PackedReader(io.BytesIO(packed), len(packed), "zstd", limit=1 << 20)
    assert reader.stated == (len(data) if stated else None)
    assert b"".join(reader) == data


@EACH
def test_a_stream_is_one_and_ends_where_its_bytes_do(packing: Packing) -> None:
    packed = pack(b"content " * 999, packing)
    for tail in (b"\0", packed, b"\x5b\x2a\x4d\x18\0\0\0\0", os.urandom(40)):
        with pytest.raises(PackedError, match="something follows its end"):
            unpack(packed + tail, packing)
    for cut in range(len(packed)):
        with pytest.raises(PackedError):
            unpack(packed[:cut], packing)


@EACH
@settings(max_examples=200, deadline=None)
@given(data=st.binary(max_size=300))
def test_any_bytes_are_refused_or_read(packing: Packing, data: bytes) -> None:
    start = b"\x1f\x8b\x08\0" if packing == "gzip" else b"\x28\xb5\x2f\xfd"
    for text in (data, start + data):
        with contextlib.suppress(PackedError):
            assert len(unpack(text, packing, 1000)) <= 1000


@pytest.mark.hostile(kind="bundle")
@EACH
def test_a_bomb_ends_at_the_limit_and_takes_no_memory(packing: Packing) -> None:
    packed = pack(bytes(256 << 20), packing)
    tracemalloc.start()
    with pytest.raises(PackedError, match=r"unpacks to .*more than 1,000,000"):
        for _ in PackedReader(io.BytesIO(packed), len(packed), packing, limit=1_000_000):
            pass
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 2 << 20


@EACH
def test_a_part_over_the_limit_is_refused_before_it_is_read(packing: Packing) -> None:
    packed = pack(bytes(5000), packing)
    reader = PackedReader(io.BytesIO(packed), len(packed), packing, limit=5000)
    assert reader.exactly(1000) == bytes(1000)
    with pytest.raises(PackedError, match="more than 5,000"):
        reader.exactly(5001)
    with pytest.raises(PackedError, match="ends too early"):
        reader.exactly(4001)
