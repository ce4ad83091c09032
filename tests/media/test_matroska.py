"""Bodies of PutMedia: the real client's recordings, other writers' and other readers' Matroska."""

from __future__ import annotations

import io
import itertools
from dataclasses import replace
from fractions import Fraction

import av
import ebmlite
import pytest

from deploy.media.matroska import (
    Event,
    FragmentEnded,
    FragmentStarted,
    HeaderEvent,
    Splitter,
    parse_cluster,
    parse_header,
    write_cluster,
    write_header,
    write_tags,
)
from deploy.media.model import FragmentTooLargeError, Frame, Header, MediaError, Track, TrackKind
from tests.support.captures import PRODUCER, put_media_bodies
from tests.support.media import START_MS, end_of_fragment, make_fragments, make_header, split

MS = 1_000_000
VIDEO = Track(1, TrackKind.VIDEO, "V_MPEG4/ISO/AVC", b"\1private", "kinesis_video", 160, 120)
SOUND = Track(2, TrackKind.AUDIO, "A_AAC", b"\x14\x08", "audio", rate=16_000, channels=1, frame_ns=64 * MS)
HEADER = write_header([VIDEO, SOUND], writing_app="test 1.0")


def fed(body: bytes, piece: int) -> list[Event]:
    splitter = Splitter()
    return [event for at in range(0, len(body), piece) for event in splitter.feed(body[at : at + piece])]


def kinds(events: list[Event]) -> str:
    return "".join({HeaderEvent: "h", FragmentStarted: "s", FragmentEnded: "e"}[type(event)] for event in events)


