"""DASH: the manifest by an XML reader, and by FFmpeg's own player where this one has it."""

from __future__ import annotations

import re
import xml.etree.ElementTree as ET
from typing import Any
from urllib.parse import urljoin

import pytest

from tests.support.kvscamera import Camera, decoded, make_camera, refused, steps
from tests.support.kvsserver import Served
from tests.support.media import make_fragments, make_header

pytestmark = pytest.mark.loopback
MPD = "{urn:mpeg:dash:schema:mpd:2011}"
KVS = "{https://docs.aws.amazon.com/kinesisvideostreams/}"


def session(camera: Camera, **arguments: Any) -> str:
    given = {"PlaybackMode": "ON_DEMAND", "DASHFragmentSelector": camera.selector()} | arguments
    call = camera.archived.get_dash_streaming_session_url
    return str(call(**camera.name(), **given)["DASHStreamingSessionURL"])


def manifest(camera: Camera, url: str) -> ET.Element:
    return ET.fromstring(camera.served.get(url))


def urls(url: str, part: ET.Element) -> tuple[str, list[str]]:
    """Return the URL of a representation's beginning, and those of its fragments."""
    (template,) = part.iter(f"{MPD}SegmentTemplate")
    first, count = int(template.attrib["startNumber"]), len(list(template.iter(f"{MPD}S")))
    numbered = [template.attrib["media"].replace("$Number$", str(number)) for number in range(first, first + count)]
    return urljoin(url, template.attrib["initialization"]), [urljoin(url, one) for one in numbered]


def test_a_manifest_on_demand_leads_to_every_frame(camera: Camera) -> None:
    url = session(camera)
    assert re.fullmatch(rf"{camera.served.url}/dash/v1/getDASHManifest\.mpd\?SessionToken=[\w-]{{64}}", url)
    root = manifest(camera, url)
    assert root.attrib["type"] == "static"
    assert root.attrib["mediaPresentationDuration"] == "PT6.000S"
    pictures, sound = root.iter(f"{MPD}AdaptationSet")
    (one,) = pictures.iter(f"{MPD}Representation")
    known = {name: one.attrib[name] for name in ("codecs", "width", "height", "frameRate")}
    assert known == {"codecs": "avc1.42c00a", "width": "160", "height": "120", "frameRate": "10000/1000"}
    for part, kind, least in ((pictures, "video", 10), (sound, "audio", 14)):
        init, media = urls(url, part)
        assert len(media) == 6
        begin = camera.served.get(init)
        for place, (segment, row) in enumerate(zip(media, part.iter(f"{MPD}S"), strict=True)):
            assert int(row.attrib["t"]) == (camera.start + place) * 1000
            assert row.attrib["d"] == "1000"
            shown = decoded(begin + camera.served.get(segment))[kind]
            assert len(shown) >= least
            assert abs(shown[0] - camera.start - place) < 0.066


def test_the_fragments_of_a_track_are_one_file_without_a_gap(camera: Camera) -> None:
    url = session(camera)
    for part, kind, least in zip(
        manifest(camera, url).iter(f"{MPD}AdaptationSet"), ("video", "audio"), (60, 92), strict=True
    ):
        init, media = urls(url, part)
        shown = decoded(b"".join(camera.served.get(one) for one in (init, *media)))[kind]
        assert len(shown) >= least
        assert steps(shown) <= ({100} if kind == "video" else {62, 63, 64, 65, 66})


def test_fragments_have_time_and_number_where_asked_for(camera: Camera) -> None:
    root = manifest(camera, session(camera, DisplayFragmentTimestamp="ALWAYS", DisplayFragmentNumber="ALWAYS"))
    rows = list(root.iter(f"{MPD}S"))[:6]
    assert [one.attrib[f"{KVS}fn"] for one in rows] == [one.number for one in camera.fragments]
    assert [one.attrib[f"{KVS}ts"] for one in rows] == [str((camera.start + place) * 1000) for place in range(6)]
    plain = camera.served.get(session(camera))
    assert b"kvs:fn" not in plain
    assert b"kvs:ts" not in plain


def test_a_live_manifest_grows(service: Served) -> None:
    camera = make_camera(service, "live", count=4)
    url = session(camera, PlaybackMode="LIVE", DASHFragmentSelector={"FragmentSelectorType": "SERVER_TIMESTAMP"})
    root = manifest(camera, url)
    assert root.attrib["type"] == "dynamic"
    assert root.attrib["availabilityStartTime"] == "1970-01-01T00:00:00.000Z"
    (template, _) = root.iter(f"{MPD}SegmentTemplate")
    assert template.attrib["startNumber"] == "0"
    last = camera.fragments[-1]
    for place, data in enumerate(make_fragments(3, start_ms=last.producer_ms + 1000)):
        service.put(camera.stream, make_header(), data, server_ms=last.server_ms + (place + 1) * 1000)
    root = manifest(camera, url)
    (template, _) = root.iter(f"{MPD}SegmentTemplate")
    assert template.attrib["startNumber"] == "2"
    init, media = urls(url, next(root.iter(f"{MPD}AdaptationSet")))
    assert len(media) == 5
    assert len(decoded(service.get(init) + service.get(media[-1]))["video"]) == 10


def test_another_codec_in_the_same_session_is_refused(service: Served) -> None:
    camera = make_camera(service, "other", count=2, audio=False)
    at = camera.fragments[-1].producer_ms + 1000
    data = make_fragments(1, start_ms=at, size=(320, 240), audio=False)[0]
    service.put(camera.stream, make_header(size=(320, 240), audio=False), data, server_ms=at + 2000)
    url = session(camera)
    _, media = urls(url, next(manifest(camera, url).iter(f"{MPD}AdaptationSet")))
    status, code = service.refusal(media[2])
    assert (status, code) == (400, "InvalidArgumentException")
    call = camera.archived.get_dash_streaming_session_url
    refused("InvalidArgumentException", call, **camera.name(), PlaybackMode="ON_DEMAND")
