"""The sections of an ELF file and its symbol tables: for reports about bytes, never for a decision (strip cuts them).

ELF gABI, chapters 4 and 5: https://refspecs.linuxfoundation.org/elf/gabi4+/ch4.sheader.html
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from typing import NamedTuple

from recipes.elf.header import MAGIC, SHT_DYNSYM, read_header

_SYMTAB, _NOBITS = 2, 8
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
    return [(section.name, section.size, section.loaded) for section in section_table(data)]


def file_symbols(data: bytes, sections: list[Section]) -> Iterator[FileSymbol]:
    """Yield the functions and objects with a size of every symbol table of a file: what is exported, what is local."""
    if not sections:
        return
    header = read_header(data)
    row, (info_at, _, section_at, _, size_at) = header.symbol_row, header.symbol_places
    for section in sections:
        if section.kind not in (_SYMTAB, SHT_DYNSYM) or section.link >= len(sections):
            continue
        names = sections[section.link]
        texts = data[names.offset : names.offset + names.size]
        raw = data[section.offset : section.offset + section.size]
        for symbol in row.iter_unpack(raw[: len(raw) // row.size * row.size]):
            name, info, where, size = symbol[0], symbol[info_at], symbol[section_at], symbol[size_at]
            kind, binding = _KINDS.get(info & 15), _BINDINGS.get(info >> 4)
            if kind and binding and where and size and 0 < name < len(texts):
                text = texts[name : texts.find(b"\0", name, name + _MOST_NAME)]
                yield FileSymbol(text.decode("latin-1"), size, kind, binding)


def _table(data: bytes) -> list[Section]:
    header = read_header(data)
    rows = list(header.sections(data))
    if header.names >= len(rows):
        return []
    start = rows[header.names][4]
    table = []
    for label, kind, flags, _, offset, stored, link, _, _, _ in rows:
        name = data[start + label : data.index(b"\0", start + label)].decode("utf-8", "replace")
        place = min(offset, len(data))
        size = 0 if kind == _NOBITS else min(stored, len(data) - place)
        table.append(Section(name, kind, flags, place, size, link))
    return table
