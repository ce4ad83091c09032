"""What v4l2-ctl prints, of versions 1.12 to 1.24, and boardprobe: text in, values out, never an exception."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import replace

from deploy.probe.facts import FrameSize, PixelFormat, Told, VideoNode, number, short

MOSTNODES = 64
MOST_FORMATS = 64
MOST_SIZES = 128
"""Of one format; a UVC camera has up to about 20."""
MOST_SIDE = 65535
_LINE = 512
"""Characters of a line that are looked at; the longest that v4l2-ctl prints has about 120."""
# 1.12 to 1.16 print `Pixel Format: 'YUYV' (compressed)` and the name below it, later ones `[0]: 'MJPG' (Motion-JPEG,
# compressed)`: https://git.linuxtv.org/v4l-utils.git/tree/utils/v4l2-ctl/v4l2-ctl-common.cpp
_OLD_FORMAT = re.compile(r"Pixel Format\s*: '(.{2,8})'(.{0,80})")
_NEW_FORMAT = re.compile(r"\[[0-9]{1,3}\]: '(.{2,8})'(?: \((.{0,120})\))?")
_SIZE = re.compile(r"Size: (?:Discrete|Stepwise|Continuous) ([0-9]+)x([0-9]+)(?: - ([0-9]+)x([0-9]+))?")
_RATE = re.compile(r"\(([0-9]{1,6}\.[0-9]{1,6})(?:-([0-9]{1,6}\.[0-9]{1,6}))? fps\)")
_CARD = re.compile(r"(\S.*) \((.*)\):")
NODE = re.compile(r"/dev/video[0-9]{1,4}")


def read_device_list(text: str) -> dict[str, tuple[str, str]]:
    """Read `v4l2-ctl --list-devices`: node to the card's name and its bus, in the order of the list."""
    nodes: dict[str, tuple[str, str]] = {}
    card = ("", "")
    for line in _lines(text):
        if match := _CARD.fullmatch(line):
            card = (short(match[1]), short(match[2]))
        elif NODE.fullmatch(line.strip()) and len(nodes) < MOSTNODES:
            nodes[line.strip()] = card
    return nodes


def read_node(path: str, text: str) -> VideoNode:
    """Read `v4l2-ctl -d PATH --all --list-formats-ext`."""
    single: dict[str, str] = {}
    lists: dict[str, list[str]] = {"Capabilities": [], "Device Caps": []}
    listing = ""
    for line in _lines(text):
        label, colon, value = (part.strip() for part in line.partition(":"))
        if colon:
            listing = label if label in lists else ""
            single.setdefault(label, value)
        elif listing and len(lists[listing]) < 32:
            lists[listing].append(short(label, 60))
    formats = read_formats(text)
    driver = short(single.get("Driver name", ""))
    return VideoNode(
        path=path,
        name=short(single.get("Card type", "")),
        driver=driver,
        bus=short(single.get("Bus info", "")),
        capabilities=frozenset(filter(None, lists["Device Caps"] or lists["Capabilities"])),
        formats=formats,
        trouble="" if driver else short(text),
    )


def read_formats(text: str) -> tuple[PixelFormat, ...]:
    """Read what a node captures from `--list-formats-ext`: formats, sizes and rates, in the order of the driver.

    What `--all` says before it is the format of now, in words that look the same.
    """
    formats: list[_Format] = []
    for line in _lines(text.partition("ioctl: VIDIOC_ENUM_FMT")[2]):
        stripped = line.strip()
        if match := _OLD_FORMAT.match(stripped):
            formats.append(_Format(match[1], "", compressed="compressed" in match[2]))
        elif match := _NEW_FORMAT.match(stripped):
            described = match[2] or ""
            formats.append(_Format(match[1], described.split(", ")[0], compressed="compressed" in described))
        elif not formats:
            continue
        elif stripped.startswith("Name") and not formats[-1].description:
            formats[-1].description = short(stripped.partition(":")[2], 60)
        elif match := _SIZE.match(stripped):
            formats[-1].add_size(match)
        elif (match := _RATE.search(stripped)) and formats[-1].sizes:
            formats[-1].add_rates(float(match[1]), float(match[2] or match[1]))
    kept: dict[str, _Format] = {}
    for pixels in formats[: MOST_FORMATS * 4]:
        kept.setdefault(pixels.fourcc, pixels)
    return tuple(pixels.value() for pixels in list(kept.values())[:MOST_FORMATS])


