"""What an element gets is what the board file says; GStreamer's own parser is the judge of it."""

from __future__ import annotations

import itertools
import json
import posixpath
import shlex
import string
import subprocess
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, Phase, example, given, settings
from hypothesis import strategies as st

from deploy.pipelines.argv import one_line, pipeline_words
from deploy.pipelines.gstquote import assignment, caps_word, element_name, has_control, reference
from deploy.pipelines.pipeline import Chain, Element, Pipeline, compose
from recipes.errors import ConfigError
from tests.pipelines.gstreamer import Judge, needs
from tests.pipelines.lines import (
    BOARD_2_3_1,
    BOARD_2_3_5_A,
    BOARD_2_3_5_B,
    BOARD_2_3_5_C,
    SEED_2_3_5_A,
    SEED_2_3_5_B,
    STREAMS,
    composed,
)


@pytest.mark.parametrize("bad", ["", "a b", "a=b", "-v", "a!", "ä", "1a", "a\n"])
def test_names_are_plain(bad: str) -> None:
    for word in (element_name, reference, lambda name: assignment(name, "x")):
        with pytest.raises(ConfigError):
            word(bad)


@pytest.mark.parametrize("bad", ["video", "video/x-raw,format=a b", "video/x-raw,format=a!b", "video/x-raw;a/b", ""])
def test_caps_are_plain(bad: str) -> None:
    with pytest.raises(ConfigError):
        caps_word(bad)
    assert caps_word("video/x-raw(memory:NVMM),format=NV12") == "video/x-raw(memory:NVMM),format=NV12"


@pytest.mark.parametrize("bad", ["a\nb", "a\0b", "a\x7fb", "a\x85b", "a\u2028b", "a\ud800b"])
def test_control_characters_are_refused(bad: str) -> None:
    with pytest.raises(ConfigError, match="control character"):
        assignment("location", bad)


def test_what_counts_as_a_control_character() -> None:
    assert not has_control(string.printable.strip() + "ä€\u00a0")
    assert has_control("\t")


def without_numbers(answer: dict[str, Any]) -> list[Any]:
    """Leave out the names that GStreamer makes itself; their numbers go on from pipeline to pipeline."""
    assert "error" not in answer, answer
    given = {"sink", "src", "demuxer"}
    return [
        [
            element["factory"],
            element["name"] if element["name"] in given else "",
            element["properties"],
            element["links"],
        ]
        for element in answer["elements"]
    ]


@pytest.mark.process
@pytest.mark.parametrize(
    ("seed", "board"), [(SEED_2_3_5_A, BOARD_2_3_5_A), (SEED_2_3_5_B, BOARD_2_3_5_B)], ids=["2.3.5 A", "2.3.5 B"]
)
def test_gstreamer_makes_the_same_of_ours_and_of_the_seeds(judge: Judge, seed: str, board: str) -> None:
    needs("v4l2src", "x264enc", "h264parse", "voaacenc")
    words = tuple(shlex.split(seed))[2:]
    seeds, ours = judge([words, pipeline_words(composed(board))])
    assert without_numbers(ours) == without_numbers(seeds)
    assert any(element["factory"] == "kvssink" for element in ours["elements"])


@pytest.mark.process
def test_gstreamer_takes_every_kind_of_stream(judge: Judge) -> None:
    needs(
        "v4l2src", "x264enc", "openh264enc", "h264parse", "voaacenc", "rtspsrc", "qtdemux", "matroskamux", "mpegtsmux"
    )
    needs("mpegaudioparse", "mpg123audiodec", "rtph264depay", "rtpmp4gdepay", "aacparse", "videoconvert", "decodebin")
    texts = [
        BOARD_2_3_5_C,
        BOARD_2_3_1.format(audio='track = "mp3"').replace(', streaming_type = "offline", file_start_time = 0', ""),
        '[s]\nsource={rtsp="rtsp://h/"}\naudio={track="aac"}\nsinks=[{kvs="x"},{file="/a.ts"},{file="/b.mkv"},{fake=true}]',
        '[s]\nsource={libcamera="c"}\nvideo={encoder="openh264enc", overlay="a", bitrate=9000}\nsink={kvs="x"}',
    ]
    answers = judge([pipeline_words(composed(text)) for text in texts])
    assert not [answer for answer in answers if "error" in answer]
    assert [len(answer["elements"]) > 5 for answer in answers] == [True] * len(texts)


def test_the_judge_is_no_model_of_our_own() -> None:
    source = Path(__file__).with_name("gstparse.c").read_text()
    assert "gst_parse_launchv" in source
    assert "unescape" not in source


NASTY = st.one_of(
    st.text(st.characters(exclude_categories=["C", "Zl", "Zp"]), max_size=12),
    st.text(st.sampled_from(" \"'\\!,;=(){}[]<>|&$`#*~^%@?:/.ä€\U0001f4f7ab\u00a0\u3000"), max_size=16),
    st.sampled_from(
        ["NULL", '"', '""', '"a b"', "'a'", "\\", "\\\\", '\\"', " ", "  a  ", "true", "a/b ! c", "-v", "%D %H"]
    ),
)
Expected = dict[tuple[str, str], str]


