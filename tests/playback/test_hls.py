"""HLS by boto3 for the session and by FFmpeg's own player for what it leads to; every segment decoded by itself too."""

from __future__ import annotations

import re
import ssl
import threading
import time
import urllib.request
from datetime import datetime
from typing import Any
from urllib.parse import parse_qs, urlsplit

import av
import pytest

from deploy.media.matroska import parse_cluster, parse_header, write_cluster, write_header
from tests.support.kvscamera import (
    LATE_MS,
    Camera,
    decoded,
    make_camera,
    media_playlists,
    refused,
    segments,
    steps,
    take,
)
from tests.support.kvsserver import Served
from tests.support.media import make_fragments, make_header

pytestmark = pytest.mark.loopback


def playlist(camera: Camera, url: str) -> str:
    return camera.served.get(media_playlists(camera, url)[0]).decode()


def lines(text: str, tag: str) -> list[str]:
    return [line.partition(":")[2] for line in text.splitlines() if line.partition(":")[0] == f"#{tag}"]


def feed(camera: Camera, count: int, *, step_ms: int = 1000) -> None:
    """Let the camera send more fragments, which follow the last one."""
    last = camera.fragments[-1]
    datas = make_fragments(count, start_ms=last.producer_ms + step_ms)
    for place, data in enumerate(datas):
        at = last.server_ms + step_ms + place * 1000
        camera.fragments.append(camera.served.put(camera.stream, make_header(), data, server_ms=at))


def test_ffmpeg_plays_the_master_with_pictures_and_sound(camera: Camera) -> None:
    shown: dict[str, list[float]] = {"video": [], "audio": []}
    with av.open(camera.hls()) as file:
        assert [stream.type for stream in file.streams] == ["audio", "video"]
        take(file, shown)
    assert len(shown["video"]) == 60
    assert steps(shown["video"]) == {100}
    assert len(shown["audio"]) >= 92
    assert steps(shown["audio"]) <= {62, 63, 64, 65, 66}
    assert min(shown["video"]) == camera.start


def test_the_master_says_what_players_choose_by(camera: Camera) -> None:
    url = camera.hls()
    assert re.fullmatch(rf"{camera.served.url}/hls/v1/getHLSMasterPlaylist\.m3u8\?SessionToken=[\w-]{{64}}", url)
    text = camera.served.get(url).decode()
    assert lines(text, "EXT-X-VERSION") == ["1"]
    (stream,) = lines(text, "EXT-X-STREAM-INF")
    assert 'CODECS="avc1.42c00a,mp4a.40.2"' in stream
    assert "RESOLUTION=160x120,FRAME-RATE=10.000" in stream
    size = max(one.size for one in camera.fragments)
    assert f"BANDWIDTH={size * 8}," in stream
    assert 'AUDIO="audio"' in stream
    (sound,) = lines(text, "EXT-X-MEDIA")
    assert sound.startswith('TYPE=AUDIO,GROUP-ID="audio"')


def test_every_segment_of_both_tracks_decodes_with_the_times_of_its_frames(camera: Camera) -> None:
    pictures, sound = media_playlists(camera, camera.hls())
    for url, kind in ((pictures, "video"), (sound, "audio")):
        (init,), media = segments(url, camera.served.get(url).decode())
        begin = camera.served.get(init)
        assert len(media) == 6
        for place, segment in enumerate(media):
            shown = decoded(begin + camera.served.get(segment))
            if kind == "video":
                wanted = [camera.start + place + frame / 10 for frame in range(10)]
                assert shown["video"] == pytest.approx(wanted, abs=0.001)
            else:
                assert len(shown["audio"]) >= 14
                assert camera.start + place - 0.002 <= shown["audio"][0] < camera.start + place + 0.065
            assert not shown["audio" if kind == "video" else "video"]


