"""Whether a stream can work: against what the service takes, and against what is known of the board.

Facts in, faults out, all of them at once; nothing here asks a board. Where a fact is not known, nothing is said of it.
The numbers are the service's and the SDK's own: fragments of 1 to 10 s and at most 50 MB, H.264 in avc form with whole
access units, AAC raw, no B-frames.
"""

from __future__ import annotations

import math
import posixpath
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from fractions import Fraction

from deploy.streams.elements import BUNDLED, DEMUXERS, PACKAGES
from deploy.streams.model import (
    AudioVideoSample,
    CameraSample,
    FileSink,
    KvsSink,
    PipelineStream,
    Sample,
    UploaderSample,
    Video,
    WebRtcSink,
)
from deploy.streams.pipeline import compose, encoder_properties

FRAGMENT_SECONDS = (1, 10)
FRAGMENT_MB = 50
DEFRAGMENTATION = Fraction(12, 10)
"""What the SDK's store needs over the plain size, by its maintainers' word."""
AUDIO_KBPS = 128
"""Taken for a sound track whose bitrate is not named."""
_STORAGE_MB, _BUFFER_SECONDS = 128, 120
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
    """Empty: not known."""
    to_width: int = 0
    """The widest of a range; 0 for a single size."""
    to_height: int = 0

    @property
    def gives(self) -> str:
        return "jpeg" if self.format in _JPEG else _ENCODED.get(self.format, "raw")

    def __str__(self) -> str:
        rates = f" at {', '.join(map(str, self.framerates))}" if self.framerates else ""
        to = f"-{self.to_width}x{self.to_height}" if self.to_width else ""
        return f"{self.width}x{self.height}{to} {self.format}{rates}"


@dataclass(frozen=True, slots=True, kw_only=True)
class BoardFacts:
    """What is known of a board; None or empty is "not known"."""

    elements: frozenset[str] | None = None
    """Element factories that its GStreamer has."""
    cameras: Mapping[str, Sequence[CameraMode]] = field(default_factory=dict)
    """Device → what it offers; nothing where that is not known."""
    microphones: Mapping[str, Sequence[int]] = field(default_factory=dict)
    """ALSA device → rates that it offers, in samples a second; none where they are not known."""
    ram_mb: int | None = None
    uplink_kbps: int | None = None


def storage_needed(bitrate_kbps: int, buffer_seconds: int, *, streams: int = 1) -> int:
    """Return the MB that kvssink's store needs: streams x average frame size x frame rate x buffer seconds x 1.2.

    Frame size times frame rate is the bitrate, so the rate itself drops out.
    """
    return math.ceil(streams * Fraction(bitrate_kbps, 8000) * buffer_seconds * DEFRAGMENTATION)


def check_stream(stream: PipelineStream | Sample, facts: BoardFacts | None = None) -> list[Fault]:
    """Return every fault of a stream; the empty list is a stream that nothing speaks against."""
    known = facts or BoardFacts()
    if not isinstance(stream, PipelineStream):
        return [*_sample(stream, known)]
    checks = (
        _codecs,
        _secrets,
        _tracks,
        _key_frames,
        _b_frames,
        _uplink,
        _storage,
        _cameras,
        _microphones,
        _webrtc,
        _files,
    )
    faults = [fault for check in checks for fault in check(stream, known)]
    return [*faults, *_elements(stream, known)]


def _sinks(stream: PipelineStream) -> Iterator[tuple[str, object]]:
    if stream.sink:
        yield "sink", stream.sink
    yield from ((f"sinks[{number}]", sink) for number, sink in enumerate(stream.sinks))


def _kvs(stream: PipelineStream) -> list[tuple[str, KvsSink]]:
    return [(where, sink) for where, sink in _sinks(stream) if isinstance(sink, KvsSink)]


def _pipeline(stream: PipelineStream) -> bool:
    return stream.source is not None and any(not isinstance(sink, WebRtcSink) for sink in stream.outputs)


