"""Streams as programs: equal to the known lines element by element, and every value arrives as it was written.

GStreamer's own parser is the judge: `gstparse.c` is compiled where a compiler and GStreamer's headers are, and says
what each element got. A stand-in takes the place of an element that this machine lacks.
"""

from __future__ import annotations

import functools
import itertools
import json
import os
import posixpath
import shlex
import shutil
import string
import subprocess
import tomllib
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, Phase, example, given, settings
from hypothesis import strategies as st
from pydantic import TypeAdapter

from deploy.streams.argv import GST_LAUNCH, RUNNER, commands, one_line, pipeline_command, pipeline_words
from deploy.streams.gstquote import assignment, caps_word, element_name, has_control, reference
from deploy.streams.model import Streams
from deploy.streams.pipeline import Caps, Chain, Element, Pipeline, compose
from recipes.errors import ConfigError

_STREAMS: TypeAdapter[Streams] = TypeAdapter(Streams)
# The properties that the known lines set, of the elements that a machine may lack.
STAND_INS = {
    "kvssink": "sink:stream-name=s,storage-size=u,log-config=s,credential-path=s,track-name=s,user-agent=s",
    "clockoverlay": "filter:time-format=s",
    "textoverlay": "filter:text=s",
    "alsasrc": "source:device=s",
    "libcamerasrc": "source:camera-name=s",
    "acmeenc": "filter:preset=s",
}


def stream(text: str) -> Any:
    return next(iter(_STREAMS.validate_python(tomllib.loads(text)).values()))


def composed(text: str) -> Pipeline:
    made = compose(stream(text))
    assert made is not None
    return made


# --- the known lines ---

SEED_2_3_5_A = r"""gst-launch-1.0 -v \
 v4l2src device=/dev/video0 \
 ! queue \
 ! videoconvert \
 ! video/x-raw,width=640,height=480,framerate=30/1,format=I420 \
 ! clockoverlay time-format=\"%D %H:%M:%S\" \
 ! x264enc bitrate=500 \
 ! h264parse \
 ! video/x-h264,stream-format=avc,alignment=au \
 ! kvssink stream-name=\"HelloLankaKVS\" storage-size=512 name=sink
"""
BOARD_2_3_5_A = """
[front]
source = { v4l2 = "/dev/video0" }
video = { encoder = "x264enc", width = 640, height = 480, framerate = 30, bitrate = 500, clock = "%D %H:%M:%S" }
sink = { kvs = "HelloLankaKVS", storage_size = 512 }
"""
SEED_2_3_5_B = r"""gst-launch-1.0 -v \
 v4l2src device=/dev/video0 \
 ! queue \
 ! videoconvert \
 ! video/x-raw,width=640,height=480,framerate=30/1,format=I420 \
 ! queue \
 ! x264enc bframes=0 speed-preset=veryfast key-int-max=60 bitrate=512 byte-stream=TRUE tune=zerolatency \
 ! video/x-h264,stream-format=byte-stream,alignment=au,profile=baseline \
 ! h264parse \
 ! kvssink stream-name="HelloLankaKVS" storage-size=128 name=sink \
 alsasrc device="hw:0,0" \
 ! queue \
 ! audioconvert \
 ! audio/x-raw,rate=24000 \
 ! voaacenc \
 ! audio/mpeg,stream-format=raw \
 ! queue \
 ! sink.
"""
BOARD_2_3_5_B = """
[front.source]
v4l2 = "/dev/video0"
[front.video]
encoder = "x264enc"
width = 640
height = 480
framerate = 30
bitrate = 512
key_frame_interval = 60
b_frames = 0
profile = "baseline"
speed = "veryfast"
tune = "zerolatency"
parsed_caps = false
[front.audio]
alsa = "hw:0,0"
rate = 24000
[front.sink]
kvs = "HelloLankaKVS"
storage_size = 128
"""
# The address has a user and a password in it here; ours has neither, see the test.
SEED_2_3_5_C = r"""gst-launch-1.0 rtspsrc \
 location=${RTSP_SRC} protocols=tcp name=src \
 src. ! queue ! rtph264depay ! h264parse ! kvssink stream-name="HelloLankaRTSP" storage-size=512 name=sink \
 src. ! queue ! decodebin ! audioconvert ! voaacenc ! audio/mpeg,stream-format=raw ! sink.
"""
BOARD_2_3_5_C = """
[door]
source = { rtsp = "rtsp://zephyr.rtsp.stream/movie", user = "USER", password_file = "/etc/door", protocols = "tcp" }
video = { parsed_caps = false }
audio = { track = "decode" }
sink = { kvs = "HelloLankaRTSP", storage_size = 512 }
"""
# 2.3.1: the legs that take the place of the uploader's own, as its source has them.
SEED_2_3_1_A2 = (
    "demuxer. ! queue ! mpegaudioparse ! mpg123audiodec ! audioconvert ! voaacenc ! audio/mpeg,stream-format=raw"
    " ! sink."
)
SEED_2_3_1_B1 = 'alsasrc device="hw:0,0" ! audioconvert ! voaacenc ! audio/mpeg,stream-format=raw ! sink.'
BOARD_2_3_1 = """
[upload]
source = {{ file = "/home/me/lanka520-h264andmp3.mp4" }}
audio = {{ {audio} }}
sink = {{ kvs = "HelloLankaKVS", streaming_type = "offline", file_start_time = 0 }}
"""

