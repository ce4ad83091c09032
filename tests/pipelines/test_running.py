"""Rendered pipelines, run by this machine's GStreamer, and what is in the files that they write."""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from deploy.pipelines.argv import GST_LAUNCH, pipeline_command
from tests.pipelines.gstreamer import needs
from tests.pipelines.lines import (
    composed,
)


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
