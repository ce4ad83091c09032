"""The facts of a board as a page for a terminal of 80 columns, and as the first board file, with the reasons in it."""

from __future__ import annotations

import re
import textwrap
import unicodedata
from collections.abc import Iterable, Sequence

from deploy.probe.facts import BoardFacts, Folder, FrameSize, PixelFormat, SoundDevice, VideoNode
from deploy.probe.findings import Finding, Level
from recipes.arch import Libc
from recipes.errors import ConfigError

COLUMNS = 80
_LABEL = 13
_LEVELS = {Level.ERROR: "ERROR", Level.WARNING: "warning", Level.NOTE: "note"}
_MOST_SIZES = 24
"""Sizes of one format that a page shows."""
_SUITE_GLIBC = (2, 36)
"""Debian 12's: a program compiled against it may ask for it."""
_LIBCAMERA = {"unicam", "bcm2835-unicam", "rp1-cfe", "rkisp1", "sun6i-csi", "imx7-csi", "mxc-isi"}
"""Drivers that give what the sensor gives; libcamera makes pictures of it."""
_ELEMENTS = (
    "v4l2src",
    "alsasrc",
    "x264enc",
    "v4l2h264enc",
    "omxh264enc",
    "h264parse",
    "voaacenc",
    "avenc_aac",
    "kvssink",
)


def facts_page(facts: BoardFacts, findings: Sequence[Finding] = ()) -> str:
    """Return the page: the findings first, then the board, its devices, and what could not be read."""
    parts = [
        _section(f"{facts.host}: {facts.hostname or 'a board without a name'}", _board(facts)),
        _section("Findings", _found(findings) or ["none"]),
        _section("Cameras", _cameras(facts)),
        _section("Microphones", _sound(facts.microphones)),
        _section("Speakers", _sound(facts.speakers)),
        _section("Software", _software(facts)),
    ]
    if facts.unread:
        lines = (f"{unread.command}: {unread.why}: {unread.line!r}" for unread in facts.unread)
        parts.append(_section("Not understood", [line for text in lines for line in _wrapped(text, "  ")]))
    return "\n".join(_clipped(line) for part in parts for line in (*part, "")).rstrip() + "\n"


def first_board_file(facts: BoardFacts, name: str, sysroots: Iterable[str] = ()) -> str:
    """Return a first `board.toml` for a board: what was seen, what was chosen, and why, as comments.

    Parameters
    ----------
    name:
        Of the board, as its folder will be called.
    sysroots:
        Names of the sysroots that are there to choose from.

    Raises
    ------
    ConfigError
        The name is no name of a folder, or no architecture is built for this board.
    """
    if not re.fullmatch(r"[a-z0-9][a-z0-9._-]*", name):
        raise ConfigError(f"{name!r} is no name of a board", why="letters a-z, digits, `.`, `_` and `-`")
    identity = facts.userland.identity
    if not facts.arch:
        seen = identity.describe() if identity else "its programs could not be read"
        raise ConfigError(f"no architecture is built for {facts.host}", why=seen, next_step="invoke images")
    lines = [
        *_comment(f"{name}: {facts.system or 'a Linux'}, kernel {facts.kernel.release}, as a probe saw it."),
        "schema = 1",
        *_comment(_why_arch(facts)),
        f'arch = "{facts.arch}"',
        *_sysroot(facts, name, set(sysroots)),
        *_root(facts),
        *_recipes(facts),
        "",
        *_probe_settings(facts),
        "",
        *_comment(f"Init system seen: {facts.init}."),
        *_suggestion(facts, name),
    ]
    return "\n".join(lines) + "\n"


def _board(facts: BoardFacts) -> list[str]:
    user, kernel, userland, clock = facts.user, facts.kernel, facts.userland, facts.clock
    identity = userland.identity.describe() if userland.identity else "unknown"
    alignment = "" if kernel.alignment is None else f", alignment mode {kernel.alignment}"
    page = f"pages of {kernel.page_size:,} bytes" if kernel.page_size else "page size unknown"
    skew = f", {clock.skew:+,} s against this machine" if clock.skew else ""
    source = ", ".join(clock.sources) or "nothing that sets it was seen"
    rows = [
        ("system", facts.system or "unknown"),
        ("programs", f"{identity}; arch {facts.arch or 'none fits'}"),
        ("C library", f"{userland.libc or 'unknown'} {userland.libc_version}, loader {userland.loader or 'unknown'}"),
        ("kernel", f"{kernel.release or 'unknown'} {kernel.machine}, {page}{alignment}"),
        ("init", facts.init),
        ("memory", f"{_mib(facts.memory.available_kib)} available of {_mib(facts.memory.total_kib)}"),
        *(("flash" if at == 0 else "", _folder(folder)) for at, folder in enumerate(facts.folders)),
        ("clock", f"{_utc(clock.seconds)}{skew}; {source}{f'; {clock.zone}' if clock.zone else ''}"),
        ("CA file", ", ".join(f"{ca.path} ({_count(ca.certificates)})" for ca in facts.ca_bundles) or "none"),
        ("log-in", f"{user.name or 'user'} ({_count(user.uid)}), groups {' '.join(user.groups) or 'unknown'}"),
        ("running for", _duration(facts.uptime)),
    ]
    return _rows(rows)


