"""HLS for the page: playlists and fragments go through here, and session tokens stay here.

The service names everything by URLs with a session token in them. The page gets short random names instead, good for
as long as the session is, bounded in number, and of use on this server alone.
"""

from __future__ import annotations

import re
import secrets
import time
from collections import OrderedDict
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urljoin, urlsplit

from aiohttp import ClientError, ClientResponse, ClientSession

from deploy.cloud.session import Calls, ServiceRefusalError
from deploy.watch.cameras import Camera

MODES = ("LIVE", "LIVE_REPLAY", "ON_DEMAND")
_SESSIONS, _NAMES = 128, 16_384
_SECONDS, _SHARED_SECONDS = 3600, 43_200
"""How long a session is good for; one whose address was copied, as long as the service has it."""
_PLAYLIST, _FRAGMENT = 4 << 20, 64 << 20
_PART = 1 << 16
_URI = re.compile(r'URI="([^"]*)"')


@dataclass(slots=True, kw_only=True)
class Session:
    """One playback of one camera.

    Attributes
    ----------
    until:
        By time.monotonic, when the service ends it.
    shared:
        Its address works without the page's cookie: it was copied for another player.
    """

    id: str
    camera: Camera
    mode: str
    until: float
    origin: tuple[str, str]
    first: str = ""
    shared: bool = False
    _urls: OrderedDict[str, str] = field(default_factory=OrderedDict)
    _names: dict[str, str] = field(default_factory=dict)

    def name(self, url: str) -> str:
        """Return the short name of a URL of this session, the same one each time.

        Raises
        ------
        ServiceRefusalError
            It leads to another server.
        """
        if urlsplit(url)[:2] != self.origin:
            raise ServiceRefusalError(
                502, "ForeignPlaylist", "the playlist leads to another server; it is not followed"
            )
        if url in self._names:
            self._urls.move_to_end(self._names[url])
            return self._names[url]
        while len(self._urls) >= _NAMES:
            _, old = self._urls.popitem(last=False)
            del self._names[old]
        name = f"{secrets.token_urlsafe(9)}.{_ending(url)}"
        self._urls[name], self._names[url] = url, name
        return name

    def url(self, name: str) -> str:
        """Return the URL of a short name; raises ServiceRefusalError for one that is not known any more."""
        if name not in self._urls:
            raise ServiceRefusalError(410, "OldName", "this part of the playback is not known any more")
        return self._urls[name]


class Sessions:
    """The playbacks that are open; the one that was opened first goes where there are too many."""

    def __init__(self, calls: Calls, upstream: ClientSession) -> None:
        self._calls, self._upstream = calls, upstream
        self._open: OrderedDict[str, Session] = OrderedDict()

    async def open(
        self, camera: Camera, mode: str, begin: float = 0, end: float = 0, *, shared: bool = False
    ) -> Session:
        """Open a playback.

        Parameters
        ----------
        mode:
            LIVE, LIVE_REPLAY (needs `begin`) or ON_DEMAND (needs both); seconds since 1970 by the service's clock.

        Raises
        ------
        ServiceRefusalError
            The service has nothing to play, or does not answer.
        """
        stream = camera.need_stream()
        endpoint = await self._calls.data_endpoint(stream.arn, "GET_HLS_STREAMING_SESSION_URL")
        seconds = _SHARED_SECONDS if shared else _SECONDS
        words: dict[str, Any] = {
            "StreamARN": stream.arn,
            "PlaybackMode": mode,
            "HLSFragmentSelector": _selector(mode, begin, end),
            "ContainerFormat": "FRAGMENTED_MP4",
            "DiscontinuityMode": "ON_DISCONTINUITY",
            "DisplayFragmentTimestamp": "ALWAYS",
            "Expires": seconds,
        }
        words |= {"MaxMediaPlaylistFragmentResults": 5000} if mode == "ON_DEMAND" else {}
        answer = await self._calls.ask(
            "kinesis-video-archived-media", "get_hls_streaming_session_url", endpoint, **words
        )
        url = str(answer["HLSStreamingSessionURL"])
        origin = urlsplit(url)[:2]
        if origin[0] != "https" and not self._calls.service.endpoint_url.startswith("http:"):
            raise ServiceRefusalError(502, "NoTls", "the service offers the playback without encryption")
        session = Session(
            id=secrets.token_urlsafe(16),
            camera=camera,
            mode=mode,
            until=time.monotonic() + seconds - 5,
            origin=(origin[0], origin[1]),
            shared=shared,
        )
        session.first = session.name(url)
        self._open[session.id] = session
        while len(self._open) > _SESSIONS:
            self._open.popitem(last=False)
        return session

    def find(self, identity: str, *, shared: bool = False) -> Session:
        """Return an open playback; raises ServiceRefusalError for one that is over, or is not for this address."""
        session = self._open.get(identity)
        if session is None or session.until < time.monotonic() or (shared and not session.shared):
            self._open.pop(identity, None) if session is not None and not shared else None
            raise ServiceRefusalError(410, "SessionOver", "this playback is over")
        return session

    def close(self, identity: str) -> None:
        self._open.pop(identity, None)

    async def master(self, session: Session) -> str:
        """Return the first playlist as the service has it, for what it says of codecs and size."""
        async with await self._get(session, session.first, {}) as answer:
            return await _text(answer)

    async def fetch(self, session: Session, name: str, wanted: str = "") -> Fetched:
        """Fetch a playlist, rewritten, or the begin of a fragment; the rest comes as it is taken.

        Parameters
        ----------
        wanted:
            The Range header of the player, passed on.

        Raises
        ------
        ServiceRefusalError
            The service does not have it, or it is none; too long ones break off.
        """
        headers = {"Range": wanted} if re.fullmatch(r"bytes=\d{1,15}-\d{0,15}", wanted) else {}
        answer = await self._get(session, name, headers)
        if name.endswith(".m3u8"):
            async with answer:
                text = rewritten(await _text(answer), str(answer.url), session)
            return Fetched(status=200, kind="application/vnd.apple.mpegurl", whole=text.encode())
        kind = "video/mp2t" if name.endswith(".ts") else "video/mp4"
        told = {key: answer.headers[key] for key in ("Content-Range",) if key in answer.headers}
        return Fetched(status=answer.status, kind=kind, parts=_parts(answer), headers=told)

    async def _get(self, session: Session, name: str, headers: dict[str, str]) -> ClientResponse:
        from yarl import URL

        url = URL(session.url(name), encoded=True)
        try:
            answer = await self._upstream.get(url, headers=headers, allow_redirects=False)
        except (ClientError, TimeoutError) as error:
            raise ServiceRefusalError(
                502, type(error).__name__, "the service does not answer with the playback"
            ) from error
        if answer.status in (200, 206):
            return answer
        answer.release()
        if answer.status in (401, 403, 410):
            raise ServiceRefusalError(410, "SessionOver", "the service has ended this playback")
        if answer.status == 404:
            raise ServiceRefusalError(404, "NotYet", "the service has no pictures for this playback")
        status = 429 if answer.status == 429 else 502
        raise ServiceRefusalError(status, f"HTTP {answer.status}", "the service does not give the playback")


