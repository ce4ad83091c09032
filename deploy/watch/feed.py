"""What there is to see: cameras, whether they send, when they sent, one picture, a clip. All of it through boto3.

A camera is a stream, a signaling channel, or both where they have the same name. Everything that the service says is
made printable and bounded before the page gets it.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

from deploy.cloud.session import Calls, ServiceRefusalError, seconds_of, told
from deploy.watch.cameras import Camera, Channel, Last, Stream, Wanted, merged, pair_cameras
from recipes.text import shown

_PAGES, _MOST = 20, 500
"""Pages that a list of the service may have, and cameras that are shown."""
_LIST_SECONDS, _STATE_SECONDS, _STILL_SECONDS = 10.0, 2.0, 4.0
_LIVE_GRACE = 15.0
"""Seconds after the end of the last fragment in which a stream still counts as live."""
_AT_ONCE = 8
_RECENT = 120.0
_GAP = 1.5
"""Seconds between two fragments that the timeline draws as one span."""
_EXACT = 3900.0
"""Seconds of a timeline that is read fragment by fragment; longer ones are asked in bins."""
_BINS = 48
_NAME = 256
_CLIP_PART = 1 << 18
_FRAGMENT = 64 << 20


@dataclass(slots=True)
class _State:
    """What is known of a stream, and until when that is new enough; times by time.monotonic."""

    last: Last | None = None
    note: str = ""
    until: float = 0.0
    searched: bool = False
    still: bytes = b""
    still_until: float = 0.0
    busy: asyncio.Lock = field(default_factory=asyncio.Lock)


class Feed:
    """The cameras of a service."""

    def __init__(self, calls: Calls, wanted: Wanted | None = None) -> None:
        self._calls, self._wanted = calls, wanted or Wanted()
        self._cameras: dict[str, Camera] = {}
        self._until = 0.0
        self._listing = asyncio.Lock()
        self._states: dict[str, _State] = {}
        self._few = asyncio.Semaphore(_AT_ONCE)
        self._searches: set[asyncio.Task[None]] = set()

    @property
    def everything(self) -> bool:
        """Whether all cameras of the service are asked for."""
        return self._wanted.everything

    async def close(self) -> None:
        for search in self._searches:
            search.cancel()
        await asyncio.gather(*self._searches, return_exceptions=True)

    async def cameras(self) -> Sequence[Camera]:
        """Return all cameras by name; the list is at most 10 s old."""
        async with self._listing:
            if time.monotonic() >= self._until:
                streams, channels = await asyncio.gather(self._streams(), self._channels())
                self._cameras = {camera.id: camera for camera in pair_cameras(streams, channels)}
                self._until = time.monotonic() + (_LIST_SECONDS if self._cameras else 1.0)
                self._states = {name: state for name, state in self._states.items() if name in self._cameras}
            return list(self._cameras.values())

    async def camera(self, identity: str) -> Camera:
        """Return a camera by its id; raises ServiceRefusalError where there is none."""
        if identity not in self._cameras:
            await self.cameras()
        if identity not in self._cameras:
            raise ServiceRefusalError(404, "NoCamera", "there is no such camera; the list has been read again")
        return self._cameras[identity]

    async def overview(self) -> list[dict[str, Any]]:
        """Return what the grid shows of each camera."""
        return list(await asyncio.gather(*(self._row(camera) for camera in await self.cameras())))

    async def _row(self, camera: Camera) -> dict[str, Any]:
        row: dict[str, Any] = {
            "id": camera.id,
            "name": _fit(camera.name),
            "stream": camera.stream is not None,
            "channel": camera.channel is not None,
            "retention": camera.stream.retention if camera.stream else None,
            "state": "channel",
            "last": None,
            "behind": None,
            "note": "",
        }
        if camera.stream is not None:
            last, note = await self.latest(camera)
            live = last is not None and time.time() - last.end < _LIVE_GRACE
            row |= {"state": "live" if live else "offline", "note": note}
            if last is not None:
                behind = max(0.0, time.time() - last.end)
                row |= {"last": last.server, "end": last.end, "length": last.length, "behind": round(behind, 1)}
        return row

    async def facts(self, camera: Camera) -> dict[str, Any]:
        """Return all that the service says of a camera, for the page's list of facts and for who copies it as JSON."""
        facts: dict[str, Any] = await self._row(camera)
        for kind, part in (("stream_facts", camera.stream), ("channel_facts", camera.channel)):
            if part is not None:
                facts[kind] = {
                    key: _fit(value) if isinstance(value, str) else value for key, value in asdict(part).items()
                }
        return facts

    async def latest(self, camera: Camera) -> tuple[Last | None, str]:
        """Return the last fragment of a camera's stream, and what there is to say where there is none."""
        stream = camera.need_stream()
        state = self._states.setdefault(camera.id, _State())
        async with state.busy:
            if time.monotonic() < state.until:
                return state.last, state.note
            try:
                found = await self._newest(stream, time.time() - _RECENT, time.time() + 5)
            except ServiceRefusalError as refusal:
                state.note = refusal.words
            else:
                state.note = "" if found or state.last else _nothing(stream)
                state.last = found or state.last
                if found is None and not state.searched:
                    self._search(camera, state)
                state.searched = found is None
            state.until = time.monotonic() + _STATE_SECONDS
            return state.last, state.note

    def _search(self, camera: Camera, state: _State) -> None:
        """Look for the last fragment of a stream that does not send now; it is shown once it is found."""

        async def search() -> None:
            try:
                state.last = await self._long_ago(camera.need_stream()) or state.last
            except ServiceRefusalError as refusal:
                state.note = refusal.words
                return
            state.note = "" if state.last else _nothing(camera.need_stream())

        task = asyncio.create_task(search())
        self._searches.add(task)
        task.add_done_callback(self._searches.discard)

    async def _long_ago(self, stream: Stream) -> Last | None:
        """Halve the time since the stream keeps pictures: `is there one after t?` is no longer true at some t."""
        now = time.time()
        oldest = max(stream.created, now - stream.retention * 3600) if stream.retention else stream.created
        begin, end = oldest - 60, now - _RECENT
        if not await self._any(stream, begin, now):
            return None
        while end - begin > _RECENT / 2:
            middle = (begin + end) / 2
            begin, end = (middle, end) if await self._any(stream, middle, now) else (begin, middle)
        return await self._newest(stream, begin - 1, end + _RECENT)

    async def _any(self, stream: Stream, begin: float, end: float) -> bool:
        answer = await self._fragments(stream, begin, end, most=1)
        return bool(answer.get("Fragments"))

    async def _newest(self, stream: Stream, begin: float, end: float) -> Last | None:
        rows = [row async for row in self._rows(stream, begin, end, pages=3)]
        return max(rows, key=lambda row: row.server, default=None)

    async def _rows(self, stream: Stream, begin: float, end: float, *, pages: int) -> AsyncIterator[Last]:
        token = ""
        for _ in range(pages):
            answer = await self._fragments(stream, begin, end, token=token)
            for row in answer.get("Fragments", []):
                yield Last(
                    number=str(row.get("FragmentNumber", "")),
                    server=seconds_of(row.get("ServerTimestamp")),
                    producer=seconds_of(row.get("ProducerTimestamp")),
                    length=float(row.get("FragmentLengthInMilliseconds") or 0) / 1000,
                )
            token = str(answer.get("NextToken") or "")
            if not token:
                return

    async def _fragments(
        self, stream: Stream, begin: float, end: float, *, most: int = 1000, token: str = ""
    ) -> dict[str, Any]:
        endpoint = await self._calls.data_endpoint(stream.arn, "LIST_FRAGMENTS")
        words: dict[str, Any] = {"NextToken": token} if token else {"FragmentSelector": _selector(begin, end)}
        async with self._few:
            return await self._calls.ask(
                "kinesis-video-archived-media",
                "list_fragments",
                endpoint,
                StreamARN=stream.arn,
                MaxResults=most,
                **words,
            )

    async def timeline(self, camera: Camera, begin: float, end: float) -> dict[str, Any]:
        """Return the spans of time of which pictures are kept, as pairs of seconds since 1970.

        `exact` is False for a long time, which is asked in bins: there is something in each span, perhaps with gaps.
        """
        stream = camera.need_stream()
        if end - begin > _EXACT:
            width = (end - begin) / _BINS
            bins = [(begin + at * width, begin + (at + 1) * width) for at in range(_BINS)]
            there = await asyncio.gather(*(self._any(stream, *one) for one in bins))
            spans = merged((one for one, any_there in zip(bins, there, strict=True) if any_there), 0.001)
            return {"spans": spans, "exact": False}
        rows = [row async for row in self._rows(stream, begin, end, pages=6)]
        return {"spans": merged(((row.server, row.server + row.length) for row in rows), _GAP), "exact": True}

    async def still(self, camera: Camera, *, fresh: bool = False) -> bytes:
        """Return the newest picture of a stream as JPEG in the stream's own size, at most 4 s old.

        Smaller ones are not asked for: what the service does with a width alone, its documents say in two ways.
        """
        stream, state = camera.need_stream(), self._states.setdefault(camera.id, _State())
        last, note = await self.latest(camera)
        if last is None:
            raise ServiceRefusalError(404, "NoPicture", note or _nothing(stream))
        if fresh or time.monotonic() >= state.still_until:
            state.still = await self._picture(stream, last)
            state.still_until = time.monotonic() + _STILL_SECONDS
        return state.still

    async def _picture(self, stream: Stream, last: Last) -> bytes:
        import base64
        import binascii

        endpoint = await self._calls.data_endpoint(stream.arn, "GET_IMAGES")
        async with self._few:
            answer = await self._calls.ask(
                "kinesis-video-archived-media",
                "get_images",
                endpoint,
                StreamARN=stream.arn,
                ImageSelectorType="SERVER_TIMESTAMP",
                StartTimestamp=last.server - 0.001,
                EndTimestamp=last.server + max(last.length, 1.0),
                SamplingInterval=max(200, min(20_000, int(last.length * 1000))),
                Format="JPEG",
                MaxResults=10,
            )
        for row in reversed(answer.get("Images", [])):
            try:
                picture = base64.b64decode(row.get("ImageContent") or "", validate=True)
            except binascii.Error:
                continue
            if picture.startswith(b"\xff\xd8"):
                return picture
        raise ServiceRefusalError(404, "NoPicture", "the service has no picture of the last fragment")

    async def fragment(self, camera: Camera, number: str) -> bytes:
        """Return one fragment as Matroska, as the producer sent it; raises ServiceRefusalError for one too long."""
        stream = camera.need_stream()
        endpoint = await self._calls.data_endpoint(stream.arn, "GET_MEDIA_FOR_FRAGMENT_LIST")
        answer = await self._calls.ask(
            "kinesis-video-archived-media",
            "get_media_for_fragment_list",
            endpoint,
            StreamARN=stream.arn,
            Fragments=[number],
        )
        data = bytearray()
        async for part in self._parts(answer["Payload"]):
            data += part
            if len(data) > _FRAGMENT:
                raise ServiceRefusalError(502, "LongFragment", "the fragment is longer than any of the service's")
        return bytes(data)

    async def clip(self, camera: Camera, begin: float, end: float) -> AsyncIterator[bytes]:
        """Return the parts of an MP4 of this time; raises ServiceRefusalError before the first of them or never."""
        stream = camera.need_stream()
        endpoint = await self._calls.data_endpoint(stream.arn, "GET_CLIP")
        answer = await self._calls.ask(
            "kinesis-video-archived-media",
            "get_clip",
            endpoint,
            StreamARN=stream.arn,
            ClipFragmentSelector={
                "FragmentSelectorType": "SERVER_TIMESTAMP",
                "TimestampRange": {"StartTimestamp": begin, "EndTimestamp": end},
            },
        )
        return self._parts(answer["Payload"])

    async def _parts(self, body: Any) -> AsyncIterator[bytes]:
        try:
            while part := await self._calls.in_thread(lambda: told(lambda: bytes(body.read(_CLIP_PART)))):
                yield part
        finally:
            body.close()

    async def _streams(self) -> list[Stream]:
        rows = self._listed("list_streams", "StreamInfoList", self._wanted.streams)
        return [
            Stream(
                name=str(row.get("StreamName", "")),
                arn=str(row.get("StreamARN", "")),
                status=str(row.get("Status", "")),
                retention=int(row.get("DataRetentionInHours") or 0),
                media_type=_fit(str(row.get("MediaType") or "")),
                created=seconds_of(row.get("CreationTime")),
            )
            async for row in rows
        ]

    async def _channels(self) -> list[Channel]:
        rows = self._listed("list_signaling_channels", "ChannelInfoList", self._wanted.channels)
        return [
            Channel(
                name=str(row.get("ChannelName", "")),
                arn=str(row.get("ChannelARN", "")),
                status=str(row.get("ChannelStatus", "")),
                created=seconds_of(row.get("CreationTime")),
            )
            async for row in rows
        ]

    async def _listed(self, operation: str, rows: str, names: frozenset[str]) -> AsyncIterator[Mapping[str, Any]]:
        """Yield the rows of a list, page by page; only those with a name that is asked for."""
        if not names and not self._wanted.everything:
            return
        name_of = {"list_streams": "StreamName", "list_signaling_channels": "ChannelName"}[operation]
        token, count = "", 0
        for _ in range(_PAGES):
            words: dict[str, Any] = {"NextToken": token} if token else {}
            answer = await self._calls.ask("kinesisvideo", operation, MaxResults=100, **words)
            for row in answer.get(rows, []):
                if (not names or row.get(name_of) in names) and count < _MOST:
                    count += 1
                    yield row
            token = str(answer.get("NextToken") or "")
            if not token:
                return


def _selector(begin: float, end: float) -> dict[str, Any]:
    span = {"StartTimestamp": begin, "EndTimestamp": end}
    return {"FragmentSelectorType": "SERVER_TIMESTAMP", "TimestampRange": span}


def _fit(text: str) -> str:
    return shown(text, most=_NAME, lines=False)


def _nothing(stream: Stream) -> str:
    if not stream.retention:
        return "the stream keeps nothing: its retention is 0 hours, so there is nothing to play"
    return "nothing has arrived yet"
