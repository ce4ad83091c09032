"""What a board says of itself and of a release, asked in one round trip: every check reads it from here.

Nothing of it is believed to be well formed: what cannot be read is empty or None, and the check that needs it says so.
"""

from __future__ import annotations

import json
import posixpath
import re
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from deploy.dedupe.byname import Presence
from deploy.probe import devices_alsa, devices_v4l2
from deploy.probe.facts import Holder, SoundDevice, VideoNode, read_objects
from deploy.probe.system import read_holders
from deploy.reach.ask import NetworkFacts, read_network
from deploy.services.systems import ServiceState, parse_status
from recipes.text import one_line

_JUMP = 10
"""Seconds by which two readings of a board's clock may differ in the wrong order; more is a clock that was set."""
_NODE = re.compile(r"/dev/(?:video[0-9]{1,4}|snd/pcmC[0-9]{1,3}D[0-9]{1,3}c)")
_LINK = re.compile(r"^link (/dev/\S{1,200}) (/dev/video[0-9]{1,4})$", re.MULTILINE)
PLUGINS = "gstreamer-1.0/"
"""Folder of a release with what GStreamer opens by name."""
_SDK, _OURS = f"{PLUGINS}libgstkvssink.so", f"{PLUGINS}libgstkvsclient.so"
"""Plugins that bring kvssink: the SDK's, and the one that takes its place."""
_SINK = "kvssink"


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
    log_end: tuple[str, ...] = ()
    """The last lines of its log, those since its program was started last. Not to be shown: secrets may be in them."""
    launch: str = ""
    """The last line of its launch script: the program and its words, for a shell."""


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
    rtc: int | None
    """The hardware clock's time, since 1970; None where there is none."""
    synchronized: bool
    """systemd-timesyncd says that it has set the clock."""
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
    inspected: ProbeAnswer | None = None
    """What gst-inspect-1.0, or else boardprobe, says of our plugin's element alone, without a registry; None where the
    board has neither, or no plugin travels."""
    absent: frozenset[str] = frozenset()
    """Of the places that the release names on the board: where nothing is."""
    nodes: tuple[str, ...] = ()
    """Nodes of cameras and microphones in /dev."""
    links: Mapping[str, str] = field(default_factory=dict)
    """Other names of such nodes, as udev gives them, to the node."""
    holders: tuple[Holder, ...] = ()
    """Who has one of them open; of other users' processes only who is root sees that."""
    video: tuple[VideoNode, ...] = ()
    """What each camera offers; empty where no tool could be asked."""
    sound: tuple[SoundDevice, ...] = ()
    streams: Mapping[str, StreamFact] = field(default_factory=dict)
    """By the name of the service."""
    network: NetworkFacts = field(default_factory=NetworkFacts)
    """What the board and this workstation saw of the service's endpoints."""
    answers: Mapping[str, tuple[int, str]] = field(default_factory=dict)
    """Commands whose exit code and output are known: what testinfra asks of every host."""


def since(state: ServiceState, skew: int | None) -> str:
    """Return for how long a service has been in its phase until now, in words; empty where the board does not tell.

    Parameters
    ----------
    skew:
        Of the board's clock, as `Facts` has it.
    """
    if not state.since or skew is None:
        return ""
    seconds = round(time.time()) + skew - state.since
    if seconds < -_JUMP:
        return ""
    seconds = max(0, seconds)
    for size, word in ((86_400, "days"), (3600, "h"), (60, "min")):
        if seconds >= 2 * size:
            return f" for {seconds // size} {word}"
    return f" for {seconds} s"


def same_closures(providers: Mapping[str, Mapping[str, str]]) -> dict[str, list[str]]:
    """Return the entries to ask the loader about, each with those it stands for: same folder and same closure."""
    groups: dict[tuple[str, frozenset[tuple[str, str]]], list[str]] = {}
    for entry, closure in providers.items():
        if closure:
            groups.setdefault((posixpath.dirname(entry), frozenset(closure.items())), []).append(entry)
    return {entries[0]: entries for entries in groups.values()}


def probed_elements(release: Mapping[str, Any]) -> list[str]:
    """Return what boardprobe is asked about beside what the board's file names; it reads all plugins for that."""
    return [_SINK] if _SDK in {file["path"] for file in release["files"]} else []


def plugin_element(release: Mapping[str, Any]) -> str:
    """Return the element that a plugin of the release brings, and that is looked at alone; empty where none travels."""
    return _SINK if {_SDK, _OURS} & {file["path"] for file in release["files"]} else ""


