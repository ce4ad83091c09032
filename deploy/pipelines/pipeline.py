"""Pipelines as values: elements, caps and the links between them, composed from a stream of a board file.

A value here knows nothing of words and quotes (that is `argv`), and nothing of what a board has (`stream_checks`). It
can be printed, compared, and walked element by element.
"""

from __future__ import annotations

import posixpath
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from fractions import Fraction
from pathlib import PurePosixPath

from deploy.streams.elements import AUDIO_SOURCES, DEMUXERS, MUXERS, Value
from deploy.streams.model import PipelineStream
from deploy.streams.parts import Audio, Source, Video
from deploy.streams.sinks import FakeSink, FileSink, KvsSink, WebRtcSink

_PARSERS = {"h264": "h264parse", "h265": "h265parse"}
_ENCODED_CAPS = {"h264": {"stream-format": "avc"}, "h265": {"stream-format": "hvc1"}}
_SOURCE, _DEMUXER = "src", "demuxer"


@dataclass(frozen=True, slots=True, kw_only=True)
class Element:
    """One element: its factory, the name that others refer to, and its properties in the order they are set."""

    factory: str
    name: str = ""
    properties: Mapping[str, Value] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class Caps:
    """What may pass between two elements: a media type and its fields."""

    media: str
    fields: Mapping[str, str] = field(default_factory=dict)

    def __str__(self) -> str:
        return ",".join([self.media, *(f"{name}={value}" for name, value in self.fields.items())])


Node = Element | Caps


@dataclass(frozen=True, slots=True, kw_only=True)
class Chain:
    """Elements that are linked one to the next; it begins at a named element of another chain, or ends at one."""

    start: str = ""
    nodes: tuple[Node, ...]
    end: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class FileProperty:
    """A property whose value is the first line of a file on the board, and never part of a command line."""

    element: str
    """Name of the element in the pipeline."""
    property: str
    file: PurePosixPath


@dataclass(frozen=True, slots=True, kw_only=True)
class Pipeline:
    """A whole pipeline; `str()` prints it as people write one, chain by chain, without any quotes."""

    chains: tuple[Chain, ...]
    file_properties: tuple[FileProperty, ...] = ()

    def elements(self) -> Iterator[Element]:
        """Give every element, in the order in which the parser meets them."""
        return (node for chain in self.chains for node in chain.nodes if isinstance(node, Element))

    def named(self, name: str) -> Element:
        """Return the element of that name; raises KeyError when there is none."""
        for element in self.elements():
            if element.name == name:
                return element
        raise KeyError(name)

    def __str__(self) -> str:
        lines = [line for chain in self.chains for line in _printed(chain)]
        return "\n".join([*lines, *(f"{p.element}.{p.property} from {p.file}" for p in self.file_properties)])


def _printed(chain: Chain) -> Iterator[str]:
    places = [f"{chain.start}."] if chain.start else []
    for node in chain.nodes:
        if isinstance(node, Caps):
            places.append(str(node))
            continue
        name = {"name": node.name} if node.name else {}
        places.append(
            " ".join([node.factory, *(f"{key}={value}" for key, value in {**node.properties, **name}.items())])
        )
    places += [f"{chain.end}."] if chain.end else []
    for number, place in enumerate(places):
        yield f"  ! {place}" if number else place


def compose(stream: PipelineStream) -> Pipeline | None:
    """Compose the pipeline of a stream; None when WebRTC samples are its only sinks, since they bring their own.

    The pipeline of a stream in which `check_stream` finds an error may be one that no parser takes.
    """
    sinks = [sink for sink in stream.outputs if not isinstance(sink, WebRtcSink)]
    if not sinks or stream.source is None:
        return None
    opening, start, nodes = _opening(stream.source, stream.video)
    nodes = [*nodes, *_video_nodes(stream.source, stream.video, queue=_paced(stream))]
    ends = [_Ending(sink, number, stream.video) for number, sink in enumerate(sinks, 1)]
    chains = [*opening, *_spread(start, nodes, "video_tee", [end.video for end in ends])]
    if stream.audio:
        start, nodes = _audio_nodes(stream.audio, stream.source, paced=_paced(stream))
        chains += _spread(start, nodes, "audio_tee", [end.audio for end in ends])
    return Pipeline(chains=tuple(chains), file_properties=tuple(_file_properties(stream.source)))


def _paced(stream: PipelineStream) -> bool:
    """Say whether camera and microphone both run on their own: then queues keep either from waiting."""
    own_sound = stream.audio is not None and stream.audio.kind != "track"
    return own_sound and stream.source is not None and stream.source.delivers not in {"rtp", "container"}


