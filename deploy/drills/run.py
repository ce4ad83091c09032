"""`invoke verify --drill`: what streams now, a fault, and what streams after it; the board is put back in any case."""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import dataclass
from typing import TypeVar

from deploy.boards.board import load_board
from deploy.boards.inventory import host_target, load_host
from deploy.boards.session import connect
from deploy.cloud.promise import ChannelPromise, Promises, StreamPromise, board_promises
from deploy.cloud.reasons import Finding, skipped
from deploy.cloud.session import ServiceRefusalError
from deploy.control.services import HostService, ask_services, carry_out, running_release
from deploy.drills.arrivals import BASELINE, Arrivals, Watch, baseline
from deploy.drills.faults import Drilled, Kind, Made, make_fault
from deploy.drills.judge import check_of, judge_drill
from deploy.drills.viewers import Audience, Gallery, audience
from deploy.services.systems import Phase
from deploy.verdicts.cloudside import Beyond
from deploy.verdicts.flow import CloudWay
from deploy.verdicts.record import DrillRecord
from deploy.webrtc.viewer import SECONDS
from recipes.errors import PreflightError
from recipes.progress import progress
from recipes.text import one_line, shown

_Way = TypeVar("_Way", Arrivals, Audience)
_HAND_SECONDS = 8.0
"""For a stream that a person starts: most likely it does not run."""


def drill_host(
    host: str, kinds: Sequence[Kind], seconds: float, within: Callable[[Kind], float], way: CloudWay
) -> Beyond:
    """Make one fault after the other on a host, each from a state in which everything streams.

    Parameters
    ----------
    seconds:
        How long network and camera are away.
    within:
        Gives, for a fault, the seconds from its end in which everything has to be back.

    Raises
    ------
    PreflightError
        Nothing streams, the service does not say what arrives, or the board cannot have such a fault; nothing was
        changed then.
    """
    done = Beyond()
    for kind in kinds:
        try:
            done = done.together(_drill(host, kind, seconds, within(kind), way))
        except PreflightError as error:
            if not done.drills:
                raise
            # What was found before is not to be lost.
            why = f"{error.what}: {error.why}" if error.why else error.what
            done = done.together(Beyond(drilled=(skipped("", check_of(kind), why),)))
    return done


def _drill(host: str, kind: Kind, seconds: float, within: float, way: CloudWay) -> Beyond:
    board = load_board(load_host(host).board)
    with running_release(host) as (session, manifest):
        services = ask_services(session, manifest.root, manifest.services)
        root = manifest.root
    drilled = Drilled(host=host, board=board, root=root, services=services, seconds=seconds, within=within)
    promised = board_promises(board)
    if not any((*(not one.prefix for one in promised.streams), *promised.channels)):
        raise PreflightError(
            f"nothing of {host} can be seen to come back",
            why="its file sends nothing to the service; nothing was changed there",
            next_step="a stream in the board's file, with sink = { kvs = … } or { webrtc = … }",
        )
    with ExitStack() as stack:
        seen = _before(host, promised, way)
        watch, gallery = stack.enter_context(Watch(seen.streams)), stack.enter_context(Gallery(seen.channels))
        try:
            gallery.look_within(seconds if kind in ("network", "camera") else 0.0)
            made = make_fault(kind, drilled)
            back = _see(host, watch, gallery, made, within)
            after = () if made.trouble else _ask(drilled)
        finally:
            restarted = _put_back(drilled)
    findings = _findings(kind, made, seen, back, after, within)
    findings += [skipped(one.name, check_of(kind, one), "a person starts it, and it does not run") for one in seen.left]
    findings += [skipped(one.name, check_of(kind), "the names of its streams are in a file on the board")
                 for one in promised.streams if one.prefix]  # fmt: skip
    notes = [f"drill {kind}: {name} did not come back, and was started by this command" for name in restarted]
    times = {**back.streams, **{f"channel {name}": seconds for name, seconds in back.channels.items()}}
    return Beyond(drilled=tuple(findings), drills=(_record(kind, made, within, times),), notes=tuple(notes))


