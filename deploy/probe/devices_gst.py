"""What GStreamer's tools print, of versions 1.14 to 1.22, read as values; text in, values out, never an exception."""

from __future__ import annotations

import re
from collections.abc import Mapping

from deploy.probe.facts import FrameSize, GstDevice, GStreamer, Kvssink, PixelFormat, VideoNode, number, short
from deploy.probe.script import Answer

MOST_ELEMENTS = 4000
MOST_DEVICES = 32
MOST_CAPS = 256
"""Of one device."""
_LINE = 2000
_ELEMENT = re.compile(r"([\w.+-]{1,80}):  ([\w.+-]{1,80}): .*")
_TOTAL = re.compile(r"Total count: [0-9]{1,6} plugins?.*")
# libgstreamer-1.0.so.0.2203.0 is 1.22.3: the middle number is 100 times the minor version and the micro version.
_LIBRARY = re.compile(r"libgstreamer-1\.0\.so\.0\.([0-9]{1,3})([0-9]{2})\.[0-9]{1,6}")
_FAILED = re.compile(r"Failed to load plugin '([^']{1,300})': (.{1,600})")
_FIELD = re.compile(
    r"(\w[\w-]{0,40})=((?:\(\w{1,20}\) ?)?(?:\{[^}]{0,600}\}|\[[^\]]{0,200}\])|\"[^\"]{0,200}\"|[^,]{1,200})"
)
_FRACTION = re.compile(r"([0-9]{1,9})/([0-9]{1,9})")
_FOURCC = {"YUY2": "YUYV", "I420": "YU12", "image/jpeg": "MJPG", "video/x-h264": "H264", "video/x-h265": "HEVC"}
"""V4L2's names of what GStreamer calls otherwise: gst-plugins-good, sys/v4l2/gstv4l2object.c."""


def read_elements(text: str) -> dict[str, str]:
    """Read `gst-inspect-1.0`: factory to the plugin that brings it."""
    matches = (_ELEMENT.fullmatch(line[:_LINE]) for line in text.split("\n"))
    return {match[2]: match[1] for match in [match for match in matches if match][:MOST_ELEMENTS]}


def read_blacklist(text: str) -> tuple[str, ...]:
    """Read `gst-inspect-1.0 -b`: the plugin files that did not load."""
    _, heading, rest = text.partition("Blacklisted files:")
    names = (line.strip() for line in rest.split("Total count")[0].split("\n")) if heading else ()
    return tuple(short(name, 120) for name in names if name)[:64]


def read_gstreamer(answer: Answer) -> GStreamer:
    """Return what is known of GStreamer, from its tools where they were asked, else from its files."""
    files = answer.text("gst-files").split("\n")
    listed = answer.first("gst-list")
    text = listed.text if listed else ""
    whole = listed is not None and not listed.cut and any(_TOTAL.fullmatch(line) for line in text.split("\n"))
    blacklisted = read_blacklist(answer.text("gst-blacklist"))
    elements = read_elements(text)
    kvssink, why = _kvssink(answer, elements, blacklisted, whole=whole)
    names = (re.fullmatch(r"plugin /.{0,300}/libgst([\w.+-]{1,80})\.so", line) for line in files)
    return GStreamer(
        version=_version(answer.text("gst-version"), answer.text("links")),
        tools=listed is not None,
        elements=elements,
        plugins=tuple(sorted({match[1] for match in names if match}))[:1000],
        whole=whole,
        blacklisted=blacklisted,
        kvssink=kvssink,
        why=why,
    )


def read_monitor(text: str) -> tuple[GstDevice, ...]:
    """Read `gst-device-monitor-1.0`."""
    return tuple(_device(block) for block in text.split("Device found:")[1 : MOST_DEVICES + 1])


def video_node(device: GstDevice) -> VideoNode | None:
    """Return a monitor's camera as v4l2-ctl would tell of it; None for anything else than a V4L2 source."""
    path = device.properties.get("device.path") or device.properties.get("api.v4l2.path") or ""
    if device.kind != "Video/Source" or not re.fullmatch(r"/dev/video[0-9]{1,4}", path):
        return None
    sizes: dict[str, list[FrameSize]] = {}
    for caps in device.caps:
        fields = {match[1]: match[2].strip() for match in _FIELD.finditer(caps)}
        media = caps.partition(",")[0].strip()
        kind = fields.get("format", "").rpartition(")")[2].strip('" ') if media == "video/x-raw" else media
        fourcc = _FOURCC.get(kind, kind)
        if fourcc and (size := _frame_size(fields)):
            sizes.setdefault(fourcc[:32], []).append(size)
    compressed = {"MJPG", "H264", "HEVC"}
    return VideoNode(
        path=path,
        name=device.properties.get("v4l2.device.card") or device.name,
        driver=device.properties.get("v4l2.device.driver", ""),
        bus=device.properties.get("v4l2.device.bus_info", ""),
        capabilities=frozenset({"Video Capture"}),
        formats=tuple(
            PixelFormat(fourcc=fourcc, compressed=fourcc in compressed, sizes=tuple(known))
            for fourcc, known in sizes.items()
        ),
    )


