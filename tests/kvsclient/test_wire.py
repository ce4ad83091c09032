"""What kvsclient puts on the wire is what the real kvssink 3.4.1 put there: headers, signatures, framing, order."""

from __future__ import annotations

import itertools
import json
import re
import signal
import time

import pytest

from tests.support import captures
from tests.support.ebml import END_OF_FRAGMENT, Element, walk
from tests.support.kvsclient import SMALL, STREAM, Client, ended, iot, keys
from tests.support.putmedia import TOKEN, Call, Service, Upload

pytestmark = [pytest.mark.process, pytest.mark.loopback, pytest.mark.engine]

JSON_CALL = ["Host", "Accept", "Authorization", "content-length", "content-type", "user-agent", "X-Amz-Date"]
PUT_MEDIA = [
    "Host",
    "Accept",
    "Authorization",
    "connection",
    "content-type",
    "transfer-encoding",
    "user-agent",
    "X-Amz-Date",
    "x-amzn-fragment-acknowledgment-required",
    "x-amzn-fragment-timecode-type",
    "x-amzn-producer-start-timestamp",
    "x-amzn-stream-name",
    "Expect",
]
"""As recorded; with short-lived keys x-amz-security-token comes behind X-Amz-Date."""

AGENT = r"AWS-SDK-KVS-CPP-CLIENT/3\.4\.1/1\.5\.1 GCC/\d+\.\d+\.\d+ Linux/\S+ \w+ (?:CPPSDK|kvsclient)"
CHANGING = {
    "Authorization": r"(Credential=\w+/)\d+|(Signature=)\w+",
    "X-Amz-Date": r"()\d{8}T\d{6}(Z)",
    "x-amzn-producer-start-timestamp": r"()\d{10}\.\d{1,3}()",
    "user-agent": rf"(){AGENT}",
}
"""What is another one each time: a pattern with what stays in groups."""


def with_token(names: list[str]) -> list[str]:
    after = names.index("X-Amz-Date") + 1
    return [*names[:after], "x-amz-security-token", *names[after:]]


def steady(name: str, value: str) -> str:
    pattern = CHANGING.get(name)
    if pattern is None:
        return value
    assert re.search(pattern, value), (name, value)
    return re.sub(pattern, lambda match: "".join(part or "" for part in match.groups()[:2]) + "*", value)


def recorded_calls(name: str) -> list[tuple[str, list[tuple[str, str]], bytes]]:
    """Return path, headers and body of each request of a recording; of the repeated putMedia the first alone."""
    found = []
    for data in captures.sent(name).values():
        head, _, body = data.partition(b"\r\n\r\n")
        first, *lines = head.decode().split("\r\n")
        headers = [(word, value) for word, _, value in (line.partition(": ") for line in lines)]
        found.append((first.split(" ")[1], headers, b"" if b"putMedia" in head else body))
    last = next(place for place, call in enumerate(found) if call[0] == "/putMedia")
    return found[: last + 1]


def same_calls(calls: list[Call], recorded: list[tuple[str, list[tuple[str, str]], bytes]]) -> None:
    assert [call.path for call in calls] == [path for path, _, _ in recorded]
    for call, (path, headers, body) in zip(calls, recorded, strict=True):
        assert [name for name, _ in call.headers] == [name for name, _ in headers], path
        for (name, value), (_, wanted) in zip(call.headers, headers, strict=True):
            if name == "user-agent" and path.startswith("/role-aliases"):
                assert value == wanted == "AWS-SDK-KVS"
            else:
                assert steady(name, value) == steady(name, wanted), (path, name)
        assert call.body == body, path


def frames(upload: Upload) -> list[tuple[int, int, int, int]]:
    """Return cluster time, track, time and flags of each block."""
    cluster, found = 0, []
    for element in walk(bytes(upload.body)):
        if element.path == "/e7":
            cluster = int.from_bytes(element.data, "big")
        elif element.path == "/a3":
            track, relative, flags = element.block
            found.append((cluster, track, cluster + relative, flags))
    return found


