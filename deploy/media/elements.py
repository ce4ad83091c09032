"""The Matroska elements that producers send: a header and clusters, read once they are whole.

`deploy.media.matroska` cuts a body that is still arriving into these. IDs and meanings: RFC 9559,
https://www.rfc-editor.org/rfc/rfc9559.
"""

from __future__ import annotations

import struct
from enum import IntEnum

from deploy.media.ebml import UNKNOWN, Buffer, as_float, as_text, as_uint, children, read_head, read_number
from deploy.media.model import Cluster, Frame, Header, MediaError, Track, TrackKind

END_OF_FRAGMENT = "AWS_KINESISVIDEO_END_OF_FRAGMENT"
"""The tag that ends a fragment before the next one begins. The producer waits for the last ack behind it."""

ELEMENT_LIMIT = 50_000
"""Elements, and frames, of a fragment. The longest that KVS takes, 20 s of three tracks, has a tenth of it."""

TRACK_LIMIT = 64
TIME_LIMIT = 1 << 63
"""Nanoseconds; a database's integers end there, in the year 2262."""

SIDE_LIMIT = (1 << 16) - 1
"""Pixels of a side: MP4 has two bytes for them."""


class Id(IntEnum):
    """The elements that are known here."""

    EBML = 0x1A45DFA3
    DOC_TYPE = 0x4282
    SEGMENT = 0x18538067
    SEEK_HEAD = 0x114D9B74
    INFO = 0x1549A966
    TIMECODE_SCALE = 0x2AD7B1
    WRITING_APP = 0x5741
    MUXING_APP = 0x4D80
    TRACKS = 0x1654AE6B
    TRACK_ENTRY = 0xAE
    TRACK_NUMBER = 0xD7
    TRACK_UID = 0x73C5
    TRACK_TYPE = 0x83
    TRACK_NAME = 0x536E
    CODEC_ID = 0x86
    CODEC_PRIVATE = 0x63A2
    DEFAULT_DURATION = 0x23E383
    CONTENT_ENCODINGS = 0x6D80
    VIDEO = 0xE0
    PIXEL_WIDTH = 0xB0
    PIXEL_HEIGHT = 0xBA
    AUDIO = 0xE1
    SAMPLING_FREQUENCY = 0xB5
    CHANNELS = 0x9F
    BIT_DEPTH = 0x6264
    CLUSTER = 0x1F43B675
    TIMECODE = 0xE7
    SILENT_TRACKS = 0x5854
    POSITION = 0xA7
    PREV_SIZE = 0xAB
    SIMPLE_BLOCK = 0xA3
    BLOCK_GROUP = 0xA0
    BLOCK = 0xA1
    REFERENCE_BLOCK = 0xFB
    TAGS = 0x1254C367
    TAG = 0x7373
    SIMPLE_TAG = 0x67C8
    TAG_NAME = 0x45A3
    TAG_STRING = 0x4487
    CUES = 0x1C53BB6B
    CHAPTERS = 0x1043A770
    ATTACHMENTS = 0x1941A469
    VOID = 0xEC
    CRC = 0xBF


IN_CLUSTER = frozenset({
    *(Id.TIMECODE, Id.SILENT_TRACKS, Id.POSITION, Id.PREV_SIZE, Id.SIMPLE_BLOCK, Id.BLOCK_GROUP, Id.VOID, Id.CRC)
})  # fmt: skip
IN_SEGMENT = frozenset({
    *(Id.SEEK_HEAD, Id.INFO, Id.TRACKS, Id.CLUSTER, Id.TAGS, Id.CUES, Id.CHAPTERS, Id.ATTACHMENTS, Id.VOID, Id.CRC)
})  # fmt: skip
ABOVE_CLUSTER = (IN_SEGMENT | {Id.EBML, Id.SEGMENT}) - IN_CLUSTER
"""What ends a cluster that does not say its size."""

_KINDS = {1: TrackKind.VIDEO, 2: TrackKind.AUDIO}


def parse_header(data: bytes) -> Header:
    """Read what stands before the first cluster.

    Raises
    ------
    MediaError
        It is no Matroska, has no tracks, or says something that cannot be.
    """
    scale, app, tracks = 1_000_000, "", None
    start = _enter_segment(data)
    for ident, body, end in _up_to_cluster(data, start):
        if ident == Id.INFO:
            scale, app = _info(data, body, end)
        elif ident == Id.TRACKS:
            tracks = tuple(_track(data, *inner) for name, *inner in children(data, body, end) if name == Id.TRACK_ENTRY)
    if not tracks:
        raise MediaError("the Matroska header announces no track")
    if len(tracks) > TRACK_LIMIT or len({track.number for track in tracks}) < len(tracks):
        raise MediaError("the Matroska header announces too many tracks, or one number twice")
    return Header(data=bytes(data), tracks=tracks, timecode_scale=scale, writing_app=app)


