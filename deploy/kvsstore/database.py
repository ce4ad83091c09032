"""The index: one SQLite file that survives a kill at any moment."""

from __future__ import annotations

import os
import sqlite3
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

SCHEMA = 1
"""Of the tables below; a folder of another one is not read."""

_TABLES = """
CREATE TABLE streams (
    id INTEGER PRIMARY KEY AUTOINCREMENT, region TEXT NOT NULL, name TEXT NOT NULL, arn TEXT NOT NULL UNIQUE,
    created REAL NOT NULL, version TEXT NOT NULL, retention_hours INTEGER NOT NULL, media_type TEXT NOT NULL,
    device_name TEXT NOT NULL, kms_key_id TEXT NOT NULL, tags TEXT NOT NULL, UNIQUE (region, name)
);
CREATE TABLE channels (
    id INTEGER PRIMARY KEY AUTOINCREMENT, region TEXT NOT NULL, name TEXT NOT NULL, arn TEXT NOT NULL UNIQUE,
    created REAL NOT NULL, version TEXT NOT NULL, ttl INTEGER NOT NULL, kind TEXT NOT NULL, tags TEXT NOT NULL,
    UNIQUE (region, name)
);
CREATE TABLE headers (id INTEGER PRIMARY KEY, digest TEXT NOT NULL UNIQUE, data BLOB NOT NULL);
CREATE TABLE fragments (
    id INTEGER PRIMARY KEY AUTOINCREMENT, stream INTEGER NOT NULL, number TEXT NOT NULL UNIQUE,
    producer_ms INTEGER NOT NULL, server_ms INTEGER NOT NULL, length_ms INTEGER NOT NULL, size INTEGER NOT NULL,
    header INTEGER NOT NULL, UNIQUE (stream, producer_ms)
);
CREATE INDEX fragments_by_server ON fragments (stream, server_ms);
CREATE TABLE keys (
    access TEXT PRIMARY KEY, secret TEXT NOT NULL, token TEXT NOT NULL, expires REAL, holder TEXT NOT NULL
);
CREATE TABLE faults (id INTEGER PRIMARY KEY AUTOINCREMENT, rule TEXT NOT NULL);
CREATE TABLE things (name TEXT PRIMARY KEY, facts TEXT NOT NULL);
"""


class Database:
    """A connection that several threads share: each statement has it to itself.

    What was written is the kernel's when `write` returns (WAL, synchronous=NORMAL): a kill of the process does not take
    it back. Where the machine itself stops, the last seconds may be gone, and the file is whole: to wait for the disk
    at each fragment costs tens of milliseconds where others use it too.
    https://sqlite.org/pragma.html#pragma_synchronous

    Parameters
    ----------
    file:
        Made where it is missing, for its owner only: it holds keys.

    Raises
    ------
    sqlite3.DatabaseError
        The file is no index of ours, or of another schema.
    """

    def __init__(self, file: Path) -> None:
        file.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        os.close(os.open(file, os.O_CREAT | os.O_RDWR | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600))
        self._lock = threading.RLock()
        self._link = sqlite3.connect(file, isolation_level=None, check_same_thread=False)
        for pragma in ("journal_mode=WAL", "synchronous=NORMAL", "foreign_keys=ON", "trusted_schema=OFF"):
            self._link.execute(f"PRAGMA {pragma}")
        with self.together():
            (found,) = self._link.execute("PRAGMA user_version").fetchone()
            if found == 0:
                for statement in filter(str.strip, _TABLES.split(";")):
                    self._link.execute(statement)
                self._link.execute(f"PRAGMA user_version = {SCHEMA}")
            elif found != SCHEMA:
                raise sqlite3.DatabaseError(f"the index has schema {found}; this version reads {SCHEMA}")

    def read(self, statement: str, *values: Any) -> list[tuple[Any, ...]]:
        """Return the rows of a SELECT."""
        with self._lock:
            return self._link.execute(statement, values).fetchall()

    def write(self, statement: str, *values: Any) -> int:
        """Carry a statement out; returns the row's number for an INSERT."""
        with self._lock:
            return int(self._link.execute(statement, values).lastrowid or 0)

    @contextmanager
    def together(self) -> Iterator[None]:
        """Make what is written within the block happen whole, or not at all."""
        with self._lock:
            self._link.execute("BEGIN IMMEDIATE")
            try:
                yield
            except BaseException:
                self._link.execute("ROLLBACK")
                raise
            self._link.execute("COMMIT")

    def close(self) -> None:
        """Close the file; the write-ahead log goes into it."""
        with self._lock:
            self._link.close()
