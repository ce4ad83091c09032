"""The board's side, run by this machine's shell and by BusyBox: what enters the store, and what a cut leaves. P-02."""

from __future__ import annotations

import hashlib
import random
import shutil
from pathlib import Path

import pytest

from deploy.boards.probe import probe_host
from deploy.transfer.cargo import Part, find_missing, parts_of, tar_of_parts
from deploy.transfer.means import Means, Way, choose_means
from deploy.transfer.packing import Packing, pack
from deploy.transfer.receive import RECEIVE
from deploy.transfer.send import send_parts
from tests.support.localboard import LocalSession

pytestmark = pytest.mark.process
SHELLS = [("sh",), ("busybox", "sh")]
DRAW = random.Random(2)
WORDS = [DRAW.randbytes(12) for _ in range(400)]


def content(size: int) -> bytes:
    """Return bytes that pack as programs do, to a half or so."""
    made = b"".join(DRAW.choice(WORDS) + DRAW.randbytes(6) for _ in range(size // 18 + 1))
    return made[:size]


def named(data: bytes, *, program: bool = False) -> str:
    return hashlib.sha256(data).hexdigest() + (".x" if program else "")


FILES = [content(size) for size in (400_000, 3, 90_000, 250_000, 12_000, 0, 150_000)]
CONTENTS = {named(data, program=number % 2 == 0): data for number, data in enumerate(FILES)}
SIZES = {blob: len(data) for blob, data in CONTENTS.items()}


@pytest.fixture(params=SHELLS, ids=" ".join)
def session(request: pytest.FixtureRequest) -> LocalSession:
    if not shutil.which(request.param[0]):
        pytest.skip("no BusyBox here")
    return LocalSession(request.param)


def store(root: Path) -> dict[str, bytes]:
    for path in (root / "store").iterdir():
        assert named(path.read_bytes()) == path.name.removesuffix(".x"), "a damaged content is in the store"
        assert bool(path.stat().st_mode & 0o100) == path.name.endswith(".x")
    return {path.name: path.read_bytes() for path in (root / "store").iterdir()}


def means(way: Way, packing: Packing = Packing.GZIP) -> Means:
    return Means(way=way, packing=packing)


@pytest.mark.parametrize("packing", Packing)
@pytest.mark.parametrize("way", [Way.TAR, Way.CAT])
def test_all_arrives(session: LocalSession, tmp_path: Path, way: Way, packing: Packing) -> None:
    if packing is not Packing.NONE and not shutil.which(packing.value):
        pytest.skip(f"no {packing.value} here")
    reply = send_parts(session, str(tmp_path), parts_of(tuple(CONTENTS), CONTENTS, {}), means(way, packing), "me")
    assert reply.code == 0, reply.err
    assert store(tmp_path) == CONTENTS
    assert not [path for path in (tmp_path / "incoming").iterdir() if path.name != ".hashes"]


def cut_and_go_on(session: LocalSession, root: Path, at: int, packing: Packing) -> tuple[int, int]:
    """Cut the stream after so many bytes, then send what is missing; returns what was sent in all, and of once."""
    stream = b"".join(pack(tar_of_parts(parts_of(tuple(CONTENTS), CONTENTS, {})), packing, slow=False))
    at %= len(stream)
    session.run(RECEIVE, [str(root), "tar", packing.value, "me"], [stream[:at]])
    assert set(store(root)) <= set(CONTENTS)
    facts = probe_host(session, str(root), [])
    missing = find_missing(SIZES, facts.blobs, facts.incoming)
    before = session.traffic.sent
    left = parts_of(missing.blobs, CONTENTS, missing.offsets)
    reply = send_parts(session, str(root), left, means(Way.TAR, packing), "me")
    assert reply.code == 0, f"cut at {at}: {reply.out} {reply.err}"
    assert store(root) == CONTENTS
    return at + session.traffic.sent - before, len(stream)


@pytest.mark.parametrize("cuts", [12, pytest.param(200, marks=pytest.mark.slow)])
@pytest.mark.parametrize("packing", [Packing.GZIP, Packing.NONE])
def test_an_upload_that_was_cut_is_gone_on_with(
    session: LocalSession, tmp_path: Path, packing: Packing, cuts: int
) -> None:
    draw = random.Random(cuts)
    twice = []
    for number in range(cuts):
        sent, once = cut_and_go_on(session, tmp_path / str(number), draw.randrange(1 << 30), packing)
        twice.append((sent - once) / once)
        shutil.rmtree(tmp_path / str(number))
    print(f"{cuts} cuts, {packing.value}: at most {max(twice):.1%} of the payload sent twice, 0 damaged")
    assert max(twice) <= 0.1


def test_a_second_cut_goes_on_from_the_first(session: LocalSession, tmp_path: Path) -> None:
    blob = max(SIZES, key=SIZES.__getitem__)
    data = CONTENTS[blob]
    root = str(tmp_path)
    offset = 0
    for end in (100_000, 180_000):
        cut = b"".join(tar_of_parts([Part(blob=blob, content=data, offset=offset)]))[: 512 + end - offset]
        session.run(RECEIVE, [root, "tar", "none", "me"], [cut])
        facts = probe_host(session, root, [])
        missing = find_missing({blob: len(data)}, facts.blobs, facts.incoming)
        offset = missing.offsets[blob]
        # The last block of a tar that was cut may be lost.
        assert end - 10_240 <= offset <= end
    assert send_parts(session, root, parts_of(missing.blobs, CONTENTS, missing.offsets), means(Way.TAR), "me").code == 0
    assert store(tmp_path) == {blob: data}


@pytest.mark.parametrize("way", [Way.TAR, Way.CAT])
def test_what_the_power_left_of_a_content_is_found_and_named(session: LocalSession, tmp_path: Path, way: Way) -> None:
    """Its length is right, its bytes are zeros: a file system wrote the one and not the other."""
    (tmp_path / "incoming").mkdir()
    lost, *_ = CONTENTS
    (tmp_path / "incoming" / lost).write_bytes(bytes(SIZES[lost]))
    (tmp_path / "incoming" / ("0" * 64)).write_bytes(b"of another bundle")
    facts = probe_host(session, str(tmp_path), [])
    missing = find_missing(SIZES, facts.blobs, facts.incoming)
    assert missing.arrived == (lost,)
    reply = send_parts(session, str(tmp_path), parts_of(missing.blobs, CONTENTS, {}), means(way), "me")
    assert reply.code == 73
    assert set(reply.out.split()) == {f"damaged={lost}", f"damaged={'0' * 64}"}
    assert set(store(tmp_path)) == set(CONTENTS) - {lost}
    assert send_parts(session, str(tmp_path), parts_of([lost], CONTENTS, {}), means(way), "me").code == 0
    assert store(tmp_path) == CONTENTS


def test_a_flipped_bit_in_any_content_is_found(session: LocalSession, tmp_path: Path) -> None:
    """P-08: the stream is damaged between packing and flash, where no checksum of the way looks."""
    for blob, data in CONTENTS.items():
        if not data:
            continue
        bad = bytes([data[0] ^ 1]) + data[1:]
        reply = send_parts(session, str(tmp_path), [Part(blob=blob, content=bad)], means(Way.TAR), "me")
        assert (reply.code, reply.out.split()) == (73, [f"damaged={blob}"])
    assert store(tmp_path) == {}


def test_a_board_without_tar_and_packers_takes_all_by_cat(session: LocalSession, tmp_path: Path) -> None:
    chosen = choose_means(["sha256sum"])
    assert send_parts(session, str(tmp_path), parts_of(tuple(CONTENTS), CONTENTS, {}), chosen, "me").code == 0
    assert store(tmp_path) == CONTENTS


def test_a_sha256sum_that_checks_no_list(tmp_path: Path) -> None:
    """A BusyBox without FEATURE_MD5_SHA1_SUM_CHECK."""
    tools = tmp_path / "tools"
    tools.mkdir()
    real = shutil.which("sha256sum")
    (tools / "sha256sum").write_text(f'#!/bin/sh\n[ "$1" != -c ] || exit 1\nexec {real} "$@"\n')
    (tools / "sha256sum").chmod(0o755)
    session = LocalSession(["env", f"PATH={tools}:/usr/bin:/bin", "sh"])
    root = tmp_path / "root"
    reply = send_parts(session, str(root), parts_of(tuple(CONTENTS), CONTENTS, {}), means(Way.TAR), "me")
    assert reply.code == 0
    assert store(root) == CONTENTS
    blob, data = next(iter(CONTENTS.items()))
    reply = send_parts(session, str(root), [Part(blob=blob, content=b"-" + data[1:])], means(Way.TAR), "me")
    assert (reply.code, reply.out.split()) == (73, [f"damaged={blob}"])
