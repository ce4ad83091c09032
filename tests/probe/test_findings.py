"""What facts mean: each finding on the board that has it and on no other, worst first, with a command."""

from __future__ import annotations

import pytest

from deploy.probe.findings import Level, findings
from tests.probe.answers import CAMERA_BOARD, MOUNTS, NOW, elf, facts, sample

BASICS = CAMERA_BOARD["basics"]


def test_a_good_board_has_one_note() -> None:
    (finding,) = findings(facts(CAMERA_BOARD))
    assert (finding.level, finding.check) == (Level.NOTE, "kernel-wider")
    assert finding.text.startswith("the kernel is aarch64, the programs on it are ELF32")
    assert finding.next_step == 'arch = "armv7" in board.toml'


def clock(offset: int) -> dict[str, str]:
    return {"basics": BASICS.replace(str(int(NOW)), str(int(NOW) + offset))}


ROWS = [
    ("clock-unset", Level.ERROR, {"basics": BASICS.replace(str(int(NOW)), "120")}, "never set"),
    ("clock-off", Level.ERROR, clock(-7200), "7,200 s behind"),
    ("clock-off", Level.WARNING, clock(90), "90 s ahead"),
    ("clock-unknown", Level.WARNING, {"basics": BASICS.replace(str(int(NOW)), "%s")}, "could not be read"),
    ("clock-source", Level.WARNING, {"time": "", "timedatectl": ""}, "no hardware clock"),
    ("clock-source", Level.NOTE, {"time": f"rtc {int(NOW)}\n", "timedatectl": ""}, "nothing sets the clock"),
    ("ca-missing", Level.ERROR, {"ca": "", "certificates": ""}, "no CA certificates"),
    ("ca-missing", Level.ERROR, {"ca": "/etc/ssl/cert.pem\n", "certificates": "/etc/ssl/cert.pem:0\n"}, "no CA"),
    ("noexec", Level.ERROR, {"mounts": MOUNTS.replace("ext4 rw,", "ext4 rw,noexec,")}, "mounted noexec"),
    ("read-only", Level.ERROR, {"mounts": MOUNTS.replace("ext4 rw,", "squashfs ro,")}, "mounted read-only"),
    ("flash", Level.ERROR, {"df /opt/boardcast": "/dev/root 9999 9000 999 90% /\n"}, "999 KiB"),
    ("flash", Level.WARNING, {"df /opt/boardcast": "/dev/root 9999 7000 2999 70% /\n"}, "2,999 KiB"),
    ("memory", Level.ERROR, {"memory": "MemTotal: 128000 kB\nMemAvailable: 61440 kB\n"}, "128 MiB, and 60 MiB"),
    ("memory", Level.WARNING, {"memory": "MemTotal: 256000 kB\nMemAvailable: 153600 kB\n"}, "and 150 MiB"),
    ("alignment", Level.WARNING, {"alignment": "User faults:\t0 (ignored)\n"}, "SIGBUS"),
    ("plugin-fails", Level.ERROR, {"gst-kvssink": sample("gst-kvssink-fails")}, "libcproducer.so: cannot open"),
    ("plugin-blacklisted", Level.WARNING,
     {"gst-blacklist": "Blacklisted files:\n  libgstdvb.so\n\nTotal count: 1 blacklisted file\n"}, "libgstdvb.so"),
    ("gstreamer-unknown", Level.NOTE, {"gst-list": "coreelements:  queue: Queue\n"}, "did not come to its end"),
    ("camera-busy", Level.WARNING, {"holders": "812 /dev/video0 motion\n"}, "in use by motion (process 812)"),
    ("camera-busy", Level.WARNING, {"v4l2 /dev/video0": sample("v4l2-busy-1.12")}, "resource busy"),
    ("microphone-busy", Level.WARNING, {"holders": "9 /dev/snd/pcmC1D0c arecord\n"}, "hw:1,0 is in use by arecord"),
    ("microphone-busy", Level.WARNING, {"arecord": sample("arecord-1.1")}, "hw:1,0 is in use by somebody"),
    ("camera-missing", Level.WARNING, {"v4l2 /dev/video0": sample("v4l2-meta-1.18")}, "no camera"),
    ("camera-unknown", Level.NOTE,
     {"tools": "tar\n", "v4l2 /dev/video0": "", "v4l2 /dev/video1": "", "v4l2 /dev/video11": ""}, "without v4l2-ctl"),
    ("arch", Level.ERROR, {"elf od": elf(8, little=False)}, "ELF32 big-endian MIPS"),
    ("arch", Level.ERROR, {"cpu": "CPU architecture: 6\n"}, "ARM architecture 6"),
]  # fmt: skip


@pytest.mark.parametrize(("check", "level", "changed", "text"), ROWS)
def test_a_finding_on_the_board_that_has_it(check: str, level: Level, changed: dict[str, str], text: str) -> None:
    found = {finding.check: finding for finding in findings(facts(CAMERA_BOARD | changed))}
    assert check in found
    assert found[check].level is level
    assert text in found[check].text
    assert found[check].next_step
    assert set(found) <= {"kernel-wider", check}


def test_a_board_without_gstreamer() -> None:
    frames = {key: text for key, text in CAMERA_BOARD.items() if not key.startswith("gst-")}
    found = {finding.check: finding for finding in findings(facts(frames | {"links": ""}))}
    assert set(found) == {"kernel-wider", "gstreamer-missing"}
    assert found["gstreamer-missing"].next_step == 'recipes = ["webrtc"] in board.toml'


def test_the_worst_comes_first() -> None:
    board = facts({"basics": "clock 5\nuname Linux 5 armv7l\n", "alignment": "User faults: 0\n", "elf od": elf(40)})
    levels = [finding.level for finding in findings(board)]
    assert levels == sorted(levels, reverse=True)
    assert levels[0] is Level.ERROR
    assert len(set(levels)) > 1


def test_a_cut_probe_says_so_and_calls_nothing_absent() -> None:
    board = facts({"basics": CAMERA_BOARD["basics"], "elf od": CAMERA_BOARD["elf od"]}, whole=False)
    checks = {finding.check for finding in findings(board)}
    assert checks == {"probe-cut", "kernel-wider"}


def test_a_board_for_files_needs_no_camera() -> None:
    board = facts(CAMERA_BOARD | {"v4l2 /dev/video0": sample("v4l2-meta-1.18")})
    assert {finding.check for finding in findings(board, camera_wanted=False)} == {"kernel-wider"}


@pytest.mark.parametrize(("storage", "level"), [(64, None), (512, Level.WARNING), (1024, Level.ERROR)])
def test_the_storage_size_is_the_streams_own(storage: int, level: Level | None) -> None:
    found = {finding.check: finding.level for finding in findings(facts(CAMERA_BOARD), storage_mib=storage)}
    assert found.get("memory") is level


def test_a_banner_is_a_note() -> None:
    found = {finding.check: finding for finding in findings(facts(CAMERA_BOARD, banner="Welcome"))}
    assert set(found) == {"kernel-wider", "banner"}
    assert "Welcome" in found["banner"].text