def _software(facts: BoardFacts) -> list[str]:
    gst = facts.gstreamer
    known = f"{len(gst.elements)} elements" if gst.elements else f"{len(gst.plugins)} plugin files"
    there = [name for name in _ELEMENTS if name in gst.elements]
    rows = [
        ("GStreamer", f"{gst.version}, {known}" if gst.version else "none"),
        *([("kvssink", f"{gst.kvssink.value}{': ' if gst.why else ''}{gst.why}")] if gst.version else []),
        *([("of interest", " ".join(there))] if there else []),
        ("tools", " ".join(sorted(facts.tools)) or "none"),
    ]
    return _rows(rows)


def _cameras(facts: BoardFacts) -> list[str]:
    lines: list[str] = []
    for node in facts.cameras:
        lines += _wrapped(f"{node.path}  {node.name} ({node.bus or 'bus unknown'}), {node.driver}", "  ")
        for pixels in node.formats:
            label = f"  {pixels.fourcc:<4} " + ("compressed " if pixels.compressed else "")
            lines += _wrapped(label + _sizes(pixels), "       ")
    for node in facts.video:
        if node not in facts.cameras:
            plain = sorted(node.capabilities - {"Extended Pix Format", "Streaming", "Device Capabilities"})
            what = node.trouble or ", ".join(plain) or "what it is was not told"
            lines += _wrapped(f"{node.path}  {node.name or 'no name'}: no camera ({what})", "  ")
    return lines or ["none"]


def _sizes(pixels: PixelFormat) -> str:
    """Return sizes and rates, those of the same rates together: `640x480 320x240 @ 30, 15 · 864x480 @ 10`."""
    groups: dict[tuple[float, ...], list[str]] = {}
    for size in pixels.sizes[:_MOST_SIZES]:
        groups.setdefault(size.rates, []).append(_size(size))
    texts = [" ".join(sizes) + (f" @ {', '.join(f'{rate:g}' for rate in rates)}" if rates else "")
             for rates, sizes in ((tuple(reversed(rates)), sizes) for rates, sizes in groups.items())]  # fmt: skip
    more = len(pixels.sizes) - _MOST_SIZES
    return " · ".join(texts) + (f" and {more} more sizes" if more > 0 else "") or "sizes not told"


def _size(size: FrameSize) -> str:
    to = f"-{size.to_width}x{size.to_height}" if size.to_width and size.to_height else ""
    return f"{size.width}x{size.height}{to}"


def _sound(devices: Sequence[SoundDevice]) -> list[str]:
    lines: list[str] = []
    for device in devices:
        free = "" if device.free is None else f", {device.free} of {device.total} free"
        rates = f", {' '.join(map(str, device.rates))} Hz" if device.rates else ""
        channels = f", {' or '.join(map(str, device.channels))} channels" if device.channels else ""
        lines += _wrapped(f"{device.hw:<8} {device.card_name}: {device.name}{free}{rates}{channels}", " " * 9)
    return lines or ["none"]


def _found(findings: Sequence[Finding]) -> list[str]:
    lines: list[str] = []
    for finding in findings:
        lines += _wrapped(f"{_LEVELS[finding.level]:<8}{finding.text}", " " * 8)
        lines += _wrapped(f"        -> {finding.next_step}", " " * 11)
    return lines


def _why_arch(facts: BoardFacts) -> str:
    userland, kernel = facts.userland, facts.kernel
    what = userland.identity.describe() if userland.identity else ""
    wider = f" The kernel says {kernel.machine}; its programs decide." if _wider(facts) else ""
    return f"The board's own programs are {what}, loaded by {userland.loader or 'a loader of no known name'}.{wider}"


def _wider(facts: BoardFacts) -> bool:
    return bool(facts.userland.identity and facts.userland.identity.bits == 32 and "64" in facts.kernel.machine)