def header_tags(header: Header) -> dict[str, str]:
    """Return the simple tags that stand before the first cluster: what the service says of the fragment it sends."""
    data, found = header.data, dict[str, str]()
    for ident, body, end in _up_to_cluster(data, _enter_segment(data)):
        if ident == Id.TAGS:
            found |= parse_tags(data, body, end)
    return found


def _enter_segment(data: bytes) -> int:
    """Return where the segment's body begins."""
    head = read_head(data, 0, len(data))
    if head is None or head.id != Id.EBML or head.size == UNKNOWN or head.body + head.size > len(data):
        raise MediaError("the media does not begin with a whole EBML header")
    end = head.body + head.size
    kinds = [as_text(data[at:to]) for ident, at, to in children(data, head.body, end) if ident == Id.DOC_TYPE]
    if kinds not in (["matroska"], ["webm"]):
        raise MediaError("the EBML header does not say that this is Matroska")
    segment = read_head(data, end, len(data))
    if segment is None or segment.id != Id.SEGMENT:
        raise MediaError("no segment stands behind the EBML header")
    return segment.body


def _up_to_cluster(data: bytes, start: int) -> list[tuple[int, int, int]]:
    """Return the segment's elements, up to the first cluster or the end of the bytes."""
    at, found = start, []
    while at < len(data):
        head = read_head(data, at, len(data))
        if head is None or (head.id != Id.CLUSTER and (head.size == UNKNOWN or head.body + head.size > len(data))):
            raise MediaError("the Matroska header is cut short")
        if head.id == Id.CLUSTER:
            break
        at = head.body + head.size
        found.append((head.id, head.body, at))
    return found


def _info(data: bytes, start: int, end: int) -> tuple[int, str]:
    """Return the nanoseconds of a tick, and the program that wrote the stream."""
    scale, app = 1_000_000, ""
    for ident, body, to in children(data, start, end):
        if ident == Id.TIMECODE_SCALE:
            scale = as_uint(data[body:to])
        elif ident == Id.WRITING_APP:
            app = as_text(data[body:to])
    if not 1 <= scale <= 1_000_000_000:
        raise MediaError(f"a timecode scale of {scale} ns")
    return scale, app


def _track(data: bytes, start: int, end: int) -> Track:
    """Read one track entry."""
    parts = {ident: data[body:to] for ident, body, to in children(data, start, end)}
    number, kind = as_uint(parts.get(Id.TRACK_NUMBER, b"")), as_uint(parts.get(Id.TRACK_TYPE, b""))
    codec = as_text(parts.get(Id.CODEC_ID, b""))
    if not number or not codec:
        raise MediaError("a track without a number or without a codec ID")
    if Id.CONTENT_ENCODINGS in parts:
        raise MediaError(f"track {number} is compressed or encrypted in Matroska itself, which KVS does not take")
    video, audio = parts.get(Id.VIDEO, b""), parts.get(Id.AUDIO, b"")
    pictures = {ident: video[body:to] for ident, body, to in children(video, 0, len(video))}
    sound = {ident: audio[body:to] for ident, body, to in children(audio, 0, len(audio))}
    track = Track(
        number=number,
        kind=_KINDS.get(kind, TrackKind.OTHER),
        codec=codec,
        private=parts.get(Id.CODEC_PRIVATE, b""),
        name=as_text(parts.get(Id.TRACK_NAME, b"")),
        width=as_uint(pictures.get(Id.PIXEL_WIDTH, b"")),
        height=as_uint(pictures.get(Id.PIXEL_HEIGHT, b"")),
        rate=round(as_float(sound.get(Id.SAMPLING_FREQUENCY, b""))),
        channels=as_uint(sound.get(Id.CHANNELS, b"\1" if audio else b"")),
        frame_ns=as_uint(parts.get(Id.DEFAULT_DURATION, b"")),
    )
    if max(track.width, track.height) > SIDE_LIMIT or not 0 <= track.rate <= 1_000_000 or track.channels > 255:
        raise MediaError(f"track {number} says a size, rate or number of channels that cannot be")
    return track


def parse_cluster(data: bytes, header: Header) -> Cluster:
    """Read one fragment: a cluster, and the tags behind it.

    Raises
    ------
    MediaError
        It is malformed or cut short, has blocks before its timecode, or is laced without a known frame duration.
    """
    head = read_head(data, 0, len(data))
    if head is None or head.id != Id.CLUSTER:
        raise MediaError("a fragment does not begin with a cluster")
    end = cluster_end(data, head.body, head.size)
    timecode, frames, scale = None, list[Frame](), header.timecode_scale
    steps = {track.number: track.frame_ns for track in header.tracks}
    for ident, body, to in children(data, head.body, end):
        if ident == Id.TIMECODE:
            timecode = timecode_ns(data[body:to], scale)
        elif ident in {Id.SIMPLE_BLOCK, Id.BLOCK_GROUP}:
            if timecode is None:
                raise MediaError("a block stands before the cluster's timecode")
            at, upto, key = (body, to, None) if ident == Id.SIMPLE_BLOCK else _block_of_group(data, body, to)
            frames += _frames(data, at, upto, key=key, timecode=timecode, scale=scale, steps=steps)
            if len(frames) > ELEMENT_LIMIT:
                raise MediaError(f"a fragment of more than {ELEMENT_LIMIT} frames")
    if timecode is None:
        raise MediaError("a cluster without a timecode")
    tags = dict[str, str]()
    for ident, body, to in children(data, end, len(data)):
        if ident == Id.TAGS:
            tags |= parse_tags(data, body, to)
    return Cluster(timecode=timecode, frames=tuple(frames), tags=tags)


