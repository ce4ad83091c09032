"""The schema for editors against a validator that is not ours: what it takes, and what it finds."""

from __future__ import annotations

import itertools
import json
import pickle
import tomllib
from collections.abc import Iterator
from typing import Any

import pytest
from jsonschema import Draft202012Validator
from pydantic import ValidationError

from deploy.boards.board import BoardFile
from deploy.boards.layers import board_paths, example_paths
from recipes import paths

SCHEMA = json.loads((paths.BOARDS / "board.schema.json").read_text())
VALIDATOR = Draft202012Validator(SCHEMA)
SHIPPED = {**board_paths(), **example_paths()}
# Every table and nearly every key that a board's file may have.
WHOLE = """
schema = 2
arch = "armv7"
sysroot = "debian12-armv7"
root = "/opt/boardcast"
recipes = ["boardprobe"]
extras = ["samples"]
init = "systemd"
keep = 3
variants = ["small"]
patches = ["uploader-mp3"]
trusted_keys = ["me"]
[policy]
openssl = "source"
zlib = "1.2.13"
[dedupe."libssl.so.3"]
prefer = "board"
because = "it is there"
[probe]
elements = ["v4l2src"]
ca_file = "/etc/ca.pem"
https = "https://example.com/"
[credentials]
file = "/etc/kvs.env"
[credentials.iot]
endpoint = "c.example.com"
cert_path = "/c.pem"
key_path = "/k.pem"
ca_path = "/ca.pem"
role_aliases = "alias"
connection_timeout = 3
[environment]
region = "eu-central-1"
log_level = "warn"
log_sdp = true
variables = { A = "b" }
[limits]
stall = 30
uplink_kbps = 4000
[service]
user = "camera"
groups = ["video"]
wait_for_clock = true
patience = 60
[devices]
front = { camera = "/dev/video0", gives = "raw" }
mic = { microphone = "hw:1,0" }
horn = { speaker = "hw:0,0" }
sensor = { libcamera = "imx219" }
vpu = { node = "/dev/vpu", element = "acmesrc", property = "device", properties = { mode = 3 }, package = "acme" }
[streams.main]
runs = "boot"
source = { device = "front" }
video.encoder = "x264enc"
video.width = 640
video.height = 480
video.framerate = "30000/1001"
video.bitrate = 512
video.b_frames = 0
video.key_frame_interval = 60
video.parsed_caps = true
video.properties = { threads = 1 }
audio = { device = "mic", encoder = "voaacenc", rate = 48000, channels = 1, resample = true }
sinks = [
  { kvs = "porch", storage_size = 64, streaming_type = "realtime", fragment_acks = true },
  { webrtc = "x", content = "video-only", log_level = 3 },
  { file = "/a.mkv" },
  { fake = true },
]
[streams.other]
source = { rtsp = "rtsp://192.0.2.1/", user = "u", password_file = "/p", protocols = "tcp", latency = 100 }
sink = { kvs = "yard" }
[streams.tone]
source = { test = "ball" }
video = { encoder = "x264enc" }
audio = { alsa = "hw:0,0" }
sink = { fake = true }
[streams.sample]
sample = "kvs_gstreamer_sample"
stream = "x"
width = 640
height = 480
[streams.both]
sample = "kvs_gstreamer_audio_video_sample"
stream = "x"
microphone = "mic"
camera = "front"
[streams.file]
sample = "kvs_gstreamer_file_uploader_sample"
stream = "x"
file = "/a.mkv"
content = "video-only"
[streams.many]
sample = "kvs_gstreamer_multistream_sample"
stream = "x"
addresses = "/etc/urls"
[sim]
suite = "bookworm"
mode = "extract"
packages = ["busybox"]
server = "dropbear"
flash_mib = 0
"""
KINDS = ("extra_forbidden", "literal_error", "enum", "sample", "sink")
WRONG: tuple[Any, ...] = (3, True, "neither this nor that", ["x", 1], {"unknown": 1})


def raw(name: str) -> Any:
    return tomllib.loads(SHIPPED[name].read_text()) if name in SHIPPED else tomllib.loads(WHOLE)


def found_by_loader(value: Any) -> list[str]:
    """Return the faults of kind type, enum and unknown key that our own loader has."""
    try:
        BoardFile.model_validate(value)
    except ValidationError as error:
        return [f"{'.'.join(map(str, fault['loc']))}: {fault['type']}" for fault in error.errors()
                if fault["type"] in KINDS or fault["type"].endswith(("_type", "_parsing"))]  # fmt: skip
    return []


def places(value: Any, place: tuple[int | str, ...] = ()) -> Iterator[tuple[int | str, ...]]:
    """Yield the place of everything in a file, tables and lists among it."""
    inner = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, below in inner:
        yield (*place, key)
        yield from places(below, (*place, key))


def at(value: Any, place: tuple[int | str, ...]) -> Any:
    for part in place:
        value = value[part]
    return value


def pieces(value: Any) -> Iterator[Any]:
    """Yield a file as several, each with one table or one stream of it: a wrong value is then read with little else."""
    streams, tables = value.get("streams", {}), {key for key, held in value.items() if isinstance(held, dict)}
    head = {key: held for key, held in value.items() if key not in tables}
    yield head
    yield from ({**head, key: value[key]} for key in sorted(tables - {"streams"}))
    devices = {"devices": value["devices"]} if "devices" in value else {}
    yield from ({**head, **devices, "streams": {name: stream}} for name, stream in streams.items())


def mutated(value: Any) -> Iterator[tuple[str, Any]]:
    """Yield the file with each of its values in turn replaced by wrong ones, and with a key too many in each table."""
    whole = pickle.dumps(value)
    for place in [(), *places(value)]:
        if isinstance(at(value, place), dict):
            changed = pickle.loads(whole)
            at(changed, place)["unknwon"] = 1
            yield f"{place} and a key too many", changed
        for wrong in WRONG if place else ():
            changed = pickle.loads(whole)
            at(changed, place[:-1])[place[-1]] = wrong
            yield f"{place} = {wrong!r}", changed


def test_the_schema_is_one() -> None:
    Draft202012Validator.check_schema(SCHEMA)


@pytest.mark.parametrize("name", [*SHIPPED, "every table"])
def test_what_is_right_is_valid(name: str) -> None:
    value = raw(name)
    BoardFile.model_validate(value)
    assert [error.message for error in VALIDATOR.iter_errors(value)] == []


@pytest.mark.parametrize("name", [*SHIPPED, "every table"])
def test_every_fault_of_type_word_or_key_is_found_by_the_schema_too(name: str) -> None:
    missed, found = [], 0
    for what, value in itertools.chain.from_iterable(map(mutated, pieces(raw(name)))):
        if faults := found_by_loader(value):
            found += 1
            if VALIDATOR.is_valid(value):
                missed.append(f"{what}: {faults}")
    assert missed == []
    assert found > 50


def test_a_wrong_word_of_a_source_is_found() -> None:
    for source in (
        {"v4l2": 3},
        {"rtsp": True},
        {"test": 1},
        {"v4l2": "/dev/video0", "kind": "v4l2"},
        {},
        {"device": "A b"},
    ):
        value = raw("every table")
        value["streams"]["tone"]["source"] = source
        assert not VALIDATOR.is_valid(value), source
        with pytest.raises(ValidationError):
            BoardFile.model_validate(value)
