"""Live material for tests: a moving pattern in H.264 or H.265 with an AAC tone, framed as the producer SDK frames it.

Encoded once a session for each kind that is asked for; the same bytes every time.
"""

from __future__ import annotations

import array
import functools
import io
import math
from dataclasses import dataclass, replace
from fractions import Fraction

import av
from av.audio.codeccontext import AudioCodecContext
from av.audio.frame import AudioFrame
from av.codec.context import Flags
from av.video.frame import VideoFrame
from av.video.stream import VideoStream

from deploy.media import matroska
from deploy.media.model import Frame, Header, Track, TrackKind

START_MS = 1_795_000_000_000
"""Where fragments begin unless a test says otherwise: November 2026."""

SOUND_RATE = 16_000
_MS = 1_000_000


@dataclass(frozen=True)
class Kind:
    """What to encode; the fields are those of `make_fragments`."""

    seconds: float = 1
    fps: int = 10
    size: tuple[int, int] = (160, 120)
    audio: bool = True
    bframes: int = 0
    codec: str = "libx264"
    picture: str = "moving"
    """moving, frozen, black or green."""


def make_header(
    *,
    seconds: float = 1,
    fps: int = 10,
    size: tuple[int, int] = (160, 120),
    audio: bool = True,
    bframes: int = 0,
    codec: str = "libx264",
) -> bytes:
    """Return the Matroska header that fragments of the same arguments go with."""
    kind = Kind(seconds=seconds, fps=fps, size=size, audio=audio, bframes=bframes, codec=codec)
    return matroska.write_header(_encode(kind, 1)[0], writing_app="Kinesis Video SDK 1.1.0")


def make_fragments(
    count: int,
    *,
    seconds: float = 1,
    fps: int = 10,
    size: tuple[int, int] = (160, 120),
    audio: bool = True,
    start_ms: int = START_MS,
    bframes: int = 0,
    codec: str = "libx264",
    picture: str = "moving",
) -> list[bytes]:
    """Return that many clusters, each from a key frame on, timecodes in milliseconds from `start_ms` on."""
    kind = Kind(seconds=seconds, fps=fps, size=size, audio=audio, bframes=bframes, codec=codec, picture=picture)
    step = round(seconds * 1000)
    made = list[bytes]()
    for place, frames in enumerate(_encode(kind, count)[1]):
        moved = [replace(frame, pts=frame.pts + start_ms * _MS) for frame in frames]
        made.append(matroska.write_cluster(start_ms + place * step, moved))
    return made


def end_of_fragment() -> bytes:
    """Return the tag with which the producer ends its last fragment."""
    return matroska.write_tags({"AWS_KINESISVIDEO_END_OF_FRAGMENT": ""})


def split(body: bytes, *, piece: int = 0) -> tuple[Header, list[bytes]]:
    """Return the header and the fragments of a whole body, fed in pieces of a size."""
    splitter, step = matroska.Splitter(), piece or max(1, len(body))
    events = [event for at in range(0, len(body), step) for event in splitter.feed(body[at : at + step])]
    events += splitter.end()
    assert isinstance(events[0], matroska.HeaderEvent)
    return events[0].header, [event.data for event in events if isinstance(event, matroska.FragmentEnded)]


