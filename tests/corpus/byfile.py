"""Pairs by what the board's file is: what it needs, where links lead, for which machine it is, how it is damaged."""

from __future__ import annotations

from collections.abc import Iterator

from recipes.arch import Libc
from tests.corpus import definitions as c
from tests.corpus.bysymbol import V1, plain
from tests.support.corpus import PLACE, SONAME, Damaged, Link, Pair, Traits, Unit, library, program

GOOD = library(plain("function"))
EXTRA = library("int extra(void) { return 0; }", soname="libextra.so.1")
NODE = library("int extra(void) { return 0; }", soname="libextra.so.1", script="E1 { global: extra; };")
OTHER_NODE = library("int extra(void) { return 0; }", soname="libextra.so.1", script="E2 { global: extra; };")
EMPTY = library("int nothing(void) { return 0; }", soname="libextra.so.1")
NEEDY = "int extra(void); int value(int x) { return 2 * x + 1 + extra(); } " + c.helpers("function")
CALL = program(c.check("function"), GOOD)
Board = dict[str, Unit | Damaged | Link | bytes]


def needs() -> Iterator[tuple[str, Board]]:
    """Yield boards whose copy needs something itself."""
    needy, by_node = library(NEEDY, against=(EXTRA,)), library(NEEDY, against=(NODE,))
    yield "met", {PLACE: needy, "lib/libextra.so.1": EXTRA}
    yield "unmet", {PLACE: needy}
    yield "without-the-symbol", {PLACE: needy, "lib/libextra.so.1": EMPTY}
    yield "at-its-node", {PLACE: by_node, "lib/libextra.so.1": NODE}
    yield "at-another-node", {PLACE: by_node, "lib/libextra.so.1": OTHER_NODE}
    yield "without-a-node", {PLACE: by_node, "lib/libextra.so.1": EXTRA}
    nearby = ("-Wl,--enable-new-dtags", "-Wl,-rpath,$ORIGIN/private")
    private = library(NEEDY, *nearby, against=(EXTRA,))
    yield "in-its-own-folder", {PLACE: private, "lib/private/libextra.so.1": EXTRA}
    yield "in-nobodys-folder", {PLACE: needy, "lib/private/libextra.so.1": EXTRA}
    deep = library("int deep(void) { return 0; }", soname="libdeep.so.1")
    through = library("int deep(void); int extra(void) { return deep(); }", soname="libextra.so.1", against=(deep,))
    yield (
        "deep-met",
        {PLACE: library(NEEDY, against=(through,)), "lib/libextra.so.1": through, "lib/libdeep.so.1": deep},
    )
    yield "deep-unmet", {PLACE: library(NEEDY, against=(through,)), "lib/libextra.so.1": through}
    inherited = ("-Wl,--disable-new-dtags", "-Wl,-rpath,$ORIGIN/private")
    handed = library(NEEDY, *inherited, against=(through,))
    yield (
        "handed-down",
        {PLACE: handed, "lib/private/libextra.so.1": through, "lib/private/libdeep.so.1": deep},
    )
    yield "of-nobody", {PLACE: library(NEEDY)}
    yield (
        "weakly",
        {
            PLACE: library(
                NEEDY.replace("int extra(void);", "int extra(void) __attribute__((weak));").replace(
                    "+ extra()", "+ (extra ? extra() : 0)"
                )
            )
        },
    )


def links() -> Iterator[tuple[str, Board]]:
    """Yield boards where the copy is found through links, or not."""
    yield "one", {PLACE: Link(target="libcorpus.so.1.2.3"), "lib/libcorpus.so.1.2.3": GOOD}
    chain: Board = {PLACE: Link(target="b"), "lib/b": Link(target="c"), "lib/c": Link(target="./d"), "lib/d": GOOD}
    yield "chain", chain
    yield "elsewhere", {PLACE: Link(target="../opt/vendor/x.so"), "opt/vendor/x.so": GOOD}
    yield "folder", {"lib": Link(target="usr/lib"), f"usr/{PLACE}": GOOD}
    yield "nowhere", {PLACE: Link(target="gone")}
    yield "loop", {PLACE: Link(target="b"), "lib/b": Link(target=SONAME)}
    yield "to-another", {PLACE: Link(target="other.so"), "lib/other.so": library(c.NO_HELPERS, soname="other.so")}


