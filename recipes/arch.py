"""The one table of architectures; images, sysroots, flags and the CI matrix all come from it."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum, StrEnum


class Libc(StrEnum):
    """Whose C library a root has; each has a loader with rules of its own."""

    GLIBC = "glibc"
    MUSL = "musl"
    UCLIBC = "uclibc"


class FloatAbi(Enum):
    """How floating point arguments travel; mixing two in one process crashes or computes wrong values."""

    HARD = "hard"
    SOFT = "soft"
    NONE = "none"
    """The architecture has one convention only."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Identity:
    """What an ELF header says about the machine it runs on.

    Parameters
    ----------
    bits:
        32 or 64, from EI_CLASS.
    little:
        True for ELFDATA2LSB.
    machine:
        e_machine, see the ELF gABI, chapter 4.
    float_abi:
        From e_flags, of MIPS from its ABI flags; NONE where the file does not say.
    abi:
        What else e_flags say of how functions are called and numbers written (`recipes.elf.abi`); empty where nothing
        is known of it, and the table below says nothing: a vendor's toolchain may be for any.
    """

    bits: int
    little: bool
    machine: int
    float_abi: FloatAbi
    abi: str = ""

    def __hash__(self) -> int:
        """Hash what tells most machines apart: names of a root are asked for by machine, tens of thousands of times."""
        return hash((self.bits, self.machine))

    def describe(self) -> str:
        names = {3: "i386", 8: "MIPS", 40: "ARM", 62: "x86-64", 183: "AArch64", 243: "RISC-V"}
        endian = "little" if self.little else "big"
        text = f"ELF{self.bits} {endian}-endian {names.get(self.machine, f'machine {self.machine}')}"
        text += "" if self.float_abi is FloatAbi.NONE else f", {self.float_abi.value} float"
        return f"{text}, {self.abi}" if self.abi not in ("", *USUAL_ABIS) else text


USUAL_ABIS = ("EABI5", "o32", "double float", "ELFv2")
"""What `Identity.describe` does not say: all boards of ours have them."""


def same_machine(found: Identity, wanted: Identity) -> bool:
    """Tell whether two files are for one machine, whatever the ABI."""
    return (found.bits, found.little, found.machine) == (wanted.bits, wanted.little, wanted.machine)


def compatible(found: Identity, wanted: Identity) -> bool:
    """Tell whether two files may be in one process.

    One that does not state its float ABI may: libraries without floating point arguments can be silent.
    """
    floats = FloatAbi.NONE in (found.float_abi, wanted.float_abi) or found.float_abi is wanted.float_abi
    return same_machine(found, wanted) and floats and ("" in (found.abi, wanted.abi) or found.abi == wanted.abi)


@dataclass(frozen=True, slots=True, kw_only=True)
class Arch:
    """One target architecture and every name that other tools have for it.

    Parameters
    ----------
    triple:
        GNU triple of the cross compiler, and Debian's multiarch directory.
    debian:
        Debian's name of the architecture.
    compiler:
        Debian package suffix of the cross compiler (`gcc-<compiler>`); empty for the build machine's own.
    openssl:
        Configure target of OpenSSL 3, from its Configurations/10-main.conf.
    machine:
        `uname -m` answers of kernels that run it.
    emulator:
        qemu user mode's name for it; empty where the build machine runs it.
    gcc_ceiling:
        Newest GCC major that the SDKs compile with; 14 made implicit declarations errors on 32-bit ARM
        (awslabs webrtc-sdk-c issue 2065).
    base:
        The table's name of the machine that a vendor's toolchain compiles for; empty in the table itself.
    toolchain:
        The TOML file of a vendor's toolchain (`recipes.toolchains.vendor`); empty where the compiler is Debian's.
    """

    name: str
    triple: str
    debian: str
    compiler: str
    identity: Identity
    openssl: str
    machine: tuple[str, ...]
    emulator: str
    cmake_processor: str
    cflags: tuple[str, ...] = ()
    gcc_ceiling: int = 13
    base: str = ""
    toolchain: str = ""

    def matches(self, found: Identity) -> bool:
        """Tell whether a file with this identity runs on this architecture."""
        return compatible(found, self.identity)


_ARM_HARD = Identity(bits=32, little=True, machine=40, float_abi=FloatAbi.HARD)
_ARM_SOFT = Identity(bits=32, little=True, machine=40, float_abi=FloatAbi.SOFT)
_AARCH64 = Identity(bits=64, little=True, machine=183, float_abi=FloatAbi.NONE)
_X86_64 = Identity(bits=64, little=True, machine=62, float_abi=FloatAbi.NONE)
_MIPSEL = Identity(bits=32, little=True, machine=8, float_abi=FloatAbi.NONE)
ARCHES: dict[str, Arch] = {
    arch.name: arch
    for arch in (
        Arch(
            name="armv7",
            triple="arm-linux-gnueabihf",
            debian="armhf",
            compiler="arm-linux-gnueabihf",
            identity=_ARM_HARD,
            openssl="linux-armv4",
            machine=("armv7l", "armv8l"),
            emulator="arm",
            cmake_processor="armv7l",
        ),
        Arch(
            name="aarch64",
            triple="aarch64-linux-gnu",
            debian="arm64",
            compiler="aarch64-linux-gnu",
            identity=_AARCH64,
            openssl="linux-aarch64",
            machine=("aarch64",),
            emulator="aarch64",
            cmake_processor="aarch64",
        ),
        Arch(
            name="x86_64",
            triple="x86_64-linux-gnu",
            debian="amd64",
            compiler="x86-64-linux-gnu",
            identity=_X86_64,
            openssl="linux-x86_64",
            machine=("x86_64",),
            emulator="x86_64",
            cmake_processor="x86_64",
        ),
        Arch(
            name="armv5",
            triple="arm-linux-gnueabi",
            debian="armel",
            compiler="arm-linux-gnueabi",
            identity=_ARM_SOFT,
            openssl="linux-armv4",
            machine=("armv5tejl", "armv5tel", "armv6l"),
            emulator="arm",
            cmake_processor="armv5tel",
        ),
        Arch(
            name="mipsel",
            triple="mipsel-linux-gnu",
            debian="mipsel",
            compiler="mipsel-linux-gnu",
            identity=_MIPSEL,
            openssl="linux-mips32",
            machine=("mips",),
            emulator="mipsel",
            cmake_processor="mips",
        ),
    )
}


def debian_processor(name: str) -> str:
    """Return what Debian calls a processor that `uname -m`, macOS or an engine names."""
    return {"x86_64": "amd64", "aarch64": "arm64"}.get(name.lower(), name.lower())
