"""The commands of a build, as values: what runs in the container, in which folder, with which environment. Pure."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import PurePosixPath

from recipes import vendor
from recipes.arch import Arch
from recipes.loaderconf import UCLIBC
from recipes.recipe import Recipe

# One fixed set of paths in every container: debug information, caches and logs never depend on the workstation.
WORK = PurePosixPath("/bc/work")
SOURCE = WORK / "src"
BUILD = WORK / "build"
OUT = WORK / "out"
DEBUG = WORK / "debug"
FILES = WORK / "files"
SITE = WORK / "config.site"
ANSWERS = WORK / "config.cache"
OWN = PurePosixPath("/bc/own")
PREFIX = PurePosixPath("/bc/prefix")
SYSROOT = PurePosixPath("/bc/sysroot")
ARCHIVE = PurePosixPath("/bc/archive")
GIT = PurePosixPath("/bc/git")
CCACHE = PurePosixPath("/bc/ccache")
TOOLCHAIN = PurePosixPath("/bc/toolchain.cmake")

RULES = 4
"""Part of every key: raise it when the commands below change what they make."""

_NO_CCACHE = ("CCACHE_DISABLE=1",)
"""CMake and Meson try each thing in a folder named on the spot: ccache would keep what it never finds again."""
_CONFIGURE_WITH = {"cmake": _NO_CCACHE, "meson": _NO_CCACHE, "autotools": (f"CONFIG_SITE={SITE}",)}
"""What the configure of a single library gets: no ccache, or the answers of last time (recipes/answers.py)."""

# $1 is a pattern of a recipe, which its model keeps free of anything that a shell would act on but `*`.
_COLLECT = """set -eu
found=no
for one in $1; do
    [ -e "$one" ] || [ -L "$one" ] || continue
    found=yes
    mkdir -p "$2"
    cp -RPp "$one" "$2"
done
[ $found = yes ] || [ "$3" = optional ] || { echo "collect: nothing is at $1" >&2; exit 1; }
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Step:
    """One command in the container."""

    name: str
    argv: tuple[str, ...]
    cwd: PurePosixPath = WORK
    unset: tuple[str, ...] = field(default=())
    given: tuple[str, ...] = field(default=())
    """Variables of this step alone, as NAME=value."""

    @property
    def full(self) -> tuple[str, ...]:
        """The command line as it runs, with its own variables, and without those that it must not see."""
        if not self.unset and not self.given:
            return self.argv
        return ("env", *(word for name in self.unset for word in ("-u", name)), *self.given, *self.argv)


def environment(arch: Arch, recipe: Recipe | None = None) -> dict[str, str]:
    """Return the environment of a build.

    Nested builds of the SDKs get no toolchain file and no compiler flags from their parent, only the environment;
    so everything that matters stands in it.
    """
    root = f"--sysroot={SYSROOT}"
    # Later maps win; what stands in the sysroot reads as it will on a board.
    maps = f"-ffile-prefix-map={SYSROOT}= -ffile-prefix-map={WORK}=. -ffile-prefix-map={PREFIX}=."
    common = " ".join([root, "-O2", "-fPIC", maps, *arch.cflags, *(recipe.flags if recipe else ())])
    return {
        "BC_TRIPLE": arch.triple,
        "BC_PROCESSOR": arch.cmake_processor,
        "BC_SYSROOT": str(SYSROOT),
        "BC_PREFIX": str(PREFIX),
        "BC_HIDDEN": " ".join(recipe.hidden) if recipe else "",
        # ccache's names of the compilers come first; where no cache folder is mounted, it is told to stand aside. The
        # paths are fixed, so it needs no base folder: with one it would rewrite __FILE__, and builds would differ.
        "PATH": "/usr/lib/ccache:/opt/toolchain/bin:/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
        "CCACHE_MAXSIZE": "4G",
        # By the compiler's own dependency files: preprocessing every source once more cost a third of a cold build.
        "CCACHE_DEPEND": "1",
        "CCACHE_NOSTATS": "1",
        "CMAKE_TOOLCHAIN_FILE": str(TOOLCHAIN),
        "CC": f"{arch.triple}-gcc",
        "CXX": f"{arch.triple}-g++",
        "AR": f"{arch.triple}-ar",
        "RANLIB": f"{arch.triple}-ranlib",
        "STRIP": f"{arch.triple}-strip",
        "CFLAGS": common,
        "CXXFLAGS": common,
        "CPPFLAGS": f"{root} -I{PREFIX}/include",
        "LDFLAGS": " ".join([root, f"-L{PREFIX}/lib", f"-Wl,-rpath-link,{PREFIX}/lib", *_for_loader(arch)]),
        # The linker's own variable for the search path of whatever names none: no shell or make gets to expand it.
        "LD_RUN_PATH": "$ORIGIN/../lib",
        "PKG_CONFIG": "/bc/target-pkg-config",
        "HOME": str(WORK),
        # `git rev-parse` of a source must never answer with the commit of a work tree around it.
        "GIT_CEILING_DIRECTORIES": str(WORK),
        "GIT_TERMINAL_PROMPT": "0",
        "LC_ALL": "C.UTF-8",
        "TZ": "UTC",
        "SOURCE_DATE_EPOCH": "1704067200",
    }


