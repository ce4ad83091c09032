"""All faults of a board's files at once: form, names, streams, and what their rendering refuses; each with its line."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from deploy.boards.board import Board, BoardFile
from deploy.boards.layers import FileFault, Layers, board_path, read_layers
from deploy.bundle.streams import stream_contents
from deploy.launch.streams import stream_programs
from deploy.pipelines.checks import check_stream
from deploy.pipelines.facts import BoardFacts, Fault, Severity
from deploy.pipelines.fit import device_faults
from deploy.streams.devices import DEVICES, Device
from recipes.builder.request import check_policies
from recipes.errors import ConfigError, unknown
from recipes.faults import Location
from recipes.sources.recipe import Recipe, load_catalogue
from recipes.toolchains.sysroots import sysroot_names
from recipes.toolchains.vendor import parse_arch


@dataclass(frozen=True, slots=True, kw_only=True)
class CheckedBoard:
    """What is wrong with a board's files, and what could be better."""

    board: str
    path: Path
    faults: tuple[FileFault, ...] = ()
    advice: tuple[FileFault, ...] = ()
    streams: tuple[str, ...] = field(default=())
    """Names of those that were checked."""


def check_board(
    name: str, facts: BoardFacts | None = None, catalogue: Mapping[str, Recipe] | None = None
) -> CheckedBoard:
    """Check the files of a board; faults in them are returned.

    Parameters
    ----------
    facts:
        What is known of the board itself; its streams are checked against that too.
    catalogue:
        The recipes, where many boards are checked: they are read otherwise.

    Raises
    ------
    ConfigError
        Nobody knows the board.
    """
    path = board_path(name)
    try:
        layers = read_layers(name)
    except ConfigError as error:
        return CheckedBoard(board=name, path=path, faults=(_unread(path, error),))
    read = layers.read(BoardFile)
    if isinstance(read, list):
        return CheckedBoard(board=name, path=path, faults=_in_order(read))
    board = Board(name=name, file=read)
    faults = list(_names(board, layers, load_catalogue() if catalogue is None else catalogue))
    advice: list[FileFault] = []
    known = facts or BoardFacts(uplink_kbps=read.limits.uplink_kbps)
    for place, fault in _fitting(read, known):
        here = _named(place, layers)
        told = layers.fault(here, f"{_key(here)}: {fault.what}; {fault.cure}")
        (faults if fault.severity is Severity.ERROR else advice).append(told)
    if not faults:
        faults += _rendering(board, layers)
    return CheckedBoard(
        board=name, path=path, faults=_in_order(faults), advice=_in_order(advice), streams=tuple(read.streams)
    )


def _fitting(file: BoardFile, facts: BoardFacts) -> Iterator[tuple[Location, Fault]]:
    """Yield what does not fit of the streams and the named devices, each with its place."""
    for stream, described in file.streams.items():
        yield from ((("streams", stream, *_place(fault.where)), fault) for fault in check_stream(described, facts))
    for name, device in file.devices.items():
        yield from ((("devices", name, fault.where), fault) for fault in device_faults(device, facts))


def _key(place: Location) -> str:
    """Return a place as it is told: `streams.main.sinks[0].storage_size`."""
    return "".join(f"[{part}]" if isinstance(part, int) else f".{part}" for part in place).removeprefix(".")


def _in_order(faults: Sequence[FileFault]) -> tuple[FileFault, ...]:
    return tuple(sorted(dict.fromkeys(faults), key=lambda fault: (str(fault.path), fault.line)))


def _unread(path: Path, error: ConfigError) -> FileFault:
    """Return the fault of a file that could not be read as far as its keys."""
    place, colon, line = error.where.rpartition(":")
    numbered = bool(colon) and line.isdecimal()
    at = int(line) if numbered else 0
    if not numbered and (told := re.search(r"\(at line ([0-9]+), column", error.why)):
        at = int(told[1])
    text = f"{error.what}{': ' if error.why else ''}{error.why}"
    return FileFault(path=Path(place if numbered else error.where or path), line=at, text=text)


def _place(where: str) -> Location:
    """Return a key such as `sinks[0].storage_size` as its parts."""
    parts = re.findall(r"\[([0-9]+)\]|([^.\[\]]+)", where)
    return tuple(int(number) if number else key for number, key in parts)


def _named(place: Location, layers: Layers) -> Location:
    """Return the place of a device's word in `[devices]` for that of a stream which says its name instead."""
    if len(place) != 4 or place[2] not in ("source", "audio"):
        return place
    part = layers.merged["streams"][place[1]].get(place[2])
    name = part.get("device") if isinstance(part, dict) else None
    device = layers.merged.get("devices", {}).get(name, {}) if name else {}
    word = next((word for word in Device.words if word in device), "")
    return ("devices", str(name), word) if word and DEVICES[word].word == place[3] else place


def _names(board: Board, layers: Layers, known: Mapping[str, Recipe]) -> Iterator[FileFault]:
    """Yield each name in the file that nothing has."""
    file = board.file
    try:
        parse_arch(file.arch)
    except ConfigError as error:
        yield layers.fault(("arch",), f"arch: {error.what}; {error.why}")
    # The sysroot of the board's own name is written by `sysroot.pull`.
    if file.sysroot != board.name and file.sysroot not in (names := sysroot_names()):
        yield layers.fault(("sysroot",), _sysroot_of(board, layers, names))
    for place, name in enumerate(file.recipes):
        if name not in known:
            yield layers.fault(("recipes", place), _told("recipes", unknown("recipe", name, known)))
    for name, policy in file.policy.items():
        try:
            check_policies({name: policy}, known, where="")
        except ConfigError as error:
            yield layers.fault(("policy", name), _told(f"policy.{name}", error))


def _sysroot_of(board: Board, layers: Layers, names: Sequence[str]) -> str:
    """Return what is wrong with a sysroot that is not there: as a rule a board that is extended has it for itself."""
    named = board.file.sysroot
    if layers.find(("sysroot",))[0].board != named:
        return _told("sysroot", unknown("sysroot", named, names))
    return (
        f"sysroot: {named!r} is {named}'s own, which is not here, and {board.name} needs that of its own system: write "
        f'sysroot = "{board.name}" into {board.name}/board.toml, and make it (invoke sysroot.pull --host HOST, or its '
        "maker's SDK: docs/quickstart-buildroot-yocto.md); or name one that is here: " + ", ".join(names)
    )


def _told(key: str, error: ConfigError) -> str:
    return f"{key}: {error.what}{'; ' if error.why else ''}{error.why}"


def _rendering(board: Board, layers: Layers) -> Iterator[FileFault]:
    """Yield what rendering refuses, with every program that the streams start taken as there."""
    try:
        present = {program.program for program in stream_programs(board)}
        stream_contents(board, present, plugins=True)
    except ConfigError as error:
        named = re.match(r".*\[streams\.([^\]]+)\]", error.next_step or error.what)
        place: Location = ("streams", named[1]) if named else ("streams",)
        yield layers.fault(place, _told(".".join(map(str, place)), error))
