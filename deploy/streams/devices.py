"""Named devices of a board: the `[devices.<name>]` tables, and what a stream that names one becomes.

A stream says `source = { device = "front" }`; which camera that is, is in one place, and a board that extends this one
changes it there. Names are looked up before the streams are read, so that everything behind knows plain devices only.
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

from pydantic import ConfigDict, Field, model_validator

from deploy.streams.elements import Gives
from deploy.streams.parts import Audio, Source
from deploy.streams.values import (
    ElementName,
    Part,
    Properties,
    PropertyName,
    Text,
    Unnamed,
    Word,
    absolute,
    by_word,
    secret_faults,
    words_schema,
)
from recipes.config import Name


@dataclass(frozen=True, slots=True, kw_only=True)
class DeviceKind:
    """What a device is for: the part of a stream that can name it, and the word that this part has for it."""

    part: str = ""
    """source or audio; empty: no stream takes it."""
    word: str = ""
    means: str = "text"
    called: str


DEVICES: Mapping[str, DeviceKind] = {
    "camera": DeviceKind(part="source", word="v4l2", means="path", called="a camera"),
    "libcamera": DeviceKind(part="source", word="libcamera", called="a camera"),
    "microphone": DeviceKind(part="audio", word="alsa", called="a microphone"),
    "speaker": DeviceKind(called="a speaker"),
    "node": DeviceKind(part="source", word="element", means="path", called="a node"),
}
"""Word in a board file → device."""


class Device(Part):
    """A device of the board under a name of your own: one word says what it is, and which one."""

    model_config = ConfigDict(json_schema_extra=words_schema(DEVICES))
    words: ClassVar[tuple[str, ...]] = tuple(DEVICES)
    """The keys of which exactly one is there: its value is the address."""

    kind: Word
    """The word that says what it is: camera, libcamera, microphone, speaker or node."""
    address: Text
    """Of a camera or a vendor's node its path, such as /dev/video0; of libcamera its name; of a microphone or a speaker
    ALSA's name of it, such as hw:1,0 or hw:CARD=C920."""
    gives: Gives | None = None
    """Camera or node: what it delivers where it has a choice: raw, jpeg, h264, h265; a stream may say another."""
    element: ElementName | None = None
    """Node: the vendor's element that reads it; without one no stream can name it."""
    property: PropertyName = "device"
    """Node: the property of that element that takes its path."""
    properties: Properties = Field(default_factory=dict)
    """Node: further properties of that element."""
    package: Word | None = None
    """Node: package that brings that element."""

    @model_validator(mode="before")
    @classmethod
    def _word(cls, value: Any) -> Any:
        return by_word(value, DEVICES, "device")

    @model_validator(mode="after")
    def _fits(self) -> Device:
        faults = secret_faults(self.properties)
        if DEVICES[self.kind].means == "path":
            absolute(self.address)
        elif self.kind in ("microphone", "speaker") and not re.fullmatch(r"[A-Za-z0-9_.:,=-]+", self.address):
            faults.append("is to be ALSA's name of a device, such as hw:1,0")
        given = [name for name in ("element", "package", "properties") if getattr(self, name)]
        given += ["property"] if "property" in self.model_fields_set else []
        if given and self.kind != "node":
            faults.append(f"{', '.join(given)} belong to a node")
        elif given and not self.element:
            faults.append(f"{', '.join(given)} need an `element`")
        if self.gives in ("rtp", "container") or (self.gives and self.kind not in ("camera", "node")):
            faults.append("`gives` is what a camera or a node delivers: raw, jpeg, h264 or h265")
        if faults:
            raise ValueError("; ".join(faults))
        return self

    def part(self) -> dict[str, Any]:
        """Return the keys of a stream's source or audio that say the same without a name."""
        gives = {"gives": self.gives} if self.gives else {}
        if self.kind != "node":
            return {DEVICES[self.kind].word: self.address, **gives}
        package = {"package": self.package} if self.package else {}
        return {
            "element": self.element,
            "properties": {self.property: self.address, **self.properties},
            **package,
            **gives,
        }


Devices = dict[Name, Device]
"""The `[devices.<name>]` tables."""
_PLACEHOLDERS = {"source": {"v4l2": "/dev/video0"}, "audio": {"alsa": "default"}}
_SAMPLE_KEYS = {"camera": "video_device", "microphone": "audio_device"}


def with_devices(streams: Any, devices: Devices | None) -> Any:
    """Return the tables of streams with every named device in the words of its part.

    A name that is none becomes an `Unnamed`, which the part's own model refuses: all faults are told at once.

    Parameters
    ----------
    streams:
        As they are in the file, unchecked.
    devices:
        None: the tables of devices have faults themselves, so nothing is said of names.
    """
    if not isinstance(streams, dict):
        return streams
    return {name: _stream(stream, devices) if isinstance(stream, dict) else stream for name, stream in streams.items()}


def _stream(stream: Mapping[str, Any], devices: Devices | None) -> dict[str, Any]:
    made = dict(stream)
    for key, words in (("source", {*Source.words}), ("audio", {*Audio.words})):
        part = made.get(key)
        if not isinstance(part, dict) or len(words & part.keys()) > 1:
            continue  # no table, or one that says two things: its model tells that
        if isinstance(named := part.get("device"), str):
            made[key] = _part(key, named, {word: value for word, value in part.items() if word != "device"}, devices)
    for key, variable in _SAMPLE_KEYS.items() if "sample" in made else ():
        if isinstance(named := made.get(key), str):
            made |= _sample(key, named, variable, devices, taken=variable in made)
    return made


def _part(key: str, named: str, rest: dict[str, Any], devices: Devices | None) -> dict[str, Any]:
    if devices is None:
        return _PLACEHOLDERS[key] | rest
    device = devices.get(named)
    why = _refusal(named, devices, key)
    if device is None or why:
        return {"device": Unnamed(why), **rest}
    words = device.part()
    properties = {**words.get("properties", {}), **rest["properties"]} if _both_have(words, rest) else None
    return {**words, **rest, **({} if properties is None else {"properties": properties})}


def _both_have(words: Mapping[str, Any], rest: Mapping[str, Any]) -> bool:
    return isinstance(rest.get("properties"), dict) and "properties" in words


def _sample(key: str, named: str, variable: str, devices: Devices | None, *, taken: bool) -> dict[str, Any]:
    """Return the keys of a sample in whose variable a device's address is."""
    if devices is None:
        return {key: None, variable: "/dev/video0"}
    device = devices.get(named)
    if device is not None and device.kind == key and not taken:
        return {key: None, variable: device.address}
    why = _refusal(named, devices, "audio" if key == "microphone" else "source")
    if taken:
        why = f"{variable} says it too: one of the two"
    elif not why:
        why = f"{named} is {DEVICES[devices[named].kind].called} that this sample does not open: a {key} is needed"
    return {key: Unnamed(why)}


def _refusal(named: str, devices: Devices, part: str) -> str:
    """Return why a part of a stream cannot take a device of that name; empty: it can."""
    device = devices.get(named)
    if device is None:
        near = difflib.get_close_matches(named, devices, n=1)
        known = f"known: {', '.join(devices)}" if devices else "the file has no [devices]"
        return f"no device {named!r}; {f'did you mean {near[0]!r}? ' if near else ''}{known}"
    kind = DEVICES[device.kind]
    if kind.part != part:
        wanted = "a microphone" if part == "audio" else "a camera, or a node that an element reads"
        return f"{named} is {kind.called}, and {part} takes {wanted}"
    if device.kind == "node" and not device.element:
        return f"no element reads {named}: write element in [devices.{named}]"
    return ""
