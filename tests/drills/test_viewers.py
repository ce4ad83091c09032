"""Channels in a drill: a viewer before the fault, within it, and after it, against a master in Python."""

from __future__ import annotations

import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from deploy.cloud.promise import ChannelPromise
from deploy.drills.viewers import Audience, Gallery, audience
from recipes.errors import PreflightError
from tests.support.kvsmaster import Master
from tests.support.livecamera import service_of
from tests.support.localservice import REGION, LocalService, local_service

pytestmark = pytest.mark.loopback
DOOR = ChannelPromise(stream="bell", name="door", region=REGION)


@pytest.fixture
def local(tmp_path: Path) -> Iterator[LocalService]:
    with local_service(tmp_path / "kvs") as made:
        made.client("kinesisvideo").create_signaling_channel(ChannelName="door")
        yield made


def master(local: LocalService) -> Master:
    found = local.client("kinesisvideo").describe_signaling_channel(ChannelName="door")
    return Master(service_of(local), found["ChannelInfo"]["ChannelARN"])


def test_what_is_seen_again_is_back_and_what_was_seen_within_is_counted(local: LocalService) -> None:
    with master(local):
        found = audience(DOOR, service_of(local))
        with Gallery([found]) as gallery:
            gallery._within["door"] = time.time() - 2, time.time() - 1, 1  # who came and went within the fault
            assert gallery.came_within(time.time() - 10, time.time()) == {"door": 1}
            assert gallery.came_within(time.time() - 1.5, time.time()) == {}, "its look began before the fault"
            end = time.time()
            back = gallery.wait(end, end + 60)
            assert 0 < back["door"] < 60


def test_a_master_that_comes_late_is_waited_for(local: LocalService) -> None:
    with master(local):
        found = audience(DOOR, service_of(local))
    with Gallery([found]) as gallery:
        end, over = time.time(), threading.Event()

        def again() -> None:
            time.sleep(2)
            with master(local):
                over.wait(90)

        thread = threading.Thread(target=again)
        thread.start()
        try:
            assert gallery.wait(end, end + 60)["door"] > 2
        finally:
            over.set()
            thread.join()


def test_a_master_that_is_gone_is_not_back(local: LocalService) -> None:
    with master(local):
        found = audience(DOOR, service_of(local))
    with Gallery([found]) as gallery:
        end = time.time()
        assert gallery.wait(end, end + 4) == {}


def test_one_look_is_made_within_a_fault_that_is_long_enough(
    local: LocalService, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("deploy.drills.viewers._SETTLED", 0.5)
    with master(local):
        with Gallery([audience(DOOR, service_of(local))]) as gallery:
            begin = time.time()
            gallery.look_within(60)
            time.sleep(1)
            while not gallery._within and time.time() < begin + 40:
                time.sleep(0.1)
            assert gallery.came_within(begin, time.time())["door"] > 0
        with Gallery([]) as nobody:
            nobody.look_within(60)
            assert nobody.came_within(0, time.time()) == {}
            assert nobody.wait(0, 1) == {}


def test_nobody_looks_within_a_moment(local: LocalService) -> None:
    with Gallery([Audience(promise=DOOR, calls=None)]) as gallery:  # type: ignore[arg-type]
        gallery.look_within(10)
        assert gallery.came_within(0, time.time()) == {}
        gallery.audiences = ()


def test_a_channel_that_shows_nothing_gets_no_drill(local: LocalService, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(PreflightError, match="nothing that could come back"):
        audience(DOOR, service_of(local), patience=1.5)
    monkeypatch.setitem(sys.modules, "aiortc", None)
    with pytest.raises(PreflightError) as caught:
        audience(DOOR, service_of(local))
    assert "aiortc is missing" in caught.value.why