def _sysroot(facts: BoardFacts, name: str, known: set[str]) -> list[str]:
    userland = facts.userland
    debian = f"debian12-{facts.arch}"
    version = tuple(int(part) for part in userland.libc_version.split(".")[:2] if part.isdigit())
    seen = f"{userland.libc or 'an unknown C library'} {userland.libc_version}".strip()
    if debian in known and userland.libc is Libc.GLIBC and version >= _SUITE_GLIBC:
        why = f"Compiled against Debian 12: its glibc 2.36 is not newer than the board's own ({seen})."
        return [*_comment(why), f'sysroot = "{debian}"']
    why = f"The board has {seen}; and a program made for Debian 12 asks for glibc 2.36: its own sysroot."
    return [*_comment(why), f"#   invoke sysroot.pull --host {_safe(facts.host)}", f'sysroot = "{name}"']


def _root(facts: BoardFacts) -> list[str]:
    fits = [folder for folder in facts.folders if _writable(folder)]
    room = [folder for folder in fits if re.fullmatch(r"/[A-Za-z0-9._/-]+", folder.asked) and ".." not in folder.asked]
    chosen = max(room, key=lambda folder: folder.free_kib or 0) if room else None
    if facts.folders and facts.folders[0] in room and (facts.folders[0].free_kib or 0) >= 8192:
        chosen = facts.folders[0]
    if chosen is None:
        why = "No folder that was asked for is writable and may hold programs: name one on a writable mount."
        return [*_comment(why), 'root = "/opt/boardcast"']
    where = chosen.mount.kind if chosen.mount else "an unknown file system"
    root = chosen.asked if chosen.asked.endswith("/boardcast") else f"{chosen.asked.rstrip('/')}/boardcast"
    why = f"On {chosen.mount.folder if chosen.mount else '/'} ({where}), {_mib(chosen.free_kib)} free."
    if chosen.mount and chosen.mount.kind == "tmpfs":
        why += " It is in RAM: everything is gone after a restart."
    return [*_comment(why), f'root = "{root}"']


def _writable(folder: Folder) -> bool:
    return not (folder.mount and (folder.mount.read_only or folder.mount.noexec))


def _recipes(facts: BoardFacts) -> list[str]:
    if facts.gstreamer.version:
        why = f"GStreamer {facts.gstreamer.version} is on the board, so kvssink can run there."
        return [*_comment(why), 'recipes = ["boardprobe", "producer"]']
    why = "There is no GStreamer on the board: the WebRTC SDK needs none."
    return [*_comment(why), 'recipes = ["boardprobe", "webrtc"]']


def _probe_settings(facts: BoardFacts) -> list[str]:
    lines = ["[probe]"]
    names = [name for name in _ELEMENTS if name in facts.gstreamer.elements]
    if names:
        lines += ["# Elements that the board has, and pipelines use.", f"elements = {_list(names)}"]
    bundles = [ca for ca in facts.ca_bundles if ca.certificates != 0 and re.fullmatch(r"/[\w./-]+", ca.path, re.ASCII)]
    if bundles:
        lines += [f"# {_count(bundles[0].certificates)} certificates.", f'ca_file = "{bundles[0].path}"']
    else:
        lines += _comment("No file of CA certificates was found: TLS will fail until the board has one.")
    return lines


