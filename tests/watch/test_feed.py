"""Cameras as the service of this machine has them: live, silent for days, kept, empty; stills and clips of them."""

from __future__ import annotations

import io
import time
from collections.abc import Callable, Iterator
from typing import Any

import av
import pytest

from deploy.cloud.session import Calls, Keys, Service, ServiceRefusalError
from deploy.watch.cameras import Wanted, merged
from deploy.watch.feed import Feed
from deploy.watch.once import choose, take
from recipes.errors import ConfigError, VerifyError
from tests.support.media import make_fragments, make_header
from tests.watch.conftest import Cameras

pytestmark = pytest.mark.loopback
Run = Callable[[Any], Any]
FeedOf = Callable[..., Feed]


@pytest.fixture
def feed_of(run: Run) -> Iterator[Callable[..., Feed]]:
    """Make feeds, which are closed with the test."""
    made: list[Feed] = []

    def make(calls: Calls, wanted: Wanted | None = None) -> Feed:
        made.append(Feed(calls, wanted))
        return made[-1]

    yield make
    for feed in made:
        run(feed.close())


def rows(run: Run, feed: Feed) -> dict[str, dict[str, Any]]:
    return {row["name"]: row for row in run(feed.overview())}


def test_spans_near_each_other_are_one() -> None:
    assert merged([(5, 6), (0, 1), (1.5, 3), (2, 2.5)], 1) == [(0, 3), (5, 6)]
    assert merged([], 1) == []


def test_a_stream_and_a_channel_of_one_name_are_one_camera(cameras: Cameras, run: Run, feed_of: FeedOf) -> None:
    cameras.stream("front")
    cameras.channel("front")
    cameras.channel("bell")
    found = rows(run, feed_of(cameras.calls))
    assert [(name, row["stream"], row["channel"], row["state"]) for name, row in found.items()] == [
        ("bell", False, True, "channel"),
        ("front", True, True, "offline"),
    ]


def test_live_and_silent_and_empty_are_told_apart(cameras: Cameras, run: Run, feed_of: FeedOf) -> None:
    for name in ("live", "silent", "empty"):
        cameras.stream(name, age=9 * 3600)
    cameras.stream("forgets", hours=0)
    header, clusters = make_header(), make_fragments(3)
    now = time.time()
    cameras.fill("live", clusters, header, begin=now - 3)
    cameras.fill("silent", clusters, header, begin=now - 5 * 3600)
    feed = feed_of(cameras.calls)
    run(feed.overview())
    deadline = time.monotonic() + 20
    while True:  # what is long ago is looked for beside the answer
        found = rows(run, feed)
        if found["silent"]["last"] or time.monotonic() > deadline:
            break
        time.sleep(0.1)
    assert found["live"]["state"] == "live"
    assert found["live"]["last"] == pytest.approx(now - 1, abs=0.1)
    assert 0 <= found["live"]["behind"] < 10
    assert found["silent"]["state"] == "offline"
    assert found["silent"]["last"] == pytest.approx(now - 5 * 3600 + 2, abs=0.1)
    assert (found["empty"]["state"], found["empty"]["note"]) == ("offline", "nothing has arrived yet")
    assert "retention is 0 hours" in found["forgets"]["note"]


def test_the_timeline_has_the_gaps(cameras: Cameras, run: Run, feed_of: FeedOf) -> None:
    cameras.stream("cam")
    header, clusters = make_header(), make_fragments(3)
    now = float(round(time.time()))
    for begin in (now - 300, now - 200):
        cameras.fill("cam", clusters, header, begin=begin)
    feed = feed_of(cameras.calls)
    camera = run(feed.cameras())[0]
    told = run(feed.timeline(camera, now - 600, now))
    assert told == {
        "spans": [
            (pytest.approx(now - 300), pytest.approx(now - 297)),
            (pytest.approx(now - 200), pytest.approx(now - 197)),
        ],
        "exact": True,
    }
    day = run(feed.timeline(camera, now - 86_400, now))
    assert day["exact"] is False
    assert len(day["spans"]) == 1
    assert day["spans"][0][1] == pytest.approx(now, abs=1801)