Known = list[list[str | tuple[str, dict[str, str]]]]


def read_as_gstreamer(line: str) -> Known:
    """Read a line as a shell and then GStreamer do: chains of references, caps and elements with their properties.

    GStreamer joins the words with blanks and looks for quotes again, which is why the escaped quotes of 2.3.5 A end up
    where they should, although the shell has split the time's format into two words.
    """
    found: Known = []
    linked = False
    for word in shlex.split(" ".join(shlex.split(line))):
        name, assigns, value = word.partition("=")
        if word in {GST_LAUNCH, "-v"}:
            continue
        if word == "!":
            linked = True
            continue
        if assigns and "/" not in name:
            element = found[-1][-1]
            assert isinstance(element, tuple)
            element[1][name] = value.lower() if value in {"TRUE", "FALSE"} else value
            continue
        place: str | tuple[str, dict[str, str]] = word if word.endswith(".") or "/" in word else (word, {})
        if linked:
            found[-1].append(place)
        else:
            found.append([place])
        linked = False
    return found


def as_known(chains: tuple[Chain, ...]) -> Known:
    return [
        [
            *([f"{chain.start}."] if chain.start else []),
            *map(_node, chain.nodes),
            *([f"{chain.end}."] if chain.end else []),
        ]
        for chain in chains
    ]


def _node(node: Element | Caps) -> str | tuple[str, dict[str, str]]:
    if isinstance(node, Caps):
        return str(node)
    properties = {
        name: str(value).lower() if value in {True, False} else str(value) for name, value in node.properties.items()
    }
    return node.factory, properties | ({"name": node.name} if node.name else {})


@pytest.mark.parametrize(
    ("seed", "board"), [(SEED_2_3_5_A, BOARD_2_3_5_A), (SEED_2_3_5_B, BOARD_2_3_5_B)], ids=["2.3.5 A", "2.3.5 B"]
)
def test_2_3_5_a_and_b_equal_the_seed(seed: str, board: str) -> None:
    assert as_known(composed(board).chains) == read_as_gstreamer(seed)


def test_2_3_5_c_equals_the_seed_save_for_the_password() -> None:
    """The seed's address has the password in it, in argv for everybody on the board: ours comes from a file."""
    seed = read_as_gstreamer(SEED_2_3_5_C.replace("${RTSP_SRC}", "rtsp://zephyr.rtsp.stream/movie"))
    source = seed[0][0]
    assert isinstance(source, tuple)
    source[1]["user-id"] = "USER"
    made = composed(BOARD_2_3_5_C)
    assert as_known(made.chains) == seed
    assert [str(given.file) for given in made.file_properties] == ["/etc/door"]


