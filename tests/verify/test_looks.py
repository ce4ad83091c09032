"""Devices, plugins, names and logs of a release: what a board says of them, and what is red of it, by its cause."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest

from deploy.bundle.manifest import NamedRow, ServiceRow
from deploy.verify.run import run_checks
from deploy.verify.verdict import Check, require_green
from recipes.errors import VerifyError
from recipes.rootfs.origin import Origin
from tests.support.localboard import LocalSession
from tests.verify.test_checks import program, put, states

pytestmark = [pytest.mark.process, pytest.mark.usefixtures("home")]
DEVICES = "devices are there and free"
OFFERS = "cameras offer what the streams ask for"
SETS = "elements have what the launch scripts set"
NAMED = "what is opened by name is there"
LOG = "log says nothing bad: front"
PIPELINE = (
    "v4l2src device=/dev/video7 ! 'video/x-raw,width=640,height=480,framerate=15/1' ! "
    "kvssink name=sink stream-name=cam01 storage-size=16 stream-name-of-21-too=x"
)
KVSSINK = """Factory Details:
  Rank                     primary + 10 (266)

Plugin Details:
  Name                     kvssink
  Version                  1.0

Element Properties:
  name                : The name of the object
                        String. Default: "kvssink0"
  storage-size        : Storage size
  stream-name-of-21-too: Storage size
  stream-name         : Name of the stream

Element Signals:
  "x"
