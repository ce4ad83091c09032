"""Simulated boards asked for real: one round trip, a first file that is right, and checks against the live board."""

from __future__ import annotations

import json
import time
from pathlib import Path
from typing import Any

import pytest
from invoke import Context, Exit

from deploy.boards.board import load_board
from deploy.boards.inventory import SimState, host_target, load_host
from deploy.boards.session import connect
from deploy.commands.board import check, init, probe
from deploy.ssh.keys import fingerprint

pytestmark = [pytest.mark.engine, pytest.mark.sim]
STARTS = 40
"""A probe costs less than so many starts of a program on the emulated board: 0.6 s where nothing else runs. A ratio,
for this machine may be busy with other tests."""


def printed(capsys: pytest.CaptureFixture[str]) -> Any:
    return json.loads(capsys.readouterr().out)


def test_the_emulated_board_is_told_in_one_round_trip(arm: SimState, capsys: pytest.CaptureFixture[str]) -> None:
    ratios = []
    for _ in range(3):
        with connect(host_target("sim-armv7")) as session:
            begun = time.monotonic()
            session.run(f"i=0; while [ $i -lt {STARTS} ]; do /bin/true; i=$((i + 1)); done")
            starts = time.monotonic() - begun
        probe.body(Context(), host="sim-armv7", elements=False, json=True)
        facts = printed(capsys)
        assert facts["round_trips"] == 1
        ratios.append(facts["seconds"] / starts)
    assert min(ratios) <= 1
    assert (facts["arch"], facts["whole"], facts["unread"]) == ("armv7", True, [])
    assert abs(facts["clock"]["skew"]) <= 5
    assert {"gst-inspect-1.0", "v4l2-ctl", "arecord"} <= set(facts["tools"])
    assert {"check": "gstreamer-unasked", "level": "note"}.items() <= facts["findings"][-1].items()
    probe.body(Context(), host="sim-armv7", elements=False, json=False)
    page = capsys.readouterr().out
    assert page.startswith("sim-armv7: ")
    assert max(map(len, page.splitlines())) <= 80


def test_a_board_of_busybox_gets_its_first_file(
    tiny: SimState, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("BOARDCAST_BOARDS", str(tmp_path))
    values = {"user": "root", "port": 22, "json": True, "dry_run": False}
    init.body(Context(), host="sim-tiny", address="", key="", fingerprint="", board="yard", **values)
    path = tmp_path / "yard" / "board.toml"
    assert printed(capsys)["files"] == [str(path)]
    file = load_board("yard").file
    assert (file.schema_, file.arch, file.init, file.recipes) == (2, "x86_64", "none", ("boardprobe", "webrtc"))
    # A file that is there stays as it is.
    with pytest.raises(Exit, match="there is a board yard already"):
        init.body(Context(), host="sim-tiny", address="", key="", fingerprint="", board="yard", **values)
    capsys.readouterr()
    # A host that nobody knows, and the same board again under its name: checked, with what a pipeline lacks there.
    at = {"address": tiny.address, "key": tiny.key, "fingerprint": fingerprint(tiny.host_key)}
    init.body(Context(), host="cam01", board="yard", **at, **values)
    assert load_host("cam01").board == "yard"
    capsys.readouterr()
    check.body(Context(), board=[], host="cam01", json=True)
    assert printed(capsys)[0]["faults"] == []
    stream = '[streams.main]\nsource = { test = "ball" }\nvideo.encoder = "x264enc"\nsink = { fake = true }\n'
    path.write_text(path.read_text() + stream)
    with pytest.raises(Exit) as caught:
        check.body(Context(), board=[], host="cam01", json=True)
    assert caught.value.code == 2
    faults = [fault["text"] for fault in printed(capsys)[0]["faults"]]
    assert any("the board has no element x264enc; install gstreamer1.0-plugins-ugly on it" in text for text in faults)
