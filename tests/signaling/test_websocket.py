"""Master and viewers over real TLS and real WebSockets: who hears what, and who is sent away."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path

import aiohttp
import pytest
from yarl import URL

from deploy.kvs.keys import Key
from deploy.signaling.hub import hub_of, send_events
from deploy.signaling.messages import MOST_FRAME
from deploy.signaling.peers import Limits
from tests.support.signaling import REGION, World, closed, heard, js, packed, serving, silent, until

pytestmark = pytest.mark.loopback


def clients(world: World) -> tuple[bool, list[str]]:
    facts = hub_of(world.service).facts(world.channel.arn)
    return facts["master"], facts["viewers"]


def test_offer_answer_and_candidates_find_their_way(tmp_path: Path) -> None:
    async def meet() -> None:
        async with serving(tmp_path) as world, world.connect() as master, world.connect("viewer-1") as viewer:
            assert master.protocol == viewer.protocol == "wss"
            await viewer.send_str(js("SDP_OFFER", packed("offer"), to="somebody-else"))
            assert await heard(master) == {
                "messageType": "SDP_OFFER",
                "messagePayload": packed("offer"),
                "senderClientId": "viewer-1",
            }
            # The spelling of the C SDK.
            await master.send_json(
                {
                    "action": "SDP_ANSWER",
                    "RecipientClientId": "viewer-1",
                    "MessagePayload": packed("answer"),
                    "CorrelationId": "7",
                }
            )
            assert await heard(viewer) == {"messageType": "SDP_ANSWER", "messagePayload": packed("answer")}
            await viewer.send_str(js("ICE_CANDIDATE", packed("candidate")))
            assert (await heard(master))["messageType"] == "ICE_CANDIDATE"
            assert await silent(viewer)

    asyncio.run(meet())


def test_a_viewer_is_heard_by_the_master_alone(tmp_path: Path) -> None:
    async def meet() -> None:
        async with (
            serving(tmp_path) as world,
            world.connect() as master,
            world.connect("one") as one,
            world.connect("two") as two,
        ):
            await one.send_str(js("SDP_OFFER", to="two"))
            assert (await heard(master))["senderClientId"] == "one"
            assert await silent(two)

    asyncio.run(meet())


def test_pings_are_answered_and_empty_frames_are_not_messages(tmp_path: Path) -> None:
    async def meet() -> None:
        async with serving(tmp_path) as world, world.connect("v") as viewer:
            await viewer.ping(b"mark")
            frame = await viewer.receive(timeout=5)
            assert (frame.type, frame.data) == (aiohttp.WSMsgType.PONG, b"mark")
            await viewer.send_str("")
            await viewer.send_bytes(b"")
            assert await silent(viewer)

    asyncio.run(meet())


def test_the_newest_master_wins(tmp_path: Path) -> None:
    async def meet() -> None:
        async with (
            serving(tmp_path) as world,
            world.connect() as older,
            world.connect("v") as viewer,
            world.connect() as newer,
        ):
            assert await closed(older) == 1001
            await viewer.send_str(js("SDP_OFFER"))
            assert (await heard(newer))["senderClientId"] == "v"
            # The older one's end must not take the newer one's place away.
            assert clients(world) == (True, ["v"])

    asyncio.run(meet())


def test_a_viewer_that_comes_again_takes_its_own_place(tmp_path: Path) -> None:
    async def meet() -> None:
        async with (
            serving(tmp_path, limits=Limits(viewers=1)) as world,
            world.connect("v") as older,
            world.connect("v") as newer,
            world.connect() as master,
        ):
            assert await closed(older) == 1001
            await master.send_str(js("SDP_OFFER", to="v"))
            assert (await heard(newer))["messageType"] == "SDP_OFFER"

    asyncio.run(meet())


def test_the_eleventh_viewer_is_refused(tmp_path: Path) -> None:
    async def meet() -> None:
        async with serving(tmp_path) as world:
            viewers = [await world.connect(f"v{number}") for number in range(10)]
            assert await refusal(world, "v10") == (400, "ClientLimitExceededException")
            await viewers[3].close()
            await until(lambda: len(clients(world)[1]) == 9)
            async with world.connect("v10"):
                pass

    asyncio.run(meet())


async def refusal(world: World, client: str = "", **more: str | Key) -> tuple[int, str]:
    """Return the status and the type of error of a connection that is refused."""
    with pytest.raises(aiohttp.WSServerHandshakeError) as caught:
        await world.connect(client, **more)
    return caught.value.status, dict(caught.value.headers or {})["x-amzn-ErrorType"]


def test_who_may_not_connect_is_told_before_the_upgrade(tmp_path: Path) -> None:
    async def meet() -> None:
        async with serving(tmp_path) as world:
            gone = world.channel.arn.replace("cam01", "cam02")
            assert await refusal(world, arn=gone) == (404, "ResourceNotFoundException")
            assert await refusal(world, arn="arn:x") == (400, "InvalidArgumentException")
            for name in ("AWS_x", "a b", "ä", "x" * 257):
                assert await refusal(world, name) == (400, "InvalidArgumentException")
            wrong = Key(world.key.access, "another")
            assert await refusal(world, key=wrong) == (403, "InvalidSignatureException")
            assert world.finished == ["", "", "AWS_x", "a b", "ä", "x" * 257, ""]
            assert clients(world) == (False, [])

    asyncio.run(meet())


def test_a_request_that_is_no_upgrade_takes_nobodys_place(tmp_path: Path) -> None:
    async def meet() -> None:
        async with serving(tmp_path) as world, world.connect() as master, world.connect("v") as viewer:
            url = URL(world.signed_url(), encoded=True)
            for headers in ({}, {"Upgrade": "websocket", "Connection": "Upgrade"}):
                async with world.session.get(url, headers=headers, ssl=world.trusting()) as answer:
                    assert answer.status == 400
            await viewer.send_str(js("SDP_OFFER"))
            assert (await heard(master))["senderClientId"] == "v"

    asyncio.run(meet())


def test_errors_come_back_to_who_named_the_message(tmp_path: Path) -> None:
    async def meet() -> None:
        async with serving(tmp_path) as world, world.connect() as master:
            for text, why in (
                (js("SDP_ANSWER", correlation="1"), "recipientClientId"),
                (js("SDP_ANSWER", "x" * 10_004, to="v", correlation="1"), "10004 characters"),
                (js("SDP_ANSWER", "no base64!", to="v", correlation="1"), "base64"),
                (js("SHOUT", to="v", correlation="1"), "action must be one of"),
            ):
                await master.send_str(text)
                answer = await heard(master)
                assert answer["messageType"] == "STATUS_RESPONSE"
                said = answer["statusResponse"]
                assert (said["correlationId"], said["statusCode"]) == ("1", "400")
                assert said["errorType"] == "InvalidArgumentException"
                assert why in said["description"]
            await master.send_str(js("SHOUT", to="v"))
            assert await silent(master)

    asyncio.run(meet())


@pytest.mark.parametrize(
    "text",
    [
        *("[" * 30_000, '{"a":' * 6_000, "null", "[]", '"x"', "{", "\x00", '{"action": 1, "correlationId": "c"}'),
        *('{"action": {"action": "SDP_OFFER"}}', '{"action": "SDP_OFFER", "messagePayload": [1]}', "9" * 30_000),
        '{"correlationId": "<script>", "action": "x"}',
    ],
    ids=lambda text: text[:12],
)
def test_a_hostile_message_is_left_out_and_the_next_one_is_heard(text: str, tmp_path: Path) -> None:
    async def meet() -> None:
        async with serving(tmp_path) as world, world.connect() as master, world.connect("v") as viewer:
            await viewer.send_str(text)
            await viewer.send_str(js("SDP_OFFER"))
            assert (await heard(master))["messageType"] == "SDP_OFFER"
            assert await silent(viewer)

    asyncio.run(meet())


def test_a_frame_that_is_too_long_or_no_text_ends_the_connection(tmp_path: Path) -> None:
    async def meet() -> None:
        async with serving(tmp_path) as world:
            async with world.connect("v") as viewer:
                await viewer.send_str("x" * (MOST_FRAME + 1))
                assert await closed(viewer) == 1009
            async with world.connect("v") as viewer:
                await viewer.send_bytes(b"\x00\x01")
                assert await closed(viewer) == 1003
            await until(lambda: world.finished == ["v", "v"])

    asyncio.run(meet())


def test_twenty_candidates_a_second_and_no_more(tmp_path: Path) -> None:
    async def meet() -> None:
        async with serving(tmp_path) as world, world.connect() as master, world.connect("v") as viewer:
            for number in range(40):
                await viewer.send_str(js("ICE_CANDIDATE", correlation=str(number)))
            refused = await heard(viewer)
            assert refused["statusResponse"]["errorType"] == "ClientLimitExceededException"
            passed = 0
            while not await silent(master):
                passed += 1
            assert 20 <= passed <= 25

    asyncio.run(meet())


def test_a_flood_of_pings_ends_the_connection(tmp_path: Path) -> None:
    async def meet() -> None:
        async with serving(tmp_path, limits=Limits(frames=50)) as world, world.connect("v") as viewer:
            for _ in range(200):
                await viewer.ping()
            code = None
            while code is None:
                frame = await viewer.receive(timeout=5)
                code = frame.data if frame.type is aiohttp.WSMsgType.CLOSE else None
                assert frame.type in (aiohttp.WSMsgType.PONG, aiohttp.WSMsgType.CLOSE)
            assert code == 1008

    asyncio.run(meet())


def test_a_connection_has_an_hour_and_is_told_before(tmp_path: Path) -> None:
    async def meet() -> None:
        limits = Limits(connection=0.6, grace=0.3)
        async with serving(tmp_path, limits=limits) as world, world.connect() as master:
            begun = asyncio.get_running_loop().time()
            assert (await heard(master))["messageType"] == "GO_AWAY"
            assert await closed(master) == 1001
            assert 0.5 < asyncio.get_running_loop().time() - begun < 2

    asyncio.run(meet())


def test_who_is_silent_for_too_long_is_cut_off_and_a_ping_is_not_silence(tmp_path: Path) -> None:
    async def meet() -> None:
        async with (
            serving(tmp_path, limits=Limits(idle=0.4)) as world,
            world.connect() as master,
            world.connect("v") as viewer,
        ):
            for _ in range(4):
                await asyncio.sleep(0.2)
                await master.ping()
            assert await closed(viewer) == 1001
            assert clients(world) == (True, [])

    asyncio.run(meet())


def test_events_on_demand(tmp_path: Path) -> None:
    async def meet() -> None:
        async with (
            serving(tmp_path, limits=Limits(grace=0.2)) as world,
            world.connect() as master,
            world.connect("v") as viewer,
        ):
            assert send_events(world.service, "cam01", REGION, "RECONNECT_ICE_SERVER", "v") == 1
            assert (await heard(viewer))["messageType"] == "RECONNECT_ICE_SERVER"
            assert await silent(master)
            assert send_events(world.service, "cam01", REGION, "GO_AWAY") == 2
            assert (await heard(master))["messageType"] == "GO_AWAY"
            assert await closed(master) == await closed(viewer) == 1001
            with pytest.raises(Exception, match="the events are"):
                send_events(world.service, "cam01", REGION, "SDP_OFFER")

    asyncio.run(meet())


def test_a_deleted_channel_has_no_clients(tmp_path: Path) -> None:
    async def meet() -> None:
        async with serving(tmp_path) as world, world.connect() as master:
            assert await world.call("deleteSignalingChannel", {"ChannelARN": world.channel.arn}) == (200, {})
            assert await closed(master) == 1001
            await until(lambda: world.finished == [""])

    asyncio.run(meet())


def test_a_master_that_is_killed_leaves_its_place_and_offers_wait_for_the_next(tmp_path: Path) -> None:
    async def meet() -> None:
        async with serving(tmp_path) as world, world.connect("v") as viewer:
            master = await world.connect()
            connection = master._response.connection
            assert connection is not None
            assert connection.transport is not None
            connection.transport.abort()
            await until(lambda: world.finished == [""])
            await viewer.send_str(js("SDP_OFFER"))
            async with world.connect() as again:
                assert (await heard(again))["senderClientId"] == "v"

    asyncio.run(meet())


def test_a_reader_that_does_not_read_is_cut_off_with_bounded_memory(tmp_path: Path) -> None:
    """The master's payloads pile up for a viewer whose socket nobody reads; the others stay."""

    async def meet() -> None:
        limits = Limits(stalled=0.5, frames=100_000, rates=dict.fromkeys(("SDP_OFFER", "ICE_CANDIDATE"), 100_000.0))
        async with serving(tmp_path, limits=limits) as world, world.connect() as master:
            slow = await world.connect("slow")
            connection = slow._response.connection
            assert connection is not None
            assert isinstance(connection.transport, asyncio.Transport)
            connection.transport.pause_reading()
            text = js("ICE_CANDIDATE", "x" * 9_996, to="slow")
            sent = 0
            while "slow" not in world.finished:
                await master.send_str(text)
                sent += 1
                assert sent < 20_000
                await asyncio.sleep(0)
            assert clients(world) == (True, [])
            connection.transport.abort()
            async with world.connect("quick") as quick:
                await quick.send_str(js("SDP_OFFER"))
                assert json.loads((await master.receive(timeout=5)).data)["senderClientId"] == "quick"

    asyncio.run(meet())
