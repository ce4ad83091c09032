"""The viewer without a screen, against a master in Python behind the local service's signaling."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import pytest

from deploy.causes.boardside import BoardView, StreamSeen
from deploy.cloud.reasons import Finding
from deploy.cloud.session import Calls
from deploy.webrtc.judge import judge_view
from deploy.webrtc.viewer import FRAMES, Viewed, offered, view
from tests.support.kvsmaster import Master
from tests.support.livecamera import service_of
from tests.support.localservice import LocalService, local_service

pytestmark = pytest.mark.loopback


@pytest.fixture
def local(tmp_path: Path) -> Iterator[LocalService]:
    with local_service(tmp_path / "kvs") as made:
        made.client("kinesisvideo").create_signaling_channel(ChannelName="door")
        yield made


@contextmanager
def master(local: LocalService) -> Iterator[None]:
    arn = local.client("kinesisvideo").describe_signaling_channel(ChannelName="door")["ChannelInfo"]["ChannelARN"]
    with Master(service_of(local), arn):
        yield


def looked(local: LocalService, channel: str = "door", *, url: str = "", seconds: float = 10) -> Viewed:
    service = service_of(local)
    calls = Calls(replace(service, endpoint_url=url or service.endpoint_url))
    try:
        return asyncio.run(view(calls, channel, seconds=seconds))
    finally:
        calls.close()


def judged(viewed: Viewed, board: BoardView | None = None) -> dict[str, Finding]:
    return {finding.check: finding for finding in judge_view(viewed, FRAMES, board)}


def test_pictures_that_reach_a_viewer_are_green(local: LocalService) -> None:
    with master(local):
        viewed = looked(local)
    found = judged(viewed)
    assert {finding.state for finding in found.values()} == {"passed"}, found
    assert viewed.frames == FRAMES
    assert viewed.first is not None
    assert viewed.round_trip is not None
    assert viewed.first < 5
    assert 0 < viewed.round_trip < 1
    assert (viewed.lost, viewed.received > FRAMES) == (0, True)
    assert viewed.pictures[-1].jpeg.startswith(b"\xff\xd8")


def test_a_channel_without_a_master_is_red_and_green_when_there_is_one(local: LocalService) -> None:
    viewed = looked(local, seconds=1.5)
    found = judged(viewed)
    assert [finding.reason for finding in found.values() if finding.state == "failed"] == ["no-master"]
    assert "this workstation is connected to the channel" in found["a master answers"].evidence
    with master(local):
        assert judged(looked(local))["a viewer gets pictures"].state == "passed"


def test_a_channel_that_is_not_there_is_red(local: LocalService) -> None:
    found = judged(looked(local, "gate"))
    assert found["a master answers"].reason == "no-channel"


def test_a_service_that_is_not_reached_from_here_says_who_reaches_it(local: LocalService) -> None:
    viewed = looked(local, url="https://localhost:1")
    assert judged(viewed)["a master answers"].reason == "workstation-unsure"
    assert judged(viewed, BoardView(seen=StreamSeen.CONFIRMED))["a master answers"].reason == "workstation-blocked"
    assert judged(viewed, BoardView(seen=StreamSeen.UNREACHED))["a master answers"].reason == "nobody"


@pytest.mark.parametrize(
    ("viewed", "reason"),
    [
        (Viewed(channel="door", answered=0.1, fault="the time of 20 s is over"), "no-connection"),
        (Viewed(channel="door", answered=0.1, connected=0.3, fault="no further picture"), "no-frames"),
        (Viewed(channel="door", answered=0.1, connected=0.3, first=0.5, frames=4), "few-frames"),
    ],
)
def test_how_far_it_came_is_its_own_reason(viewed: Viewed, reason: str) -> None:
    found = judged(viewed)
    assert found["a viewer gets pictures"].reason == reason
    assert found["the viewer's picture moves"].state == "skipped"


def test_an_offer_is_as_the_c_sdk_needs_it() -> None:
    lines = ["v=0", "a=fingerprint:sha-256 AA", "a=fingerprint:sha-384 BB", "a=fingerprint:sha-512 CC"]
    lines += ["m=video 9", "a=candidate:1 1 udp 1 127.0.0.1 9 typ host", "a=end-of-candidates"]
    sdp, candidates = offered("\r\n".join(lines))
    assert candidates == ["candidate:1 1 udp 1 127.0.0.1 9 typ host"]
    assert sdp.split("\r\n") == ["v=0", "a=fingerprint:sha-256 AA", "a=ice-options:trickle", "m=video 9", ""]
