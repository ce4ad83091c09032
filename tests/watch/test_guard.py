"""Nobody but the browser that opened the printed address gets an answer: hosts, origins, cookies, sockets."""

from __future__ import annotations

import http.client
import json
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest

from deploy.cloud.session import Keys, Service
from tests.watch.conftest import PageServer, page_server

pytestmark = pytest.mark.loopback
NOWHERE = Service(
    region="us-west-2", endpoint_url="http://127.0.0.1:9", keys=Keys(access_key="AK", secret_key="not-a-secret")
)
ASKED = [
    "/",
    "/page/app.js",
    "/page/index.html",
    "/api/about",
    "/api/cameras",
    "/api/camera/0123456789abcdef",
    "/api/still/0123456789abcdef",
    "/api/clip/0123456789abcdef?start=1&end=2",
    "/api/timeline/0123456789abcdef?start=1&end=2",
    "/hls/x/y.m3u8",
    "/ws/0123456789abcdef",
    "/favicon.ico",
    "/nothing",
]


@pytest.fixture(scope="module")
def page(no_libraries: Path) -> Iterator[PageServer]:
    with page_server(NOWHERE, no_libraries) as served:
        yield served


def ask(
    page: PageServer, path: str, *, method: str = "GET", body: str | None = None, **headers: str
) -> tuple[int, dict[str, str], str]:
    """Send one request with exactly these headers (underscores are dashes), and Host unless it is given."""
    link = http.client.HTTPConnection("127.0.0.1", page.running.port, timeout=10)
    link.putrequest(method, path, skip_host=True, skip_accept_encoding=True)
    said = {"Host": f"127.0.0.1:{page.running.port}"} | {name.replace("_", "-"): text for name, text in headers.items()}
    if body is not None:
        said["Content-Length"] = str(len(body))
    for name, text in said.items():
        if text:
            link.putheader(name, text)
    link.endheaders(body.encode() if body is not None else None)
    answer = link.getresponse()
    found = answer.status, {name.lower(): text for name, text in answer.getheaders()}, answer.read().decode()
    link.close()
    return found


def cookie(page: PageServer) -> str:
    path = page.running.address.removeprefix(page.base)
    status, headers, _ = ask(page, path)
    assert status == 200
    assert "httponly" in headers["set-cookie"].lower()
    assert "samesite=strict" in headers["set-cookie"].lower()
    return headers["set-cookie"].partition(";")[0]


@pytest.mark.parametrize("path", ASKED)
def test_without_the_cookie_nothing_is_told(page: PageServer, path: str) -> None:
    status, _, text = ask(page, path)
    assert status == 403
    assert "invoke watch" in text
    assert ask(page, path, Cookie="boardcast_watch=wrong")[0] == 403
    assert ask(page, path, Cookie="boardcast_watch=")[0] == 403


@pytest.mark.parametrize("path", ASKED)
@pytest.mark.parametrize(
    "host", ["evil.example", "evil.example:80", "127.0.0.1.evil.example", "", "127.0.0.1@evil", "127.0.0.2", "[::1]:80"]
)
def test_a_name_that_was_pointed_here_is_refused(page: PageServer, path: str, host: str) -> None:
    status, _, text = ask(page, path, Host=host, Cookie=cookie(page))
    assert status in (400, 421), text


@pytest.mark.parametrize("path", [*ASKED, "/share/x/live.m3u8", "/share/x/signal"])
@pytest.mark.parametrize("origin", ["https://evil.example", "http://127.0.0.1:1", "null", "http://localhost"])
def test_another_sites_requests_are_refused(page: PageServer, path: str, origin: str) -> None:
    status, headers, _ = ask(page, path, Origin=origin, Cookie=cookie(page))
    assert status == 403
    assert not any(name.startswith("access-control") for name in headers)


@pytest.mark.parametrize("path", ASKED)
@pytest.mark.parametrize("site", ["cross-site", "same-site"])
def test_what_another_site_embeds_is_refused(page: PageServer, path: str, site: str) -> None:
    """Also another port of this machine is another site's page: its requests have the cookie, and this header."""
    assert ask(page, path, Sec_Fetch_Site=site, Cookie=cookie(page))[0] == 403


def test_the_same_origin_is_served(page: PageServer) -> None:
    status, headers, text = ask(page, "/", Cookie=cookie(page), Origin=page.base)
    assert status == 200
    assert "<title>Boardcast" in text
    policy = headers["content-security-policy"]
    assert "default-src 'none'" in policy
    assert "unsafe" not in policy
    assert "http:" not in policy
    assert headers["x-content-type-options"] == "nosniff"
    assert headers["referrer-policy"] == "no-referrer"
    assert "frame-ancestors 'none'" in policy


