"""boardprobe on simulated boards: 32-bit structures on the emulated one, and a board that has none of the tools."""

from __future__ import annotations

import shlex
from pathlib import Path, PurePosixPath

import pytest

from deploy.boards.inventory import SimState, host_target
from deploy.boards.session import connect
from deploy.bundle.load import Bundle
from deploy.probe import devices_v4l2
from deploy.probe.facts import BoardFacts, read_objects
from deploy.probe.probe import ProbeRequest, probe_board
from deploy.release.deployment import deploy_to
from recipes.arch import ARCHES
from recipes.engine.container import Job, Mount
from recipes.engine.docker import Engine
from recipes.toolchains.images import ensure_image
from tests.probe.answers import sample

pytestmark = [pytest.mark.engine, pytest.mark.sim]
PRELOAD = """set -e
cat >"$1/devices.so"
mv "$1/boardprobe" "$1/boardprobe.real"
printf '#!/bin/sh\\nLD_PRELOAD=%s/devices.so FAKE_DEVICES=%s exec %s/boardprobe.real "$@"\\n' "$1" "$2" "$1" \\
    >"$1/boardprobe"
chmod 755 "$1/boardprobe"
"""


def library(arch: str, engine: Engine, folder: Path) -> bytes:
    """Compile the devices that are not there, in the toolchain's image."""
    source = Path(__file__).parent / "devices.c"
    (folder / source.name).write_bytes(source.read_bytes())
    place = PurePosixPath("/bc/work")
    job = Job(
        image=ensure_image(ARCHES[arch], engine).tag,
        mounts=(Mount(source=folder, target=place, read_only=False),),
        cwd=place,
    )
    compiler = f"{ARCHES[arch].triple}-gcc"
    with engine.session(job) as session, (folder / "log").open("wb") as log:
        script = f"mkdir made && {compiler} -O1 -Wall -Wextra -shared -fPIC -o made/devices.so {source.name} -ldl"
        assert session.run(("sh", "-c", script), log=log) == 0, (folder / "log").read_text()
        (folder / "made").mkdir()
        session.take(place / "made", folder / "made")
    return (folder / "made" / "devices.so").read_bytes()


def asked(name: str, root: str, scenario: str, devices: bytes) -> tuple[BoardFacts, int, str]:
    """Deploy's boardprobe meets the devices; return what the probe learns, its round trips, and all it can tell."""
    folder = f"/tmp/probe-{scenario}"
    with connect(host_target(name)) as session:
        session.run('mkdir -p "$1" && cp -RP "$2/." "$1"', [folder, f"{root}/current/"])
        done = session.run(PRELOAD, [f"{folder}/bin", scenario], [devices])
        assert done.code == 0, done.err
        # The board's own devices are none: ask all the same.
        request = ProbeRequest(
            folders=(root,), thorough=True, gstreamer=False, boardprobe=f"{folder}/bin/boardprobe", seconds=20
        )
        before = session.traffic.round_trips
        facts = probe_board(session, name, request)
        trips = session.traffic.round_trips - before
        told = session.run('"$1" --video --sound', [f"{folder}/bin/boardprobe"])
        session.run(f"rm -rf {shlex.quote(folder)}")
    return facts, trips, told.out


@pytest.fixture(scope="module")
def arm_devices(engine: Engine, tmp_path_factory: pytest.TempPathFactory) -> bytes:
    return library("armv7", engine, tmp_path_factory.mktemp("devices"))


def test_a_board_of_32_bits(arm: SimState, arm_bundle: Bundle, arm_devices: bytes) -> None:
    """Under emulation: the library answers in front of the emulator, so that its translation of calls is not tried."""
    deploy_to(arm.name, arm_bundle)
    facts, trips, told = asked(arm.name, "/opt/boardcast", "uvc", arm_devices)
    assert facts.whole
    assert trips == 1
    assert [(device.hw, device.rates[:2], device.channels) for device in facts.microphones] == [
        ("hw:0,0", (16000, 48000), (1, 2)),
        ("hw:2,0", (8000, 11025), (2,)),
    ]
    # This board has v4l2-ctl, and that is asked in place of ours.
    assert "v4l2-ctl" in facts.tools
    assert facts.cameras == ()
    nodes = [node for node in map(devices_v4l2.read_told, read_objects(told)) if node]
    assert nodes[0] == devices_v4l2.read_node("/dev/video0", sample("v4l2-node-1.18"))
    assert nodes[1] == devices_v4l2.read_node("/dev/video1", sample("v4l2-meta-1.18"))


@pytest.mark.parametrize(("scenario", "rates"), [("uvc", (15.0, 30.0)), ("pi", (1.0, 90.0))])
def test_a_board_without_any_tool(
    scenario: str, rates: tuple[float, ...], tiny: SimState, tiny_bundle: Bundle, engine: Engine, tmp_path: Path
) -> None:
    deploy_to(tiny.name, tiny_bundle)
    facts, trips, _ = asked(tiny.name, "/flash/boardcast", scenario, library("x86_64", engine, tmp_path))
    assert facts.whole
    assert trips == 1
    assert not {"v4l2-ctl", "arecord", "aplay"} & facts.tools
    (camera,) = facts.cameras
    offered = {size.rates for pixels in camera.formats for size in pixels.sizes}
    assert rates in offered | {one for pixels in camera.formats for size in pixels.sizes for one in size.rate_ranges}
    assert bool(facts.microphones) == (scenario == "uvc")
