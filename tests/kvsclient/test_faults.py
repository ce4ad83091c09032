"""Broken connections, errors, silence and lies of a service: what kvsclient does about them."""

from __future__ import annotations

import itertools

import pytest
from aiohttp import web

from tests.support.kvsclient import SMALL, STREAM, Client, iot, keys
from tests.support.putmedia import Service

pytestmark = [pytest.mark.process, pytest.mark.loopback, pytest.mark.engine]
DONE, UNCLOSED, RESTART, GIVE_UP = 0, 74, 75, 78


def test_a_broken_connection_is_made_again_and_nothing_is_lost(client: Client, service: Service) -> None:
    """Cut as a fragment begins, two times over: sent again from the first one that was not PERSISTED."""
    service.plan = lambda connection, fragment: "drop" if fragment == 2 and connection < 3 else ""
    ran = client.sent(service, seconds=4)
    assert ran.code == DONE, ran.said
    first, second, third = (upload.fragments.timecodes for upload in service.uploads)
    assert (second[0], third[0]) == (first[1], second[1]), "the same timecode again"
    assert service.persisted == sorted(set(service.persisted)), "each kept once"
    assert all(900 <= later - one <= 1100 for one, later in itertools.pairwise(service.persisted)), "none left out"
    assert [code for _, code in ran.acks("PERSISTED")] == service.persisted
    assert ran.end["sent_again"] >= 2
    uids = [bytes(upload.body)[60:110] for upload in service.uploads]
    assert len(set(uids)) == 1, "the segment's id is the stream's"


def test_what_was_sent_again_is_byte_for_byte_the_same(client: Client, service: Service) -> None:
    service.plan = lambda connection, fragment: "drop" if fragment == 2 and connection == 1 else ""
    assert client.sent(service, seconds=3).code == DONE
    first, second = (bytes(upload.body) for upload in service.uploads)
    cluster = b"\x1f\x43\xb6\x75\xff"
    sent = first[first.index(cluster, first.index(cluster) + 1) :]
    again = second[second.index(cluster) :]
    assert len(sent) > 18
    assert again.startswith(sent)


@pytest.mark.parametrize(
    ("error", "status", "meaning"), [(4010, "0x5200007c", "STREAM_DATA_TYPE_MISMATCH"), (4500, "0x52000065", "KMS")]
)
def test_an_error_ack_that_no_restart_cures_ends_it(
    client: Client, service: Service, error: int, status: str, meaning: str
) -> None:
    service.plan = lambda _connection, fragment: f"error={error}" if fragment == 2 else ""
    ran = client.sent(service, seconds=20)
    assert (ran.code, ran.seconds < 10) == (GIVE_UP, True), ran.said
    assert f"give-up: status {status}: ERROR ack {error} {meaning}" in ran.said
    assert len(service.uploads) == 1
    assert service.uploads[0].ended, "the body is ended in order, as the SDK does"


def test_an_error_ack_for_one_fragment_costs_that_fragment(client: Client, service: Service) -> None:
    service.plan = lambda connection, fragment: "error=4004" if (connection, fragment) == (1, 2) else ""
    ran = client.sent(service, seconds=4)
    assert ran.code == DONE, ran.said
    assert "status 0x52000060" in ran.said
    refused = service.uploads[0].fragments.timecodes[1]
    assert service.uploads[1].fragments.timecodes[0] > refused
    assert ran.end["lost"] == 1


def test_an_error_of_the_service_itself_is_tried_again(client: Client, service: Service) -> None:
    service.plan = lambda connection, fragment: "error=5000" if (connection, fragment) == (1, 2) else ""
    ran = client.sent(service, seconds=3)
    assert ran.code == DONE, ran.said
    assert service.uploads[1].fragments.timecodes[0] == service.uploads[0].fragments.timecodes[1]
    assert ran.end["lost"] == 0


def test_a_service_that_falls_silent_is_left_and_asked_again(client: Client, service: Service) -> None:
    service.plan = lambda connection, fragment: "stall" if (connection, fragment) == (1, 2) else ""
    ran = client.sent(service, "--stall", "2", seconds=4)
    assert ran.code == DONE, ran.said
    assert "status 0x52000037: no answer for 2 s" in ran.said
    assert service.uploads[1].fragments.timecodes[0] == service.uploads[0].fragments.timecodes[1]
    assert ran.end["persisted"] == ran.end["fragments"]


def test_an_end_that_is_never_confirmed_is_not_waited_for_for_ever(client: Client, service: Service) -> None:
    service.plan = lambda _connection, fragment: "stall" if fragment == 2 else ""
    ran = client.sent(service, "--stop-seconds", "2", seconds=2)
    assert (ran.code, ran.seconds < 10) == (UNCLOSED, True), ran.said
    assert "the last fragment was not confirmed in time" in ran.said


def test_keys_that_expire_are_changed_at_a_fragments_end(client: Client, service: Service) -> None:
    service.credential_seconds = 12  # two seconds until they are too short
    ran = client.ran(service, ["--stream", STREAM, *SMALL, "--seconds", "5", *iot(service)], {})
    assert ran.code == DONE, ran.said
    assert len(service.uploads) >= 2
    assert all(upload.ended for upload in service.uploads), "each body ended in order"
    assert service.paths.count("/role-aliases/cam-role/credentials") >= 2
    assert ran.end == {**ran.end, "lost": 0, "sent_again": 0, "persisted": ran.end["fragments"]}
    assert service.persisted == sorted(set(service.persisted))


