"""kvsclient and the product's own local service: what is sent is kept, once, and can be seen."""

from __future__ import annotations

import calendar
import gzip
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from deploy.kvs.keys import Key
from deploy.kvsstore.faults import parse_fault
from deploy.media.codecs import describe
from deploy.media.matroska import parse_cluster, parse_header
from deploy.media.model import TrackKind
from deploy.media.pictures import is_black, same, still
from tests.support import captures
from tests.support.kvsclient import SMALL, Client, Ended, Place
from tests.support.localservice import REGION, LocalService, local_service
from tests.support.putmedia import KEY, SECRET, SHORT_KEY, TOKEN

pytestmark = [pytest.mark.process, pytest.mark.loopback, pytest.mark.engine]
STREAM = "cam01"


@pytest.fixture
def served(tmp_path: Path) -> Iterator[LocalService]:
    with local_service(tmp_path) as service:
        service.service.store.keys.add(Key(KEY, SECRET))
        service.service.store.keys.add(Key(SHORT_KEY, SECRET, TOKEN, 4e9))
        yield service


def place(served: LocalService) -> Place:
    return Place(f"127.0.0.1:{served.tls_port}", served.authority.certificate)


def sent(client: Client, served: LocalService, *more: str, seconds: int = 3) -> Ended:
    words = ["--stream", STREAM, *SMALL, "--seconds", str(seconds), *more]
    return client.ran(place(served), words)


def kept(served: LocalService) -> list[int]:
    stream = served.service.store.streams.find(name=STREAM, region=REGION)
    return [fragment.producer_ms for fragment in served.service.store.fragments.select(stream)]


def test_a_new_stream_is_made_and_its_pictures_move(client: Client, served: LocalService) -> None:
    ran = sent(client, served, "--size", "320x240", "--bitrate", "256")
    assert ran.code == 0, ran.said
    store = served.service.store
    stream = store.streams.find(name=STREAM, region=REGION)
    assert (stream.media_type, stream.retention_hours) == ("video/h264,audio/aac", 2)
    fragments = store.fragments.select(stream)
    assert [fragment.producer_ms for fragment in fragments] == [code for _, code in ran.acks("PERSISTED")]
    assert len(fragments) >= 3
    header = parse_header(store.fragments.header(fragments[0]))
    video = header.track(TrackKind.VIDEO)
    assert video
    assert {track.kind for track in header.tracks} == {TrackKind.VIDEO, TrackKind.AUDIO}
    pictures = []
    for fragment in (fragments[0], fragments[-1]):
        frames = parse_cluster(store.fragments.data(fragment), header).frames
        pictures.append(still(video, describe(video), [frame for frame in frames if frame.track == video.number]))
    assert not any(map(is_black, pictures))
    assert not same(*pictures), "the clock in the picture has moved on"


def test_a_connection_that_is_cut_loses_nothing_and_keeps_nothing_twice(client: Client, served: LocalService) -> None:
    served.service.store.streams.create(STREAM, region=REGION, retention_hours=2)
    served.call(lambda: served.service.store.faults.ask(parse_fault(["drop", "at=2", "times=2"], STREAM)))
    ran = sent(client, served, seconds=4)
    assert ran.code == 0, ran.said
    assert ran.end["sent_again"] > 0
    assert kept(served) == sorted({code for _, code in ran.acks("PERSISTED")})
    assert len(kept(served)) == ran.end["fragments"]


def test_an_error_on_demand_ends_it_with_the_sdks_status(client: Client, served: LocalService) -> None:
    served.service.store.streams.create(STREAM, region=REGION, retention_hours=2)
    served.call(lambda: served.service.store.faults.ask(parse_fault(["error=4010", "at=2"], STREAM)))
    ran = sent(client, served, seconds=20)
    assert (ran.code, ran.seconds < 10) == (78, True), ran.said
    assert "status 0x5200007c" in ran.said


def test_a_key_that_the_service_does_not_know_is_refused(client: Client, served: LocalService) -> None:
    words = ["--stream", STREAM, *SMALL, "--seconds", "1"]
    ran = client.ran(
        place(served), words, {"AWS_ACCESS_KEY_ID": "AKIANOBODY0000000000", "AWS_SECRET_ACCESS_KEY": SECRET}
    )
    assert ran.code == 78
    assert "status 0x52000010" in ran.said


@pytest.mark.parametrize(("name", "fragments"), [("kvssink-audio-video", 6), ("kvssink-connection-lost", 5)])
def test_the_real_clients_bytes_get_the_same_answers(
    client: Client, served: LocalService, name: str, fragments: int
) -> None:
    """All but the keys by certificate, which another room of the service gives."""
    head = captures.sent(name)
    moment = next(data for data in head.values() if b"X-Amz-Date: " in data).partition(b"X-Amz-Date: ")[2][:16]
    served.clock.set(calendar.timegm(time.strptime(moment.decode(), "%Y%m%dT%H%M%SZ")))
    stream = STREAM if name.endswith("lost") else "HelloLankaKVS"
    made = served.service.store.streams.create(stream, region=REGION, retention_hours=2)
    if name.endswith("lost"):
        served.call(lambda: served.service.store.faults.ask(parse_fault(["drop", "at=3", "times=0"], stream)))
    lines = gzip.decompress(captures.recorded(name).read_bytes()).splitlines(keepends=True)
    with_keys = [number for number, data in head.items() if data.startswith(b"GET /role-aliases/")]
    given = b"".join(line for line in lines if not any(b'"connection": %d,' % number in line for number in with_keys))
    ran = client.ran(place(served), ["--replay", "-", "--fast"], {}, given)
    assert ran.code == 0, (ran.said, [row for row in ran.rows if "end" in row])
    assert len(served.service.store.fragments.select(made)) == fragments