def test_what_changes_something_needs_the_pages_own_origin(page: PageServer) -> None:
    key = cookie(page)
    path, body = "/api/hls/0123456789abcdef", json.dumps({"mode": "LIVE"})
    json_type = {"Content_Type": "application/json"}
    assert ask(page, path, method="POST", body=body, Cookie=key, **json_type)[0] == 403
    assert ask(page, path, method="POST", body=body, Cookie=key, Origin="http://localhost:1", **json_type)[0] == 403
    # A form of another site cannot say that it is JSON.
    assert ask(page, path, method="POST", body=body, Cookie=key, Origin=page.base, Content_Type="text/plain")[0] == 415
    assert ask(page, path, method="POST", body=body, Cookie=key, Origin=page.base, **json_type)[0] == 502


def test_a_socket_of_another_site_is_refused(page: PageServer) -> None:
    key = cookie(page)
    shake = {"Upgrade": "websocket", "Connection": "Upgrade", "Sec_WebSocket_Version": "13"}
    shake["Sec_WebSocket_Key"] = "dGhlIHNhbXBsZSBub25jZQ=="
    path = "/ws/0123456789abcdef"
    assert ask(page, path, Cookie=key, Origin="https://evil.example", **shake)[0] == 403
    assert ask(page, path, Cookie=key, **shake)[0] == 403
    assert ask(page, path, Origin=page.base, **shake)[0] == 403
    assert ask(page, path, Cookie=key, Origin=page.base, Host="evil.example", **shake)[0] == 421
    # The page's own goes on to the service, which is not there.
    assert ask(page, path, Cookie=key, Origin=page.base, **shake)[0] == 502


def test_the_address_is_of_one_run_only(page: PageServer, no_libraries: Path) -> None:
    path = page.running.address.removeprefix(page.base)
    assert ask(page, path[:-1])[0] == 403
    assert ask(page, path + "x")[0] == 403
    assert ask(page, path, method="HEAD")[0] == 403
    with page_server(NOWHERE, no_libraries) as other:
        assert ask(other, path)[0] == 403
        assert ask(other, "/", Cookie=cookie(page))[0] == 403


def test_the_printed_address_works_from_a_terminal_in_a_browser(page: PageServer) -> None:
    path = page.running.address.removeprefix(page.base)
    assert ask(page, path, Sec_Fetch_Site="cross-site", Sec_Fetch_Mode="navigate")[0] == 200
    assert ask(page, path, Sec_Fetch_Site="cross-site", Sec_Fetch_Mode="no-cors")[0] == 403


def test_it_listens_on_loopback_alone(page: PageServer) -> None:
    others = {str(info[4][0]) for info in socket.getaddrinfo(socket.gethostname(), None, socket.AF_INET)}
    for address in others - {"127.0.0.1"}:
        with pytest.raises(OSError), socket.create_connection((address, page.running.port), timeout=1):
            pass


@pytest.mark.parametrize(
    "path", ["/page/../server.py", "/page/%2e%2e/server.py", "/page//etc/passwd", "/lib/..%2f..%2fetc%2fpasswd"]
)
def test_no_other_file_is_served(page: PageServer, path: str) -> None:
    status, _, text = ask(page, path, Cookie=cookie(page))
    assert status == 404
    assert "error" in json.loads(text)


@pytest.mark.parametrize(
    "query", ["start=a&end=b", "start=1", "start=2&end=1", "start=-1&end=5", "start=nan&end=inf", ""]
)
def test_times_are_checked(page: PageServer, query: str) -> None:
    status, _, text = ask(page, f"/api/timeline/0123456789abcdef?{query}", Cookie=cookie(page))
    assert status == 400, text


def test_what_is_no_json_is_refused(page: PageServer) -> None:
    key = cookie(page)
    for body in ("[]", "nonsense", "[" * 2000, '"x"', ""):
        status, _, text = ask(
            page, "/api/hls/0123456789abcdef", method="POST", body=body, Cookie=key, Origin=page.base,
            Content_Type="application/json",
        )  # fmt: skip
        assert status == 400, text
    long = ask(
        page, "/api/hls/0123456789abcdef", method="POST", body=" " * 9000, Cookie=key, Origin=page.base,
        Content_Type="application/json",
    )  # fmt: skip
    assert long[0] == 413


def test_a_service_that_is_not_there_is_told_in_words(page: PageServer) -> None:
    status, _, text = ask(page, "/api/cameras", Cookie=cookie(page))
    assert status == 502
    assert "does not answer" in json.loads(text)["error"]
    assert "Traceback" not in text
    assert "not-a-secret" not in text