@pytest.mark.parametrize(
    ("seed", "audio"),
    [(SEED_2_3_1_A2, 'track = "mp3"'), (SEED_2_3_1_B1, 'alsa = "hw:0,0"')],
    ids=["2.3.1 A.2", "2.3.1 B.1"],
)
def test_2_3_1_the_changed_leg_needs_no_patched_sample(seed: str, audio: str) -> None:
    """The seed edits the uploader's source and builds it again; the same pipeline is a stream of a board file."""
    chains = as_known(composed(BOARD_2_3_1.format(audio=audio)).chains)
    assert chains[-1:] == read_as_gstreamer(seed)
    file = "/home/me/lanka520-h264andmp3.mp4"
    sink = "kvssink stream-name=HelloLankaKVS streaming-type=offline file-start-time=0 name=sink"
    assert chains[:-1] == read_as_gstreamer(
        f"filesrc location={file} ! qtdemux name=demuxer "
        f"demuxer. ! queue ! h264parse ! video/x-h264,stream-format=avc,alignment=au ! {sink}"
    )


UPLOADER = 'sample = "kvs_gstreamer_file_uploader_sample"\nfile = "/home/me/lanka520-h264andmp3.mp4"'
SAMPLES = {
    "2.3.1 A.1": (
        "./kvs_gstreamer_file_uploader_sample HelloLankaKVS /home/me/lanka520-h264andmp3.mp4 0",
        UPLOADER,
        {},
    ),
    "2.3.1 A.2 and B.1": (
        "./kvs_gstreamer_file_uploader_sample HelloLankaKVS /home/me/lanka520-h264andmp3.mp4 0 audio-video",
        f'{UPLOADER}\ncontent = "audio-video"',
        {},
    ),
    "2.3.2 C": (
        "./kvs_gstreamer_audio_video_sample HelloLankaKVS",
        'sample = "kvs_gstreamer_audio_video_sample"\naudio_device = "hw:0,0"\nvideo_device = "/dev/video0"',
        {"AWS_KVS_AUDIO_DEVICE": "hw:0,0", "AWS_KVS_VIDEO_DEVICE": "/dev/video0"},
    ),
    "2.3.3": ("./kvssink_gstreamer_sample HelloLankaKVS", 'sample = "kvssink_gstreamer_sample"', {}),
    "2.3.4": (
        "./kvs_gstreamer_sample HelloLankaKVS -w 640 -h 480 -f 30 -b 500",
        'sample = "kvs_gstreamer_sample"\nwidth = 640\nheight = 480\nframerate = 30\nbitrate = 500',
        {},
    ),
}


@pytest.mark.parametrize("section", SAMPLES)
def test_the_samples_are_called_as_in_the_seed(section: str) -> None:
    line, board, environment = SAMPLES[section]
    (command,) = commands(stream(f'[s]\nstream = "HelloLankaKVS"\n{board}'))
    program, *words = shlex.split(line)
    assert command.argv == (program.removeprefix("./"), *words)
    assert command.environment == environment


def test_3_3_1_the_webrtc_master() -> None:
    (command,) = commands(stream('[s]\nsink = { webrtc = "HelloLankaKVS", log_level = 4, log_sdp = false }'))
    assert command.argv == ("kvsWebrtcClientMasterGstSample", "HelloLankaKVS")
    assert command.environment == {"AWS_KVS_LOG_LEVEL": "4", "DEBUG_LOG_SDP": "FALSE"}