def _for_loader(arch: Arch) -> tuple[str, ...]:
    """Return what the linker is told because of the board's loader.

    uClibc's knows $ORIGIN in an RPATH only, and reads GNU's table of symbols only if it was built so
    (ldso/ldso/dl-elf.c and dl-hash.c of uClibc-ng 1.0.35; `recipes.loaderrules`).
    """
    uclibc = bool(arch.toolchain) and vendor.of(arch).libc == UCLIBC
    return ("-Wl,--disable-new-dtags", "-Wl,--hash-style=sysv") if uclibc else ()


def files(arch: Arch) -> dict[str, str]:
    """Return the small files that a build finds in WORK: git's redirections and Meson's machine."""
    schemes = ("https://", "http://", "git://", "ssh://", "git@")
    redirect = "".join(f'\tinsteadOf = "{scheme}"\n' for scheme in schemes)
    git = (
        '[safe]\n\tdirectory = *\n[protocol "file"]\n\tallow = always\n[advice]\n\tdetachedHead = false\n'
        f'[gc]\n\tauto = 0\n[url "{GIT}/"]\n{redirect}'
    )
    # With -B our prefix counts among the compiler's own folders. Meson would write any other into the RUNPATH, and on
    # install cut it out again in a way that leaves the text in the file.
    quoted = {name: f"['{arch.triple}-{tool}', '-B{PREFIX}/lib']" for name, tool in (("c", "gcc"), ("cpp", "g++"))}
    quoted |= {"ar": f"'{arch.triple}-ar'", "strip": f"'{arch.triple}-strip'"}
    quoted |= {"pkg-config": "'/bc/target-pkg-config'"}
    machine = {
        "system": "linux",
        "cpu_family": {3: "x86", 8: "mips", 40: "arm", 62: "x86_64", 183: "aarch64"}[arch.identity.machine],
        "cpu": arch.cmake_processor,
        "endian": "little" if arch.identity.little else "big",
    }
    lines = ["[binaries]", *(f"{name} = {value}" for name, value in quoted.items())]
    lines += ["[properties]", f"sys_root = '{SYSROOT}'", "needs_exe_wrapper = true"]
    lines += ["[host_machine]", *(f"{name} = '{value}'" for name, value in machine.items())]
    return {".gitconfig": git, "meson-cross.ini": "\n".join(lines) + "\n"}


