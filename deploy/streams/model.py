"""What a board streams: the `[streams.<name>]` tables of a board file, checked word by word.

A stream is a pipeline (source, video, audio, one sink or several), or one of the SDK's own samples with its arguments.
Whether the parts fit each other and the board is for `checks`; how they become programs, for `argv`.
"""

from __future__ import annotations

import posixpath
import re
from collections.abc import Mapping
from fractions import Fraction
from typing import Annotated, Any, ClassVar, Literal

from pydantic import AfterValidator, ConfigDict, Discriminator, Field, StringConstraints, Tag, model_validator

from deploy.streams.elements import (
    AUDIO_ENCODERS,
    AUDIO_SOURCES,
    ENCODERS,
    MUXERS,
    SOURCES,
    EncoderKind,
    Gives,
    SourceKind,
)
from recipes.config import OneLine, Strict


def _absolute(path: str) -> str:
    if not path.startswith("/") or path.startswith("//") or posixpath.normpath(path) != path:
        raise ValueError(f"is to be an absolute path without `.`, `..` or doubled slashes, such as {_tidy(path)!r}")
    return path


def _tidy(path: str) -> str:
    return posixpath.normpath("/" + path.lstrip("/"))


def _address(url: str) -> str:
    """Refuse a name or password in the address: it would be in argv, and so in `ps`. The text is never repeated."""
    scheme, colon, rest = url.partition("://")
    host = re.split(r"[/?#]", rest, maxsplit=1)[0]
    if not colon or not re.fullmatch(r"rtsp[a-z]{0,3}", scheme):
        raise ValueError("is to begin with rtsp://")
    if "@" in host:
        raise ValueError("has a user in it: write `user`, and name a file on the board by `password_file`")
    if not re.fullmatch(r"(\[[0-9A-Fa-f:.]+\]|[A-Za-z0-9._-]+)(:[0-9]{1,5})?", host):
        raise ValueError("is to have a host, and if need be a port, after rtsp://")
    return url


Text = Annotated[OneLine, StringConstraints(min_length=1, max_length=1024)]
Path = Annotated[Text, AfterValidator(_absolute)]
Rtsp = Annotated[Text, AfterValidator(_address)]
ElementName = Annotated[str, StringConstraints(pattern=r"^[A-Za-z][A-Za-z0-9_-]{0,63}$")]
PropertyName = Annotated[str, StringConstraints(pattern=r"^[a-z][a-z0-9-]{0,63}$")]
Word = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9][A-Za-z0-9._+-]{0,63}$")]
StreamName = Annotated[str, StringConstraints(pattern=r"^[a-zA-Z0-9_.-]{1,256}$")]
"""Name of a video stream or a signaling channel, in the letters that the service takes."""
Name = Annotated[str, StringConstraints(pattern=r"^[a-z0-9][a-z0-9._-]{0,62}$")]
"""Name of a stream of a board file."""
MediaTypes = Annotated[str, StringConstraints(pattern=r"^[a-z]+/[a-z0-9.+-]+(,[a-z]+/[a-z0-9.+-]+)?$")]
Seconds = Annotated[int, Field(ge=0, le=86_400)]
Size = Annotated[int, Field(ge=16, le=8192)]
Framerate = (
    Annotated[int, Field(ge=1, le=240)]
    | Annotated[str, StringConstraints(pattern=r"^[1-9][0-9]{0,6}/[1-9][0-9]{0,5}$")]
)
"""Frames a second: 30, or "30000/1001"."""
PropertyValue = bool | int | float | Text
Properties = dict[PropertyName, PropertyValue]


Runs = Literal["boot", "hand"]


class Part(Strict):
    """Base of a stream's parts: a number is not made from a text."""

    model_config = ConfigDict(strict=True)


