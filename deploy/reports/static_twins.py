"""The same library linked statically into several outputs: found by its symbols and by its constants.

A library that two files hold travels twice and is patched twice. Where its names are left (exported, or local and not
yet stripped) they tell; of a hidden and stripped one only what it says is left: its texts and tables, byte for byte.
This is a report and decides nothing. The thresholds were checked against all 1.4 million pairs of files of a Debian
board with GStreamer. A codec of nothing but tables, hidden and stripped, is not found.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
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
# Unicode are in every file that knows them.
_MESSAGE = re.compile(rb"[\t\n\r\x1b -~]*[!-~] [\t\n\r\x1b -~]*")
# What each C++ file has of the standard library's headers, what compilers and C libraries say of their version, and
# where the pieces of a build were: the same in unrelated files.
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


@dataclass(frozen=True, slots=True, kw_only=True)
class LinkedTwice:
    """One library and all files that hold a copy of it.

    Parameters
    ----------
    name:
        What its symbols have in common, else the largest symbol, else the longest text.
    total:
        Bytes of all copies, estimated.
    spared:
        Bytes that one shared library would save: all copies but the largest.
    evidence:
        The largest symbols that are the same, or the longest texts.
    """

    name: str
    files: tuple[str, ...]
    total: int
    spared: int
    evidence: tuple[str, ...]


def group_twins(twins: Sequence[Twin]) -> list[LinkedTwice]:
    """Put the pairs that hold the same library together, the library that costs most first.

    Pairs belong together where they name a symbol or a text in common, or where their symbols begin alike.
    """
    groups: list[tuple[set[str], list[Twin]]] = []
    for twin in twins:
        marks, members = _marks(twin), [twin]
        for group in [group for group in groups if group[0] & marks]:
            marks |= group[0]
            members = [*group[1], *members]
            groups.remove(group)
        groups.append((marks, members))
    return sorted(
        (_linked_twice(members) for _, members in groups), key=lambda library: (-library.spared, library.name)
    )


def _marks(twin: Twin) -> set[str]:
    return {*twin.examples, *twin.texts, _common_start(twin.examples)} - {""}


def _linked_twice(twins: Sequence[Twin]) -> LinkedTwice:
    copies: dict[str, int] = {}
    for twin in twins:
        for path in (twin.first, twin.second):
            copies[path] = max(copies.get(path, 0), twin.estimated)
    symbols = tuple(dict.fromkeys(name for twin in twins for name in twin.examples))
    texts = tuple(dict.fromkeys(text for twin in twins for text in twin.texts))
    starts = Counter(filter(None, (_common_start(twin.examples) for twin in twins)))
    name = starts.most_common(1)[0][0] if starts else next(iter((*map(_plain, symbols), *texts, "a library"))).strip()
    total = sum(copies.values())
    return LinkedTwice(
        name=name,
        files=tuple(sorted(copies)),
        total=total,
        spared=total - max(copies.values()),
        evidence=(tuple(map(_plain, symbols)) or texts)[:EXAMPLES],
    )


def _common_start(symbols: Sequence[str]) -> str:
    """Return the whole words that all of these names begin with: `curl` of `curl_easy_init` and `curl_free`."""
    if len(symbols) < 2:
        return ""
    names = [_plain(name) for name in symbols]
    first, last = min(names), max(names)
    alike = next((at for at, (left, right) in enumerate(zip(first, last, strict=False)) if left != right), len(first))
    words = re.match(r"(.+?)_*(?:_|::)[^_:]*$", first[:alike])
    start = words[1] if words else first[:alike]
    return start if len(start) > 2 else ""


def _plain(symbol: str) -> str:
    """Return the names within a mangled C++ name: `ns::f` of `_ZN2ns1fEv`; another name as it is."""
    match = re.match(r"_ZNK?(?=\d)", symbol)
    parts, at = [], match.end() if match else len(symbol)
    while digits := re.compile(r"\d+").match(symbol, at):
        at = digits.end() + int(digits[0])
        parts.append(symbol[digits.end() : at])
    return "::".join(parts) or symbol


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
    return sorted(filter(None, pairs), key=lambda twin: (-twin.estimated, twin.first, twin.second))


def _traits(data: bytes) -> _Traits | None:
    sections = section_table(data)
    if not sections:
        return None
    names = {
        (stem, symbol.kind, symbol.size): symbol.size
        for symbol in file_symbols(data, sections)
        # A weak symbol is a header's: inline functions and templates are in every file that uses them.
        if symbol.binding in ("local", "global") and (stem := _own(symbol.name))
    }
    constants = frozenset(
        constant
        for section in sections
        if section.constant and section.name.startswith(".rodata")
        for constant in _RUN.findall(data, section.offset, section.offset + section.size)
        if not _EVERYBODYS.search(constant)
    )
    return _Traits(
        names=names,
        constants=constants,
        all_constants=sum(map(len, constants)),
        loaded=sum(section.size for section in sections if section.loaded),
    )


def _own(name: str) -> str:
    """Return a symbol's name without the compiler's own ending; "" for one that is the compiler's or C library's."""
    stem = name.partition(".")[0]
    return "" if not stem or _RESERVED.match(stem) or stem in _CRT else stem


def _compare(first: str, second: str, traits: Mapping[str, _Traits]) -> Twin | None:
    left, right = traits[first], traits[second]
    names = left.names.keys() & right.names.keys()
    code = sum(left.names[name] for name in names)
    same = left.constants & right.constants
    texts = [constant for constant in same if _MESSAGE.fullmatch(constant)]
    content = sum(map(len, same))
    by_name = len(names) >= SYMBOLS and code >= CODE
    by_content = len(texts) >= TEXTS and sum(map(len, texts)) >= CONTENT
    if not by_name and not by_content:
        return None
    shares = [content * each.loaded // each.all_constants for each in (left, right) if each.all_constants]
    return Twin(
        first=first,
        second=second,
        symbols=len(names),
        examples=_first((name for name, _, _ in sorted(names, key=lambda name: (-name[2], name)))),
        content=content,
        texts=_first(text.decode("ascii").strip() for text in sorted(texts, key=lambda text: (-len(text), text))),
        estimated=max(code + content, min(shares, default=0)),
    )


def _first(names: Iterable[str]) -> tuple[str, ...]:
    return tuple(dict.fromkeys(names))[:EXAMPLES]
