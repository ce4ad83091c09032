"""What the service takes, keeps and refuses of media, over a real connection."""

from __future__ import annotations

import random
import ssl
import time
from collections.abc import Iterator

import pytest

from deploy.kvsstore.faults import parse_fault
from deploy.kvsstore.streams import Stream
from deploy.media.matroska import parse_cluster, parse_header, write_cluster, write_header
from deploy.media.model import Frame, Track, TrackKind
from tests.support.localservice import REGION, LocalService, Wire, local_service
from tests.support.media import START_MS, end_of_fragment, make_fragments, make_header
from tests.support.producer import chunk, put_media_head, send_media

pytestmark = pytest.mark.loopback


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LocalService]:
    with local_service(tmp_path_factory.mktemp("kvs")) as service:
        yield service


@pytest.fixture
def stream(served: LocalService, request: pytest.FixtureRequest) -> Stream:
    name = f"s{abs(hash(request.node.name)) % 10**9}"
    return served.service.store.streams.create(name, region=REGION, retention_hours=2)


def kinds(wire: Wire) -> list[str]:
    return [ack["EventType"] for ack in wire.acks()]


def test_what_is_acknowledged_is_kept_byte_for_byte(served: LocalService, stream: Stream) -> None:
    fragments = make_fragments(3)
    body = [make_header(), *fragments, end_of_fragment()]
    wire = send_media(served.tls_port, stream.name, served.key(), body, secure=served.authority.certificate)
    assert kinds(wire) == ["BUFFERING", "RECEIVED", "PERSISTED"] * 3
    kept = served.service.store.fragments.select(stream)
    assert [fragment.producer_ms for fragment in kept] == [START_MS, START_MS + 1000, START_MS + 2000]
    assert [fragment.number for fragment in kept] == [
        ack["FragmentNumber"] for ack in wire.acks() if ack["EventType"] == "PERSISTED"
    ]
    assert all(900 <= fragment.length_ms <= 1100 for fragment in kept)
    store = served.service.store.fragments
    assert [store.data(fragment) for fragment in kept[:2]] == fragments[:2]
    assert store.data(kept[2]) == fragments[2] + end_of_fragment()
    header = parse_header(store.header(kept[0]))
    assert [track.kind for track in header.tracks] == [TrackKind.VIDEO, TrackKind.AUDIO]
    assert parse_cluster(store.data(kept[0]), header).frames[0].key


def test_relative_timecodes_begin_at_the_producers_start(served: LocalService, stream: Stream) -> None:
    head = put_media_head(stream.name, served.key(), kind="RELATIVE", start=START_MS / 1000 + 0.25)
    wire = Wire(served.port)
    wire.send(head + chunk(make_header()) + b"".join(map(chunk, make_fragments(2, start_ms=0))) + chunk(b""))
    wire.until(lambda received: received.partition(b"\r\n\r\n")[2].endswith(b"0\r\n\r\n"))
    assert [ack["FragmentTimecode"] for ack in wire.acks() if ack["EventType"] == "PERSISTED"] == [0, 1000]
    kept = served.service.store.fragments.select(stream)
    assert [fragment.producer_ms for fragment in kept] == [START_MS + 250, START_MS + 1250]


def test_a_stream_without_retention_gets_no_promise_to_keep(served: LocalService) -> None:
    stream = served.service.store.streams.create("unkept", region=REGION)
    wire = send_media(served.port, stream.name, served.key(), [make_header(), *make_fragments(2)])
    assert kinds(wire) == ["BUFFERING", "RECEIVED"] * 2


def test_the_newest_connection_is_the_one(served: LocalService, stream: Stream) -> None:
    first = Wire(served.port)
    first.send(put_media_head(stream.name, served.key()) + chunk(make_header()) + chunk(make_fragments(1)[0][:500]))
    first.until(lambda received: b"BUFFERING" in received)
    second = send_media(served.port, stream.name, served.key(), [make_header(), *make_fragments(1)])
    assert kinds(second) == ["BUFFERING", "RECEIVED", "PERSISTED"]
    first.until(lambda _: False, 3)
    assert kinds(first) == ["BUFFERING"]
    with pytest.raises(OSError, match=r"reset|Broken|Bad"):
        for _ in range(50):
            first.send(b"x" * 1000)
            time.sleep(0.01)


