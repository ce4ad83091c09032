"""Devices by the calls that boardprobe makes itself, where v4l2-ctl, arecord and aplay are missing.

CI machines have no cameras, and their kernels neither vivid nor snd-dummy nor CUSE. So the drivers are a library that
is loaded in front (`devices.c`): the program, its calls and the sizes of their structures are real, the kernel is not.
"""

from __future__ import annotations

import json
import os
import shlex
import shutil
import subprocess
import time
from pathlib import Path

import pytest

from deploy.probe import devices_alsa, devices_v4l2
from deploy.probe.facts import BoardFacts, FrameSize, SoundDevice, VideoNode, read_objects
from deploy.probe.findings import findings
from deploy.probe.page import facts_page
from deploy.probe.probe import ProbeRequest
from recipes import paths
from tests.probe.answers import sample
from tests.probe.test_script import BASICS, SHELLS, private, probe, tool
from tests.support.compiler import compiled

pytestmark = [pytest.mark.process, pytest.mark.engine]
SOURCES = paths.CATALOG / "boardprobe" / "src"
PARTS = ("video.c", "sound.c", "report.c", "report.h", "probes.h")
# The program's own main comes with libraries that this machine need not have; the test on the simulated board has it.
MAIN = """
#include "probes.h"
#include <string.h>
int main(int count, char **words) {
    for (int at = 1; at < count; at++) {
        if (strcmp(words[at], "--sound") == 0) { probe_sound(); }
    }
    for (int at = 1; at < count; at++) {
        if (strcmp(words[at], "--video") == 0) { probe_video(); }
    }
    return 0;
}
"""
MAKE = """
$CC -std=c11 -D_GNU_SOURCE -O1 -Wall -Wextra -Werror -Wformat=2 -o boardprobe main.c video.c sound.c report.c
$CC -O1 -Wall -Wextra -shared -fPIC -o devices.so devices.c -ldl
"""