def read_told(told: Told) -> VideoNode | None:
    """Return a node that boardprobe tells of; None where it is another device."""
    path = told.text("path", 40)
    if told.text("kind") != "video" or not NODE.fullmatch(path):
        return None
    kept: dict[str, PixelFormat] = {}
    for pixels in told.objects("formats", MOST_FORMATS):
        sizes = [size for size in map(_told_size, pixels.objects("sizes", MOST_SIZES)) if size]
        kept.setdefault(
            fourcc := pixels.text("fourcc", 8),
            PixelFormat(
                fourcc=fourcc,
                description=pixels.text("description", 60),
                compressed=pixels.values.get("compressed") is True,
                sizes=tuple(sizes),
            ),
        )
    return VideoNode(
        path=path,
        name=told.text("name"),
        driver=told.text("driver"),
        bus=told.text("bus"),
        capabilities=frozenset(told.texts("capabilities", 32)),
        formats=tuple(pixels for fourcc, pixels in kept.items() if fourcc),
        trouble=told.text("trouble"),
    )


def _told_size(told: Told) -> FrameSize | None:
    width, height = (told.count(side, MOST_SIDE) for side in ("width", "height"))
    if not width or not height:
        return None
    between = told.numbers("rate_range", 2)
    return FrameSize(
        width=width,
        height=height,
        rate_ranges=((between[0], between[1]),) if len(between) == 2 else (),
        to_width=told.count("to_width", MOST_SIDE) or 0,
        to_height=told.count("to_height", MOST_SIDE) or 0,
        rates=tuple(sorted({float(rate) for rate in told.numbers("rates", 32)})),
    )


def read_sys_names(text: str) -> dict[str, str]:
    """Read the names in /sys/class/video4linux, `/dev/video0 name` a line: for a board without v4l2-ctl."""
    pairs = (line.strip().partition(" ") for line in _lines(text))
    return {path: short(name) for path, _, name in list(pairs)[:MOSTNODES] if NODE.fullmatch(path)}


def merge_nodes(
    listed: Mapping[str, tuple[str, str]], names: Mapping[str, str], read: Mapping[str, VideoNode]
) -> tuple[VideoNode, ...]:
    """Return every node that anything told of, in the order of their numbers."""
    nodes: list[VideoNode] = []
    for path in sorted({*listed, *names, *read}, key=lambda path: (len(path), path))[:MOSTNODES]:
        name, bus = listed.get(path, (names.get(path, ""), ""))
        node = read.get(path) or VideoNode(path=path)
        nodes.append(replace(node, name=node.name or name, bus=node.bus or bus))
    return tuple(nodes)


class _Format:
    """A format while its lines are read."""

    def __init__(self, fourcc: str, description: str, *, compressed: bool) -> None:
        self.fourcc = short(fourcc, 8)
        self.description = short(description, 60)
        self.compressed = compressed
        self.sizes: list[tuple[int, int, int, int]] = []
        self.rates: list[list[float]] = []
        self.ranges: list[list[tuple[float, float]]] = []

    def add_size(self, match: re.Match[str]) -> None:
        sides = [number(side or "0", most=MOST_SIDE) for side in match.groups()]
        whole = [side for side in sides if side is not None]
        if len(whole) == 4 and whole[0] and whole[1] and len(self.sizes) < MOST_SIZES:
            self.sizes.append((whole[0], whole[1], whole[2], whole[3]))
            self.rates.append([])
            self.ranges.append([])

    def add_rates(self, slow: float, fast: float) -> None:
        rates, ranges = self.rates[-1], self.ranges[-1]
        if slow < fast:
            ranges.extend([(slow, fast)] if (slow, fast) not in ranges and len(ranges) < 8 else [])
        elif slow not in rates and len(rates) < 32:
            rates.append(slow)

    def value(self) -> PixelFormat:
        sizes = (
            FrameSize(
                width=width,
                height=height,
                to_width=wide,
                to_height=high,
                rates=tuple(sorted(rates)),
                rate_ranges=tuple(sorted(ranges)),
            )
            for (width, height, wide, high), rates, ranges in zip(self.sizes, self.rates, self.ranges, strict=True)
        )
        return PixelFormat(
            fourcc=self.fourcc, description=self.description, compressed=self.compressed, sizes=tuple(sizes)
        )


def _lines(text: str) -> list[str]:
    return [line[:_LINE].rstrip() for line in text.split("\n")]