@pytest.mark.parametrize(
    ("source", "more", "words"),
    [
        ('test = "ball"', "", ["video-only", "testsrc"]),
        ('v4l2 = "/dev/video0"', 'audio = { alsa = "hw:0,0" }', ["audio-video", "devicesrc"]),
        ('rtsp = "rtsp://h/a b?x=1&y=2"', "", ["video-only", "rtspsrc", "rtsp://h/a b?x=1&y=2"]),
    ],
)
def test_the_webrtc_master_takes_three_arguments(source: str, more: str, words: list[str]) -> None:
    (command,) = commands(stream(f'[s]\nsource = {{ {source} }}\n{more}\nsink = {{ webrtc = "c" }}'))
    assert command.argv == ("kvsWebrtcClientMasterGstSample", "c", *words)


def test_the_other_samples() -> None:
    uploader = f"""[s]
stream = "x"
{UPLOADER}
start = 1700000000
retention_period = 24
storage_size = 64
iot = {{ endpoint = "c.example", cert_path = "/c.pem", key_path = "/k.pem", ca_path = "/a.pem", role_aliases = "r" }}
"""
    (command,) = commands(stream(uploader))
    assert command.argv[2:] == ("/home/me/lanka520-h264andmp3.mp4", "1700000000")
    assert command.environment == {
        "KVS_RETENTION_PERIOD": "24",
        "KVS_STORAGE_SIZE": "64",
        "KVS_IOT_CERTIFICATE": "iot-certificate,endpoint=c.example,cert-path=/c.pem,key-path=/k.pem,ca-path=/a.pem,"
        "role-aliases=r",
    }
    (command,) = commands(stream('[s]\nsample="kvs_gstreamer_multistream_sample"\nstream="x"\naddresses="/etc/urls"'))
    assert command.argv == ("kvs_gstreamer_multistream_sample", "x", "/etc/urls")
    (command,) = commands(stream('[s]\nsample="kvs_gstreamer_sample"\nstream="x"\nfiles=["/a.mkv", "/b.mkv"]'))
    assert command.argv == ("kvs_gstreamer_sample", "x", "/a.mkv", "/b.mkv")


def test_a_stream_can_be_several_programs() -> None:
    made = commands(stream('[s]\nsource={rtsp="rtsp://h/"}\nsinks=[{kvs="x"}, {webrtc="c"}]'))
    assert [command.argv[0] for command in made] == [GST_LAUNCH, "kvsWebrtcClientMasterGstSample"]


# --- passwords ---


def test_a_password_is_never_on_a_command_line() -> None:
    made = composed(BOARD_2_3_5_C)
    command = pipeline_command(made)
    assert command.argv[:3] == (RUNNER, "--property-file", "src.user-pw=/etc/door")
    assert "user-pw" not in one_line(made)
    assert "user-pw=hunter2" in one_line(made, {"/etc/door": "hunter2"})
    with pytest.raises(ConfigError, match="not known"):
        one_line(made, {})
    with pytest.raises(ConfigError, match="control character") as caught:
        one_line(made, {"/etc/door": "hunter2\n"})
    assert "hunter2" not in str(caught.value)


def test_a_whole_address_can_be_in_a_file() -> None:
    made = composed('[s]\nsource={rtsp_file="/etc/door"}\nsink={kvs="x"}')
    assert pipeline_command(made).argv[:4] == (RUNNER, "--property-file", "src.location=/etc/door", "rtspsrc")


def test_verbose_is_for_people() -> None:
    made = composed(BOARD_2_3_5_A)
    assert pipeline_command(made, verbose=True).argv[:3] == (GST_LAUNCH, "-v", "v4l2src")
    assert pipeline_command(made).argv[:2] == (GST_LAUNCH, "v4l2src")


# --- names and caps that would need quotes are refused ---


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


# --- the parser's own judgement ---

Judge = Callable[[list[tuple[str, ...]]], list[dict[str, Any]]]


