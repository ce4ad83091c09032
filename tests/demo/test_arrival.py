"""What the demo makes of what arrives: a picture that moves is one, nothing, black and frozen are not."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from deploy.demo import arrival
from deploy.kvsboards.view import View
from recipes.errors import VerifyError
from tests.support.localservice import REGION, LocalService, Wire, local_service
from tests.support.media import make_fragments, make_header
from tests.support.producer import chunk, put_media_head

pytestmark = pytest.mark.loopback
VIEW = View(hosts="", authority="", ca_files=(), streams=(("cam01", REGION),))


class Reached:
    """The service of a test, as the demo reaches one that runs."""

    def __init__(self, served: LocalService) -> None:
        self.url = served.url
        self.authority = served.authority.certificate
        self._key = served.key()

    def own_key(self) -> object:
        return self._key


@pytest.fixture
def served(tmp_path: Path) -> Iterator[LocalService]:
    with local_service(tmp_path / "kvs") as service:
        service.service.store.streams.create("cam01", region=REGION, retention_hours=1)
        yield service


@contextmanager
def streaming(served: LocalService, picture: str) -> Iterator[None]:
    """Send a fragment a second while the block runs."""
    over = threading.Event()

    def send() -> None:
        wire = Wire(served.port)
        wire.send(put_media_head("cam01", served.key()) + chunk(make_header(audio=False)))
        start = int(time.time() * 1000)
        for fragment in make_fragments(20, audio=False, start_ms=start, picture=picture):
            wire.send(chunk(fragment))
            if over.wait(0.4):
                break
        wire.close()

    sender = threading.Thread(target=send)
    sender.start()
    try:
        yield
    finally:
        over.set()
        sender.join(10)


def wait(served: LocalService, folder: Path) -> arrival.Arrival:
    return arrival.wait_for_picture(Reached(served), VIEW, folder)  # type: ignore[arg-type]


def test_a_picture_that_moves_is_saved_with_what_was_seen(served: LocalService, tmp_path: Path) -> None:
    with streaming(served, "moving"):
        found = wait(served, tmp_path)
    assert found.file.read_bytes().startswith(b"\xff\xd8")
    assert (found.seen.width, found.seen.height, found.stream) == (160, 120, "cam01")
    assert found.behind < 5


@pytest.mark.parametrize(("picture", "told"), [("black", "black"), ("frozen", "always the same"), ("green", "green")])
def test_a_picture_that_shows_nothing_is_an_error(
    served: LocalService, tmp_path: Path, picture: str, told: str
) -> None:
    with streaming(served, picture), pytest.raises(VerifyError, match=told):
        wait(served, tmp_path)


def test_nothing_is_an_error_after_a_while(
    served: LocalService, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(arrival, "WAIT", 1.5)
    with pytest.raises(VerifyError, match="no picture arrived"):
        wait(served, tmp_path)
