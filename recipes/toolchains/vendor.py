"""Toolchains of vendors: a tarball and a small TOML file become an arch of its own.

The file is `board-configs/toolchains/<name>.toml`, or is in a folder that BOARDCAST_TOOLCHAINS lists (separated
like PATH). Its name is the name of the arch, for `invoke images --arch NAME --check` and `invoke build --arch NAME`:

    schema = 1
    arch = "armv7"                        # the machine: one of the table
    triple = "arm-vendor-linux-gnueabihf" # what comes before -gcc in the toolchain's bin/
    libc = "glibc"                        # or musl, uclibc
    archive = "sdk-2.1.tar.xz"            # a path, from this file's folder on; or a name of the lock
    sha256 = "…"
    strip = 1                             # leading folders of the tarball above bin/
    cflags = ["-mcpu=cortex-a7"]
    sysroot = "arm/libc"                  # in the toolchain; what the compiler itself says without it
    gcc-ceiling = 13                      # the newest GCC major that is let through

Nothing here runs a container: whoever has one open passes a function that asks in it.
"""

from __future__ import annotations

import difflib
import hashlib
import os
import re
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path, PurePosixPath
from typing import Annotated, Literal

from pydantic import AfterValidator, Field, StringConstraints

from recipes import paths
from recipes.arch import ARCHES, Arch, Libc
from recipes.config import LocalPath, Name, RelativePathOrNone, Strict, read_toml
from recipes.errors import BuildError, ConfigError, unknown
from recipes.rootfs.loaderconf import LIBC_NAMES
from recipes.sources.lock import Archive, Sha256, load_lock, lock_path

TOOLCHAIN_HOME = PurePosixPath("/opt/toolchain")
"""Where docker/vendor.Dockerfile unpacks it."""
RunInImage = Callable[[Sequence[str]], tuple[int, str]]
"""Runs a command in a container of the toolchain's image; returns its exit code and what it printed."""
_TOOLS = ("gcc", "g++", "ar", "ranlib", "strip", "objcopy", "readelf")


def _of_the_table(name: str) -> str:
    if name not in ARCHES:
        raise ValueError(f"{name!r} is not of the table: {', '.join(ARCHES)}")
    return name


# Each flag becomes a part of CFLAGS, which make gives to a shell: nothing that a shell acts on.
Flag = Annotated[str, StringConstraints(pattern=r"^-[A-Za-z0-9][A-Za-z0-9_=.,+/:-]*$")]
Triple = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9_]+(-[A-Za-z0-9_.]+)+$")]


class Toolchain(Strict):
    """`board-configs/toolchains/<name>.toml`."""

    schema_: Literal[1] = Field(alias="schema")
    """The form of this file."""
    arch: Annotated[Name, AfterValidator(_of_the_table)]
    """The machine that it compiles for: one of the table."""
    triple: Triple
    """What comes before `-gcc` in its bin/."""
    libc: Libc
    """The C library of its sysroot."""
    archive: Annotated[LocalPath, StringConstraints(min_length=1)]
    """The tarball: a path, from this file's folder on, or a name of the lock."""
    sha256: Sha256
    """Of the tarball."""
    strip: int = Field(default=1, ge=0, le=8)
    """Leading folders of the tarball above bin/."""
    cflags: tuple[Flag, ...] = ()
    """Compiler flags of every build."""
    sysroot: RelativePathOrNone = ""
    """A folder of the toolchain; what the compiler itself says without it."""
    gcc_ceiling: int | None = Field(default=None, alias="gcc-ceiling", ge=4)
    """The newest GCC major that is let through; the architecture's own without it."""

    def content(self) -> str:
        """Return all that decides what comes out, as text: where the tarball is does not."""
        return self.model_dump_json(exclude={"archive"})


def toolchain_files() -> dict[str, Path]:
    """Return the file of each vendor's toolchain, by the arch's name.

    Raises
    ------
    ConfigError
        A name is there twice, is one of the table, or cannot be the name of an image.
    """
    more = [Path(part) for part in os.environ.get("BOARDCAST_TOOLCHAINS", "").split(os.pathsep) if part]
    found: dict[str, Path] = {}
    folders = [*(folder / "toolchains" for folder in paths.board_folders()), *more]
    for path in (path for folder in folders for path in sorted(folder.glob("*.toml"))):
        name = path.stem
        if name in found or name in ARCHES:
            first = found.get(name, "the table in recipes/arch.py")
            raise ConfigError(f"two arches are called {name!r}", where=str(path), why=f"the other one: {first}")
        if not re.fullmatch(r"[a-z0-9]+([._-][a-z0-9]+)*", name):
            why = "it names an image too: small letters and digits, with one of . _ - between them"
            raise ConfigError(f"{name!r} cannot be the name of an arch", where=str(path), why=why)
        found[name] = path.resolve()
    return found


