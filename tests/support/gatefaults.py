"""A clean tree of real ELF files, and every fault that the gate must find in it, planted or compiled."""

from __future__ import annotations

import os
import shlex
import shutil
import struct
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from recipes.arch import ARCHES
from recipes.sources.recipe import Library, Output, Recipe

X86_64 = ARCHES["x86_64"]
SOURCES = {
    "demo.c": "int demo(int a) { return a + 1; }",
    # The doubles stand before the text in .rodata, and the last byte of 2.0 is an `@`.
    "ca.c": 'const double two[] = {1.0, 2.0}; const char *ca(void) { return "/bc/work/src/certs/cert.pem"; }',
    "text.c": "const char *text(void) { return TEXT; }",
    "start.c": "extern int demo(int); void _start(void) { demo(1); for (;;) {} }",
    "alone.c": "void _start(void) { for (;;) {} }",
    "textrel.s": '.text\n.globl g\ng: .quad demo\n.section .note.GNU-stack,"",@progbits\n',
    "libc.c": "int old(void) { return 1; }\nint young(void) { return 2; }",
    "libc.map": "GLIBC_2.2.5 { global: old; local: *; };\nGLIBC_2.38 { global: young; } GLIBC_2.2.5;",
    "floor.c": "int old(void) { return 1; }\nint ninth(void) { return 9; }\nint last(void) { return 36; }",
    "floor.map": "GLIBC_2.2.5 { global: old; local: *; };\nGLIBC_2.36 { global: last; } GLIBC_2.2.5;\n"
    "GLIBC_2.9 { global: ninth; } GLIBC_2.36;",
    "young.c": "extern int old(void), young(void); int demo(void) { return old() + young(); }",
    "lost.c": "extern int isEnvVarEnabled(void); int lost(void) { return isEnvVarEnabled(); }",
    "lean.c": "extern int demo(int); int lean(void) { return demo(1); }",
    "vers.c": "extern int old(void); int demo(void) { return old(); }",
}
ORIGIN = "-Wl,-rpath,$ORIGIN/../lib"
PROGRAM = f"-nostdlib -pie -fPIE start.c -L. -l:libdemo.so.1 {ORIGIN}"
STANDARD = {
    "libdemo.so.1": "-Wl,-soname,libdemo.so.1 demo.c",
    "libplain.so": "-Wl,-soname,libplain.so ca.c",
    "libgstdemo.so": f"{ORIGIN} demo.c",
    "libother.so.1": "-Wl,-soname,libother.so.1 demo.c",
    "libsecond.so": "-Wl,-soname,libdemo.so.2 demo.c",
    "libmute.so": "demo.c",
    "lib32.so": "-m32 demo.c",
    "libc.so.6": "-Wl,-soname,libc.so.6 -Wl,--version-script=libc.map libc.c",
    "floor/libc.so.6": "-Wl,-soname,libc.so.6 -Wl,--version-script=floor.map floor.c",
    "young.so": "young.c -L. -l:libc.so.6",
    "hollow.so": "-Wl,-soname,libdemo.so.1 ca.c",
    "lost.so": "lost.c",
    "lean.so": "lean.c",
    "vers.so": "vers.c -L. -l:libc.so.6",
}
# What the compiler itself can be brought to do wrong; each becomes a plugin of its own, and says this of it.
COMPILED = {
    "runpath": ("-Wl,-rpath,/usr/local/lib demo.c", "looks for libraries in /usr/local/lib"),
    "rpath": ("-Wl,--disable-new-dtags -Wl,-rpath,/usr/local/lib demo.c", "looks for libraries in /usr/local/lib"),
    "runpath-of-build": ("-Wl,-rpath,/bc/prefix/lib demo.c", "looks for libraries in /bc/prefix/lib"),
    "runpath-mixed": (f"{ORIGIN}:/opt/lib demo.c", "looks for libraries in $ORIGIN/../lib:/opt/lib"),
    "runpath-lookalike": ("-Wl,-rpath,$ORIGINfoo/lib demo.c", "looks for libraries in $ORIGINfoo/lib"),
    "runpath-empty-part": (f"{ORIGIN}: demo.c", "looks for libraries in $ORIGIN/../lib:,"),
    "path-work": ('-DTEXT="/bc/work/src/a.c" text.c', "has '/bc/work/src/a.c' in it"),
    "path-prefix": ('-DTEXT="--dir=/bc/prefix/share" text.c', "has '--dir=/bc/prefix/share' in it"),
    "path-sysroot": ('-DTEXT="/bc/sysroot" text.c', "has '/bc/sysroot' in it"),
    "path-in-debug": ("-g -ffile-prefix-map=.=/bc/work/src -fdebug-prefix-map=$PWD=/bc/work demo.c", "/bc/work"),
    "path-longer-than-ca": ('-DTEXT="/bc/work/src/certs/cert.pem.old" text.c', "cert.pem.old' in it"),
    "path-that-ends-in-ca": ('-DTEXT="a=/bc/work/src/certs/cert.pem" text.c', "'a=/bc/work/src/certs"),
    "alignment": ("-Wl,-z,max-page-size=1024 -Wl,-z,common-page-size=1024 demo.c", "is aligned to 1024"),
    "textrel": ("-Wl,-z,notext textrel.s demo.c", "has relocations in its code (TEXTREL)"),
    "execstack": ("-Wl,-z,execstack demo.c", "asks for an executable stack"),
}


