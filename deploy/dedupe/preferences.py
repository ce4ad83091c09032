"""What a board's file says of single libraries, and what holds for every board; each rule with its reason."""

from __future__ import annotations

import functools
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from enum import Enum

from recipes.rootfs.loaderconf import is_of_libc
from recipes.rootfs.origin import Origin

_STEM = re.compile(r"(-\d[\d.]*)?\.so(\.[\d.]+)?$")
_GSTREAMER = re.compile(r"lib(gst.*-1\.0|glib-2\.0|gobject-2\.0|gmodule-2\.0|gio-2\.0)\.so[.\d]*")

CompareTypes = Callable[[str, Origin, str, tuple[str, ...]], tuple[str, bool]]
"""Takes a SONAME, our copy, the board's path and the names of the bound symbols; returns
what is known of their types, and whether they differ."""


class Prefer(Enum):
    """What is wanted of one library."""

    BOARD = "board"
    """The board's copy; an error where its proof fails."""
    BUNDLE = "bundle"
    """Ours, though the board's is suitable."""
    PIN = "pin"
    """The board's copy of one build id; ours beside any other build."""
    NEVER = "never"
    """Ours never travels; an error where the board's is unsuitable."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Preference:
    """What is wanted of one library, and why."""

    prefer: Prefer
    because: str
    build_id: str = ""
    """Of the board's copy, for `pin`."""

    @property
    def of_board(self) -> bool:
        """True where only the board's copy is wanted."""
        return self.prefer in (Prefer.BOARD, Prefer.NEVER)


@dataclass(frozen=True, slots=True, kw_only=True)
class Preferences:
    """The rules of one board.

    Parameters
    ----------
    rules:
        By SONAME, or by the name without its version (`libcurl`).
    i_know:
        A reason for taking a board's copy whose proof fails, where a rule allows no other; empty: none is given.
    ranges:
        SONAME to the versions that recipes ask for; it counts where a board's copy has no version nodes.
    types:
        Compares the types of our copy and the board's; a proof that holds fails where they differ.
    """

    rules: Mapping[str, Preference] = field(default_factory=dict)
    i_know: str = ""
    ranges: Mapping[str, str] = field(default_factory=dict)
    types: CompareTypes | None = None

    def of(self, soname: str) -> Preference | None:
        """Return the rule for a library: what holds for every board comes first."""
        if is_of_libc(soname):
            return Preference(prefer=Prefer.NEVER, because="a process has one C library")
        if _GSTREAMER.fullmatch(soname):
            return Preference(prefer=Prefer.NEVER, because="GStreamer's types are registered once in a process")
        return self.rules.get(soname) or self.rules.get(library_stem(soname))

    def always(self, soname: str) -> bool:
        """Tell whether a library travels to no board at all."""
        return is_of_libc(soname) or bool(_GSTREAMER.fullmatch(soname))


@functools.lru_cache(maxsize=8192)
def library_stem(soname: str) -> str:
    """Return the name of a library without its version: `libcrypto` for libcrypto.so.1.1 and libcrypto.so.3."""
    return _STEM.sub("", soname)
