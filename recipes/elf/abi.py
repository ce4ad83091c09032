"""What the header of an ELF file says of its ABI: e_flags of each machine, and MIPS's record of its ABI.

Two files of one machine and class may still not be in one process: their functions are called otherwise, or their
numbers are written otherwise. Sources: the psABI of each machine; for MIPS the o32 FPXX and NaN 2008 specifications
(https://dmz-portal.mips.com/wiki/MIPS_O32_ABI_-_FR0_and_FR1_Interlinking); glibc's elf/elf.h for the values.
"""

from __future__ import annotations

from typing import Final

from recipes.arch import FloatAbi
from recipes.elf.image import EM_MIPS, ElfImage

_EM_386, _EM_PPC, _EM_PPC64, _EM_S390, _EM_ARM = 3, 20, 21, 22, 40
_EM_X86_64, _EM_AARCH64, _EM_RISCV, _EM_LOONGARCH = 62, 183, 243, 258
_WITHOUT: Final = (_EM_386, _EM_PPC, _EM_S390, _EM_X86_64, _EM_AARCH64)
"""Machines where no flag is about an ABI: class and byte order say all."""
_ARM_BE8, _ARM_SOFT, _ARM_HARD = 0x800000, 0x200, 0x400
_MIPS_ABIFLAGS: Final = 0x70000003  # PT_MIPS_ABIFLAGS
_MIPS_ABI2, _MIPS_FP64, _MIPS_NAN2008 = 0x20, 0x200, 0x400
_MIPS_ABIS: Final = {0x1000: "o32", 0x2000: "o64", 0x3000: "EABI32", 0x4000: "EABI64"}
_MIPS_SOFT: Final = 3
_MIPS_FLOATS: Final = {0: "", 1: "", 5: "", 2: "single", 3: "", 4: "old-fp64", 6: "fp64", 7: "fp64a"}
"""By Tag_GNU_MIPS_ABI_FP; FP32 and FPXX, and what has no floats, go together."""
_RISCV_FLOATS: Final = {0: "soft float", 2: "single float", 4: "double float", 6: "quad float"}


def read_abi(image: ElfImage) -> tuple[FloatAbi, str]:
    """Return how floats travel, and what else is to be alike in one process; empty where the file does not say."""
    machine, flags = image.machine, image.flags
    if machine == _EM_ARM:
        floats = FloatAbi.SOFT if flags & _ARM_SOFT else FloatAbi.NONE
        version = flags >> 24
        words = f"EABI{version}" if version else "OABI"
        return FloatAbi.HARD if flags & _ARM_HARD else floats, words + (" BE8" if flags & _ARM_BE8 else "")
    if machine == EM_MIPS:
        return _mips(image)
    if machine == _EM_RISCV:
        return FloatAbi.NONE, _RISCV_FLOATS[flags & 6] + (" RVE" if flags & 8 else "")
    if machine == _EM_PPC64:
        return FloatAbi.NONE, {0: "", 1: "ELFv1", 2: "ELFv2", 3: "ELFv3"}[flags & 3]
    if machine == _EM_LOONGARCH:
        return FloatAbi.NONE, f"ABI {flags & 0xC7:#x}"
    return FloatAbi.NONE, "" if machine in _WITHOUT else f"flags {flags:#x}"


def _mips(image: ElfImage) -> tuple[FloatAbi, str]:
    flags, floats = image.flags, FloatAbi.NONE
    words = ["n32" if flags & _MIPS_ABI2 else _MIPS_ABIS.get(flags & 0xF000, "n64" if image.wide else "no-ABI")]
    words += ["NaN2008"] if flags & _MIPS_NAN2008 else []
    words += ["old-FP64"] if flags & _MIPS_FP64 else []
    offset, size = image.parts.get(_MIPS_ABIFLAGS, (0, 0))
    if size >= 24:
        (kind,) = image.unpack("B", offset + 7)
        words.append(_MIPS_FLOATS.get(kind, f"float-ABI-{kind}"))
        if kind:
            floats = FloatAbi.SOFT if kind == _MIPS_SOFT else FloatAbi.HARD
    return floats, " ".join(filter(None, words))