def _device(block: str) -> GstDevice:
    single: dict[str, str] = {}
    caps: list[str] = []
    properties: dict[str, str] = {}
    part, launch = "", ""
    for line in block.split("\n"):
        stripped = line[:_LINE].strip()
        label, colon, value = (piece.strip() for piece in stripped.partition(":"))
        if stripped.startswith("gst-launch-1.0"):
            launch, part = short(stripped, 300), ""
        elif label in ("name", "class", "caps", "properties") and colon and part != "properties":
            part = label
            single.setdefault(label, short(value))
            if label == "caps" and value:
                caps.append(short(value, 600))
        elif part == "properties" and " = " in stripped and len(properties) < 128:
            key, _, held = stripped.partition(" = ")
            properties.setdefault(short(key, 80), short(_unescaped(held)))
        elif part == "caps" and stripped and len(caps) < MOST_CAPS:
            caps.append(short(stripped, 600))
    return GstDevice(
        name=single.get("name", ""),
        kind=single.get("class", ""),
        caps=tuple(caps),
        properties=properties,
        launch=launch,
    )


def _unescaped(value: str) -> str:
    r"""Return a property without GStreamer's quotes: `"USB\ Audio"`, and `(int)3` of the older ones."""
    value = re.sub(r"^\(\w{1,20}\)", "", value)
    if len(value) >= 2 and value[0] == value[-1] == '"':
        value = re.sub(r"\\(.)", r"\1", value[1:-1])
    return value


def _version(told: str, links: str) -> str:
    if match := re.search(r"^GStreamer ([0-9]{1,3}(?:\.[0-9]{1,4}){1,3})", told, re.MULTILINE):
        return match[1]
    match = _LIBRARY.search(links)
    return f"1.{int(match[1])}.{int(match[2])}" if match else ""


def _kvssink(
    answer: Answer, elements: dict[str, str], blacklisted: tuple[str, ...], *, whole: bool
) -> tuple[Kvssink, str]:
    asked = answer.first("gst-kvssink")
    everything = "\n".join(answer.text(name) for name in ("gst-kvssink", "gst-list", "gst-blacklist"))
    failures = (_FAILED.search(line[:_LINE]) for line in everything.split("\n"))
    why = next((short(match[2], 300) for match in failures if match and "kvssink" in match[1]), "")
    if asked and "Factory Details" in asked.text:
        return Kvssink.LOADS, ""
    if why or any("kvssink" in name for name in blacklisted):
        return Kvssink.FAILS, why
    if not asked and "kvssink" in elements:
        return Kvssink.LOADS, ""
    if whole or (asked and "No such element" in asked.text):
        return Kvssink.MISSING, ""
    return Kvssink.UNKNOWN, ""


def _frame_size(fields: Mapping[str, str]) -> FrameSize | None:
    """Return a size of caps, or a range of them: `width=(int)640`, `width=(int)[ 16, 1920, 2 ]`."""
    across, down = (_side(fields.get(side, "")) for side in ("width", "height"))
    if across is None or down is None:
        return None
    (width, wide), (height, high) = across, down
    ranged = (wide, high) != (width, height)
    rates = _rates(fields.get("framerate", ""))
    between = "[" in fields.get("framerate", "") and len(rates) == 2
    return FrameSize(
        width=width,
        height=height,
        to_width=wide if ranged else 0,
        to_height=high if ranged else 0,
        rates=() if between else rates,
        rate_ranges=((rates[0], rates[1]),) if between else (),
    )


def _side(text: str) -> tuple[int, int] | None:
    """Return the least and the most of a width or height; None for what is neither a number nor a range."""
    match = re.fullmatch(r"\s*(?:\(int\))?\s*(?:\[\s*)?([0-9]{1,5})(?:\s*,\s*([0-9]{1,5})[\s,0-9]*\])?\s*", text)
    least, most = (number(part or match[1], most=65535) for part in match.groups()) if match else (None, None)
    return (least, most) if least and most else None


def _rates(text: str) -> tuple[float, ...]:
    pairs = ((int(match[1]), int(match[2])) for match in _FRACTION.finditer(text))
    return tuple(sorted({round(above / below, 3) for above, below in pairs if above and below}))[:32]
