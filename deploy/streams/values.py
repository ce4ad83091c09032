"""What the tables of a stream are made of: texts of checked forms, and tables of which one word says what they are."""

from __future__ import annotations

import difflib
import posixpath
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, ConfigDict, Field, StringConstraints

from recipes.config import OneLine, Strict


def absolute(path: str) -> str:
    if not path.startswith("/") or path.startswith("//") or posixpath.normpath(path) != path:
        raise ValueError(f"is to be an absolute path without `.`, `..` or doubled slashes, such as {_tidy(path)!r}")
    return path


def _tidy(path: str) -> str:
    return posixpath.normpath("/" + path.lstrip("/"))


def address_of(url: str) -> str:
    """Refuse a name or password in the address: it would be in argv, and so in `ps`. The text is never repeated."""
    scheme, colon, rest = url.partition("://")
    host = re.split(r"[/?#]", rest, maxsplit=1)[0]
    if not colon or not re.fullmatch(r"rtsp[a-z]{0,3}", scheme):
        raise ValueError("is to begin with rtsp://")
    if "@" in host:
        raise ValueError("has a user in it: write `user`, and name a file on the board by `password_file`")
    if not re.fullmatch(r"(\[[0-9A-Fa-f:.]+\]|[A-Za-z0-9._-]+)(:[0-9]{1,5})?", host):
        raise ValueError("is to have a host, and if need be a port, after rtsp://")
    return url


Text = Annotated[OneLine, StringConstraints(min_length=1, max_length=1024)]
Path = Annotated[Text, AfterValidator(absolute)]
Rtsp = Annotated[Text, AfterValidator(address_of)]
ElementName = Annotated[str, StringConstraints(pattern=r"^[A-Za-z][A-Za-z0-9_-]{0,63}$")]
PropertyName = Annotated[str, StringConstraints(pattern=r"^[a-z][a-z0-9-]{0,63}$")]
Word = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9][A-Za-z0-9._+-]{0,63}$")]
StreamName = Annotated[str, StringConstraints(pattern=r"^[a-zA-Z0-9_.-]{1,256}$")]
"""Name of a video stream or a signaling channel, in the letters that the service takes."""
Name = Annotated[str, StringConstraints(pattern=r"^[a-z0-9][a-z0-9._-]{0,62}$")]
"""Name of a stream of a board file."""
MediaTypes = Annotated[str, StringConstraints(pattern=r"^[a-z]+/[a-z0-9.+-]+(,[a-z]+/[a-z0-9.+-]+)?$")]
Seconds = Annotated[int, Field(ge=0, le=86_400)]
Size = Annotated[int, Field(ge=16, le=8192)]
Framerate = (
    Annotated[int, Field(ge=1, le=240)]
    | Annotated[str, StringConstraints(pattern=r"^[1-9][0-9]{0,6}/[1-9][0-9]{0,5}$")]
)
"""Frames a second: 30, or "30000/1001"."""
PropertyValue = bool | int | float | Text
Properties = dict[PropertyName, PropertyValue]


Runs = Literal["boot", "hand"]


class Part(Strict):
    """Base of a stream's parts: a number is not made from a text."""

    model_config = ConfigDict(strict=True)


@dataclass(frozen=True, slots=True)
class Unnamed:
    """A name of a device that is none, in its place: the model of the part refuses it, and says why."""

    why: str


def by_word(value: Any, words: Mapping[str, object], what: str) -> Any:
    """Turn `{ v4l2 = "/dev/video0", … }` into kind and address: exactly one word says what it is."""
    if not isinstance(value, dict):
        return value
    if isinstance(named := value.get("device"), Unnamed):
        raise ValueError(named.why)  # noqa: TRY004 - pydantic tells a ValueError as a fault
    given = [word for word in words if word in value]
    if len(given) != 1:
        wrong = f"{' and '.join(given)} do not go together" if given else "the word that says what it is is missing"
        near = (
            [near for name in value for near in difflib.get_close_matches(str(name), words, n=1)] if not given else []
        )
        meant = f"; did you mean {near[0]!r}?" if near else ""
        raise ValueError(f"{wrong}: one {what} of {', '.join(words)}{meant}")
    if own := [name for name in ("kind", "address") if name in value]:
        raise ValueError(f"{own[0]}: unknown key; the word {given[0]} says it")
    if given == ["device"]:
        raise ValueError("names one of [devices], which are in a board's whole file")
    return {
        "kind": given[0],
        "address": value[given[0]],
        **{name: part for name, part in value.items() if name != given[0]},
    }


def words_schema(words: Mapping[str, Any]) -> Any:
    """Return what makes a model's schema one of words in place of kind and address.

    Parameters
    ----------
    words:
        Word → its entry, whose `means` says what form the value has; text where there is no entry.
    """

    def with_words(schema: dict[str, Any]) -> None:
        shown = schema["properties"]
        shown.pop("address")
        shown.pop("kind")
        shown |= {word: dict(_FORMS.get(getattr(entry, "means", ""), _TEXT)) for word, entry in words.items()}
        schema.pop("required", None)
        schema["oneOf"] = [{"required": [word]} for word in words]

    return with_words


_TEXT = {"type": "string", "minLength": 1, "maxLength": 1024}
_FORMS: Mapping[str, Mapping[str, Any]] = {
    "number": {"type": "integer"},
    "path": {**_TEXT, "pattern": "^/"},
    "file-of-value": {**_TEXT, "pattern": "^/"},
    "rtsp": {**_TEXT, "pattern": "^rtsp"},
    "element": {"type": "string", "pattern": "^[A-Za-z][A-Za-z0-9_-]{0,63}$"},
    "device": {"type": "string", "pattern": "^[a-z0-9][a-z0-9._-]*$"},
}
"""What a word's value is → its form in the schema."""


_SECRET = re.compile(r"(^|-)(pw|pass|passwd|password|secret|secret-key|access-key|session-token|token)$")


def secret_faults(properties: Mapping[str, object]) -> list[str]:
    return [
        f"the property {name} is a secret, and would be in argv for everybody on the board to read"
        for name in properties
        if _SECRET.search(name)
    ]
