"""A viewer's signaling through the page's server: the service's own messages, and nothing that was signed."""

from __future__ import annotations

import asyncio
import base64
import json
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from aiohttp import ClientSession, ClientWebSocketResponse, TCPConnector, WSMsgType

from tests.watch.conftest import Cameras, PageServer, page_server

pytestmark = pytest.mark.loopback


@pytest.fixture
def page(cameras: Cameras, no_libraries: Path) -> Iterator[PageServer]:
    with page_server(cameras.service, no_libraries) as served:
        yield served


@asynccontextmanager
async def opened(page: PageServer) -> AsyncIterator[ClientSession]:
    """Yield a client that has opened the page."""
    from aiohttp import CookieJar

    async with ClientSession(cookie_jar=CookieJar(unsafe=True), headers={"Origin": page.base}) as session:
        async with session.get(page.running.address) as answer:
            assert answer.status == 200
        yield session


async def camera_id(session: ClientSession, page: PageServer) -> str:
    async with session.get(f"{page.base}/api/cameras") as answer:
        return str((await answer.json())["cameras"][0]["id"])


@asynccontextmanager
async def master(cameras: Cameras, arn: str) -> AsyncIterator[ClientWebSocketResponse]:
    import ssl

    from yarl import URL

    wss = cameras.service.endpoint_url.replace("https:", "wss:")
    url = await cameras.calls.signed_url(wss, {"X-Amz-ChannelARN": arn}, 60)
    trust = ssl.create_default_context(cafile=str(cameras.service.ca))
    async with (
        ClientSession(connector=TCPConnector(ssl=trust)) as session,
        session.ws_connect(URL(url, encoded=True)) as socket,
    ):
        yield socket
    await asyncio.sleep(0.1)  # TLS says good-bye


def packed(facts: dict[str, Any]) -> str:
    return base64.b64encode(json.dumps(facts).encode()).decode()


async def heard(socket: ClientWebSocketResponse) -> dict[str, Any]:
    message = await socket.receive(timeout=10)
    assert message.type is WSMsgType.TEXT, message
    told: dict[str, Any] = json.loads(message.data)
    return told


def test_an_offer_goes_up_and_an_answer_comes_down(cameras: Cameras, page: PageServer) -> None:
    arn = cameras.channel("cam")

    async def meet() -> list[str]:
        texts = []
        async with master(cameras, arn) as camera, opened(page) as session:
            identity = await camera_id(session, page)
            async with session.ws_connect(f"{page.base.replace('http', 'ws')}/ws/{identity}") as viewer:
                first = await viewer.receive(timeout=10)
                texts.append(str(first.data))
                assert json.loads(first.data)["messageType"] == "ICE_SERVERS"
                await viewer.send_json(
                    {"action": "SDP_OFFER", "messagePayload": packed({"type": "offer", "sdp": "v=0"})}
                )
                offer = await heard(camera)
                assert offer["messageType"] == "SDP_OFFER"
                assert offer["senderClientId"].startswith("boardcast-")
                answer = {"action": "SDP_ANSWER", "recipientClientId": offer["senderClientId"]}
                await camera.send_json(answer | {"messagePayload": packed({"type": "answer", "sdp": "v=0"})})
                told = await viewer.receive(timeout=10)
                texts.append(str(told.data))
                assert json.loads(told.data) == {
                    "messageType": "SDP_ANSWER",
                    "messagePayload": packed({"type": "answer", "sdp": "v=0"}),
                }
        return texts

    for text in asyncio.run(meet()):
        for word in ("X-Amz", "Signature", "arn:", cameras.service.keys.access_key if cameras.service.keys else ""):
            assert word not in text


@pytest.mark.parametrize(
    "message",
    [
        "nonsense",
        "[]",
        '{"action":"SDP_ANSWER","messagePayload":"eA=="}',
        '{"action":"GO_AWAY"}',
        '{"action":"SDP_OFFER","messagePayload":7}',
        json.dumps({"action": "SDP_OFFER", "messagePayload": "A" * 10_001}),
        '{"action":"SDP_OFFER"' + "[" * 900,
    ],
)
def test_what_is_no_offer_or_candidate_is_not_sent(cameras: Cameras, page: PageServer, message: str) -> None:
    arn = cameras.channel("cam")

    async def meet() -> None:
        async with master(cameras, arn) as camera, opened(page) as session:
            identity = await camera_id(session, page)
            async with session.ws_connect(f"{page.base.replace('http', 'ws')}/ws/{identity}") as viewer:
                assert (await heard(viewer))["messageType"] == "ICE_SERVERS"
                await viewer.send_str(message)
                assert (await heard(viewer))["code"] == "NotSent"
                await viewer.send_json({"action": "ICE_CANDIDATE", "messagePayload": packed({"candidate": ""})})
                assert (await heard(camera))["messageType"] == "ICE_CANDIDATE"

    asyncio.run(meet())


def test_a_flood_is_held_back(cameras: Cameras, page: PageServer) -> None:
    cameras.channel("cam")

    async def flood() -> int:
        async with opened(page) as session:
            identity = await camera_id(session, page)
            async with session.ws_connect(f"{page.base.replace('http', 'ws')}/ws/{identity}") as viewer:
                assert (await heard(viewer))["messageType"] == "ICE_SERVERS"
                for _ in range(300):
                    await viewer.send_json({"action": "SDP_ANSWER", "messagePayload": ""})
                return [(await heard(viewer))["code"] for _ in range(300)].count("TooMany")

    assert asyncio.run(flood()) > 100


def test_links_for_other_players_work_without_the_cookie_and_name_nothing_of_the_service(
    cameras: Cameras, page: PageServer
) -> None:
    arn = cameras.channel("cam")

    async def meet() -> None:
        async with opened(page) as session:
            identity = await camera_id(session, page)
            async with session.post(f"{page.base}/api/links/{identity}", json={}) as answer:
                links = await answer.json()
        line = links["go2rtc"]
        assert line.startswith("webrtc:ws://127.0.0.1:")
        assert "#format=kinesis#client_id=" in line
        assert "X-Amz" not in line
        url = line.removeprefix("webrtc:").partition("#")[0]
        async with master(cameras, arn) as camera, ClientSession() as other, other.ws_connect(url) as viewer:
            assert (await heard(viewer))["messageType"] == "ICE_SERVERS"
            # go2rtc names itself in its messages; the service knows the viewer by what was signed.
            sent = {"action": "SDP_OFFER", "recipientClientId": "go2rtc", "messagePayload": packed({"sdp": "v=0"})}
            await viewer.send_json(sent)
            assert (await heard(camera))["senderClientId"].startswith("boardcast-")
            async with other.get(url.replace("ws:", "http:").replace(url.split("/")[-2], "x" * 22)) as answer:
                assert answer.status == 410

    asyncio.run(meet())


def test_a_channel_that_is_gone_is_told_in_words(cameras: Cameras, page: PageServer) -> None:
    arn = cameras.channel("cam")

    async def meet() -> None:
        async with opened(page) as session:
            identity = await camera_id(session, page)
            cameras.remove_channel(arn)
            async with session.ws_connect(f"{page.base.replace('http', 'ws')}/ws/{identity}") as viewer:
                told = await heard(viewer)
                assert told["messageType"] == "PAGE_NOTE"
                assert "no such stream or channel" in told["words"]

    asyncio.run(meet())
