"""Composition: which elements, in which order, linked to what."""

from __future__ import annotations

import tomllib
from typing import Any, cast

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st
from pydantic import TypeAdapter

from deploy.pipelines.checks import check_stream
from deploy.pipelines.pipeline import Caps, Element, Pipeline, compose
from deploy.streams.elements import PACKAGES, SOURCES, SourceKind
from deploy.streams.model import Streams

_STREAMS: TypeAdapter[Streams] = TypeAdapter(Streams)


def pipeline(text: str) -> Pipeline:
    stream: Any = next(iter(_STREAMS.validate_python(tomllib.loads(text)).values()))
    composed = compose(stream)
    assert composed is not None
    return composed


def chains(text: str) -> list[str]:
    """Return each chain on one line, properties left out."""
    return [
        " ! ".join(
            [
                *([f"{chain.start}."] if chain.start else []),
                *(node.factory if isinstance(node, Element) else node.media for node in chain.nodes),
                *([f"{chain.end}."] if chain.end else []),
            ]
        )
        for chain in pipeline(text).chains
    ]


def test_it_prints_as_people_write_one() -> None:
    printed = str(
        pipeline(
            '[s]\nsource={rtsp="rtsp://camera/live", user="joe", password_file="/etc/joe"}\n'
            'sink={kvs="x", storage_size=64}'
        )
    )
    assert printed == (
        "rtspsrc location=rtsp://camera/live user-id=joe name=src\n"
        "src.\n"
        "  ! queue\n"
        "  ! rtph264depay\n"
        "  ! h264parse\n"
        "  ! video/x-h264,stream-format=avc,alignment=au\n"
        "  ! kvssink stream-name=x storage-size=64 name=sink\n"
        "src.user-pw from /etc/joe"
    )


def test_several_sinks_share_one_encoder() -> None:
    text = """
[s]
source = { v4l2 = "/dev/video0" }
video = { encoder = "x264enc" }
audio = { alsa = "hw:0,0" }
sinks = [{ kvs = "x" }, { file = "/var/rec.ts" }, { fake = true }]
"""
    assert chains(text) == [
        "v4l2src ! queue ! videoconvert ! video/x-raw ! queue ! x264enc ! h264parse ! video/x-h264 ! tee",
        "video_tee. ! queue ! kvssink",
        "video_tee. ! queue ! h264parse ! mpegtsmux ! filesink",
        "video_tee. ! queue ! fakesink",
        "alsasrc ! queue ! audioconvert ! voaacenc ! audio/mpeg ! queue ! tee",
        "audio_tee. ! queue ! sink.",
        "audio_tee. ! queue ! aacparse ! sink2.",
        "audio_tee. ! queue ! fakesink",
    ]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (
            'source={v4l2="/dev/video0", gives="jpeg"}\nvideo={encoder="x264enc",width=64,height=48}\nsink={fake=true}',
            (
                "v4l2src ! image/jpeg ! jpegdec ! queue ! videoconvert ! video/x-raw ! x264enc ! h264parse"
                " ! video/x-h264 ! fakesink"
            ),
        ),
        (
            'source={v4l2="/dev/video0", gives="h264"}\nvideo={width=1280, height=720}\nsink={file="/a.mkv"}',
            "v4l2src ! video/x-h264 ! queue ! h264parse ! video/x-h264 ! matroskamux ! filesink",
        ),
        (
            'source={rtsp="rtsp://h/"}\nvideo={codec="h265"}\naudio={track="aac"}\nsink={kvs="x"}',
            (
                "rtspsrc\nsrc. ! queue ! rtph265depay ! h265parse ! video/x-h265 ! kvssink\n"
                "src. ! queue ! rtpmp4gdepay ! aacparse ! audio/mpeg ! sink."
            ),
        ),
        (
            'source={rtsp="rtsp://h/"}\nvideo={encoder="omxh264enc", width=64,height=36,framerate=10}\nsink={kvs="x"}',
            (
                "rtspsrc\nsrc. ! queue ! rtph264depay ! h264parse ! decodebin ! videoconvert ! videoscale ! videorate"
                " ! video/x-raw ! omxh264enc ! h264parse ! video/x-h264 ! kvssink"
            ),
        ),
        (
            'source={file="/a.mkv"}\nsink={kvs="x"}',
            "filesrc ! matroskademux\ndemuxer. ! queue ! h264parse ! video/x-h264 ! kvssink",
        ),
        (
            'source={libcamera="imx219"}\nvideo={encoder="v4l2h264enc", overlay="gate"}\nsink={kvs="x"}',
            (
                "libcamerasrc ! queue ! videoconvert ! video/x-raw ! textoverlay ! v4l2h264enc ! video/x-h264"
                " ! h264parse ! video/x-h264 ! kvssink"
            ),
        ),
    ],
)
def test_sources_and_encoders_in_their_order(text: str, expected: str) -> None:
    assert "\n".join(chains(f"[s]\n{text}")) == expected


