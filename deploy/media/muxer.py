"""Write Matroska as the producer SDK frames it: segment and clusters without a size, blocks with sizes of 8 bytes.

Seen in recordings of the real client; so what is written here is what readers of KVS know.
"""

from __future__ import annotations

import struct
from collections.abc import Mapping, Sequence

from deploy.media import ebml
from deploy.media.elements import Id
from deploy.media.model import Frame, MediaError, Track, TrackKind

_UNSIZED = b"\xff"
_EBML = ebml.write(
    Id.EBML,
    b"".join((
        ebml.write_uint(0x4286, 1),  # EBML's version, and the one that a reader needs
        ebml.write_uint(0x42F7, 1),
        ebml.write_uint(0x42F2, 4),  # the longest ID and the longest size, in bytes
        ebml.write_uint(0x42F3, 8),
        ebml.write(Id.DOC_TYPE, b"matroska"),
        ebml.write_uint(0x4287, 2),  # Matroska's version 2 has simple blocks
        ebml.write_uint(0x4285, 2),
    )),
)  # fmt: skip


def write_header(
    tracks: Sequence[Track], *, writing_app: str, timecode_scale: int = 1_000_000, uid: bytes = b""
) -> bytes:
    """Return what stands before the first cluster.

    Parameters
    ----------
    timecode_scale:
        Nanoseconds of a tick.
    uid:
        The segment's 16 bytes; none are written where they are not given.
    """
    app = writing_app.encode()
    info = (
        (ebml.write(0x73A4, uid) if uid else b"")
        + ebml.write_uint(Id.TIMECODE_SCALE, timecode_scale, width=8)
        + ebml.write(Id.MUXING_APP, app)
        + ebml.write(Id.WRITING_APP, app)
    )
    entries = b"".join(ebml.write(Id.TRACK_ENTRY, _track(track), width=4) for track in tracks)
    head = _EBML + ebml.write_id(Id.SEGMENT) + _UNSIZED + ebml.write(Id.INFO, info, width=2)
    return head + ebml.write(Id.TRACKS, entries, width=4)


def _track(track: Track) -> bytes:
    kinds = {TrackKind.VIDEO: 1, TrackKind.AUDIO: 2, TrackKind.OTHER: 17}
    parts = [
        ebml.write_uint(Id.TRACK_NUMBER, track.number),
        ebml.write_uint(Id.TRACK_UID, track.number, width=8),
        ebml.write_uint(Id.TRACK_TYPE, kinds[track.kind]),
        ebml.write(Id.TRACK_NAME, track.name.encode()) if track.name else b"",
        ebml.write(Id.CODEC_ID, track.codec.encode()),
        ebml.write_uint(Id.DEFAULT_DURATION, track.frame_ns) if track.frame_ns else b"",
    ]
    if track.kind is TrackKind.VIDEO:
        size = ebml.write_uint(Id.PIXEL_WIDTH, track.width, width=2)
        size += ebml.write_uint(Id.PIXEL_HEIGHT, track.height, width=2)
        parts.append(ebml.write(Id.VIDEO, size, width=4))
    elif track.kind is TrackKind.AUDIO:
        sound = ebml.write(Id.SAMPLING_FREQUENCY, struct.pack(">d", track.rate))
        parts.append(ebml.write(Id.AUDIO, sound + ebml.write_uint(Id.CHANNELS, track.channels), width=4))
    if track.private:
        parts.append(ebml.write(Id.CODEC_PRIVATE, track.private))
    return b"".join(parts)


def write_cluster(timecode_ms: int, frames: Sequence[Frame]) -> bytes:
    """Return one cluster, for a header whose tick is a millisecond.

    Raises
    ------
    MediaError
        A frame is more than 32 s away from the cluster's timecode.
    """
    parts = [
        ebml.write_id(Id.CLUSTER) + _UNSIZED,
        ebml.write_uint(Id.TIMECODE, timecode_ms, width=8),
        ebml.write_uint(Id.POSITION, 0),
    ]
    for frame in frames:
        offset = frame.pts // 1_000_000 - timecode_ms
        if not -0x8000 <= offset <= 0x7FFF:
            raise MediaError(f"a frame {offset} ms away from its cluster's timecode")
        head = (frame.track | 0x80).to_bytes(1) if frame.track < 0x7F else (frame.track | 0x4000).to_bytes(2)
        block = head + struct.pack(">hB", offset, 0x80 if frame.key else 0) + frame.data
        parts.append(ebml.write(Id.SIMPLE_BLOCK, block, width=8))
    return b"".join(parts)


def write_tags(tags: Mapping[str, str]) -> bytes:
    """Return a Tags element with one simple tag a name, each in a tag of its own as the producer has it."""
    each = [
        ebml.write(Id.TAG_NAME, name.encode(), width=8) + ebml.write(Id.TAG_STRING, value.encode(), width=8)
        for name, value in tags.items()
    ]
    written = (ebml.write(Id.TAG, ebml.write(Id.SIMPLE_TAG, one, width=8), width=8) for one in each)
    return ebml.write(Id.TAGS, b"".join(written), width=8)
