"""A verdict in JSON: the model whose schema is published, and what is different from the verdict before.

`python -m deploy.verdicts.record > docs/verdict.schema.json` writes the schema; a test says when it is not current.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, Literal

from pydantic import Field, ValidationError

from recipes.config import OneLine, Strict
from recipes.faults import field_texts

State = Literal["passed", "failed", "skipped"]
Part = Literal["", "soak", "drill"]
_MOST_BYTES = 4 << 20


class CheckRecord(Strict):
    """One check and what it saw."""

    name: OneLine
    """In words."""
    subject: OneLine = ""
    """Stream or channel that it is about; empty: the board."""
    state: State
    """`skipped` is no evidence of anything."""
    evidence: OneLine
    """What was seen, and for a red one who saw it and the cause."""
    reason: OneLine = ""
    """Short name of the cause of a red one, as docs/troubleshooting.md has it."""
    side: OneLine = ""
    """board, workstation, nobody (reaches the service), or service."""
    next_step: OneLine = ""
    """The command that comes next."""
    seconds: float = 0.0
    """How long it took; 0: it was one of many in one look."""
    figures: dict[OneLine, float] = Field(default_factory=dict)
    """The numbers behind it."""
    part: Part = ""
    """What it was made by; empty: one look at the board and at the service."""


class FragmentRecord(Strict):
    """One fragment; times in seconds since 1970."""

    number: OneLine
    """As the service numbers it."""
    server: float
    """When it arrived, by the service's clock."""
    producer: float
    """When it began, by the board's clock."""
    length: float
    """Seconds."""
    size: int
    """Bytes."""
    new: bool
    """It came while this verdict was made."""


class StreamRecord(Strict):
    """What was seen of one video stream."""

    name: OneLine
    """As the service knows it."""
    region: OneLine
    """Of AWS."""
    promised: OneLine
    """What the board's file says of it, in words."""
    began: float
    """When the look began, in seconds since 1970 by the service's clock."""
    ended: float
    """When it ended."""
    source: OneLine
    """ListFragments; GetMedia for a stream that keeps nothing."""
    retention_hours: int
    """How long the service keeps its pictures."""
    workstation_ahead: float | None
    """Seconds that this workstation's clock is ahead of the service's; null where the service did not say its time."""
    fragments: tuple[FragmentRecord, ...] = ()
    """Of the last seconds before the look, and those that came then."""
    codec: OneLine = ""
    """As RFC 6381 writes it."""
    width: int = 0
    """Pixels."""
    height: int = 0
    """Pixels."""
    rate: float = 0.0
    """Frames a second."""
    kbps: float = 0.0
    """Kilobits a second of the pictures."""
    picture: OneLine = ""
    """Name of the file beside this one that has the picture."""


class ChannelRecord(Strict):
    """What a viewer of one signaling channel saw; times in seconds from its offer on, null for what did not happen."""

    name: OneLine
    """As the service knows it."""
    answered: float | None = None
    """When a master answered."""
    connected: float | None = None
    """When the connection stood."""
    first: float | None = None
    """When the first picture was decoded."""
    frames: int = 0
    """Pictures that were decoded."""
    received: int = 0
    """Packets of the pictures."""
    lost: int = 0
    """Packets of the pictures that did not arrive."""
    round_trip: float | None = None
    """Seconds."""
    way: OneLine = ""
    """Kinds of the two ends, such as `host to relay`."""
    picture: OneLine = ""
    """Name of the file beside this one that has the picture."""


class SeriesRecord(Strict):
    """One figure of a soak, over its time."""

    subject: OneLine = ""
    """Service that it is about; empty: the board."""
    name: OneLine
    """What was measured."""
    unit: OneLine = ""
    """Of the values; empty for what is counted."""
    times: tuple[float, ...]
    """Seconds since the soak began."""
    values: tuple[float, ...]
    """One for each time."""
    warm_up: float = 0.0
    """Seconds at its beginning that the slope leaves out."""
    slope: float | None = None
    """By how much it rises in an hour (Theil and Sen's estimate); null where too few values are known."""
    red: bool = False
    """It rises as what leaks does."""


class SoakRecord(Strict):
    """What a board was like while it was watched for long."""

    asked: float
    """Seconds that it was to be watched."""
    seconds: float
    """That it was."""
    interval: float
    """Seconds from one sample to the next."""
    samples: int
    """How many arrived."""
    ended: Literal["time", "hand", "board"]
    """What ended it: the time was over, a person, or the board that did not answer any more."""
    breaks: int = 0
    """Times that the connection was lost and opened again."""
    series: tuple[SeriesRecord, ...] = ()
    """What was measured."""