@pytest.mark.parametrize(
    ("video", "expected"),
    [
        (
            'encoder="v4l2h264enc", bitrate=500, key_frame_interval=60',
            {
                "extra-controls": "controls,video_bitrate=500000,h264_i_frame_period=60,repeat_sequence_header=1",
            },
        ),
        (
            'encoder="omxh264enc", bitrate=500, key_frame_interval=60',
            {"control-rate": "variable", "inline-header": False, "target-bitrate": 500000, "periodicity-idr": 60},
        ),
        ('encoder="openh264enc", bitrate=500, key_frame_interval=60', {"bitrate": 500000, "gop-size": 60}),
        (
            (
                'encoder="acmeenc", bitrate=90, key_frame_interval=60, bitrate_property="bps", '
                'key_frame_property="gop", properties={ level = 31 }'
            ),
            {"bps": 90000, "gop": 60, "level": 31},
        ),
        (
            'encoder="acmeenc", bitrate=500, bitrate_property="rate", bitrate_unit="kbit/s"',
            {"rate": 500},
        ),
    ],
)
def test_one_bitrate_whatever_the_encoder_counts_in(video: str, expected: dict[str, object]) -> None:
    made = pipeline(f'[s]\nsource={{test="ball"}}\nvideo={{{video}}}\nsink={{fake=true}}')
    encoders = [element.properties for element in made.elements() if element.factory.endswith("enc")]
    assert encoders == [expected]


def test_properties_of_the_board_file_win() -> None:
    source = '{test="ball", properties={is-live=false, num-buffers=9}}'
    first = next(pipeline(f'[s]\nsource={source}\nvideo={{encoder="x264enc"}}\nsink={{fake=true}}').elements())
    assert first.properties == {"is-live": False, "pattern": "ball", "num-buffers": 9}


def test_webrtc_alone_has_no_pipeline_of_ours() -> None:
    streams = _STREAMS.validate_python({"s": {"source": {"test": "ball"}, "sink": {"webrtc": "c"}}})
    stream: Any = streams["s"]
    assert compose(stream) is None


def test_a_new_source_is_one_entry_of_one_table(monkeypatch: pytest.MonkeyPatch) -> None:
    argus = SourceKind(element="nvarguscamerasrc", takes="sensor-id", means="number", settings={"bufapi-version": 1})
    monkeypatch.setitem(cast("dict[str, SourceKind]", SOURCES), "argus", argus)
    text = '[s]\nsource={argus=1}\nvideo={encoder="x264enc"}\nsink={kvs="x"}'
    first = next(pipeline(text).elements())
    assert (first.factory, first.properties) == ("nvarguscamerasrc", {"bufapi-version": 1, "sensor-id": 1})


WORDS = st.sampled_from(
    [
        {"v4l2": "/dev/video0"},
        {"v4l2": "/dev/video0", "gives": "h264"},
        {"rtsp": "rtsp://h/"},
        {"file": "/a.mp4"},
        {"test": "ball"},
        {"element": "acmesrc"},
    ]
)
SINKS = st.sampled_from([{"kvs": "x"}, {"file": "/a.mkv"}, {"file": "/a.ts"}, {"fake": True}, {"webrtc": "c"}])
SOUNDS = st.sampled_from([None, {"alsa": "hw:0,0"}, {"test": "sine"}, {"track": "aac"}, {"track": "decode"}])


@given(WORDS, SOUNDS, st.lists(SINKS, min_size=1, max_size=4), st.sampled_from(["x264enc", "v4l2h264enc", None]))
def test_every_reference_has_its_element(
    source: dict[str, Any], sound: dict[str, Any] | None, sinks: list[dict[str, Any]], encoder: str | None
) -> None:
    parts = {"source": source, "sinks": sinks, "video": {"encoder": encoder}, "audio": sound}
    stream: Any = _STREAMS.validate_python({"s": parts})["s"]
    assume("audio.track" not in {fault.where for fault in check_stream(stream)})
    made = compose(stream)
    places = [sink for sink in sinks if "webrtc" not in sink]
    assert (made is None) == (not places)
    if made is None:
        return
    names = [element.name for element in made.elements() if element.name]
    assert len(names) == len(set(names))
    for chain in made.chains:
        assert {chain.start, chain.end} - {""} <= set(names)
        assert chain.end or not isinstance(chain.nodes[-1], Caps)
    assert sum(element.factory == "kvssink" for element in made.elements()) == sum("kvs" in sink for sink in sinks)
    assert {element.factory for element in made.elements()} <= PACKAGES.keys() | {"kvssink", "acmesrc"}
