"""Streams of a board file: what is taken, what is refused and in which words, and whether the parts fit."""

from __future__ import annotations

import json
import tomllib
from fractions import Fraction
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ConfigDict, TypeAdapter, ValidationError

from deploy.streams.checks import BoardFacts, CameraMode, Fault, Severity, check_stream, storage_needed
from deploy.streams.elements import AUDIO_ENCODERS, AUDIO_SOURCES, ENCODERS, PACKAGES, SOURCES
from deploy.streams.model import PipelineStream, Streams

_STREAMS: TypeAdapter[Streams] = TypeAdapter(Streams, config=ConfigDict(hide_input_in_errors=True))

FRONT = """
[front]
source = { v4l2 = "/dev/video0" }
video = { encoder = "x264enc", width = 640, height = 480, framerate = 30, bitrate = 500, clock = "%D %H:%M:%S" }
sink = { kvs = "HelloLankaKVS", storage_size = 512 }
"""
# The camera of the listing of gst-device-monitor-1.0, a part of it.
W300 = (
    *(
        CameraMode(format="YUY2", width=width, height=height, framerates=(Fraction(rate),))
        for width, height, rate in ((864, 480, 10), (640, 480, 30), (640, 360, 30), (320, 240, 30))
    ),
    *(
        CameraMode(format="image/jpeg", width=width, height=height, framerates=(Fraction(30),))
        for width, height in ((1920, 1080), (1280, 720), (640, 480))
    ),
)


def read(text: str) -> Streams:
    return _STREAMS.validate_python(tomllib.loads(text))


def stream(text: str) -> Any:
    return next(iter(read(text).values()))


def faults_of(text: str) -> list[str]:
    with pytest.raises(ValidationError) as caught:
        read(text)
    return [f"{'.'.join(map(str, fault['loc']))}: {fault['msg']}" for fault in caught.value.errors()]


def errors(text: str, facts: BoardFacts | None = None) -> list[Fault]:
    return [fault for fault in check_stream(stream(text), facts) if fault.severity is Severity.ERROR]


def kvs(video: str = "", sink: str = "", source: str = 'v4l2 = "/dev/video0"', more: str = "") -> str:
    encoder = 'encoder = "x264enc", framerate = 30, key_frame_interval = 60, bitrate = 500'
    return f"""
[s]
source = {{ {source} }}
video = {{ {video or encoder} }}
sink = {{ kvs = "x"{sink} }}
{more}
"""


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
        ('[s]\nsample="kvs_gstreamer_audio_video_sample"\nstream="x"', "audio_device: Field required"),
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


# --- what the service takes ---


def test_a_good_stream_has_no_fault() -> None:
    assert check_stream(stream(kvs())) == []


@pytest.mark.parametrize(
    ("text", "where", "cure"),
    [
        (kvs('codec = "h264"'), "video.encoder", 'encoder = "x264enc"'),
        (kvs('codec = "h265"', source='v4l2 = "/dev/video0", gives = "h264"'), "video.codec", 'codec = "h264"'),
        (kvs('codec = "h264"', source='file = "/a/b.avi"'), "source.file", ".mkv"),
        (kvs('encoder = "acmeenc", bitrate = 500'), "video.bitrate", "bitrate_property"),
        (
            kvs('encoder = "x264enc", framerate = 30, key_frame_interval = 301'),
            "video.key_frame_interval",
            "key_frame_interval = 60",
        ),
        (
            kvs('encoder = "x264enc", framerate = 30, key_frame_interval = 15'),
            "video.key_frame_interval",
            "fragment every 2 s",
        ),
        (
            kvs('encoder = "x264enc", framerate = 30, key_frame_interval = 60, b_frames = 2'),
            "video.b_frames",
            "b_frames = 0",
        ),
        (
            kvs('encoder = "x264enc", framerate = 30, key_frame_interval = 60, properties = { bframes = 1 }'),
            "video.b_frames",
            "b_frames = 0",
        ),
        (
            kvs(
                'encoder = "x264enc", framerate = 10, key_frame_interval = 100, bitrate = 50000',
                ", storage_size = 4096",
            ),
            "video.bitrate",
            "key frames more often",
        ),
        (kvs('codec = "h264"', source='rtsp = "rtsp://h/live?user=joe&password=x"'), "source.rtsp", "rtsp_file"),
        (kvs(more='audio = { track = "aac" }'), "audio.track", "alsa"),
        (kvs('codec = "h264"', source='rtsp = "rtsp://h/"', more='audio = { track = "mp3" }'), "audio.track", "decode"),
        (kvs(sink=", storage_size = 8"), "sink.storage_size", "storage_size = 9"),
        (
            '[s]\nsource={v4l2="/dev/video0"}\nvideo={encoder="x264enc"}\nsinks=[{fake=true},{webrtc="c"}]',
            "sinks[1]",
            "RTSP source",
        ),
        (
            '[s]\nsource={rtsp="rtsp://h/", user="u", password_file="/p"}\nsink={webrtc="c"}',
            "sink",
            "asks for no password",
        ),
        ('[s]\nsource={file="/a.mp4"}\nsink={webrtc="c"}', "sink", "RTSP source"),
        (
            '[s]\nsource={test="ball"}\nsink={webrtc="c", program="kvsWebrtcClientMaster"}',
            "sink",
            "leave the source out",
        ),
        ('[s]\nsample="kvs_gstreamer_file_uploader_sample"\nstream="x"\nfile="/a/b c.mp4"', "file", "without spaces"),
        ('[s]\nsample="kvs_gstreamer_file_uploader_sample"\nstream="x"\nfile="/a/b.MP4"', "file", ".mkv"),
    ],
)
def test_what_the_service_does_not_take(text: str, where: str, cure: str) -> None:
    told = errors(text)
    assert [fault.where for fault in told] == [where]
    assert cure in told[0].cure


