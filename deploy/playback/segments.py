"""Fragments as players take them: the codec of each track, the MP4 that begins a track, the MP4 of one fragment.

Made when asked for. What was made stays for a while, within a bound, since all who watch one camera ask for the same.
"""

from __future__ import annotations

import asyncio
import threading
from collections import OrderedDict
from dataclasses import dataclass

from deploy.kvs.errors import ServiceError, not_found
from deploy.kvsstore.fragments import Fragment
from deploy.kvsstore.service import Store
from deploy.media.codecs import AAC, AVC, HEVC, Codec, describe
from deploy.media.fmp4 import init_segment, media_segment
from deploy.media.matroska import parse_cluster, parse_header
from deploy.media.model import Cluster, Header, MediaError, Track, TrackKind
from deploy.playback.request import Span

MOST_BYTES = 24 << 20
"""Of the segments that stay."""
_MOST_SOURCES = 64
_LARGE = 2 << 20
"""Bytes of a fragment from which on it is made in a thread, so that others do not wait."""
_PLAYED = {TrackKind.VIDEO: (AVC, HEVC), TrackKind.AUDIO: (AAC,)}
_MS = 1_000_000
_LONGEST_FRAME = 1_000 * _MS
"""A picture that would last longer is followed by a gap."""


@dataclass(frozen=True, slots=True)
class Source:
    """What a Matroska header says to a player.

    Attributes
    ----------
    tracks:
        Those that are played, with their codecs: the first of pictures, the first of sound.
    """

    header: Header
    tracks: tuple[tuple[Track, Codec], ...]

    @property
    def video(self) -> tuple[Track, Codec] | None:
        """The track of pictures."""
        return next((pair for pair in self.tracks if pair[0].kind is TrackKind.VIDEO), None)

    @property
    def audio(self) -> tuple[Track, Codec] | None:
        """The track of sound."""
        return next((pair for pair in self.tracks if pair[0].kind is TrackKind.AUDIO), None)

    @property
    def key(self) -> tuple[tuple[int, str, bytes], ...]:
        """What is the same for fragments that one beginning is good for."""
        return tuple((track.number, track.codec, track.private) for track, _ in self.tracks)

    def track(self, number: int) -> tuple[Track, Codec]:
        """Return a track that is played.

        Raises
        ------
        ServiceError
            There is none of this number.
        """
        for track, codec in self.tracks:
            if track.number == number:
                return track, codec
        raise not_found(f"There is no track {number} that can be played.")


def read_source(header: Header) -> Source:
    """Say which tracks of a header are played.

    Raises
    ------
    ServiceError
        None can be, or what a track says of itself is missing or malformed.
    """
    found: list[tuple[Track, Codec]] = []
    for kind, codecs in _PLAYED.items():
        track = header.track(kind)
        if track is None:
            continue
        if track.codec not in codecs:
            raise _unsupported(f"The codec of track {track.number} is {track.codec}, not {' or '.join(codecs)}.")
        if not track.private:
            raise ServiceError(
                400, "MissingCodecPrivateDataException", f"Track {track.number} has no codec private data."
            )
        try:
            found.append((track, describe(track)))
        except MediaError as error:
            raise ServiceError(400, "InvalidCodecPrivateDataException", str(error)) from None
    if not found:
        raise _unsupported("The stream has neither pictures nor sound.")
    return Source(header, tuple(found))


def _unsupported(what: str) -> ServiceError:
    return ServiceError(400, "UnsupportedStreamMediaTypeException", what)


def bad_frames(error: MediaError) -> ServiceError:
    """Say that a fragment's frames cannot be used."""
    return ServiceError(400, "InvalidMediaFrameException", str(error))


