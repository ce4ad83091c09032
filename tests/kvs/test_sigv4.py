"""Signatures of the recorded clients and of botocore are taken; a hundred that are a little off are not."""

from __future__ import annotations

import calendar
import dataclasses
import hashlib
import random
import time
from urllib.parse import parse_qsl, urlsplit

import pytest
from botocore.auth import SigV4Auth, SigV4QueryAuth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials

from deploy.kvs.errors import ServiceError
from deploy.kvs.keys import Key
from deploy.kvs.sigv4 import EMPTY, Signed, check_signature, signed_region
from tests.support.captures import sent

SECRET = "secretexamplekey"
RECORDINGS = [
    *("kvssink-audio-video", "kvssink-connection-lost", "kvssink-error-ack", "kvssink-iot-new-stream"),
    "webrtc-master-and-viewer",
]
HOST = "kinesisvideo.eu-west-1.amazonaws.com"


class Keys:
    """Knows the keys of the recordings."""

    def __init__(self) -> None:
        known = (Key("AKIAEXAMPLE000000000", SECRET), Key("ASIAEXAMPLE000000000", SECRET, "tokenexample"))
        self._keys = {key.access: key for key in known}

    def find(self, access: str) -> Key | None:
        return self._keys.get(access)


def moment(date: str) -> float:
    return calendar.timegm(time.strptime(date, "%Y%m%dT%H%M%SZ"))


def date_of(request: Signed) -> str:
    return request.header("x-amz-date") or dict(parse_qsl(request.query))["X-Amz-Date"]


def recorded_requests(name: str) -> list[Signed]:
    found = []
    for data in sent(name).values():
        head, _, body = data.partition(b"\r\n\r\n")
        first, *lines = head.decode("latin-1").split("\r\n")
        if not head or "role-aliases" in first:
            continue
        method, target, _ = first.split(" ")
        path, _, query = target.partition("?")
        headers = [(line.partition(":")[0], line.partition(":")[2].strip()) for line in lines]
        streamed = path in ("/putMedia", "/")
        payload = EMPTY if streamed else hashlib.sha256(body).hexdigest()
        found.append(Signed(method, path, query, headers, payload))
    return found


def signed_by_botocore(body: bytes = b'{"StreamName": "cam01"}', *, query: bool = False, token: str = "") -> Signed:
    target = f"https://{HOST}/?X-Amz-ChannelARN=arn%3Aa%3A%2Fb+c" if query else f"https://{HOST}/describeStream"
    request = AWSRequest("GET" if query else "POST", target, data=b"" if query else body)
    if not query:
        request.headers["Host"] = HOST
    credentials = Credentials("AKIAEXAMPLE000000000" if not token else "ASIAEXAMPLE000000000", SECRET, token or None)
    signer = SigV4QueryAuth if query else SigV4Auth
    signer(credentials, "kinesisvideo", "eu-west-1").add_auth(request)
    parts = urlsplit(request.prepare().url)
    headers = [("Host", HOST), *((name, value) for name, value in request.headers.items() if name != "Host")]
    payload = EMPTY if query else hashlib.sha256(body).hexdigest()
    return Signed(request.method, parts.path, parts.query, headers, payload)


def refusal(request: Signed, now: float) -> str:
    with pytest.raises(ServiceError) as caught:
        check_signature(request, Keys(), now=now)
    assert caught.value.status == 403
    return caught.value.code


@pytest.mark.parametrize("name", RECORDINGS)
def test_every_request_of_the_recorded_clients_is_theirs(name: str) -> None:
    requests = recorded_requests(name)
    assert len(requests) >= 3
    for request in requests:
        now = moment(date_of(request))
        assert check_signature(request, Keys(), now=now + 299).secret == SECRET
        assert signed_region(request) == "ap-northeast-1"
        lifetime = 604_800 if request.query else 300
        assert refusal(request, now + lifetime + 1) == "InvalidSignatureException"
        assert refusal(request, now - 301) == "InvalidSignatureException"


