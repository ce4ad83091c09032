"""The cloud's side joins the board's checks: one verdict, one JUnit file, one page."""

from __future__ import annotations

import json
import shutil
from dataclasses import replace
from pathlib import Path
from xml.etree import ElementTree as ET

import pytest

from deploy.boards.board import Board, load_board
from deploy.causes.boardside import BoardView, StreamSeen
from deploy.cloud.collect import PATIENCE
from deploy.cloud.promise import board_promises
from deploy.release.deployment import HostVerdict
from deploy.verdicts import flow
from deploy.verdicts.cloudside import board_views, look_at_cloud, patience_for, with_cloud
from deploy.verify.verdict import Check, Verdict, require_green
from recipes import paths
from recipes.errors import VerifyError
from tests.support.bundles import ROOT
from tests.support.livecamera import LiveCamera, service_of
from tests.support.localservice import REGION, local_service

BOARD = f"""
schema = 2
arch = "armv7"
sysroot = "debian12-armv7"
init = "systemd"

[environment]
region = "{REGION}"

[streams.front]
source = {{ test = "ball" }}
video = {{ encoder = "x264enc", width = 160, height = 120, framerate = 10, bitrate = 500 }}
audio = {{ test = "sine" }}
sink = {{ kvs = "cam01" }}

[streams.back]
runs = "hand"
source = {{ test = "ball" }}
video = {{ encoder = "x264enc", clock = "%T" }}
sink = {{ kvs = "cam09", retention_period = 0 }}

[streams.door]
sink = {{ webrtc = "door" }}

[streams.many]
sample = "kvs_gstreamer_multistream_sample"
stream = "yard"
addresses = "/etc/addresses"
"""
GOOD = Check(
    name="every stream goes on", state="passed", evidence="front: 9 pictures, 2 fragments confirmed", seconds=5
)


@pytest.fixture
def board(home: Path) -> Board:
    shutil.copytree(ROOT / "board-configs", paths.BOARDS, ignore=shutil.ignore_patterns("*.tar"))
    folder = paths.BOARDS / "cam"
    folder.mkdir()
    (folder / "board.toml").write_text(BOARD)
    with (paths.BOARDS / "hosts.toml").open("a") as file:
        file.write('\n[hosts.h1]\nboard = "cam"\nsimulated = true\n')
    return load_board("cam")


def verdict(folder: Path, *checks: Check) -> Verdict:
    return Verdict(host="h1", release="ab" * 32, checks=checks or (GOOD,), junit=folder / "h1.xml")


def test_a_board_promises_what_its_file_says(board: Board) -> None:
    front, back, many = board_promises(board).streams
    assert (front.name, front.region, front.width, front.height) == ("cam01", REGION, 160, 120)
    assert (front.rate, front.bitrate_kbps, front.codec, front.audio, front.retention_hours) == (
        10,
        500,
        "h264",
        True,
        2,
    )
    assert (back.hand, back.clock, back.retention_hours, back.audio) == (True, True, 0, False)
    assert many.prefix
    assert [channel.name for channel in board_promises(board).channels] == ["door"]


@pytest.mark.loopback
def test_one_verdict_of_both_sides(
    board: Board, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    with local_service(tmp_path / "kvs") as local:
        client = local.client("kinesisvideo")
        for name in ("cam01", "cam09"):
            client.create_stream(StreamName=name, DataRetentionInHours=24)
        monkeypatch.setattr(flow, "chosen_service", lambda region, profile, *, aws: service_of(local))
        monkeypatch.setattr("deploy.verdicts.cloudside.PATIENCE", 10)
        with LiveCamera(local, "cam01"):
            done, papers = flow.finish(HostVerdict(host="h1", verdict=verdict(tmp_path)), flow.CloudWay())
    found = {check.name: check for check in done.verdict.checks} if done.verdict else {}
    assert found["every stream goes on"] == GOOD
    assert found["cam01: the picture moves"].state == "passed"
    assert found["door: a master answers"].state == "failed", "there is no such channel"
    assert found["yard: fragments arrive"].state == "skipped"
    assert found["cam09: fragments arrive"].state == "skipped", "a person starts it"
    suites = ET.parse(tmp_path / "h1.xml").getroot().findall("testsuite")
    cases = {case.get("name"): case for suite in suites for case in suite}
    assert cases["door: a master answers"].find("failure") is not None
    assert papers is not None
    written = json.loads(papers.json.read_text())
    assert written["streams"][0]["picture"] == "h1-stream-cam01.jpg"
    assert (tmp_path / "h1-stream-cam01.jpg").read_bytes().startswith(b"\xff\xd8\xff")
    assert "data:image/jpeg" in papers.page.read_text()
    with pytest.raises(VerifyError) as caught:
        require_green(done.verdict)  # type: ignore[arg-type]
    assert "create-signaling-channel --channel-name door" in caught.value.next_step


@pytest.mark.loopback
def test_what_the_board_says_is_in_what_the_cloud_says(board: Board, tmp_path: Path) -> None:
    words = "front: 9 pictures, and no fragment is confirmed yet"
    said = board_views([replace(GOOD, state="failed", evidence=words, streams={"front": StreamSeen.UNCONFIRMED})])
    assert said == {"front": BoardView(seen=StreamSeen.UNCONFIRMED, words=words)}
    assert (said["front"].reaches, said["front"].cause) == (False, "board-blocked")
    good = board_views([replace(GOOD, streams={"front": StreamSeen.CONFIRMED})])
    assert good["front"].reaches is True
    assert not board_views([replace(GOOD, name="files are intact")])
    with local_service(tmp_path / "kvs") as local:
        blocked = replace(service_of(local), endpoint_url="https://localhost:1")
        look = look_at_cloud(board, lambda _: blocked, patience=1, views=good)
    red = next(finding for finding in look.findings if finding.subject == "cam01")
    assert (red.reason, red.side) == ("workstation-blocked", "workstation")
    assert f"kinesisvideo.{REGION}.amazonaws.com" in red.next_step


def test_how_long_a_fragment_is_waited_for_is_by_the_boards_own_word() -> None:
    stands, sends, unsure = (BoardView(seen=one) for one in (StreamSeen.SILENT, StreamSeen.CONFIRMED, None))
    assert patience_for([]) == patience_for([unsure, sends]) == patience_for([stands, sends]) == PATIENCE
    assert patience_for([stands]) < patience_for([sends, sends]) < PATIENCE


def test_a_board_without_streams_gets_a_note(board: Board, tmp_path: Path) -> None:
    look = look_at_cloud(load_board("sim-tiny"), lambda _: pytest.fail("nobody is to be asked"))
    joined = with_cloud(verdict(tmp_path), look)
    assert joined.green
    assert "sends nothing to the service" in joined.notes[-1]
    assert not joined.junit.exists()


def test_a_host_without_a_verdict_stays_as_it_is() -> None:
    off = HostVerdict(host="h1")
    assert flow.finish(off, flow.CloudWay()) == (off, None)