def _codecs(stream: PipelineStream, _: BoardFacts) -> Iterator[Fault]:
    source, video = stream.source, stream.video
    if source is None or not _pipeline(stream):
        return
    if video.encoder is None and source.delivers in {"raw", "jpeg"}:
        yield Fault(
            where="video.encoder",
            what=f"{source.kind} gives {source.delivers} pictures, and the sinks take H.264 or H.265",
            cure='name one, such as encoder = "x264enc"',
        )
    if video.encoder is None and video.codec and source.delivers in {"h264", "h265"} - {video.codec}:
        yield Fault(
            where="video.codec",
            what=f"the source gives {source.delivers}, not {video.codec}",
            cure=f'write codec = "{source.delivers}", or leave it out',
        )
    suffix = posixpath.splitext(str(source.address))[1]
    if source.delivers == "container" and suffix not in DEMUXERS:
        yield Fault(
            where="source.file",
            what=f"no demuxer is known for {suffix or 'a file without a suffix'!r}",
            cure=f"give the file one of {', '.join(DEMUXERS)}",
        )
    if video.encoder and video.known is None and video.bitrate and not video.bitrate_property:
        yield Fault(
            where="video.bitrate",
            what=f"it is not known which property of {video.encoder} takes the bitrate",
            cure="name it in bitrate_property, with its unit in bitrate_unit",
        )


_PASSWORD_IN_QUERY = re.compile(r"[?&](user_?)?(pass|passwd|password|pwd|pw|secret|token)=", re.IGNORECASE)


def _secrets(stream: PipelineStream, _: BoardFacts) -> Iterator[Fault]:
    source = stream.source
    if source and source.kind == "rtsp" and _PASSWORD_IN_QUERY.search(str(source.address)):
        yield Fault(
            where="source.rtsp",
            what="the address has a password in its query, and a command line is open to everybody on the board",
            cure='put the whole address into a file on the board, mode 0600, and write source = { rtsp_file = "…" }',
        )


def _tracks(stream: PipelineStream, _: BoardFacts) -> Iterator[Fault]:
    if stream.audio is None or stream.audio.kind != "track" or stream.source is None or not _pipeline(stream):
        return
    if stream.source.delivers not in {"rtp", "container"}:
        yield Fault(
            where="audio.track",
            what=f"{stream.source.kind} has no sound track",
            cure='take a microphone, such as audio = { alsa = "hw:0,0" }',
        )
    elif stream.source.delivers == "rtp" and stream.audio.address == "mp3":
        yield Fault(where="audio.track", what="mp3 is for files", cure='write track = "decode" for an RTSP camera')


def _interval(video: Video) -> Fraction | None:
    """Return the seconds from key frame to key frame; None when they are not known."""
    known = video.known
    frames = video.key_frame_interval or (known.own_key_frames if known else 0)
    if frames:
        return frames / video.rate if video.rate else None
    return Fraction(known.own_key_frame_seconds) if known and known.own_key_frame_seconds else None


