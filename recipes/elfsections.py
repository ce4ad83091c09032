"""The sections of an ELF file by name and size: for reports about bytes, never for a decision (strip may remove them).

ELF gABI, chapter 4: https://refspecs.linuxfoundation.org/elf/gabi4+/ch4.sheader.html
"""

from __future__ import annotations

import struct

from recipes.elf import MAGIC

_NOBITS, _ALLOC = 8, 2


def sections(data: bytes) -> list[tuple[str, int, bool]]:
    """Return (name, bytes in the file, loaded at run time) of each section; nothing for what is no whole ELF file."""
    try:
        return _sections(data) if data[:4] == MAGIC else []
    except (struct.error, IndexError, ValueError):
        return []


def _sections(data: bytes) -> list[tuple[str, int, bool]]:
    wide, order = data[4] == 2, "<" if data[5] == 1 else ">"
    header = struct.unpack_from(order + ("HHIQQQIHHHHHH" if wide else "HHIIIIIHHHHHH"), data, 16)
    offset, entry, count, names = header[5], header[10], header[11], header[12]
    layout = order + ("IIQQQQIIQQ" if wide else "IIIIIIIIII")
    rows = [struct.unpack_from(layout, data, offset + number * entry) for number in range(count)]
    if names >= len(rows):
        return []
    start = rows[names][4]
    found = []
    for row in rows:
        end = data.index(b"\0", start + row[0])
        name = data[start + row[0] : end].decode("utf-8", "replace")
        found.append((name, 0 if row[1] == _NOBITS else int(row[5]), bool(row[2] & _ALLOC)))
    return found
