"""Fragmented MP4, read back by our own walk through the boxes, by FFmpeg, and played by a browser."""

from __future__ import annotations

import base64
import io
import itertools
import struct
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import av
import pytest

from deploy.media.codecs import describe
from deploy.media.fmp4 import init_segment, media_segment
from deploy.media.matroska import parse_cluster
from deploy.media.model import Frame, MediaError, Track, TrackKind
from tests.support.captures import PRODUCER, put_media_bodies
from tests.support.media import START_MS, make_fragments, make_header, split

MS = 1_000_000
CHROMIUM = Path("/usr/bin/chromium")


def body(count: int, **kind: Any) -> bytes:
    return make_header(**kind) + b"".join(make_fragments(count, **kind))


def segments(stream: bytes, number: int) -> tuple[Track, list[list[Frame]], list[bytes]]:
    """Return a track, its frames by fragment, and its MP4: the beginning, then one a fragment."""
    header, fragments = split(stream)
    clusters = [parse_cluster(data, header) for data in fragments]
    track = next(track for track in header.tracks if track.number == number)
    codec, frames = describe(track), [list(cluster.of(number)) for cluster in clusters]
    begins = [min(frame.pts for frame in some) for some in frames]
    made = [init_segment(track, codec)]
    for place, (some, base, until) in enumerate(zip(frames, begins, [*begins[1:], None], strict=True), start=1):
        made.append(media_segment(track, codec, some, sequence=place, base=base, until=until))
    return track, frames, made


CONTAINERS = {b"moov", b"trak", b"mdia", b"minf", b"stbl", b"mvex", b"moof", b"traf", b"edts", b"dinf"}


def boxes(data: bytes, path: str = "") -> Iterator[tuple[str, bytes]]:
    """Walk through the boxes as the standard has them, each with its body."""
    at = 0
    while at < len(data):
        size, kind = int.from_bytes(data[at : at + 4]), data[at + 4 : at + 8]
        assert 8 <= size <= len(data) - at
        yield path + kind.decode(), data[at + 8 : at + size]
        if kind in CONTAINERS:
            yield from boxes(data[at + 8 : at + size], f"{path}{kind.decode()}/")
        at += size


def rows(segment: bytes) -> tuple[int, list[tuple[int, int, int, int]]]:
    """Return a segment's decode time, and duration, size, flags and offset of each sample; hold where the data is."""
    parts = dict(boxes(segment))
    run, flags = parts["moof/traf/trun"], int.from_bytes(parts["moof/traf/trun"][:4])
    count, where = struct.unpack_from(">II", run, 4)
    assert (flags, parts["moof/traf/tfhd"]) == (0x1000F01, bytes.fromhex("00020000 00000001")), "base is moof"
    assert segment[where - 4 : where] == b"mdat"
    found = list(struct.iter_unpack(">IIIi", run[12:]))
    assert len(found) == count
    assert sum(row[1] for row in found) == len(parts["mdat"])
    assert parts["moof/traf/tfdt"][:4] == b"\1\0\0\0"
    return int.from_bytes(parts["moof/traf/tfdt"][4:]), found


def test_the_beginning_of_a_file_has_what_players_ask_for() -> None:
    track, _, (init, *_) = segments(body(1), 1)
    parts = dict(boxes(init))
    tree = ["ftyp", "moov", "moov/mvhd", "moov/trak", "moov/trak/tkhd", "moov/trak/mdia", "moov/trak/mdia/mdhd"]
    assert [name for name in parts if name.count("/") < 4 and "minf" not in name][: len(tree)] == tree
    assert parts["moov/mvex/trex"] == struct.pack(">6I", 0, 1, 1, 0, 0, 0)
    assert b"avcC" + track.private in parts["moov/trak/mdia/minf/stbl/stsd"]
    assert parts["moov/trak/tkhd"][-8:] == struct.pack(">II", 160 << 16, 120 << 16)
    sound, _, (init, *_) = segments(body(1), 2)
    assert sound.private in dict(boxes(init))["moov/trak/mdia/minf/stbl/stsd"]


