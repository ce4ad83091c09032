"""Which fragments of a stream a session shows now: the newest, those since a moment as time goes on, or a range."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass
from typing import Literal

from deploy.kvs.errors import ServiceError
from deploy.kvsstore.fragments import Fragment
from deploy.kvsstore.service import Service
from deploy.kvsstore.streams import Stream
from deploy.playback.request import Span
from deploy.playback.segments import Segments

Mode = Literal["LIVE", "LIVE_REPLAY", "ON_DEMAND"]
MODES = ("LIVE", "LIVE_REPLAY", "ON_DEMAND")
Breaks = Literal["ALWAYS", "NEVER", "ON_DISCONTINUITY"]
BREAKS = ("ALWAYS", "NEVER", "ON_DISCONTINUITY")

MOST_PARTS = 500
"""How often codec private data may change in a session, as the service has it."""
GAP_MS = 50
"""Of a gap or an overlap that is one."""
_HEAD = 3  # fragments with which a replay begins: players begin that many before the end (RFC 8216, 6.3.3)
_BEHIND = 20  # fragments that are still served when the list no longer has them
_ONE_FRAME_MS = 1_000  # what a fragment's own length may miss, or a gap is
_BATCH = 200


@dataclass(frozen=True, slots=True)
class Entry:
    """A fragment in a session.

    Attributes
    ----------
    sequence:
        From 0 on, one more for each fragment of the session.
    part:
        Which of the session's beginnings (codec private data) goes before it.
    broken:
        Whether players begin a new timeline here.
    breaks:
        How many times they did, up to and with this one.
    """

    sequence: int
    fragment: Fragment
    part: int
    broken: bool
    breaks: int


def lengths(entries: list[Entry]) -> list[int]:
    """Return how long each fragment lasts, in milliseconds: to the next where that follows without a gap."""
    found: list[int] = []
    for place, entry in enumerate(entries):
        own = entry.fragment.length_ms
        step = entries[place + 1].fragment.producer_ms - entry.fragment.producer_ms if place + 1 < len(entries) else 0
        # One frame alone says nothing of its length; then it is as long as the fragment before.
        found.append(step if 0 < step <= own + _ONE_FRAME_MS else own or (found[-1] if found else 1))
    return found


class Window:
    """The fragments of one session.

    Parameters
    ----------
    most:
        Fragments in a list.
    breaks:
        Where players are told to begin a new timeline.

    Attributes
    ----------
    parts:
        For each beginning, a fragment that has it.
    ended:
        Nothing will be added.
    seen:
        The number of the last fragment that was looked at.

    Raises
    ------
    ServiceError
        There are fragments, and none can be played.
    """

    def __init__(
        self, service: Service, stream: Stream, segments: Segments, *, mode: Mode, span: Span, most: int, breaks: Breaks
    ) -> None:
        self._service = service
        self._stream = stream
        self._segments = segments
        self._mode = mode
        self._span = span
        self._most = most
        self._breaks = breaks
        self._entries: deque[Entry] = deque(maxlen=most + (0 if mode == "ON_DEMAND" else _BEHIND))
        self._due = 0.0
        self._refused: ServiceError | None = None
        self.seen = ""
        self.parts: list[Fragment] = []
        self.ended = False
        self._begin()

    def __len__(self) -> int:
        """Return how many fragments are remembered."""
        return len(self._entries)

    def shown(self) -> list[Entry]:
        """Return what is in the list now."""
        return list(self._entries)[-self._most :]

    def find(self, *, number: str = "", sequence: int = -1) -> Entry | None:
        """Return a fragment of the session by its number, or by its place."""
        for entry in reversed(self._entries):
            if entry.fragment.number == number or entry.sequence == sequence:
                return entry
        return None

    def _begin(self) -> None:
        fragments = self._service.store.fragments
        if self._mode == "LIVE":
            found = fragments.select(self._stream, limit=self._most, newest_first=True)[::-1]
        elif self._mode == "ON_DEMAND":
            found = self._span.fragments(self._service, self._stream, limit=self._most)
            found.sort(key=self._span.time_of)
            self.ended = True
        else:
            found = self._span.fragments(self._service, self._stream, limit=min(_HEAD, self._most))
            self._due = self._service.clock()
        for fragment in found:
            self._add(fragment)
        if not self._entries and self._refused:
            raise self._refused

    def refresh(self) -> None:
        """Take in what arrived, or what it is time for."""
        while not self.ended:
            rows = self._span.fragments(self._service, self._stream, limit=_BATCH, after=self.seen)
            now = self._service.clock()
            for fragment in rows:
                if self._mode == "LIVE_REPLAY":
                    due = self._due + fragment.length_ms / 1000
                    if now < due:
                        return
                    self._due = due
                self._add(fragment)
            if not rows:
                # A fragment that began before the end may still be on its way.
                end = self._span.end_ms
                self.ended = end is not None and now * 1000 > end + 15_000
            if len(rows) < _BATCH:
                return

    def _add(self, fragment: Fragment) -> None:
        self.seen = max(self.seen, fragment.number)
        last = self._entries[-1] if self._entries else None
        if last and self._span.by == "PRODUCER" and fragment.producer_ms <= last.fragment.producer_ms:
            return  # what is older than the newest in the list is not added, as the service has it
        try:
            key = self._segments.source(fragment).key
        except ServiceError as error:
            self._refused = error
            return
        part = last.part if last else -1
        changed = last is None or self._segments.source(self.parts[part]).key != key
        if changed:
            if len(self.parts) > MOST_PARTS:
                self.ended = True
                return
            self.parts.append(fragment)
            part = len(self.parts) - 1
        broken = self._is_break(last, fragment, changed=changed)
        self._entries.append(
            Entry(
                last.sequence + 1 if last else 0, fragment, part, broken, (last.breaks if last else 0) + broken
            )
        )  # fmt: skip

    def _is_break(self, last: Entry | None, fragment: Fragment, *, changed: bool) -> bool:
        if self._breaks != "ON_DISCONTINUITY":
            return self._breaks == "ALWAYS"
        if last is None:
            return False
        expected = self._span.time_of(last.fragment) + last.fragment.length_ms
        return changed or abs(self._span.time_of(fragment) - expected) > GAP_MS
