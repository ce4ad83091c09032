"""What is wrong with a board's streams: each thing once, the worst first, with what shows it and what to do."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest

import deploy.probe.findings
from deploy.doctor.page import COLUMNS, diagnosis_dict, diagnosis_page, symptoms_page
from deploy.launch.statuscodes import symptom_table
from deploy.probe.facts import (
    Clock,
    GStreamer,
    Holder,
    Kernel,
    Kvssink,
    Memory,
)
from deploy.probe.findings import Level
from recipes import paths
from tests.support.evidence import NOW, WELL, Phase, Service, board, checks, found, status_file, stream
from tests.support.streamlogs import HEALTHY, SYMPTOMS


def test_a_stream_that_is_well_has_nothing() -> None:
    assert found(WELL, board=board()) == ()
    page = diagnosis_page("cam01", [WELL], [])
    assert page.startswith("cam01: nothing is wrong\n")
    assert "front: running, streaming, 25 frames/s, 44 fragments, the last one 1 s ago" in page


def test_a_type_mismatch_of_gst_launch() -> None:
    """What kvssink says when a stream for video alone gets audio too: 0x5200007c, and the program ends."""
    (only,) = found(
        stream(
            "2026-11-27T04:00:00Z front: started, process 812",
            'DEBUG - {"EventType":"ERROR","ErrorCode":"STREAM_DATA_TYPE_MISMATCH","ErrorId":4010}',
            "ERROR - Reporting stream error. Errored timecode: 1795731690790 Status: 0x5200007c",
            service=Service(
                phase=Phase.FAILED, last_exit=1, reason="stream type mismatch, which a restart does not cure"
            ),
        )
    )
    assert (only.check, only.level, only.restart, only.streams) == (
        "stream-type-mismatch", Level.ERROR, False, ("front",),
    )  # fmt: skip
    assert only.evidence[0].times == 2
    assert "0x5200007c" in only.evidence[0].line
    assert "describe-stream" in only.next_step
    assert "board-configs/mycam/board.toml" in only.next_step


@pytest.mark.parametrize(
    ("told", "line", "last_exit", "check", "symptom"),
    [
        ({"clock": Clock(seconds=42)}, SYMPTOMS["clock-certificate"][0], None, "clock-unset", "clock-certificate"),
        ({"clock": Clock(seconds=NOW, skew=900)}, SYMPTOMS["clock-signature"][0], None, "clock-off", "clock-signature"),
        ({"ca_bundles": ()}, SYMPTOMS["ca-unreadable"][0], None, "ca-missing", "ca-unreadable"),
        ({"memory": Memory(available_kib=60_000)}, SYMPTOMS["out-of-memory"][0], 137, "memory", "out-of-memory"),
        ({"kernel": Kernel(machine="armv7l", alignment=0)}, "boot", 135, "alignment", "unaligned-access"),
        (
            {"holders": (Holder(pid=7, process="motion", device="/dev/video0"),)},
            SYMPTOMS["camera-busy"][0], 75, "camera-busy", "camera-busy",
        ),
        (
            {"gstreamer": GStreamer(version="1.22.0", kvssink=Kvssink.FAILS, blacklisted=("libgstkvssink.so",))},
            SYMPTOMS["plugin-blacklisted"][0], 1, "plugin-fails", "plugin-blacklisted",
        ),
    ],
)  # fmt: skip
def test_what_the_board_and_a_log_both_show_is_one_thing(
    told: dict[str, Any], line: str, last_exit: int | None, check: str, symptom: str
) -> None:
    """The probe's findings, with what the log of a stream shows of them; the same without the probe is the symptom."""
    failed = stream(line, service=Service(phase=Phase.RESTARTING, last_exit=last_exit))
    alone = found(failed)
    assert symptom in [diagnosis.check for diagnosis in alone]
    both = [diagnosis for diagnosis in found(failed, board=board(**told)) if diagnosis.check in (check, symptom)]
    (one,) = both
    assert one.check == check
    assert one.streams == ("front",)
    assert one.evidence
    assert one.cure
    assert one.next_step == next(finding.next_step for finding in board(**told) if finding.check == check)