def _by_word(value: Any, words: Mapping[str, object], what: str) -> Any:
    """Turn `{ v4l2 = "/dev/video0", … }` into kind and address: exactly one word says what it is."""
    if not isinstance(value, dict) or "kind" in value:
        return value
    given = [word for word in words if word in value]
    if len(given) != 1:
        wrong = f"{' and '.join(given)} do not go together" if given else "the word that says what it is is missing"
        raise ValueError(f"{wrong}: one {what} of {', '.join(words)}")
    return {
        "kind": given[0],
        "address": value[given[0]],
        **{name: part for name, part in value.items() if name != given[0]},
    }


def _schema(words: Mapping[str, object]) -> Any:
    def with_words(schema: dict[str, Any]) -> None:
        shown = schema["properties"]
        address = shown.pop("address")
        shown.pop("kind")
        shown |= {word: {key: address[key] for key in address if key != "title"} for word in words}
        schema.pop("required", None)
        schema["oneOf"] = [{"required": [word]} for word in words]

    return with_words


class Source(Part):
    """Where the pictures come from: one word says what it is and where; the rest is for its element."""

    model_config = ConfigDict(json_schema_extra=_schema(SOURCES))
    words: ClassVar[tuple[str, ...]] = tuple(SOURCES)
    """The keys of which exactly one is there: its value is the address."""

    kind: Word
    """The word that says what it is: v4l2, libcamera, rtsp, rtsp_file, file, test or element."""
    address: int | Text
    """Device, file, pattern, address or element: the value of the source's word."""
    gives: Gives | None = None
    """What the source delivers, where a camera has a choice: raw, jpeg, h264, h265."""
    user: Text | None = None
    """RTSP: user; it is in argv."""
    password_file: Path | None = None
    """RTSP: file on the board, mode 0600, whose first line is the password; it is never in argv."""
    protocols: Literal["tcp", "udp", "udp-mcast", "http", "tls"] | None = None
    """RTSP: how the media travel; TCP passes most networks."""
    latency: Annotated[int, Field(ge=0, le=60_000)] | None = None
    """RTSP: jitter buffer in milliseconds."""
    properties: Properties = Field(default_factory=dict)
    """Further properties of the element, by their own names."""
    package: Word | None = None
    """Package that brings a vendor's element, for the message when it is missing."""

    @model_validator(mode="before")
    @classmethod
    def _word(cls, value: Any) -> Any:
        return _by_word(value, SOURCES, "source")

    @model_validator(mode="after")
    def _fits(self) -> Source:
        faults = _address_faults(self.definition, self.address) + self._rtsp_faults()
        faults += _secret_faults(self.properties)
        if self.gives and self.definition.gives != "raw":
            faults.append("`gives` is for cameras, which have a choice")
        if faults:
            raise ValueError("; ".join(faults))
        return self

    def _rtsp_faults(self) -> list[str]:
        given = [name for name in ("user", "password_file", "protocols", "latency") if getattr(self, name) is not None]
        if given and self.definition.gives != "rtp":
            return [f"{', '.join(given)} belong to an RTSP source"]
        return ["password_file needs `user`"] if self.password_file and not self.user else []

    @property
    def definition(self) -> SourceKind:
        return SOURCES[self.kind]

    @property
    def element(self) -> str:
        return self.definition.element or str(self.address)

    @property
    def delivers(self) -> Gives:
        return self.gives or self.definition.gives


def _address_faults(kind: SourceKind, address: int | str) -> list[str]:
    checks: dict[str, Any] = {"path": _absolute, "file-of-value": _absolute, "rtsp": _address}
    if (kind.means == "number") != isinstance(address, int):
        return [f"is to be a {'number' if kind.means == 'number' else 'text'}"]
    if kind.means == "element" and not re.fullmatch(r"[A-Za-z][A-Za-z0-9_-]{0,63}", str(address)):
        return ["is to be the name of an element"]
    try:
        checks.get(kind.means, str)(address)
    except ValueError as error:
        return [str(error)]
    return []


_SECRET = re.compile(r"(^|-)(pw|pass|passwd|password|secret|secret-key|access-key|session-token|token)$")


