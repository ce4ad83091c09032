"""What was found as a page for a terminal of 100 columns, and as JSON; the table of all symptoms as a page of the docs.

`python -m deploy.doctor.page > docs/status-codes.md` writes that one; a test says when the file is not current.
"""

from __future__ import annotations

import textwrap
from collections.abc import Iterator, Sequence
from typing import Any

from deploy.causes.catalogue import written_at
from deploy.doctor.diagnosis import Diagnosis, Evidence, StreamEvidence
from deploy.doctor.redact import redacted
from deploy.doctor.status import read_status
from deploy.launch.statuscodes import Symptom, symptom_table
from deploy.probe.findings import Level

COLUMNS = 100
_LABEL = 9
_LEVELS = {Level.ERROR: "ERROR", Level.WARNING: "warning", Level.NOTE: "note"}
_HEAD = """\
# Status codes and log lines

Made by `python -m deploy.doctor.page > docs/status-codes.md` from `deploy/launch/statuscodes.toml`; edit that file, not
this page. Of what is as bad, causes come before what follows from them. **Restart** says whether starting the stream
again may help; where it does not, the service tries only every ten minutes and says why.

"""


def diagnosis_page(host: str, streams: Sequence[StreamEvidence], diagnoses: Sequence[Diagnosis]) -> str:
    """Return the page: how many, each diagnosis with the worst first, then a line for each stream."""
    parts = [[f"{host}: {_counted(diagnoses)}"], *(_entry(diagnosis) for diagnosis in diagnoses)]
    if streams:
        parts.append(["Streams", *(line for stream in streams for line in _stream(stream))])
    return "\n".join(line for part in parts for line in (*part, "")).rstrip() + "\n"


def diagnosis_dict(host: str, streams: Sequence[StreamEvidence], diagnoses: Sequence[Diagnosis]) -> dict[str, Any]:
    """Return the same as JSON knows it."""
    return {
        "schema": 1,
        "host": host,
        "errors": _count(diagnoses, Level.ERROR),
        "warnings": _count(diagnoses, Level.WARNING),
        "notes": _count(diagnoses, Level.NOTE),
        "streams": [{"name": stream.name, "state": _state(stream)} for stream in streams],
        "diagnoses": [diagnosis.as_dict() for diagnosis in diagnoses],
    }


def _count(diagnoses: Sequence[Diagnosis], level: Level) -> int:
    return sum(diagnosis.level is level for diagnosis in diagnoses)


def _counted(diagnoses: Sequence[Diagnosis]) -> str:
    named = ((_count(diagnoses, level), level.name.lower()) for level in Level)
    return ", ".join(f"{count} {name}{'s' * (count > 1)}" for count, name in named if count) or "nothing is wrong"


def _entry(diagnosis: Diagnosis) -> list[str]:
    lines = _row(_LEVELS[diagnosis.level], f"{_whose(diagnosis)}{diagnosis.what}")
    for label, text in (("", diagnosis.meaning), ("cure", diagnosis.cure), ("next", diagnosis.next_step)):
        lines += _row(label, text) if text else []
    for evidence in diagnosis.evidence:
        lines += _row("seen", _seen(evidence))
    if place := written_at(diagnosis.check):
        lines += _row("more", place)
    return lines


def _whose(diagnosis: Diagnosis) -> str:
    return f"{', '.join(diagnosis.streams)}: " if diagnosis.streams else ""


def _seen(evidence: Evidence) -> str:
    times = f", {evidence.times:,} times" if evidence.times > 1 else ""
    return f"{evidence.stream or 'board'}{times}: {evidence.line}"


def _stream(stream: StreamEvidence) -> list[str]:
    return _row("", f"{stream.name}: {_state(stream)}")


def _state(stream: StreamEvidence) -> str:
    """Return how a stream is, by its service and its own status file."""
    parts = []
    if stream.service is not None:
        parts.append(str(stream.service.phase) if stream.service.installed else "not installed")
    status = read_status(stream.status) if stream.status else None
    if status is not None:
        parts.append(" ".join(redacted(status.state[:40], stream.secrets)))
        parts += [f"{status.fps:g} frames/s"] if status.fps is not None and status.state == "streaming" else []
        parts += [f"{status.fragments:,} fragments"] if status.fragments is not None else []
        parts += [f"the last one {status.ack_age:,} s ago"] if status.ack_age is not None else []
    if stream.service is not None and stream.service.restarts:
        parts.append(f"{stream.service.restarts:,} restarts")
    return ", ".join(part for part in dict.fromkeys(parts) if part) or "nothing is known of it"


def _row(label: str, text: str) -> list[str]:
    """Return a label and its text, wrapped; words that are too long are cut over lines."""
    return textwrap.wrap(
        f"{label:<{_LABEL}}{text}" if label else f"{'':<{_LABEL}}{text}",
        COLUMNS,
        subsequent_indent=" " * _LABEL,
        break_on_hyphens=False,
        drop_whitespace=True,
    )


def symptoms_page() -> str:
    """Return the table of all symptoms as Markdown."""
    rows = (line for symptom in symptom_table().symptom for line in _section(symptom))
    return f"{_HEAD}{_index()}{''.join(rows)}"


def _index() -> str:
    found = {code: symptom for symptom in symptom_table().symptom for code in symptom.codes}
    lines = [f"| `{code}` | [{found[code].title}](#{found[code].name}) |\n" for code in sorted(found)]
    return f"## By code\n\n| code | what it is |\n| --- | --- |\n{''.join(lines)}\n## By symptom\n"


def _section(symptom: Symptom) -> Iterator[str]:
    yield f'\n<a id="{symptom.name}"></a>\n### {symptom.title[:1].upper()}{symptom.title[1:]}\n\n'
    yield f"`{symptom.name}`, {symptom.level}. Restart: {'may help' if symptom.restart else 'does not help'}.\n\n"
    for label, text in _shows(symptom):
        yield f"- {label}: {text}\n"
    yield f"- Meaning: {symptom.meaning}.\n- Cure: {symptom.cure}.\n"
    yield f"- Next: `{symptom.next_step}`\n" if symptom.next_step != "none" else ""
    yield f"- [Source]({symptom.source})\n"


def _shows(symptom: Symptom) -> Iterator[tuple[str, str]]:
    for label, values in (
        ("Codes", symptom.codes),
        ("`ErrorId`", symptom.acks),
        ("Exit codes", symptom.exits),
        ("Lines", symptom.lines),
    ):
        if values:
            yield label, ", ".join(_code(str(value).strip()) for value in values)


def _code(text: str) -> str:
    return f"`` {text} ``" if "`" in text else f"`{text}`"


if __name__ == "__main__":
    print(symptoms_page(), end="")