def test_a_still_is_a_picture_and_a_clip_plays(cameras: Cameras, run: Run, feed_of: FeedOf) -> None:
    cameras.stream("cam")
    now = time.time()
    cameras.fill("cam", make_fragments(4), make_header(), begin=now - 5)
    feed = feed_of(cameras.calls)
    camera = run(feed.cameras())[0]
    assert run(feed.still(camera)).startswith(b"\xff\xd8\xff")

    async def whole() -> bytes:
        return b"".join([part async for part in await feed.clip(camera, now - 6, now)])

    with av.open(io.BytesIO(run(whole())), "r") as file:
        assert len(file.streams) == 2
        pictures = list(file.decode(video=0))
    assert len(pictures) == 40


def test_a_clip_of_nothing_is_told_before_a_byte(cameras: Cameras, run: Run, feed_of: FeedOf) -> None:
    cameras.stream("cam")
    feed = feed_of(cameras.calls)
    camera = run(feed.cameras())[0]
    with pytest.raises(ServiceRefusalError) as refused:
        run(feed.clip(camera, time.time() - 60, time.time()))
    assert refused.value.words


def test_only_what_is_asked_for_is_shown(cameras: Cameras, run: Run, feed_of: FeedOf) -> None:
    for name in ("one", "two", "three"):
        cameras.stream(name)
    cameras.channel("one")
    assert [*rows(run, feed_of(cameras.calls, Wanted(streams=frozenset({"two", "missing"}))))] == ["two"]
    both = rows(run, feed_of(cameras.calls, Wanted(streams=frozenset({"two"}), channels=frozenset({"one"}))))
    assert [(name, row["stream"]) for name, row in both.items()] == [("one", False), ("two", True)]


def test_wrong_keys_are_told_in_words_and_never_shown(cameras: Cameras, run: Run, feed_of: FeedOf) -> None:
    service = Service(
        region="us-west-2", endpoint_url=cameras.service.endpoint_url, ca=cameras.service.ca,
        keys=Keys(access_key="AKIAWRONG", secret_key="a-secret-of-the-test"),
    )  # fmt: skip
    assert "a-secret" not in repr(service)
    calls = Calls(service)
    with pytest.raises(ServiceRefusalError) as refused:
        run(feed_of(calls).cameras())
    assert refused.value.status == 403
    assert "credentials" in refused.value.words
    calls.close()


@pytest.mark.parametrize(
    ("picture", "blank", "moving"), [("moving", "", True), ("black", "black", False), ("frozen", "", False)]
)
def test_one_picture_and_what_is_seen_in_it(
    cameras: Cameras, run: Run, feed_of: FeedOf, picture: str, blank: str, moving: bool
) -> None:
    cameras.stream("cam")
    cameras.stream("empty")
    cameras.fill("cam", make_fragments(2, picture=picture), make_header(), begin=time.time() - 3)
    feed = feed_of(cameras.calls)
    seen = run(take(feed, run(choose(feed, wait=0)), "JPEG", wait=5))
    assert seen.picture.startswith(b"\xff\xd8\xff")
    assert (seen.camera, seen.width, seen.height) == ("cam", 160, 120)
    assert seen.codec.startswith("avc1.")
    assert (seen.blank, seen.moving) == (blank, moving)
    assert 0 <= seen.behind < 10


def test_nothing_to_take_a_picture_of_is_told(cameras: Cameras, run: Run, feed_of: FeedOf) -> None:
    feed = feed_of(cameras.calls)
    with pytest.raises(ConfigError, match="no stream"):
        run(choose(feed, wait=0))
    cameras.stream("one")
    cameras.stream("two")
    feed = feed_of(cameras.calls)
    with pytest.raises(ConfigError, match="2 streams"):
        run(choose(feed, wait=0))
    with pytest.raises(VerifyError, match="no picture arrived"):
        run(take(feed, run(feed.cameras())[0], "PNG", wait=0.2))