def commands(
    recipe: Recipe, arch: Arch, *, jobs: int, verbose: bool, commit: str = "", url: str = ""
) -> tuple[Step, ...]:
    """Return the steps that build and install one recipe into OUT; `commit` and `url` are those of a git source."""
    maker = {"cmake": _cmake, "autotools": _autotools, "openssl": _openssl, "meson": _meson, "make": _make_only}
    making = maker[recipe.build](recipe, arch, jobs, verbose)
    return (
        *_unpack(recipe, commit, url),
        *_edits(recipe),
        *(making if commit else _configured(recipe, making)),
        *(
            Step(
                name="collect",
                argv=(
                    *("sh", "-c", _COLLECT, "collect", str(WORK / one.from_), f"{OUT}{PREFIX}/{one.to}"),
                    "optional" if one.optional else "needed",
                ),
            )
            for one in recipe.collect
        ),
        Step(name="split", argv=("python3", "/bc/split.py", str(OUT), str(DEBUG), arch.triple)),
    )


def _unpack(recipe: Recipe, commit: str, url: str) -> tuple[Step, ...]:
    if recipe.source.startswith("path:"):
        return (Step(name="copy", argv=("cp", "-RPp", f"{OWN}/.", str(SOURCE))),)
    if commit:
        return (
            Step(name="clone", argv=("git", "clone", "--quiet", "--no-checkout", url, str(SOURCE))),
            Step(name="checkout", argv=("git", "-C", str(SOURCE), "checkout", "--quiet", "--detach", commit)),
        )
    return (Step(name="unpack", argv=("tar", "-xf", str(ARCHIVE), "--strip-components=1", "-C", str(SOURCE))),)


def _edits(recipe: Recipe) -> tuple[Step, ...]:
    wanted = [("edit", edit) for edit in recipe.edits]
    wanted += [(f"patch {name}", edit) for name in recipe.applied for edit in recipe.patches[name].edits]
    return tuple(
        Step(name=name, argv=("python3", "/bc/edit.py", str(SOURCE / edit.file), str(edit.times), edit.find, edit.put))
        for name, edit in wanted
    )


def _configured(recipe: Recipe, making: tuple[Step, ...]) -> tuple[Step, ...]:
    """Configure faster; not SDKs in git, which build libraries meanwhile, nor sources of one's own, which change."""
    if recipe.source.startswith("path:") or recipe.build not in _CONFIGURE_WITH:
        return making
    given = _CONFIGURE_WITH[recipe.build]
    return tuple(replace(step, given=given) if step.name == "configure" else step for step in making)


def options(recipe: Recipe, arch: Arch) -> dict[str, str]:
    """Return the options of a recipe on an architecture; a vendor's toolchain has those of the one it stands for."""
    own = recipe.arch_options.get(arch.name) or recipe.arch_options.get(arch.base, {})
    return {**recipe.options, **own}


def _cmake(recipe: Recipe, arch: Arch, jobs: int, verbose: bool) -> tuple[Step, ...]:
    fixed = {
        "CMAKE_BUILD_TYPE": "Release",
        "CMAKE_INSTALL_PREFIX": str(PREFIX),
        "CMAKE_INSTALL_LIBDIR": "lib",
    }
    defines = tuple(f"-D{name}={value}" for name, value in {**fixed, **options(recipe, arch)}.items())
    loud = ("--verbose",) if verbose else ()
    targets = tuple(word for target in recipe.targets for word in ("--target", target))
    configure = ("cmake", "-G", recipe.generator, "-S", str(SOURCE), "-B", str(BUILD), *defines)
    build = ("cmake", "--build", str(BUILD), "--parallel", str(jobs), *loud, *targets)
    steps = (Step(name="configure", argv=configure), Step(name="build", argv=build))
    if not recipe.install:
        return steps
    return (*steps, Step(name="install", argv=("env", f"DESTDIR={OUT}", "cmake", "--install", str(BUILD))))


