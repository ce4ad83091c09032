"""What a board streams: the `[streams.<name>]` tables of a board file, checked word by word.

A stream is a pipeline (source, video, audio, one sink or several), or one of the SDK's own samples with its arguments.
Whether the parts fit each other and the board is for `deploy.pipelines.checks`; how they become programs, for its
`argv`.
"""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import Discriminator, Field, Tag, model_validator

from deploy.streams.parts import Audio, Source, Video
from deploy.streams.samples import SAMPLES, AudioVideoSample, CameraSample, MultistreamSample, UploaderSample
from deploy.streams.sinks import FakeSink, FileSink, KvsSink, Sink, WebRtcSink
from deploy.streams.values import Name, Part, Runs


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


def _stream_word(value: Any) -> str:
    sample = value.get("sample") if isinstance(value, dict) else getattr(value, "sample", None)
    return "pipeline" if sample is None else SAMPLES.get(str(sample), "")


Stream = Annotated[
    Annotated[PipelineStream, Tag("pipeline")]
    | Annotated[CameraSample, Tag("camera")]
    | Annotated[AudioVideoSample, Tag("audio-video")]
    | Annotated[UploaderSample, Tag("uploader")]
    | Annotated[MultistreamSample, Tag("multistream")],
    Discriminator(
        _stream_word,
        custom_error_type="sample",
        custom_error_message=f"no such sample; there are {', '.join(SAMPLES)}",
    ),
]
"""One stream of a board file."""
Streams = dict[Name, Stream]
"""The `[streams.<name>]` tables; a field of this type in the board's model takes them all.

Messages never repeat an RTSP address, which may hold a password. pydantic's own text of an error does, unless the
outermost model sets `hide_input_in_errors`.
"""