def cluster_end(data: Buffer, body: int, size: int) -> int:
    """Return where a cluster ends, with a size or without one.

    Raises
    ------
    MediaError
        The cluster says more bytes than there are, or an element does.
    """
    if size != UNKNOWN:
        if body + size > len(data):
            raise MediaError("a cluster is cut short")
        return body + size
    at = body
    while at < len(data):
        head = read_head(data, at, len(data))
        if head is not None and head.id in ABOVE_CLUSTER:
            break
        if head is None or head.size == UNKNOWN or head.body + head.size > len(data):
            raise MediaError("a cluster is cut short")
        at = head.body + head.size
    return at


def timecode_ns(body: Buffer, scale: int) -> int:
    """Return a cluster's timecode in nanoseconds."""
    value = as_uint(body) * scale
    if value >= TIME_LIMIT:
        raise MediaError("a cluster's timecode is beyond the year 2262")
    return value


def _block_of_group(data: bytes, start: int, end: int) -> tuple[int, int, bool]:
    """Return begin and end of a group's block, and whether it is a key frame: one that refers to no other."""
    blocks, key = list[tuple[int, int]](), True
    for ident, body, to in children(data, start, end):
        if ident == Id.BLOCK:
            blocks.append((body, to))
        key = key and ident != Id.REFERENCE_BLOCK
    if len(blocks) != 1:
        raise MediaError("a block group without exactly one block")
    return *blocks[0], key


def _frames(
    data: bytes, start: int, end: int, *, key: bool | None, timecode: int, scale: int, steps: dict[int, int]
) -> list[Frame]:
    """Read one block; a group says itself whether it is a key frame, a simple block has a flag for it."""
    number, at = read_number(data, start, end)
    if end - at < 4:
        raise MediaError("a block without a frame")
    offset, flags = struct.unpack_from(">hB", data, at)
    pts = timecode + offset * scale
    key = bool(flags & 0x80) if key is None else key
    lacing = flags >> 1 & 3
    if not lacing:
        return [Frame(number, pts, key, data[at + 3 : end])]
    step = steps.get(number, 0)
    if not step:
        raise MediaError("frames are laced, and the track does not say how long one lasts")
    return [
        Frame(number, pts + place * step, key, one) for place, one in enumerate(_unlace(data[at + 3 : end], lacing))
    ]


def _unlace(body: bytes, lacing: int) -> list[bytes]:
    """Return the frames of a laced block: 1 Xiph's lacing, 2 frames of one size, 3 EBML's (RFC 9559 section 10.3)."""
    count, at = body[0] + 1, 1
    if lacing == 2:
        size, rest = divmod(len(body) - 1, count)
        if rest or not size:
            raise MediaError("laced frames of one size do not fill their block")
        return [body[1 + place * size :][:size] for place in range(count)]
    sizes = list[int]()
    for _ in range(count - 1):
        if lacing == 3:
            value, after = read_number(body, at, len(body))
            # Behind the first, a size is the difference to the one before, signed by an offset of half the range.
            size = sizes[-1] + value - ((1 << (7 * (after - at) - 1)) - 1) if sizes else value
        else:
            after = at
            while after < len(body) and body[after] == 255:
                after += 1
            after += 1
            size = sum(body[at:after])
        at = after
        sizes.append(size)
    sizes.append(len(body) - at - sum(sizes))
    if min(sizes) < 1:
        raise MediaError("laced frames do not fit into their block")
    ends = [at + sum(sizes[: place + 1]) for place in range(count)]
    return [body[to - size : to] for to, size in zip(ends, sizes, strict=True)]


def parse_tags(data: Buffer, start: int, end: int) -> dict[str, str]:
    """Return the simple tags of a Tags element, names to values; tags within tags are left out."""
    found = dict[str, str]()
    for tag, begin, to in children(data, start, end):
        for ident, body, upto in children(data, begin, to) if tag == Id.TAG else ():
            if ident == Id.SIMPLE_TAG:
                parts = {name: data[at:behind] for name, at, behind in children(data, body, upto)}
                found[as_text(parts.get(Id.TAG_NAME, b""))] = as_text(parts.get(Id.TAG_STRING, b""))
    return found
