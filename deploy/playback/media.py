"""Matroska sent again as it came: GetMedia while it arrives, GetMediaForFragmentList what was kept.

A chunk is a header, the fragment's facts as tags, the fragment as it came, and where the next call can go on. Readers
split at the EBML header, so each chunk has its own; which tags stand before and which behind the cluster is as the
service sends it: https://docs.aws.amazon.com/kinesisvideostreams/latest/dg/API_dataplane_GetMedia.html
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from deploy.kvs.arguments import choice, items, part
from deploy.kvs.errors import ServiceError, invalid, limit_exceeded
from deploy.kvsstore.fragments import Fragment
from deploy.kvsstore.service import Service
from deploy.kvsstore.streams import Stream
from deploy.media.matroska import write_tags
from deploy.playback.request import Span, fragment_number, milliseconds, seconds, stream_of

if TYPE_CHECKING:
    from aiohttp import web

MOST_READERS = 3
"""Of GetMedia, for one stream (limits.html)."""
MOST_LIST_READERS = 5
MOST_FRAGMENTS = 1000
STALLED = 60.0
"""Seconds after which a reader that takes nothing is let go."""
_LOOK = 1.0
"""Seconds between two looks at whether an idle reader, or the stream, is still there."""
_TAG = "AWS_KINESISVIDEO_"
_STARTS = ("FRAGMENT_NUMBER", "SERVER_TIMESTAMP", "PRODUCER_TIMESTAMP", "NOW", "EARLIEST", "CONTINUATION_TOKEN")


async def get_media(service: Service, request: web.Request, arguments: dict[str, Any]) -> web.StreamResponse:
    """Send fragments from a start on, and every one that arrives, until the client goes."""
    stream = stream_of(service, request, arguments)
    after = _start(service, stream, part(arguments, "StartSelector"))
    too_many = ServiceError(400, "ConnectionLimitExceededException", f"{MOST_READERS} clients read the stream already.")
    with _reader(service, request, f"media {stream.id}", MOST_READERS, too_many):
        response = await _begin(request)
        while not _gone(request):
            fragments = service.store.fragments.select(stream, after=after, limit=1)
            if not fragments:
                if not await service.store.fragments.arrived(stream, after, _LOOK) and _deleted(service, stream):
                    break
                continue
            after = fragments[0].number
            if not await _send(request, response, _chunk(service, stream, fragments[0])):
                break
        return response


async def get_media_for_fragment_list(
    service: Service, request: web.Request, arguments: dict[str, Any]
) -> web.StreamResponse:
    """Send the fragments that were asked for, in that order."""
    stream = stream_of(service, request, arguments)
    listed = items(arguments, "Fragments", most=MOST_FRAGMENTS)
    if not listed:
        raise invalid("Fragments must have 1 to 1000 members.")
    fragments = [service.store.fragments.get(stream, fragment_number(one, "Fragments")) for one in listed]
    too_many = limit_exceeded(f"{MOST_LIST_READERS} clients read the stream already.")
    with _reader(service, request, f"list {stream.id}", MOST_LIST_READERS, too_many):
        response = await _begin(request)
        for fragment in fragments:
            if not await _send(request, response, _listed_chunk(service, fragment)):
                break
        return response


@contextmanager
def _reader(service: Service, request: web.Request, key: str, most: int, too_many: ServiceError) -> Iterator[None]:
    """Count a reader while it reads; one whose client is gone does not count, though it may not know yet."""
    readers: dict[str, list[web.Request]] = service.state.setdefault("playback.readers", {})
    if sum(not _gone(one) for one in readers.get(key, ())) >= most:
        raise too_many
    readers.setdefault(key, []).append(request)
    try:
        yield
    finally:
        readers[key] = [one for one in readers[key] if one is not request]
        if not readers[key]:
            del readers[key]


def _start(service: Service, stream: Stream, selector: Mapping[str, Any]) -> str:
    """Return the number behind which to begin."""
    kind = choice(selector, "StartSelectorType", _STARTS)
    fragments = service.store.fragments
    if kind == "EARLIEST":
        return ""
    if kind == "NOW":
        return _before(fragments.latest(stream))
    if kind in ("FRAGMENT_NUMBER", "CONTINUATION_TOKEN"):
        name = "AfterFragmentNumber" if kind == "FRAGMENT_NUMBER" else "ContinuationToken"
        return fragment_number(selector.get(name), f"StartSelector.{name}")
    span = Span("SERVER" if kind.startswith("SERVER") else "PRODUCER")
    at = milliseconds(selector, "StartTimestamp")
    assert at is not None  # noqa: S101
    earlier = fragments.select(stream, end_ms=at, by=span.by, limit=1, newest_first=True)
    if earlier and at < span.time_of(earlier[0]) + max(1, earlier[0].length_ms):
        return _before(earlier[0])
    later = fragments.select(stream, start_ms=at, by=span.by, limit=1)
    latest = fragments.latest(stream)
    return _before(later[0]) if later else (latest.number if latest else "")


def _before(fragment: Fragment | None) -> str:
    """Return a number that only this fragment and later ones are greater than."""
    return "" if fragment is None else f"{int(fragment.number) - 1:047d}"


async def _begin(request: web.Request) -> web.StreamResponse:
    from aiohttp import web

    response = web.StreamResponse(headers={"Content-Type": "video/webm", "Cache-Control": "no-store"})
    response.enable_chunked_encoding()
    await response.prepare(request)
    return response


def _gone(request: web.Request) -> bool:
    return request.transport is None or request.transport.is_closing()


def _deleted(service: Service, stream: Stream) -> bool:
    try:
        service.store.streams.find(arn=stream.arn)
    except ServiceError:
        return True
    return False


async def _send(request: web.Request, response: web.StreamResponse, parts: Iterator[bytes]) -> bool:
    """Send a chunk; tell whether the client takes more."""
    for piece in parts:
        if _gone(request):
            return False
        try:
            await asyncio.wait_for(response.write(piece), STALLED)
        except (TimeoutError, ConnectionError):
            return False
    return True


def _chunk(service: Service, stream: Stream, fragment: Fragment) -> Iterator[bytes]:
    kept = service.store.fragments
    yield kept.header(fragment)
    try:
        data = kept.data(fragment)
    except ServiceError:
        # The retention ended while a slow reader was behind: the service's own number for it.
        yield write_tags({f"{_TAG}ERROR_CODE": "FRAGMENT_NOT_FOUND", f"{_TAG}ERROR_ID": "4000"})
        return
    yield write_tags(_facts(fragment))
    yield data
    latest = kept.latest(stream) or fragment
    yield write_tags({
        f"{_TAG}MILLIS_BEHIND_NOW": str(max(0, latest.server_ms - fragment.server_ms)),
        f"{_TAG}CONTINUATION_TOKEN": fragment.number,
    })  # fmt: skip


def _listed_chunk(service: Service, fragment: Fragment) -> Iterator[bytes]:
    kept = service.store.fragments
    yield kept.header(fragment)
    try:
        data = kept.data(fragment)
    except ServiceError as error:
        yield write_tags({
            f"{_TAG}FRAGMENT_NUMBER": fragment.number,
            f"{_TAG}EXCEPTION_ERROR_CODE": "4000",
            f"{_TAG}EXCEPTION_MESSAGE": error.message,
        })  # fmt: skip
        return
    # The page on this call names the times otherwise than that on GetMedia; readers exist for both.
    sides = {"SERVER_SIDE_TIMESTAMP": fragment.server_ms, "PRODUCER_SIDE_TIMESTAMP": fragment.producer_ms}
    yield write_tags(_facts(fragment) | {f"{_TAG}{name}": seconds(value) for name, value in sides.items()})
    yield data


def _facts(fragment: Fragment) -> dict[str, str]:
    return {
        f"{_TAG}FRAGMENT_NUMBER": fragment.number,
        f"{_TAG}SERVER_TIMESTAMP": seconds(fragment.server_ms),
        f"{_TAG}PRODUCER_TIMESTAMP": seconds(fragment.producer_ms),
    }
