"""The facts of a board as a page for a terminal of 80 columns."""

from __future__ import annotations

import textwrap
import unicodedata
from collections.abc import Iterable, Sequence

from deploy.probe.facts import BoardFacts, Folder, FrameSize, PixelFormat, SoundDevice
from deploy.probe.findings import Finding, Level

COLUMNS = 80
_LABEL = 13
_LEVELS = {Level.ERROR: "ERROR", Level.WARNING: "warning", Level.NOTE: "note"}
_MOST_SIZES = 24
"""Sizes of one format that a page shows."""
INTERESTING = (
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
"""Elements that a camera's pipelines use."""


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
        ("memory", f"{mebibytes(facts.memory.available_kib)} available of {mebibytes(facts.memory.total_kib)}"),
        *(("flash" if at == 0 else "", _folder(folder)) for at, folder in enumerate(facts.folders)),
        ("clock", f"{_utc(clock.seconds)}{skew}; {source}{f'; {clock.zone}' if clock.zone else ''}"),
        ("CA file", ", ".join(f"{ca.path} ({count(ca.certificates)})" for ca in facts.ca_bundles) or "none"),
        ("log-in", f"{user.name or 'user'} ({count(user.uid)}), groups {' '.join(user.groups) or 'unknown'}"),
        ("running for", _duration(facts.uptime)),
    ]
    return _rows(rows)


def _software(facts: BoardFacts) -> list[str]:
    gst = facts.gstreamer
    known = f"{len(gst.elements)} elements" if gst.elements else f"{len(gst.plugins)} plugin files"
    there = [name for name in INTERESTING if name in gst.elements]
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
    groups: dict[str, list[str]] = {}
    for size in pixels.sizes[:_MOST_SIZES]:
        rates = [f"{rate:g}" for rate in reversed(size.rates)]
        rates += [f"{slow:g}-{fast:g}" for slow, fast in size.rate_ranges]
        groups.setdefault(", ".join(rates), []).append(_size(size))
    texts = [" ".join(sizes) + (f" @ {told}" if told else "") for told, sizes in groups.items()]
    more = len(pixels.sizes) - _MOST_SIZES
    return " · ".join(texts) + (f" and {more} more sizes" if more > 0 else "") or "sizes not told"


def _size(size: FrameSize) -> str:
    to = f"-{size.to_width}x{size.to_height}" if size.to_width and size.to_height else ""
    return f"{size.width}x{size.height}{to}"


def _sound(devices: Sequence[SoundDevice]) -> list[str]:
    lines: list[str] = []
    for device in devices:
        free = "" if device.free is None else f", {device.free} of {device.total} free"
        offered = [*map(str, device.rates), *(f"{low}-{high}" for low, high in device.rate_ranges)]
        rates = f", {' '.join(offered)} Hz" if offered else ""
        channels = f", {' or '.join(map(str, device.channels))} channels" if device.channels else ""
        channels += f" ({device.trouble})" if device.trouble else ""
        lines += _wrapped(f"{device.hw:<8} {device.card_name}: {device.name}{free}{rates}{channels}", " " * 9)
    return lines or ["none"]


def _found(findings: Sequence[Finding]) -> list[str]:
    lines: list[str] = []
    for finding in findings:
        lines += _wrapped(f"{_LEVELS[finding.level]:<8}{finding.text}", " " * 8)
        lines += _wrapped(f"        -> {finding.next_step}", " " * 11)
    return lines


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
    return f"{folder.asked}: {mebibytes(folder.free_kib)} free of {mebibytes(folder.size_kib)}{there}"


def mebibytes(kib: int | None) -> str:
    return "unknown" if kib is None else f"{kib / 1024:,.1f} MiB" if kib < 102400 else f"{kib // 1024:,} MiB"


def count(value: int | None) -> str:
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
