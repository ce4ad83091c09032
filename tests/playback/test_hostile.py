"""Arguments and URLs that no client of good will sends: refused with a reason, and the service goes on."""

from __future__ import annotations

import itertools
import json
import urllib.error
import urllib.request
from typing import Any
from urllib.parse import quote

import pytest
from botocore.auth import SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials

from tests.support.kvscamera import Camera, make_camera, media_playlists, refused, segments
from tests.support.kvsserver import Served
from tests.support.localservice import REGION

pytestmark = [pytest.mark.loopback, pytest.mark.hostile(kind="names")]
NUMBERS: list[Any] = [
    *(-1, 0, 10**30, -(10**30), 1.5, float("nan"), float("inf"), 1e308, True, "1", [], {}, [[1]], "\x00", "9" * 1000)
]


def call(camera: Camera, operation: str, body: Any) -> tuple[int, str]:
    """Call with a body that boto3 would not send; returns the status and the error's type."""
    key = camera.served.service.store.keys.own()
    data = body if isinstance(body, bytes) else json.dumps(body).encode()
    request = AWSRequest("POST", f"{camera.served.url}/{operation}", data=data)
    SigV4Auth(Credentials(key.access, key.secret), "kinesisvideo", REGION).add_auth(request)
    sent = urllib.request.Request(request.url, data, dict(request.headers), method="POST")
    try:
        with urllib.request.urlopen(sent, timeout=20) as answer:
            if operation == "getMedia":
                return answer.status, ""
            answer.read()
            return answer.status, ""
    except urllib.error.HTTPError as error:
        with error:
            text = error.read()
            assert b"Traceback" not in text
            assert b"/" not in text.replace(b"V_MPEG4/ISO", b"").replace(b"[a-z]/", b"")
            return error.code, error.headers.get("x-amzn-ErrorType", "")


def bodies(camera: Camera) -> dict[str, dict[str, Any]]:
    name, times = camera.name(), {"StartTimestamp": camera.start, "EndTimestamp": camera.start + 5}
    selector = {"FragmentSelectorType": "PRODUCER_TIMESTAMP", "TimestampRange": times}
    return {
        "listFragments": name | {"FragmentSelector": selector, "MaxResults": 5},
        "getClip": name | {"ClipFragmentSelector": selector},
        "getImages": name
        | {"ImageSelectorType": "SERVER_TIMESTAMP", "SamplingInterval": 3000, "Format": "JPEG", "MaxResults": 1}
        | {"WidthPixels": 16, "HeightPixels": 16, "FormatConfig": {"JPEGQuality": "50"}}
        | times,
        "getMediaForFragmentList": name | {"Fragments": [camera.fragments[0].number]},
        "getMedia": name
        | {"StartSelector": {"StartSelectorType": "PRODUCER_TIMESTAMP", "StartTimestamp": camera.start}},
        "getHLSStreamingSessionURL": name
        | {"PlaybackMode": "ON_DEMAND", "HLSFragmentSelector": selector, "Expires": 300}
        | {"MaxMediaPlaylistFragmentResults": 5, "DiscontinuityMode": "ALWAYS"},
        "getDASHStreamingSessionURL": name
        | {"PlaybackMode": "ON_DEMAND", "DASHFragmentSelector": selector, "Expires": 300}
        | {"MaxManifestFragmentResults": 5},
    }


