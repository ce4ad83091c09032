"""What a board's file becomes, as it is printed."""

from __future__ import annotations

import re
import shlex
import time
import tomllib
from pathlib import Path

import pytest

from deploy.boards.board import Board, BoardFile
from deploy.bundle.streams import service_rows
from deploy.control.render import _differences, render_board, rendered_files
from deploy.launch.streams import stream_programs
from recipes import paths
from recipes.errors import ConfigError

HEAD = 'schema = 2\narch = "armv7"\nsysroot = "debian12-armv7"\ninit = "systemd"\n'
FRONT = """
[environment]
region = "eu-west-1"
log_level = "debug"
[streams.front]
source = { v4l2 = "/dev/video0" }
video = { encoder = "x264enc", width = 640, height = 480, framerate = 15, bitrate = 500, key_frame_interval = 30 }
sink = { kvs = "front-door", storage_size = 32 }
"""
IOT = """
[credentials.iot]
endpoint = "c2sakl5huz0afv.credentials.iot.eu-west-1.amazonaws.com"
cert_path = "/etc/kvs/cert.pem"
key_path = "/etc/kvs/key.pem"
ca_path = "/etc/kvs/ca.pem"
role_aliases = "KvsCameraIoTRoleAlias"
"""


def board(text: str) -> Board:
    return Board(name="cam", file=BoardFile.model_validate(tomllib.loads(HEAD + text)))


def test_a_camera_of_a_few_lines() -> None:
    (front,) = render_board(board(FRONT))
    assert front.by_hand[0] == "gst-launch-1.0"
    assert front.by_hand[1:3] == ("v4l2src", "device=/dev/video0")
    (program,) = front.programs
    assert program.program == "bin/boardstream"
    words = program.arguments
    assert words[: words.index("--")] == (
        *("--name", "front", "--status", "/var/run/boardcast-front/stream.json"),
        *("--stall", "30", "--ack-stall", "120", "--memory", "0"),
    )
    assert set(words[words.index("--") + 1 :]) - set(front.by_hand) == {words[-2]}
    assert "log-config=/opt/boardcast/current/share/boardcast/kvs_log_configuration" in words
    assert dict(program.environment) == {"AWS_DEFAULT_REGION": "eu-west-1", "AWS_KVS_LOG_LEVEL": "2"}
    files = rendered_files(board(FRONT))
    assert files["share/boardcast/kvs_log_configuration"][0].startswith(b"log4cplus.rootLogger=DEBUG, Console\n")
    assert files["services/list"][0] == b"_boot\nfront\n"
    assert "services/front/files/etc/systemd/system/boardcast-front.service" in files


def test_the_certificate_of_a_board_is_in_both_vocabularies() -> None:
    talk = '[streams.talk]\nsink = { webrtc = "front-talk", program = "kvsWebrtcClientMaster" }\n'
    sample = '[streams.old]\nsample = "kvs_gstreamer_sample"\nstream = "old-door"\n'
    programs = {program.name: program for program in stream_programs(board(FRONT + talk + sample + IOT))}
    (structure,) = [word for word in programs["front"].arguments if word.startswith("iot-certificate=")]
    assert "cert-path=/etc/kvs/cert.pem" in structure
    assert programs["talk"].environment["AWS_IOT_CORE_THING_NAME"] == "front-talk"
    assert programs["talk"].environment["AWS_IOT_CORE_CERT"] == "/etc/kvs/cert.pem"
    assert programs["old"].environment["IOT_GET_CREDENTIAL_ENDPOINT"].startswith("c2sakl5huz0afv.")
    assert programs["old"].environment["CA_CERT_PATH"] == "/etc/kvs/ca.pem"


def test_what_travels_is_what_the_streams_use() -> None:
    assert board(FRONT).recipes == ("producer", "streamer", "boardprobe")
    talk = '[streams.talk]\nsink = { webrtc = "front-talk" }\n'
    assert board(talk).recipes == ("webrtc", "boardprobe")
    assert board(f'recipes = ["teststream"]\n{FRONT}').recipes == ("teststream", "producer", "streamer", "boardprobe")


