"""The dynamic symbols of an ELF file: which it has, which it asks for, and what each is to a loader."""

from __future__ import annotations

import struct
from collections.abc import Iterator, Sequence
from enum import StrEnum
from typing import Final, NamedTuple

from recipes.elf.asks import is_symbolic
from recipes.elf.header import SHT_DYNSYM, ElfError
from recipes.elf.image import DT_HASH, EM_MIPS, TABLE_LIMIT, ElfImage

_DT_SYMTAB, _DT_GNU_HASH, _DT_VERSYM = 6, 0x6FFFFEF5, 0x6FFFFFF0
_DT_RELA, _DT_REL = (7, 8, 0x6FFFFFF9), (17, 18, 0x6FFFFFFA)  # where, how long, how many relative ones
_DT_JMPREL, _DT_PLTRELSZ, _DT_PLTREL = 23, 2, 20
_DT_MIPS_SYMTABNO, _DT_MIPS_GOTSYM, _STO_MIPS_PLT = 0x70000011, 0x70000013, 8
_WIDE_HASHES: Final = (22, 0x9026)  # S/390 and Alpha
_OBJECT, _FUNC, _TLS, _IFUNC, _SHN_ABS = 1, 2, 6, 10, 0xFFF1
_UNIQUE: Final = 10  # STB_GNU_UNIQUE
_LONG: Final = 256
_LONG_IN_ALL: Final = 1 << 26  # bytes of long names: all symbols could share the end of one very long string


class SymbolKind(StrEnum):
    """What an exported symbol is to a loader; the letter is the one of `ElfFile.objects`."""

    FUNCTION = "f"
    """One that is only called."""
    ADDRESS = "a"
    """A function whose address the file gets from the loader."""
    INDIRECT = "i"
    """A function that another one chooses when it is loaded (STT_GNU_IFUNC)."""
    OBJECT = "o"
    OWN_OBJECT = "l"
    """An object that no relocation of the file names: its own code reaches it without the loader, or not at all."""
    UNIQUE = "u"
    """An object that is to be the only one of its name in a process (STB_GNU_UNIQUE)."""
    THREAD_LOCAL = "t"
    UNTYPED = "n"
    """Of no type, and not code."""


# Looking up a member in its enum costs more than all else that is done for a symbol, and so does formatting one.
_FUNCTION_KIND, _OBJECT_KIND, _OWN_OBJECT_KIND = SymbolKind.FUNCTION, SymbolKind.OBJECT, SymbolKind.OWN_OBJECT
_UNTYPED_KIND, _ADDRESS_KIND = SymbolKind.UNTYPED, SymbolKind.ADDRESS
# By STT_*; a loader passes over all others.
_KINDS: Final = {
    0: SymbolKind.UNTYPED,
    1: SymbolKind.OBJECT,
    2: SymbolKind.FUNCTION,
    5: SymbolKind.OBJECT,
    6: SymbolKind.THREAD_LOCAL,
    10: SymbolKind.INDIRECT,
}


class DynamicSymbols(NamedTuple):
    """As in `recipes.elf.reader.ElfFile`."""

    exports: str = ""
    imports: str = ""
    objects: str = ""
    fixed: str = ""