def _secret_faults(properties: Mapping[str, object]) -> list[str]:
    return [
        f"the property {name} is a secret, and would be in argv for everybody on the board to read"
        for name in properties
        if _SECRET.search(name)
    ]


_ENCODING = ("bitrate", "key_frame_interval", "b_frames", "profile", "speed", "tune", "clock", "overlay", "format")


class Video(Part):
    """What becomes of the pictures: passed through as they are, or encoded."""

    encoder: ElementName | None = None
    """x264enc, v4l2h264enc, omxh264enc, or a vendor's element; none passes H.264 or H.265 through."""
    codec: Literal["h264", "h265"] | None = None
    """What the source or the vendor's encoder gives; an encoder that is known says it itself."""
    width: Size | None = None
    """Of the pictures, in pixels; with `height`."""
    height: Size | None = None
    """Of the pictures, in pixels; with `width`."""
    framerate: Framerate | None = None
    """Frames a second: 30, or "30000/1001"."""
    format: Word | None = None
    """Pixel format in front of the encoder, such as I420 or NV12."""
    bitrate: Annotated[int, Field(ge=16, le=200_000)] | None = None
    """Kilobits a second, whatever unit the encoder counts in."""
    key_frame_interval: Annotated[int, Field(ge=1, le=2400)] | None = None
    """Frames from one key frame to the next."""
    b_frames: Annotated[int, Field(ge=0, le=16)] | None = None
    """B-frames between two others; a browser shows none."""
    profile: Literal["constrained-baseline", "baseline", "main", "high"] | None = None
    """H.264 profile; also makes the encoder give byte-stream."""
    speed: Word | None = None
    """x264enc and x265enc: speed-preset, such as veryfast."""
    tune: Word | None = None
    """x264enc and x265enc: tune, such as zerolatency."""
    clock: Text | None = None
    """Draws the time into the picture, in strftime's form."""
    overlay: Text | None = None
    """Draws a text into the picture."""
    parsed_caps: bool = True
    """False leaves out the caps after the parser; kvssink's own pad asks for the same ones."""
    properties: Properties = Field(default_factory=dict)
    """Further properties of the encoder, by their own names."""
    bitrate_property: PropertyName | None = None
    """Vendor's encoder: the property that takes the bitrate."""
    bitrate_unit: Literal["kbit/s", "bit/s"] = "bit/s"
    """Vendor's encoder: the unit of that property."""
    key_frame_property: PropertyName | None = None
    """Vendor's encoder: the property that takes the key-frame interval."""
    package: Word | None = None
    """Package that brings a vendor's encoder."""

    @model_validator(mode="after")
    def _fits(self) -> Video:
        faults = _secret_faults(self.properties)
        if (self.width is None) != (self.height is None):
            faults.append("width and height go together")
        given = [name for name in _ENCODING if getattr(self, name) is not None]
        if self.encoder is None and given:
            faults.append(f"{', '.join(given)} need an `encoder`")
        if self.known and (self.bitrate_property or self.key_frame_property):
            faults.append(f"{self.encoder} is known: it needs no bitrate_property and no key_frame_property")
        if self.known and self.codec not in {None, self.known.codec}:
            faults.append(f"{self.encoder} gives {self.known.codec}")
        if faults:
            raise ValueError("; ".join(faults))
        return self

    @property
    def known(self) -> EncoderKind | None:
        """The encoder's entry in the table; None for a vendor's, and for pass-through."""
        return ENCODERS.get(self.encoder or "")

    @property
    def gives(self) -> Literal["h264", "h265"]:
        """The codec that leaves this part."""
        return self.known.codec if self.known else self.codec or "h264"

    @property
    def rate(self) -> Fraction | None:
        return None if self.framerate is None else Fraction(self.framerate)