def names() -> Iterator[tuple[str, Unit, Board, bool]]:
    """Yield boards whose copy says that it is another library than its file name does."""
    second = library(plain("function"), soname="libcorpus.so.2")
    with_nodes = library(plain("function"), script=V1, soname="libcorpus.so.2")
    at_v1 = library(plain("function"), script=V1)
    yield "moved-on", GOOD, {"lib/libcorpus.so.2": second}, True
    yield "moved-on-linked", GOOD, {PLACE: Link(target="libcorpus.so.2"), "lib/libcorpus.so.2": second}, False
    yield "moved-on-with-nodes", at_v1, {PLACE: with_nodes}, True
    yield "unnamed", GOOD, {PLACE: library(plain("function"), soname="")}, True
    yield "no-elf", GOOD, {PLACE: b"INPUT(libcorpus.so.2)\n"}, True
    yield "empty", GOOD, {PLACE: b""}, True


def machines(traits: Traits) -> Iterator[tuple[str, Unit, Unit, str]]:
    """Yield (name, ours, the board's, the program) of libraries for other machines than ours."""
    half = "double value(double x) { return x / 2; }"
    takes = "double value(double); int main(void) { volatile double x = 5; return value(x) == 2.5 ? 0 : 1; }"
    yield "same-float", library(half), library(half), takes
    if traits.other_float:
        yield "other-float", library(half), library(half, *traits.other_float, "-nostdlib"), takes
    if traits.other_class:
        other = library(plain("function"), *traits.other_class, "-nostdlib")
        yield "other-class", GOOD, other, c.check("function")


def damages(traits: Traits) -> Iterator[tuple[str, Damaged]]:
    """Yield the same good library, cut or with bytes of its headers changed."""
    for cut in ("0", "4", "16", "40", "63", "10%", "25%", "50%", "75%", "90%"):
        yield f"cut-{cut.replace('%', '-percent')}", Damaged(unit=GOOD, what="cut", at=cut)
    wide = traits.wide
    fields = {"class": 4, "encoding": 5, "version": 6, "system": 7, "abi": 8, "padding": 12, "type": 17, "machine": 19}
    fields |= {"type-low": 16, "machine-low": 18, "elf-version": 20 if not traits.big else 23}
    fields |= {"phoff": 32 if wide else 28, "phentsize": 54 if wide else 42, "phnum": 56 if wide else 44}
    fields |= {"shoff": 40 if wide else 32, "shentsize": 58 if wide else 46, "shnum": 60 if wide else 48}
    for name, at in fields.items():
        yield f"set-{name}", Damaged(unit=GOOD, what="set", at=str(at), to="ff")
    # The first entry of the program headers is a PT_LOAD, but for MIPS, which has one of its own there.
    places = {"kind": 0, "offset": 8 if wide else 4, "address": 16 if wide else 8, "size": 32 if wide else 16}
    for name, at in places.items():
        yield f"load-{name}", Damaged(unit=GOOD, what="set", at=f"program+{at}", to="7777")


def _note(name: str, kind: int, *words: int) -> str:
    """Return the C of a note of GNU's name."""
    values = ", ".join(map(hex, words))
    head = f'.section {name},\\"a\\",%note; .p2align 3; .long 4, {4 * len(words)}, {kind}; .asciz \\"GNU\\"'
    return f' __asm__("{head}; .long {values}; .previous");'


TLS = " static __thread char many[{count}]; int own(void) {{ return many[{count} - 1]++; }}"
RELATIVE = " static int one; int *table[] = {&one, &one, &one, &one, &one}; int other(void) { return *table[3]; }"
LOCAL = (
    " static int here(int x) { return x; } static void *choose(void) { return here; }"
    ' static int chosen(int) __attribute__((ifunc("choose"))); int other(void) { return chosen(3); }'
)


def asks(traits: Traits) -> Iterator[tuple[str, Unit, bool]]:
    """Yield copies that ask more of the loader than names and symbols say, and whether that may be granted."""
    source = plain("function")
    whole = source + " int main(void) { return 0; }"
    yield "pie", Unit(name=SONAME, source=whole, flags=("-pie", "-fPIE", "-Wl,-E"), soname=SONAME), False
    yield "filter-of-nothing", library(source, "-Wl,-F,libgone.so.1"), False
    yield "auxiliary-of-nothing", library(source, "-Wl,-f,libgone.so.1"), False
    yield "relative-packed", library(source + RELATIVE, "-Wl,-z,pack-relative-relocs"), False
    for name, flag in (("first", "initfirst"), ("for-good", "nodelete"), ("now", "now"), ("before", "interpose")):
        yield name, library(source, f"-Wl,-z,{flag}"), True
    yield "not-later", library(source, "-Wl,-z,nodlopen"), False
    yield "for-all", library(source, "-Wl,-z,global"), True
    yield "an-executable-stack", library(source, "-Wl,-z,execstack"), False
    yield "much-static-tls", library(source + TLS.format(count=5000), "-ftls-model=initial-exec"), False
    yield "a-newer-kernel", library(source + _note(".note.ABI-tag", 1, 0, 99, 0, 0)), False
    yield "another-system", library(source + _note(".note.ABI-tag", 1, 2, 2, 0, 0)), False
    step = (0,) if traits.wide else ()
    yield "a-property-of-nobody", library(source + _note(".note.gnu.property", 5, 0xB0008000, 4, 2, *step)), False
    yield "a-processor-of-nobody", library(source + _note(".note.gnu.property", 5, 0xC0008002, 4, 128, *step)), False
    yield "audits", library(source, "-Wl,--audit,libgone.so", "-Wl,--depaudit,libgone.so"), True
    if traits.libc is not Libc.GLIBC or traits.indirect:
        yield "a-function-that-is-chosen", library(source + LOCAL), traits.libc is Libc.GLIBC


