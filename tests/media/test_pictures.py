"""Stills and clips of live material, read back by FFmpeg."""

from __future__ import annotations

import io
from collections.abc import Sequence
from dataclasses import replace
from typing import Any, Literal

import av
import pytest

from deploy.media.codecs import Codec, describe
from deploy.media.matroska import parse_cluster
from deploy.media.model import Cluster, Header, MediaError, TrackKind
from deploy.media.pictures import Picture, clip_mp4, is_black, is_green, same, still
from tests.support.captures import put_media_bodies
from tests.support.media import START_MS, make_fragments, make_header, split

MS = 1_000_000


def material(count: int = 2, *, picture: str = "moving", **kind: Any) -> tuple[Header, list[Cluster]]:
    header, fragments = split(make_header(**kind) + b"".join(make_fragments(count, picture=picture, **kind)))
    return header, [parse_cluster(data, header) for data in fragments]


def stills(places: Sequence[int] = (0,), **kind: Any) -> list[Picture]:
    header, clusters = material(**kind)
    track = header.tracks[0]
    return [still(track, describe(track), cluster.of(1), at=at) for cluster in clusters for at in places]


def opened(picture: bytes) -> tuple[str, int, int]:
    with av.open(io.BytesIO(picture), "r") as file:
        frame = next(file.decode(video=0))
        return file.streams.video[0].codec_context.name, frame.width, frame.height


@pytest.mark.parametrize("codec", ["libx264", "libx265"])
@pytest.mark.parametrize(
    ("asked", "size"),
    [((0, 0), (160, 120)), ((80, 0), (80, 60)), ((0, 90), (120, 90)), ((64, 64), (64, 64)), ((33, 0), (33, 25))],
)
@pytest.mark.parametrize(("form", "name"), [("JPEG", "mjpeg"), ("PNG", "png")])
def test_a_still_has_the_size_and_form_that_were_asked_for(
    codec: str, asked: tuple[int, int], size: tuple[int, int], form: Literal["JPEG", "PNG"], name: str
) -> None:
    header, clusters = material(codec=codec)
    track = header.tracks[0]
    made = still(track, describe(track), clusters[0].of(1), width=asked[0], height=asked[1], format=form)
    assert (made.width, made.height) == size
    assert opened(made.jpeg) == (name, *size)


def test_quality_is_heeded() -> None:
    header, clusters = material()
    track = header.tracks[0]
    sizes = [len(still(track, describe(track), clusters[0].of(1), quality=one).jpeg) for one in (5, 40, 80, 100)]
    assert sizes == sorted(sizes)
    assert sizes[0] * 2 < sizes[-1]


@pytest.mark.parametrize("bframes", [0, 2])
def test_any_frame_can_be_asked_for_and_is_that_one(bframes: int) -> None:
    """The square wanders by 7 pixels a picture: with B-frames too the one that is meant is shown."""
    header, clusters = material(bframes=bframes)
    track, frames = header.tracks[0], clusters[0].of(1)
    order = sorted(range(len(frames)), key=lambda place: frames[place].pts)
    made = {at: still(track, describe(track), frames, at=at) for at in order}
    with av.open(io.BytesIO(clip_mp4(header, clusters[:1])), "r") as file:
        wanted = [frame.reformat(32, 32, "gray", interpolation="AREA") for frame in file.decode(video=0)]
    assert [made[at].grid for at in order] == [bytes(frame.planes[0]) for frame in wanted]
    assert still(track, describe(track), frames, at=-1).grid == made[len(frames) - 1].grid


def test_black_green_frozen_and_moving_are_told_apart() -> None:
    found = {name: stills(picture=name) for name in ("moving", "frozen", "black", "green")}
    assert [name for name, pictures in found.items() if all(map(is_black, pictures))] == ["black"]
    assert [name for name, pictures in found.items() if all(map(is_green, pictures))] == ["green"]
    assert [name for name, (one, other) in found.items() if not same(one, other)] == ["moving"]
    assert (found["black"][0].mean, found["moving"][0].spread > 30) == (0, True)
    assert found["moving"][0].hash != found["moving"][1].hash


def test_a_small_change_is_seen_and_an_encoders_noise_is_not() -> None:
    first, second, *_ = stills((0, 1), size=(640, 480), audio=False)
    assert not same(first, second), "the square moved by 7 of 640 pixels"
    # The same picture as a key frame, and predicted from it: other bytes, the same to a viewer.
    key, predicted, *_ = stills((0, 5), picture="frozen", size=(640, 480), audio=False)
    assert same(key, predicted)


