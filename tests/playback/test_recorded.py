"""What the real kvssink sent, taken in by PutMedia, and played: every frame, at its time."""

from __future__ import annotations

import itertools
from typing import Any

import av
import pytest

from deploy.media.matroska import parse_cluster
from deploy.media.model import Frame, TrackKind
from tests.support.captures import put_media_bodies
from tests.support.kvscamera import Camera, decoded, media_playlists, segments, take
from tests.support.kvsserver import Served
from tests.support.media import split
from tests.support.producer import send_media

pytestmark = pytest.mark.loopback


def frames_of(body: bytes) -> tuple[int, list[Frame], list[Frame]]:
    """Return how many fragments a body has, its pictures, and its frames of sound."""
    header, fragments = split(body)
    clusters = [parse_cluster(data, header) for data in fragments]
    found: list[list[Frame]] = []
    for kind in (TrackKind.VIDEO, TrackKind.AUDIO):
        track = header.track(kind)
        found.append([frame for cluster in clusters for frame in cluster.of(track.number)] if track else [])
    return len(fragments), found[0], found[1]


@pytest.mark.parametrize("name", ["kvssink-audio-video", "kvssink-iot-new-stream"])
def test_every_frame_of_the_real_client_is_played(service: Served, name: str) -> None:
    body = max(put_media_bodies(name), key=len)
    count, pictures, sound = frames_of(body)
    stream = service.stream("real")
    wire = send_media(service.local.port, "real", service.local.key(), [body])
    wire.close()
    kept = service.service.store.fragments.select(stream)
    assert len(kept) == count > 1, wire.received[-600:]
    start = min(one.producer_ms for one in kept) // 1000
    camera = Camera(service, stream, start, kept)
    url = camera.hls()
    shown: dict[str, list[float]] = {"video": [], "audio": []}
    with av.open(url) as file:
        take(file, shown)
    assert len(shown["video"]) == len(pictures)
    wanted = sorted(frame.pts / 1e9 for frame in pictures)
    assert shown["video"] == pytest.approx(wanted, abs=0.001)
    assert len(sound) - 2 <= len(shown["audio"]) <= len(sound)
    for address in media_playlists(camera, url):
        (init,), media = segments(address, service.get(address).decode())
        parts = [decoded(service.get(init) + service.get(one)) for one in media]
        assert all(part["video"] or part["audio"] for part in parts)
        ends: list[Any] = [max(part["video"] + part["audio"]) for part in parts]
        assert all(later > earlier for earlier, later in itertools.pairwise(ends))
    clip = camera.archived.get_clip(StreamName="real", ClipFragmentSelector=camera.selector())
    assert len(decoded(clip["Payload"].read())["video"]) == len(pictures)