@pytest.fixture(scope="module")
def made(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    sources = {name: (SOURCES / name).read_text() for name in PARTS}
    sources |= {"main.c": MAIN, "devices.c": (Path(__file__).parent / "devices.c").read_text()}
    return compiled(request, tmp_path_factory.mktemp("boardprobe"), sources, MAKE)


def told(made: Path, scenario: str, *words: str) -> str:
    done = subprocess.run(
        [made / "boardprobe", *(words or ("--sound", "--video"))],
        env={**os.environ, "LD_PRELOAD": str(made / "devices.so"), "FAKE_DEVICES": scenario},
        capture_output=True,
        text=True,
        timeout=30,
        check=True,
    )
    assert done.stderr == ""
    return done.stdout


def video(text: str) -> list[VideoNode]:
    return [node for node in map(devices_v4l2.read_told, read_objects(text)) if node]


def sound(text: str) -> list[SoundDevice]:
    return [device for device in map(devices_alsa.read_told, read_objects(text)) if device]


def test_a_usb_camera_is_what_v4l2_ctl_says_it_is(made: Path) -> None:
    camera, metadata = video(told(made, "uvc"))
    assert camera == devices_v4l2.read_node("/dev/video0", sample("v4l2-node-1.18"))
    assert metadata == devices_v4l2.read_node("/dev/video1", sample("v4l2-meta-1.18"))
    assert (camera.camera, metadata.camera) == (True, False)


def test_a_ribbon_camera_has_ranges(made: Path) -> None:
    camera, codec = video(told(made, "pi"))
    by_tool = devices_v4l2.read_node("/dev/video0", sample("v4l2-node-1.12"))
    assert (camera.driver, camera.name, camera.bus) == (by_tool.driver, by_tool.name, by_tool.bus)
    assert camera.capabilities == by_tool.capabilities
    assert [(pixels.fourcc, pixels.description, pixels.compressed) for pixels in camera.formats] == [
        (pixels.fourcc, pixels.description, pixels.compressed) for pixels in by_tool.formats
    ]
    size = FrameSize(width=32, height=32, to_width=2592, to_height=1944, rate_ranges=((1.0, 90.0),))
    assert {pixels.sizes for pixels in camera.formats} == {(size,)}
    assert codec.capabilities == {"Video Memory-to-Memory Multiplanar", "Extended Pix Format", "Streaming"}
    assert [pixels.fourcc for pixels in codec.formats] == ["H264"]
    assert (camera.camera, codec.camera) == (True, False)


def test_sound_devices_with_rates_that_no_tool_lists(made: Path) -> None:
    usb, speaker, microphone = sound(told(made, "uvc"))
    assert (usb.hw, usb.capture, usb.card_id, usb.name) == ("hw:0,0", True, "w300", "USB Audio")
    # Nothing between the two, though the range goes from 8000 to 48000.
    assert (usb.rates, usb.formats, usb.channels) == ((16000, 48000), ("S16_LE",), (1, 2))
    assert (speaker.hw, speaker.capture, microphone.hw, microphone.capture) == ("hw:2,0", False, "hw:2,0", True)
    assert (microphone.card_name, microphone.formats) == ("rockchip,es8316", ("S16_LE", "S24_LE", "S32_LE"))
    assert (microphone.rates[0], microphone.rates[-1], microphone.channels) == (8000, 96000, (2,))
    assert (microphone.free, microphone.total) == (1, 1)


def test_devices_in_use_are_not_waited_for(made: Path) -> None:
    text = told(made, "busy")
    assert [(node.path, node.trouble) for node in video(text)] == [
        ("/dev/video0", "Device or resource busy"),
        ("/dev/video1", "Device or resource busy"),
    ]
    assert {(device.free, device.rates, device.trouble) for device in sound(text)} == {
        (0, (), "Device or resource busy")
    }


def test_devices_that_are_anothers(made: Path) -> None:
    text = told(made, "denied")
    assert {node.trouble for node in video(text)} == {"Permission denied"}
    assert sound(text) == []


def test_drivers_whose_lists_never_end(made: Path) -> None:
    """Every number of card, device, node, format, size and rate exists, and each name is full of quotes."""
    begun = time.monotonic()
    text = told(made, "endless")
    assert time.monotonic() - begun < 5
    assert len(text) < 65536
    assert text.isascii()
    values = [json.loads(line) for line in text.splitlines()]
    assert {value["kind"] for value in values} == {"sound", "video"}
    assert all(value["cut"] for value in values if value["kind"] == "video")
    assert len(max(text.splitlines(), key=len)) < 20_000
    # A rate of n/0 is none.
    assert '"rates":[4294967295.000]' not in text or "inf" not in text
    assert video(text)[0].name.startswith('"\\\\x1b[2J')


def test_a_driver_that_takes_its_time(made: Path) -> None:
    """A tenth of a second for each answer: sound does not use up the time of video."""
    begun = time.monotonic()
    text = told(made, "slow")
    assert time.monotonic() - begun < 5
    assert sound(text)
    assert video(text)[0].formats
    assert json.loads(text.splitlines()[-1])["cut"] is True


PRELOADED = 'exec env LD_PRELOAD={so} FAKE_DEVICES={scenario} {program} "$@"'


def board(shell: str, folder: Path, made: Path, scenario: str, seconds: int = 4) -> BoardFacts:
    """Probe this machine as a board without the tools, with a release that has boardprobe."""
    place = folder / "current" / "bin"
    place.mkdir(parents=True)
    words = {"so": made / "devices.so", "program": made / "boardprobe"}
    script = PRELOADED.format(scenario=scenario, **{name: shlex.quote(str(path)) for name, path in words.items()})
    tool(place, "boardprobe", script)
    # The kernel of this machine shows no devices, so that they have to be asked for.
    request = ProbeRequest(thorough=True, gstreamer=False, boardprobe=f"{place}/boardprobe", seconds=seconds)
    facts, _ = probe(shell, request=request, path=private(folder / "path", *BASICS, "env"))
    assert facts.whole
    return facts


@pytest.mark.parametrize("shell", SHELLS)
def test_a_probe_without_the_tools_shows_the_same_page(shell: str, made: Path, tmp_path: Path) -> None:
    facts = board(shell, tmp_path, made, "uvc")
    assert [node.path for node in facts.cameras] == ["/dev/video0"]
    assert [device.hw for device in facts.microphones] == ["hw:0,0", "hw:2,0"]
    assert [device.hw for device in facts.speakers] == ["hw:2,0"]
    page = facts_page(facts, findings(facts))
    assert "MJPG compressed 1920x1080 @ 30 · 1280x720 @ 30, 15" in page
    assert "hw:0,0   w300: USB Audio, 1 of 1 free, 16000 48000 Hz, 1 or 2 channels" in page
    assert not {"camera-missing", "camera-unknown"} & {finding.check for finding in findings(facts)}


@pytest.mark.parametrize("shell", SHELLS)
def test_a_driver_that_hangs_costs_no_more_than_itself(shell: str, made: Path, tmp_path: Path) -> None:
    begun = time.monotonic()
    facts = board(shell, tmp_path, made, "hang", seconds=1)
    assert time.monotonic() - begun < 10
    # The second node never answered; what was told before it stays.
    assert [node.path for node in facts.cameras] == ["/dev/video0"]
    assert facts.microphones


def test_v4l2_ctl_comes_first_and_sound_is_asked_all_the_same(made: Path, tmp_path: Path) -> None:
    place = tmp_path / "place"
    place.mkdir()
    tool(place, "boardprobe", f'echo "$*" >{shlex.quote(str(tmp_path / "words"))}')
    path = private(tmp_path / "path", *BASICS)
    tool(path, "v4l2-ctl", "exit 1")
    request = ProbeRequest(thorough=True, gstreamer=False, boardprobe=f"{place}/boardprobe")
    probe("dash", request=request, path=path)
    assert (tmp_path / "words").read_text() == "--sound\n"


@pytest.mark.skipif(os.getuid() != 0 or not shutil.which("busybox"), reason="only root can give a file away")
@pytest.mark.parametrize("shell", SHELLS)
def test_a_program_of_another_user_is_not_run(shell: str, tmp_path: Path) -> None:
    place = tmp_path / "place"
    place.mkdir()
    tool(place, "boardprobe", f"echo run >{shlex.quote(str(tmp_path / 'words'))}")
    os.chown(place / "boardprobe", 65534, 65534)
    request = ProbeRequest(thorough=True, gstreamer=False, boardprobe=f"{place}/boardprobe")
    facts, _ = probe(shell, request=request, path=private(tmp_path / "path", *BASICS))
    assert facts.whole
    assert not (tmp_path / "words").exists()
