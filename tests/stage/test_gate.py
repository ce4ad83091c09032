"""The gate: a clean tree passes, and of each fault that is planted exactly one line tells, with the file's name."""

from __future__ import annotations

import struct
from pathlib import Path

import pytest

from recipes.arch import ARCHES
from recipes.elf.ar import AR_MAGIC, ar_members
from recipes.rootfs.index import Index, scan_root
from recipes.sources.recipe import Output
from recipes.stage.gate import _version, gate_faults
from tests.support.gatefaults import (
    CASES,
    COMPILED,
    PLUGIN,
    RECIPE,
    X86_64,
    Case,
    install,
    poke,
    with_plugins,
)

pytestmark = [pytest.mark.process, pytest.mark.engine]


def test_a_clean_tree_passes(tree: Path) -> None:
    assert gate_faults(RECIPE, X86_64, tree) == []


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.id)
def test_a_planted_fault_is_one_line(case: Case, tree: Path, parts: Path) -> None:
    case.plant(tree, parts)
    (found,) = gate_faults(RECIPE, X86_64, tree)
    assert found.startswith(f"{case.file}: ")
    assert case.says in found
    assert "\n" not in found


@pytest.mark.parametrize("name", COMPILED)
def test_a_compiled_fault_is_one_line(name: str, tree: Path, parts: Path) -> None:
    install(parts / f"lib{name}.so", tree / f"gstreamer-1.0/lib{name}.so")
    (found,) = gate_faults(with_plugins(name), X86_64, tree)
    assert found.startswith(f"gstreamer-1.0/lib{name}.so: ")
    assert COMPILED[name][1] in found


def test_as_many_are_found_as_are_planted(tree: Path, parts: Path) -> None:
    """Plant all that the compiler made and every case that has a file of its own, in one tree."""
    expected = [f"gstreamer-1.0/lib{name}.so" for name in COMPILED]
    for name in COMPILED:
        install(parts / f"lib{name}.so", tree / f"gstreamer-1.0/lib{name}.so")
    for case in CASES:
        if case.file not in expected and case.id not in ("dangling", "library-mute", "soname-without-link"):
            expected.append(case.file)
            case.plant(tree, parts)
    found = gate_faults(with_plugins(*COMPILED), X86_64, tree)
    assert sorted(line.partition(": ")[0] for line in found) == sorted(expected)
    assert len(found) >= 30


@pytest.mark.parametrize(("flags", "count"), [(0x05000400, 0), (0x05000000, 0), (0x05000200, 1)])
def test_the_float_abi_counts(flags: int, count: int, parts: Path, tmp_path: Path) -> None:
    tree = tmp_path / "tree"
    install(parts / "lib32.so", tree / PLUGIN)
    poke(tree / PLUGIN, 18, struct.pack("<H", 40))
    poke(tree / PLUGIN, 36, struct.pack("<I", flags))
    recipe = RECIPE.model_copy(update={"outputs": (Output(path=PLUGIN, kind="plugin"),), "libraries": ()})
    found = gate_faults(recipe, ARCHES["armv7"], tree)
    assert len(found) == count
    assert all(line.startswith(f"{PLUGIN}: is ELF32 little-endian ARM, soft float, armv7 is") for line in found)


def test_a_mips_stack_is_as_its_c_library_wants_it(parts: Path, tmp_path: Path) -> None:
    tree = tmp_path / "tree"
    install(parts / "lib32.so", tree / PLUGIN)
    data = bytearray((tree / PLUGIN).read_bytes())
    (start,) = struct.unpack_from("<I", data, 28)
    (count,) = struct.unpack_from("<H", data, 44)
    at = next(at for at in range(start, start + 32 * count, 32) if data[at : at + 4] == struct.pack("<I", 0x6474E551))
    poke(tree / PLUGIN, at + 24, struct.pack("<I", 7))
    recipe = RECIPE.model_copy(update={"outputs": (Output(path=PLUGIN, kind="plugin"),), "libraries": ()})
    for machine, arch, faults in ((8, "mipsel", 0), (40, "armv7", 1)):
        poke(tree / PLUGIN, 18, struct.pack("<H", machine))
        found = gate_faults(recipe, ARCHES[arch], tree)
        assert len(found) == faults
        assert all("asks for an executable stack" in line for line in found)


@pytest.fixture
def floor(parts: Path, tmp_path: Path) -> Index:
    """Return a sysroot's index: its C library has the nodes 2.2.5, 2.9 and 2.36, the one linked against has 2.38."""
    install(parts / "floor/libc.so.6", tmp_path / "sysroot/lib/libc.so.6")
    return scan_root(tmp_path / "sysroot")


def test_a_node_above_the_floor_is_one_line(tree: Path, parts: Path, floor: Index) -> None:
    install(parts / "young.so", tree / PLUGIN)
    assert gate_faults(RECIPE, X86_64, tree) == []
    (found,) = gate_faults(RECIPE, X86_64, tree, floor)
    assert found.startswith(f"{PLUGIN}: needs GLIBC_2.38 of libc.so.6 for young, the sysroot's goes up to GLIBC_2.36: ")