class Segments:
    """Makes segments, and keeps the last ones.

    Parameters
    ----------
    most_bytes:
        Of what is kept; what is larger than a quarter of it is not.
    """

    def __init__(self, store: Store, most_bytes: int = MOST_BYTES) -> None:
        self._store = store
        self._most = most_bytes
        self._lock = threading.Lock()  # clips and pictures are made in threads
        self._sources: OrderedDict[int, Source | ServiceError] = OrderedDict()
        self._made: OrderedDict[tuple[int, int, str], bytes] = OrderedDict()
        self.size = 0
        """Bytes that are kept."""

    def source(self, fragment: Fragment) -> Source:
        """Return what the header of a fragment says.

        Raises
        ------
        ServiceError
            It cannot be played.
        """
        with self._lock:
            found = self._sources.get(fragment.header)
            if found is None:
                found = self._read(fragment)
                self._sources[fragment.header] = found
                while len(self._sources) > _MOST_SOURCES:
                    self._sources.popitem(last=False)
            self._sources.move_to_end(fragment.header)
        if isinstance(found, ServiceError):
            raise ServiceError(found.status, found.code, found.message)
        return found

    def _read(self, fragment: Fragment) -> Source | ServiceError:
        try:
            return read_source(parse_header(self._store.fragments.header(fragment)))
        except MediaError as error:
            return _unsupported(str(error))
        except ServiceError as error:
            return error

    def cluster(self, fragment: Fragment) -> Cluster:
        """Read a fragment.

        Raises
        ------
        ServiceError
            It is no longer kept, or cannot be read.
        """
        source = self.source(fragment)
        try:
            return parse_cluster(self._store.fragments.data(fragment), source.header)
        except MediaError as error:
            raise bad_frames(error) from None

    def init(self, fragment: Fragment, number: int) -> bytes:
        """Return what a player reads before the fragments of a track."""
        track, codec = self.source(fragment).track(number)
        try:
            return init_segment(track, codec)
        except MediaError as error:
            raise ServiceError(400, "InvalidCodecPrivateDataException", str(error)) from None

    async def media(self, fragment: Fragment, number: int, span: Span) -> bytes:
        """Return one track of a fragment; its time is that of the clock which the span means.

        Raises
        ------
        ServiceError
            The fragment is no longer kept, cannot be read, or has nothing of the track.
        """
        key = (fragment.id, number, span.by)
        made = self._made.get(key)
        if made is not None:
            self._made.move_to_end(key)
            return made
        if fragment.size > _LARGE:
            made = await asyncio.to_thread(self._make, fragment, number, span)
        else:
            made = self._make(fragment, number, span)
        self._keep(key, made)
        return made

    def _make(self, fragment: Fragment, number: int, span: Span) -> bytes:
        track, codec = self.source(fragment).track(number)
        cluster = self.cluster(fragment)
        frames = cluster.of(number)
        if not frames:
            raise not_found(f"The fragment {fragment.number} has no frame of track {number}.")
        start = span.time_of(fragment) * _MS
        base = start + frames[0].pts - cluster.timecode
        until = None
        if track.kind is TrackKind.VIDEO:
            until = self._follows(fragment, frames[-1].pts - cluster.timecode, start)
        try:
            return media_segment(track, codec, frames, sequence=fragment.id, base=base, until=until)
        except MediaError as error:
            raise bad_frames(error) from None

    def _follows(self, fragment: Fragment, last: int, start: int) -> int | None:
        """Return where the next fragment begins, if it is there and follows without a gap.

        Parameters
        ----------
        last, start:
            Nanoseconds: of the last frame from the fragment's beginning, and of that beginning.
        """
        following = self._store.fragments.after(fragment)
        step = (following.producer_ms - fragment.producer_ms) * _MS if following else 0
        return start + step if last < step <= last + _LONGEST_FRAME else None

    def _keep(self, key: tuple[int, int, str], made: bytes) -> None:
        if len(made) > self._most // 4 or key in self._made:
            return
        self._made[key] = made
        self.size += len(made)
        while self.size > self._most:
            self.size -= len(self._made.popitem(last=False)[1])
