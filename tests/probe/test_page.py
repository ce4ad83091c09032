"""The page of a board and its first board file: read by a person, and by the product."""

from __future__ import annotations

import re
import tomllib

import pytest

from deploy.boards.board import BoardFile
from deploy.probe.findings import findings
from deploy.probe.page import COLUMNS, facts_page, first_board_file
from recipes.errors import ConfigError
from tests.probe.answers import CAMERA_BOARD, MOUNTS, elf, facts, sample

SYSROOTS = ("debian12-armv7", "debian12-aarch64")


def page(changed: dict[str, str] | None = None) -> str:
    board = facts(CAMERA_BOARD | (changed or {}))
    return facts_page(board, findings(board))


def read(text: str) -> BoardFile:
    return BoardFile.model_validate(tomllib.loads(text))


def test_the_page_as_a_person_sees_it() -> None:
    assert page() == sample("page")


def test_the_page_fits_whatever_the_names() -> None:
    wide = "\u6444\u50cf\u5934" * 40
    text = page({"hostname": wide, "v4l2 /dev/video0": CAMERA_BOARD["v4l2 /dev/video0"].replace("w300: w300", wide)})
    widths = [sum(2 if ord(letter) > 0x2E80 else 1 for letter in line) for line in text.splitlines()]
    assert max(widths) <= COLUMNS


def test_what_was_not_understood_is_on_the_page() -> None:
    text = page({"df /opt/boardcast": "df: /opt: can't find mount point\n"})
    assert "Not understood" in text
    assert "df -Pk /opt: not a line of df" in text
    assert "/opt/boardcast: unknown free of unknown" in text


def test_a_first_board_file_for_a_raspberry_pi() -> None:
    text = first_board_file(facts(CAMERA_BOARD), "porch", SYSROOTS)
    file = read(text)
    assert (file.arch, file.sysroot, file.root) == ("armv7", "debian12-armv7", "/opt/boardcast")
    assert file.recipes == ("boardprobe", "producer")
    assert file.probe.ca_file == "/etc/ssl/certs/ca-certificates.crt"
    assert file.probe.elements == ("v4l2src", "alsasrc", "x264enc", "v4l2h264enc", "h264parse", "kvssink")
    assert "The kernel says aarch64; its programs decide." in text.replace("\n# ", " ")
    assert "Init system seen: systemd." in text


def suggested(text: str) -> dict[str, object]:
    """Return the stream that is suggested, with the marks of a comment taken away."""
    lines = text.partition("# [streams.main]")[2].split("\n")
    keys = [line[2:] for line in lines if re.match(r"# [a-z]+ = ", line)]
    return tomllib.loads("\n".join(keys))


@pytest.mark.parametrize(
    ("changed", "source"),
    [
        ({}, {"v4l2": "/dev/video0", "gives": "raw"}),
        ({"v4l2 /dev/video0": sample("v4l2-node-1.12")}, {"v4l2": "/dev/video0", "gives": "h264"}),
        ({"v4l2 /dev/video0": sample("v4l2-node-1.18").replace("uvcvideo", "unicam")}, {"libcamera": ""}),
        ({"v4l2 /dev/video0": sample("v4l2-meta-1.18")}, {"test": "smpte"}),
        (
            {"v4l2 /dev/video0": sample("v4l2-node-1.18").replace("[1]: 'YUYV' (YUYV 4:2:2)", "")},
            {"v4l2": "/dev/video0", "gives": "jpeg"},
        ),
    ],
)
def test_the_source_that_is_suggested(changed: dict[str, str], source: dict[str, str]) -> None:
    stream = suggested(first_board_file(facts(CAMERA_BOARD | changed), "porch", SYSROOTS))
    assert stream["source"] == source


def test_the_stream_that_is_suggested_fits_what_was_seen() -> None:
    stream = suggested(first_board_file(facts(CAMERA_BOARD), "porch", SYSROOTS))
    picture = {"width": 640, "height": 480, "framerate": 30, "bitrate": 512}
    assert stream["video"] == {"encoder": "v4l2h264enc", **picture}
    assert stream["audio"] == {"alsa": "hw:1,0", "rate": 48000}
    assert stream["sink"] == {"kvs": "porch", "storage_size": 90}


def test_a_board_without_hardware_encoder() -> None:
    listed = CAMERA_BOARD["gst-list"].replace("v4l2h264enc", "v4l2jpegenc")
    text = first_board_file(facts(CAMERA_BOARD | {"gst-list": listed}), "porch", SYSROOTS)
    assert 'encoder = "x264enc"' in text


@pytest.mark.parametrize(
    ("changed", "sysroot"),
    [
        ({}, "debian12-armv7"),
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
