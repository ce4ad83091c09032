"""What the board's own checks say of a stream, for the cloud's side of the same verdict. Pure."""

from __future__ import annotations

import re
from dataclasses import dataclass
from enum import StrEnum


class StreamSeen(StrEnum):
    """What the board's own look at a stream came to."""

    CONFIRMED = "confirmed"
    """Pictures go on, and the service confirms its fragments."""
    RUNNING = "running"
    """Its process lives; it does not say what it sends."""
    STARTING = "starting"
    SILENT = "silent"
    """Its process is there, and no picture comes any more."""
    UNCONFIRMED = "unconfirmed"
    """Pictures go on, and no fragment is confirmed."""
    DOWN = "down"
    """It does not run, though it should."""
    STOPPED = "stopped"
    """Somebody stopped it, or nobody started it."""
    UNREACHED = "unreached"
    """It does not run, or nothing is confirmed, for it does not reach the service."""
    EXPIRED = "expired"
    """The service refuses it: its session token is over."""
    CLOCK = "clock"
    """The service refuses what it signs: its clock is off."""
    REFUSED = "refused"
    """The service refuses it for another reason: keys, policy."""


_REFUSALS = (
    (StreamSeen.EXPIRED, r"ExpiredToken|token (?:included in the request )?is expired"),
    (StreamSeen.CLOCK, r"Signature (?:not yet current|expired)|RequestTimeTooSkewed|RequestExpired"),
    (StreamSeen.REFUSED, r"0x52000010|[Aa]ccess ?[Dd]enied|UnrecognizedClient|InvalidSignature|SignatureDoesNotMatch"),
    (StreamSeen.UNREACHED, "0x52000037|[Cc]ouldn't connect|[Cc]ould not (?:connect|resolve)|(?:does|did) not answer"),
    (StreamSeen.UNREACHED, "No route to host|Connection (?:refused|timed out)|Network is unreachable"),
)


def refusal_in(text: str) -> StreamSeen | None:
    """Return what a program's words say of the service: it refuses, or is not reached; None for neither."""
    return next((kind for kind, words in _REFUSALS if re.search(words, text)), None)


_REACHES = {
    StreamSeen.CONFIRMED: True,
    StreamSeen.EXPIRED: True,
    StreamSeen.CLOCK: True,
    StreamSeen.REFUSED: True,
    StreamSeen.UNCONFIRMED: False,
    StreamSeen.UNREACHED: False,
}
CAUSES = {
    StreamSeen.EXPIRED: "board-expired",
    StreamSeen.CLOCK: "clock",
    StreamSeen.REFUSED: "board-refused",
    StreamSeen.UNCONFIRMED: "board-blocked",
    StreamSeen.UNREACHED: "board-blocked",
    StreamSeen.SILENT: "stopped",
}
"""Why nothing of a stream comes, as the catalogue of causes has it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class BoardView:
    """What the board's own checks say of one stream, in the same run.

    Attributes
    ----------
    seen:
        None where nobody asked the board.
    words:
        What it said, on one line.
    clock_off:
        Its clock is too far off for what it signs to be taken.
    """

    seen: StreamSeen | None = None
    words: str = ""
    clock_off: bool = False

    @property
    def reaches(self) -> bool | None:
        """Whether it reaches the service; None where that is not known, as of a program that hangs."""
        return None if self.seen is None else _REACHES.get(self.seen)

    @property
    def cause(self) -> str:
        """Why nothing of it comes, as a name of `REASONS`; empty where the board does not know."""
        if self.clock_off and self.seen in (StreamSeen.REFUSED, StreamSeen.CLOCK, StreamSeen.DOWN):
            return "clock"
        return "" if self.seen is None else CAUSES.get(self.seen, "")

    @property
    def stands(self) -> bool:
        """Whether it sends nothing to any stream, by its own word."""
        return bool(self.cause) or self.seen in (StreamSeen.DOWN, StreamSeen.STOPPED)
