"""Writes loader caches byte by byte, in both layouts, so that no test needs another machine's ldconfig."""

from __future__ import annotations

import struct
from collections.abc import Sequence

FLAGS = {"x86_64": 0x0303, "armv7": 0x0903, "aarch64": 0x0A03, "armv5": 0x0B03, "none": 3}
Entry = tuple[str, str, int, int]
"""Name, path, flags, hwcap."""


def glibc(entries: Sequence[Entry], *, behind: bytes = b"") -> bytes:
    """Return a cache as ldconfig has written it since 2.32; `behind` is an older cache that it follows."""
    table, strings = b"", b""
    base = 48 + 24 * len(entries)
    for name, path, flags, hwcap in entries:
        at = base + len(strings)
        strings += name.encode() + b"\0" + path.encode() + b"\0"
        table += struct.pack("<iIIIQ", flags, at, at + len(name) + 1, 0, hwcap)
    head = b"glibc-ld.so.cache1.1" + struct.pack("<IIB3xI12x", len(entries), len(strings), 2, 0)
    return behind + bytes(-len(behind) % 8) + head + table + strings


def old(entries: Sequence[Entry]) -> bytes:
    """Return a cache in the layout from before, which uClibc's ldconfig writes to this day."""
    table, strings = b"", b""
    for name, path, flags, _ in entries:
        table += struct.pack("<iII", flags, len(strings), len(strings) + len(name) + 1)
        strings += name.encode() + b"\0" + path.encode() + b"\0"
    return b"ld.so-1.7.0\0" + struct.pack("<I", len(entries)) + table + strings
