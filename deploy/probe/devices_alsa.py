"""What arecord, aplay, /proc/asound and boardprobe say, read as values; text in, values out, never an exception."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace

from deploy.probe.facts import SoundDevice, Told, number, short

MOST_DEVICES = 64
_LINE = 512
# The same words in alsa-utils 1.0.28 to 1.2.13 with LC_ALL=C: https://github.com/alsa-project/alsa-utils, aplay.c
_DEVICE = re.compile(r"card ([0-9]{1,3}): (\S{0,64}) \[(.{0,160})\], device ([0-9]{1,3}): (.{0,160}) \[(.{0,160})\]")
_FREE = re.compile(r"\s+Subdevices: ([0-9]{1,4})/([0-9]{1,4})")
_CARD = re.compile(r"\s*([0-9]{1,3}) \[(.{1,64}?)\s*\]: (.{0,160})")
_PCM = re.compile(r"([0-9]{1,3})-([0-9]{1,3}): (.{0,300})")
_USES = re.compile(r"(playback|capture) ([0-9]{1,4})")
# The kernel's own words: https://git.kernel.org/pub/scm/linux/kernel/git/torvalds/linux.git/tree/sound/usb/proc.c
_RANGE = re.compile(r"([0-9]{1,9}) - ([0-9]{1,9}) \(continuous\)")
_MOST_RATE = 1_000_000
_STREAM = re.compile(r"/proc/asound/card([0-9]{1,3})/stream([0-9]{1,3})")


@dataclass(frozen=True, slots=True, kw_only=True)
class StreamFormats:
    """What one direction of a USB sound device takes."""

    rates: tuple[int, ...] = ()
    rate_ranges: tuple[tuple[int, int], ...] = ()
    formats: tuple[str, ...] = ()
    channels: tuple[int, ...] = ()


def read_hardware_list(text: str, *, capture: bool) -> tuple[SoundDevice, ...]:
    """Read `arecord -l` (capture) or `aplay -l`."""
    devices: list[SoundDevice] = []
    for line in _lines(text):
        if match := _DEVICE.fullmatch(line):
            devices.append(
                SoundDevice(
                    card=int(match[1]),
                    device=int(match[4]),
                    capture=capture,
                    card_id=short(match[2], 64),
                    card_name=short(match[3]),
                    name=short(match[5]),
                )
            )
        elif devices and devices[-1].total is None and (match := _FREE.fullmatch(line)):
            devices[-1] = replace(devices[-1], free=int(match[1]), total=int(match[2]))
    return tuple(devices[:MOST_DEVICES])


def read_cards(text: str) -> dict[int, tuple[str, str]]:
    """Read /proc/asound/cards: number to the card's id and name."""
    cards: dict[int, tuple[str, str]] = {}
    for line in _lines(text):
        if match := _CARD.fullmatch(line):
            cards.setdefault(int(match[1]), (short(match[2], 64), short(match[3].rpartition(" - ")[2])))
    return cards


def read_pcm(text: str, cards: Mapping[int, tuple[str, str]]) -> tuple[SoundDevice, ...]:
    """Read /proc/asound/pcm, for a board without alsa-utils: which subdevices are free is not in it."""
    devices: list[SoundDevice] = []
    for match in filter(None, (_PCM.fullmatch(line) for line in _lines(text))):
        card_id, card_name = cards.get(int(match[1]), ("", ""))
        parts = [part.strip() for part in match[3].split(" : ")]
        devices.extend(
            SoundDevice(
                card=int(match[1]),
                device=int(match[2]),
                capture=use[1] == "capture",
                card_id=card_id,
                card_name=card_name,
                name=short(parts[0]),
                total=int(use[2]),
            )
            for use in filter(None, (_USES.fullmatch(part) for part in parts))
        )
    return tuple(devices[:MOST_DEVICES])


