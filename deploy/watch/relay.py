"""A viewer's signaling: the browser's WebSocket on this side, the service's signed one on the other.

Messages are the service's own (`action`, `messagePayload`), so other viewers that speak them can use the address too.
Only offers and candidates go up, only what the service's own messages have comes down, both bounded.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import time
from collections.abc import Mapping, Sequence
from typing import Any

from aiohttp import ClientError, ClientSession, ClientWebSocketResponse, WSMsgType, web

from deploy.cloud.session import Calls, ServiceRefusalError
from deploy.watch.cameras import Camera
from deploy.webrtc.channel import connect_viewer, ice_servers
from recipes.text import one_line

_UP = ("SDP_OFFER", "ICE_CANDIDATE")
_DOWN = ("SDP_ANSWER", "ICE_CANDIDATE", "GO_AWAY", "RECONNECT_ICE_SERVER", "STATUS_RESPONSE")
_PAYLOAD = 10_000
"""Characters of one message's payload; the service's own limit for what a client sends."""
_A_SECOND, _BURST = 30, 120


async def relay(calls: Calls, upstream: ClientSession, camera: Camera, browser: web.WebSocketResponse) -> None:
    """Connect a viewer with the camera's channel until one side goes; what goes wrong is told to the viewer in words.

    The first message is of type ICE_SERVERS; then the service's own follow.
    """
    try:
        arn = camera.need_channel().arn
        servers, service = await asyncio.gather(ice_servers(calls, arn), connect_viewer(calls, upstream, arn))
    except ServiceRefusalError as refusal:
        await _tell(browser, refusal.code, refusal.words)
        return
    async with service:
        await browser.send_json({"messageType": "ICE_SERVERS", "servers": servers})
        ways = [asyncio.create_task(_up(browser, service)), asyncio.create_task(_down(service, browser))]
        done, rest = await asyncio.wait(ways, return_when=asyncio.FIRST_COMPLETED)
        for way in rest:
            way.cancel()
        await asyncio.gather(*rest, return_exceptions=True)
        for way in done:
            if (error := way.exception()) is not None and not isinstance(error, ConnectionError | ClientError):
                raise error


async def _up(browser: web.WebSocketResponse, service: ClientWebSocketResponse) -> None:
    allowed, before = float(_BURST), time.monotonic()
    async for message in browser:
        if message.type is not WSMsgType.TEXT:
            continue
        now = time.monotonic()
        allowed, before = min(_BURST, allowed + (now - before) * _A_SECOND), now
        if allowed < 1:
            await _tell(browser, "TooMany", "too many messages a second; this one is left out")
            continue
        allowed -= 1
        told = _object(message.data)
        action, payload = told.get("action"), told.get("messagePayload")
        if action not in _UP or not isinstance(payload, str) or len(payload) > _PAYLOAD:
            await _tell(browser, "NotSent", "a message was not sent: it is no offer or candidate, or too long")
            continue
        await service.send_json({"action": action, "messagePayload": payload})


async def _down(service: ClientWebSocketResponse, browser: web.WebSocketResponse) -> None:
    async for message in service:
        if message.type is not WSMsgType.TEXT or not message.data.strip():
            continue  # the real service sends empty ones
        told = _object(message.data)
        kind, payload = told.get("messageType"), told.get("messagePayload")
        if kind not in _DOWN:
            continue
        answer: dict[str, Any] = {"messageType": kind}
        if isinstance(payload, str):
            answer["messagePayload"] = payload
        if isinstance(told.get("statusResponse"), Mapping):
            status = told["statusResponse"]
            answer["statusResponse"] = {
                key: one_line(str(status.get(key, ""))) for key in ("statusCode", "errorType", "description")
            }
        await browser.send_json(answer)
    await _tell(browser, "SignalingClosed", "the service has closed the signaling connection")


async def _tell(browser: web.WebSocketResponse, code: str, words: str) -> None:
    with contextlib.suppress(ConnectionError, ClientError, RuntimeError):
        await browser.send_json({"messageType": "PAGE_NOTE", "code": code, "words": words})


def _object(text: str) -> Mapping[str, Any]:
    try:
        told = json.loads(text)
    except (ValueError, RecursionError):
        return {}
    return told if isinstance(told, Mapping) else {}


def go2rtc_line(url: str, servers: Sequence[Mapping[str, Any]]) -> str:
    """Return go2rtc's source for a viewer of the channel through this server; nothing in it is signed.

    Its words: https://github.com/AlexxIT/go2rtc/blob/master/internal/webrtc/README.md
    """
    plain = [server for server in servers if "credential" not in server]
    return f"webrtc:{url}#format=kinesis#client_id=go2rtc#ice_servers={json.dumps(plain, separators=(',', ':'))}"
