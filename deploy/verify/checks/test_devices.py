"""Cameras and microphones of the streams: there, nobody else's, and able to give what is asked."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace

import pytest

from deploy.verify.asked import Asked, microphone_node, read_launch, refused
from deploy.verify.facts import Facts
from recipes.text import one_line


def _asked(facts: Facts) -> dict[str, Asked]:
    return {name: read_launch(stream.launch) for name, stream in facts.streams.items()}


def _opened(facts: Facts) -> Iterator[tuple[str, str, str | None]]:
    """Yield a stream, the name of a device that it opens, and its node: None for none, empty where nobody can tell."""
    for name, asked in _asked(facts).items():
        for wish in asked.cameras:
            node = facts.links.get(wish.node, wish.node)
            yield name, wish.node, node if node in facts.nodes else None
        for microphone in asked.microphones:
            yield name, microphone, microphone_node(microphone, facts.sound, facts.nodes)


def test_devices_are_there_and_free(facts: Facts, record_property: Callable[[str, object], None]) -> None:
    """A stream's own process may have its device; who else has it is told by name."""
    opened = list(_opened(facts))
    if not opened:
        pytest.skip("no stream of this release opens a camera or a microphone by its node")
    own = {stream.state.pid for stream in facts.streams.values() if stream.state.pid}
    absent = [f"{stream}: {name} is not there" for stream, name, node in opened if node is None]
    busy = [
        f"{stream}: {name} is in use by {one_line(holder.process) or '?'} (process {holder.pid})"
        for stream, name, node in opened
        for holder in facts.holders
        if node and holder.device.startswith(node) and holder.pid not in own
    ]
    held = {holder.device for holder in facts.holders}
    words = {None: "absent", "": "not looked at"}
    told = [
        f"{stream}: {name} {words.get(node, 'in use by it' if node in held else 'free')}"
        for stream, name, node in opened
    ]
    record_property("evidence", one_line(", ".join(told)))
    if absent or busy:
        record_property("cause", "device-missing" if absent else "device-busy")
    assert not absent, one_line("; ".join(absent + busy))
    assert not busy, one_line("; ".join(busy))


def test_cameras_offer_what_the_streams_ask_for(facts: Facts, record_property: Callable[[str, object], None]) -> None:
    """By the driver's own list; a camera whose list nobody could read is not judged."""
    nodes = {node.path: node for node in facts.video if node.formats}
    wishes = [
        (name, replace(wish, node=facts.links.get(wish.node, wish.node)))
        for name, asked in _asked(facts).items()
        for wish in asked.cameras
    ]
    if not any(wish.node in nodes for _, wish in wishes):
        pytest.skip(
            "no camera of a stream said what it offers" if wishes else "no stream of this release opens a camera"
        )
    seen = [(name, wish, refused(wish, nodes[wish.node])) for name, wish in wishes if wish.node in nodes]
    record_property(
        "evidence", one_line(", ".join(f"{name}: {wish.node} has {wish.in_words}" for name, wish, _ in seen))
    )
    faults = [f"{name}: {wish.node} has {why}" for name, wish, why in seen if why]
    assert not faults, one_line("; ".join(faults))
