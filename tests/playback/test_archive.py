"""ListFragments, GetClip and GetImages, by boto3: its own parsing says whether the shapes are right."""

from __future__ import annotations

import base64
import io
from typing import Any

import av
import pytest

from deploy.media.matroska import write_cluster, write_header
from deploy.media.model import Frame, Track, TrackKind
from tests.support.kvscamera import Camera, decoded, make_camera, refused, steps
from tests.support.kvsserver import Served
from tests.support.media import make_fragments, make_header

pytestmark = pytest.mark.loopback


def test_fragments_are_listed_with_all_that_is_known_of_them(camera: Camera) -> None:
    listed = camera.archived.list_fragments(**camera.name(), FragmentSelector=camera.selector())
    assert "NextToken" not in listed
    assert [one["FragmentNumber"] for one in listed["Fragments"]] == [one.number for one in camera.fragments]
    first = listed["Fragments"][0]
    assert first["ProducerTimestamp"].timestamp() == camera.start
    assert first["ServerTimestamp"].timestamp() == camera.start + 1.04
    assert first["FragmentLengthInMilliseconds"] == 1000
    assert first["FragmentSizeInBytes"] == camera.fragments[0].size


def test_fragments_that_begin_within_the_range_are_listed(camera: Camera) -> None:
    by_name = camera.archived.list_fragments(StreamARN=camera.stream.arn, FragmentSelector=camera.selector(1, 3))[
        "Fragments"
    ]
    assert [one["ProducerTimestamp"].timestamp() - camera.start for one in by_name] == [1, 2, 3]
    by_server = camera.archived.list_fragments(**camera.name(), FragmentSelector=camera.selector(2, 4, "SERVER"))
    assert [one["ProducerTimestamp"].timestamp() - camera.start for one in by_server["Fragments"]] == [1, 2]


def test_a_long_list_comes_page_by_page(camera: Camera) -> None:
    pages = camera.archived.get_paginator("list_fragments").paginate(
        **camera.name(), FragmentSelector=camera.selector(), PaginationConfig={"PageSize": 4}
    )
    listed = [[one["FragmentNumber"] for one in page["Fragments"]] for page in pages]
    assert [len(page) for page in listed] == [4, 2]
    assert [number for page in listed for number in page] == [one.number for one in camera.fragments]
    first = camera.archived.list_fragments(**camera.name(), FragmentSelector=camera.selector(), MaxResults=5)
    last = camera.archived.list_fragments(**camera.name(), NextToken=first["NextToken"])
    assert [one["FragmentNumber"] for one in last["Fragments"]] == [camera.fragments[-1].number]


def test_a_token_of_another_stream_lists_nothing(service: Served) -> None:
    one, other = make_camera(service, "one", count=2), make_camera(service, "other", count=2)
    token = one.archived.list_fragments(**one.name(), FragmentSelector=one.selector(), MaxResults=1)["NextToken"]
    refused("InvalidArgumentException", one.archived.list_fragments, **other.name(), NextToken=token)
    for bad in ("AAAA", "MQ==", base64.b64encode(b"1 SERVER 0 9 %s" % (b"9" * 60)).decode()):
        refused("InvalidArgumentException", one.archived.list_fragments, **one.name(), NextToken=bad)


def test_a_clip_has_every_frame_of_all_tracks(camera: Camera) -> None:
    answer = camera.archived.get_clip(**camera.name(), ClipFragmentSelector=camera.selector(1, 3))
    assert answer["ContentType"] == "video/mp4"
    shown = decoded(answer["Payload"].read())
    assert len(shown["video"]) == 30
    assert steps(shown["video"]) == {100}
    assert 2.8 < max(shown["audio"]) - min(shown["audio"]) < 3.1


def test_a_clip_of_a_producer_that_began_anew_goes_on(service: Served) -> None:
    """Timecodes that begin at 0 in each connection: the producer's times in the index say how it was."""
    camera = make_camera(service, "anew", count=2)
    header = make_header()
    for place, data in enumerate(make_fragments(2, start_ms=0)):
        kept = service.service.store.fragments
        at = (camera.start + 2 + place) * 1000
        service.run(
            kept.add(
                camera.stream, number=kept.next_number(at), producer_ms=at, server_ms=at + 1040, length_ms=1000,
                header=header, data=data,
            )
        )  # fmt: skip
    answer = camera.archived.get_clip(**camera.name(), ClipFragmentSelector=camera.selector(0, 10))
    shown = decoded(answer["Payload"].read())
    assert len(shown["video"]) == 40
    assert steps(shown["video"]) == {100}


def test_a_clip_ends_at_200_fragments(service: Served) -> None:
    stream = service.stream("many")
    header = make_header(audio=False)
    start = 1_790_000_000
    for place in range(205):
        frame = make_fragments(1, start_ms=(start + place) * 1000, audio=False)[0]
        service.put(stream, header, frame, server_ms=(start + place) * 1000)
    times = {"StartTimestamp": start, "EndTimestamp": start + 1000}
    answer = service.client("kinesis-video-archived-media").get_clip(
        StreamName="many",
        ClipFragmentSelector={"FragmentSelectorType": "PRODUCER_TIMESTAMP", "TimestampRange": times},
    )
    with av.open(io.BytesIO(answer["Payload"].read())) as file:
        assert file.streams.video[0].frames == 2000


