"""How a file wants to be mapped: its segments as they are written, and the flags that the reader passes over."""

from __future__ import annotations

import struct
from dataclasses import dataclass

from recipes.elf.header import ElfError, read_header

ET_REL, ET_EXEC, ET_DYN = 1, 2, 3
_PT_LOAD, _PT_DYNAMIC, _PT_GNU_STACK = 1, 2, 0x6474E551
_DT_STRTAB, _DT_RPATH, _DT_TEXTREL, _DT_RUNPATH, _DT_FLAGS, _DT_FLAGS_1 = 5, 15, 22, 29, 30, 0x6FFFFFFB
_DF_TEXTREL, _DF_1_PIE = 4, 0x08000000


@dataclass(frozen=True, slots=True, kw_only=True)
class Layout:
    """How a file wants to be mapped.

    Parameters
    ----------
    type:
        e_type: ET_REL, ET_EXEC, ET_DYN.
    loads:
        (p_offset, p_vaddr, p_align) of each PT_LOAD.
    stacks:
        p_flags of each PT_GNU_STACK; none is the old convention for an executable stack.
    pie:
        The file is a program although it is ET_DYN; dlopen refuses it.
    search:
        DT_RPATH and DT_RUNPATH as they are written, empty parts included.
    """

    type: int
    loads: tuple[tuple[int, int, int], ...]
    stacks: tuple[int, ...]
    textrel: bool
    pie: bool
    search: tuple[str, ...]


def read_layout(data: bytes) -> Layout:
    """Read the layout of an ELF file; raises ElfError for a damaged one."""
    try:
        return _layout(data)
    except (struct.error, IndexError, ValueError, OverflowError) as error:
        raise ElfError(f"damaged ELF: {error}") from error


def _layout(data: bytes) -> Layout:
    header = read_header(data)
    loads: list[tuple[int, int, int]] = []
    sizes: list[int] = []
    stacks: list[int] = []
    dynamic = (0, 0)
    for kind, flags, offset, address, size, align in header.segments(data):
        if kind in (_PT_LOAD, _PT_DYNAMIC) and offset + size > len(data):
            raise ValueError("it ends before its segments do")
        if kind == _PT_LOAD:
            loads.append((offset, address, align))
            sizes.append(size)
        elif kind == _PT_GNU_STACK:
            stacks.append(flags)
        elif kind == _PT_DYNAMIC:
            dynamic = (offset, size)
    tags = _tags(data[dynamic[0] : sum(dynamic)], header.order + ("QQ" if header.wide else "II"))
    strings = next(
        (
            tags[_DT_STRTAB] - address + offset
            for (offset, address, _), size in zip(loads, sizes, strict=True)
            if _DT_STRTAB in tags and address <= tags[_DT_STRTAB] < address + size
        ),
        0,
    )
    starts = [strings + tags[tag] for tag in (_DT_RPATH, _DT_RUNPATH) if tag in tags]
    return Layout(
        type=header.type,
        loads=tuple(loads),
        stacks=tuple(stacks),
        textrel=_DT_TEXTREL in tags or bool(tags.get(_DT_FLAGS, 0) & _DF_TEXTREL),
        pie=bool(tags.get(_DT_FLAGS_1, 0) & _DF_1_PIE),
        search=tuple(data[start : data.index(b"\0", start)].decode("utf-8", "backslashreplace") for start in starts),
    )


def _tags(table: bytes, unit: str) -> dict[int, int]:
    tags: dict[int, int] = {}
    for tag, value in struct.iter_unpack(unit, table[: len(table) - len(table) % struct.calcsize(unit)]):
        if tag == 0:
            break
        tags.setdefault(tag, value)
    return tags
