"""The loader's rules as roots: one small layout for each, with what each of the three loaders is to take from it."""

from __future__ import annotations

import struct
from collections.abc import Iterator
from dataclasses import replace

from recipes.arch import ARCHES
from tests.corpus.ruleparts import (
    MID,
    NAME,
    NOTHING,
    PLATFORMS,
    PROGRAM,
    WHICH,
    Case,
    Files,
    Odd,
    Part,
    copies,
    direct,
    mid,
    search,
    through,
    which,
)
from tests.support import loadercache
from tests.support.corpus import Traits


def paths() -> Iterator[Case]:
    """Yield the rules of RPATH, LD_LIBRARY_PATH, RUNPATH and the built-in folders."""
    three = copies(a=1, b=2, usual=3)
    rpath: Files = {PROGRAM: direct("/a", old=True), **three}
    yield Case(name="rpath-before-the-environment", files=rpath, environment="/b", glibc=1, musl=2, uclibc=1)
    runpath = {PROGRAM: direct("/a"), **three}
    yield Case(name="the-environment-before-runpath", files=runpath, environment="/b", glibc=2, musl=2, uclibc=2)
    yield Case(name="runpath-before-the-folders", files=runpath, glibc=1, musl=1, uclibc=1)
    yield Case(name="the-environment-in-order", files=runpath, environment="/none:/b:/a", glibc=2, musl=2, uclibc=2)
    yield Case(name="the-folders-serve-the-rest", files={PROGRAM: direct("/none"), **three}, glibc=3, musl=3, uclibc=3)
    yield Case(
        name="nowhere", files={PROGRAM: direct("/none"), **copies(opt=1)}, glibc=NOTHING, musl=NOTHING, uclibc=NOTHING
    )
    local = {PROGRAM: direct(), "/usr/local/lib/" + NAME: which(1), **copies(usual=3)}
    yield Case(name="usr-local-is-musls-folder-and-not-glibcs", files=local, glibc=3, musl=1, uclibc=3)
    first = {PROGRAM: direct(), "/lib/" + NAME: which(1), **copies(usual=3)}
    yield Case(name="lib-before-usr-lib", files=first, glibc=1, musl=1, uclibc=1)
    linked: Files = {PROGRAM: direct(), f"/usr/lib/{NAME}": "libwhich.so.1.2", "/usr/lib/libwhich.so.1.2": which(3)}
    yield Case(name="links-are-followed", files=linked, glibc=3, musl=3, uclibc=3)


def chains() -> Iterator[Case]:
    """Yield what a file hands down to those that it asks for."""
    two = copies(a=1, usual=3)
    handed: Files = {PROGRAM: through("/a", old=True), f"/a/{MID}": mid(), **two}
    yield Case(name="rpath-is-inherited", files=handed, glibc=1, musl=1, uclibc=3)
    own = {PROGRAM: through("/a"), f"/a/{MID}": mid(), **two}
    yield Case(name="runpath-is-inherited-with-musl-only", files=own, glibc=3, musl=1, uclibc=3)
    shut = {PROGRAM: through("/a", old=True), f"/a/{MID}": mid("/none"), **two}
    yield Case(name="a-runpath-shuts-inherited-rpaths-out", files=shut, glibc=3, musl=1, uclibc=3)
    nearer = {PROGRAM: through("/a", old=True), f"/a/{MID}": mid("/b", old=True), **copies(a=1, b=2)}
    yield Case(name="the-files-own-rpath-comes-first", files=nearer, glibc=2, musl=2, uclibc=2)
    known = {PROGRAM: through("/a", which(0)), f"/a/{MID}": mid("/b"), **copies(a=1, b=2)}
    yield Case(name="a-loaded-name-is-not-searched-again", files=known, glibc=1, musl=1, uclibc=1)
    alias = which(0, soname="libalias.so")
    named: Files = {PROGRAM: through("/a", alias), f"/a/{MID}": mid(), "/a/libalias.so": which(1)}
    yield Case(name="glibc-knows-a-library-by-its-soname", files=named, glibc=1, musl=NOTHING, uclibc=NOTHING)


