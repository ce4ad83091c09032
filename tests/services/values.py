"""Random texts of the letters that shells, systemd and patterns of paths give a meaning to."""

from __future__ import annotations

import posixpath
import random

LETTERS = " '\"\\$%`#;&|<>()[]{}*?!~^=+:,-_.@azAZ09éßñ€😀\u00a0\u3000"


def random_text(dice: random.Random, most: int = 20) -> str:
    return "".join(dice.choice(LETTERS) for _ in range(dice.randint(0, most)))


def random_line(dice: random.Random) -> str:
    """Return a text without a blank at its ends, and without a backslash at the last place."""
    return random_text(dice).strip().rstrip("\\ \u00a0\u3000")


def random_path(dice: random.Random, parts: int = 3) -> str:
    """Return an absolute path that a service may have: in its shortest form, no blank or backslash at its end."""
    names = [random_text(dice, 12) for _ in range(dice.randint(1, parts))]
    path, before = "/" + "/".join(names), ""
    while path != before:
        before, path = path, posixpath.normpath("/" + path.rstrip("\\ \u00a0\u3000").lstrip("/"))
    return path if path != "/" else "/x"
