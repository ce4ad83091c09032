"""What the local service costs: 20 cameras of 2 Mbit/s into its real process, over TLS, and what who watches waits for.

The producers are a process of their own and send in real time. On the other side of the ratio is the work that cannot
be less: the same bytes parsed, checked and acknowledged, without TLS and without a disk.
"""

from __future__ import annotations

import asyncio
import contextlib
import io
import json
import logging
import os
import re
import resource
import ssl
import statistics
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from urllib.parse import urljoin

import aiohttp
import av
from yarl import URL

from deploy.cloud.session import Calls, Keys, Service
from deploy.localkvs.fragment import checked_fragment
from deploy.localkvs.lifecycle import Running
from deploy.localkvs.run import STATE, State
from deploy.media.matroska import FragmentEnded, FragmentStarted, Splitter
from deploy.watch.libraries import libraries
from recipes.errors import PreflightError, UserError
from recipes.paths import CHECKOUT
from tests.bench.bench_watchdog import cost
from tests.support.bench import show
from tests.support.kvssenders import FPS, Moment, Told, Wanted, cluster, filled, pieces
from tests.support.localservice import REGION
from tests.support.webrtcpeer import follow, peer, watch
from tests.watch.conftest import page_server

STREAMS, BITS = 20, 2_000_000
WARM, SECONDS, WATCHED, PICTURES = 5, 30, 8, 5
MOST_CPU, MOST_MB, MOST_LAG, MOST_PICTURE, MOST_PAGE = 50, 150, 2.5, 1.0, 1.0
"""Percent of a core, MB, seconds of fragment and lag, of WebRTC's first picture, of the page."""
CHROMIUM = Path("/usr/bin/chromium")
_NAMES = [f"cam{number:02}" for number in range(1, STREAMS + 1)]


@contextmanager
def serving(folder: Path) -> Iterator[Running]:
    """Run the service as `invoke kvs up` does, in a process and folder of its own."""
    argv = [sys.executable, "-m", "deploy.localkvs.run", str(folder)]
    process = subprocess.Popen(argv, env={**os.environ, "PYTHONPATH": str(CHECKOUT)}, cwd=folder)
    try:
        for _ in range(1500):
            with contextlib.suppress(OSError, ValueError):
                facts = json.loads((folder / STATE).read_text())
                yield Running(folder, State(**facts | {"addresses": ()}))
                return
            time.sleep(0.02)
        raise PreflightError("the service did not start", where=str(folder))
    finally:
        process.terminate()
        process.wait(30)


@contextmanager
def sending(running: Running, told: Told) -> Iterator[None]:
    """Let the cameras send until the block ends; what became of it is told then."""
    key = running.own_key()
    wanted = Wanted(
        port=running.state.port,
        ca=str(running.authority),
        access=key.access,
        secret=key.secret,
        streams=_NAMES,
        bits=BITS,
    )
    argv = [sys.executable, "-m", "tests.support.kvssenders"]
    environment = {**os.environ, "PYTHONPATH": str(CHECKOUT)}
    process = subprocess.Popen(argv, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=environment)
    assert process.stdin is not None
    assert process.stdout is not None
    try:
        process.stdin.write(json.dumps(asdict(wanted)) + "\n")
        process.stdin.flush()
        if process.stdout.readline().strip() != "ready":
            raise PreflightError("the producers did not start")
        yield
        vars(told).update(json.loads(process.communicate(timeout=60)[0]))
    finally:
        process.kill()
        process.wait()


def bare() -> float:
    """Return milliseconds of processor time for a second of one stream: parsed, checked, acknowledged, no more."""
    header, media = filled(BITS)
    count, splitter, said = 100, Splitter(), 0
    parts = [part for number in range(count) for part in pieces(cluster(media[number % len(media)], number * 1000))]
    begun, previous = time.process_time(), None
    for part in [header, *parts, None]:
        for event in splitter.end() if part is None else splitter.feed(part):
            words = ["BUFFERING"] if isinstance(event, FragmentStarted) else []
            if isinstance(event, FragmentEnded):
                checked_fragment(event.data, event.header, previous_ms=previous)
                previous, words = event.timecode // 1_000_000, ["RECEIVED", "PERSISTED"]
            said += sum(len(json.dumps({"EventType": word, "FragmentTimecode": previous})) for word in words)
    assert said > count * 100
    return (time.process_time() - begun) * 1000 / count


