"""Whether a board's loader does what a file asks of it (`recipes.elf.asks`), per libc; what is not known is refused.

What the board's own C library asks for is granted to all: it would not start otherwise. That is how the kernel, the
processor, the size of pages and the age of a loader are known without asking the board. For the rest: glibc's
elf/dl-load.c, elf/dl-deps.c, elf/dl-version.c and sysdeps/x86/dl-prop.h; musl's ldso/dynlink.c; uClibc-ng's
ldso/ldso/dl-elf.c. The table in docs/proofs.md says the same for people.
"""

from __future__ import annotations

import functools
import re
from collections.abc import Iterable
from typing import Final

from recipes.arch import Libc
from recipes.elf import ElfFile
from recipes.proof.binding import exports_of
from recipes.rootfs.loaderconf import is_of_libc

_STATIC_TLS: Final = 256
"""Bytes of static TLS that a library opened later may take: glibc and uClibc keep a few hundred free, for all."""
_EXECUTABLE_STACKS_UNTIL, _RELR_SINCE = (2, 41), (2, 36)
_GLIBC_NODE: Final = re.compile(r"GLIBC_(\d+)\.(\d+)(?:\.\d+)?")
_RELR_NODE: Final = "GLIBC_ABI_DT_RELR"
_NEWER_MUSL: Final = "statx"
"""Came with musl 1.2.5, one release after DT_RELR; no symbol came with that."""
_TLSDESC_MACHINE: Final = 183
_IGNORED: Final = {
    # What a loader does not read at all, and what it finds is as if nothing was asked.
    Libc.MUSL: ("noopen", "nodeflib", "filter", "auxiliary", "kernel", "system", "tlsdesc", "textrel"),
    Libc.UCLIBC: ("noopen", "nodeflib", "kernel", "system"),
    Libc.GLIBC: ("nodeflib", "irelative", "tlsdesc", "textrel", "textrel-flag"),
}
_NEVER: Final = ("pie", "filter", "auxiliary", "noopen")
"""What a C library may be and no other library."""
_WORDS: Final = {
    "pie": "it is a program (DF_1_PIE), not a library",
    "noopen": "it must not be opened later (DF_1_NOOPEN), and a plugin may need it",
    "filter": "it is a filter: its symbols are those of {value} (DT_FILTER)",
    "auxiliary": "it is a filter: its symbols are those of {value} first (DT_AUXILIARY)",
    "relr": "it has relocations in a form that this loader may not know (DT_RELR)",
    "execstack": "it asks for an executable stack",
    "textrel": "its code is changed when it is loaded (DT_TEXTREL)",
    "textrel-flag": "its code is changed when it is loaded (DF_TEXTREL)",
    "static-tls": "it takes {value} bytes of static TLS, which there may not be for a plugin",
    "irelative": "it has indirect functions of its own (IRELATIVE), which this loader does not know",
    "tlsdesc": "it has TLS descriptors, which this loader may not know",
    "kernel": "it asks for Linux {value}, more than the board's C library does",
    "system": "it is for another system than Linux (number {value} in .note.ABI-tag)",
    "isa": "it asks for a processor of x86-64-v{value}, more than the board's C library does",
    "micromips": "its code is microMIPS, which the board's C library has none of",
    "page": "its segments are aligned to {value} bytes, less than those of the board's C library: pages may be larger",
}


class Grants:
    """What one board's loader grants.

    Parameters
    ----------
    own:
        The files of its C library, the loader among them; others are passed over.
    """

    def __init__(self, libc: Libc, own: Iterable[ElfFile]) -> None:
        self._libc = libc
        self._own = [file for file in own if is_of_libc(file.soname)]
        self._granted = {ask for file in self._own for ask in file.asks}
        nodes = (
            re.fullmatch(r"GLIBC_(\d+)\.(\d+)(?:\.\d+)?", node) for file in self._own for node in file.version_defs
        )
        self._glibc = max(((int(node[1]), int(node[2])) for node in nodes if node), default=(0, 0))

    def refused(self, file: ElfFile) -> list[str]:
        """Say what a file asks for that is not known to be granted."""
        return [_in_words(ask) for ask in file.asks if not self._grants(file, ask)]

    def _grants(self, file: ElfFile, ask: str) -> bool:
        word, _, value = ask.partition(":")
        if ask == "no-copy":  # is about who uses it: `recipes.proof.prove`
            return True
        if is_of_libc(file.soname) or word in _IGNORED[self._libc] or (ask in self._granted and word not in _NEVER):
            return True
        if word == "relr":
            return self._grants_relr(file)
        if word == "execstack" and self._libc is Libc.GLIBC:
            # Up to then the stack is made executable, also for one that is opened later.
            return (0, 0) < self._glibc < _EXECUTABLE_STACKS_UNTIL
        if word == "static-tls":
            return self._libc is not Libc.MUSL and int(value) <= _STATIC_TLS
        if word == "tlsdesc":
            return file.identity.machine == _TLSDESC_MACHINE
        if word == "kernel":
            return _numbers(value) <= max((_numbers(one) for one in self._values("kernel")), default=(0,))
        if word == "page":
            return int(value) >= min(map(int, self._values("page")), default=1 << 30)
        return False

    def _grants_relr(self, file: ElfFile) -> bool:
        if self._libc is Libc.MUSL:
            return any(exports_of(own).has(_NEWER_MUSL, "", Libc.MUSL) for own in self._own)
        if self._libc is Libc.UCLIBC or self._glibc < _RELR_SINCE:
            return False
        # From then on it is refused where a file that needs the C library does not say so by a version node.
        names = any(need.endswith(f":{_RELR_NODE}") for need in file.version_needs)
        return names or not any(need.startswith("libc.so.") for need in file.needed)

    def _values(self, word: str) -> list[str]:
        return [value for name, _, value in (ask.partition(":") for ask in self._granted) if name == word]


def filtees(file: ElfFile) -> list[tuple[str, bool]]:
    """Return the libraries whose symbols come before a file's own, and whether it is not loaded without them."""
    parts = [ask.partition(":") for ask in file.asks] if file.asks else []
    return [(name, word == "filter") for word, _, name in parts if word in ("filter", "auxiliary")]


def _in_words(ask: str) -> str:
    word, _, value = ask.partition(":")
    return _WORDS.get(word, "it asks for something that is not understood ({ask})").format(value=value, ask=ask)


@functools.lru_cache(maxsize=64)
def _numbers(version: str) -> tuple[int, ...]:
    return tuple(int(part) for part in version.split("."))
