"""A limit for what is sent, so that a camera on a mobile link goes on streaming meanwhile."""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Iterable, Iterator

from recipes.errors import ConfigError

_UNITS = {"": 1, "K": 1000, "M": 1000**2, "KI": 1024, "MI": 1024**2}
_SLOWEST = 1024
_TICK = 0.1
"""Seconds between two pieces: short enough for the stream beside it."""


def parse_rate(text: str) -> int:
    """Return the bytes a second that a limit such as `200KiB`, `1.5MB/s` or `50000` says; 0 for none.

    Raises
    ------
    ConfigError
        It is none, or less than 1 KiB a second: no deploy would come to its end.
    """
    if not text:
        return 0
    found = re.fullmatch(r"(\d{1,9}(?:\.\d{1,3})?) ?([KM]I?)?B?(/S)?", text.strip().upper(), re.ASCII)
    rate = int(float(found[1]) * _UNITS[found[2] or ""]) if found else 0
    if rate < _SLOWEST:
        raise ConfigError(
            f"--limit {text[:40]!r} is no rate, or less than 1 KiB a second",
            next_step="bytes a second, such as --limit 200KiB or --limit 1MB",
        )
    return rate


def paced(
    parts: Iterable[bytes],
    rate: int,
    *,
    clock: Callable[[], float] = time.monotonic,
    wait: Callable[[float], object] = time.sleep,
) -> Iterator[bytes]:
    """Hand a stream on no faster than `rate` bytes a second, 0 for no limit; no second's worth is saved up."""
    if not rate:
        yield from parts
        return
    most = max(256, int(rate * _TICK))
    due = clock()
    for part in parts:
        for at in range(0, len(part), most):
            piece = part[at : at + most]
            now = clock()
            if due > now:
                wait(due - now)
            due = max(due, now) + len(piece) / rate
            yield piece
