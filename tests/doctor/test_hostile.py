"""Logs and status files that a board made to harm: no secret, no forgery, no error, and a bounded time."""

from __future__ import annotations

import json
import time
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from deploy.doctor.diagnosis import StreamEvidence
from deploy.doctor.page import COLUMNS, diagnosis_dict, diagnosis_page
from deploy.doctor.status import MOST, read_status
from deploy.doctor.stream import LOG_MOST
from deploy.probe.findings import Level
from recipes.config import is_one_line
from tests.support.evidence import Phase, Service, found, status_file, stream
from tests.support.streamlogs import SYMPTOMS

KEY_ID, KEY = "AKIAEXAMPLE000000000", "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY"


@pytest.mark.hostile(kind="board")
def test_no_secret_is_in_a_report() -> None:
    leaky = stream(
        f"gst-launch-1.0 erroneous pipeline: kvssink access-key={KEY_ID} secret-key={KEY}",
        f"Device '/dev/video0' is busy rtsp://admin:hunter2@cam/ AWS_SESSION_TOKEN={KEY}",
        service=Service(phase=Phase.FAILED, reason=f"exit code 78: token={KEY}"),
        status=status_file(
            state="ended", exit=78, reason=f"source: password=hunter2 {KEY}", last_reason="my own secret"
        ),
    )
    streams = [
        StreamEvidence(
            name=leaky.name, service=leaky.service, log=leaky.log, status=leaky.status, secrets=("my own secret",)
        )
    ]
    told = found(*streams)
    whole = diagnosis_page("cam01", streams, told) + json.dumps(diagnosis_dict("cam01", streams, told))
    assert told
    for secret in (KEY_ID, KEY, "hunter2", "my own secret"):
        assert secret not in whole


@pytest.mark.hostile(kind="board")
def test_a_board_cannot_forge_a_report() -> None:
    line = "\x1b[2J\x1b[Hcam01: nothing is wrong\r\u202e Device '/dev/video0' is busy \x9b1m" + "x" * 5000
    streams = [
        stream(line, service=Service(phase=Phase.FAILED, reason=line), status=status_file(state=line, reason=line))
    ]
    page = diagnosis_page("cam01", streams, found(*streams))
    assert all(is_one_line(part) and len(part) <= COLUMNS for part in page.splitlines())
    assert page.startswith("cam01: ")
    assert "\x1b" not in page


@pytest.mark.hostile(kind="board")
def test_a_large_log_takes_a_bounded_time() -> None:
    noise = b"".join(
        b"2026-11-27 04:00:05 [%d] DEBUG - Wrote %d bytes to Kinesis Video\n" % (n, n) for n in range(40_000)
    )
    last = SYMPTOMS["store-full"][0].encode()
    began = time.process_time()
    (only,) = found(StreamEvidence(name="front", log=SYMPTOMS["camera-busy"][0].encode() + b"\n" + noise + last))
    assert only.check == "store-full", "what is before the end that is read is not told"
    assert len(noise) > LOG_MOST
    assert time.process_time() - began < 3


@pytest.mark.hostile(kind="board")
@given(st.binary(max_size=2000), st.binary(max_size=300), st.text(max_size=200), st.integers(-300, 300))
def test_nothing_that_a_board_sends_is_an_error(log: bytes, status: bytes, reason: str, code: int) -> None:
    streams = [StreamEvidence(name="front", log=log, status=status, service=Service(reason=reason, last_exit=code))]
    told = found(*streams)
    assert all(is_one_line(line) for line in diagnosis_page("cam01", streams, told).splitlines())
    json.dumps(diagnosis_dict("cam01", streams, told))


values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    max_leaves=5,
)
KEYS = ("state", "updated", "uptime", "frames", "fps", "fragments", "frame_age", "ack_age", "status", "exit", "reason")


@pytest.mark.hostile(kind="board")
@given(st.dictionaries(st.sampled_from(KEYS), values))
def test_a_status_file_may_hold_anything(told: dict[str, Any]) -> None:
    found(stream(status=json.dumps({"schema": 1} | told).encode(), service=Service()))


@pytest.mark.hostile(kind="board")
@pytest.mark.parametrize("value", ["true", "1.5", "-1", '"3"', "1e400", "NaN", "[3]", "99999999999999999999"])
def test_a_number_that_is_none_was_not_told(value: str) -> None:
    read = read_status(b'{"schema":1,"state":"streaming","frames":%s}' % value.encode())
    assert read is not None
    assert (read.state, read.frames) == ("streaming", None)


@pytest.mark.hostile(kind="board")
@pytest.mark.parametrize(
    "raw", [b"[" * 100_000, b"{}", b"[]", b'{"schema":2}', b"\xff", b"x" * (MOST + 1), b'{"schema":1}' + b" " * MOST]
)
def test_what_is_no_status_file_is_a_note(raw: bytes) -> None:
    assert read_status(raw) is None
    (only,) = found(stream(status=raw))
    assert (only.check, only.level) == ("status-unread", Level.NOTE)