def test_picture_and_sound_end_in_order_and_all_is_confirmed(client: Client, service: Service) -> None:
    ran = client.sent(service, seconds=3)
    assert ran.code == 0, ran.said
    assert service.paths == ["/describeStream", "/getDataEndpoint", "/putMedia"]
    (upload,) = service.uploads
    assert upload.ended, "the chunked body ended in order"
    fragments = upload.fragments.timecodes
    assert len(fragments) >= 3
    assert all(1 <= (later - one) / 100 <= 15 for one, later in itertools.pairwise(fragments)), "one a second"
    assert abs(fragments[-1] / 1000 - time.time()) < 10, "absolute milliseconds"
    assert [code for _, code in ran.acks("PERSISTED")] == fragments == service.persisted
    assert ran.end == {**ran.end, "end": 0, "fragments": len(fragments), "persisted": len(fragments), "lost": 0}


def test_headers_are_kvssinks_in_name_order_and_value(client: Client, service: Service) -> None:
    assert client.sent(service, "--no-audio", "--stream", "HelloLankaKVS", seconds=1).code == 0
    assert [[name for name, _ in call.headers] for call in service.calls] == [JSON_CALL, JSON_CALL, PUT_MEDIA]
    same_calls(service.calls, recorded_calls("kvssink-audio-video"))


def test_a_new_stream_by_certificate_is_made_as_kvssink_makes_it(client: Client, service: Service) -> None:
    service.streams.clear()
    ran = client.ran(service, ["--stream", STREAM, *SMALL, "--no-audio", "--seconds", "1", *iot(service)], {})
    assert ran.code == 0, ran.said
    assert [[name for name, _ in call.headers] for call in service.calls[1:]] == [
        *[with_token(JSON_CALL)] * 3,
        with_token(PUT_MEDIA),
    ]
    assert service.calls[0].peer
    assert not any(call.peer for call in service.calls[1:]), "the certificate is for the credential provider alone"
    assert json.loads(service.calls[2].body)["MediaType"] == "video/h264"
    same_calls(service.calls, recorded_calls("kvssink-iot-new-stream"))


def test_with_sound_a_new_stream_has_both_media_types(client: Client, service: Service) -> None:
    service.streams.clear()
    assert client.sent(service, "--retention", "5", seconds=1).code == 0
    made = json.loads(service.calls[1].body)
    assert (made["MediaType"], made["DataRetentionInHours"]) == ("video/h264,audio/aac", 5)


def test_the_header_is_kvssinks_element_by_element(client: Client, service: Service) -> None:
    """Sizes too, as they are written; but for the segment's id, the picture's size and the encoder's parameters."""
    assert client.sent(service, "--size", "320x240", "--fps", "15", seconds=1).code == 0
    mine = [element for element in walk(bytes(service.uploads[0].body)) if element.path != "/a3"]
    theirs = [element for element in walk(captures.put_media_bodies("kvssink-audio-video")[0]) if element.path != "/a3"]
    head = [element.path for element in theirs].index("/Cluster")
    for one, other in zip(mine[: head + 3], theirs[: head + 3], strict=True):
        assert (one.path, one.size) == (other.path, other.size)
        if one.path not in {"/Info/73a4", "/Tracks/TrackEntry/63a2", "/e7"}:
            assert one.data == other.data, one.path
    sound = [element.data for element in mine if element.path == "/Tracks/TrackEntry/63a2"][1]
    assert sound == [element.data for element in theirs if element.path == "/Tracks/TrackEntry/63a2"][1]
    assert mine[-5:] == theirs[-5:], "the end-of-fragment tag"
    assert [element.path for element in mine].count("/Tags") == 1