def test_a_clock_that_is_off_a_little_is_no_reason_for_a_refusal() -> None:
    names = checks(stream(SYMPTOMS["access-denied"][0]), board=board(clock=Clock(seconds=NOW, skew=90)))
    assert {"access-denied", "clock-off"} <= set(names)


def test_a_full_store_is_another_thing_than_too_large_a_store() -> None:
    """One asks for more storage, the other for less: neither may be the other's cure."""
    told = found(stream(SYMPTOMS["store-full"][0]), board=board(memory=Memory(available_kib=60_000)))
    assert [(one.check, bool(one.evidence)) for one in told] == [("memory", False), ("store-full", True)]


def test_the_worst_is_first_and_causes_are_before_what_follows() -> None:
    names = checks(
        stream(
            SYMPTOMS["log-configuration"][0],
            SYMPTOMS["source-ended"][0],
            SYMPTOMS["camera-busy"][0],
            SYMPTOMS["latency-pressure"][0],
            SYMPTOMS["store-full"][0],
        ),
        board=board(ca_bundles=()),
    )
    assert names == ["ca-missing", "store-full", "camera-busy", "latency-pressure", "source-ended", "log-configuration"]


def test_the_same_thing_at_two_streams_is_told_once() -> None:
    line = SYMPTOMS["rtsp-gone"][0]
    (only,) = found(stream(line), stream(line, line, name="back"))
    assert only.streams == ("front", "back")
    assert [(evidence.stream, evidence.times) for evidence in only.evidence] == [("front", 1), ("back", 2)]


def test_no_line_is_there_twice() -> None:
    everything = [line for lines in SYMPTOMS.values() for line in lines]
    told = found(
        stream(*everything, *everything, service=Service(phase=Phase.FAILED, reason=everything[0], last_exit=78)),
        board=board(clock=Clock(seconds=42), ca_bundles=(), memory=Memory(available_kib=60_000)),
    )
    lines = [(evidence.stream, evidence.line) for diagnosis in told for evidence in diagnosis.evidence]
    assert len(lines) == len(set(lines)) > 40
    whats = [diagnosis.what for diagnosis in told]
    assert len(whats) == len(set(whats))


def test_one_reason_is_no_evidence_for_two_things() -> None:
    told = found(stream(service=Service(phase=Phase.STOPPED, restarts=5, reason="ended with exit code 9")))
    assert [(one.check, len(one.evidence)) for one in told] == [("service-stopped", 1), ("restarts-often", 0)]


def test_what_is_over_is_a_note() -> None:
    (only,) = found(stream(SYMPTOMS["uplink-stalled"][0], service=Service(), status=status_file()))
    assert (only.level, only.what) == (Level.NOTE, "earlier, it streams now: the uplink stood still")
    (now,) = found(
        stream(SYMPTOMS["uplink-stalled"][0], service=Service(), status=status_file(ack_age=None, state="starting"))
    )
    assert now.level is Level.WARNING


def test_only_the_last_run_counts_where_it_shows_something() -> None:
    started = "2026-11-27T04:00:00Z front: started, process 812"
    before, after = SYMPTOMS["camera-busy"][0], SYMPTOMS["stream-missing"][0]
    assert checks(stream(started, before, started, after)) == ["stream-missing"]
    assert checks(stream(started, before, started, "nothing yet")) == ["camera-busy"]


def test_the_process_lives_and_nothing_arrives() -> None:
    """The socket is open, frames come, the service confirms none: neither log nor exit code says anything."""
    (only,) = found(stream(*HEALTHY, service=Service(), status=status_file(ack_age=75)))
    assert only.check == "no-acks"
    assert "75 s ago" in only.evidence[0].line
    assert checks(stream(service=Service(), status=status_file(frame_age=40, ack_age=80))) == ["no-frames"]
    assert checks(stream(service=Service(), status=status_file(updated=NOW - 600, ack_age=None, state="starting"))) == [
        "status-stale"
    ]


