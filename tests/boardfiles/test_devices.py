"""Named devices of a board's file: what a stream that names one becomes, what is refused, what wins."""

from __future__ import annotations

import tomllib
from collections.abc import Callable
from pathlib import Path

import pytest

from deploy.boardfiles.check import check_board
from deploy.boardfiles.show import board_as_toml, shown_values
from deploy.boards.board import BoardFile, load_board
from deploy.boards.layers import example_paths, read_layers
from deploy.control.render import render_board, rendered_files
from deploy.pipelines.facts import BoardFacts, CameraMode

HEAD = 'schema = 2\narch = "armv7"\nsysroot = "debian12-armv7"\ninit = "systemd"\n'
NAMED = (
    HEAD
    + """
[devices]
front = { camera = "/dev/video0", gives = "jpeg" }
mic = { microphone = "hw:1,0" }
horn = { speaker = "hw:0,0" }
[devices.vpu]
node = "/dev/isp0"
element = "acmesrc"
properties = { mode = 3 }
package = "acme-gst"
[streams.main]
source = { device = "front" }
video = { encoder = "x264enc", width = 640, height = 480, framerate = 15, bitrate = 512, key_frame_interval = 30 }
audio = { device = "mic", rate = 48000 }
sink = { kvs = "porch" }
"""
)
PLAIN = NAMED[: NAMED.index("[devices]")] + NAMED[NAMED.index("[streams.main]") :].replace(
    'device = "front"', 'v4l2 = "/dev/video0", gives = "jpeg"'
).replace('device = "mic"', 'alsa = "hw:1,0"')
Write = Callable[..., Path]


