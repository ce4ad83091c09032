"""Files of a user's read into strict models: unknown keys are faults, and all faults of a file are told at once.

Every text of a model has a form (`Form`): a name cannot be an option or a path, a path stays below its folder, and
nothing has a line break or a terminal's control characters where one line is meant. A test walks all models for texts
without one. Names of the command line pass the same check before they become a path: `checked_name`.
"""

from __future__ import annotations

import posixpath
import re
import tomllib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, TypeVar

from pydantic import BaseModel, ConfigDict, ValidationError

from recipes.errors import ConfigError
from recipes.text import shown


@dataclass(frozen=True, slots=True)
class Form:
    """What a text has to be; pydantic checks it, and the reference prints the words."""

    name: str
    """As the reference calls it."""
    words: str
    """Follows `must be `."""
    fits: Callable[[str], bool]
    empty: bool = False
    """An empty text is fine too: there is none."""

    def __call__(self, value: str) -> str:
        """Return the text; raises ValueError where it has another form."""
        if not ((self.empty and value == "") or self.fits(value)):
            raise ValueError(f"must be {self.words}")
        return value

    def __get_pydantic_core_schema__(self, source: Any, handler: Any) -> Any:
        """Check after whatever else the field's type asks for."""
        from pydantic_core import core_schema

        return core_schema.no_info_after_validator_function(self, handler(source))

    def __get_pydantic_json_schema__(self, source: Any, handler: Any) -> Any:
        """Say the form in the schema that editors read, where it is a pattern."""
        shown = handler(source)
        if isinstance(self.fits, _Like):
            more = "|" if self.empty else ""
            return {**shown, "pattern": f"^(?:{self.fits.pattern}{more})$", "maxLength": self.fits.longest}
        return shown


@dataclass(frozen=True, slots=True)
class _Like:
    """What a text is like, from its first letter to its last."""

    pattern: str
    longest: int

    def __call__(self, value: str) -> bool:
        return len(value) <= self.longest and re.fullmatch(self.pattern, value) is not None


def _like(pattern: str, longest: int = 255) -> _Like:
    return _Like(pattern, longest)


def is_one_line(value: str) -> bool:
    """Tell whether a text may be printed as it is: no line break, no control, bidirectional or invisible character."""
    return value.isprintable() or shown(value, most=len(value), lines=False) == value.replace("\t", "\\t")


def _is_text(value: str) -> bool:
    return all(is_one_line(line) for line in value.replace("\t", " ").split("\n"))


def is_relative_path(value: str) -> bool:
    """Tell whether a path stays below the folder that it is in, and is written in the shortest way."""
    parts = value.split("/")
    return is_one_line(value) and "\\" not in value and value[:1] != "-" and not {"", ".", ".."} & set(parts)


def _is_board_path(value: str) -> bool:
    plain = re.fullmatch(r"/[A-Za-z0-9._/+-]+", value) is not None
    return plain and not value.startswith("//") and posixpath.normpath(value) == value


NAME = Form("name", "a name: small letters and digits, after the first also . _ -", _like(r"[a-z0-9][a-z0-9._-]*", 128))
_FILE_NAME = Form("file name", "the name of a file, without folders", _like(r"[A-Za-z0-9_][A-Za-z0-9._+~-]*"))
_PACKAGE = Form("package", "Debian's name of a package", _like(r"[a-z0-9][a-z0-9+.-]*"))
_VERSION = Form("version", "a version", _like(r"[A-Za-z0-9][A-Za-z0-9._+~:-]*"))
_RANGE = Form("range of versions", "a range of versions, such as >=1.1,<4", _like(r"[<>=!~0-9A-Za-z.,+* -]*"))
_SYMBOL = Form("symbol", "the name of a symbol", _like(r"[A-Za-z_.$][A-Za-z0-9_.$@]*", 4096))
_VARIABLE = Form("option name", "the name of an option or a variable", _like(r"[A-Za-z_][A-Za-z0-9_.:-]*"))
_TARGET = Form("target", "a target of make or a variable with its value", _like(r"[A-Za-z0-9_./][A-Za-z0-9_./=+-]*"))
_REF = Form(
    "tag",
    "the name of a tag",
    lambda value: _like(r"[A-Za-z0-9][A-Za-z0-9._/+-]*")(value) and not re.search(r"\.\.|//|/$|\.lock$|/\.", value),
)
_IMAGE = Form("image", "the name of an image", _like(r"[a-z0-9][a-z0-9._/:-]*"))
_ADDRESS = Form(
    "host address",
    "a host name or an IP address",
    _like(r"[A-Za-z0-9:][A-Za-z0-9.:_-]*(%[A-Za-z0-9._-]+)?"),
    empty=True,
)
_USER = Form("user", "the name of a user", _like(r"[A-Za-z0-9_][A-Za-z0-9._@-]*", 64))
_URL = Form("URL", "an address: https://…, without blanks", _like(r"(https?|wss?)://[!-~]+", 4096), empty=True)
ONE_LINE = Form("one line", "one line, without control characters", is_one_line)
_TEXT = Form("text", "text without control characters", _is_text)
_RELATIVE = Form("path", "a path below its folder, without . .. //", is_relative_path)
_GLOB = Form(
    "pattern",
    "a pattern of paths below their folder, without . .. //",
    lambda value: is_relative_path(value) and _like(r"[A-Za-z0-9._*?\[\]/+@-]+", 4096)(value),
)
_BOARD_PATH = Form("board's path", "an absolute path of the board, without . .. //", _is_board_path)
_LOCAL_PATH = Form(
    "local path", "a path of this machine on one line", lambda value: is_one_line(value) and value[:1] != "-"
)
_SOURCE = Form(
    "source",
    "a name of the lock, or path: and a folder beside the recipe (path:../RECIPE/FOLDER: beside another)",
    lambda value: is_relative_path(value[5:].removeprefix("../")) if value.startswith("path:") else NAME.fits(value),
)

