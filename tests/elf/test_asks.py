"""What a file asks of its loader, as compilers and linkers write it, and what the flags of its header say."""

from __future__ import annotations

import struct
from pathlib import Path

import pytest

from recipes import elf
from recipes.arch import FloatAbi, compatible
from recipes.elf.header import ElfError
from tests.support.compiler import compiled
from tests.support.smallelf import small_elf

NOTE = '__asm__(".section .note.{name},\\"a\\",%note; .p2align 3; .long 4, {size}, {kind}; .asciz \\"GNU\\"; {words}");'


def note(name: str, kind: int, *words: int) -> str:
    listed = "".join(f".long {word:#x}; " for word in words) + ".previous"
    return NOTE.format(name=name, size=4 * len(words), kind=kind, words=listed)


PLAIN = "int value(int x) { return x; } int main(void) { return 0; }"
RELATIVE = "static int one; int *table[] = {&one, &one, &one}; int other(void) { return *table[1]; }"
LOCAL = (
    "static void *pick(void) { return 0; }"
    ' static int f(void) __attribute__((ifunc("pick"))); int g(void) { return f(); }'
)
TLS = "static __thread char many[500]; int own(void) { return many[7]++; }"
CASES = {
    "plain": ("-shared", PLAIN, []),
    "program": ("-pie", PLAIN, ["pie"]),
    "harmless": ("-shared -Wl,-z,now,-z,nodelete,-z,initfirst,-z,interpose,-z,global,-z,nodump,-z,origin", PLAIN, []),
    "audits": ("-shared -Wl,--audit,a.so,--depaudit,b.so", PLAIN, []),
    "alone": ("-shared -Wl,-z,nodefaultlib,-z,nodlopen", PLAIN, ["nodeflib", "noopen"]),
    "filter": ("-shared -Wl,-F,libreal.so.1,-f,libmore.so", PLAIN, ["auxiliary:libmore.so", "filter:libreal.so.1"]),
    "stack": ("-shared -Wl,-z,execstack", PLAIN, ["execstack"]),
    "packed": ("-shared -Wl,-z,pack-relative-relocs", PLAIN + RELATIVE, ["relr"]),
    "static": ("-shared -ftls-model=initial-exec", PLAIN + TLS, ["static-tls:500"]),
    "dynamic": ("-shared", PLAIN + TLS, []),
    "descriptors": ("-shared -mtls-dialect=gnu2", PLAIN + TLS, ["tlsdesc"]),
    "chosen": ("-shared", LOCAL, ["irelative"]),
    "text": ("-shared -Wl,-z,notext", '__asm__(".globl f; f: .quad value; .text");' + PLAIN, ["textrel"]),
    "kernel": ("-shared", PLAIN + note("ABI-tag", 1, 0, 6, 1, 0), ["kernel:6.1.0"]),
    "system": ("-shared", PLAIN + note("ABI-tag", 1, 2, 6, 1, 0), ["system:2"]),
    "processor": ("-shared", PLAIN + note("gnu.property", 5, 0xC0008002, 4, 7, 0), ["isa:2", "isa:3"]),
    "landing": ("-shared -fcf-protection=full", PLAIN, []),
    "no-copies": ("-shared", PLAIN + note("gnu.property", 5, 0xB0008000, 4, 1, 0), ["no-copy"]),
    "property": ("-shared", PLAIN + note("gnu.property", 5, 0xB0008000, 4, 2, 0), ["property:0xb0008000:0x2"]),
}


@pytest.fixture(scope="module")
def made(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("asks")
    sources = {f"{name}.c": source for name, (_, source, _) in CASES.items()}
    lines = [
        f"$CC -w -O1 -fPIC -fcf-protection=none {how} {name}.c -o {name}.so" for name, (how, _, _) in CASES.items()
    ]
    return compiled(request, folder, sources, "\n".join(lines))


@pytest.mark.process
@pytest.mark.engine
@pytest.mark.parametrize("name", CASES)
def test_what_is_asked_is_told(made: Path, name: str) -> None:
    assert [ask for ask in elf.read(made / f"{name}.so").asks if ask != "kernel:3.2.0"] == CASES[name][2]


def header(machine: int, flags: int, *, version: int = 0) -> bytes:
    data = bytearray(small_elf(soname="liba.so.1", machine=machine))
    data[8] = version
    struct.pack_into("<I", data, 36, flags)
    return bytes(data)


@pytest.mark.parametrize(
    ("machine", "flags", "abi"),
    [
        (40, 0x05000400, "EABI5"),
        (40, 0x04000400, "EABI4"),
        (40, 0x00000400, "OABI"),
        (40, 0x05800400, "EABI5 BE8"),
        (8, 0x70001007, "o32"),
        (8, 0x70001407, "o32 NaN2008"),
        (8, 0x80000027, "n32"),
        (8, 0x70001207, "o32 old-FP64"),
        (8, 0x70003007, "EABI32"),
        (243, 0x5, "double float"),
        (243, 0x1, "soft float"),
        (243, 0x9, "soft float RVE"),
        (21, 1, "ELFv1"),
        (21, 2, "ELFv2"),
        (258, 0x43, "ABI 0x43"),
        (62, 0, ""),
        (183, 0, ""),
        (42, 9, "flags 0x9"),
    ],
)
def test_the_flags_of_each_machine_say_its_abi(machine: int, flags: int, abi: str) -> None:
    found = elf.parse(header(machine, flags)).identity
    assert found.abi == abi
    assert compatible(found, found)


def test_two_abis_of_one_machine_are_not_for_one_process() -> None:
    legacy, new = (elf.parse(header(8, flags)).identity for flags in (0x70001007, 0x70001407))
    assert not compatible(legacy, new)
    assert "NaN2008" in new.describe()
    assert legacy.describe() == "ELF32 little-endian MIPS"


def test_floats_of_arm() -> None:
    floats = [elf.parse(header(40, 0x05000000 | flag)).identity.float_abi for flag in (0x400, 0x200, 0)]
    assert floats == [FloatAbi.HARD, FloatAbi.SOFT, FloatAbi.NONE]


def test_a_newer_abi_version_is_asked_for() -> None:
    assert elf.parse(header(8, 0x70001007, version=5)).asks == ("abi-version:5", "execstack", "page:4096")
    assert elf.parse(header(8, 0x72001007, version=1)).asks == ("execstack", "micromips", "page:4096")


def test_a_tag_that_nobody_knows_is_told_by_its_number() -> None:
    data = bytearray(small_elf(soname="liba.so.1"))
    at = data.index(struct.pack("<I", 14), 116)  # DT_SONAME
    struct.pack_into("<I", data, at, 0x6000000F)  # Android's packed relocations
    assert elf.parse(bytes(data)).asks == ("execstack", "tag:0x6000000f")


def test_version_needs_of_another_form_are_not_read() -> None:
    data = bytearray(small_elf("libb.so.1", soname="liba.so.1"))
    place = len(data)
    data += struct.pack("<HHIII", 2, 0, 1, 16, 0)
    struct.pack_into("<II", data, 52 + 16, len(data), len(data))
    for tag, value in ((1, place), (14, 1)):
        at = data.index(struct.pack("<I", tag), 116)
        struct.pack_into("<II", data, at, 0x6FFFFFFE if tag == 1 else 0x6FFFFFFF, value)
    with pytest.raises(ElfError, match="version 2 of DT_VERNEED"):
        elf.parse(bytes(data))
