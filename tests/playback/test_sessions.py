"""Sessions: how many, how long, whose fragments; twenty players at once; what memory they take."""

from __future__ import annotations

import threading
from collections.abc import Callable

import pytest

from deploy.kvs.errors import ServiceError
from deploy.kvsstore.fragments import Fragment
from deploy.media.matroska import write_cluster, write_header
from deploy.media.model import Frame, Track, TrackKind
from deploy.playback.request import Span
from deploy.playback.segments import Segments
from deploy.playback.sessions import MOST_OF_A_STREAM, Playback, playback
from tests.support.kvscamera import Camera, decoded, make_camera, media_playlists, refused, segments
from tests.support.kvsserver import Served
from tests.support.media import make_fragments, make_header

pytestmark = pytest.mark.loopback


def kept(service: Served) -> Playback:
    return playback(service.service)


def test_the_eleventh_session_of_a_stream_revokes_the_first(service: Served) -> None:
    camera = make_camera(service, "eleven", count=1)
    other = make_camera(service, "other", count=1)
    elsewhere = other.hls()
    urls = [camera.hls() for _ in range(MOST_OF_A_STREAM + 1)]
    assert service.refusal(urls[0]) == (403, "NotAuthorizedException")
    for url in [*urls[1:], elsewhere]:
        assert service.get(url)
    assert len(kept(service).sessions) == MOST_OF_A_STREAM + 1


def test_a_session_ends(service: Served) -> None:
    camera = make_camera(service, "ends", count=1)
    url = camera.hls(Expires=300)
    later = camera.hls(Expires=43_200)
    (playlist, _) = media_playlists(camera, url)
    (init,), (media,) = segments(playlist, service.get(playlist).decode())
    now = service.local.clock()
    service.local.clock.set(now + 299)
    assert service.get(media)
    service.local.clock.set(now + 301)
    for one in (url, playlist, init, media):
        assert service.refusal(one) == (403, "NotAuthorizedException")
    assert service.get(later)
    service.local.clock.set(now)


def test_a_session_opens_its_own_range_only(service: Served) -> None:
    camera = make_camera(service, "range", count=4)
    other = make_camera(service, "other", count=1)
    url, _ = media_playlists(camera, camera.hls(HLSFragmentSelector=camera.selector(1, 2)))
    (_,), media = segments(url, service.get(url).decode())
    assert len(media) == 2
    for number in (camera.fragments[0].number, camera.fragments[3].number, other.fragments[0].number):
        address = media[0].replace(camera.fragments[1].number, number)
        assert service.refusal(address) == (404, "ResourceNotFoundException")


def test_a_deleted_stream_ends_its_sessions(service: Served) -> None:
    camera = make_camera(service, "gone", count=1)
    url = camera.hls()

    async def delete() -> None:
        service.service.store.streams.delete(camera.stream)
        await service.service.store.fragments.delete_stream(camera.stream)

    service.run(delete())
    assert service.refusal(url) == (404, "ResourceNotFoundException")


def test_a_fragment_whose_retention_ended_is_told(service: Served) -> None:
    camera = make_camera(service, "purged", count=2, hours=1)
    url, _ = media_playlists(camera, camera.hls())
    (_,), media = segments(url, service.get(url).decode())
    now = service.local.clock()
    service.local.clock.set(now + 3700)
    service.run(service.service.store.fragments.purge([camera.stream]))
    service.local.clock.set(now)
    assert service.refusal(media[0]) == (404, "ResourceNotFoundException")
    assert b"#EXTINF" in service.get(url), "the list itself is as it was"


def test_twenty_players_at_once_all_see_every_picture(service: Served) -> None:
    cameras = [make_camera(service, f"cam{number:02d}", count=3) for number in range(4)]
    urls = [(camera, media_playlists(camera, camera.hls())[0]) for camera in cameras for _ in range(5)]
    seen: list[int] = []

    def play(camera: Camera, url: str) -> None:
        (init,), media = segments(url, service.get(url).decode())
        seen.append(sum(len(decoded(service.get(init) + service.get(one))["video"]) for one in media))

    threads = [threading.Thread(target=play, args=one) for one in urls]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert seen == [30] * 20
    assert len(kept(service).sessions) == 20


def test_what_was_made_stays_within_its_bound(service: Served) -> None:
    camera = make_camera(service, "bound", count=6)
    made = Segments(service.service.store, most_bytes=60_000)
    span = Span("SERVER")

    async def make(fragment: Fragment) -> bytes:
        return await made.media(fragment, 1, span)

    for _ in range(3):
        for fragment in camera.fragments:
            assert len(service.run(make(fragment))) > 10_000
            assert made.size <= 60_000
    large = Segments(service.service.store, most_bytes=1_000)

    async def once() -> bytes:
        return await large.media(camera.fragments[0], 1, span)

    assert service.run(once())
    assert large.size == 0


