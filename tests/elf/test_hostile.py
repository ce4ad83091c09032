"""Damaged and hostile files, each with the one thing that is wrong with it: the reader names it, soon and in little."""

from __future__ import annotations

import io
import struct
import time
import tracemalloc
from collections.abc import Callable

import pytest

from recipes import elf
from recipes.elf.header import read_header
from recipes.elf.image import ElfImage
from recipes.elf.sections import section_table
from tests.support.smallelf import small_elf

WHOLE = small_elf("libc.so.6", soname="liba.so.1", exports=("start", "stop"))
HASH, STRTAB, SYMTAB, STRSZ, SONAME, GNU_HASH = 4, 5, 6, 10, 14, 0x6FFFFEF5
SECONDS, BYTES = 1.0, 1 << 20
Damage = Callable[[bytearray], None]


def poke(at: int, layout: str, value: int) -> Damage:
    return lambda data: struct.pack_into("<" + layout, data, at, value)


def tag_at(data: bytes | bytearray, tag: int) -> int:
    """Return where the entry of a tag is in the dynamic section."""
    offset, size = ElfImage(bytes(data)).parts[2]
    return next(at for at in range(offset, offset + size, 8) if struct.unpack_from("<I", data, at)[0] == tag)


def value_of(tag: int, value: int) -> Damage:
    return lambda data: struct.pack_into("<I", data, tag_at(data, tag) + 4, value)


def behind(tag: int, distance: int, value: int) -> Damage:
    """Change a word at some distance behind what a tag points at."""

    def change(data: bytearray) -> None:
        (place,) = struct.unpack_from("<I", data, tag_at(data, tag) + 4)
        struct.pack_into("<I", data, place + distance, value)

    return change


def many_buckets(data: bytearray) -> None:
    """Call the hash table one of GNU's, whose first word counts the buckets."""
    at = tag_at(data, HASH)
    behind(HASH, 0, 0xFFFFFFFF)(data)
    struct.pack_into("<I", data, at, GNU_HASH)


def endless_chain(data: bytearray) -> None:
    """Turn the hash table into GNU's with a chain that has no last entry: the file ends before the chain does."""
    at = tag_at(data, HASH)
    place = len(data)
    data += struct.pack("<IIII", 1, 1, 0, 0) + struct.pack("<I", 1) + bytes(4 * 1000)
    struct.pack_into("<II", data, 52 + 16, len(data), len(data))
    struct.pack_into("<II", data, at, GNU_HASH, place)


DAMAGES: dict[str, tuple[Damage, str]] = {
    "no magic": (poke(0, "B", 0), "not an ELF file"),
    "class": (poke(4, "B", 3), "class 3 or encoding 1"),
    "encoding": (poke(5, "B", 0), "class 1 or encoding 0"),
    "version of the ident": (poke(6, "B", 2), "version 2 or 1"),
    "version of the header": (poke(20, "I", 7), "version 1 or 7"),
    "size of a program header": (poke(42, "H", 33), "2 program headers of 33 bytes"),
    "count of program headers": (poke(44, "H", 0xFFFF), "65535 program headers"),
    "place of program headers": (poke(28, "I", 0xFFFFFF00), "program headers end after the file"),
    "segment longer than the file": (poke(52 + 16, "I", 1 << 30), "ends before its segments do"),
    "dynamic section outside": (poke(84 + 8, "I", 0x10000), "in no loaded segment"),
    "long dynamic section": (poke(84 + 16, "I", 1 << 20), "in no loaded segment"),
    "symbol count": (behind(HASH, 4, 0xFFFFFFFF), "4294967295 symbols"),
    "symbol count just too large": (behind(HASH, 4, 60), "symbol table ends after the file"),
    "symbol table nowhere": (value_of(SYMTAB, 0x7FFFFFFF), "is in no loaded segment"),
    "strings nowhere": (value_of(STRTAB, 0x7FFFFFFF), "is in no loaded segment"),
    "strings longer than the file": (value_of(STRSZ, 0x7FFFFFFF), "string table ends after the file"),
    "name outside the strings": (value_of(SONAME, 0x7FFFFFFF), "has no end"),
    "chain without an end": (endless_chain, "damaged ELF"),
    "buckets": (many_buckets, "4294967295 hash buckets"),
}


def test_the_whole_file_is_read() -> None:
    """What is damaged below is without damage a file that another reader reads as we do."""
    from elftools.elf.dynamic import DynamicSegment
    from elftools.elf.elffile import ELFFile

    facts = elf.parse(WHOLE)
    assert (facts.soname, facts.needed, facts.exports, facts.sysv) == ("liba.so.1", ("libc.so.6",), "start stop", True)
    segment = next(part for part in ELFFile(io.BytesIO(WHOLE)).iter_segments() if isinstance(part, DynamicSegment))
    assert [tag.needed for tag in segment.iter_tags("DT_NEEDED")] == ["libc.so.6"]
    assert [symbol.name for symbol in segment.iter_symbols()] == ["", "start", "stop"]


@pytest.mark.parametrize(("damage", "words"), DAMAGES.values(), ids=DAMAGES)
def test_each_damage_is_refused_and_named(damage: Damage, words: str) -> None:
    data = bytearray(WHOLE)
    damage(data)
    tracemalloc.start()
    begun = time.monotonic()
    try:
        with pytest.raises(elf.ElfError, match=words):
            elf.parse(bytes(data))
        assert time.monotonic() - begun < SECONDS
        assert tracemalloc.get_traced_memory()[1] < BYTES
    finally:
        tracemalloc.stop()


def test_a_file_cut_anywhere_is_refused() -> None:
    for length in range(len(WHOLE)):
        with pytest.raises(elf.ElfError):
            elf.parse(WHOLE[:length])


def test_sections_that_are_cut_or_of_another_form_are_none() -> None:
    data = bytearray(WHOLE)
    struct.pack_into("<I", data, 32, len(data))
    data += bytes(40)
    struct.pack_into("<HHH", data, 46, 40, 1, 0)
    assert [section.size for section in section_table(bytes(data))] == [0]
    assert section_table(bytes(data[:-1])) == []
    struct.pack_into("<H", data, 46, 39)
    assert section_table(bytes(data)) == []
    torn = bytes(data)
    assert not list(read_header(torn).sections(torn))
