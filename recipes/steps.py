"""The commands of a build, as values: what runs in the container, in which folder, with which environment. Pure."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import PurePosixPath

from recipes.arch import Arch
from recipes.recipe import Recipe

# One fixed set of paths in every container: debug information, caches and logs never depend on the workstation.
WORK = PurePosixPath("/bc/work")
SOURCE = WORK / "src"
BUILD = WORK / "build"
OUT = WORK / "out"
PREFIX = PurePosixPath("/bc/prefix")
SYSROOT = PurePosixPath("/bc/sysroot")
ARCHIVE = PurePosixPath("/bc/archive")
TOOLCHAIN = PurePosixPath("/bc/toolchain.cmake")

RULES = 1
"""Part of every key: raise it when the commands below change what they make."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Step:
    """One command in the container."""

    name: str
    argv: tuple[str, ...]
    cwd: PurePosixPath = WORK
    unset: tuple[str, ...] = field(default=())

    @property
    def full(self) -> tuple[str, ...]:
        """The command line as it runs, variables that it must not see taken away."""
        if not self.unset:
            return self.argv
        return ("env", *(word for name in self.unset for word in ("-u", name)), *self.argv)


def environment(arch: Arch) -> dict[str, str]:
    """Return the environment of every build of an architecture.

    Nested builds of the SDKs get no toolchain file and no compiler flags from their parent, only the environment;
    so everything that matters stands in it.
    """
    root = f"--sysroot={SYSROOT}"
    maps = f"-ffile-prefix-map={WORK}=. -ffile-prefix-map={PREFIX}=."
    common = " ".join([root, "-O2", "-fPIC", maps, *arch.cflags])
    return {
        "BC_TRIPLE": arch.triple,
        "BC_PROCESSOR": arch.cmake_processor,
        "BC_SYSROOT": str(SYSROOT),
        "BC_PREFIX": str(PREFIX),
        "CMAKE_TOOLCHAIN_FILE": str(TOOLCHAIN),
        "CC": f"{arch.triple}-gcc",
        "CXX": f"{arch.triple}-g++",
        "AR": f"{arch.triple}-ar",
        "RANLIB": f"{arch.triple}-ranlib",
        "STRIP": f"{arch.triple}-strip",
        "CFLAGS": common,
        "CXXFLAGS": common,
        "CPPFLAGS": f"{root} -I{PREFIX}/include",
        "LDFLAGS": f"{root} -L{PREFIX}/lib -Wl,-rpath-link,{PREFIX}/lib",
        # The linker's own variable for the RUNPATH of whatever names none: no shell or make gets to expand it.
        "LD_RUN_PATH": "$ORIGIN/../lib",
        "PKG_CONFIG": "/bc/target-pkg-config",
        "HOME": str(WORK),
        "LC_ALL": "C.UTF-8",
        "TZ": "UTC",
        "SOURCE_DATE_EPOCH": "1704067200",
    }


def commands(recipe: Recipe, arch: Arch, *, jobs: int, verbose: bool) -> tuple[Step, ...]:
    """Return the steps that build and install one recipe into OUT."""
    start: tuple[Step, ...] = ()
    if not recipe.source.startswith("path:"):
        start = (Step(name="unpack", argv=("tar", "-xf", str(ARCHIVE), "--strip-components=1", "-C", str(SOURCE))),)
    maker = {"cmake": _cmake, "autotools": _autotools, "openssl": _openssl}[recipe.build]
    return start + maker(recipe, arch, jobs, verbose)


def options(recipe: Recipe, arch: Arch) -> dict[str, str]:
    return {**recipe.options, **recipe.arch_options.get(arch.name, {})}


def _cmake(recipe: Recipe, arch: Arch, jobs: int, verbose: bool) -> tuple[Step, ...]:
    fixed = {
        "CMAKE_BUILD_TYPE": "Release",
        "CMAKE_INSTALL_PREFIX": str(PREFIX),
        "CMAKE_INSTALL_LIBDIR": "lib",
    }
    defines = tuple(f"-D{name}={value}" for name, value in {**fixed, **options(recipe, arch)}.items())
    loud = ("--verbose",) if verbose else ()
    targets = tuple(word for target in recipe.targets for word in ("--target", target))
    return (
        Step(name="configure", argv=("cmake", "-G", "Ninja", "-S", str(SOURCE), "-B", str(BUILD), *defines)),
        Step(name="build", argv=("cmake", "--build", str(BUILD), "--parallel", str(jobs), *loud, *targets)),
        Step(name="install", argv=("env", f"DESTDIR={OUT}", "cmake", "--install", str(BUILD))),
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
    return (configure, *_make(recipe, jobs, verbose, ()))


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