def tokens() -> Iterator[Case]:
    """Yield what $ORIGIN, $LIB and $PLATFORM stand for."""
    for name, text in (("origin", "$ORIGIN/../lib"), ("origin-in-braces", "${ORIGIN}/../lib")):
        yield Case(name=name, files={PROGRAM: direct(text), **copies(app=1, usual=3)}, glibc=1, musl=1, uclibc=3)
        old = {PROGRAM: direct(text, old=True), **copies(app=1, usual=3)}
        known = 1 if name == "origin" else 3
        yield Case(name=f"{name}-in-an-rpath", files=old, glibc=1, musl=1, uclibc=known)
    given = {PROGRAM: direct(), **copies(app=1, usual=3)}
    path = "/none:$ORIGIN/../lib"
    yield Case(name="origin-in-the-environment", files=given, environment=path, glibc=1, musl=3, uclibc=3)
    yield from _origins(old=False)
    yield from _origins(old=True)
    wide: Files = {PROGRAM: direct("/app/$LIB"), **copies(app=2, usual=3)}
    for triple in ("x86_64-linux-gnu", "arm-linux-gnueabihf", "aarch64-linux-gnu"):
        wide[f"/app/lib/{triple}/{NAME}"] = which(1)
    yield Case(name="lib-is-debians-multiarch-folder", files=wide, glibc=1, musl=3, uclibc=3)
    dropped = {PROGRAM: direct("/a:/app/${LIB}"), **copies(a=1, usual=3)}
    yield Case(name="musl-drops-a-path-with-another-token", files=dropped, glibc=1, musl=3, uclibc=1)
    platform: Files = {PROGRAM: direct("/app/$PLATFORM"), **copies(usual=3)}
    platform |= {f"/app/{one}/{NAME}": which(1) for one in PLATFORMS}
    yield Case(name="platform-is-the-kernels-word", files=platform, glibc=1, musl=3, uclibc=3, either=True)


def shut_out(arch: str) -> Iterator[Case]:
    """Yield what `-z nodefaultlib` (DF_1_NODEFLIB) does: only glibc's loader reads it, of who asks."""
    shy = replace(mid(), flags=(*mid().flags, "-Wl,-z,nodefaultlib"))
    files: Files = {PROGRAM: through("/a"), f"/a/{MID}": shy, **copies(usual=3)}
    yield Case(name="no-folders-of-its-own", files=files, glibc=NOTHING, musl=3, uclibc=3)
    own = loadercache.FLAGS[arch]

    def cached(place: str) -> bytes:
        return loadercache.glibc([(NAME, f"{place}/{NAME}", own, 0)])

    far = {**files, "/etc/ld.so.cache": cached("/opt/x"), **copies(opt=1)}
    yield Case(name="no-folders-of-its-own-and-a-cache", files=far, glibc=1, musl=3, uclibc=3)
    near = {**files, "/etc/ld.so.cache": cached("/usr/lib")}
    yield Case(name="no-folders-of-its-own-by-the-cache", files=near, glibc=NOTHING, musl=3, uclibc=3)


def _origins(*, old: bool) -> Iterator[Case]:
    """Yield whose folder $ORIGIN is; uClibc's knows it in an RPATH only."""
    end, one, two = ("-in-an-rpath", 1, 2) if old else ("", NOTHING, NOTHING)
    near = mid("$ORIGIN/deep", old=old)
    deep = {PROGRAM: through("$ORIGIN/../lib", old=old), f"/app/lib/{MID}": near, **copies(deep=1, usual=3)}
    yield Case(name=f"origin-of-a-library-is-its-own{end}", files=deep, glibc=1, musl=1, uclibc=one)
    linked = {**deep, f"/app/lib/{MID}": f"/real/{MID}", f"/real/{MID}": near, f"/real/deep/{NAME}": which(2)}
    yield Case(name=f"origin-is-of-the-symlink-as-found{end}", files=linked, glibc=1, musl=1, uclibc=one)
    real: Files = {PROGRAM: "/real/bin/program", "/real/bin/program": direct("$ORIGIN/../lib", old=old)}
    real |= {**copies(app=1), f"/real/lib/{NAME}": which(2)}
    name = f"origin-of-a-program-is-the-file-itself{end}"
    yield Case(name=name, files=real, real="/real/bin/program", glibc=2, musl=2, uclibc=two)