def load(running: Running) -> dict[str, object]:
    """Measure the service's process while all cameras send."""
    time.sleep(WARM)
    first, begun = cost({running.state.pid}), time.monotonic()
    time.sleep(SECONDS)
    passed, last = time.monotonic() - begun, cost({running.state.pid})
    share = (last.seconds - first.seconds) / passed * 100
    status = Path(f"/proc/{running.state.pid}/status").read_text()
    peak = int(re.findall(r"VmHWM:\s+(\d+)", status)[0]) / 1000
    return {
        "seconds": round(passed),
        "service, % of a core": round(share, 1),
        "service, ms of processor time per stream and second": round(share * 10 / STREAMS, 2),
        "service, MB at most": round(peak),
        f"within {MOST_CPU} % and {MOST_MB} MB": share <= MOST_CPU and peak <= MOST_MB,
    }


def hls_lag(running: Running) -> float:
    """Return seconds from a fragment's first picture, when it was sent, to when a player has it decoded; the median.

    The player is one that asks ten times a second.
    """
    import boto3

    key = running.own_key()
    client = boto3.client(
        "kinesis-video-archived-media",
        endpoint_url=running.url,
        verify=str(running.authority),
        region_name=REGION,
        aws_access_key_id=key.access,
        aws_secret_access_key=key.secret,
    )
    url = client.get_hls_streaming_session_url(
        StreamName=_NAMES[0],
        HLSFragmentSelector={"FragmentSelectorType": "PRODUCER_TIMESTAMP"},
        DisplayFragmentTimestamp="ALWAYS",
    )["HLSStreamingSessionURL"]
    trust = ssl.create_default_context(cafile=str(running.authority))

    def get(address: str) -> bytes:
        with urllib.request.urlopen(urljoin(running.url, address), context=trust, timeout=10) as answer:
            return bytes(answer.read())

    master = get(url).decode()
    playlist = urljoin(url, next(line for line in master.splitlines() if line and not line.startswith("#")))
    seen, lags, begin = set[str](), list[float](), b""
    until = time.monotonic() + WATCHED
    while time.monotonic() < until:
        text = get(playlist).decode()
        begin = begin or get(urljoin(playlist, re.findall(r'#EXT-X-MAP:URI="([^"]+)"', text)[0]))
        shown, name = re.findall(r"#EXT-X-PROGRAM-DATE-TIME:(\S+)\n(?:#.*\n)*(?!#)(\S+)", text)[-1]
        if name not in seen:
            with av.open(io.BytesIO(begin + get(urljoin(playlist, name))), "r") as file:
                assert len(list(file.decode(video=0))) == FPS
            lags += [time.time() - _seconds(shown)] if seen else []
            seen.add(name)
        time.sleep(0.1)
    return statistics.median(lags)


def _seconds(moment: str) -> float:
    import datetime as dt

    return dt.datetime.fromisoformat(moment).timestamp()


async def first_picture(service: Service) -> float:
    """Return seconds from when a viewer connects to its first decoded picture; the master waits already."""
    calls, trust = Calls(service), ssl.create_default_context(cafile=str(service.ca))
    try:
        arn = (await calls.ask("kinesisvideo", "list_signaling_channels"))["ChannelInfoList"][0]["ChannelARN"]
        url = service.endpoint_url.replace("https", "wss") + "/"
        addresses = [await calls.signed_url(url, {"X-Amz-ChannelARN": arn} | more, 299) for more in _ROLES]
        async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(ssl=trust)) as session:
            master, viewer = peer(), peer()
            async with session.ws_connect(URL(addresses[0], encoded=True)) as there:
                tasks = [asyncio.create_task(follow(there, master))]
                begun = time.monotonic()
                async with session.ws_connect(URL(addresses[1], encoded=True)) as here, asyncio.timeout(20):
                    tasks.append(asyncio.create_task(follow(here, viewer)))
                    await (await watch(here, viewer)).recv()
                    passed = time.monotonic() - begun
                for task in tasks:
                    task.cancel()
                await asyncio.gather(*tasks, return_exceptions=True)
            await asyncio.gather(master.close(), viewer.close())
            return passed
    finally:
        calls.close()


_ROLES: tuple[dict[str, str], ...] = ({}, {"X-Amz-ClientId": "bench"})


def page_opens(service: Service, running: Running) -> dict[str, object]:
    """Return seconds from the address to a grid of all cameras, live, and to a picture of each on the screen."""
    name = f"page with {STREAMS} cameras, s: all are there and live, those on the screen have pictures (cold; again)"
    if not CHROMIUM.exists():
        return {name: "not measured: no chromium"}
    try:
        folder = libraries()
    except UserError as error:
        return {name: f"not measured: {error}"}
    from playwright.sync_api import sync_playwright

    options = ["--no-sandbox", "--autoplay-policy=no-user-gesture-required"]
    times, spent = list[tuple[float, float]](), list[float]()
    with page_server(service, folder) as served, sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=str(CHROMIUM), args=options)
        for _ in range(2):
            tab = browser.new_context(viewport={"width": 1280, "height": 800}).new_page()
            begun, computed = time.monotonic(), _computed(running)
            tab.goto(served.running.address)
            live = "document.querySelectorAll('.tile [data-state=live]').length"
            tab.wait_for_function(f"() => {live} >= {STREAMS}", timeout=30_000)
            there = time.monotonic() - begun
            spent.append(_computed(running) - computed)
            tab.wait_for_function(_PICTURED, timeout=30_000)
            times.append((there, time.monotonic() - begun))
            tab.context.close()
        browser.close()
    processor = "; ".join(f"{one:.2f}" for one in spent)
    told = "; ".join(f"{there:.2f}, {whole:.2f}" for there, whole in times)
    return {
        name: told,
        "of that, s of processor time of the service, which also has its cameras, and of the page's server": processor,
        f"page within {MOST_PAGE} s": min(times)[0] <= MOST_PAGE,
    }