def test_a_playlist_on_demand_is_that_of_the_service(camera: Camera) -> None:
    text = playlist(camera, camera.hls(DisplayFragmentTimestamp="ALWAYS"))
    assert [line.partition(":")[0] for line in text.splitlines()[:9]] == [
        *("#EXTM3U", "#EXT-X-VERSION", "#EXT-X-PLAYLIST-TYPE", "#EXT-X-TARGETDURATION", "#EXT-X-MEDIA-SEQUENCE"),
        *("#EXT-X-INDEPENDENT-SEGMENTS", "#EXT-X-MAP", "#EXT-X-PROGRAM-DATE-TIME", "#EXTINF"),
    ]
    assert lines(text, "EXT-X-VERSION") == ["7"]
    assert lines(text, "EXT-X-TARGETDURATION") == ["1"]
    assert lines(text, "EXTINF") == ["1.000,"] * 6
    times = [datetime.fromisoformat(one).timestamp() for one in lines(text, "EXT-X-PROGRAM-DATE-TIME")]
    assert times == [camera.start + place for place in range(6)]
    assert text.endswith("#EXT-X-ENDLIST\n")
    assert "#EXT-X-DISCONTINUITY" not in text


def test_the_servers_clock_breaks_between_all_fragments(camera: Camera) -> None:
    text = playlist(
        camera, camera.hls(HLSFragmentSelector=camera.selector(0, 10, "SERVER"), DisplayFragmentTimestamp="ALWAYS")
    )
    assert text.count("#EXT-X-DISCONTINUITY\n") == 6
    assert text.count("#EXT-X-MAP") == 1
    first = datetime.fromisoformat(lines(text, "EXT-X-PROGRAM-DATE-TIME")[0]).timestamp()
    assert first == camera.start + 1.04
    never = camera.hls(HLSFragmentSelector=camera.selector(0, 10, "SERVER"), DiscontinuityMode="NEVER")
    assert "DISCONTINUITY" not in playlist(camera, never)


def test_a_break_is_told_where_there_is_a_gap(service: Served) -> None:
    camera = make_camera(service, "gap", count=3)
    feed(camera, 2, step_ms=4000)
    text = playlist(camera, camera.hls(DiscontinuityMode="ON_DISCONTINUITY"))
    entries = text.split("#EXTINF")
    assert ["#EXT-X-DISCONTINUITY\n" in one for one in entries[:-1]] == [False, False, False, True, False]
    assert lines(text, "EXTINF") == ["1.000,"] * 5


def test_the_list_is_as_long_as_asked_for(camera: Camera) -> None:
    text = playlist(camera, camera.hls(MaxMediaPlaylistFragmentResults=2))
    assert [one for one in text.splitlines() if camera.fragments[1].number in one]
    assert text.count("#EXTINF") == 2


def test_pictures_of_another_size_get_a_beginning_of_their_own(service: Served) -> None:
    camera = make_camera(service, "size", count=2, audio=False)
    at = camera.fragments[-1].producer_ms + 1000
    for place, data in enumerate(make_fragments(2, start_ms=at, size=(320, 240), audio=False)):
        header = make_header(size=(320, 240), audio=False)
        service.put(camera.stream, header, data, server_ms=at + 2000 + place * 1000)
    url = camera.hls(DiscontinuityMode="ON_DISCONTINUITY")
    (list_url,) = media_playlists(camera, url)
    text = service.get(list_url).decode()
    inits, media = segments(list_url, text)
    assert [parse_qs(urlsplit(one).query)["SequenceNumber"] for one in inits] == [["0"], ["1"]]
    assert text.count("#EXT-X-DISCONTINUITY\n") == 1
    assert len(decoded(service.get(inits[1]) + service.get(media[3]))["video"]) == 10
    shown: dict[str, list[float]] = {"video": [], "audio": []}
    with av.open(url) as file:
        take(file, shown)
    assert len(shown["video"]) == 40