def read_symbols(image: ElfImage, needs: dict[int, str], defs: dict[int, str]) -> DynamicSymbols:
    """Read the symbol table; `needs` and `defs` are the names of its versions by their numbers."""
    address = image.first(_DT_SYMTAB)
    if address is None:
        return DynamicSymbols()
    exports: list[str] = []
    imports: list[str] = []
    objects: list[str] = []
    fixed: list[str] = []
    strings, program = image.strings.decode("latin-1"), image.program
    find, long = strings.find, 0
    info_at, other_at, section_at, value_at, size_at = image.header.symbol_places
    for symbol, version, named in _table(image, image.offset(address)):
        at, info, section = symbol[0], symbol[info_at], symbol[section_at]
        if info < 16 or not at:  # local, or nameless
            continue
        name = strings[at : find("\0", at)]
        if len(name) > _LONG and (long := long + len(name)) > _LONG_IN_ALL:
            raise ElfError("symbol names without an end")
        if section == 0:
            node = needs.get(version & 0x7FFF)
            text = f"{name}@{node}" if node else name
            imports.append("?" + text if info >> 4 == 2 else text)
            if program and symbol[value_at] and _has_address(image, symbol[info_at], symbol[other_at]):
                fixed.append(f"{text}:" + _FUNCTION_KIND)
        elif symbol[other_at] & 3 in (0, 3):  # default or protected visibility
            node = defs.get(version & 0x7FFF)
            if node is not None:
                text = f"{name}@{node}" if version & 0x8000 else f"{name}@@{node}"
            elif version == 0:  # VER_NDX_LOCAL: not exported
                continue
            else:
                text = name
            if info & 15 != _FUNC or named or not symbol[value_at]:
                kind = _kind(image, info & 15, section, symbol[value_at], named=named)
                if kind is None:
                    continue
                plain_object = kind is _OBJECT_KIND
                if kind is not _FUNCTION_KIND:
                    shown = SymbolKind.UNIQUE if plain_object and info >> 4 == _UNIQUE else kind
                    objects.append(f"{text}:{symbol[size_at]}:" + shown)
                if program and plain_object and named:
                    # Nothing can come before a program's own definition, so only R_*_COPY names one.
                    node = needs.get(version & 0x7FFF)
                    fixed.append(f"{name}@{node}:{symbol[size_at]}" if node else f"{name}:{symbol[size_at]}")
            exports.append(text)
    return DynamicSymbols(*(_joined(symbols) for symbols in (exports, imports, objects, fixed)))


def _joined(symbols: Sequence[str]) -> str:
    joined = " ".join(symbols)
    if not joined.isascii() or joined.count(" ") != max(0, len(symbols) - 1):
        raise ElfError("symbol names that are not ASCII words")
    return joined


def _kind(image: ElfImage, bits: int, section: int, value: int, *, named: int) -> SymbolKind | None:
    """Return the kind of an exported symbol; None where the loader passes over it."""
    if value == 0 and section != _SHN_ABS and bits != _TLS:  # glibc's elf/dl-lookup.c, check_match
        return None
    if bits == _OBJECT:
        return _OBJECT_KIND if named else _OWN_OBJECT_KIND
    kind = _KINDS.get(bits)
    if kind is _OBJECT_KIND and not named:
        return _OWN_OBJECT_KIND
    if kind is _UNTYPED_KIND and any(start <= value < end for start, end, _ in image.code):
        kind = _FUNCTION_KIND
    return _ADDRESS_KIND if kind is _FUNCTION_KIND and named else kind


def _has_address(image: ElfImage, info: int, visibility: int) -> bool:
    """Tell whether the value of an undefined symbol is its address: a function's is, except for MIPS's lazy stubs."""
    return info & 15 in (_FUNC, _IFUNC) and (image.machine != EM_MIPS or bool(visibility & _STO_MIPS_PLT))


def relocation_kinds(image: ElfImage) -> set[int]:
    """Return the kinds of a file's relocations, each by its lowest byte: a file has a few, of many."""
    kinds: set[int] = set()
    tables = [(*_DT_RELA[:2], 3), (*_DT_REL[:2], 2)]
    tables.append((_DT_JMPREL, _DT_PLTRELSZ, 3 if image.first(_DT_PLTREL) == _DT_RELA[0] else 2))
    low = image.wide and image.machine == EM_MIPS
    for place, length, words in tables:
        address, size = image.first(place), image.first(length)
        if address is None or not size:
            continue
        unit = words * (8 if image.wide else 4)
        start, field = image.offset(address), 8 if image.wide else 4
        # The lowest byte of r_info, which for MIPS of 64 bits is the last of it in either order.
        at = field + (0 if image.order == "<" and not low else field - 1)
        kinds.update(bytes(image.data[start : start + size - size % unit])[at::unit])
    return kinds