def vendor_names() -> list[str]:
    return sorted(toolchain_files())


def vendor_arch(name: str) -> Arch:
    """Return the arch of a vendor's toolchain; raises ConfigError with all faults of its file."""
    path = toolchain_files()[name]
    read = read_toml(path, Toolchain)
    base = ARCHES[read.arch]
    ceiling = read.gcc_ceiling or base.gcc_ceiling
    own = replace(base, name=name, triple=read.triple, compiler="", cflags=read.cflags, gcc_ceiling=ceiling)
    return replace(own, base=base.name, toolchain=str(path))


def parse_arch(name: str) -> Arch:
    """Return the architecture of this name: of the table, else of a vendor's toolchain.

    Raises
    ------
    ConfigError
        Nobody knows the name (the message lists those that are known, vendors' too), or its file has faults.
    """
    if name in ARCHES:
        return ARCHES[name]
    vendors = vendor_names()
    if name in vendors:
        return vendor_arch(name)
    known = [*ARCHES, *vendors]
    near = difflib.get_close_matches(name, known, n=1)
    raise unknown("arch", name, known, next_step=f"the same command with {near[0]}" if near else "one of these")


def toolchain_of(arch: Arch) -> Toolchain:
    return read_toml(Path(arch.toolchain), Toolchain)


def tarball_source(arch: Arch) -> Path | Archive:
    """Return where the tarball is, or its pin where `archive` is a name of the lock.

    Raises
    ------
    ConfigError
        There is no such file, or the lock has another hash.
    """
    read = toolchain_of(arch)
    pin = next((pinned for pinned in load_lock().archive if pinned.name == read.archive), None)
    if pin:
        _same(arch, read.sha256, pin.sha256, str(lock_path()))
        return pin
    path = Path(arch.toolchain).parent / read.archive
    if not path.is_file():
        raise ConfigError(
            f"{arch.name}: its toolchain is not there",
            where=str(path),
            why=f"archive = {read.archive!r} is no file, from its own folder on, and no name of the lock",
            next_step=f"put the vendor's tarball there, or correct {arch.toolchain}",
        )
    return path


def verified_tarball(arch: Arch, path: Path) -> bytes:
    """Return the tarball's bytes, of the hash that its file says; raises ConfigError with both hashes otherwise."""
    with path.open("rb") as file:
        _same(arch, toolchain_of(arch).sha256, hashlib.file_digest(file, "sha256").hexdigest(), str(path))
        file.seek(0)
        return file.read()


def _same(arch: Arch, wanted: str, found: str, where: str) -> None:
    if found != wanted:
        raise ConfigError(
            f"{arch.name}: the toolchain's tarball is another one; refused",
            where=where,
            why=f"sha256 is {found}, {Path(arch.toolchain).name} says {wanted}",
            next_step="get the tarball again; or, for a new release that you trust, correct sha256",
        )


