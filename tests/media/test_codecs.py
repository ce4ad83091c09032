"""What codec private data says, held against FFmpeg's own reading."""

from __future__ import annotations

from dataclasses import replace
from fractions import Fraction

import av
import pytest
from av.codec.context import Flags

from deploy.media.codecs import ACM, AVC, Codec, describe, has_b_frames
from deploy.media.fmp4 import init_segment
from deploy.media.matroska import parse_cluster
from deploy.media.model import MediaError, Track, TrackKind
from tests.support.captures import put_media_bodies
from tests.support.media import make_fragments, make_header, split


def tracks(**kind: object) -> tuple[Track, ...]:
    return split(make_header(**kind) + make_fragments(1, **kind)[0])[0].tracks  # type: ignore[arg-type]


def test_the_recorded_stream_is_described() -> None:
    (body,) = put_media_bodies("kvssink-audio-video")
    video, sound = split(body)[0].tracks
    assert describe(video) == Codec("avc1.42c00c", "Constrained Baseline 1.2", 320, 240, frame_rate=15.0)
    assert describe(sound) == Codec("mp4a.40.2", "AAC LC", rate=24_000, channels=1)


@pytest.mark.parametrize("size", [(160, 120), (1920, 1080), (1922, 1082), (320, 180)])
@pytest.mark.parametrize(("codec", "name"), [("libx264", "avc1.42c0"), ("libx265", "hvc1.1.6.L")])
def test_the_size_is_the_one_that_was_encoded_cropping_and_all(codec: str, name: str, size: tuple[int, int]) -> None:
    """1080 is no multiple of 16: the parameter set says 1088, and what to cut off."""
    said = describe(replace(tracks(codec=codec, size=size, fps=2)[0], width=0, height=0))
    assert (said.width, said.height) == size
    assert said.rfc6381.startswith(name)


@pytest.mark.parametrize("fps", [1, 10, 25, 30])
def test_the_frame_rate_is_the_parameter_sets(fps: int) -> None:
    assert describe(tracks(fps=fps)[0]).frame_rate == fps


@pytest.mark.parametrize(
    ("options", "pixels", "name"),
    [
        ({"profile": "high"}, "yuv420p", "High 1."),
        ({"x264-params": "cqm=jvt"}, "yuv420p", "High 1."),
        ({"x264-params": "interlaced=1"}, "yuv420p", ""),
        ({"x264-params": "bluray-compat=1:nal-hrd=vbr:vbv-maxrate=900:vbv-bufsize=900:sar=4/3"}, "yuv420p", ""),
        ({"x264-params": "overscan=show:videoformat=pal:fullrange=on:chromaloc=1"}, "yuv420p", ""),
        ({}, "yuv422p", "High 4:2:2"),
        ({}, "yuv444p", "profile 244"),
        ({}, "gray", "High 1."),
    ],
)
def test_every_form_of_the_parameter_set_is_read(options: dict[str, str], pixels: str, name: str) -> None:
    """Scaling lists, fields, colours sampled in other ways, and everything that may stand before the frame rate."""
    context = av.CodecContext.create("libx264", "w")
    assert isinstance(context, av.VideoCodecContext)
    context.width, context.height, context.pix_fmt = 330, 252, pixels
    context.time_base, context.framerate = Fraction(1, 20), Fraction(20)
    context.options = options
    context.flags |= Flags.global_header.value
    context.open()
    first = bytes(context.extradata or b"").split(b"\0\0\0\1")[1]
    private = b"\1" + first[1:4] + b"\xff\xe1" + len(first).to_bytes(2) + first
    said = describe(Track(1, TrackKind.VIDEO, AVC, private))
    assert (said.width, said.height, said.frame_rate) == (330, 252, 20)
    assert said.profile.startswith(name)


