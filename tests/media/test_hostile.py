"""Whatever a client sends: an error in words or the media, in linear time, within bounds, however it is cut."""

from __future__ import annotations

import time
import tracemalloc
from collections.abc import Callable, Iterator
from dataclasses import replace
from itertools import chain, cycle, islice

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from deploy.media.codecs import AAC, ACM, AVC, HEVC, describe
from deploy.media.elements import Id
from deploy.media.fmp4 import init_segment, media_segment
from deploy.media.matroska import (
    Event,
    FragmentEnded,
    Splitter,
    parse_cluster,
    write_cluster,
    write_header,
)
from deploy.media.model import Frame, MediaError, Track, TrackKind
from deploy.media.pictures import Picture, clip_mp4, still
from tests.support.media import end_of_fragment, make_fragments, make_header, split

MS = 1_000_000
TRACKS = (
    Track(1, TrackKind.VIDEO, AVC, b"\1private", "kinesis_video", 160, 120),
    Track(2, TrackKind.AUDIO, AAC, b"\x14\x08", "audio", rate=16_000, channels=1, frame_ns=64 * MS),
)
HEADER = write_header(TRACKS, writing_app="test 1.0")
FRAMES = [Frame(1 + place % 2, place * 20 * MS, key=place < 2, data=bytes([place]) * 30) for place in range(8)]
BODY = HEADER + write_cluster(0, FRAMES) + write_cluster(100, FRAMES) + end_of_fragment()
pytestmark = pytest.mark.hostile(kind="media")


def read(body: bytes, cuts: list[int]) -> tuple[list[Event], str]:
    """Feed a body in pieces; return the events, and the words of the error that ended it."""
    splitter, events = Splitter(), list[Event]()
    try:
        for start, end in zip([0, *cuts], [*cuts, len(body)], strict=True):
            events += splitter.feed(body[start:end])
        splitter.feed(b"")
        events += splitter.end()
    except MediaError as error:
        return events, str(error)
    return events, ""


def check(body: bytes, cuts: list[int]) -> None:
    """Hold that pieces do not matter, and that what was split can be parsed or is refused."""
    whole = read(body, [])
    assert read(body, sorted(at for at in cuts if at < len(body))) == whole
    assert whole[1].isprintable()
    for event in whole[0]:
        if isinstance(event, FragmentEnded):
            try:
                cluster = parse_cluster(event.data, event.header)
            except MediaError:
                continue
            assert cluster.timecode == event.timecode
            assert sum(len(frame.data) for frame in cluster.frames) < len(event.data)


CUTS = st.lists(st.integers(0, 2000), max_size=12)
SPOT = st.tuples(st.integers(0, len(BODY)), st.integers(0, 12), st.binary(max_size=12))


@given(st.lists(SPOT, min_size=1, max_size=4), CUTS)
@settings(max_examples=400, deadline=None)
def test_a_mutated_body_is_read_or_refused(spots: list[tuple[int, int, bytes]], cuts: list[int]) -> None:
    body = BODY
    for at, gone, put in spots:
        body = body[:at] + put + body[at + gone :]
    check(body, cuts)