def commands() -> str:
    """Return the script that makes every part; `$CC` comes from where it runs."""
    made = {**STANDARD, **{f"lib{name}.so": flags for name, (flags, _) in COMPILED.items()}}
    lines = ["set -e"]
    for output, flags in made.items():
        words = " ".join(word if "$PWD" in word else shlex.quote(word) for word in flags.split())
        lines.append(f"$CC -O2 -shared -fPIC -nostdlib -o {output} {words}")
    lines += [
        f"$CC -O2 -o demo {' '.join(map(shlex.quote, PROGRAM.split()))}",
        "$CC -O2 -static -nostdlib -no-pie -o static alone.c",
        "$CC -O2 -static-pie -nostdlib -fPIE -o static-pie alone.c",
        "$CC -O2 -fPIC -c -o demo.o demo.c",
        "$CC -O2 -fPIC -c -DTEXT='\"/bc/work/src/a.c\"' -o a-member-with-a-long-name.o text.c",
        "$CC -O2 -m32 -c -o narrow.o demo.c",
        "ar rcs libdemo.a demo.o",
        "ar rcs libpath.a demo.o a-member-with-a-long-name.o",
        "ar rcs libnarrow.a demo.o narrow.o",
        "ar rcsT libthin.a demo.o",
    ]
    return "\n".join(lines)


RECIPE = Recipe(
    schema_=1,
    name="demo",
    version="1",
    licence="none",
    summary="",
    source="path:src",
    build="cmake",
    libraries=(Library(link="demo", soname="libdemo.so.1"),),
    outputs=(
        Output(path="bin/demo", kind="program"),
        Output(path="bin/static", kind="program"),
        Output(path="bin/static-pie", kind="program"),
        Output(path="bin/script", kind="program"),
        Output(path="lib/libdemo.so.1", kind="library"),
        Output(path="lib/libplain.so", kind="library"),
        Output(path="gstreamer-1.0/libgstdemo.so", kind="plugin"),
        Output(path="share/demo.conf", kind="data"),
    ),
)
LINES = {
    "bin/script": "#!/bin/sh\n",
    "bin/helper": "#!/bin/sh\n",
    "share/demo.conf": "a=1\n",
    # What later builds read names the prefix, and must.
    "include/demo.h": '#define DIR "/bc/prefix/share"\n',
    "lib/pkgconfig/demo.pc": "prefix=/bc/prefix\n",
    "lib/cmake/demo/demo.cmake": "#!/bc/prefix/bin/cmake\n",
}


def install(source: Path, target: Path) -> None:
    target.parent.mkdir(parents=True, exist_ok=True)
    target.unlink(missing_ok=True)
    shutil.copyfile(source, target)
    target.chmod(0o755)


