"""What the cases of the loaders' rules are made of: files that the compiler makes, roots, the copy that is taken."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum

from recipes.arch import Libc

NAME = "libwhich.so.1"
MID = "libmid.so.1"
PROGRAM = "/app/bin/program"
NOTHING = 127
WHICH = "int which(void); int main(void) { return which(); }"
PLATFORMS = ("x86_64", "haswell", "xeon_phi", "v6l", "v7l", "v8l", "aarch64")


@dataclass(frozen=True, slots=True, kw_only=True)
class Part:
    """One file that the compiler makes.

    Parameters
    ----------
    machine:
        Written over e_machine afterwards.
    both:
        Its DT_DEPAUDIT is made a DT_RPATH afterwards: no linker writes that beside a DT_RUNPATH.
    """

    source: str
    flags: tuple[str, ...] = ()
    against: tuple[Part, ...] = ()
    machine: str = ""
    both: bool = False

    @property
    def path(self) -> str:
        return f"made/{hashlib.sha256(repr((self.source, self.flags, self.against)).encode()).hexdigest()[:16]}.so"


class Odd(StrEnum):
    """What is no regular file under a library's name."""

    FOLDER = "folder"
    FIFO = "fifo"


Files = dict[str, Part | bytes | str | Odd]


@dataclass(frozen=True, slots=True, kw_only=True)
class Case:
    """One root.

    Parameters
    ----------
    files:
        Path to a unit, the bytes of a file, the target of a link, or what else is there.
    glibc, musl, uclibc:
        The number of the copy that is taken, NOTHING where the program does not start; None leaves the case out.
    either:
        It depends on the processor: the loader's copy has to be among those that the rules name.
    unproved:
        uClibc's loader takes one, and our rules name none.
    doubtful:
        The loader takes one, and our rules name none: it does not compare all that they do.
    last:
        The process has two copies, and the program's number is of the second.
    private:
        The first of the files may be read by root alone, and the program is started by somebody else; who starts it on
        a board is not known, so that our rules name none.
    """

    name: str
    files: Mapping[str, Part | bytes | str | Odd]
    glibc: int | None
    musl: int | None
    uclibc: int | None
    environment: str = ""
    real: str = PROGRAM
    ldconfig: bool = False
    either: bool = False
    unproved: bool = False
    last: bool = False
    doubtful: bool = False
    private: bool = False
    only: tuple[str, ...] = field(default=())

    def of(self, libc: Libc) -> int | None:
        return {Libc.GLIBC: self.glibc, Libc.MUSL: self.musl, Libc.UCLIBC: self.uclibc}[libc]


def search(path: str, *, old: bool = False) -> tuple[str, ...]:
    return (f"-Wl,--{'disable' if old else 'enable'}-new-dtags", f"-Wl,-rpath,{path}") if path else ()


def which(number: int, *more: str, soname: str = NAME, machine: str = "") -> Part:
    """Return a copy of the library that says its number; the symbol of that name is for our own reading."""
    source = f"int which(void) {{ return {number}; }} int copy_{number}(void) {{ return 0; }}"
    return Part(source=source, flags=("-shared", "-fPIC", f"-Wl,-soname,{soname}", *more), machine=machine)


def mid(path: str = "", *, old: bool = False, calls: str = "which") -> Part:
    flags = ("-shared", "-fPIC", f"-Wl,-soname,{MID}", *search(path, old=old))
    # A copy's own function says nothing, and is only in the copy of that number.
    body = "return which();" if calls == "which" else f"return {calls}() + {calls.rpartition('_')[2]};"
    return Part(source=f"int {calls}(void); int mid(void) {{ {body} }}", flags=flags, against=(which(0),))


def direct(path: str = "", *, old: bool = False, against: Part | None = None) -> Part:
    return Part(source=WHICH, flags=search(path, old=old), against=(against or which(0),))


def through(path: str = "", *first: Part, old: bool = False) -> Part:
    """Return a program that asks for libmid, after what else it asks for."""
    flags = ("-Wl,--unresolved-symbols=ignore-in-shared-libs", *search(path, old=old))
    source = "int mid(void); int main(void) { return mid(); }"
    return Part(source=source, flags=flags, against=(*first, mid()))


def copies(**places: int) -> Files:
    folders = {"a": "/a", "b": "/b", "usual": "/usr/lib", "opt": "/opt/x", "app": "/app/lib", "deep": "/app/lib/deep"}
    return {f"{folders[place]}/{NAME}": which(number) for place, number in places.items()}