Name = Annotated[str, NAME]
FileName = Annotated[str, _FILE_NAME]
PackageName = Annotated[str, _PACKAGE]
Version = Annotated[str, _VERSION]
VersionRange = Annotated[str, _RANGE]
Symbol = Annotated[str, _SYMBOL]
VariableName = Annotated[str, _VARIABLE]
MakeTarget = Annotated[str, _TARGET]
GitRef = Annotated[str, _REF]
ImageName = Annotated[str, _IMAGE]
HostAddress = Annotated[str, _ADDRESS]
UserName = Annotated[str, _USER]
Url = Annotated[str, _URL]
OneLine = Annotated[str, ONE_LINE]
Text = Annotated[str, _TEXT]
RelativePath = Annotated[str, _RELATIVE]
GlobPattern = Annotated[str, _GLOB]
AbsoluteBoardPath = Annotated[str, _BOARD_PATH]
LocalPath = Annotated[str, _LOCAL_PATH]
SourceName = Annotated[str, _SOURCE]


def or_empty(form: Form) -> Form:
    """Return the form of a text that may also be left empty."""
    return Form(form.name, form.words, form.fits, empty=True)


VersionOrNone = Annotated[str, or_empty(_VERSION)]
NameOrNone = Annotated[str, or_empty(NAME)]
FileNameOrNone = Annotated[str, or_empty(_FILE_NAME)]
RelativePathOrNone = Annotated[str, or_empty(_RELATIVE)]
AbsoluteBoardPathOrNone = Annotated[str, or_empty(_BOARD_PATH)]


def checked_name(kind: str, value: str, *, where: str = "") -> str:
    """Return a name that may become a part of a path or of a command line; raises ConfigError for any other text."""
    if not NAME.fits(value):
        named = shown(value, most=80, lines=False)
        raise ConfigError(f"{named!r} cannot be the name of a {kind}", where=where, why=f"it is not {NAME.words}")
    return value


def below(folder: Path, *parts: str) -> Path:
    """Return a path made of names; raises ConfigError where it would not be below its folder."""
    for part in parts:
        if not is_relative_path(part):
            raise ConfigError(f"{shown(part, most=80, lines=False)!r} is no path below a folder", where=str(folder))
    return folder.joinpath(*parts)


class Strict(BaseModel):
    """Base of every file model: unknown keys are errors, values are frozen; the text below a field describes it."""

    model_config = ConfigDict(extra="forbid", frozen=True, populate_by_name=True, defer_build=True)


Model = TypeVar("Model", bound=BaseModel)


def read_toml(path: Path, model: type[Model]) -> Model:
    """Read one TOML file into its model.

    Raises
    ------
    ConfigError
        The file is missing, is not TOML, or has faults; all of them are named, with file and key.
    """
    return read_tables(path, model, "")[0]


def read_tables(path: Path, model: type[Model], tables: str) -> tuple[Model, dict[str, ConfigError]]:
    """Read a TOML file whose key `tables` has a table for each of many things: one that is wrong spoils no other.

    Returns the model of all that is right, and for each wrong table the error to raise for who asks for it.

    Raises
    ------
    ConfigError
        As `read_toml`, for faults outside of those tables.
    """
    try:
        text = path.read_text()
        raw = tomllib.loads(text)
    except FileNotFoundError as error:
        raise ConfigError(f"{path.name} is missing", where=str(path)) from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError, RecursionError) as error:
        raise ConfigError("not a TOML file", where=str(path), why=shown(str(error), lines=False)) from error
    try:
        return model.model_validate(raw), {}
    except ValidationError as error:
        from recipes.faults import faults_of

        faults = faults_of(error, text, model)
    wrong: dict[str, list[str]] = {}
    for place, fault in faults:
        if not tables or place[:1] != (tables,) or len(place) < 2:
            raise _faulty(path, [fault for _, fault in faults])
        wrong.setdefault(str(place[1]), []).append(fault)
    kept = raw | {tables: {name: table for name, table in raw[tables].items() if name not in wrong}}
    return model.model_validate(kept), {name: _faulty(path, lines) for name, lines in wrong.items()}


def _faulty(path: Path, faults: Sequence[str]) -> ConfigError:
    return ConfigError(
        f"{len(faults)} fault{'s' * (len(faults) > 1)} in {path.name}",
        where=str(path),
        why="\n       ".join(faults),
    )