class Audio(Part):
    """Where the sound comes from, and how it becomes AAC."""

    model_config = ConfigDict(json_schema_extra=_schema({**AUDIO_SOURCES, "track": None}))
    words: ClassVar[tuple[str, ...]] = (*AUDIO_SOURCES, "track")
    """The keys of which exactly one is there: its value is the address."""

    kind: Word
    """The word that says what it is: alsa, pulse, test or track."""
    address: Text
    """ALSA or PulseAudio device, wave of the test tone, or for `track` what the source's own sound track is."""
    encoder: Literal[AUDIO_ENCODERS] = "voaacenc"  # type: ignore[valid-type]
    """To AAC."""
    rate: Annotated[int, Field(ge=8000, le=192_000)] | None = None
    """Samples a second."""
    channels: Annotated[int, Field(ge=1, le=8)] | None = None
    """1 for mono, 2 for stereo."""
    bitrate: Annotated[int, Field(ge=8, le=640)] | None = None
    """Kilobits a second."""
    resample: bool = False
    """Converts the rate when the device does not offer the one asked for."""
    properties: Properties = Field(default_factory=dict)
    """Further properties of the source of sound, by their own names."""

    @model_validator(mode="before")
    @classmethod
    def _word(cls, value: Any) -> Any:
        return _by_word(value, {**AUDIO_SOURCES, "track": None}, "audio source")

    @model_validator(mode="after")
    def _fits(self) -> Audio:
        faults = _secret_faults(self.properties)
        if self.kind == "track" and self.address not in {"mp3", "aac", "decode"}:
            faults.append('track is "mp3" or "aac", or "decode" for any other')
        if self.kind == "track" and self.properties:
            faults.append("properties belong to a source of sound, and a track has none of its own")
        if faults:
            raise ValueError("; ".join(faults))
        return self


class IotCertificate(Part):
    """How a board asks for credentials with its certificate; every value is a reference, none a secret."""

    endpoint: Word
    """The credential provider's host, not the data endpoint."""
    cert_path: Path
    """The board's certificate, a file on the board."""
    key_path: Path
    """Its private key, a file on the board."""
    ca_path: Path
    """The certificates that the endpoint is checked with, a file on the board."""
    role_aliases: Word
    """The role alias that gives the credentials."""
    iot_thing_name: Word | None = None
    """Name of the thing; the stream's name without it."""
    connection_timeout: Seconds | None = None
    """Seconds to connect (kvssink: 3)."""
    completion_timeout: Seconds | None = None
    """Seconds for the whole answer (kvssink: 5)."""

    @model_validator(mode="after")
    def _plain_paths(self) -> IotCertificate:
        """Keep to letters that need no quotes: the value is read by kvssink's own parser, inside GStreamer's."""
        for path in (self.cert_path, self.key_path, self.ca_path):
            if not re.fullmatch(r"[A-Za-z0-9._/-]+", path):
                raise ValueError("the paths of a certificate are to have letters, digits, `.`, `_` and `-` only")
        return self

    def structure(self) -> str:
        """Return it as the samples and kvssink read it."""
        fields = self.model_dump(exclude_none=True)
        return ",".join(["iot-certificate", *(f"{name.replace('_', '-')}={value}" for name, value in fields.items())])


