"""The page in a real browser, in front of the real local service: HLS with sound, WebRTC, time, hostile names.

Screenshots go to the folder that BOARDCAST_SCREENSHOTS names, for people; without it they are not kept.
"""

from __future__ import annotations

import json
import os
import threading
import time
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from deploy.cloud.session import Keys, Service
from deploy.watch.libraries import libraries
from tests.support.kvsmaster import Master
from tests.support.kvsproducer import LiveProducer
from tests.watch.conftest import Cameras, PageServer, page_server

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page

CHROMIUM = Path("/usr/bin/chromium")
pytestmark = [
    pytest.mark.process,
    pytest.mark.loopback,
    pytest.mark.skipif(not CHROMIUM.exists(), reason="no /usr/bin/chromium (Debian: apt install chromium)"),
]
PHONE, DESKTOP = (390, 844), (1280, 800)
MOVES = """() => [...document.querySelectorAll("#view .moving video")].some(
    v => v.videoWidth && v.currentTime > 0.5 && !v.paused)"""
HOSTILE = [
    "<img src=x onerror=document.title='owned'>",
    "</script><script>document.title='owned'</script>",
    "a" * 2000,
    "line\nbreak\x00\x1b[31m\x07",
    "\u202egnp.eman\u2066",
    "javascript:document.title='owned'",
    "{{7*7}} ${7*7} %00 ../../etc/passwd",
]


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        started = playwright.chromium.launch(
            executable_path=str(CHROMIUM), args=["--no-sandbox", "--autoplay-policy=no-user-gesture-required"]
        )
        yield started
        started.close()


@pytest.fixture
def page(cameras: Cameras) -> Iterator[PageServer]:
    with page_server(cameras.service, libraries()) as served:
        yield served


class Seen:
    """A tab of the browser, and everything that it complained about or asked for elsewhere."""

    def __init__(
        self, browser: Browser, server: PageServer, size: tuple[int, int], *, dark: bool = False, without: str = ""
    ) -> None:
        self.context = browser.new_context(
            viewport={"width": size[0], "height": size[1]},
            color_scheme="dark" if dark else "light",
            accept_downloads=True,
        )
        self.tab: Page = self.context.new_page()
        self.faults: list[str] = []
        self.elsewhere: list[str] = []
        self.asked: list[str] = []
        self.tab.on("pageerror", lambda error: self.faults.append(str(error)))
        self.tab.on("console", lambda line: self.faults.append(line.text) if "Security Policy" in line.text else None)
        self.tab.on("request", lambda request: self._asked(request.url, server.base))
        if without:
            self.tab.route(without, lambda route: route.abort())
        self.tab.goto(server.running.address)
        self.tab.wait_for_selector("#grid:not([aria-busy])", state="attached", timeout=20_000)

    def _asked(self, url: str, base: str) -> None:
        self.asked.append(url)
        if not url.startswith((base, "blob:" + base)):
            self.elsewhere.append(url)

    def wait(self, condition: str, seconds: float = 20) -> None:
        """Wait for something on the page; what its log says is in the failure."""
        from playwright.sync_api import TimeoutError as Late

        try:
            self.tab.wait_for_function(condition, timeout=seconds * 1000)
        except Late:
            self.shoot("failed")
            state = self.tab.evaluate(
                "() => [...document.querySelectorAll('video')].map(v => [v.currentTime, v.paused, v.readyState,"
                " v.videoWidth, v.closest('.stage').className, v.error && v.error.message])"
            )
            pytest.fail(f"{condition}: {self.tab.locator('body').inner_text()} {state} {self.faults} {self.asked[-8:]}")

    def shoot(self, name: str) -> None:
        if folder := os.environ.get("BOARDCAST_SCREENSHOTS"):
            Path(folder).mkdir(parents=True, exist_ok=True)
            self.tab.screenshot(path=Path(folder) / f"watch-{name}.png")

    def close(self) -> None:
        self.context.close()
        assert not self.faults
        assert not self.elsewhere


@pytest.fixture
def cam(cameras: Cameras) -> Iterator[LiveProducer]:
    cameras.stream("front-door")
    with LiveProducer(cameras.service, "front-door") as producer:
        deadline = time.monotonic() + 20
        while producer.sent < 2:
            assert time.monotonic() < deadline, bytes(producer.acks)
            time.sleep(0.05)
        yield producer


def says(words: str) -> str:
    return f"document.querySelector('.log').textContent.includes({words!r})"


def figure(tab: Page, name: str) -> str:
    return str(tab.locator(".facts dt", has_text=name).locator("xpath=following-sibling::dd[1]").first.inner_text())


