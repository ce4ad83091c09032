"""What a file asks of its loader beyond names: flags, tags, notes, relocations; whether it is granted is not said here.

A file of the usual kind asks nothing. What no table here knows is told by its number, so that nothing is passed over
in silence (`recipes.proof.grants` has the loaders' answers). Values: ELF gABI chapter 5, glibc's elf/elf.h, the psABI
of each machine, and https://gitlab.com/x86-psABIs/Linux-ABI for properties.
"""

from __future__ import annotations

import struct
from collections.abc import Iterable, Iterator
from typing import Final

from recipes.elf.image import EM_MIPS, ElfImage

_DT_TEXTREL, _DT_FLAGS, _DT_FLAGS_1, _DT_AUXILIARY, _DT_FILTER = 22, 30, 0x6FFFFFFB, 0x7FFFFFFD, 0x7FFFFFFF
_DT_RELR, _DT_SYMBOLIC = 36, 16
_DF_SYMBOLIC, _DF_TEXTREL, _DF_STATIC_TLS, _DF_KNOWN = 2, 4, 0x10, 0x1F
_PLAIN: Final = frozenset({*range(1, 31), 32, 33, 34, 35, 37})
"""Tags of the gABI, RELR apart."""
_GNU: Final = frozenset({0x6FFFFDF5, 0x6FFFFDF6, 0x6FFFFDF7, 0x6FFFFDF8, *range(0x6FFFFEF5, 0x6FFFFEFE), 0x6FFFFFF0})
"""Prelink's, GNU_HASH, TLSDESC, audits (which of a library nobody reads) and VERSYM."""
_VERSIONS: Final = frozenset({*range(0x6FFFFFF9, 0x70000000), _DT_AUXILIARY, _DT_FILTER, 0x7FFFFFFE})
_OF_MACHINE: Final = {
    EM_MIPS: frozenset({*range(0x70000001, 0x70000017), 0x70000032, 0x70000034, 0x70000035}),
    20: frozenset({0x70000000, 0x70000001}),
    21: frozenset({0x70000000, 0x70000001, 0x70000002, 0x70000003}),
    40: frozenset({0x70000001, 0x70000002}),
    62: frozenset({0x70000000, 0x70000001, 0x70000003}),
    183: frozenset({0x70000001, 0x70000003}),  # BTI_PLT and PAC_PLT are how its own stubs are written
}
_FLAGS_1: Final = {
    0x40: "noopen",
    0x800: "nodeflib",
    0x08000000: "pie",
}
_HARMLESS_1: Final = 0x07FFF7BF & ~0x40 & ~0x800
"""NOW, GLOBAL, GROUP, NODELETE, INITFIRST, ORIGIN, INTERPOSE, NODUMP and Solaris's: of no effect on what is found."""
_USUAL_PAGE: Final = {EM_MIPS: 1 << 16, 21: 1 << 16, 183: 1 << 16, 258: 1 << 16}
"""To what linkers align segments where kernels have pages of several sizes."""
_MICROMIPS: Final = 0x02000000
_NOTE_ABI, _NOTE_PROPERTIES = 1, 5
_NOTES: Final = 1 << 16
_ISA_NEEDED, _ONE_NEEDED, _NO_COPY = 0xC0008002, 0xB0008000, 2
_PROPERTIES: Final = frozenset(
    {1, 0xB0000000, 0xC0000000, 0xC0000001, 0xC0000002, 0xC0008000, 0xC0008001, 0xC0010000, 0xC0010001, 0xC0010002}
)
"""The stack's size, what is used, and BTI, PAC, IBT and SHSTK: refused by no loader for a board's library."""
_TPREL: Final = {3: {14, 37}, 8: {47, 50}, 20: {73}, 21: {73}, 22: {56}, 40: {19}, 62: {18}, 183: {0x06}, 243: {10, 11}}
_RELOCATIONS: Final = {
    3: {0, 1, 2, 5, 6, 7, 8, 14, 35, 36, 37},
    8: {0, 2, 3, 18, 38, 39, 40, 41, 47, 50, 126, 127},
    40: {0, 2, 3, 17, 18, 19, 20, 21, 22, 23},
    62: {0, 1, 2, 5, 6, 7, 8, 10, 16, 17, 18},
    183: {0x00, 0x01, 0x02, 0x03, 0x04, 0x05, 0x06},
}
"""Kinds that every loader of the machine does, by their lowest byte: AArch64's from 1024 on differ in that."""
_NAMED: Final = {
    (3, 42): "irelative",
    (62, 37): "irelative",
    (40, 160): "irelative",
    (183, 8): "irelative",
    (3, 41): "tlsdesc",
    (62, 36): "tlsdesc",
    (40, 13): "tlsdesc",
    (183, 7): "tlsdesc",
}


