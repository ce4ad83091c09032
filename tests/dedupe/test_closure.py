"""Closing the loop: loader rules by name."""

from __future__ import annotations

import pytest

from deploy.dedupe.closure import close_loop, providers_of, unresolved_symbols
from recipes.arch import ARCHES
from recipes.elf import ElfFile
from recipes.errors import ProofError
from recipes.rootfs.index import Index
from recipes.rootfs.origin import Origin
from tests.support.facts import SOFT, elf, index

ARM = ARCHES["armv7"]


def find(bundle: dict[str, ElfFile], board: Index) -> dict[str, Origin]:
    return providers_of("bin/app", bundle, board, ARM)


def test_runpath_comes_before_the_boards_folders() -> None:
    library = elf("liba.so.1")
    found = find({"bin/app": elf(needed=("liba.so.1",)), "lib/liba.so.1": library}, index(library))
    assert found == {"liba.so.1": "bundle:lib/liba.so.1"}


def test_the_boards_folders_serve_the_rest() -> None:
    assert find({"bin/app": elf(needed=("liba.so.1",))}, index(elf("liba.so.1"))) == {"liba.so.1": "/usr/lib/liba.so.1"}


def test_runpath_is_not_inherited() -> None:
    """A library without a RUNPATH of its own does not find its neighbour, though the program would."""
    bundle = {
        "bin/app": elf(needed=("liba.so.1",)),
        "lib/liba.so.1": elf("liba.so.1", needed=("libb.so.1",), runpath=()),
        "lib/libb.so.1": elf("libb.so.1"),
    }
    with pytest.raises(ProofError, match=r"libb\.so\.1 would not be found") as caught:
        find(bundle, index())
    assert "/usr/lib" in caught.value.why


def test_a_name_that_is_loaded_already_is_not_searched_again() -> None:
    bundle = {
        "bin/app": elf(needed=("liba.so.1", "libb.so.1")),
        "lib/liba.so.1": elf("liba.so.1", needed=("libb.so.1",), runpath=()),
        "lib/libb.so.1": elf("libb.so.1"),
    }
    assert find(bundle, index())["libb.so.1"] == "bundle:lib/libb.so.1"


def test_origin_is_the_folder_of_the_file_itself() -> None:
    bundle = {
        "bin/app": elf(needed=("liba.so.1",), runpath=("$ORIGIN/../lib/deep",)),
        "lib/deep/liba.so.1": elf("liba.so.1", needed=("libb.so.1",), runpath=("${ORIGIN}",)),
        "lib/deep/libb.so.1": elf("libb.so.1"),
    }
    assert find(bundle, index())["libb.so.1"] == "bundle:lib/deep/libb.so.1"


def test_files_of_another_machine_are_passed_over() -> None:
    bundle = {"bin/app": elf(needed=("liba.so.1",)), "lib/liba.so.1": elf("liba.so.1", identity=SOFT)}
    assert find(bundle, index(elf("liba.so.1")))["liba.so.1"] == "/usr/lib/liba.so.1"


def test_a_symbol_that_no_library_of_the_process_has_is_found() -> None:
    bundle = {"bin/app": elf(needed=("liba.so.1",), imports="here gone")}
    board = index(elf("liba.so.1", exports="here"))
    assert unresolved_symbols("bin/app", find(bundle, board), bundle, board) == ["gone, needed by bin/app"]
    with pytest.raises(ProofError, match="gone, needed by bin/app"):
        close_loop(bundle, board, ARM)


def test_a_symbol_of_a_library_that_the_file_does_not_name_itself_counts() -> None:
    """The link went through because liba brought libb along; on the board it must do so too."""
    bundle = {"bin/app": elf(needed=("liba.so.1",), imports="deep")}
    library = elf("liba.so.1", needed=("libb.so.1",))
    with_it = index(library, elf("libb.so.1", exports="deep"))
    without = index(elf("liba.so.1"), elf("libb.so.1", exports="deep"))
    assert unresolved_symbols("bin/app", find(bundle, with_it), bundle, with_it) == []
    assert unresolved_symbols("bin/app", find(bundle, without), bundle, without) == ["deep, needed by bin/app"]


def test_a_version_node_is_part_of_the_symbol() -> None:
    bundle = {"bin/app": elf(needed=("libc.so.6",), imports="puts@libc.so.6:GLIBC_2.38 ?maybe@libc.so.6:GLIBC_2.99")}
    board = index(elf("libc.so.6", exports="puts@@GLIBC_2.4"))
    assert unresolved_symbols("bin/app", find(bundle, board), bundle, board) == ["puts@GLIBC_2.38, needed by bin/app"]