class TestLive:
    def test_the_newest_fragments_are_listed_and_the_count_goes_on(self, service: Served) -> None:
        camera = make_camera(service, "live", count=8)
        (url, _) = media_playlists(camera, camera.live())
        text = service.get(url).decode()
        assert "ENDLIST" not in text
        assert "PLAYLIST-TYPE" not in text
        assert text.count("#EXTINF") == 5
        assert camera.fragments[-1].number in text.splitlines()[-1]
        before = int(lines(text, "EXT-X-MEDIA-SEQUENCE")[0])
        feed(camera, 3)
        text = service.get(url).decode()
        assert int(lines(text, "EXT-X-MEDIA-SEQUENCE")[0]) == before + 3
        assert lines(text, "EXT-X-DISCONTINUITY-SEQUENCE") == ["3"]
        assert camera.fragments[-1].number in text.splitlines()[-1]

    def test_a_fragment_is_in_the_list_as_soon_as_it_is_kept(self, service: Served) -> None:
        """A player that knows all there is waits in its request, and not until its next one."""
        camera = make_camera(service, "soon", count=3)
        url, _ = media_playlists(camera, camera.live())
        service.get(url)
        seen: list[float] = []

        def ask() -> None:
            text = service.get(url).decode()
            seen.append(time.monotonic())
            assert text.count("#EXTINF") == 4

        asking = threading.Thread(target=ask)
        asking.start()
        time.sleep(0.4)
        assert not seen
        kept = time.monotonic()
        feed(camera, 1)
        asking.join()
        assert seen[0] - kept < 0.3

    def test_a_list_does_not_wait_long(self, service: Served) -> None:
        camera = make_camera(service, "still", count=3)
        url, sound = media_playlists(camera, camera.live())
        service.get(url)
        began = time.monotonic()
        service.get(sound)
        assert time.monotonic() - began < 0.5, "the list of another track is new"
        service.get(url)
        assert 0.8 < time.monotonic() - began < 3

    def test_the_last_pictures_duration_is_guessed_and_then_known(self, service: Served) -> None:
        camera = make_camera(service, "guess", count=2)
        url, _ = media_playlists(camera, camera.live())
        (init,), media = segments(url, service.get(url).decode())
        shown = [decoded(service.get(init) + service.get(one))["video"] for one in media]
        assert [len(one) for one in shown] == [10, 10]

    def test_ffmpeg_follows_a_live_stream(self, service: Served) -> None:
        camera = make_camera(service, "follow", count=3, ago=5)
        stop = threading.Event()

        def send() -> None:
            while not stop.wait(0.25):
                feed(camera, 1)

        sending = threading.Thread(target=send)
        # Fed four times as fast as it is watched, so a list of the usual five would run away from a player.
        selector = {"FragmentSelectorType": "PRODUCER_TIMESTAMP"}
        url = camera.live(HLSFragmentSelector=selector, MaxMediaPlaylistFragmentResults=30)
        sending.start()
        times: list[float] = []
        try:
            with av.open(url) as file:
                for packet in file.demux(video=0):
                    times += [float(one.pts * one.time_base) for one in packet.decode()]  # type: ignore[operator]
                    if len(times) >= 80:
                        break
        finally:
            stop.set()
            sending.join()
        assert steps(times) == {100}

    def test_a_clock_that_goes_back_adds_nothing_to_a_list_of_the_producers_times(self, service: Served) -> None:
        camera = make_camera(service, "back", count=3)
        url, _ = media_playlists(
            camera, camera.live(HLSFragmentSelector={"FragmentSelectorType": "PRODUCER_TIMESTAMP"})
        )
        before = service.get(url).decode()
        service.put(camera.stream, make_header(), make_fragments(1, start_ms=1_700_000_000_000)[0])
        assert service.get(url).decode() == before

    def test_a_stream_that_is_silent_for_30_seconds_is_not_live(self, service: Served) -> None:
        camera = make_camera(service, "silent", count=2, ago=40)
        call = camera.archived.get_hls_streaming_session_url
        refused("ResourceNotFoundException", call, **camera.name())
        refused("ResourceNotFoundException", call, StreamName=service.stream("empty").name)


