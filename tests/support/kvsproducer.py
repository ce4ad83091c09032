"""A producer that speaks PutMedia with the local service: FFmpeg's test picture with a tone, sent as it is made."""

from __future__ import annotations

import array
import asyncio
import contextlib
import math
import threading
import time
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass, field
from fractions import Fraction
from pathlib import Path
from typing import Self

import av
from av.audio.codeccontext import AudioCodecContext
from av.audio.frame import AudioFrame
from av.codec.context import Flags
from av.video.codeccontext import VideoCodecContext

from deploy.cloud.session import Keys, Service
from deploy.media.matroska import write_cluster, write_header
from deploy.media.model import Frame, Track, TrackKind

_MS = 1_000_000
_SOUND = 16_000
_BEGIN = 64
"""Bytes of a cluster with its timecode in them."""


@dataclass
class LiveProducer:
    """Sends to one stream until the block ends; a fragment is a second long.

    Attributes
    ----------
    picture:
        A source of FFmpeg's lavfi.
    """

    service: Service
    stream: str
    size: tuple[int, int] = (640, 360)
    fps: int = 15
    picture: str = "testsrc2"
    acks: bytearray = field(default_factory=bytearray)
    sent: int = 0

    def __enter__(self) -> Self:
        self._over = threading.Event()
        self._thread = threading.Thread(target=lambda: asyncio.run(self._send()), name=f"producer-{self.stream}")
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()
        self._thread.join(20)

    async def _send(self) -> None:
        import ssl

        from aiohttp import ClientPayloadError, ClientSession, TCPConnector

        url = f"{self.service.endpoint_url}/putMedia"
        trust = ssl.create_default_context(cafile=str(self.service.ca))
        async with (
            ClientSession(connector=TCPConnector(ssl=trust)) as session,
            session.post(url, data=self._body(), headers=self._headers(url)) as answer,
        ):
            with contextlib.suppress(ClientPayloadError):  # the service goes before us
                async for part in answer.content.iter_any():
                    self.acks += part

    def _headers(self, url: str) -> dict[str, str]:
        from botocore.auth import SigV4Auth
        from botocore.awsrequest import AWSRequest
        from botocore.credentials import Credentials

        keys = self.service.keys
        assert keys is not None
        headers = {
            "x-amzn-stream-name": self.stream,
            "x-amzn-fragment-timecode-type": "ABSOLUTE",
            "x-amzn-fragment-acknowledgment-required": "1",
            "x-amzn-producer-start-timestamp": f"{time.time():.3f}",
        }
        request = AWSRequest(method="POST", url=url, headers=headers, data=b"")
        SigV4Auth(Credentials(keys.access_key, keys.secret_key), "kinesisvideo", self.service.region).add_auth(request)
        return dict(request.headers.items())

    async def _body(self) -> AsyncIterator[bytes]:
        encoder, begun = _Encoder(self.size, self.fps, self.picture), time.time()
        for number, frames in enumerate(encoder.seconds()):
            if number == 0:
                yield write_header(encoder.tracks, writing_app="Boardcast tests")
            start = round(begun * 1000) + number * 1000
            moved = [
                Frame(one.track, one.pts + start * _MS - number * 1000 * _MS, key=one.key, data=one.data)
                for one in frames
            ]
            data = write_cluster(start, moved)
            # It begins to arrive when its first picture was taken, and is whole when its last one was.
            yield data[:_BEGIN]
            while time.time() < begun + number + 1:
                if self._over.is_set():
                    return
                await asyncio.sleep(0.02)
            yield data[_BEGIN:]
            self.sent = number + 1


