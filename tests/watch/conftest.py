"""A local service with cameras, the page's server in front of it, and a browser."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Coroutine, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

import pytest

from deploy.cloud.session import Calls, Keys, Service
from deploy.watch.cameras import Wanted
from deploy.watch.server import Running, start
from tests.support.localservice import LocalService, local_service

REGION = "us-west-2"
_Answer = TypeVar("_Answer")


@dataclass
class Loop:
    """An event loop in a thread of its own."""

    loop: asyncio.AbstractEventLoop = field(default_factory=asyncio.new_event_loop)

    def run(self, work: Coroutine[Any, Any, _Answer], seconds: float = 30) -> _Answer:
        return asyncio.run_coroutine_threadsafe(work, self.loop).result(seconds)


@contextmanager
def loop_thread() -> Iterator[Loop]:
    made = Loop()
    thread = threading.Thread(target=made.loop.run_forever, name="test-loop", daemon=True)
    thread.start()
    yield made
    made.run(asyncio.sleep(0.1))  # TLS says good-bye
    made.loop.call_soon_threadsafe(made.loop.stop)
    thread.join(10)
    made.loop.close()


@dataclass
class PageServer:
    """The page's server of a test."""

    running: Running
    calls: Calls
    loop: Loop

    @property
    def base(self) -> str:
        return f"http://127.0.0.1:{self.running.port}"


@contextmanager
def page_server(service: Service, libraries: Path, wanted: Wanted | None = None) -> Iterator[PageServer]:
    """Serve the page until the block ends."""
    with loop_thread() as loop:
        calls = Calls(service)
        running = loop.run(start(calls, wanted or Wanted(), libraries))
        try:
            yield PageServer(running, calls, loop)
        finally:
            loop.run(running.close())
            calls.close()


@pytest.fixture(scope="module")
def no_libraries(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return an empty folder in the place of hls.js, where no browser asks for it."""
    return tmp_path_factory.mktemp("libraries")


@dataclass
class Cameras:
    """A local service of a test, and how the page reaches it."""

    local: LocalService
    service: Service
    calls: Calls

    def stream(self, name: str, hours: int = 24, *, age: float = 0) -> str:
        """Make a stream that is some seconds old; returns its ARN."""
        store, clock = self.local.service.store, self.local.clock

        def make() -> str:
            clock.ahead = -age
            try:
                return store.streams.create(name, region=REGION, retention_hours=hours, media_type="video/h264").arn
            finally:
                clock.ahead = 0

        return str(self.local.call(make))

    def channel(self, name: str) -> str:
        """Make a signaling channel; returns its ARN."""
        return str(self.local.call(lambda: self.local.service.store.channels.create(name, region=REGION)).arn)

    def remove_channel(self, arn: str) -> None:
        store = self.local.service.store
        self.local.call(lambda: store.channels.delete(store.channels.find(arn=arn)))

    def fill(self, name: str, clusters: list[bytes], header: bytes, *, begin: float, step: float = 1.0) -> None:
        """Keep fragments as if they had come at a time; seconds since 1970."""
        store = self.local.service.store

        async def add() -> None:
            stream = store.streams.find(name=name, region=REGION)
            for at, cluster in enumerate(clusters):
                moment = round((begin + at * step) * 1000)
                await store.fragments.add(
                    stream,
                    number=store.fragments.next_number(moment),
                    producer_ms=moment,
                    server_ms=moment,
                    length_ms=round(step * 1000),
                    header=header,
                    data=cluster,
                )

        self.local.call(add)


@pytest.fixture
def cameras(tmp_path: Path) -> Iterator[Cameras]:
    with local_service(tmp_path / "service") as local:
        key = local.key()
        service = Service(
            region=REGION,
            endpoint_url=local.url,
            ca=local.authority.certificate,
            keys=Keys(access_key=key.access, secret_key=key.secret),
        )
        calls = Calls(service)
        yield Cameras(local, service, calls)
        calls.close()
        # The service takes a moment to see that its connections are closed.
        local.call(lambda: asyncio.sleep(0.2))


@pytest.fixture
def run() -> Iterator[Callable[[Coroutine[Any, Any, Any]], Any]]:
    """Run coroutines one after the other in one loop."""
    with loop_thread() as loop:
        yield loop.run
