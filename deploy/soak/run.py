"""`invoke verify --soak`: a board is watched, then what the service got meanwhile is listed; both are judged."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Sequence

from deploy.boards.board import load_board
from deploy.boards.inventory import host_target, load_host
from deploy.boards.session import connect
from deploy.cloud.evidence import Seen
from deploy.cloud.listing import describe, list_fragments
from deploy.cloud.promise import StreamPromise, board_promises
from deploy.cloud.session import Calls, ServiceRefusalError
from deploy.control.services import running_release
from deploy.soak.judge import judge_gaps, judge_soak, lives
from deploy.soak.series import measure
from deploy.soak.watch import Plan, Watched, watch_board
from deploy.verdicts.cloudside import Beyond
from deploy.verdicts.flow import CloudWay
from deploy.verdicts.record import SoakRecord
from recipes.text import shown

_MOST = 50_000
"""Fragments that are listed of one stream: two days of one a second are more, and the first then count."""


def soak_host(host: str, plan: Plan, way: CloudWay | None) -> Beyond:
    """Watch a host for as long as the plan says; with a way to the service, its fragments too.

    Raises
    ------
    ConfigError
        Nothing of ours runs there.
    PreflightError
        The board does not answer at all: what goes later is a finding.
    """
    with running_release(host) as (_, manifest):
        root, rows = manifest.root, manifest.services
    target = host_target(host)
    seen = watch_board(host, lambda: connect(target), root, rows, plan)
    names = [row.name for row in rows]
    findings = judge_soak(seen, names)
    if way is not None:
        promises = [one for one in board_promises(load_board(load_host(host).board)).streams if not one.prefix]
        arrived = {one.name: _arrived(one, way, seen) for one in promises}
        findings += judge_gaps(arrived, {one.name: one.live for one in promises})
    return Beyond(soaked=tuple(findings), soak=soak_record(seen, names), notes=tuple(_notes(seen, names)))


def _arrived(promise: StreamPromise, way: CloudWay, seen: Watched) -> Sequence[Seen] | str:
    """Return what arrived meanwhile; in words why that is not known."""
    calls = Calls(way.service(promise.region))

    async def ask() -> tuple[Seen, ...] | str:
        stream = await describe(calls, promise.name, time.time)
        if not stream.hours:
            return "the stream keeps nothing that could be listed"
        begin = seen.began - (stream.skew or 0.0)
        return await list_fragments(calls, stream.arn, begin, begin + seen.seconds, _MOST)

    try:
        return asyncio.run(ask())
    except ServiceRefusalError as refusal:
        return f"the service was not read: {refusal.words}"
    finally:
        calls.close()


def _notes(seen: Watched, names: Sequence[str]) -> list[str]:
    told = []
    if seen.ended == "hand":
        told.append(f"the soak was ended by hand after {seen.seconds:.0f} of {seen.plan.seconds:.0f} s")
    for name, seconds in lives(seen.samples, names).items():
        told.append(f"{name} was started again in the soak; its figures are of its longest life, {seconds:.0f} s")
    return told


def soak_record(seen: Watched, names: Sequence[str]) -> SoakRecord:
    """Return a soak as the report has it."""
    series = [one.record() for one in measure(seen.samples, names, seen.seconds)]
    return SoakRecord(
        asked=seen.plan.seconds,
        seconds=round(seen.seconds, 1),
        interval=round(seen.plan.every, 2),
        samples=len(seen.samples),
        ended=seen.ended,
        breaks=seen.breaks,
        series=tuple(one.model_copy(update={"subject": shown(one.subject, lines=False)}) for one in series),
    )
