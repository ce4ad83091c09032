"""What a board says of itself and of a release, asked in one round trip: every check reads it from here.

Nothing of it is believed to be well formed: what cannot be read is empty or None, and the check that needs it says so.
"""

from __future__ import annotations

import json
import posixpath
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from deploy.reach.ask import rows_as_endpoints, seen_from_here
from deploy.reach.seen import Seen, read_seen
from deploy.services.systems import ServiceState, parse_status
from recipes.text import one_line

PLUGINS = "gstreamer-1.0/"
"""Folder of a release with what GStreamer opens by name."""
_ELEMENTS = {"gstreamer-1.0/libgstkvssink.so": "kvssink"}
"""Plugins of ours, and the element that each is there for."""


@dataclass(frozen=True, slots=True, kw_only=True)
class FileFact:
    """One file of the release, as it is on the board."""

    sha256: str = ""
    """Empty where it could not be read."""
    mode: int = 0
    """Permission bits; 0 where nothing is there."""
    owner: int = -1
    group: int = -1
    size: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class StreamFact:
    """One service of a stream: what the init system and its program say, and how large its log is."""

    name: str
    """Of the service: its launch script is `run/<name>`."""
    stream: str
    """Of the board's file."""
    log: str
    log_bytes: int
    """With the logs that were put aside."""
    state: ServiceState
    report: Mapping[str, Any]
    """What its program wrote into its status file; empty for a program of the SDK, which writes none."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ProbeAnswer:
    """What boardprobe printed, and how it ended."""

    code: int
    """128 and the number for a signal."""
    out: str
    err: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Facts:
    """Everything that a board was asked, in one round trip. Sizes are bytes, times seconds."""

    folder: str
    """Of the release, as the board resolves it; empty where it is not there."""
    current: str
    """What `current` links to; empty where there is none."""
    clock: int | None
    """Since 1970, by the board's clock."""
    skew: int | None
    """That it is ahead of this machine's."""
    time_sources: tuple[str, ...]
    """Programs that set the clock, and run."""
    uptime: int | None
    memory: int | None
    memory_free: int | None
    """That programs may still get; of a kernel before 3.14 what is free or could be freed at once."""
    flash: int | None
    flash_free: int | None
    """Of the file system with our folder."""
    files: Mapping[str, FileFact]
    """By the path in the release."""
    mute: bool
    """The loader was built without a mode that lists; nothing was run to find out."""
    listings: Mapping[str, tuple[str, ...]]
    """Entry to the lines that the loader said of it; of entries with the same closure one was asked."""
    boardprobe: ProbeAnswer | None
    streams: Mapping[str, StreamFact] = field(default_factory=dict)
    """By the name of the service."""
    network: Mapping[str, Seen] | None = None
    """What the board saw of the endpoints that it was asked about, by their names; None where it did not look."""
    network_said: str = ""
    """What was printed in place of a report of them."""
    discovered: str = ""
    """What the SDK's discoverNatBehavior printed, where the release has it."""
    here: Mapping[str, Seen] = field(default_factory=dict)
    """What this workstation saw of the same endpoints."""
    answers: Mapping[str, tuple[int, str]] = field(default_factory=dict)
    """Commands whose exit code and output are known: what testinfra asks of every host."""


def same_closures(providers: Mapping[str, Mapping[str, str]]) -> dict[str, list[str]]:
    """Return the entries to ask the loader about, each with those it stands for: same folder and same closure."""
    groups: dict[tuple[str, frozenset[tuple[str, str]]], list[str]] = {}
    for entry, closure in providers.items():
        if closure:
            groups.setdefault((posixpath.dirname(entry), frozenset(closure.items())), []).append(entry)
    return {entries[0]: entries for entries in groups.values()}


def probed_elements(release: Mapping[str, Any]) -> list[str]:
    """Return the elements that boardprobe is asked about for plugins of ours that travel."""
    paths = {file["path"] for file in release["files"]}
    return [element for path, element in _ELEMENTS.items() if path in paths]


def loader_of(release: Mapping[str, Any]) -> str:
    """Return the board's loader that lists what programs and plugins of a release load."""
    return str(release["loader"] or release["search"]["loader"])


def read_facts(answer: Mapping[str, Any], release: Mapping[str, Any]) -> Facts:
    """Read what a board answered. Pure; anything may be in it."""
    parts = re.split(rf"^@{answer['mark']} (.*)\n", answer["text"], flags=re.MULTILINE)
    files: dict[str, FileFact] = {}
    listings: dict[str, tuple[str, ...]] = {}
    answers: dict[str, tuple[int, str]] = {}
    single: dict[str, str] = {}
    for title, body in zip(parts[1::2], parts[2::2], strict=True):
        kind, _, name = title.partition(" ")
        if kind == "files":
            files |= _files(body)
        elif kind == "entry":
            listings[name] = tuple(line.strip() for line in body.splitlines() if line.strip())
        elif kind == "answer":
            code, _, command = name.partition(" ")
            answers[command] = (_number(code) or 0, body.strip() + "\n")
        else:
            single[title] = body
    told = _told(single.get("board", ""))
    clock = _number(told.get("clock", [""])[-1])
    memory, memory_free = _memory(_told(single.get("memory", "")))
    flash, flash_free = _flash(told)
    network = read_seen(single.get("network", ""), rows_as_endpoints(release.get("endpoints", ())))
    return Facts(
        folder=told.get("folder", [""])[-1],
        current=told.get("current", [""])[-1],
        clock=clock,
        skew=None if clock is None else round(clock - answer["begun"]),
        time_sources=tuple(sorted({one_line(name) for name in told.get("time", ())})),
        uptime=_number(told.get("uptime", [""])[-1]),
        memory=memory,
        memory_free=memory_free,
        flash=flash,
        flash_free=flash_free,
        files=files,
        mute="mute" in single,
        listings=listings,
        boardprobe=_probe(single),
        streams=_streams(release["services"], single),
        network=network,
        network_said=one_line(single.get("network", "")) if network is None else "",
        discovered=single.get("discovered", ""),
        here=seen_from_here(answer["here"], network or {}) if answer.get("here") else {},
        answers=answers,
    )


