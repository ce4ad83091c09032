"""Endpoints that only the service itself names: for a stream's media, for a channel's signaling, its TURN servers."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Callable, Coroutine, Iterator, Sequence
from typing import Any
from urllib.parse import urlsplit

from deploy.boards.board import Board
from deploy.cloud.promise import ChannelPromise, StreamPromise, board_promises, board_region
from deploy.cloud.session import Calls, Service, ServiceRefusalError
from deploy.kvs.names import Endpoints
from deploy.reach.endpoints import PORT, Endpoint, board_ca, domain, promised_regions
from recipes.errors import UserError

SECONDS = 12.0
"""For all questions; a service that does not answer is told by the endpoints that are known without it."""
_MOST = 16
_TURN = re.compile(
    r"(?P<scheme>turns?):(?P<host>[A-Za-z0-9.-]{1,253})(?::(?P<port>[0-9]{1,5}))?(?:\?transport=(?P<by>udp|tcp))?"
)


def named_by_service(board: Board, service: Callable[[str], Service]) -> list[Endpoint]:
    """Return the endpoints of a board's streams and channels as a service names them; what it refuses is left out."""
    promised, usual, ca = board_promises(board), board_region(board), board_ca(board)
    found = dict[tuple[str, str, int, str], Endpoint]()
    for region in promised_regions(board):
        streams = [one for one in promised.streams if (one.region or usual) == region and not one.prefix]
        channels = [one for one in promised.channels if (one.region or usual) == region]
        try:
            calls = Calls(service(region))
        except UserError:
            continue
        try:
            rows = asyncio.run(_of_region(calls, streams, channels, ca))
        finally:
            calls.close()
        for endpoint in rows:
            found.setdefault((endpoint.kind, endpoint.host, endpoint.port, endpoint.transport), endpoint)
    return list(found.values())[:_MOST]


async def _of_region(
    calls: Calls, streams: Sequence[StreamPromise], channels: Sequence[ChannelPromise], ca: str
) -> list[Endpoint]:
    asked = [_of_stream(calls, stream, ca) for stream in streams]
    asked += [_of_channel(calls, channel, ca) for channel in channels]
    return [endpoint for rows in await asyncio.gather(*map(_answered, asked)) for endpoint in rows]


async def _answered(work: Coroutine[None, None, list[Endpoint]]) -> list[Endpoint]:
    """Return what a question is answered with; nothing where the service refuses, is silent, or answers nonsense.

    Why it does so is told by the endpoints that are known without it, and by the checks of the cloud's side.
    """
    try:
        return await asyncio.wait_for(work, SECONDS)
    except (ServiceRefusalError, TimeoutError, KeyError, TypeError, ValueError):
        return []


async def _of_stream(calls: Calls, stream: StreamPromise, ca: str) -> list[Endpoint]:
    answer = await calls.ask("kinesisvideo", "get_data_endpoint", StreamName=stream.name, APIName="PUT_MEDIA")
    url = _board_names(calls).data("PUT_MEDIA") if calls.service.is_local else str(answer["DataEndpoint"])
    return list(_tls(f"data of {stream.name}", url, ca))


def _board_names(calls: Calls) -> Endpoints:
    """Return the names that the local service gives a board, which asks it by a name of AWS; we do by an address."""
    return Endpoints(f"kinesisvideo.{domain(calls.region)}")


async def _of_channel(calls: Calls, channel: ChannelPromise, ca: str) -> list[Endpoint]:
    info = await calls.ask("kinesisvideo", "describe_signaling_channel", ChannelName=channel.name)
    arn = str(info["ChannelInfo"]["ChannelARN"])
    answer = await calls.ask(
        "kinesisvideo",
        "get_signaling_channel_endpoint",
        ChannelARN=arn,
        SingleMasterChannelEndpointConfiguration={"Protocols": ["WSS", "HTTPS"], "Role": "MASTER"},
    )
    urls = {str(row["Protocol"]): str(row["ResourceEndpoint"]) for row in answer["ResourceEndpointList"]}
    found = [
        endpoint
        for protocol, url in urls.items()
        for endpoint in _tls(
            f"signaling of {channel.name} ({protocol})",
            _board_names(calls).signaling(protocol) if calls.service.is_local else url,
            ca,
        )
    ]
    ice = await calls.ask("kinesis-video-signaling", "get_ice_server_config", urls["HTTPS"], ChannelARN=arn)
    for row in ice.get("IceServerList", [])[:4]:
        found += _turn(row, ca)
    return found


def _tls(name: str, url: str, ca: str) -> Iterator[Endpoint]:
    """Yield the endpoint of a URL that a service named; none where it is no address with TLS."""
    parts = urlsplit(url)
    if parts.scheme in ("https", "wss") and parts.hostname:
        yield Endpoint(name=name, kind="tls", host=parts.hostname, port=parts.port or PORT, ca=ca)


def _turn(row: dict[str, Any], ca: str) -> Iterator[Endpoint]:
    """Yield the TURN servers of an entry; DTLS, which is `turns` by UDP, is left out: no SDK of the board speaks it."""
    for uri in row.get("Uris", [])[:8]:
        found = _TURN.fullmatch(str(uri))
        if found is None or (found["scheme"] == "turns" and found["by"] == "udp"):
            continue
        secure = found["scheme"] == "turns"
        transport = "tls" if secure else found["by"] or "udp"
        yield Endpoint(
            name=f"TURN by {transport.upper()} at {found['host']}",
            kind="turn",
            host=found["host"],
            port=int(found["port"] or (5349 if secure else 3478)),
            ca=ca if secure else "",
            transport=transport,
            user=str(row.get("Username", "")),
            password=str(row.get("Password", "")),
        )
