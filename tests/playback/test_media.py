"""GetMedia and GetMediaForFragmentList, by boto3; what comes is read by ebmlite and by PyAV."""

from __future__ import annotations

import io
import re
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import ebmlite
import pytest

from deploy.media.matroska import parse_cluster, parse_header
from tests.support.kvscamera import Camera, decoded, make_camera, refused, steps
from tests.support.kvsserver import Served
from tests.support.media import make_fragments, make_header

pytestmark = pytest.mark.loopback
EBML = b"\x1a\x45\xdf\xa3"
SCHEMA = ebmlite.loadSchema("matroska.xml")


def tags(chunk: bytes) -> list[tuple[str, str]]:
    """Return a chunk's tags and where its cluster is, in order, as another reader than ours sees them."""
    found: list[tuple[str, str]] = []
    for part in SCHEMA.load(io.BytesIO(chunk)):
        if part.name == "Segment":
            for element in part:
                if element.name == "Cluster":
                    found.append(("Cluster", ""))
                elif element.name == "Tags":
                    for tag in element:
                        for simple in tag:
                            values = {one.name: one.value for one in simple}
                            found.append((values["TagName"], values["TagString"]))
    return found


def chunks(data: bytes) -> list[bytes]:
    return [EBML + part for part in data.split(EBML)[1:]]


class Reader:
    """One GetMedia, read chunk by chunk as it comes."""

    def __init__(self, camera: Camera, **selector: Any) -> None:
        self.payload = camera.media.get_media(**camera.name(), StartSelector=selector)["Payload"]
        self._read = b""

    def chunks(self, count: int) -> list[bytes]:
        """Return the next chunks; each ends with a token, which is a fragment's number."""
        found: list[bytes] = []
        while len(found) < count:
            whole = re.match(rb".*?AWS_KINESISVIDEO_CONTINUATION_TOKEN.{10}[0-9]{47}", self._read, re.DOTALL)
            if whole:
                found.append(whole[0])
                self._read = self._read[whole.end() :]
                continue
            got = self.payload._raw_stream.read1(65_536)
            assert got, "the stream ended"
            self._read += got
        return found


@contextmanager
def reading(camera: Camera, **selector: Any) -> Iterator[Reader]:
    """Read GetMedia from somewhere on."""
    reader = Reader(camera, **selector)
    try:
        yield reader
    finally:
        reader.payload.close()


def first_number(camera: Camera, **selector: Any) -> str:
    with reading(camera, **selector) as reader:
        (chunk,) = reader.chunks(1)
    return dict(tags(chunk))["AWS_KINESISVIDEO_FRAGMENT_NUMBER"]


def test_each_chunk_has_a_header_and_the_tags_of_its_fragment(camera: Camera) -> None:
    with reading(camera, StartSelectorType="EARLIEST") as reader:
        found = reader.chunks(6)
    for place, (chunk, fragment) in enumerate(zip(found, camera.fragments, strict=True)):
        assert tags(chunk) == [
            ("AWS_KINESISVIDEO_FRAGMENT_NUMBER", fragment.number),
            ("AWS_KINESISVIDEO_SERVER_TIMESTAMP", f"{camera.start + place + 1}.040"),
            ("AWS_KINESISVIDEO_PRODUCER_TIMESTAMP", f"{camera.start + place}.000"),
            ("Cluster", ""),
            ("AWS_KINESISVIDEO_MILLIS_BEHIND_NOW", str((5 - place) * 1000)),
            ("AWS_KINESISVIDEO_CONTINUATION_TOKEN", fragment.number),
        ]
        shown = decoded(chunk)
        assert len(shown["video"]) == 10
        assert steps(shown["video"]) == {100}
        assert min(shown["video"]) == camera.start + place


def test_reading_begins_where_the_client_says(camera: Camera) -> None:
    numbers = [one.number for one in camera.fragments]
    start = camera.start
    assert first_number(camera, StartSelectorType="NOW") == numbers[-1]
    assert first_number(camera, StartSelectorType="FRAGMENT_NUMBER", AfterFragmentNumber=numbers[1]) == numbers[2]
    assert first_number(camera, StartSelectorType="CONTINUATION_TOKEN", ContinuationToken=numbers[3]) == numbers[4]
    at = {"StartTimestamp": start + 2}
    assert first_number(camera, StartSelectorType="PRODUCER_TIMESTAMP", **at) == numbers[2]
    # Of the server's clock, a fragment began 1.04 s later; the one that holds the moment is meant.
    assert first_number(camera, StartSelectorType="SERVER_TIMESTAMP", **at) == numbers[0]
    assert first_number(camera, StartSelectorType="SERVER_TIMESTAMP", StartTimestamp=start - 9) == numbers[0]