def test_the_element_of_our_own_takes_the_sdks_place_by_one_line() -> None:
    ours = board(f'kvssink = "kvsclient"\n{FRONT}')
    assert ours.recipes == ("kvsclient", "streamer", "boardprobe")
    assert rendered_files(ours) == rendered_files(board(FRONT)), "nothing else changes"


def test_a_password_is_in_no_word_and_no_line_by_hand() -> None:
    text = """
[streams.gate]
source = { rtsp = "rtsp://gate/live", user = "admin", password_file = "/etc/kvs/gate" }
sink = { kvs = "gate" }
"""
    (gate,) = render_board(board(text))
    assert gate.by_hand == ()
    words = gate.programs[0].arguments
    assert words[words.index("--property-file") + 1] == "src.user-pw=/etc/kvs/gate"
    assert "password" not in "\n".join(gate.lines())
    line = shlex.split(gate.line)
    assert line[1:5] == ["AWS_KVS_LOG_LEVEL=4", "/opt/boardcast/current/bin/boardstream", "--name", "gate"]
    assert line[5:7] == ["--property-file", "src.user-pw=/etc/kvs/gate"]


def test_a_stream_that_the_service_would_refuse_is_not_rendered() -> None:
    text = FRONT.replace("key_frame_interval = 30", "key_frame_interval = 450")
    with pytest.raises(ConfigError) as caught:
        render_board(board(text))
    assert "streams.front.video.key_frame_interval" in caught.value.why


def test_two_programs_of_one_name_are_refused() -> None:
    text = (
        FRONT
        + """
[streams.front-webrtc]
source = { test = "ball" }
video = { encoder = "x264enc", key_frame_interval = 30, framerate = 15 }
sink = { fake = true }
[streams.two]
"""
    )
    text = text.replace("[streams.two]\n", "").replace(
        'sink = { kvs = "front-door", storage_size = 32 }',
        'sinks = [{ kvs = "front-door" }, { webrtc = "front-talk", program = "kvsWebrtcClientMaster" }]',
    )
    with pytest.raises(ConfigError, match="two programs of cam would be called 'front-webrtc'"):
        stream_programs(board(text))


def test_every_section_of_the_notes_is_a_stream_that_renders() -> None:
    page = (paths.CHECKOUT / "docs" / "manual-steps.md").read_text()
    (text,) = re.findall(r"```toml\n(.*?)```", page, re.DOTALL)
    notes = Board(name="mycam", file=BoardFile.model_validate(tomllib.loads(text)))
    rendered = {stream.name: stream for stream in render_board(notes)}
    table = re.findall(r"^\| (\d[^|]*) \| `([a-z0-9-]+)` \|", page, re.MULTILINE)
    assert [name for _, name in table] == list(rendered)
    for section, name in table:
        assert f"# {section}" in text, f"{name}: its table names no section"
    assert rendered["upload"].programs[0].arguments == ("HelloLankaKVS", "/home/me/lanka520-h264andmp3.mp4", "0")
    assert not [name for name, stream in rendered.items() if not stream.programs]
    assert len(rendered_files(notes)) > 50


def test_a_diff_names_what_comes_goes_and_changes() -> None:
    lines = list(_differences({"run/a": b"one\n", "run/b": b"x\n"}, {"run/a": b"two\x1b\n", "run/c": b"y\n"}))
    assert "-one" in lines
    assert "+two\\x1b" in lines
    assert lines.count("--- there/run/b") == lines.count("+++ /dev/null") == lines.count("+++ here/run/c") == 1


def test_a_hundred_boards_take_less_than_a_second(tmp_path: Path) -> None:
    """The bound is ten times what it takes, so that it tells a kind of slowness and no busy machine."""
    boards = [board(FRONT.replace("front", f"front{number}")) for number in range(100)]
    begun = time.process_time()
    assert sum(len(rendered_files(one)) for one in boards) == 2200
    assert time.process_time() - begun < 10
    assert len(service_rows(boards[7])) == 1
