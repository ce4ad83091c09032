"""Whether a stream can work: against what the service takes, and against what is known of the board.

Facts in, faults out, all of them at once; nothing here asks a board. Where a fact is not known, nothing is said of it.
The numbers are the service's and the SDK's own: fragments of 1 to 10 s and at most 50 MB, H.264 in avc form with whole
access units, AAC raw, no B-frames.
"""

from __future__ import annotations

import posixpath
import re
from collections.abc import Iterator
from fractions import Fraction

from deploy.pipelines.facts import BoardFacts, Fault, Severity, has_pipeline, kvs_sinks, placed_sinks
from deploy.pipelines.fit import camera_faults, element_faults, microphone_faults, sample_faults
from deploy.pipelines.pipeline import encoder_properties
from deploy.pipelines.room import storage_faults, uplink_faults
from deploy.streams.elements import DEMUXERS
from deploy.streams.model import PipelineStream
from deploy.streams.parts import Video
from deploy.streams.samples import Sample
from deploy.streams.sinks import FileSink, WebRtcSink

FRAGMENT_SECONDS = (1, 10)
FRAGMENT_MB = 50


def check_stream(stream: PipelineStream | Sample, facts: BoardFacts | None = None) -> list[Fault]:
    """Return every fault of a stream; the empty list is a stream that nothing speaks against."""
    known = facts or BoardFacts()
    if not isinstance(stream, PipelineStream):
        return [*sample_faults(stream, known)]
    checks = (
        _codecs,
        _secrets,
        _tracks,
        _key_frames,
        _b_frames,
        uplink_faults,
        storage_faults,
        camera_faults,
        microphone_faults,
        _webrtc,
        _files,
    )
    faults = [fault for check in checks for fault in check(stream, known)]
    return [*faults, *element_faults(stream, known)]


def _codecs(stream: PipelineStream, _: BoardFacts) -> Iterator[Fault]:
    source, video = stream.source, stream.video
    if source is None or not has_pipeline(stream):
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
    if stream.audio is None or stream.audio.kind != "track" or stream.source is None or not has_pipeline(stream):
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
    if not kvs_sinks(stream) or video.encoder is None:
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
    for place, sink in kvs_sinks(stream):
        if sink.fragment_duration and seconds * 1000 > sink.fragment_duration and seconds <= high:
            what = f"{lasts} makes fragments of that length, not of {sink.fragment_duration} ms"
            yield Fault(where=f"{place}.fragment_duration", what=what, cure=cure, severity=Severity.ADVICE)
    if video.bitrate and video.bitrate * seconds / 8000 > FRAGMENT_MB:
        what = f"{lasts} at {video.bitrate} kbit/s is {float(video.bitrate * seconds / 8000):.0f} MB a fragment"
        yield Fault(where="video.bitrate", what=what, cure=f"stay below {FRAGMENT_MB} MB: key frames more often")


def _b_frames(stream: PipelineStream, _: BoardFacts) -> Iterator[Fault]:
    if not kvs_sinks(stream) or stream.video.encoder is None:
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


def _webrtc(stream: PipelineStream, _: BoardFacts) -> Iterator[Fault]:
    samples = [(where, sink) for where, sink in placed_sinks(stream) if isinstance(sink, WebRtcSink)]
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
    if source.kind == "v4l2" or (stream.video != Video() and not has_pipeline(stream)):
        yield Fault(
            where="video",
            what="the WebRTC sample takes the first camera, and makes 1280x720 at 25 a second and 512 kbit/s of it",
            cure="device and settings of this stream have no effect on it",
            severity=Severity.ADVICE,
        )


def _files(stream: PipelineStream, _: BoardFacts) -> Iterator[Fault]:
    for where, sink in placed_sinks(stream):
        if isinstance(sink, FileSink) and sink.file.endswith(".mp4"):
            yield Fault(
                where=f"{where}.file",
                what="an .mp4 is readable only after it was closed: a power cut loses all of it",
                cure="record into .mkv or .ts",
                severity=Severity.ADVICE,
            )