def with_plugins(*names: str) -> Recipe:
    extra = tuple(Output(path=f"gstreamer-1.0/lib{name}.so", kind="plugin") for name in names)
    return RECIPE.model_copy(update={"outputs": RECIPE.outputs + extra})


def patch_segment(path: Path, kind: int, change: Callable[[list[int]], bool]) -> None:
    """Change the first program header of a kind that `change` accepts: type, flags, offset, vaddr, …, align."""
    data = bytearray(path.read_bytes())
    (start,) = struct.unpack_from("<Q", data, 32)
    (count,) = struct.unpack_from("<H", data, 56)
    for at in range(start, start + 56 * count, 56):
        fields = list(struct.unpack_from("<IIQQQQQQ", data, at))
        if fields[0] == kind and change(fields):
            struct.pack_into("<IIQQQQQQ", data, at, *fields)
            path.write_bytes(data)
            return
    raise AssertionError("no such program header")


def _skew(fields: list[int]) -> bool:
    """Ask for pages so large that file and memory are at different places of them."""
    if fields[2] == fields[3]:
        return False
    fields[7] = 1 << (abs(fields[3] - fields[2]).bit_length() + 1)
    return True


def _set(position: int, value: int) -> Callable[[list[int]], bool]:
    def change(fields: list[int]) -> bool:
        fields[position] = value
        return True

    return change


def textrel_by_flag(tree: Path, parts: Path) -> None:
    """Leave only DF_TEXTREL of DT_FLAGS, as a linker may."""
    path = tree / PLUGIN
    install(parts / "libtextrel.so", path)
    data = bytearray(path.read_bytes())
    at = next(at for at in range(0, len(data) - 16, 8) if struct.unpack_from("<QQ", data, at) == (22, 0))
    struct.pack_into("<QQ", data, at, 0x6FFFFEF0, 0)
    path.write_bytes(data)


def poke(path: Path, offset: int, value: bytes) -> None:
    data = bytearray(path.read_bytes())
    data[offset : offset + len(value)] = value
    path.write_bytes(data)


def relink(path: Path, target: str) -> None:
    path.unlink()
    path.symlink_to(target)


def soname_without_link(tree: Path, parts: Path) -> None:
    (tree / "lib/libdemo.so").unlink()
    install(parts / "libsecond.so", tree / DEMO)


@dataclass(frozen=True)
class Case:
    """A fault, how it is planted, the file that must be named and what must be said of it."""

    id: str
    plant: Callable[[Path, Path], object]
    file: str
    says: str


