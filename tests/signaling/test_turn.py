"""TURN through the real coturn, where it is installed; and what its file says, everywhere."""

from __future__ import annotations

import asyncio
import contextlib
import os
import random
import socket
import stat
import subprocess
import sys
import time
from pathlib import Path

import aioice.ice
import pytest
from aioice import Connection, stun, turn
from aioice.ice import TransportPolicy

from deploy.signaling.turn import Turn, configuration, find_program
from recipes.errors import ConfigError
from tests.support.signaling import serving

PORT = 3_478


@pytest.fixture
def port() -> int:
    """Return a port that nobody listens on, by UDP."""
    # Below those that the kernel gives to outgoing connections: coturn binds it a while later, by UDP and TCP.
    for number in random.SystemRandom().sample(range(12_000, 30_000), 50):
        with (
            contextlib.suppress(OSError),
            socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as datagrams,
            socket.socket(socket.AF_INET, socket.SOCK_STREAM) as stream,
        ):
            datagrams.bind(("127.0.0.1", number))
            stream.bind(("127.0.0.1", number))
            return number
    raise AssertionError("no port is free")


installed = pytest.mark.skipif(find_program() is None, reason="coturn is not installed")
ROOT = Path(__file__).parents[2]


def test_the_file_binds_one_address_and_lets_nobody_out(tmp_path: Path) -> None:
    lines = configuration("10.7.0.1", 3_478, "hush", tmp_path).splitlines()
    assert {"listening-ip=10.7.0.1", "relay-ip=10.7.0.1", "no-cli", "static-auth-secret=hush"} <= set(lines)
    assert "denied-peer-ip=0.0.0.0-255.255.255.255" in lines
    allowed = [line.partition("=")[2] for line in lines if line.startswith("allowed-peer-ip=")]
    assert allowed[-1] == "10.7.0.1"
    assert not any(one.startswith(("127.", "169.254.", "0.")) for one in allowed)
    assert "allow-loopback-peers" not in lines


def test_without_coturn_it_is_told_what_is_missing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("deploy.signaling.turn.shutil.which", lambda *_, **__: None)
    with pytest.raises(ConfigError, match="turnserver is not on this machine"):
        asyncio.run(Turn(tmp_path, "127.0.0.1", PORT).start())


@pytest.mark.loopback
@installed
def test_two_peers_meet_through_the_relay_alone(tmp_path: Path, port: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(aioice.ice, "get_host_addresses", lambda **_: ["127.0.0.1"])

    async def meet() -> None:
        async with serving(tmp_path) as world:
            server = Turn(tmp_path / "turn", "127.0.0.1", port)
            await server.start()
            try:
                world.service.state["turn"] = server
                said = {"ChannelARN": world.channel.arn, "ClientId": "v"}
                status, answer = await world.call("v1/get-ice-server-config", said)
                (entry,) = answer["IceServerList"]
                assert (status, entry["Ttl"]) == (200, 300)
                assert entry["Uris"] == [f"turn:127.0.0.1:{port}?transport={one}" for one in ("udp", "tcp")]
                file = tmp_path / "turn" / "turn.conf"
                assert stat.S_IMODE(file.stat().st_mode) == 0o600
                first, second = (
                    Connection(
                        ice_controlling=one == 0,
                        turn_server=("127.0.0.1", port),
                        turn_username=entry["Username"],
                        turn_password=entry["Password"],
                        transport_policy=TransportPolicy.RELAY,
                    )
                    for one in range(2)
                )
                await asyncio.gather(first.gather_candidates(), second.gather_candidates())
                assert [candidate.type for candidate in first.local_candidates] == ["relay"]
                await introduce(first, second)
                await introduce(second, first)
                async with asyncio.timeout(20):
                    await asyncio.gather(first.connect(), second.connect())
                    await first.send(b"over the relay")
                    assert await second.recv() == b"over the relay"
                await asyncio.gather(first.close(), second.close())
            finally:
                server.stop()

    asyncio.run(meet())


async def introduce(to: Connection, other: Connection) -> None:
    """Tell a peer how to reach another."""
    for candidate in other.local_candidates:
        await to.add_remote_candidate(candidate)
    await to.add_remote_candidate(None)
    to.remote_username, to.remote_password = other.local_username, other.local_password


@pytest.mark.loopback
@installed
def test_a_wrong_password_one_of_yesterday_and_peers_elsewhere_are_refused(tmp_path: Path, port: int) -> None:
    async def run() -> None:
        server = Turn(tmp_path, "127.0.0.1", port)
        await server.start()
        try:
            good = server.server("v", time.time())
            old = server.server("v", time.time() - 86_400)
            for name, password in ((good["Username"], "wrong"), (old["Username"], old["Password"])):
                with pytest.raises(stun.TransactionFailed, match="401"):
                    await allocate(server, name, password)
            transport = await allocate(server, good["Username"], good["Password"])
            protocol = vars(transport)["_TurnTransport__inner_protocol"]
            for host, allowed in (("127.0.0.1", True), ("8.8.8.8", False), ("169.254.169.254", False)):
                request = stun.Message(stun.Method.CREATE_PERMISSION, stun.Class.REQUEST)
                request.attributes["XOR-PEER-ADDRESS"] = (host, 9)
                if allowed:
                    await protocol.request_with_retry(request)
                else:
                    with pytest.raises(stun.TransactionFailed, match="403"):
                        await protocol.request_with_retry(request)
            transport.close()
            await asyncio.sleep(0.1)
        finally:
            server.stop()

    async def allocate(server: Turn, name: str, password: str) -> turn.TurnTransport:
        transport, _ = await turn.create_turn_endpoint(
            asyncio.DatagramProtocol, ("127.0.0.1", port), username=name, password=password
        )
        return transport

    asyncio.run(run())


@pytest.mark.loopback
@installed
def test_it_ends_when_stopped_and_why_it_did_not_start_is_told(
    tmp_path: Path, port: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("deploy.signaling.turn._START_SECONDS", 1.5)

    async def run() -> None:
        first, second = Turn(tmp_path / "a", "127.0.0.1", port), Turn(tmp_path / "b", "192.0.2.1", port)
        await first.start()
        pid = int((tmp_path / "a" / "turn.pid").read_text())
        os.kill(pid, 0)
        with pytest.raises(ConfigError, match="did not start"):
            await second.start()
        first.stop()
        first.stop()
        with pytest.raises(ProcessLookupError):
            os.kill(pid, 0)

    asyncio.run(run())


@pytest.mark.process
@installed
def test_it_ends_with_a_service_that_is_killed(tmp_path: Path, port: int) -> None:
    program = (
        "import asyncio, pathlib, sys; from deploy.signaling.turn import Turn\n"
        "async def run():\n"
        f"    turn = Turn(pathlib.Path({str(tmp_path)!r}), '127.0.0.1', {port})\n"
        "    await turn.start()\n"
        "    print('up', flush=True); await asyncio.sleep(60)\n"
        "asyncio.run(run())"
    )
    with subprocess.Popen([sys.executable, "-c", program], stdout=subprocess.PIPE, cwd=ROOT) as service:
        assert service.stdout is not None
        assert service.stdout.readline() == b"up\n"
        pid = int((tmp_path / "turn.pid").read_text())
        os.kill(pid, 0)
        service.kill()
    for _ in range(100):
        try:
            if "zombie" in Path(f"/proc/{pid}/status").read_text():
                return
        except FileNotFoundError:
            return
        time.sleep(0.05)
    pytest.fail(f"{pid} still runs")