SIZES = st.sampled_from(
    [b"\x80", b"\xff", b"\x01" + b"\xff" * 7, b"\x01" + b"\xff" * 6 + b"\xfe", b"\x81", b"\x40\x08"]
)
IDS = st.sampled_from([ident.to_bytes((ident.bit_length() + 7) // 8) for ident in Id])
LEAF = st.tuples(IDS, st.one_of(SIZES, st.none()), st.binary(max_size=12))


def element(ident: bytes, size: bytes | None, body: bytes) -> bytes:
    return ident + (size or b"\x01" + len(body).to_bytes(7)) + body


NESTED = st.recursive(
    LEAF.map(lambda leaf: element(*leaf)),
    lambda inner: st.builds(element, IDS, st.one_of(SIZES, st.none()), st.lists(inner, max_size=5).map(b"".join)),
    max_leaves=30,
)


@given(st.sampled_from([b"", HEADER, BODY, HEADER[:40]]), st.lists(NESTED, max_size=6), CUTS)
@settings(max_examples=200, deadline=None)
def test_any_nest_of_elements_is_read_or_refused(before: bytes, parts: list[bytes], cuts: list[int]) -> None:
    check(before + b"".join(parts), cuts)


@given(st.binary(max_size=300), CUTS)
@settings(max_examples=100, deadline=None)
def test_any_bytes_are_refused(body: bytes, cuts: list[int]) -> None:
    check(body, cuts)


@pytest.mark.parametrize("end", range(0, len(BODY), 3))
def test_a_body_that_is_cut_short_anywhere_keeps_what_was_whole(end: int) -> None:
    check(BODY[:end], [end // 2])
    ended = [event for event in read(BODY[:end], [])[0] if isinstance(event, FragmentEnded)]
    assert all(event in read(BODY, [])[0] or BODY[:end].endswith(event.data) for event in ended)


SMALL = b"\xa3\x85\x81\0\0\x80x"
MASTERS = b"\x12\x54\xc3\x67\x80"
ENDLESS: dict[str, Callable[[], Iterator[bytes]]] = {
    "zeros": lambda: chain([HEADER], cycle([bytes(4096)])),
    "a header": lambda: chain([HEADER], cycle([b"\xec\x43\xe8" + bytes(1000)])),
    "voids of nothing": lambda: chain([HEADER], cycle([b"\xec\x80" * 2000])),
    "one frame": lambda: chain(
        [BODY[: len(HEADER) + 20], b"\xa3\x01\0\0\0\x02\xfa\xf0\x7f\x81\0\0\x80"], cycle([bytes(4096)])
    ),
    "small frames": lambda: chain([BODY[: len(HEADER) + 20]], cycle([SMALL * 600])),
    "large frames": lambda: chain([BODY[: len(HEADER) + 20]], cycle([b"\xa3\x50\0" + SMALL[2:] + bytes(4091)])),
    "tags behind a fragment": lambda: chain([BODY[:-80]], cycle([MASTERS * 800])),
    "tags between fragments": lambda: chain([BODY], cycle([MASTERS * 800])),
    "headers": lambda: cycle([HEADER * 8]),
    "segments": lambda: chain([HEADER], cycle([HEADER[40:45] * 800])),
    "clusters without frames": lambda: chain([HEADER], cycle([write_cluster(0, []) * 40])),
    "fragments": lambda: chain([HEADER], cycle([write_cluster(0, FRAMES) * 8])),
}


@pytest.mark.parametrize("case", ENDLESS)
def test_a_body_without_end_costs_bounded_memory_and_linear_time(case: str) -> None:
    """1 MB of each goes by; a fragment may have half of it here, in place of 50, so that the bound is met."""

    def run(pieces: int) -> float:
        splitter, began = Splitter(fragment_limit=500_000), time.process_time()
        try:
            for piece in islice(ENDLESS[case](), pieces):
                splitter.feed(piece)
        except MediaError:
            assert splitter.failed is not None
        return time.process_time() - began

    tracemalloc.start()
    run(250)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 3_000_000, f"{peak} bytes"
    assert run(250) < 2, "the slowest takes a third of it"


def test_byte_by_byte_costs_time_in_proportion() -> None:
    """A frame of 400 kB arrives in single bytes: nothing is looked at again until it is whole."""
    body = HEADER + write_cluster(0, [Frame(1, 0, key=True, data=bytes(400_000))])
    began = time.process_time()
    splitter = Splitter()
    for at in range(len(body)):
        splitter.feed(body[at : at + 1])
    assert time.process_time() - began < 4, "quadratic would be minutes"
    assert isinstance(splitter.end()[0], FragmentEnded)


PRIVATE = {
    track.codec: track.private
    for codec in ("libx264", "libx265")
    for track in split(make_header(codec=codec) + make_fragments(1, codec=codec)[0])[0].tracks
} | {ACM: b"\6\0\1\0\x40\x1f\0\0\x40\x1f\0\0\1\0\x08\0\0\0"}


@given(
    st.sampled_from([AVC, HEVC, AAC, ACM]),
    st.lists(st.tuples(st.integers(0, 120), st.integers(0, 9), st.binary(max_size=9))),
)
@settings(max_examples=500, deadline=None)
def test_mutated_codec_data_is_described_or_refused(codec: str, spots: list[tuple[int, int, bytes]]) -> None:
    private = PRIVATE[codec]
    for at, gone, put in spots:
        private = private[:at] + put + private[at + gone :]
    track = Track(1, TrackKind.VIDEO if codec in {AVC, HEVC} else TrackKind.AUDIO, codec, private)
    try:
        said = describe(track)
        assert said.rfc6381.isprintable()
        assert said.profile.isprintable()
        assert init_segment(track, said)[4:8] == b"ftyp"
    except MediaError as error:
        assert str(error).isprintable()


@given(
    st.lists(st.tuples(st.integers(-(1 << 66), 1 << 66), st.booleans()), max_size=6),
    st.integers(-(1 << 66), 1 << 66),
    st.one_of(st.none(), st.integers(-(1 << 66), 1 << 66)),
)
@settings(max_examples=300, deadline=None)
def test_times_that_cannot_be_are_refused(times: list[tuple[int, bool]], base: int, until: int | None) -> None:
    track = replace(TRACKS[0], private=PRIVATE[AVC])
    frames = [Frame(1, pts, key=key, data=b"x") for pts, key in times]
    try:
        made = media_segment(track, describe(track), frames, sequence=1, base=base, until=until)
        assert made[4:8] == b"moof"
    except MediaError as error:
        assert str(error).isprintable()


@given(st.integers(0, 9), st.integers(0, 4000), st.integers(0, 500), st.binary(max_size=20))
@settings(max_examples=150, deadline=None)
def test_damaged_frames_give_a_picture_or_an_error(which: int, at: int, gone: int, put: bytes) -> None:
    header, (data,) = split(make_header() + make_fragments(1)[0])
    cluster = parse_cluster(data, header)
    frames = list(cluster.of(1))
    body = frames[which].data
    frames[which] = replace(frames[which], data=body[:at] + put + body[at + gone :])
    try:
        made = still(header.tracks[0], describe(header.tracks[0]), frames, at=-1)
        assert isinstance(made, Picture)
    except MediaError as error:
        assert str(error).isprintable()
    assert clip_mp4(header, [replace(cluster, frames=tuple(frames))])[4:8] == b"ftyp", "a clip is not decoded"
