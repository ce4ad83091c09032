"""kvsclient and the product's own local service: what is sent is kept, once, and can be seen."""

from __future__ import annotations

import calendar
import datetime as dt
import gzip
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from deploy.kvs import tls
from deploy.kvs.keys import Key
from deploy.kvsstore.faults import parse_fault
from deploy.media.codecs import describe
from deploy.media.matroska import parse_cluster, parse_header
from deploy.media.model import TrackKind
from deploy.media.pictures import is_black, same, still
from deploy.signaling.credentials import provision_thing, revoke
from tests.support import captures
from tests.support.kvsclient import SMALL, Client, Ended, Place
from tests.support.localservice import REGION, LocalService, local_service
from tests.support.putmedia import IOT_HOST, KEY, SECRET, SHORT_KEY, TOKEN

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


def kept(served: LocalService, name: str = STREAM) -> list[int]:
    stream = served.service.store.streams.find(name=name, region=REGION)
    return [fragment.producer_ms for fragment in served.service.store.fragments.select(stream)]


def thing(served: LocalService, folder: Path, seconds: float = 900) -> list[str]:
    """Let a device in, and return the options with its certificate."""
    chain = provision_thing(served.service.store, served.authority, STREAM, "cam-role", seconds=seconds)
    certificate, key = folder / "thing.pem", folder / "thing.key"
    certificate.write_bytes(chain[0])
    key.write_bytes(chain[1])
    return ["--iot-cert", str(certificate), "--iot-key", str(key)]


def provider() -> list[str]:
    return ["--iot-endpoint", IOT_HOST, "--iot-role-alias", "cam-role"]


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
    assert len(kept(served)) == ran.end["fragments"], (ran.end, ran.said)


def test_no_fragment_is_begun_for_pictures_whose_sound_has_ended(client: Client, served: LocalService) -> None:
    """The service takes none (4011); tracks of a live pipeline never end at the same moment."""
    pictures = "videotestsrc num-buffers=35 ! video/x-raw,width=64,height=48,framerate=10/1 ! x264enc bframes=0 "
    pictures += "key-int-max=10 option-string=scenecut=0 ! h264parse ! video/x-h264,stream-format=avc,alignment=au"
    sound = "audiotestsrc num-buffers=110 ! audio/x-raw,rate=44100,channels=1 ! audioconvert ! voaacenc ! aacparse"
    sound += " ! audio/mpeg,mpegversion=4,stream-format=raw"  # 110 * 1024 samples: 2.55 s
    words = f"{pictures} ! appsink name=video {sound} ! appsink name=audio".split()
    ran = client.ran(place(served), ["--stream", STREAM, "--", *words])
    assert (ran.code, ran.end["fragments"], ran.end["persisted"], ran.end["lost"]) == (0, 3, 3, 0), ran.said
    assert len(kept(served)) == 3
    assert "no fragment is begun without it" in ran.said


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


def test_keys_for_a_certificate_are_changed_before_they_expire(
    client: Client, served: LocalService, tmp_path: Path
) -> None:
    ran = client.ran(
        place(served),
        ["--stream", STREAM, *SMALL, "--seconds", "5", *provider(), *thing(served, tmp_path, seconds=12)],
        {},
    )
    assert ran.code == 0, ran.said
    assert ran.said.count("credentials: by certificate") >= 2
    assert len({row["connection"] for row in ran.rows if "ack" in row}) >= 2
    assert len(kept(served)) == ran.end["fragments"] == ran.end["persisted"]


def test_a_certificate_that_was_taken_back_gets_no_keys(client: Client, served: LocalService, tmp_path: Path) -> None:
    options = thing(served, tmp_path)
    served.call(lambda: revoke(served.service.store, STREAM))
    ran = client.ran(place(served), ["--stream", STREAM, *SMALL, *provider(), *options], {})
    assert ran.code == 78, ran.said
    assert "the credential provider answers 403" in ran.said


@pytest.mark.parametrize(
    ("name", "fragments"), [("kvssink-audio-video", 6), ("kvssink-connection-lost", 5), ("kvssink-iot-new-stream", 4)]
)
def test_the_real_clients_bytes_get_the_same_answers(
    client: Client, served: LocalService, tmp_path: Path, name: str, fragments: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    sent_once = captures.sent(name).values()
    moment = next(data for data in sent_once if b"X-Amz-Date: " in data).partition(b"X-Amz-Date: ")[2][:16]
    recorded = calendar.timegm(time.strptime(moment.decode(), "%Y%m%dT%H%M%SZ"))
    served.clock.set(recorded)
    # The device's certificate is made today, and has to be good at the time of the recording.
    monkeypatch.setattr(tls, "_BACKDATED", dt.timedelta(seconds=time.time() - recorded, days=1))
    stream = "HelloLankaKVS" if name == "kvssink-audio-video" else STREAM
    if name != "kvssink-iot-new-stream":
        served.service.store.streams.create(stream, region=REGION, retention_hours=2)
    if name.endswith("lost"):
        served.call(lambda: served.service.store.faults.ask(parse_fault(["drop", "at=3", "times=0"], stream)))
    given = gzip.decompress(captures.recorded(name).read_bytes())
    ran = client.ran(place(served), ["--replay", "-", "--fast", *thing(served, tmp_path)], {}, given)
    assert ran.code == 0, (ran.said, [row for row in ran.rows if "end" in row])
    assert len(kept(served, stream)) == fragments
