"""A real board, the real local service with its own authority: what reaches what, and whose fault it is."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from deploy.boards.board import Board
from deploy.boards.inventory import SimState, host_target
from deploy.boards.session import connect
from deploy.bundle.load import Bundle
from deploy.kvs.names import host_names
from deploy.kvs.tls import Authority
from deploy.localkvs.lifecycle import Running, bring_up, take_down
from deploy.reach.ask import Reach, prepare
from deploy.reach.endpoints import CA_FILE
from deploy.release.deployment import deploy_to
from deploy.sim.boards import NETWORK
from deploy.verify.run import run_checks
from deploy.verify.verdict import Check
from tests.support.compiler import compiled
from tests.support.fakestream import board_of, stream
from tests.support.simrelease import FLASH, shell, variant

pytestmark = [pytest.mark.engine, pytest.mark.sim, pytest.mark.process]
REGION = "eu-west-1"
CONTROL = f"kinesisvideo.{REGION}.amazonaws.com:443"
DATA = f"s-local.kinesisvideo.{REGION}.amazonaws.com"
PROBE = f"{FLASH}/current/run/boardprobe"


def camera(**changes: Any) -> Board:
    """Return a board that sends a stream and is the master of a channel."""
    front = {key: value for key, value in stream().items() if key != "sink"}
    front["sinks"] = [{"kvs": "front"}, {"webrtc": "door"}]
    return board_of(Path(FLASH), {"front": front}, **{"environment": {"region": REGION}} | changes)


@pytest.fixture(scope="module")
def service(tiny: SimState, tiny_bundle: Bundle) -> Iterator[Running]:
    """Run the service, and give it what the board sends to."""
    deploy_to(tiny.name, tiny_bundle)
    running = bring_up(network=NETWORK)
    streams, channels = [{"name": "front", "region": REGION, "hours": 24}], [{"name": "door", "region": REGION}]
    running.ask("POST", "/-/provision", {"streams": streams, "channels": channels})
    yield running
    take_down()


def put(tiny: SimState, path: str, text: str) -> None:
    shell(tiny.name, 'mkdir -p "${1%/*}"; printf "%s" "$2" > "$1"', path, text)


@pytest.fixture
def reach(service: Running, tiny: SimState) -> Iterator[Reach]:
    """Lead the board to the service, as `sim up --kvs` does, for one test."""
    names = "".join(f"{service.addresses[0]} {name}\n" for name in host_names(REGION))
    shell(tiny.name, 'cp /etc/hosts /flash/hosts; printf "%s" "$1" >> /etc/hosts', names)
    put(tiny, CA_FILE, service.authority.read_text())
    yield prepare(camera())
    shell(tiny.name, 'cat /flash/hosts > /etc/hosts; rm -f "$1"', CA_FILE)


@pytest.fixture
def wrapped(tiny: SimState) -> Iterator[str]:
    """Let boardprobe be started by a script of the test's, which finds the real one at the path that this returns."""
    real = f"{PROBE}.real"
    shell(tiny.name, 'mv "$1" "$2"', PROBE, real)
    yield real
    shell(tiny.name, 'mv "$2" "$1"', PROBE, real)


def look(tiny: SimState, bundle: Bundle, reach: Reach) -> dict[str, Check]:
    """Return the checks of the network by what they are about, asked in one round trip."""
    with connect(host_target(tiny.name)) as session:
        before = session.traffic.round_trips
        verdict = run_checks(session, tiny.name, bundle.id, bundle.manifest, reach=reach)
        assert session.traffic.round_trips == before + 1, "the network is asked in the same round trip"
    name = "endpoint is reached: "
    found = {one.name.removeprefix(name): one for one in verdict.checks if one.name.startswith((name, "viewers"))}
    assert len(found) == len(reach.endpoints), "a check for each, one for the NAT"
    return found


def test_everything_that_the_service_names_is_reached(
    tiny: SimState, tiny_bundle: Bundle, reach: Reach, service: Running
) -> None:
    found = look(tiny, tiny_bundle, reach)
    assert {one.state for one in found.values()} == {"passed"}, found
    named = {"control", "data of front", "signaling of door (HTTPS)", "signaling of door (WSS)", "STUN"}
    assert found.keys() == named | {"viewers can connect"}
    said = found["control"].evidence
    assert f"the board reaches {CONTROL} in " in said
    assert "certificate by 'Boardcast local CA'" in said
    assert said.endswith("this workstation reaches it too")
    assert f"reaches {DATA}:443 in " in found["data of front"].evidence
    assert f"seen there as {tiny.address}:" in found["STUN"].evidence
    assert "no NAT: the board is seen as " in found["viewers can connect"].evidence


def test_the_boards_own_authorities_do_not_know_the_local_service(
    tiny: SimState, tiny_bundle: Bundle, reach: Reach, tmp_path: Path
) -> None:
    other = Authority(tmp_path)  # another authority of the same name, as of another workstation
    other.context()
    put(tiny, CA_FILE, other.certificate.read_text())
    found = look(tiny, tiny_bundle, reach)["control"]
    assert found.state == "failed"
    assert found.evidence.startswith(f"the board refuses the certificate of {CONTROL}, this workstation takes it: ")
    assert f"it is by 'Boardcast local CA', which {CA_FILE} does not know; CA unknown" in found.evidence
    assert "invoke kvs attach --host sim-tiny" in found.cure


@pytest.mark.slow
def test_a_board_without_authorities_says_which_file_is_missing(
    tiny: SimState, tiny_bundle: Bundle, reach: Reach
) -> None:
    shell(tiny.name, 'rm "$1"', CA_FILE)
    found = look(tiny, tiny_bundle, reach)
    assert f"{CA_FILE} cannot be read; the CA file is not there" in found["control"].evidence
    assert found["STUN"].state == "passed"