def _opening(source: Source, video: Video) -> tuple[list[Chain], str, list[Node]]:
    """Return the chains in front, the name that the video's chain begins at, and its first elements."""
    kind = source.definition
    address = {} if kind.means in {"element", "file-of-value"} else {kind.takes: source.address}
    rtsp = {"protocols": source.protocols, "latency": source.latency, "user-id": source.user}
    extra = {name: value for name, value in rtsp.items() if value is not None}
    properties: dict[str, Value] = {**kind.settings, **address, **extra, **source.properties}
    if source.delivers == "rtp":
        first = Element(factory=source.element, name=_SOURCE, properties=properties)
        return (
            [Chain(nodes=(first,))],
            _SOURCE,
            [Element(factory="queue"), Element(factory=f"rtp{video_codec(source, video)}depay")],
        )
    first = Element(factory=source.element, properties=properties)
    if source.delivers == "container":
        demuxer = DEMUXERS.get(posixpath.splitext(str(source.address))[1], "qtdemux")
        front = Chain(nodes=(first, Element(factory=demuxer, name=_DEMUXER)))
        return [front], _DEMUXER, [Element(factory="queue")]
    return [], "", [first]


def video_codec(source: Source, video: Video) -> str:
    """Return the codec that the source delivers, if it delivers an encoded one."""
    if source.delivers in _PARSERS:
        return source.delivers
    return video.codec or "h264"


def _video_nodes(source: Source, video: Video, *, queue: bool) -> Iterator[Node]:
    picture = {**_size(video), **({"framerate": _rate(video.rate)} if video.rate else {})}
    if source.delivers in {"raw", "jpeg"}:
        if source.delivers == "jpeg":
            yield Caps(media="image/jpeg", fields=picture)
            yield Element(factory="jpegdec")
        yield Element(factory="queue")
        yield from _encoded(video, picture, ["videoconvert"], queue=queue)
    else:
        codec = video_codec(source, video)
        if source.delivers in _PARSERS:
            yield Caps(media=f"video/x-{codec}", fields=picture)
            yield Element(factory="queue")
        yield Element(factory=_PARSERS[codec])
        if video.encoder:
            yield Element(factory="decodebin")
            sizes = ["videoscale"] if video.width else []
            rates = ["videorate"] if video.framerate else []
            yield from _encoded(video, picture, ["videoconvert", *sizes, *rates], queue=queue)
    if video.parsed_caps:
        fields = {**_ENCODED_CAPS[video.gives], "alignment": "au"}
        yield Caps(media=f"video/x-{video.gives}", fields=fields)


def _encoded(video: Video, picture: Mapping[str, str], converters: list[str], *, queue: bool) -> Iterator[Node]:
    yield from (Element(factory=converter) for converter in converters)
    pixels = video.format or (video.known.takes_format if video.known else "")
    fields = {**picture, **({"format": pixels} if pixels else {})}
    if fields:
        yield Caps(media="video/x-raw", fields=fields)
    if queue:
        yield Element(factory="queue")
    if video.clock:
        yield Element(factory="clockoverlay", properties={"time-format": video.clock})
    if video.overlay:
        yield Element(factory="textoverlay", properties={"text": video.overlay})
    if video.encoder:
        yield Element(factory=video.encoder, properties=encoder_properties(video))
        if video.known and video.known.caps:
            media, _, rest = video.known.caps.partition(",")
            yield Caps(media=media, fields=dict(pair.split("=", 1) for pair in rest.split(",")))
    if video.profile:
        stream_format = {"stream-format": "byte-stream", "alignment": "au", "profile": video.profile}
        yield Caps(media=f"video/x-{video.gives}", fields=stream_format)
    yield Element(factory=_PARSERS[video.gives])


def encoder_properties(video: Video) -> dict[str, Value]:
    """Return the properties of the encoder, each under its own name and in its own unit."""
    known = video.known
    if known is None:
        unit = 1 if video.bitrate_unit == "kbit/s" else 1000
        pairs: list[tuple[str | None, Value | None]] = [
            (video.bitrate_property, video.bitrate and video.bitrate * unit),
            (video.key_frame_property, video.key_frame_interval),
        ]
        return {name: value for name, value in pairs if name and value is not None} | video.properties
    rate = video.bitrate and video.bitrate * 1000 // known.bitrate_unit
    counted = {known.bitrate: rate, known.key_frames: video.key_frame_interval}
    if known.controls:
        controls = {name: value for name, value in counted.items() if value is not None} | {"repeat_sequence_header": 1}
        structure = ",".join(["controls", *(f"{name}={value}" for name, value in controls.items())])
        return {**known.settings, known.controls: structure, **video.properties}
    given: dict[str, Value | None] = {
        # Said always: x264enc's own default of 0 does not hold against its preset, which makes three; and KVS answers
        # them with 4004.
        known.b_frames: video.b_frames or 0,
        known.speed: video.speed,
        **counted,
        known.byte_stream: True if video.profile else None,
        known.tune: video.tune,
    }
    return {
        **known.settings,
        **{key: value for key, value in given.items() if key and value is not None},
        **video.properties,
    }


