"""Where a stream goes: a stream of the service, a signaling channel, a file, or nowhere."""

from __future__ import annotations

import posixpath
import re
from typing import Annotated, Any, Literal

from pydantic import Discriminator, Field, StringConstraints, Tag, model_validator

from deploy.streams.elements import MUXERS
from deploy.streams.values import MediaTypes, Part, Path, Seconds, StreamName, Text, Word


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