def read_stream(path: str, text: str) -> dict[tuple[int, int, bool], StreamFormats]:
    """Read /proc/asound/cardN/streamM of a USB device: card, device and direction to what it takes."""
    place = _STREAM.fullmatch(path)
    if not place:
        return {}
    values: dict[bool, dict[str, list[str]]] = {}
    capture: bool | None = None
    for line in _lines(text):
        label, colon, value = (part.strip() for part in line.partition(":"))
        if label in ("Playback", "Capture") and colon and not value:
            capture = label == "Capture"
        elif capture is not None and label in ("Rates", "Format", "Channels"):
            values.setdefault(capture, {}).setdefault(label, []).append(value)
    return {
        (int(place[1]), int(place[2]), way): StreamFormats(
            rates=_numbers([value for value in known.get("Rates", ()) if not _RANGE.match(value)], most=_MOST_RATE),
            rate_ranges=_ranges(known.get("Rates", ())),
            formats=tuple(sorted({short(value, 40) for value in known.get("Format", ())})[:16]),
            channels=_numbers(known.get("Channels", ()), most=256),
        )
        for way, known in values.items()
    }


def read_told(told: Told) -> SoundDevice | None:
    """Return a sound device that boardprobe tells of; None where it is another device."""
    card, device = (told.count(name, 999) for name in ("card", "device"))
    capture = told.values.get("capture")
    if told.text("kind") != "sound" or card is None or device is None or not isinstance(capture, bool):
        return None
    return SoundDevice(
        card=card,
        device=device,
        capture=capture,
        card_id=told.text("card_id", 64),
        card_name=told.text("card_name"),
        name=told.text("name"),
        free=told.count("free", 9999),
        total=told.count("total", 9999),
        rates=tuple(sorted({int(rate) for rate in told.numbers("rates", 32)})),
        formats=tuple(sorted(set(told.texts("formats", 16)))),
        channels=tuple(sorted({int(count) for count in told.numbers("channels", 32) if count <= 256})),
        trouble=told.text("trouble"),
    )


def merge_sound(
    listed: Iterable[SoundDevice], kernel: Iterable[SoundDevice], streams: Mapping[tuple[int, int, bool], StreamFormats]
) -> tuple[SoundDevice, ...]:
    """Return every PCM device that the tools or the kernel told of; the tools also know what is free.

    Where two tell of one, the first counts, and what it does not say of rates and the like is the other's.
    """
    merged: dict[tuple[int, int, bool], SoundDevice] = {}
    for device in (*listed, *kernel):
        key = (device.card, device.device, device.capture)
        first = merged.setdefault(key, device)
        if not first.rates:
            merged[key] = replace(
                first,
                rates=device.rates,
                formats=device.formats,
                channels=device.channels,
                trouble=device.trouble,
            )
    for key, device in merged.items():
        if key not in streams:
            continue
        known = streams[key]
        # Who asks for the usual rates one by one does not learn of a range; the kernel names it.
        ranged = replace(device, rate_ranges=known.rate_ranges)
        if not device.rates:
            ranged = replace(ranged, rates=known.rates, formats=known.formats, channels=known.channels)
        merged[key] = ranged
    return tuple(merged[key] for key in sorted(merged))[:MOST_DEVICES]


def _numbers(values: Iterable[str], *, most: int) -> tuple[int, ...]:
    """Return the numbers of lists such as `8000, 16000`, each once, in order."""
    read = (number(word, most=most) for value in values for word in re.split(r"[\s,-]+", value))
    return tuple(sorted({value for value in read if value}))[:32]


def _ranges(values: Iterable[str]) -> tuple[tuple[int, int], ...]:
    """Return the ends of ranges such as `8000 - 48000 (continuous)`, each once, in order."""
    found = (_RANGE.match(value) for value in values)
    ends = {(number(match[1], most=_MOST_RATE), number(match[2], most=_MOST_RATE)) for match in found if match}
    return tuple(sorted((low, high) for low, high in ends if low and high and low <= high))[:8]


def _lines(text: str) -> list[str]:
    return [line[:_LINE].rstrip() for line in text.split("\n")]