@pytest.fixture
def write(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Write:
    """Return a function that writes a board's file into a folder outside the checkout."""
    monkeypatch.setenv("BOARDCAST_BOARDS", str(tmp_path))

    def written(text: str, name: str = "cam") -> Path:
        path = tmp_path / name / "board.toml"
        path.parent.mkdir(exist_ok=True)
        path.write_text(text)
        return path

    return written


def told(name: str = "cam", facts: BoardFacts | None = None) -> list[str]:
    return [f"{fault.line}: {fault.text}" for fault in check_board(name, facts).faults]


def test_a_stream_that_names_its_devices_renders_as_one_that_has_their_paths(write: Write) -> None:
    write(NAMED)
    write(PLAIN, "plain")
    named, plain = load_board("cam"), load_board("plain")
    assert told() == []
    assert named.file.streams == plain.file.streams
    assert rendered_files(named) == {
        path: (content.replace(b"plain", b"cam"), mode) for path, (content, mode) in rendered_files(plain).items()
    }


def test_a_vendors_node_is_read_by_its_element(write: Write) -> None:
    source = 'device = "vpu", properties = { mode = 4, fast = true }'
    write(NAMED.replace('device = "front"', source))
    (rendered,) = render_board(load_board("cam"))
    first = str(rendered.pipeline).splitlines()[0]
    assert first == "acmesrc device=/dev/isp0 mode=4 fast=True"


def test_the_sample_takes_names_too(write: Write) -> None:
    stream = '\n[streams.b]\nsample = "kvs_gstreamer_audio_video_sample"\nstream = "x"\n'
    write(NAMED + stream + 'microphone = "mic"\ncamera = "front"\n')
    program = render_board(load_board("cam"))[1].programs[0]
    assert program.environment["AWS_KVS_AUDIO_DEVICE"] == "hw:1,0"
    assert program.environment["AWS_KVS_VIDEO_DEVICE"] == "/dev/video0"
    write(NAMED + stream + 'microphone = "front"\ncamera = "vpu"\n')
    assert [line.partition(": ")[2] for line in told()] == [
        "streams.b.microphone: front is a camera, and audio takes a microphone",
        "streams.b.camera: vpu is a node that this sample does not open: a camera is needed",
    ]
    write(NAMED + stream)
    assert "needs a microphone" in told()[0]


@pytest.mark.parametrize(
    ("old", "new", "line", "text"),
    [
        ('"front" }', '"frnt" }', 16, "streams.main.source: no device 'frnt'; did you mean 'front'? known: front, mic"),
        ('"mic",', '"horn",', 18, "streams.main.audio: horn is a speaker, and audio takes a microphone"),
        ('"front" }', '"mic" }', 16, "streams.main.source: mic is a microphone, and source takes a camera"),
        ('element = "acmesrc"\n', "", 10, "devices.vpu: package, properties need an `element`"),
        ('"front" }', '"front", v4l2 = "/dev/video1" }', 16, "streams.main.source: v4l2 and device do not go together"),
        ('camera = "/dev', 'camera = "dev', 7, "devices.front: is to be an absolute path"),
        ("camera =", "camra =", 7, "devices.front: the word that says what it is is missing: one device of camera,"),
        ('speaker = "hw:0,0"', 'speaker = "hw:0,0", element = "x"', 9, "devices.horn: element belong to a node"),
        ("package =", "pakage =", 14, "devices.vpu.pakage: unknown key (did you mean 'package'?)"),
        ('gives = "jpeg"', 'gives = "jpg"', 7, 'devices.front.gives: no "jpg"; did you mean "jpeg"?'),
        ('speaker = "hw:0,0"', 'speaker = "hw:0,0; rm"', 9, "devices.horn: is to be ALSA's name"),
        ("schema = 2", "schema = 1", 6, "devices: is new in schema = 2"),
        ("\nfront =", '\nfront = 3\n"A b" =', 7, "devices.front: is a table, not a single value"),
    ],
)  # fmt: skip
def test_what_is_refused_has_its_line_and_what_was_meant(
    write: Write, old: str, new: str, line: int, text: str
) -> None:
    assert old in NAMED
    write(NAMED.replace(old, new, 1))
    assert [fault for fault in told() if fault.startswith(f"{line}: {text}")], told()


def test_all_faults_are_told_at_once(write: Write) -> None:
    write(NAMED.replace('"front" }', '"frnt" }').replace('"mic",', '"mc",').replace("bitrate", "bitrte"))
    texts = "\n".join(told())
    for part in ("no device 'frnt'", "no device 'mc'", "unknown key (did you mean 'bitrate'?)"):
        assert part in texts
    # A table of devices that is wrong itself has one fault: nothing is said of names that cannot be looked up.
    write(NAMED.replace("camera =", "camra ="))
    assert len(told()) == 1
    assert told()[0].endswith("did you mean 'camera'?")


def test_a_board_that_extends_another_changes_the_device_alone(write: Write) -> None:
    write(NAMED)
    write('schema = 2\nextends = "cam"\n[devices.front]\ncamera = "/dev/video2"\n'
          '[devices.back]\ncamera = "/dev/video4"\n'
          '[streams.back]\nsource = { device = "back" }\nvideo = { encoder = "x264enc" }\nsink = { fake = true }\n',
          "child")  # fmt: skip
    streams = load_board("child").file.streams
    sources = {name: stream.model_dump()["source"] for name, stream in streams.items()}
    assert (sources["main"]["address"], sources["main"]["gives"]) == ("/dev/video2", "jpeg")
    assert sources["back"]["address"] == "/dev/video4"
    # Another word is another thing: nothing of the old one stays.
    write('schema = 2\nextends = "cam"\n[devices.front]\nlibcamera = "imx219"\n', "child")
    device = load_board("child").file.devices["front"]
    assert (device.kind, device.address, device.gives) == ("libcamera", "imx219", None)
    # A path that takes the place of a name.
    write('schema = 2\nextends = "cam"\n[streams.main]\nsource = { v4l2 = "/dev/video9" }\n', "child")
    assert load_board("child").file.streams["main"].model_dump()["source"]["address"] == "/dev/video9"


def test_it_is_shown_with_its_origin_and_reads_as_the_same_board(write: Write) -> None:
    write(NAMED)
    write('schema = 2\nextends = "cam"\n[devices]\nfront = { camera = "/dev/video2" }\n', "child")
    file = load_board("child").file
    rows = {".".join(map(str, row.place)): row for row in shown_values(read_layers("child"), file)}
    assert rows["devices.front.camera"].origin.endswith("child/board.toml:4")
    assert rows["devices.front.gives"].origin.endswith("cam/board.toml:7")
    assert rows["streams.main.source.device"].value == "front"
    again = BoardFile.model_validate(tomllib.loads(board_as_toml(tuple(rows.values()), origin=True)))
    assert (again.devices, again.streams) == (file.devices, file.streams)


def test_devices_that_the_board_lacks_are_told_where_they_are_named(write: Write) -> None:
    write(NAMED)
    modes = (CameraMode(format="MJPG", width=640, height=480, framerates=()),)
    facts = BoardFacts(cameras={"/dev/video2": modes}, microphones={"hw:0,0": ()}, speakers=frozenset({"hw:3,0"}))
    assert told(facts=facts) == [
        "7: devices.front.camera: there is no camera /dev/video0; seen were /dev/video2",
        "8: devices.mic.microphone: there is no microphone hw:1,0; seen were hw:0,0",
        "9: devices.horn.speaker: there is no speaker hw:0,0; seen were hw:3,0",
    ]
    seen = BoardFacts(cameras={"/dev/video0": modes}, microphones={"hw:1,0": ()}, speakers=frozenset({"hw:0,0"}))
    assert told(facts=seen) == []


def test_the_examples_name_devices() -> None:
    named = [name for name in example_paths() if load_board(name).file.devices]
    assert len(named) >= 2