def test_codecs_that_change_within_a_clip_are_told(service: Served) -> None:
    camera = make_camera(service, "changed", count=2)
    later = (camera.start + 2) * 1000
    data = make_fragments(1, start_ms=later, size=(320, 240))[0]
    service.put(camera.stream, make_header(size=(320, 240)), data, server_ms=later + 1040)
    call = camera.archived.get_clip
    refused("InvalidCodecPrivateDataException", call, **camera.name(), ClipFragmentSelector=camera.selector())


def images(camera: Camera, **arguments: Any) -> list[dict[str, Any]]:
    given = {
        "ImageSelectorType": "PRODUCER_TIMESTAMP",
        "StartTimestamp": camera.start,
        "EndTimestamp": camera.start + 2,
        "SamplingInterval": 500,
        "Format": "JPEG",
    }
    return list(camera.archived.get_images(**camera.name(), **given | arguments)["Images"])


def test_images_are_pictures_of_their_moment(camera: Camera) -> None:
    found = images(camera)
    assert [one["TimeStamp"].timestamp() - camera.start for one in found] == [0, 0.5, 1, 1.5, 2]
    pictures = [base64.b64decode(one["ImageContent"]) for one in found]
    assert len(set(pictures)) == 5, "the square moves"
    for picture in pictures:
        with av.open(io.BytesIO(picture)) as file:
            assert file.streams.video[0].codec_context.name == "mjpeg"
            assert (file.streams.video[0].width, file.streams.video[0].height) == (160, 120)
    again = images(camera, StartTimestamp=camera.start + 1, EndTimestamp=camera.start + 1)
    assert base64.b64decode(again[0]["ImageContent"]) == pictures[2]


@pytest.mark.parametrize(
    ("asked", "size"),
    [({"WidthPixels": 64, "HeightPixels": 64}, (64, 64)), ({"HeightPixels": 60}, (80, 60)), ({}, (160, 120))],
)
def test_images_have_the_size_and_the_format_that_are_asked_for(
    camera: Camera, asked: dict[str, int], size: tuple[int, int]
) -> None:
    (image,) = images(camera, EndTimestamp=camera.start, Format="PNG", **asked)
    with av.open(io.BytesIO(base64.b64decode(image["ImageContent"]))) as file:
        assert file.streams.video[0].codec_context.name == "png"
        assert (file.streams.video[0].width, file.streams.video[0].height) == size


def test_the_quality_of_images_is_the_clients_to_say(camera: Camera) -> None:
    sizes = [
        len(images(camera, EndTimestamp=camera.start, FormatConfig={"JPEGQuality": str(quality)})[0]["ImageContent"])
        for quality in (5, 50, 100)
    ]
    assert sizes[0] < sizes[1] < sizes[2]


def test_where_nothing_was_sent_there_is_no_media(camera: Camera) -> None:
    found = images(camera, StartTimestamp=camera.start + 5, EndTimestamp=camera.start + 8, SamplingInterval=1000)
    assert ["ImageContent" in one for one in found] == [True, False, False, False]
    assert [one.get("Error") for one in found[1:]] == ["NO_MEDIA"] * 3


def test_sound_alone_has_no_picture(service: Served) -> None:
    stream = service.stream("sound")
    track = Track(1, TrackKind.AUDIO, "A_AAC", b"\x14\x08", rate=16_000, channels=1)
    at = 1_790_000_000_000
    frames = [Frame(1, at * 1_000_000 + place * 64_000_000, key=True, data=b"\x21\x10") for place in range(10)]
    service.put(stream, write_header([track], writing_app="test"), write_cluster(at, frames), server_ms=at)
    answer = service.client("kinesis-video-archived-media").get_images(
        StreamName="sound", ImageSelectorType="SERVER_TIMESTAMP", StartTimestamp=at // 1000,
        EndTimestamp=at // 1000, Format="JPEG",
    )  # fmt: skip
    assert [one["Error"] for one in answer["Images"]] == ["MEDIA_ERROR"]


def test_images_come_25_a_page_at_most(camera: Camera) -> None:
    given = {
        "ImageSelectorType": "PRODUCER_TIMESTAMP", "StartTimestamp": camera.start, "EndTimestamp": camera.start + 6,
        "SamplingInterval": 200, "Format": "JPEG",
    }  # fmt: skip
    first = camera.archived.get_images(**camera.name(), **given, MaxResults=100)
    assert len(first["Images"]) == 25
    second = camera.archived.get_images(**camera.name(), **given, NextToken=first["NextToken"])
    assert len(second["Images"]) == 6
    assert "NextToken" not in second
    times = [one["TimeStamp"].timestamp() - camera.start for one in first["Images"] + second["Images"]]
    assert times == pytest.approx([place * 0.2 for place in range(31)])
    wrong = given | {"EndTimestamp": camera.start + 7, "NextToken": first["NextToken"]}
    refused("InvalidArgumentException", camera.archived.get_images, **camera.name(), **wrong)
