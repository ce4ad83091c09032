"""The elements that streams are made of: one entry here adds a source or an encoder to the words of a board file.

A new source is one line of `SOURCES` (its word, its element, what its value means) and one of `PACKAGES`. Nothing else
changes: the models of `deploy/streams` and the composition in `deploy/pipelines/pipeline.py` read these tables.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

Value = str | int | float | bool
"""What a property can be set to."""
Gives = Literal["raw", "jpeg", "h264", "h265", "rtp", "container"]
"""What leaves a source: pictures, JPEG pictures, a bare stream of a camera that encodes, RTP, or a file's container."""
Means = Literal["path", "text", "number", "rtsp", "file-of-value", "element"]
"""How the value of a source's word is read; `file-of-value` is a file on the board whose first line is the value."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SourceKind:
    """A source of pictures."""

    element: str
    takes: str = ""
    """Property that the word's value goes to; empty: the value is the element's own name."""
    means: Means = "text"
    gives: Gives = "raw"
    live: bool = True
    """False: it delivers as fast as it is read, as a file does."""
    settings: Mapping[str, Value] = field(default_factory=dict)
    """Properties that are always set; a board file's `properties` win."""


@dataclass(frozen=True, slots=True, kw_only=True)
class EncoderKind:
    """An encoder of pictures, and what it calls the settings that every encoder has."""

    codec: Literal["h264", "h265"] = "h264"
    takes_format: str = "I420"
    """Pixel format asked for in front of it, unless the board file says another."""
    bitrate: str = "bitrate"
    bitrate_unit: int = 1000
    """Bits per second in one unit of that property: 1000 for kbit/s, 1 for bit/s."""
    key_frames: str = ""
    """Property that takes the number of frames from one key frame to the next."""
    own_key_frames: int = 0
    """Frames from key frame to key frame when nothing is set; 0: not known."""
    own_key_frame_seconds: int = 0
    """The same, for an encoder that counts in seconds."""
    b_frames: str = ""
    """Property that takes the number of B-frames; empty: it makes none."""
    speed: str = ""
    tune: str = ""
    byte_stream: str = ""
    """Property that makes it give byte-stream, where it has one."""
    controls: str = ""
    """Property that takes bitrate and key frames as one structure of controls (V4L2 encoders)."""
    caps: str = ""
    """Caps that have to follow it."""
    settings: Mapping[str, Value] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class AudioKind:
    """A source of sound of its own, beside the pictures' source."""

    element: str
    takes: str
    settings: Mapping[str, Value] = field(default_factory=dict)


SOURCES: Mapping[str, SourceKind] = {
    "v4l2": SourceKind(element="v4l2src", takes="device", means="path"),
    "libcamera": SourceKind(element="libcamerasrc", takes="camera-name"),
    "rtsp": SourceKind(element="rtspsrc", takes="location", means="rtsp", gives="rtp"),
    # The whole address is a secret when a camera wants its password in the query.
    "rtsp_file": SourceKind(element="rtspsrc", takes="location", means="file-of-value", gives="rtp"),
    "file": SourceKind(element="filesrc", takes="location", means="path", gives="container", live=False),
    "test": SourceKind(element="videotestsrc", takes="pattern", settings={"is-live": True}),
    "element": SourceKind(element="", means="element"),
}
"""Word in a board file → source. The source's word is the only key that says what it is: `source = { v4l2 = … }`."""

ENCODERS: Mapping[str, EncoderKind] = {
    "x264enc": EncoderKind(
        key_frames="key-int-max",
        own_key_frame_seconds=10,
        b_frames="bframes",
        speed="speed-preset",
        tune="tune",
        byte_stream="byte-stream",
    ),
    # It makes B-frames unless its own list of options says otherwise.
    "x265enc": EncoderKind(
        codec="h265",
        key_frames="key-int-max",
        own_key_frames=250,
        speed="speed-preset",
        tune="tune",
        settings={"option-string": "bframes=0"},
    ),
    "openh264enc": EncoderKind(bitrate_unit=1, key_frames="gop-size", own_key_frames=90),
    # Newer Raspberry Pi kernels negotiate no level by themselves and then refuse to start.
    "v4l2h264enc": EncoderKind(
        bitrate="video_bitrate",
        bitrate_unit=1,
        key_frames="h264_i_frame_period",
        controls="extra-controls",
        caps="video/x-h264,level=(string)4",
    ),
    "omxh264enc": EncoderKind(
        bitrate="target-bitrate",
        bitrate_unit=1,
        key_frames="periodicity-idr",
        settings={"control-rate": "variable", "inline-header": False},
    ),
    "mpph264enc": EncoderKind(takes_format="NV12", bitrate="bps", bitrate_unit=1, key_frames="gop"),
}

