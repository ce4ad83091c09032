"""Playlists are rewritten to short names; no session token leaves, and no other server is led to."""

from __future__ import annotations

import time

import pytest

from deploy.cloud.session import ServiceRefusalError
from deploy.watch.cameras import Camera
from deploy.watch.hls import _NAMES, Session, rewritten

BASE = "https://b-local.kinesisvideo.us-west-2.amazonaws.com/hls/v1/getHLSMasterPlaylist.m3u8?SessionToken=SECRET"
MASTER = """#EXTM3U
#EXT-X-VERSION:1
# a comment with SECRET in it
#EXT-X-MEDIA:TYPE=AUDIO,GROUP-ID="audio",URI="getHLSMediaPlaylist.m3u8?SessionToken=SECRET&TrackNumber=2"
#EXT-X-STREAM-INF:BANDWIDTH=1,CODECS="avc1.42c01f,mp4a.40.2",RESOLUTION=640x480,AUDIO="audio"
getHLSMediaPlaylist.m3u8?SessionToken=SECRET&TrackNumber=1
"""
MEDIA = """#EXTM3U
#EXT-X-VERSION:7
#EXT-X-MAP:URI="getMP4InitFragment.mp4?SessionToken=SECRET&TrackNumber=1&SequenceNumber=1"
#EXT-X-PROGRAM-DATE-TIME:2026-11-27T07:30:38.534Z
#EXTINF:1.024,
getMP4MediaFragment.mp4?FragmentNumber=91343852333180000&SessionToken=SECRET&TrackNumber=1
#EXTINF:1.0,
getTSFragment.ts?FragmentNumber=2&SessionToken=SECRET
"""


def session() -> Session:
    return Session(
        id="s",
        camera=Camera(id="0" * 16, name="cam"),
        mode="LIVE",
        until=time.monotonic() + 60,
        origin=("https", "b-local.kinesisvideo.us-west-2.amazonaws.com"),
    )


@pytest.mark.parametrize("playlist", [MASTER, MEDIA])
def test_no_token_and_no_name_of_the_service_is_left(playlist: str) -> None:
    told = rewritten(playlist, BASE, session())
    for word in ("SECRET", "Token", "kinesisvideo", "http", "getHLS", "getMP4", "getTS"):
        assert word not in told
    kept = [line for line in playlist.splitlines() if line.startswith("#EXT") and "URI" not in line]
    assert [line for line in told.splitlines() if line.startswith("#EXT") and "URI" not in line] == kept


def test_names_lead_back_and_stay_the_same() -> None:
    opened = session()
    told = rewritten(MEDIA, BASE, opened)
    assert rewritten(MEDIA, BASE, opened) == told
    names = [line for line in told.splitlines() if line and not line.startswith("#")]
    assert [name.rpartition(".")[2] for name in names] == ["mp4", "ts"]
    assert opened.url(names[0]) == BASE.rpartition("/")[0] + "/" + MEDIA.splitlines()[5]
    other = rewritten(MEDIA, BASE, session())
    assert not {*names} & {*other.splitlines()}


@pytest.mark.parametrize(
    "line",
    [
        "https://evil.example/x.mp4",
        "//evil.example/x.mp4",
        "http://b-local.kinesisvideo.us-west-2.amazonaws.com/x.mp4",
        "https://b-local.kinesisvideo.us-west-2.amazonaws.com:444/x.mp4",
        "https://b-local.kinesisvideo.us-west-2.amazonaws.com@evil.example/x.mp4",
        '#EXT-X-MAP:URI="https://evil.example/x.mp4"',
        '#EXT-X-KEY:METHOD=AES-128,URI="data:text/plain,x"',
        "file:///etc/passwd",
    ],
)
def test_a_playlist_that_leads_elsewhere_is_refused(line: str) -> None:
    with pytest.raises(ServiceRefusalError, match="another server"):
        rewritten(f"#EXTM3U\n{line}\n", BASE, session())


@pytest.mark.parametrize("text", ["", "<html>", '{"Message":"x"}', "\ufeff#EXTM3U", "#EXTINF:1"])
def test_what_is_no_playlist_is_refused(text: str) -> None:
    with pytest.raises(ServiceRefusalError, match="no playlist"):
        rewritten(text, BASE, session())


def test_control_characters_do_not_pass() -> None:
    told = rewritten("#EXTM3U\n#EXT-X-\x1b[31mRED\n#EXT-X-ENDLIST\n", BASE, session())
    assert told == "#EXTM3U\n#EXT-X-ENDLIST\n"


def test_names_are_bounded_in_number_and_the_oldest_go_first() -> None:
    opened = session()
    stem = BASE.rpartition("/")[0]
    first, second = opened.name(f"{stem}/first.mp4"), opened.name(f"{stem}/second.mp4")
    for number in range(_NAMES - 2):
        opened.name(f"{stem}/{number}.mp4")
    opened.name(f"{stem}/first.mp4")  # used again, so it is not the oldest
    opened.name(f"{stem}/last.mp4")
    assert opened.url(first).endswith("first.mp4")
    with pytest.raises(ServiceRefusalError, match="not known"):
        opened.url(second)