def _frames(*times: int, track: int = 1, keys: int = 1) -> list[Frame]:
    return [Frame(track, time_ms * 1_000_000, at < keys, b"\0\0\0\1\x65") for at, time_ms in enumerate(times)]


def _track(number: int, kind: TrackKind = TrackKind.VIDEO) -> Track:
    codec = "V_MPEG4/ISO/AVC" if kind is TrackKind.VIDEO else "A_AAC"
    return Track(number, kind, codec, b"\1\x42\0\x1f", width=64, height=64)


HEADER = write_header([_track(1)], writing_app="test")
TWO = write_header([_track(1), _track(2, TrackKind.AUDIO)], writing_app="test")
BEGIN = START_MS
REFUSED = {
    "time goes back": (HEADER, [(BEGIN, _frames(BEGIN)), (BEGIN - 5000, _frames(BEGIN - 5000))], 4004),
    "B-frames": (HEADER, [(BEGIN, _frames(BEGIN, BEGIN + 120, BEGIN + 40, BEGIN + 80))], 4004),
    "a track that was not announced": (HEADER, [(BEGIN, _frames(BEGIN) + _frames(BEGIN, track=5))], 4010),
    "a track without a frame": (TWO, [(BEGIN, _frames(BEGIN))], 4011),
    "longer than a fragment may be": (HEADER, [(BEGIN, _frames(*range(BEGIN, BEGIN + 30_000, 1000)))], 4002),
    "four tracks": (
        write_header([_track(one) for one in range(1, 5)], writing_app="t"),
        [(BEGIN, _frames(BEGIN))],
        4005,
    ),
    "no clock goes so far": (HEADER, [(5 * 10**12, _frames(5 * 10**12))], 4007),
}


@pytest.mark.parametrize("what", REFUSED)
def test_what_the_service_does_not_take_is_told_by_its_number(served: LocalService, stream: Stream, what: str) -> None:
    header, clusters, number = REFUSED[what]
    wire = send_media(
        served.port, stream.name, served.key(), [header, *(write_cluster(at, frames) for at, frames in clusters)]
    )
    assert wire.acks()[-1]["EventType"] == "ERROR"
    assert wire.acks()[-1]["ErrorId"] == number
    assert kinds(wire).count("PERSISTED") == len(clusters) - 1


@pytest.mark.hostile(kind="names")
def test_media_that_is_none_ends_with_an_error_and_leaves_the_service_well(served: LocalService) -> None:
    """Mutated, cut, and made-up bodies: an ERROR ack or a closed connection, and nothing kept that is no media."""
    stream = served.service.store.streams.create("hostile", region=REGION, retention_hours=1)
    whole = make_header() + b"".join(make_fragments(2))
    dice = random.Random(7)
    for _ in range(60):
        body = bytearray(whole[: dice.randrange(1, len(whole))])
        for _ in range(dice.randrange(4)):
            body[dice.randrange(min(len(body), 2000))] = dice.randrange(256)
        wire = send_media(served.port, stream.name, served.key(), [bytes(body)])
        assert b"Traceback" not in wire.received
        assert b" 200 " in wire.received[:20]
        wire.close()
    for fragment in served.service.store.fragments.select(stream):
        parse_cluster(
            served.service.store.fragments.data(fragment), parse_header(served.service.store.fragments.header(fragment))
        )