class KvsSink(Part):
    """A video stream of the service, through kvssink; a property that is not named keeps kvssink's default.

    Keys are no properties here: they would be in argv. They reach kvssink by environment, `credential_path` or `iot`.
    """

    kvs: StreamName
    """Name of the stream."""
    storage_size: Annotated[int, Field(ge=1, le=4096)] | None = None
    """MB of memory for frames that are not yet acknowledged (kvssink: 128)."""
    retention_period: Annotated[int, Field(ge=0, le=87_600)] | None = None
    """Hours that a stream which kvssink makes keeps its pictures."""
    streaming_type: Literal["realtime", "near-realtime", "offline"] | None = None
    """kvssink: realtime."""
    content_type: MediaTypes | None = None
    """Media type of the stream that kvssink makes (kvssink: video/h264)."""
    max_latency: Seconds | None = None
    """Seconds after which kvssink calls a picture late (kvssink: 60)."""
    fragment_duration: Annotated[int, Field(ge=1000, le=10_000)] | None = None
    """Milliseconds (kvssink: 2000)."""
    timecode_scale: Annotated[int, Field(ge=1, le=1000)] | None = None
    """Milliseconds of one tick (kvssink: 1)."""
    key_frame_fragmentation: bool | None = None
    """A key frame begins a fragment (kvssink: true)."""
    frame_timecodes: bool | None = None
    """Frames carry times (kvssink: true)."""
    absolute_fragment_times: bool | None = None
    """Fragments carry times of day (kvssink: true)."""
    fragment_acks: bool | None = None
    """The service confirms each fragment (kvssink: true)."""
    restart_on_error: bool | None = None
    """kvssink connects again by itself after an error (kvssink: true)."""
    recalculate_metrics: bool | None = None
    """kvssink measures the stream by itself (kvssink: true)."""
    allow_create_stream: bool | None = None
    """kvssink makes a stream that is missing (kvssink: true)."""
    disable_buffer_clipping: bool | None = None
    """Pictures before the segment of the source are kept (kvssink: false)."""
    use_original_pts: bool | None = None
    """The source's own times are sent (kvssink: false)."""
    get_kvs_metrics: bool | None = None
    """kvssink reports its metrics (kvssink: false)."""
    framerate: Annotated[int, Field(ge=1, le=240)] | None = None
    """Frames a second that kvssink reckons with (kvssink: 25)."""
    avg_bandwidth_bps: Annotated[int, Field(ge=1000, le=200_000_000)] | None = None
    """Bits a second that kvssink reckons with (kvssink: 4194304)."""
    buffer_duration: Annotated[int, Field(ge=1, le=3600)] | None = None
    """Seconds of pictures that are kept to be sent (kvssink: 120)."""
    replay_duration: Annotated[int, Field(ge=1, le=3600)] | None = None
    """Seconds that are sent again after a broken connection (kvssink: 40)."""
    connection_staleness: Annotated[int, Field(ge=1, le=3600)] | None = None
    """Seconds without an acknowledgement after which the connection is stale (kvssink: 60)."""
    codec_id: Annotated[str, StringConstraints(pattern=r"^[A-Z]_[A-Z0-9/]+$")] | None = None
    """Matroska's name of the codec (kvssink: V_MPEG4/ISO/AVC)."""
    track_name: Text | None = None
    """Name of the track (kvssink: kinesis_video)."""
    aws_region: Word | None = None
    """Region of this stream; the board's `region` without it."""
    rotation_period: Annotated[int, Field(ge=60, le=86_400)] | None = None
    """Seconds that credentials are used (kvssink: 3600)."""
    log_config: Path | None = None
    """File on the board that says what is logged; Boardcast's own without it."""
    stop_stream_timeout: Seconds | None = None
    """Seconds that closing may take (kvssink: 120)."""
    connection_timeout: Seconds | None = None
    """Seconds to connect (kvssink: 5)."""
    completion_timeout: Seconds | None = None
    """Seconds for the whole answer (kvssink: 10)."""
    credential_path: Path | None = None
    """File on the board with credentials, as kvssink reads it."""
    iot: IotCertificate | None = None
    """The certificate for this stream; the board's without it."""
    file_start_time: Annotated[int, Field(ge=0)] | None = None
    """Seconds since 1970 of a file's first picture; 0: now."""
    user_agent: Text | None = None
    """Added to the user agent."""


