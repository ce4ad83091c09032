"""Pairs by what happens to the one symbol: its form, its versions, its size, who may see it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

from recipes.arch import Libc
from tests.corpus import definitions as c
from tests.support.corpus import PLACE, Pair, Traits, Unit, library, program

AID = "AID { global: where; whole; };"
V1 = AID + " V1 { global: value; local: *; };"
V2 = AID + " V2 { global: value; local: *; };"
KEPT = AID + " V1 { global: another; local: *; };"
MOVED = AID + " V1 { global: another; local: *; }; V2 { global: value; } V1;"
BOTH = AID + " V1 { local: value_*; }; V2 { } V1;"
THREE = BOTH + " V3 { } V2;"
FIRST = "V1 { local: value_*; }; V2 { } V1; " + AID
ANOTHER = " int another(int x) { return x; }"


@dataclass(frozen=True, slots=True, kw_only=True)
class Use:
    """A way to use the symbol: its form, and what is compiled of ours around a library of ours."""

    name: str
    form: str
    kept: Callable[[Unit], dict[str, Unit]]
    swaps: tuple[str, ...]
    """Forms that it may change into."""


def _direct(source: str, *flags: str) -> Callable[[Unit], dict[str, Unit]]:
    return lambda ours: {"program": program(source, ours, **({"flags": flags} if flags else {}))}


def _between(form: str) -> Callable[[Unit], dict[str, Unit]]:
    """Return a library of ours between the program, which does not name the board's, and the board's."""

    def kept(ours: Unit) -> dict[str, Unit]:
        source = c.check(form, name="middle")
        rpath = ("-Wl,--enable-new-dtags", "-Wl,-rpath,$ORIGIN/../lib")
        middle = library(source, *rpath, soname="libmiddle.so", against=(ours,))
        flags = ("-fPIE", "-pie", "-Wl,-rpath,$ORIGIN/own", "-Wl,--unresolved-symbols=ignore-in-shared-libs")
        return {"program": program(c.MIDDLE, middle, flags=flags), "own/libmiddle.so": middle}

    return kept


def uses(traits: Traits) -> Iterator[Use]:
    """Yield every way to use the symbol that this target has."""
    copies = traits.copies
    code = ("data", "tls", *(("indirect",) if traits.indirect or traits.libc is not Libc.GLIBC else ()))
    yield Use(name="call", form="function", kept=_direct(c.check("function")), swaps=code)
    yield Use(
        name="pointer", form="function", kept=_direct(c.check("function", body=c.POINTER), *copies), swaps=("data",)
    )
    yield Use(
        name="weak", form="function", kept=_direct(c.WEAK, "-fPIE", "-pie", "-Wl,--no-as-needed"), swaps=("data",)
    )
    yield Use(name="between", form="function", kept=_between("function"), swaps=("tls",))
    yield Use(name="data", form="data", kept=_direct(c.check("data"), "-fPIC", "-pie"), swaps=("function", "tls"))
    yield Use(name="copy", form="data", kept=_direct(c.check("data"), *copies), swaps=("function", "tls"))
    yield Use(name="constant", form="constant", kept=_direct(c.check("constant"), *copies), swaps=("function",))
    yield Use(name="databetween", form="data", kept=_between("data"), swaps=("function",))
    yield Use(name="tls", form="tls", kept=_direct(c.check("tls")), swaps=("data", "function"))
    yield Use(name="tlsbetween", form="tls", kept=_between("tls"), swaps=("data",))


def plain(form: str, *, attribute: str = "", count: int = 4) -> str:
    """Return the C of a library with the symbol and its helpers."""
    return f"{c.define(form, attribute=attribute, count=count)} {c.helpers(form, count)}"


def unversioned(use: Use, traits: Traits) -> Iterator[tuple[str, Unit, bool]]:
    """Yield (change, the board's library, possible) where ours has no version nodes."""
    form = use.form
    good = plain(form)
    yield "same", library(good), True
    yield "more", library(good + ANOTHER), True
    yield "weakly", library(plain(form, attribute="__attribute__((weak))")), True
    yield "protected", library(plain(form, attribute='__attribute__((visibility("protected")))')), True
    yield "hidden", library(plain(form, attribute='__attribute__((visibility("hidden")))')), True
    yield "symbolic", library(good, "-Wl,-Bsymbolic"), True
    yield "stripped", library(good, "-s", "-Wl,--hash-style=sysv"), True
    yield "removed", library(c.NO_HELPERS + ANOTHER), True
    yield "default", library(good, script=V1), True
    yield "old", library(c.versioned(form, True, False) + c.helpers(form, symbol="value_old"), script=BOTH), True
    both = c.versioned(form, True, True) + c.helpers(form, symbol="value_new")
    yield "both", library(both, script=BOTH), True
    yield "both-old-first", library(both, script=FIRST), True
    if form in c.ALIASES:
        yield "alias", library(c.ALIASES[form] + c.helpers(form)), True
    for other in use.swaps:
        yield f"to-{other}", library(plain(other)), False
    yield from _sizes(use, "")


def _sizes(use: Use, script: str) -> Iterator[tuple[str, Unit, bool]]:
    """Yield objects of another size; one that only grew may work for who holds no copy, and no ELF fact says so."""
    if use.form == "function":
        return
    front = c.define(use.form).replace("[4] = {", "[5] = {40, ")
    yield "larger", library(plain(use.form, count=8), script=script), False
    yield "shorter", library(plain(use.form, count=2), script=script), True
    yield "in-front", library(f"{front} {c.helpers(use.form)}", script=script), True


def one_node(use: Use, traits: Traits) -> Iterator[tuple[str, Unit, bool]]:
    """Yield (change, the board's library, possible) where ours has the symbol at V1."""
    form = use.form
    good, bad = plain(form), c.define(form, good=False) + c.helpers(form)
    touch = " int getpid(void); int touched(void) { return getpid(); }"
    yield "same", library(good, script=V1), True
    yield "marked", library(good + touch), True
    yield "bare", library(good, "-nostdlib"), True
    yield "gone", library(bad, script=V2), True
    yield "moved", library(bad + ANOTHER, script=MOVED), True
    yield "removed", library(c.NO_HELPERS + ANOTHER, script=KEPT), True
    kept = c.versioned(form, True, True, swapped=True) + c.helpers(form, symbol="value_old")
    yield "both", library(kept, script=BOTH), True
    lone = c.versioned(form, True, False, swapped=True) + c.helpers(form, symbol="value_old")
    yield "not-default", library(lone, script=BOTH), True
    yield "base", library(good + ANOTHER, script="AID { global: where; whole; }; V1 { global: another; };"), True
    for other in use.swaps[:1]:
        yield f"to-{other}", library(plain(other), script=V1), False
    if use.name in ("copy", "databetween", "tls"):
        yield from _sizes(use, V1)
    empty = AID + " V1 { };"
    behind = library(c.define(form), soname="libbehind.so.1", script="V1 { global: value; };")
    declared = c.DECLARED[form].partition("; ")[0] + ";"
    front = declared + c.helpers(form)
    yield "behind", library(front, script=empty, against=(behind,)), True


def two_nodes(use: Use, traits: Traits) -> Iterator[tuple[str, Unit, bool]]:
    """Yield (change, the board's library, possible) where ours has the symbol at V1 and, as the default, at V2."""
    form = use.form
    new = c.helpers(form, symbol="value_new")
    yield "same", library(c.versioned(form, True, True) + new, script=BOTH), True
    yield "new-only", library(c.versioned(form, False, True) + new, script=BOTH), True
    yield "old-only", library(c.versioned(form, True, False) + c.helpers(form, symbol="value_old"), script=BOTH), True
    yield "swapped", library(c.versioned(form, True, True, default="V1") + new, script=BOTH), True
    third = c.versioned(form, True, True, default="V3", third=True) + new
    yield "third", library(third, script=THREE), True


def pairs(traits: Traits) -> Iterator[Pair]:
    """Yield every pair of a use, a scheme of versions and a change."""
    for use in uses(traits):
        plainly = library(plain(use.form))
        at_v1 = library(plain(use.form), script=V1)
        twice = library(c.versioned(use.form, True, True) + c.helpers(use.form, symbol="value_new"), script=BOTH)
        schemes = [("none", plainly, unversioned), ("one", at_v1, one_node)]
        if use.name in ("call", "between", "copy", "data", "tls"):
            schemes.append(("two", twice, two_nodes))
        for scheme, ours, changes in schemes:
            kept = use.kept(ours)
            for change, theirs, possible in changes(use, traits):
                board = {PLACE: theirs, **{f"lib/{one.name}": one for one in theirs.against}}
                # Of several versions uClibc's takes the one that the linker happened to put first into a table.
                known = traits.libc is not Libc.UCLIBC or theirs.source.count(".symver value_") < 2
                yield Pair(
                    name=f"{use.name}-{scheme}-{change}", ours=ours, kept=kept, board=board, possible=possible and known
                )
    if traits.libc is not Libc.GLIBC:
        return  # the others cannot give a program anything but the default
    old = {"program": program(c.OLD, library(c.versioned("function", True, True), script=BOTH))}
    call = next(uses(traits))
    for change, theirs, possible in two_nodes(call, traits):
        ours = library(c.versioned("function", True, True), script=BOTH)
        yield Pair(name=f"asks-old-{change}", ours=ours, kept=old, board={PLACE: theirs}, possible=possible)