"""


class Told(LocalSession):
    """A board that says something else of some parts than this machine does."""

    def __init__(self, parts: Mapping[str, str]) -> None:
        super().__init__()
        self._parts = parts

    def _run(self, script: str, arguments: Sequence[str], stdin: Iterable[bytes]) -> tuple[int, bytes, bytes]:
        code, out, err = super()._run(script, arguments, stdin)
        if not arguments:
            return code, out, err
        end = f"\n@{arguments[0]} end\n"
        more = "".join(f"\n@{arguments[0]} {title}\n{body}\n" for title, body in self._parts.items())
        return code, out.replace(end.encode(), f"{more}{end}".encode()), err


def camera(**changes: Any) -> str:
    size = {"width": 640, "height": 480, "rates": [15, 30]}
    formats = [{"fourcc": "YUYV", "compressed": False, "sizes": [size]}]
    return json.dumps({"kind": "video", "path": "/dev/video7", "driver": "uvc", "formats": formats} | changes)


def state(phase: str = "running") -> str:
    return f"state={phase}\nsupervisor=yes\ninstalled=yes\nenabled=yes\npid=41\nsince=5\n"


GOOD = {
    "devices": "/dev/video7",
    "holders": "41 /dev/video7 boardstream",
    "offered": camera(),
    "inspect": KVSSINK,
    "said inspect": "exit=0",
    "service front": state() + 'report={"state":"streaming"}',
    "tail front": "2026-11-27T08:00:00Z front: started, process 41\nfine\n",
}


def look(tmp_path: Path, pipeline: str = PIPELINE, *, named: str = "", **parts: str) -> dict[str, Check]:
    place = tmp_path / "flash" / "boardcast"
    launch = f'#!/bin/sh\nexec "$here/"bin/boardstream --name front -- {pipeline} "$@"\n'.encode()
    contents = program() | {"run/front": launch, "gstreamer-1.0/libgstkvssink.so": b"plugin"}
    rows = [NamedRow.model_validate({
        "name": "libnss_x.so.2", "by": "bin/program: getaddrinfo", "presence": "board", "provider": Origin(named),
        "without": "no name is found",
    })]  # fmt: skip
    service = ServiceRow(name="front", stream="front", log=str(tmp_path / "front.log"))
    changes: dict[str, Any] = {"services": (service,), **({"named": tuple(rows)} if named else {})}
    _, manifest = put(place, contents, **changes)
    told = GOOD | {title.replace("_", " "): body for title, body in parts.items()}
    verdict = run_checks(Told(told), "cam", "one", manifest, fast=True)
    assert not [name for name, (_, said) in states(verdict).items() if "Error:" in said and "Assert" not in said]
    if not verdict.green:
        with pytest.raises(VerifyError, match="checks are red") as caught:
            require_green(verdict)
        assert "docs/" in caught.value.why
    return {check.name: check for check in verdict.checks}


def test_a_board_that_is_well_says_so(tmp_path: Path) -> None:
    found = look(tmp_path, named="/etc/passwd")
    assert {found[name].state for name in (DEVICES, OFFERS, SETS, NAMED, LOG)} == {"passed"}, found
    assert found[DEVICES].evidence == "front: /dev/video7 in use by it"
    assert found[OFFERS].evidence == "front: /dev/video7 has video/x-raw 640x480 15/s"
    assert found[SETS].evidence == "kvssink 1.0 loads without a registry; of 1 elements, 4 properties are set and known"
    assert found[NAMED].evidence == "opened by name: 1"
    assert found[LOG].evidence == "2 lines since its last start: none of them is known to be bad"
    assert "running for " in found["service is up: front"].evidence


SIGNATURE = "2026 ERROR Signature expired: 2026 is now earlier"


FIRST: dict[str, str] = {
    "holders": "7 /dev/video7 motion",
    "offered": camera(formats=[{"fourcc": "H264", "compressed": True}]),
    "pipeline": f"{PIPELINE} nosuch=1",
    "named": "/no/libnss_x.so.2",
    "tail_front": SIGNATURE,
    "service_front": state(),
}
SECOND = {
    "devices": "",
    "inspect": "No such element",
    "said_inspect": "libx.so: gone\nexit=255",
    "tail_front": SIGNATURE,
    "service_front": state("failed"),
}


@pytest.mark.parametrize(
    ("parts", "red"),
    [
        (
            FIRST,
            {
                DEVICES: ("device-busy", "front: /dev/video7 is in use by motion (process 7)"),
                OFFERS: ("device-format", "front: /dev/video7 has no video/x-raw, only H264"),
                SETS: ("property-unknown", "front: kvssink has no nosuch"),
                NAMED: ("opened-by-name", "libnss_x.so.2 (bin/program: getaddrinfo): no name is found"),
                LOG: ("clock-signature", "the clock is wrong: signatures are refused: "),
            },
        ),
        (
            SECOND,
            {
                DEVICES: ("device-missing", "front: /dev/video7 is not there"),
                SETS: ("plugin-fails", "kvssink does not load without a registry: libx.so: gone"),
                LOG: ("clock-signature", "the clock is wrong: signatures are refused: "),
            },
        ),
    ],
)
def test_what_is_wrong_is_red_by_its_cause(
    tmp_path: Path, parts: dict[str, str], red: dict[str, tuple[str, str]]
) -> None:
    found = look(tmp_path, **parts)
    for check, (cause, says) in red.items():
        assert (found[check].state, found[check].cause) == ("failed", cause)
        assert found[check].evidence.startswith(says)
        assert found[check].cure


def test_a_camera_may_have_the_name_that_udev_gives_it(tmp_path: Path) -> None:
    by_id = "/dev/v4l/by-id/usb-cam-index0"
    found = look(tmp_path, PIPELINE.replace("/dev/video7", by_id), devices=f"/dev/video7\nlink {by_id} /dev/video7")
    assert found[DEVICES].evidence == f"front: {by_id} in use by it"
    assert found[OFFERS].evidence == "front: /dev/video7 has video/x-raw 640x480 15/s"


def test_what_a_log_said_earlier_is_over_where_the_stream_streams_now(tmp_path: Path) -> None:
    found = look(tmp_path, tail_front=SIGNATURE)
    assert found[LOG].state == "passed"
    assert "earlier, it streams now: the clock is wrong" in found[LOG].evidence
    assert SIGNATURE not in found[LOG].evidence, "a line may have secrets in it"


def test_boardprobe_tells_of_properties_where_gst_inspect_is_not(tmp_path: Path) -> None:
    told = json.dumps({"elements": {"kvssink": "loads"}, "properties": {"kvssink": "stream-name name"}})
    found = look(tmp_path, inspect=told)
    assert found[SETS].evidence == "front: kvssink has no storage-size, stream-name-of-21-too"
    old = json.dumps({"elements": {"kvssink": "loads"}})
    more = tmp_path / "more"
    more.mkdir()
    assert look(more, inspect=old)[SETS].evidence.startswith("kvssink loads without a registry; of 0 elements")