def streams_of(text: str) -> Iterator[tuple[dict[str, Any], Expected]]:
    """Put a text into every field of a board file that takes one; say which property of which element has it then."""
    path = text if posixpath.normpath(f"/a/{text}") == f"/a/{text}" else "untidy paths are refused"
    word = text or "no empty text"
    kvs = {"kvs": "x", "track_name": word, "user_agent": word}
    sinks = [kvs | {"log_config": f"/etc/{path}", "credential_path": f"/{path}"}, {"file": f"/srv/{path}.mkv"}]
    encoder = {"encoder": "acmeenc", "clock": word, "overlay": word, "properties": {"preset": word}}
    yield (
        {"source": {"v4l2": f"/dev/{path}"}, "video": encoder, "audio": {"alsa": word}, "sinks": sinks},
        {
            ("v4l2src", "device"): f"/dev/{path}",
            ("clockoverlay", "time-format"): word,
            ("textoverlay", "text"): word,
            ("acmeenc", "preset"): word,
            ("alsasrc", "device"): word,
            ("kvssink", "track-name"): word,
            ("kvssink", "user-agent"): word,
            ("kvssink", "log-config"): f"/etc/{path}",
            ("kvssink", "credential-path"): f"/{path}",
            ("filesink", "location"): f"/srv/{path}.mkv",
        },
    )
    yield (
        {"source": {"rtsp": f"rtsp://camera/{text}", "user": word}, "sink": {"fake": True}},
        {("rtspsrc", "location"): f"rtsp://camera/{text}", ("rtspsrc", "user-id"): word},
    )
    yield {"source": {"file": f"/srv/{path}"}, "sink": {"fake": True}}, {("filesrc", "location"): f"/srv/{path}"}
    yield (
        {"source": {"libcamera": word}, "video": {"encoder": "acmeenc"}, "sink": {"fake": True}},
        {("libcamerasrc", "camera-name"): word},
    )


@pytest.mark.process
def test_what_the_element_gets_is_what_the_board_file_says(judge: Judge) -> None:
    """More than 2,000 texts in every field: those that no path can have are counted for the other fields only."""
    needs("v4l2src", "x264enc", "h264parse", "rtspsrc", "qtdemux", "matroskamux", "voaacenc")
    judged: Counter[tuple[str, str]] = Counter()

    @settings(max_examples=18, deadline=None, suppress_health_check=list(HealthCheck), phases=[Phase.generate])
    @given(texts=st.lists(NASTY, min_size=160, max_size=160))
    def every_field(texts: list[str]) -> None:
        pairs = list(itertools.chain.from_iterable(map(streams_of, texts)))
        made = [compose(STREAMS.validate_python({"s": parts})["s"]) for parts, _ in pairs]  # type: ignore[arg-type]
        answers = judge([pipeline_words(pipeline) for pipeline in made if pipeline])
        for (parts, expected), answer in zip(pairs, answers, strict=True):
            assert "error" not in answer, (parts, answer)
            gets = {part["factory"]: part["properties"] for part in answer["elements"]}
            assert {(factory, name): gets[factory].get(name) for factory, name in expected} == expected
            judged.update(key for key, value in expected.items() if "untidy" not in value and "no empty" not in value)

    every_field()
    assert len(judged) == 14
    assert min(judged.values()) >= 2000, judged


@pytest.mark.process
@settings(max_examples=20, deadline=None, suppress_health_check=list(HealthCheck))
@given(password=NASTY, clock=NASTY)
@example(password='a "b', clock="c d")
@example(password="", clock="NULL")
def test_one_line_says_the_same_as_the_words(parser: list[str], password: str, clock: str) -> None:
    """What a runner reads from its standard input is the same pipeline, and the password arrives whole."""
    needs("rtspsrc", "x264enc")
    made = Pipeline(
        chains=(
            Chain(nodes=(Element(factory="rtspsrc", name="src", properties={"user-id": clock}),)),
            Chain(nodes=(Element(factory="filesrc", properties={"location": clock}), Element(factory="fakesink"))),
        ),
        file_properties=composed(BOARD_2_3_5_C).file_properties,
    )
    line = one_line(made, {"/etc/door": password})
    done = subprocess.run([*parser, "--line"], input=line.encode(), capture_output=True, check=True)
    first, second, _ = json.loads(done.stdout)["elements"]
    assert (first["properties"]["user-id"], first["properties"]["user-pw"]) == (clock, password)
    assert second["properties"]["location"] == clock


@pytest.mark.process
@given(value=st.one_of(st.integers(0, 2**31 - 1), st.booleans()))
@settings(max_examples=10, deadline=None, suppress_health_check=list(HealthCheck))
def test_numbers_and_switches_arrive_too(judge: Judge, value: int | bool) -> None:
    name = "silent" if isinstance(value, bool) else "max-size-buffers"
    (answer,) = judge([("fakesrc", "!", "queue", assignment(name, value), "!", "fakesink")])
    default = "false" if isinstance(value, bool) else "200"
    assert answer["elements"][1]["properties"].get(name, default) == str(value).lower()
