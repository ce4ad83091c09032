"""What the entries of a search path mean to each loader: $ORIGIN, $LIB, $PLATFORM, and what is left alone.

ld.so(8) for glibc; musl's ldso/dynlink.c (fixup_rpath); uClibc's ldso/ldso/dl-elf.c (search_for_named_library).
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from typing import Final

from recipes.arch import Identity, Libc
from recipes.rootfs.loaderconf import ORIGIN
from recipes.rootfs.origin import Origin

SearchFolder = tuple[str, bool]
"""A folder, and whether it is sure to be looked into."""
_TOKEN: Final = re.compile(r"\$(?:\{(ORIGIN|LIB|PLATFORM)\}|(ORIGIN|LIB|PLATFORM)(?!\w))", re.ASCII)
_PLATFORMS: Final = {
    (64, 62): ("haswell", "xeon_phi", "x86_64"),
    (32, 40): ("v7l", "v8l", "v6l"),
    (64, 183): ("aarch64",),
}


class PathTokens:
    """The words of one root's loader.

    Parameters
    ----------
    platform:
        AT_PLATFORM where it is known; else each that the machine may have is told, and none is sure.
    lib:
        What $LIB is replaced by; empty where that is not known.
    expands:
        False for a uClibc that knows no $ORIGIN.
    """

    def __init__(self, libc: Libc, identity: Identity, platform: str, lib: str, *, expands: bool = True) -> None:
        known = _PLATFORMS.get((identity.bits, identity.machine), ())
        self._libc, self._lib, self._expands = libc, lib, expands
        self._platforms = (platform,) if platform else known
        self._sure = bool(platform) or len(known) == 1

    def expand(self, entries: Sequence[str], origin: str) -> Iterator[SearchFolder]:
        """Yield what the entries of a path mean for a file of a folder; what is not proved is left out, or not sure."""
        if self._libc is Libc.GLIBC:
            for entry in entries:
                yield from self._glibc(entry, origin)
        elif self._libc is Libc.MUSL:
            rest = [entry.replace("${ORIGIN}", "").replace("$ORIGIN", "") for entry in entries]
            if any("$" in entry for entry in rest):
                return  # it knows $ORIGIN only, and drops the whole path for anything else
            for entry in entries:
                yield from _certain(entry.replace("${ORIGIN}", origin).replace("$ORIGIN", origin))
        else:
            for entry in entries:
                known = self._expands and entry.startswith(ORIGIN)
                yield from _certain(origin + entry.removeprefix(ORIGIN) if known else entry)

    def literal(self, entries: Iterable[str]) -> Iterator[SearchFolder]:
        """Yield the folders of a path in which no word is replaced."""
        for entry in entries:
            yield from _certain(entry)

    def _glibc(self, entry: str, origin: str) -> Iterator[SearchFolder]:
        wanted = {braced or bare for braced, bare in _TOKEN.findall(entry)}
        for platform in self._platforms if "PLATFORM" in wanted else ("",):
            values = {"ORIGIN": origin, "LIB": self._lib, "PLATFORM": platform}
            text = _TOKEN.sub(lambda token, values=values: values[token[1] or token[2]], entry)  # type: ignore[misc]
            if "LIB" not in wanted or self._lib:
                yield from _certain(text, sure=self._sure or "PLATFORM" not in wanted)


def as_unsure(folders: Iterable[SearchFolder]) -> Iterator[SearchFolder]:
    """Yield folders that may be looked into."""
    return ((folder, False) for folder, _ in folders)


def _certain(folder: str, *, sure: bool = True) -> Iterator[SearchFolder]:
    """Yield a folder unless it depends on where the process was started, or holds a word that nobody replaces."""
    if "$" not in folder and (folder.startswith("/") or Origin(folder).ours):
        yield folder, sure