def test_a_picture_of_the_recorded_stream() -> None:
    header, fragments = split(put_media_bodies("kvssink-audio-video")[0])
    track = header.tracks[0]
    pictures = [still(track, describe(track), parse_cluster(data, header).of(1)) for data in fragments]
    assert opened(pictures[0].jpeg) == ("mjpeg", 320, 240)
    assert not any(is_black(one) or is_green(one) for one in pictures)
    assert not same(pictures[0], pictures[1])


def test_a_picture_that_cannot_be_made_is_refused_in_words() -> None:
    header, (cluster, _) = material()
    video, sound = header.tracks
    codec, frames = describe(video), cluster.of(1)
    with pytest.raises(MediaError, match="no picture can be made of A_AAC"):
        still(sound, describe(sound), cluster.of(2))
    for some, at in ((frames[1:], 3), (frames, 99), (frames, -99), ((), 0)):
        with pytest.raises(MediaError, match="no key frame at or before"):
            still(video, codec, some, at=at)
    with pytest.raises(MediaError, match="20000 x 15000 is made here"):
        still(video, codec, frames, width=20_000)
    with pytest.raises(MediaError, match="too large to be decoded"):
        still(video, Codec("avc1", width=16_000, height=16_000), frames)
    with pytest.raises(MediaError, match=r"cannot be decoded|made no picture"):
        still(video, codec, [replace(frames[0], data=b"\0\0\0\x04junk")])
    with pytest.raises(MediaError, match=r"cannot be decoded|made no picture"):
        still(replace(video, private=b"\1"), codec, frames)


def test_a_frame_that_is_larger_than_the_header_says_is_not_decoded() -> None:
    """Parameter sets may come in the frames too: the decoder itself has the bound."""
    large = make_fragments(1, size=(4112, 4096), fps=1, audio=False)[0]
    header, (data,) = split(make_header(size=(4112, 4096), fps=1, audio=False) + large)
    small = Codec("avc1", width=160, height=120)
    with pytest.raises(MediaError):
        still(header.tracks[0], small, parse_cluster(data, header).of(1))


@pytest.mark.parametrize("bframes", [0, 2])
@pytest.mark.parametrize("codec", ["libx264", "libx265"])
def test_a_clip_has_every_frame_of_every_track_at_its_time(codec: str, bframes: int) -> None:
    header, clusters = material(3, codec=codec, bframes=bframes)
    data = clip_mp4(header, clusters)
    assert data.index(b"moov") < data.index(b"mdat"), "it plays while it is fetched"
    for number, kind in ((1, "video"), (2, "audio")):
        with av.open(io.BytesIO(data), "r") as file:
            stream = file.streams.get({kind: 0})[0]
            frames = list(file.decode(stream))
            times = [round(frame.pts * stream.time_base * 1000) for frame in frames]  # type: ignore[operator]
            assert file.duration == 3_000_000
        assert times == sorted(frame.pts // MS - START_MS for cluster in clusters for frame in cluster.of(number))
        with av.open(io.BytesIO(data), "r") as file:
            packets = [bytes(packet) for packet in file.demux(file.streams.get({kind: 0})[0]) if packet.size]
        assert packets == [frame.data for cluster in clusters for frame in cluster.of(number)]


def test_a_clip_keeps_sound_and_picture_together_where_one_begins_later() -> None:
    header, clusters = material(2)
    late = replace(clusters[0], frames=tuple(one for one in clusters[0].frames if one.track == 1))
    with av.open(io.BytesIO(clip_mp4(header, [late, clusters[1]])), "r") as file:
        stream = file.streams.audio[0]
        first = next(file.decode(stream))
        assert first.pts is not None
        assert round(first.pts * stream.time_base * 1000) == clusters[1].of(2)[0].pts // MS - START_MS  # type: ignore[operator]


def test_a_clip_of_the_recorded_stream() -> None:
    header, fragments = split(put_media_bodies("kvssink-audio-video")[0])
    clusters = [parse_cluster(data, header) for data in fragments]
    with av.open(io.BytesIO(clip_mp4(header, clusters)), "r") as file:
        assert [stream.codec_context.name for stream in file.streams] == ["h264", "aac"]
        assert len(list(file.decode(video=0))) == sum(len(cluster.of(1)) for cluster in clusters)


def test_a_clip_of_nothing_or_of_what_no_player_takes_is_refused() -> None:
    header, clusters = material()
    with pytest.raises(MediaError, match="no frame"):
        clip_mp4(header, [])
    with pytest.raises(MediaError, match="no frame"):
        clip_mp4(header, [replace(clusters[0], frames=())])
    law = replace(header.tracks[1], codec="A_MS/ACM", private=b"\7\0\1\0\x40\x1f\0\0" + bytes(10))
    assert law.kind is TrackKind.AUDIO
    with pytest.raises(MediaError, match="mu-law cannot be played"):
        clip_mp4(replace(header, tracks=(header.tracks[0], law)), clusters)
