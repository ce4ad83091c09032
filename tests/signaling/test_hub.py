"""What waits for whom, and for how long."""

from __future__ import annotations

import asyncio
import json
from dataclasses import dataclass

import pytest

from deploy.kvs.errors import ServiceError
from deploy.kvsstore.channels import Channel
from deploy.signaling.hub import MOST_HELD, Hub
from deploy.signaling.messages import Message, read_fields, read_message
from deploy.signaling.peers import MOST_WAITING, Limits, Peer, Rate


@dataclass
class Clock:
    now: float = 1_000.0

    def __call__(self) -> float:
        return self.now


def channel(name: str = "cam01", ttl: int = 60) -> Channel:
    arn = f"arn:aws:kinesisvideo:eu-west-1:123456789012:channel/{name}/1"
    return Channel(1, "eu-west-1", name, arn, 0.0, "v", ttl, "SINGLE_MASTER", {})


def waiting(peer: Peer) -> list[dict[str, str]]:
    """Return what is queued for a client."""
    found = [json.loads(text) for text in peer._texts]
    peer._texts.clear()
    return found


def offer(payload: str) -> Message:
    return Message("SDP_OFFER", "", payload)


def test_an_offer_waits_for_the_master_as_long_as_the_channel_says() -> None:
    clock = Clock()
    hub = Hub(clock, Limits())
    for early, late in ((59.0, 1), (61.0, 0)):
        viewer = hub.join(channel(), "v")
        hub.pass_on(viewer, channel(), offer("eA=="))
        assert hub.facts(channel().arn) == {"master": False, "viewers": ["v"], "waiting": 1}
        clock.now += early
        master = hub.join(channel(), "")
        assert [text["senderClientId"] for text in waiting(master)] == ["v"] * late
        hub.leave(master)
        hub.leave(viewer)


def test_a_newer_offer_takes_the_place_of_the_older_and_candidates_all_wait() -> None:
    hub = Hub(Clock(), Limits())
    one, two = hub.join(channel(), "one"), hub.join(channel(), "two")
    for payload in ("b2xk", "bmV3"):
        hub.pass_on(one, channel(), offer(payload))
        hub.pass_on(one, channel(), Message("ICE_CANDIDATE", "", payload))
    hub.pass_on(two, channel(), offer("eA=="))
    came = [(text["senderClientId"], text["messagePayload"]) for text in waiting(hub.join(channel(), ""))]
    assert came == [("one", "b2xk"), ("one", "bmV3"), ("one", "bmV3"), ("two", "eA==")]


def test_an_answer_waits_for_its_viewer_and_for_no_other_channel() -> None:
    hub = Hub(Clock(), Limits())
    hub.pass_on(hub.join(channel(), ""), channel(), Message("SDP_ANSWER", "v", "eA=="))
    assert waiting(hub.join(channel("cam02"), "v")) == []
    assert waiting(hub.join(channel(), "w")) == []
    assert waiting(hub.join(channel(), "v")) == [{"messageType": "SDP_ANSWER", "messagePayload": "eA=="}]


def test_what_waits_is_bounded_and_goes_with_its_channel() -> None:
    clock = Clock()
    hub = Hub(clock, Limits())
    viewer = hub.join(channel(), "v")
    for _ in range(MOST_HELD):
        hub.pass_on(viewer, channel(), Message("ICE_CANDIDATE", "", "eA=="))
    with pytest.raises(ServiceError, match="ClientLimitExceeded"):
        hub.pass_on(viewer, channel(), Message("ICE_CANDIDATE", "", "eA=="))
    clock.now += 61
    hub.pass_on(viewer, channel(), offer("eA=="))
    assert len(hub._held) == 1
    asyncio.run(hub.close_channel(channel().arn))
    assert (hub._held, viewer.ending) == ([], (1001, "the channel is deleted"))


def test_a_slow_reader_is_ended_and_its_queue_dropped() -> None:
    peer = Peer("arn", "v")
    assert all(peer.send("x") for _ in range(MOST_WAITING))
    assert not peer.send("x")
    assert (peer.ending, asyncio.run(peer.next())) == ((1008, "messages are not read"), None)
    assert not peer.send("x")


def test_an_offer_in_anothers_name_gets_the_masters_answer() -> None:
    async def ask() -> None:
        hub = Hub(Clock(), Limits())
        master = hub.join(channel(), "")
        asking = asyncio.create_task(hub.ask(channel(), "alexa", "b2ZmZXI=", 5))
        await asyncio.sleep(0)
        assert waiting(master)[0]["senderClientId"] == "alexa"
        with pytest.raises(ServiceError, match="still waiting"):
            await hub.ask(channel(), "alexa", "b2ZmZXI=", 5)
        hub.pass_on(master, channel(), Message("ICE_CANDIDATE", "alexa", "eA=="))
        hub.pass_on(master, channel(), Message("SDP_ANSWER", "alexa", "YW5zd2Vy"))
        assert await asking == "YW5zd2Vy"
        with pytest.raises(ServiceError, match="did not answer"):
            await hub.ask(channel(), "alexa", "b2ZmZXI=", 0.01)

    asyncio.run(ask())


@pytest.mark.parametrize("keys", [("MessagePayload", "RecipientClientId"), ("messagePayload", "recipientClientId")])
def test_both_spellings_are_read(keys: tuple[str, str]) -> None:
    text = json.dumps({"action": "SDP_ANSWER", keys[0]: "eA==", keys[1]: "v", "other": {}})
    assert read_message(read_fields(text), from_master=True) == Message("SDP_ANSWER", "v", "eA==")


def test_a_rate_lets_a_burst_through_and_then_so_many_a_second() -> None:
    rate = Rate(20, 0.0)
    assert sum(rate.take(0.0) for _ in range(50)) == 20
    assert sum(rate.take(1 + step / 100) for step in range(100)) in (39, 40)