AUDIO_SOURCES: Mapping[str, AudioKind] = {
    "alsa": AudioKind(element="alsasrc", takes="device"),
    "pulse": AudioKind(element="pulsesrc", takes="device"),
    "test": AudioKind(element="audiotestsrc", takes="wave", settings={"is-live": True}),
}

AUDIO_ENCODERS: tuple[str, ...] = ("voaacenc", "avenc_aac")
"""Encoders to AAC; both take their `bitrate` in bit/s."""

DEMUXERS: Mapping[str, str] = {
    ".mp4": "qtdemux",
    ".mov": "qtdemux",
    ".mkv": "matroskademux",
    ".ts": "tsdemux",
}
MUXERS: Mapping[str, str] = {".mp4": "mp4mux", ".mkv": "matroskamux", ".ts": "mpegtsmux"}

_BY_PACKAGE = {
    "libgstreamer1.0-0": "queue tee filesrc filesink fakesink capsfilter",
    "gstreamer1.0-plugins-base": "audioconvert audioresample audiotestsrc decodebin videoconvert videorate videoscale "
    "videotestsrc",
    "gstreamer1.0-plugins-good": "aacparse jpegdec matroskademux matroskamux mp4mux mpegaudioparse mpg123audiodec "
    "pulsesrc qtdemux rtph264depay rtph265depay rtpmp4gdepay rtspsrc v4l2src v4l2h264enc",
    "gstreamer1.0-plugins-bad": "h264parse h265parse mpegtsmux openh264enc tsdemux voaacenc x265enc",
    "gstreamer1.0-plugins-ugly": "x264enc",
    "gstreamer1.0-libav": "avenc_aac",
    "gstreamer1.0-alsa": "alsasrc",
    "gstreamer1.0-x": "clockoverlay textoverlay",
    "gstreamer1.0-libcamera": "libcamerasrc",
    "gstreamer1.0-omx-generic": "omxh264enc",
}
PACKAGES: Mapping[str, str] = {
    element: package for package, elements in _BY_PACKAGE.items() for element in elements.split()
}
"""Element → the Debian 12 package that brings it, from the packages' own `Gstreamer-Elements` lists.

`v4l2h264enc` is in no list: the plugin makes it when it sees an encoder of the board.
"""

_BY_PLUGIN = {
    "coreelements": "queue tee filesrc filesink fakesink capsfilter",
    "audioconvert": "audioconvert",
    "audioresample": "audioresample",
    "audiotestsrc": "audiotestsrc",
    "playback": "decodebin",
    # One plugin from 1.22 on, two before.
    "videoconvertscale|videoconvert": "videoconvert",
    "videoconvertscale|videoscale": "videoscale",
    "videorate": "videorate",
    "videotestsrc": "videotestsrc",
    "audioparsers": "aacparse mpegaudioparse",
    "jpeg": "jpegdec",
    "matroska": "matroskademux matroskamux",
    "isomp4": "mp4mux qtdemux",
    "mpg123": "mpg123audiodec",
    "pulseaudio|pulse": "pulsesrc",
    "rtp": "rtph264depay rtph265depay rtpmp4gdepay",
    "rtsp": "rtspsrc",
    "rtpmanager": "rtspsrc",
    "udp": "rtspsrc",
    "video4linux2": "v4l2src v4l2h264enc",
    "videoparsersbad": "h264parse h265parse",
    "mpegtsmux": "mpegtsmux",
    "openh264": "openh264enc",
    "mpegtsdemux": "tsdemux",
    "voaacenc": "voaacenc",
    "x265": "x265enc",
    "x264": "x264enc",
    "libav": "avenc_aac",
    "alsa": "alsasrc",
    "pango": "clockoverlay textoverlay",
    "libcamera": "libcamerasrc",
    "omx": "omxh264enc",
    "rockchipmpp|rockchip": "mpph264enc",
}
PLUGINS: Mapping[str, tuple[tuple[str, ...], ...]] = {
    element: tuple(
        tuple(f"libgst{name}.so" for name in names.split("|"))
        for names, elements in _BY_PLUGIN.items()
        if element in elements.split()
    )
    for element in dict.fromkeys(" ".join(_BY_PLUGIN.values()).split())
}
"""Element → the plugins that it takes, each by the file names that it has had (`gst-inspect-1.0 ELEMENT`)."""

BUNDLED = frozenset({"kvssink"})
"""Elements that come with the bundle, so a board need not have them."""
