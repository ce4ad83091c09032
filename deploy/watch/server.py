"""The page's server: loopback only, its own files, and the page's questions about what there is to see."""

from __future__ import annotations

import asyncio
import math
import time
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path

from aiohttp import ClientSession, web

from deploy.cloud.session import Calls, ServiceRefusalError
from deploy.watch.cameras import Camera, Wanted
from deploy.watch.feed import Feed
from deploy.watch.guard import Guard, Handler
from deploy.watch.hls import MODES, Fetched, Sessions
from deploy.watch.links import SignalShares, console_links, share_links
from deploy.watch.relay import relay
from deploy.webrtc.channel import open_session
from recipes.errors import ConfigError

_PAGE = Path(__file__).with_name("page")
_TYPES = {".html": "text/html", ".css": "text/css", ".js": "text/javascript", ".svg": "image/svg+xml"}
_BODY = 4096
_SOCKETS = 64
_LONGEST = 86_400.0
"""Seconds of a timeline, and of a playback of kept pictures."""


@dataclass(slots=True)
class _Page:
    """What the handlers share."""

    calls: Calls
    feed: Feed
    sessions: Sessions
    upstream: ClientSession
    guard: Guard
    shares: SignalShares
    files: dict[str, tuple[bytes, str]]
    sockets: int = 0


_PARTS = web.AppKey("parts", _Page)


@dataclass(frozen=True, slots=True)
class Running:
    """A server that listens.

    Attributes
    ----------
    address:
        What is opened in a browser: it has the secret of this run in it.
    """

    address: str
    port: int
    _runner: web.AppRunner

    async def close(self) -> None:
        await self._runner.cleanup()


async def start(calls: Calls, wanted: Wanted, libraries: Path, *, port: int = 0) -> Running:
    """Listen on 127.0.0.1.

    Parameters
    ----------
    libraries:
        The folder with hls.js: `deploy.watch.libraries.libraries`.
    port:
        Any free one without.

    Raises
    ------
    ConfigError
        The port is taken.
    """
    guard = Guard()
    app = web.Application(middlewares=[guard.middleware(), _in_words], client_max_size=_BODY)
    app.cleanup_ctx.append(lambda app: _parts(app, calls, wanted, guard, _files(libraries)))
    _routes(app)
    runner = web.AppRunner(app, access_log=None, handle_signals=False, shutdown_timeout=2)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", port)
    try:
        await site.start()
    except OSError as error:
        await runner.cleanup()
        raise ConfigError(
            f"port {port} cannot be used", why=error.strerror or str(error), next_step="invoke watch without --port"
        ) from error
    there = int(runner.addresses[0][1])
    return Running(guard.address(there), there, runner)


async def _parts(
    app: web.Application, calls: Calls, wanted: Wanted, guard: Guard, files: dict[str, tuple[bytes, str]]
) -> AsyncIterator[None]:
    """Make what the handlers share, within the loop that runs them, and put it away with the server."""
    upstream, feed = open_session(calls.service), Feed(calls, wanted)
    app[_PARTS] = _Page(calls, feed, Sessions(calls, upstream), upstream, guard, SignalShares(), files)
    yield
    await feed.close()
    await upstream.close()


def _files(libraries: Path) -> dict[str, tuple[bytes, str]]:
    """Return all files of the page by their path: nothing is opened by a name that a request has."""
    folders = {"/page/": _PAGE, "/lib/": libraries}
    return {
        f"{at}{path.name}": (path.read_bytes(), _TYPES[path.suffix])
        for at, folder in folders.items()
        for path in sorted(folder.iterdir())
        if path.suffix in _TYPES
    }


def _routes(app: web.Application) -> None:
    app.router.add_get("/", _index)
    app.router.add_get("/page/{file}", _file)
    app.router.add_get("/lib/{file}", _file)
    app.router.add_get("/favicon.ico", _icon)
    app.router.add_get("/api/about", _about)
    app.router.add_get("/api/cameras", _cameras)
    app.router.add_get("/api/camera/{camera}", _camera)
    app.router.add_get("/api/still/{camera}", _still)
    app.router.add_get("/api/timeline/{camera}", _timeline)
    app.router.add_get("/api/clip/{camera}", _clip)
    app.router.add_post("/api/hls/{camera}", _open_hls)
    app.router.add_delete("/api/hls/{session}", _close_hls)
    app.router.add_post("/api/links/{camera}", _links)
    app.router.add_get("/hls/{session}/{name}", _hls)
    app.router.add_get("/share/{session}/{name}", _shared)
    app.router.add_get("/ws/{camera}", _signal)


