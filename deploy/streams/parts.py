"""What is in front of a sink: where pictures and sound come from, and how they are encoded."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from fractions import Fraction
from typing import Annotated, Any, ClassVar, Literal

from pydantic import ConfigDict, Field, model_validator

from deploy.streams.elements import (
    AUDIO_ENCODERS,
    AUDIO_SOURCES,
    ENCODERS,
    SOURCES,
    EncoderKind,
    Gives,
    SourceKind,
)
from deploy.streams.values import (
    ElementName,
    Framerate,
    Part,
    Path,
    Properties,
    PropertyName,
    Size,
    Text,
    Word,
    absolute,
    address_of,
    by_word,
    secret_faults,
    words_schema,
)


@dataclass(frozen=True, slots=True)
class _Named:
    means: str = "device"


NAMED: Mapping[str, Any] = {"device": _Named()}
"""The word that names one of `[devices]`; whoever reads a board's file puts the device's own word there."""


class Source(Part):
    """Where the pictures come from: one word says what it is and where; the rest is for its element."""

    model_config = ConfigDict(json_schema_extra=words_schema({**SOURCES, **NAMED}))
    words: ClassVar[tuple[str, ...]] = (*SOURCES, *NAMED)
    """The keys of which exactly one is there: its value is the address."""

    kind: Word
    """The word that says what it is: v4l2, libcamera, rtsp, rtsp_file, file, test or element."""
    address: int | Text
    """Device, file, pattern, address or element: the value of the source's word; of `device` the name of a camera or a
    node of `[devices]`."""
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
        return by_word(value, {**SOURCES, **NAMED}, "source")

    @model_validator(mode="after")
    def _fits(self) -> Source:
        faults = _address_faults(self.definition, self.address) + self._rtsp_faults()
        faults += secret_faults(self.properties)
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
    checks: dict[str, Any] = {"path": absolute, "file-of-value": absolute, "rtsp": address_of}
    if (kind.means == "number") != isinstance(address, int):
        return [f"is to be a {'number' if kind.means == 'number' else 'text'}"]
    if kind.means == "element" and not re.fullmatch(r"[A-Za-z][A-Za-z0-9_-]{0,63}", str(address)):
        return ["is to be the name of an element"]
    try:
        checks.get(kind.means, str)(address)
    except ValueError as error:
        return [str(error)]
    return []


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
    """B-frames between two others, 0 without it: KVS refuses them, a browser shows none."""
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
        faults = secret_faults(self.properties)
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


_AUDIO_WORDS: Mapping[str, Any] = {**AUDIO_SOURCES, "track": None, **NAMED}


class Audio(Part):
    """Where the sound comes from, and how it becomes AAC."""

    model_config = ConfigDict(json_schema_extra=words_schema(_AUDIO_WORDS))
    words: ClassVar[tuple[str, ...]] = tuple(_AUDIO_WORDS)
    """The keys of which exactly one is there: its value is the address."""

    kind: Word
    """The word that says what it is: alsa, pulse, test or track."""
    address: Text
    """ALSA or PulseAudio device, wave of the test tone, or for `track` what the source's own sound track is; of
    `device` the name of a microphone of `[devices]`."""
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
        return by_word(value, _AUDIO_WORDS, "audio source")

    @model_validator(mode="after")
    def _fits(self) -> Audio:
        faults = secret_faults(self.properties)
        if self.kind == "track" and self.address not in {"mp3", "aac", "decode"}:
            faults.append('track is "mp3" or "aac", or "decode" for any other')
        if self.kind == "track" and self.properties:
            faults.append("properties belong to a source of sound, and a track has none of its own")
        if faults:
            raise ValueError("; ".join(faults))
        return self
