"""What a page is about: streams, signaling channels, and the cameras that they make; the last fragment of one. Pure."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from deploy.cloud.session import ServiceRefusalError

_CLOCKS = 30.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Stream:
    """A stream of the service; `retention` in hours, `created` in seconds since 1970."""

    name: str
    arn: str
    status: str
    retention: int
    media_type: str
    created: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Channel:
    """A signaling channel of the service."""

    name: str
    arn: str
    status: str
    created: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Camera:
    """What one tile shows; `id` is made of the name, and is what the page calls it by."""

    id: str
    name: str
    stream: Stream | None = None
    channel: Channel | None = None

    def need_stream(self) -> Stream:
        if self.stream is None:
            raise ServiceRefusalError(404, "NoStream", "this camera has a signaling channel only: it keeps no pictures")
        return self.stream

    def need_channel(self) -> Channel:
        if self.channel is None:
            raise ServiceRefusalError(404, "NoChannel", "this camera has no signaling channel")
        return self.channel


@dataclass(frozen=True, slots=True, kw_only=True)
class Last:
    """A fragment: when it began by the service's and by the camera's clock, and its length; all in seconds."""

    number: str
    server: float
    producer: float
    length: float

    @property
    def end(self) -> float:
        """When its last picture was taken: by the camera's clock where that agrees with the service's to half a minute.

        The service's time is of the fragment's arrival, which may be its begin or its end.
        """
        early = 0 <= self.server - self.producer <= _CLOCKS
        return (self.producer if early else self.server) + self.length


@dataclass(frozen=True, slots=True, kw_only=True)
class Wanted:
    """Which cameras the page is for: all without a name."""

    streams: frozenset[str] = frozenset()
    channels: frozenset[str] = frozenset()

    @property
    def everything(self) -> bool:
        return not self.streams and not self.channels


def pair_cameras(streams: Iterable[Stream], channels: Iterable[Channel]) -> list[Camera]:
    """Return a camera for each name, in the order that a person looks for it."""
    by_name: dict[str, dict[str, Any]] = {}
    for stream in streams:
        by_name.setdefault(stream.name, {})["stream"] = stream
    for channel in channels:
        by_name.setdefault(channel.name, {})["channel"] = channel
    return [
        Camera(id=hashlib.sha256(name.encode("utf-8", "surrogatepass")).hexdigest()[:16], name=name, **parts)
        for name, parts in sorted(by_name.items(), key=lambda item: (item[0].casefold(), item[0]))
    ]


def merged(spans: Iterable[tuple[float, float]], gap: float) -> list[tuple[float, float]]:
    """Return spans of seconds in their order, those with no more than `gap` between them as one."""
    joined: list[tuple[float, float]] = []
    for begin, end in sorted(spans):
        if joined and begin - joined[-1][1] <= gap:
            joined[-1] = (joined[-1][0], max(end, joined[-1][1]))
        else:
            joined.append((begin, end))
    return joined
