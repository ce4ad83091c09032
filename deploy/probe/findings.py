"""What the facts of a board mean for streaming from it: the worst first, each with the command to type next."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from enum import IntEnum

from deploy.probe.facts import BoardFacts, Kvssink
from recipes.arch import FloatAbi

SET_AFTER = 1704067200
"""2024-01-01: a clock that reads less was never set since the board was switched on; boardprobe has the same figure."""
SKEW_BAD = 240
SKEW_ODD = 60
"""Seconds. The service refuses a signature that is more than 300 s off; the figures are those of the deploy."""
FLASH_KIB = 4096
"""Both SDKs with all samples are 3.0 MiB on the board, beside the release that runs."""
STORAGE_MIB = 128
"""kvssink's own default of storage-size is 128 MB: https://docs.aws.amazon.com/kinesisvideostreams/latest/dg/examples-gstreamer-plugin-parameters.html"""


class Level(IntEnum):
    """How bad it is."""

    ERROR = 3
    """Nothing will stream until it is repaired."""
    WARNING = 2
    NOTE = 1


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """One thing about a board that somebody should know."""

    level: Level
    check: str
    """A short name that does not change, for scripts."""
    text: str
    next_step: str
    """A command, or what to change in which file."""


def findings(facts: BoardFacts, *, storage_mib: int = STORAGE_MIB, camera_wanted: bool = True) -> tuple[Finding, ...]:
    """Return what the facts mean, worst first; of the same level in the order of what stops a stream first.

    Parameters
    ----------
    storage_mib:
        kvssink's storage-size in MiB, as the board's streams set it.
    camera_wanted:
        False for a board that streams files or RTSP cameras only.
    """
    found = [
        *_answer(facts),
        *_machine(facts),
        *_clock(facts),
        *_certificates(facts),
        *_folders(facts),
        *_memory(facts, storage_mib),
        *_gstreamer(facts),
        *_devices(facts, camera_wanted=camera_wanted),
    ]
    return tuple(sorted(found, key=lambda finding: -finding.level))


def _answer(facts: BoardFacts) -> Iterator[Finding]:
    if not facts.whole:
        yield Finding(
            level=Level.WARNING,
            check="probe-cut",
            text="the probe did not come to its end: what is absent below may be there",
            next_step=f"invoke probe --host {facts.host}",
        )
    if facts.banner:
        yield Finding(
            level=Level.NOTE,
            check="banner",
            text=f"the board's shell prints before it obeys: {facts.banner[:80]}",
            next_step="ssh to it, and print nothing from /etc/profile and ~/.profile where no terminal is",
        )


def _machine(facts: BoardFacts) -> Iterator[Finding]:
    identity, kernel = facts.userland.identity, facts.kernel
    if identity is not None and not facts.arch:
        old_arm = identity.machine == 40 and identity.float_abi is FloatAbi.HARD
        why = f", on a processor of ARM architecture {kernel.cpu_architecture or 6}" if old_arm else ""
        yield Finding(
            level=Level.ERROR,
            check="arch",
            text=f"no architecture is built for this board: {identity.describe()}{why}",
            next_step="invoke images   # the architectures there are; a vendor's toolchain adds one",
        )
    if identity is not None and identity.bits == 32 and "64" in kernel.machine:
        yield Finding(
            level=Level.NOTE,
            check="kernel-wider",
            text=f"the kernel is {kernel.machine}, the programs on it are {identity.describe()}: the programs decide",
            next_step=f'arch = "{facts.arch}" in board.toml' if facts.arch else "file -L /bin/sh",
        )
    if identity is not None and identity.machine == 40 and kernel.alignment is not None and not kernel.alignment & 2:
        yield Finding(
            level=Level.WARNING,
            check="alignment",
            text=f"unaligned accesses are not repaired (mode {kernel.alignment}): an SDK built without "
            "ALIGNED_MEMORY_MODEL dies of SIGBUS seconds after its start",
            next_step="echo 2 > /proc/cpu/alignment   # on the board, until the next start",
        )


