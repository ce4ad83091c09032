"""What was kept: ListFragments, GetClip, GetImages."""

from __future__ import annotations

import asyncio
import base64
import binascii
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Literal

from deploy.kvs.arguments import choice, number, part, text
from deploy.kvs.errors import ServiceError, invalid, not_found
from deploy.kvsstore.fragments import Fragment
from deploy.kvsstore.service import Service
from deploy.kvsstore.streams import Stream
from deploy.media.model import Cluster, MediaError
from deploy.media.pictures import clip_mp4, still
from deploy.playback.request import DAY_MS, SELECTORS, By, Span, milliseconds, span_of, stream_of
from deploy.playback.segments import Segments, bad_frames
from deploy.playback.sessions import playback

if TYPE_CHECKING:
    from aiohttp import web

MOST_LISTED = 1000
CLIP_FRAGMENTS = 200
CLIP_BYTES = 100_000_000
IMAGES_SPAN_MS = 300_000
PAGE_IMAGES = 25
"""More than that many are never on a page, whatever is asked for."""
PAGE_BYTES = 16 << 20
"""Of a page's images; what is beyond comes on the next."""
MOST_IMAGE = 6_291_456
"""Characters of an image in base64."""
_MS = 1_000_000


async def list_fragments(service: Service, request: web.Request, arguments: dict[str, Any]) -> dict[str, Any]:
    """List fragments by number, page by page; a stream that keeps nothing has none."""
    stream = stream_of(service, request, arguments)
    limit = number(arguments, "MaxResults", low=1, high=MOST_LISTED, default=100)
    token = text(arguments, "NextToken", most=4096)
    if token:
        span, after = _listing(token, stream)
    elif arguments.get("FragmentSelector") is None:
        span, after = Span("SERVER"), ""  # the service takes a call without one: all that is kept
    else:
        span, after = span_of(arguments, "FragmentSelector"), ""
    found = span.fragments(service, stream, limit=limit + 1, after=after) if stream.retention_hours else []
    shown = found[:limit]
    listed = [
        {
            "FragmentNumber": fragment.number,
            "FragmentSizeInBytes": fragment.size,
            "ProducerTimestamp": fragment.producer_ms / 1000,
            "ServerTimestamp": fragment.server_ms / 1000,
            "FragmentLengthInMilliseconds": fragment.length_ms,
        }
        for fragment in shown
    ]
    more = {"NextToken": _token(stream, span, shown[-1].number)} if len(found) > limit else {}
    return {"Fragments": listed} | more


def _token(stream: Stream, span: Span, place: str | int) -> str:
    """Return where a list goes on; the rest of the question is in it, so that the answer stays one."""
    return base64.b64encode(f"{stream.id} {span.by} {span.start_ms} {span.end_ms} {place}".encode()).decode()


def _listing(token: str, stream: Stream) -> tuple[Span, str]:
    try:
        said = base64.b64decode(token, validate=True).decode("ascii")
    except (binascii.Error, ValueError):
        said = ""
    found = re.fullmatch(r"([0-9]{1,18}) (SERVER|PRODUCER) ([0-9]{1,15}) ([0-9]{1,15}) ([0-9]{1,47})", said)
    if found is None or int(found[1]) != stream.id:
        raise invalid("NextToken is not one that was given out for this stream.")
    by: By = "SERVER" if found[2] == "SERVER" else "PRODUCER"
    return Span(by, int(found[3]), int(found[4])), found[5]


async def get_clip(service: Service, request: web.Request, arguments: dict[str, Any]) -> web.StreamResponse:
    """Return the first fragments of a range as one MP4."""
    from aiohttp import web

    stream = stream_of(service, request, arguments, retained=True)
    span = span_of(arguments, "ClipFragmentSelector", longest_ms=DAY_MS)
    if span.by == "SERVER" and span.end_ms and span.end_ms > service.clock() * 1000 + 1000:
        raise invalid("EndTimestamp must be in the past.")
    found = span.fragments(service, stream, limit=CLIP_FRAGMENTS)
    if not found:
        raise not_found("There is no fragment in the requested range.")
    found.sort(key=span.time_of)
    async with _one_at_a_time(service):
        made = await asyncio.to_thread(_clip, playback(service).segments, found)
    return web.Response(body=made, headers={"Content-Type": "video/mp4", "Cache-Control": "no-store"})


def _one_at_a_time(service: Service) -> asyncio.Semaphore:
    """Return what lets one clip or picture be made at a time: each takes a core, and memory."""
    lock = service.state.setdefault("playback.work", asyncio.Semaphore(1))
    assert isinstance(lock, asyncio.Semaphore)  # noqa: S101
    return lock


def _clip(segments: Segments, found: list[Fragment]) -> bytes:
    source = segments.source(found[0])
    clusters: list[Cluster] = []
    size, at, last = 0, found[0].producer_ms, found[0]
    for fragment in found:
        size += fragment.size
        if clusters and size > CLIP_BYTES:
            break
        if segments.source(fragment).key != source.key:
            raise ServiceError(
                400, "InvalidCodecPrivateDataException", "The codec private data changes within the requested range."
            )
        step = fragment.producer_ms - last.producer_ms
        at += step if step > 0 or fragment is last else last.length_ms
        clusters.append(_moved(segments.cluster(fragment), at * _MS))
        last = fragment
    try:
        return clip_mp4(replace(source.header, tracks=tuple(track for track, _ in source.tracks)), clusters)
    except MediaError as error:
        raise bad_frames(error) from None


