"""All faults of board files at once, each with file, line and key; examples that are right; the figure for all."""

from __future__ import annotations

import json
import re
import time
from collections.abc import Callable
from fractions import Fraction
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from invoke import Context, Exit

from deploy.boardfiles.check import CheckedBoard, check_board
from deploy.boards.board import load_board
from deploy.boards.layers import board_paths, example_paths
from deploy.commands.board import check, schema, show
from deploy.launch.streams import stream_programs
from deploy.pipelines.facts import BoardFacts, CameraMode
from recipes import paths

RIGHT = """\
schema = 2
arch = "armv7"
sysroot = "debian12-armv7"
init = "systemd"
[limits]
uplink_kbps = 4000
[streams.main]
source = { v4l2 = "/dev/video0" }
video = { encoder = "x264enc", width = 640, height = 480, framerate = 15, bitrate = 512, key_frame_interval = 30 }
audio = { alsa = "hw:1,0", rate = 48000 }
sink = { kvs = "porch", storage_size = 64 }
"""
Write = Callable[[str], Path]


@pytest.fixture
def write(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Write:
    """Return a function that writes the file of the one board of a folder outside the checkout."""
    monkeypatch.setenv("BOARDCAST_BOARDS", str(tmp_path))

    def written(text: str) -> Path:
        path = tmp_path / "cam" / "board.toml"
        path.parent.mkdir(exist_ok=True)
        path.write_text(text)
        return path

    return written


def told(checked: CheckedBoard) -> list[str]:
    return [f"{fault.line}: {fault.text}" for fault in checked.faults]


@pytest.mark.parametrize("name", [*board_paths(), *example_paths()])
def test_what_is_shipped_is_right_and_renders(name: str) -> None:
    checked = check_board(name)
    assert checked.faults == ()
    assert len(stream_programs(load_board(name))) >= len(checked.streams)


def test_the_examples_are_short_and_of_every_kind() -> None:
    texts = {name: path.read_text() for name, path in example_paths().items()}
    for text in texts.values():
        assert text.startswith("#:schema ../../board.schema.json\n")
        keys = [line for line in text.splitlines() if line and not line.startswith("#")]
        assert len(keys) <= 25
    inits = {load_board(name).file.init for name in texts}
    assert inits >= {"systemd", "busybox", "procd"}
    sources = {str(stream.model_dump()["source"]["kind"]) for name in texts
               for stream in load_board(name).file.streams.values()}  # fmt: skip
    assert sources >= {"v4l2", "element", "rtsp"}


def test_all_faults_are_told_at_once_with_line_and_key(write: Write) -> None:
    path = write(
        RIGHT.replace('"armv7"\n', '"amrv7"\n', 1)
        .replace("debian12-armv7", "debian12-arm7")
        .replace("bitrate = 512, key_frame_interval = 30", "bitrate = 5000, key_frame_interval = 300, b_frames = 2")
        + '[policy]\nopenssll = "board"\n'
    )
    lines = told(check_board("cam"))
    for line, words in (
        ("2: arch: no arch 'amrv7'", "did you mean 'armv7'?"),
        ("3: sysroot: no sysroot 'debian12-arm7'", "did you mean 'debian12-armv7'?"),
        ("9: streams.main.video.key_frame_interval: a key frame every 20 s", "fragments are 1 to 10 s long"),
        ("9: streams.main.video.bitrate: ", "uplink of 4000"),
        ("9: streams.main.video.b_frames: ", "write b_frames = 0"),
        ("11: streams.main.sink.storage_size: ", "write storage_size"),
        ("13: policy.openssll: ", "did you mean 'openssl'?"),
    ):
        assert [one for one in lines if one.startswith(line) and words in one], (line, lines)
    with pytest.raises(Exit) as caught:
        check.body(Context(), board=["cam"], json=False)
    assert caught.value.code == 2
    assert f"{paths.shown_path(path)}:2: arch: no arch 'amrv7'" in " ".join(str(caught.value.message).split())


def test_faults_of_form_are_told_at_once_too(write: Write) -> None:
    write(RIGHT.replace("bitrate", "bitrat").replace("schema = 2", "schema = 2\nkep = 3").replace("kvs =", "kvss ="))
    lines = told(check_board("cam"))
    assert "2: kep: unknown key (did you mean 'keep'?)" in lines
    assert "10: streams.main.video.bitrat: unknown key (did you mean 'bitrate'?)" in lines
    assert [line for line in lines if line.startswith("12: streams.main.sink")]


def test_what_cannot_be_read_has_its_line(write: Write) -> None:
    write("schema = 2\narch = \n")
    assert told(check_board("cam"))[0].startswith("2: not a TOML file")
    write('schema = 2\n\nextends = "sim-amrv7"\n')
    assert told(check_board("cam"))[0].startswith("3: no board to extend 'sim-amrv7': did you mean 'sim-armv7'?")


OWN = [name for name, path in example_paths().items() if f'sysroot = "{name}"' in path.read_text()]


@pytest.mark.parametrize("example", OWN)
def test_a_board_that_extends_an_example_is_told_that_the_sysroot_is_its_own(write: Write, example: str) -> None:
    write(f'schema = 2\nextends = "{example}"\n')
    (fault,) = check_board("cam").faults
    assert fault.path == example_paths()[example]
    assert fault.path.read_text().splitlines()[fault.line - 1].startswith("sysroot = ")
    for part in (f"'{example}' is {example}'s own", 'write sysroot = "cam" into cam/board.toml', "sysroot.pull"):
        assert part in fault.text
    write(f'schema = 2\nextends = "{example}"\nsysroot = "cam"\n')
    assert check_board("cam").faults == ()
    write(f'schema = 2\nextends = "{example}"\nsysroot = "debian12-armv6"\n')
    (fault,) = check_board("cam").faults
    assert "did you mean 'debian12-armv" in fault.text


def test_the_examples_with_a_sysroot_of_their_own() -> None:
    assert len(OWN) >= 2


def test_what_rendering_refuses_is_a_fault(write: Write) -> None:
    write(RIGHT + '[streams.main-webrtc]\nsink = { webrtc = "x" }\n[streams.both]\nsource = { test = "ball" }\n'
          'video.encoder = "x264enc"\nsinks = [{ fake = true }, { webrtc = "y" }]\n'
          '[streams.both-webrtc]\nsink = { webrtc = "z" }\n')  # fmt: skip
    (line,) = [line for line in told(check_board("cam")) if "would be called" in line]
    assert line.startswith("18: streams.both-webrtc: two programs of cam")


def test_a_live_board_is_checked_against_what_it_has(write: Write) -> None:
    write(RIGHT)
    modes = [CameraMode(format="YUYV", width=800, height=600, framerates=(Fraction(10),))]
    facts = BoardFacts(
        elements=frozenset({"v4l2src"}), cameras={"/dev/video0": modes}, microphones={"hw:1,0": (16000,)}, ram_mb=64
    )
    assert check_board("cam").faults == ()
    lines = told(check_board("cam", facts))
    for text in (
        "offers no raw pictures of 640x480 at 15 a second; the nearest are 800x600 YUYV at 10",
        "hw:1,0 offers 16000 samples a second, not 48000; write resample = true, or rate = 16000",
        "64 MB of store is more than half of the 64 MB of memory",
        "the board has no element x264enc; install gstreamer1.0-plugins-ugly on it",
    ):
        assert any(text in line for line in lines), (text, lines)


def test_what_is_not_known_of_a_board_is_not_claimed(write: Write) -> None:
    write(RIGHT)
    ranges = [CameraMode(format="YUYV", width=32, height=32, to_width=1920, to_height=1080, framerates=())]
    for modes in ([], ranges):
        assert check_board("cam", BoardFacts(cameras={"/dev/video0": modes}, microphones={"hw:1,0": ()})).faults == ()
    small = [CameraMode(format="YUYV", width=32, height=32, to_width=320, to_height=240, framerates=())]
    (line,) = told(check_board("cam", BoardFacts(cameras={"/dev/video0": small})))
    assert "the nearest are 32x32-320x240 YUYV" in line


def test_the_tasks_print_what_they_find(write: Write, capsys: pytest.CaptureFixture[str]) -> None:
    write(RIGHT.replace(", key_frame_interval = 30", "").replace("framerate = 15", "framerate = 30"))
    check.body(Context(), board=[], json=False)
    out = capsys.readouterr().out
    assert "cam: right; streams: main" in out
    assert "sim-tiny: right; streams: none" in out
    assert re.search(r"advice: \S+/cam/board\.toml:9: streams\.main\.video\.key_frame_interval", out)
    check.body(Context(), board=["cam"], json=True)
    (row,) = json.loads(capsys.readouterr().out)
    assert (row["board"], row["faults"], row["advice"][0]["line"]) == ("cam", [], 9)
    write(RIGHT.replace("arch", "arhc"))
    with pytest.raises(Exit) as caught:
        check.body(Context(), board=["cam"], json=True)
    assert caught.value.code == 2
    (row,) = json.loads(capsys.readouterr().out)
    assert row["faults"][0]["text"].startswith("arch: missing")
    show.body(Context(), board="raspberrypi-armv7", origin=True, json=True)
    rows = {row["key"]: row["origin"] for row in json.loads(capsys.readouterr().out)}
    assert rows["streams.main.video.bitrate"] == "board-configs/examples/raspberrypi-armv7/board.toml:27"
    assert rows["keep"] == "default"
    schema.body(Context(), json=True)
    assert json.loads(capsys.readouterr().out)["title"] == "Boardcast board file"


@settings(max_examples=120, suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(data=st.data())
def test_each_mutated_field_of_each_example_is_read_or_told_with_its_line(write: Write, data: st.DataObject) -> None:
    """P-33: file, line and key, never a traceback."""
    lines = example_paths()[data.draw(st.sampled_from(sorted(example_paths())))].read_text().splitlines()
    at = data.draw(st.sampled_from([at for at, line in enumerate(lines) if "=" in line.partition("#")[0]]))
    key, equals, value = lines[at].partition("=")
    odd = st.sampled_from(["0", "-1", "99999999", '""', '"x\\u0000y"', "[]", "{}", "true", "1.5", '"/a/../b"', "nan"])
    which = data.draw(st.sampled_from(["key", "value"]))
    changed = f"{key.strip()}x {equals}{value}" if which == "key" else f"{key}{equals} {data.draw(odd)}"
    write("\n".join([*lines[:at], changed, *lines[at + 1 :], ""]))
    checked = check_board("cam")
    for fault in checked.faults:
        assert fault.path == paths.board_folders()[0] / "cam" / "board.toml"
        assert re.match(r"[\w.\[\]-]+: \S|[\w ]+: ", fault.text)
        assert fault.line or "missing: write" in fault.text or "missing" in fault.text
    if which == "key" and "{" not in lines[at]:
        assert [fault for fault in checked.faults if fault.line == at + 1], (changed, checked.faults)


def test_the_whole_folder_takes_half_a_second() -> None:
    from recipes.sources.recipe import load_catalogue

    names = [*board_paths(), *example_paths()]
    check_board(names[-1])  # modules are loaded, models are built
    begun = time.process_time()
    catalogue = load_catalogue()
    for name in names:
        check_board(name, catalogue=catalogue)
    assert time.process_time() - begun <= 0.5


@pytest.mark.parametrize(
    ("more", "expected"),
    [
        (
            'kvssink = "kvsclient"\nrecipes = ["producer"]',
            "6: recipes: two recipes would bring an element",
        ),
        ('recipes = ["kvsclient"]', "5: recipes: two recipes would bring an element named kvssink"),
        ('kvssink = "kvscleint"', "5: kvssink: "),
    ],
)
def test_of_two_elements_named_kvssink_one_is_chosen(write: Write, more: str, expected: str) -> None:
    write(RIGHT.replace("[limits]", f"{more}\n[limits]", 1))
    assert [fault for fault in told_of("cam") if fault.startswith(expected)], told_of("cam")
    write(RIGHT.replace("[limits]", 'kvssink = "kvsclient"\n[limits]', 1))
    assert told_of("cam") == []


def test_a_program_of_the_sdk_has_the_sdks_element(write: Write) -> None:
    sample = '[streams.old]\nsample = "kvs_gstreamer_sample"\nstream = "old"\n'
    write(RIGHT.replace("[limits]", 'kvssink = "kvsclient"\n[limits]', 1) + sample)
    (fault,) = told_of("cam")
    assert fault.startswith("5: kvssink: ")
    assert "'old' of [streams] is a program of the SDK" in fault


def told_of(name: str) -> list[str]:
    return told(check_board(name))
