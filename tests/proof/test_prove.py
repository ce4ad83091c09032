"""Each rule of the proof by its name: what a loader would refuse or get wrong, and what only looks like it."""

from __future__ import annotations

from dataclasses import replace

import pytest

from recipes.arch import ARCHES, Libc
from recipes.elf import ElfFile
from recipes.proof.binding import Exports
from recipes.proof.prove import library_closure, prove
from recipes.proof.result import Proof
from tests.support.facts import SOFT, elf, index

ARM = ARCHES["armv7"].identity
MARK = ("libc.so.6:GLIBC_2.4",)
"""A need of any versioned symbol gives a library the table that glibc's loader asserts."""


def library(exports: str = "", *, objects: str = "", soname: str = "libz.so.1", imports: str = "") -> ElfFile:
    made = elf(soname, exports=exports, imports=imports)
    return replace(made, objects=objects, sysv=True)


def user(imports: str = "", *, fixed: str = "") -> ElfFile:
    return replace(elf(needed=("libz.so.1",), imports=imports), fixed=fixed)


def show(ours: ElfFile | None, theirs: ElfFile, program: ElfFile, *beside: ElfFile, libc: Libc = Libc.GLIBC) -> Proof:
    built_with = {} if ours is None else {"libz.so.1": Exports(ours)}
    return prove("libz.so.1", "/usr/lib/libz.so.1", theirs, [program], built_with, beside, libc=libc)


def test_without_its_needs_nobody_asks_whether_a_copy_loads() -> None:
    ours, needy = {"libz.so.1": Exports(library("inflate"))}, library("inflate", imports="crc")
    assert prove("libz.so.1", "/lib/libz.so.1", needy, [user("inflate")], ours).holds
    assert not prove("libz.so.1", "/lib/libz.so.1", needy, [user("inflate")], ours, []).holds


def test_an_equal_copy_serves() -> None:
    ours = library("inflate table", objects="table:16:o")
    assert show(ours, ours, user("inflate table")).holds


def test_a_copy_without_any_versions_stops_glibc_and_not_musl() -> None:
    program = user("inflate@libz.so.1:Z1")
    ours = library("inflate@@Z1")
    assert not show(ours, library("inflate"), program).holds
    marked = replace(library("inflate"), version_needs=MARK)
    assert show(ours, marked, program, library("x@@GLIBC_2.4", soname="libc.so.6")).weaker
    assert show(ours, marked, program, library("x@@GLIBC_2.4", soname="libc.so.6")).holds
    assert show(ours, library("inflate"), program, libc=Libc.MUSL).holds


def test_a_symbol_without_a_node_serves_any_as_long_as_the_node_is_there() -> None:
    program, ours = user("inflate@libz.so.1:Z1"), library("inflate@@Z1")
    assert show(ours, library("inflate deflate@@Z1"), program).holds
    assert show(ours, library("inflate deflate@@Z2"), program).missing == ("node Z1",)


def test_a_reference_without_a_node_does_not_get_the_first_nodes_old_version() -> None:
    ours, program = library("inflate"), user("inflate")
    assert show(ours, library("inflate@Z1 inflate@@Z2"), program).missing == ("inflate",)
    assert show(ours, library("other@@Z0 inflate@Z1 inflate@@Z2"), program).holds
    assert show(ours, library("inflate@Z1 inflate@@Z2"), program, libc=Libc.MUSL).holds


def test_musl_gives_the_default_whatever_was_asked_for() -> None:
    ours, program = library("inflate@@Z1"), user("inflate@libz.so.1:Z1")
    assert show(ours, library("inflate@Z1 inflate@@Z2"), program).holds
    assert show(ours, library("inflate@Z1 inflate@@Z2"), program, libc=Libc.MUSL).missing == ("inflate@Z1",)


@pytest.mark.parametrize("libc", [Libc.MUSL, Libc.UCLIBC])
def test_only_glibc_has_indirect_functions(libc: Libc) -> None:
    theirs = library("inflate", objects="inflate:20:i")
    assert show(library("inflate"), theirs, user("inflate")).holds
    assert not show(library("inflate"), theirs, user("inflate"), libc=libc).holds


