"""The service's endpoints, from the board and from this workstation: who reaches which, and why not."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from deploy.reach.ask import NAT, rows_as_endpoints
from deploy.reach.endpoints import Endpoint
from deploy.reach.judge import judge
from deploy.reach.nat import Relay, viewers
from deploy.reach.seen import Seen
from deploy.verify.facts import Facts


def test_endpoint_is_reached(facts: Facts, endpoint: Endpoint, record_property: Callable[[str, object], None]) -> None:
    """With a real TLS handshake, by the board's own CA file and clock; STUN and TURN in their own words."""
    network = facts.network
    if network.board is None:
        pytest.skip(f"this release's boardprobe looks at no endpoints: {network.said or 'it said nothing'}")
    seen = network.board.get(endpoint.name)
    if seen is None:
        pytest.skip("the board was not asked about it")
    found = judge(endpoint, seen, network.here.get(endpoint.name, Seen()), facts.skew)
    record_property("evidence", found.words)
    record_property("cause", found.cause)
    record_property("cure", found.cure)
    assert found.reached, found.words


def test_viewers_can_connect(
    facts: Facts, release: dict[str, Any], record_property: Callable[[str, object], None]
) -> None:
    """What the NAT on the board's way, STUN and TURN mean for who watches by WebRTC."""
    endpoints = rows_as_endpoints(release["endpoints"])
    if not any(one.kind == "nat" for one in endpoints):
        pytest.skip("no signaling channel in the board's file")
    board = facts.network.board or {}
    seen = board.get(NAT)
    if seen is None:
        pytest.skip("the board did not look")
    relays = [
        Relay(transport=one.transport, seen=board.get(one.name, Seen())) for one in endpoints if one.kind == "turn"
    ]
    found = viewers(seen, relays, facts.network.discovered)
    record_property("evidence", found.words)
    record_property("cause", found.cause)
    record_property("cure", found.cure)
    assert found.reached, found.words