@pytest.mark.parametrize("number", [1, 2])
@pytest.mark.parametrize("bframes", [0, 2])
def test_samples_have_their_times_sizes_and_key_frames_and_fragments_join(number: int, bframes: int) -> None:
    track, frames, (_, *made) = segments(body(3, bframes=bframes), number)
    scale = 90 if track.kind is TrackKind.VIDEO else 16
    ends = START_MS * scale
    for some, segment in zip(frames, made, strict=True):
        begin, found = rows(segment)
        # Sound goes on where it was; nothing is lost or doubled between two fragments.
        assert begin == ends
        decodes = [begin, *(begin + total for total in itertools.accumulate(row[0] for row in found))]
        shown = [decode + row[3] for decode, row in zip(decodes, found, strict=False)]
        assert shown == [frame.pts // MS * scale for frame in some]
        assert [row[2] == 0x2000000 for row in found] == [frame.key for frame in some]
        assert dict(boxes(segment))["mdat"] == b"".join(frame.data for frame in some)
        assert decodes[:-1] == sorted(shown)
        ends = decodes[-1]
    assert (min(row[3] for row in found) < 0) == bool(bframes and number == 1)


def decoded(data: bytes) -> list[int]:
    """Decode every frame with FFmpeg; return their times in milliseconds."""
    with av.open(io.BytesIO(data), "r") as file:
        assert len(file.streams) == 1
        frames = [frame for packet in file.demux() for frame in packet.decode()]
        return [round(frame.pts * frame.time_base * 1000) for frame in frames if frame.pts is not None]  # type: ignore[union-attr, operator]


@pytest.mark.parametrize("number", [1, 2])
@pytest.mark.parametrize("kind", [{}, {"codec": "libx265"}, {"fps": 25, "size": (320, 240), "seconds": 2}], ids=str)
def test_ffmpeg_decodes_every_frame_at_its_time(kind: dict[str, Any], number: int) -> None:
    _, frames, made = segments(body(3, **kind), number)
    assert decoded(b"".join(made)) == [frame.pts // MS for some in frames for frame in some]
    # A player may begin at any fragment.
    assert decoded(made[0] + made[2]) == [frame.pts // MS for frame in frames[1]]


@pytest.mark.parametrize("codec", ["libx264", "libx265"])
def test_ffmpeg_shows_b_frames_in_order(codec: str) -> None:
    """It moves a track with negative offsets by the largest of them, all of it; a browser does not."""
    _, frames, made = segments(body(3, codec=codec, bframes=2), 1)
    times = decoded(b"".join(made))
    expected = sorted(frame.pts // MS for some in frames for frame in some)
    assert len({time - wanted for time, wanted in zip(times, expected, strict=True)}) == 1
    assert times[0] - expected[0] in {100, 200}


@pytest.mark.parametrize("name", PRODUCER)
def test_recordings_of_the_real_client_become_mp4_that_ffmpeg_decodes(name: str) -> None:
    for stream in put_media_bodies(name):
        for track in split(stream)[0].tracks:
            _, frames, made = segments(stream, track.number)
            # The encoder that was recorded gave the sound's first frame 24 ms at the beginning.
            assert decoded(b"".join(made)) == [frame.pts // MS for some in frames for frame in some]


def test_the_last_sample_lasts_as_the_one_before_where_nothing_follows() -> None:
    track = segments(body(1, audio=False), 1)[0]
    codec = describe(track)
    frames = [Frame(1, at * MS, key=not at, data=b"x") for at in (0, 40, 90)]

    def durations(until: int | None, some: list[Frame] = frames) -> list[int]:
        made = media_segment(track, codec, some, sequence=1, base=some[0].pts, until=until)
        return [row[0] // 90 for row in rows(made)[1]]

    assert durations(None) == [40, 50, 50]
    assert durations(200 * MS) == [40, 50, 110]
    assert durations(90 * MS) == [40, 50, 50], "the next fragment does not begin before this one's last frame"
    assert durations(None, frames[:1]) == [100], "10 pictures a second, as the parameter set says"


def test_times_may_be_moved_to_another_origin() -> None:
    track, (frames,), _ = segments(body(1, audio=False), 1)
    made = media_segment(track, describe(track), frames, sequence=7, base=0, until=1000 * MS)
    assert rows(made)[0] == 0
    assert sum(row[0] for row in rows(made)[1]) == 90_000
    assert dict(boxes(made))["moof/mfhd"] == struct.pack(">II", 0, 7)


def test_a_fragment_without_a_frame_of_the_track_is_refused() -> None:
    track = segments(body(1), 1)[0]
    with pytest.raises(MediaError, match="without a frame of track 1"):
        media_segment(track, describe(track), [], sequence=1, base=0, until=None)


PAGE = """async (tracks) => {
  const media = new MediaSource(), video = document.querySelector("video"), seen = {errors: []};
  video.src = URL.createObjectURL(media);
  await new Promise(done => media.addEventListener("sourceopen", done, {once: true}));
  const buffers = tracks.map(({type}) => media.addSourceBuffer(type));
  for (const [place, {type, parts}] of tracks.entries()) {
    const buffer = buffers[place];
    for (const part of parts) {
      buffer.appendBuffer(Uint8Array.from(atob(part), c => c.charCodeAt(0)));
      await new Promise(done => buffer.addEventListener("updateend", done, {once: true}));
    }
    seen[type] = [buffer.buffered.length, buffer.buffered.start(0), buffer.buffered.end(buffer.buffered.length - 1)];
  }
  media.endOfStream();
  const over = new Promise(done => video.addEventListener("ended", done));
  await video.play();
  await Promise.race([over, new Promise(done => setTimeout(done, 9000))]);
  return {...seen, ended: video.ended, width: video.videoWidth, error: video.error?.message ?? "",
          frames: video.getVideoPlaybackQuality().totalVideoFrames, sound: video.webkitAudioDecodedByteCount};
}"""


@pytest.mark.process
@pytest.mark.loopback
@pytest.mark.skipif(not CHROMIUM.exists(), reason="Debian's chromium is not installed")
@pytest.mark.parametrize("bframes", [0, 2])
def test_a_browser_plays_pictures_and_sound_without_a_gap(bframes: int) -> None:
    from playwright.sync_api import sync_playwright

    tracks = []
    for number in (1, 2):
        header, fragments = split(body(3, bframes=bframes))
        track, codec = header.tracks[number - 1], describe(header.tracks[number - 1])
        frames = [parse_cluster(data, header).of(number) for data in fragments]
        begins = [min(frame.pts for frame in some) - START_MS * MS for some in frames]
        parts = [init_segment(track, codec)]
        for place, some in enumerate(frames):
            until = begins[place + 1] if place + 1 < len(frames) else None
            parts.append(media_segment(track, codec, some, sequence=place + 1, base=begins[place], until=until))
        kind = "video" if number == 1 else "audio"
        mime = f'{kind}/mp4; codecs="{codec.rfc6381}"'
        tracks.append({"type": mime, "parts": [base64.b64encode(part).decode() for part in parts]})
    arguments = ["--no-sandbox", "--autoplay-policy=no-user-gesture-required"]
    with sync_playwright() as play:
        browser = play.chromium.launch(executable_path=str(CHROMIUM), args=arguments)
        page = browser.new_page()
        page.set_content("<video></video>")
        seen = page.evaluate(PAGE, tracks)
        browser.close()
    assert (seen["error"], seen["ended"], seen["width"]) == ("", True, 160)
    assert seen[tracks[0]["type"]] == [1, 0, 3]
    assert seen[tracks[1]["type"]] == [1, 0, pytest.approx(2.944)]
    assert seen["frames"] >= 28
    assert seen["sound"] > 10_000