class WebRtcSink(Part):
    """A signaling channel, through one of the SDK's samples, which brings a pipeline of its own."""

    webrtc: StreamName
    """Name of the channel."""
    program: Literal["kvsWebrtcClientMaster", "kvsWebrtcClientMasterGstSample"] = "kvsWebrtcClientMasterGstSample"
    """Which of the samples: the plain master, or the one with GStreamer."""
    content: Literal["video-only", "audio-video"] | None = None
    """Second argument of the Gst sample; from `audio` when it is not named."""
    log_level: Annotated[int, Field(ge=1, le=8)] | None = None
    """1 verbose, 2 debug, 3 info, 4 warn, 5 error, 6 fatal, 7 silent, 8 profile."""
    log_sdp: bool | None = None
    """Print each SDP message; the board's `log_sdp` without it."""


class FileSink(Part):
    """A file on the board: .mkv, .mp4 or .ts."""

    file: Path
    """Its path; a file that is there is written over."""

    @model_validator(mode="after")
    def _suffix(self) -> FileSink:
        if posixpath.splitext(self.file)[1] not in MUXERS:
            raise ValueError(f"is to end in one of {', '.join(MUXERS)}")
        return self


class FakeSink(Part):
    """Nowhere: for trying a source and an encoder."""

    fake: Literal[True]
    """true."""


def _sink_word(value: Any) -> str:
    keys = value if isinstance(value, dict) else type(value).model_fields if isinstance(value, Part) else {}
    return next((word for word in ("kvs", "webrtc", "file", "fake") if word in keys), "")


Sink = Annotated[
    Annotated[KvsSink, Tag("kvs")]
    | Annotated[WebRtcSink, Tag("webrtc")]
    | Annotated[FileSink, Tag("file")]
    | Annotated[FakeSink, Tag("fake")],
    Discriminator(
        _sink_word,
        custom_error_type="sink",
        custom_error_message="one of kvs, webrtc, file and fake says where it goes",
    ),
]


class PipelineStream(Part):
    """A stream that is a pipeline of ours, or a WebRTC sample, or both."""

    runs: Runs = "boot"
    """`boot`: a service, which starts at boot; `hand`: a launch script, for a person to start."""
    source: Source | None = None
    """None: the WebRTC sample's own test pictures."""
    video: Video = Video()
    """What becomes of the pictures."""
    audio: Audio | None = None
    """The sound, if it has any."""
    sink: Sink | None = None
    """The one sink; `sinks` for several."""
    sinks: Annotated[tuple[Sink, ...], Field(strict=False)] = ()
    """Several places to go to, each with a queue of its own."""

    @model_validator(mode="after")
    def _one_way(self) -> PipelineStream:
        if bool(self.sink) == bool(self.sinks):
            raise ValueError("has `sink` for one place to go to, or `sinks` for several")
        if self.source is None and not all(isinstance(sink, WebRtcSink) for sink in self.outputs):
            raise ValueError("has no `source`")
        return self

    @property
    def outputs(self) -> tuple[KvsSink | WebRtcSink | FileSink | FakeSink, ...]:
        return (self.sink,) if self.sink else self.sinks


class CameraSample(Part):
    """kvs_gstreamer_sample or kvssink_gstreamer_sample: /dev/video0, an RTSP camera, or files."""

    runs: Runs = "boot"
    """`boot`: a service, which starts at boot; `hand`: a launch script, for a person to start."""
    sample: Literal["kvs_gstreamer_sample", "kvssink_gstreamer_sample"]
    """Which of the two."""
    stream: StreamName
    """Name of the stream."""
    width: Size | None = None
    """Of the pictures, in pixels."""
    height: Size | None = None
    """Of the pictures, in pixels."""
    framerate: Annotated[int, Field(ge=1, le=240)] | None = None
    """Frames a second."""
    bitrate: Annotated[int, Field(ge=16, le=200_000)] | None = None
    """Kilobits a second."""
    rtsp: Rtsp | None = None
    """Address of a camera, without a password."""
    files: Annotated[tuple[Path, ...], Field(strict=False)] = ()
    """Files on the board, sent one after the other."""

    @model_validator(mode="after")
    def _one_source(self) -> CameraSample:
        camera = any(value is not None for value in (self.width, self.height, self.framerate, self.bitrate))
        if camera + bool(self.rtsp) + bool(self.files) > 1:
            raise ValueError("takes the camera's settings, or `rtsp`, or `files`")
        if (self.width is None) != (self.height is None):
            raise ValueError("width and height go together")
        return self