PLAIN, PLUGIN, DEMO = "lib/libplain.so", "gstreamer-1.0/libgstdemo.so", "lib/libdemo.so.1.0"
CASES = [
    Case("machine", lambda t, p: poke(t / PLAIN, 18, b"\xb7"), PLAIN, "is ELF64 little-endian AArch64, x86_64 is"),
    Case("class", lambda t, p: install(p / "lib32.so", t / PLUGIN), PLUGIN, "is ELF32 little-endian i386"),
    Case("damaged", lambda t, p: os.truncate(t / PLAIN, 600), PLAIN, "it ends before its segments do"),
    Case(
        "script", lambda t, p: (t / "bin/helper").write_text("#!/bin/sh\n. /bc/work/x\n"), "bin/helper", "'. /bc/work"
    ),
    Case(
        "interpreter", lambda t, p: (t / "bin/script").write_text("#!/bc/prefix/bin/sh\n"), "bin/script", "#!/bc/prefix"
    ),
    Case(
        "data", lambda t, p: (t / "share/demo.conf").write_text("d=/bc/prefix\n"), "share/demo.conf", "'d=/bc/prefix'"
    ),
    Case("link", lambda t, p: (t / "bin/l").symlink_to("/bc/prefix/bin/demo"), "bin/l", "'/bc/prefix/bin/demo'"),
    Case(
        "member",
        lambda t, p: install(p / "libpath.a", t / "lib/libpath.a"),
        "lib/libpath.a(a-member-with-a-long-name.o)",
        "has '/bc/work/src/a.c' in it",
    ),
    Case(
        "member-machine",
        lambda t, p: install(p / "libnarrow.a", t / "lib/libnarrow.a"),
        "lib/libnarrow.a(narrow.o)",
        "is ELF32 little-endian i386",
    ),
    Case("thin", lambda t, p: install(p / "libthin.a", t / "lib/libthin.a"), "lib/libthin.a", "is a thin archive"),
    Case("cut-archive", lambda t, p: os.truncate(t / "lib/libdemo.a", 300), "lib/libdemo.a", "damaged archive"),
    Case("object", lambda t, p: install(p / "narrow.o", t / "lib/demo.o"), "lib/demo.o", "is ELF32 little-endian i386"),
    Case("small-page", lambda t, p: patch_segment(t / PLAIN, 1, _set(7, 0)), PLAIN, "is aligned to 0"),
    Case("odd-page", lambda t, p: patch_segment(t / PLAIN, 1, _set(7, 0x3000)), PLAIN, "is aligned to 12288"),
    Case("skewed", lambda t, p: patch_segment(t / PLUGIN, 1, _skew), PLUGIN, "elsewhere in a page"),
    Case("textrel-flag", textrel_by_flag, PLUGIN, "has relocations in its code"),
    Case("no-stack", lambda t, p: patch_segment(t / "bin/demo", 0x6474E551, _set(0, 0)), "bin/demo", "no GNU_STACK"),
    Case("missing", lambda t, p: (t / PLUGIN).unlink(), PLUGIN, "the build did not make it"),
    Case("dangling", lambda t, p: relink(t / "lib/libdemo.so.1", "gone"), "lib/libdemo.so.1", "leads nowhere"),
    Case("circle", lambda t, p: relink(t / "share/demo.conf", "demo.conf"), "share/demo.conf", "leads nowhere"),
    Case("outside", lambda t, p: relink(t / "share/demo.conf", "/etc/passwd"), "share/demo.conf", "leads nowhere"),
    Case(
        "unexpected-library",
        lambda t, p: install(p / "libother.so.1", t / "lib/libother.so.1"),
        "lib/libother.so.1",
        "the recipe does not name it",
    ),
    Case(
        "unexpected-module",
        lambda t, p: install(p / "libgstdemo.so", t / "libexec/x"),
        "libexec/x",
        "the recipe does not name it",
    ),
    Case("unexpected-program", lambda t, p: install(p / "demo", t / "bin/extra"), "bin/extra", "does not name it"),
    Case("mode", lambda t, p: (t / "bin/static").chmod(0o644), "bin/static", "its mode does not let it run"),
    Case("program-text", lambda t, p: (t / "bin/static").write_text("x"), "bin/static", "neither ELF nor a script"),
    Case("program-library", lambda t, p: install(p / "libplain.so", t / "bin/demo"), "bin/demo", "names no loader"),
    Case("library-text", lambda t, p: (t / PLAIN).write_text("INPUT(x)"), PLAIN, "it is no shared object"),
    Case("library-mute", lambda t, p: install(p / "libmute.so", t / DEMO), "lib/libdemo.so.1", "has no SONAME"),
    Case("plugin-program", lambda t, p: install(p / "demo", t / PLUGIN), PLUGIN, "it is no shared object"),
    Case("plugin-static", lambda t, p: install(p / "static", t / PLUGIN), PLUGIN, "it is no shared object"),
    Case(
        "soname",
        lambda t, p: install(p / "libsecond.so", t / DEMO),
        "lib/libdemo.so",
        "SONAME is 'libdemo.so.2', the recipe says",
    ),
    Case("soname-plain", lambda t, p: install(p / "libother.so.1", t / PLAIN), PLAIN, "SONAME is 'libother.so.1'"),
    Case(
        "soname-without-link",
        soname_without_link,
        "lib/libdemo.so.1",
        "SONAME is 'libdemo.so.2'",
    ),
]
