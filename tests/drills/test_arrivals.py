"""What comes back after a fault: a fragment that was filmed after it, and not what was buffered or came all through."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from deploy.cloud.promise import StreamPromise
from deploy.drills.arrivals import Arrivals, Watch, baseline
from recipes.errors import PreflightError
from tests.support.livecamera import LiveCamera, service_of
from tests.support.localservice import REGION, LocalService, local_service

pytestmark = pytest.mark.loopback
PROMISE = StreamPromise(stream="front", name="cam01", region=REGION)


@pytest.fixture
def local(tmp_path: Path) -> Iterator[LocalService]:
    with local_service(tmp_path / "kvs") as made:
        made.client("kinesisvideo").create_stream(StreamName="cam01", DataRetentionInHours=24)
        yield made


@pytest.fixture
def camera(local: LocalService) -> Iterator[LiveCamera]:
    with LiveCamera(local, "cam01") as made:
        yield made


def test_what_streams_again_is_seen_by_a_new_fragment(local: LocalService, camera: LiveCamera) -> None:
    with Watch([baseline(PROMISE, service_of(local))]) as watch:
        begin = time.time()
        camera.pause.set()
        time.sleep(1.5)
        end = time.time()
        camera.pause.clear()
        back = watch.wait(end, end, end + 60)
        assert list(back) == ["cam01"]
        assert 0 < back["cam01"] < 60
        assert watch.came_within(begin, end) == {}, "so short a fault proves nothing"


def test_what_stands_still_is_not_back_and_nothing_came_through(local: LocalService, camera: LiveCamera) -> None:
    with Watch([baseline(PROMISE, service_of(local))]) as watch:
        camera.pause.set()
        begin = time.time()
        time.sleep(6)
        end = time.time()
        assert watch.came_within(begin, end) == {"cam01": 0}
        assert watch.wait(end, end, end + 1) == {}


def test_what_comes_all_through_is_counted(local: LocalService, camera: LiveCamera) -> None:
    with Watch([baseline(PROMISE, service_of(local))]) as watch:
        begin = time.time()
        time.sleep(7)
        assert watch.came_within(begin, time.time())["cam01"] > 0


def test_what_was_buffered_in_the_fault_is_no_sign_of_life(local: LocalService, camera: LiveCamera) -> None:
    found = baseline(PROMISE, service_of(local))
    with Watch([found]):
        last = found.before[-1]
        end = last.server + 30
        taken = found.taken_after
        assert not taken(late(found, filmed=end - 5, arrives=end + 1), end)
        assert taken(late(found, filmed=end + 1, arrives=end + 2.5), end)
        assert not taken(late(found, filmed=end + 1, arrives=end - 1), end)


def test_the_boards_clock_may_be_off(local: LocalService) -> None:
    with LiveCamera(local, "cam01", ahead=-300):
        found = baseline(PROMISE, service_of(local))
        with Watch([found]) as watch:
            assert found.shift > 290
            end = time.time()
            assert watch.wait(end, end, end + 60)


def late(found: Arrivals, *, filmed: float, arrives: float):  # type: ignore[no-untyped-def] # noqa: ANN201
    from deploy.cloud.evidence import Seen

    return Seen(number="1", server=arrives, producer=filmed - found.shift, length=1.0)


def test_a_stream_that_does_not_stream_gets_no_drill(local: LocalService) -> None:
    with pytest.raises(PreflightError, match="nothing that could come back"):
        baseline(PROMISE, service_of(local), patience=0.5)


def test_a_stream_that_was_just_stopped_gets_no_drill(local: LocalService, camera: LiveCamera) -> None:
    baseline(PROMISE, service_of(local)).calls.close()
    camera.pause.set()
    time.sleep(1)
    with pytest.raises(PreflightError, match="nothing that could come back"):
        baseline(PROMISE, service_of(local), patience=3)


def test_a_stream_that_keeps_nothing_or_is_not_there_gets_no_drill(local: LocalService) -> None:
    local.client("kinesisvideo").create_stream(StreamName="cam02", DataRetentionInHours=0)
    for name in ("cam02", "cam03"):
        with pytest.raises(PreflightError, match="cannot see"):
            baseline(StreamPromise(stream="x", name=name, region=REGION), service_of(local))