@pytest.mark.parametrize("name", PRODUCER)
def test_recordings_of_the_real_client_are_read_and_written_again_byte_for_byte(name: str) -> None:
    for body in put_media_bodies(name):
        header, fragments = split(body)
        tracks = header.data.index(b"\x16\x54\xae\x6b")
        assert write_header(header.tracks, writing_app=header.writing_app).endswith(header.data[tracks:])
        assert body == header.data + b"".join(fragments)
        for data in fragments:
            cluster = parse_cluster(data, header)
            assert next(frame for frame in cluster.frames if frame.track == 1).key
            tags = write_tags(cluster.tags) if cluster.tags else b""
            assert write_cluster(cluster.timecode // MS, cluster.frames) + tags == data


def test_the_recorded_stream_has_six_fragments_of_a_second_and_ends_by_its_tag() -> None:
    (body,) = put_media_bodies("kvssink-audio-video")
    events = fed(body, 1460)
    assert kinds(events) == "h" + "se" * 6, "the last one ends before the body does: the client waits for its ack"
    ended = [event for event in events if isinstance(event, FragmentEnded)]
    assert {later.timecode - one.timecode for one, later in itertools.pairwise(ended)} == {1000 * MS}
    header = parse_header(body[:335])
    assert [(track.codec, track.width, track.rate) for track in header.tracks] == [
        ("V_MPEG4/ISO/AVC", 320, 0),
        ("A_AAC", 0, 24_000),
    ]
    assert parse_cluster(ended[-1].data, header).tags == {"AWS_KINESISVIDEO_END_OF_FRAGMENT": ""}


@pytest.mark.parametrize("name", PRODUCER)
@pytest.mark.parametrize("piece", [1, 7, 1460, 65_536])
def test_pieces_of_any_size_give_the_same_events(name: str, piece: int) -> None:
    for body in put_media_bodies(name):
        assert fed(body, piece) == fed(body, len(body))


def test_a_timecode_is_told_before_the_fragment_is_there() -> None:
    (fragment,) = make_fragments(1)
    splitter = Splitter()
    assert kinds(splitter.feed(make_header() + fragment[:14])) == "h"
    assert splitter.feed(fragment[14:100]) == [FragmentStarted(START_MS * MS)]
    assert splitter.feed(fragment[100:]) == [], "nothing says yet that the fragment ends here"
    header = parse_header(make_header())
    assert splitter.feed(end_of_fragment()) == [FragmentEnded(fragment + end_of_fragment(), START_MS * MS, header)]
    assert splitter.end() == []


def test_the_end_of_the_body_ends_a_fragment_but_not_in_the_middle_of_a_frame() -> None:
    (fragment,) = make_fragments(1)
    whole, cut = Splitter(), Splitter()
    whole.feed(make_header() + fragment)
    assert whole.end() == [FragmentEnded(fragment, START_MS * MS, parse_header(make_header()))]
    cut.feed(make_header() + fragment[:-1])
    with pytest.raises(MediaError, match="middle of an element"):
        cut.end()


def test_a_second_header_in_one_body_counts_from_there_on() -> None:
    one, other = make_fragments(2)
    plain = make_header(audio=False)
    splitter = Splitter()
    events = splitter.feed(make_header() + one + plain + other)
    assert kinds(events) == "hsehs"
    assert isinstance(events[2], FragmentEnded)
    assert events[2].header == parse_header(make_header()), "its own, not the one behind it"
    assert splitter.header == parse_header(plain)
    assert kinds(splitter.end()) == "e"


def test_tags_belong_to_the_fragment_before_them_and_do_not_end_it() -> None:
    one, other = make_fragments(2)
    tags = write_tags({"who": "me", "wörd": "\u2603"})
    _, (first, second) = split(make_header() + one + tags + tags + other + end_of_fragment() + tags)
    assert first == one + tags + tags
    assert parse_cluster(first, parse_header(make_header())).tags == {"who": "me", "wörd": "\u2603"}
    assert second == other + end_of_fragment(), "tags behind the end tag belong to no fragment"


def test_what_was_whole_before_an_error_is_told_first() -> None:
    one, other = make_fragments(2)
    splitter = Splitter()
    assert kinds(splitter.feed(make_header() + one + other + b"\0rubbish")) == "hses"
    assert splitter.failed is not None
    for data in (b"", one):
        with pytest.raises(MediaError, match="no element begins with the byte 0x00"):
            splitter.feed(data)
    with pytest.raises(MediaError, match="no element begins with the byte 0x00"):
        splitter.end()


def uint(ident: str, value: int) -> bytes:
    return bytes.fromhex(ident) + b"\x88" + value.to_bytes(8)


def sized(ident: str, body: bytes) -> bytes:
    return bytes.fromhex(ident) + b"\x01" + len(body).to_bytes(7) + body


CLUSTER = bytes.fromhex("1f43b675ff")
TIME = uint("e7", 5)
BLOCK = sized("a3", b"\x81\0\0\x80frame")
REFUSED = {
    "no EBML header": (b"RIFF....AVI ", "does not begin with an EBML header"),
    "an EBML header of another format": (HEADER.replace(b"matroska", b"matrushk"), "does not say that this is Matro"),
    "no tracks": (HEADER[: HEADER.index(b"\x16\x54\xae\x6b")], "stands before the tracks"),
    "tracks without a track": (HEADER[: HEADER.index(b"\x16\x54\xae\x6b")] + sized("1654ae6b", b""), "no track"),
    "one track twice": (write_header([VIDEO, VIDEO], writing_app=""), "one number twice"),
    "a track without a number": (write_header([replace(VIDEO, number=0)], writing_app=""), "without a number"),
    "a track without a codec": (write_header([replace(VIDEO, codec="")], writing_app=""), "without a codec"),
    "a scale of nothing": (write_header([VIDEO], writing_app="", timecode_scale=0), "timecode scale of 0"),
    "sound of a rate without end": (write_header([replace(SOUND, rate=10**9)], writing_app=""), "that cannot be"),
    "tracks before the segment": (HEADER[:40] + sized("1654ae6b", b""), "does not belong into a Matroska header"),
    "tracks without a size": (HEADER[:45] + b"\x16\x54\xae\x6b\xff", "does not say its size"),
    "a header without end": (HEADER[:45] + sized("ec", b"")[:-7] + (1 << 20).to_bytes(7), "that are no fragment"),
    "a header of many elements": (HEADER[:45] + b"\xec\x80" * 50_001, "more than 50000 elements"),
    "a fragment of many elements": (HEADER + CLUSTER + TIME + b"\xec\x80" * 50_001, "more than 50000 elements"),
    "no timecode": (HEADER + CLUSTER + BLOCK, "before the cluster's timecode"),
    "no timecode and no block": (HEADER + CLUSTER + CLUSTER, "without a timecode"),
    "two timecodes": (HEADER + CLUSTER + TIME + TIME, "two timecodes"),
    "a timecode beyond all time": (HEADER + CLUSTER + uint("e7", 1 << 63), "beyond the year"),
    "an element of another place": (HEADER + CLUSTER + TIME + sized("ae", b""), "0xae does not belong into a cluster"),
    "a block without a size": (HEADER + CLUSTER + TIME + b"\xa3\xff", "does not say its size"),
    "a block longer than its cluster": (HEADER + b"\x1f\x43\xb6\x75\x8b" + TIME + BLOCK, "longer than its cluster"),
    "other tracks without a header": (HEADER + CLUSTER + TIME + sized("1654ae6b", b""), "without a new header"),
    "a header in a header": (HEADER[:40] + HEADER, "inside another header"),
    "tags without end": (HEADER + CLUSTER + TIME + b"\x12\x54\xc3\x67\xff", "does not say its size"),
    "too many tags": (HEADER + CLUSTER + TIME + sized("1254c367", bytes(70_000)), "70000 bytes of tags"),
    "malformed tags": (HEADER + CLUSTER + TIME + sized("1254c367", b"\x73\x73\x88"), "does not fit"),
}


@pytest.mark.parametrize("case", REFUSED)
@pytest.mark.parametrize("piece", [1, 10_000_000])
def test_a_malformed_body_is_refused_in_words(case: str, piece: int) -> None:
    body, words = REFUSED[case]
    splitter = Splitter()
    with pytest.raises(MediaError, match=words):
        for part in (body, CLUSTER + TIME, b"", b""):
            for at in range(0, len(part) or 1, piece):
                splitter.feed(part[at : at + piece])
    assert str(splitter.failed).isprintable()


@pytest.mark.parametrize(
    ("block", "frames"),
    [
        (sized("a3", b"\x82\0\x07\x02" + b"\2\xff\1\1" + b"a" * 256 + b"b" + b"cc"), [b"a" * 256, b"b", b"cc"]),
        (sized("a3", b"\x82\0\x07\x06" + b"\2\x84\xbe" + b"aaaa" + b"bbb" + b"cc"), [b"aaaa", b"bbb", b"cc"]),
        (sized("a3", b"\x82\0\x07\x04" + b"\2" + b"aabbcc"), [b"aa", b"bb", b"cc"]),
        (sized("a0", sized("a1", b"\x82\0\x07\0aa") + uint("9b", 3)), [b"aa"]),
    ],
    ids=["xiph", "ebml", "fixed", "group"],
)
def test_laced_frames_and_block_groups_are_read(block: bytes, frames: list[bytes]) -> None:
    found = parse_cluster(CLUSTER + TIME + block, parse_header(HEADER)).frames
    assert [frame.data for frame in found] == frames
    assert [frame.pts for frame in found] == [(5 + 7 + 64 * place) * MS for place in range(len(frames))]


def test_a_group_that_refers_to_another_frame_is_no_key_frame() -> None:
    group = sized("a0", sized("a1", b"\x81\xff\xff\0aa") + b"\xfb\x81\x01")
    (frame,) = parse_cluster(CLUSTER + TIME + group, parse_header(HEADER)).frames
    assert (frame.key, frame.pts) == (False, 4 * MS)


@pytest.mark.parametrize(
    "block",
    [
        sized("a3", b"\x81\0\x07\x02\1\1ab"),
        sized("a3", b"\x82\0\x07\x04\2aabb"),
        sized("a3", b"\x82\0\x07\x06\2\x9fbb"),
        sized("a3", b"\x82\0\x07\x02\1\xff\xff"),
        sized("a3", b"\x81\0\0"),
        sized("a3", b"\x81\0\0\x80"),
        sized("a3", b"\0\0\0\0\0"),
        sized("a3", b""),
        sized("a0", b""),
        sized("a0", sized("a1", b"\x81\0\0\0a") * 2),
    ],
)
def test_a_malformed_block_is_refused(block: bytes) -> None:
    with pytest.raises(MediaError):
        parse_cluster(CLUSTER + TIME + block, parse_header(HEADER))


def test_names_and_tags_of_a_producer_are_printable() -> None:
    track = replace(VIDEO, codec="V_MPEG4/ISO/AVC\0\0", name="\x1b[2Jname\r\n")
    header = parse_header(write_header([track], writing_app="app\x07"))
    assert header.tracks[0].codec == "V_MPEG4/ISO/AVC", "GStreamer leaves a NUL behind it"
    assert (header.tracks[0].name, header.writing_app) == ("\ufffd[2Jname\ufffd\ufffd", "app\ufffd")


def test_a_fragment_beyond_the_limit_is_told_apart_and_nothing_of_it_is_waited_for() -> None:
    splitter = Splitter()
    splitter.feed(HEADER + CLUSTER + TIME)
    with pytest.raises(FragmentTooLargeError, match="more than 50000000 bytes"):
        splitter.feed(b"\xa3\x01" + (50_000_000).to_bytes(7))
    small = Splitter(fragment_limit=100)
    small.feed(HEADER + CLUSTER + TIME + BLOCK * 4)
    with pytest.raises(FragmentTooLargeError):
        small.feed(BLOCK)


def test_written_frames_must_be_near_their_cluster() -> None:
    with pytest.raises(MediaError, match="40000 ms away"):
        write_cluster(0, [Frame(1, 40_000 * MS, key=True, data=b"x")])
    (frame,) = parse_cluster(write_cluster(1, [Frame(300, MS, key=True, data=b"x")]), parse_header(HEADER)).frames
    assert frame == Frame(300, MS, key=True, data=b"x")


def oracle(body: bytes) -> list[tuple[int, int, bytes]]:
    """Read with ebmlite: the cluster's timecode, and track, offset and flags with the frame of each block."""
    found = []
    document = ebmlite.loadSchema("matroska.xml").load(io.BytesIO(body))
    segment = next(element for element in document if element.name == "Segment")
    for cluster in (element for element in segment if element.name == "Cluster"):
        timecode = 0
        for element in cluster:
            if element.name == "Timecode":
                timecode = element.value
            elif element.name == "SimpleBlock":
                raw = bytes(element.value)
                found.append((timecode + int.from_bytes(raw[1:3], signed=True), raw[0] & 0x7F, raw[4:]))
    return found


@pytest.mark.parametrize("audio", [True, False])
def test_ebmlite_and_ffmpeg_read_the_same_out_of_what_is_written(audio: bool) -> None:
    body = make_header(audio=audio) + b"".join(make_fragments(3, audio=audio))
    header, fragments = split(body)
    frames = [frame for data in fragments for frame in parse_cluster(data, header).frames]
    assert oracle(body) == [(frame.pts // MS, frame.track, frame.data) for frame in frames]
    assert demuxed(body) == by_track(header, frames)


@pytest.mark.parametrize("name", PRODUCER)
def test_ebmlite_and_ffmpeg_read_the_same_out_of_recordings(name: str) -> None:
    for body in put_media_bodies(name):
        header, fragments = split(body)
        frames = [frame for data in fragments for frame in parse_cluster(data, header).frames]
        assert oracle(body) == [(frame.pts // MS, frame.track, frame.data) for frame in frames]
        assert demuxed(body) == by_track(header, frames)


def by_track(header: Header, frames: list[Frame]) -> list[list[tuple[int, bool, bytes]]]:
    return [
        [(frame.pts // MS, frame.key, frame.data) for frame in frames if frame.track == track.number]
        for track in header.tracks
    ]


def demuxed(body: bytes) -> list[list[tuple[int, bool, bytes]]]:
    with av.open(io.BytesIO(body), "r") as file:
        found = [list[tuple[int, bool, bytes]]() for _ in file.streams]
        for packet in file.demux():
            if packet.pts is not None and packet.time_base is not None:
                pts = int(packet.pts * packet.time_base / Fraction(1, 1000))
                found[packet.stream_index].append((pts, packet.is_keyframe, bytes(packet)))
    return found


def test_a_file_of_ffmpeg_is_split_too() -> None:
    """It has sizes, an index in front and behind, and a Void: none of which KVS needs."""
    body = make_header(audio=False) + b"".join(make_fragments(2, audio=False))
    file = io.BytesIO()
    with av.open(io.BytesIO(body), "r") as source, av.open(file, "w", format="matroska") as target:
        stream = target.add_stream_from_template(source.streams.video[0])
        for packet in source.demux():
            if packet.pts is not None:
                packet.stream = stream
                target.mux(packet)
    header, fragments = split(file.getvalue(), piece=13)
    again = [frame for data in fragments for frame in parse_cluster(data, header).frames]
    mine, pieces = split(body)
    frames = [frame for data in pieces for frame in parse_cluster(data, mine).frames]
    assert [(frame.pts, frame.key, frame.data) for frame in again] == [
        (frame.pts, frame.key, frame.data) for frame in frames
    ]
