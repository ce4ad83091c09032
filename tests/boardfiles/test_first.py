"""A board's first file, made of what was seen: it reads, passes the checks, and fits the board that it was made of."""

from __future__ import annotations

import dataclasses
import re
import tomllib
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from deploy.boardfiles.check import check_board
from deploy.boardfiles.first import first_board_file
from deploy.boardfiles.live import exact_rate, stream_facts, wanted_findings
from deploy.boards.board import BoardFile
from deploy.probe.facts import BoardFacts
from recipes.errors import ConfigError
from tests.probe.answers import CAMERA_BOARD, MOUNTS, elf, facts, sample

SYSROOTS = ("debian12-armv7", "debian12-aarch64")


def read(text: str) -> BoardFile:
    return BoardFile.model_validate(tomllib.loads(text))


def stream_of(text: str) -> dict[str, Any]:
    """Return the stream of a first file, as it is written."""
    made: dict[str, Any] = tomllib.loads(text)["streams"]["main"]
    return made


def test_a_first_board_file_for_a_raspberry_pi() -> None:
    text = first_board_file(facts(CAMERA_BOARD), "porch", SYSROOTS)
    file = read(text)
    assert (file.arch, file.sysroot, file.root) == ("armv7", "debian12-armv7", "/opt/boardcast")
    assert file.schema_ == 2
    assert file.init == "systemd"
    assert text.startswith("#:schema ../board.schema.json\n")
    assert file.probe.ca_file == "/etc/ssl/certs/ca-certificates.crt"
    assert file.probe.elements == ("v4l2src", "alsasrc", "x264enc", "v4l2h264enc", "h264parse", "kvssink")
    assert "The kernel says aarch64; its programs decide." in text.replace("\n# ", " ")
    assert "Init system seen: systemd." in text


@pytest.mark.parametrize(
    ("changed", "source"),
    [
        ({}, {"device": "camera", "gives": "raw"}),
        ({"v4l2 /dev/video0": sample("v4l2-node-1.12")}, {"device": "camera", "gives": "h264"}),
        ({"v4l2 /dev/video0": sample("v4l2-node-1.18").replace("uvcvideo", "unicam")}, {"element": "libcamerasrc"}),
        ({"v4l2 /dev/video0": sample("v4l2-meta-1.18")}, {"test": "ball"}),
        (
            {"v4l2 /dev/video0": sample("v4l2-node-1.18").replace("[1]: 'YUYV' (YUYV 4:2:2)", "")},
            {"device": "camera", "gives": "jpeg"},
        ),
    ],
)
def test_the_source_that_is_suggested(changed: dict[str, str], source: dict[str, str]) -> None:
    stream = stream_of(first_board_file(facts(CAMERA_BOARD | changed), "porch", SYSROOTS))
    assert stream["source"] == source


def test_the_stream_that_is_suggested_fits_what_was_seen() -> None:
    stream = stream_of(first_board_file(facts(CAMERA_BOARD), "porch", SYSROOTS))
    picture = {"width": 640, "height": 480, "framerate": 30, "bitrate": 512, "key_frame_interval": 60}
    assert stream["video"] == {"encoder": "v4l2h264enc", **picture}
    # Its list of elements has no encoder to AAC.
    assert "audio" not in stream
    assert stream["sink"] == {"kvs": "porch", "storage_size": 20}


def test_sound_needs_an_encoder_of_the_board() -> None:
    listed = {"gst-list": CAMERA_BOARD["gst-list"].replace("v4l2h264enc: ", "voaacenc: ")}
    assert "voaacenc" in facts(CAMERA_BOARD | listed).gstreamer.elements
    stream = stream_of(first_board_file(facts(CAMERA_BOARD | listed), "porch", SYSROOTS))
    assert stream["audio"] == {"device": "microphone-3", "encoder": "voaacenc", "rate": 48000}


def test_every_device_that_was_seen_has_a_name() -> None:
    text = first_board_file(facts(CAMERA_BOARD), "porch", SYSROOTS)
    devices = {name: (device.kind, device.address) for name, device in read(text).devices.items()}
    assert devices == {
        "camera": ("camera", "/dev/video0"),
        "microphone": ("microphone", "hw:0,0"),
        "microphone-2": ("microphone", "hw:0,1"),
        "microphone-3": ("microphone", "hw:1,0"),
        "speaker": ("speaker", "hw:0,0"),
    }
    above = text.splitlines()[text.splitlines().index('camera = { camera = "/dev/video0" }') - 1]
    assert facts(CAMERA_BOARD).cameras[0].name in above