def _meson(recipe: Recipe, arch: Arch, jobs: int, verbose: bool) -> tuple[Step, ...]:
    words = tuple(f"-D{name}={value}" for name, value in options(recipe, arch).items())
    cross = ("--cross-file", str(WORK / "meson-cross.ini"), "--prefix", str(PREFIX), "--libdir", "lib")
    # Meson takes the cross compiler's flags from the cross file or the options, not from the environment.
    flags = environment(arch, recipe)
    given = tuple(
        f"-D{name}={value.split()!r}"  # Meson reads a list as Python writes one; commas stand in the flags
        for name, value in (
            ("c_args", flags["CFLAGS"]),
            ("cpp_args", flags["CXXFLAGS"]),
            ("c_link_args", flags["LDFLAGS"]),
            ("cpp_link_args", flags["LDFLAGS"]),
        )
    )
    loud = ("--verbose",) if verbose else ()
    setup = ("meson", "setup", *cross, "--buildtype=release", "--wrap-mode=nodownload", *given, *words)
    return (
        Step(name="configure", argv=(*setup, str(BUILD), str(SOURCE))),
        Step(name="build", argv=("ninja", "-C", str(BUILD), f"-j{jobs}", *loud, *recipe.targets)),
        Step(name="install", argv=("env", f"DESTDIR={OUT}", "meson", "install", "--no-rebuild", "-C", str(BUILD))),
    )


def _make_only(recipe: Recipe, arch: Arch, jobs: int, verbose: bool) -> tuple[Step, ...]:
    """Build with a hand-written Makefile: its variables are `options`, its prefix is given the usual way."""
    words = tuple(f"{name}={value}" for name, value in {"PREFIX": str(PREFIX), **options(recipe, arch)}.items())
    loud = ("V=1", "VERBOSE=1") if verbose else ()
    return (
        Step(name="build", argv=("make", f"-j{jobs}", *loud, *words, *recipe.targets), cwd=SOURCE),
        Step(name="install", argv=("make", f"DESTDIR={OUT}", *words, *recipe.install), cwd=SOURCE),
    )


def _make(recipe: Recipe, jobs: int, verbose: bool, unset: tuple[str, ...]) -> tuple[Step, ...]:
    loud = ("V=1", "VERBOSE=1") if verbose else ()
    return (
        Step(name="build", argv=("make", f"-j{jobs}", *loud, *recipe.targets), cwd=SOURCE, unset=unset),
        Step(name="install", argv=("make", f"DESTDIR={OUT}", *recipe.install), cwd=SOURCE, unset=unset),
    )


def _autotools(recipe: Recipe, arch: Arch, jobs: int, verbose: bool) -> tuple[Step, ...]:
    where = (f"--host={arch.triple}", f"--prefix={PREFIX}", f"--libdir={PREFIX}/lib")
    configure = Step(name="configure", argv=("./configure", *where, *recipe.arguments), cwd=SOURCE)
    make = _make(recipe, jobs, verbose, ())
    if recipe.source.startswith("path:"):
        # A project of one's own seldom has its generated configure under version control.
        prepare = Step(name="autoreconf", argv=("sh", "-c", "test -x configure || autoreconf -fi"), cwd=SOURCE)
        return (prepare, configure, *make)
    return (configure, *make)


def _openssl(recipe: Recipe, arch: Arch, jobs: int, verbose: bool) -> tuple[Step, ...]:
    # With both a prefix and a prefixed CC its Makefile doubles the prefix; a set CROSS_COMPILE does the same.
    unset = ("CC", "CXX", "AR", "RANLIB", "CROSS_COMPILE")
    words = (arch.openssl, f"--cross-compile-prefix={arch.triple}-", f"--prefix={PREFIX}", *recipe.arguments)
    configure = Step(name="configure", argv=("./Configure", *words), cwd=SOURCE, unset=unset)
    return (configure, *_make(recipe, jobs, verbose, unset))


def key(parts: Mapping[str, str]) -> str:
    """Return the cache key of a build from the digests of its parts."""
    return hashlib.sha256(json.dumps(dict(parts), sort_keys=True).encode()).hexdigest()


def digest(value: object) -> str:
    return hashlib.sha256(json.dumps(value, sort_keys=True, default=str).encode()).hexdigest()
