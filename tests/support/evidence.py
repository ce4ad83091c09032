"""What a board tells of its streams, as the diagnosis is given it."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from deploy.doctor.diagnose import diagnose
from deploy.doctor.diagnosis import Diagnosis, ServiceLike, StreamEvidence
from deploy.probe.facts import (
    BoardFacts,
    CaBundle,
    Clock,
    GStreamer,
    Kernel,
    Kvssink,
    Memory,
    Userland,
)
from deploy.probe.findings import Finding, findings
from recipes.arch import ARCHES
from tests.support.streamlogs import HEALTHY

NOW = 1_795_752_005


class Phase(StrEnum):
    RUNNING = "running"
    FAILED = "failed"
    RESTARTING = "restarting"
    STARTING = "starting"
    STOPPED = "stopped"


@dataclass(frozen=True, slots=True, kw_only=True)
class Service:
    """What an init system tells of a service."""

    phase: Phase = Phase.RUNNING
    installed: bool = True
    enabled: bool = True
    pid: int = 0
    since: int = 0
    restarts: int = 0
    last_exit: int | None = None
    reason: str = ""


def status_file(**told: Any) -> bytes:
    """Return a status file as boardstream writes it."""
    whole = {
        "schema": 1, "name": "front", "pid": 812, "state": "streaming", "since": NOW - 90, "updated": NOW - 2,
        "uptime": 90, "frames": 2250, "bytes": 1 << 20, "fps": 25.0, "fragments": 44, "frame_age": 0, "ack_age": 1,
        "status": None, "pads": [], "restarts": 0, "last_reason": None, "exit": None, "reason": None,
    }  # fmt: skip
    return json.dumps(whole | told).encode() + b"\n"


def stream(*lines: str, name: str = "front", service: ServiceLike | None = None, status: bytes = b"") -> StreamEvidence:
    return StreamEvidence(
        name=name, service=service, log="".join(f"{line}\n" for line in lines).encode(), status=status
    )


def found(*streams: StreamEvidence, board: Sequence[Finding] = ()) -> tuple[Diagnosis, ...]:
    return diagnose(board, streams, clock=NOW, names={"HOST": "cam01", "BOARD": "mycam"})


def checks(*streams: StreamEvidence, board: Sequence[Finding] = ()) -> list[str]:
    return [diagnosis.check for diagnosis in found(*streams, board=board)]


def board(**told: Any) -> tuple[Finding, ...]:
    """Return what the probe finds of a board that is well but for what is told."""
    facts: dict[str, Any] = {
        "host": "cam01", "whole": True, "ca_bundles": (CaBundle(path="/etc/ssl/cert.pem", certificates=140),),
        "clock": Clock(seconds=NOW, skew=0, synchronized=True, rtc=NOW), "memory": Memory(available_kib=1 << 20),
        "userland": Userland(identity=ARCHES["armv7"].identity), "kernel": Kernel(machine="armv7l", alignment=2),
        "gstreamer": GStreamer(version="1.22.0", kvssink=Kvssink.LOADS),
    }  # fmt: skip
    return findings(BoardFacts(**(facts | told)), camera_wanted=False)


WELL = stream(*HEALTHY, service=Service(), status=status_file())
