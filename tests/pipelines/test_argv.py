"""Streams as programs: equal to the known lines element by element, and no password among their words."""

from __future__ import annotations

import shlex

import pytest

from deploy.pipelines.argv import GST_LAUNCH, RUNNER, commands, one_line, pipeline_command
from deploy.pipelines.pipeline import Caps, Chain, Element
from recipes.errors import ConfigError
from tests.pipelines.lines import (
    BOARD_2_3_1,
    BOARD_2_3_5_A,
    BOARD_2_3_5_B,
    BOARD_2_3_5_C,
    SEED_2_3_1_A2,
    SEED_2_3_1_B1,
    SEED_2_3_5_A,
    SEED_2_3_5_B,
    SEED_2_3_5_C,
    composed,
    stream,
)

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
def test_2_3_5_a_and_b_equal_the_seed_save_for_b_frames(seed: str, board: str) -> None:
    """A does not say bframes=0, and x264enc's preset makes three then: KVS refuses frames that go back in time."""
    wanted = read_as_gstreamer(seed)
    for place in wanted[0]:
        if isinstance(place, tuple) and place[0] == "x264enc":
            place[1].setdefault("bframes", "0")
    assert as_known(composed(board).chains) == wanted


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
