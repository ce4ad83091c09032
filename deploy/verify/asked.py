"""What a launch script asks of a board: elements and their properties, cameras and what they are to give, microphones.

Its last line is read as the board has it. Nothing of it is believed to be well formed: what cannot be read asks for
nothing. Pure.
"""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from deploy.probe.facts import FrameSize, SoundDevice, VideoNode

_RUNNERS = ("boardstream", "gst-launch-1.0")
_CAPS = re.compile(r"(?P<media>[A-Za-z0-9-]{1,40}/[A-Za-z0-9.+-]{1,40})(?:\(\S{1,80}\))?(?P<fields>,.{0,600})?")
_PROPERTY = re.compile(r"([A-Za-z][A-Za-z0-9_-]{0,80})=(.*)", re.DOTALL)
_FIELD = re.compile(r"(width|height|framerate)=(?:\([a-z]{1,12}\))?([0-9]{1,6})(?:/([0-9]{1,6}))?(?=,|$)")
_KEEPS = frozenset({"queue", "videoconvert", "jpegdec", "h264parse", "h265parse", "capsfilter", "tee"})
"""Elements that let size and rate pass: what is asked behind them is asked of the camera."""
_FOURCC = {"image/jpeg": ("MJPG", "JPEG"), "video/x-h264": ("H264",), "video/x-h265": ("HEVC", "H265")}
_RATE_OFF = 0.02
"""Part by which a rate may differ from the one that is asked: 29.97 is taken for 30."""
_ALSA = re.compile(
    r"(?:plug)?hw:(?:CARD=)?(?P<card>[\w-]{1,64})(?:,(?:DEV=)?(?P<device>[0-9]{1,3}))?(?:,.*)?", re.ASCII
)


@dataclass(frozen=True, slots=True, kw_only=True)
class UsedElement:
    """An element of a pipeline, and the properties that are set."""

    factory: str
    properties: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class CameraWish:
    """A camera that is opened, and what is asked of it; 0 and empty for what is left to it."""

    node: str
    media: str = ""
    width: int = 0
    height: int = 0
    rate: float = 0.0

    @property
    def in_words(self) -> str:
        parts = [
            self.media,
            f"{self.width}x{self.height}" if self.width else "",
            f"{self.rate:g}/s" if self.rate else "",
        ]
        return " ".join(part for part in parts if part) or "anything"


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """What one launch script asks of its board."""

    elements: tuple[UsedElement, ...] = ()
    cameras: tuple[CameraWish, ...] = ()
    microphones: tuple[str, ...] = ()
    """ALSA's names."""


def read_launch(line: str) -> Asked:
    """Read the last line of a launch script, `exec "$here/"bin/boardstream … -- v4l2src … "$@"`; never raises."""
    try:
        words = shlex.split(line[:16_384])
    except ValueError:
        return Asked()
    if len(words) < 2 or words[1].rpartition("/")[2] not in _RUNNERS:
        return Asked()
    behind = words[words.index("--") + 1 :] if "--" in words else words[2:]
    return _read_pipeline([word for word in behind if word != "$@"])


def _read_pipeline(words: Sequence[str]) -> Asked:
    chains: list[list[UsedElement | re.Match[str]]] = []
    linked = False
    for word in words:
        caps = _CAPS.fullmatch(word)
        given = _PROPERTY.fullmatch(word)
        if word == "!":
            linked = True
            continue
        if given and not caps and chains and isinstance(last := chains[-1][-1] if chains[-1] else None, UsedElement):
            properties = {**last.properties, given[1]: given[2].strip('"')}
            chains[-1][-1] = UsedElement(factory=last.factory, properties=properties)
            continue
        if not linked or not chains:
            chains.append([])
        if caps:
            chains[-1].append(caps)
        elif not word.endswith("."):
            chains[-1].append(UsedElement(factory=word))
        linked = False
    elements = tuple(node for chain in chains for node in chain if isinstance(node, UsedElement))
    return Asked(
        elements=elements,
        cameras=tuple(_wish(chain) for chain in chains if _begins(chain, "v4l2src")),
        microphones=tuple(node.properties.get("device", "default") for node in elements if node.factory == "alsasrc"),
    )


