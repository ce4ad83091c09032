"""A producer for tests that sends as a camera does: a fragment when it is whole; after a cut it connects again."""

from __future__ import annotations

import itertools
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any, Self

from deploy.cloud.session import Keys, Service
from deploy.kvs.keys import Key
from tests.support.localservice import REGION, LocalService, Wire
from tests.support.media import end_of_fragment, make_fragments, make_header
from tests.support.producer import chunk, put_media_head

CYCLE = 6
"""Fragments that are encoded; then they come again."""


@dataclass
class LiveCamera:
    """Sends until the block ends.

    Attributes
    ----------
    ahead:
        Seconds that its clock is ahead.
    key:
        What it signs with; the service's own without it.
    pause:
        Set it, and the camera stands still with its connection open, as a process does that was stopped.
    kind:
        As for `make_fragments`.
    """

    local: LocalService
    stream: str
    ahead: float = 0.0
    seconds: float = 0.5
    key: Key | None = None
    kind: dict[str, Any] = field(default_factory=dict)
    pause: threading.Event = field(default_factory=threading.Event)
    sent: int = 0

    def __enter__(self) -> Self:
        self._over = threading.Event()
        self._wire: Wire | None = None
        self._thread = threading.Thread(target=self._run, name=f"camera {self.stream}", daemon=True)
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()
        self._thread.join(20)
        if self._wire is not None:
            self._wire.close()

    def _run(self) -> None:
        due = time.monotonic()
        for fragment in self.fragments():
            due += self.seconds
            if self._over.wait(max(0.0, due - time.monotonic())):
                return
            while self.pause.is_set() and not self._over.wait(0.02):
                due = time.monotonic()
            # A camera stamps when it saw, not when a busy machine let it send.
            late = max(0.0, time.monotonic() - due)
            self._send(fragment.data(time.time() - late + self.ahead))

    def fragments(self) -> Iterator[Due]:
        for number in itertools.count():
            yield Due(number % CYCLE, self.seconds, self.kind)

    def _send(self, data: bytes) -> None:
        for _ in range(2):
            try:
                if self._wire is None:
                    wire = Wire(self.local.port)
                    wire.send(put_media_head(self.stream, self.key or self.local.key()))
                    wire.send(chunk(header(self.seconds, self.kind)))
                    self._wire = wire
                self._wire.send(chunk(data + end_of_fragment()))
            except OSError:  # taken over, or refused: a camera connects again
                if self._wire is not None:
                    self._wire.close()
                self._wire = None
            else:
                self.sent += 1
                return


@dataclass(frozen=True)
class Due:
    """A fragment that ends when it is asked for."""

    place: int
    seconds: float
    kind: dict[str, Any]

    def data(self, end: float) -> bytes:
        begin = round((end - self.seconds) * 1000)
        start = begin - round(self.place * self.seconds * 1000)
        return make_fragments(CYCLE, seconds=self.seconds, start_ms=start, **self.kind)[self.place]


def header(seconds: float, kind: dict[str, Any]) -> bytes:
    """Return the header that fragments of a kind go with."""
    return make_header(seconds=seconds, **{name: value for name, value in kind.items() if name != "picture"})


def service_of(local: LocalService, key: Key | None = None) -> Service:
    """Return how the cloud's side reaches a local service."""
    chosen = key or local.key()
    keys = Keys(access_key=chosen.access, secret_key=chosen.secret, session_token=chosen.token)
    return Service(region=REGION, endpoint_url=local.url, ca=local.authority.certificate, keys=keys)