def test_hls_plays_with_sound_and_says_what_it_is(browser: Browser, page: PageServer, cam: LiveProducer) -> None:
    seen = Seen(browser, page, DESKTOP)
    tab = seen.tab
    seen.wait(MOVES, 60)  # the only camera is opened at once
    seen.wait("() => document.querySelector('#view video').webkitAudioDecodedByteCount > 0", 10)
    seen.wait("() => /behind/.test(document.querySelector('.behind').textContent)", 10)
    assert "H.264" in figure(tab, "Codec")
    assert "AAC" in figure(tab, "Codec")
    assert figure(tab, "Size").split()[::2] == ["640", "360"]
    behind = float(tab.locator(".behind").inner_text().partition(" s")[0])
    assert behind < 4
    before = tab.evaluate("() => document.querySelector('#view video').getVideoPlaybackQuality().totalVideoFrames")
    seen.wait(
        f"() => document.querySelector('#view video').getVideoPlaybackQuality().totalVideoFrames > {before + 10}",
        seconds=20,
    )
    seen.shoot("hls")
    text = tab.content() + " ".join(seen.asked)
    for word in ("SessionToken", "X-Amz", "kinesisvideo", cam.service.keys.secret_key if cam.service.keys else ""):
        assert word not in text
    seen.close()


def test_it_stops_when_nobody_looks_and_goes_on_after(browser: Browser, page: PageServer, cam: LiveProducer) -> None:
    seen = Seen(browser, page, DESKTOP)
    tab = seen.tab
    seen.wait(MOVES, 60)
    hide = """state => {
        Object.defineProperty(document, 'hidden', { value: state, configurable: true });
        document.dispatchEvent(new Event('visibilitychange'));
    }"""
    tab.evaluate(hide, True)
    seen.wait("() => !document.querySelector('#view .stage').classList.contains('moving')", 8)
    time.sleep(1)
    count = len(seen.asked)
    time.sleep(2.5)
    assert not [url for url in seen.asked[count:] if "/hls/" in url or "/still/" in url]
    tab.evaluate(hide, False)
    seen.wait("() => document.querySelector('#view .stage').classList.contains('moving')", 15)
    seen.close()


def test_stills_give_way_to_a_moving_picture_once_there_is_one(
    browser: Browser, page: PageServer, cam: LiveProducer
) -> None:
    seen = Seen(browser, page, DESKTOP, without="**/api/hls/*")
    seen.wait(f"() => {says('trying Stills instead')}", 20)
    seen.tab.unroute("**/api/hls/*")
    assert not seen.tab.evaluate(MOVES)
    seen.tab.evaluate("() => { const real = Date.now; Date.now = () => real() + 31000; }")
    seen.wait(f"() => {says('trying a moving picture again')}", 20)
    seen.wait(MOVES, 60)
    seen.close()


def test_webrtc_is_first_where_there_is_a_channel_and_hls_where_nobody_answers(
    browser: Browser, cameras: Cameras, page: PageServer, cam: LiveProducer
) -> None:
    arn = cameras.channel("front-door")
    with Master(cameras.service, arn):
        seen = Seen(browser, page, DESKTOP)
        seen.wait(MOVES, 60)
        log = seen.tab.locator(".log").inner_text()
        assert "playing by WebRTC" in log
        seen.wait("() => /host|prflx/.test(document.querySelector('.facts').textContent)", seconds=20)
        assert figure(seen.tab, "Way") == "WebRTC"
        seen.shoot("webrtc")
        seen.tab.locator("label", has_text="HLS").last.click()
        seen.wait(f"() => {says('playing by HLS')}", 20)
        seen.close()
    seen = Seen(browser, page, DESKTOP)
    seen.wait(MOVES, 60)
    log = seen.tab.locator(".log").inner_text()
    assert "no camera answers" in log
    assert "playing by HLS" in log
    seen.close()


def test_looking_back_and_a_clip(browser: Browser, page: PageServer, cam: LiveProducer) -> None:
    while cam.sent < 8:
        time.sleep(0.1)
    seen = Seen(browser, page, DESKTOP)
    tab = seen.tab
    tab.wait_for_selector(".track .span", timeout=10_000)
    tab.locator("label", has_text="On demand").click()
    now = time.time()
    for label, ago in (("From", 7), ("To", 2)):
        tab.get_by_label(label, exact=True).fill(time.strftime("%Y-%m-%dT%H:%M:%S", time.localtime(now - ago)))
    tab.get_by_role("button", name="Play", exact=True).click()
    seen.wait(MOVES, 60)
    with tab.expect_download(timeout=20_000) as waited:
        tab.get_by_role("button", name="Download clip").click()
    path = Path(waited.value.path())
    assert path.read_bytes()[4:8] == b"ftyp"
    assert waited.value.suggested_filename.startswith("front-door-")
    seen.shoot("on-demand")
    tab.locator("label", has_text="Replay").click()
    tab.locator(".track").focus()
    tab.keyboard.press("ArrowLeft")
    assert tab.locator(".track").get_attribute("aria-valuetext")
    seen.close()


