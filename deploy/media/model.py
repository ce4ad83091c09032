"""What a stream of media is made of, whatever carries it: tracks, frames, fragments."""

from __future__ import annotations

import enum
from dataclasses import dataclass, field


class MediaError(ValueError):
    """What arrived is not the media that it says it is: malformed, cut short, or beyond a bound."""


class FragmentTooLargeError(MediaError):
    """A fragment grew beyond what the service takes; KVS has a number of its own for it."""


class TrackKind(enum.Enum):
    """What a track carries."""

    VIDEO = "video"
    AUDIO = "audio"
    OTHER = "other"


@dataclass(frozen=True, slots=True)
class Track:
    """A track as the Matroska header announces it.

    Attributes
    ----------
    number:
        The track's number in the blocks, from 1.
    codec:
        Matroska's codec ID, such as V_MPEG4/ISO/AVC or A_AAC, without the NULs that GStreamer leaves behind it.
    private:
        Codec private data: avcC, hvcC, AudioSpecificConfig; empty where there is none.
    width, height:
        Pixels; 0 for what is not video, or where the header does not say.
    rate:
        Samples a second of sound; 0 for what is not sound.
    channels:
        Channels of sound; 0 for what is not sound.
    frame_ns:
        Nanoseconds from one frame to the next (Matroska's DefaultDuration); 0 where the header does not say.
    """

    number: int
    kind: TrackKind
    codec: str
    private: bytes = b""
    name: str = ""
    width: int = 0
    height: int = 0
    rate: int = 0
    channels: int = 0
    frame_ns: int = 0


@dataclass(frozen=True, slots=True)
class Header:
    """What stands before the first cluster: EBML, segment, info, tracks.

    Attributes
    ----------
    data:
        The bytes as they came, so that they can be sent on as they are.
    timecode_scale:
        Nanoseconds of one timecode tick; 1,000,000 where the header does not say.
    """

    data: bytes
    tracks: tuple[Track, ...]
    timecode_scale: int = 1_000_000
    writing_app: str = ""

    def track(self, kind: TrackKind) -> Track | None:
        """Return the first track of a kind."""
        return next((track for track in self.tracks if track.kind is kind), None)


@dataclass(frozen=True, slots=True)
class Frame:
    """One frame of a track.

    Attributes
    ----------
    pts:
        Nanoseconds; of the cluster's timecode plus the block's, so absolute where the producer's timecodes are.
    """

    track: int
    pts: int
    key: bool
    data: bytes


@dataclass(frozen=True, slots=True)
class Cluster:
    """One fragment's media.

    Attributes
    ----------
    timecode:
        Nanoseconds, as the cluster says.
    frames:
        In the order of the file, which is decoding order within a track.
    tags:
        Simple tags that stood behind the cluster, names to values.
    """

    timecode: int
    frames: tuple[Frame, ...]
    tags: dict[str, str] = field(default_factory=dict)

    def of(self, track: int) -> tuple[Frame, ...]:
        """Return the frames of one track."""
        return tuple(frame for frame in self.frames if frame.track == track)
