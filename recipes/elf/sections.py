"""The sections of an ELF file and its symbol tables: for reports about bytes, never for a decision (strip cuts them).

ELF gABI, chapters 4 and 5: https://refspecs.linuxfoundation.org/elf/gabi4+/ch4.sheader.html
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from typing import NamedTuple

from recipes.elf import MAGIC

_SYMTAB, _NOBITS, _DYNSYM = 2, 8, 11
_WRITE, _ALLOC, _EXEC = 1, 2, 4
_BINDINGS = {0: "local", 1: "global", 2: "weak", 10: "unique"}
_KINDS = {1: "object", 2: "function"}
_MOST_NAME = 1 << 10  # longer names are no name to tell anybody; C++ has some


class Section(NamedTuple):
    """One section; `size` counts its bytes in the file."""

    name: str
    kind: int
    flags: int
    offset: int
    size: int
    link: int

    @property
    def loaded(self) -> bool:
        return bool(self.flags & _ALLOC)

    @property
    def constant(self) -> bool:
        """Tell whether it is loaded, and neither written to nor run."""
        return self.flags & (_WRITE | _ALLOC | _EXEC) == _ALLOC


class FileSymbol(NamedTuple):
    """A function or data object that a file defines."""

    name: str
    size: int
    kind: str
    binding: str


def section_table(data: bytes) -> list[Section]:
    """Return the sections in their order; nothing for what is no whole ELF file."""
    try:
        return _table(data) if data[:4] == MAGIC else []
    except (struct.error, IndexError, ValueError, OverflowError):
        return []


def section_sizes(data: bytes) -> list[tuple[str, int, bool]]:
    """Return (name, bytes in the file, loaded at run time) of each section; nothing for what is no whole ELF file."""
    return [(one.name, one.size, one.loaded) for one in section_table(data)]


def file_symbols(data: bytes, found: list[Section]) -> Iterator[FileSymbol]:
    """Yield the functions and objects with a size of every symbol table of a file: what is exported, what is local."""
    wide = data[4:5] == b"\2"
    layout = struct.Struct(("<" if data[5:6] == b"\1" else ">") + ("IBBHQQ" if wide else "IIIBBH"))
    for section in found:
        if section.kind not in (_SYMTAB, _DYNSYM) or section.link >= len(found):
            continue
        names = found[section.link]
        texts = data[names.offset : names.offset + names.size]
        raw = data[section.offset : section.offset + section.size]
        for row in layout.iter_unpack(raw[: len(raw) // layout.size * layout.size]):
            name, info, where, size = (row[0], row[1], row[3], row[5]) if wide else (row[0], row[3], row[5], row[2])
            kind, binding = _KINDS.get(info & 15), _BINDINGS.get(info >> 4)
            if kind and binding and where and size and 0 < name < len(texts):
                text = texts[name : texts.find(b"\0", name, name + _MOST_NAME)]
                yield FileSymbol(text.decode("latin-1"), size, kind, binding)


def _table(data: bytes) -> list[Section]:
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
        place = min(row[4], len(data))
        size = 0 if row[1] == _NOBITS else min(row[5], len(data) - place)
        found.append(Section(name, row[1], row[2], place, size, row[6]))
    return found
