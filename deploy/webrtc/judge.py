"""What a viewer's look at a channel means. Pure."""

from __future__ import annotations

from collections.abc import Iterator

from deploy.causes.boardside import BoardView
from deploy.cloud.reasons import Finding, ok, reason_of, red, skipped, unreached
from deploy.webrtc.viewer import Viewed

MASTER, VIEWS, SHOWS, MOVES = (
    "a master answers",
    "a viewer gets pictures",
    "the viewer's picture shows something",
    "the viewer's picture moves",
)
LOSS = 0.05
"""Part of the packets that may be lost; decoders repair less."""
_REST = (VIEWS, SHOWS, MOVES)


def judge_view(viewed: Viewed, frames: int, board: BoardView | None = None) -> Iterator[Finding]:
    """Yield every check of a channel; `frames` are those that were asked for."""
    board, name = board or BoardView(), viewed.channel
    if viewed.answered is None:
        yield _unanswered(viewed, board)
        yield from (skipped(name, check, "there is no master to look at") for check in _REST)
        return
    yield ok(name, MASTER, f"it answered this workstation's offer after {viewed.answered:.2f} s", after=viewed.answered)
    if viewed.frames < frames:
        yield _too_few(viewed, frames, board)
        yield from (skipped(name, check, "too few pictures came") for check in _REST[1:])
        return
    yield _views(viewed)
    yield from _looks(viewed)


def _unanswered(viewed: Viewed, board: BoardView) -> Finding:
    refusal = viewed.refusal
    if refusal is not None:
        what = f"this workstation asked the service, and {refusal.words} ({refusal.code})"
        other = board if unreached(refusal.code) else None
        return red(reason_of(refusal.code, board, channel=True), viewed.channel, MASTER, what, board=other)
    what = f"this workstation is connected to the channel, and its offer is not answered: {viewed.fault}"
    return red("no-master", viewed.channel, MASTER, what, board=board)


def _too_few(viewed: Viewed, frames: int, board: BoardView) -> Finding:
    if viewed.connected is None:
        what = f"the master answered, and no connection came up: {viewed.fault}"
        return red("no-connection", viewed.channel, VIEWS, what, board=board)
    if not viewed.frames:
        what = (
            f"connected after {viewed.connected:.2f} s ({viewed.way or 'way unknown'}), and no picture: {viewed.fault}"
        )
        return red("no-frames", viewed.channel, VIEWS, what, board=board)
    what = f"{viewed.frames} of {frames} pictures could be decoded: {viewed.fault}"
    return red("few-frames", viewed.channel, VIEWS, what, board=board, frames=viewed.frames)


def _views(viewed: Viewed) -> Finding:
    share = viewed.lost / max(1, viewed.lost + viewed.received)
    trip = "" if viewed.round_trip is None else f", round trip {viewed.round_trip * 1000:.1f} ms"
    what = f"{viewed.frames} pictures, the first {viewed.first or 0:.2f} s after the offer; {viewed.lost} of "
    what += f"{viewed.lost + viewed.received} packets lost{trip} ({viewed.way or 'way unknown'})"
    figures = {"first": viewed.first or 0.0, "loss": share, "round_trip": viewed.round_trip or 0.0}
    if share > LOSS:
        return red("few-frames", viewed.channel, VIEWS, what, loss=share)
    return ok(viewed.channel, VIEWS, what, **figures)


def _looks(viewed: Viewed) -> Iterator[Finding]:
    from deploy.media.pictures import is_black, is_green, same

    name, last = viewed.channel, viewed.pictures[-1]
    blank = "black" if is_black(last) else "green" if is_green(last) else ""
    light = f"{last.width} x {last.height}, brightness {last.mean:.0f} of 255, contrast {last.spread:.0f}"
    if blank:
        yield red(blank, name, SHOWS, f"the viewer's last picture is {blank}", mean=last.mean)
        yield skipped(name, MOVES, f"an even {blank} has nothing that could move")
        return
    yield ok(name, SHOWS, light, mean=last.mean, spread=last.spread)
    if same(viewed.pictures[0], last):
        yield red("frozen", name, MOVES, f"the first and the last of {viewed.frames} pictures are the same")
    else:
        yield ok(name, MOVES, f"the first and the last of {viewed.frames} pictures differ")
