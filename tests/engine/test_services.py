"""Containers that run on: one is switched off and on with its files, and one beside it has rights that it has not."""

from __future__ import annotations

import time
import uuid
from collections.abc import Callable, Iterator

import pytest

from recipes.engine.docker import Engine
from recipes.tools.base import ensure_base_image

pytestmark = pytest.mark.engine
NET_ADMIN = 1 << 12
"""capabilities(7)"""
_TOLD = "grep CapBnd /proc/self/status; cat /proc/net/route; trap 'exit 0' TERM; sleep 600 & wait"


def until(reached: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 60
    while not reached() and time.monotonic() < deadline:
        time.sleep(0.1)
    assert reached()


@pytest.fixture
def name(engine: Engine) -> Iterator[str]:
    made = f"boardcast-test-{uuid.uuid4().hex[:8]}"
    engine.services.ensure_network(made)
    said = "echo started; [ ! -e /kept ] || cat /kept; cat /proc/net/route; exec sleep 600"
    engine.services.start(made, ensure_base_image(engine), ["sh", "-c", said], network=made, files={})
    try:
        yield made
    finally:
        engine.services.remove(f"{made}.beside")
        engine.services.remove(made)
        engine.services.remove_network(made)


def test_a_container_beside_another_is_in_its_network_with_other_rights_and_goes(engine: Engine, name: str) -> None:
    services, beside = engine.services, f"{name}.beside"
    services.beside(beside, name, ["sh", "-c", _TOLD], capabilities=["NET_ADMIN"])
    until(lambda: "Iface" in services.log_tail(beside))
    told = services.log_tail(beside, 20)
    assert int(told.split()[1], 16) == NET_ADMIN
    routes = [line for line in told.splitlines() if line.startswith("eth0")]
    until(lambda: "Iface" in services.log_tail(name))
    assert routes
    assert routes == [line for line in services.log_tail(name, 20).splitlines() if line.startswith("eth0")]
    services.stop(beside, 5)
    until(lambda: not services.running(beside))
    services.stop(beside, 5)
    assert services.running(name)


def test_a_container_that_is_restarted_keeps_its_files(engine: Engine, name: str) -> None:
    services = engine.services
    until(lambda: "started" in services.log_tail(name))
    address = services.restart(name, network=name, before=["sh", "-c", "echo what was kept > /kept"])
    assert address.count(".") == 3
    until(lambda: "what was kept" in services.log_tail(name, 40))
    assert services.running(name)


def test_the_network_of_one_that_is_switched_off_stays_until_that_is_gone(engine: Engine, name: str) -> None:
    """Somebody else's last board goes while ours is between off and on."""
    services = engine.services
    until(lambda: "started" in services.log_tail(name))
    services._client.containers.get(name).kill()
    until(lambda: not services.running(name))
    services.remove_network(name)
    assert services.restart(name, network=name).count(".") == 3
    services.remove(name)
    services.remove_network(name)
    assert not services._networks(name)
