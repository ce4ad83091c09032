"""Streams as programs to start: argument vector and environment, and no shell anywhere.

A pipeline becomes the words of `gst-launch-1.0`. That program reads a property from its command line and from nowhere
else (no file, no variable, no descriptor), and a command line is open to everybody on the board. So a pipeline with a
password cannot be one of its: it goes to a runner that takes the same words, and sets the named properties from files
of mode 0600 before it starts: `RUNNER --property-file src.user-pw=/path WORD…`. `one_line` gives the description for a
program that reads it from a file or its standard input. The samples take an RTSP address as a word too, so a camera
with a password is no source for them; kvs_gstreamer_multistream_sample alone reads its addresses from a file.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace

from deploy.pipelines.gstquote import assignment, caps_word, description, element_name, reference
from deploy.pipelines.pipeline import Caps, Chain, Node, Pipeline, compose
from deploy.streams.model import PipelineStream
from deploy.streams.parts import Source
from deploy.streams.samples import AudioVideoSample, CameraSample, MultistreamSample, Sample, UploaderSample
from deploy.streams.sinks import WebRtcSink
from recipes.errors import ConfigError

GST_LAUNCH = "gst-launch-1.0"
RUNNER = "boardstream"
"""Program that runs a pipeline whose secrets are in files: recipe `streamer`."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Command:
    """A program of a stream: what is started, and what is added to its environment."""

    argv: tuple[str, ...]
    environment: Mapping[str, str] = field(default_factory=dict)


def commands(stream: PipelineStream | Sample) -> tuple[Command, ...]:
    """Return the programs of a stream: its pipeline, if it has one, and a sample for each WebRTC channel."""
    if not isinstance(stream, PipelineStream):
        return (sample_command(stream),)
    pipeline = compose(stream)
    samples = tuple(webrtc_command(sink, stream) for sink in stream.outputs if isinstance(sink, WebRtcSink))
    return ((pipeline_command(pipeline),) if pipeline else ()) + samples


def pipeline_command(pipeline: Pipeline, *, verbose: bool = False) -> Command:
    """Return the program for a pipeline: gst-launch-1.0, or the runner when it has properties from files.

    Parameters
    ----------
    verbose:
        gst-launch's `-v`: every change of caps on standard output. For a person who tries it, not for a service.

    Raises
    ------
    ConfigError
        A name or value is none that the parser can read.
    """
    words = pipeline_words(pipeline)
    if pipeline.file_properties:
        files = (f"{given.element}.{given.property}={given.file}" for given in pipeline.file_properties)
        options = [word for file in files for word in ("--property-file", file)]
        return Command(argv=(RUNNER, *options, *words))
    return Command(argv=(GST_LAUNCH, *(("-v",) if verbose else ()), *words))


def pipeline_words(pipeline: Pipeline) -> tuple[str, ...]:
    """Return a pipeline as the words that `gst_parse_launchv` reads; raises ConfigError as `pipeline_command` does."""
    return tuple(word for chain in pipeline.chains for word in _chain(chain))


def one_line(pipeline: Pipeline, secrets: Mapping[str, str] | None = None) -> str:
    """Return a pipeline as the one line that `gst_parse_launch` reads: for a file of mode 0600 or a pipe.

    Parameters
    ----------
    secrets:
        The content of the files, by path: with them the line has the passwords in it. Without them it has none.

    Raises
    ------
    ConfigError
        A file's content is not given, or is no text that a property can take.
    """
    chains = pipeline.chains
    for given in pipeline.file_properties if secrets is not None else ():
        if secrets is None or str(given.file) not in secrets:
            raise ConfigError(f"the content of {given.file} is not known")
        nodes = {given.element: {given.property: secrets[str(given.file)]}}
        chains = tuple(replace(chain, nodes=tuple(_with(node, nodes) for node in chain.nodes)) for chain in chains)
    return description(pipeline_words(replace(pipeline, chains=chains)))


def _with(node: Node, properties: Mapping[str, Mapping[str, str]]) -> Node:
    if isinstance(node, Caps) or not node.name or node.name not in properties:
        return node
    return replace(node, properties={**node.properties, **properties[node.name]})


def _chain(chain: Chain) -> list[str]:
    places = [[reference(chain.start)]] if chain.start else []
    places += [_node(node) for node in chain.nodes]
    places += [[reference(chain.end)]] if chain.end else []
    return [word for number, place in enumerate(places) for word in (["!", *place] if number else place)]


def _node(node: Node) -> list[str]:
    if isinstance(node, Caps):
        return [caps_word(str(node))]
    name = {"name": node.name} if node.name else {}
    return [element_name(node.factory), *(assignment(key, value) for key, value in {**node.properties, **name}.items())]


def webrtc_command(sink: WebRtcSink, stream: PipelineStream) -> Command:
    """Return the WebRTC sample of a channel: its channel, then what to send and from where, if a source is named."""
    named = {"AWS_KVS_LOG_LEVEL": sink.log_level, "DEBUG_LOG_SDP": sink.log_sdp}
    environment = {name: str(value).upper() for name, value in named.items() if value is not None}
    words = [sink.program, sink.webrtc]
    if sink.program == "kvsWebrtcClientMasterGstSample" and stream.source is not None:
        content = sink.content or ("audio-video" if stream.audio else "video-only")
        words += [content, *_webrtc_source(stream.source)]
    elif sink.content:
        words.append(sink.content)
    return Command(argv=tuple(words), environment=environment)


def _webrtc_source(source: Source) -> list[str]:
    if source.kind == "rtsp":
        return ["rtspsrc", str(source.address)]
    return ["testsrc" if source.kind == "test" else "devicesrc"]


def sample_command(sample: Sample) -> Command:
    """Return one of the five producer samples with its arguments and the variables that it reads."""
    words: list[str] = []
    variables: dict[str, object] = {}
    match sample:
        case CameraSample():
            options = {"-w": sample.width, "-h": sample.height, "-f": sample.framerate, "-b": sample.bitrate}
            words = [word for name, value in options.items() if value is not None for word in (name, str(value))]
            words += [*([sample.rtsp] if sample.rtsp else []), *sample.files]
        case AudioVideoSample():
            words = [*sample.files]
            variables = {"AWS_KVS_AUDIO_DEVICE": sample.audio_device, "AWS_KVS_VIDEO_DEVICE": sample.video_device}
        case UploaderSample():
            words = [sample.file, str(sample.start), *([sample.content] if sample.content else [])]
            variables = {
                "KVS_RETENTION_PERIOD": sample.retention_period,
                "KVS_STORAGE_SIZE": sample.storage_size,
                "KVS_IOT_CERTIFICATE": sample.iot.structure() if sample.iot else None,
            }
        case MultistreamSample():
            words = [sample.addresses]
    environment = {name: str(value) for name, value in variables.items() if value is not None}
    return Command(argv=(sample.sample, sample.stream, *words), environment=environment)