class DrillRecord(Strict):
    """One fault that was made on purpose, and what came back after it."""

    kind: Literal["network", "power", "camera", "service"]
    """Which fault."""
    done: OneLine
    """What was done to the board, in words."""
    seconds: float
    """How long it lasted."""
    within: float
    """Seconds in which everything had to come back."""
    back: dict[OneLine, float] = Field(default_factory=dict)
    """By stream, seconds from the fault's end to a fragment that was filmed after it; only what came back."""


class VerdictRecord(Strict):
    """`<host>.json`: one verdict."""

    schema_: Literal[1] = Field(default=1, alias="schema")
    """The form of this file."""
    host: OneLine
    """Of the inventory."""
    release: OneLine
    """Id of the release that runs there."""
    green: bool
    """Something passed, and nothing failed."""
    made: OneLine
    """When, UTC, as ISO 8601 writes it."""
    seconds: float = 0.0
    """How long the look at the cloud's side took."""
    service: OneLine = ""
    """Which service was asked; empty: only the board."""
    junit: OneLine = ""
    """Name of the JUnit file beside this one."""
    checks: tuple[CheckRecord, ...]
    """All of them, the board's first."""
    notes: tuple[OneLine, ...] = ()
    """What is to be known besides."""
    streams: tuple[StreamRecord, ...] = ()
    """The cloud's side."""
    channels: tuple[ChannelRecord, ...] = ()
    """The cloud's side."""
    soak: SoakRecord | None = None
    """What it was like for long; null where nobody asked."""
    drills: tuple[DrillRecord, ...] = ()
    """Faults that were made on purpose."""
    sizes: dict[OneLine, int] = Field(default_factory=dict)
    """Bytes of the release's files, by their folder."""
    changes: tuple[OneLine, ...] = ()
    """What is different from the verdict before."""

    def text(self) -> str:
        """Return it as its file has it."""
        return self.model_dump_json(by_alias=True, indent=1) + "\n"


def read_record(path: Path) -> VerdictRecord | None:
    """Return the verdict of a file; None where there is none, or one of another form."""
    try:
        with path.open("rb") as file:
            return VerdictRecord.model_validate_json(file.read(_MOST_BYTES))
    except (OSError, ValidationError):
        return None


def changes(before: VerdictRecord | None, now: VerdictRecord) -> tuple[OneLine, ...]:
    """Return what is different from the verdict before, the worst first; nothing where there was none."""
    if before is None:
        return ()
    old = {(check.subject, check.name): check for check in before.checks}
    found: list[tuple[int, str]] = []
    if before.release != now.release:
        found.append((1, f"another release: {now.release[:12] or 'none'}, before {before.release[:12] or 'none'}"))
    for check in now.checks:
        known = old.pop((check.subject, check.name), None)
        label = f"{check.subject}: {check.name}" if check.subject else check.name
        if known is not None and known.state != check.state:
            words = {"passed": "green", "failed": "red", "skipped": "not checked"}
            found.append((0 if check.state == "failed" else 2, f"{label}: {words[known.state]} → {words[check.state]}"))
    gone = [f"{subject}: {name}" if subject else name for (subject, name), was in old.items() if not was.part]
    if gone and bool(before.streams or before.channels) == bool(now.streams or now.channels):
        found.append((3, f"no longer checked: {', '.join(gone[:6])}"))
    total, was = sum(now.sizes.values()), sum(before.sizes.values())
    if total and was and total != was:
        found.append((3, f"the release has {total - was:+,} bytes"))
    return tuple(words for _, words in sorted(found, key=lambda one: one[0]))


def verdict_schema() -> dict[str, Any]:
    """Return the schema, of the draft 2020-12."""
    made = VerdictRecord.model_json_schema(by_alias=True)
    models: tuple[type[Strict], ...] = (VerdictRecord, CheckRecord, FragmentRecord, StreamRecord, ChannelRecord)
    models += (SeriesRecord, SoakRecord, DrillRecord)
    tables = {VerdictRecord.__name__: made, **made.get("$defs", {})}
    for model in models:
        texts = field_texts(model)
        names = {field.alias or name: name for name, field in model.model_fields.items()}
        for key, shown in tables[model.__name__]["properties"].items():
            shown.pop("title", None)
            if text := texts.get(names[key], ""):
                shown["description"] = " ".join(text.split())
    return {"$schema": "https://json-schema.org/draft/2020-12/schema", **made, "title": "Boardcast verdict"}


def main() -> None:
    """Print the schema."""
    print(json.dumps(verdict_schema(), indent=1, ensure_ascii=False))


if __name__ == "__main__":
    main()