def test_uclibc_finds_no_unique_object() -> None:
    ours, theirs = library("one", objects="one:4:o"), library("one", objects="one:4:u")
    assert show(ours, theirs, user("one")).holds
    assert show(ours, theirs, user("one"), libc=Libc.MUSL).holds
    assert show(ours, theirs, user("one"), libc=Libc.UCLIBC).missing == ("one",)
    assert show(ours, library("one", objects="one:8:u"), user("one")).faults == ("one has 8 bytes, ours has 4",)


def test_uclibc_reads_no_versions_and_takes_one_of_several_by_chance() -> None:
    ours, program = library("inflate@@Z1"), user("inflate@libz.so.1:Z1")
    assert show(ours, library("inflate"), program, libc=Libc.UCLIBC).holds
    assert show(ours, library("inflate@Z1"), program, libc=Libc.UCLIBC).holds
    assert show(ours, library("inflate@@Z2"), program, libc=Libc.UCLIBC).missing == ("inflate@Z1",)
    assert show(ours, library("inflate@Z1 inflate@@Z2"), program, libc=Libc.UCLIBC).missing == ("inflate@Z1",)
    # One that is not the default is for nobody who is linked today.
    assert show(library("inflate"), library("inflate@Z1"), user("inflate"), libc=Libc.UCLIBC).missing == ("inflate",)


@pytest.mark.parametrize(("sysv", "libcs", "holds"), [(True, True, True), (False, True, False), (False, False, True)])
def test_uclibc_may_read_the_older_table_of_symbols_only(*, sysv: bool, libcs: bool, holds: bool) -> None:
    """That it reads GNU's is shown by a C library that has no other."""
    theirs = replace(library("inflate"), sysv=sysv)
    libc = replace(library("puts", soname="libc.so.0"), sysv=libcs)
    assert show(library("inflate"), theirs, user("inflate"), libc, libc=Libc.UCLIBC).holds is holds
    assert show(library("inflate"), theirs, user("inflate"), libc, libc=Libc.MUSL).holds


@pytest.mark.parametrize(
    ("ours", "theirs"),
    [("", "x:16:o"), ("x:16:o", ""), ("x:4:o", "x:4:t"), ("x:4:t", ""), ("", "x:0:n"), ("x:16:o", "x:32:o")],
)
def test_another_type_or_size_is_another_symbol(ours: str, theirs: str) -> None:
    proof = show(library("x", objects=ours), library("x", objects=theirs), user("x"))
    assert not proof.missing
    assert proof.faults
    assert not proof.holds


def test_sizes_are_held_against_each_other_per_version() -> None:
    ours = library("x@Z1 x@@Z2", objects="x@Z1:4:o x@@Z2:8:o")
    theirs = library("x@Z1 x@@Z2 x3@@Z3", objects="x@Z1:4:o x@@Z2:16:o")
    assert show(ours, theirs, user("x@libz.so.1:Z1")).holds
    assert show(ours, theirs, user("x@libz.so.1:Z2")).faults == ("x@Z2 has 16 bytes, ours has 8",)


def test_a_copied_object_is_required_and_of_the_programs_size() -> None:
    program, ours = user(fixed="x:8"), library("x", objects="x:8:o")
    assert show(ours, ours, program).symbols == ("x",)
    assert show(ours, ours, program).holds
    assert show(ours, library("y"), program).missing == ("x",)
    assert not show(ours, library("x", objects="x:16:o"), program).holds
    assert not show(None, library("x", objects="x:16:o"), program).holds
    assert show(None, library("x", objects="x:8:o"), program).holds


def test_a_copied_object_stays_one_object() -> None:
    """A protected or symbolically bound object is another one in the library than in the program."""
    program, ours = user(fixed="x:8"), library("x", objects="x:8:o")
    assert not show(ours, library("x", objects="x:8:l"), program).holds
    assert show(ours, library("x", objects="x:8:l"), user("x")).holds
    unused = library("x", objects="x:8:l")
    assert show(unused, unused, program).holds


def test_a_function_keeps_one_address() -> None:
    program = user("f", fixed="f:f")
    assert not show(library("f", objects="f:9:a"), library("f"), program).holds
    assert show(library("f"), library("f"), program).holds
    assert show(library("f", objects="f:9:a"), library("f"), user("f")).holds


