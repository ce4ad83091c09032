"""`invoke verify --drill`: what streams now, a fault, and what streams after it; the board is put back in any case."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import ExitStack

from deploy.boards.board import load_board
from deploy.boards.inventory import host_target, load_host
from deploy.boards.session import connect
from deploy.cloud.promise import StreamPromise, board_promises
from deploy.cloud.reasons import skipped
from deploy.cloud.session import ServiceRefusalError
from deploy.control.services import HostService, ask_services, carry_out, running_release
from deploy.drills.arrivals import Arrivals, Watch, baseline
from deploy.drills.faults import Drilled, Kind, Made, make_fault
from deploy.drills.judge import check_of, judge_drill
from deploy.services.systems import Phase
from deploy.verdicts.cloudside import Beyond
from deploy.verdicts.flow import CloudWay
from deploy.verdicts.record import DrillRecord
from recipes.errors import PreflightError
from recipes.progress import progress
from recipes.text import one_line, shown

_CHANNEL = "a drill sees fragments, and a channel has none: invoke verify --cloud gives it a viewer"
_HAND_SECONDS = 3.0
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
    promises = [one for one in promised.streams if not one.prefix]
    if not promises:
        raise PreflightError(
            f"nothing of {host} can be seen to come back",
            why="its file sends no stream to the service; nothing was changed there",
            next_step="invoke verify --host HOST --cloud looks at its channels",
        )
    with ExitStack() as stack:
        streams, left = _baselines(host, promises, way)
        watch = stack.enter_context(Watch(streams))
        try:
            made = make_fault(kind, drilled)
            back, through, why = _see(host, watch, made, within)
            after = () if made.trouble else _ask(drilled)
        finally:
            restarted = _put_back(drilled)
    findings = judge_drill(kind, made, [one.promise for one in streams], back, through, after, within, why)
    findings += [skipped(promise.name, check_of(kind), "a person starts it, and it does not run") for promise in left]
    findings += [skipped(one.name, check_of(kind), "the names of its streams are in a file on the board")
                 for one in promised.streams if one.prefix]  # fmt: skip
    findings += [skipped(one.name, check_of(kind), _CHANNEL) for one in promised.channels]
    notes = [f"drill {kind}: {name} did not come back, and was started by this command" for name in restarted]
    return Beyond(drilled=tuple(findings), drills=(_record(kind, made, within, back),), notes=tuple(notes))


def _baselines(
    host: str, promises: Sequence[StreamPromise], way: CloudWay
) -> tuple[list[Arrivals], list[StreamPromise]]:
    """Return what streams, and what a person has not started."""
    streams, left = list[Arrivals](), list[StreamPromise]()
    try:
        with progress(f"{host}: what arrives before the fault"):
            for promise in promises:
                service = way.service(promise.region)
                if not promise.hand:
                    streams.append(baseline(promise, service))
                    continue
                try:
                    streams.append(baseline(promise, service, patience=_HAND_SECONDS))
                except PreflightError:
                    left.append(promise)
    except BaseException:
        for one in streams:
            one.calls.close()
        raise
    if not streams:
        raise PreflightError(f"nothing of {host} streams now", why="a person starts all of it")
    return streams, left


def _see(host: str, watch: Watch, made: Made, within: float) -> tuple[dict[str, float], dict[str, int], str]:
    """Return what came back, what came all through the fault, and why the service does not say it."""
    through: dict[str, int] = {}
    if made.trouble:
        return {}, through, ""
    try:
        if made.lasted:
            through = watch.came_within(made.begin, made.until)
        with progress(f"{host}: what comes back"):
            return watch.wait(made.end, made.sure, made.end + within), through, ""
    except ServiceRefusalError as refusal:
        return {}, through, refusal.words


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
