"""The environment of a build and the small files that it finds there, for a person's shell too."""

from __future__ import annotations

from recipes.arch import Arch, Libc
from recipes.engine.layout import GIT, PREFIX, SYSROOT, TOOLCHAIN, WORK
from recipes.sources.recipe import Recipe
from recipes.toolchains.vendor import toolchain_of


def build_environment(arch: Arch, recipe: Recipe | None = None) -> dict[str, str]:
    """Return the environment of a build.

    Nested builds of the SDKs get no toolchain file and no compiler flags from their parent, only the environment;
    so everything that matters is in it.
    """
    root = f"--sysroot={SYSROOT}"
    # Later maps win; what is in the sysroot reads as it will on a board.
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
        "CFLAGS": " ".join([common, *(recipe.c_flags if recipe else ())]),
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
    (ldso/ldso/dl-elf.c and dl-hash.c of uClibc-ng 1.0.35; `recipes.proof.search`).
    """
    uclibc = bool(arch.toolchain) and toolchain_of(arch).libc is Libc.UCLIBC
    return ("-Wl,--disable-new-dtags", "-Wl,--hash-style=sysv") if uclibc else ()


def build_files(arch: Arch) -> dict[str, str]:
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
