"""What a probe learned of a board, as values. A text in here can be shown as it is; what could not be read is None."""

from __future__ import annotations

import dataclasses
import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import Enum
from typing import Any

from recipes.arch import ARCHES, FloatAbi, Identity, Libc
from recipes.text import one_line


@dataclass(frozen=True, slots=True, kw_only=True)
class Unread:
    """An answer that is not what its command should say."""

    command: str
    line: str
    why: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Userland:
    """The C library and loader that programs of this board use."""

    identity: Identity | None = None
    """Of the shell that ran the probe, or of its loader."""
    loader: str = ""
    """The path that the shell's own header asks for."""
    loaders: tuple[str, ...] = ()
    libc: Libc | None = None
    libc_version: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Kernel:
    """The kernel, which may be of another width than the programs on it."""

    release: str = ""
    machine: str = ""
    """What `uname -m` says; an aarch64 kernel can run armv7 programs only, and still says aarch64."""
    version: str = ""
    page_size: int | None = None
    alignment: int | None = None
    """Mode of /proc/cpu/alignment; bit 1 repairs unaligned accesses. None where the kernel has no such file."""
    cpu_architecture: int | None = None
    """Of an ARM processor, from /proc/cpuinfo."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Mount:
    """One line of /proc/mounts."""

    device: str
    folder: str
    kind: str
    options: frozenset[str]

    @property
    def read_only(self) -> bool:
        return "ro" in self.options

    @property
    def noexec(self) -> bool:
        return "noexec" in self.options


@dataclass(frozen=True, slots=True, kw_only=True)
class Folder:
    """Where something of ours would be written."""

    asked: str
    base: str
    """The nearest folder above it that exists, links resolved; empty where it could not be found out."""
    free_kib: int | None = None
    size_kib: int | None = None
    mount: Mount | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Memory:
    """In KiB, from /proc/meminfo."""

    total_kib: int | None = None
    available_kib: int | None = None
    swap_kib: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Clock:
    """The wall clock, and what sets it."""

    seconds: int | None = None
    """Since 1970; None where `date +%s` gave no number."""
    skew: int | None = None
    """Seconds that the board is ahead of this machine, half a round trip taken off."""
    synchronized: bool | None = None
    """As timedatectl or chronyc say; None where neither is there."""
    sources: tuple[str, ...] = ()
    """Programs that run now and set the clock."""
    zone: str = ""
    rtc: int | None = None
    """What the hardware clock says, seconds since 1970; None without one."""


@dataclass(frozen=True, slots=True, kw_only=True)
class CaBundle:
    """A file of certificates at one of the known places."""

    path: str
    certificates: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class User:
    """Whom the probe logged in as."""

    uid: int | None = None
    name: str = ""
    groups: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class FrameSize:
    """A picture size, or a range of them, and its rates."""

    width: int
    height: int
    to_width: int = 0
    """Of a range; 0 for a single size."""
    to_height: int = 0
    rates: tuple[float, ...] = ()
    """Frames a second."""
    rate_ranges: tuple[tuple[float, float], ...] = ()
    """Slowest and fastest of each range of them."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PixelFormat:
    """A format that a camera offers."""

    fourcc: str
    description: str = ""
    compressed: bool = False
    sizes: tuple[FrameSize, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class VideoNode:
    """One /dev/video node; a camera has several, and codecs and scalers have them too."""

    path: str
    name: str = ""
    driver: str = ""
    bus: str = ""
    capabilities: frozenset[str] = frozenset()
    """Of this node; empty where neither v4l2-ctl nor boardprobe is on the board, or they said nothing."""
    formats: tuple[PixelFormat, ...] = ()
    trouble: str = ""
    """What v4l2-ctl or the kernel said instead, such as that the device is busy."""

    @property
    def camera(self) -> bool:
        """Tell whether pictures come from here: a node that captures and offers a format, and is no codec."""
        captures = {"Video Capture", "Video Capture Multiplanar"} & self.capabilities
        codec = any("Memory-to-Memory" in capability for capability in self.capabilities)
        return bool(captures) and not codec and bool(self.formats)


@dataclass(frozen=True, slots=True, kw_only=True)
class SoundDevice:
    """One PCM device of a sound card, in one direction."""

    card: int
    device: int
    capture: bool
    card_id: str = ""
    card_name: str = ""
    name: str = ""
    free: int | None = None
    """Subdevices that nobody uses now."""
    total: int | None = None
    rates: tuple[int, ...] = ()
    """Hz; without boardprobe of USB devices only, the kernel names them for no others."""
    rate_ranges: tuple[tuple[int, int], ...] = ()
    """Lowest and highest of each range of them, Hz."""
    formats: tuple[str, ...] = ()
    channels: tuple[int, ...] = ()
    trouble: str = ""
    """What the kernel said instead, such as that the device is busy."""

    @property
    def hw(self) -> str:
        """ALSA's name of it, as `AWS_KVS_AUDIO_DEVICE` and alsasrc take it."""
        return f"hw:{self.card},{self.device}"


@dataclass(frozen=True, slots=True, kw_only=True)
class GstDevice:
    """A device as gst-device-monitor-1.0 lists it."""

    name: str
    kind: str
    """Such as Video/Source."""
    caps: tuple[str, ...] = ()
    properties: Mapping[str, str] = field(default_factory=dict)
    launch: str = ""


class Kvssink(Enum):
    """What became of the plugin."""

    LOADS = "loads"
    MISSING = "missing"
    FAILS = "does not load"
    UNKNOWN = "unknown"


@dataclass(frozen=True, slots=True, kw_only=True)
class GStreamer:
    """GStreamer on the board."""

    version: str = ""
    """Empty where there is none."""
    tools: bool = False
    """gst-inspect-1.0 is there and was asked."""
    elements: Mapping[str, str] = field(default_factory=dict)
    """Factory to the plugin that brings it; empty where nobody could be asked."""
    plugins: tuple[str, ...] = ()
    """Names of plugin files in the usual folders, without `libgst` and `.so`."""
    whole: bool = False
    """The list of elements came to its end: what is not in it is not there."""
    blacklisted: tuple[str, ...] = ()
    kvssink: Kvssink = Kvssink.UNKNOWN
    why: str = ""
    """What the loader said of a plugin that does not load."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Holder:
    """A process that has a device open now."""

    pid: int
    process: str
    device: str


@dataclass(frozen=True, slots=True, kw_only=True)
class BoardFacts:
    """What one probe returned, in one round trip."""

    host: str
    hostname: str = ""
    system: str = ""
    """Name and version from /etc/os-release."""
    uptime: int | None = None
    """Seconds."""
    user: User = User()
    userland: Userland = Userland()
    kernel: Kernel = Kernel()
    init: str = "none"
    """systemd, procd, openrc, sysv, busybox, none."""
    memory: Memory = Memory()
    mounts: tuple[Mount, ...] = ()
    folders: tuple[Folder, ...] = ()
    clock: Clock = Clock()
    ca_bundles: tuple[CaBundle, ...] = ()
    tools: frozenset[str] = frozenset()
    video: tuple[VideoNode, ...] = ()
    sound: tuple[SoundDevice, ...] = ()
    devices: tuple[GstDevice, ...] = ()
    gstreamer: GStreamer = GStreamer()
    holders: tuple[Holder, ...] = ()
    unread: tuple[Unread, ...] = ()
    banner: str = ""
    whole: bool = False
    """The probe came to its end; else a part is missing, and what is absent here may be there."""

    @property
    def arch(self) -> str:
        """The name in the table of architectures; empty where none fits, or the userland could not be read.

        By the ELF identity of the board's own programs, never by `uname -m`: that names the kernel.
        """
        identity = self.userland.identity
        if identity is None or (identity.machine == 40 and identity.float_abi is FloatAbi.NONE):
            return ""
        fits = [arch.name for arch in ARCHES.values() if arch.matches(identity)]
        old = self.kernel.cpu_architecture is not None and self.kernel.cpu_architecture < 7
        if fits == ["armv7"] and (old or self.kernel.machine.startswith(("armv5", "armv6"))):
            return ""
        return fits[0] if len(fits) == 1 else ""

    @property
    def cameras(self) -> tuple[VideoNode, ...]:
        return tuple(node for node in self.video if node.camera)

    @property
    def microphones(self) -> tuple[SoundDevice, ...]:
        return tuple(device for device in self.sound if device.capture)

    @property
    def speakers(self) -> tuple[SoundDevice, ...]:
        return tuple(device for device in self.sound if not device.capture)

    def as_dict(self) -> dict[str, Any]:
        """Return the facts as JSON knows them: lists, texts, numbers, null for what could not be read."""
        fields: dict[str, Any] = _plain(self)
        return {"schema": 1, "arch": self.arch, "cameras": [node.path for node in self.cameras], **fields}


def number(text: str, *, most: int = 2**63 - 1) -> int | None:
    """Read a whole number of a board's answer; None for anything else, and for one above `most`."""
    if not re.fullmatch(r"[0-9]{1,19}", text.strip(" \t")):
        return None
    value = int(text)
    return value if value <= most else None


def short(text: str, most: int = 200) -> str:
    """Return a text of a board as facts keep it: on one line, with nothing that acts on a terminal, at most so long."""
    return one_line(text, most=most)


@dataclass(frozen=True, slots=True)
class Told:
    """One object that boardprobe wrote; what is not of the kind that is asked for is as if it were not there."""

    values: Mapping[str, Any]

    def text(self, name: str, most: int = 200) -> str:
        value = self.values.get(name)
        if not isinstance(value, str):
            return ""
        # boardprobe writes each byte as a letter of its own: a name in UTF-8 is put together again.
        raw = value[: most * 4].encode("latin-1", "replace")
        return short(raw.decode("utf-8", "backslashreplace"), most)

    def count(self, name: str, most: int = 2**31) -> int | None:
        value = self.values.get(name)
        return value if type(value) is int and 0 <= value <= most else None

    def items(self, name: str, most: int) -> list[Any]:
        value = self.values.get(name)
        return value[:most] if isinstance(value, list) else []

    def objects(self, name: str, most: int) -> list[Told]:
        return [Told(item) for item in self.items(name, most) if isinstance(item, dict)]

    def texts(self, name: str, most: int) -> list[str]:
        return [short(item, 60) for item in self.items(name, most) if isinstance(item, str)]

    def numbers(self, name: str, most: int) -> list[float]:
        """Return the numbers of a list that may be a rate of anything."""
        values = self.items(name, most)
        return [value for value in values if type(value) in (int, float) and 0 < value <= 10_000_000]


def read_objects(text: str) -> list[Told]:
    """Read an object a line; a line that is none, or was cut, is passed over."""
    found: list[Told] = []
    for line in text.split("\n")[:512]:
        try:
            value = json.loads(line) if line.startswith("{") else None
        except (ValueError, RecursionError):
            continue
        if isinstance(value, dict):
            found.append(Told(value))
    return found


def _plain(value: Any) -> Any:
    if isinstance(value, Enum):
        return value.value
    if dataclasses.is_dataclass(value):
        return {part.name: _plain(getattr(value, part.name)) for part in dataclasses.fields(value)}
    if isinstance(value, Mapping):
        return {str(key): _plain(part) for key, part in value.items()}
    if isinstance(value, frozenset):
        return sorted(_plain(part) for part in value)
    if isinstance(value, tuple):
        return [_plain(part) for part in value]
    return value
