"""What each libc's loader grants of what a file asks; tests/corpus asks the loaders themselves."""

from __future__ import annotations

from dataclasses import replace

import pytest

from deploy.dedupe.closure import close_loop
from recipes.arch import ARCHES, Libc
from recipes.elf import ElfFile
from recipes.errors import ProofError
from recipes.proof.binding import Exports
from recipes.proof.grants import Grants
from recipes.proof.prove import library_closure, private_names, prove
from tests.support.facts import ARM, elf
from tests.support.loaderboards import LOADERS, app, board, entry, got

GLIBC_36 = elf("libc.so.6", exports="puts@@GLIBC_2.4 x@@GLIBC_2.36 r@@GLIBC_ABI_DT_RELR")
GLIBC_41 = elf("libc.so.6", exports="puts@@GLIBC_2.4 x@@GLIBC_2.41")
GLIBC_31 = elf("libc.so.6", exports="puts@@GLIBC_2.4 x@@GLIBC_2.31")
MUSL_3, MUSL_5 = elf("libc.musl-armhf.so.1", exports="puts"), elf("libc.musl-armhf.so.1", exports="puts statx")
UCLIBC = elf("libc.so.0", exports="puts")


def copy(*asks: str, needed: tuple[str, ...] = (), needs: tuple[str, ...] = (), identity: int = 40) -> ElfFile:
    made = replace(elf("libz.so.1", exports="inflate", needed=needed), asks=asks, version_needs=needs)
    return replace(made, identity=replace(made.identity, machine=identity))


def granted(libc: Libc, own: ElfFile, file: ElfFile) -> bool:
    return not Grants(libc, [own]).refused(file)


@pytest.mark.parametrize(
    ("ask", "glibc", "musl", "uclibc"),
    [
        ("pie", False, False, False),
        ("noopen", False, True, True),
        ("nodeflib", True, True, True),  # is a rule of the search
        ("filter:libreal.so.1", False, True, False),
        ("auxiliary:libreal.so.1", False, True, False),
        ("relr", True, False, False),
        ("execstack", True, False, False),
        ("textrel", True, True, False),
        ("textrel-flag", True, False, False),
        ("static-tls:64", True, False, True),
        ("static-tls:5000", False, False, False),
        ("irelative", True, False, False),
        ("tlsdesc", True, True, False),
        ("kernel:99.0.0", False, True, True),
        ("system:2", False, True, True),
        ("isa:3", False, False, False),
        ("page:4096", False, False, False),
        ("abi-version:5", False, False, False),
        ("tag:0x6000000f", False, False, False),
        ("flags:0x20", False, False, False),
        ("flags-1:0x40000000", False, False, False),
        ("relocation:99", False, False, False),
        ("property:0xb0008000:0x2", False, False, False),
        ("micromips", False, False, False),
        ("no-copy", True, True, True),
    ],
)
def test_each_loader_has_its_answer(ask: str, *, glibc: bool, musl: bool, uclibc: bool) -> None:
    file = copy(ask)
    answers = [
        granted(Libc.GLIBC, GLIBC_36, file), granted(Libc.MUSL, MUSL_3, file), granted(Libc.UCLIBC, UCLIBC, file)
    ]  # fmt: skip
    assert answers == [glibc, musl, uclibc]


@pytest.mark.parametrize("libc", list(Libc))
def test_what_the_c_library_asks_for_is_granted_to_all(libc: Libc) -> None:
    asks = ("abi-version:5", "execstack", "isa:3", "kernel:5.10.0", "page:4096", "tag:0x70000036", "static-tls:5000")
    own = replace(elf("libc.so.6" if libc is Libc.GLIBC else "libc.so.0"), asks=asks)
    assert all(granted(libc, own, copy(ask)) for ask in asks)
    assert granted(libc, own, copy("kernel:4.19.0", "page:16384"))
    assert not granted(Libc.GLIBC, own, copy("kernel:5.10.1"))
    assert not granted(libc, own, copy("page:1024"))


def test_packed_relocations_go_by_the_age_of_the_loader() -> None:
    node, c = ("libc.so.6:GLIBC_ABI_DT_RELR",), ("libc.so.6",)
    assert granted(Libc.GLIBC, GLIBC_36, copy("relr", needed=c, needs=node))
    assert not granted(Libc.GLIBC, GLIBC_36, copy("relr", needed=c)), "from 2.36 on it is refused without the node"
    assert not granted(Libc.GLIBC, GLIBC_31, copy("relr"))
    assert granted(Libc.MUSL, MUSL_5, copy("relr"))