def _clock(facts: BoardFacts) -> Iterator[Finding]:
    clock = facts.clock
    setter = clock.sources[0] if clock.sources else ""
    step = (
        f"is {setter} reaching its server? `ntpdate -q pool.ntp.org` on the board"
        if setter
        else "date -u -s @$(date +%s)"
    )
    if clock.seconds is not None and clock.seconds < SET_AFTER:
        text = f"the clock reads {clock.seconds} seconds since 1970: it was never set, and every signature is refused"
        yield Finding(level=Level.ERROR, check="clock-unset", text=text, next_step=step)
    elif clock.skew is not None and abs(clock.skew) >= SKEW_ODD:
        way = "ahead of" if clock.skew > 0 else "behind"
        yield Finding(
            level=Level.ERROR if abs(clock.skew) >= SKEW_BAD else Level.WARNING,
            check="clock-off",
            text=f"the clock is {abs(clock.skew):,} s {way} this machine; signatures more than 300 s off are refused",
            next_step=step,
        )
    elif clock.seconds is None:
        text = "the clock could not be read"
        yield Finding(level=Level.WARNING, check="clock-unknown", text=text, next_step="date +%s   # on the board")
    if facts.whole and not setter and clock.synchronized is not True:
        yield Finding(
            level=Level.NOTE if clock.rtc is not None else Level.WARNING,
            check="clock-source",
            text="nothing sets the clock" + ("" if clock.rtc is not None else ", and there is no hardware clock"),
            next_step="ntpd -p pool.ntp.org   # BusyBox; or enable chrony or systemd-timesyncd",
        )


def _certificates(facts: BoardFacts) -> Iterator[Finding]:
    if facts.whole and not any(bundle.certificates != 0 for bundle in facts.ca_bundles):
        yield Finding(
            level=Level.ERROR,
            check="ca-missing",
            text="no CA certificates at any known place: no TLS connection to the service can be checked",
            next_step="opkg install ca-bundle, apt-get install ca-certificates, or BR2_PACKAGE_CA_CERTIFICATES=y",
        )


def _folders(facts: BoardFacts) -> Iterator[Finding]:
    for folder in facts.folders[:1]:
        mount = folder.mount
        if mount and mount.noexec:
            yield Finding(
                level=Level.ERROR,
                check="noexec",
                text=f"{folder.asked} is on {mount.folder}, which is mounted noexec: nothing starts from there",
                next_step=f"mount -o remount,exec {mount.folder}   # or another `root` in board.toml",
            )
        if mount and mount.read_only:
            yield Finding(
                level=Level.ERROR,
                check="read-only",
                text=f"{folder.asked} is on {mount.folder}, which is mounted read-only",
                next_step=f"mount -o remount,rw {mount.folder}   # or a `root` on a writable mount in board.toml",
            )
        if folder.free_kib is not None and folder.free_kib < FLASH_KIB:
            yield Finding(
                level=Level.ERROR if folder.free_kib < FLASH_KIB // 4 else Level.WARNING,
                check="flash",
                text=f"{folder.free_kib:,} KiB are free at {folder.base}; both SDKs with samples take 3,072",
                next_step=f"df -k {folder.base}   # then fewer recipes, or another `root`, in board.toml",
            )