def asks_of(image: ElfImage, relocations: Iterable[int]) -> tuple[str, ...]:
    """Return what a file asks for, sorted: a word each, with a number or a name behind a colon where one belongs to it.

    Parameters
    ----------
    relocations:
        The kinds of its relocations, their lowest byte.
    """
    kinds = set(relocations)
    found = {*_by_flags(image), *_by_tags(image), *_by_segments(image, kinds), *_by_notes(image)}
    if image.machine in _RELOCATIONS:
        for kind in kinds - _RELOCATIONS[image.machine]:
            found.add(_NAMED.get((image.machine, kind), f"relocation:{kind}"))
    return tuple(sorted(found))


def is_symbolic(image: ElfImage) -> bool:
    """Tell whether the file's own code gets its own symbols first, whatever comes before it in the process."""
    return _DT_SYMBOLIC in image.dynamic or bool((image.first(_DT_FLAGS) or 0) & _DF_SYMBOLIC)


def _by_flags(image: ElfImage) -> Iterator[str]:
    flags, one = image.first(_DT_FLAGS) or 0, image.first(_DT_FLAGS_1) or 0
    if _DT_TEXTREL in image.dynamic:
        yield "textrel"
    elif flags & _DF_TEXTREL:
        yield "textrel-flag"
    if unknown := flags & ~_DF_KNOWN:
        yield f"flags:{unknown:#x}"
    for bit, word in _FLAGS_1.items():
        if one & bit:
            yield word
    if unknown := one & ~_HARMLESS_1 & ~sum(_FLAGS_1):
        yield f"flags-1:{unknown:#x}"
    if image.machine == EM_MIPS and image.flags & _MICROMIPS:
        yield "micromips"
    if image.abi_version > (image.machine == EM_MIPS):
        yield f"abi-version:{image.abi_version}"


def _by_tags(image: ElfImage) -> Iterator[str]:
    for word, tag in (("filter", _DT_FILTER), ("auxiliary", _DT_AUXILIARY)):
        for value in image.dynamic.get(tag, ()):
            yield f"{word}:{image.text(value)}"
    if _DT_RELR in image.dynamic:
        yield "relr"
    known = _OF_MACHINE.get(image.machine, frozenset())
    for tag in image.dynamic.keys() - _PLAIN:
        if tag not in _GNU and tag not in _VERSIONS and tag not in known and tag != _DT_RELR:
            yield f"tag:{tag:#x}"


def _by_segments(image: ElfImage, kinds: set[int]) -> Iterator[str]:
    if image.stack & 1:
        yield "execstack"
    static = bool((image.first(_DT_FLAGS) or 0) & _DF_STATIC_TLS or kinds & _TPREL.get(image.machine, set()))
    if image.thread_bytes and static:
        yield f"static-tls:{image.thread_bytes}"
    usual = _USUAL_PAGE.get(image.machine, 0)
    if usual and image.smallest_page < usual:
        yield f"page:{image.smallest_page}"


def _by_notes(image: ElfImage) -> Iterator[str]:
    for kind, desc in image.gnu_notes(_NOTES):
        if kind == _NOTE_ABI and len(desc) >= 16:
            system, *version = struct.unpack_from(image.order + "4I", desc)
            yield f"kernel:{'.'.join(map(str, version))}" if system == 0 else f"system:{system}"
        elif kind == _NOTE_PROPERTIES:
            yield from _properties(image, desc)


def _properties(image: ElfImage, desc: bytes) -> Iterator[str]:
    at, step = 0, 8 if image.wide else 4
    while at + 8 <= len(desc):
        kind, size = struct.unpack_from(image.order + "2I", desc, at)
        (value,) = struct.unpack_from(image.order + "I", desc, at + 8) if size >= 4 else (0,)
        if kind == _ISA_NEEDED:
            # Each level counts those below it; the first is what every processor of the machine can do.
            yield from (f"isa:{bit + 1}" for bit in range(1, 32) if value >> bit & 1)
        elif kind == _NO_COPY or (kind == _ONE_NEEDED and value == 1):
            yield "no-copy"
        elif kind == _ONE_NEEDED or kind not in _PROPERTIES:
            yield f"property:{kind:#x}:{value:#x}"
        at += 8 + -(-size // step) * step