def _computed(running: Running) -> float:
    """Return the processor time of the service and of this process, which serves the page; the browser's is its own."""
    return cost({running.state.pid}).seconds + time.process_time()


_PICTURED = """() => [...document.querySelectorAll('.tile')]
    .filter(tile => tile.getBoundingClientRect().top < innerHeight)
    .every(tile => !tile.querySelector('[data-state=live]') || tile.querySelector('.stage.pictured, .stage.moving'))"""


def acks(told: Told, begin: float, end: float) -> dict[str, object]:
    """Count what was lost in all, and tell how fast acks came within a time, when nothing else was measured."""
    lost = {name: set(sent) - set(told.persisted[name]) for name, sent in told.sent.items()}

    rate = told.bytes * 8 / 1e6 / sum(map(len, told.sent.values()))

    def of(moments: Sequence[Moment]) -> str:
        return "{:.1f}; {:.1f}".format(*_percentiles([passed for at, passed in moments if begin <= at <= end]))

    return {
        "MB sent; Mbit/s of each stream": f"{told.bytes / 1e6:,.0f}; {rate:.2f}",
        "fragments sent; lost": f"{sum(map(len, told.sent.values())):,}; {sum(map(len, lost.values()))}",
        "errors": "; ".join(told.errors[:3]) or "none",
        "ack after a fragment's end, ms (p50; p99): RECEIVED": of(told.received),
        "ack after a fragment's end, ms (p50; p99): PERSISTED": of(told.persisted_after),
        "the producers were late themselves, ms (p50; p99)": of(told.late),
    }


def _percentiles(values: Sequence[float]) -> tuple[float, float]:
    found = statistics.quantiles(values, n=100)
    return found[49], found[98]


def measure() -> dict[str, object]:
    resource.setrlimit(resource.RLIMIT_NOFILE, (4096, resource.getrlimit(resource.RLIMIT_NOFILE)[1]))
    # A browser that is closed hangs up in the middle of answers: aiohttp tells each.
    logging.getLogger("aiohttp.server").setLevel(logging.CRITICAL)
    figures: dict[str, object] = {"streams": STREAMS, "Mbit/s of each": BITS / 1e6, "fragment, s": 1}
    told = Told()
    with tempfile.TemporaryDirectory(prefix="boardcast-bench-") as name, serving(Path(name)) as running:
        rows = [{"name": stream, "region": REGION, "hours": 24} for stream in _NAMES]
        wanted = {"streams": rows, "channels": [{"name": "bench", "region": REGION}]}
        running.ask("POST", "/-/provision", wanted)
        key = running.own_key()
        keys = Keys(access_key=key.access, secret_key=key.secret)
        service = Service(region=REGION, endpoint_url=running.url, ca=running.authority, keys=keys)
        with sending(running, told):
            begun = time.monotonic() + WARM
            figures |= load(running)
            ended = time.monotonic()
            figures["machine's load while it was measured (1 min)"] = round(os.getloadavg()[0], 1)
            lag = hls_lag(running)
            figures |= {"HLS: first picture sent to decoded, s": round(lag, 2), "HLS within 2.5 s": lag <= MOST_LAG}
            figures |= page_opens(service, running)
            pictures = [asyncio.run(first_picture(service)) for _ in range(PICTURES)]
            figures["WebRTC: first picture, s (median, most)"] = (
                round(statistics.median(pictures), 2),
                round(max(pictures), 2),
            )
            figures[f"WebRTC within {MOST_PICTURE:.0f} s"] = statistics.median(pictures) <= MOST_PICTURE
        kept = {row["name"]: row["fragments"] for row in running.ask("GET", "/-/status")["streams"]}
    figures |= acks(told, begun, ended)
    figures["kept by the service"] = f"{sum(kept.values()):,}"
    least = bare()
    figures["parsed, checked and acknowledged alone, ms per stream and second"] = round(least, 2)
    return figures


if __name__ == "__main__":
    show("The local service", measure)