def _memory(facts: BoardFacts, storage_mib: int) -> Iterator[Finding]:
    there = facts.memory.available_kib
    if there is not None and storage_mib * 1024 > there // 2:
        fits = max(8, there // 2048)
        yield Finding(
            level=Level.ERROR if storage_mib * 1024 > there else Level.WARNING,
            check="memory",
            text=f"kvssink would keep up to {storage_mib} MiB, and {there // 1024:,} MiB of RAM are available",
            next_step=f"storage-size={fits} for kvssink on this board",
        )


def _gstreamer(facts: BoardFacts) -> Iterator[Finding]:
    gst = facts.gstreamer
    if gst.kvssink is Kvssink.FAILS:
        yield Finding(
            level=Level.ERROR,
            check="plugin-fails",
            text=f"kvssink's plugin does not load{': ' if gst.why else ''}{gst.why}",
            next_step="rm -f ~/.cache/gstreamer-1.0/registry.*.bin; gst-inspect-1.0 kvssink   # on the board",
        )
    others = [name for name in gst.blacklisted if "kvssink" not in name]
    if others:
        yield Finding(
            level=Level.WARNING,
            check="plugin-blacklisted",
            text=f"GStreamer has given up on {', '.join(others[:4])}{' and more' if len(others) > 4 else ''}",
            next_step="rm -f ~/.cache/gstreamer-1.0/registry.*.bin; gst-inspect-1.0 -b   # on the board",
        )
    if gst.tools and not gst.whole:
        yield Finding(
            level=Level.NOTE,
            check="gstreamer-unknown",
            text="gst-inspect-1.0 did not come to its end: which elements there are is unknown",
            next_step="gst-inspect-1.0 | tail -n 1   # on the board; it reads all plugins, and keeps a registry",
        )
    if gst.version and not gst.tools and "gst-inspect-1.0" in facts.tools:
        yield Finding(
            level=Level.NOTE,
            check="gstreamer-unasked",
            text="which elements there are was not asked: without a registry that takes a while",
            next_step=f"invoke probe --host {facts.host} --elements",
        )
    if facts.whole and not gst.version and not gst.elements:
        yield Finding(
            level=Level.NOTE,
            check="gstreamer-missing",
            text="there is no GStreamer: kvssink cannot be used, the WebRTC samples without Gst can",
            next_step='recipes = ["webrtc"] in board.toml',
        )


def _devices(facts: BoardFacts, *, camera_wanted: bool) -> Iterator[Finding]:
    for path in sorted({holder.device for holder in facts.holders if holder.device.startswith("/dev/video")}):
        users = [holder for holder in facts.holders if holder.device == path]
        named = ", ".join(f"{holder.process or '?'} (process {holder.pid})" for holder in users[:3])
        yield _busy(
            "camera-busy", f"{path} is in use by {named}", f"kill -INT {users[0].pid}   # on the board; or its service"
        )
    held = {holder.device for holder in facts.holders}
    for node in facts.video:
        if node.path not in held and "busy" in node.trouble.lower():
            yield _busy(
                "camera-busy", f"{node.path} is busy: {node.trouble[:100]}", f"fuser -v {node.path}   # as root"
            )
    for device in facts.microphones:
        node_path = f"/dev/snd/pcmC{device.card}D{device.device}c"
        users = [holder for holder in facts.holders if holder.device == node_path]
        if device.free == 0 or users:
            who = f"{users[0].process or '?'} (process {users[0].pid})" if users else "somebody"
            step = f"kill -INT {users[0].pid}   # on the board" if users else f"fuser -v {node_path}   # as root"
            yield _busy("microphone-busy", f"microphone {device.hw} is in use by {who}", step)
    if camera_wanted and facts.whole and not facts.cameras and not any(node.trouble for node in facts.video):
        asked = "v4l2-ctl" in facts.tools or any(node.driver for node in facts.video)
        unknown = bool(facts.video) and not asked
        yield Finding(
            level=Level.NOTE if unknown else Level.WARNING,
            check="camera-unknown" if unknown else "camera-missing",
            text="what the video devices are is unknown without v4l2-ctl or a release with boardprobe"
            if unknown
            else "no camera was found",
            next_step='recipes = ["boardprobe"] in board.toml, and invoke up; or apt-get install v4l-utils'
            if unknown
            else "dmesg | grep -i -e video -e uvc -e csi   # on the board",
        )


def _busy(check: str, text: str, step: str) -> Finding:
    return Finding(level=Level.WARNING, check=check, text=text, next_step=step)
