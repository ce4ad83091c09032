"""The loader's rules, each by its name; tests/corpus/test_loader_rules.py checks them against real loaders."""

from __future__ import annotations

from dataclasses import replace

import pytest

from deploy.dedupe.closure import close_loop
from recipes.arch import ARCHES
from recipes.errors import ProofError
from recipes.proof.prove import library_closure
from recipes.proof.search import Loader, first_file
from recipes.rootfs.loaderconf import CacheEntry, libc_of, loader_of_root
from tests.support.facts import ARM, SOFT, elf
from tests.support.loaderboards import APP, HARD, LIB, LOADERS, app, board, entry, got


@pytest.mark.parametrize(
    ("name", "libc"),
    [
        ("/lib/ld-linux-armhf.so.3", "glibc"),
        ("/lib64/ld-linux-x86-64.so.2", "glibc"),
        ("/lib/ld-2.31.so", "glibc"),
        ("/lib/ld.so.1", "glibc"),
        ("/lib/ld-musl-aarch64.so.1", "musl"),
        ("/lib/ld-uClibc.so.0", "uclibc"),
        ("/lib/ld-uClibc-0.9.33.so", "uclibc"),
        ("/usr/lib/libld.so.1", None),
    ],
)
def test_the_libc_is_told_by_its_loader(name: str, libc: str | None) -> None:
    assert libc_of(name) == libc


def test_the_loader_is_the_one_that_most_programs_ask_for() -> None:
    asked = ["/lib/ld-musl-armhf.so.1", "/lib/ld-linux-armhf.so.3", "/lib/ld-linux-armhf.so.3", ""]
    assert loader_of_root(asked, ["/lib/ld-musl-armhf.so.1"]) == "/lib/ld-linux-armhf.so.3"
    assert loader_of_root([], ["/lib/libc.so", "/lib/ld-musl-armhf.so.1"]) == "/lib/ld-musl-armhf.so.1"
    assert loader_of_root([], ["/lib/libc.so"]) == ""


@pytest.mark.parametrize(("libc", "place"), [("glibc", "/a"), ("musl", "/b"), ("uclibc", "/a")])
def test_rpath_and_the_environment(libc: str, place: str) -> None:
    found = got(board(libc, "/a", "/b", "/lib"), app(rpath=("/a",)), environment=("/b",))
    assert found == f"{place}/liba.so.1"


@pytest.mark.parametrize("libc", LOADERS)
def test_the_environment_before_runpath(libc: str) -> None:
    assert got(board(libc, "/a", "/b"), app(runpath=("/a",)), environment=("/b",)) == "/b/liba.so.1"


@pytest.mark.parametrize("libc", LOADERS)
def test_runpath_before_the_cache_and_the_folders(libc: str) -> None:
    root = board(libc, "/a", "/opt/x", "/lib", cache=entry("/opt/x/liba.so.1", 1))
    assert got(root, app(runpath=("/a",))) == "/a/liba.so.1"


@pytest.mark.parametrize("libc", LOADERS)
def test_a_file_with_both_paths(libc: str) -> None:
    """Where there is a RUNPATH, all three forget the RPATH."""
    assert got(board(libc, "/a", "/b"), app(rpath=("/a",), runpath=("/b",))) == "/b/liba.so.1"


@pytest.mark.parametrize(("libc", "place"), [("glibc", "/opt/x"), ("musl", "/lib"), ("uclibc", "/opt/x")])
def test_the_cache_before_the_folders(libc: str, place: str) -> None:
    root = board(libc, "/opt/x", "/lib", cache=entry("/opt/x/liba.so.1", HARD))
    assert got(root, app()) == f"{place}/liba.so.1"
    found = root.find("liba.so.1", ARM)
    assert found is not None
    assert found[0] == f"{place}/liba.so.1"


@pytest.mark.parametrize("libc", LOADERS)
def test_the_folders_in_order(libc: str) -> None:
    assert got(board(libc, "/usr/lib", "/lib"), app()) == "/lib/liba.so.1"


@pytest.mark.parametrize("libc", LOADERS)
def test_a_path_is_no_name(libc: str) -> None:
    assert got(board(libc, "/a", "/lib"), app("/a/liba.so.1"), of="/a/liba.so.1") == "/a/liba.so.1"
    # Where nothing is there, uClibc's looks for the name in it.
    found = got(board(libc, "/lib"), app("/a/liba.so.1"), of="/a/liba.so.1")
    assert found == ("/lib/liba.so.1" if libc == "uclibc" else "")