@pytest.fixture(scope="module")
def parser(tmp_path_factory: pytest.TempPathFactory) -> list[str]:
    """Compile the judge, and return its command with a stand-in for each element that this machine lacks."""
    if not shutil.which("gcc") or not shutil.which("pkg-config"):
        pytest.skip("no gcc or no pkg-config here: GStreamer's parser cannot be asked")
    flags = subprocess.run(
        ["pkg-config", "--cflags", "--libs", "gstreamer-1.0"], capture_output=True, text=True, check=False
    )
    if flags.returncode:
        pytest.skip("no headers of GStreamer here (libgstreamer1.0-dev): its parser cannot be asked")
    program = tmp_path_factory.mktemp("gstparse") / "gstparse"
    source = Path(__file__).with_name("gstparse.c")
    subprocess.run(["gcc", "-Wall", "-Werror", "-o", program, source, *flags.stdout.split()], check=True)
    lacking = [name for name in STAND_INS if not has_element(name)]
    return [
        str(program),
        *itertools.chain.from_iterable(("--standin", f"{name}:{STAND_INS[name]}") for name in lacking),
    ]


@pytest.fixture(scope="module")
def judge(parser: list[str]) -> Judge:
    def ask(pipelines: list[tuple[str, ...]]) -> list[dict[str, Any]]:
        words = "".join("".join(f"{word}\0" for word in words) + "\0" for words in pipelines)
        done = subprocess.run([*parser, "--batch"], input=words.encode(), capture_output=True, check=False)
        read = [json.loads(line) for line in done.stdout.splitlines()]
        assert len(read) == len(pipelines), done.stderr.decode()
        return read

    return ask


@functools.cache
def has_element(name: str) -> bool:
    inspect = shutil.which("gst-inspect-1.0")
    return inspect is not None and not subprocess.run([inspect, "--exists", name], check=False).returncode


def needs(*elements: str) -> None:
    lacking = [name for name in elements if not has_element(name)]
    if lacking or not shutil.which(GST_LAUNCH):
        pytest.skip(f"this machine's GStreamer lacks {', '.join(lacking) or GST_LAUNCH}")


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
        made = [compose(_STREAMS.validate_python({"s": parts})["s"]) for parts, _ in pairs]  # type: ignore[arg-type]
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


# --- rendered pipelines, run ---


def launch(command: tuple[str, ...]) -> None:
    done = subprocess.run(
        command, capture_output=True, text=True, timeout=120, env={**os.environ, "LC_ALL": "C"}, check=False
    )
    assert done.returncode == 0, done.stderr


def elements_of(data: bytes, wanted: set[int], inside: set[int]) -> Iterator[tuple[int, bytes]]:
    """Walk a Matroska file: the elements of the wanted ids, going into those of `inside`."""
    at = 0
    while at < len(data):
        width = 9 - data[at].bit_length()
        number = int.from_bytes(data[at : at + width])
        at += width
        width = 9 - data[at].bit_length()
        size = int.from_bytes(data[at : at + width]) & ((1 << 7 * width) - 1)
        unknown = size == (1 << 7 * width) - 1
        at += width
        body = data[at:] if unknown else data[at : at + size]
        if number in wanted:
            yield number, body
        if number in inside:
            yield from elements_of(body, wanted, inside)
        at += len(body)


SEGMENT, TRACKS, ENTRY, CODEC, PRIVATE, CLUSTER, BLOCK = 0x18538067, 0x1654AE6B, 0xAE, 0x86, 0x63A2, 0x1F43B675, 0xA3


def tracks(path: Path) -> tuple[dict[str, bytes], list[int]]:
    """Return the codec data of each track by its codec, and the places of the key frames among the first track's."""
    data = path.read_bytes()
    entries = [body for _, body in elements_of(data, {ENTRY}, {SEGMENT, TRACKS})]
    codecs = {}
    for entry in entries:
        fields = dict(elements_of(entry, {CODEC, PRIVATE}, set()))
        codecs[fields[CODEC].rstrip(b"\0").decode()] = fields[PRIVATE]
    blocks = [body for _, body in elements_of(data, {BLOCK}, {SEGMENT, CLUSTER}) if body[0] == 0x81]
    return codecs, [number for number, block in enumerate(blocks) if block[3] & 0x80]