def test_a_wrong_secret_is_refused_once_and_for_all(client: Client, service: Service) -> None:
    ran = client.sent(service, AWS_SECRET_ACCESS_KEY="another")
    assert (ran.code, service.paths) == (GIVE_UP, ["/describeStream"]), ran.said
    assert "status 0x52000010: access denied" in ran.said
    assert "another" not in ran.said


def test_without_a_certificate_there_are_no_keys(client: Client, service: Service) -> None:
    service.refuse["/role-aliases/cam-role/credentials"] = lambda: web.json_response({"message": "no"}, status=403)
    ran = client.ran(service, ["--stream", STREAM, *SMALL, *iot(service)], {})
    assert (ran.code, len(service.calls)) == (GIVE_UP, 1), ran.said


def test_put_media_that_is_refused_sends_no_picture(client: Client, service: Service) -> None:
    """403 in place of 100 Continue: not a byte of the body, and an end after so many tries."""
    service.refuse["/putMedia"] = lambda: web.json_response({"Message": "denied"}, status=403)
    ran = client.sent(service, "--retries", "2", seconds=20)
    assert ran.code == RESTART, ran.said
    assert ran.said.count("putMedia answers 403: status 0x52000010") == 3
    assert service.uploads == []


def test_a_stream_that_may_not_be_made_is_an_error(client: Client, service: Service) -> None:
    service.streams.clear()
    ran = client.sent(service, "--no-create")
    assert (ran.code, service.paths) == (GIVE_UP, ["/describeStream"])
    assert "status 0x52000017" in ran.said


def test_a_stream_that_was_made_just_now_is_waited_for(client: Client, service: Service) -> None:
    def not_yet() -> web.Response:
        del service.refuse["/getDataEndpoint"]
        return web.json_response({"Message": "not active"}, status=404)

    service.streams.clear()
    service.refuse["/getDataEndpoint"] = not_yet
    assert client.sent(service, seconds=1).code == DONE
    assert service.paths[1:4] == ["/createStream", "/getDataEndpoint", "/getDataEndpoint"]


def test_media_that_cannot_be_reached_are_told_with_their_host(client: Client, service: Service) -> None:
    far = {"DataEndpoint": "https://media.invalid"}
    service.refuse["/getDataEndpoint"] = lambda: web.json_response(far)
    ran = client.sent(service, "--retries", "1", seconds=20)
    assert ran.code == RESTART, ran.said
    assert "media.invalid" in ran.said, "no certificate of the service is for it"


def test_a_service_of_another_authority_is_not_spoken_to(client: Client, service: Service) -> None:
    words = ["--stream", STREAM, *SMALL, "--ca", str(service.certificate)]
    ran = client.ran(service, words, keys())
    assert ran.code == RESTART
    assert "certificate" in ran.said
    assert service.calls == []


LIES = {
    "an object without an end": b'{"EventType":"BUFFERING' + b"x" * 100_000,
    "braces without an end": b'{"a":' * 50_000,
    "no JSON": b"<html>" * 100,
    "an ack of no kind": b'{"EventType":"WHATEVER","FragmentTimecode":1}',
    "a timecode beyond 64 bits": b'{"EventType":"PERSISTED","FragmentTimecode":99999999999999999999999999}',
    "a negative timecode": b'{"EventType":"PERSISTED","FragmentTimecode":-1}',
    "control characters": b'{"EventType":"PERSISTED","FragmentTimecode":1,"FragmentNumber":"\x1b[2J"}',
    "zeros": b"\0" * 5000,
}


@pytest.mark.parametrize("lie", LIES)
def test_what_is_no_ack_ends_the_connection_and_nothing_else(client: Client, service: Service, lie: str) -> None:
    service.words["lie"] = LIES[lie]
    service.plan = lambda connection, _fragment: "lie" if connection == 1 else ""
    ran = client.sent(service, seconds=1)
    assert ran.code == DONE, ran.said
    assert "status 0x52000051" in ran.said
    assert ran.end["persisted"] == ran.end["fragments"]
    assert ran.said.isprintable() or ran.said.replace("\n", "").isprintable()


def test_an_ack_for_what_was_not_sent_confirms_nothing(client: Client, service: Service) -> None:
    service.words["early"] = b'{"EventType":"PERSISTED","FragmentTimecode":1234567890123}{"EventType":"IDLE"}'
    service.plan = lambda _connection, _fragment: "early"
    ran = client.sent(service, seconds=1)
    assert ran.code == DONE, ran.said
    assert "PERSISTED for fragment 1234567890123, which was not sent" in ran.said
    assert ran.end["persisted"] == ran.end["fragments"]


@pytest.mark.parametrize(
    ("path", "body"),
    [
        ("/describeStream", "x" * 1_000_000),
        ("/describeStream", '{"StreamInfo":' * 10_000),
        ("/getDataEndpoint", '{"DataEndpoint":"http://elsewhere"}'),
        ("/getDataEndpoint", '{"DataEndpoint":"https://a b/\\n"}'),
        ("/getDataEndpoint", '{"DataEndpoint":["https://elsewhere"]}'),
        ("/getDataEndpoint", "{}"),
    ],
)
def test_answers_of_the_control_plane_are_bounded_and_checked(
    client: Client, service: Service, path: str, body: str
) -> None:
    service.refuse[path] = lambda: web.Response(text=body, content_type="application/json")
    ran = client.sent(service, "--no-create")
    assert ran.code == RESTART, ran.said
    assert "/putMedia" not in service.paths
    assert len(ran.said) < 20_000


def test_headers_without_an_end_are_not_kept(client: Client, service: Service) -> None:
    many = {f"x-{number}": "y" * 4000 for number in range(50)}
    service.refuse["/describeStream"] = lambda: web.json_response({}, headers=many)
    assert client.sent(service).code == RESTART
