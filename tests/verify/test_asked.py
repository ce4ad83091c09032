"""What a launch script asks of a board, against what its devices offer; and nothing hostile ends in a traceback."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from deploy.pipelines.argv import pipeline_words
from deploy.pipelines.pipeline import compose
from deploy.probe.devices_v4l2 import read_node
from deploy.probe.facts import SoundDevice
from deploy.streams.model import PipelineStream
from deploy.verify.asked import CameraWish, microphone_node, read_launch, refused
from deploy.verify.facts import Facts, read_facts
from tests.probe.answers import sample

CAMERA = {"v4l2": "/dev/video2"}
MARK = "ab" * 8


def script(*words: str) -> str:
    """Return the last line of a launch script as the template writes it."""
    quoted = " ".join("'" + word.replace("'", "'\\''") + "'" for word in words)
    return f'exec "$here/"bin/boardstream --name front --status /run/x -- {quoted} "$@"'


def stream(**parts: object) -> PipelineStream:
    return PipelineStream.model_validate({"sink": {"kvs": "cam01"}, **parts})


@pytest.mark.parametrize(
    ("source", "video", "wish"),
    [
        (CAMERA, {"width": 640, "height": 480, "framerate": 15}, CameraWish(
            node="/dev/video2", media="video/x-raw", width=640, height=480, rate=15)),
        (CAMERA | {"gives": "jpeg"}, {"width": 1280, "height": 720, "framerate": 30}, CameraWish(
            node="/dev/video2", media="image/jpeg", width=1280, height=720, rate=30)),
        (CAMERA | {"gives": "h264"}, {"width": 1280, "height": 720}, CameraWish(
            node="/dev/video2", media="video/x-h264", width=1280, height=720)),
    ],
)  # fmt: skip
def test_what_a_board_file_asks_is_read_from_its_launch_script(
    source: dict[str, object], video: dict[str, object], wish: CameraWish
) -> None:
    encoder = {} if source.get("gives") == "h264" else {"encoder": "x264enc"}
    made = compose(stream(source=source, video=encoder | video, audio={"alsa": "hw:1,0"}))
    assert made is not None
    asked = read_launch(script(*pipeline_words(made)))
    assert asked.cameras == (wish,)
    assert asked.microphones == ("hw:1,0",)
    sink = next(element for element in asked.elements if element.factory == "kvssink")
    assert sink.properties["stream-name"] == "cam01"


def test_what_is_behind_a_scaler_is_not_asked_of_the_camera() -> None:
    words = [
        "v4l2src",
        "!",
        "videoscale",
        "!",
        "videorate",
        "!",
        "video/x-raw,width=640,height=480,framerate=30/1",
        "!",
        "fakesink",
    ]
    assert read_launch(script(*words)).cameras == (CameraWish(node="/dev/video0"),)


def test_a_program_of_the_sdk_asks_for_nothing_that_is_known() -> None:
    assert read_launch('exec "$here/"bin/kvsWebrtcClientMaster front "$@"').elements == ()


@pytest.mark.parametrize(
    ("wish", "why"),
    [
        (CameraWish(node="", media="video/x-raw", width=640, height=480, rate=30), ""),
        (CameraWish(node="", media="video/x-raw", width=640, height=480, rate=29.97), ""),
        (CameraWish(node="", media="image/jpeg"), ""),
        (CameraWish(node="", media="video/x-raw", width=641, height=480), "no 641x480, only 640x480"),
        (CameraWish(node="", media="video/x-raw", width=640, height=480, rate=60), "no 60/s at 640x480, only "),
        (CameraWish(node="", media="video/x-h265"), "no video/x-h265, only "),
    ],
)
def test_a_wish_against_what_a_camera_offers(wish: CameraWish, why: str) -> None:
    said = refused(wish, read_node("/dev/video0", sample("v4l2-node-1.18")))
    assert said.startswith(why) if why else said == ""


def test_a_camera_of_ranges_offers_what_is_between() -> None:
    node = read_node("/dev/video0", sample("v4l2-node-1.12"))
    assert refused(CameraWish(node="", media="image/jpeg", width=1280, height=720, rate=30), node) == ""
    assert "no 120/s" in refused(CameraWish(node="", media="image/jpeg", width=1280, height=720, rate=120), node)
    assert "no 4000x720" in refused(CameraWish(node="", media="image/jpeg", width=4000, height=720), node)


CARDS = (SoundDevice(card=1, device=0, capture=True, card_id="C920"),)
NODES = ("/dev/video0", "/dev/snd/pcmC1D0c")


@pytest.mark.parametrize(
    ("name", "nodes", "found"),
    [
        ("hw:1,0", NODES, "/dev/snd/pcmC1D0c"),
        ("plughw:CARD=C920,DEV=0", NODES, "/dev/snd/pcmC1D0c"),
        ("hw:CARD=Other", NODES, None),
        ("hw:2,0", NODES, None),
        ("hw:1,3", NODES, None),
        ("default", NODES, "/dev/snd/pcmC1D0c"),
        ("default", (), None),
        ("default", (*NODES, "/dev/snd/pcmC2D0c"), ""),
        ("dsnoop:x", (), None),
    ],
)
def test_where_a_microphone_is_by_its_name_in_alsa(name: str, nodes: tuple[str, ...], found: str | None) -> None:
    assert microphone_node(name, CARDS, nodes) == found


RELEASE = {"services": [{"name": "front", "stream": "front", "log": "/var/log/front.log"}]}
TITLES = [
    *("board", "memory", "files", "absent /lib/x", "boardprobe", "inspect", "said inspect"),
    *("devices", "holders", "offered", "said offered", "v4l2 /dev/video0"),
    *("script front", "service front", "log front", "tail front"),
]
ODD = (
    "/dev/video0\n",
    "7 /dev/video0 sh\n",
    "clock=1\nrtc=5\n",
    '{"kind":"video","path":"/dev/video0"}\n',
    '{"kind":"video","path":"/dev/video0","formats":[{"fourcc":1,"sizes":[{}]}]}\n',
    "exit=7",
    "report={}\n",
    'exec "$here/"bin/boardstream -- v4l2src ! x "$@"\n',
    "2026-11-27T08:00:00Z front: started, pid 7\n",
)
PIECES = st.one_of(st.text(max_size=200), st.sampled_from(ODD))


def facts_of(*parts: tuple[str, str]) -> Facts:
    text = "".join(f"\n@{MARK} {title}\n{body}" for title, body in parts)
    return read_facts({"mark": MARK, "begun": 1_795_000_000.0, "text": text}, RELEASE)


@given(st.lists(st.tuples(st.sampled_from(TITLES), PIECES), max_size=12))
def test_no_answer_of_a_board_is_a_traceback(parts: list[tuple[str, str]]) -> None:
    facts = facts_of(*parts)
    for stream_fact in facts.streams.values():
        asked = read_launch(stream_fact.launch)
        for wish in asked.cameras:
            assert isinstance(wish.in_words, str)
            for node in facts.video:
                refused(wish, node)
        for name in asked.microphones:
            microphone_node(name, facts.sound, facts.nodes)


PARTS = ("!", "v4l2src", "alsasrc", "tee.", "name=x", "device=/dev/video9", "video/x-raw,width=9,framerate=1/0")
WORDS = st.lists(st.one_of(st.sampled_from(PARTS), st.text(max_size=30)), max_size=20)


@given(WORDS)
def test_no_launch_script_is_a_traceback(words: list[str]) -> None:
    for line in (script(*words), " ".join(words)):
        for wish in read_launch(line).cameras:
            assert wish.rate >= 0


def test_only_lines_since_the_last_start_count() -> None:
    lines = [
        "old trouble",
        "2026-11-27T08:00:00Z front: started, process 6",
        "newer trouble",
        "2026-11-27T08:00:09Z front: started, process 7",
        "fine",
    ]
    facts = facts_of(("tail front", "\n".join(lines) + "\n"))
    assert facts.streams["front"].log_end == (lines[3], "fine")
    assert facts_of(("tail front", "a\n\nb\n")).streams["front"].log_end == ("a", "b")


def test_devices_and_what_is_absent_are_read() -> None:
    told = {"kind": "video", "path": "/dev/video0", "driver": "uvc", "formats": [{"fourcc": "YUYV", "sizes": []}]}
    facts = facts_of(
        ("board", "clock=1795000000\nrtc=1795000004\nsynchronized=yes\n"),
        ("devices", "/dev/video0\n/dev/../etc\n/dev/snd/pcmC1D0c\n"),
        ("holders", "41 /dev/video0 motion\nowner 9 /dev/snd/pcmC1D0c arecord\n"),
        ("offered", json.dumps(told) + "\nnothing\n"),
        ("absent /lib/libnss_dns.so.2", ""),
        ("inspect", "Factory Details\n"),
        ("said inspect", "warning\nexit=0\n"),
    )
    assert facts.nodes == ("/dev/video0", "/dev/snd/pcmC1D0c")
    assert [(holder.pid, holder.process) for holder in facts.holders] == [(41, "motion"), (9, "arecord")]
    assert [pixels.fourcc for pixels in facts.video[0].formats] == ["YUYV"]
    assert facts.absent == {"/lib/libnss_dns.so.2"}
    assert (facts.rtc, facts.synchronized) == (1_795_000_004, True)
    assert facts.inspected is not None
    assert (facts.inspected.code, facts.inspected.err) == (0, "warning")
