"""The same library linked statically into two outputs: found by its symbols and by its constants. Pure.

A library that two files hold travels twice and is patched twice. Where its names are left (exported, or local and not
yet stripped) they tell; of a hidden and stripped one only what it says is left: its texts and tables, byte for byte.
This is a report and decides nothing. The thresholds were held against all 1.4 million pairs of files of a Debian board
with GStreamer. A codec of nothing but tables, hidden and stripped, is not found.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from itertools import combinations

from recipes.elf.sections import file_symbols, section_table

SYMBOLS = 12
"""Symbols of the same name, kind and size that make a library: a copied helper or a plugin's entry points are fewer."""
CODE = 2048
"""Bytes that those symbols have together: below that, a library of its own would cost as much as it saves."""
TEXTS = 24
"""Distinct messages that make a library: two programs by the same people share a handful of them."""
CONTENT = 1024
"""Bytes of those messages together."""
LEAST = 12
"""Bytes of a constant: shorter ones are the same by chance."""
EXAMPLES = 3
_RUN = re.compile(rb"[^\0]{%d,}" % LEAST)
# Only text with a blank in it tells: the names of an interface, relocations, OIDs, and the tables of AES, CRC or
# Unicode stand in every file that knows them.
_MESSAGE = re.compile(rb"[\t\n\r\x1b -~]*[!-~] [\t\n\r\x1b -~]*")
# What each C++ file has of the standard library's headers, what compilers and C libraries say of their version, and
# where the pieces of a build lay: the same in unrelated files.
_EVERYBODYS = re.compile(
    rb"basic_string|basic_ios|cannot create std::|::_M_|::_S_|::at: |vector::|which is %zu|std::|Assertion '%s' failed|"
    rb"GCC: |GNU |clang version|/usr/include|/usr/lib"
)
# Names that start with an underscore belong to the compiler and the C library (ISO C, 7.1.3); C++ writes all of its
# names that way. `$` marks ARM's switches between code and data.
_RESERVED = re.compile(r"_(?!Z)|_ZNK?St|_ZNK?9__gnu_cxx|_ZSt|_ZN10__cxxabiv|\$")
_CRT = frozenset(("deregister_tm_clones", "register_tm_clones", "frame_dummy", "completed", "call_weak_fn", "main"))


@dataclass(frozen=True, slots=True, kw_only=True)
class Twin:
    """Two files that hold the same library.

    Parameters
    ----------
    symbols:
        Symbols of the same name, kind and size, with `examples`, the largest first.
    content:
        Bytes of constants that are the same, with `texts`, the longest first.
    estimated:
        Bytes that the library has in one of them; for a stripped one, from the share of its constants.
    """

    first: str
    second: str
    symbols: int
    examples: tuple[str, ...]
    content: int
    texts: tuple[str, ...]
    estimated: int

    def as_dict(self) -> dict[str, object]:
        return {
            "first": self.first,
            "second": self.second,
            "symbols": self.symbols,
            "examples": list(self.examples),
            "content": self.content,
            "texts": list(self.texts),
            "estimated": self.estimated,
        }

    def describe(self) -> str:
        """Return one line for a reader."""
        why = []
        if self.symbols:
            why.append(f"{self.symbols} symbols ({', '.join(self.examples)})")
        if self.content:
            said = f", such as {self.texts[0]!r}" if self.texts else ""
            why.append(f"{self.content:,} bytes of constants{said}")
        same = f"{self.first} and {self.second} hold the same library"
        return f"{same}, about {self.estimated:,} bytes: {'; '.join(why)}"


@dataclass(frozen=True, slots=True, kw_only=True)
class _Traits:
    """What of one file is compared."""

    names: Mapping[tuple[str, str, int], int]
    """(name, kind, bytes) of a symbol to bytes."""
    constants: frozenset[bytes]
    all_constants: int
    loaded: int


def find_twins(contents: Mapping[str, bytes]) -> list[Twin]:
    """Return the pairs of files (path to bytes) that hold the same library, the largest first."""
    traits = {path: made for path, data in sorted(contents.items()) if (made := _traits(data)) is not None}
    pairs = [_compare(*pair, traits) for pair in combinations(traits, 2)]
    return sorted((one for one in pairs if one is not None), key=lambda one: (-one.estimated, one.first, one.second))


def _traits(data: bytes) -> _Traits | None:
    found = section_table(data)
    if not found:
        return None
    names = {
        (stem, symbol.kind, symbol.size): symbol.size
        for symbol in file_symbols(data, found)
        # A weak symbol is a header's: inline functions and templates are in every file that uses them.
        if symbol.binding in ("local", "global") and (stem := _own(symbol.name))
    }
    constants = frozenset(
        run
        for section in found
        if section.constant and section.name.startswith(".rodata")
        for run in _RUN.findall(data, section.offset, section.offset + section.size)
        if not _EVERYBODYS.search(run)
    )
    return _Traits(
        names=names,
        constants=constants,
        all_constants=sum(map(len, constants)),
        loaded=sum(section.size for section in found if section.loaded),
    )


def _own(name: str) -> str:
    """Return a symbol's name without the compiler's own ending; "" for one that is the compiler's or C library's."""
    stem = name.partition(".")[0]
    return "" if not stem or _RESERVED.match(stem) or stem in _CRT else stem


def _compare(first: str, second: str, traits: Mapping[str, _Traits]) -> Twin | None:
    one, other = traits[first], traits[second]
    names = one.names.keys() & other.names.keys()
    code = sum(one.names[name] for name in names)
    same = one.constants & other.constants
    texts = [run for run in same if _MESSAGE.fullmatch(run)]
    content = sum(map(len, same))
    by_name = len(names) >= SYMBOLS and code >= CODE
    by_content = len(texts) >= TEXTS and sum(map(len, texts)) >= CONTENT
    if not by_name and not by_content:
        return None
    shares = [content * each.loaded // each.all_constants for each in (one, other) if each.all_constants]
    return Twin(
        first=first,
        second=second,
        symbols=len(names),
        examples=_first((name for name, _, _ in sorted(names, key=lambda name: (-name[2], name)))),
        content=content,
        texts=_first(run.decode("ascii").strip() for run in sorted(texts, key=lambda run: (-len(run), run))),
        estimated=max(code + content, min(shares, default=0)),
    )


def _first(found: Iterable[str]) -> tuple[str, ...]:
    return tuple(dict.fromkeys(found))[:EXAMPLES]