@pytest.mark.parametrize(("libc", "place"), [("glibc", "/a"), ("musl", "/a"), ("uclibc", "/lib")])
def test_rpath_is_inherited(libc: str, place: str) -> None:
    root = board(libc, "/a", "/lib", more={"/a/libm1.so": elf("libm1.so", needed=("liba.so.1",), runpath=())})
    assert got(root, app("libm1.so", rpath=("/a",))) == f"{place}/liba.so.1"


@pytest.mark.parametrize(("libc", "place"), [("glibc", "/lib"), ("musl", "/a"), ("uclibc", "/lib")])
def test_runpath_is_inherited_with_musl_only(libc: str, place: str) -> None:
    root = board(libc, "/a", "/lib", more={"/a/libm1.so": elf("libm1.so", needed=("liba.so.1",), runpath=())})
    assert got(root, app("libm1.so", runpath=("/a",))) == f"{place}/liba.so.1"


@pytest.mark.parametrize(("libc", "place"), [("glibc", "/lib"), ("musl", "/a")])
def test_a_runpath_shuts_inherited_rpaths_out(libc: str, place: str) -> None:
    middle = elf("libm1.so", needed=("liba.so.1",), runpath=("/none",))
    root = board(libc, "/a", "/lib", more={"/a/libm1.so": middle})
    assert got(root, app("libm1.so", rpath=("/a",))) == f"{place}/liba.so.1"


@pytest.mark.parametrize(("libc", "places"), [("glibc", ["/a"]), ("musl", ["/a"]), ("uclibc", ["/a", "/b"])])
def test_a_name_that_is_loaded_is_searched_again_by_uclibc_only(libc: str, places: list[str]) -> None:
    middle = elf("libm1.so", needed=("liba.so.1",), runpath=("/b",))
    root = board(libc, "/a", more={"/a/libm1.so": middle, "/b/liba.so.1": elf("liba.so.1", runpath=())})
    program = elf(needed=("liba.so.1", "libm1.so"), runpath=("/a",))
    steps = list(Loader(root, ARM).process([first_file(APP, program)]))
    found = [step.got.place for step in steps if step.got is not None and step.name == "liba.so.1"]
    assert found == [f"{place}/liba.so.1" for place in places]
    copy = root.files["/a/libm1.so"]
    assert not any("one copy" in lack for lack in library_closure(root, "/a/libm1.so", copy, ARM)[1])


def test_a_loader_without_origin_is_told_by_its_cure() -> None:
    bundle = {
        "bin/app": elf(needed=("liba.so.1",), runpath=(), rpath=("$ORIGIN/../lib",), loader=""),
        "lib/liba.so.1": elf("liba.so.1", runpath=(), sysv=True),
    }
    close_loop(bundle, board("uclibc"), ARCHES["armv7"])
    with pytest.raises(ProofError, match=r"liba.so.1 would not be found on the board") as caught:
        close_loop(bundle, replace(board("uclibc"), expands=False), ARCHES["armv7"])
    assert "this uClibc knows no $ORIGIN" in caught.value.next_step


def test_two_copies_in_one_process_are_refused() -> None:
    """UClibc's loader takes ours for the program and the board's own for a library of the board."""
    middle = elf("libm1.so", needed=("liba.so.1",), runpath=(), sysv=True)
    root = board("uclibc", "/lib", more={"/lib/libm1.so": middle})
    ours = elf("liba.so.1", runpath=(), exports="mine", sysv=True)
    bundle = {"bin/app": elf(needed=("liba.so.1", "libm1.so"), runpath=(), rpath=("$ORIGIN/../lib",), loader="")}
    with pytest.raises(ProofError, match=r"two copies of liba.so.1 would meet in one process") as caught:
        close_loop(bundle | {"lib/liba.so.1": ours}, root, ARCHES["armv7"])
    assert "bundle:lib/liba.so.1 for bundle:bin/app, /lib/liba.so.1 for /lib/libm1.so" in str(caught.value)


@pytest.mark.parametrize(("libc", "sysv"), [("uclibc", False), ("uclibc", True), ("glibc", False)])
def test_uclibc_may_read_one_table_of_symbols_only(libc: str, *, sysv: bool) -> None:
    bundle = {
        "bin/app": elf(needed=("liba.so.1",), runpath=(), rpath=("$ORIGIN/../lib",), imports="mine", loader=""),
        "lib/liba.so.1": elf("liba.so.1", runpath=(), exports="mine", sysv=sysv),
    }
    if libc == "uclibc" and not sysv:
        with pytest.raises(ProofError, match=r"every symbol of liba.so.1, it has only GNU's table"):
            close_loop(bundle, board(libc), ARCHES["armv7"])
        modern = {"/lib/libc.so.0": elf("libc.so.0", runpath=())}
        bundle["bin/app"] = replace(bundle["bin/app"], needed=("liba.so.1", "libc.so.0"))
        close_loop(bundle, board(libc, more=modern), ARCHES["armv7"])
    else:
        close_loop(bundle, board(libc), ARCHES["armv7"])