@web.middleware
async def _in_words(request: web.Request, handler: Handler) -> web.StreamResponse:
    """Answer what went wrong in words: no traceback ever leaves, and no URL of the service."""
    try:
        return await handler(request)
    except ServiceRefusalError as refusal:
        return web.json_response({"error": refusal.words, "code": refusal.code}, status=refusal.status)
    except web.HTTPException as error:
        return web.json_response({"error": error.reason}, status=error.status)
    except (ConnectionError, asyncio.CancelledError):
        raise
    except Exception as error:  # noqa: BLE001 - the last resort: the page gets no traceback
        words = f"the page's server met a fault of its own ({type(error).__name__})"
        return web.json_response({"error": words, "code": "Fault"}, status=500)


async def _index(request: web.Request) -> web.Response:
    body, kind = request.app[_PARTS].files["/page/index.html"]
    return web.Response(body=body, content_type=kind, charset="utf-8")


async def _file(request: web.Request) -> web.Response:
    files = request.app[_PARTS].files
    if request.path not in files:
        raise ServiceRefusalError(404, "NoFile", "there is no such file of the page")
    body, kind = files[request.path]
    return web.Response(body=body, content_type=kind, charset="utf-8", headers={"Cache-Control": "no-cache"})


async def _icon(_: web.Request) -> web.Response:
    return web.Response(status=204)


async def _about(request: web.Request) -> web.Response:
    service, calls = request.app[_PARTS].calls.service, request.app[_PARTS].calls
    return web.json_response({"local": service.is_local, "region": calls.region, "profile": service.profile})


async def _cameras(request: web.Request) -> web.Response:
    rows = await request.app[_PARTS].feed.overview()
    return web.json_response({"now": time.time(), "cameras": rows})


async def _camera(request: web.Request) -> web.Response:
    """Return all that is known of a camera, with the places in the console where it is to be found."""
    page = request.app[_PARTS]
    camera = await page.feed.camera(request.match_info["camera"])
    facts = await page.feed.facts(camera)
    return web.json_response(facts | {"links": console_links(page.calls, camera)})


async def _still(request: web.Request) -> web.Response:
    page = request.app[_PARTS]
    camera = await page.feed.camera(request.match_info["camera"])
    picture = await page.feed.still(camera)
    return web.Response(body=picture, content_type="image/jpeg")


async def _timeline(request: web.Request) -> web.Response:
    page = request.app[_PARTS]
    begin, end = _span(_number(request.query.get("start")), _number(request.query.get("end")))
    camera = await page.feed.camera(request.match_info["camera"])
    return web.json_response(await page.feed.timeline(camera, begin, end))


async def _clip(request: web.Request) -> web.StreamResponse:
    """Send an MP4 as a file to keep; what goes wrong before its first byte is told in words."""
    page = request.app[_PARTS]
    begin, end = _span(_number(request.query.get("start")), _number(request.query.get("end")))
    camera = await page.feed.camera(request.match_info["camera"])
    parts = await page.feed.clip(camera, begin, end)
    name = "".join(letter if letter.isascii() and letter.isalnum() else "-" for letter in camera.name)[:60]
    when = time.strftime("%Y%m%dT%H%M%SZ", time.gmtime(begin))
    answer = web.StreamResponse(headers={"Content-Disposition": f'attachment; filename="{name}-{when}.mp4"'})
    answer.content_type = "video/mp4"
    return await _sent(request, answer, parts)


async def _sent(request: web.Request, answer: web.StreamResponse, parts: AsyncIterator[bytes]) -> web.StreamResponse:
    """Send parts as they come; a service that breaks off breaks the answer off, so that nobody takes it for whole."""
    request.app[_PARTS].guard.dress(request, answer)
    await answer.prepare(request)
    try:
        async for part in parts:
            await answer.write(part)
    except (ServiceRefusalError, ConnectionError):
        if request.transport is not None:
            request.transport.abort()
        return answer
    await answer.write_eof()
    return answer