def places(value: Any, path: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    """Return where in a body something else can be put."""
    inside = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    return ([path] if path else []) + [place for name, part in inside for place in places(part, (*path, name))]


def put(body: Any, path: tuple[Any, ...], value: Any) -> Any:
    made = json.loads(json.dumps(body))
    spot = made
    for name in path[:-1]:
        spot = spot[name]
    spot[path[-1]] = value
    return made


@pytest.mark.parametrize("operation", [
    *("listFragments", "getClip", "getImages", "getMediaForFragmentList", "getMedia"),
    *("getHLSStreamingSessionURL", "getDASHStreamingSessionURL"),
])  # fmt: skip
def test_no_argument_makes_the_service_fail(camera: Camera, operation: str) -> None:
    body = bodies(camera)[operation]
    assert call(camera, operation, body) == (200, "")
    for place, value in itertools.product(places(body), NUMBERS):
        status, code = call(camera, operation, put(body, place, value))
        assert status in {200, 400, 404}, (place, value, code)
        assert (status == 200) == (code == ""), (place, value, code)
    for raw in (b"", b"{}", b"[]", b"null", b"{", b"\xff", b'{"StreamName":' * 1000, b"[" * 50_000):
        status, code = call(camera, operation, raw)
        assert status == 400
        assert code in {"InvalidArgumentException", "SerializationException"}


@pytest.mark.parametrize(
    ("operation", "change", "code"),
    [
        ("list_fragments", {"FragmentSelector": {"FragmentSelectorType": "X", "TimestampRange": {}}}, ""),
        ("list_fragments", {"MaxResults": 1001}, ""),
        ("list_fragments", {"StreamName": "nobody"}, "ResourceNotFoundException"),
        ("get_clip", {"ClipFragmentSelector": (0, 100_000)}, ""),
        ("get_clip", {"ClipFragmentSelector": (5, 5)}, ""),
        ("get_clip", {"ClipFragmentSelector": (40, 50)}, "ResourceNotFoundException"),
        ("get_images", {"SamplingInterval": 199}, ""),
        ("get_images", {"EndTimestamp": 301}, ""),
        ("get_images", {"EndTimestamp": -1}, ""),
        ("get_images", {"WidthPixels": 100}, ""),
        ("get_images", {"FormatConfig": {"JPEGQuality": "101"}}, ""),
        ("get_hls_streaming_session_url", {"Expires": 299}, ""),
        ("get_hls_streaming_session_url", {"Expires": 43_201}, ""),
        ("get_hls_streaming_session_url", {"MaxMediaPlaylistFragmentResults": 5001}, ""),
        ("get_hls_streaming_session_url", {"ContainerFormat": "MPEG_TS"}, ""),
        ("get_hls_streaming_session_url", {"PlaybackMode": "ON_DEMAND"}, ""),
        ("get_hls_streaming_session_url", {"PlaybackMode": "SOON"}, ""),
        ("get_dash_streaming_session_url", {"PlaybackMode": "LIVE", "DASHFragmentSelector": (0, 5)}, ""),
    ],
)
def test_bounds_are_those_of_the_service(camera: Camera, operation: str, change: dict[str, Any], code: str) -> None:
    given: dict[str, Any] = camera.name()
    if operation == "list_fragments":
        given["FragmentSelector"] = camera.selector()
    elif operation == "get_images":
        given |= {"ImageSelectorType": "SERVER_TIMESTAMP", "Format": "JPEG", "StartTimestamp": camera.start}
        given["EndTimestamp"] = camera.start + change.pop("EndTimestamp", 5)
    for name, value in change.items():
        given[name] = camera.selector(*value) if isinstance(value, tuple) else value
    archived = camera.served.client("kinesis-video-archived-media", validate=False)
    refused(code or "InvalidArgumentException", getattr(archived, operation), **given)


def test_tokens_and_numbers_of_a_url_open_nothing_else(camera: Camera) -> None:
    url = camera.hls()
    token = url.partition("SessionToken=")[2]
    served = camera.served
    cut = token[:-1]
    for bad in ("", "x", cut, f"{token}x", f"{cut}!", f"../{token}", "%00" * 64, quote("ä" * 64), "A" * 64):
        assert served.refusal(url.replace(token, bad)) == (403, "NotAuthorizedException")
    playlist, _ = media_playlists(camera, url)
    (init,), media = segments(playlist, served.get(playlist).decode())
    number = camera.fragments[0].number
    for bad in ("", "-1", "1e3", "99999999999999999999", "1.0", "..%2f..", "%2e%2e%2fca.key", "%00", "NaN", "3", "0"):
        for address, name in ((playlist, "TrackNumber=1"), (init, "TrackNumber=1"), (init, "SequenceNumber=0")):
            if bad == "0" and name.startswith("Seq"):
                continue
            key = name.partition("=")[0]
            assert served.refusal(address.replace(name, f"{key}={bad}"))[0] in {400, 404}
        assert served.refusal(media[0].replace(number, bad))[0] in {400, 404}
    manifest = url.replace("/hls/v1/getHLSMasterPlaylist.m3u8", "/dash/v1/getDASHManifest.mpd")
    assert served.refusal(manifest) == (403, "NotAuthorizedException")
    for path in ("/hls/v1/../../ca.key", "/hls/v1/%2e%2e/%2e%2e/ca.key", "/hls/v1//etc/passwd", "/hls/v1/"):
        assert served.refusal(path)[0] in {404, 405}


def test_a_host_header_of_nonsense_gets_no_url(service: Served) -> None:
    camera = make_camera(service, "host", count=1)
    key = service.service.store.keys.own()
    body = json.dumps(bodies(camera)["getHLSStreamingSessionURL"]).encode()
    for host, wanted in (('x"><script>', 400), ("a b", 400), ("evil.example/x?", 400), ("cam.example:8443", 200)):
        request = AWSRequest("POST", f"{service.url}/getHLSStreamingSessionURL", data=body, headers={"Host": host})
        SigV4Auth(Credentials(key.access, key.secret), "kinesisvideo", REGION).add_auth(request)
        sent = urllib.request.Request(request.url, body, dict(request.headers), method="POST")
        try:
            with urllib.request.urlopen(sent, timeout=20) as answer:
                found = json.loads(answer.read())["HLSStreamingSessionURL"]
                assert found.startswith("http://cam.example:8443/hls/v1/")
                status = answer.status
        except urllib.error.HTTPError as error:
            with error:
                status = error.code
        assert status == wanted, host
