"""The smallest ELF files that a reader takes."""

from __future__ import annotations

import struct


def small_elf(machine: int = 40) -> bytes:
    """Make the smallest file that reads as ELF: a header, and no program header."""
    head = b"\x7fELF\x01\x01\x01" + bytes(9)
    return head + struct.pack("<HHIIIIIHHHHHH", 3, machine, 1, 0, 0, 0, 0x400, 52, 32, 0, 40, 0, 0)