def caches(arch: str) -> Iterator[Case]:
    """Yield the rules of ld.so.conf, its cache, hwcaps folders and musl's list."""
    own = loadercache.FLAGS[arch]
    entry = (NAME, f"/opt/x/{NAME}", own, 0)
    cached = {PROGRAM: direct(), "/etc/ld.so.cache": loadercache.glibc([entry]), **copies(opt=1, usual=3)}
    yield Case(name="the-cache-before-the-folders", files=cached, glibc=1, musl=3, uclibc=3)
    runpath = {**cached, PROGRAM: direct("/a"), **copies(a=2)}
    yield Case(name="runpath-before-the-cache", files=runpath, glibc=2, musl=2, uclibc=2)
    both = {**cached, "/etc/ld.so.cache": loadercache.glibc([entry], behind=loadercache.old([entry]))}
    yield Case(name="the-new-cache-behind-an-old-one", files=both, glibc=1, musl=3, uclibc=3)
    gone = {one: what for one, what in cached.items() if not one.startswith("/opt")}
    yield Case(name="a-cache-entry-without-a-file-is-passed-over", files=gone, glibc=3, musl=3, uclibc=3)
    other = next(one for name, one in loadercache.FLAGS.items() if name not in (arch, "none"))
    foreign = {**cached, "/etc/ld.so.cache": loadercache.glibc([(NAME, f"/opt/x/{NAME}", other, 0)])}
    yield Case(name="a-cache-entry-of-another-machine-is-passed-over", files=foreign, glibc=3, musl=3, uclibc=3)
    plain = {**cached, "/etc/ld.so.cache": loadercache.glibc([(NAME, f"/opt/x/{NAME}", 3, 0)])}
    yield Case(
        name="an-entry-without-a-machine-counts-on-arm",
        files=plain,
        glibc=1 if arch == "armv7" else 3,
        musl=3,
        uclibc=3,
    )
    torn = {**cached, "/etc/ld.so.cache": loadercache.glibc([entry])[:60]}
    yield Case(name="a-torn-cache-is-none", files=torn, glibc=3, musl=3, uclibc=3)
    listed = {PROGRAM: direct(), "/etc/ld.so.conf": b"/opt/x\n", **copies(opt=1)}
    yield Case(
        name="ld-so-conf-counts-through-the-cache-only", files=listed, glibc=NOTHING, musl=NOTHING, uclibc=NOTHING
    )
    made = {
        **listed,
        "/etc/ld.so.conf": b"include ld.so.conf.d/*.conf\n",
        "/etc/ld.so.conf.d/1.conf": b"/opt/x # one\n",
    }
    yield Case(
        name="ldconfig-reads-includes", files=made, ldconfig=True, glibc=1, musl=None, uclibc=None, only=("x86_64",)
    )
    caps = {f"/opt/x/glibc-hwcaps/x86-64-v{level}/{NAME}": which(5) for level in (2, 3, 4)}
    some = {**made, **caps}
    yield Case(
        name="a-cached-hwcaps-copy-depends",
        files=some,
        ldconfig=True,
        glibc=5,
        musl=None,
        uclibc=None,
        either=True,
        only=("x86_64",),
    )
    below = {f"/usr/lib{one.removeprefix('/opt/x')}": what for one, what in caps.items()}
    hwcaps = {PROGRAM: direct(), **copies(usual=3), **below}
    taken = 5 if arch == "x86_64" else 3
    yield Case(name="a-hwcaps-copy-depends", files=hwcaps, glibc=taken, musl=3, uclibc=3, either=True)
    path = {PROGRAM: direct(), "/etc/ld-musl-x86_64.path": b"/none\n/opt/x:/b", **copies(opt=1, b=2, usual=3)}
    yield Case(name="musls-list-has-lines-and-colons", files=path, glibc=3, musl=1, uclibc=3)
    instead = {PROGRAM: direct(), "/etc/ld-musl-x86_64.path": b"/none\n", **copies(usual=3)}
    yield Case(name="musls-list-stands-for-its-folders", files=instead, glibc=3, musl=NOTHING, uclibc=3)