def probe_toolchain(arch: Arch, ask: RunInImage) -> PurePosixPath:
    """Check an unpacked toolchain against its file, before anything is compiled; return its sysroot.

    Raises
    ------
    BuildError
        A tool is missing, the compiler does not start, is too new, or looks for its parts where they were built.
    """
    gcc = f"{arch.triple}-gcc"
    if missing := [tool for tool in _TOOLS if ask(["test", "-x", f"{TOOLCHAIN_HOME}/bin/{arch.triple}-{tool}"])[0]]:
        _, there = ask(["find", str(TOOLCHAIN_HOME), "-maxdepth", "3", "-name", "*gcc", "!", "-type", "d"])
        raise BuildError(
            f"{arch.name}: the toolchain has no {', '.join(f'bin/{arch.triple}-{tool}' for tool in missing)}",
            where=arch.toolchain,
            why=f"compilers in it: {' '.join(there.split()[:6]) or 'none'}",
            next_step="correct triple, or strip (the leading folders of the tarball above bin/)",
        )
    code, version = ask([gcc, "-dumpversion"])
    if code or not (major := re.match(r"\d+", version)):
        cure = "it must be one for 64-bit Linux on x86-64, with the libraries that it needs in the tarball"
        raise BuildError(f"{arch.name}: {gcc} does not start", where=arch.toolchain, why=version, next_step=cure)
    if int(major[0]) > arch.gcc_ceiling:
        why = "GCC 14 made errors of what the SDKs' 32-bit builds only get warnings for"
        cure = "an older release of the toolchain; or gcc-ceiling, to try it all the same"
        what = f"{arch.name}: GCC {version} is newer than {arch.gcc_ceiling}"
        raise BuildError(what, where=arch.toolchain, why=why, next_step=cure)
    for part in ("cc1", "ld"):
        _, path = ask([gcc, f"-print-prog-name={part}"])
        # libtool calls the linker by this path itself: one that needs gcc's environment would mislead it in silence.
        code, answer = ask([path, "--version"] if part == "ld" else ["test", "-x", path])
        if code or not path.startswith("/"):
            raise BuildError(
                f"{arch.name}: {gcc} has no {part} that works below {TOOLCHAIN_HOME}",
                where=arch.toolchain,
                why=f"{path!r} it is: {answer or 'not there'}; not relocatable, or parts were left out of the tarball",
                next_step="the vendor's relocatable release, or its script for moving it, run before it is packed",
            )
    return toolchain_sysroot(arch, ask)


def toolchain_sysroot(arch: Arch, ask: RunInImage) -> PurePosixPath:
    """Return the toolchain's sysroot in its image; raises BuildError where it has none, or one outside of itself."""
    read = toolchain_of(arch)
    named = (
        f"{TOOLCHAIN_HOME}/{read.sysroot}"
        if read.sysroot
        else ask([f"{arch.triple}-gcc", *arch.cflags, "-print-sysroot"])[1]
    )
    code, real = ask(["realpath", "-e", named]) if named else (1, "")
    if code or not PurePosixPath(real).is_relative_to(TOOLCHAIN_HOME):
        who = "the file" if read.sysroot else "the compiler"
        raise BuildError(
            f"{arch.name}: the toolchain has no sysroot of its own",
            where=arch.toolchain,
            why=f"{who} says {named!r}, which is no folder below {TOOLCHAIN_HOME}",
            next_step='sysroot = "FOLDER": the one that has lib and usr/include; without one it is not relocatable',
        )
    return PurePosixPath(real)


def loader_fault(arch: Arch, interpreter: str) -> str:
    """Say why a program of this loader is not one of the C library that the file names; empty where it is."""
    loaders = LIBC_NAMES[toolchain_of(arch).libc].loaders
    fits = PurePosixPath(interpreter).name.startswith(loaders)
    return (
        "" if fits else f"its programs ask for {interpreter!r}; {toolchain_of(arch).libc} has {' or '.join(loaders)}…"
    )


def program_runner(arch: Arch, root: PurePosixPath, interpreter: str, ask: RunInImage) -> list[str]:
    """Return the words before a program that make it run with the toolchain's own libraries.

    Many keep libstdc++ and libgcc_s beside the sysroot, so the compiler is asked for each. uClibc's loader is often
    built so that it cannot be called by name; the emulator then does it.
    """
    gcc = [f"{arch.triple}-g++", *arch.cflags, f"--sysroot={root}"]
    asked = ("libc.so.6", "libm.so.6", "libstdc++.so.6", "libgcc_s.so.1")
    libraries = [PurePosixPath(ask([*gcc, f"-print-file-name={name}"])[1]) for name in asked]
    beside = [str(library.parent) for library in libraries if library.is_absolute()]
    folders = ":".join(dict.fromkeys([f"{root}/lib", *beside]))
    if toolchain_of(arch).libc is Libc.UCLIBC:
        return ["env", f"QEMU_LD_PREFIX={root}", f"QEMU_SET_ENV=LD_LIBRARY_PATH={folders}"]
    # musl's loader is a link to /lib/libc.so, which here would lead out of the toolchain.
    _, target = ask(["readlink", f"{root}{interpreter}"])
    return [f"{root}{target if target.startswith('/') else interpreter}", "--library-path", folders]