@pytest.mark.parametrize(
    ("change", "status", "code"),
    [
        ({"x-amzn-stream-name": "nobody"}, 404, b"ResourceNotFoundException"),
        ({"x-amzn-fragment-timecode-type": "SOMETIME"}, 400, b"InvalidArgumentException"),
        ({"x-amzn-producer-start-timestamp": "NaN"}, 400, b"InvalidArgumentException"),
    ],
)
def test_a_refusal_comes_before_a_byte_of_the_body(
    served: LocalService, stream: Stream, change: dict[str, str], status: int, code: bytes
) -> None:
    wire = Wire(served.port)
    wire.send(put_media_head(stream.name, served.key(), more={"Expect": "100-continue"} | change))
    answer = wire.until(lambda received: b"\r\n\r\n" in received)
    assert answer.startswith(b"HTTP/1.1 %d " % status)
    assert code in answer
    assert b"100 Continue" not in answer


@pytest.mark.parametrize("word", ["403", "expired", "throttled"])
def test_a_request_is_refused_on_demand(served: LocalService, stream: Stream, word: str) -> None:
    served.call(lambda: served.service.store.faults.ask(parse_fault([word], stream.name)))
    wire = Wire(served.port)
    wire.send(put_media_head(stream.name, served.key(), more={"Expect": "100-continue"}))
    answer = wire.until(lambda received: b"\r\n\r\n" in received)
    told = {"403": b"AccessDeniedException", "expired": b"ExpiredTokenException", "throttled": b"ClientLimitExceeded"}
    assert told[word] in answer
    again = send_media(served.port, stream.name, served.key(), [make_header(), *make_fragments(1)])
    assert kinds(again)[-1] == "PERSISTED", "once only"


def test_a_stall_on_demand_is_silence_with_an_open_socket(served: LocalService, stream: Stream) -> None:
    served.call(lambda: served.service.store.faults.ask(parse_fault(["stall", "at=2", "seconds=2"], stream.name)))
    wire = Wire(served.port)
    wire.send(put_media_head(stream.name, served.key()) + chunk(make_header()))
    for fragment in make_fragments(3):
        wire.send(chunk(fragment))
    wire.until(lambda received: received.count(b"PERSISTED") >= 2, 1)
    assert kinds(wire) == ["BUFFERING", "RECEIVED", "PERSISTED"]
    wire.send(chunk(b""))
    wire.until(lambda received: received.partition(b"\r\n\r\n")[2].endswith(b"0\r\n\r\n"), 8)
    assert kinds(wire).count("PERSISTED") == 3


def test_an_ack_comes_at_the_end_of_its_fragment(served: LocalService, stream: Stream) -> None:
    """Not with the next read: what the next cluster's first bytes end is persisted while that one has just begun."""
    wire = Wire(served.port)
    first, second = make_fragments(2)
    wire.send(put_media_head(stream.name, served.key()) + chunk(make_header()) + chunk(first))
    wire.until(lambda received: b"BUFFERING" in received)
    assert kinds(wire) == ["BUFFERING"]
    wire.send(chunk(second[:40]))
    wire.until(lambda received: b"PERSISTED" in received)
    assert kinds(wire)[:3] == ["BUFFERING", "RECEIVED", "PERSISTED"]
    wire.close()


def test_nobody_trusts_the_service_but_by_its_authority(served: LocalService) -> None:
    with pytest.raises(ssl.SSLError):
        ssl.create_default_context().wrap_socket(Wire(served.tls_port).link, server_hostname="localhost")


def test_what_was_taken_is_listed_with_and_without_a_range(served: LocalService, stream: Stream) -> None:
    send_media(served.port, stream.name, served.key(), [make_header(), *make_fragments(2)])
    client = served.client("kinesis-video-archived-media")
    try:
        listed = client.list_fragments(StreamName=stream.name)["Fragments"]
        assert sorted(row["ProducerTimestamp"].timestamp() for row in listed) == [START_MS / 1000, START_MS / 1000 + 1]
        times = {"StartTimestamp": START_MS / 1000, "EndTimestamp": START_MS / 1000}
        selector = {"FragmentSelectorType": "PRODUCER_TIMESTAMP", "TimestampRange": times}
        assert len(client.list_fragments(StreamName=stream.name, FragmentSelector=selector)["Fragments"]) == 1
    finally:
        client.close()