async def _open_hls(request: web.Request) -> web.Response:
    """Open a playback: {mode, start, end}; the answer has the path of its playlist."""
    page = request.app[_PARTS]
    wanted = await _wanted(request)
    camera = await page.feed.camera(request.match_info["camera"])
    mode = wanted.get("mode", "LIVE")
    if mode not in MODES:
        raise ServiceRefusalError(400, "NoMode", "a playback is LIVE, LIVE_REPLAY or ON_DEMAND")
    begin, end = _number(wanted.get("start", 0)), _number(wanted.get("end", 0))
    if mode == "ON_DEMAND":
        begin, end = _span(begin, end)
    session = await page.sessions.open(camera, str(mode), begin, end)
    return web.json_response({"session": session.id, "playlist": f"/hls/{session.id}/{session.first}"})


async def _close_hls(request: web.Request) -> web.Response:
    request.app[_PARTS].sessions.close(request.match_info["session"])
    return web.json_response({})


async def _hls(request: web.Request) -> web.StreamResponse:
    page = request.app[_PARTS]
    session = page.sessions.find(request.match_info["session"])
    got = await page.sessions.fetch(session, request.match_info["name"], request.headers.get("Range", ""))
    return await _answered(request, got)


async def _shared(request: web.Request) -> web.StreamResponse:
    """Serve another player of this machine: its address is the permission."""
    page = request.app[_PARTS]
    if request.match_info["name"] == "signal":
        return await _signaling(request, page.shares.camera(request.match_info["session"]))
    session = page.sessions.find(request.match_info["session"], shared=True)
    name = request.match_info["name"]
    name = session.first if name == "live.m3u8" else name
    return await _answered(request, await page.sessions.fetch(session, name, request.headers.get("Range", "")))


async def _answered(request: web.Request, got: Fetched) -> web.StreamResponse:
    if got.parts is None:
        return web.Response(body=got.whole, content_type=got.kind)
    answer = web.StreamResponse(status=got.status, headers=got.headers)
    answer.content_type = got.kind
    return await _sent(request, answer, got.parts)


async def _links(request: web.Request) -> web.Response:
    """Make the addresses for other players; they work on this machine as long as this server runs, 12 hours at most."""
    page = request.app[_PARTS]
    await _wanted(request)
    camera = await page.feed.camera(request.match_info["camera"])
    links = await share_links(page.calls, page.sessions, page.shares, camera, f"//{request.headers['Host']}")
    return web.json_response(links)


async def _signal(request: web.Request) -> web.StreamResponse:
    page = request.app[_PARTS]
    return await _signaling(request, await page.feed.camera(request.match_info["camera"]))


async def _signaling(request: web.Request, camera: Camera) -> web.StreamResponse:
    page = request.app[_PARTS]
    camera.need_channel()
    if page.sockets >= _SOCKETS:
        raise ServiceRefusalError(429, "TooMany", "too many viewers at once")
    browser = web.WebSocketResponse(heartbeat=30, max_msg_size=1 << 16, timeout=2)
    page.guard.dress(request, browser)
    await browser.prepare(request)
    page.sockets += 1
    try:
        await relay(page.calls, page.upstream, camera, browser)
    finally:
        page.sockets -= 1
        await browser.close()
    return browser


async def _wanted(request: web.Request) -> dict[str, object]:
    """Return the object that a request brings; raises ServiceRefusalError for anything else."""
    if request.content_type != "application/json":
        raise ServiceRefusalError(415, "NoJson", "the page sends JSON")
    try:
        told = await request.json()
    except (ValueError, RecursionError):
        told = None
    if not isinstance(told, dict):
        raise ServiceRefusalError(400, "NoJson", "the request has no JSON object")
    return told


def _number(value: object) -> float:
    """Return a time in seconds since 1970 that the page sent; raises ServiceRefusalError for what is none."""
    try:
        number = float(value) if isinstance(value, str | int | float) else math.nan
    except (ValueError, OverflowError):
        number = math.nan
    if not 0 <= number < 1e11:
        raise ServiceRefusalError(400, "NoTime", "a time is seconds since 1970")
    return number


def _span(begin: float, end: float) -> tuple[float, float]:
    if not 0 < end - begin <= _LONGEST:
        raise ServiceRefusalError(400, "NoSpan", "the end is to be after the start, by a day at most")
    return begin, end