def old_caches() -> Iterator[Case]:
    """Yield the rules of uClibc's cache, which has glibc's older layout; glibc's no longer reads it alone."""
    ours, theirs = 4, 3
    root = {PROGRAM: direct(), **copies(opt=1, b=2, usual=3)}

    def case(name: str, cache: bytes, taken: int, **more: Part) -> Case:
        files: Files = {**root, "/etc/ld.so.cache": cache, **({PROGRAM: more["program"]} if more else {})}
        return Case(name=name, files=files, glibc=None, musl=3, uclibc=taken)

    good = loadercache.old([(NAME, f"/opt/x/{NAME}", ours, 0)])
    yield case("uclibcs-cache-before-the-folders", good, 1)
    yield case("uclibcs-cache-ends-with-a-zero", good[:-1] + b"x", 3)
    yield case("uclibcs-cache-is-read-whole-or-not", good[:30], 3)
    yield case("uclibc-passes-over-entries-for-glibc", loadercache.old([(NAME, f"/opt/x/{NAME}", theirs, 0)]), 3)
    rows = [(NAME, "/none", ours, 0), (NAME, f"/b/{NAME}", ours, 0), (NAME, f"/opt/x/{NAME}", ours, 0)]
    yield case("uclibc-tries-entry-after-entry", loadercache.old(rows), 2)
    files: Files = {**root, PROGRAM: direct("/b"), "/etc/ld.so.cache": good}
    yield Case(name="runpath-before-uclibcs-cache", files=files, glibc=None, musl=2, uclibc=2)


def again() -> Iterator[Case]:
    """Yield what uClibc does once more: look for a name that it has, and for one that was a path."""
    other = mid("/b", calls="copy_2")
    twice = {PROGRAM: through("/a", which(0)), f"/a/{MID}": other, **copies(a=1, b=2)}
    yield Case(name="a-loaded-name-is-searched-again", files=twice, glibc=None, musl=None, uclibc=2, last=True)
    path = direct(against=which(0, soname=f"/none/{NAME}"))
    yield Case(
        name="a-path-is-no-name", files={PROGRAM: path, **copies(usual=3)}, glibc=NOTHING, musl=NOTHING, uclibc=3
    )
    there = direct(against=which(0, soname=f"/a/{NAME}"))
    yield Case(name="a-path-is-taken-first", files={PROGRAM: there, **copies(a=1, usual=3)}, glibc=1, musl=1, uclibc=1)
    both = Part(source=WHICH, flags=(*search("/b"), "-Wl,--depaudit=/a"), against=(which(0),), both=True)
    files = {PROGRAM: both, **copies(a=1, b=2, usual=3)}
    yield Case(name="a-file-with-both-paths", files=files, glibc=2, musl=2, uclibc=2)


def wrong(arch: str, traits: Traits) -> Iterator[Case]:
    """Yield what a loader does with a file that is not for it; where uClibc's may take one we name none."""
    machine: Files = {PROGRAM: direct("/a:/b"), f"/a/{NAME}": which(1, machine="0800"), f"/b/{NAME}": which(2)}
    yield Case(name="another-machine-is-passed-over", files=machine, glibc=2, musl=None, uclibc=2)
    if traits.other_class:
        small = {**machine, f"/a/{NAME}": which(1, "-nostdlib", *traits.other_class)}
        one_number = arch == "aarch64"  # x86-64 and i386 are two machines, AArch64 is one with two sizes of pointers
        name = "another-class-is-where-musl-stops"
        yield Case(name=name, files=small, glibc=2, musl=NOTHING, uclibc=2, unproved=one_number)
    if traits.other_float:
        soft = {**machine, f"/a/{NAME}": which(1, "-nostdlib", *traits.other_float)}
        name = "another-float-abi-is-nothing-to-uclibc"
        yield Case(name=name, files=soft, glibc=2, musl=None, uclibc=1, unproved=True)
    cut: Files = {**machine, f"/a/{NAME}": b"\x7fELF"}
    name = "a-damaged-file-is-where-the-search-ends"
    yield Case(name=name, files=cut, glibc=NOTHING, musl=NOTHING, uclibc=2, unproved=True)


