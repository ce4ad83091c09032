"""What a drill means, stream by stream. Pure: what was seen is there already."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from deploy.cloud.promise import ChannelPromise, StreamPromise
from deploy.cloud.reasons import Finding, ok, red, skipped
from deploy.control.services import HostService
from deploy.drills.faults import Kind, Made
from deploy.services.systems import Phase


def check_of(kind: Kind, promise: StreamPromise | ChannelPromise | None = None) -> str:
    """Return the name of the check: what is behind its last blank is the fault."""
    return f"{'is seen again' if isinstance(promise, ChannelPromise) else 'comes back'} after {kind}"


def judge_drill(
    kind: Kind,
    made: Made,
    streams: Sequence[StreamPromise | ChannelPromise],
    back: Mapping[str, float],
    through: Mapping[str, int],
    after: Sequence[HostService],
    within: float,
    unread: str = "",
) -> list[Finding]:
    """Return a finding for each stream, or each channel.

    Parameters
    ----------
    back:
        By stream, seconds from the fault's end to a fragment that was filmed after it; by channel, to the pictures of a
        viewer who came after it.
    through:
        By stream, fragments that arrived in a time in which none should have; by channel, such pictures.
    after:
        How the services are now; empty where the board does not answer.
    unread:
        Why the service does not say what arrived.
    """
    return [_judge(kind, made, one, back, through, after, within, unread) for one in streams]


def _judge(
    kind: Kind,
    made: Made,
    stream: StreamPromise | ChannelPromise,
    back: Mapping[str, float],
    through: Mapping[str, int],
    after: Sequence[HostService],
    within: float,
    unread: str,
) -> Finding:
    name, check = stream.name, check_of(kind, stream)
    viewed = isinstance(stream, ChannelPromise)
    lasted = f" for {made.lasted:.0f} s" if made.lasted else ""
    fault = f"{made.done}{lasted}"
    if made.trouble:
        return red("board-gone", name, check, f"{fault}; in {within:.0f} s: {made.trouble}", within=within)
    if unread:
        return skipped(name, check, f"{fault}; what came back is not known: {unread}")
    if count := through.get(name, 0):
        things = ("picture" if viewed else "fragment") + ("" if count == 1 else "s")
        return red(
            "drill-no-fault",
            name,
            check,
            f"{fault}; meanwhile {count} {things} arrived",
            through=count,
        )
    if name in back:
        seconds = back[name]
        new = "a viewer had its pictures" if viewed else "a new fragment"
        said = f"{new} {seconds:.1f} s after it, of {within:.0f} s"
        return ok(name, check, f"{fault}; {said}", seconds=seconds, within=within)
    reason, state = _why(kind, [one for one in after if one.row.stream == stream.stream], answers=bool(after))
    none = "no viewer got pictures" if viewed else "no fragment that was filmed after it arrived"
    what = f"{fault}; {none} in {within:.0f} s; {state}"
    return red(reason, name, check, what, within=within)


def _why(kind: Kind, own: Sequence[HostService], *, answers: bool) -> tuple[str, str]:
    """Return the reason why a stream is not back, and how its services are."""
    if not answers:
        return "board-gone", "the board does not answer"
    down = [one for one in own if one.state.phase is not Phase.RUNNING]
    told = "; ".join(f"{one.row.name} is {one.state.phase}: {one.state.reason or 'no reason is known'}" for one in down)
    if not down:
        running = ", ".join(f"{one.row.name} runs (process {one.state.pid})" for one in own)
        return "drill-not-back", running or "no service of it is known"
    if kind == "power" and any(one.state.phase is Phase.STOPPED and not one.state.enabled for one in down):
        return "drill-boot", told
    return "drill-service", told