@pytest.mark.parametrize("query", [False, True])
@pytest.mark.parametrize("token", ["", "tokenexample"])
def test_botocores_signatures_are_taken(query: bool, token: str) -> None:
    request = signed_by_botocore(query=query, token=token)
    assert check_signature(request, Keys(), now=moment(date_of(request))).token == token


def _spoilt(request: Signed, dice: random.Random) -> Signed:
    """Return a request with one thing changed that is signed."""
    way = dice.randrange(5)
    if way == 0:
        return dataclasses.replace(request, method="PUT")
    if way == 1:
        return dataclasses.replace(request, path=request.path + dice.choice("abcdef/"))
    if way == 2:
        return dataclasses.replace(request, payload=hashlib.sha256(dice.randbytes(8)).hexdigest())
    if way == 3:
        return dataclasses.replace(request, query=f"more={dice.randrange(99)}")
    at = dice.randrange(64)
    headers = []
    for name, value in request.headers:
        start, mark, signature = value.partition("Signature=")
        digit = format((int(signature[at], 16) + dice.randrange(1, 16)) % 16, "x") if mark else ""
        headers.append((name, f"{start}{mark}{signature[:at]}{digit}{signature[at + 1 :]}" if mark else value))
    return dataclasses.replace(request, headers=headers)


@pytest.mark.hostile(kind="names")
def test_a_hundred_signatures_that_are_a_little_off_are_refused() -> None:
    dice = random.Random(11)
    request = signed_by_botocore()
    now = moment(date_of(request))
    check_signature(request, Keys(), now=now)
    for _ in range(100):
        assert refusal(_spoilt(request, dice), now) == "InvalidSignatureException"


def _with(request: Signed, name: str, value: str) -> Signed:
    headers = [(known, value if known == name else old) for known, old in request.headers]
    return dataclasses.replace(request, headers=headers)


def test_each_refusal_has_aws_own_name() -> None:
    request = signed_by_botocore()
    now = moment(date_of(request))
    unsigned = dataclasses.replace(request, headers=[("Host", HOST)])
    assert refusal(unsigned, now) == "MissingAuthenticationTokenException"
    half = _with(request, "Authorization", "AWS4-HMAC-SHA256 Credential=x")
    assert refusal(half, now) == "IncompleteSignatureException"
    assert refusal(signed_by_botocore(token="another"), now) == "UnrecognizedClientException"
    elsewhere = _with(request, "Host", HOST.replace("eu-west-1", "us-east-1"))
    assert refusal(elsewhere, now) == "InvalidSignatureException"


def test_an_expired_token_is_told_as_one() -> None:
    request = signed_by_botocore(token="tokenexample")
    now = moment(date_of(request))

    class Ended(Keys):
        def find(self, access: str) -> Key | None:
            known = super().find(access)
            return known and dataclasses.replace(known, expires=now - 1)

    with pytest.raises(ServiceError) as caught:
        check_signature(request, Ended(), now=now)
    assert caught.value.code == "ExpiredTokenException"


@pytest.mark.hostile(kind="names")
def test_whatever_stands_in_the_headers_is_answered_with_a_refusal() -> None:
    dice = random.Random(5)
    words = ["Credential=", "Signature=", "SignedHeaders=", ",", "/", "AWS4-HMAC-SHA256 ", "\0", "é", ";"]
    words += ["20261127T000000Z", "host"]
    for _ in range(2000):
        value = "".join(dice.choice(words) for _ in range(dice.randrange(12)))
        names = [dice.choice(["Signature", "Date", "Expires", "Algorithm"]) for _ in range(2)]
        query = "&".join(f"X-Amz-{name}={value}" for name in names) if dice.random() < 0.3 else ""
        request = Signed("GET", "/", query, [("Authorization", value), ("X-Amz-Date", value)])
        with pytest.raises(ServiceError):
            check_signature(request, Keys(), now=1.8e9)
