"""The most memory that this process has held since a mark: `getrusage` knows only the most of its whole life."""

from __future__ import annotations

import re
from pathlib import Path

_OWN = Path("/proc/self")


def mark_peak() -> int:
    """Forget the peak so far; returns the KiB that are held now."""
    (_OWN / "clear_refs").write_text("5")  # proc(5): resets VmHWM
    return _status("VmRSS")


def peak() -> int:
    """Return the most KiB that were held at once since the mark."""
    return _status("VmHWM")


def _status(name: str) -> int:
    if (line := re.search(rf"^{name}:\s+(\d+) kB$", (_OWN / "status").read_text(), re.MULTILINE)) is None:
        raise AssertionError(f"the kernel does not say {name}")
    return int(line[1])
