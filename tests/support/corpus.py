"""Pairs of tiny libraries: ours, that a program is linked with, and the board's, that it meets at run time.

A pair says what is compiled and where it lies; `tests.corpus.batch` makes and runs all pairs of a target at once.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from recipes.arch import Libc

SONAME = "libcorpus.so.1"
PLACE = f"lib/{SONAME}"
OURS = "ours.so"
"""Where the library lies that the program was linked with, for our proof to read; no loader looks there."""
HERE = ("-Wl,--enable-new-dtags", "-Wl,-rpath,$ORIGIN/lib")


@dataclass(frozen=True, slots=True, kw_only=True)
class Unit:
    """One file that the compiler makes of one C source.

    Parameters
    ----------
    soname:
        Empty for a program, and for a library without one.
    script:
        The version script, or nothing.
    against:
        What it is linked with.
    """

    name: str
    source: str
    flags: tuple[str, ...] = ()
    soname: str = ""
    script: str = ""
    against: tuple[Unit, ...] = ()

    @property
    def path(self) -> str:
        """Where it is made: units of the same content are one."""
        return f"made/{hashlib.sha256(repr(self).encode()).hexdigest()[:16]}/{self.name}"

    def all(self) -> Iterator[Unit]:
        """Yield what it is linked with, all the way down, and itself last."""
        for library in self.against:
            yield from library.all()
        yield self


@dataclass(frozen=True, slots=True, kw_only=True)
class Damaged:
    """A unit with something done to its bytes: `cut` at a place, or `set` bytes at one."""

    unit: Unit
    what: str
    at: str
    to: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Link:
    """A symbolic link."""

    target: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Pair:
    """One question to the loader and to us.

    Parameters
    ----------
    kept:
        What travels: the program, and libraries of ours beside it.
    board:
        Files below the folder that stands for the board's root.
    possible:
        False where a good exit proves nothing: a damaged file that happens to work, or one that says that it is
        another interface. Such a pair can be a wrong drop, and is never a missed one.
    """

    name: str
    ours: Unit
    kept: Mapping[str, Unit]
    board: Mapping[str, Unit | Damaged | Link | bytes]
    possible: bool = True

    def units(self) -> Iterator[Unit]:
        """Yield all that has to be compiled, in an order that can be."""
        for unit in (*self.kept.values(), *self.board.values()):
            if isinstance(unit, Damaged):
                yield from unit.unit.all()
            elif isinstance(unit, Unit):
                yield from unit.all()

    def plan(self) -> dict[str, Any]:
        """Return how the pair is laid out, for the batch in the container."""
        files: list[tuple[str, ...]] = [(OURS, "copy", self.ours.path)]
        for place, part in (*self.kept.items(), *self.board.items()):
            match part:
                case Unit():
                    files.append((place, "copy", part.path))
                case Damaged():
                    files.append((place, part.what, part.unit.path, part.at, part.to))
                case Link():
                    files.append((place, "link", part.target))
                case bytes():
                    files.append((place, "text", part.decode("latin-1")))
        return {"name": self.name, "files": files}


@dataclass(frozen=True, slots=True, kw_only=True)
class Traits:
    """What a target's compiler and loader can do."""

    libc: Libc = Libc.GLIBC
    indirect: bool = True
    """Indirect functions."""
    copies: tuple[str, ...] = ("-fno-pic", "-no-pie")
    """How a program is compiled that holds copies of a library's objects."""
    other_class: tuple[str, ...] = ()
    """Flags for the same family of machines with other pointers."""
    other_float: tuple[str, ...] = ()
    """Flags for the other float ABI."""
    wide: bool = True
    big: bool = False


def library(source: str, *flags: str, script: str = "", soname: str = SONAME, against: tuple[Unit, ...] = ()) -> Unit:
    """Return a shared library."""
    return Unit(
        name=soname or SONAME,
        source=source,
        flags=("-shared", "-fPIC", *flags),
        soname=soname,
        script=script,
        against=against,
    )


def program(source: str, *against: Unit, flags: tuple[str, ...] = ("-fPIE", "-pie")) -> Unit:
    """Return a program that looks for its libraries below its own folder."""
    return Unit(name="program", source=source, flags=(*flags, *HERE), against=against)
