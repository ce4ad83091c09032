"""What a loader maps of an ELF file: its segments, dynamic section and strings, checked as loaders check them.

Formats: ELF gABI chapters 4 and 5. Every count and length of the file is bounded before anything is made of it.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from typing import Any, Final

from recipes.elf.header import ElfError, read_header

EM_MIPS: Final = 8
DT_HASH: Final = 4
DT_SONAME: Final = 14
PT_INTERP: Final = 3
TABLE_LIMIT: Final = 1 << 20  # entries of any one table: a hostile header must not make us allocate more
_PT_LOAD, _PT_DYNAMIC, _PT_NOTE, _PT_TLS, _PT_STACK = 1, 2, 4, 7, 0x6474E551
_DT_STRTAB, _DT_STRSZ = 5, 10
_PLAIN_STACKS: Final = (21, 183, 243, 258)
"""Machines where no stack is executable unless a file says so; on the older ones it is unless a file says not."""
_PAGE: Final = 4096  # the smallest that any board's kernel has
_TAGS: Final = 4096
_TEXT: Final = 1 << 14  # longer than any path


class ElfImage:
    """One file, as a loader would see it."""

    def __init__(self, data: bytes | memoryview) -> None:
        self.data = data
        self.header = header = read_header(data)
        self.wide, self.order = header.wide, header.order
        self.type, self.machine, self.flags = header.type, header.machine, header.flags
        self._segments()
        self.executable = self.type == 2 or PT_INTERP in self.parts
        self.dynamic = self._dynamic()
        self.program = self.executable and DT_SONAME not in self.dynamic  # glibc's libc.so.6 can be run, too
        self.strings = self._strings()

    def _segments(self) -> None:
        self.loads: list[tuple[int, int, int]] = []
        self.code: list[tuple[int, int, int]] = []
        self.within: list[tuple[int, int, int]] = []
        self.parts: dict[int, tuple[int, int]] = {}
        self.notes: list[tuple[int, int]] = []
        self.mappable, self.smallest_page = True, 1 << 30
        self.stack, self.thread_bytes = int(self.machine not in _PLAIN_STACKS), 0
        for kind, flags, offset, address, size, align in self.header.segments(self.data):
            place = (address, address + size, offset - address)
            if kind == _PT_LOAD:
                self.loads.append(place)
                self.mappable &= not (align % _PAGE or (offset - address) % max(align, _PAGE))
                self.smallest_page = min(self.smallest_page, align)
                if flags & 1:
                    self.code.append(place)
                continue
            if kind == _PT_TLS:
                self.thread_bytes = self.header.memory_bytes(self.data, _PT_TLS)
            elif kind == _PT_STACK:
                self.stack = flags
                continue
            if size:
                self.within.append(place)
            if kind == _PT_NOTE:
                self.notes.append((offset, size))
            elif self.parts.setdefault(kind, (offset, size)) != (offset, size) and kind == _PT_DYNAMIC:
                raise ElfError("two dynamic sections")

    def _dynamic(self) -> dict[int, list[int]]:
        tags: dict[int, list[int]] = {}
        if _PT_DYNAMIC not in self.parts or not self._for_a_loader():
            return tags
        self._check_segments()
        offset, size = self.parts[_PT_DYNAMIC]
        unit = 16 if self.wide else 8
        if size > unit * _TAGS:
            raise ElfError(f"a dynamic section of {size} bytes")
        table = self.data[offset : offset + size - size % unit]
        for tag, value in struct.iter_unpack(self.order + ("QQ" if self.wide else "II"), table):
            if tag == 0:
                break
            tags.setdefault(tag, []).append(value)
        return tags

    def _check_segments(self) -> None:
        """Refuse what would be mapped otherwise than its headers say, or not at all."""
        if self.loads != sorted(self.loads):
            raise ElfError("the segments are not in order")
        for _, end, delta in self.loads:
            # The rest would be mapped all the same, and read as zeros up to the page's end, then as a crash.
            if end + delta > len(self.data):
                raise ElfError("it ends before its segments do")
        for start, end, delta in self.within:
            if not any(low <= start and end <= high and delta == shift for low, high, shift in self.loads):
                raise ElfError(f"the part at {start:#x} is in no loaded segment")

    def _for_a_loader(self) -> bool:
        """Tell whether a Linux loader takes it, by what glibc asks (elf/dl-load.c, open_verify); musl asks less."""
        system, version = self.data[7], self.data[8]
        plain = version < (8 if self.machine == EM_MIPS else 4 if system == 3 else 1)
        return self.type in (2, 3) and system in (0, 3) and plain and not any(self.data[9:16])

    @property
    def abi_version(self) -> int:
        """EI_ABIVERSION."""
        return int(self.data[8])

    def gnu_notes(self, most: int) -> Iterator[tuple[int, bytes]]:
        """Yield (kind, content) of the notes of GNU's name, of the first bytes of each table of them."""
        for offset, size in dict.fromkeys(self.notes):
            position, end = offset, min(offset + min(size, most), len(self.data))
            while position + 12 <= end:
                namesz, descsz, kind = self.unpack("III", position)
                name_end = position + 12 + (namesz + 3) // 4 * 4
                if namesz == 4 and self.data[position + 12 : position + 16] == b"GNU\0":
                    yield kind, bytes(self.data[name_end : name_end + min(descsz, most)])
                position = name_end + (descsz + 3) // 4 * 4

    def unpack(self, layout: str, position: int) -> tuple[Any, ...]:
        """Read fields in the file's byte order."""
        return struct.unpack_from(self.order + layout, self.data, position)

    def first(self, tag: int) -> int | None:
        values = self.dynamic.get(tag)
        return values[0] if values else None

    def offset(self, address: int) -> int:
        for start, end, delta in self.loads:
            if start <= address < end:
                return address + delta
        raise ElfError(f"address {address:#x} is in no loaded segment")

    def _strings(self) -> bytes:
        address, size = self.first(_DT_STRTAB), self.first(_DT_STRSZ)
        if address is None or size is None:
            return b"\0"
        start = self.offset(address)
        strings = bytes(self.data[start : start + size])
        if len(strings) != size:
            raise ElfError("the string table ends after the file does")
        return strings

    def text(self, offset: int | None) -> str:
        if offset is None:
            return ""
        end = self.strings.find(b"\0", offset, offset + _TEXT)
        if end < 0:
            raise ElfError(f"string at {offset} has no end")
        return self.strings[offset:end].decode("utf-8", "surrogateescape")

    def paths(self, tag: int) -> tuple[str, ...]:
        return tuple(part for part in self.text(self.first(tag)).split(":") if part)