def _named(image: ElfImage) -> set[int]:
    """Return the positions of the symbols that the file's relocations name, those for calls left out."""
    positions: set[int] = set()
    shift = 32 if image.wide else 8
    for place, length, relative, words in ((*_DT_RELA, 3), (*_DT_REL, 2)):
        address, size = image.first(place), image.first(length)
        if address is None or not size:
            continue
        unit = words * (8 if image.wide else 4)
        # Relative ones come first, are counted, and name nothing: most of a library's are not even looked at.
        skipped = min((image.first(relative) or 0) * unit, size)
        start = image.offset(address)
        table = image.data[start + skipped : start + size - size % unit]
        layout = image.order + (f"8xQ{unit - 16}x" if image.wide else f"4xI{unit - 8}x")
        low = image.wide and image.machine == EM_MIPS and image.order == "<"  # its words are stored the other way
        for (info,) in set(struct.iter_unpack(layout, table)):
            positions.add(info & 0xFFFFFFFF if low else info >> shift)
    if image.machine == EM_MIPS and not image.program and (first := image.first(_DT_MIPS_GOTSYM)) is not None:
        # Its global offset table has no relocations: all symbols from this one on are in it.
        positions |= set(range(first, min(image.first(_DT_MIPS_SYMTABNO) or 0, TABLE_LIMIT)))
    return positions


def _table(image: ElfImage, start: int) -> Iterator[tuple[tuple[int, ...], int, int]]:
    """Yield each dynamic symbol as it is stored, its version, and whether a relocation names it."""
    count = _symbol_count(image, start)
    if count > TABLE_LIMIT:
        raise ElfError(f"{count} symbols")
    row = image.header.symbol_row
    table = image.data[start : start + count * row.size]
    if len(table) != count * row.size:
        raise ElfError("the symbol table ends after the file does")
    marks = bytearray(count)
    for index in () if is_symbolic(image) else _named(image):
        if index < count:
            marks[index] = 1
    return zip(row.iter_unpack(table), _symbol_versions(image, count), marks, strict=True)


def _symbol_versions(image: ElfImage, count: int) -> tuple[int, ...]:
    address = image.first(_DT_VERSYM)
    if address is None:
        return (1,) * count
    return struct.unpack_from(f"{image.order}{count}H", image.data, image.offset(address))


def _symbol_count(image: ElfImage, start: int) -> int:
    if (address := image.first(DT_HASH)) is not None:
        words = "QQ" if image.wide and image.machine in _WIDE_HASHES else "II"
        return int(struct.unpack_from(image.order + words, image.data, image.offset(address))[1])
    header = image.header
    for _, kind, _, _, offset, size, _, _, _, _ in header.sections(image.data):
        if kind == SHT_DYNSYM and offset == start:
            return size // header.symbol_row.size
    return _gnu_hash_count(image)


def _gnu_hash_count(image: ElfImage) -> int:
    address = image.first(_DT_GNU_HASH)
    if address is None:
        return 0
    position = image.offset(address)
    buckets, first, bloom, _ = struct.unpack_from(image.order + "IIII", image.data, position)
    table = position + 16 + bloom * (8 if image.wide else 4)
    if buckets > TABLE_LIMIT:
        raise ElfError(f"{buckets} hash buckets")
    last = max(struct.unpack_from(f"{image.order}{buckets}I", image.data, table), default=0)
    if last < first:
        return int(first)
    chain = table + 4 * buckets
    while not struct.unpack_from(image.order + "I", image.data, chain + 4 * (last - first))[0] & 1:
        last += 1
        if last - first > TABLE_LIMIT:
            raise ElfError("a hash chain without an end")
    return int(last) + 1
