"""The status file of boardstream, read as what a board sent: bounded, and never with an error."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from typing import Any

MOST = 16_384
"""Bytes of a status file that are read; boardstream writes 8,192 at most."""


@dataclass(frozen=True, slots=True, kw_only=True)
class StreamStatus:
    """What a stream says of itself; None where it was not told."""

    state: str = ""
    """starting, streaming, stopping, ended."""
    updated: int | None = None
    """When the file was written, seconds since 1970 by the board's clock."""
    uptime: int | None = None
    """Seconds since the program started."""
    frames: int | None = None
    fps: float | None = None
    """Frames a second, over the last few seconds."""
    fragments: int | None = None
    """That the service has confirmed."""
    frame_age: int | None = None
    """Seconds since the last frame."""
    ack_age: int | None = None
    """Seconds since the service last confirmed a fragment."""
    code: int | None = None
    """The last status code that the sink told."""
    restarts: int | None = None
    exit: int | None = None
    """Exit code, once it has ended."""
    reason: str = ""
    """Why it ended."""
    last_reason: str = ""
    """Why the program before this one ended."""


def read_status(raw: bytes) -> StreamStatus | None:
    """Read a status file; None where it is none. What is of another kind than it should be counts as not told."""
    if len(raw) > MOST:
        return None
    try:
        told = json.loads(raw.decode("utf-8", "replace"))
    except (ValueError, RecursionError):
        return None
    if not isinstance(told, dict) or told.get("schema") != 1:
        return None
    code = told.get("status")
    fps = told.get("fps")
    return StreamStatus(
        state=_text(told.get("state")),
        **{key: _number(told.get(key)) for key in ("updated", "uptime", "frames", "fragments", "frame_age", "ack_age")},
        fps=float(fps) if isinstance(fps, int | float) and 0 <= fps < 1_000_000 else None,
        code=int(code, 16) if isinstance(code, str) and re.fullmatch(r"0x[0-9a-fA-F]{1,8}", code) else None,
        restarts=_number(told.get("restarts")),
        exit=_number(told.get("exit")),
        reason=_text(told.get("reason")),
        last_reason=_text(told.get("last_reason")),
    )


def _number(value: Any) -> int | None:
    return value if type(value) is int and 0 <= value < 1 << 63 else None


def _text(value: Any) -> str:
    return value[:2_000] if isinstance(value, str) else ""