def test_what_arrives_is_sent_on_at_once(service: Served) -> None:
    camera = make_camera(service, "live", count=2)
    header, later = make_header(), make_fragments(4, start_ms=camera.start * 1000)[2:]
    with reading(camera, StartSelectorType="NOW") as reader:
        reader.chunks(1)
        for data in later:
            kept = service.put(camera.stream, header, data)
            began = time.monotonic()
            (chunk,) = reader.chunks(1)
            assert time.monotonic() - began < 0.5
            assert dict(tags(chunk))["AWS_KINESISVIDEO_FRAGMENT_NUMBER"] == kept.number


def test_a_stream_that_keeps_nothing_can_be_watched(service: Served) -> None:
    camera = make_camera(service, "unkept", count=2, hours=0)
    assert first_number(camera, StartSelectorType="NOW") == camera.fragments[-1].number
    assert camera.archived.list_fragments(**camera.name(), FragmentSelector=camera.selector())["Fragments"] == []


def test_a_deleted_stream_ends_its_readers(service: Served) -> None:
    camera = make_camera(service, "gone", count=1)
    with reading(camera, StartSelectorType="NOW") as reader:
        reader.chunks(1)

        async def delete() -> None:
            service.service.store.streams.delete(camera.stream)
            await service.service.store.fragments.delete_stream(camera.stream)

        service.run(delete())
        assert reader.payload.read() == b""


def test_three_may_read_and_one_that_goes_makes_room(service: Served) -> None:
    camera = make_camera(service, "busy", count=1)
    selector = {"StartSelectorType": "NOW"}
    readers = [camera.media.get_media(**camera.name(), StartSelector=selector)["Payload"] for _ in range(3)]
    refused("ConnectionLimitExceededException", camera.media.get_media, **camera.name(), StartSelector=selector)
    for reader in readers:
        reader.close()
    deadline = time.monotonic() + 5
    while service.service.state["playback.readers"]:
        assert time.monotonic() < deadline, "who is gone is counted"
        time.sleep(0.05)
    assert first_number(camera, **selector) == camera.fragments[0].number


def test_listed_fragments_come_in_the_order_that_was_asked_for(camera: Camera) -> None:
    wanted = [camera.fragments[place] for place in (4, 0, 2)]
    answer = camera.archived.get_media_for_fragment_list(**camera.name(), Fragments=[one.number for one in wanted])
    found = chunks(answer["Payload"].read())
    for chunk, fragment in zip(found, wanted, strict=True):
        known = dict(tags(chunk))
        assert known["AWS_KINESISVIDEO_FRAGMENT_NUMBER"] == fragment.number
        assert float(known["AWS_KINESISVIDEO_SERVER_SIDE_TIMESTAMP"]) == fragment.server_ms / 1000
        assert float(known["AWS_KINESISVIDEO_PRODUCER_TIMESTAMP"]) == fragment.producer_ms / 1000
        assert len(decoded(chunk)["video"]) == 10
        header = parse_header(chunk)
        assert parse_cluster(chunk[chunk.index(b"\x1f\x43\xb6\x75") :], header).timecode == fragment.producer_ms * 10**6


def test_a_fragment_that_is_not_there_is_told_before_anything_is_sent(camera: Camera) -> None:
    call = camera.archived.get_media_for_fragment_list
    for number in ("1" * 47, "1", "9" * 128):
        fragments = [camera.fragments[0].number, number]
        refused("ResourceNotFoundException", call, **camera.name(), Fragments=fragments)


def test_readers_at_once_each_get_everything(service: Served) -> None:
    camera = make_camera(service, "five", count=3)
    camera.archived  # noqa: B018  # made once, before the threads
    got: list[int] = []

    def read() -> None:
        numbers = [one.number for one in camera.fragments]
        answer = camera.archived.get_media_for_fragment_list(**camera.name(), Fragments=numbers)
        got.append(len(chunks(answer["Payload"].read())))

    threads = [threading.Thread(target=read) for _ in range(5)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert got == [3] * 5