def test_framing_is_kvssinks_without_a_recording_too(client: Client, service: Service) -> None:
    assert client.sent(service, seconds=2).code == 0
    body = bytes(service.uploads[0].body)
    elements = list(walk(body))
    sizes = {element.path: element.size for element in elements}
    assert (sizes["/EBML"], sizes["/Segment"], sizes["/Cluster"], sizes["/e7"]) == ("a3", "ff", "ff", "88")
    assert all(element.size.startswith("01") and len(element.size) == 16 for element in elements if element.id == 0xA3)
    last = elements[-5:]
    assert next(element.path for element in last) == "/Tags"
    assert last[3] == Element("/Tags/Tag/SimpleTag/45a3", 0x45A3, "0100000000000020", END_OF_FRAGMENT)
    assert body.count(END_OF_FRAGMENT) == 1


def test_frames_are_in_order_and_a_fragment_begins_with_a_key_frame(client: Client, service: Service) -> None:
    assert client.sent(service, seconds=2).code == 0
    found = frames(service.uploads[0])
    assert {track for _, track, _, _ in found} == {1, 2}
    assert [at for _, _, at, _ in found] == sorted(at for _, _, at, _ in found), "sound and pictures by their time"
    firsts = {cluster: (track, at, flags) for cluster, track, at, flags in reversed(found)}
    assert all(first == (1, cluster, 0x80) for cluster, first in firsts.items())
    keys_seen = [cluster for cluster, track, _, flags in found if track == 1 and flags == 0x80]
    assert keys_seen == service.uploads[0].fragments.timecodes, "a fragment at each key frame, and nowhere else"
    pictures = [at for _, track, at, _ in found if track == 1]
    assert all(90 <= later - one <= 110 for one, later in itertools.pairwise(pictures)), "10 pictures a second"


def test_a_session_token_is_sent_and_not_signed(client: Client, service: Service) -> None:
    assert client.sent(service, seconds=1, AWS_SESSION_TOKEN=TOKEN).code == 0
    for call in service.calls:
        headers = dict(call.headers)
        assert headers["x-amz-security-token"] == TOKEN
        assert "security-token" not in headers["Authorization"]


def test_a_pipeline_of_words_is_sent_and_its_end_is_the_streams(client: Client, service: Service) -> None:
    words = [
        "videotestsrc",
        "num-buffers=25",
        "!",
        "video/x-raw,width=64,height=48,framerate=10/1",
        "!",
        "x264enc",
        "bframes=0",
        "key-int-max=10",
        "option-string=scenecut=0",
        "!",
        "h264parse",
        "!",
        "video/x-h264,stream-format=avc,alignment=au",
        "!",
        "appsink",
        "name=video",
    ]
    ran = client.ran(service, ["--stream", STREAM, "--", *words])
    assert ran.code == 0, ran.said
    assert len(frames(service.uploads[0])) == 25
    assert ran.end["persisted"] == 3


def test_sigint_ends_the_stream_in_order(client: Client, service: Service) -> None:
    with client.started(service, ["--stream", STREAM, *SMALL]) as process:
        deadline = time.monotonic() + 30
        while len(service.persisted) < 1 and time.monotonic() < deadline:
            time.sleep(0.05)
        began = time.monotonic()
        process.send_signal(signal.SIGINT)
        out, said = process.communicate(timeout=20)
    ran = ended(process.returncode, out, said, time.monotonic() - began)
    assert (ran.code, ran.seconds < 5) == (0, True), ran.said
    assert service.uploads[0].ended
    assert service.persisted == service.uploads[0].fragments.timecodes, "the open fragment was closed and confirmed"
    assert END_OF_FRAGMENT in service.uploads[0].body


def test_no_secret_is_in_what_it_says_or_in_its_arguments(client: Client, service: Service) -> None:
    ran = client.ran(service, ["--stream", STREAM, *SMALL, "--seconds", "1", *iot(service)], {})
    secrets = (*keys().values(), TOKEN)
    assert not [secret for secret in secrets if secret in ran.said or secret in json.dumps(ran.rows)]
