r"""Quoting of a service's values, each for the language of the file that it goes into.

- sh: single quotes, as `shlex.quote` makes them.
- systemd: words of a list (`ExecStart=`, `ReadWritePaths=`) are read with quotes and backslashes; a plain value
  (`LoadCredential=`, `Description=`) is taken as it is to the end of the line. `%` is doubled in both, `$` in
  `ExecStart=`. https://www.freedesktop.org/software/systemd/man/systemd.service.html#Command%20lines
- environment files: `NAME="value"` with a backslash before `"`, `\`, `$` and a backquote, which systemd, our own loop
  and a person's `. file` read alike. https://www.freedesktop.org/software/systemd/man/systemd.exec.html

systemd itself, and the shells, are the judges of this module, in the tests.
"""

from __future__ import annotations

import re
import shlex
from collections.abc import Mapping

from recipes.errors import ConfigError

# Control characters of both sets, the separators that some take for line breaks, what UTF-8 cannot say, and Unicode's
# non-characters, the last two of each plane too: systemd takes no line with one.
_LAST = "".join(chr(plane << 16 | 0xFFFE) + chr(plane << 16 | 0xFFFF) for plane in range(17))
_CONTROL = re.compile(f"[\x00-\x1f\x7f-\x9f\u2028\u2029\ud800-\udfff\ufdd0-\ufdef{_LAST}]")
# Lower case is for the variables of the supervising loop, which systemd would fill before it starts.
_VARIABLE = re.compile(r"[A-Z_][A-Z0-9_]*|[a-z]+_proxy")


def checked(text: str, what: str) -> str:
    """Return a text that may go into a file of lines; raises ConfigError for one with a control character."""
    if _CONTROL.search(text):
        raise ConfigError(f"{what} has a control character or a line break, and cannot go into a service's file")
    return text


def shell_word(text: str) -> str:
    """Return a text as one word of POSIX sh."""
    return shlex.quote(checked(text, "a value"))


def shell_words(texts: tuple[str, ...]) -> str:
    """Return texts as words of POSIX sh, with blanks between."""
    return " ".join(map(shell_word, texts))


def comment(text: str) -> str:
    """Return a text as it may be in a comment of a script: letters of ASCII, on one line."""
    return re.sub(r"[^\x20-\x7e]", "?", text)


def systemd_word(text: str) -> str:
    """Return a text as one word of a list, such as that of `ReadWritePaths=`."""
    escaped = checked(text, "a value").replace("\\", "\\\\").replace('"', '\\"').replace("%", "%%")
    return f'"{escaped}"'


def systemd_argument(text: str) -> str:
    """Return a text as one argument of `ExecStart=`, where `$` would be the start of a variable."""
    return systemd_word(text).replace("$", "$$")


def systemd_value(text: str, what: str) -> str:
    """Return a text that systemd takes as it is to the end of its line.

    Raises
    ------
    ConfigError
        It begins or ends with a blank, which systemd strips, or ends in a backslash, which joins two lines.
    """
    if text != text.strip() or text.endswith("\\"):
        raise ConfigError(
            f"{what} is to have no blank at its ends, and no backslash at the last place", why=repr(text[:80])
        )
    return checked(text, what).replace("%", "%%")


def systemd_pattern(path: str, what: str) -> str:
    """Return a path where systemd takes a pattern of paths, as in `EnvironmentFile=`."""
    return systemd_value(re.sub(r"([\\*?\[\]])", r"\\\1", path), what)


def environment_file(variables: Mapping[str, str]) -> bytes:
    """Return the file that a service's `environment_file` names: one variable a line, sorted.

    Raises
    ------
    ConfigError
        The name of a variable is none, or a value has a control character; the value is not repeated.
    """
    lines = []
    for name, value in sorted(variables.items()):
        if not _VARIABLE.fullmatch(name):
            raise ConfigError(f"{name!r} is not the name of a variable in upper case, such as AWS_DEFAULT_REGION")
        escaped = re.sub(r'(["\\$`])', r"\\\1", checked(value, f"the value of {name}"))
        lines.append(f'{name}="{escaped}"\n')
    return "".join(lines).encode()