class _Encoder:
    """H.264 and AAC of a test picture and a tone, second by second."""

    def __init__(self, size: tuple[int, int], fps: int, picture: str) -> None:
        self._size, self._fps, self._picture = size, fps, picture
        video = av.CodecContext.create("libx264", "w")
        assert isinstance(video, VideoCodecContext)
        video.width, video.height, video.pix_fmt, video.framerate = *size, "yuv420p", Fraction(fps)
        video.time_base = Fraction(1, fps)
        video.options = {
            "preset": "ultrafast",
            "tune": "zerolatency",
            "x264-params": f"keyint={fps}:min-keyint={fps}:scenecut=0:bframes=0:annexb=0:repeat-headers=0",
            "threads": "1",
        }
        video.flags |= Flags.global_header.value
        video.open()
        sound = av.CodecContext.create("aac", "w")
        assert isinstance(sound, AudioCodecContext)
        sound.sample_rate, sound.layout, sound.format, sound.time_base = _SOUND, "mono", "fltp", Fraction(1, _SOUND)
        sound.flags |= Flags.global_header.value
        sound.open()
        self._video, self._sound, self._heard = video, sound, 0
        self.tracks = (
            Track(
                1,
                TrackKind.VIDEO,
                "V_MPEG4/ISO/AVC",
                _avcc(bytes(video.extradata or b"")),
                name="kinesis_video",
                width=size[0],
                height=size[1],
            ),
            Track(2, TrackKind.AUDIO, "A_AAC", bytes(sound.extradata or b""), name="audio", rate=_SOUND, channels=1),
        )

    def seconds(self) -> Iterator[list[Frame]]:
        """Yield the frames of each second, in nanoseconds from the beginning of all."""
        width, height = self._size
        source = av.open(f"{self._picture}=size={width}x{height}:rate={self._fps}", format="lavfi")
        frames: list[Frame] = []
        for number, picture in enumerate(source.decode(video=0)):
            made = picture.reformat(format="yuv420p")
            made.pts, made.time_base, made.pict_type = number, Fraction(1, self._fps), 0
            at = round(1000 * number / self._fps) * _MS
            frames += [
                Frame(1, at, key=packet.is_keyframe, data=_lengths(bytes(packet)))
                for packet in self._video.encode(made)
            ]
            if number % self._fps == self._fps - 1:
                frames += self._tone((number + 1) / self._fps)
                yield sorted(frames, key=lambda one: (one.pts, one.track))
                frames = []

    def _tone(self, until: float) -> list[Frame]:
        made = []
        while (self._heard + 1024) / _SOUND <= until + 0.07:
            wave = array.array(
                "f", (0.3 * math.sin(2 * math.pi * 440 * at / _SOUND) for at in range(self._heard, self._heard + 1024))
            )
            frame = AudioFrame(format="fltp", layout="mono", samples=1024)
            frame.planes[0].update(wave.tobytes())
            frame.sample_rate, frame.pts = _SOUND, self._heard
            at = self._heard * 1000 // _SOUND
            self._heard += 1024
            made += [Frame(2, at * _MS, key=True, data=bytes(packet)) for packet in self._sound.encode(frame)]
        return made


def _units(data: bytes) -> list[bytes]:
    """Return the NAL units of Annex B."""
    parts = data.replace(b"\x00\x00\x00\x01", b"\x00\x00\x01").split(b"\x00\x00\x01")
    return [part for part in parts if part]


def _lengths(data: bytes) -> bytes:
    """Return Annex B as units with their length before them."""
    if not data.startswith((b"\x00\x00\x01", b"\x00\x00\x00\x01")):
        return data
    return b"".join(len(unit).to_bytes(4, "big") + unit for unit in _units(data))


def _avcc(data: bytes) -> bytes:
    """Return avcC of parameter sets in Annex B."""
    if data[:1] == b"\x01":
        return data
    sps = [unit for unit in _units(data) if unit[0] & 31 == 7]
    pps = [unit for unit in _units(data) if unit[0] & 31 == 8]
    head = bytes([1, *sps[0][1:4], 0xFF, 0xE0 | len(sps)])
    body = b"".join(len(one).to_bytes(2, "big") + one for one in sps) + bytes([len(pps)])
    return head + body + b"".join(len(one).to_bytes(2, "big") + one for one in pps)


def service_of(url: str, ca: Path, access: str, secret: str, region: str = "us-west-2") -> Service:
    return Service(region=region, endpoint_url=url, ca=ca, keys=Keys(access_key=access, secret_key=secret))
