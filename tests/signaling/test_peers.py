"""Two real WebRTC peers that know each other through the service alone: the picture arrives, and it moves."""

from __future__ import annotations

import asyncio
import json
import time
from pathlib import Path

import aioice.ice
import pytest

from deploy.signaling.stun import serve_stun
from deploy.webrtc.viewer import offered
from tests.support.signaling import packed, serving
from tests.support.webrtcpeer import bar, follow, peer, watch

pytestmark = pytest.mark.loopback


@pytest.fixture(autouse=True)
def _loopback_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    """Leave the machine's other addresses out: aioice never offers loopback by itself."""
    monkeypatch.setattr(aioice.ice, "get_host_addresses", lambda **_: ["127.0.0.1"])


@pytest.mark.parametrize("late", [False, True], ids=["master-first", "viewer-first"])
def test_a_picture_travels(late: bool, tmp_path: Path) -> None:
    async def meet() -> None:
        stun = await serve_stun("127.0.0.1", 0)
        async with serving(tmp_path) as world, world.connect("viewer") as viewer_socket:
            server = "stun:{}:{}".format(*stun.get_extra_info("sockname"))
            master, viewer = peer(server), peer(server)
            watching = asyncio.create_task(watch(viewer_socket, viewer)) if late else None
            await asyncio.sleep(0.5 if late else 0)
            began = time.monotonic()
            async with world.connect() as master_socket:
                tasks = [
                    asyncio.create_task(follow(master_socket, master)),
                    asyncio.create_task(follow(viewer_socket, viewer)),
                ]
                async with asyncio.timeout(20):
                    track = await (watching or watch(viewer_socket, viewer))
                    places = [bar(await track.recv())]
                    first = time.monotonic() - began
                    places += [bar(await track.recv()) for _ in range(15)]
                assert first < 5
                assert len({round(place) for place in places}) > 8, "the bar has to move"
                for task in tasks:
                    task.cancel()
                await asyncio.gather(*tasks, return_exceptions=True)
            await asyncio.gather(master.close(), viewer.close())
        stun.close()
        await asyncio.sleep(0)

    asyncio.run(meet())


def test_an_offer_with_sound_and_picture_fits_into_a_message() -> None:
    async def offer() -> None:
        connection = peer()
        connection.addTransceiver("video", direction="recvonly")
        connection.addTransceiver("audio", direction="recvonly")
        sdp, candidates = offered((await connection.createOffer()).sdp)
        await connection.close()
        assert not candidates, "none before they are gathered"
        assert len(packed(json.dumps({"type": "offer", "sdp": sdp}))) < 10_000

    asyncio.run(offer())
