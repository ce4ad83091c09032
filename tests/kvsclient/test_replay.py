"""kvsclient --replay: a recorded client's bytes again, one by one, and the same answers."""

from __future__ import annotations

import base64
import gzip
import json

import pytest

from tests.support import captures
from tests.support.kvsclient import Client, Ended
from tests.support.putmedia import SECRET, TOKEN, Plan, Service, signed

pytestmark = [pytest.mark.process, pytest.mark.loopback, pytest.mark.engine]


def replayed(client: Client, service: Service, given: bytes, *more: str) -> Ended:
    thing = ("--iot-cert", str(service.certificate), "--iot-key", str(service.key))
    return client.ran(service, ["--replay", "-", *thing, *more], {}, given)


def prepared(name: str, service: Service) -> bytes:
    """Make the service do what it did when the recording was made, and return the recording."""
    plans: dict[str, Plan] = {
        "kvssink-error-ack": lambda connection, fragment: "error=4010" if (connection, fragment) == (1, 3) else "",
        "kvssink-connection-lost": lambda _connection, fragment: "drop" if fragment == 3 else "",
    }
    service.plan = plans.get(name, service.plan)
    if name == "kvssink-iot-new-stream":
        service.streams.clear()
    return gzip.decompress(captures.recorded(name).read_bytes())


def recorded_acks(name: str) -> list[tuple[str, int]]:
    said = b"".join(captures.sent(name, "server").values())
    lines = [line for line in said.split(b"\r\n") if line.startswith(b'{"EventType"')]
    return [(ack["EventType"], ack["FragmentTimecode"]) for ack in map(json.loads, lines)]


@pytest.mark.parametrize("name", captures.PRODUCER)
def test_the_real_clients_bytes_arrive_as_they_were_and_get_the_same_acks(
    client: Client, service: Service, name: str
) -> None:
    ran = replayed(client, service, prepared(name, service), "--fast")
    assert ran.code == 0, ran.said
    assert [bytes(upload.body) for upload in service.uploads if upload.body] == captures.put_media_bodies(name)
    assert all(signed(call, call.body) for call in service.calls if not call.path.startswith("/role-aliases"))
    acks = [(row["ack"], row["timecode"]) for row in ran.rows if "ack" in row]
    # Where the service hung up, it had not said BUFFERING for the fragment that it hung up in.
    hung_up = {
        upload.fragments.timecodes[2] for upload in service.uploads if name.endswith("lost") and upload.begun > 2
    }
    first_time: set[int] = set()
    kept = [ack for ack in acks if not (ack[1] in hung_up - first_time and not first_time.add(ack[1]))]  # type: ignore[func-returns-value]
    assert kept == recorded_acks(name)
    assert SECRET not in json.dumps(ran.rows)
    assert TOKEN not in json.dumps(ran.rows)


def test_with_the_recorded_pauses_it_takes_as_long_as_it_took(client: Client, service: Service) -> None:
    ran = replayed(client, service, prepared("kvssink-audio-video", service))
    assert ran.code == 0, ran.said
    assert 5.4 <= ran.seconds < 15, "the recording's putMedia took 5.424 s"
    assert [row["end"] for row in ran.rows if "end" in row] == ["client"] * 3


def test_other_answers_are_told_from_the_recorded_ones(client: Client, service: Service) -> None:
    given = prepared("kvssink-iot-new-stream", service)
    service.streams.add("cam01")  # found, where it was missing
    ran = replayed(client, service, given, "--fast", "--wait", "1")
    assert ran.code == 74
    assert {row["connection"] for row in ran.rows if row.get("same") is False} == {2}


def line(connection: int, data: bytes, sender: str = "client", seconds: float = 0) -> bytes:
    text = base64.b64encode(data).decode()
    return json.dumps({"connection": connection, "t": seconds, "from": sender, "data": text}).encode() + b"\n"


HELLO = (
    b"POST /describeStream HTTP/1.1\r\nHost: kinesisvideo.ap-northeast-1.amazonaws.com\r\ncontent-length: 2\r\n\r\n{}"
)


def test_a_recording_of_ones_own_needs_no_more_than_its_lines(client: Client, service: Service) -> None:
    answer = b"HTTP/1.1 403 No\r\ncontent-length: 2\r\n\r\n{}"
    ran = replayed(client, service, line(1, HELLO[:20]) + line(1, HELLO[20:]) + line(1, answer, "server"))
    assert ran.code == 0, ran.said
    assert [row["answer"] for row in ran.rows if "answer" in row] == [403]


@pytest.mark.parametrize(
    "given",
    [
        b"",
        b"\x1f\x8b\x08 packed",
        b"{}\n",
        line(1, HELLO).replace(b'"client"', b'"nobody"'),
        line(1, HELLO).replace(b'"t": 0', b'"t": 1e999'),
        b'{"connection":1,"t":0,"from":"client","data":"' + b"A" * (17 << 20) + b'"}\n',
    ],
    ids=["empty", "packed", "no fields", "no sender", "no time", "a line too long"],
)
def test_what_is_no_recording_is_told_as_such(client: Client, service: Service, given: bytes) -> None:
    ran = replayed(client, service, given)
    assert ran.code == 64
    assert service.calls == []
    assert len(ran.said) < 1000


def test_a_recording_without_a_host_is_no_connection(client: Client, service: Service) -> None:
    ran = replayed(client, service, line(1, b"GET / HTTP/1.1\r\n\r\n"))
    assert ran.code == 74
    assert service.calls == []
