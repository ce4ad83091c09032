"""Matroska as producers send it: cut a PutMedia body into header and fragments while it arrives, in pieces of any size.

Only the open header or fragment is kept; every size is checked before it is waited for; a byte is looked at once. So a
body that never ends, lies about its sizes or arrives byte by byte costs no more than an honest one.
"""

from __future__ import annotations

import enum
from dataclasses import dataclass

from deploy.media.ebml import UNKNOWN, read_head
from deploy.media.elements import (
    ABOVE_CLUSTER,
    ELEMENT_LIMIT,
    END_OF_FRAGMENT,
    IN_CLUSTER,
    IN_SEGMENT,
    Id,
    parse_cluster,
    parse_header,
    parse_tags,
    timecode_ns,
)
from deploy.media.model import FragmentTooLargeError, Header, MediaError
from deploy.media.muxer import write_cluster, write_header, write_tags

__all__ = [
    "Event",
    "FragmentEnded",
    "FragmentStarted",
    "HeaderEvent",
    "Splitter",
    "parse_cluster",
    "parse_header",
    "write_cluster",
    "write_header",
    "write_tags",
]

HEADER_LIMIT = 1 << 20
"""Bytes before the first cluster; real ones have 300."""

FRAGMENT_LIMIT = 50_000_000
"""Bytes of a fragment that KVS takes (limits.html of its developer guide)."""

TAGS_LIMIT = 1 << 16
"""Bytes of tags behind a fragment; KVS takes 10 tags of 128 and 256 bytes."""


@dataclass(frozen=True, slots=True)
class HeaderEvent:
    """A header is whole: the next thing is a cluster. A body may have another one later."""

    header: Header


@dataclass(frozen=True, slots=True)
class FragmentStarted:
    """A cluster's timecode is known.

    Attributes
    ----------
    timecode:
        Nanoseconds, as the cluster says.
    """

    timecode: int


@dataclass(frozen=True, slots=True)
class FragmentEnded:
    """A fragment is whole.

    Attributes
    ----------
    data:
        The cluster and the tags behind it, as they came.
    timecode:
        Nanoseconds, as the cluster says.
    header:
        The header that it goes with: `Splitter.header` may be of a later one by the time that this is read.
    """

    data: bytes
    timecode: int
    header: Header


Event = HeaderEvent | FragmentStarted | FragmentEnded


class _Place(enum.Enum):
    """Where in the body the next element stands."""

    BEFORE = "before the first header"
    HEADER = "in a header"
    CLUSTER = "in a cluster"
    BEHIND = "behind a cluster, whose fragment is open"
    BETWEEN = "between fragments"


