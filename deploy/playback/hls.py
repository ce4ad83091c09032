"""HTTP Live Streaming as the service lays it out: a master playlist, one playlist a track, fragmented MP4.

What the playlists hold, and in which order, is as seen from the service; the meaning is that of RFC 8216.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from deploy.kvs.arguments import choice
from deploy.kvs.errors import invalid
from deploy.kvsstore.service import Service
from deploy.playback.segments import Source
from deploy.playback.sessions import Session, entry_of, open_session, playback, session_of, url_of, whole_number
from deploy.playback.window import BREAKS, Breaks, Entry, lengths

if TYPE_CHECKING:
    from aiohttp import web

MASTER = "/hls/v1/getHLSMasterPlaylist.m3u8"
_LAST_MS = 253_402_300_799_999
_PLAYLIST = "application/vnd.apple.mpegurl"
_LONGEST_WAIT = 3.0
"""Seconds that a list of a live session waits for a fragment that its player does not know of yet."""


async def get_hls_streaming_session_url(
    service: Service, request: web.Request, arguments: dict[str, Any]
) -> dict[str, Any]:
    """Begin a session; returns the URL of its master playlist."""
    if choice(arguments, "ContainerFormat", ("FRAGMENTED_MP4", "MPEG_TS"), "FRAGMENTED_MP4") == "MPEG_TS":
        raise invalid("ContainerFormat MPEG_TS is not served by the local service; FRAGMENTED_MP4 is.")
    default = "none"
    breaks = choice(arguments, "DiscontinuityMode", (*BREAKS, default), default)
    stamped = choice(arguments, "DisplayFragmentTimestamp", ("ALWAYS", "NEVER"), "NEVER") == "ALWAYS"
    session = open_session(
        service, request, arguments,
        kind="hls", selector="HLSFragmentSelector",
        most="MaxMediaPlaylistFragmentResults",
        breaks=None if breaks == default else _breaks(breaks),
    )  # fmt: skip
    session.stamped = stamped
    return {"HLSStreamingSessionURL": url_of(request, MASTER, session)}


def _breaks(word: str) -> Breaks:
    return "ALWAYS" if word == "ALWAYS" else "NEVER" if word == "NEVER" else "ON_DISCONTINUITY"


async def get_master_playlist(service: Service, request: web.Request, _: dict[str, Any]) -> web.StreamResponse:
    """Say which tracks there are."""
    session = session_of(service, request, "hls")
    session.window.refresh()
    shown = session.window.shown()
    source = playback(service).segments.source(shown[0].fragment)
    lines = ["#EXTM3U", "#EXT-X-VERSION:1"]
    attributes = [
        f"BANDWIDTH={bandwidth(shown)}",
        f'CODECS="{",".join(codec.rfc6381 for _, codec in source.tracks)}"',
    ]
    first = source.tracks[0][0].number
    if source.video:
        codec = source.video[1]
        attributes += [
            f"RESOLUTION={codec.width}x{codec.height}",
            f"FRAME-RATE={frame_rate(service, source, shown):.3f}",
        ]
        if source.audio:
            lines.append(
                f'#EXT-X-MEDIA:TYPE=AUDIO,GROUP-ID="audio",NAME="audio",DEFAULT=YES,AUTOSELECT=YES,'
                f'URI="{_media_uri(session, source.audio[0].number)}"'
            )
            attributes.append('AUDIO="audio"')
    lines += [f"#EXT-X-STREAM-INF:{','.join(attributes)}", _media_uri(session, first)]
    return answer(lines, _PLAYLIST)


def _media_uri(session: Session, track: int) -> str:
    return f"getHLSMediaPlaylist.m3u8?SessionToken={session.token}&TrackNumber={track}"


def bandwidth(entries: Iterable[Entry]) -> int:
    """Return the bits a second of a fragment that has the most."""
    return max(entry.fragment.size * 8000 // max(entry.fragment.length_ms, 100) for entry in entries) or 1


def frame_rate(service: Service, source: Source, shown: list[Entry]) -> float:
    """Return pictures a second: as the stream says, else as many as a fragment has."""
    assert source.video is not None  # noqa: S101
    track, codec = source.video
    if codec.frame_rate:
        return codec.frame_rate
    frames = playback(service).segments.cluster(shown[0].fragment).of(track.number)
    return len(frames) * 1000 / max(1, shown[0].fragment.length_ms)


async def get_media_playlist(service: Service, request: web.Request, _: dict[str, Any]) -> web.StreamResponse:
    """List the fragments of a track; in a live session, wait shortly for one that is new to the player."""
    session = session_of(service, request, "hls")
    track = whole_number(request, "TrackNumber")
    window = session.window
    playback(service).segments.source(window.parts[-1]).track(track)
    window.refresh()
    target = _target(window.shown())
    if session.mode == "LIVE" and session.given.get(track) == window.shown()[-1].sequence:
        wait = min(float(target), _LONGEST_WAIT)
        if await service.store.fragments.arrived(session.stream, window.seen, wait):
            window.refresh()
    shown = window.shown()
    session.given[track] = shown[-1].sequence
    return answer(_listed(session, shown, track), _PLAYLIST)


def _target(shown: list[Entry]) -> int:
    """Return the target duration: no fragment, rounded, is longer (RFC 8216, 4.3.3.1)."""
    return max(1, math.floor(max(lengths(shown)) / 1000 + 0.5))


def _listed(session: Session, shown: list[Entry], track: int) -> list[str]:
    lines = ["#EXTM3U", "#EXT-X-VERSION:7"]
    if session.mode == "ON_DEMAND":
        lines.append("#EXT-X-PLAYLIST-TYPE:VOD")
    lines += [f"#EXT-X-TARGETDURATION:{_target(shown)}", f"#EXT-X-MEDIA-SEQUENCE:{shown[0].sequence}"]
    if session.mode != "ON_DEMAND" and (dropped := shown[0].breaks - shown[0].broken):
        lines.append(f"#EXT-X-DISCONTINUITY-SEQUENCE:{dropped}")
    lines.append("#EXT-X-INDEPENDENT-SEGMENTS")
    part = -1
    query = f"SessionToken={session.token}&TrackNumber={track}"
    for entry, length in zip(shown, lengths(shown), strict=True):
        if entry.broken:
            lines.append("#EXT-X-DISCONTINUITY")
        if entry.part != part:
            part = entry.part
            lines.append(f'#EXT-X-MAP:URI="getMP4InitFragment.mp4?{query}&SequenceNumber={part}"')
        if session.stamped:
            lines.append(f"#EXT-X-PROGRAM-DATE-TIME:{wall_clock(session.span.time_of(entry.fragment))}")
        lines.append(f"#EXTINF:{length / 1000:.3f},")
        lines.append(f"getMP4MediaFragment.mp4?FragmentNumber={entry.fragment.number}&{query}")
    if session.window.ended:
        lines.append("#EXT-X-ENDLIST")
    return lines


def wall_clock(milliseconds: int) -> str:
    """Return a time in ISO 8601, to the millisecond."""
    kept = min(max(milliseconds, 0), _LAST_MS)
    return f"{datetime.fromtimestamp(kept // 1000, UTC):%Y-%m-%dT%H:%M:%S}.{kept % 1000:03d}Z"


async def get_init_fragment(service: Service, request: web.Request, _: dict[str, Any]) -> web.StreamResponse:
    """Return what a player reads before a track's fragments."""
    session = session_of(service, request)
    place = whole_number(request, "SequenceNumber", 0)
    if place >= len(session.window.parts):
        raise invalid("SequenceNumber is none of this session's.")
    made = playback(service).segments.init(session.window.parts[place], whole_number(request, "TrackNumber"))
    return answer(made, "video/mp4")


async def get_media_fragment(service: Service, request: web.Request, _: dict[str, Any]) -> web.StreamResponse:
    """Return one track of one fragment."""
    session = session_of(service, request)
    entry = entry_of(session, request)
    if session.kind == "dash" and entry.part:
        raise invalid("The codec private data changed, which a DASH session does not allow.")
    track = whole_number(request, "TrackNumber")
    return answer(await playback(service).segments.media(entry.fragment, track, session.span), "video/mp4")


def answer(body: bytes | list[str], kind: str) -> web.StreamResponse:
    """Return a player's answer.

    A page of another origin may read it: the token is what opens it, and a page that has none gets nothing.
    """
    from aiohttp import web

    data = body if isinstance(body, bytes) else "".join(f"{line}\n" for line in body).encode()
    headers = {"Content-Type": kind, "Cache-Control": "no-store", "Access-Control-Allow-Origin": "*"}
    return web.Response(body=data, headers=headers)
