"""Whether what a stream sends has room: on the board's line, and in its memory while the line is down."""

from __future__ import annotations

import math
from collections.abc import Iterator
from fractions import Fraction

from deploy.pipelines.facts import BoardFacts, Fault, kvs_sinks
from deploy.streams.model import PipelineStream

DEFRAGMENTATION = Fraction(12, 10)
"""What the SDK's store needs over the plain size, by its maintainers' word."""
AUDIO_KBPS = 128
"""Taken for a sound track whose bitrate is not named."""
_STORAGE_MB, _BUFFER_SECONDS = 128, 120


def storage_needed(bitrate_kbps: int, buffer_seconds: int, *, streams: int = 1) -> int:
    """Return the MB that kvssink's store needs: streams x average frame size x frame rate x buffer seconds x 1.2.

    Frame size times frame rate is the bitrate, so the rate itself drops out.
    """
    return math.ceil(streams * Fraction(bitrate_kbps, 8000) * buffer_seconds * DEFRAGMENTATION)


def _bitrate(stream: PipelineStream) -> int | None:
    """Return the kbit/s of pictures and sound; None when the pictures' are not named."""
    if stream.video.bitrate is None:
        return None
    return stream.video.bitrate + ((stream.audio.bitrate or AUDIO_KBPS) if stream.audio else 0)


def uplink_faults(stream: PipelineStream, facts: BoardFacts) -> Iterator[Fault]:
    rate = _bitrate(stream)
    count = len(kvs_sinks(stream))
    if not facts.uplink_kbps or rate is None or not count:
        return
    # A tenth goes to headers of the fragments, TLS and TCP.
    needed = rate * count * 11 // 10
    if needed > facts.uplink_kbps:
        left = facts.uplink_kbps * 10 // 11 // count - (rate - (stream.video.bitrate or 0))
        yield Fault(
            where="video.bitrate",
            what=f"{needed} kbit/s with headers do not pass an uplink of {facts.uplink_kbps} kbit/s",
            cure=f"write bitrate = {left}" if left >= 16 else "take the sound out, or a faster uplink",
        )


def storage_faults(stream: PipelineStream, facts: BoardFacts) -> Iterator[Fault]:
    rate = _bitrate(stream)
    for place, sink in kvs_sinks(stream):
        size, buffer = sink.storage_size or _STORAGE_MB, sink.buffer_duration or _BUFFER_SECONDS
        needed = storage_needed(rate, buffer) if rate else 0
        if needed > size:
            yield Fault(
                where=f"{place}.storage_size",
                what=f"{buffer} s at {rate} kbit/s need {needed} MB, and the store has {size}",
                cure=f"write storage_size = {needed}, or a shorter buffer_duration",
            )
    total = sum(sink.storage_size or _STORAGE_MB for _, sink in kvs_sinks(stream))
    if facts.ram_mb and total * 2 > facts.ram_mb:
        quarter = max(1, facts.ram_mb // 4 // len(kvs_sinks(stream)))
        yield Fault(
            where=f"{kvs_sinks(stream)[0][0]}.storage_size",
            what=f"{total} MB of store is more than half of the {facts.ram_mb} MB of memory",
            cure=f"write storage_size = {quarter}, and a shorter buffer_duration",
        )