def test_what_ours_was_is_unknown_only_a_function_is_believed() -> None:
    assert show(None, library("x"), user("x")).holds
    assert not show(None, library("x", objects="x:8:o"), user("x")).holds


def test_another_name_is_another_interface_unless_nodes_say_otherwise() -> None:
    ours = library("inflate")
    assert show(ours, library("inflate", soname="libz.so.2"), user("inflate")).faults
    by_node = show(library("inflate@@Z1"), library("inflate@@Z1", soname="libz.so.2"), user("inflate@libz.so.1:Z1"))
    assert by_node.holds
    assert show(ours, library("inflate", soname=""), user("inflate")).faults == ("it is no shared library",)
    unnamed = replace(library("inflate", soname=""), executable=False)
    assert show(ours, unnamed, user("inflate")).holds
    assert not show(ours, replace(unnamed, exports=""), user()).holds


def test_what_no_kernel_maps_is_not_used() -> None:
    odd = replace(library("inflate"), mappable=False)
    assert "cannot be mapped" in show(library("inflate"), odd, user("inflate")).faults[0]


def test_another_float_abi_is_another_machine() -> None:
    soft = replace(library("inflate"), identity=SOFT)
    assert "soft float" in show(library("inflate"), soft, user("inflate")).faults[0]


def test_the_boards_copy_finds_its_own_symbols_and_nodes() -> None:
    ours, program = library("inflate"), user("inflate")
    needy = library("inflate", imports="crc")
    assert show(ours, needy, program).faults == ("libz.so.1 itself finds no crc",)
    assert show(ours, needy, program, library("crc", soname="libcrc.so.1")).holds
    assert show(ours, library("inflate", imports="?crc"), program).holds
    by_node = library("inflate", imports="crc@libcrc.so.1:C2")
    assert not show(ours, by_node, program, library("crc@@C1", soname="libcrc.so.1")).holds
    assert show(ours, by_node, program, library("crc@@C2", soname="libcrc.so.1")).holds


def test_a_library_may_call_back_into_every_program_that_loads_it() -> None:
    ours = library("inflate", imports="hook")
    built_with = {"libz.so.1": Exports(ours)}
    with_it = replace(user("inflate"), exports="hook")
    assert prove("libz.so.1", "/lib/libz.so.1", ours, [with_it], built_with, []).holds
    assert not prove("libz.so.1", "/lib/libz.so.1", ours, [with_it, user("inflate")], built_with, []).holds


def test_a_closure_follows_each_files_own_folders() -> None:
    first = replace(library("inflate"), needed=("libcrc.so.1",), runpath=("$ORIGIN/private",))
    crc = elf("libcrc.so.1", needed=("libdeep.so.1",))
    board = index(first, elf("libdeep.so.1"))
    files = {**board.files, "/usr/lib/private/libcrc.so.1": crc}
    found, lost = library_closure(replace(board, files=files), "/usr/lib/libz.so.1", first, ARM)
    assert list(found) == ["libcrc.so.1", "libdeep.so.1"]
    assert not lost
    assert library_closure(board, "/usr/lib/libz.so.1", first, ARM)[1] == ["libcrc.so.1"]


def test_an_rpath_is_handed_down_and_a_runpath_is_not() -> None:
    handed = replace(library("inflate"), needed=("libcrc.so.1",), runpath=(), rpath=("/opt/v",))
    crc = replace(elf("libcrc.so.1", needed=("libdeep.so.1",)), runpath=())
    board = index(handed)
    board = replace(board, files={**board.files, "/opt/v/libcrc.so.1": crc, "/opt/v/libdeep.so.1": elf("libdeep.so.1")})
    assert library_closure(board, "/usr/lib/libz.so.1", handed, ARM)[1] == []
    through = replace(crc, runpath=("/nowhere",))
    past = replace(board, files={**board.files, "/opt/v/libcrc.so.1": through})
    assert library_closure(past, "/usr/lib/libz.so.1", handed, ARM)[1] == ["libdeep.so.1"]
    own = replace(handed, runpath=("/opt/v",))
    assert library_closure(board, "/usr/lib/libz.so.1", own, ARM)[1] == ["libdeep.so.1"]
