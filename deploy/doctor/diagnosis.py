"""What is known of a stream before it is looked at, and what was found of it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Protocol

from deploy.causes.catalogue import written_at
from deploy.launch.statuscodes import Symptom, symptom_table
from deploy.probe.findings import Level

_LEVELS = {"error": Level.ERROR, "warning": Level.WARNING, "note": Level.NOTE}
SYMPTOMS_FROM, LAST = 1_000, 10_000
"""Places in the order of what is as bad: before the first are the board and its services, behind the last the rest."""


class ServiceLike(Protocol):
    """What the board says about a service; each init system tells the same."""

    @property
    def phase(self) -> str:
        """Where it stands: running, starting, restarting, failed, stopped."""

    @property
    def installed(self) -> bool: ...
    @property
    def restarts(self) -> int: ...
    @property
    def last_exit(self) -> int | None: ...
    @property
    def reason(self) -> str: ...


@dataclass(frozen=True, slots=True, kw_only=True)
class StreamEvidence:
    """What was asked of one stream, as the board sent it."""

    name: str
    service: ServiceLike | None = None
    """None where the board was not asked, or has no services."""
    log: bytes = b""
    """The end of its log, from the start of a line on."""
    status: bytes = b""
    """boardstream's status file; empty for none."""
    secrets: tuple[str, ...] = ()
    """Texts that must not be shown."""
    registry: str = ""
    """Its own registry of GStreamer, on the board."""
    blacklisted: tuple[str, ...] = ()
    """Plugin files that GStreamer has given up on in that registry."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Evidence:
    """One line that shows it."""

    stream: str
    """Empty where it is of the board."""
    line: str
    """Fit to be shown: without secrets, on one line, short."""
    times: int = 1
    """How often it was seen; the last one is the line."""

    def as_dict(self) -> dict[str, Any]:
        return {"stream": self.stream, "line": self.line, "times": self.times}


@dataclass(frozen=True, slots=True, kw_only=True)
class Diagnosis:
    """One thing that is wrong, or was."""

    level: Level
    check: str
    """A short name that does not change, for scripts."""
    what: str
    meaning: str = ""
    cure: str = ""
    next_step: str = ""
    restart: bool | None = None
    """Starting the stream again may help; None where that is no question."""
    streams: tuple[str, ...] = ()
    """The streams that it was seen at; none for the board itself."""
    evidence: tuple[Evidence, ...] = ()
    order: int = 0
    """Of what is as bad, the lower comes first."""

    def as_dict(self) -> dict[str, Any]:
        """Return it as JSON knows it."""
        return {
            "level": self.level.name.lower(),
            "check": self.check,
            "what": self.what,
            "meaning": self.meaning,
            "cure": self.cure,
            "next": self.next_step,
            "more": written_at(self.check),
            "restart_helps": self.restart,
            "streams": list(self.streams),
            "evidence": [evidence.as_dict() for evidence in self.evidence],
        }


def of_symptom(symptom: Symptom, evidence: Evidence) -> Diagnosis:
    """Return a symptom of the table as it was seen."""
    return Diagnosis(
        level=_LEVELS[symptom.level],
        check=symptom.name,
        what=symptom.title,
        meaning=symptom.meaning,
        cure=symptom.cure,
        next_step=symptom.next_step,
        restart=symptom.restart,
        streams=(evidence.stream,),
        evidence=(evidence,),
        order=SYMPTOMS_FROM + symptom_table().symptom.index(symptom),
    )
