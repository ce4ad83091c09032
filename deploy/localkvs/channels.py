"""The control plane of signaling channels."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from deploy.kvs.arguments import choice, items, number, page, part, text
from deploy.kvs.errors import ServiceError, invalid
from deploy.kvs.names import Endpoints
from deploy.kvsstore.caller import caller_of
from deploy.kvsstore.channels import Channel
from deploy.kvsstore.service import Handler, Service
from deploy.localkvs.streams import prefix_of

if TYPE_CHECKING:
    from aiohttp import web


def channel_of(service: Service, request: web.Request, arguments: Mapping[str, Any]) -> Channel:
    """Return the channel that a call names by ChannelName or ChannelARN, in the region of the caller."""
    return service.store.channels.find(
        name=text(arguments, "ChannelName"), arn=text(arguments, "ChannelARN"), region=caller_of(request).region
    )


def _described(channel: Channel) -> dict[str, Any]:
    return {
        "ChannelName": channel.name,
        "ChannelARN": channel.arn,
        "ChannelType": channel.kind,
        "ChannelStatus": "ACTIVE",
        "CreationTime": channel.created,
        "SingleMasterConfiguration": {"MessageTtlSeconds": channel.ttl},
        "Version": channel.version,
    }


def _ttl(arguments: Mapping[str, Any], default: int) -> int:
    return number(part(arguments, "SingleMasterConfiguration"), "MessageTtlSeconds", low=5, high=120, default=default)


async def _create(service: Service, request: web.Request, arguments: dict[str, Any]) -> dict[str, Any]:
    given = [one if isinstance(one, dict) else {} for one in items(arguments, "Tags", most=50)]
    made = service.store.channels.create(
        text(arguments, "ChannelName", needed=True),
        region=caller_of(request).region,
        kind=choice(arguments, "ChannelType", ["SINGLE_MASTER", "FULL_MESH"], "SINGLE_MASTER"),
        ttl=_ttl(arguments, 60),
        tags={text(tag, "Key", needed=True, most=128): text(tag, "Value", most=256) for tag in given},
    )
    return {"ChannelARN": made.arn}


async def _describe(service: Service, request: web.Request, arguments: dict[str, Any]) -> dict[str, Any]:
    return {"ChannelInfo": _described(channel_of(service, request, arguments))}


async def _list(service: Service, request: web.Request, arguments: dict[str, Any]) -> dict[str, Any]:
    found = service.store.channels.all(
        region=caller_of(request).region, prefix=prefix_of(arguments, "ChannelNameCondition")
    )
    shown, token = page(found, arguments, most=10_000, default=10_000)
    return {"ChannelInfoList": [_described(channel) for channel in shown]} | ({"NextToken": token} if token else {})


async def _delete(service: Service, request: web.Request, arguments: dict[str, Any]) -> dict[str, Any]:
    channel = service.store.channels.find(arn=text(arguments, "ChannelARN", needed=True))
    version = text(arguments, "CurrentVersion")
    if version and version != channel.version:
        raise ServiceError(400, "VersionMismatchException", f"The current version is {channel.version}.")
    service.store.channels.delete(channel)
    if hub := service.state.get("signaling"):
        await hub.close_channel(channel.arn)
    return {}


async def _update(service: Service, request: web.Request, arguments: dict[str, Any]) -> dict[str, Any]:
    channel = service.store.channels.find(arn=text(arguments, "ChannelARN", needed=True))
    service.store.channels.change(
        channel, text(arguments, "CurrentVersion", needed=True), ttl=_ttl(arguments, channel.ttl)
    )
    return {}


async def _endpoint(service: Service, request: web.Request, arguments: dict[str, Any]) -> dict[str, Any]:
    service.store.channels.find(arn=text(arguments, "ChannelARN", needed=True))
    wanted = part(arguments, "SingleMasterChannelEndpointConfiguration")
    protocols = items(wanted, "Protocols", most=5) or ["HTTPS", "WSS"]
    choice(wanted, "Role", ["MASTER", "VIEWER"], "VIEWER")
    if strange := [one for one in protocols if one not in ("WSS", "HTTPS", "WEBRTC")]:
        raise invalid(f"Protocols must be of WSS, HTTPS and WEBRTC, not {strange[0]}.")
    if "WEBRTC" in protocols:
        raise invalid("WEBRTC needs a channel with media storage, which the local service does not offer.")
    endpoints = Endpoints(request.host)
    listed = [{"Protocol": one, "ResourceEndpoint": endpoints.signaling(one)} for one in sorted(set(protocols))]
    return {"ResourceEndpointList": listed}


async def _storage(service: Service, request: web.Request, arguments: dict[str, Any]) -> dict[str, Any]:
    channel_of(service, request, arguments)
    return {"MediaStorageConfiguration": {"Status": "DISABLED"}}


async def _mapped(service: Service, request: web.Request, arguments: dict[str, Any]) -> dict[str, Any]:
    service.store.streams.find(
        name=text(arguments, "StreamName"), arn=text(arguments, "StreamARN"), region=caller_of(request).region
    )
    return {"MappedResourceConfigurationList": []}


OPERATIONS: dict[str, Handler] = {
    "createSignalingChannel": _create,
    "describeSignalingChannel": _describe,
    "listSignalingChannels": _list,
    "deleteSignalingChannel": _delete,
    "updateSignalingChannel": _update,
    "getSignalingChannelEndpoint": _endpoint,
    "describeMediaStorageConfiguration": _storage,
    "describeMappedResourceConfiguration": _mapped,
}
"""Path of a call, as botocore's model of the service has it, and what answers it."""
