"""What the real clients sent, byte for byte: master and viewer of the C SDK 1.10.2 meet through the service."""

from __future__ import annotations

import calendar
import json
import re
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from deploy.kvs.keys import Key
from deploy.kvsstore.channels import Channels
from tests.support.captures import sent
from tests.support.localservice import REGION, LocalService, Wire, local_service

pytestmark = pytest.mark.loopback
NAME = "webrtc-master-and-viewer"
MASTER, VIEWER = 5, 8
VIEWER_ID = "ConsumerViewer_504587985"


@pytest.fixture
def served(tmp_path: Path) -> Iterator[LocalService]:
    """Serve the channel of the recording, at the time of the recording."""
    with local_service(tmp_path) as service:
        service.service.store.keys.add(Key("AKIAEXAMPLE000000000", "secretexamplekey"))
        # A channel's ARN says when it was made.
        Channels(service.service.store.database, lambda: 1_600_000_000.0).create("HelloLankaKVS", region=REGION)
        yield service


def opened(served: LocalService, data: bytes) -> tuple[Wire, bytes]:
    """Connect as a client of the recording did; returns what it said after its request."""
    head, _, rest = data.partition(b"\r\n\r\n")
    date = re.search(rb"X-Amz-Date[:=] ?([0-9]{8}T[0-9]{6}Z)", head)
    assert date is not None
    served.clock.set(calendar.timegm(time.strptime(date[1].decode(), "%Y%m%dT%H%M%SZ")))
    wire = Wire(served.tls_port, served.authority.certificate)
    wire.send(head + b"\r\n\r\n")
    return wire, rest


def frames(data: bytes) -> list[tuple[int, bytes]]:
    """Return opcode and content of each whole WebSocket frame, masked or not."""
    found = []
    while len(data) >= 2:
        masked, length, at = data[1] & 0x80, data[1] & 0x7F, 2
        if length == 126:
            length, at = int.from_bytes(data[2:4], "big"), 4
        mask = data[at : at + 4] if masked else bytes(4)
        at += 4 if masked else 0
        if len(data) < at + length:
            break
        content = bytes(byte ^ mask[place % 4] for place, byte in enumerate(data[at : at + length]))
        found.append((data[0] & 0x0F, content))
        data = data[at + length :]
    return found


def heard(wire: Wire, count: int) -> list[tuple[int, bytes]]:
    """Return the frames that came, once there are so many; JSON, pongs."""
    wire.until(lambda received: len(frames(received.partition(b"\r\n\r\n")[2])) >= count, 5)
    return frames(wire.received.partition(b"\r\n\r\n")[2])


def events(found: list[tuple[int, bytes]]) -> list[dict[str, Any]]:
    return [json.loads(content) for opcode, content in found if opcode == 1]


def test_the_recorded_master_and_viewer_meet(served: LocalService) -> None:
    client, server = sent(NAME), sent(NAME, "server")
    recorded = {number: frames(server[number].partition(b"\r\n\r\n")[2]) for number in (MASTER, VIEWER)}
    master, master_says = opened(served, client[MASTER])
    viewer, viewer_says = opened(served, client[VIEWER])
    for wire, number in ((master, MASTER), (viewer, VIEWER)):
        head = wire.until(lambda received: b"\r\n\r\n" in received).partition(b"\r\n\r\n")[0]
        accept = re.search(rb"Sec-WebSocket-Accept: (\S+)", server[number])
        assert accept is not None
        assert head.startswith(b"HTTP/1.1 101 ")
        assert b"Sec-WebSocket-Accept: " + accept[1] in head
        assert b"Sec-WebSocket-Protocol: wss" in head
    # The viewer's offer, in the pieces in which the C library sends it: two bytes of a header come alone.
    for at in range(0, len(viewer_says), 100):
        viewer.send(viewer_says[at : at + 100])
    offer = events(heard(master, 1))[0]
    assert offer == events(recorded[MASTER])[0]
    assert offer["senderClientId"] == VIEWER_ID
    master.send(master_says)
    came = heard(viewer, len(recorded[VIEWER]))
    answers = [(said["messageType"], said["messagePayload"]) for said in events(came)]
    assert answers == [(said["messageType"], said["messagePayload"]) for said in frames_sent(master_says)]
    assert sorted(answers) == sorted((said["messageType"], said["messagePayload"]) for said in events(recorded[VIEWER]))
    for wire, number in ((master, MASTER), (viewer, VIEWER)):
        pongs = sum(opcode == 10 for opcode, _ in recorded[number])
        assert sum(opcode == 10 for opcode, _ in heard(wire, len(recorded[number]))) == pongs > 0
        wire.close()


def frames_sent(data: bytes) -> list[dict[str, Any]]:
    """Return what a client of the recording sent, with the keys as the other side gets them."""
    read = [json.loads(content) for opcode, content in frames(data) if opcode == 1]
    return [{"messageType": one["action"], "messagePayload": one["MessagePayload"]} for one in read]


def test_the_recorded_calls_are_answered_and_the_connection_is_closed(served: LocalService) -> None:
    """Libwebsockets sends `connection: close` and waits for it: an open connection costs it up to 30 s."""
    for number, data in sent(NAME).items():
        if number in (MASTER, VIEWER) or not data or b"/createSignalingChannel" in data:
            continue
        wire, body = opened(served, data)
        began = time.monotonic()
        wire.send(body)
        answer = wire.until(lambda _: False, 5)
        assert answer.startswith(b"HTTP/1.1 200"), (number, answer)
        assert time.monotonic() - began < 2, "the service has to close"
        if b"get-ice-server-config" in data:
            assert json.loads(answer.partition(b"\r\n\r\n")[2]) == {"IceServerList": []}
        wire.close()