@pytest.mark.parametrize(("libc", "found"), [("glibc", "/a/libother.so"), ("musl", ""), ("uclibc", "")])
def test_glibc_knows_a_library_by_its_soname(libc: str, found: str) -> None:
    middle = elf("libm1.so", needed=("liba.so.1",), runpath=("/none",))
    root = board(libc, more={"/a/libother.so": LIB, "/a/libm1.so": middle})
    assert got(root, elf(needed=("libother.so", "libm1.so"), runpath=("/a",))) == found * (libc != "musl")


def test_one_file_under_two_names_is_loaded_once() -> None:
    root = replace(board("musl", "/a"), links={"/a/libalso.so": "liba.so.1"})
    loader = Loader(root, ARM)
    steps = list(loader.process([first_file(APP, elf(needed=("liba.so.1", "libalso.so"), runpath=("/a",)))]))
    assert steps[0].got is steps[1].got


@pytest.mark.parametrize("libc", LOADERS)
def test_the_loader_is_in_the_process_wherever_its_file_is(libc: str) -> None:
    name = LOADERS[libc].rsplit("/", 1)[1]
    root = board(libc, more={LOADERS[libc]: elf(name)}, directories=("/usr/lib",))
    assert got(root, app(name), of=name) == LOADERS[libc]


def test_musls_loader_is_its_c_library() -> None:
    root = board("musl", more={LOADERS["musl"]: elf("libc.so"), "/a/libm.so.6": elf("libm.so.6")})
    assert got(root, app("libm.so.6", runpath=("/a",)), of="libm.so.6") == LOADERS["musl"]


@pytest.mark.parametrize("libc", LOADERS)
def test_origin_is_of_the_symlink_as_found(libc: str) -> None:
    middle = elf("libm1.so", needed=("liba.so.1",), runpath=(), rpath=("$ORIGIN/deep",))
    root = board(libc, "/app/lib/deep", "/real/deep", more={"/real/libm1.so": middle})
    root = replace(root, links={"/app/lib/libm1.so": "/real/libm1.so"})
    assert got(root, app("libm1.so", rpath=("$ORIGIN/../lib",))) == "/app/bin/../lib/deep/liba.so.1"


def test_uclibc_knows_origin_in_an_rpath_only() -> None:
    """A later release may expand it in a RUNPATH too, so what is there is told beside what is proved."""
    root = board("uclibc", "/app/lib", "/lib")
    found = Loader(root, ARM).find("liba.so.1", first_file(APP, app(runpath=("$ORIGIN/../lib",))))
    assert found is not None
    assert (found.place, [place for place, _ in found.instead]) == ("/lib/liba.so.1", ["/app/lib/liba.so.1"])
    assert got(board("uclibc", "/app/lib"), app(runpath=("$ORIGIN/../lib",))) == ""


@pytest.mark.parametrize(("libc", "place"), [("glibc", "/app/bin/../lib"), ("musl", "/lib"), ("uclibc", "/lib")])
def test_origin_in_the_environment(libc: str, place: str) -> None:
    found = got(board(libc, "/app/lib", "/lib"), app(), environment=("$ORIGIN/../lib",))
    assert found == f"{place}/liba.so.1"


@pytest.mark.parametrize(("libc", "known"), [("glibc", True), ("musl", True), ("uclibc", False)])
def test_origin_in_braces(libc: str, *, known: bool) -> None:
    found = got(board(libc, "/app/lib"), app(runpath=("${ORIGIN}/../lib",)))
    assert bool(found) is known


@pytest.mark.parametrize(
    ("first", "place"),
    [
        ("/lib/arm-linux-gnueabihf", "lib/arm-linux-gnueabihf"),
        ("/lib64", "lib64"),
        ("/lib", "lib"),
        ("/usr/lib", "lib"),
    ],
)
def test_lib_is_what_glibc_was_built_with(first: str, place: str) -> None:
    root = board("glibc", f"/app/{place}", directories=(first,))
    assert got(root, app(runpath=("/app/$LIB",))) == f"/app/{place}/liba.so.1"
    assert got(root, app(runpath=("/app/$LIBRARY",))) == ""


