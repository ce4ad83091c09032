"""A board's file and those that it extends, as one: tables merge, the board's own value wins, a list replaces a list.

Each value keeps the file and the line that it is from. What says what a thing is (`source = { v4l2 = … }`, a sample's
name) replaces what another word said there, for two of them would not go together.
"""

from __future__ import annotations

import hashlib
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from deploy.streams.devices import Device
from deploy.streams.parts import Audio, Source
from recipes import paths
from recipes.config import NAME, Model, checked_name
from recipes.errors import ConfigError, unknown
from recipes.faults import Location, line_of, worded_faults
from recipes.text import shown

MOST_LAYERS = 8
"""A board, the one that it extends, the one that this extends, and so on."""
EXAMPLES = "examples"
"""Folder of boards in the checkout that are there to be extended or copied: found by name, and in no list."""
_OWN = ("schema", "extends", "sim")
"""Keys that a board does not take over from another."""
_WORDS = {"source": {*Source.words}, "audio": {*Audio.words}, "sink": {"kvs", "webrtc", "file", "fake"}}


@dataclass(frozen=True, slots=True, kw_only=True)
class Layer:
    """One file of a board."""

    board: str
    path: Path
    text: str
    raw: Mapping[str, Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class FileFault:
    """One fault, and where it is."""

    path: Path
    line: int
    """0: of the whole file."""
    text: str
    """Key, and what is wrong."""

    def __str__(self) -> str:
        return f"{paths.shown_path(self.path)}{f':{self.line}' if self.line else ''}: {self.text}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Layers:
    """A board's files, its own one first, and what they are together."""

    files: tuple[Layer, ...]
    merged: dict[str, Any] = field(default_factory=dict)
    origins: dict[Location, Layer] = field(default_factory=dict)
    """Place of each key → the file that it is from."""

    @property
    def digest(self) -> str:
        """SHA-256 of the board's file; of the digests of all of them where there are several."""
        digests = [hashlib.sha256(layer.text.encode()).hexdigest() for layer in self.files]
        return digests[0] if len(digests) == 1 else hashlib.sha256("\n".join(digests).encode()).hexdigest()

    def find(self, place: Location) -> tuple[Layer, int, int]:
        """Return the file and the line of the deepest part of a place that is there, and how many parts that are."""
        known = next((place[:count] for count in range(len(place), 0, -1) if place[:count] in self.origins), ())
        layer = self.origins[known] if known else self.files[0]
        line, parts = line_of(layer.text.splitlines(), place)
        return layer, line, parts

    def fault(self, place: Location, text: str) -> FileFault:
        layer, line, _ = self.find(place)
        return FileFault(path=layer.path, line=line, text=text)

    def read(self, model: type[Model]) -> Model | list[FileFault]:
        """Return the model of all files together, or every fault with its file and line."""
        try:
            return model.model_validate(self.merged)
        except ValidationError as error:
            rows = worded_faults(error, model, lambda place: self.find(place)[2])
            return [self.fault(place, text) for place, text in rows]


def faulty_file(layers: Layers, faults: list[FileFault]) -> ConfigError:
    """Return the error that tells all faults of a board's file at once."""
    own = layers.files[0].path
    lines = [
        str(fault) if fault.path != own else f"line {fault.line}: {fault.text}" if fault.line else fault.text
        for fault in faults
    ]
    what = f"{len(faults)} fault{'s' * (len(faults) > 1)} in {own.name}"
    return ConfigError(what, where=str(own), why="\n       ".join(lines))


def board_paths() -> dict[str, Path]:
    """Return the file of each board.

    Raises
    ------
    ConfigError
        A folder with a board's file has a name that is none, or BOARDCAST_BOARDS names a folder that is not there.
    """
    found: dict[str, Path] = {}
    for folder in paths.board_folders():
        if folder != paths.BOARDS and not folder.is_dir():
            raise ConfigError("BOARDCAST_BOARDS names a folder that is not there", where=str(folder))
        for path in sorted(folder.glob("*/board.toml")):
            name = checked_name("board", path.parent.name, where=str(path.parent))
            found.setdefault(name, path)
    return dict(sorted(found.items()))


def example_paths() -> dict[str, Path]:
    """Return the file of each example, by its name."""
    return {path.parent.name: path for path in sorted((paths.BOARDS / EXAMPLES).glob("*/board.toml"))}


def board_path(name: str) -> Path:
    """Return the file of a board or an example; raises ConfigError for a name that nobody knows, with the known ones.

    Nothing is listed where the name is right.
    """
    checked_name("board", name)
    for folder in (*paths.board_folders(), paths.BOARDS / EXAMPLES):
        if (path := folder / name / "board.toml").is_file():
            return path
    raise unknown("board", name, board_paths(), where=", ".join(map(str, paths.board_folders())))


def read_layers(name: str) -> Layers:
    """Read a board's file and those that it extends.

    Raises
    ------
    ConfigError
        Nobody knows the board or one that is extended; a file is no TOML; boards extend each other in a circle, or
        more than eight in a row.
    """
    files = [_read(name, board_path(name))]
    while wanted := _extended(files[-1]):
        last = files[-1]
        line, _ = line_of(last.text.splitlines(), ("extends",))
        where = f"{last.path}:{line}"
        chain = " → ".join([*(layer.board for layer in files), wanted])
        if wanted in [layer.board for layer in files]:
            raise ConfigError("boards extend each other in a circle", where=where, why=chain)
        if len(files) == MOST_LAYERS:
            raise ConfigError(f"more than {MOST_LAYERS} boards extend each other", where=where, why=chain)
        try:
            path = board_path(wanted)
        except ConfigError:
            raise unknown("board to extend", wanted, [*board_paths(), *example_paths()], where=where) from None
        files.append(_read(wanted, path))
    layers = Layers(files=tuple(files))
    for layer in reversed(files):
        raw = {key: value for key, value in layer.raw.items() if layer is files[0] or key not in _OWN}
        _lay(raw, layers.merged, layers.origins, layer)
    return layers


def _extended(layer: Layer) -> str:
    """Return the name of the board that a file extends; empty for none, and for a name that its model refuses."""
    wanted = layer.raw.get("extends")
    return wanted if isinstance(wanted, str) and NAME.fits(wanted) else ""


def _read(board: str, path: Path) -> Layer:
    try:
        text = path.read_text()
        return Layer(board=board, path=path, text=text, raw=tomllib.loads(text))
    except (tomllib.TOMLDecodeError, UnicodeDecodeError, RecursionError) as error:
        raise ConfigError("not a TOML file", where=str(path), why=shown(str(error), lines=False)) from error
    except OSError as error:
        raise ConfigError(f"{path.name} cannot be read", where=str(path), why=error.strerror or "") from error


def _lay(own: Mapping[str, Any], onto: dict[str, Any], origins: dict[Location, Layer], layer: Layer) -> None:
    """Lay a file's values over those of the files that it extends; a loop, for a file may nest deeply."""
    todo: list[tuple[Mapping[str, Any], dict[str, Any], Location]] = [(own, onto, ())]
    while todo:
        values, below, place = todo.pop()
        if len(place) == 2 and place[0] == "streams" and len(both := {"sink", "sinks"} & values.keys()) == 1:
            # One of the two is there: the board's own one takes the other away.
            _forget(below, origins, place, *({"sink", "sinks"} - both))
        for key, value in values.items():
            here = (*place, key)
            if isinstance(value, dict):
                if not isinstance(below.get(key), dict) or _another(here, value, below[key]):
                    _forget(below, origins, place, key)
                    below[key] = {}
                todo.append((value, below[key], here))
            else:
                _forget(below, origins, place, key)
                below[key] = value
            origins[here] = layer


def _forget(below: dict[str, Any], origins: dict[Location, Layer], place: Location, key: str) -> None:
    if below.pop(key, None) is not None:
        gone = (*place, key)
        for known in [known for known in origins if known[: len(gone)] == gone]:
            del origins[known]


def _another(place: Location, value: Mapping[str, Any], before: Mapping[str, Any]) -> bool:
    """Tell whether a table says another thing than the one that it extends, and not more of the same."""
    if place[0] == "devices" and len(place) == 2:
        given = {*Device.words} & value.keys()
        return bool(given) and given != {*Device.words} & before.keys()
    if place[0] != "streams":
        return False
    if len(place) == 2:
        pipeline = "sample" in before and bool({"source", "sink", "sinks"} & value.keys())
        return pipeline or ("sample" in value and value["sample"] != before.get("sample"))
    words = _WORDS.get(str(place[2]), set()) if len(place) == 3 else set()
    given = words & value.keys()
    return bool(given) and given != words & before.keys()