def test_a_range_of_rates_has_the_usual_one() -> None:
    made = facts(CAMERA_BOARD | {"gst-list": CAMERA_BOARD["gst-list"].replace("v4l2h264enc: ", "voaacenc: ")})
    (microphone, *others) = (
        dataclasses.replace(device, rates=(), rate_ranges=((8000, 96000),)) for device in made.sound
    )
    stream = stream_of(first_board_file(dataclasses.replace(made, sound=(microphone, *others)), "porch", SYSROOTS))
    assert stream["audio"]["rate"] == 48000


def test_a_board_without_gstreamer_streams_nothing_yet() -> None:
    without = {key: text for key, text in CAMERA_BOARD.items() if not key.startswith("gst")}
    without["links"] = without["links"].replace("libgstreamer", "libother")
    text = first_board_file(facts(without), "porch", SYSROOTS)
    file = read(text)
    assert (file.streams, file.recipes) == ({}, ("boardprobe", "webrtc"))
    # What is suggested is right once the marks are taken away.
    head, marks, rest = text.partition("# [streams.main]\n")
    whole = head.replace('recipes = ["boardprobe", "webrtc"]\n', "") + marks[2:]
    whole += re.sub(r"^# (?=\[|[a-z_]+ = )", "", rest, flags=re.MULTILINE)
    assert list(read(whole).streams) == ["main"]


@pytest.mark.parametrize(
    ("rate", "exact"),
    [(30.0, "30"), (29.97, "30000/1001"), (7.5, "15/2"), (59.94, "60000/1001"), (23.976, "24000/1001")],
)
def test_a_rate_that_was_rounded_is_told_exactly(rate: float, exact: str) -> None:
    assert str(exact_rate(rate)) == exact


def judge(board: BoardFacts, folder: Path) -> None:
    """Let the file that is made pass the checks, and fit the board that it was made of."""
    text = first_board_file(board, "porch", SYSROOTS)
    path = folder / "porch" / "board.toml"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    assert check_board("porch").faults == ()
    live = check_board("porch", stream_facts(board))
    # What the board lacks is said with the package that brings it; nothing else speaks against the stream.
    assert [fault.text for fault in live.faults if "the board has no element" not in fault.text] == []


def test_paths_that_no_board_file_may_have_are_left_out() -> None:
    odd = {"ca": "/etc//../x.pem\n", "certificates": "/etc//../x.pem:3\n", "folder //srv": "/\n"}
    text = first_board_file(facts(CAMERA_BOARD | odd), "porch", SYSROOTS)
    assert read(text).probe.ca_file == ""
    assert read(text).root == "/opt/boardcast"


def test_findings_are_those_of_the_streams_that_the_board_has() -> None:
    board = facts({key: text for key, text in CAMERA_BOARD.items() if not key.startswith(("v4l2", "video"))}
                  | {"memory": "MemTotal: 65536 kB\nMemAvailable: 65536 kB\n"})  # fmt: skip
    text = first_board_file(board, "porch", SYSROOTS)
    file = read(text)
    assert {finding.check for finding in wanted_findings(board, None)} >= {"memory", "camera-missing"}
    assert not {finding.check for finding in wanted_findings(board, file)} & {"memory", "camera-missing"}


NODES = ("v4l2-node-1.12", "v4l2-node-1.18", "v4l2-meta-1.18", "v4l2-codec-1.22")
ENCODERS = ("x264enc", "openh264enc", "omxh264enc", "mpph264enc", "nvv4l2h264enc", "voaacenc")
DRIVERS = ("uvcvideo", "unicam", "bm2835 mmal")


@settings(
    max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow]
)
@given(
    node=st.sampled_from(NODES),
    driver=st.sampled_from(DRIVERS),
    gone=st.sets(st.sampled_from(sorted(key for key in CAMERA_BOARD if key not in ("elf od", "cpu")))),
    memory=st.integers(8_000, 8_000_000),
    rate=st.sampled_from(["30.000", "29.970", "7.500", "0.100", "240.000", "25.000"]),
    elements=st.sets(st.sampled_from(ENCODERS)),
    comm=st.sampled_from(["systemd", "procd", "init", "linuxrc", "sh"]),
)
def test_whatever_was_seen_the_first_file_passes_the_checks(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, node: str, driver: str, gone: set[str], memory: int, rate: str,
    elements: set[str], comm: str,
) -> None:  # fmt: skip
    monkeypatch.setenv("BOARDCAST_BOARDS", str(tmp_path))
    answers = {key: text for key, text in CAMERA_BOARD.items() if key not in gone}
    answers["v4l2 /dev/video0"] = sample(node).replace("uvcvideo", driver).replace("30.000 fps", f"{rate} fps")
    if "gst-list" in answers:
        lines = "".join(f"some:  {name}: An element\n" for name in sorted(elements))
        answers["gst-list"] = lines + CAMERA_BOARD["gst-list"].replace("x264enc", "x265enc")
    if "memory" in answers:
        answers["memory"] = f"MemTotal: {memory * 2} kB\nMemAvailable: {memory} kB\n"
    if "init" in answers:
        answers["init"] = f"comm {comm}\nhas /etc/inittab\n"
    judge(facts(answers), tmp_path)