@pytest.mark.parametrize(
    ("private", "name", "rate", "channels"),
    [
        ("1408", "mp4a.40.2", 16_000, 1),
        ("1190", "mp4a.40.2", 48_000, 2),
        ("1388", "mp4a.40.2", 22_050, 1),
        ("1780bb8008", "mp4a.40.2", 96_000, 1),  # the rate is written out: 0x17700
        ("2b8a0800", "mp4a.40.5", 44_100, 1),  # HE: a core of 22,050
        ("eb098800", "mp4a.40.29", 48_000, 2),  # HE v2: one channel becomes two
        ("11b0", "mp4a.40.2", 48_000, 6),
    ],
)
def test_aac_configurations(private: str, name: str, rate: int, channels: int) -> None:
    said = describe(Track(2, TrackKind.AUDIO, "A_AAC", bytes.fromhex(private)))
    assert (said.rfc6381, said.rate, said.channels) == (name, rate, channels)


def wave(tag: int, channels: int = 1, rate: int = 8000) -> Track:
    body = tag.to_bytes(2, "little") + channels.to_bytes(2, "little") + rate.to_bytes(4, "little") + bytes(10)
    return Track(2, TrackKind.AUDIO, ACM, body)


@pytest.mark.parametrize(("tag", "name", "words"), [(6, "alaw", "G.711 A-law"), (7, "ulaw", "G.711 mu-law")])
def test_g711_is_described_but_not_played(tag: int, name: str, words: str) -> None:
    said = describe(wave(tag))
    assert said == Codec(name, words, rate=8000, channels=1)
    with pytest.raises(MediaError, match=f"{words} cannot be played from MP4 or HLS: the sound has to be AAC"):
        init_segment(wave(tag), said)


@pytest.mark.parametrize(
    ("track", "words"),
    [
        (Track(1, TrackKind.VIDEO, "V_VP8", b"x"), "'V_VP8' is none of"),
        (Track(1, TrackKind.VIDEO, AVC), "no codec private data"),
        (Track(1, TrackKind.VIDEO, AVC, b"\0\0\0\1\x67\x42\xc0\x0c"), "Annex B"),
        (Track(1, TrackKind.VIDEO, AVC, b"\1B"), "cut short"),
        (Track(1, TrackKind.VIDEO, AVC, b"\1\x42\xc0\x0c\xff\xe0\0"), "no sequence parameter set"),
        (Track(1, TrackKind.VIDEO, AVC, b"\1\x42\xc0\x0c\xff\xe1\0\x19\x67\x42"), "cut short"),
        (Track(1, TrackKind.VIDEO, AVC, b"\1\x42\xc0\x0c\xff\xe1\0\x08\x67\x42\xc0\x0c\0\0\0\0"), "too long|cut short"),
        (Track(1, TrackKind.VIDEO, "V_MPEGH/ISO/HEVC", b"\0\0\1" + bytes(30)), "Annex B"),
        (Track(1, TrackKind.VIDEO, "V_MPEGH/ISO/HEVC", b"\1" + bytes(22)), "no sequence parameter set"),
        (Track(2, TrackKind.AUDIO, "A_AAC", b"\x17"), "cut short"),
        (Track(2, TrackKind.AUDIO, "A_AAC", b"\x16\x88"), "reserved"),
        (Track(2, TrackKind.AUDIO, "A_AAC", b"\x14\x60"), "reserved"),
        (wave(1), "0x0001 in A_MS/ACM is not G.711"),
        (wave(6, rate=0), "has no rate"),
    ],
)
def test_malformed_codec_data_is_refused_in_words(track: Track, words: str) -> None:
    with pytest.raises(MediaError, match=words):
        describe(track)


@pytest.mark.parametrize("codec", ["libx264", "libx265"])
@pytest.mark.parametrize("bframes", [0, 2])
def test_b_frames_are_seen(codec: str, bframes: int) -> None:
    kind = {"codec": codec, "bframes": bframes}
    header, (data,) = split(make_header(**kind) + make_fragments(1, **kind)[0])  # type: ignore[arg-type]
    assert has_b_frames(parse_cluster(data, header).of(1)) == bool(bframes)