class TestReplay:
    def replay(self, camera: Camera, **times: Any) -> str:
        selector = {
            "FragmentSelectorType": "PRODUCER_TIMESTAMP",
            "TimestampRange": {"StartTimestamp": camera.start} | times,
        }
        return camera.hls(PlaybackMode="LIVE_REPLAY", HLSFragmentSelector=selector, MaxMediaPlaylistFragmentResults=50)

    def test_fragments_come_as_their_time_goes_by(self, service: Served) -> None:
        camera = make_camera(service, "replay", count=12)
        url, _ = media_playlists(camera, self.replay(camera))
        began = time.monotonic()
        assert service.get(url).decode().count("#EXTINF") == 3
        time.sleep(2.3)
        count = service.get(url).decode().count("#EXTINF")
        assert count in {5, 3 + int(time.monotonic() - began)}

    def test_the_end_of_a_range_ends_the_list(self, service: Served) -> None:
        camera = make_camera(service, "range", count=4, ago=60)
        url, _ = media_playlists(camera, self.replay(camera, EndTimestamp=camera.start + 3))
        text = service.get(url).decode()
        assert "ENDLIST" not in text
        time.sleep(1.2)
        text = service.get(url).decode()
        assert text.count("#EXTINF") == 4
        assert service.get(url).decode().endswith("#EXT-X-ENDLIST\n")


def test_sound_alone_is_played(service: Served) -> None:
    camera = make_camera(service, "sound", count=0)
    both = parse_header(make_header())
    header = write_header([track for track in both.tracks if track.number == 2], writing_app="test")
    for place, data in enumerate(make_fragments(3, start_ms=camera.start * 1000)):
        frames = parse_cluster(data, both).of(2)
        at = (camera.start + place) * 1000
        service.put(camera.stream, header, write_cluster(at, frames), server_ms=at + LATE_MS)
    url = camera.hls()
    (stream,) = lines(service.get(url).decode(), "EXT-X-STREAM-INF")
    assert 'CODECS="mp4a.40.2"' in stream
    assert "RESOLUTION" not in stream
    shown: dict[str, list[float]] = {"video": [], "audio": []}
    with av.open(url) as file:
        take(file, shown)
    assert len(shown["audio"]) >= 45
    assert max(steps(shown["audio"])) <= 66


def test_h265_is_played(service: Served) -> None:
    camera = make_camera(service, "hevc", count=0)
    header = make_header(codec="libx265", audio=False)
    for place, data in enumerate(make_fragments(2, start_ms=camera.start * 1000, codec="libx265", audio=False)):
        service.put(camera.stream, header, data, server_ms=(camera.start + place) * 1000 + LATE_MS)
    url = camera.hls()
    (stream,) = lines(service.get(url).decode(), "EXT-X-STREAM-INF")
    assert 'CODECS="hvc1.' in stream
    shown: dict[str, list[float]] = {"video": [], "audio": []}
    with av.open(url) as file:
        take(file, shown)
    assert len(shown["video"]) == 20
    assert steps(shown["video"]) == {100}


def test_timecodes_that_begin_at_0_are_played_at_the_producers_times(service: Served) -> None:
    camera = make_camera(service, "relative", count=0)
    kept = service.service.store.fragments
    for place, data in enumerate(make_fragments(2, start_ms=0)):
        at = (camera.start + place) * 1000
        service.run(
            kept.add(
                camera.stream, number=kept.next_number(at), producer_ms=at, server_ms=at + LATE_MS, length_ms=1000,
                header=make_header(), data=data,
            )
        )  # fmt: skip
    shown: dict[str, list[float]] = {"video": [], "audio": []}
    with av.open(camera.hls()) as file:
        take(file, shown)
    assert min(shown["video"]) == camera.start
    assert steps(shown["video"]) == {100}
    assert 0 <= min(shown["audio"]) - camera.start < 0.065


def test_who_came_over_tls_goes_on_over_tls(service: Served) -> None:
    camera = make_camera(service, "tls", count=1)
    client = service.local.client("kinesis-video-archived-media")
    answer = client.get_hls_streaming_session_url(
        StreamName="tls", PlaybackMode="ON_DEMAND", HLSFragmentSelector=camera.selector()
    )
    url = answer["HLSStreamingSessionURL"]
    assert url.startswith(f"https://localhost:{service.local.tls_port}/hls/v1/getHLSMasterPlaylist.m3u8?")
    trust = ssl.create_default_context(cafile=str(service.local.authority.certificate))
    with urllib.request.urlopen(url, context=trust, timeout=20) as got:
        assert got.read().startswith(b"#EXTM3U")
        assert got.headers["Access-Control-Allow-Origin"] == "*"
        assert got.headers["Cache-Control"] == "no-store"
    client.close()
