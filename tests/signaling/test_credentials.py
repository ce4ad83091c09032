"""Keys for a certificate, over real TLS: who gets them, who does not, and when they end."""

from __future__ import annotations

import asyncio
import datetime as dt
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from deploy.kvs.keys import Key
from deploy.kvs.tls import Authority
from deploy.signaling.credentials import provision_thing, revoke
from tests.support.signaling import World, serving

pytestmark = pytest.mark.loopback
ALIAS = "camera-role"
Chain = tuple[bytes, bytes]


class Clock:
    """Today, and as much later as a test says."""

    later = 0.0

    def __call__(self) -> float:
        return time.time() + self.later


@asynccontextmanager
async def provisioned(folder: Path, seconds: float = 900) -> AsyncIterator[tuple[World, Chain, Clock]]:
    """Serve, and let `cam01` in."""
    clock = Clock()
    async with serving(folder, clock=clock) as world:
        chain = provision_thing(world.service.store, world.authority, "cam01", ALIAS, seconds=seconds)
        yield world, chain, clock


async def ask(
    world: World, chain: Chain | None, thing: str | None = "cam01", alias: str = ALIAS
) -> tuple[int, dict[str, Any], str]:
    """Ask for keys; returns status, body and type of the error."""
    headers = {} if thing is None else {"x-amzn-iot-thingname": thing}
    url = f"{world.url}/role-aliases/{alias}/credentials"
    async with aiohttp.ClientSession() as session, session.get(url, headers=headers, ssl=world.trusting(chain)) as got:
        return got.status, await got.json(), got.headers.get("x-amzn-ErrorType", "")


def test_keys_are_lent_in_awss_shape(tmp_path: Path) -> None:
    async def run() -> None:
        async with provisioned(tmp_path) as (world, chain, _):
            for thing in ("cam01", None):
                status, body, _ = await ask(world, chain, thing)
                assert (status, list(body)) == (200, ["credentials"])
                lent = body["credentials"]
                assert sorted(lent) == ["accessKeyId", "expiration", "secretAccessKey", "sessionToken"]
                end = dt.datetime.strptime(lent["expiration"], "%Y-%m-%dT%H:%M:%SZ").replace(tzinfo=dt.UTC)
                assert 898 <= end.timestamp() - time.time() <= 900
                kept = world.service.store.keys.find(lent["accessKeyId"])
                assert kept is not None
                assert (kept.secret, kept.token, kept.holder) == (
                    *(lent["secretAccessKey"], lent["sessionToken"]),
                    "cam01",
                )

    asyncio.run(run())


def test_lent_keys_open_the_channel_until_they_end(tmp_path: Path) -> None:
    async def run() -> None:
        async with provisioned(tmp_path, seconds=5) as (world, chain, clock):
            lent = (await ask(world, chain))[1]["credentials"]
            key = Key(lent["accessKeyId"], lent["secretAccessKey"], lent["sessionToken"])
            async with world.connect(key=key) as master:
                assert not master.closed
            for wrong, status in ((Key(key.access, key.secret), "UnrecognizedClient"), (key, "ExpiredToken")):
                clock.later = 6 if wrong is key else 0
                with pytest.raises(aiohttp.WSServerHandshakeError) as caught:
                    await world.connect(key=wrong)
                assert dict(caught.value.headers or {})["x-amzn-ErrorType"].startswith(status)

    asyncio.run(run())


def test_who_is_refused(tmp_path: Path) -> None:
    """Statuses and messages as the service's own."""

    async def run() -> None:
        async with provisioned(tmp_path) as (world, chain, clock):
            store = world.service.store
            other = provision_thing(store, world.authority, "cam02", "another-role")
            unknown = world.authority.issue("cam01")
            denied = "AccessDeniedException"
            invalid = (403, {"message": "Certificate is invalid on this endpoint"}, denied)
            assert await ask(world, None) == (403, {"message": "Missing authentication"}, denied)
            assert await ask(world, unknown) == invalid
            wrong_name = (403, {"message": "Invalid thing name passed"}, denied)
            assert await ask(world, chain, "cam02") == wrong_name
            assert await ask(world, other, "cam01") == wrong_name
            no_alias = (404, {"message": "Role alias does not exist"}, "ResourceNotFoundException")
            assert await ask(world, chain, alias="nobody") == no_alias
            assert await ask(world, chain, alias="another-role") == (403, {"message": "Access Denied"}, denied)
            again = provision_thing(store, world.authority, "cam01", ALIAS)
            assert await ask(world, chain) == invalid
            assert (await ask(world, again))[0] == 200
            clock.later = 400 * 86_400.0
            assert await ask(world, again) == invalid
            clock.later = 0.0
            revoke(store, "cam01")
            assert await ask(world, again) == invalid
            assert (await ask(world, other, "cam02", "another-role"))[0] == 200

    asyncio.run(run())


def test_a_certificate_of_another_authority_does_not_get_through_tls(tmp_path: Path) -> None:
    async def run() -> None:
        async with provisioned(tmp_path / "ours") as (world, chain, _):
            (tmp_path / "theirs").mkdir()
            stranger = Authority(tmp_path / "theirs").issue("cam01")
            with pytest.raises(aiohttp.ClientError):
                await ask(world, stranger)
            assert (await ask(world, chain))[0] == 200

    asyncio.run(run())


def test_the_certificate_is_asked_for_under_the_regions_name_too(tmp_path: Path) -> None:
    """Under another name TLS goes on with another context; a device uses the name."""
    name = "local.credentials.iot.eu-west-1.amazonaws.com"

    async def run() -> None:
        async with provisioned(tmp_path) as (world, chain, _), aiohttp.ClientSession(headers={"Host": name}) as session:
            (tmp_path / "theirs").mkdir()
            url = f"{world.url}/role-aliases/{ALIAS}/credentials"
            for shown, status in ((chain, 200), (None, 403)):
                async with session.get(url, ssl=world.trusting(shown), server_hostname=name) as answer:
                    assert answer.status == status
            stranger = world.trusting(Authority(tmp_path / "theirs").issue("cam01"))
            with pytest.raises(aiohttp.ClientError):
                await session.get(url, ssl=stranger, server_hostname=name)

    asyncio.run(run())


@pytest.mark.parametrize(("thing", "alias"), [("a b", ALIAS), ("cam01", "a/b"), ("", ALIAS), ("cam01", "")])
def test_a_name_that_is_none_is_not_provisioned(thing: str, alias: str, tmp_path: Path) -> None:
    async def run() -> None:
        async with serving(tmp_path) as world:
            with pytest.raises(ValueError, match="no name"):
                provision_thing(world.service.store, world.authority, thing, alias)

    asyncio.run(run())


def test_no_name_in_the_path_breaks_it(tmp_path: Path) -> None:
    async def run() -> None:
        async with provisioned(tmp_path) as (world, chain, _):
            for alias in ("%00", "..%2f..", "%27%20OR%201", "x" * 200, "%ff%fe", "a%0d%0ab"):
                assert (await ask(world, chain, alias=alias))[0] in (400, 404)

    asyncio.run(run())