def pairs(traits: Traits) -> Iterator[Pair]:
    """Yield every pair of this kind."""
    kept = {"program": CALL}
    at_v1 = library(plain("function"), script=V1)
    for group, boards in (("needs", needs()), ("links", links())):
        for name, board in boards:
            yield Pair(name=f"{group}-{name}", ours=GOOD, kept=kept, board=board)
    for name, ours, board, possible in names():
        mine = kept if ours == GOOD else {"program": program(c.check("function"), at_v1)}
        yield Pair(name=f"names-{name}", ours=ours, kept=mine, board=board, possible=possible)
    for name, ours, theirs, source in machines(traits):
        yield Pair(name=f"machine-{name}", ours=ours, kept={"program": program(source, ours)}, board={PLACE: theirs})
    for name, damaged in damages(traits):
        yield Pair(name=f"damaged-{name}", ours=GOOD, kept=kept, board={PLACE: damaged}, possible=False)
    # Cut where its section headers begin it is whole for a loader.
    cut = Damaged(unit=GOOD, what="cut", at="sections")
    yield Pair(name="damaged-cut-sections", ours=GOOD, kept=kept, board={PLACE: cut})
    for name, theirs, possible in asks(traits):
        yield Pair(name=f"asks-{name}", ours=GOOD, kept=kept, board={PLACE: theirs}, possible=possible)
    yield from callbacks(traits)


def callbacks(traits: Traits) -> Iterator[Pair]:
    """Yield libraries that call back into the program, and symbols that a process never has."""
    calls = "int hook(void); int value(int x) { return 2 * x + 1 + hook(); } " + c.helpers("function")
    ours = library(calls)
    source = "int hook(void) { return 0; } " + c.check("function")
    with_hook = {"program": program(source, ours, flags=("-fPIE", "-pie", "-rdynamic"))}
    yield Pair(name="callback-same", ours=ours, kept=with_hook, board={PLACE: ours})
    more = library(calls.replace("hook()", "hook() + hook2()").replace("int hook", "int hook2(void); int hook", 1))
    yield Pair(name="callback-unmet", ours=ours, kept=with_hook, board={PLACE: more})
    yield Pair(name="callback-none", ours=ours, kept=with_hook, board={PLACE: GOOD})
    optional = {"program": program(c.OPTIONAL, GOOD)}
    yield Pair(name="optional-nowhere", ours=GOOD, kept=optional, board={PLACE: library(plain("function"), "-O2")})
    unique = '__asm__(".type value, %gnu_unique_object");'
    data = {"program": program(c.check("data"), library(plain("data")), flags=("-fPIC", "-pie"))}
    if traits.libc is not Libc.MUSL:
        only = library(unique + plain("data"))
        yield Pair(name="symbol-unique", ours=library(plain("data")), kept=data, board={PLACE: only})
    untyped = library(plain("function") + ' __asm__(".type value, %notype");')
    yield Pair(name="symbol-untyped", ours=GOOD, kept={"program": CALL}, board={PLACE: untyped})
    for table in ("gnu", "sysv", "both"):
        hashed = library(plain("function"), f"-Wl,--hash-style={table}")
        yield Pair(name=f"table-{table}", ours=GOOD, kept={"program": CALL}, board={PLACE: hashed})
    merely = {"program": program("int main(void) { return 0; }", GOOD, flags=("-Wl,--no-as-needed", "-fPIE", "-pie"))}
    yield Pair(name="named-only", ours=GOOD, kept=merely, board={PLACE: GOOD})
    yield Pair(name="named-only-empty", ours=GOOD, kept=merely, board={PLACE: library("")}, possible=False)
