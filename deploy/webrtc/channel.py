"""A viewer's way to a signaling channel: the servers that help, and the signed WebSocket; for the page and for verify.

aiohttp, an extra, is imported when a connection is made.
"""

from __future__ import annotations

import asyncio
import secrets
import ssl
from typing import TYPE_CHECKING, Any

from deploy.cloud.session import Calls, Service, ServiceRefusalError
from recipes.text import one_line

if TYPE_CHECKING:
    from aiohttp import ClientSession, ClientWebSocketResponse

_CONNECTIONS = 128
_DOWN_BYTES = 1 << 16
_SIGNED_SECONDS = 299
_CONNECT_SECONDS = 10


def open_session(service: Service) -> ClientSession:
    """Return the client for URLs that the service names; it follows no redirect and keeps no cookie.

    It is to be made within the event loop that uses it, and closed by the caller.
    """
    from aiohttp import ClientSession, ClientTimeout, DummyCookieJar, TCPConnector

    trust = ssl.create_default_context(cafile=str(service.ca) if service.ca else None)
    connector = TCPConnector(ssl=trust, limit=_CONNECTIONS)
    return ClientSession(
        connector=connector,
        cookie_jar=DummyCookieJar(),
        timeout=ClientTimeout(total=120, sock_connect=5, sock_read=30),
        auto_decompress=True,
        trust_env=not service.is_local,
    )


async def ice_servers(calls: Calls, channel_arn: str) -> list[dict[str, Any]]:
    """Return the servers that help two sides to find each other, as a browser takes them; TURN's are short-lived."""
    endpoints = await calls.channel_endpoints(channel_arn)
    answer = await calls.ask(
        "kinesis-video-signaling", "get_ice_server_config", endpoints["HTTPS"], ChannelARN=channel_arn
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


async def connect_viewer(calls: Calls, upstream: ClientSession, channel_arn: str) -> ClientWebSocketResponse:
    """Return a viewer's WebSocket to a channel.

    Raises
    ------
    ServiceRefusalError
        The service has no address for viewers, refuses this one, or does not answer within 10 s.
    """
    from aiohttp import ClientError, ClientWSTimeout
    from yarl import URL

    endpoints = await calls.channel_endpoints(channel_arn)
    if "WSS" not in endpoints:
        raise ServiceRefusalError(502, "NoEndpoint", "the service names no address for viewers of this channel")
    local_plain = calls.service.endpoint_url.startswith("http:")
    if not endpoints["WSS"].startswith(("wss://", "ws://") if local_plain else "wss://"):
        raise ServiceRefusalError(502, "NoTls", "the service offers signaling without encryption")
    query = {"X-Amz-ChannelARN": channel_arn, "X-Amz-ClientId": f"boardcast-{secrets.token_hex(8)}"}
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
