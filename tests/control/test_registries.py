"""What GStreamer has given up on for a stream: found in the stream's own registry, as GStreamer itself wrote it."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

import pytest

from deploy.control.registries import _registries, read_registries
from deploy.doctor.diagnose import diagnose
from deploy.doctor.diagnosis import StreamEvidence
from deploy.probe.findings import Level
from tests.support.localboard import LocalSession


@pytest.fixture
def board(tmp_path: Path) -> Path:
    """Return our folder on a board whose stream has met a plugin that does not load, and one that did."""
    if not shutil.which("gcc") or not shutil.which("gst-inspect-1.0"):
        pytest.skip("no gcc or no gst-inspect-1.0 here: no plugin can be given up on")
    plugins = tmp_path / "current" / "gstreamer-1.0"
    plugins.mkdir(parents=True)
    source = tmp_path / "broken.c"
    source.write_text("int nowhere(void); int broken(void) { return nowhere(); }\n")
    command = ["gcc", "-shared", "-fPIC", "-Wl,-z,now", "-o", f"{plugins}/libgstkvssink.so", str(source)]
    subprocess.run(command, check=True)
    whole = tmp_path / "whole"
    whole.mkdir()
    for good in list(Path("/usr/lib").glob("*/gstreamer-1.0/libgstcoreelements.so"))[:1]:
        shutil.copy(good, whole)
    for name, path in (("front", plugins), ("gate", whole)):
        folder = tmp_path / "work it" / name / ".gst"
        folder.mkdir(parents=True)
        # Nothing of the system's is read: that takes seconds, and is another matter.
        given = {"GST_REGISTRY": f"{folder}/registry.bin", "GST_PLUGIN_PATH": str(path)}
        system = {"GST_PLUGIN_SYSTEM_PATH_1_0": str(tmp_path / "none")}
        subprocess.run(["gst-inspect-1.0"], env=os.environ | given | system, capture_output=True, check=False)
        assert (folder / "registry.bin").is_file()
    return tmp_path


@pytest.mark.process
def test_the_registry_of_each_stream_is_read_and_left_alone(board: Path) -> None:
    folders = {name: f"{board}/work it/{name}" for name in ("front", "gate", "fresh")}
    before = {path: path.stat().st_mtime_ns for path in board.rglob("*")}
    session = LocalSession()
    found = read_registries(session, str(board), folders)
    assert session.traffic.round_trips == 1
    assert {name: registry.blacklisted for name, registry in found.items()} == {
        "front": ("libgstkvssink.so",),
        "gate": (),
    }
    assert {path: path.stat().st_mtime_ns for path in board.rglob("*")} == before
    (diagnosis,) = diagnose(
        (),
        [StreamEvidence(name="front", registry=found["front"].path, blacklisted=found["front"].blacklisted)],
        names={"HOST": "cam01"},
    )
    assert (diagnosis.level, diagnosis.check, diagnosis.streams) == (
        Level.ERROR,
        "stream-plugin-blacklisted",
        ("front",),
    )
    remove, _, restart = diagnosis.next_step.partition(" on the board, then ")
    assert restart == "invoke restart --host cam01 --stream front"
    # The cure does what it says.
    subprocess.run(["sh", "-c", remove], check=True)
    assert "front" not in read_registries(session, str(board), folders)


@pytest.mark.process
def test_a_link_is_not_followed_and_no_stream_asks_nothing(tmp_path: Path) -> None:
    folder = tmp_path / "front" / ".gst"
    folder.mkdir(parents=True)
    (folder / "registry.bin").symlink_to("/etc/passwd")
    session = LocalSession()
    assert read_registries(session, str(tmp_path), {"front": str(tmp_path / "front")}) == {}
    assert read_registries(session, str(tmp_path), {}) == {}
    assert session.traffic.round_trips == 1


def test_only_a_path_that_was_asked_for_becomes_a_command() -> None:
    told = "registry=front /etc/passwd; reboot\nBlacklisted files:\n  libgstx.so\n"
    assert _registries(told, "/opt/boardcast", {"front": "/var/work/front"}) == {}
    told = (
        "registry=front /var/work/front/.gst/registry.bin\nBlacklisted files:\n  lib\x1b[2Jgstx.so\n\nTotal count: 1\n"
    )
    (name,) = _registries(told, "/opt/boardcast", {"front": "/var/work/front"})["front"].blacklisted
    assert name.isprintable()


def test_another_plugin_is_a_warning() -> None:
    evidence = StreamEvidence(name="front", registry="/w/.gst/registry.bin", blacklisted=("libgstvaapi.so",))
    (diagnosis,) = diagnose((), [evidence])
    assert diagnosis.level is Level.WARNING
    assert "libgstvaapi.so" in diagnosis.what
