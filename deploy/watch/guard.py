"""Who may speak with the page's server: the browser that opened the printed address, and no other site in it.

Other programs of this machine and other sites in the same browser reach the same port. So every request has to name
this machine as its host (a name that was pointed here does not), no other site as its origin, and show the cookie that
only the printed address gives.
"""

from __future__ import annotations

import re
import secrets
from collections.abc import Awaitable, Callable

from aiohttp import web
from aiohttp.typedefs import Middleware

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]
_HOST = re.compile(r"(127\.0\.0\.1|localhost)(:[0-9]{1,5})?")
COOKIE = "boardcast_watch"
_OPEN = "/open/"
_SHARED = "/share/"
_POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' blob:; media-src 'self' blob:; "
    "connect-src 'self' ws://{host}; worker-src 'self'; manifest-src 'none'; base-uri 'none'; form-action 'none'; "
    "frame-ancestors 'none'"
)
_HEADERS = {
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Cross-Origin-Opener-Policy": "same-origin",
    "X-Frame-Options": "DENY",
    "Permissions-Policy": "camera=(), microphone=(), geolocation=()",
}
_ENTRY = """<!doctype html><html lang="en"><meta charset="utf-8"><meta http-equiv="refresh" content="0;url=/">
<title>Boardcast</title><p>The cameras are <a href="/">here</a>.</p></html>
"""
_CLOSED = """<!doctype html><html lang="en"><meta charset="utf-8"><title>Boardcast</title>
<p>This browser has not opened the page yet. Open the whole address that <code>invoke watch</code> printed.</p></html>
"""


class Guard:
    """The rules of one server, with the secrets that it made when it started."""

    def __init__(self) -> None:
        self._token = secrets.token_urlsafe(32)
        self._cookie = secrets.token_urlsafe(32)

    def address(self, port: int) -> str:
        """Return the address that lets a browser in, for the terminal of who started the server."""
        return f"http://127.0.0.1:{port}{_OPEN}{self._token}"

    def middleware(self) -> Middleware:
        """Return what every request passes before its handler, and its answer after it."""

        @web.middleware
        async def check(request: web.Request, handler: Handler) -> web.StreamResponse:
            own = self._refused(request) or self._entry(request)
            answer = own if own is not None else await handler(request)
            if not answer.prepared:
                self.dress(request, answer)
            return answer

        return check

    def dress(self, request: web.Request, answer: web.StreamResponse) -> None:
        """Put the headers on an answer that keep the page to itself; streamed ones need it before they begin."""
        host = request.headers.get("Host", "")
        policy = _POLICY.format(host=host if _HOST.fullmatch(host) else "127.0.0.1")
        answer.headers["Content-Security-Policy"] = policy
        answer.headers.update(_HEADERS)
        answer.headers.setdefault("Cache-Control", "no-store")

    def _refused(self, request: web.Request) -> web.Response | None:
        """Return why a request goes no further, or None."""
        host = request.headers.get("Host", "")
        if not _HOST.fullmatch(host) or len(request.headers.getall("Host")) > 1:
            return _no(421, "this server is for this machine alone")
        origin = request.headers.get("Origin")
        writes = request.method not in ("GET", "HEAD") or request.headers.get("Upgrade", "").lower() == "websocket"
        shared = request.path.startswith(_SHARED)
        if origin is None and writes and not shared:
            return _no(403, "this is for the page alone")
        if origin is not None and origin != f"http://{host}":
            return _no(403, "this is for the page alone, not for another site")
        if request.headers.get("Sec-Fetch-Site", "none") not in ("none", "same-origin") and not self._arrives(request):
            return _no(403, "this is for the page alone, not for another site")
        if shared or request.path.startswith(_OPEN):
            return None
        if not secrets.compare_digest(request.cookies.get(COOKIE, "").encode(), self._cookie.encode()):
            if request.path == "/":
                return web.Response(status=403, text=_CLOSED, content_type="text/html")
            return _no(403, "this browser has not opened the page: use the address that `invoke watch` printed")
        return None

    @staticmethod
    def _arrives(request: web.Request) -> bool:
        """Return whether a person follows the printed address from elsewhere, such as a terminal in a browser."""
        mode = request.headers.get("Sec-Fetch-Mode")
        return request.method == "GET" and mode == "navigate" and request.path.startswith(_OPEN)

    def _entry(self, request: web.Request) -> web.Response | None:
        """Answer the printed address: it gives the cookie, and leads on so that it does not stay in the address bar."""
        if not request.path.startswith(_OPEN):
            return None
        given = request.path.removeprefix(_OPEN)
        if request.method != "GET" or not secrets.compare_digest(given.encode(), self._token.encode()):
            return _no(403, "this address is of another run: use the one that `invoke watch` printed last")
        answer = web.Response(text=_ENTRY, content_type="text/html")
        answer.set_cookie(COOKIE, self._cookie, httponly=True, samesite="Strict", path="/")
        return answer


def _no(status: int, words: str) -> web.Response:
    return web.json_response({"error": words}, status=status)
