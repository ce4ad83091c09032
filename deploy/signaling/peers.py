"""A connected client, as far as others send to it: what waits for it, how fast it may send, why it has to go."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass, field

MOST_WAITING = 64
"""Messages that wait for one reader; one that is slower than that has to come again."""
GOING_AWAY, REFUSED, NOT_TEXT = 1001, 1008, 1003


def _rates() -> Mapping[str, float]:
    return {"SDP_OFFER": 5, "SDP_ANSWER": 5, "ICE_CANDIDATE": 20}


@dataclass(frozen=True)
class Limits:
    """What one channel and one connection may have.

    https://docs.aws.amazon.com/kinesisvideostreams-webrtc-dg/latest/devguide/kvswebrtc-limits.html

    Attributes
    ----------
    connection, idle, grace:
        Seconds: how long a connection lasts, how long without a frame, and from GO_AWAY to the end of it.
    stalled:
        Seconds that a client may take to accept what it is sent.
    rates:
        Messages a second, by their action, of one connection.
    frames:
        Frames a second of any kind; more than the service says, so that only a flood meets it.
    """

    viewers: int = 10
    connection: float = 3_600
    idle: float = 600
    grace: float = 60
    stalled: float = 10
    rates: Mapping[str, float] = field(default_factory=_rates)
    frames: float = 200


class Rate:
    """So many a second, and as many at once.

    Parameters
    ----------
    now:
        Seconds of any clock that only goes forward.
    """

    def __init__(self, each_second: float, now: float) -> None:
        self._each_second = self._left = each_second
        self._then = now

    def take(self, now: float) -> bool:
        """Tell whether one more may pass, and count it."""
        self._left = min(self._each_second, self._left + (now - self._then) * self._each_second)
        self._then = now
        if self._left < 1:
            return False
        self._left -= 1
        return True


class Peer:
    """One connection.

    Parameters
    ----------
    channel:
        The channel's ARN.
    client:
        A viewer's ID; empty for the master.

    Attributes
    ----------
    ending:
        Close code and reason, once the connection has to end; nothing is queued for it any more.
    """

    def __init__(self, channel: str, client: str) -> None:
        self.channel = channel
        self.client = client
        self.ending: tuple[int, str] | None = None
        self._texts: deque[str] = deque()
        self._news = asyncio.Event()

    @property
    def is_master(self) -> bool:
        return not self.client

    def send(self, text: str) -> bool:
        """Queue a text; False where the connection is ending, by this text too if it is one too many."""
        if self.ending is None and len(self._texts) >= MOST_WAITING:
            self._texts.clear()
            self.end(REFUSED, "messages are not read")
        if self.ending is not None:
            return False
        self._texts.append(text)
        self._news.set()
        return True

    def end(self, code: int, reason: str) -> None:
        """End the connection, after what is queued already."""
        if self.ending is None:
            self.ending = (code, reason)
        self._news.set()

    async def next(self) -> str | None:
        """Wait for the next text to send; None where there will be none."""
        while not self._texts:
            if self.ending is not None:
                return None
            self._news.clear()
            await self._news.wait()
        return self._texts.popleft()