def named_places(release: Mapping[str, Any]) -> list[str]:
    """Return the board's own files that a release gets by name or from a loader: what is looked for, and not loaded."""
    planned = [provider for closure in release["providers"].values() for provider in closure.values()]
    planned += [row["provider"] for row in release["named"] if row["presence"] == Presence.BOARD]
    return sorted({place for place in planned if place.startswith("/")})


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
    absent: set[str] = set()
    for title, body in zip(parts[1::2], parts[2::2], strict=True):
        kind, _, name = title.partition(" ")
        if kind == "files":
            files |= _files(body)
        elif kind == "entry":
            listings[name] = tuple(line.strip() for line in body.splitlines() if line.strip())
        elif kind == "answer":
            code, _, command = name.partition(" ")
            answers[command] = (_number(code) or 0, body.strip() + "\n")
        elif kind == "absent":
            absent.add(name)
        else:
            single[title] = body
    told = _told(single.get("board", ""))
    clock = _number(told.get("clock", [""])[-1])
    (memory, memory_free), (flash, flash_free) = _memory(_told(single.get("memory", ""))), _flash(told)
    return Facts(
        folder=told.get("folder", [""])[-1],
        current=told.get("current", [""])[-1],
        clock=clock,
        skew=None if clock is None else round(clock - answer["begun"]),
        time_sources=tuple(sorted({one_line(name) for name in told.get("time", ())})),
        rtc=_number(told.get("rtc", [""])[-1]),
        synchronized="synchronized" in told,
        uptime=_number(told.get("uptime", [""])[-1]),
        memory=memory,
        memory_free=memory_free,
        flash=flash,
        flash_free=flash_free,
        files=files,
        mute="mute" in single,
        listings=listings,
        boardprobe=_ended(single, "boardprobe"),
        inspected=_ended(single, "inspect"),
        absent=frozenset(absent),
        **_devices(single),
        streams=_streams(release["services"], single),
        network=read_network(single, answer.get("here", {}), release.get("endpoints", ())),
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


def _ended(single: Mapping[str, str], title: str) -> ProbeAnswer | None:
    """Return what a program printed that was watched; None where it was not started."""
    if title not in single:
        return None
    err, _, ended = single.get(f"said {title}", "").strip().rpartition("exit=")
    code = _number(ended)
    return ProbeAnswer(code=255 if code is None else code, out=single[title], err=err.strip())


def _devices(single: Mapping[str, str]) -> dict[str, Any]:
    """Return the fields of cameras and microphones."""
    listed = single.get("devices", "")
    return {
        "nodes": tuple(line for line in listed.splitlines()[:256] if _NODE.fullmatch(line)),
        "links": {link[1]: link[2] for link in _LINK.finditer(listed)},
        "holders": read_holders(single.get("holders", "")),
        "video": tuple(_video(single)),
        "sound": tuple(filter(None, map(devices_alsa.read_told, read_objects(single.get("offered", ""))))),
    }


def _video(single: Mapping[str, str]) -> Iterator[VideoNode]:
    """Yield what boardprobe tells of each node of a camera, or v4l2-ctl."""
    told = map(devices_v4l2.read_told, read_objects(single.get("offered", "")))
    yield from filter(None, told)
    for title, body in single.items():
        kind, _, node = title.partition(" ")
        if kind == "v4l2" and devices_v4l2.NODE.fullmatch(node):
            yield devices_v4l2.read_node(node, body)


_STARTED = re.compile(r"[0-9TZ:-]{20} .{1,64}: started, ")
"""What the supervising loop says when it starts the program."""


def _since_start(log: str) -> tuple[str, ...]:
    """Return the lines of a log's end since its program was started last; all where no start is among them."""
    lines = [line for line in log.splitlines() if line.strip()]
    starts = [number for number, line in enumerate(lines) if _STARTED.match(line)]
    return tuple(lines[starts[-1] if starts else 0 :])


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
            log_end=_since_start(single.get(f"tail {row['name']}", "")),
            launch=single.get(f"script {row['name']}", "").strip(),
        )
    return found


def _rows(text: str) -> Iterator[str]:
    return (line for line in text.splitlines() if line.startswith("-") and len(line.split(None, 5)) == 6)


def read_report(text: str) -> dict[str, Any]:
    """Return what a service's program wrote of itself, from a look at it; empty where that is no JSON object."""
    line = next((line for line in text.splitlines() if line.startswith("report=")), "")
    return json_object(line.removeprefix("report="))


def json_object(text: str) -> dict[str, Any]:
    """Return the object that a program printed; empty where it is none."""
    try:
        read = json.loads(text or "{}")
    except (ValueError, RecursionError):
        return {}
    return read if isinstance(read, dict) else {}
