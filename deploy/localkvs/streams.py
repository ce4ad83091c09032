"""The control plane of streams: create, describe, list, change, delete, tag, and where their data goes."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from deploy.kvs.arguments import choice, items, number, page, part, text
from deploy.kvs.errors import ServiceError, invalid
from deploy.kvs.names import Endpoints
from deploy.kvsstore.caller import caller_of
from deploy.kvsstore.service import Handler, Service
from deploy.kvsstore.streams import MOST_HOURS, MOST_TAGS, Stream

if TYPE_CHECKING:
    from aiohttp import web

    from deploy.kvsstore.channels import Channel

APIS = (
    "PUT_MEDIA", "GET_MEDIA", "LIST_FRAGMENTS", "GET_MEDIA_FOR_FRAGMENT_LIST", "GET_HLS_STREAMING_SESSION_URL",
    "GET_DASH_STREAMING_SESSION_URL", "GET_CLIP", "GET_IMAGES",
)  # fmt: skip


def stream_of(service: Service, request: web.Request, arguments: Mapping[str, Any]) -> Stream:
    """Return the stream that a call names by StreamName or StreamARN, in the region of the caller."""
    return service.store.streams.find(
        name=text(arguments, "StreamName"), arn=text(arguments, "StreamARN"), region=caller_of(request).region
    )


def _described(stream: Stream) -> dict[str, Any]:
    optional = {"MediaType": stream.media_type, "DeviceName": stream.device_name}
    return {
        "StreamName": stream.name,
        "StreamARN": stream.arn,
        "KmsKeyId": stream.kms_key_id,
        "Version": stream.version,
        "Status": "ACTIVE",
        "CreationTime": stream.created,
        "DataRetentionInHours": stream.retention_hours,
    } | {name: value for name, value in optional.items() if value}


async def _create(service: Service, request: web.Request, arguments: dict[str, Any]) -> dict[str, Any]:
    made = service.store.streams.create(
        text(arguments, "StreamName", needed=True),
        region=caller_of(request).region,
        retention_hours=number(arguments, "DataRetentionInHours", low=0, high=MOST_HOURS, default=0),
        media_type=text(arguments, "MediaType", most=128),
        device_name=text(arguments, "DeviceName", most=128),
        kms_key_id=text(arguments, "KmsKeyId"),
        tags=part(arguments, "Tags"),
    )
    return {"StreamARN": made.arn}


async def _describe(service: Service, request: web.Request, arguments: dict[str, Any]) -> dict[str, Any]:
    return {"StreamInfo": _described(stream_of(service, request, arguments))}


def prefix_of(arguments: Mapping[str, Any], name: str) -> str:
    """Return the prefix that a list is limited to; everything without one."""
    condition = part(arguments, name)
    if condition:
        choice(condition, "ComparisonOperator", ["BEGINS_WITH"], "BEGINS_WITH")
    return text(condition, "ComparisonValue", most=256)


async def _list(service: Service, request: web.Request, arguments: dict[str, Any]) -> dict[str, Any]:
    found = service.store.streams.all(
        region=caller_of(request).region, prefix=prefix_of(arguments, "StreamNameCondition")
    )
    shown, token = page(found, arguments, most=10_000, default=10_000)
    return {"StreamInfoList": [_described(stream) for stream in shown]} | ({"NextToken": token} if token else {})


async def _delete(service: Service, request: web.Request, arguments: dict[str, Any]) -> dict[str, Any]:
    stream = service.store.streams.find(arn=text(arguments, "StreamARN", needed=True))
    version = text(arguments, "CurrentVersion")
    if version and version != stream.version:
        raise ServiceError(400, "VersionMismatchException", f"The current version is {stream.version}.")
    service.store.streams.delete(stream)
    await service.store.fragments.delete_stream(stream)
    return {}


async def _update(service: Service, request: web.Request, arguments: dict[str, Any]) -> dict[str, Any]:
    stream = stream_of(service, request, arguments)
    values = {"media_type": text(arguments, "MediaType"), "device_name": text(arguments, "DeviceName")}
    version = text(arguments, "CurrentVersion", needed=True)
    service.store.streams.change(stream, version, **{name: value for name, value in values.items() if value})
    return {}


async def _retention(service: Service, request: web.Request, arguments: dict[str, Any]) -> dict[str, Any]:
    stream = stream_of(service, request, arguments)
    operation = choice(arguments, "Operation", ["INCREASE_DATA_RETENTION", "DECREASE_DATA_RETENTION"])
    change = number(arguments, "DataRetentionChangeInHours", low=1, high=MOST_HOURS)
    hours = stream.retention_hours + (change if operation.startswith("INCREASE") else -change)
    if not 0 <= hours <= MOST_HOURS:
        raise invalid(f"The retention would be {hours} hours; it must be between 0 and {MOST_HOURS}.")
    version = text(arguments, "CurrentVersion", needed=True)
    service.store.streams.change(stream, version, retention_hours=hours)
    return {}


async def _tag(service: Service, request: web.Request, arguments: dict[str, Any]) -> dict[str, Any]:
    stream = stream_of(service, request, arguments)
    service.store.streams.tag(stream, stream.tags | part(arguments, "Tags"))
    return {}


async def _untag(service: Service, request: web.Request, arguments: dict[str, Any]) -> dict[str, Any]:
    stream = stream_of(service, request, arguments)
    gone = items(arguments, "TagKeyList", most=MOST_TAGS)
    service.store.streams.tag(stream, {name: value for name, value in stream.tags.items() if name not in gone})
    return {}


async def _tags(service: Service, request: web.Request, arguments: dict[str, Any]) -> dict[str, Any]:
    return {"Tags": stream_of(service, request, arguments).tags}


def _resource(service: Service, arguments: Mapping[str, Any]) -> Stream | Channel:
    arn = text(arguments, "ResourceARN", needed=True)
    return service.store.channels.find(arn=arn) if ":channel/" in arn else service.store.streams.find(arn=arn)


def _tag_resource(service: Service, found: Stream | Channel, tags: Mapping[str, str]) -> None:
    if isinstance(found, Stream):
        service.store.streams.tag(found, tags)
    else:
        service.store.channels.tag(found, tags)


async def _tag_any(service: Service, request: web.Request, arguments: dict[str, Any]) -> dict[str, Any]:
    found = _resource(service, arguments)
    given = [one if isinstance(one, dict) else {} for one in items(arguments, "Tags", most=MOST_TAGS)]
    named = {text(tag, "Key", needed=True, most=128): text(tag, "Value", most=256) for tag in given}
    _tag_resource(service, found, found.tags | named)
    return {}


async def _untag_any(service: Service, request: web.Request, arguments: dict[str, Any]) -> dict[str, Any]:
    found = _resource(service, arguments)
    gone = items(arguments, "TagKeyList", most=MOST_TAGS)
    _tag_resource(service, found, {name: value for name, value in found.tags.items() if name not in gone})
    return {}


async def _tags_of_any(service: Service, request: web.Request, arguments: dict[str, Any]) -> dict[str, Any]:
    return {"Tags": _resource(service, arguments).tags}


async def _endpoint(service: Service, request: web.Request, arguments: dict[str, Any]) -> dict[str, Any]:
    stream_of(service, request, arguments)
    api = choice(arguments, "APIName", APIS)
    return {"DataEndpoint": Endpoints(request.host).data(api)}


async def _no_images(service: Service, request: web.Request, arguments: dict[str, Any]) -> dict[str, Any]:
    """Say that nothing is configured: a stream has no image generation and no notifications here."""
    stream_of(service, request, arguments)
    return {}


OPERATIONS: dict[str, Handler] = {
    "createStream": _create,
    "describeStream": _describe,
    "listStreams": _list,
    "deleteStream": _delete,
    "updateStream": _update,
    "updateDataRetention": _retention,
    "tagStream": _tag,
    "untagStream": _untag,
    "listTagsForStream": _tags,
    "TagResource": _tag_any,
    "UntagResource": _untag_any,
    "ListTagsForResource": _tags_of_any,
    "getDataEndpoint": _endpoint,
    "describeImageGenerationConfiguration": _no_images,
    "describeNotificationConfiguration": _no_images,
}
"""Path of a call, as botocore's model of the service has it, and what answers it."""
