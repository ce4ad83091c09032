"""What a board's file says of single libraries, and what holds for every board; each rule with its reason."""

from __future__ import annotations

import difflib
import functools
import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from enum import Enum

from recipes.errors import ConfigError
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
        return _of_every_board(soname) or self.rules.get(soname) or self.rules.get(library_stem(soname))

    def always(self, soname: str) -> bool:
        """Tell whether a library travels to no board at all."""
        return _of_every_board(soname) is not None

    def refuse_idle(self, libraries: Iterable[str]) -> None:
        """Refuse rules that decide nothing in a plan of these libraries: a slip would be taken for a decision.

        Raises
        ------
        ConfigError
            No library of the plan has the name of a rule, or what it is about is the board's own on every board.
        """
        sonames = sorted({*libraries})
        known = sorted({*sonames, *map(library_stem, sonames)})
        faults = []
        for name, rule in self.rules.items():
            meant = [name, f"{name}.so", *(soname for soname in sonames if library_stem(soname) == name)]
            fixed = next(filter(None, map(_of_every_board, meant)), None)
            near = difflib.get_close_matches(name, known, n=1)
            if fixed is not None:
                never = "is so in any case" if rule.of_board else "happens never"
                faults.append(f"[dedupe.{_key(name)}] says {rule.prefer.value}, which {never}: {fixed.because}")
            elif name not in known:
                hint = f"; did you mean {near[0]}?" if near else ""
                faults.append(f"[dedupe.{_key(name)}]: no library of this plan has that name{hint}")
        if faults:
            raise ConfigError(
                "a rule that can never act" if len(faults) == 1 else f"{len(faults)} rules that can never act",
                where="[dedupe] in the board's file",
                why="\n       ".join(faults),
                next_step="correct its name, or take it out; the C library and GStreamer are always the board's own",
            )


def _of_every_board(soname: str) -> Preference | None:
    """Return the rule that holds for a library on every board; None where there is none."""
    if is_of_libc(soname):
        return Preference(prefer=Prefer.NEVER, because="a process has one C library")
    if _GSTREAMER.fullmatch(soname):
        return Preference(prefer=Prefer.NEVER, because="GStreamer's types are registered once in a process")
    return None


def _key(name: str) -> str:
    """Return a name as TOML writes it in the head of a table."""
    return name if re.fullmatch(r"[\w-]+", name) else f'"{name}"'


@functools.lru_cache(maxsize=8192)
def library_stem(soname: str) -> str:
    """Return the name of a library without its version: `libcrypto` for libcrypto.so.1.1 and libcrypto.so.3."""
    return _STEM.sub("", soname)