def test_what_only_the_board_does_not_reach_is_told_so(tiny: SimState, tiny_bundle: Bundle, reach: Reach) -> None:
    shell(tiny.name, r'sed "s/.* \($1\)/127.0.0.1 \1/" /etc/hosts > /tmp/h; cat /tmp/h > /etc/hosts', DATA)
    found = look(tiny, tiny_bundle, reach)
    assert {name for name, one in found.items() if one.state == "failed"} == {"data of front"}
    said = found["data of front"].evidence
    assert said.startswith(f"the board cannot reach {DATA}:443, this workstation can: refused at 127.0.0.1:443; ")
    assert f"let the board out to *.kinesisvideo.{REGION}.amazonaws.com" in found["data of front"].cure


@pytest.mark.slow
def test_what_nobody_reaches_is_told_so(tiny: SimState, tiny_bundle: Bundle, reach: Reach, service: Running) -> None:
    take_down()
    try:
        found = look(tiny, tiny_bundle, reach)
        assert {one.state for one in found.values()} == {"failed"}
        assert f"nobody can reach {CONTROL}, neither the board nor this workstation" in found["control"].evidence
    finally:
        bring_up(network=NETWORK)


@pytest.fixture(scope="module")
def clock(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> bytes:
    """Return a library that gives one program another clock: a container's is ours."""
    source = {"clock.c": (Path(__file__).parent / "clock.c").read_text()}
    folder = tmp_path_factory.mktemp("clock")
    script = "$CC -O1 -Wall -Wextra -Werror -shared -fPIC -o clock.so clock.c"
    return (compiled(request, folder, source, script) / "clock.so").read_bytes()


@pytest.mark.parametrize(
    ("ahead", "words"),
    [
        (360, "its clock is 360 s ahead of the service's"),
        pytest.param(-360, "its clock is 360 s behind the service's", marks=pytest.mark.slow),
        pytest.param(-int(time.time()) + 1000, "the certificate is good from 20", marks=pytest.mark.slow),
        pytest.param(40 * 365 * 86400, "the certificate is good from 20", marks=pytest.mark.slow),
    ],
    ids=["six minutes ahead", "six minutes behind", "1970", "forty years ahead"],
)
def test_a_wrong_clock_is_called_by_its_name(
    tiny: SimState, tiny_bundle: Bundle, reach: Reach, wrapped: str, clock: bytes, ahead: int, words: str
) -> None:
    with connect(host_target(tiny.name)) as session:
        assert session.run("cat > /flash/clock.so", stdin=[clock]).code == 0
    put(tiny, PROBE, f'#!/bin/sh\nAHEAD={ahead} LD_PRELOAD=/flash/clock.so exec {wrapped} "$@"\n')
    shell(tiny.name, 'chmod 755 "$1"', PROBE)
    found = look(tiny, tiny_bundle, reach)
    for name in ("control", "data of front"):
        assert found[name].state == "failed"
        assert found[name].evidence.startswith("the board cannot use ")
        assert words in found[name].evidence, found[name].evidence
        assert "the board's clock is wrong" in found[name].evidence
        assert "NTP" in found[name].cure
    assert found["STUN"].state == "passed", "STUN asks for no time"


def test_a_boardprobe_that_cannot_look_yet_is_no_fault(
    tiny: SimState, tiny_bundle: Bundle, reach: Reach, wrapped: str
) -> None:
    put(
        tiny,
        PROBE,
        f'#!/bin/sh\nfor word; do [ "$word" != --endpoints ] || {{ echo usage >&2; exit 64; }}; done\n'
        f'exec {wrapped} "$@"\n',
    )
    shell(tiny.name, 'chmod 755 "$1"', PROBE)
    found = look(tiny, tiny_bundle, reach)
    assert {one.state for one in found.values()} == {"skipped"}
    assert "this release's boardprobe looks at no endpoints: usage" in found["control"].evidence


def sdk_program(text: str) -> bytes:
    """Return a program that prints what the SDK's discoverNatBehavior does, for the server that it is given."""
    server = f"stun:stun.kinesisvideo.{REGION}.amazonaws.com:443"
    return f'#!/bin/sh\n[ "$1 $2" = "-s {server}" ] || exit 1\n{text}\n'.encode()


SAID = """
echo "Using stun host: stun:x, local network interface y."
echo Detected NAT mapping behavior ENDPOINT_INDEPENDENT
echo Detected NAT filtering behavior PORT_DEPENDENT
"""
IN_WORDS = "; the SDK's discoverNatBehavior says: mapping independent, filtering by address and port"


@pytest.mark.parametrize(
    ("text", "words"),
    [
        (SAID, IN_WORDS),
        pytest.param(
            "echo Detected NAT mapping behavior SOMETHING; head -c 9000 /dev/zero", "", marks=pytest.mark.slow
        ),
        pytest.param("exec sleep 300", "", marks=pytest.mark.slow),
    ],
    ids=["its words", "nonsense", "it hangs"],
)
def test_the_sdks_own_program_is_asked_where_the_release_has_it(
    tiny: SimState, tiny_bundle: Bundle, reach: Reach, text: str, words: str
) -> None:
    made = variant(tiny_bundle, "sdk", bin__discoverNatBehavior=sdk_program(text))
    deploy_to(tiny.name, made)
    try:
        found = look(tiny, made, reach)["viewers can connect"]
        assert found.state == "passed"
        assert found.evidence.endswith(words or "no TURN server is known"), found.evidence
    finally:
        deploy_to(tiny.name, tiny_bundle)
