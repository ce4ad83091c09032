"""The HTTPS calls of a channel, asked by boto3, which holds the answers against AWS's own model."""

from __future__ import annotations

import asyncio
import functools
from pathlib import Path
from typing import Any

import boto3
import pytest
from botocore.config import Config
from botocore.exceptions import ClientError

from tests.support.signaling import REGION, World, heard, js, packed, serving

pytestmark = pytest.mark.loopback


async def asked(world: World, operation: str, **arguments: Any) -> Any:
    """Call the API from a thread: boto3 waits for its answers."""
    client = boto3.client(
        "kinesis-video-signaling",
        endpoint_url=world.url,
        region_name=REGION,
        verify=str(world.authority.certificate),
        aws_access_key_id=world.key.access,
        aws_secret_access_key=world.key.secret,
        config=Config(retries={"max_attempts": 0}, read_timeout=20),
    )
    try:
        return await asyncio.to_thread(functools.partial(getattr(client, operation), **arguments))
    finally:
        client.close()


def test_without_turn_there_are_no_servers(tmp_path: Path) -> None:
    async def ask() -> None:
        async with serving(tmp_path) as world:
            for more in ({}, {"ClientId": "v"}, {"Username": "u"}, {"Service": "TURN"}):
                answer = await asked(world, "get_ice_server_config", ChannelARN=world.channel.arn, **more)
                assert answer["IceServerList"] == []
            gone = world.channel.arn.replace("cam01", "cam02")
            with pytest.raises(ClientError, match="ResourceNotFoundException"):
                await asked(world, "get_ice_server_config", ChannelARN=gone)

    asyncio.run(ask())


@pytest.mark.parametrize(
    "body",
    [
        *({}, {"ChannelARN": 7}, {"ChannelARN": "x"}),
        *({"ClientId": "a b"}, {"ClientId": ["v"]}, {"Service": "STUN"}, {"Username": "x" * 300}),
    ],
)
def test_arguments_that_are_none_are_refused(body: dict[str, Any], tmp_path: Path) -> None:
    async def ask() -> None:
        async with serving(tmp_path) as world:
            whole = {"ChannelARN": world.channel.arn} | body if body and "ChannelARN" not in body else body
            for path in ("v1/get-ice-server-config", "v1/send-alexa-offer-to-master"):
                assert (await world.call(path, whole))[0] == 400

    asyncio.run(ask())


def test_an_offer_of_alexa_is_answered_by_the_master_also_by_one_that_comes_later(tmp_path: Path) -> None:
    async def ask() -> None:
        async with serving(tmp_path) as world:
            offer = {"ChannelARN": world.channel.arn, "SenderClientId": "alexa", "MessagePayload": packed("offer")}
            asking = asyncio.create_task(asked(world, "send_alexa_offer_to_master", **offer))
            await asyncio.sleep(0.3)
            async with world.connect() as master:
                came = await heard(master)
                assert (came["messageType"], came["senderClientId"]) == ("SDP_OFFER", "alexa")
                assert came["messagePayload"] == packed("offer")
                await master.send_str(js("SDP_ANSWER", packed("answer"), to="alexa"))
                assert (await asking)["Answer"] == packed("answer")

    asyncio.run(ask())


def test_an_offer_of_alexa_that_nobody_answers_ends_with_the_channels_time(tmp_path: Path) -> None:
    async def ask() -> None:
        async with serving(tmp_path) as world:
            channels = world.service.store.channels
            channels.change(world.channel, world.channel.version, ttl=5)
            offer = {"ChannelARN": world.channel.arn, "SenderClientId": "alexa", "MessagePayload": packed("offer")}
            began = asyncio.get_running_loop().time()
            with pytest.raises(ClientError, match="did not answer"):
                await asked(world, "send_alexa_offer_to_master", **offer)
            assert 4.5 < asyncio.get_running_loop().time() - began < 8

    asyncio.run(ask())
