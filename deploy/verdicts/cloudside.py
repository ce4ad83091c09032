"""What is behind the board's checks in a verdict: each stream and channel of its file, a soak, drills."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace

from deploy.boards.board import Board, board_names, load_board
from deploy.causes.boardside import BoardView, StreamSeen
from deploy.cloud.collect import PATIENCE, Look, observe
from deploy.cloud.evidence import Evidence
from deploy.cloud.judge import judge
from deploy.cloud.promise import ChannelPromise, Promises, StreamPromise, board_promises
from deploy.cloud.reasons import Finding, skipped
from deploy.cloud.session import Calls, Service
from deploy.verdicts.record import DrillRecord, SoakRecord
from deploy.verify.run import append_checks
from deploy.verify.verdict import CLOCK_CHECK, Check, Verdict
from deploy.webrtc.judge import MASTER, judge_view
from deploy.webrtc.viewer import FRAMES, Viewed, view
from recipes.errors import UserError
from recipes.progress import progress

SUITE = "cloud"
STANDING_PATIENCE = 8.0
"""Seconds for a fragment of a board that says itself that it sends none: it may have begun meanwhile."""
SENDING_PATIENCE = 20.0
"""The same of one that has just had fragments confirmed: the next one is at most a fragment's length away."""


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
            cause=finding.reason,
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


@dataclass(frozen=True, slots=True, kw_only=True)
class CloudLook:
    """What was seen of a board's streams and channels in one look.

    Attributes
    ----------
    service:
        Which service was asked, in words.
    seconds:
        How long all of it took.
    """

    findings: tuple[Finding, ...] = ()
    streams: tuple[Evidence, ...] = ()
    channels: tuple[Viewed, ...] = ()
    service: str = ""
    seconds: float = 0.0

    def checks(self, host: str) -> tuple[Check, ...]:
        """Return the findings as checks of a verdict."""
        return as_checks(self.findings, host)


def look_at_cloud(
    board: Board,
    service_for: Callable[[str], Service],
    *,
    watch: float = 0.0,
    patience: float = 0.0,
    views: Mapping[str, BoardView] | None = None,
) -> CloudLook:
    """Look at everything that a board's file sends to the service.

    Parameters
    ----------
    service_for:
        The service of a region.
    watch:
        Seconds that each stream is watched at least.
    patience:
        Seconds in which a fragment has to arrive; 0: the usual 30, and fewer where the board says that none will.
    views:
        What the board's own checks say of each stream, by its name in the board's file.

    Raises
    ------
    ConfigError
        The AWS profile cannot be used, or names no region.
    """
    promised, began = board_promises(board), time.monotonic()
    views = views or {}
    sent = [views[one.stream] for one in promised.streams if one.stream in views]
    look = Look(watch=watch, patience=patience or patience_for(sent), known=known_streams(board))
    regions = dict.fromkeys([*(one.region for one in promised.streams), *(one.region for one in promised.channels)])
    found = CloudLook()
    with progress(f"{board.name}: what the service has of its streams"):
        for region in regions:
            part = _of_region(promised, region, service_for(region), look, views)
            found = CloudLook(
                findings=(*found.findings, *part.findings),
                streams=(*found.streams, *part.streams),
                channels=(*found.channels, *part.channels),
                service=part.service,
            )
    return replace(found, seconds=time.monotonic() - began)


def patience_for(views: Sequence[BoardView]) -> float:
    """Return the seconds in which a fragment has to arrive, by what the board says of its streams."""
    if views and all(view.stands for view in views):
        return STANDING_PATIENCE
    return SENDING_PATIENCE if views and all(view.seen is StreamSeen.CONFIRMED for view in views) else PATIENCE


def _of_region(
    promised: Promises, region: str, service: Service, look: Look, views: Mapping[str, BoardView]
) -> CloudLook:
    streams = [stream for stream in promised.streams if stream.region == region]
    channels = [channel for channel in promised.channels if channel.region == region]
    calls = Calls(service, patient=True)
    try:
        seen, viewed = asyncio.run(_ask(calls, [stream for stream in streams if not stream.prefix], channels, look))
    finally:
        calls.close()
    findings = [finding for evidence in seen for finding in judge(evidence, views.get(evidence.promise.stream))]
    findings += [
        skipped(stream.name, "fragments arrive", "the names of its streams are in a file on the board")
        for stream in streams
        if stream.prefix
    ]
    for channel, one in zip(channels, viewed, strict=True):
        findings += _judged(channel, one, views.get(channel.stream))
    where = f"the local service, {calls.region}" if service.is_local else f"AWS, {calls.region}"
    there = tuple(one for one in viewed if one is not None)
    region_filled = tuple(_with_region(finding, calls.region) for finding in findings)
    return CloudLook(findings=region_filled, streams=tuple(seen), channels=there, service=where)


def _with_region(finding: Finding, region: str) -> Finding:
    return replace(finding, next_step=finding.next_step.replace("REGION", region))


async def _ask(
    calls: Calls, streams: Sequence[StreamPromise], channels: Sequence[ChannelPromise], look: Look
) -> tuple[list[Evidence], list[Viewed | None]]:
    """Look at all streams at once, and at the channels one after the other: decoding takes the processor."""
    seen = await asyncio.gather(*(observe(calls, stream, look) for stream in streams))
    viewed: list[Viewed | None] = []
    for channel in channels:
        try:
            viewed.append(await view(calls, channel.name))
        except ImportError:
            viewed.append(None)
    return list(seen), viewed


def _judged(channel: ChannelPromise, viewed: Viewed | None, board: BoardView | None) -> list[Finding]:
    if viewed is None:
        return [skipped(channel.name, MASTER, "aiortc is missing: pip install 'boardcast[webrtc]'")]
    found = list(judge_view(viewed, FRAMES, board))
    if channel.hand and found[0].reason == "no-master":
        return [skipped(channel.name, MASTER, "a person starts this stream, and it does not run now")]
    return found


def known_streams(board: Board) -> frozenset[str]:
    """Return the streams that any board here is to send; a board whose file has faults counts for nothing."""
    names = {stream.name for stream in board_promises(board).streams}
    for other in board_names():
        try:
            names |= {stream.name for stream in board_promises(load_board(other)).streams}
        except UserError:
            continue
    return frozenset(names)


def board_views(checks: Sequence[Check]) -> dict[str, BoardView]:
    """Return what the board's own checks say of each stream, by its name in the board's file."""
    clock_off = any(check.name == CLOCK_CHECK and check.state == "failed" for check in checks)
    return {
        stream: BoardView(seen=seen, words=check.evidence[:400], clock_off=clock_off)
        for check in checks
        for stream, seen in check.streams.items()
    }


def with_cloud(verdict: Verdict, look: CloudLook) -> Verdict:
    """Return a verdict with the cloud's checks behind the board's, in its JUnit file too."""
    checks = look.checks(verdict.host)
    if not checks:
        note = "its file sends nothing to the service: there is no cloud's side to look at"
        return replace(verdict, notes=(*verdict.notes, note))
    append_checks(verdict.junit, SUITE, checks)
    return replace(verdict, checks=(*verdict.checks, *checks))
