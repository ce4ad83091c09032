"""Times as people give them to a command: 30m, 90s, 2h."""

from __future__ import annotations

import re

from recipes.errors import ConfigError

_UNITS = {"s": 1, "m": 60, "h": 3600}


def seconds_of(text: str, option: str, *, least: int, most: int) -> int:
    """Return the seconds of a time.

    Parameters
    ----------
    option:
        That it was given to, for the error.
    least, most:
        Bounds in seconds.

    Raises
    ------
    ConfigError
        It is none, or out of bounds.
    """
    read = re.fullmatch(r"([1-9][0-9]{0,6})([smh])", text, re.ASCII)
    if read is None:
        raise ConfigError(
            f"{option} {text!r} is no time",
            why="a whole number and s, m or h, such as 90s, 30m or 2h",
            next_step=f"{option} {in_words(least)} to {in_words(most)}",
        )
    seconds = int(read[1]) * _UNITS[read[2]]
    if not least <= seconds <= most:
        raise ConfigError(f"{option} {text}: {in_words(least)} to {in_words(most)}")
    return seconds


def in_words(seconds: int) -> str:
    """Return a time as it is given: 2h, 90s."""
    for unit, size in (("h", 3600), ("m", 60)):
        if seconds and seconds % size == 0:
            return f"{seconds // size}{unit}"
    return f"{seconds}s"
