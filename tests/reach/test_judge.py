"""What both sides saw becomes one sentence: who cannot, what was seen, why; and what viewers are told of a NAT."""

from __future__ import annotations

import json
from pathlib import PurePosixPath

import pytest
from hypothesis import given
from hypothesis import strategies as st

from deploy.causes.catalogue import causes
from deploy.reach.ask import read_network
from deploy.reach.endpoints import Endpoint, board_endpoints
from deploy.reach.judge import judge
from deploy.reach.nat import Relay, viewers
from deploy.reach.seen import Seen, asked_lines, read_seen
from tests.support.fakestream import board_of, stream

PLACE = "kinesisvideo.eu-west-1.amazonaws.com"
TLS = Endpoint(name="control", kind="tls", host=PLACE, ca="/etc/ca.pem")
OK = Seen(state="ok")


def seen(state: str, stage: str = "tls", **notes: str) -> Seen:
    return Seen(state=state, stage=stage, milliseconds=7, notes=notes)


@pytest.mark.parametrize(
    ("board", "here", "skew", "begins", "cause"),
    [
        (seen("dns", "dns"), OK, 0, f"the board cannot reach {PLACE}:443, this workstation can: ", "endpoint-dns"),
        (seen("timeout", "tcp"), seen("refused"), 0, "nobody can reach ", "endpoint-timeout"),
        (seen("refused", "tcp"), seen("dns"), 0, "nobody can reach ", "endpoint-refused"),
        (seen("refused", "tcp"), Seen(), 0, f"the board cannot reach {PLACE}:443, and this workstation did not look: ",
         "endpoint-refused"),
        (seen("reset"), seen("ca"), 0, f"the board cannot reach {PLACE}:443, this workstation can, and refuses its ",
         "endpoint-reset"),
        (seen("ca", issuer="Proxy"), OK, 0, "the board refuses the certificate of ", "endpoint-ca"),
        (seen("ca", issuer="Proxy"), seen("ca"), 0,
         f"the board refuses the certificate of {PLACE}:443, and so does this workstation (CA unknown): it is by ",
         "endpoint-ca"),
        (seen("ca"), seen("timeout"), 0,
         f"the board refuses the certificate of {PLACE}:443, and this workstation does not even reach it (no answer)",
         "endpoint-ca"),
        (seen("ca-file"), OK, 0, "the board refuses the certificate of ", "endpoint-ca-file"),
        (seen("name", issuer="Portal"), OK, 0, "the board refuses the certificate of ", "endpoint-name"),
        (seen("expired"), seen("expired"), 0, "the board refuses the certificate of ", "endpoint-expired"),
        (seen("expired", skew="99999"), OK, 0, f"the board cannot use {PLACE}:443: ", "endpoint-clock"),
        (seen("expired"), OK, 99_999, f"the board cannot use {PLACE}:443: ", "endpoint-clock"),
        (seen("early"), OK, None, f"the board cannot use {PLACE}:443: ", "endpoint-clock"),
        (seen("ok", skew="-360"), OK, 0, f"the board cannot use {PLACE}:443: its clock is 360 s behind the service's",
         "endpoint-clock"),
        (seen("ok"), OK, 360, f"the board cannot use {PLACE}:443: its clock is 360 s ahead of this ",
         "endpoint-clock"),
        (seen("timeout", "udp"), OK, 0, f"the board cannot reach {PLACE}:443, this workstation can: no answer",
         "endpoint-no-udp"),
        (seen("login", "udp"), OK, 0, f"the board reaches {PLACE}:443 and cannot use it: the password is refused",
         "endpoint-login"),
        (seen("nobody knows it"), OK, 0, f"the board cannot reach {PLACE}:443", "endpoint-failed"),
    ],
)  # fmt: skip
def test_each_side_is_named_and_each_cause_is_in_the_catalogue(
    board: Seen, here: Seen, skew: int | None, begins: str, cause: str
) -> None:
    found = judge(TLS, board, here, skew)
    assert not found.reached
    assert found.words.startswith(begins), found.words
    assert found.words.endswith(causes()[cause].why)
    assert found.cause == cause
    assert found.cure
    assert "NAME" not in found.cure
    assert "FILE" not in found.cure


@pytest.mark.parametrize(
    ("here", "ends"),
    [
        (OK, "this workstation reaches it too"),
        (seen("dns"), "this workstation cannot reach it (its name is not found)"),
        (seen("ca"), "this workstation refuses its certificate (CA unknown)"),
        (Seen(), "clock +3 s to the service's"),
    ],
)
def test_what_only_the_workstation_does_not_reach_is_said_and_is_no_fault_of_the_board(here: Seen, ends: str) -> None:
    found = judge(TLS, seen("ok", issuer="Amazon", skew="3"), here, 0)
    assert found.reached
    assert found.words.startswith(f"the board reaches {PLACE}:443 in 7 ms, certificate by 'Amazon', clock +3 s")
    assert found.words.endswith(ends)


def nat(mapping: str, filtering: str = "unknown") -> Seen:
    return seen("ok", "udp", mapping=mapping, filtering=filtering, mapped="203.0.113.9:5", local="10.0.0.2:5")


UDP, TCP = Relay(transport="udp", seen=OK), Relay(transport="tcp", seen=OK)
BLOCKED = Relay(transport="udp", seen=seen("timeout", "udp"))


