"""Streams of a board file: what is taken, what is refused and in which words."""

from __future__ import annotations

import json
import tomllib
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ConfigDict, TypeAdapter, ValidationError

from deploy.streams.elements import AUDIO_ENCODERS, AUDIO_SOURCES, ENCODERS, PACKAGES, SOURCES
from deploy.streams.model import PipelineStream, Streams

_STREAMS: TypeAdapter[Streams] = TypeAdapter(Streams, config=ConfigDict(hide_input_in_errors=True))

FRONT = """
[front]
source = { v4l2 = "/dev/video0" }
video = { encoder = "x264enc", width = 640, height = 480, framerate = 30, bitrate = 500, clock = "%D %H:%M:%S" }
sink = { kvs = "HelloLankaKVS", storage_size = 512 }
"""


def read(text: str) -> Streams:
    return _STREAMS.validate_python(tomllib.loads(text))


def stream(text: str) -> Any:
    return next(iter(read(text).values()))


def faults_of(text: str) -> list[str]:
    with pytest.raises(ValidationError) as caught:
        read(text)
    return [f"{'.'.join(map(str, fault['loc']))}: {fault['msg']}" for fault in caught.value.errors()]


def test_a_camera_is_four_lines() -> None:
    front = stream(FRONT)
    assert isinstance(front, PipelineStream)
    assert front.source
    assert (front.source.kind, front.source.address, front.video.bitrate) == ("v4l2", "/dev/video0", 500)
    assert [sink.model_dump(exclude_none=True) for sink in front.outputs] == [
        {"kvs": "HelloLankaKVS", "storage_size": 512}
    ]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ('[Front]\nsource={test="ball"}\nsink={kvs="x"}', "should match pattern"),
        ('[s]\nsource={v4l2="video0"}\nsink={kvs="x"}', "absolute path"),
        ('[s]\nsource={v4l2="/dev/../dev/video0"}\nsink={kvs="x"}', "such as '/dev/video0'"),
        ('[s]\nsource={v4l2="/dev/video0", rtsp="rtsp://h/"}\nsink={kvs="x"}', "v4l2 and rtsp do not go together"),
        ('[s]\nsource={camera="/dev/video0"}\nsink={kvs="x"}', "the word that says what it is is missing"),
        ('[s]\nsource={v4l2=0}\nsink={kvs="x"}', "is to be a text"),
        ('[s]\nsource={rtsp="rtsp://h/", gives="raw"}\nsink={kvs="x"}', "for cameras"),
        ('[s]\nsource={element="a b"}\nsink={kvs="x"}', "name of an element"),
        ('[s]\nsource={v4l2="/dev/video0", user="joe"}\nsink={kvs="x"}', "belong to an RTSP source"),
        ('[s]\nsource={rtsp="http://h/"}\nsink={kvs="x"}', "begin with rtsp://"),
        ('[s]\nsource={rtsp="rtsp://h/", password_file="/etc/pw"}\nsink={kvs="x"}', "needs `user`"),
        ('[s]\nsource={rtsp="rtsp://h/", properties={user-pw="x"}}\nsink={kvs="x"}', "user-pw is a secret"),
        ('[s]\nsource={test="ball"}\nsink={kvs="x", secret_key="k"}', "Extra inputs"),
        ('[s]\nsource={test="ball"}\nsink={nowhere="x"}', "one of kvs, webrtc, file and fake"),
        ('[s]\nsource={test="ball"}', "`sink` for one place"),
        ('[s]\nsource={test="ball"}\nsink={kvs="x"}\nsinks=[{kvs="x"}]', "`sink` for one place"),
        ('[s]\nsink={kvs="x"}', "has no `source`"),
        ('[s]\nsource={test="ball"}\nsink={file="/a/b.avi"}', "end in one of .mp4, .mkv, .ts"),
        ('[s]\nsource={test="ball"}\nvideo={width="640", height=480}\nsink={kvs="x"}', "valid integer"),
        ('[s]\nsource={test="ball"}\nvideo={width=640}\nsink={kvs="x"}', "width and height go together"),
        ('[s]\nsource={test="ball"}\nvideo={bitrate=500}\nsink={kvs="x"}', "bitrate need an `encoder`"),
        ('[s]\nsource={test="ball"}\nvideo={encoder="x264enc", codec="h265"}\nsink={kvs="x"}', "x264enc gives h264"),
        (
            '[s]\nsource={test="ball"}\nvideo={encoder="x264enc", clock="a\\u001bb"}\nsink={kvs="x"}',
            "control character",
        ),
        ('[s]\nsource={test="ball"}\naudio={track="wav"}\nsink={kvs="x"}', 'track is "mp3" or "aac"'),
        (
            '[s]\nsource={test="ball"}\naudio={alsa="hw:0,0", encoder="lame"}\nsink={kvs="x"}',
            "'voaacenc' or 'avenc_aac'",
        ),
        ('[s]\nsample="kvs_gstreamer_sampel"\nstream="x"', "no such sample; there are kvs_gstreamer_sample"),
        ('[s]\nsample="kvs_gstreamer_sample"\nstream="x"\nwidth=640', "width and height go together"),
        ('[s]\nsample="kvs_gstreamer_sample"\nstream="x"\nrtsp="rtsp://h/"\nfiles=["/a.mp4"]', "or `rtsp`, or `files`"),
        ('[s]\nsample="kvs_gstreamer_audio_video_sample"\nstream="x"', "needs a microphone: audio_device"),
    ],
)
def test_what_is_refused_says_why(text: str, message: str) -> None:
    assert message in "\n".join(faults_of(text))


