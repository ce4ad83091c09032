"""What a board's file promises of each stream and channel: names, pictures, sound, how long the service keeps them."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass

from deploy.boards.board import Board
from deploy.localkvs.lifecycle import DEFAULT_REGION
from deploy.streams.model import PipelineStream, Stream
from deploy.streams.samples import AudioVideoSample, CameraSample, MultistreamSample, UploaderSample
from deploy.streams.sinks import KvsSink, WebRtcSink

SINK_RETENTION_HOURS = 2
"""What kvssink asks for when it makes a stream and nobody says a time.

https://docs.aws.amazon.com/kinesisvideostreams/latest/dg/examples-gstreamer-plugin-parameters.html
"""


_SECONDS = re.compile(r"%[-_0^#]{0,3}(?:[EO]?[STscrX+])")
"""Words of strftime(3) that show seconds."""


@dataclass(frozen=True, slots=True, kw_only=True)
class StreamPromise:
    """One video stream that a board sends.

    Attributes
    ----------
    stream:
        Its name in the board's file; empty for one that was named on the command line: nothing is known of that.
    name, region:
        As the service knows it.
    width, height:
        Pixels; 0 where the file does not say.
    rate:
        Frames a second; 0 where the file does not say.
    bitrate_kbps:
        Of the pictures; 0 where the file does not say.
    codec:
        h264 or h265; empty where nothing is known.
    audio:
        Whether there is to be sound; None where nothing is known.
    retention_hours:
        What the file asks for, or kvssink by itself; None where nothing is known.
    live:
        False where the pictures are a file's, whose times and speed may be any.
    clock:
        The picture has the time in it, with seconds, so it changes every second.
    hand:
        A person starts it, so it may rightly be silent.
    prefix:
        `name` is what the names of several streams begin with; the rest is on the board.
    """

    stream: str = ""
    name: str
    region: str = ""
    width: int = 0
    height: int = 0
    rate: float = 0.0
    bitrate_kbps: int = 0
    codec: str = ""
    audio: bool | None = None
    retention_hours: int | None = None
    live: bool = True
    clock: bool = False
    hand: bool = False
    prefix: bool = False

    @property
    def in_words(self) -> str:
        """What is promised, on one line."""
        parts = [
            f"{self.width} x {self.height}" if self.width else "",
            f"{self.rate:g} frames a second" if self.rate else "",
            f"{self.bitrate_kbps} kbit/s" if self.bitrate_kbps else "",
            {"h264": "H.264", "h265": "H.265"}.get(self.codec, ""),
            "" if self.audio is None else "sound" if self.audio else "no sound",
        ]
        return ", ".join(part for part in parts if part) or "nothing but its name"


@dataclass(frozen=True, slots=True, kw_only=True)
class ChannelPromise:
    """One signaling channel on which a board is the master."""

    stream: str = ""
    name: str
    region: str = ""
    hand: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Promises:
    """Everything that a board sends to the service."""

    streams: tuple[StreamPromise, ...] = ()
    channels: tuple[ChannelPromise, ...] = ()

    def __bool__(self) -> bool:
        return bool(self.streams or self.channels)


def board_region(board: Board) -> str:
    """Return the region of a board's streams, as its file says; kvssink's own where it says none."""
    given = board.file.environment
    return given.region or given.variables.get("AWS_DEFAULT_REGION") or DEFAULT_REGION


def board_promises(board: Board) -> Promises:
    """Return what a board's file promises; of two that send to one name, the first."""
    usual = board_region(board)
    streams, channels = dict[tuple[str, str], StreamPromise](), dict[str, ChannelPromise]()
    for name, stream in board.file.streams.items():
        for promise in _of(name, stream, usual):
            if isinstance(promise, StreamPromise):
                streams.setdefault((promise.name, promise.region), promise)
            else:
                channels.setdefault(promise.name, promise)
    return Promises(streams=tuple(streams.values()), channels=tuple(channels.values()))


def _of(name: str, stream: Stream, region: str) -> Iterator[StreamPromise | ChannelPromise]:
    hand = stream.runs == "hand"
    if isinstance(stream, PipelineStream):
        for sink in stream.outputs:
            if isinstance(sink, KvsSink):
                yield _pipeline(name, stream, sink, region)
            elif isinstance(sink, WebRtcSink):
                yield ChannelPromise(stream=name, name=sink.webrtc, region=region, hand=hand)
    elif isinstance(stream, CameraSample):
        yield StreamPromise(
            stream=name,
            name=stream.stream,
            region=region,
            width=stream.width or 0,
            height=stream.height or 0,
            rate=float(stream.framerate or 0),
            bitrate_kbps=stream.bitrate or 0,
            codec="h264",
            audio=False,
            live=not stream.files,
            hand=hand,
        )
    else:
        audio = isinstance(stream, AudioVideoSample) or None
        live = not isinstance(stream, UploaderSample) and not getattr(stream, "files", ())
        yield StreamPromise(
            stream=name,
            name=stream.stream,
            region=region,
            hand=hand,
            audio=audio,
            live=live,
            prefix=isinstance(stream, MultistreamSample),
        )


def _pipeline(name: str, stream: PipelineStream, sink: KvsSink, region: str) -> StreamPromise:
    video = stream.video
    rate = float(video.rate or 0)
    asked = sink.retention_period
    return StreamPromise(
        stream=name,
        name=sink.kvs,
        region=sink.aws_region or region,
        width=video.width or 0,
        height=video.height or 0,
        rate=rate,
        bitrate_kbps=video.bitrate or 0,
        codec=video.gives,
        audio=stream.audio is not None,
        retention_hours=SINK_RETENTION_HOURS if asked is None else asked,
        live=stream.source is None or stream.source.definition.live,
        clock=_SECONDS.search(video.clock or "") is not None,
        hand=stream.runs == "hand",
    )
