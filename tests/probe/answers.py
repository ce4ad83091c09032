"""Answers of a board, made by hand: frames as the script prints them, from samples of what its tools print."""

from __future__ import annotations

import struct
from collections.abc import Mapping
from pathlib import Path

from deploy.probe.facts import BoardFacts
from deploy.probe.probe import read_facts
from deploy.probe.script import Answer, read_answer

SAMPLES = Path(__file__).parent / "samples"
NONCE = "0123456789abcdef0123456789abcdef"
NOW = 1795737600.0
"""2026-11-27 00:00 UTC."""


def sample(name: str) -> str:
    return (SAMPLES / f"{name}.txt").read_text()


def framed(frames: Mapping[str, str], *, whole: bool = True, banner: str = "") -> bytes:
    """Return the bytes of an answer; a key is `name` or `name argument`."""
    parts = [banner]
    for key, text in frames.items():
        name, _, argument = key.partition(" ")
        parts.append(f"\n== {NONCE} {name} 65536 {argument}\n{text}\n== {NONCE} . 0\n")
    if whole:
        parts.append(f"\n== {NONCE} whole 0\n\n== {NONCE} . 0\n")
    return "".join(parts).encode("utf-8", "surrogateescape")


def answer(frames: Mapping[str, str], *, whole: bool = True, banner: str = "") -> Answer:
    return read_answer(framed(frames, whole=whole, banner=banner), NONCE)


def facts(frames: Mapping[str, str], *, whole: bool = True, banner: str = "") -> BoardFacts:
    return read_facts(answer(frames, whole=whole, banner=banner), host="cam01", now=NOW)


def elf(machine: int, *, bits: int = 32, flags: int = 0, little: bool = True, interpreter: str = "") -> str:
    """Return the beginning of a program as `od -An -v -tx1` dumps it."""
    order, wide = "<" if little else ">", bits == 64
    ident = b"\x7fELF" + bytes((2 if wide else 1, 1 if little else 2, 1)) + bytes(9)
    form = f"{order}HHIQQQIHHHHHH" if wide else f"{order}HHIIIIIHHHHHH"
    header, entry = (64, 56) if wide else (52, 32)
    start = header + entry
    head = ident + struct.pack(form, 3, machine, 1, 0, header, 0, flags, header, entry, 1, 0, 0, 0)
    values = (3, 4, start, 0, 0, 40, 40, 1) if wide else (3, start, 0, 0, 40, 40, 4, 1)
    whole = head + struct.pack(f"{order}IIQQQQQQ" if wide else f"{order}8I", *values) + interpreter.encode() + b"\0"
    return "\n".join(" " + whole[at : at + 16].hex(" ") for at in range(0, len(whole), 16)) + "\n"


MOUNTS = """\
/dev/root / ext4 rw,relatime 0 0
devtmpfs /dev devtmpfs rw,relatime,size=124k 0 0
tmpfs /tmp tmpfs rw,nosuid,nodev,noexec,relatime 0 0
/dev/mmcblk0p3 /media/usb\\040stick vfat ro,relatime 0 0
"""
LINK = "lrwxrwxrwx    1 root     root            24 Nov 27  2026 "
CAMERA_BOARD = {
    "basics": "uname Linux 6.1.21-v8+ aarch64\nid uid=0(root) gid=0(root) groups=0(root),44(video),29(audio)\n"
    f"clock {int(NOW)}\npage_size 4096\nlibc glibc 2.36\n",
    "hostname": "raspberrypi\n",
    "uptime": "93784.11 1000.00\n",
    "alignment": "User:\t\t0\nUser faults:\t2 (fixup)\n",
    "cpu": "processor\t: 0\nCPU architecture: 8\n",
    "memory": "MemTotal:  945364 kB\nMemFree:  514672 kB\nMemAvailable:  740000 kB\nSwapTotal: 0 kB\n",
    "mounts": MOUNTS,
    "release": 'PRETTY_NAME="Raspbian GNU/Linux 12 (bookworm)"\nID=raspbian\n',
    "elf od": elf(40, flags=0x5000400, interpreter="/lib/ld-linux-armhf.so.3"),
    "links": LINK
    + "/lib/ld-linux-armhf.so.3 -> arm-linux-gnueabihf/ld-linux-armhf.so.3\n"
    + LINK
    + "/sbin/init -> /lib/systemd/systemd\n"
    + LINK
    + "/etc/localtime -> /usr/share/zoneinfo/Asia/Tokyo\n"
    + LINK
    + "/usr/lib/arm-linux-gnueabihf/libgstreamer-1.0.so.0 -> libgstreamer-1.0.so.0.2200.0\n",
    "ldd": "ldd (Debian GLIBC 2.36-9+rpt2+deb12u4) 2.36\n",
    "init": "comm systemd\nhas /run/systemd/system\n",
    "time": "daemon 350 systemd-timesyn\n",
    "timedatectl": sample("timedatectl-252"),
    "ca": "/etc/ssl/certs/ca-certificates.crt\n",
    "certificates": "/dev/null:0\n/etc/ssl/certs/ca-certificates.crt:142\n",
    "tools": "v4l2-ctl\ngst-inspect-1.0\ntar\n",
    "folder /opt/boardcast": "/opt\n",
    "df /opt/boardcast": sample("df-busybox"),
    "folder /tmp": "/tmp\n",
    "df /tmp": "Filesystem 1024-blocks Used Available Capacity Mounted on\ntmpfs 472680 0 472680 0% /tmp\n",
    "video": "/dev/video0 w300: w300\n/dev/video1 w300: w300\n/dev/video11 bcm2835-codec-encode\n",
    "v4l2-list": sample("v4l2-list-seed"),
    "v4l2 /dev/video0": sample("v4l2-node-1.18"),
    "v4l2 /dev/video1": sample("v4l2-meta-1.18"),
    "v4l2 /dev/video11": sample("v4l2-codec-1.22"),
    "arecord": sample("arecord-seed"),
    "aplay": sample("aplay-seed"),
    "boardprobe": sample("boardprobe").split("\n")[0],
    "sound-stream /proc/asound/card1/stream0": sample("asound-stream"),
    "gst-files": "plugin /usr/lib/arm-linux-gnueabihf/gstreamer-1.0/libgstalsa.so\n",
    "gst-list": sample("gst-inspect-1.22"),
    "gst-blacklist": "Blacklisted files:\n\nTotal count: 0 blacklisted files\n",
}
"""A Raspberry Pi with a 64-bit kernel, 32-bit programs and a USB camera: nothing to complain of but the two widths."""