def _suggestion(facts: BoardFacts, name: str) -> list[str]:
    lines = _comment("A stream that fits what was seen; take the marks away once `schema = 2` is written above.")
    camera = facts.cameras[0] if facts.cameras else None
    lines += ["#", "# [streams.main]"]
    if camera is None:
        lines += ["# No camera was seen: a test picture.", '# source = { test = "smpte" }']
    else:
        lines += _source(facts, camera)
    microphone, why = _microphone(facts, camera)
    if microphone:
        rate = min(microphone.rates, key=lambda rate: abs(rate - 48000)) if microphone.rates else 48000
        lines += _comment(f"Microphone: {microphone.card_name}, {microphone.name}{why}.")
        lines += [f'# audio = {{ alsa = "{microphone.hw}", rate = {rate} }}']
    storage = max(8, min(128, (facts.memory.available_kib or 65536) // 8192))
    lines += _comment(
        f"storage_size in MB: an eighth of the {_mib(facts.memory.available_kib)} of RAM that are available."
    )
    return [*lines, f'# sink = {{ kvs = "{name}", storage_size = {storage} }}']


def _microphone(facts: BoardFacts, camera: VideoNode | None) -> tuple[SoundDevice | None, str]:
    """Return the camera's own microphone where it has one, else the first, and why."""
    for device in facts.microphones:
        if camera and device.card_name and device.card_name in camera.name:
            return device, ", the camera's own"
    first = facts.microphones[0] if facts.microphones else None
    more = len(facts.microphones) - 1
    return first, f", the first of {more + 1}" if more > 0 else ""


def _source(facts: BoardFacts, camera: VideoNode) -> list[str]:
    formats = {pixels.fourcc: pixels for pixels in camera.formats}
    lines = _comment(f"Camera: {camera.name}, driver {camera.driver or 'unknown'}, {' '.join(formats)}.")
    if camera.driver in _LIBCAMERA:
        return [
            *lines,
            *_comment("Its driver gives raw sensor data: libcamera is needed."),
            '# source = { libcamera = "" }',
        ]
    if "H264" in formats:
        lines += _comment("The camera encodes by itself: nothing is encoded on the board.")
        return [*lines, f'# source = {{ v4l2 = "{camera.path}", gives = "h264" }}']
    raw = [pixels for pixels in camera.formats if not pixels.compressed]
    size = _moderate((raw or list(camera.formats))[0].sizes)
    hardware = next((name for name in ("v4l2h264enc", "omxh264enc") if name in facts.gstreamer.elements), "")
    why = (
        f"{hardware} is on the board."
        if hardware
        else "No hardware encoder was seen: a small picture, for the processor's sake."
    )
    gives = "raw" if raw else "jpeg"
    picture = f"width = {size.width}, height = {size.height}, framerate = {round(max(size.rates, default=30))}"
    encoder = hardware or "x264enc"
    return [
        *lines,
        f'# source = {{ v4l2 = "{camera.path}", gives = "{gives}" }}',
        *_comment(why),
        f'# video = {{ encoder = "{encoder}", {picture}, bitrate = 512 }}',
    ]


def _moderate(sizes: Sequence[FrameSize]) -> FrameSize:
    """Return the size nearest to 640x480: what a first try should use."""
    standard = FrameSize(width=640, height=480, rates=(30.0,))
    single = [size for size in sizes if not size.to_width]
    return min(single, key=lambda size: abs(size.width * size.height - 640 * 480)) if single else standard


def _list(names: Iterable[str]) -> str:
    return "[" + ", ".join(f'"{name}"' for name in names) + "]"


def _safe(text: str) -> str:
    return text if re.fullmatch(r"[A-Za-z0-9._-]+", text) else "HOST"


def _comment(text: str) -> list[str]:
    return textwrap.wrap(text, 110, initial_indent="# ", subsequent_indent="# ") or ["#"]


def _section(title: str, lines: Iterable[str]) -> list[str]:
    return [title, *(f"  {line}" for line in lines)]


def _rows(rows: Iterable[tuple[str, str]]) -> list[str]:
    return [line for label, text in rows for line in _wrapped(f"{label:<{_LABEL}}{text}", " " * _LABEL)]


def _wrapped(text: str, indent: str) -> list[str]:
    return textwrap.wrap(text, COLUMNS - 2, subsequent_indent=indent, break_on_hyphens=False, drop_whitespace=True) or [
        ""
    ]


def _clipped(line: str) -> str:
    """Cut a line at the terminal's width; Chinese and Japanese letters take two columns."""
    if line.isascii():
        return line[:COLUMNS]
    used, kept = 0, ""
    for letter in line:
        used += 2 if unicodedata.east_asian_width(letter) in "WF" else 1
        if used > COLUMNS:
            break
        kept += letter
    return kept


def _folder(folder: Folder) -> str:
    mount = folder.mount
    flaws = [
        word for word, true in (("read-only", mount and mount.read_only), ("noexec", mount and mount.noexec)) if true
    ]
    there = f" on {mount.folder} ({', '.join([mount.kind, *flaws])})" if mount else ""
    return f"{folder.asked}: {_mib(folder.free_kib)} free of {_mib(folder.size_kib)}{there}"


def _mib(kib: int | None) -> str:
    return "unknown" if kib is None else f"{kib / 1024:,.1f} MiB" if kib < 102400 else f"{kib // 1024:,} MiB"


def _count(value: int | None) -> str:
    return "unknown" if value is None else f"{value:,}"


def _utc(seconds: int | None) -> str:
    if seconds is None:
        return "unknown"
    from datetime import UTC, datetime

    return f"{datetime.fromtimestamp(min(seconds, 253402300799), UTC):%Y-%m-%d %H:%M:%S} UTC"


def _duration(seconds: int | None) -> str:
    if seconds is None:
        return "unknown"
    days, rest = divmod(seconds, 86400)
    hours, minutes = rest // 3600, rest // 60 % 60
    return f"{days:,} d {hours} h" if days else f"{hours} h {minutes} min"