def _key_frames(stream: PipelineStream, _: BoardFacts) -> Iterator[Fault]:
    video = stream.video
    if not _kvs(stream) or video.encoder is None:
        return
    two_seconds = f"key_frame_interval = {round(2 * video.rate)}" if video.rate else "framerate and key_frame_interval"
    where, cure = "video.key_frame_interval", f"write {two_seconds} for a fragment every 2 s"
    seconds = _interval(video)
    low, high = FRAGMENT_SECONDS
    if seconds is None:
        what = "how often a key frame comes is not known, and a fragment begins with one"
        yield Fault(where=where, what=what, cure=cure, severity=Severity.ADVICE)
        return
    lasts = f"a key frame every {float(seconds):g} s"
    if not low <= seconds <= high:
        yield Fault(where=where, what=f"{lasts}, and fragments are {low} to {high} s long", cure=cure)
    elif video.key_frame_interval is None:
        what = f"{lasts} is {video.encoder}'s own choice, and a viewer waits as long"
        yield Fault(where=where, what=what, cure=cure, severity=Severity.ADVICE)
    for place, sink in _kvs(stream):
        if sink.fragment_duration and seconds * 1000 > sink.fragment_duration and seconds <= high:
            what = f"{lasts} makes fragments of that length, not of {sink.fragment_duration} ms"
            yield Fault(where=f"{place}.fragment_duration", what=what, cure=cure, severity=Severity.ADVICE)
    if video.bitrate and video.bitrate * seconds / 8000 > FRAGMENT_MB:
        what = f"{lasts} at {video.bitrate} kbit/s is {float(video.bitrate * seconds / 8000):.0f} MB a fragment"
        yield Fault(where="video.bitrate", what=what, cure=f"stay below {FRAGMENT_MB} MB: key frames more often")


def _b_frames(stream: PipelineStream, _: BoardFacts) -> Iterator[Fault]:
    if not _kvs(stream) or stream.video.encoder is None:
        return
    properties = encoder_properties(stream.video)
    names = {stream.video.known.b_frames if stream.video.known else "", "bframes", "b-frames", "max-bframes"} - {""}
    given = [name for name in sorted(names) if properties.get(name) not in {None, 0}]
    if given or (stream.video.b_frames or 0) > 0:
        yield Fault(
            where="video.b_frames",
            what="B-frames come out of order, and kvssink takes frames in the order of their times only",
            cure="write b_frames = 0",
        )


def _bitrate(stream: PipelineStream) -> int | None:
    """Return the kbit/s of pictures and sound; None when the pictures' are not named."""
    if stream.video.bitrate is None:
        return None
    return stream.video.bitrate + ((stream.audio.bitrate or AUDIO_KBPS) if stream.audio else 0)


def _uplink(stream: PipelineStream, facts: BoardFacts) -> Iterator[Fault]:
    rate = _bitrate(stream)
    count = len(_kvs(stream))
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


