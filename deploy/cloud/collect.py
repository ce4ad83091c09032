"""One look at a stream through the service: wait for a fragment that is new, then read its media and pictures."""

from __future__ import annotations

import asyncio
import base64
import binascii
import time
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

from deploy.cloud.contents import change_of, decoded, drawn_clock, media_of, shot_of
from deploy.cloud.evidence import Evidence, Media, Seen, Shot, Trouble, gaps, overlaps
from deploy.cloud.listing import StreamAt, describe, list_fragments
from deploy.cloud.promise import StreamPromise
from deploy.cloud.session import Calls, ServiceRefusalError, seconds_of, told
from deploy.cloud.unkept import Passed, ask_metrics, read_live
from deploy.media.matroska import FragmentEnded, Splitter
from deploy.media.model import MediaError
from recipes.text import one_line

PATIENCE = 30.0
"""Seconds in which a fragment has to arrive, unless somebody says another time."""
_POLL = 0.5
_BEFORE = 20.0
"""Seconds before the look that count as now."""
_HAND = 5.0
"""Seconds for a stream that a person starts, where nothing came of late: most likely it does not run."""
_AFTER = 4
"""New fragments that are waited for where those so far look odd."""
_EARLIER = (3600.0, 86_400.0, 30 * 86_400.0)
_READ = 4
"""Fragments whose media are read."""
_MEDIA_BYTES = 64 << 20
_PART = 1 << 18
_IMAGES = 5
_OTHERS = 20


@dataclass(frozen=True, slots=True, kw_only=True)
class Look:
    """How a stream is looked at.

    Attributes
    ----------
    watch:
        Seconds that the look lasts at least; 0: until a fragment arrived.
    patience:
        Seconds in which the first one may arrive.
    known:
        Names of streams that some board is to send; what comes in another one may be astray.
    clock, pause:
        This workstation's.
    """

    watch: float = 0.0
    patience: float = PATIENCE
    known: frozenset[str] = frozenset()
    clock: Callable[[], float] = time.time
    pause: Callable[[float], Awaitable[None]] = asyncio.sleep


async def observe(calls: Calls, promise: StreamPromise, look: Look | None = None) -> Evidence:
    """Look at one stream; a service that refuses or does not answer is part of the evidence, and no error."""
    look = look or Look()
    began = look.clock()
    try:
        stream = await describe(calls, promise.name, look.clock)
        began -= stream.skew or 0.0
        if not stream.hours:
            return await _unkept(calls, promise, look, stream, began)
        before = await list_fragments(calls, stream.arn, began - _BEFORE, began + 5)
        first = Evidence(
            promise=promise, began=began, ended=began, skew=stream.skew, retention_hours=stream.hours, before=before
        )
        if promise.hand and not before:
            look = replace(look, patience=min(look.patience, _HAND))
        seen = await _wait(calls, look, stream, first)
        if not seen.new:
            return await _nothing_new(calls, look, stream, seen)
        seen, raw = await _read(calls, stream, seen)
        if seen.change is not None and seen.change.none and len(seen.new) < _AFTER:
            # Little moves before many a camera: over some seconds more something does, or it is frozen.
            seen, raw = await _read(calls, stream, await _wait(calls, look, stream, seen, least=_AFTER))
        return replace(seen, **await _pictures(calls, stream, seen, raw))
    except ServiceRefusalError as refusal:
        return Evidence(
            promise=promise, began=began, ended=look.clock(), trouble=Trouble(code=refusal.code, words=refusal.words)
        )


async def _wait(calls: Calls, look: Look, stream: StreamAt, seen: Evidence, *, least: int = 1) -> Evidence:
    """List what there is until so many fragments are new; longer where what came so far looks odd.

    New is what was not listed at first: no clock is asked.
    """
    known, began = {one.number for one in seen.before}, seen.began

    def now() -> float:
        return look.clock() - (stream.skew or 0.0)

    while True:
        new = tuple(
            one
            for one in await list_fragments(calls, stream.arn, began - _BEFORE, now() + 5)
            if one.number not in known
        )
        seen = replace(seen, new=new, ended=now())
        waited = seen.ended - began
        enough = len(new) >= least and (len(new) >= _AFTER or not _odd(seen) or waited >= look.patience)
        if waited >= look.watch and (enough or waited >= look.patience):
            return seen
        await look.pause(_POLL)


def _odd(seen: Evidence) -> bool:
    return bool(overlaps(seen.fragments) or gaps(seen.fragments))


async def _nothing_new(calls: Calls, look: Look, stream: StreamAt, seen: Evidence) -> Evidence:
    """Say since when nothing came, and what comes elsewhere."""
    last = seen.before[-1].server if seen.before else 0.0
    for back in _EARLIER if not last else ():
        older = await list_fragments(calls, stream.arn, seen.began - back, seen.ended)
        if older:
            last = older[-1].server
            break
    return replace(seen, last_ever=last, elsewhere=await _elsewhere(calls, look, seen))


