"""Fragments: kept whole or not at all, found by number and time, deleted when their retention ends."""

from __future__ import annotations

import asyncio
import hashlib
import os
import shutil
from collections import defaultdict
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from deploy.kvs.errors import not_found
from deploy.kvsstore.database import Database
from deploy.kvsstore.streams import Stream

UNKEPT_SECONDS = 300
"""Seconds for which a fragment of a stream without retention can be had: those who watch live are never far behind."""
_COLUMNS = "id, stream, number, producer_ms, server_ms, length_ms, size, header"
_PREFIX = 913_438_523_331
_DIGITS = 47


@dataclass(frozen=True, slots=True)
class Fragment:
    """A fragment in the index.

    Attributes
    ----------
    number:
        47 digits, which grow with every fragment that arrives.
    producer_ms, server_ms:
        Milliseconds since 1970: by the clock of the producer, and when it had arrived.
    length_ms:
        From its first frame to the next fragment's, or to its own end, as far as it is known.
    size:
        Bytes.
    """

    id: int
    stream: int
    number: str
    producer_ms: int
    server_ms: int
    length_ms: int
    size: int
    header: int


class Fragments:
    """The fragments of all streams.

    One thread writes; a fragment is in its file and in the index when `add` returns, and a kill of the process does not
    take it back (`Database` says what a kill of the machine does). Everything is called from the service's own loop.

    Parameters
    ----------
    folder:
        A folder for each stream is in it, and a file for each fragment: the cluster as it came.
    most_bytes:
        The oldest go where all fragments together grow beyond.
    """

    def __init__(self, database: Database, folder: Path, clock: Callable[[], float], most_bytes: int) -> None:
        self._database = database
        self._folder = folder
        self._clock = clock
        self._most = most_bytes
        self._writer = ThreadPoolExecutor(max_workers=1, thread_name_prefix="fragments")
        self._arrivals: dict[int, asyncio.Event] = defaultdict(asyncio.Event)
        rows = database.read("SELECT max(number) FROM fragments")
        self._given = int(rows[0][0][12:-15]) if rows[0][0] else 0

    async def add(
        self,
        stream: Stream,
        *,
        number: str,
        producer_ms: int,
        server_ms: int,
        length_ms: int,
        header: bytes,
        data: bytes,
    ) -> Fragment:
        """Keep a fragment. One of the same producer time, sent again after a cut, is kept once: the first stays."""
        loop = asyncio.get_running_loop()
        row = (stream.id, number, producer_ms, server_ms, length_ms, len(data))
        kept = await loop.run_in_executor(self._writer, self._keep, row, header, data)
        self._arrivals[stream.id].set()
        self._arrivals[stream.id] = asyncio.Event()
        return kept

    def _keep(self, row: tuple[int, str, int, int, int, int], header: bytes, data: bytes) -> Fragment:
        stream, number, producer_ms = row[:3]
        if known := self._rows("stream = ? AND producer_ms = ?", stream, producer_ms):
            return known[0]
        self._write(self._file(stream, number), data)
        with self._database.together():
            digest = hashlib.sha256(header).hexdigest()
            self._database.write("INSERT OR IGNORE INTO headers (digest, data) VALUES (?, ?)", digest, header)
            ((header_id,),) = self._database.read("SELECT id FROM headers WHERE digest = ?", digest)
            self._database.write(
                f"INSERT INTO fragments ({_COLUMNS.partition(', ')[2]}) VALUES (?,?,?,?,?,?,?)",  # noqa: S608
                *(*row, header_id),
            )
        return self._rows("number = ?", number)[0]

    @staticmethod
    def _write(file: Path, data: bytes) -> None:
        """Write a file whole under its name: the index names it only afterwards."""
        file.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        descriptor = os.open(file, os.O_CREAT | os.O_TRUNC | os.O_WRONLY | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
        with os.fdopen(descriptor, "wb") as opened:
            opened.write(data)

    def next_number(self, server_ms: int) -> str:
        """Return a number greater than every one that was given out; it is taken by adding a fragment of it."""
        self._given += 1
        return f"{_PREFIX}{self._given:0{_DIGITS - 12 - 15}d}{server_ms:015d}"

    def select(
        self,
        stream: Stream,
        *,
        start_ms: int | None = None,
        end_ms: int | None = None,
        by: Literal["SERVER", "PRODUCER"] = "SERVER",
        after: str = "",
        limit: int = 1000,
        newest_first: bool = False,
    ) -> list[Fragment]:
        """Return fragments of a stream, ordered by number.

        Parameters
        ----------
        start_ms, end_ms:
            Milliseconds since 1970 of the clock that `by` names, both included.
        after:
            Only those with a greater number.
        newest_first:
            The last ones, backwards.
        """
        column = "server_ms" if by == "SERVER" else "producer_ms"
        start, end = (start_ms if start_ms is not None else 0), (end_ms if end_ms is not None else 1 << 62)
        order = "DESC" if newest_first else "ASC"
        return self._rows(
            f"stream = ? AND {column} BETWEEN ? AND ? AND number > ? ORDER BY number {order} LIMIT ?",
            *(stream.id, start, end, after, limit),
        )

    def get(self, stream: Stream, number: str) -> Fragment:
        """Return a fragment by its number.

        Raises
        ------
        ServiceError
            The stream has no such fragment.
        """
        rows = self._rows("stream = ? AND number = ?", stream.id, number)
        if not rows:
            raise not_found(f"The fragment {number} is not in the stream.")
        return rows[0]

    def after(self, fragment: Fragment) -> Fragment | None:
        """Return the fragment of its stream that arrived next."""
        rows = self._rows("stream = ? AND number > ? ORDER BY number LIMIT 1", fragment.stream, fragment.number)
        return rows[0] if rows else None

    def latest(self, stream: Stream) -> Fragment | None:
        """Return the fragment that arrived last."""
        rows = self._rows("stream = ? ORDER BY number DESC LIMIT 1", stream.id)
        return rows[0] if rows else None

    def header(self, fragment: Fragment) -> bytes:
        """Return the Matroska header that a fragment came behind."""
        ((data,),) = self._database.read("SELECT data FROM headers WHERE id = ?", fragment.header)
        return bytes(data)

    def data(self, fragment: Fragment) -> bytes:
        """Return a fragment's cluster as it came.

        Raises
        ------
        ServiceError
            It was deleted meanwhile: its retention ended.
        """
        try:
            return self._file(fragment.stream, fragment.number).read_bytes()
        except FileNotFoundError:
            raise not_found(f"The fragment {fragment.number} is no longer kept.") from None

    async def arrived(self, stream: Stream, after: str, timeout: float) -> bool:  # noqa: ASYNC109
        """Wait until a fragment with a greater number is there, or for so many seconds; tell whether one is."""
        deadline = asyncio.get_running_loop().time() + timeout
        while True:
            event = self._arrivals[stream.id]
            newest = self.latest(stream)
            if newest is not None and newest.number > after:
                return True
            left = deadline - asyncio.get_running_loop().time()
            if left <= 0:
                return False
            try:
                await asyncio.wait_for(event.wait(), left)
            except TimeoutError:
                return False

    async def purge(self, streams: list[Stream]) -> int:
        """Delete what is past its stream's retention, and the oldest of all where the whole is too big; count them."""
        return await asyncio.get_running_loop().run_in_executor(self._writer, self._purge, streams)

    def _purge(self, streams: list[Stream]) -> int:
        now = int(self._clock() * 1000)
        gone: list[Fragment] = []
        for stream in streams:
            seconds = stream.retention_hours * 3600 or UNKEPT_SECONDS
            gone += self._rows("stream = ? AND server_ms < ?", stream.id, now - seconds * 1000)
        ((total,),) = self._database.read("SELECT coalesce(sum(size), 0) FROM fragments")
        total -= sum(fragment.size for fragment in gone)
        known = {fragment.id for fragment in gone}
        while total > self._most and (oldest := self._oldest(known)):
            for fragment in oldest:
                if total <= self._most:
                    break
                gone.append(fragment)
                known.add(fragment.id)
                total -= fragment.size
        self._forget(gone)
        return len(gone)

    def _oldest(self, known: set[int]) -> list[Fragment]:
        return [row for row in self._rows("1 ORDER BY number LIMIT ?", len(known) + 100) if row.id not in known]

    def _forget(self, gone: list[Fragment]) -> None:
        """Take fragments out of the index, then their files away: a file without an entry is nobody's."""
        with self._database.together():
            for fragment in gone:
                self._database.write("DELETE FROM fragments WHERE id = ?", fragment.id)
        for fragment in gone:
            self._file(fragment.stream, fragment.number).unlink(missing_ok=True)

    async def delete_stream(self, stream: Stream) -> None:
        """Delete all fragments of a stream."""

        def delete() -> None:
            self._database.write("DELETE FROM fragments WHERE stream = ?", stream.id)
            shutil.rmtree(self._folder / str(stream.id), ignore_errors=True)

        await asyncio.get_running_loop().run_in_executor(self._writer, delete)

    def sweep(self) -> int:
        """Take away what is half there, and count it.

        A file that the index does not name: a kill of the process came between the two. A fragment whose file is not
        there, or shorter: the machine stopped before it was on the disk.
        """
        count, lost = 0, {fragment.number: fragment for fragment in self._rows("1")}
        for file in self._folder.glob("*/*.mkv"):
            if file.stem not in lost:
                file.unlink(missing_ok=True)
                count += 1
            elif file.stat().st_size == lost[file.stem].size:
                del lost[file.stem]
        self._forget(list(lost.values()))
        return count + len(lost)

    def facts(self, stream: Stream) -> tuple[int, int, Fragment | None]:
        """Return how many fragments are kept, their bytes, and the last."""
        ((count, size),) = self._database.read(
            "SELECT count(*), coalesce(sum(size), 0) FROM fragments WHERE stream = ?", stream.id
        )
        return int(count), int(size), self.latest(stream)

    def close(self) -> None:
        """Wait for what is being written."""
        self._writer.shutdown()

    def _file(self, stream: int, number: str) -> Path:
        return self._folder / str(stream) / f"{number}.mkv"

    def _rows(self, where: str, *values: Any) -> list[Fragment]:
        rows = self._database.read(f"SELECT {_COLUMNS} FROM fragments WHERE {where}", *values)  # noqa: S608
        return [Fragment(*row) for row in rows]
