"""The header of an ELF file, and the rows of its two tables: segments and sections.

The one place that knows where their fields are. ELF gABI, chapters 4 and 5:
https://refspecs.linuxfoundation.org/elf/gabi4+/ch4.eheader.html
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from typing import Final, NamedTuple, cast

MAGIC: Final = b"\x7fELF"
SHT_DYNSYM: Final = 11
_SEGMENTS: Final = 256  # programs and libraries have a dozen


class _Rows(NamedTuple):
    """How the rows of a file are stored."""

    header: struct.Struct
    segment: struct.Struct
    section: struct.Struct
    symbol: struct.Struct


# By class (64 bits or not) and byte order.
_ROWS: Final = {
    (wide, order): _Rows(*(struct.Struct(order + fields) for fields in layouts))
    for wide, layouts in (
        (False, ("HHIIIIIHHHHHH", "IIIIIIII", "IIIIIIIIII", "IIIBBH")),
        (True, ("HHIQQQIHHHHHH", "IIQQQQQQ", "IIQQQQIIQQ", "IBBHQQ")),
    )
    for order in "<>"
}


class ElfError(ValueError):
    """The file is not ELF, or so damaged that nothing may be concluded from it."""


Segment = tuple[int, int, int, int, int, int]
"""One program header: p_type, p_flags, p_offset, p_vaddr, p_filesz, p_align; plain, since every file has a dozen."""
SectionRow = tuple[int, int, int, int, int, int, int, int, int, int]
"""One section header as it is stored: sh_name, sh_type, sh_flags, sh_addr, sh_offset, sh_size, sh_link, three more."""


class ElfHeader(NamedTuple):
    """What the first bytes of an ELF file say.

    Parameters
    ----------
    wide:
        True for a file of 64 bits.
    order:
        The byte order, as `struct` writes it: `<` little, `>` big.
    type, machine, flags:
        e_type, e_machine, e_flags.
    segments_at, segment_bytes, segment_count:
        Where the program headers are, bytes of each, and how many.
    sections_at, section_bytes, section_count, names:
        The same of the section headers, and the number of the section with their names.
    """

    wide: bool
    order: str
    type: int
    machine: int
    flags: int
    segments_at: int
    segment_bytes: int
    segment_count: int
    sections_at: int
    section_bytes: int
    section_count: int
    names: int

    @property
    def symbol_row(self) -> struct.Struct:
        """Return the layout of one symbol; `symbol_places` says which field is which."""
        return _ROWS[self.wide, self.order].symbol

    @property
    def symbol_places(self) -> tuple[int, int, int, int, int]:
        """Return the positions of info, other, section, value and size in a symbol; its name is the first field."""
        return (1, 2, 3, 4, 5) if self.wide else (3, 4, 5, 1, 2)

    def segments(self, data: bytes | memoryview) -> list[Segment]:
        """Return the program headers; raises ElfError for a table of another form or one that is cut."""
        row = _ROWS[self.wide, self.order].segment
        if self.segment_count and (self.segment_bytes != row.size or self.segment_count > _SEGMENTS):
            raise ElfError(f"{self.segment_count} program headers of {self.segment_bytes} bytes")
        table = data[self.segments_at : self.segments_at + self.segment_count * row.size]
        if len(table) != self.segment_count * row.size:
            raise ElfError("the program headers end after the file does")
        rows = row.iter_unpack(table)
        if self.wide:
            return [(kind, flags, at, address, size, align) for kind, flags, at, address, _, size, _, align in rows]
        return [(kind, flags, at, address, size, align) for kind, at, address, _, size, _, flags, align in rows]

    def memory_bytes(self, data: bytes | memoryview, kind: int) -> int:
        """Return p_memsz of the last program header of a kind, which is more than its bytes in the file; 0 for none."""
        row = _ROWS[self.wide, self.order].segment
        table = data[self.segments_at : self.segments_at + self.segment_count * row.size]
        sizes = [fields[6 if self.wide else 5] for fields in row.iter_unpack(table) if fields[0] == kind]
        return int(sizes[-1]) if sizes else 0

    def sections(self, data: bytes | memoryview) -> Iterator[SectionRow]:
        """Yield the section headers; none where their table is cut or of another form: loaders do not read it."""
        row = _ROWS[self.wide, self.order].section
        table = data[self.sections_at : self.sections_at + self.section_count * row.size]
        whole = self.section_bytes == row.size and len(table) == self.section_count * row.size
        return cast("Iterator[SectionRow]", row.iter_unpack(table if self.sections_at and whole else b""))


def read_header(data: bytes | memoryview) -> ElfHeader:
    """Read the header of an ELF file; raises ElfError for any other."""
    if len(data) < 52 or data[:4] != MAGIC:
        raise ElfError("not an ELF file")
    if data[4] not in (1, 2) or data[5] not in (1, 2):
        raise ElfError(f"class {data[4]} or encoding {data[5]} is not ELF's")
    wide, order = data[4] == 2, "<" if data[5] == 1 else ">"
    row = _ROWS[wide, order].header
    if len(data) < 16 + row.size:
        raise ElfError("the header ends after the file does")
    fields = row.unpack_from(data, 16)
    if data[6] != 1 or fields[2] != 1:
        raise ElfError(f"version {data[6]} or {fields[2]} is not ELF's")
    type_, machine, _, _, segments_at, sections_at, flags, _ = fields[:8]
    return ElfHeader(wide, order, type_, machine, flags, segments_at, fields[8], fields[9], sections_at, *fields[10:])