SCRIPT = b"/* GNU ld script */ GROUP ( /lib/libwhich.so.1.2 )\n"


def no_elf(arch: str, traits: Traits) -> Iterator[Case]:
    """Yield what a loader does with something else under a library's name, in a folder before the library's."""
    here = f"/a/{NAME}"
    rest: Files = {PROGRAM: direct("/a:/b"), f"/b/{NAME}": which(2)}

    nowhere = ("a-link-to-nothing", "a-link-through-a-file", "a-link-to-itself")

    def case(name: str, what: bytes | str | Odd | Part, glibc: int, musl: int, uclibc: int, **more: Part | Odd) -> Case:
        files: Files = {here: what, **rest, **{f"/a/{place}": one for place, one in more.items()}}
        # What is there ends our search for uClibc's loader too, which goes on; a link that leads nowhere does not.
        return Case(name=name, files=files, glibc=glibc, musl=musl, uclibc=uclibc, unproved=name not in nowhere)

    yield case("an-empty-file", b"", NOTHING, NOTHING, 2)
    yield case("a-few-bytes", b"\x7fEL", NOTHING, NOTHING, 2)
    yield case("a-linker-script", SCRIPT * 40, NOTHING, NOTHING, 2)
    yield case("a-short-linker-script", SCRIPT, NOTHING, NOTHING, 2)
    yield case("a-folder", Odd.FOLDER, NOTHING, NOTHING, 2)
    yield case("a-link-to-a-folder", "folder", NOTHING, NOTHING, 2, folder=Odd.FOLDER)
    yield case("a-fifo", Odd.FIFO, NOTHING, NOTHING, NOTHING)
    yield case("a-link-to-nothing", "gone", 2, 2, 2)
    yield case("a-link-through-a-file", f"{NAME}.txt/gone", 2, 2, 2)
    yield case("a-link-to-itself", NAME, NOTHING, NOTHING, 2)
    order = "<" if traits.big else ">"
    other = b"\x7fELF" + bytes([2 if traits.wide else 1, 1 if traits.big else 2, 1]) + bytes(9)
    other += struct.pack(f"{order}HHI", 3, ARCHES[arch].identity.machine, 1) + bytes(100)
    yield case("another-byte-order", other, 2, NOTHING, 2)
    hidden: Files = {here: which(1), **rest}
    yield Case(name="a-file-of-root-alone", files=hidden, glibc=2, musl=2, uclibc=2, private=True)


def mips_abis() -> Iterator[Case]:
    """Yield copies for the same processor that are called otherwise, or write numbers otherwise."""
    flags = {
        "nan-2008": ("-mnan=2008",),
        "soft-float": ("-msoft-float",),
        "single-float": ("-msingle-float",),
        "n32": ("-mabi=n32", "-march=mips64r2"),
        "n64": ("-mabi=64", "-march=mips64r2"),
        "release-6": ("-march=mips32r6", "-mnan=2008"),
    }
    for name, how in flags.items():
        files: Files = {PROGRAM: direct("/a:/b"), f"/a/{NAME}": which(1, "-nostdlib", *how), f"/b/{NAME}": which(2)}
        yield Case(name=f"mips-{name}-is-passed-over", files=files, glibc=2, musl=None, uclibc=None)
    for mode, sure in (("-mfp32", True), ("-mfpxx", True), ("-mfp64", False)):
        files = {PROGRAM: direct("/a:/b"), f"/a/{NAME}": which(1, "-nostdlib", mode), f"/b/{NAME}": which(2)}
        yield Case(name=f"mips{mode}-is-taken", files=files, glibc=1, musl=None, uclibc=None, doubtful=not sure)


def cases(arch: str, traits: Traits) -> list[Case]:
    """Return every case of a target."""
    if arch == "mipsel":
        return [*mips_abis(), *no_elf(arch, traits)]
    made = [
        *paths(),
        *chains(),
        *tokens(),
        *caches(arch),
        *old_caches(),
        *again(),
        *wrong(arch, traits),
        *no_elf(arch, traits),
    ]
    return [one for one in made if one.of(traits.libc) is not None and (not one.only or arch in one.only)]
