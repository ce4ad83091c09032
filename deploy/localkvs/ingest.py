"""PutMedia: a producer's Matroska comes in, is checked and kept, and every fragment is acknowledged while it arrives.

https://docs.aws.amazon.com/kinesisvideostreams/latest/dg/API_dataplane_PutMedia.html
"""

from __future__ import annotations

import asyncio
import json
import logging
import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from deploy.kvs.errors import ServiceError, invalid
from deploy.kvsstore.caller import caller_of
from deploy.kvsstore.service import Service
from deploy.kvsstore.streams import Stream
from deploy.localkvs.fragment import Refusal, checked_fragment, checked_header
from deploy.media.matroska import Event, FragmentEnded, FragmentStarted, HeaderEvent, Splitter
from deploy.media.model import FragmentTooLargeError, MediaError

if TYPE_CHECKING:
    from aiohttp import web

IDLE_SECONDS = 30.0
"""Seconds without a byte after which the service hangs up, as the real one does."""
IDLE_ACK_SECONDS = 5.0
_TIMESTAMP = re.compile(r"[0-9]{1,12}(?:\.[0-9]{1,9})?")
_log = logging.getLogger("boardcast.kvs.ingest")


@dataclass
class Producer:
    """A connection that sends: what `kvs status` tells of it.

    Attributes
    ----------
    base_ms:
        What is added to a timecode to get milliseconds since 1970; 0 where timecodes are absolute.
    since:
        Seconds since 1970.
    count:
        Fragments that were begun.
    """

    stream: Stream
    base_ms: int
    acks: bool
    since: float
    peer: str = ""
    agent: str = ""
    count: int = 0
    size: int = 0
    last_ms: int | None = None
    timecode: int = 0
    number: str = ""
    splitter: Splitter = field(default_factory=Splitter)
    transport: Any = None


class _HangUpError(Exception):
    """The connection is over: after an ERROR ack, or because a fault says so."""


def begin(service: Service, request: web.Request) -> Producer:
    """Check what can be checked before a byte of the body is taken; the signature was before.

    Raises
    ------
    ServiceError
        A header is missing or wrong, or there is no such stream.
    """
    headers = request.headers
    stream = service.store.streams.find(
        name=headers.get("x-amzn-stream-name", ""),
        arn=headers.get("x-amzn-stream-arn", ""),
        region=caller_of(request).region,
    )
    kind = headers.get("x-amzn-fragment-timecode-type", "")
    if kind not in ("ABSOLUTE", "RELATIVE"):
        raise invalid("x-amzn-fragment-timecode-type must be ABSOLUTE or RELATIVE.")
    start = headers.get("x-amzn-producer-start-timestamp", "")
    if start and not _TIMESTAMP.fullmatch(start):
        raise invalid("x-amzn-producer-start-timestamp must be seconds since 1970.")
    if kind == "RELATIVE" and not start:
        raise invalid("x-amzn-producer-start-timestamp is needed where timecodes are relative.")
    peer = request.transport.get_extra_info("peername") if request.transport else None
    return Producer(
        stream=stream,
        base_ms=round(float(start) * 1000) if kind == "RELATIVE" else 0,
        acks=headers.get("x-amzn-fragment-acknowledgment-required", "1") != "0",
        since=service.clock(),
        peer=str(peer[0]) if peer else "",
        agent=headers.get("user-agent", "")[:200],
        transport=request.transport,
    )


async def put_media(service: Service, request: web.Request, producer: Producer) -> web.StreamResponse:
    """Take a producer's body, and answer with acks until it ends, hangs up, or does what it must not."""
    from aiohttp import web

    response = web.StreamResponse(headers={"Content-Type": "application/json"})
    response.enable_chunked_encoding()
    await response.prepare(request)
    producers: dict[int, Producer] = service.state.setdefault("producers", {})
    _take_over(producers, producer)
    try:
        await _receive(service, request, response, producer)
        await response.write_eof()
    except _HangUpError:
        response.force_close()
        await response.write_eof()
    except (ConnectionError, TimeoutError) as error:
        _log.info("%s: the producer is gone: %s", producer.stream.name, error or type(error).__name__)
        _abort(producer)
    finally:
        if producers.get(producer.stream.id) is producer:
            del producers[producer.stream.id]
        _log.info("%s: %d fragments, %d bytes", producer.stream.name, producer.count, producer.size)
    return response


def _take_over(producers: dict[int, Producer], producer: Producer) -> None:
    """Let the newest connection of a stream be the one: who connects again has given the older up."""
    older = producers.get(producer.stream.id)
    producers[producer.stream.id] = producer
    _log.info("%s: a producer from %s, %s", producer.stream.name, producer.peer, producer.agent)
    if older is not None:
        _log.info("%s: the connection before it is closed", producer.stream.name)
        _abort(older)