def test_musl_drops_a_path_with_another_word() -> None:
    assert got(board("musl", "/a", "/lib"), app(runpath=("/a", "/app/$LIB"))) == "/lib/liba.so.1"


def test_platform_is_not_proved_unless_it_is_known() -> None:
    root = board("glibc", "/app/v7l", "/lib")
    program = app(runpath=("/app/$PLATFORM",))
    loader = Loader(root, ARM)
    found = loader.find("liba.so.1", first_file(APP, program))
    assert found is not None
    assert found.place == "/lib/liba.so.1"
    assert [place for place, _ in found.instead] == ["/app/v7l/liba.so.1"]
    assert got(root, program, platform="v7l") == "/app/v7l/liba.so.1"


@pytest.mark.parametrize("libc", LOADERS)
def test_a_folder_that_depends_on_where_one_stands_is_not_proved(libc: str) -> None:
    assert got(board(libc, "/a", "/lib"), app(runpath=("", "a", "."))) == "/lib/liba.so.1"


@pytest.mark.parametrize("below", ["glibc-hwcaps/x86-64-v3", "tls", "neon/vfp", "tls/v7l/neon", "haswell"])
def test_a_copy_for_some_processors_is_told_beside_the_one_for_all(below: str) -> None:
    found = Loader(board("glibc", "/lib", f"/lib/{below}"), ARM).find("liba.so.1", None)
    assert found is not None
    assert found.place == "/lib/liba.so.1"
    assert [place for place, _ in found.instead] == [f"/lib/{below}/liba.so.1"]


def test_a_copy_for_some_processors_alone_is_no_provider() -> None:
    assert Loader(board("glibc", "/lib/glibc-hwcaps/x86-64-v3"), ARM).find("liba.so.1", None) is None


def test_musl_has_no_folders_for_processors() -> None:
    found = Loader(board("musl", "/lib", "/lib/glibc-hwcaps/x86-64-v3"), ARM).find("liba.so.1", None)
    assert found is not None
    assert not found.instead


def test_a_cached_copy_for_some_processors_is_told_too() -> None:
    rows = {"liba.so.1": (CacheEntry("/opt/y/liba.so.1", HARD, 1 << 62), CacheEntry("/opt/x/liba.so.1", HARD, 0))}
    found = Loader(board("glibc", "/opt/x", "/opt/y", cache=rows), ARM).find("liba.so.1", None)
    assert found is not None
    assert (found.place, [place for place, _ in found.instead]) == ("/opt/x/liba.so.1", ["/opt/y/liba.so.1"])


def test_a_proof_is_about_every_processors_copy() -> None:
    """One that is alike is proved with the other; one that is not stops the proof, and the loop is not closed."""
    same = board("glibc", "/lib", "/lib/neon")
    assert library_closure(same, "/lib/liba.so.1", LIB, ARM) == ({}, [])
    fewer = board("glibc", "/lib/neon", more={"/lib/liba.so.1": elf("liba.so.1", exports="wanted", runpath=())})
    copy = fewer.files["/lib/liba.so.1"]
    assert library_closure(fewer, "/lib/liba.so.1", copy, ARM)[1] == [
        "one library for every processor (/lib/neon/liba.so.1 differs)"
    ]
    bundle = {"bin/app": elf(needed=("liba.so.1",), imports="wanted", loader="")}
    with pytest.raises(ProofError, match="would stop on the board: wanted"):
        close_loop(bundle, fewer, ARCHES["armv7"])


@pytest.mark.parametrize(("libc", "found"), [("glibc", "/b/liba.so.1"), ("musl", ""), ("uclibc", "")])
def test_a_file_of_another_abi(libc: str, found: str) -> None:
    root = board(libc, "/b", more={"/a/liba.so.1": elf("liba.so.1", identity=SOFT)})
    assert got(root, app(runpath=("/a", "/b"))) == found


@pytest.mark.parametrize(("libc", "found"), [("glibc", "/b/liba.so.1"), ("musl", ""), ("uclibc", "/b/liba.so.1")])
def test_a_file_of_another_machine(libc: str, found: str) -> None:
    root = board(libc, "/b", more={"/a/liba.so.1": elf("liba.so.1", identity=ARCHES["mipsel"].identity)})
    assert got(root, app(runpath=("/a", "/b"))) == found


def test_a_damaged_file_is_where_the_search_ends() -> None:
    root = replace(board("glibc", "/b"), damaged={"/a/liba.so.1": "cut"})
    assert got(root, app(runpath=("/a", "/b"))) == ""
