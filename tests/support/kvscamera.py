"""A stream of the local service with a camera's fragments in it, and what tests ask of answers."""

from __future__ import annotations

import io
import itertools
import re
import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal
from urllib.parse import urljoin

import av
import pytest
from botocore.exceptions import ClientError

from deploy.kvsstore.fragments import Fragment
from deploy.kvsstore.streams import Stream
from tests.support.kvsserver import Served
from tests.support.media import make_fragments, make_header

LATE_MS = 1_040
"""From a fragment's beginning to when it had arrived."""


@dataclass
class Camera:
    """A stream, and what is in it: six fragments of a second, of the minute that has just gone by.

    Attributes
    ----------
    start:
        Seconds since 1970 at which its pictures begin, by the producer's clock.
    """

    served: Served
    stream: Stream
    start: int
    fragments: list[Fragment]

    @property
    def archived(self) -> Any:
        """The client of boto3 for what is kept."""
        return self.served.client("kinesis-video-archived-media")

    @property
    def media(self) -> Any:
        """The client of boto3 for GetMedia."""
        return self.served.client("kinesis-video-media")

    def name(self) -> dict[str, str]:
        """Return the arguments that name the stream."""
        return {"StreamName": self.stream.name}

    def selector(
        self, first: float = 0, last: float = 60, by: Literal["PRODUCER", "SERVER"] = "PRODUCER"
    ) -> dict[str, Any]:
        """Return a selector from one second of the camera's to another."""
        times = {"StartTimestamp": self.start + first, "EndTimestamp": self.start + last}
        return {"FragmentSelectorType": f"{by}_TIMESTAMP", "TimestampRange": times}

    def hls(self, **arguments: Any) -> str:
        """Return the URL of a session."""
        given = {"PlaybackMode": "ON_DEMAND", "HLSFragmentSelector": self.selector()} | arguments
        return str(self.archived.get_hls_streaming_session_url(**self.name(), **given)["HLSStreamingSessionURL"])

    def live(self, **arguments: Any) -> str:
        """Return the URL of a live session."""
        return str(self.archived.get_hls_streaming_session_url(**self.name(), **arguments)["HLSStreamingSessionURL"])


def make_camera(
    served: Served, name: str, *, count: int = 6, ago: int = 20, audio: bool = True, hours: int = 24
) -> Camera:
    """Make a stream with fragments."""
    start = int(time.time()) - ago
    stream = served.stream(name, hours=hours)
    header = make_header(audio=audio)
    kept = [
        served.put(stream, header, data, server_ms=(start + place) * 1000 + LATE_MS)
        for place, data in enumerate(make_fragments(count, start_ms=start * 1000, audio=audio) if count else [])
    ]
    return Camera(served, stream, start, kept)


def media_playlists(camera: Camera, master: str) -> list[str]:
    """Return the URLs of the playlists that a master names: pictures, then sound."""
    text = camera.served.get(master).decode()
    found = [line for line in text.splitlines() if line and not line.startswith("#")]
    found += re.findall(r'URI="([^"]+)"', text)
    return [urljoin(master, one) for one in found]


def segments(playlist: str, text: str) -> tuple[list[str], list[str]]:
    """Return the URLs of a playlist's beginnings, and of its fragments."""
    parts = re.findall(r'#EXT-X-MAP:URI="([^"]+)"', text)
    media = [line for line in text.splitlines() if line and not line.startswith("#")]
    return [urljoin(playlist, one) for one in parts], [urljoin(playlist, one) for one in media]


def decoded(data: bytes) -> dict[str, list[float]]:
    """Decode a file; returns when each picture and each frame of sound is shown, in seconds."""
    shown: dict[str, list[float]] = {"video": [], "audio": []}
    with av.open(io.BytesIO(data)) as file:
        take(file, shown)
    return shown


def take(file: Any, shown: dict[str, list[float]]) -> None:
    """Decode all of an open file."""
    for packet in file.demux():
        for frame in packet.decode():
            kind = "audio" if isinstance(frame, av.AudioFrame) else "video"
            shown[kind].append(float(frame.pts * frame.time_base))


def refused(code: str, call: Any, **arguments: Any) -> str:
    """Make a call that is refused with a certain error; returns its message."""
    with pytest.raises(ClientError) as caught:
        call(**arguments)
    response = caught.value.response
    assert response["Error"]["Code"] == code, response
    return str(response["Error"].get("Message") or response.get("message") or response.get("Message"))


def steps(times: Sequence[float]) -> set[int]:
    """Return the distances between times, in milliseconds."""
    ordered = sorted(times)
    return {round((later - earlier) * 1000) for earlier, later in itertools.pairwise(ordered)}
