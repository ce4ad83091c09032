"""MPEG-DASH (ISO/IEC 23009-1): a manifest for the same fragments that HLS plays.

The manifest's time is that of the fragments themselves, milliseconds since 1970; what it calls the beginning of all
availability is moved by as much as that clock, or a replay, is behind.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any
from xml.sax.saxutils import escape, quoteattr

from deploy.kvs.arguments import choice
from deploy.kvsstore.service import Service
from deploy.media.codecs import Codec
from deploy.media.model import Track, TrackKind
from deploy.playback.hls import answer, bandwidth, frame_rate, wall_clock
from deploy.playback.segments import Source
from deploy.playback.sessions import Session, open_session, playback, session_of, url_of
from deploy.playback.window import Entry, lengths

if TYPE_CHECKING:
    from aiohttp import web

MANIFEST = "/dash/v1/getDASHManifest.mpd"


async def get_dash_streaming_session_url(
    service: Service, request: web.Request, arguments: dict[str, Any]
) -> dict[str, Any]:
    """Begin a session; returns the URL of its manifest."""
    stamped = choice(arguments, "DisplayFragmentTimestamp", ("ALWAYS", "NEVER"), "NEVER") == "ALWAYS"
    numbered = choice(arguments, "DisplayFragmentNumber", ("ALWAYS", "NEVER"), "NEVER") == "ALWAYS"
    session = open_session(
        service, request, arguments,
        kind="dash", selector="DASHFragmentSelector",
        most="MaxManifestFragmentResults",
        breaks="NEVER",
    )  # fmt: skip
    session.stamped, session.numbered = stamped, numbered
    return {"DASHStreamingSessionURL": url_of(request, MANIFEST, session)}


async def get_manifest(service: Service, request: web.Request, _: dict[str, Any]) -> web.StreamResponse:
    """Describe the fragments of a session."""
    session = session_of(service, request, "dash")
    session.window.refresh()
    shown = session.window.shown()
    source = playback(service).segments.source(shown[0].fragment)
    begin = session.span.time_of(shown[0].fragment)
    lasting = lengths(shown)
    seconds = max(lasting) / 1000
    head = (
        'xmlns="urn:mpeg:dash:schema:mpd:2011" xmlns:kvs="https://docs.aws.amazon.com/kinesisvideostreams/" '
        f'profiles="urn:mpeg:dash:profile:isoff-live:2011" minBufferTime="PT{max(seconds, 0.1):.3f}S" '
    )
    if session.window.ended:
        length = session.span.time_of(shown[-1].fragment) + lasting[-1] - begin
        head += f'type="static" mediaPresentationDuration="PT{length / 1000:.3f}S"'
        offset = begin
    else:
        head += (
            f'type="dynamic" minimumUpdatePeriod="PT1S" availabilityStartTime="{wall_clock(_shift(session))}" '
            f'publishTime="{wall_clock(round(service.clock() * 1000))}" '
            f'suggestedPresentationDelay="PT{2 * seconds:.3f}S" '
            f'timeShiftBufferDepth="PT{sum(lasting) / 1000:.3f}S"'
        )
        offset = 0
    sets = "".join(_set(service, session, source, shown, pair, offset) for pair in source.tracks)
    period = f'<Period id="0" start="PT0S">{sets}</Period>'
    body = f'<?xml version="1.0" encoding="UTF-8"?>\n<MPD {head}>{period}</MPD>\n'
    return answer(body.encode(), "application/dash+xml")


def _shift(session: Session) -> int:
    """Return what the manifest's time 0 is by the service's clock, in milliseconds since 1970."""
    first = session.window.parts[0]
    reached = first.server_ms if session.mode == "LIVE" else round(session.created * 1000)
    return max(0, reached - session.span.time_of(first))


def _set(
    service: Service, session: Session, source: Source, shown: list[Entry], pair: tuple[Track, Codec], offset: int
) -> str:
    track, codec = pair
    query = escape(f"SessionToken={session.token}&TrackNumber={track.number}")
    if track.kind is TrackKind.VIDEO:
        kind, rate = "video", frame_rate(service, source, shown)
        facts = f'width="{codec.width}" height="{codec.height}" frameRate="{round(rate * 1000)}/1000"'
    else:
        kind, facts = "audio", f'audioSamplingRate="{codec.rate}"'
    template = (
        f'<SegmentTemplate timescale="1000" presentationTimeOffset="{offset}" startNumber="{shown[0].sequence}" '
        f'initialization="getMP4InitFragment.mp4?{query}&amp;SequenceNumber=0" '
        f'media="getMP4MediaFragment.mp4?{query}&amp;SequenceNumber=$Number$">'
        f"<SegmentTimeline>{_timeline(session, shown)}</SegmentTimeline></SegmentTemplate>"
    )
    return (
        f'<AdaptationSet contentType="{kind}" mimeType="{kind}/mp4" segmentAlignment="true" startWithSAP="1">'
        f'<Representation id="{track.number}" codecs={quoteattr(codec.rfc6381)} bandwidth="{bandwidth(shown)}" {facts}>'
        f"{template}</Representation></AdaptationSet>"
    )


def _timeline(session: Session, shown: list[Entry]) -> str:
    """Return where each fragment begins and how long it lasts: to the next one at most."""
    times = [session.span.time_of(entry.fragment) for entry in shown]
    rows = []
    for entry, begins, following, length in zip(shown, times, [*times[1:], 0], lengths(shown), strict=True):
        lasts = min(length, following - begins) if following > begins else length
        extra = f' kvs:ts="{begins}"' if session.stamped else ""
        extra += f' kvs:fn="{entry.fragment.number}"' if session.numbered else ""
        rows.append(f'<S t="{begins}" d="{lasts}"{extra}/>')
    return "".join(rows)