def test_all_sessions_together_are_few(service: Served, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("deploy.playback.sessions.MOST_SESSIONS", 5)
    cameras = [make_camera(service, f"cam{number}", count=1) for number in range(7)]
    urls = [camera.hls() for camera in cameras]
    assert len(kept(service).sessions) == 5
    assert [service.refusal(url)[0] for url in urls[:2]] == [403, 403]
    monkeypatch.setattr("deploy.playback.sessions.MOST_ENTRIES", 2)
    assert service.get(cameras[0].hls())
    assert len(kept(service).sessions) == 2


def unplayable(service: Served, name: str, track: Track) -> Camera:
    """Make a stream whose only fragment has one track, which cannot be played."""
    camera = make_camera(service, name, count=0)
    at = camera.start * 1000
    frames = [Frame(1, (at + place) * 1_000_000, key=True, data=bytes(20)) for place in (0, 100)]
    service.put(camera.stream, write_header([track], writing_app="test"), write_cluster(at, frames), server_ms=at)
    return camera


def video(codec: str, private: bytes) -> Track:
    return Track(1, TrackKind.VIDEO, codec, private, width=64, height=64)


@pytest.mark.parametrize(
    ("track", "code"),
    [
        (video("V_MPEG4/ISO/AVC", b""), "MissingCodecPrivateDataException"),
        (video("V_MPEG4/ISO/AVC", b"\x00\x00\x00\x01\x67\x42"), "InvalidCodecPrivateDataException"),
        (video("V_MPEG4/ISO/AVC", b"\x01"), "InvalidCodecPrivateDataException"),
        (video("V_VP8", b"\x01"), "UnsupportedStreamMediaTypeException"),
        (Track(1, TrackKind.OTHER, "S_TEXT/UTF8"), "UnsupportedStreamMediaTypeException"),
        (Track(1, TrackKind.AUDIO, "A_OPUS", b"x", rate=48_000, channels=2), "UnsupportedStreamMediaTypeException"),
    ],
)
def test_what_cannot_be_played_is_said_as_the_service_does(service: Served, track: Track, code: str) -> None:
    camera = unplayable(service, "odd", track)
    call = camera.archived
    refused(
        code, call.get_hls_streaming_session_url, **camera.name(),
        PlaybackMode="ON_DEMAND", HLSFragmentSelector=camera.selector(),
    )  # fmt: skip
    refused(
        code, call.get_dash_streaming_session_url, **camera.name(),
        PlaybackMode="ON_DEMAND", DASHFragmentSelector=camera.selector(),
    )  # fmt: skip
    refused(code, call.get_clip, **camera.name(), ClipFragmentSelector=camera.selector())


def test_a_fragment_that_cannot_be_played_is_left_out_among_others(service: Served) -> None:
    camera = make_camera(service, "mixed", count=2)
    at = camera.fragments[-1].producer_ms + 1000
    frames = [Frame(1, (at + place) * 1_000_000, key=True, data=bytes(20)) for place in (0, 100)]
    header = write_header([video("V_VP8", b"x")], writing_app="test")
    service.put(camera.stream, header, write_cluster(at, frames), server_ms=at + 1040)
    data = make_fragments(1, start_ms=at + 1000)[0]
    service.put(camera.stream, make_header(), data, server_ms=at + 2040)
    url, _ = media_playlists(camera, camera.hls())
    assert service.get(url).count(b"#EXTINF") == 3


def test_a_stream_that_keeps_nothing_has_no_playback(service: Served) -> None:
    camera = make_camera(service, "unkept", count=2, hours=0, ago=3)
    calls: list[tuple[Callable[..., object], dict[str, object]]] = [
        (camera.archived.get_hls_streaming_session_url, {}),
        (camera.archived.get_dash_streaming_session_url, {}),
        (camera.archived.get_clip, {"ClipFragmentSelector": camera.selector()}),
    ]
    for call, arguments in calls:
        refused("NoDataRetentionException", call, **camera.name(), **arguments)


def test_errors_of_a_source_are_raised_anew_each_time(service: Served) -> None:
    """An exception that is raised twice keeps the frames of both, and what they hold."""
    camera = unplayable(service, "again", video("V_VP8", b"x"))
    (fragment,) = service.service.store.fragments.select(camera.stream)
    made = Segments(service.service.store)
    errors = []
    for _ in range(2):
        with pytest.raises(ServiceError) as caught:
            made.source(fragment)
        errors.append(caught.value)
    assert errors[0] is not errors[1]
