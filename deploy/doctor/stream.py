"""One stream looked at: its log, what boardstream says of it, its service, its exit code. Pure."""

from __future__ import annotations

import re
import shlex
from collections.abc import Sequence
from dataclasses import dataclass, field, replace

from deploy.doctor.diagnosis import LAST, Diagnosis, Evidence, StreamEvidence, of_symptom
from deploy.doctor.redact import redacted
from deploy.doctor.status import StreamStatus, read_status
from deploy.launch.statuscodes import Symptom, symptom_of_code, symptom_of_exit, symptom_of_line, symptom_table
from deploy.probe.findings import Level

LOG_MOST = 131_072
"""Bytes of a log's end that are read."""
FRAMES_LATE, ACKS_LATE, STATUS_LATE = 15, 60, 60
"""Seconds without a frame, without a confirmed fragment, without a new status file."""
OFTEN = 3
"""Restarts from which on they are worth a line."""
_LINE = 150
"""Characters of a line that are shown."""
_UNKNOWN = re.compile(r"[Ss]tatus(?: code)?[:= ]{1,3}(0x[0-9a-fA-F]{1,8})(?![0-9a-fA-F])")
_STARTED = re.compile(r"[0-9TZ:-]{20} .{1,64}: started, ")
"""What the supervising loop says when it starts the program."""


@dataclass(slots=True, kw_only=True)
class _Look:
    """One stream while it is looked at."""

    evidence: StreamEvidence
    status: StreamStatus | None
    lines: list[str]
    seen: dict[str, Diagnosis] = field(default_factory=dict)

    @property
    def name(self) -> str:
        return self.evidence.name

    @property
    def well(self) -> bool:
        """Tell whether it streams now: what its log says is over then."""
        status, service = self.status, self.evidence.service
        if status is None or status.state != "streaming" or (service is not None and service.phase != "running"):
            return False
        return not _late(status.frame_age, FRAMES_LATE) and not _late(status.ack_age, ACKS_LATE)

    @property
    def explained(self) -> bool:
        """Tell whether something says already why it does not stream."""
        return any(diagnosis.level is Level.ERROR for diagnosis in self.seen.values())

    def add(self, symptom: Symptom, line: str, times: int = 1) -> None:
        """Note a symptom, once: the first evidence is the nearest."""
        if symptom.name not in self.seen:
            self.seen[symptom.name] = of_symptom(symptom, Evidence(stream=self.name, line=line, times=times))

    def note(
        self,
        level: Level,
        check: str,
        what: str,
        next_step: str,
        line: str = "",
        *,
        order: int = LAST,
        restart: bool | None = None,
    ) -> None:
        """Note something that is no symptom of the table."""
        told = (Evidence(stream=self.name, line=line),) if line else ()
        self.seen.setdefault(
            check,
            Diagnosis(
                level=level, check=check, what=what, next_step=next_step, streams=(self.name,), evidence=told,
                order=order, restart=restart,
            ),
        )  # fmt: skip


def look_at(evidence: StreamEvidence, clock: int | None = None) -> tuple[Diagnosis, ...]:
    """Return what is wrong with one stream, in no order.

    Parameters
    ----------
    clock:
        Seconds since 1970 by the board's clock, when the status file was read.
    """
    stream = _Look(
        evidence=evidence,
        status=read_status(evidence.status) if evidence.status else None,
        lines=[line for line in redacted(_end_of(evidence.log), evidence.secrets) if line.strip()],
    )
    _read_log(stream)
    _read_status_file(stream, clock)
    _read_service(stream)
    _read_exit(stream)
    _read_registry(stream)
    if stream.well:
        for check, diagnosis in stream.seen.items():
            stream.seen[check] = replace(diagnosis, level=Level.NOTE, what=f"earlier, it streams now: {diagnosis.what}")
    return tuple(stream.seen.values())


def _read_registry(stream: _Look) -> None:
    """Note what GStreamer has given up on for this stream; nobody who logs in sees that, for theirs is another."""
    given_up = stream.evidence.blacklisted
    if not given_up:
        return
    ours = any("kvssink" in name for name in given_up)
    shown = f"{', '.join(given_up[:4])}{' and more' if len(given_up) > 4 else ''}"
    stream.note(
        Level.ERROR if ours else Level.WARNING,
        "stream-plugin-blacklisted",
        f"GStreamer has given up on {shown} in this stream's own registry, and does not try again by itself",
        f"rm -f {shlex.quote(stream.evidence.registry)} on the board, then "
        f"invoke restart --host HOST --stream {stream.name}",
        restart=False,
    )


def _end_of(log: bytes) -> bytes:
    """Return what is read of a log: from the start of a line on."""
    if len(log) <= LOG_MOST:
        return log
    return log[-LOG_MOST:].partition(b"\n")[2]


def _read_log(stream: _Look) -> None:
    starts = [number for number, line in enumerate(stream.lines) if _STARTED.match(line)]
    if not (starts and _read_lines(stream, stream.lines[starts[-1] :])):
        _read_lines(stream, stream.lines)


