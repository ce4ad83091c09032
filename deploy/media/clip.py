"""One MP4 file of some fragments, with all their tracks: what GetClip answers (ISO/IEC 14496-12)."""

from __future__ import annotations

import itertools
import struct
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from deploy.media.codecs import Codec, describe
from deploy.media.fmp4 import Sample, box, full, movie_head, samples, scale_of, track_box
from deploy.media.model import Cluster, Frame, Header, MediaError, Track

_BRAND = box(b"ftyp", b"isom", (512).to_bytes(4), b"isomiso2avc1mp41")


@dataclass(frozen=True, slots=True)
class _Run:
    """A track of the file.

    Attributes
    ----------
    begins:
        Nanoseconds from the file's first frame.
    chunks:
        The frames of each cluster, which stand together in the file.
    """

    track: Track
    codec: Codec
    begins: int
    samples: list[Sample]
    chunks: list[tuple[Frame, ...]]


def clip_mp4(header: Header, clusters: Sequence[Cluster]) -> bytes:
    """Return an MP4 file that plays from its beginning on while it is fetched.

    Raises
    ------
    MediaError
        There is no frame, a track cannot be played from MP4 (G.711), or the file would have 4 GiB.
    """
    runs = _runs(header, clusters)
    if not runs:
        raise MediaError("there is no frame in these fragments")
    # By cluster, then by track: a player finds sound near its pictures.
    order = [(place, number) for place in range(len(clusters)) for number in range(len(runs))]
    moov = _moov(runs, [[0] * len(run.chunks) for run in runs])
    at = len(_BRAND) + len(moov) + 8
    offsets: list[list[int]] = [[] for _ in runs]
    for place, number in order:
        offsets[number].append(at)
        at += sum(len(frame.data) for frame in runs[number].chunks[place])
    data = (frame.data for place, number in order for frame in runs[number].chunks[place])
    return b"".join((_BRAND, _moov(runs, offsets), box(b"mdat", *data)))


def _runs(header: Header, clusters: Sequence[Cluster]) -> list[_Run]:
    chunks = {track.number: [cluster.of(track.number) for cluster in clusters] for track in header.tracks}
    whole = {number: [frame for chunk in parts for frame in chunk] for number, parts in chunks.items()}
    first = {number: min(frame.pts for frame in frames) for number, frames in whole.items() if frames}
    found = []
    for track in header.tracks:
        if track.number in first:
            codec, frames = describe(track), whole[track.number]
            timed = samples(track, codec, frames, base=0)
            begins = first[track.number] - min(first.values())
            found.append(_Run(track, codec, begins, timed, chunks[track.number]))
    return found


def _moov(runs: list[_Run], offsets: list[list[int]]) -> bytes:
    traks, longest = [], 0
    for number, (run, places) in enumerate(zip(runs, offsets, strict=True), start=1):
        scale = scale_of(run.track, run.codec)
        # What is decoded before it is shown is paid for once, by an edit that begins behind it.
        delay = -min(0, *(sample.offset for sample in run.samples))
        length = run.samples[-1].decode + run.samples[-1].duration
        begins, lasts = run.begins // 1_000_000, length * 1000 // scale
        longest = max(longest, begins + lasts)
        edits = [struct.pack(">QqI", begins, -1, 0x10000)] if begins else []
        edits.append(struct.pack(">QqI", lasts, delay, 0x10000))
        edts = box(b"edts", full(b"elst", 1, 0, len(edits).to_bytes(4), *edits))
        tables = _tables(run, places, delay)
        traks.append(
            track_box(
                *(run.track, run.codec),
                number=number,
                duration=begins + lasts,
                media_duration=length + delay,
                tables=tables,
                edits=edts,
            )
        )
    return box(b"moov", movie_head(longest, len(runs) + 1), *traks)


def _tables(run: _Run, offsets: list[int], delay: int) -> bytes:
    """Return the tables of a track's samples, behind stsd."""
    filled = [(place, len(chunk)) for place, chunk in zip(offsets, run.chunks, strict=True) if chunk]
    keys = [number for number, sample in enumerate(run.samples, start=1) if sample.frame.key]
    counts, chunk_of = list[tuple[int, int]](), 1
    for count, same in itertools.groupby(count for _, count in filled):
        counts.append((chunk_of, count))
        chunk_of += len(list(same))
    if any(place >= 1 << 32 for place, _ in filled):
        raise MediaError("a clip of 4 GiB")
    parts = [
        _counted(b"stts", (struct.pack(">II", *row) for row in _packed(one.duration for one in run.samples))),
        _counted(b"stsc", (struct.pack(">III", *row, 1) for row in counts)),
        full(b"stsz", 0, 0, struct.pack(">II", 0, len(run.samples)), _sizes(run)),
        _counted(b"stco", (place.to_bytes(4) for place, _ in filled)),
    ]
    if delay or any(one.offset for one in run.samples):
        rows = _packed(one.offset + delay for one in run.samples)
        parts.append(_counted(b"ctts", (struct.pack(">II", *row) for row in rows)))
    if len(keys) < len(run.samples):
        parts.append(_counted(b"stss", (number.to_bytes(4) for number in keys)))
    return b"".join(parts)


def _sizes(run: _Run) -> bytes:
    return b"".join(len(one.frame.data).to_bytes(4) for one in run.samples)


def _packed(values: Iterable[int]) -> Iterable[tuple[int, int]]:
    """Return how often a value comes in a row, and the value."""
    return ((len(list(same)), value) for value, same in itertools.groupby(values))


def _counted(kind: bytes, rows: Iterable[bytes]) -> bytes:
    listed = list(rows)
    return full(kind, 0, 0, len(listed).to_bytes(4), *listed)
