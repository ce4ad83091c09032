"""The process is killed at random moments: what was acknowledged is there, whole, after each start."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import random
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from deploy.kvsstore.service import open_store
from deploy.localkvs.run import STATE
from deploy.media.matroska import parse_cluster, parse_header
from recipes.paths import CHECKOUT
from tests.support.localservice import REGION, Wire
from tests.support.media import START_MS, make_fragments, make_header
from tests.support.producer import chunk, put_media_head

pytestmark = [pytest.mark.process, pytest.mark.loopback]
SEED = 20261127


class Starter:
    """Starts services and kills them."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._program = subprocess.Popen(
            [sys.executable, str(CHECKOUT / "tests" / "support" / "kvsfork.py")],
            env={**os.environ, "PYTHONPATH": str(CHECKOUT)},
            cwd=CHECKOUT,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )

    def start(self) -> tuple[int, int]:
        """Return process ID and port of a new service."""
        (self.folder / STATE).unlink(missing_ok=True)
        assert self._program.stdin is not None
        assert self._program.stdout is not None
        print(self.folder, file=self._program.stdin, flush=True)
        number = int(self._program.stdout.readline())
        for _ in range(1000):
            with contextlib.suppress(OSError, ValueError):
                facts = json.loads((self.folder / STATE).read_text())
                if facts["pid"] == number:
                    return number, facts["port"]
            time.sleep(0.005)
        raise AssertionError("the service did not start")

    def close(self) -> None:
        self._program.terminate()
        self._program.wait(10)
        for stream in (self._program.stdin, self._program.stdout):
            if stream is not None:
                stream.close()


@pytest.fixture
def starter(tmp_path: Path) -> Iterator[Starter]:
    store = open_store(tmp_path)
    store.streams.create("cam01", region=REGION, retention_hours=2)
    store.close()
    made = Starter(tmp_path)
    yield made
    made.close()


def _send(wire: Wire, begin: int, count: int) -> None:
    """Send fragments as fast as the service takes them, until it is gone."""
    with contextlib.suppress(OSError):
        for fragment in make_fragments(count, audio=False, start_ms=begin):
            wire.send(chunk(fragment))


def _round(starter: Starter, turn: int, wait: float) -> set[int]:
    """Stream to a new service, kill it a while after its first ack; return the timecodes that were persisted."""
    number, port = starter.start()
    try:
        store = open_store(starter.folder)
        key = store.keys.own()
        store.close()
        wire = Wire(port, starter.folder / "ca.pem")
        wire.send(put_media_head("cam01", key) + chunk(make_header(audio=False)))
        sender = threading.Thread(target=_send, args=(wire, START_MS + turn * 1_000_000, 40))
        sender.start()
        wire.until(lambda received: b"BUFFERING" in received, 5)
        time.sleep(wait)
    finally:
        os.kill(number, signal.SIGKILL)
    wire.until(lambda _: False, 2)
    sender.join(10)
    told = set[int]()
    for line in wire.received.splitlines():
        with contextlib.suppress(ValueError):
            ack = json.loads(line) if line.startswith(b"{") else {}
            told |= {ack["FragmentTimecode"]} if ack.get("EventType") == "PERSISTED" else set()
    return told


def _check(folder: Path, told: set[int]) -> int:
    store = open_store(folder)
    try:
        stream = store.streams.find(name="cam01", region=REGION)
        kept = store.fragments.select(stream, limit=100_000)
        missing = told - {fragment.producer_ms for fragment in kept}
        assert not missing, f"acknowledged, and gone: {sorted(missing)[:5]}"
        for fragment in kept:
            data = store.fragments.data(fragment)
            assert len(data) == fragment.size
            assert parse_cluster(data, parse_header(store.fragments.header(fragment))).timecode == (
                fragment.producer_ms * 1_000_000
            )
        files = {file.stem for file in (folder / "fragments").rglob("*.mkv")}
        assert files == {fragment.number for fragment in kept}, "no file is nobody's"
        return len(kept)
    finally:
        store.close()


def test_what_the_disk_never_got_is_not_in_the_index(tmp_path: Path) -> None:
    """The machine stopped: the index has fragments whose files are short, or not there."""
    header, media = make_header(audio=False), make_fragments(4, audio=False)
    store = open_store(tmp_path)
    stream = store.streams.create("cam01", region=REGION, retention_hours=2)

    async def keep() -> list[str]:
        kept = []
        for place, data in enumerate(media):
            at = START_MS + place * 1000
            number = store.fragments.next_number(at)
            row = {"number": number, "producer_ms": at, "server_ms": at, "length_ms": 1000}
            kept.append((await store.fragments.add(stream, **row, header=header, data=data)).number)  # type: ignore[arg-type]
        return kept

    numbers = asyncio.run(keep())
    store.close()
    files = {file.stem: file for file in tmp_path.rglob("*.mkv")}
    os.truncate(files[numbers[1]], 100)
    files[numbers[2]].unlink()
    store = open_store(tmp_path)
    assert [one.number for one in store.fragments.select(stream)] == [numbers[0], numbers[3]]
    assert {file.stem for file in tmp_path.rglob("*.mkv")} == {numbers[0], numbers[3]}
    store.close()


def _kill_often(starter: Starter, turns: int) -> tuple[int, int]:
    dice = random.Random(SEED)
    told = set[int]()
    for turn in range(turns):
        told |= _round(starter, turn, dice.uniform(0, 0.12))
    return len(told), _check(starter.folder, told)


def test_a_kill_at_any_moment_loses_nothing_that_was_acknowledged(starter: Starter) -> None:
    told, kept = _kill_often(starter, 12)
    assert told > 12
    assert kept >= told


@pytest.mark.slow
def test_two_hundred_kills_lose_nothing_that_was_acknowledged(starter: Starter) -> None:
    told, kept = _kill_often(starter, 200)
    assert told > 200
    assert kept >= told