def _read_lines(stream: _Look, lines: Sequence[str]) -> bool:
    """Note what lines show; tell whether they show anything."""
    last: dict[str, tuple[Symptom, str, int]] = {}
    for line in lines:
        symptom = symptom_of_line(line)
        if symptom is not None:
            times = last[symptom.name][2] if symptom.name in last else 0
            last[symptom.name] = (symptom, line, times + 1)
        elif (code := _UNKNOWN.search(line)) and int(code[1], 16) >= 0x1000:
            _note_unknown_code(stream, int(code[1], 16), line)
    for symptom, line, times in last.values():
        stream.add(symptom, _shortened(line, symptom), times)
    return bool(stream.seen)


def _note_unknown_code(stream: _Look, code: int, line: str) -> None:
    stream.note(
        Level.WARNING,
        f"code-0x{code:08x}",
        f"the SDK told status 0x{code:08x}, which is not in our table",
        "see the headers of the SDK, Include.h, for its name",
        _shortened(line),
    )


def _read_status_file(stream: _Look, clock: int | None) -> None:
    status = stream.status
    if status is None:
        if stream.evidence.status:
            told = redacted(stream.evidence.status[:400], stream.evidence.secrets)
            stream.note(
                Level.NOTE, "status-unread", "its status file cannot be read", "invoke logs --host HOST",
                _shortened(" ".join(told)),
            )  # fmt: skip
        return
    for text in (status.reason, status.last_reason):
        _read_reason(stream, text)
    if status.code:
        symptom = symptom_of_code(status.code)
        if symptom is None:
            _note_unknown_code(stream, status.code, "its status file has it")
        else:
            stream.add(symptom, f"its status file: 0x{status.code:08x}")
    if status.state == "streaming" and _late(status.frame_age, FRAMES_LATE):
        stream.add(_named("no-frames"), f"its status file: the last frame came {status.frame_age:,} s ago")
    elif status.state == "streaming" and _late(status.ack_age, ACKS_LATE):
        stream.add(_named("no-acks"), f"its status file: the last fragment was confirmed {status.ack_age:,} s ago")
    if clock is not None and status.state != "ended" and status.updated and clock - status.updated > STATUS_LATE:
        stream.note(
            Level.WARNING,
            "status-stale",
            "its status file is not written any more: the program hangs, or was killed",
            "invoke logs --host HOST",
            f"its status file: written {clock - status.updated:,} s ago, state {_clean(stream, status.state)}",
        )


def _read_reason(stream: _Look, reason: str) -> bool:
    """Look at the reason of an end; tell whether it is a symptom that is known."""
    text = _clean(stream, reason)
    symptom = symptom_of_line(text) if text else None
    if symptom is not None:
        stream.add(symptom, _shortened(text, symptom))
    return symptom is not None


def _read_service(stream: _Look) -> None:
    service = stream.evidence.service
    if service is None:
        return
    known = _read_reason(stream, service.reason)
    reason = "" if known else _shortened(_clean(stream, service.reason))
    if not service.installed:
        stream.note(
            Level.ERROR,
            "service-missing",
            "its service is not installed",
            "invoke deploy --host HOST",
            order=900,
            restart=False,
        )
    elif service.phase == "failed" and not stream.explained:
        stream.note(
            Level.ERROR, "service-failed", "its service has failed", "invoke logs --host HOST",
            reason or _shortened(stream.lines[-1] if stream.lines else ""), restart=False,
        )  # fmt: skip
    elif service.phase == "stopped":
        stream.note(Level.WARNING, "service-stopped", "its service is stopped", "invoke start --host HOST", reason)
    if service.installed and service.restarts >= OFTEN and not stream.explained:
        what = f"it was started again {service.restarts:,} times"
        stream.note(Level.WARNING, "restarts-often", what, "invoke logs --host HOST", reason)


def _read_exit(stream: _Look) -> None:
    """Look at the exit code, where nothing else tells more: a signal, or what a shell says, always does."""
    service, status = stream.evidence.service, stream.status
    code = status.exit if status and status.exit is not None else service.last_exit if service else None
    told = any(diagnosis.level >= Level.WARNING for diagnosis in stream.seen.values())
    if not code or (code < 126 and told):
        return
    symptom = symptom_of_exit(code)
    if symptom is not None:
        stream.add(symptom, f"exit code {code}")
    elif not told:
        last = _shortened(stream.lines[-1]) if stream.lines else ""
        what = f"the program ended with exit code {code}, which is not in our table"
        stream.note(Level.WARNING, "exit-unknown", what, "invoke logs --host HOST", last)


def _late(age: int | None, most: int) -> bool:
    return age is not None and age > most


def _named(name: str) -> Symptom:
    return next(symptom for symptom in symptom_table().symptom if symptom.name == name)


def _clean(stream: _Look, text: str) -> str:
    return " ".join(redacted(text[:2_000], stream.evidence.secrets)).strip()


def _shortened(line: str, symptom: Symptom | None = None) -> str:
    """Return what is shown of a line: its start, or where the symptom is."""
    if len(line) <= _LINE:
        return line
    at = (
        next((match.start() for pattern in symptom.patterns if (match := re.search(pattern, line))), 0)
        if symptom
        else 0
    )
    start = max(0, min(at - 40, len(line) - _LINE)) if at > _LINE // 2 else 0
    return f"{'…' if start else ''}{line[start : start + _LINE].strip()}{'…' if start + _LINE < len(line) else ''}"