class Splitter:
    """Push parser of one PutMedia body.

    Attributes
    ----------
    header:
        The header in force, once it was read.
    """

    def __init__(self, *, fragment_limit: int = FRAGMENT_LIMIT) -> None:
        self.header: Header | None = None
        self._limit = fragment_limit
        self._error: MediaError | None = None
        self._buffer = bytearray()
        self._start = 0
        self._at = 0
        self._need = 0
        self._place = _Place.BEFORE
        self._cluster_end = UNKNOWN
        self._timecode: int | None = None
        self._elements = 0
        self._tracks = False
        self._segment = False
        self._events: list[Event] = []

    def feed(self, data: bytes) -> list[Event]:
        """Take the next bytes; return what they complete.

        Raises
        ------
        MediaError
            The body is malformed or beyond a bound, and stays so. What was complete before is returned first: the
            error is then raised by the next call, for which ``feed(b"")`` will do (see `failed`).
        """
        if self._error:
            raise self._error
        self._buffer += data
        self._events = []
        try:
            while len(self._buffer) >= self._need:
                self._need = self._step()
        except MediaError as error:
            self._fail(error)
        else:
            self._forget()
        return self._events

    def end(self) -> list[Event]:
        """Say that the body ended: a fragment that is whole but for what follows it is complete.

        Raises
        ------
        MediaError
            The body ended in the middle of something, or was malformed before.
        """
        if self._error:
            raise self._error
        self._events = []
        sized = self._place is _Place.CLUSTER and self._cluster_end not in {UNKNOWN, self._at}
        try:
            self._close(cut=sized or self._at < len(self._buffer))
        except MediaError as error:
            self._fail(error)
        return self._events

    @property
    def failed(self) -> MediaError | None:
        """What is wrong with the body; every later call raises it."""
        return self._error

    def _fail(self, error: MediaError) -> None:
        self._error = error
        self._buffer.clear()
        if not self._events:
            raise error

    def _forget(self) -> None:
        """Drop the bytes of what is complete."""
        gone = self._start
        if gone:
            del self._buffer[:gone]
            self._start, self._at, self._need = 0, self._at - gone, self._need - gone
            if self._cluster_end != UNKNOWN:
                self._cluster_end -= gone

    def _step(self) -> int:
        """Go one element on; return how many bytes the buffer must have for the next step."""
        if self._place is _Place.CLUSTER and self._at == self._cluster_end:
            self._place = _Place.BEHIND
        head = read_head(self._buffer, self._at, len(self._buffer))
        if head is None:
            return len(self._buffer) + 1
        if self._place is _Place.CLUSTER and self._cluster_end == UNKNOWN and head.id in ABOVE_CLUSTER:
            self._place = _Place.BEHIND
        if self._place is _Place.CLUSTER:
            return self._in_cluster(*head)
        if head.id == Id.EBML:
            self._begin_header()
        elif self._place is _Place.BEFORE:
            raise MediaError("the body does not begin with an EBML header")
        if head.id == Id.CLUSTER:
            return self._begin_cluster(*head)
        if head.id == Id.SEGMENT and self._place is _Place.HEADER and not self._segment:
            self._segment, self._at = True, head.body
            return self._at
        return self._in_header(*head) if self._place is _Place.HEADER else self._in_segment(*head)

    def _begin_header(self) -> None:
        if self._place is _Place.HEADER and self._at != self._start:
            raise MediaError("an EBML header begins inside another header")
        self._close()
        self._place, self._segment, self._tracks = _Place.HEADER, False, False
        self._start, self._elements = self._at, 0

    def _in_header(self, ident: int, size: int, body: int) -> int:
        if ident != Id.EBML and (ident not in IN_SEGMENT or not self._segment):
            raise MediaError(f"the element 0x{ident:x} does not belong into a Matroska header")
        end = self._whole(body, size, limit=HEADER_LIMIT)
        if end <= len(self._buffer):
            self._tracks = self._tracks or ident == Id.TRACKS
            self._count(end)
        return end

    def _begin_cluster(self, _: int, size: int, body: int) -> int:
        if self._place is _Place.HEADER:
            if not self._tracks:
                raise MediaError("a cluster stands before the tracks")
            self.header = parse_header(bytes(self._buffer[self._start : self._at]))
            self._events.append(HeaderEvent(self.header))
        self._close()
        self._place, self._start, self._at = _Place.CLUSTER, self._at, body
        self._timecode, self._elements, self._cluster_end = None, 0, UNKNOWN
        if size != UNKNOWN:
            self._cluster_end = self._whole(body, size, limit=self._limit)
        return body

    def _in_cluster(self, ident: int, size: int, body: int) -> int:
        if ident not in IN_CLUSTER:
            raise MediaError(f"the element 0x{ident:x} does not belong into a cluster")
        end = self._whole(body, size, limit=self._limit)
        if self._cluster_end not in {UNKNOWN, max(end, self._cluster_end)}:
            raise MediaError("an element is longer than its cluster")
        if self._timecode is None and ident in {Id.SIMPLE_BLOCK, Id.BLOCK_GROUP}:
            raise MediaError("a block stands before the cluster's timecode")
        if end <= len(self._buffer):
            self._count(end)
            if ident == Id.TIMECODE:
                self._started(bytes(self._buffer[body:end]))
        return end

    def _started(self, body: bytes) -> None:
        if self._timecode is not None:
            raise MediaError("a cluster with two timecodes")
        scale = self.header.timecode_scale if self.header else 1
        self._timecode = timecode_ns(body, scale)
        self._events.append(FragmentStarted(self._timecode))

    def _in_segment(self, ident: int, size: int, body: int) -> int:
        """Take what stands behind a cluster: tags belong to it, what indexes the file ends it and is dropped."""
        if ident not in IN_SEGMENT or ident == Id.TRACKS:
            raise MediaError(f"the element 0x{ident:x} stands behind a cluster, without a new header")
        if ident not in {Id.TAGS, Id.VOID, Id.CRC}:
            self._close()
        open_fragment = self._place is _Place.BEHIND
        end = self._whole(body, size, limit=self._limit + TAGS_LIMIT if open_fragment else HEADER_LIMIT)
        if ident == Id.TAGS and size > TAGS_LIMIT:
            raise MediaError(f"{size} bytes of tags behind a fragment")
        if end <= len(self._buffer):
            self._count(end)
            if not open_fragment:
                self._start = end
            elif ident == Id.TAGS and END_OF_FRAGMENT in parse_tags(self._buffer, body, end):
                self._close()
        return end

    def _count(self, end: int) -> None:
        """Go behind an element. So many are no media: an element of two bytes costs as much time as one of a frame."""
        self._at, self._elements = end, self._elements + 1
        if self._elements > ELEMENT_LIMIT:
            raise MediaError(f"more than {ELEMENT_LIMIT} elements in a fragment or a header")

    def _whole(self, body: int, size: int, *, limit: int) -> int:
        """Return where an element ends, if that is within the limit of what it is part of."""
        if size == UNKNOWN:
            raise MediaError("an element does not say its size where it must")
        if body + size - self._start > limit:
            if self._place in {_Place.CLUSTER, _Place.BEHIND}:
                raise FragmentTooLargeError(f"a fragment of more than {self._limit} bytes")
            raise MediaError(f"more than {limit} bytes that are no fragment")
        return body + size

    def _close(self, *, cut: bool = False) -> None:
        """End the open fragment, if there is one."""
        if cut:
            raise MediaError("the body ends in the middle of an element")
        if self._place in {_Place.CLUSTER, _Place.BEHIND}:
            if self._timecode is None or self.header is None:
                raise MediaError("a cluster without a timecode")
            data = bytes(self._buffer[self._start : self._at])
            self._events.append(FragmentEnded(data, self._timecode, self.header))
            self._start, self._place = self._at, _Place.BETWEEN