def test_all_faults_are_told_at_once() -> None:
    told = faults_of(
        '[a]\nsource={v4l2="video0"}\nvideo={width="x", height=2}\nsinks=[{kvs="a b"}]\n'
        '[b]\nsample="kvs_gstreamer_multistream_sample"\nstream="x"\naddresses="urls"'
    )
    places = [line.partition(":")[0] for line in told]
    assert places == [
        "a.pipeline.source",
        "a.pipeline.video.width",
        "a.pipeline.video.height",
        "a.pipeline.sinks.0.kvs.kvs",
        "b.multistream.addresses",
    ]


@pytest.mark.parametrize("user", ["joe:hunter2", "joe", "joe:hun@ter2", "joe:hunter/2", ":hunter2"])
def test_a_password_in_an_address_is_refused_and_not_repeated(user: str) -> None:
    for text in (
        f'[s]\nsource={{rtsp="rtsp://{user}@camera/live"}}\nsink={{kvs="x"}}',
        f'[s]\nsample="kvs_gstreamer_sample"\nstream="x"\nrtsp="rtsp://{user}@camera/live"',
    ):
        with pytest.raises(ValidationError) as caught:
            read(text)
        assert "hun" not in str(caught.value)
        assert "joe" not in str(caught.value)


@given(st.characters(categories=["Cc", "Zl", "Zp", "Cs"]))
def test_no_text_takes_a_control_character(letter: str) -> None:
    for field in ({"alsa": f"hw{letter}"}, {"test": letter}):
        with pytest.raises(ValidationError):
            _STREAMS.validate_python({"s": {"source": {"test": "ball"}, "audio": field, "sink": {"kvs": "x"}}})


def test_values_cannot_be_changed() -> None:
    front = stream(FRONT)
    with pytest.raises(ValidationError, match="frozen"):
        front.video = None


def test_the_schema_for_editors_names_the_words() -> None:
    schema = json.dumps(_STREAMS.json_schema())
    for word in (*SOURCES, *AUDIO_SOURCES, "track", "kvs", "webrtc", "kvs_gstreamer_sample"):
        assert f'"{word}"' in schema


def test_every_element_of_the_tables_has_a_package_or_a_vendor() -> None:
    listed = {kind.element for kind in SOURCES.values() if kind.element}
    listed |= {kind.element for kind in AUDIO_SOURCES.values()} | {*ENCODERS, *AUDIO_ENCODERS}
    assert listed - PACKAGES.keys() == {"mpph264enc"}