def _audio_nodes(audio: Audio, source: Source, *, paced: bool) -> tuple[str, list[Node]]:
    """Return the name that the sound's chain begins at, and its elements."""
    queue = [Element(factory="queue")]
    if audio.kind != "track":
        kind = AUDIO_SOURCES[audio.kind]
        properties = {**kind.settings, kind.takes: audio.address, **audio.properties}
        first = Element(factory=kind.element, properties=properties)
        return "", [first, *(queue if paced else []), *_to_aac(audio), *(queue if paced else [])]
    rtp = source.delivers == "rtp"
    start = _SOURCE if rtp else _DEMUXER
    before = {
        "mp3": ["mpegaudioparse", "mpg123audiodec"],
        "aac": [*(["rtpmp4gdepay"] if rtp else []), "aacparse"],
        "decode": ["decodebin"],
    }[audio.address]
    nodes = [*queue, *(Element(factory=factory) for factory in before)]
    return start, [*nodes, *([_RAW_AAC] if audio.address == "aac" else _to_aac(audio))]


_RAW_AAC = Caps(media="audio/mpeg", fields={"stream-format": "raw"})


def _to_aac(audio: Audio) -> Iterator[Node]:
    yield Element(factory="audioconvert")
    if audio.resample:
        yield Element(factory="audioresample")
    numbers = {"rate": audio.rate, "channels": audio.channels}
    fields = {name: str(number) for name, number in numbers.items() if number is not None}
    if fields:
        yield Caps(media="audio/x-raw", fields=fields)
    yield Element(factory=audio.encoder, properties={"bitrate": audio.bitrate * 1000} if audio.bitrate else {})
    yield _RAW_AAC


@dataclass(frozen=True, slots=True)
class _Ending:
    """The last elements of a stream's video and sound for one sink."""

    sink: KvsSink | FileSink | FakeSink
    number: int
    encoded: Video

    @property
    def name(self) -> str:
        return "sink" if self.number == 1 else f"sink{self.number}"

    @property
    def video(self) -> tuple[tuple[Node, ...], str]:
        if isinstance(self.sink, KvsSink):
            return (Element(factory="kvssink", name=self.name, properties=kvssink_properties(self.sink)),), ""
        if isinstance(self.sink, FakeSink):
            return (Element(factory="fakesink", name=self.name),), ""
        muxer = MUXERS[posixpath.splitext(self.sink.file)[1]]
        # Transport streams take another form of the same codec; the parser makes it.
        again = (Element(factory=_PARSERS[self.encoded.gives]),) if muxer == "mpegtsmux" else ()
        file = Element(factory="filesink", properties={"location": self.sink.file})
        return (*again, Element(factory=muxer, name=self.name), file), ""

    @property
    def audio(self) -> tuple[tuple[Node, ...], str]:
        if isinstance(self.sink, FakeSink):
            return (Element(factory="fakesink"),), ""
        ts = isinstance(self.sink, FileSink) and self.sink.file.endswith(".ts")
        return ((Element(factory="aacparse"),) if ts else ()), self.name


def _spread(start: str, nodes: list[Node], tee: str, ends: list[tuple[tuple[Node, ...], str]]) -> Iterator[Chain]:
    """Lead elements to one end, or through a tee to several, each with a queue of its own."""
    if len(ends) == 1:
        last, end = ends[0]
        yield Chain(start=start, nodes=(*nodes, *last), end=end)
        return
    yield Chain(start=start, nodes=(*nodes, Element(factory="tee", name=tee)))
    for last, end in ends:
        yield Chain(start=tee, nodes=(Element(factory="queue"), *last), end=end)


def kvssink_properties(sink: KvsSink) -> dict[str, Value]:
    """Return kvssink's properties under their own names; what the board file does not name is left to kvssink."""
    named: dict[str, Value] = {"stream-name": sink.kvs}
    for name, value in sink.model_dump(exclude_none=True, exclude={"kvs", "iot"}).items():
        named[name.replace("_", "-")] = value
    return named | ({"iot-certificate": sink.iot.structure()} if sink.iot else {})


def _file_properties(source: Source) -> Iterator[FileProperty]:
    if source.password_file:
        yield FileProperty(element=_SOURCE, property="user-pw", file=PurePosixPath(source.password_file))
    if source.definition.means == "file-of-value":
        yield FileProperty(element=_SOURCE, property=source.definition.takes, file=PurePosixPath(str(source.address)))


def _size(video: Video) -> dict[str, str]:
    return {"width": str(video.width), "height": str(video.height)} if video.width else {}


def _rate(rate: Fraction) -> str:
    return f"{rate.numerator}/{rate.denominator}"
