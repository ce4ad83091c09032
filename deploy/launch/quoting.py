"""Quoting for the shell: every value of a template passes here, so a template's author cannot forget it."""

from __future__ import annotations

import re
import shlex

from recipes.errors import ConfigError


class RawText(str):
    """Text that a filter made fit to go unquoted."""

    __slots__ = ()


def quote_value(value: object) -> str:
    if isinstance(value, RawText):
        return value
    text = str(value)
    if re.search(r"[\x00\n\r]", text):
        raise ConfigError("a value with a line break or a NUL cannot go into a script", why=repr(text[:80]))
    return shlex.quote(text)


def comment_text(value: object) -> RawText:
    return RawText(re.sub(r"[^\x20-\x7e]", "?", str(value)))


def variable_name(value: object) -> RawText:
    if not re.fullmatch(r"[A-Za-z_][A-Za-z0-9_]*", str(value)):
        raise ConfigError(f"{value!r} is not a name that a shell takes for a variable")
    return RawText(value)
