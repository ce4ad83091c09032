"""Up and down: killed and started again it is the same service, and an ordinary user's service has port 443 as well."""

from __future__ import annotations

import json
import os
import shutil
import signal
import socket
import ssl
import sys
import time
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from deploy.localkvs.lifecycle import Running, bring_up, door_name, running, take_down
from deploy.sim.boards import NETWORK
from recipes import paths
from recipes.engine.docker import Engine
from tests.support.otheruser import NUMBER, other_user

pytestmark = [pytest.mark.engine, pytest.mark.process, pytest.mark.loopback]
REGION = "eu-west-1"
NAME = f"kinesisvideo.{REGION}.amazonaws.com"


@pytest.fixture
def work(engine: Engine, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    monkeypatch.setenv("BOARDCAST_WORK", str(tmp_path / "work"))
    yield tmp_path / "work"
    take_down()
    assert not containers(engine, door_name())


def containers(engine: Engine, name: str) -> list[Any]:
    return list(engine.services._client.containers.list(all=True, filters={"name": name}))


def answers(address: str, authority: Path, seconds: float = 5) -> bool:
    """Tell whether the service shows its certificate on port 443 of an address, as a board asks for it."""
    trust = ssl.create_default_context(cafile=str(authority))
    with (
        socket.create_connection((address, 443), timeout=seconds) as link,
        trust.wrap_socket(link, server_hostname=NAME) as secure,
    ):
        secure.sendall(f"GET /none HTTP/1.1\r\nHost: {NAME}\r\nConnection: close\r\n\r\n".encode())
        return b"UnknownOperationException" in secure.recv(4096)


def ended(process: int) -> bool:
    """Tell whether a process ends within some seconds; one that nobody waits for has no words any more."""
    for _ in range(100):
        try:
            if not Path(f"/proc/{process}/cmdline").read_bytes():
                return True
        except (FileNotFoundError, ProcessLookupError):
            return True
        time.sleep(0.05)
    return False


def kill(found: Running) -> None:
    os.kill(found.state.pid, signal.SIGKILL)
    deadline = time.monotonic() + 5
    while running() is not None:
        assert time.monotonic() < deadline
        time.sleep(0.02)


@pytest.mark.usefixtures("work")
def test_the_last_on_a_network_takes_it_along(engine: Engine) -> None:
    """As in the demo, whose board goes first."""
    name = f"boardcast-test-{uuid.uuid4().hex[:8]}"
    bring_up(network=name)
    engine.services.remove_network(name)
    assert engine.services._networks(name), "the service is still on it"
    assert take_down()
    assert not engine.services._networks(name)


def test_killed_and_started_again_it_is_the_same_service(work: Path, engine: Engine) -> None:
    first = bring_up(network=NETWORK)
    assert answers(first.addresses[0], first.authority)
    assert bring_up(network=NETWORK).state == first.state, "up twice is up once"
    rows = [{"name": "front", "region": REGION, "hours": 3}]
    first.ask("POST", "/-/provision", {"streams": rows, "channels": [{"name": "bell", "region": REGION}]})
    authority, key = first.authority.read_bytes(), first.own_key()

    kill(first)
    again = bring_up(network=NETWORK)
    assert again.state.pid != first.state.pid
    assert again.state.port == first.state.port
    assert again.authority.read_bytes() == authority
    assert again.own_key() == key
    told = again.ask("GET", "/-/status")
    assert [row["name"] for row in told["streams"] + told["channels"]] == ["front", "bell"]
    assert answers(again.addresses[0], again.authority)
    assert len(containers(engine, door_name())) == 1

    assert take_down()
    assert not containers(engine, door_name()), "the door goes with the service"
    assert running() is None
    assert not take_down()


def test_the_door_of_a_run_that_crashed_is_replaced(work: Path, engine: Engine) -> None:
    first = bring_up(network=NETWORK)
    (stale,) = containers(engine, door_name())
    kill(first)
    stale.kill()
    again = bring_up(network=NETWORK)
    (made,) = containers(engine, door_name())
    assert made.id != stale.id
    assert answers(again.addresses[0], again.authority)

    # Down without a service, but with a door: that goes too.
    kill(again)
    assert not take_down()
    assert not containers(engine, door_name())


def test_an_ordinary_user_has_port_443_too_beside_another_checkouts_service(
    work: Path, engine: Engine, tmp_path: Path
) -> None:
    user = other_user(tmp_path, paths.cache())
    invoke = (sys.executable, "-m", "invoke", "kvs")
    try:
        done = user.run(*invoke, "up", "--json")
        assert done.returncode == 0, done.stderr
        facts = json.loads(done.stdout)
        assert Path(f"/proc/{facts['pid']}").stat().st_uid == NUMBER
        assert Path(facts["folder"]) == user.work / "kvs"
        ours = bring_up(network=NETWORK)
        (address,) = facts["addresses"]
        assert address not in ours.addresses
        assert answers(address, user.work / "kvs" / "ca.pem")
        assert answers(ours.addresses[0], ours.authority)
        with pytest.raises(ssl.SSLError, match="CERTIFICATE_VERIFY_FAILED"):
            answers(address, ours.authority)
        # Nobody else reads his keys.
        assert {path.stat().st_mode & 0o077 for path in (user.work / "kvs").glob("*.key")} == {0}
        assert (user.work / "kvs").stat().st_mode & 0o077 == 0
        status = user.run(*invoke, "status", "--json")
        assert json.loads(status.stdout)["pid"] == facts["pid"], status.stderr
    finally:
        down = user.run(*invoke, "down", "--json")
    assert json.loads(down.stdout) == {"was_up": True}, down.stderr
    assert ended(facts["pid"])
    assert answers(ours.addresses[0], ours.authority), "the other checkout's goes on"
    shutil.rmtree(user.home)
