"""The SDK's own programs as streams: each with the arguments and variables that it takes."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import BeforeValidator, Field, model_validator

from deploy.streams.sinks import IotCertificate
from deploy.streams.values import Name, Part, Path, Rtsp, Runs, Size, StreamName, Text, Unnamed


def _named(value: object) -> object:
    """Refuse what is no name of a device; a name was looked up, and is gone, before a model reads it."""
    if isinstance(value, Unnamed):
        raise ValueError(value.why)  # noqa: TRY004 - pydantic tells a ValueError as a fault
    return value


DeviceName = Annotated[Name | None, BeforeValidator(_named)]


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
    audio_device: Text | None = None
    """ALSA device, AWS_KVS_AUDIO_DEVICE: the sample does not start without it, or without `microphone`."""
    video_device: Path | None = None
    """AWS_KVS_VIDEO_DEVICE."""
    microphone: DeviceName = None
    """The same by the name of one of `[devices]`."""
    camera: DeviceName = None
    """The same by the name of one of `[devices]`."""
    files: Annotated[tuple[Path, ...], Field(strict=False)] = ()
    """Files on the board, sent one after the other."""

    @model_validator(mode="after")
    def _hears(self) -> AudioVideoSample:
        if self.audio_device is None:
            raise ValueError("needs a microphone: audio_device, or microphone with the name of one of [devices]")
        return self


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
SAMPLES: dict[str, str] = {
    "kvs_gstreamer_sample": "camera",
    "kvssink_gstreamer_sample": "camera",
    "kvs_gstreamer_audio_video_sample": "audio-video",
    "kvs_gstreamer_file_uploader_sample": "uploader",
    "kvs_gstreamer_multistream_sample": "multistream",
}