def test_a_board_without_hardware_encoder() -> None:
    listed = CAMERA_BOARD["gst-list"].replace("v4l2h264enc", "v4l2jpegenc")
    text = first_board_file(facts(CAMERA_BOARD | {"gst-list": listed}), "porch", SYSROOTS)
    assert 'encoder = "x264enc"' in text


@pytest.mark.parametrize(
    ("changed", "sysroot"),
    [
        ({}, "debian12-armv7"),
        ({"release": 'PRETTY_NAME="Debian GNU/Linux 12 (bookworm)"\nID=debian\n'}, "porch"),
        ({"basics": CAMERA_BOARD["basics"].replace("2.36", "2.28"), "ldd": "ldd (GNU libc) 2.28\n"}, "porch"),
        ({"elf od": elf(40, flags=0x400, interpreter="/lib/ld-musl-armhf.so.1"), "ldd": "musl libc\nVersion 1.2.3\n"},
         "porch"),
        ({"elf od": elf(8, interpreter="/lib/ld.so.1")}, "porch"),
    ],
)  # fmt: skip
def test_the_sysroot(changed: dict[str, str], sysroot: str) -> None:
    text = first_board_file(facts(CAMERA_BOARD | changed), "porch", SYSROOTS)
    assert read(text).sysroot == sysroot
    assert ("invoke sysroot.pull --host cam01" in text) == (sysroot == "porch")


READ_ONLY = MOUNTS.replace("ext4 rw", "squashfs ro")
FLASH = {"folder /flash": "/flash\n", "df /flash": "/dev/mtdblock5 30000 2000 28000 7% /flash\n"}


@pytest.mark.parametrize(
    ("changed", "root"),
    [
        ({}, "/opt/boardcast"),
        (
            {"mounts": MOUNTS.replace("ext4 rw", "squashfs ro") + "/dev/mtdblock5 /flash ubifs rw 0 0\n"},
            "/flash/boardcast",
        ),
        ({"df /opt/boardcast": "/dev/root 9000 8000 1000 90% /\n"}, "/flash/boardcast"),
    ],
)
def test_the_root_is_writable_and_has_room(changed: dict[str, str], root: str) -> None:
    assert read(first_board_file(facts(CAMERA_BOARD | FLASH | changed), "porch", SYSROOTS)).root == root


def test_no_folder_at_all_is_said() -> None:
    board = facts(CAMERA_BOARD | {"mounts": MOUNTS.replace("ext4 rw", "ext4 ro")})
    text = first_board_file(board, "porch", SYSROOTS)
    assert "No folder that was asked for is writable" in text
    assert read(text).root == "/opt/boardcast"


def test_a_board_that_nothing_is_built_for() -> None:
    with pytest.raises(ConfigError, match="no architecture"):
        first_board_file(facts(CAMERA_BOARD | {"elf od": elf(8, little=False)}), "porch")


@pytest.mark.parametrize("name", ["", "../up", "-x", "A B", 'a"b', "a\nb"])
def test_names_that_are_none(name: str) -> None:
    with pytest.raises(ConfigError):
        first_board_file(facts(CAMERA_BOARD), name)


def test_what_a_board_sends_stays_in_comments() -> None:
    evil = 'x"\n[sim]\nsuite = "y"\x1b\u2028root = "/"'
    changed = {key: value.replace("w300", evil) for key, value in CAMERA_BOARD.items() if "w300" in value}
    changed |= {"release": f'PRETTY_NAME="{evil}"\n', "hostname": evil, "init": f"comm {evil}\n"}
    text = first_board_file(facts(CAMERA_BOARD | changed), "porch", SYSROOTS)
    assert read(text).sim is None
    assert read(text).root == "/opt/boardcast"