def _begins(chain: Sequence[UsedElement | re.Match[str]], factory: str) -> bool:
    return bool(chain) and isinstance(chain[0], UsedElement) and chain[0].factory == factory


def _wish(chain: Sequence[UsedElement | re.Match[str]]) -> CameraWish:
    """Return what a chain asks of the camera that it begins with."""
    first, *rest = chain
    node = first.properties.get("device", "/dev/video0") if isinstance(first, UsedElement) else ""
    media, fields = "", dict[str, float]()
    for place in rest:
        if isinstance(place, UsedElement):
            if place.factory not in _KEEPS:
                break
            continue
        media = media or place["media"]
        for name, above, below in _FIELD.findall(place["fields"] or ""):
            fields.setdefault(name, int(above) / (int(below or 1) or 1))
    return CameraWish(
        node=node,
        media=media,
        width=int(fields.get("width", 0)),
        height=int(fields.get("height", 0)),
        rate=fields.get("framerate", 0.0),
    )


def refused(wish: CameraWish, offered: VideoNode) -> str:
    """Return what of a wish a camera does not offer, in words; empty where it offers it, or where nobody knows."""
    wanted = _FOURCC.get(wish.media)
    formats = [one for one in offered.formats if one.fourcc in wanted] if wanted else list(offered.formats)
    if not wanted and wish.media == "video/x-raw":
        formats = [one for one in offered.formats if not one.compressed]
    if offered.formats and not formats:
        return f"no {wish.media}, only {', '.join(dict.fromkeys(one.fourcc for one in offered.formats))}"
    sizes = [size for one in formats for size in one.sizes]
    if not sizes or not wish.width:
        return ""
    fitting = [size for size in sizes if _has_size(size, wish)]
    if not fitting:
        known = dict.fromkeys(f"{size.width}x{size.height}" for size in sizes)
        return f"no {wish.width}x{wish.height}, only {', '.join([*known][:8])}{' and more' * (len(known) > 8)}"
    if wish.rate and not any(_has_rate(size, wish.rate) for size in fitting):
        rates = sorted({rate for size in fitting for rate in (*size.rates, *sum(size.rate_ranges, ()))})
        return f"no {wish.rate:g}/s at {wish.width}x{wish.height}, only {', '.join(f'{rate:g}' for rate in rates[:8])}"
    return ""


def _has_size(size: FrameSize, wish: CameraWish) -> bool:
    if not size.to_width:
        return (size.width, size.height) == (wish.width, wish.height)
    return size.width <= wish.width <= size.to_width and size.height <= wish.height <= size.to_height


def _has_rate(size: FrameSize, rate: float) -> bool:
    known = not (size.rates or size.rate_ranges)
    single = any(abs(one - rate) <= _RATE_OFF * rate for one in size.rates)
    return (
        known
        or single
        or any(low <= rate * (1 + _RATE_OFF) and rate <= high * (1 + _RATE_OFF) for low, high in size.rate_ranges)
    )


def microphone_node(name: str, sound: Iterable[SoundDevice], nodes: Sequence[str]) -> str | None:
    """Return the node of a microphone by ALSA's name; None where it is not there, empty where nobody can tell.

    A name that the board's own configuration of ALSA resolves, such as `default`, needs some microphone at least.
    """
    there = [node for node in nodes if "/snd/" in node]
    known = _ALSA.fullmatch(name)
    if not known:
        return (there[0] if len(there) == 1 else "") if there else None
    card, device = known["card"], int(known["device"] or 0)
    if not card.isdigit():
        numbers = {one.card for one in sound if one.card_id == card}
        if not numbers:
            return None if any(one.card_id for one in sound) else ""
        card = str(min(numbers))
    node = f"/dev/snd/pcmC{int(card)}D{device}c"
    return node if node in there else None