def _storage(stream: PipelineStream, facts: BoardFacts) -> Iterator[Fault]:
    rate = _bitrate(stream)
    for place, sink in _kvs(stream):
        size, buffer = sink.storage_size or _STORAGE_MB, sink.buffer_duration or _BUFFER_SECONDS
        needed = storage_needed(rate, buffer) if rate else 0
        if needed > size:
            yield Fault(
                where=f"{place}.storage_size",
                what=f"{buffer} s at {rate} kbit/s need {needed} MB, and the store has {size}",
                cure=f"write storage_size = {needed}, or a shorter buffer_duration",
            )
    total = sum(sink.storage_size or _STORAGE_MB for _, sink in _kvs(stream))
    if facts.ram_mb and total * 2 > facts.ram_mb:
        quarter = max(1, facts.ram_mb // 4 // len(_kvs(stream)))
        yield Fault(
            where=f"{_kvs(stream)[0][0]}.storage_size",
            what=f"{total} MB of store is more than half of the {facts.ram_mb} MB of memory",
            cure=f"write storage_size = {quarter}, and a shorter buffer_duration",
        )


def _cameras(stream: PipelineStream, facts: BoardFacts) -> Iterator[Fault]:
    source, video = stream.source, stream.video
    if source is None or source.kind not in {"v4l2", "libcamera"} or not _pipeline(stream) or not facts.cameras:
        return
    if source.kind == "libcamera" and source.address not in facts.cameras:
        return  # libcamera has names of its own for them
    wanted = (video.width, video.height, video.rate)
    yield from _camera(f"source.{source.kind}", str(source.address), source.delivers, wanted, facts)


Wanted = tuple[int | None, int | None, Fraction | None]


def _camera(where: str, device: str, gives: str, wanted: Wanted, facts: BoardFacts) -> Iterator[Fault]:
    if device not in facts.cameras:
        yield Fault(where=where, what=f"there is no camera {device}", cure=f"seen were {', '.join(facts.cameras)}")
        return
    modes = facts.cameras[device]
    if not modes or any(mode.gives == gives and _offers(mode, wanted) for mode in modes):
        return
    shown = f"{wanted[0]}x{wanted[1]}" if wanted[0] else "any size"
    what = f"{device} offers no {gives} pictures of {shown}" + (f" at {wanted[2]} a second" if wanted[2] else "")
    otherwise = sorted({mode.gives for mode in modes if mode.gives != gives and _offers(mode, wanted)})
    nearest = sorted((mode for mode in modes if mode.gives == gives), key=lambda mode: _distance(mode, wanted))[:3]
    cures = [f'write gives = "{kind}" in the source' for kind in otherwise]
    cures += [f"the nearest are {'; '.join(map(str, nearest))}"] if nearest else []
    yield Fault(where="video", what=what, cure=", or ".join(cures) or "take another camera")


def _offers(mode: CameraMode, wanted: Wanted) -> bool:
    width, height, rate = wanted
    if rate is not None and mode.framerates and rate not in mode.framerates:
        return False
    if width is None or height is None:
        return True
    most = (max(mode.width, mode.to_width), max(mode.height, mode.to_height))
    return mode.width <= width <= most[0] and mode.height <= height <= most[1]


def _distance(mode: CameraMode, wanted: Wanted) -> tuple[float, float]:
    width, height, rate = wanted
    area = abs(math.log(mode.width * mode.height / (width * height))) if width and height else 0.0
    rates = [abs(float(offered - rate)) for offered in mode.framerates] if rate else []
    return area, min(rates, default=0.0)


def _microphones(stream: PipelineStream, facts: BoardFacts) -> Iterator[Fault]:
    audio = stream.audio
    if audio is None or audio.kind != "alsa" or not facts.microphones or not _pipeline(stream):
        return
    # plughw and the other names of ALSA's library are no devices, and convert.
    if not audio.address.startswith("hw:"):
        return
    if audio.address not in facts.microphones:
        seen = ", ".join(facts.microphones)
        yield Fault(where="audio.alsa", what=f"there is no microphone {audio.address}", cure=f"seen were {seen}")
        return
    offered = facts.microphones.get(audio.address, ())
    if audio.rate and not audio.resample and offered and audio.rate not in offered:
        nearest = min(offered, key=lambda rate: abs(rate - (audio.rate or 0)))
        yield Fault(
            where="audio.rate",
            what=f"{audio.address} offers {', '.join(map(str, offered))} samples a second, not {audio.rate}",
            cure=f"write resample = true, or rate = {nearest}",
        )


def _webrtc(stream: PipelineStream, _: BoardFacts) -> Iterator[Fault]:
    samples = [(where, sink) for where, sink in _sinks(stream) if isinstance(sink, WebRtcSink)]
    source = stream.source
    if not samples or source is None:
        return
    where, sample = samples[0]
    if source.kind in {"v4l2", "libcamera", "element"} and len(stream.outputs) > 1:
        yield Fault(
            where=where,
            what="the WebRTC sample opens the camera itself, and a camera is open to one program at a time",
            cure="give it a camera of its own, or take an RTSP source, which both can read",
        )
    if source.password_file or source.kind == "rtsp_file":
        yield Fault(
            where=where,
            what="the WebRTC sample takes the address as a word of its command line, and the password would be in it",
            cure="take a camera that asks for no password, or leave the password to an RTSP proxy on the board",
        )
    if sample.program == "kvsWebrtcClientMaster":
        yield Fault(
            where=where,
            what="kvsWebrtcClientMaster sends frames from its own folder, and no camera",
            cure="leave the source out, or take kvsWebrtcClientMasterGstSample",
        )
    elif source.delivers == "container":
        cure = "take a test, camera or RTSP source"
        yield Fault(where=where, what="the WebRTC sample does not send a file", cure=cure)
    if source.kind == "v4l2" or (stream.video != Video() and not _pipeline(stream)):
        yield Fault(
            where="video",
            what="the WebRTC sample takes the first camera, and makes 1280x720 at 25 a second and 512 kbit/s of it",
            cure="device and settings of this stream have no effect on it",
            severity=Severity.ADVICE,
        )


def _files(stream: PipelineStream, _: BoardFacts) -> Iterator[Fault]:
    for where, sink in _sinks(stream):
        if isinstance(sink, FileSink) and sink.file.endswith(".mp4"):
            yield Fault(
                where=f"{where}.file",
                what="an .mp4 is readable only after it was closed: a power cut loses all of it",
                cure="record into .mkv or .ts",
                severity=Severity.ADVICE,
            )


def _elements(stream: PipelineStream, facts: BoardFacts) -> Iterator[Fault]:
    pipeline = compose(stream)
    if facts.elements is None or pipeline is None:
        return
    named = {
        stream.source.element if stream.source else "": stream.source and stream.source.package,
        stream.video.encoder or "": stream.video.package,
    }
    for factory in dict.fromkeys(element.factory for element in pipeline.elements()):
        if factory not in facts.elements | BUNDLED:
            yield _missing(factory, named.get(factory) or PACKAGES.get(factory))


def _missing(element: str, package: str | None) -> Fault:
    cure = f"install {package} on it" if package else "it comes with the vendor's own GStreamer plugins"
    return Fault(where=element, what=f"the board has no element {element}", cure=cure)


_SAMPLE_ELEMENTS = {
    "kvs_gstreamer_sample": ("v4l2src", "videoconvert", "h264parse"),
    "kvssink_gstreamer_sample": ("v4l2src", "videoconvert", "h264parse"),
    "kvs_gstreamer_audio_video_sample": ("v4l2src", "alsasrc", "x264enc", "h264parse", "avenc_aac", "aacparse"),
    "kvs_gstreamer_file_uploader_sample": ("filesrc", "h264parse"),
    "kvs_gstreamer_multistream_sample": ("rtspsrc", "rtph264depay", "h264parse"),
}


def _sample(sample: Sample, facts: BoardFacts) -> Iterator[Fault]:
    if facts.elements is not None:
        for element in _SAMPLE_ELEMENTS[sample.sample]:
            if element not in facts.elements:
                yield _missing(element, PACKAGES.get(element))
    if isinstance(sample, UploaderSample):
        yield from _uploader(sample)
    elif isinstance(sample, CameraSample) and not sample.rtsp and not sample.files and facts.cameras:
        rate = Fraction(sample.framerate) if sample.framerate else None
        wanted = (sample.width, sample.height, rate)
        yield from _camera("sample", "/dev/video0", "raw", wanted, facts)
    elif isinstance(sample, AudioVideoSample) and sample.video_device and facts.cameras:
        yield from _camera("video_device", sample.video_device, "raw", (None, None, None), facts)


def _uploader(sample: UploaderSample) -> Iterator[Fault]:
    if posixpath.splitext(sample.file)[1] not in {".mp4", ".mkv", ".ts"}:
        yield Fault(where="file", what="the uploader knows files by their suffix", cure="name it .mp4, .mkv or .ts")
    if not re.fullmatch(r"[A-Za-z0-9._/+-]+", sample.file):
        yield Fault(
            where="file",
            what="the uploader puts the name into its pipeline without quotes",
            cure='take a name without spaces and marks, or a stream with source = { file = "…" }',
        )
    if sample.content == "audio-video":
        yield Fault(
            where="content",
            what="the uploader's own pipeline takes AAC sound only",
            cure='for a file with mp3, write a stream with source = { file = "…" } and audio = { track = "mp3" }',
            severity=Severity.ADVICE,
        )