def _moved(cluster: Cluster, start: int) -> Cluster:
    """Return a cluster that begins at another time: a producer's own times may begin at 0 in each connection."""
    by = start - cluster.timecode
    if not by:
        return cluster
    frames = tuple(replace(frame, pts=frame.pts + by) for frame in cluster.frames)
    return replace(cluster, timecode=start, frames=frames)


@dataclass(frozen=True, slots=True)
class _Wanted:
    """What images are asked for."""

    span: Span
    interval: int
    width: int
    height: int
    format: Literal["JPEG", "PNG"]
    quality: int

    def times(self, first: int) -> Iterator[tuple[int, int]]:
        """Return the place and the time of each image, from one on."""
        assert self.span.start_ms is not None  # noqa: S101
        assert self.span.end_ms is not None  # noqa: S101
        for place, at in enumerate(range(self.span.start_ms, self.span.end_ms + 1, self.interval)):
            if place >= first:
                yield place, at


async def get_images(service: Service, request: web.Request, arguments: dict[str, Any]) -> dict[str, Any]:
    """Return a picture for each moment of a range."""
    stream = stream_of(service, request, arguments, retained=True)
    wanted = _wanted(arguments)
    most = min(PAGE_IMAGES, number(arguments, "MaxResults", low=1, high=100, default=PAGE_IMAGES))
    token = text(arguments, "NextToken", most=4096)
    first = 0
    if token:
        span, place = _listing(token, stream)
        if span != wanted.span:
            raise invalid("NextToken belongs to another range of time.")
        first = int(place)
    images: list[dict[str, Any]] = []
    size = 0
    for number_, at in wanted.times(first):
        if len(images) == most or size > PAGE_BYTES:
            return {"Images": images, "NextToken": _token(stream, wanted.span, number_)}
        async with _one_at_a_time(service):
            image = await asyncio.to_thread(_image, service, stream, wanted, at)
        size += len(image.get("ImageContent", ""))
        images.append({"TimeStamp": at / 1000} | image)
    return {"Images": images}


def _wanted(arguments: Mapping[str, Any]) -> _Wanted:
    kind = choice(arguments, "ImageSelectorType", SELECTORS)
    start, end = milliseconds(arguments, "StartTimestamp"), milliseconds(arguments, "EndTimestamp")
    assert start is not None  # noqa: S101
    assert end is not None  # noqa: S101
    if end < start:
        raise invalid("StartTimestamp must not be later than EndTimestamp.")
    if end - start > IMAGES_SPAN_MS:
        raise invalid("EndTimestamp must be within 300 seconds of StartTimestamp.")
    width = number(arguments, "WidthPixels", low=0, high=3840, default=0)
    height = number(arguments, "HeightPixels", low=0, high=2160, default=0)
    if width and not height:
        raise invalid("HeightPixels must be provided with WidthPixels.")
    return _Wanted(
        Span("SERVER" if kind == SELECTORS[1] else "PRODUCER", start, end),
        number(arguments, "SamplingInterval", low=200, high=IMAGES_SPAN_MS, default=3000),
        width,
        height,
        "PNG" if choice(arguments, "Format", ("JPEG", "PNG")) == "PNG" else "JPEG",
        _quality(part(arguments, "FormatConfig")),
    )


def _quality(config: Mapping[str, Any]) -> int:
    if set(config) - {"JPEGQuality"}:
        raise invalid("FormatConfig knows JPEGQuality only.")
    value = text(config, "JPEGQuality", most=256) or "80"
    if not re.fullmatch(r"[0-9]{1,3}", value) or not 1 <= int(value) <= 100:
        raise invalid("JPEGQuality must be between 1 and 100.")
    return int(value)


def _image(service: Service, stream: Stream, wanted: _Wanted, at: int) -> dict[str, Any]:
    """Return the picture that was to be seen at a moment, or why there is none."""
    by = wanted.span.by
    found = service.store.fragments.select(stream, end_ms=at, by=by, limit=1, newest_first=True)
    if not found or at >= wanted.span.time_of(found[0]) + max(1, found[0].length_ms):
        return {"Error": "NO_MEDIA"}
    fragment = found[0]
    segments = playback(service).segments
    try:
        video = segments.source(fragment).video
        if video is None:
            return {"Error": "MEDIA_ERROR"}
        track, codec = video
        cluster = segments.cluster(fragment)
        frames = cluster.of(track.number)
        moment = cluster.timecode + (at - wanted.span.time_of(fragment)) * _MS
        place = max((place for place, frame in enumerate(frames) if frame.pts <= moment), default=0)
        picture = still(
            track, codec, frames, at=place, width=wanted.width, height=wanted.height,
            format=wanted.format, quality=wanted.quality,
        )  # fmt: skip
    except (MediaError, ServiceError):
        return {"Error": "MEDIA_ERROR"}
    content = base64.b64encode(picture.jpeg).decode()
    return {"ImageContent": content} if len(content) <= MOST_IMAGE else {"Error": "MEDIA_ERROR"}
