"""A local service in this process: its own loop in a thread, a folder of the test's, a clock that can be set."""

from __future__ import annotations

import asyncio
import contextlib
import json
import socket
import ssl
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, ClassVar

from aiohttp import web

from deploy.kvs.keys import Key
from deploy.kvs.tls import Authority
from deploy.kvsstore.service import MOST_BYTES, Service, open_store
from deploy.localkvs.app import make_app

REGION = "ap-northeast-1"
"""Of the recordings."""


@dataclass
class Clock:
    """Seconds since 1970: this machine's, or from a set moment on."""

    ahead: float = 0.0

    def __call__(self) -> float:
        return time.time() + self.ahead

    def set(self, now: float) -> None:
        self.ahead = now - time.time()


@dataclass
class LocalService:
    """A running service of a test."""

    service: Service
    clock: Clock
    port: int
    tls_port: int
    authority: Authority
    loop: asyncio.AbstractEventLoop
    clients: list[Any] = field(default_factory=list)
    """Their connections end with the service."""

    @property
    def url(self) -> str:
        return f"https://localhost:{self.tls_port}"

    def key(self) -> Key:
        return self.service.store.keys.own()

    def client(self, name: str, *, key: Key | None = None, region: str = REGION, **options: Any) -> Any:
        """Return a boto3 client of this service."""
        import boto3
        from botocore.config import Config

        chosen = key or self.key()
        made = boto3.client(
            name,
            endpoint_url=self.url,
            verify=str(self.authority.certificate),
            region_name=region,
            aws_access_key_id=chosen.access,
            aws_secret_access_key=chosen.secret,
            aws_session_token=chosen.token or None,
            config=Config(retries={"max_attempts": 0}, connect_timeout=5, read_timeout=20, **options),
        )
        self.clients.append(made)
        return made

    def call(self, work: Callable[[], Any]) -> Any:
        """Run something in the service's own loop, where its state may be touched."""

        async def wrapped() -> Any:
            found = work()
            return await found if asyncio.iscoroutine(found) else found

        return asyncio.run_coroutine_threadsafe(wrapped(), self.loop).result(20)


@contextlib.contextmanager
def local_service(
    folder: Path, *, change: Callable[[web.Application, Service], None] | None = None, most_bytes: int = MOST_BYTES
) -> Iterator[LocalService]:
    """Serve from a folder, over TCP and over TLS, until the block ends."""
    clock = Clock()
    store = open_store(folder, clock=clock, most_bytes=most_bytes)
    service = Service(folder, store, clock)
    authority = Authority(folder)
    loop = asyncio.new_event_loop()
    thread = threading.Thread(target=loop.run_forever, daemon=True)
    thread.start()
    plain, secure = socket.create_server(("127.0.0.1", 0)), socket.create_server(("127.0.0.1", 0))

    async def start() -> web.AppRunner:
        app = make_app(service)
        if change is not None:
            change(app, service)
        runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.5)
        await runner.setup()
        await web.SockSite(runner, plain).start()
        await web.SockSite(runner, secure, ssl_context=authority.context()).start()
        return runner

    runner = asyncio.run_coroutine_threadsafe(start(), loop).result(20)
    try:
        local = LocalService(service, clock, plain.getsockname()[1], secure.getsockname()[1], authority, loop)
        yield local
    finally:
        for client in local.clients:
            client.close()
        loop.call_soon_threadsafe(_hang_up, runner)
        asyncio.run_coroutine_threadsafe(runner.cleanup(), loop).result(20)
        asyncio.run_coroutine_threadsafe(_end_tasks(), loop).result(20)
        loop.call_soon_threadsafe(loop.stop)
        thread.join(10)
        loop.close()
        plain.close()
        secure.close()
        store.close()


def _hang_up(runner: web.AppRunner) -> None:
    """Close what clients left open, with the loop that it belongs to."""
    for connection in list(runner.server.connections) if runner.server else []:
        if connection.transport is not None:
            connection.transport.abort()


async def _end_tasks() -> None:
    """Cancel what still waits for connections that are gone."""
    left = [task for task in asyncio.all_tasks() if task is not asyncio.current_task()]
    for task in left:
        task.cancel()
    await asyncio.gather(*left, return_exceptions=True)
    await asyncio.sleep(0.05)  # connections whose end was under way say good-bye


class Wire:
    """A connection that says exactly what it is told, and reads what comes back.

    Parameters
    ----------
    secure:
        A certificate to trust; without it the connection is plain.
    """

    opened: ClassVar[list[Wire]] = []
    """For the end of a test, which closes them all."""

    def __init__(self, port: int, secure: Path | None = None) -> None:
        link = socket.create_connection(("127.0.0.1", port), timeout=10)
        if secure is not None:
            link = ssl.create_default_context(cafile=str(secure)).wrap_socket(link, server_hostname="localhost")
        self.link = link
        self.opened.append(self)
        self.received = b""

    def send(self, data: bytes) -> None:
        self.link.sendall(data)

    def until(self, done: Callable[[bytes], bool], seconds: float = 10) -> bytes:
        """Read until what came satisfies, or the other side ends."""
        deadline = time.monotonic() + seconds
        while not done(self.received):
            self.link.settimeout(max(deadline - time.monotonic(), 0.01))
            try:
                data = self.link.recv(65_536)
            except (TimeoutError, ConnectionError):
                break
            if not data:
                break
            self.received += data
        return self.received

    def acks(self) -> list[dict[str, Any]]:
        """Return the acks among what came."""
        return [json.loads(line) for line in self.received.splitlines() if line.startswith(b'{"EventType"')]

    def close(self) -> None:
        self.link.close()
