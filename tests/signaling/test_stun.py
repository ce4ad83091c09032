"""The STUN answerer against aioice, another implementation."""

from __future__ import annotations

import asyncio
import os
import random

import pytest
from aioice import stun
from aioice.candidate import Candidate
from aioice.ice import Connection, StunProtocol

from deploy.signaling.stun import answer, binding_request, serve_stun


def ask(**attributes: object) -> stun.Message:
    message = stun.Message(stun.Method.BINDING, stun.Class.REQUEST)
    message.attributes.update(attributes)
    return message


@pytest.mark.parametrize("host", ["192.0.2.7", "2001:db8::7", "fe80::1%eth0"])
def test_the_address_is_the_senders(host: str) -> None:
    request = ask(USERNAME="a:b")
    request.add_message_integrity(b"secret")
    said = answer(bytes(request), host, 40_000)
    assert said is not None
    read = stun.parse_message(said)
    assert (read.message_method, read.message_class) == (stun.Method.BINDING, stun.Class.RESPONSE)
    assert read.transaction_id == request.transaction_id
    assert read.attributes["XOR-MAPPED-ADDRESS"] == (host.partition("%")[0], 40_000)
    assert "FINGERPRINT" in read.attributes


def test_our_own_question_is_one_to_another_reader() -> None:
    read = stun.parse_message(binding_request(b"123456789012"))
    assert (read.message_method, read.message_class) == (stun.Method.BINDING, stun.Class.REQUEST)


def test_an_attribute_that_has_to_be_understood_is_refused_by_name() -> None:
    request = bytes(ask())
    strange = request[:2] + b"\x00\x08" + request[4:20] + b"\x00\x77\x00\x03abc\x00"
    said = answer(strange, "192.0.2.7", 1)
    assert said is not None
    read = stun.parse_message(said)
    assert read.message_class == stun.Class.ERROR
    assert read.attributes["ERROR-CODE"] == (420, "Unknown Attribute")
    assert b"\x00\x0a\x00\x02\x00\x77" in said


def test_what_is_no_binding_request_gets_no_answer() -> None:
    good = bytes(ask(PRIORITY=7))
    bad_sum = bytes(ask())[:2] + b"\x00\x08" + bytes(ask())[4:] + b"\x80\x28\x00\x04abcd"
    response = answer(good, "192.0.2.7", 1)
    assert response is not None
    for data in (
        *(b"", good[:19], good[:-1], good + b"\x00" * 4, b"\xff" * 20, bad_sum, response),
        *(good[:4] + b"\x00" * 4 + good[8:], good[:20] + b"\x00\x06\xff\xff" + good[24:], b"\x00" * 2_000),
        bytes(stun.Message(stun.Method.ALLOCATE, stun.Class.REQUEST)),
        bytes(stun.Message(stun.Method.BINDING, stun.Class.INDICATION)),
    ):
        assert answer(data, "192.0.2.7", 1) is None, data[:40]


def test_no_datagram_breaks_it() -> None:
    dice = random.Random(7)
    good = bytes(ask(PRIORITY=7, USERNAME="a:b"))
    for _ in range(3_000):
        data = bytearray(good)
        for _ in range(dice.randrange(1, 6)):
            data[dice.randrange(len(data))] = dice.randrange(256)
        said = answer(bytes(data[: dice.randrange(len(data) + 1)] if dice.random() < 0.3 else data), "192.0.2.7", 1)
        assert said is None or len(said) < 300


@pytest.mark.loopback
def test_aioice_learns_its_address() -> None:
    async def learn() -> None:
        server = await serve_stun("127.0.0.1", 0)
        host, port = server.get_extra_info("sockname")
        transport, client = await asyncio.get_running_loop().create_datagram_endpoint(
            lambda: StunProtocol(Connection(ice_controlling=True)), local_addr=("127.0.0.1", 0)
        )
        own = transport.get_extra_info("sockname")
        client.local_candidate = Candidate("1", 1, "udp", 1, own[0], own[1], "host")
        try:
            response, _ = await client.request(ask(), (host, port))
            assert response.attributes["XOR-MAPPED-ADDRESS"] == own
            for junk in (os.urandom(50), b""):
                transport.sendto(junk, (host, port))
            assert (await client.request(ask(), (host, port)))[0].message_class == stun.Class.RESPONSE
        finally:
            for one in (transport, server):
                one.close()
            await asyncio.sleep(0)

    asyncio.run(learn())