def test_a_node_of_the_floor_passes(tree: Path, parts: Path, floor: Index) -> None:
    install(parts / "vers.so", tree / PLUGIN)
    assert gate_faults(RECIPE, X86_64, tree, floor) == []


def test_a_weak_need_of_a_node_passes(tree: Path, parts: Path, floor: Index) -> None:
    install(parts / "young.so", tree / PLUGIN)
    # The entry of a needed node: the System V hash of its name, then its flags; VER_FLG_WEAK is 2.
    entry = struct.pack("<IH", 0x069691B8, 0)
    data = (tree / PLUGIN).read_bytes()
    assert data.count(entry) == 1
    poke(tree / PLUGIN, data.index(entry) + 4, b"\2")
    assert gate_faults(RECIPE, X86_64, tree, floor) == []


def test_a_library_that_comes_along_is_no_matter_of_the_floor(tree: Path, parts: Path, floor: Index) -> None:
    install(parts / "young.so", tree / PLUGIN)
    assert gate_faults(RECIPE, X86_64, tree, floor, brought=("libc.so.6",)) == []
    install(parts / "libc.so.6", tree / "lib/libc.so.6")
    recipe = RECIPE.model_copy(update={"outputs": (*RECIPE.outputs, Output(path="lib/libc.so.6", kind="library"))})
    assert gate_faults(recipe, X86_64, tree, floor) == []


def test_a_library_that_nobody_has_is_one_line(tree: Path, parts: Path, tmp_path: Path) -> None:
    install(parts / "young.so", tree / PLUGIN)
    (tmp_path / "empty").mkdir()
    (found,) = gate_faults(RECIPE, X86_64, tree, scan_root(tmp_path / "empty"))
    assert found == (
        f"{PLUGIN}: needs libc.so.6, which neither this build, nor what it depends on, nor the sysroot has"
    )


def test_a_library_of_what_it_depends_on_is_found(tree: Path, parts: Path, tmp_path: Path) -> None:
    install(parts / "young.so", tree / PLUGIN)
    (tmp_path / "empty").mkdir()
    install(parts / "libc.so.6", tmp_path / "depends/lib/libc.so.6")
    depends = [scan_root(tmp_path / "depends")]
    assert gate_faults(RECIPE, X86_64, tree, scan_root(tmp_path / "empty"), depends=depends) == []


def test_a_symbol_that_is_defined_nowhere_is_one_line(tree: Path, parts: Path, floor: Index) -> None:
    """An implicit declaration was a warning, and the linker leaves a library's symbols to the loader."""
    install(parts / "lost.so", tree / PLUGIN)
    (found,) = gate_faults(RECIPE, X86_64, tree, floor)
    assert found == f"{PLUGIN}: isEnvVarEnabled is defined nowhere, in nothing that it loads"


def test_a_symbol_that_another_library_of_ours_has_passes(tree: Path, parts: Path, floor: Index) -> None:
    """It is left to the program, which loads both."""
    install(parts / "lean.so", tree / PLUGIN)
    assert gate_faults(RECIPE, X86_64, tree, floor) == []


def test_a_program_finds_all_in_what_it_loads(tree: Path, parts: Path, floor: Index) -> None:
    install(parts / "hollow.so", tree / "lib/libdemo.so.1.0")
    (found,) = gate_faults(RECIPE, X86_64, tree, floor)
    assert found == "bin/demo: demo is defined nowhere, in nothing that it loads"


def test_a_versioned_name_is_told_with_what_was_made(tree: Path) -> None:
    """Upstream's slip: the SONAME says libdemo.so.1, and the file is called .so.1.6.1."""
    (tree / "lib/libdemo.so.1.0").rename(tree / "lib/libdemo.so.1.6.1")
    found = [line for line in gate_faults(RECIPE, X86_64, tree) if line.startswith("lib/libdemo.so.1: ")]
    says = "a link to 'libdemo.so.1.0', which leads nowhere in the tree; of that name it made lib/libdemo.so.1.6.1"
    assert found == [f"lib/libdemo.so.1: the recipe names this output, the build made {says}"]


@pytest.mark.parametrize("node", ["GLIBC_2.2.5", "GLIBC_2.10", "GLIBC_PRIVATE", "CURL_OPENSSL_4", "OPENSSL_1_1_0", "x"])
def test_nodes_are_split_into_family_and_numbers(node: str) -> None:
    known = {"GLIBC_2.2.5": ("GLIBC", (2, 2, 5)), "GLIBC_2.10": ("GLIBC", (2, 10)), "x": ("x", ())}
    known |= {"CURL_OPENSSL_4": ("CURL_OPENSSL", (4,)), "OPENSSL_1_1_0": ("OPENSSL", (1, 1, 0))}
    assert _version(node) == known.get(node, (node, ()))


def test_bsd_names_of_members_are_read_too() -> None:
    body = b"long-name.o\0" + b"abc"
    head = b"#1/12".ljust(16) + b"0".ljust(12) + b"0".ljust(6) * 2 + b"644".ljust(8) + b"15".ljust(10) + b"`\n"
    assert list(ar_members(AR_MAGIC + head + body + b"\n")) == [("long-name.o", b"abc")]
