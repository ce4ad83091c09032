"""Fragmented MP4, one track a file: what players of HLS and DASH take (ISO/IEC 14496-12; AAC's descriptors 14496-1).

A decode time is the sorted presentation time, since Matroska has only the latter; B-frames then have signed offsets.
"""

from __future__ import annotations

import itertools
import struct
from collections.abc import Sequence
from dataclasses import dataclass

from deploy.media.codecs import AAC, AVC, HEVC, Codec
from deploy.media.model import Frame, MediaError, Track, TrackKind

VIDEO_SCALE = 90_000
"""Ticks a second of pictures: a millisecond is a whole number of them."""

KEY_FLAGS, OTHER_FLAGS = 0x0200_0000, 0x0101_0000
"""Sample flags: depends on no other; depends on others and is no sync sample."""

_MATRIX = struct.pack(">9I", 0x10000, 0, 0, 0, 0x10000, 0, 0, 0, 0x40000000)
_AAC_FRAME = 1024


def box(kind: bytes, *parts: bytes) -> bytes:
    """Return one box.

    Raises
    ------
    MediaError
        It has 4 GiB or more.
    """
    size = 8 + sum(map(len, parts))
    if size >= 1 << 32:
        raise MediaError("an MP4 box of 4 GiB")
    return b"".join((size.to_bytes(4), kind, *parts))


def full(kind: bytes, version: int, flags: int, *parts: bytes) -> bytes:
    """Return one box with a version and flags."""
    return box(kind, (version << 24 | flags).to_bytes(4), *parts)


def scale_of(track: Track, codec: Codec) -> int:
    """Return a track's ticks a second: 90,000 for pictures, the sample rate for sound."""
    return VIDEO_SCALE if track.kind is TrackKind.VIDEO else codec.rate or 48_000


def ticks(nanoseconds: int, scale: int) -> int:
    """Return a time in ticks, rounded; of the same nanoseconds always the same, so that fragments join."""
    return (nanoseconds * scale + 500_000_000) // 1_000_000_000


def init_segment(track: Track, codec: Codec) -> bytes:
    """Return what a player reads before the first fragment of a track.

    Raises
    ------
    MediaError
        Players have no name for the codec in MP4: G.711.
    """
    brand = box(b"ftyp", b"iso6", (1).to_bytes(4), b"iso6cmfcmp41")
    trex = full(b"trex", 0, 0, struct.pack(">5I", 1, 1, 0, 0, 0))
    tables = [full(kind, 0, 0, bytes(4)) for kind in (b"stts", b"stsc", b"stco")]
    tables.append(full(b"stsz", 0, 0, bytes(8)))
    trak = track_box(track, codec, number=1, duration=0, media_duration=0, tables=b"".join(tables))
    return brand + box(b"moov", movie_head(0, 2), trak, box(b"mvex", trex))


def movie_head(milliseconds: int, following: int) -> bytes:
    """Return mvhd: a movie's duration, and the number that the next track would have."""
    times = struct.pack(">QQIQ", 0, 0, 1000, milliseconds)
    fixed = struct.pack(">IH10x", 0x10000, 0x100) + _MATRIX + bytes(24)
    return full(b"mvhd", 1, 0, times, fixed, following.to_bytes(4))


def track_box(
    track: Track, codec: Codec, *, number: int, duration: int, media_duration: int, tables: bytes, edits: bytes = b""
) -> bytes:
    """Return trak.

    Parameters
    ----------
    duration, media_duration:
        Milliseconds, and ticks of the track; 0 where fragments follow.
    tables:
        What stands behind stsd in stbl.
    edits:
        An edts box, or nothing.
    """
    video = track.kind is TrackKind.VIDEO
    width, height = (codec.width or track.width, codec.height or track.height) if video else (0, 0)
    head = full(
        *(b"tkhd", 1, 3, struct.pack(">QQIIQ8xHHHH", 0, 0, number, 0, duration, 0, 0, 0 if video else 0x100, 0)),
        *(_MATRIX, struct.pack(">II", width << 16, height << 16)),
    )
    media = full(b"mdhd", 1, 0, struct.pack(">QQIQHH", 0, 0, scale_of(track, codec), media_duration, 0x55C4, 0))
    kind, name = (b"vide", b"pictures\0") if video else (b"soun", b"sound\0")
    handler = full(b"hdlr", 0, 0, bytes(4), kind, bytes(12), name)
    own = full(b"vmhd", 0, 1, bytes(8)) if video else full(b"smhd", 0, 0, bytes(4))
    here = box(b"dinf", full(b"dref", 0, 0, (1).to_bytes(4), full(b"url ", 0, 1)))
    described = full(b"stsd", 0, 0, (1).to_bytes(4), _sample_entry(track, codec, width, height))
    return box(
        *(b"trak", head, edits),
        box(b"mdia", media, handler, box(b"minf", own, here, box(b"stbl", described, tables))),
    )


