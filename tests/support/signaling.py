"""A service with its signaling on this machine's loopback, and clients as AWS's own libraries sign them."""

from __future__ import annotations

import asyncio
import base64
import hashlib
import json
import ssl
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import aiohttp
from aiohttp import web
from botocore.auth import SigV4Auth, SigV4QueryAuth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials

from deploy.kvs.keys import Key
from deploy.kvs.tls import Authority
from deploy.kvsstore.channels import Channel
from deploy.kvsstore.service import Service, open_store
from deploy.localkvs.app import make_app
from deploy.signaling.hub import Hub
from deploy.signaling.peers import Limits

REGION = "eu-west-1"


@dataclass
class World:
    """One running service.

    Attributes
    ----------
    finished:
        One entry for each WebSocket whose handler has returned.
    """

    service: Service
    authority: Authority
    channel: Channel
    port: int = 0
    finished: list[str] = field(default_factory=list)
    session: aiohttp.ClientSession = field(init=False)

    @property
    def url(self) -> str:
        return f"https://127.0.0.1:{self.port}"

    @property
    def key(self) -> Key:
        return self.service.store.keys.own()

    def trusting(self, chain: tuple[bytes, bytes] | None = None) -> ssl.SSLContext:
        """Return a client's context, with a certificate of its own where one is given."""
        context = ssl.create_default_context(cafile=str(self.authority.certificate))
        if chain is not None:
            file = self.service.folder / f"client-{hashlib.sha256(chain[0]).hexdigest()}.pem"
            file.write_bytes(chain[0] + chain[1])
            context.load_cert_chain(file)
        return context

    def signed_url(self, client: str = "", *, arn: str = "", key: Key | None = None) -> str:
        """Return the URL of a WebSocket as a viewer, or with no client as the master, signs it."""
        query = {"X-Amz-ChannelARN": arn or self.channel.arn} | ({"X-Amz-ClientId": client} if client else {})
        request = AWSRequest("GET", f"{self.url}/", params=query)
        SigV4QueryAuth(_credentials(key or self.key), "kinesisvideo", REGION, expires=299).add_auth(request)
        return str(request.url)

    def connect(self, client: str = "", **more: Any) -> Any:
        """Open a WebSocket as a viewer, or with no client as the master."""
        from yarl import URL

        url = URL(self.signed_url(client, **more), encoded=True)
        return self.session.ws_connect(url, protocols=("wss",), ssl=self.trusting(), autoping=False)

    async def call(self, path: str, body: dict[str, Any]) -> tuple[int, dict[str, Any]]:
        """Make a signed call of the API."""
        data = json.dumps(body)
        request = AWSRequest("POST", f"{self.url}/{path}", data=data, headers={"Content-Type": "application/json"})
        SigV4Auth(_credentials(self.key), "kinesisvideo", REGION).add_auth(request)
        headers = dict(request.headers.items())
        async with self.session.post(request.url, data=data, headers=headers, ssl=self.trusting()) as answer:
            return answer.status, await answer.json()


def _credentials(key: Key) -> Credentials:
    return Credentials(key.access, key.secret, key.token or None)


def packed(text: str | dict[str, Any]) -> str:
    """Return a payload as clients make them."""
    return base64.b64encode((text if isinstance(text, str) else json.dumps(text)).encode()).decode()


def js(action: str, payload: str = "eA==", *, to: str = "", correlation: str = "") -> str:
    """Return a message in JavaScript's spelling."""
    said = {"action": action, "messagePayload": payload, "recipientClientId": to, "correlationId": correlation}
    return json.dumps({name: value for name, value in said.items() if value})


async def heard(socket: aiohttp.ClientWebSocketResponse, seconds: float = 5) -> dict[str, Any]:
    """Return the next event; a frame that closes the connection fails."""
    frame = await socket.receive(timeout=seconds)
    assert frame.type is aiohttp.WSMsgType.TEXT, frame
    read: dict[str, Any] = json.loads(frame.data)
    return read


async def closed(socket: aiohttp.ClientWebSocketResponse, seconds: float = 5) -> int | None:
    """Wait for the end of a connection, past events that come before it; returns its code."""
    async with asyncio.timeout(seconds):
        while (frame := await socket.receive()).type is aiohttp.WSMsgType.TEXT:
            pass
    assert frame.type in (aiohttp.WSMsgType.CLOSE, aiohttp.WSMsgType.CLOSED, aiohttp.WSMsgType.CLOSING), frame
    return int(frame.data) if frame.type is aiohttp.WSMsgType.CLOSE else socket.close_code


async def silent(socket: aiohttp.ClientWebSocketResponse, seconds: float = 0.15) -> bool:
    """Tell whether nothing comes for a moment."""
    try:
        await socket.receive(timeout=seconds)
    except TimeoutError:
        return True
    return False


async def until(true: Callable[[], bool]) -> None:
    """Wait for something to become true."""
    async with asyncio.timeout(5):
        while not true():  # noqa: ASYNC110  # what is waited for has no event of its own
            await asyncio.sleep(0.01)


@asynccontextmanager
async def serving(
    folder: Path, *, limits: Limits | None = None, clock: Callable[[], float] = time.time
) -> AsyncIterator[World]:
    """Serve signaling and credentials over TLS, with signatures checked."""
    store = open_store(folder / "state", clock=clock)
    service = Service(folder, store, clock)
    if limits:
        service.state["signaling"] = Hub(clock, limits)
    authority = Authority(folder)
    world = World(service, authority, store.channels.create("cam01", region=REGION))
    app = make_app(service)
    app.middlewares.append(_counting(world))
    runner = web.AppRunner(app, access_log=None)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0, ssl_context=authority.context())
    await site.start()
    world.port = runner.addresses[0][1]
    async with aiohttp.ClientSession() as world.session:
        try:
            yield world
        finally:
            await runner.cleanup()
            store.close()


def _counting(world: World) -> Any:
    @web.middleware
    async def count(request: web.Request, handler: Callable[[web.Request], Any]) -> web.StreamResponse:
        try:
            response: web.StreamResponse = await handler(request)
            return response
        finally:
            if request.path == "/":
                world.finished.append(request.query.get("X-Amz-ClientId", ""))

    return count