@dataclass(frozen=True, slots=True, kw_only=True)
class _Before:
    """What streamed before the fault, what viewers saw, and what a person has not started."""

    streams: tuple[Arrivals, ...]
    channels: tuple[Audience, ...]
    left: tuple[StreamPromise | ChannelPromise, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class _Back:
    """What came back: seconds by name; what came all through the fault; why the service does not say it."""

    streams: dict[str, float]
    channels: dict[str, float]
    through: dict[str, int]
    seen: dict[str, int]
    why: str = ""


def _before(host: str, promised: Promises, way: CloudWay) -> _Before:
    """Wait until everything streams and is seen; raises PreflightError where a part is not."""
    streams, channels = list[Arrivals](), list[Audience]()
    left = list[StreamPromise | ChannelPromise]()
    try:
        with progress(f"{host}: what arrives before the fault"):
            for promise in promised.streams:
                if not promise.prefix:
                    patience = _HAND_SECONDS if promise.hand else BASELINE
                    begin = functools.partial(baseline, promise, way.service(promise.region), patience=patience)
                    _add(streams, left, promise, begin)
            for channel in promised.channels:
                patience = _HAND_SECONDS if channel.hand else SECONDS
                look = functools.partial(audience, channel, way.service(channel.region), patience=patience)
                _add(channels, left, channel, look)
    except BaseException:
        for calls in (*(one.calls for one in streams), *(one.calls for one in channels)):
            calls.close()
        raise
    if not streams and not channels:
        raise PreflightError(f"nothing of {host} streams now", why="a person starts all of it")
    return _Before(streams=tuple(streams), channels=tuple(channels), left=tuple(left))


def _add(
    found: list[_Way],
    left: list[StreamPromise | ChannelPromise],
    promise: StreamPromise | ChannelPromise,
    begin: Callable[[], _Way],
) -> None:
    """Begin with one of them; what a person starts may be silent."""
    try:
        found.append(begin())
    except PreflightError:
        if not promise.hand:
            raise
        left.append(promise)


def _see(host: str, watch: Watch, gallery: Gallery, made: Made, within: float) -> _Back:
    """Return what came back, and what came all through the fault."""
    through: dict[str, int] = {}
    seen = gallery.came_within(made.begin, made.until) if made.lasted else {}
    if made.trouble:
        return _Back(streams={}, channels={}, through={}, seen={})
    with progress(f"{host}: what comes back"), ThreadPoolExecutor(1) as pool:
        channels = pool.submit(gallery.wait, made.end, made.end + within)
        try:
            if made.lasted:
                through = watch.came_within(made.begin, made.until)
            streams, why = watch.wait(made.end, made.sure, made.end + within), ""
        except ServiceRefusalError as refusal:
            streams, why = {}, refusal.words
        return _Back(streams=streams, channels=channels.result(), through=through, seen=seen, why=why)


def _findings(
    kind: Kind, made: Made, seen: _Before, back: _Back, after: Sequence[HostService], within: float
) -> list[Finding]:
    streams = [one.promise for one in seen.streams]
    channels = [one.promise for one in seen.channels]
    return [
        *judge_drill(kind, made, streams, back.streams, back.through, after, within, back.why),
        *judge_drill(kind, made, channels, back.channels, back.seen, after, within),
    ]


def _ask(drilled: Drilled) -> tuple[HostService, ...]:
    """Ask how the services are after it; none where the board does not answer."""
    try:
        with connect(host_target(drilled.host)) as session:
            return ask_services(session, drilled.root, drilled.rows)
    except PreflightError:
        return ()


def _put_back(drilled: Drilled) -> list[str]:
    """Start what ran before and does not run by itself any more; returns their names."""
    before = {one.row.name for one in drilled.at_work()}
    down = [
        one.row.name
        for one in _ask(drilled)
        if one.row.name in before and one.state.phase in (Phase.STOPPED, Phase.FAILED)
    ]
    if down:
        try:
            carry_out(drilled.host, "start", down)
        except PreflightError as error:
            return [f"{name} (which failed: {one_line(error.what)})" for name in down]
    return down


def _record(kind: Kind, made: Made, within: float, back: dict[str, float]) -> DrillRecord:
    return DrillRecord(
        kind=kind,
        done=shown(made.done, lines=False),
        seconds=made.lasted,
        within=within,
        back={shown(name, lines=False): round(value, 1) for name, value in back.items()},
    )