class AudioVideoSample(Part):
    """kvs_gstreamer_audio_video_sample: camera and microphone, or files."""

    runs: Runs = "boot"
    """`boot`: a service, which starts at boot; `hand`: a launch script, for a person to start."""
    sample: Literal["kvs_gstreamer_audio_video_sample"]
    """Its name."""
    stream: StreamName
    """Name of the stream."""
    audio_device: Text
    """ALSA device, AWS_KVS_AUDIO_DEVICE: the sample does not start without it."""
    video_device: Path | None = None
    """AWS_KVS_VIDEO_DEVICE."""
    files: Annotated[tuple[Path, ...], Field(strict=False)] = ()
    """Files on the board, sent one after the other."""


class UploaderSample(Part):
    """kvs_gstreamer_file_uploader_sample: one file, once."""

    runs: Runs = "hand"
    """`boot`: a service, which starts at boot; `hand`: a launch script, for a person to start."""
    sample: Literal["kvs_gstreamer_file_uploader_sample"]
    """Its name."""
    stream: StreamName
    """Name of the stream."""
    file: Path
    """The file on the board: .mkv, .mp4 or .ts."""
    start: Annotated[int, Field(ge=0)] = 0
    """Seconds since 1970 of the first picture; 0: now."""
    content: Literal["video-only", "audio-video"] | None = None
    """What of it is sent; both where the file has both."""
    retention_period: Annotated[int, Field(ge=0, le=87_600)] | None = None
    """Hours, KVS_RETENTION_PERIOD."""
    storage_size: Annotated[int, Field(ge=1, le=4096)] | None = None
    """MB, KVS_STORAGE_SIZE."""
    iot: IotCertificate | None = None
    """KVS_IOT_CERTIFICATE."""


class MultistreamSample(Part):
    """kvs_gstreamer_multistream_sample: one stream for each address of a file."""

    runs: Runs = "boot"
    """`boot`: a service, which starts at boot; `hand`: a launch script, for a person to start."""
    sample: Literal["kvs_gstreamer_multistream_sample"]
    """Its name."""
    stream: StreamName
    """What the names of the streams begin with."""
    addresses: Path
    """File on the board, mode 0600, with one RTSP address a line."""


Sample = CameraSample | AudioVideoSample | UploaderSample | MultistreamSample
_SAMPLES: dict[str, str] = {
    "kvs_gstreamer_sample": "camera",
    "kvssink_gstreamer_sample": "camera",
    "kvs_gstreamer_audio_video_sample": "audio-video",
    "kvs_gstreamer_file_uploader_sample": "uploader",
    "kvs_gstreamer_multistream_sample": "multistream",
}


def _stream_word(value: Any) -> str:
    sample = value.get("sample") if isinstance(value, dict) else getattr(value, "sample", None)
    return "pipeline" if sample is None else _SAMPLES.get(str(sample), "")


Stream = Annotated[
    Annotated[PipelineStream, Tag("pipeline")]
    | Annotated[CameraSample, Tag("camera")]
    | Annotated[AudioVideoSample, Tag("audio-video")]
    | Annotated[UploaderSample, Tag("uploader")]
    | Annotated[MultistreamSample, Tag("multistream")],
    Discriminator(
        _stream_word,
        custom_error_type="sample",
        custom_error_message=f"no such sample; there are {', '.join(_SAMPLES)}",
    ),
]
"""One stream of a board file."""
Streams = dict[Name, Stream]
"""The `[streams.<name>]` tables; a field of this type in the board's model takes them all.

Messages never repeat an RTSP address, which may hold a password. pydantic's own text of an error does, unless the
outermost model sets `hide_input_in_errors`.
"""