def test_an_executable_stack_goes_by_the_age_of_the_loader() -> None:
    assert granted(Libc.GLIBC, GLIBC_31, copy("execstack"))
    assert not granted(Libc.GLIBC, GLIBC_41, copy("execstack"))
    assert not granted(Libc.GLIBC, elf("libc.so.6"), copy("execstack")), "of an age that is not known"


def test_tls_descriptors_of_aarch64_are_known_to_all() -> None:
    assert granted(Libc.UCLIBC, UCLIBC, copy("tlsdesc", identity=183))


def show(theirs: ElfFile, *beside: ElfFile, program: ElfFile | None = None) -> tuple[str, ...]:
    ours, user = elf("libz.so.1", exports="inflate"), program or elf(needed=("libz.so.1",), imports="inflate")
    proof = prove("libz.so.1", "/lib/libz.so.1", theirs, [user], {"libz.so.1": Exports(ours)}, [GLIBC_36, *beside])
    return proof.faults


def test_a_refusal_is_a_fault_of_the_proof_by_its_name() -> None:
    assert show(copy("pie")) == ("it is a program (DF_1_PIE), not a library",)
    assert show(copy(), replace(elf("libdeep.so.1"), asks=("tag:0x6000000f",))) == (
        "libdeep.so.1: it asks for something that is not understood (tag:0x6000000f)",
    )
    assert show(copy()) == ()


def test_no_copies_counts_where_a_program_has_one() -> None:
    holds = replace(elf(needed=("libz.so.1",), imports="inflate"), fixed="inflate:f")
    assert show(copy("no-copy")) == ()
    assert any("no copies" in fault for fault in show(copy("no-copy"), program=holds))


def test_what_the_board_has_says_what_its_loader_grants() -> None:
    root = board("glibc", "/lib", more={"/lib/libc.so.6": GLIBC_36, LOADERS["glibc"]: elf("ld-linux-armhf.so.3")})
    closure, _ = library_closure(root, "/lib/liba.so.1", root.files["/lib/liba.so.1"], ARM)
    assert closure["libc.so.6"] is GLIBC_36


@pytest.mark.parametrize(("libc", "lost"), [("glibc", True), ("musl", False), ("uclibc", False)])
def test_a_filter_without_its_library_is_not_loaded_by_glibc(libc: str, *, lost: bool) -> None:
    theirs = replace(elf("libf.so.1", runpath=()), asks=("filter:libreal.so.1", "auxiliary:libmore.so.1"))
    root = board(libc, more={"/lib/libf.so.1": theirs})
    assert library_closure(root, "/lib/libf.so.1", theirs, ARM)[1] == (["libreal.so.1"] if lost else [])
    program = replace(app("libf.so.1"), interpreter="")
    if lost:
        with pytest.raises(ProofError, match=r"libreal.so.1 would not be found"):
            close_loop({"bin/app": program}, root, ARCHES["armv7"])
    else:
        assert "libf.so.1" in close_loop({"bin/app": program}, root, ARCHES["armv7"])["bin/app"]


@pytest.mark.parametrize(("libc", "place"), [("glibc", ""), ("musl", "/lib"), ("uclibc", "/lib")])
def test_no_default_folders_are_for_a_file_that_says_so(libc: str, place: str) -> None:
    shy = replace(elf("libmid.so.1", needed=("liba.so.1",), runpath=()), asks=("nodeflib",))
    root = board(libc, "/lib", more={"/lib/libmid.so.1": shy})
    found = f"{place}/liba.so.1" if place else ""
    assert got(root, app("libmid.so.1")) == found
    near = board("glibc", "/lib", more={"/lib/libmid.so.1": shy}, cache=entry("/lib/liba.so.1"))
    assert got(near, app("libmid.so.1")) == ""
    far = board("glibc", "/opt/x", more={"/lib/libmid.so.1": shy}, cache=entry("/opt/x/liba.so.1"))
    assert got(far, app("libmid.so.1")) == "/opt/x/liba.so.1"


def test_a_name_that_no_root_tells_of_is_not_left_to_the_board() -> None:
    proof = prove("plugin", "/lib/plugin", elf("plugin"), [elf(needed=("plugin",))], {}, [GLIBC_36])
    assert proof.faults == ("no library has such a name: what else has it, before this one, is not known",)
    assert show(copy(needed=("helper",))) == ("it needs helper: what else has such a name is not known",)


def test_what_glibc_keeps_for_itself_is_told() -> None:
    assert private_names(["a@GLIBC_2.4", "b@GLIBC_PRIVATE"], ["GLIBC_PRIVATE", "GLIBC_2.4"]) == [
        "b@GLIBC_PRIVATE",
        "GLIBC_PRIVATE",
    ]