def _sample_entry(track: Track, codec: Codec, width: int, height: int) -> bytes:
    """Return the description of a track's samples in stsd."""
    if track.codec in {AVC, HEVC}:
        kind, config = (b"avc1", b"avcC") if track.codec == AVC else (b"hvc1", b"hvcC")
        fixed = struct.pack(">6xH16xHHIIIH32sHH", 1, width, height, 0x480000, 0x480000, 0, 1, b"", 24, 0xFFFF)
        return box(kind, fixed, box(config, track.private))
    if track.codec != AAC:
        raise MediaError(f"{codec.profile or track.codec} cannot be played from MP4 or HLS: the sound has to be AAC")
    fixed = struct.pack(">6xH8xHHIHH", 1, codec.channels, 16, 0, min(codec.rate, 0xFFFF), 0)
    decoder = struct.pack(">BBBHII", 0x40, 0x15, 0, 0, 0, 0) + _descriptor(5, track.private)
    described = struct.pack(">HB", 0, 0) + _descriptor(4, decoder) + _descriptor(6, b"\x02")
    return box(b"mp4a", fixed, full(b"esds", 0, 0, _descriptor(3, described)))


def _descriptor(tag: int, body: bytes) -> bytes:
    """Return an MPEG-4 descriptor; its size is written in seven bits a byte."""
    size = len(body)
    if size >= 1 << 28:
        raise MediaError("codec private data of 256 MiB")
    return bytes((tag, size >> 21 | 0x80, size >> 14 & 0x7F | 0x80, size >> 7 & 0x7F | 0x80, size & 0x7F)) + body


@dataclass(frozen=True, slots=True)
class Sample:
    """One frame in the track's ticks.

    Attributes
    ----------
    offset:
        From decode time to presentation time; negative for B-frames.
    """

    frame: Frame
    decode: int
    duration: int
    offset: int


def samples(
    track: Track, codec: Codec, frames: Sequence[Frame], *, base: int, until: int | None = None
) -> list[Sample]:
    """Time the frames of one track, which come in decoding order.

    Parameters
    ----------
    base:
        Decode time of the first frame, nanoseconds.
    until:
        Where the next fragment begins by the same clock as `base`; the last duration is guessed without it, or where
        it is not later.

    Raises
    ------
    MediaError
        Times that MP4 cannot hold.
    """
    scale, times = scale_of(track, codec), sorted(frame.pts for frame in frames)
    shift = base - times[0]
    decodes = [ticks(time + shift, scale) for time in times]
    end = decodes[-1] if until is None else ticks(until, scale)
    if end <= decodes[-1]:
        end = decodes[-1] + _usual_duration(track, codec, decodes, scale)
    steps = [later - earlier for earlier, later in itertools.pairwise([*decodes, end])]
    offsets = [ticks(frame.pts + shift, scale) - decode for frame, decode in zip(frames, decodes, strict=True)]
    if decodes[0] < 0 or end >= 1 << 63 or max(steps) >= 1 << 32 or max(map(abs, offsets)) >= 1 << 31:
        raise MediaError("the frames of a fragment are too far apart, or before time 0")
    return [Sample(*one) for one in zip(frames, decodes, steps, offsets, strict=True)]


def _usual_duration(track: Track, codec: Codec, decodes: list[int], scale: int) -> int:
    """Guess how long the last frame lasts: as the one before it, or as the header says."""
    if len(decodes) > 1 and decodes[-1] > decodes[-2]:
        return decodes[-1] - decodes[-2]
    if track.frame_ns:
        return max(1, ticks(track.frame_ns, scale))
    if track.kind is TrackKind.AUDIO:
        return _AAC_FRAME
    return round(scale / (codec.frame_rate or 30))


def media_segment(
    track: Track, codec: Codec, frames: Sequence[Frame], *, sequence: int, base: int, until: int | None
) -> bytes:
    """Return one fragment: moof and mdat.

    Parameters
    ----------
    frames:
        Of this track, in decoding order.
    sequence:
        The fragment's number in the presentation, from 1.
    base, until:
        As for `samples`.

    Raises
    ------
    MediaError
        There is no frame, or times that MP4 cannot hold.
    """
    if not frames:
        raise MediaError(f"a fragment without a frame of track {track.number}")
    timed = samples(track, codec, frames, base=base, until=until)
    # Duration, size, flags and composition offset of each sample, and where the data begins.
    rows = b"".join(
        struct.pack(">IIIi", one.duration, len(one.frame.data), KEY_FLAGS if one.frame.key else OTHER_FLAGS, one.offset)
        for one in timed
    )
    where = 8 + 16 + 8 + 16 + 20 + 20 + len(rows) + 8
    head = full(b"mfhd", 0, 0, (sequence & 0xFFFF_FFFF).to_bytes(4))
    begun = full(b"tfdt", 1, 0, timed[0].decode.to_bytes(8))
    run = full(b"trun", 1, 0xF01, struct.pack(">II", len(timed), where), rows)
    moof = box(b"moof", head, box(b"traf", full(b"tfhd", 0, 0x20000, (1).to_bytes(4)), begun, run))
    return moof + box(b"mdat", *(frame.data for frame in frames))