@pytest.mark.parametrize(
    ("found", "relays", "reached", "words"),
    [
        (nat("none"), [UDP], True, "all viewers connect directly; where a firewall keeps them out, by TURN (UDP)"),
        (nat("independent", "independent"), [], True, "all viewers connect directly, by STUN; if one does not, not at"),
        (nat("independent", "port"), [UDP, TCP], True, "those behind a symmetric NAT by TURN (UDP or TCP)"),
        (nat("independent", "port"), [BLOCKED], True, "those behind a symmetric NAT not at all: TURN is not reached"),
        (nat("ports"), [], True, "for two servers too is not known; viewers connect directly, by STUN"),
        (nat("unknown"), [], True, "its mapping is not known"),
        (nat("port", "port"), [TCP], True, "(symmetric), lets in only addresses and ports that the board has sent to"),
        (nat("dependent"), [], True, "all others not at all: no TURN server is known"),
        (nat("address", "address"), [BLOCKED], False, "all others not at all: TURN is not reached"),
        (seen("timeout", "udp"), [BLOCKED, TCP], True, "only by TURN (TCP), which costs delay and traffic"),
        (seen("timeout", "udp"), [BLOCKED], False, "not at all: TURN is not reached either"),
        (seen("timeout", "udp"), [], False, "not at all: no TURN server is known"),
    ],
)
def test_what_will_and_will_not_work_for_viewers(found: Seen, relays: list[Relay], reached: bool, words: str) -> None:
    told = viewers(found, relays)
    assert told.reached is reached
    assert words in told.words, told.words
    assert (told.cause == "viewers-outside", bool(told.cure)) == (not reached, not reached)


def test_the_sdks_lines_are_read_strictly() -> None:
    for text in ("", "Detected NAT mapping behavior ALL", "x Detected NAT mapping behavior NONE", "\0" * 9000):
        assert "discoverNatBehavior" not in viewers(nat("none"), [], text).words
    told = "Detected NAT mapping behavior PORT_DEPENDENT\r\nDetected NAT filtering behavior NO_UDP_CONNECTIVITY\n"
    assert viewers(nat("none"), [], told).words.endswith("mapping by address and port, filtering no UDP")


def test_secrets_are_in_no_row_and_no_text() -> None:
    turn = Endpoint(name="t", kind="turn", host="h", port=1, transport="udp", user="USER1", password="PASS1")
    assert asked_lines([TLS, turn]) == [
        "seconds 12", "ca /etc/ca.pem", f"tls e0 {PLACE} 443", "turn e1 udp h 1 USER1 PASS1",
    ]  # fmt: skip
    assert "PASS1" not in repr(turn)
    assert "USER1" not in repr(turn)


@pytest.mark.parametrize("word", ["a b", "a\nb", "", "a\0", "x" * 600, "é"])
def test_a_word_that_is_none_makes_no_line(word: str) -> None:
    assert asked_lines([Endpoint(name="x", kind="tls", host=word)]) == []


@pytest.mark.hostile(kind="board")
@given(
    st.recursive(
        st.none() | st.booleans() | st.integers() | st.text(),
        lambda inner: (
            st.lists(inner, max_size=3)
            | st.dictionaries(st.sampled_from(["name", "state", "ms", "issuer", "skew"]), inner, max_size=5)
        ),
    )
)
def test_a_board_that_says_anything(value: object) -> None:
    rows = [{"name": "e0", "state": value, "ms": value, "skew": value, "issuer": value}, value]
    found = read_seen(json.dumps({"endpoints": rows}), [TLS])
    assert found is not None
    judge(TLS, found["control"], OK, None)
    read_seen(json.dumps(value), [TLS])
    read_network({"network": json.dumps(value), "discovered": str(value)}, {}, [])


def test_what_a_board_says_is_made_printable() -> None:
    row = {"name": "e0", "state": "ca", "issuer": "\x1b[2J\u202eAmazon" + "x" * 999}
    found = read_seen(json.dumps({"endpoints": [row, {"name": "e7"}, {"name": "e99"}]}), [TLS])
    assert found is not None
    assert found.keys() == {"control"}
    words = judge(TLS, found["control"], OK, 0).words
    assert words.isprintable()
    assert len(words) < 900


def test_a_boards_file_names_its_endpoints() -> None:
    iot = {"endpoint": "abc.credentials.iot.eu-west-1.amazonaws.com", "cert_path": "/c", "key_path": "/k",
           "ca_path": "/iot.pem", "role_aliases": "r"}  # fmt: skip
    front = stream(sink={"kvs": "front"})
    door = {key: value for key, value in stream().items() if key != "sink"} | {"sinks": [{"webrtc": "door"}]}
    board = board_of(
        PurePosixPath("/flash/boardcast"), {"front": front, "door": door},
        environment={"region": "eu-west-1", "ca_file": "/etc/own.pem"}, credentials={"iot": iot},
    )  # fmt: skip
    found = {one.name: (one.kind, one.host, one.ca) for one in board_endpoints(board)}
    assert found == {
        "control": ("tls", PLACE, "/etc/own.pem"),
        "credentials": ("tls", "abc.credentials.iot.eu-west-1.amazonaws.com", "/iot.pem"),
        "STUN": ("stun", f"stun.{PLACE}", ""),
    }
    assert board_endpoints(board_of(PurePosixPath("/flash/boardcast"), {"front": stream()})) == []