@pytest.mark.process
def test_a_rendered_stream_runs_and_is_what_it_says(tmp_path: Path) -> None:
    """Two recordings of one test source through tee, with sound, into names that need every quote."""
    needs("videotestsrc", "x264enc", "h264parse", "audiotestsrc", "voaacenc", "matroskamux", "mp4mux")
    folder = tmp_path / "a \"b' ! c, d; ü=\\e"
    folder.mkdir()
    made = composed(
        f"""
[s]
source = {{ test = "ball", properties = {{ num-buffers = 90, is-live = false }} }}
video = {{ encoder = "x264enc", width = 160, height = 120, framerate = 30, bitrate = 200, key_frame_interval = 30 }}
audio = {{ test = "sine", rate = 24000, channels = 1, properties = {{ num-buffers = 70, is-live = false }} }}
sinks = [{{ file = {json.dumps(str(folder / "a.mkv"))} }}, {{ file = {json.dumps(str(folder / "b.mp4"))} }}]
"""
    )
    launch(pipeline_command(made).argv)
    codecs, keys = tracks(folder / "a.mkv")
    assert set(codecs) == {"V_MPEG4/ISO/AVC", "A_AAC"}
    assert codecs["V_MPEG4/ISO/AVC"][0] == 1  # the version of an avcC: codec data in avc's form
    assert codecs["A_AAC"][0] >> 3 == 2  # AAC LC
    assert keys == [0, 30, 60]
    movie = (folder / "b.mp4").read_bytes()
    assert [movie.count(name) for name in (b"avcC", b"mp4a")] == [1, 1]


@pytest.mark.process
def test_2_3_1_a_file_with_mp3_becomes_h264_and_aac(tmp_path: Path) -> None:
    """The seed's own file is one of a person: this one is made here, with the same two tracks."""
    needs("videotestsrc", "x264enc", "mp4mux", "lamemp3enc", "mpegaudioparse", "mpg123audiodec", "voaacenc", "qtdemux")
    file = tmp_path / "h264 and mp3.mp4"
    video = "videotestsrc num-buffers=60 ! x264enc key-int-max=30 ! h264parse ! m."
    audio = "audiotestsrc num-buffers=80 ! lamemp3enc ! mpegaudioparse ! m."
    launch((GST_LAUNCH, "mp4mux", "name=m", "!", "filesink", f"location={file}", *video.split(), *audio.split()))
    made = composed(
        f'[s]\nsource = {{ file = "{file}" }}\naudio = {{ track = "mp3" }}\nsink = {{ file = "{tmp_path}/out.mkv" }}'
    )
    launch(pipeline_command(made).argv)
    codecs, keys = tracks(tmp_path / "out.mkv")
    assert set(codecs) == {"V_MPEG4/ISO/AVC", "A_AAC"}
    assert keys == [0, 30]


@pytest.mark.process
def test_x264enc_left_alone_makes_a_key_frame_every_ten_seconds(tmp_path: Path) -> None:
    """What `stream_checks` says of 2.3.5 A, which names no interval."""
    needs("videotestsrc", "x264enc", "matroskamux")
    made = composed(
        f"""
[s]
source = {{ test = "solid-color", properties = {{ num-buffers = 110, is-live = false }} }}
video = {{ encoder = "x264enc", width = 64, height = 48, framerate = 5 }}
sink = {{ file = "{tmp_path}/a.mkv" }}
"""
    )
    launch(pipeline_command(made).argv)
    assert tracks(tmp_path / "a.mkv")[1] == [0, 50, 100]


def test_what_counts_as_a_control_character() -> None:
    assert not has_control(string.printable.strip() + "ä€\u00a0")
    assert has_control("\t")
