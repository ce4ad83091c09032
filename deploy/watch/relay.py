"""A viewer's signaling: the browser's WebSocket on this side, the service's signed one on the other.

Messages are the service's own (`action`, `messagePayload`), so other viewers that speak them can use the address too.
Only offers and candidates go up, only what the service's own messages have comes down, both bounded.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import secrets
import time
from collections.abc import Mapping, Sequence
from typing import Any

from aiohttp import ClientError, ClientSession, ClientWebSocketResponse, WSMsgType, web

from deploy.watch.feed import Camera
from deploy.watch.service import Calls, ServiceRefusalError
from recipes.text import one_line

_UP = ("SDP_OFFER", "ICE_CANDIDATE")
_DOWN = ("SDP_ANSWER", "ICE_CANDIDATE", "GO_AWAY", "RECONNECT_ICE_SERVER", "STATUS_RESPONSE")
_PAYLOAD = 10_000
"""Characters of one message's payload; the service's own limit for what a client sends."""
_DOWN_BYTES = 1 << 16
_A_SECOND, _BURST = 30, 120
_SIGNED_SECONDS = 299
_CONNECT_SECONDS = 10


async def ice_servers(calls: Calls, camera: Camera) -> list[dict[str, Any]]:
    """Return the servers that help two sides to find each other, as a browser takes them; TURN's are short-lived."""
    channel = camera.need_channel()
    endpoints = await calls.channel_endpoints(channel.arn)
    answer = await calls.ask(
        "kinesis-video-signaling", "get_ice_server_config", endpoints["HTTPS"], ChannelARN=channel.arn
    )
    servers: list[dict[str, Any]] = []
    if not calls.service.is_local:
        suffix = ".cn" if calls.region.startswith("cn-") else ""
        servers.append({"urls": [f"stun:stun.kinesisvideo.{calls.region}.amazonaws.com{suffix}:443"]})
    for row in answer.get("IceServerList", [])[:8]:
        urls = [
            one_line(str(url)) for url in row.get("Uris", [])[:8] if str(url).startswith(("stun:", "turn:", "turns:"))
        ]
        if not urls:
            continue
        entry: dict[str, Any] = {"urls": urls}
        if row.get("Username"):
            entry |= {"username": str(row["Username"]), "credential": str(row.get("Password") or "")}
        servers.append(entry)
    return servers


async def relay(calls: Calls, upstream: ClientSession, camera: Camera, browser: web.WebSocketResponse) -> None:
    """Connect a viewer with the camera's channel until one side goes; what goes wrong is told to the viewer in words.

    The first message is of type ICE_SERVERS; then the service's own follow.
    """
    try:
        servers, service = await asyncio.gather(ice_servers(calls, camera), _connect(calls, upstream, camera))
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


async def _connect(calls: Calls, upstream: ClientSession, camera: Camera) -> ClientWebSocketResponse:
    from aiohttp import ClientWSTimeout
    from yarl import URL

    channel = camera.need_channel()
    endpoints = await calls.channel_endpoints(channel.arn)
    if "WSS" not in endpoints:
        raise ServiceRefusalError(502, "NoEndpoint", "the service names no address for viewers of this channel")
    local_plain = calls.service.endpoint_url.startswith("http:")
    if not endpoints["WSS"].startswith(("wss://", "ws://") if local_plain else "wss://"):
        raise ServiceRefusalError(502, "NoTls", "the service offers signaling without encryption")
    query = {"X-Amz-ChannelARN": channel.arn, "X-Amz-ClientId": f"boardcast-{secrets.token_hex(8)}"}
    url = await calls.signed_url(endpoints["WSS"], query, _SIGNED_SECONDS)
    try:
        return await asyncio.wait_for(
            upstream.ws_connect(
                URL(url, encoded=True), max_msg_size=_DOWN_BYTES, timeout=ClientWSTimeout(ws_close=2), autoping=True
            ),
            _CONNECT_SECONDS,
        )
    except (ClientError, TimeoutError) as error:
        status = getattr(error, "status", 0)
        words = "the service does not answer" if not status else f"the service refuses the viewer (HTTP {status})"
        raise ServiceRefusalError(502, type(error).__name__, words) from None  # the error's text has the signed URL


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