_HASH = re.compile(r"([0-9a-f]{64}) [ *]\./(.+)")
_LISTED = re.compile(r"-([rwxsStT-]{9})[.+@]? +\d+ +(\d+) +(\d+) +(\d+) .*? \./(.+)")


def _files(body: str) -> dict[str, FileFact]:
    """Read lines of sha256sum and of ls."""
    hashes: dict[str, str] = {}
    found: dict[str, FileFact] = {}
    for line in body.splitlines():
        if hashed := _HASH.fullmatch(line):
            hashes[hashed[2]] = hashed[1]
        elif listed := _LISTED.fullmatch(line):
            owner, group, size = (_number(listed[index]) or 0 for index in (2, 3, 4))
            digest = hashes.get(listed[5], "")
            found[listed[5]] = FileFact(sha256=digest, mode=_mode(listed[1]), owner=owner, group=group, size=size)
    return {path: FileFact(sha256=digest) for path, digest in hashes.items()} | found


def _mode(letters: str) -> int:
    """Return the permission bits of `rwxr-xr-x`; of s and t only whether it may be executed."""
    return sum(1 << (8 - place) for place, letter in enumerate(letters) if letter not in "-ST")


def _told(body: str) -> dict[str, list[str]]:
    found: dict[str, list[str]] = {}
    for line in body.splitlines():
        name, _, value = line.partition("=" if "=" in line else ":")
        found.setdefault(name, []).append(value)
    return found


def _number(text: str) -> int | None:
    return int(text) if re.fullmatch(r"[0-9]{1,15}", text, re.ASCII) else None


def _memory(told: Mapping[str, Sequence[str]]) -> tuple[int | None, int | None]:
    """Return all memory and what of it may be had, from lines of /proc/meminfo: proc(5)."""
    kib = {name: _number(values[0].strip().removesuffix(" kB")) for name, values in told.items()}
    free = kib.get("MemAvailable")
    if free is None and (plain := kib.get("MemFree")) is not None:
        free = plain + (kib.get("Buffers") or 0) + (kib.get("Cached") or 0)
    total = kib.get("MemTotal")
    return total and total * 1024, None if free is None else free * 1024


def _flash(told: Mapping[str, Sequence[str]]) -> tuple[int | None, int | None]:
    """Return size and free bytes of our file system; BusyBox's df finds no mount point on some overlays."""
    row = re.fullmatch(r"\S.* (\d{1,15}) +\d+ +(\d{1,15}) +\d+% .*", told.get("df", [""])[-1], re.ASCII)
    if row:
        return int(row[1]) * 1024, int(row[2]) * 1024
    blocks = re.fullmatch(r"(\d{1,15}) (\d{1,15}) (\d{1,9})", told.get("statfs", [""])[-1], re.ASCII)
    return (int(blocks[1]) * int(blocks[3]), int(blocks[2]) * int(blocks[3])) if blocks else (None, None)


def _probe(single: Mapping[str, str]) -> ProbeAnswer | None:
    if "boardprobe" not in single:
        return None
    err, _, ended = single.get("said", "").strip().rpartition("exit=")
    code = _number(ended)
    return ProbeAnswer(code=255 if code is None else code, out=single["boardprobe"], err=err.strip())


def _streams(rows: Sequence[Mapping[str, Any]], single: Mapping[str, str]) -> dict[str, StreamFact]:
    found: dict[str, StreamFact] = {}
    for row in rows:
        text = single.get(f"service {row['name']}", "")
        sizes = [_number(line.split(None, 5)[4]) or 0 for line in _rows(single.get(f"log {row['name']}", ""))]
        found[row["name"]] = StreamFact(
            name=row["name"],
            stream=row["stream"],
            log=row["log"],
            log_bytes=sum(sizes),
            state=parse_status(text),
            report=read_report(text),
        )
    return found


def _rows(text: str) -> Iterator[str]:
    return (line for line in text.splitlines() if line.startswith("-") and len(line.split(None, 5)) == 6)


def read_report(text: str) -> dict[str, Any]:
    """Return what a service's program wrote of itself, from a look at it; empty where that is no JSON object."""
    line = next((line for line in text.splitlines() if line.startswith("report=")), "report=")
    try:
        report = json.loads(line.removeprefix("report=") or "{}")
    except (ValueError, RecursionError):
        return {}
    return report if isinstance(report, dict) else {}
