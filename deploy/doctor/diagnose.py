"""What is wrong with a board's streams, worst first: the probe's findings, and what each stream shows. Pure."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace

from deploy.doctor.diagnosis import Diagnosis, StreamEvidence
from deploy.doctor.stream import look_at
from deploy.launch.statuscodes import symptom_table
from deploy.probe.findings import Finding, Level

_EVIDENCE = 3
"""Lines that one diagnosis shows."""


def diagnose(
    findings: Sequence[Finding],
    streams: Sequence[StreamEvidence],
    *,
    clock: int | None = None,
    names: Mapping[str, str] | None = None,
) -> tuple[Diagnosis, ...]:
    """Return what is wrong, worst first, each thing once.

    Parameters
    ----------
    findings:
        What the probe found of the board.
    clock:
        Seconds since 1970 by the board's clock, when the status files were read.
    names:
        Words of next steps and what to put in their place: HOST, BOARD, ARCH.
    """
    found = _joined(diagnosis for stream in streams for diagnosis in look_at(stream, clock))
    whole = [*_of_findings(findings, found), *found.values()]
    filled = [_filled(diagnosis, names or {}) for diagnosis in whole]
    return tuple(_each_line_once(sorted(filled, key=lambda diagnosis: (-diagnosis.level, diagnosis.order))))


def _joined(diagnoses: Iterable[Diagnosis]) -> dict[tuple[str, str], Diagnosis]:
    """Return the same thing at several streams as one."""
    found: dict[tuple[str, str], Diagnosis] = {}
    for diagnosis in diagnoses:
        key = (diagnosis.check, diagnosis.what)
        found[key] = _both(found[key], diagnosis) if key in found else diagnosis
    return found


def _both(first: Diagnosis, second: Diagnosis) -> Diagnosis:
    return replace(
        first,
        level=max(first.level, second.level),
        streams=tuple(dict.fromkeys((*first.streams, *second.streams))),
        evidence=(*first.evidence, *second.evidence),
    )


def _of_findings(findings: Sequence[Finding], found: dict[tuple[str, str], Diagnosis]) -> list[Diagnosis]:
    """Return the probe's findings, each with what logs show of it; that is taken out of what was found."""
    checks = {symptom.name: symptom.checks for symptom in symptom_table().symptom}
    board: dict[str, Diagnosis] = {}
    for number, finding in enumerate(findings):
        what, _, meaning = finding.text.partition(": ")
        diagnosis = Diagnosis(
            level=finding.level,
            check=finding.check,
            what=what,
            meaning=meaning,
            next_step=finding.next_step,
            order=number,
        )
        for key, shown in list(found.items()):
            if finding.check in checks.get(key[0], ()) and _explains(finding):
                joined = _both(diagnosis, found.pop(key))
                diagnosis = replace(joined, meaning=meaning or shown.meaning, cure=diagnosis.cure or shown.cure)
        board.setdefault(f"{finding.check} {finding.text}", diagnosis)
    return list(board.values())


def _explains(finding: Finding) -> bool:
    """Tell whether a finding is why a log says what it says: a clock that is off a little is no reason."""
    return finding.level is Level.ERROR or not finding.check.startswith("clock")


def _filled(diagnosis: Diagnosis, names: Mapping[str, str]) -> Diagnosis:
    def put(text: str) -> str:
        return re.sub(r"\b(?:HOST|BOARD|ARCH)\b", lambda word: names.get(word[0]) or word[0], text)

    step = "" if diagnosis.next_step == "none" else put(diagnosis.next_step)
    return replace(diagnosis, next_step=step, cure=put(diagnosis.cure))


def _each_line_once(diagnoses: Sequence[Diagnosis]) -> Iterator[Diagnosis]:
    """Yield diagnoses, each line at the worst of them; the same thing of the board and of a stream once."""
    lines: set[tuple[str, str]] = set()
    for diagnosis in diagnoses:
        kept = []
        for evidence in diagnosis.evidence:
            if (evidence.stream, evidence.line) not in lines:
                lines.add((evidence.stream, evidence.line))
                kept.append(evidence)
        yield replace(diagnosis, evidence=tuple(kept[:_EVIDENCE]))
