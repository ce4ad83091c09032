"""What every handler of the service is given."""

from __future__ import annotations

import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from deploy.kvsstore.channels import Channels
from deploy.kvsstore.database import Database
from deploy.kvsstore.faults import Faults
from deploy.kvsstore.fragments import Fragments
from deploy.kvsstore.keyring import KeyRing
from deploy.kvsstore.streams import Streams

if TYPE_CHECKING:
    from aiohttp import web

MOST_BYTES = 4 << 30
"""Of all fragments together, unless said otherwise."""


@dataclass
class Store:
    """Everything that is kept, in one folder."""

    streams: Streams
    channels: Channels
    fragments: Fragments
    keys: KeyRing
    faults: Faults
    database: Database

    def close(self) -> None:
        """Wait for what is being written, and close the index."""
        self.fragments.close()
        self.database.close()


def open_store(folder: Path, *, clock: Callable[[], float] = time.time, most_bytes: int = MOST_BYTES) -> Store:
    """Open a folder of ours, or begin one; what a kill left half-done is taken away.

    Parameters
    ----------
    clock:
        Seconds since 1970.
    """
    database = Database(folder / "index.sqlite")
    fragments = Fragments(database, folder / "fragments", clock, most_bytes)
    fragments.sweep()
    return Store(
        streams=Streams(database, clock),
        channels=Channels(database, clock),
        fragments=fragments,
        keys=KeyRing(database),
        faults=Faults(database),
        database=database,
    )


@dataclass
class Service:
    """One running service.

    Attributes
    ----------
    clock:
        Seconds since 1970; by which signatures, fragments and lent keys are checked.
    state:
        What a room keeps while the service runs, by the room's name: playback's sessions, signaling's hub.
    """

    folder: Path
    store: Store
    clock: Callable[[], float] = time.time
    state: dict[str, Any] = field(default_factory=dict)


Handler = Callable[[Service, "web.Request", dict[str, Any]], Awaitable["dict[str, Any] | web.StreamResponse"]]
"""Answers one call of the API: the service, the request, and its JSON body; a dict becomes JSON, an error raises."""