@functools.cache
def _encode(kind: Kind, count: int) -> tuple[tuple[Track, ...], tuple[tuple[Frame, ...], ...]]:
    """Return tracks, and the frames of each fragment, from 0 on."""
    video, pictures = _pictures(kind, count)
    tracks, frames = [replace(video, number=1, name="kinesis_video", frame_ns=0)], list(pictures)
    if kind.audio:
        track, sound = _tone(count * kind.seconds)
        tracks.append(track)
        frames += sound
    step = round(kind.seconds * 1000) * _MS
    groups = list[list[Frame]]([] for _ in range(count))
    place = -1
    for frame in pictures:
        place += frame.key
        groups[place].append(frame)
    for frame in frames[len(pictures) :]:
        group = groups[min(frame.pts // step, count - 1)]
        behind = next((at for at, one in enumerate(group) if at and one.pts > frame.pts), len(group))
        group.insert(behind, frame)
    assert place == count - 1, "a key frame at the beginning of each fragment, and nowhere else"
    return tuple(tracks), tuple(tuple(group) for group in groups)


def _pictures(kind: Kind, count: int) -> tuple[Track, list[Frame]]:
    """Encode the pictures, through FFmpeg's own Matroska, which turns Annex B into what is in avcC and hvcC."""
    file, group = io.BytesIO(), round(kind.seconds * kind.fps)
    name = kind.codec.removeprefix("lib") + "-params"
    params = f"keyint={group}:min-keyint={group}:scenecut=0:bframes={kind.bframes}:b-adapt=0:open-gop=0"
    options = {"preset": "ultrafast", "threads": "1", name: params + ":info=0:log-level=0" * (name[:4] == "x265")}
    with av.open(file, "w", format="matroska") as out:
        stream = out.add_stream(kind.codec, rate=kind.fps, options=options)
        assert isinstance(stream, VideoStream)
        stream.width, stream.height, stream.pix_fmt = *kind.size, "yuv420p"
        stream.codec_context.time_base = Fraction(1, kind.fps)
        for number in range(group * count):
            picture = _picture(kind, number)
            picture.pts, picture.time_base = number, Fraction(1, kind.fps)
            out.mux(stream.encode(picture))
        out.mux(stream.encode(None))
    header, clusters = split(file.getvalue())
    frames = [frame for cluster in clusters for frame in matroska.parse_cluster(cluster, header).frames]
    first = min(frame.pts for frame in frames)
    return header.tracks[0], [replace(frame, pts=frame.pts - first) for frame in frames]


def _picture(kind: Kind, number: int) -> VideoFrame:
    """Draw a gradient that wanders with a bright square on it."""
    width, height = kind.size
    at = 0 if kind.picture == "frozen" else number * 7
    row = bytes((x + at) * 2 % 200 + 16 for x in range(width))
    luma = bytearray(b"".join(row[y % 8 :] + row[: y % 8] for y in range(height)))
    for y in range(height // 4, height // 2):
        start = y * width + at % (width * 3 // 4)
        luma[start : start + width // 4] = b"\xeb" * (width // 4)
    if kind.picture in {"clock", "stopped", "no clock"}:
        _draw_corner(luma, kind, number)
    planes: tuple[bytes, bytes, bytes] = (
        bytes(luma),
        bytes([90 + at % 60]) * (width * height // 4),
        b"\xa0" * (width * height // 4),
    )
    if kind.picture in {"black", "green"}:
        # A decoder that was given nothing leaves zeros: the green that everyone has seen.
        shade = (16, 128, 128) if kind.picture == "black" else (0, 0, 0)
        planes = tuple(bytes([one]) * len(plane) for one, plane in zip(shade, planes, strict=True))  # type: ignore[assignment]
    frame = VideoFrame(width, height, "yuv420p")
    for target, wide, plane in zip(frame.planes, (width, width // 2, width // 2), planes, strict=True):
        pad = bytes(target.line_size - wide)
        target.update(b"".join(plane[line : line + wide] + pad for line in range(0, len(plane), wide)))
    return frame


def _draw_corner(luma: bytearray, kind: Kind, number: int) -> None:
    """Draw an even grey into the upper left, and on it white bars: as many bits of the seconds as a clock would change.

    Of a clock that stopped they stay; where no clock is drawn there are none.
    """
    width, height = kind.size
    now = 0 if kind.picture == "stopped" else number // kind.fps
    bars = [] if kind.picture == "no clock" else [1, *((now >> bit) & 1 for bit in range(4))]
    for y in range(height // 4):
        start = y * width
        luma[start : start + width * 5 // 8] = b"\x60" * (width * 5 // 8)
        for place, is_set in enumerate(bars):
            if is_set and height // 16 <= y < height // 7:
                left = start + width // 20 + place * width // 14
                luma[left : left + width // 28] = b"\xeb" * (width // 28)


def _tone(seconds: float) -> tuple[Track, list[Frame]]:
    """Encode a tone of 440 Hz; the encoder's first packet counts as time 0."""
    context = av.CodecContext.create("aac", "w")
    assert isinstance(context, AudioCodecContext)
    context.sample_rate, context.layout, context.format = SOUND_RATE, "mono", "fltp"
    context.time_base = Fraction(1, SOUND_RATE)
    context.flags |= Flags.global_header.value
    packets = []
    for start in range(0, int(seconds * SOUND_RATE), 1024):
        wave = array.array(
            "f", (0.4 * math.sin(2 * math.pi * 440 * at / SOUND_RATE) for at in range(start, start + 1024))
        )
        frame = AudioFrame(format="fltp", layout="mono", samples=1024)
        frame.planes[0].update(wave.tobytes())
        frame.sample_rate, frame.pts = SOUND_RATE, start
        packets += [bytes(packet) for packet in context.encode(frame)]
    private = bytes(context.extradata or b"")
    track = Track(2, TrackKind.AUDIO, "A_AAC", private, name="audio", rate=SOUND_RATE, channels=1)
    at = (place * 1024 * 1000 // SOUND_RATE * _MS for place in range(len(packets)))
    return track, [Frame(2, pts, key=True, data=packet) for pts, packet in zip(at, packets, strict=True)]
