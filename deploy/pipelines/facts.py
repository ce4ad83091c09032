"""What is known of a board, and what a check says of a stream that does not fit: values alone."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from fractions import Fraction

from deploy.streams.model import PipelineStream
from deploy.streams.sinks import KvsSink, WebRtcSink

_JPEG = {"JPEG", "MJPG", "MJPEG", "image/jpeg"}
_ENCODED = {"H264": "h264", "HEVC": "h265", "H265": "h265", "video/x-h264": "h264", "video/x-h265": "h265"}


class Severity(StrEnum):
    """Whether a stream with this fault can run at all."""

    ERROR = "error"
    ADVICE = "advice"


@dataclass(frozen=True, slots=True, kw_only=True)
class Fault:
    """One thing that does not fit, and what to change."""

    where: str
    """Key inside the stream, such as `video.key_frame_interval`."""
    what: str
    cure: str
    severity: Severity = Severity.ERROR

    def __str__(self) -> str:
        return f"{self.where}: {self.what}; {self.cure}"


@dataclass(frozen=True, slots=True, kw_only=True)
class CameraMode:
    """One size that a camera offers in one pixel format, or a range of sizes, and its frames a second."""

    format: str
    """V4L2's or GStreamer's name: YUYV, YUY2, MJPG, image/jpeg, H264."""
    width: int
    height: int
    framerates: tuple[Fraction, ...]
    """Empty, without ranges either: not known."""
    rate_ranges: tuple[tuple[Fraction, Fraction], ...] = ()
    """Slowest and fastest of each range of frames a second."""
    to_width: int = 0
    """The widest of a range; 0 for a single size."""
    to_height: int = 0

    @property
    def gives(self) -> str:
        return "jpeg" if self.format in _JPEG else _ENCODED.get(self.format, "raw")

    def __str__(self) -> str:
        offered = [*map(str, self.framerates), *(f"{slow} to {fast}" for slow, fast in self.rate_ranges)]
        rates = f" at {', '.join(offered)}" if offered else ""
        to = f"-{self.to_width}x{self.to_height}" if self.to_width else ""
        return f"{self.width}x{self.height}{to} {self.format}{rates}"


@dataclass(frozen=True, slots=True, kw_only=True)
class BoardFacts:
    """What is known of a board; None or empty is "not known"."""

    elements: frozenset[str] | None = None
    """Element factories that its GStreamer has."""
    cameras: Mapping[str, Sequence[CameraMode]] = field(default_factory=dict)
    """Device → what it offers; nothing where that is not known."""
    microphones: Mapping[str, Sequence[int | tuple[int, int]]] = field(default_factory=dict)
    """ALSA device → rates that it offers, and lowest and highest of each range of them, in samples a second; none where
    they are not known."""
    speakers: frozenset[str] | None = None
    """ALSA devices that give sound."""
    cards: Mapping[str, int] = field(default_factory=dict)
    """ALSA's id of a sound card → its number."""
    ram_mb: int | None = None
    uplink_kbps: int | None = None


def placed_sinks(stream: PipelineStream) -> Iterator[tuple[str, object]]:
    if stream.sink:
        yield "sink", stream.sink
    yield from ((f"sinks[{number}]", sink) for number, sink in enumerate(stream.sinks))


def kvs_sinks(stream: PipelineStream) -> list[tuple[str, KvsSink]]:
    return [(where, sink) for where, sink in placed_sinks(stream) if isinstance(sink, KvsSink)]


def has_pipeline(stream: PipelineStream) -> bool:
    return stream.source is not None and any(not isinstance(sink, WebRtcSink) for sink in stream.outputs)
