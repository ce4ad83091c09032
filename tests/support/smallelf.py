"""Writes small ELF files, so that a test of files needs no compiler: 32 bits, little-endian, a dynamic section."""

from __future__ import annotations

import itertools
import struct
from collections.abc import Sequence

_HEADERS = 52 + 2 * 32
"""Bytes of the file's header and of its two program headers."""
_NULL, _NEEDED, _HASH, _STRTAB, _SYMTAB, _STRSZ, _SONAME = 0, 1, 4, 5, 6, 10, 14
_GLOBAL_FUNCTION = 0x12


def small_elf(*needed: str, machine: int = 40, soname: str = "", exports: Sequence[str] = ()) -> bytes:
    """Make a shared library that any loader would map: its headers, and what its dynamic section points at.

    Parameters
    ----------
    needed:
        SONAMEs of the libraries that it asks for.
    machine:
        e_machine; 40 is ARM, and the flags say hard float.
    exports:
        Functions; the table of symbols and its hash table (DT_HASH) are there for these only.
    """
    strings, places = b"\0", {}
    for text in dict.fromkeys((*needed, *((soname,) if soname else ()), *exports)):
        places[text] = len(strings)
        strings += text.encode() + b"\0"
    tags = [(_NEEDED, places[name]) for name in needed]
    tags += [(_SONAME, places[soname])] if soname else []
    hashes, symbols = _symbols([places[name] for name in exports]) if exports else (b"", b"")
    count = len(tags) + (2 if exports else 0) + 3
    hashes_at = _HEADERS + 8 * count
    symbols_at = hashes_at + len(hashes)
    strings_at = symbols_at + len(symbols)
    tags += [(_HASH, hashes_at), (_SYMTAB, symbols_at)] if exports else []
    tags += [(_STRTAB, strings_at), (_STRSZ, len(strings)), (_NULL, 0)]
    dynamic = b"".join(struct.pack("<II", tag, value) for tag, value in tags)
    size = strings_at + len(strings)
    header = b"\x7fELF\x01\x01\x01" + bytes(9)
    header += struct.pack("<HHIIIIIHHHHHH", 3, machine, 1, 0, 52, 0, 0x05000400, 52, 32, 2, 40, 0, 0)
    header += struct.pack("<IIIIIIII", 1, 0, 0, 0, size, size, 5, 4096)
    header += struct.pack("<IIIIIIII", 2, _HEADERS, _HEADERS, _HEADERS, len(dynamic), len(dynamic), 6, 4)
    return header + dynamic + hashes + symbols + strings


def _symbols(names: Sequence[int]) -> tuple[bytes, bytes]:
    """Return a hash table of one bucket, and the symbols with these offsets of names, all at the first byte of code."""
    chain = [0, *range(2, len(names) + 1), 0]
    hashes = struct.pack(f"<{4 + len(names)}I", 1, len(names) + 1, 1, *chain)
    symbols = (struct.pack("<IIIBBH", name, 52, 4, _GLOBAL_FUNCTION, 0, 1) for name in names)
    return hashes, b"".join(itertools.chain([bytes(16)], symbols))