@dataclass(frozen=True, slots=True, kw_only=True)
class Fetched:
    """What is answered to the player: a whole playlist, or the parts of a fragment."""

    status: int
    kind: str
    whole: bytes | None = None
    parts: AsyncIterator[bytes] | None = None
    headers: dict[str, str] = field(default_factory=dict)


def rewritten(text: str, base: str, session: Session) -> str:
    """Return a playlist whose URLs are short names of the session; comments and what is not text are left out.

    Raises
    ------
    ServiceRefusalError
        It is no playlist, or leads to another server.
    """
    if not text.startswith("#EXTM3U"):
        raise ServiceRefusalError(502, "NoPlaylist", "the service answers with something that is no playlist")
    lines = []
    for line in text.splitlines():
        told = line.strip()
        if not told.isprintable() or (told.startswith("#") and not told.startswith("#EXT")):
            continue
        if told.startswith("#"):
            lines.append(_URI.sub(lambda found: f'URI="{session.name(urljoin(base, found[1]))}"', told))
        elif told:
            lines.append(session.name(urljoin(base, told)))
    return "\n".join([*lines, ""])


def _ending(url: str) -> str:
    """Return how the short name ends: players go by it."""
    path = urlsplit(url).path.lower()
    return "m3u8" if path.endswith(".m3u8") else "ts" if path.endswith(".ts") else "mp4"


async def _text(answer: ClientResponse) -> str:
    data = bytearray()
    try:
        async for part in answer.content.iter_chunked(_PART):
            data += part
            if len(data) > _PLAYLIST:
                raise ServiceRefusalError(502, "LongPlaylist", "the playlist is longer than any of the service's")
    except (ClientError, TimeoutError) as error:
        raise ServiceRefusalError(502, type(error).__name__, "the playlist broke off") from error
    return data.decode("utf-8", "replace")


async def _parts(answer: ClientResponse) -> AsyncIterator[bytes]:
    count = 0
    try:
        async for part in answer.content.iter_chunked(_PART):
            count += len(part)
            if count > _FRAGMENT:
                raise ServiceRefusalError(502, "LongFragment", "the fragment is longer than any of the service's")
            yield part
    except (ClientError, TimeoutError) as error:
        raise ServiceRefusalError(502, type(error).__name__, "the fragment broke off") from error
    finally:
        answer.close() if not answer.content.is_eof() else answer.release()


def _selector(mode: str, begin: float, end: float) -> dict[str, Any]:
    selector: dict[str, Any] = {"FragmentSelectorType": "SERVER_TIMESTAMP"}
    if mode == "LIVE_REPLAY":
        selector["TimestampRange"] = {"StartTimestamp": begin}
    elif mode == "ON_DEMAND":
        selector["TimestampRange"] = {"StartTimestamp": begin, "EndTimestamp": end}
    return selector
