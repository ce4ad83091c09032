"""What the service demands of a header and of a fragment, and the error that it answers with.

Names and numbers: https://docs.aws.amazon.com/kinesisvideostreams/latest/dg/API_dataplane_PutMedia.html
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from typing import ClassVar

from deploy.media.matroska import parse_cluster
from deploy.media.model import Cluster, Frame, Header, TrackKind

MOST_TRACKS = 3
MOST_MS = 20_000
"""Of a fragment; the quota's page said 10 s until 2020."""
MOST_TAGS = 10
LATEST_MS = 4_102_444_800_000
"""The year 2100: no producer's clock is beyond."""


class Refusal(Exception):  # noqa: N818  # it is an answer
    """An ERROR ack that ends the connection.

    Parameters
    ----------
    name, number:
        As in the ack: ErrorCode and ErrorId.
    """

    NAMES: ClassVar[dict[int, str]] = {
        4000: "STREAM_READ_ERROR",
        4001: "MAX_FRAGMENT_SIZE_REACHED",
        4002: "MAX_FRAGMENT_DURATION_REACHED",
        4003: "MAX_CONNECTION_DURATION_REACHED",
        4004: "FRAGMENT_TIMECODE_LESSER_THAN_PREVIOUS",
        4005: "MORE_THAN_ALLOWED_TRACKS_FOUND",
        4006: "INVALID_MKV_DATA",
        4007: "INVALID_PRODUCER_TIMESTAMP",
        4008: "STREAM_NOT_ACTIVE",
        4009: "FRAGMENT_METADATA_LIMIT_REACHED",
        4010: "TRACK_NUMBER_MISMATCH",
        4011: "FRAMES_MISSING_FOR_TRACK",
        4500: "KMS_KEY_ACCESS_DENIED",
        4501: "KMS_KEY_DISABLED",
        4502: "KMS_KEY_VALIDATION_ERROR",
        4503: "KMS_KEY_UNAVAILABLE",
        4504: "KMS_KEY_INVALID_USAGE",
        4505: "KMS_KEY_INVALID_STATE",
        4506: "KMS_KEY_NOT_FOUND",
        5000: "INTERNAL_ERROR",
        5001: "ARCHIVAL_ERROR",
    }

    def __init__(self, number: int) -> None:
        self.name = self.NAMES.get(number, "INTERNAL_ERROR")
        self.id = number
        super().__init__(f"{self.name} ({number})")


def checked_header(header: Header) -> None:
    """Refuse a header that the service does not take.

    Raises
    ------
    Refusal
        It has no track, more than three, or two of the same number.
    """
    if len(header.tracks) > MOST_TRACKS:
        raise Refusal(4005)
    if not header.tracks or len({track.number for track in header.tracks}) != len(header.tracks):
        raise Refusal(4006)


def checked_fragment(data: bytes, header: Header, *, previous_ms: int | None, base_ms: int = 0) -> int:
    """Return a fragment's length in milliseconds, or refuse it.

    Parameters
    ----------
    data:
        The cluster, and the tags behind it.
    previous_ms:
        Timecode of the fragment before it on the connection.
    base_ms:
        What timecodes are relative to.

    Raises
    ------
    Refusal
        Its time goes back or is none, frames are out of order (B-frames too), a track is unknown or has no frame, it is
        too long, or has too many tags.
    MediaError
        It is no Matroska.
    """
    cluster = parse_cluster(data, header)
    start = cluster.timecode // 1_000_000
    if previous_ms is not None and start < previous_ms:
        raise Refusal(4004)
    if not 0 <= base_ms + start <= LATEST_MS:
        raise Refusal(4007)
    if len(cluster.tags) > MOST_TAGS:
        raise Refusal(4009)
    known = {track.number for track in header.tracks}
    if any(frame.track not in known for frame in cluster.frames):
        raise Refusal(4010)
    by_track = {number: cluster.of(number) for number in known}
    if not all(by_track.values()):
        raise Refusal(4011)
    video = header.track(TrackKind.VIDEO)
    if video is not None and _goes_back(by_track[video.number]):
        raise Refusal(4004)
    lengths = {number: _length(frames) // 1_000_000 for number, frames in by_track.items()}
    if max(lengths.values()) > MOST_MS:
        raise Refusal(4002)
    # Frames of sound do not end where pictures do; what follows without a gap is told by the pictures.
    return lengths[video.number] if video is not None else max(lengths.values())


def _goes_back(frames: Sequence[Frame]) -> bool:
    return any(later.pts < earlier.pts for earlier, later in itertools.pairwise(frames))


def _length(frames: Sequence[Frame]) -> int:
    """Return nanoseconds from the first frame to the end of the last, which is as long as the mean of the others."""
    times = sorted(frame.pts for frame in frames)
    span = times[-1] - times[0]
    return span + (span // (len(times) - 1) if len(times) > 1 else 0)


def first_key(cluster: Cluster, header: Header) -> bool:
    """Tell whether the first picture of a fragment can be decoded by itself; sound alone always can."""
    video = header.track(TrackKind.VIDEO)
    frames = cluster.of(video.number) if video is not None else cluster.frames
    return bool(frames) and (video is None or frames[0].key)
