r"""Quoting for the language of gst-launch-1.0: what an element gets is what the board file says.

A word of gst-launch's argv is read three times, and each reading has its own rules:

1. `gst_parse_launchv` joins the words to one line. A space outside double quotes gets a backslash; a `"` opens quotes
   even when a backslash is before it, and inside quotes one with a backslash does not close them.
2. The lexer takes `name=value` up to the first blank that has no backslash, and takes as much as it can: a value that
   ends in two backslashes goes on through the blank into the next word. A value may not be empty.
3. The value loses double quotes around it and its backslashes, and is then read by the property's type: the text
   `NULL` is no text at all, and a text in double quotes is read once more, with octal escapes.

So every special letter gets a backslash, spaces get one exactly where step 1 gives none, and a text that step 3 would
read as something else, or that ends in a backslash, is wrapped in quotes of step 3. The parser itself is the judge of
this module, in the tests.
"""

from __future__ import annotations

import re

from deploy.streams.elements import Value
from recipes.errors import ConfigError

_BARE = re.compile(r"[A-Za-z0-9_./:%+@,=?-]")
_NAME = re.compile(r"[A-Za-z][A-Za-z0-9_-]*")
_CAPS = re.compile(
    r"[A-Za-z0-9-]+/[A-Za-z0-9-]+(\(memory:[A-Za-z0-9]+\))?(,[a-z][a-z-]*=(\(string\))?[A-Za-z0-9_./+-]+)*"
)
# Control characters of both sets, the two separators that some take for line breaks, and what UTF-8 cannot say.
_CONTROL = re.compile("[\x00-\x1f\x7f-\x9f\u2028\u2029\ud800-\udfff]")


def has_control(text: str) -> bool:
    """Return whether a text has a character that no word of a pipeline may have."""
    return bool(_CONTROL.search(text))


def assignment(name: str, value: Value) -> str:
    """Return the word of an argv that sets a property.

    Raises
    ------
    ConfigError
        The name is none that the parser reads, or the value has a control character.
    """
    if not _NAME.fullmatch(name):
        raise ConfigError(f"{name!r} is not the name of a property")
    if isinstance(value, str) and has_control(value):  # the value may be a password: it is not repeated
        raise ConfigError(f"the value of {name} has a control character, and cannot go into a pipeline")
    if isinstance(value, bool):
        return f"{name}={'true' if value else 'false'}"
    return f"{name}={_quoted(_wrapped(value)) if isinstance(value, str) else value}"


def caps_word(text: str) -> str:
    """Return caps as the word between two `!`; raises ConfigError for anything that would need quotes."""
    if not _CAPS.fullmatch(text):
        raise ConfigError(f"{text!r} cannot stand between two elements as caps")
    return text


def reference(name: str) -> str:
    """Return the word that stands for an element named before, such as `sink.`."""
    if not _NAME.fullmatch(name):
        raise ConfigError(f"{name!r} is not a name that an element can have")
    return f"{name}."


def element_name(name: str) -> str:
    """Return the word that makes an element; raises ConfigError for what is no name of one."""
    if not _NAME.fullmatch(name):
        raise ConfigError(f"{name!r} is not the name of an element")
    return name


def description(words: tuple[str, ...]) -> str:
    """Return the words of an argv as the one line that `gst_parse_launch` reads: step 1, made here."""
    return " ".join(_joined(word) for word in words)


def _wrapped(text: str) -> str:
    """Put a text that the property's type would not take as it is into quotes of that type."""
    if text != "NULL" and not (text.startswith('"') and text.endswith('"')) and not text.endswith("\\"):
        return text
    letters = (chr(byte) if chr(byte).isalnum() and byte < 0x80 else f"\\{byte:03o}" for byte in text.encode())
    return f'"{"".join(letters)}"'


def _quoted(text: str) -> str:
    if not text:
        return '""'
    quotes = False  # as step 1 sees it
    word = []
    for letter in text:
        if letter == " ":
            word.append("\\ " if quotes else " ")
        elif ord(letter) >= 0x80 or _BARE.match(letter):
            word.append(letter)
        else:
            word.append(f"\\{letter}")
            quotes = quotes or letter == '"'
    return "".join(word)


def _joined(word: str) -> str:
    quotes = False
    line = []
    for before, letter in zip(" " + word, word, strict=False):
        if letter == '"' and (not quotes or before != "\\"):
            quotes = not quotes
        line.append("\\ " if letter == " " and not quotes else letter)
    return "".join(line)
