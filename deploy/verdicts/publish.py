"""A verdict put down for others: `<host>.json`, `<host>.html`, and the pictures, beside its JUnit file."""

from __future__ import annotations

import datetime as dt
import re
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from deploy.bundle.manifest import Manifest
from deploy.cloud.evidence import Evidence, rate_of
from deploy.cloud.reasons import Finding
from deploy.verdicts.cloudside import Beyond, CloudLook, full_name
from deploy.verdicts.index import INDEX, index_page
from deploy.verdicts.page import verdict_page
from deploy.verdicts.record import (
    ChannelRecord,
    CheckRecord,
    FragmentRecord,
    Part,
    State,
    StreamRecord,
    VerdictRecord,
    changes,
    read_record,
)
from deploy.verdicts.summary import summarize
from deploy.verify.verdict import Check, Verdict
from deploy.webrtc.viewer import Viewed
from recipes.files import write_whole
from recipes.text import shown

_FOLDERS = 8


@dataclass(frozen=True, slots=True, kw_only=True)
class Published:
    """Where a verdict is."""

    record: VerdictRecord
    json: Path
    page: Path


def publish(
    verdict: Verdict,
    look: CloudLook | None,
    manifest: Manifest | None = None,
    beyond: Beyond | None = None,
    *,
    index: bool = True,
) -> Published:
    """Write a verdict beside its JUnit file, with what is different from the one before, and the page of all hosts.

    Where a runner of CI asks for a summary, the verdict is appended to that too.

    Parameters
    ----------
    manifest:
        Of the release, for its sizes; without it the page has none.
    beyond:
        A soak and drills, where there were any.
    index:
        False: the page of all hosts is written later, by `publish_index`: it reads the verdict of each.
    """
    target, page = verdict.junit.with_suffix(".json"), verdict.junit.with_suffix(".html")
    record, pictures = make_record(verdict, look or CloudLook(), manifest, beyond or Beyond())
    record = record.model_copy(update={"changes": changes(read_record(target), record)})
    for name, image in pictures.items():
        write_whole(target.with_name(name), image)
    write_whole(target, record.text().encode())
    write_whole(page, verdict_page(record, pictures).encode())
    if index:
        publish_index(target.parent)
    summarize(record)
    return Published(record=record, json=target, page=page)


def publish_index(folder: Path) -> Path:
    """Write the page of all hosts whose verdicts are in a folder; returns where it is."""
    write_whole(folder / INDEX, index_page(folder).encode())
    return folder / INDEX


def make_record(
    verdict: Verdict, look: CloudLook, manifest: Manifest | None, beyond: Beyond
) -> tuple[VerdictRecord, Mapping[str, bytes]]:
    """Return the record of a verdict, and the pictures by the names that it has for them."""
    pictures: dict[str, bytes] = {}

    def keep(kind: str, name: str, image: bytes) -> str:
        if not image:
            return ""
        file = f"{verdict.host}-{kind}-{re.sub(r'[^A-Za-z0-9_.-]', '_', name)[:100]}.jpg"
        pictures[file] = image
        return file

    streams = tuple(_stream(one, keep("stream", one.promise.name, _image(one))) for one in look.streams)
    channels = tuple(
        _channel(one, keep("channel", one.channel, one.pictures[-1].jpeg if one.pictures else b""))
        for one in look.channels
    )
    parts: list[tuple[Part, tuple[Finding, ...]]] = [("", look.findings)]
    parts += [("drill", beyond.drilled), ("soak", beyond.soaked)]
    known = {full_name(finding): (finding, part) for part, findings in parts for finding in findings}
    record = VerdictRecord(
        host=verdict.host,
        release=verdict.release,
        green=verdict.green,
        made=dt.datetime.now(dt.UTC).isoformat(timespec="seconds"),
        seconds=round(look.seconds, 2),
        service=look.service,
        junit=verdict.junit.name,
        checks=tuple(_check(check, known.get(check.name), verdict.host) for check in verdict.checks),
        notes=tuple(_fit(note) for note in verdict.notes),
        streams=streams,
        channels=channels,
        sizes=_sizes(manifest),
        soak=beyond.soak,
        drills=beyond.drills,
    )
    return record, pictures


def _image(seen: Evidence) -> bytes:
    return next((shot.image for shot in reversed(seen.shots) if shot.image), b"")


def _check(check: Check, known: tuple[Finding, Part] | None, host: str) -> CheckRecord:
    states: dict[str, State] = {"passed": "passed", "failed": "failed"}
    state = states.get(check.state, "skipped")
    if known is None:
        return CheckRecord(
            name=_fit(check.name),
            state=state,
            evidence=_fit(check.evidence),
            reason=_fit(check.cause),
            next_step=_fit(check.cure),
            seconds=round(check.seconds, 3),
        )
    finding, part = known
    return CheckRecord(
        name=_fit(finding.check),
        subject=_fit(finding.subject),
        state=state,
        evidence=_fit(finding.evidence),
        reason=finding.reason,
        side=finding.side,
        next_step=_fit(finding.next_step.replace("HOST", host)),
        figures={name: round(value, 4) for name, value in finding.figures.items()},
        part=part,
    )


def _fit(words: str) -> str:
    return shown(words, lines=False)


def _stream(seen: Evidence, picture: str) -> StreamRecord:
    newest = next((one for one in reversed(seen.media) if one.width), None)
    seconds = sum(one.seconds for one in seen.media)
    new = {one.number for one in seen.new}
    return StreamRecord(
        name=_fit(seen.promise.name),
        region=seen.promise.region,
        promised=_fit(seen.promise.in_words),
        began=round(seen.began, 3),
        ended=round(seen.ended, 3),
        source=seen.source,
        retention_hours=seen.retention_hours,
        workstation_ahead=None if seen.skew is None else round(seen.skew, 1),
        fragments=tuple(
            FragmentRecord(
                number=one.number,
                server=round(one.server, 3),
                producer=round(one.producer, 3),
                length=one.length,
                size=one.size,
                new=one.number in new,
            )
            for one in seen.fragments
        ),
        codec=newest.codec if newest else "",
        width=newest.width if newest else 0,
        height=newest.height if newest else 0,
        rate=round(rate_of(seen.media), 2),
        kbps=round(sum(one.size for one in seen.media) * 8 / 1000 / seconds, 1) if seconds else 0.0,
        picture=picture,
    )


def _channel(viewed: Viewed, picture: str) -> ChannelRecord:
    def short(value: float | None) -> float | None:
        return None if value is None else round(value, 4)

    return ChannelRecord(
        name=_fit(viewed.channel),
        answered=short(viewed.answered),
        connected=short(viewed.connected),
        first=short(viewed.first),
        frames=viewed.frames,
        received=viewed.received,
        lost=viewed.lost,
        round_trip=short(viewed.round_trip),
        way=viewed.way,
        picture=picture,
    )


def _sizes(manifest: Manifest | None) -> dict[str, int]:
    """Return the bytes of a release by the folder of its files, the heaviest; the others together."""
    if manifest is None:
        return {}
    folders = Counter[str]()
    for file in manifest.files:
        folders[file.path.rpartition("/")[0] or "/"] += file.size
    heavy = dict(folders.most_common(_FOLDERS))
    rest = sum(folders.values()) - sum(heavy.values())
    return heavy | ({"other folders": rest} if rest else {})
