"""What a verdict has beyond one look at board and service: a soak, drills. Their findings, and their records."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from deploy.cloud.reasons import Finding
from deploy.verdicts.record import DrillRecord, SoakRecord
from deploy.verify.junit import append_checks
from deploy.verify.verdict import Check, Verdict


@dataclass(frozen=True, slots=True, kw_only=True)
class Beyond:
    """A soak and drills, with what they found.

    Attributes
    ----------
    notes:
        What is to be known of how they went.
    """

    soaked: tuple[Finding, ...] = ()
    drilled: tuple[Finding, ...] = ()
    soak: SoakRecord | None = None
    drills: tuple[DrillRecord, ...] = ()
    notes: tuple[str, ...] = ()

    def together(self, other: Beyond) -> Beyond:
        return Beyond(
            soaked=(*self.soaked, *other.soaked),
            drilled=(*self.drilled, *other.drilled),
            soak=self.soak or other.soak,
            drills=(*self.drills, *other.drills),
            notes=(*self.notes, *other.notes),
        )


def as_checks(findings: Sequence[Finding], host: str) -> tuple[Check, ...]:
    """Return findings as checks of a verdict."""
    return tuple(
        Check(
            name=full_name(finding),
            state=finding.state,
            evidence=finding.evidence,
            seconds=0.0,
            cure=finding.next_step.replace("HOST", host),
        )
        for finding in findings
    )


def full_name(finding: Finding) -> str:
    """Return the name of a finding's check in a verdict: what it is about, and what was looked at."""
    return f"{finding.subject}: {finding.check}" if finding.subject else finding.check


def with_beyond(verdict: Verdict, beyond: Beyond) -> Verdict:
    """Return a verdict with the checks of soak and drills behind the others, in its JUnit file too."""
    checks = verdict.checks
    for suite, findings in (("drill", beyond.drilled), ("soak", beyond.soaked)):
        if findings:
            made = as_checks(findings, verdict.host)
            append_checks(verdict.junit, suite, made)
            checks = (*checks, *made)
    return replace(verdict, checks=checks, notes=(*verdict.notes, *beyond.notes))
