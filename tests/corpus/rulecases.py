"""The loader's rules as roots: one small layout for each, with what glibc and musl are to take from it."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

from recipes.loaderconf import GLIBC, MUSL
from tests.support import loadercache

NAME = "libwhich.so.1"
MID = "libmid.so.1"
PROGRAM = "/app/bin/program"
NOTHING = 127
_PLATFORMS = ("x86_64", "haswell", "xeon_phi", "v6l", "v7l", "v8l", "aarch64")


@dataclass(frozen=True, slots=True, kw_only=True)
class Part:
    """One file that the compiler makes; `machine` is written over e_machine afterwards."""

    source: str
    flags: tuple[str, ...] = ()
    against: tuple[Part, ...] = ()
    machine: str = ""

    @property
    def path(self) -> str:
        return f"made/{hashlib.sha256(repr((self.source, self.flags, self.against)).encode()).hexdigest()[:16]}.so"


Files = dict[str, Part | bytes | str]


@dataclass(frozen=True, slots=True, kw_only=True)
class Case:
    """One root.

    Parameters
    ----------
    files:
        Path to a unit, the bytes of a file, or the target of a link.
    glibc, musl:
        The number of the copy that is taken, NOTHING where the program does not start; None leaves the case out.
    either:
        It depends on the processor: the loader's copy has to be among those that the rules name.
    """

    name: str
    files: Mapping[str, Part | bytes | str]
    glibc: int | None
    musl: int | None
    environment: str = ""
    real: str = PROGRAM
    ldconfig: bool = False
    either: bool = False
    only: tuple[str, ...] = field(default=())

    def of(self, libc: str) -> int | None:
        return self.musl if libc == MUSL else self.glibc


def _search(path: str, *, old: bool = False) -> tuple[str, ...]:
    return (f"-Wl,--{'disable' if old else 'enable'}-new-dtags", f"-Wl,-rpath,{path}") if path else ()


def which(number: int, *more: str, soname: str = NAME, machine: str = "") -> Part:
    """Return a copy of the library that says its number; the symbol of that name is for our own reading."""
    source = f"int which(void) {{ return {number}; }} int copy_{number}(void) {{ return 0; }}"
    return Part(source=source, flags=("-shared", "-fPIC", f"-Wl,-soname,{soname}", *more), machine=machine)


def mid(path: str = "", *, old: bool = False) -> Part:
    flags = ("-shared", "-fPIC", f"-Wl,-soname,{MID}", *_search(path, old=old))
    return Part(source="int which(void); int mid(void) { return which(); }", flags=flags, against=(which(0),))


def direct(path: str = "", *, old: bool = False) -> Part:
    return Part(
        source="int which(void); int main(void) { return which(); }",
        flags=_search(path, old=old),
        against=(which(0),),
    )


def through(path: str = "", *first: Part, old: bool = False) -> Part:
    """Return a program that asks for libmid, after what else it asks for."""
    flags = ("-Wl,--unresolved-symbols=ignore-in-shared-libs", *_search(path, old=old))
    source = "int mid(void); int main(void) { return mid(); }"
    return Part(source=source, flags=flags, against=(*first, mid()))


def _copies(**places: int) -> Files:
    folders = {"a": "/a", "b": "/b", "usual": "/usr/lib", "opt": "/opt/x", "app": "/app/lib", "deep": "/app/lib/deep"}
    return {f"{folders[place]}/{NAME}": which(number) for place, number in places.items()}


def paths() -> Iterator[Case]:
    """Yield the rules of RPATH, LD_LIBRARY_PATH, RUNPATH and the built-in folders."""
    three = _copies(a=1, b=2, usual=3)
    rpath: Files = {PROGRAM: direct("/a", old=True), **three}
    yield Case(name="rpath-before-the-environment", files=rpath, environment="/b", glibc=1, musl=2)
    runpath = {PROGRAM: direct("/a"), **three}
    yield Case(name="the-environment-before-runpath", files=runpath, environment="/b", glibc=2, musl=2)
    yield Case(name="runpath-before-the-folders", files=runpath, glibc=1, musl=1)
    yield Case(name="the-environment-in-order", files=runpath, environment="/none:/b:/a", glibc=2, musl=2)
    yield Case(name="the-folders-serve-the-rest", files={PROGRAM: direct("/none"), **three}, glibc=3, musl=3)
    yield Case(name="nowhere", files={PROGRAM: direct("/none"), **_copies(opt=1)}, glibc=NOTHING, musl=NOTHING)
    local = {PROGRAM: direct(), "/usr/local/lib/" + NAME: which(1), **_copies(usual=3)}
    yield Case(name="usr-local-is-musls-folder-and-not-glibcs", files=local, glibc=3, musl=1)
    first = {PROGRAM: direct(), "/lib/" + NAME: which(1), **_copies(usual=3)}
    yield Case(name="lib-before-usr-lib", files=first, glibc=1, musl=1)
    linked: Files = {PROGRAM: direct(), f"/usr/lib/{NAME}": "libwhich.so.1.2", "/usr/lib/libwhich.so.1.2": which(3)}
    yield Case(name="links-are-followed", files=linked, glibc=3, musl=3)


def chains() -> Iterator[Case]:
    """Yield what a file hands down to those that it asks for."""
    two = _copies(a=1, usual=3)
    handed: Files = {PROGRAM: through("/a", old=True), f"/a/{MID}": mid(), **two}
    yield Case(name="rpath-is-inherited", files=handed, glibc=1, musl=1)
    own = {PROGRAM: through("/a"), f"/a/{MID}": mid(), **two}
    yield Case(name="runpath-is-inherited-with-musl-only", files=own, glibc=3, musl=1)
    shut = {PROGRAM: through("/a", old=True), f"/a/{MID}": mid("/none"), **two}
    yield Case(name="a-runpath-shuts-inherited-rpaths-out", files=shut, glibc=3, musl=1)
    nearer = {PROGRAM: through("/a", old=True), f"/a/{MID}": mid("/b", old=True), **_copies(a=1, b=2)}
    yield Case(name="the-files-own-rpath-comes-first", files=nearer, glibc=2, musl=2)
    known = {PROGRAM: through("/a", which(0)), f"/a/{MID}": mid("/b"), **_copies(a=1, b=2)}
    yield Case(name="a-loaded-name-is-not-searched-again", files=known, glibc=1, musl=1)
    alias = which(0, soname="libalias.so")
    named: Files = {PROGRAM: through("/a", alias), f"/a/{MID}": mid(), "/a/libalias.so": which(1)}
    yield Case(name="glibc-knows-a-library-by-its-soname", files=named, glibc=1, musl=NOTHING)


def tokens() -> Iterator[Case]:
    """Yield what $ORIGIN, $LIB and $PLATFORM stand for."""
    for name, text in (("origin", "$ORIGIN/../lib"), ("origin-in-braces", "${ORIGIN}/../lib")):
        yield Case(name=name, files={PROGRAM: direct(text), **_copies(app=1, usual=3)}, glibc=1, musl=1)
    deep = {PROGRAM: through("$ORIGIN/../lib"), f"/app/lib/{MID}": mid("$ORIGIN/deep"), **_copies(deep=1, usual=3)}
    yield Case(name="origin-of-a-library-is-its-own", files=deep, glibc=1, musl=1)
    linked = {**deep, f"/app/lib/{MID}": f"/real/{MID}", f"/real/{MID}": mid("$ORIGIN/deep")}
    linked[f"/real/deep/{NAME}"] = which(2)
    yield Case(name="origin-is-of-the-symlink-as-found", files=linked, glibc=1, musl=1)
    real: Files = {PROGRAM: "/real/bin/program", "/real/bin/program": direct("$ORIGIN/../lib")}
    real |= {**_copies(app=1), f"/real/lib/{NAME}": which(2)}
    yield Case(name="origin-of-a-program-is-the-file-itself", files=real, real="/real/bin/program", glibc=2, musl=2)
    wide: Files = {PROGRAM: direct("/app/$LIB"), **_copies(app=2, usual=3)}
    for triple in ("x86_64-linux-gnu", "arm-linux-gnueabihf", "aarch64-linux-gnu"):
        wide[f"/app/lib/{triple}/{NAME}"] = which(1)
    yield Case(name="lib-is-debians-multiarch-folder", files=wide, glibc=1, musl=3)
    dropped = {PROGRAM: direct("/a:/app/${LIB}"), **_copies(a=1, usual=3)}
    yield Case(name="musl-drops-a-path-with-another-token", files=dropped, glibc=1, musl=3)
    platform: Files = {PROGRAM: direct("/app/$PLATFORM"), **_copies(usual=3)}
    platform |= {f"/app/{one}/{NAME}": which(1) for one in _PLATFORMS}
    yield Case(name="platform-is-the-kernels-word", files=platform, glibc=1, musl=3, either=True)


def caches(arch: str) -> Iterator[Case]:
    """Yield the rules of ld.so.conf, its cache, hwcaps folders and musl's list."""
    own = loadercache.FLAGS[arch]
    entry = (NAME, f"/opt/x/{NAME}", own, 0)
    cached = {PROGRAM: direct(), "/etc/ld.so.cache": loadercache.glibc([entry]), **_copies(opt=1, usual=3)}
    yield Case(name="the-cache-before-the-folders", files=cached, glibc=1, musl=3)
    runpath = {**cached, PROGRAM: direct("/a"), **_copies(a=2)}
    yield Case(name="runpath-before-the-cache", files=runpath, glibc=2, musl=2)
    both = {**cached, "/etc/ld.so.cache": loadercache.glibc([entry], behind=loadercache.old([entry]))}
    yield Case(name="the-new-cache-behind-an-old-one", files=both, glibc=1, musl=3)
    gone = {one: what for one, what in cached.items() if not one.startswith("/opt")}
    yield Case(name="a-cache-entry-without-a-file-is-passed-over", files=gone, glibc=3, musl=3)
    other = next(one for name, one in loadercache.FLAGS.items() if name not in (arch, "none"))
    foreign = {**cached, "/etc/ld.so.cache": loadercache.glibc([(NAME, f"/opt/x/{NAME}", other, 0)])}
    yield Case(name="a-cache-entry-of-another-machine-is-passed-over", files=foreign, glibc=3, musl=3)
    plain = {**cached, "/etc/ld.so.cache": loadercache.glibc([(NAME, f"/opt/x/{NAME}", 3, 0)])}
    yield Case(name="an-entry-without-a-machine-counts-on-arm", files=plain, glibc=1 if arch == "armv7" else 3, musl=3)
    torn = {**cached, "/etc/ld.so.cache": loadercache.glibc([entry])[:60]}
    yield Case(name="a-torn-cache-is-none", files=torn, glibc=3, musl=3)
    listed = {PROGRAM: direct(), "/etc/ld.so.conf": b"/opt/x\n", **_copies(opt=1)}
    yield Case(name="ld-so-conf-counts-through-the-cache-only", files=listed, glibc=NOTHING, musl=NOTHING)
    made = {
        **listed,
        "/etc/ld.so.conf": b"include ld.so.conf.d/*.conf\n",
        "/etc/ld.so.conf.d/1.conf": b"/opt/x # one\n",
    }
    yield Case(name="ldconfig-reads-includes", files=made, ldconfig=True, glibc=1, musl=None, only=("x86_64",))
    caps = {f"/opt/x/glibc-hwcaps/x86-64-v{level}/{NAME}": which(5) for level in (2, 3, 4)}
    some = {**made, **caps}
    yield Case(
        name="a-cached-hwcaps-copy-depends",
        files=some,
        ldconfig=True,
        glibc=5,
        musl=None,
        either=True,
        only=("x86_64",),
    )
    below = {f"/usr/lib{one.removeprefix('/opt/x')}": what for one, what in caps.items()}
    hwcaps = {PROGRAM: direct(), **_copies(usual=3), **below}
    taken = 5 if arch == "x86_64" else 3
    yield Case(name="a-hwcaps-copy-depends", files=hwcaps, glibc=taken, musl=3, either=True)
    path = {PROGRAM: direct(), "/etc/ld-musl-x86_64.path": b"/none\n/opt/x:/b", **_copies(opt=1, b=2, usual=3)}
    yield Case(name="musls-list-has-lines-and-colons", files=path, glibc=3, musl=1)
    instead = {PROGRAM: direct(), "/etc/ld-musl-x86_64.path": b"/none\n", **_copies(usual=3)}
    yield Case(name="musls-list-stands-for-its-folders", files=instead, glibc=3, musl=NOTHING)


def wrong(other_class: tuple[str, ...]) -> Iterator[Case]:
    """Yield what a loader does with a file that is not for it."""
    machine: Files = {PROGRAM: direct("/a:/b"), f"/a/{NAME}": which(1, machine="0800"), f"/b/{NAME}": which(2)}
    yield Case(name="another-machine-is-passed-over", files=machine, glibc=2, musl=None)
    if other_class:
        small = {**machine, f"/a/{NAME}": which(1, "-nostdlib", *other_class)}
        yield Case(name="another-class-is-where-musl-stops", files=small, glibc=2, musl=NOTHING)
    cut: Files = {**machine, f"/a/{NAME}": b"\x7fELF"}
    yield Case(name="a-damaged-file-is-where-the-search-ends", files=cut, glibc=NOTHING, musl=NOTHING)


def cases(arch: str, libc: str, other_class: tuple[str, ...]) -> list[Case]:
    """Return every case of a target."""
    made = [*paths(), *chains(), *tokens(), *caches(arch), *wrong(other_class)]
    assert libc in (GLIBC, MUSL)
    return [one for one in made if one.of(libc) is not None and (not one.only or arch in one.only)]