def test_the_camera_of_four_lines_is_advised_a_key_frame_interval() -> None:
    told = check_stream(stream(FRONT))
    assert [(fault.where, fault.severity) for fault in told] == [("video.key_frame_interval", Severity.ADVICE)]
    assert "every 10 s" in told[0].what
    assert "key_frame_interval = 60" in told[0].cure


@pytest.mark.parametrize("frames", range(1, 700, 7))
def test_fragments_are_one_to_ten_seconds(frames: int) -> None:
    text = kvs(f'encoder = "x264enc", framerate = "30/1", key_frame_interval = {frames}')
    assert bool(errors(text)) == (not 30 <= frames <= 300)


# --- what the board has ---


def test_storage_is_what_the_maintainers_count() -> None:
    # 512 kbit/s are 64 kB a second: 120 s and the fifth on top are 9.216 MB a stream.
    assert [storage_needed(512, 120), storage_needed(512, 120, streams=4), storage_needed(512, 10)] == [10, 37, 1]


def test_storage_is_checked_against_memory() -> None:
    facts = BoardFacts(ram_mb=256)
    assert not errors(kvs(), facts)
    (fault,) = errors(kvs(sink=", storage_size = 200"), facts)
    assert (fault.where, "storage_size = 64" in fault.cure) == ("sink.storage_size", True)


@pytest.mark.parametrize(
    ("uplink", "audio", "cure"), [(560, "", ""), (540, "", "bitrate = 490"), (600, "a", "bitrate = 417")]
)
def test_bitrate_is_checked_against_the_uplink(uplink: int, audio: str, cure: str) -> None:
    told = errors(kvs(more='audio = { alsa = "hw:0,0" }' if audio else ""), BoardFacts(uplink_kbps=uplink))
    assert [cure in fault.cure for fault in told] == ([True] if cure else [])
    if told:  # and the cure cures
        rate = int(told[0].cure.rpartition(" ")[2])
        text = kvs(f'encoder = "x264enc", framerate = 30, key_frame_interval = 60, bitrate = {rate}')
        text += 'audio = { alsa = "hw:0,0" }' if audio else ""
        assert not errors(text, BoardFacts(uplink_kbps=uplink))


def test_elements_that_the_board_lacks_come_with_their_package() -> None:
    has = frozenset({"v4l2src", "queue", "videoconvert", "h264parse"})
    told = errors(FRONT, BoardFacts(elements=has))
    assert {fault.where: fault.cure for fault in told} == {
        "clockoverlay": "install gstreamer1.0-x on it",
        "x264enc": "install gstreamer1.0-plugins-ugly on it",
    }
    acme = kvs('encoder = "acmeenc", package = "acme-gst", framerate = 30, key_frame_interval = 60')
    assert errors(acme, BoardFacts(elements=has))[0].cure == "install acme-gst on it"
    assert "vendor" in errors(acme.replace('package = "acme-gst", ', ""), BoardFacts(elements=has))[0].cure


@pytest.mark.parametrize(
    ("source", "size", "cure"),
    [
        ("", (640, 480, 30), None),
        ("", (1280, 720, 30), 'gives = "jpeg"'),
        (', gives = "jpeg"', (1280, 720, 30), None),
        ("", (800, 448, 10), "nearest are 864x480 YUY2 at 10"),
        ("", (640, 480, 25), "nearest are 640x480 YUY2 at 30"),
    ],
)
def test_sizes_that_the_camera_offers(source: str, size: tuple[int, int, int], cure: str | None) -> None:
    text = FRONT.replace('video0"', f'video0"{source}')
    text = text.replace(
        "width = 640, height = 480, framerate = 30", "width = {}, height = {}, framerate = {}".format(*size)
    )
    told = errors(text, BoardFacts(cameras={"/dev/video0": W300}))
    assert [cure in fault.cure for fault in told if cure] == ([True] if cure else [])
    assert bool(told) == bool(cure)


def test_a_camera_or_microphone_that_is_not_there() -> None:
    (camera,) = errors(FRONT, BoardFacts(cameras={"/dev/video2": W300}))
    assert "/dev/video2" in camera.cure
    facts = BoardFacts(microphones={"hw:1,0": (48000, 16000)})
    (microphone,) = errors(kvs(more='audio = { alsa = "hw:0,0" }'), facts)
    assert "hw:1,0" in microphone.cure
    (rate,) = errors(kvs(more='audio = { alsa = "hw:1,0", rate = 24000 }'), facts)
    assert rate.cure == "write resample = true, or rate = 16000"
    assert not errors(kvs(more='audio = { alsa = "hw:1,0", rate = 24000, resample = true }'), facts)
    assert not errors(kvs(more='audio = { alsa = "plughw:0,0", rate = 24000 }'), facts)


def test_samples_are_checked_against_the_board_too() -> None:
    sample = '[s]\nsample="kvs_gstreamer_sample"\nstream="x"\nwidth=1280\nheight=720\nframerate=30'
    (fault,) = errors(sample, BoardFacts(cameras={"/dev/video0": W300}))
    assert "640x480" in fault.cure
    audio = '[s]\nsample="kvs_gstreamer_audio_video_sample"\nstream="x"\naudio_device="hw:0,0"'
    told = errors(audio, BoardFacts(elements=frozenset({"v4l2src", "alsasrc", "x264enc", "h264parse", "aacparse"})))
    assert [fault.cure for fault in told] == ["install gstreamer1.0-libav on it"]