def test_codes_of_the_status_file_and_reasons() -> None:
    ended = status_file(state="ended", exit=78, status="0x52000010", reason="sink: access denied: the policy")
    assert checks(stream(status=ended)) == ["access-denied"]
    assert checks(stream(status=status_file(state="ended", exit=75, reason="no buffer at sink.video_0 for 30 s"))) == [
        "restarted"
    ]
    assert checks(stream(status=status_file(status="0x52000fff", frame_age=None))) == ["code-0x52000fff"]
    assert checks(stream(status=status_file(last_reason="restart: no buffer at sink.video_0", state="starting"))) == [
        "no-frames"
    ]


@pytest.mark.parametrize(
    ("service", "expected"),
    [
        (Service(installed=False, phase=Phase.STOPPED), ["service-missing"]),
        (Service(phase=Phase.STOPPED, reason="stopped by SIGTERM"), ["service-stopped"]),
        (Service(phase=Phase.FAILED, reason="ended with exit code 3", last_exit=3), ["service-failed"]),
        (Service(phase=Phase.FAILED, reason="nothing watches over it: its supervising loop is gone"), ["unwatched"]),
        (Service(phase=Phase.STARTING, reason="waits for default route"), ["waits-for-network"]),
        (Service(phase=Phase.STARTING, reason="waits for clock past 1704067200"), ["waits-for-clock"]),
        (Service(restarts=9, reason="ended with exit code 1"), ["restarts-often"]),
        (Service(restarts=2), []),
        (Service(phase=Phase.RESTARTING, last_exit=139), ["crashed"]),
        (Service(phase=Phase.RESTARTING, last_exit=127), ["library-missing"]),
        (Service(phase=Phase.RESTARTING, last_exit=64), ["pipeline-wrong"]),
        (Service(phase=Phase.RESTARTING, last_exit=74), ["last-fragment-unconfirmed"]),
        (Service(phase=Phase.RESTARTING, last_exit=3), ["exit-unknown"]),
    ],
)
def test_what_a_service_tells(service: Service, expected: list[str]) -> None:
    assert checks(stream("nothing that is known", service=service)) == expected


def test_an_exit_code_is_no_second_reason() -> None:
    log = SYMPTOMS["camera-missing"][0]
    assert checks(stream(log, service=Service(phase=Phase.RESTARTING, last_exit=75))) == ["camera-missing"]
    assert checks(stream(log, service=Service(phase=Phase.RESTARTING, last_exit=135))) == [
        "camera-missing", "unaligned-access",
    ]  # fmt: skip


def test_a_status_that_nobody_knows_is_told() -> None:
    (only,) = found(stream("ERROR - Submitting failed. Error status: 0x52000abc"))
    assert only.check == "code-0x52000abc"
    assert "Error status: 0x52000abc" in only.evidence[0].line


def test_the_checks_of_the_table_are_those_of_the_probe() -> None:
    source = Path(deploy.probe.findings.__file__).read_text()
    known = set(re.findall(r'"([a-z]+(?:-[a-z]+)*)"', source))
    assert {check for symptom in symptom_table().symptom for check in symptom.checks} <= known


def test_the_page_is_lists_of_100_columns() -> None:
    everything = stream(*(line for lines in SYMPTOMS.values() for line in lines), service=Service(restarts=4))
    told = found(everything, board=board(clock=Clock(seconds=42)))
    page = diagnosis_page("cam01", [everything], told)
    assert max(map(len, page.splitlines())) <= COLUMNS
    assert re.match(r"cam01: \d+ errors, \d+ warnings, \d+ notes\n", page)
    assert "HOST" not in page
    assert "next     none" not in page
    facts = diagnosis_dict("cam01", [everything], told)
    assert facts["errors"] + facts["warnings"] + facts["notes"] == len(facts["diagnoses"]) == len(told)
    assert json.loads(json.dumps(facts)) == facts


def test_the_page_of_the_docs_is_current() -> None:
    page = paths.CHECKOUT / "docs" / "status-codes.md"
    assert page.read_text() == symptoms_page(), "python -m deploy.doctor.page > docs/status-codes.md"