def _abort(producer: Producer) -> None:
    if producer.transport is not None:
        producer.transport.abort()


async def _receive(service: Service, request: web.Request, response: web.StreamResponse, producer: Producer) -> None:
    """Read until the body ends; acks go out as its parts come in."""
    while data := await _next(request, response, producer):
        producer.size += len(data)
        if slow := service.store.faults.take(producer.stream.name, "slow"):
            await asyncio.sleep(min(slow.seconds, len(data) / max(slow.rate, 1)))
        await _handle(service, response, producer, data)
    await _handle(service, response, producer, None)


async def _next(request: web.Request, response: web.StreamResponse, producer: Producer) -> bytes:
    """Return the next bytes; while there are none, the producer is told that the service waits.

    A chunk that is malformed raises nothing in aiohttp: reading it ends by time.
    """
    waited = 0.0
    while True:
        try:
            async with asyncio.timeout(IDLE_ACK_SECONDS):
                data: bytes = await request.content.readany()
                return data
        except TimeoutError:
            waited += IDLE_ACK_SECONDS
            if waited >= IDLE_SECONDS:
                raise
            await _ack(response, producer, {"EventType": "IDLE"})


async def _handle(service: Service, response: web.StreamResponse, producer: Producer, data: bytes | None) -> None:
    """Let the splitter take bytes, or the end of them, and do what they complete."""
    try:
        events = producer.splitter.end() if data is None else producer.splitter.feed(data)
        for event in events:
            await _event(service, response, producer, event)
        if producer.splitter.failed:
            raise producer.splitter.failed
    except Refusal as refusal:
        await _refuse(response, producer, refusal)
    except FragmentTooLargeError:
        await _refuse(response, producer, Refusal(4001))
    except MediaError as error:
        _log.info("%s: %s", producer.stream.name, error)
        await _refuse(response, producer, Refusal(4006))


async def _event(service: Service, response: web.StreamResponse, producer: Producer, event: Event) -> None:
    match event:
        case HeaderEvent(header):
            checked_header(header)
        case FragmentStarted(timecode):
            producer.count += 1
            producer.timecode = timecode // 1_000_000
            await _fault(service, producer)
            producer.number = service.store.fragments.next_number(int(service.clock() * 1000))
            await _ack(response, producer, _ack_of("BUFFERING", producer, producer.timecode))
        case FragmentEnded():
            await _keep(service, response, producer, event)


async def _keep(service: Service, response: web.StreamResponse, producer: Producer, ended: FragmentEnded) -> None:
    """Check a fragment, keep it, and acknowledge it."""
    header = ended.header
    timecode = ended.timecode // 1_000_000
    length = checked_fragment(ended.data, header, previous_ms=producer.last_ms, base_ms=producer.base_ms)
    producer.last_ms = timecode
    await _ack(response, producer, _ack_of("RECEIVED", producer, timecode))
    try:
        stream = service.store.streams.find(arn=producer.stream.arn)
    except ServiceError:
        raise Refusal(4008) from None
    number = producer.number
    await service.store.fragments.add(
        stream,
        number=number,
        producer_ms=producer.base_ms + timecode,
        server_ms=int(service.clock() * 1000),
        length_ms=length,
        header=header.data,
        data=ended.data,
    )
    if stream.retention_hours:
        await _ack(response, producer, _ack_of("PERSISTED", producer, timecode, number))


def _ack_of(event: str, producer: Producer, timecode: int, number: str = "") -> dict[str, Any]:
    return {"EventType": event, "FragmentTimecode": timecode, "FragmentNumber": number or producer.number}


async def _fault(service: Service, producer: Producer) -> None:
    """Do in this fragment what somebody asked the service to do wrong."""
    fault = service.store.faults.take(producer.stream.name, "error", "drop", "stall", at=producer.count)
    if fault is None:
        return
    _log.info("%s: %s on demand, in fragment %d", producer.stream.name, fault.kind, producer.count)
    if fault.kind == "drop":
        _abort(producer)
        raise ConnectionResetError("hung up, on demand")
    if fault.kind == "stall":
        await asyncio.sleep(fault.seconds)
        return
    raise Refusal(fault.code)


async def _refuse(response: web.StreamResponse, producer: Producer, refusal: Refusal) -> None:
    """Send an ERROR ack and hang up: ErrorCode is the name, ErrorId the number, as producers read them."""
    told = _ack_of("ERROR", producer, producer.timecode) | {"ErrorId": refusal.id, "ErrorCode": refusal.name}
    _log.info("%s: %s in fragment %d", producer.stream.name, refusal, producer.count)
    await _ack(response, producer, told)
    raise _HangUpError


async def _ack(response: web.StreamResponse, producer: Producer, told: dict[str, Any]) -> None:
    if producer.acks:
        await response.write(json.dumps(told, separators=(",", ":")).encode() + b"\r\n")