async def _elsewhere(calls: Calls, look: Look, seen: Evidence) -> tuple[str, ...]:
    """Return streams that get fragments now, though no board's file names them."""
    listed = await calls.ask("kinesisvideo", "list_streams", MaxResults=100)
    strangers = [
        row
        for row in listed.get("StreamInfoList", [])
        if row.get("StreamName") not in look.known | {seen.promise.name} and row.get("DataRetentionInHours")
    ]

    async def receives(row: dict[str, Any]) -> str:
        stream = StreamAt(arn=str(row.get("StreamARN", "")), hours=1, skew=None)
        try:
            found = await list_fragments(calls, stream.arn, seen.began - _BEFORE / 2, seen.ended + 5, 10)
        except ServiceRefusalError:
            return ""
        return one_line(str(row.get("StreamName", "")), most=256) if found else ""

    names = await asyncio.gather(*(receives(row) for row in strangers[:_OTHERS]))
    return tuple(name for name in names if name)


async def _read(calls: Calls, stream: StreamAt, seen: Evidence) -> tuple[Evidence, list[FragmentEnded]]:
    media, raw = await _media(calls, stream, seen.fragments[-_READ:])
    change = await asyncio.to_thread(change_of, raw)
    drawn = await asyncio.to_thread(drawn_clock, raw) if seen.promise.clock else None
    return replace(seen, media=media, change=change, drawn=drawn), raw


async def _media(
    calls: Calls, stream: StreamAt, fragments: Sequence[Seen]
) -> tuple[tuple[Media, ...], list[FragmentEnded]]:
    """Read fragments as the producer sent them, and say what is in each; by the time in them."""
    endpoint = await calls.data_endpoint(stream.arn, "GET_MEDIA_FOR_FRAGMENT_LIST")
    answer = await calls.ask(
        "kinesis-video-archived-media",
        "get_media_for_fragment_list",
        endpoint,
        StreamARN=stream.arn,
        Fragments=[one.number for one in fragments],
    )
    body, splitter, ended, size = answer["Payload"], Splitter(), list[FragmentEnded](), 0
    try:
        while part := await calls.in_thread(lambda: told(lambda: bytes(body.read(_PART)))):
            size += len(part)
            if size > _MEDIA_BYTES:
                break
            ended += [event for event in splitter.feed(part) if isinstance(event, FragmentEnded)]
        ended += [event for event in splitter.end() if isinstance(event, FragmentEnded)]
    except MediaError as error:
        if not ended:
            return (Media(fault=f"what the service keeps is no Matroska: {error}"),), []
    finally:
        body.close()
    return tuple(media_of(one) for one in ended), ended


async def _pictures(calls: Calls, stream: StreamAt, seen: Evidence, raw: Sequence[FragmentEnded]) -> dict[str, Any]:
    """Return pictures of the last two fragments, as the service makes them; decoded here where it makes none."""
    first, last = seen.fragments[-2:][0], seen.fragments[-1]
    begin, end = first.server, last.server + last.length
    endpoint = await calls.data_endpoint(stream.arn, "GET_IMAGES")
    try:
        answer = await calls.ask(
            "kinesis-video-archived-media",
            "get_images",
            endpoint,
            StreamARN=stream.arn,
            ImageSelectorType="SERVER_TIMESTAMP",
            StartTimestamp=begin,
            EndTimestamp=end,
            SamplingInterval=max(200, min(20_000, int((end - begin) * 1000 / _IMAGES))),
            Format="JPEG",
            MaxResults=25,
        )
    except ServiceRefusalError as refusal:
        if not raw:
            return {"shots": (Shot(at=begin, image=b"", fault=refusal.words),)}
        answer = {}
    images = [(seconds_of(row.get("TimeStamp")), _image(row)) for row in answer.get("Images", [])[:25]]
    shots = [await asyncio.to_thread(shot_of, at, image) for at, image in images if image]
    if shots:
        return {"shots": tuple(shots)}
    return {"shots": tuple(await asyncio.to_thread(decoded, raw)), "shots_from": "the fragments, decoded here"}


def _image(row: dict[str, Any]) -> bytes:
    try:
        return base64.b64decode(str(row.get("ImageContent") or ""), validate=True)
    except binascii.Error:
        return b""


async def _unkept(calls: Calls, promise: StreamPromise, look: Look, stream: StreamAt, began: float) -> Evidence:
    """Look at a stream that keeps nothing: what passes while somebody listens, and on AWS CloudWatch's sums too."""

    def now() -> float:
        return look.clock() - (stream.skew or 0.0)

    refused, source, passed = None, "GetMedia", Passed()
    seconds, whole = max(look.watch, look.patience), bool(look.watch)
    try:
        passed = await read_live(calls, stream.arn, seconds=seconds, now=now, whole=whole)
    except ServiceRefusalError as refusal:
        refused, source = refusal, f"CloudWatch alone, since GetMedia was refused ({refusal.code})"
    metrics = None if calls.service.is_local else await ask_metrics(calls, promise.name, now())
    if refused is not None and (metrics is None or not metrics.frames):
        raise refused
    raw = [ended for _, ended in passed.new]
    seen = Evidence(
        promise=promise, began=began, ended=now(), skew=stream.skew, source=source, metrics=metrics,
        before=tuple(one for one, _ in passed.before), new=tuple(one for one, _ in passed.new),
        media=tuple(media_of(one) for one in raw[-_READ:]),
    )  # fmt: skip
    if not raw:
        return replace(seen, elsewhere=await _elsewhere(calls, look, seen))
    shots, change = await asyncio.to_thread(lambda: (decoded(raw[-2:]), change_of(raw[-_READ:])))
    drawn = await asyncio.to_thread(drawn_clock, raw[-_READ:]) if promise.clock else None
    return replace(seen, shots=tuple(shots), change=change, drawn=drawn, shots_from="GetMedia, decoded here")
