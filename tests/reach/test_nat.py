"""NATs of the kernel's own, a TURN server, and firewalls: what the board finds out, and what viewers are told."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import pytest

from deploy.reach.endpoints import Endpoint
from deploy.reach.judge import judge
from deploy.reach.nat import Relay, viewers
from deploy.reach.seen import Seen
from recipes.engine.docker import Engine
from tests.support.natlab import BOARD, ONE, OTHER_PORT, PASSWORD, PORT, ROUTER, TWO, USER, Lab, folder_name, lab

pytestmark = [pytest.mark.engine, pytest.mark.slow]
STUN = Endpoint(name="STUN", kind="stun", host=ONE, port=PORT)
UDP = Endpoint(name="TURN by UDP", kind="turn", host=ONE, port=PORT, transport="udp", user=USER, password=PASSWORD)
TCP = replace(UDP, name="TURN by TCP", transport="tcp")
NAT = Endpoint(name="NAT", kind="nat", host=ONE, port=PORT, others=((TWO, PORT), (ONE, OTHER_PORT)))
ALL = (STUN, UDP, TCP, NAT)


@pytest.fixture(scope="module")
def internet(engine: Engine, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Lab]:
    with lab(engine, folder_name(tmp_path_factory.getbasetemp())) as made:
        yield made


def told(seen: dict[str, Seen]) -> str:
    relays = [Relay(transport=one.transport, seen=seen[one.name]) for one in (UDP, TCP)]
    found = viewers(seen["NAT"], relays)
    return found.words if found.reached else f"RED {found.words}"


@pytest.mark.parametrize(
    ("how", "mapping", "filtering", "words"),
    [
        ("none", "none", "independent", "all viewers connect directly"),
        ("ordinary", "independent", "port", "viewers connect directly, by STUN; those behind a symmetric NAT by TURN"),
        ("open", "independent", "independent", "all viewers connect directly, by STUN"),
        ("symmetric", "port", "port", "(symmetric), lets in only addresses and ports that the board has sent to; "),
    ],
)
def test_a_server_with_two_addresses_finds_out_what_the_nat_does(
    internet: Lab, how: str, mapping: str, filtering: str, words: str
) -> None:
    internet.route(how)
    with internet.serve(other_addresses=True):
        seen = internet.ask(ALL)
    assert {one.state for one in seen.values()} == {"ok"}, seen
    notes = seen["NAT"].notes
    assert (notes["mapping"], notes["filtering"]) == (mapping, filtering)
    assert notes["mapped"].startswith(f"{BOARD if how == 'none' else ROUTER}:")
    assert notes["local"].startswith(f"{BOARD}:")
    assert seen["TURN by UDP"].notes["relayed"].startswith(f"{ONE}:")
    assert {seen[one.name].notes["released"] for one in (UDP, TCP)} == {"yes"}
    assert words in told(seen)


@pytest.mark.parametrize(("how", "mapping"), [("none", "none"), ("ordinary", "independent"), ("symmetric", "port")])
def test_servers_without_another_address_tell_the_mapping_together(internet: Lab, how: str, mapping: str) -> None:
    internet.route(how)
    with internet.serve(other_addresses=False):
        seen = internet.ask([NAT])["NAT"]
        single = internet.ask([replace(NAT, others=())])["NAT"]
        ports = internet.ask([replace(NAT, others=((ONE, OTHER_PORT),))])["NAT"]
    assert seen.notes["mapping"] == mapping
    assert seen.notes["filtering"] == single.notes["filtering"] == "unknown"
    assert single.notes["mapping"] == ("none" if how == "none" else "unknown")
    assert ports.notes["mapping"] == {"ordinary": "ports"}.get(how, mapping)


def test_without_udp_only_turn_by_tcp_is_left(internet: Lab) -> None:
    internet.route("no udp")
    with internet.serve(other_addresses=True):
        seen = internet.ask(ALL)
    assert {name: one.state for name, one in seen.items()} == {
        "STUN": "timeout", "TURN by UDP": "timeout", "TURN by TCP": "ok", "NAT": "timeout",
    }  # fmt: skip
    assert "outside of the board's network only by TURN (TCP)" in told(seen)
    red = judge(STUN, seen["STUN"], Seen(state="ok"), 0)
    assert red.words.startswith(f"the board cannot reach {ONE}:{PORT}, this workstation can: no answer at {ONE}:")
    assert red.cure.startswith(f"let the board out to UDP port {PORT} of {ONE}")


@pytest.mark.parametrize("how", ["nothing", "refused"])
def test_without_turn_too_viewers_outside_see_nothing(internet: Lab, how: str) -> None:
    internet.route(how)
    with internet.serve(other_addresses=True):
        seen = internet.ask(ALL)
    assert {seen[one.name].state for one in (UDP, TCP)} == {"timeout" if how == "nothing" else "refused"}
    assert told(seen).startswith("RED no STUN server answers the board")
    assert "outside of the board's network not at all: TURN is not reached either" in told(seen)


def test_a_wrong_password_is_no_relay(internet: Lab) -> None:
    internet.route("symmetric")
    with internet.serve(other_addresses=True):
        seen = internet.ask([STUN, *(replace(one, password="another") for one in (UDP, TCP)), NAT])
    assert {seen[one.name].state for one in (UDP, TCP)} == {"login"}
    assert told(seen).startswith("RED NAT: the board is seen as ")
    red = judge(UDP, seen["TURN by UDP"], Seen(state="ok"), 0)
    assert red.words.startswith(f"the board reaches {ONE}:{PORT} and cannot use it: the password is refused at ")
