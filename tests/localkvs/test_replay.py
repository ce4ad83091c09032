"""Recordings of the real kvssink, byte for byte, and the acks that it got at the same places."""

from __future__ import annotations

import base64
import calendar
import gzip
import json
import re
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from deploy.kvs.keys import Key
from deploy.kvsstore.faults import parse_fault
from tests.support.captures import recorded
from tests.support.localservice import REGION, LocalService, Wire, local_service

pytestmark = pytest.mark.loopback
SECRET = "secretexamplekey"


@dataclass
class Said:
    """One message of a recording: the client's bytes, and the acks that were there before its next."""

    data: bytes
    acks: list[dict[str, Any]] = field(default_factory=list)


def conversations(name: str) -> list[list[Said]]:
    """Return the connections of a recording, each the client's messages in order."""
    found: dict[int, list[Said]] = {}
    with gzip.open(recorded(name), "rt") as lines:
        for line in lines:
            record = json.loads(line)
            data = base64.b64decode(record["data"])
            said = found.setdefault(record["connection"], [])
            if record["from"] == "client":
                said.append(Said(data))
            elif said:
                said[-1].acks += [json.loads(part) for part in data.splitlines() if part.startswith(b'{"EventType"')]
    return list(found.values())


def outline(acks: list[dict[str, Any]]) -> list[tuple[str, int, int]]:
    return [(ack["EventType"], ack.get("FragmentTimecode", 0), ack.get("ErrorId", 0)) for ack in acks]


@pytest.fixture
def served(tmp_path: Path) -> Iterator[LocalService]:
    with local_service(tmp_path) as service:
        for key in (Key("AKIAEXAMPLE000000000", SECRET), Key("ASIAEXAMPLE000000000", SECRET, "tokenexample", 4e9)):
            service.service.store.keys.add(key)
        yield service


def _wait_for(wire: Wire, count: int) -> None:
    wire.until(lambda _: len(wire.acks()) >= count, 20)


def replay(served: LocalService, said: list[Said]) -> tuple[Wire, list[list[tuple[str, int, int]]]]:
    """Say all of a connection; returns what came back, and which acks followed which message."""
    first = said[0].data
    moment = re.search(rb"X-Amz-Date[:=] ?([0-9]{8}T[0-9]{6}Z)", first)
    if moment:
        served.clock.set(calendar.timegm(time.strptime(moment[1].decode(), "%Y%m%dT%H%M%SZ")))
    wire = Wire(served.port)
    places: list[list[tuple[str, int, int]]] = []
    for message in said:
        known = len(wire.acks())
        try:
            wire.send(message.data)
        except ConnectionError:
            break  # the service hung up here, as it did for the recorded client
        if message is said[0] and b"Expect: 100" in first:
            wire.until(lambda received: b"100 Continue" in received and received.count(b"\r\n\r\n") >= 2)
        wanted = known + len(message.acks)
        if message.acks:
            _wait_for(wire, wanted)
        places.append(outline(wire.acks()[known:]))
    return wire, places


@pytest.mark.parametrize("name", ["kvssink-audio-video", "kvssink-iot-new-stream"])
def test_the_recorded_client_gets_the_same_acks_at_the_same_places(served: LocalService, name: str) -> None:
    """Every fragment is begun, received and persisted where it was for the real client, and the end is in order."""
    served.service.store.streams.create("HelloLankaKVS", region=REGION, retention_hours=2)
    media = 0
    for said in conversations(name):
        if b"role-aliases" in said[0].data or not said[0].data:
            continue
        wire, places = replay(served, said)
        assert places == [outline(message.acks) for message in said]
        if b"/putMedia" in said[0].data:
            media += 1
            end = wire.until(lambda received: received.partition(b"\r\n\r\n")[2].endswith(b"0\r\n\r\n"))
            assert end.endswith(b"0\r\n\r\n")
            numbers = [ack["FragmentNumber"] for ack in wire.acks() if ack["EventType"] == "PERSISTED"]
            assert numbers == sorted(set(numbers)), "numbers grow"
        elif b"/createStream" not in said[0].data:
            assert wire.until(lambda received: b"\r\n\r\n" in received).startswith((b"HTTP/1.1 200", b"HTTP/1.1 404"))
        wire.close()
    assert media == 1
    streams = served.service.store.streams.all()
    kept = {stream.name: served.service.store.fragments.facts(stream)[0] for stream in streams}
    assert sum(kept.values()) == (6 if name == "kvssink-audio-video" else 4)


def test_a_connection_that_broke_is_continued_and_nothing_is_kept_twice(served: LocalService) -> None:
    stream = served.service.store.streams.create("cam01", region=REGION, retention_hours=2)
    served.call(lambda: served.service.store.faults.ask(parse_fault(["drop", "at=3", "times=0"], "cam01")))
    bodies = [said for said in conversations("kvssink-connection-lost") if b"/putMedia" in said[0].data]
    persisted: set[int] = set()
    for said in bodies:
        wire, places = replay(served, said)
        assert places == [outline(message.acks) for message in said[: len(places)]]
        assert sum(map(len, places)) == sum(len(message.acks) for message in said), "and no ack is missing"
        persisted |= {ack["FragmentTimecode"] for ack in wire.acks() if ack["EventType"] == "PERSISTED"}
        wire.close()
    kept = served.service.store.fragments.select(stream)
    assert len(bodies) > 2
    assert persisted == {fragment.producer_ms for fragment in kept}
    assert len(kept) == len(persisted)


def test_an_error_on_demand_comes_where_it_came_for_the_recorded_client(served: LocalService) -> None:
    served.service.store.streams.create("cam01", region=REGION, retention_hours=2)
    served.call(lambda: served.service.store.faults.ask(parse_fault(["error=4010", "at=3"], "cam01")))
    said = next(one for one in conversations("kvssink-error-ack") if b"/putMedia" in one[0].data)
    wire, _ = replay(served, said)
    wire.until(lambda received: b"ERROR" in received)
    recorded_acks = [ack for message in said for ack in outline(message.acks)]
    until_error = recorded_acks[: 1 + next(at for at, ack in enumerate(recorded_acks) if ack[0] == "ERROR")]
    assert outline(wire.acks()) == until_error
    assert wire.acks()[-1]["ErrorCode"] == "TRACK_NUMBER_MISMATCH"
    assert wire.until(lambda _: False, 2).endswith(b"0\r\n\r\n"), "the service says that it is over"
    wire.close()