def test_links_are_made_and_another_player_of_this_machine_can_use_them(
    browser: Browser, page: PageServer, cam: LiveProducer
) -> None:
    import urllib.request

    seen = Seen(browser, page, DESKTOP)
    seen.tab.get_by_role("button", name="Make links").click()
    seen.tab.wait_for_selector(".links .value", timeout=10_000)
    url = str(seen.tab.locator(".links .value").first.get_attribute("title"))
    with urllib.request.urlopen(url, timeout=10) as answer:  # no cookie: the address is the permission
        assert answer.read().startswith(b"#EXTM3U")
    seen.close()


def test_grid_on_a_phone_and_in_the_dark(
    browser: Browser, cameras: Cameras, page: PageServer, cam: LiveProducer
) -> None:
    cameras.stream("yard")
    cameras.channel("bell")
    for size, dark, name in ((DESKTOP, False, "grid"), (PHONE, False, "phone"), (PHONE, True, "phone-dark")):
        seen = Seen(browser, page, size, dark=dark)
        seen.wait("() => document.querySelectorAll('.tile').length === 3", 10)
        seen.wait("() => document.querySelector('.tile .stage.moving')")
        wide = seen.tab.evaluate("() => document.documentElement.scrollWidth - document.documentElement.clientWidth")
        assert wide <= 0
        seen.shoot(name)
        # By keyboard: to a tile, into it, and back.
        seen.tab.locator(".tile", has_text="front-door").focus()
        seen.tab.keyboard.press("Enter")
        seen.tab.wait_for_selector("#view h2", timeout=10_000)
        assert seen.tab.evaluate("() => document.activeElement.tagName") == "H2"
        assert (
            seen.tab.evaluate("() => document.documentElement.scrollWidth - document.documentElement.clientWidth") <= 0
        )
        seen.shoot(f"{name}-camera")
        seen.tab.keyboard.press("Escape")
        seen.tab.wait_for_selector("#view", state="hidden", timeout=10_000)
        seen.close()


class _Hostile(BaseHTTPRequestHandler):
    """A service whose names are what no service should give: only lists are asked of it."""

    def do_POST(self) -> None:
        self.rfile.read(int(self.headers.get("Content-Length", 0)))
        told: dict[str, Any] = {"Fragments": []}
        if self.path == "/listStreams":
            rows = [
                {
                    "StreamName": name,
                    "StreamARN": f"arn:{at}",
                    "Status": name,
                    "DataRetentionInHours": 1,
                    "MediaType": name,
                }
                for at, name in enumerate(HOSTILE)
            ]
            told = {"StreamInfoList": rows}
        elif self.path == "/listSignalingChannels":
            told = {"ChannelInfoList": [{"ChannelName": HOSTILE[0], "ChannelARN": "arn:c"}]}
        elif self.path == "/getDataEndpoint":
            told = {"DataEndpoint": f"http://{self.headers['Host']}"}
        data = json.dumps(told).encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002
        """Say nothing."""


def test_hostile_names_are_text_and_nothing_else(browser: Browser) -> None:
    server = ThreadingHTTPServer(("127.0.0.1", 0), _Hostile)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    service = Service(
        region="us-west-2",
        endpoint_url=f"http://127.0.0.1:{server.server_address[1]}",
        keys=Keys(access_key="AK", secret_key="secret"),
    )
    try:
        with page_server(service, libraries()) as served:
            seen = Seen(browser, served, PHONE)
            tab = seen.tab
            seen.wait(f"() => document.querySelectorAll('.tile').length === {len(HOSTILE)}", 10)
            names = tab.locator(".tile .name").all_inner_texts()
            assert "<img src=x onerror=document.title='owned'>" in names
            assert max(map(len, names)) < 400
            assert not [letter for name in names for letter in name if not letter.isprintable()]
            assert tab.evaluate("() => document.querySelectorAll('#grid img[src=x], #grid script').length") == 0
            assert (
                tab.evaluate("() => document.documentElement.scrollWidth - document.documentElement.clientWidth") <= 0
            )
            seen.shoot("hostile")
            for tile in range(len(HOSTILE)):
                tab.locator(".tile").nth(tile).click()
                tab.wait_for_selector("#view h2", timeout=10_000)
                assert (
                    tab.evaluate("() => document.documentElement.scrollWidth - document.documentElement.clientWidth")
                    <= 0
                )
                tab.keyboard.press("Escape")
                tab.wait_for_selector("#view", state="hidden", timeout=10_000)
            assert "owned" not in tab.title() or "onerror" in tab.title()
            assert tab.title() == "Boardcast cameras"
            seen.close()
    finally:
        server.shutdown()
        server.server_close()
