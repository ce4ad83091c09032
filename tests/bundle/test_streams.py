"""What the elements of a board's streams need of its GStreamer."""

from __future__ import annotations

from dataclasses import replace
from pathlib import PurePath

import pytest

from deploy.bundle.streams import stream_plugins
from deploy.dedupe.byname import OpenedByName, Presence
from deploy.streams.elements import PACKAGES, PLUGINS
from recipes.arch import ARCHES
from tests.support.facts import SOFT, elf, index
from tests.support.fakestream import board_of

PLACE = "/usr/lib/gstreamer-1.0"
ARM = ARCHES["armv7"]
STREAM = {
    "source": {"element": "acmesrc"},
    "video": {"encoder": "x264enc"},
    "sink": {"file": "/tmp/a.mkv"},
}


def rows(*plugins: str, needed: tuple[str, ...] = (), stream: object = STREAM) -> dict[str, OpenedByName]:
    board = index()
    files = {f"{PLACE}/{name}": elf(name, needed=needed) for name in plugins}
    board = replace(
        board, files={**board.files, **files, "/usr/lib/gstreamer-1.0/libgstx265.so": elf("x", identity=SOFT)}
    )
    return {row.name: row for row in stream_plugins(board_of(PurePath("/opt/b"), {"front": stream}), board, ARM)}


def test_each_plugin_is_there_or_said() -> None:
    found = rows("libgstx264.so", "libgstvideoconvert.so")
    assert found["libgstx264.so"].provider == f"{PLACE}/libgstx264.so"
    assert not found["libgstx264.so"].note
    assert found["libgstvideoconvertscale.so"].provider == f"{PLACE}/libgstvideoconvert.so"
    assert "install gstreamer1.0-plugins-good" in found["libgstmatroska.so"].note
    assert "matroskamux in streams.front" in found["libgstmatroska.so"].note
    assert found["the plugin of acmesrc"].presence is Presence.UNKNOWN
    assert found["gst-plugin-scanner"].presence is Presence.UNKNOWN


def test_a_plugin_that_cannot_be_loaded_is_absent() -> None:
    note = rows("libgstx264.so", needed=("libx264.so.164",))["libgstx264.so"].note
    assert "needs libx264.so.164, which is not there" in note


def test_a_plugin_of_another_machine_is_absent() -> None:
    stream = {**STREAM, "video": {"encoder": "x265enc"}}
    assert rows("libgstx264.so", stream=stream)["libgstx265.so"].presence is Presence.ABSENT


@pytest.mark.parametrize("element", sorted(PACKAGES))
def test_every_element_of_our_own_words_has_a_plugin(element: str) -> None:
    assert PLUGINS[element]
