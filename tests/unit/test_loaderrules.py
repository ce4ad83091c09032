"""The loader's rules, each by its name. tests/corpus/test_loader_rules.py holds those of glibc and musl against theirs.

For uClibc there is no loader to hold them against here: its source is what these tests go by (ldso/ldso/dl-elf.c).
"""

from __future__ import annotations

import tarfile
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import pytest

from deploy.loader import close, providers
from recipes import elfindex, indexstore, loaderconf
from recipes.arch import ARCHES
from recipes.elf import ElfFile
from recipes.elfindex import Index
from recipes.errors import ProofError
from recipes.loadercheck import disagreements
from recipes.loaderconf import Cached
from recipes.loaderrules import Loader, start
from recipes.proof import closure
from tests.support import loadercache
from tests.support.facts import ARM, SOFT, elf

APP = "/app/bin/app"
HARD = loadercache.FLAGS["armv7"]
LOADERS = {"glibc": "/lib/ld-linux-armhf.so.3", "musl": "/lib/ld-musl-armhf.so.1", "uclibc": "/lib/ld-uClibc.so.1"}
LIB = elf("liba.so.1", runpath=())


def app(needed: str = "liba.so.1", runpath: tuple[str, ...] = (), rpath: tuple[str, ...] = ()) -> ElfFile:
    return elf(needed=(needed,), runpath=runpath, rpath=rpath)


def board(
    libc: str,
    *places: str,
    more: dict[str, ElfFile] | None = None,
    cache: Mapping[str, tuple[Cached, ...]] | None = None,
    directories: tuple[str, ...] = ("/lib", "/usr/lib"),
) -> Index:
    """Return a root with liba in each of these folders."""
    files = {f"{place}/liba.so.1": LIB for place in places} | (more or {})
    return Index(
        source="values",
        files=files,
        links={},
        directories=directories,
        loader=LOADERS[libc],
        cache=None if cache is None else dict(cache),
        some=loaderconf.for_some(files),
    )


def got(root: Index, program: ElfFile, *, environment: tuple[str, ...] = (), platform: str = "", of: str = "") -> str:
    """Return the path that a name of the process is found at."""
    loader = Loader(root, ARM, environment=environment, platform=platform)
    steps = {step.name: step.got for step in loader.process([start(APP, program)])}
    found = steps[of or "liba.so.1"]
    return found.found if found else ""


def entry(path: str, flags: int = HARD, hwcap: int = 0) -> dict[str, tuple[Cached, ...]]:
    return {"liba.so.1": (Cached(path, flags, hwcap),)}


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
        ("/usr/lib/libld.so.1", ""),
    ],
)
def test_the_libc_is_told_by_its_loader(name: str, libc: str) -> None:
    assert loaderconf.libc(name) == libc


def test_the_loader_is_the_one_that_most_programs_ask_for() -> None:
    asked = ["/lib/ld-musl-armhf.so.1", "/lib/ld-linux-armhf.so.3", "/lib/ld-linux-armhf.so.3", ""]
    assert loaderconf.loader(asked, ["/lib/ld-musl-armhf.so.1"]) == "/lib/ld-linux-armhf.so.3"
    assert loaderconf.loader([], ["/lib/libc.so", "/lib/ld-musl-armhf.so.1"]) == "/lib/ld-musl-armhf.so.1"
    assert loaderconf.loader([], ["/lib/libc.so"]) == ""


# --- the order


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


@pytest.mark.parametrize(("libc", "place"), [("glibc", "/b"), ("musl", "/b"), ("uclibc", "/a")])
def test_a_file_with_both_paths(libc: str, place: str) -> None:
    """Where there is a RUNPATH, glibc and musl forget the RPATH; uClibc looks into both."""
    assert got(board(libc, "/a", "/b"), app(rpath=("/a",), runpath=("/b",))) == f"{place}/liba.so.1"


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


def test_a_path_is_no_name() -> None:
    assert got(board("glibc", "/a", "/lib"), app("/a/liba.so.1"), of="/a/liba.so.1") == "/a/liba.so.1"


# --- what is handed down


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


def test_a_name_that_is_loaded_is_not_searched_again() -> None:
    middle = elf("libm1.so", needed=("liba.so.1",), runpath=("/b",))
    root = board("glibc", "/a", "/b", more={"/a/libm1.so": middle})
    program = elf(needed=("liba.so.1", "libm1.so"), runpath=("/a",))
    assert got(root, program) == "/a/liba.so.1"


@pytest.mark.parametrize(("libc", "found"), [("glibc", "/a/libother.so"), ("musl", ""), ("uclibc", "")])
def test_glibc_knows_a_library_by_its_soname(libc: str, found: str) -> None:
    middle = elf("libm1.so", needed=("liba.so.1",), runpath=("/none",))
    root = board(libc, more={"/a/libother.so": LIB, "/a/libm1.so": middle})
    assert got(root, elf(needed=("libother.so", "libm1.so"), runpath=("/a",))) == found * (libc != "musl")


def test_one_file_under_two_names_is_loaded_once() -> None:
    root = replace(board("musl", "/a"), links={"/a/libalso.so": "liba.so.1"})
    loader = Loader(root, ARM)
    steps = list(loader.process([start(APP, elf(needed=("liba.so.1", "libalso.so"), runpath=("/a",)))]))
    assert steps[0].got is steps[1].got


@pytest.mark.parametrize("libc", LOADERS)
def test_the_loader_is_in_the_process_wherever_it_lies(libc: str) -> None:
    name = LOADERS[libc].rsplit("/", 1)[1]
    root = board(libc, more={LOADERS[libc]: elf(name)}, directories=("/usr/lib",))
    assert got(root, app(name), of=name) == LOADERS[libc]


def test_musls_loader_is_its_c_library() -> None:
    root = board("musl", more={LOADERS["musl"]: elf("libc.so"), "/a/libm.so.6": elf("libm.so.6")})
    assert got(root, app("libm.so.6", runpath=("/a",)), of="libm.so.6") == LOADERS["musl"]


# --- words in paths


@pytest.mark.parametrize("libc", LOADERS)
def test_origin_is_of_the_symlink_as_found(libc: str) -> None:
    middle = elf("libm1.so", needed=("liba.so.1",), runpath=("$ORIGIN/deep",))
    root = board(libc, "/app/lib/deep", "/real/deep", more={"/real/libm1.so": middle})
    root = replace(root, links={"/app/lib/libm1.so": "/real/libm1.so"})
    assert got(root, app("libm1.so", runpath=("$ORIGIN/../lib",))) == "/app/bin/../lib/deep/liba.so.1"


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
    found = loader.find("liba.so.1", start(APP, program))
    assert found is not None
    assert found.place == "/lib/liba.so.1"
    assert [place for place, _ in found.instead] == ["/app/v7l/liba.so.1"]
    assert got(root, program, platform="v7l") == "/app/v7l/liba.so.1"


@pytest.mark.parametrize("libc", LOADERS)
def test_a_folder_that_depends_on_where_one_stands_is_not_proved(libc: str) -> None:
    assert got(board(libc, "/a", "/lib"), app(runpath=("", "a", "."))) == "/lib/liba.so.1"


# --- processors


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
    rows = {"liba.so.1": (Cached("/opt/y/liba.so.1", HARD, 1 << 62), Cached("/opt/x/liba.so.1", HARD, 0))}
    found = Loader(board("glibc", "/opt/x", "/opt/y", cache=rows), ARM).find("liba.so.1", None)
    assert found is not None
    assert (found.place, [place for place, _ in found.instead]) == ("/opt/x/liba.so.1", ["/opt/y/liba.so.1"])


def test_a_proof_is_about_every_processors_copy() -> None:
    """One that is alike is proved with the other; one that is not stops the proof, and the loop is not closed."""
    same = board("glibc", "/lib", "/lib/neon")
    assert closure(same, "/lib/liba.so.1", LIB, ARM) == ({}, [])
    fewer = board("glibc", "/lib/neon", more={"/lib/liba.so.1": elf("liba.so.1", exports="wanted", runpath=())})
    copy = fewer.files["/lib/liba.so.1"]
    assert closure(fewer, "/lib/liba.so.1", copy, ARM)[1] == [
        "one library for every processor (/lib/neon/liba.so.1 differs)"
    ]
    bundle = {"bin/app": elf(needed=("liba.so.1",), imports="wanted")}
    with pytest.raises(ProofError, match="would stop on the board: wanted"):
        close(bundle, fewer, ARCHES["armv7"])


# --- files that are not for it


@pytest.mark.parametrize(("libc", "found"), [("glibc", "/b/liba.so.1"), ("musl", ""), ("uclibc", "/b/liba.so.1")])
def test_a_file_of_another_machine(libc: str, found: str) -> None:
    root = board(libc, "/b", more={"/a/liba.so.1": elf("liba.so.1", identity=SOFT)})
    assert got(root, app(runpath=("/a", "/b"))) == found


def test_a_damaged_file_is_where_the_search_ends() -> None:
    root = replace(board("glibc", "/b"), damaged={"/a/liba.so.1": "cut"})
    assert got(root, app(runpath=("/a", "/b"))) == ""


# --- the cache


def test_a_cache_is_read_in_both_layouts() -> None:
    rows = [("liba.so.1", "/opt/x/liba.so.1", HARD, 0), ("libb.so.1", "/lib/libb.so.1", 3, 1 << 62)]
    expected = {name: (Cached(path, flags, hwcap),) for name, path, flags, hwcap in rows}
    assert loaderconf.cache(loadercache.glibc(rows)) == expected
    assert loaderconf.cache(loadercache.glibc(rows, behind=loadercache.old(rows))) == expected
    without = {name: (Cached(path, flags, 0),) for name, path, flags, _ in rows}
    assert loaderconf.cache(loadercache.old(rows)) == without


def test_a_torn_cache_is_none() -> None:
    whole = loadercache.glibc([("liba.so.1", "/opt/x/liba.so.1", HARD, 0)])
    assert all(loaderconf.cache(whole[:end]) is None for end in range(len(whole)))


@pytest.mark.parametrize(
    ("machine", "flags", "fits"),
    [
        ("armv7", "armv7", 2),
        ("armv7", "none", 1),
        ("armv7", "armv5", 0),
        ("aarch64", "aarch64", 2),
        ("aarch64", "none", 0),
        ("x86_64", "x86_64", 2),
        ("x86_64", "armv7", 0),
        ("mipsel", "none", 1),
    ],
)
def test_a_cache_entry_names_its_machine(machine: str, flags: str, fits: int) -> None:
    assert loaderconf.says(Cached("/x", loadercache.FLAGS[flags], 0), ARCHES[machine].identity) == fits


def test_glibc_asks_its_cache_once_and_uclibc_goes_on() -> None:
    rows = {"liba.so.1": (Cached("/gone/liba.so.1", HARD, 0), Cached("/opt/x/liba.so.1", HARD, 0))}
    assert got(board("glibc", "/opt/x", "/lib", cache=rows), app()) == "/lib/liba.so.1"
    assert got(board("uclibc", "/opt/x", "/lib", cache=rows), app()) == "/opt/x/liba.so.1"


# --- the configuration


def test_ld_so_conf_in_its_own_order_includes_at_their_place() -> None:
    confs = {
        "/etc/ld.so.conf": "/first # one\ninclude ld.so.conf.d/*.conf\n  include /etc/more/last.conf\n/first/\n",
        "/etc/ld.so.conf.d/2.conf": "/third",
        "/etc/ld.so.conf.d/1.conf": "/second\nhwcap 0 nosegneg\n",
        "/etc/ld.so.conf.d/1.txt": "/never",
        "/etc/ld.so.conf.d/below/1.conf": "/never",
        "/etc/more/last.conf": "/fourth\ninclude /etc/ld.so.conf\n",
    }
    assert loaderconf.conf(confs) == ["/first", "/second", "/third", "/fourth"]


def test_glibcs_own_folders_are_read_out_of_it() -> None:
    built = (
        b"\x01\0/etc/suid-debug\0/lib/\0 \0/lib/arm-linux-gnueabihf/\0/usr/lib/arm-linux-gnueabihf/\0/lib/\0/usr/lib/\0"
    )
    folders = loaderconf.built_in(built)
    assert folders == ("/lib/arm-linux-gnueabihf", "/usr/lib/arm-linux-gnueabihf", "/lib", "/usr/lib")
    listed = {"/etc/ld.so.conf": "/opt/x"}
    assert loaderconf.folders(LOADERS["glibc"], folders, listed, wide=False) == folders
    assert loaderconf.folders("", (), listed, wide=True) == ("/opt/x", "/lib64", "/usr/lib64", "/lib", "/usr/lib")


def test_musls_list_stands_for_its_folders() -> None:
    path = LOADERS["musl"]
    assert loaderconf.folders(path, (), {}, wide=False) == ("/lib", "/usr/local/lib", "/usr/lib")
    listed = {"/etc/ld-musl-armhf.path": "/a\n/b:/c\n", "/etc/ld-musl-arm.path": "/d", "/etc/ld.so.conf": "/e"}
    assert loaderconf.folders(path, (), listed, wide=False) == ("/a", "/b", "/c")


def test_uclibc_looks_beside_its_loader() -> None:
    assert loaderconf.folders("/opt/lib/ld-uClibc.so.0", (), {}, wide=False) == ("/opt/lib", "/lib", "/usr/lib")


# --- roots


def root_folder(folder: Path) -> Path:
    """Make a root whose files are small enough to write out, with a cache and a loader."""
    from tests.unit.test_indexstore import small_elf

    for below in ("lib", "usr/lib", "opt/x", "etc"):
        (folder / below).mkdir(parents=True)
    (folder / "lib/ld-linux-armhf.so.3").write_bytes(small_elf() + b"\0/lib/\0/usr/lib/\0")
    (folder / "opt/x/liba.so.1").write_bytes(small_elf())
    (folder / "etc/ld.so.conf").write_text("/opt/x\n")
    rows = [("liba.so.1", "/opt/x/liba.so.1", 3, 0)]
    (folder / "etc/ld.so.cache").write_bytes(loadercache.glibc(rows))
    return folder


@pytest.mark.parametrize("packed", [False, True], ids=["folder", "tar"])
def test_a_roots_loader_and_cache_are_indexed_and_kept(cache: Path, tmp_path: Path, *, packed: bool) -> None:
    root = root_folder(tmp_path / "root")
    if packed:
        with tarfile.open(tmp_path / "root.tar", "w") as archive:
            archive.add(root, ".")
        root = tmp_path / "root.tar"
    index = elfindex.scan(root)
    assert (index.loader, index.libc) == (LOADERS["glibc"], "glibc")
    assert (index.directories, index.listed) == (("/lib", "/usr/lib"), ("/opt/x",))
    assert index.cache == entry("/opt/x/liba.so.1", 3)
    assert indexstore.load(root) == index
    assert indexstore.load(root) == index
    assert not disagreements(index)


def test_another_cache_is_another_root(cache: Path, tmp_path: Path) -> None:
    root = root_folder(tmp_path / "root")
    before = indexstore.load(root)
    (root / "etc/ld.so.cache").write_bytes(loadercache.glibc([]))
    after = indexstore.load(root)
    assert after.cache == {}
    assert after.fingerprint != before.fingerprint


def test_a_cache_that_disagrees_with_its_folders_is_told() -> None:
    rows = {
        "libgone.so.1": (Cached("/opt/x/libgone.so.1", HARD, 0),),
        "libold.so.1": (Cached("/opt/x/libold.so.1", HARD, 0),),
        "liblink.so": (Cached("/opt/x/liblink.so", HARD, 0),),
        "libsoft.so.1": (Cached("/opt/x/libsoft.so.1", HARD, 0),),
        "libcut.so.1": (Cached("/opt/x/libcut.so.1", HARD, 0),),
    }
    more = {
        "/opt/x/libold.so.1": elf("libold.so.2"),
        "/opt/x/liblink.so": elf("liblink.so.1"),
        "/opt/x/libsoft.so.1": elf("libsoft.so.1", identity=SOFT),
        "/opt/x/libnew.so.1": elf("libnew.so.1"),
    }
    root = replace(board("glibc", more=more, cache=rows), damaged={"/opt/x/libcut.so.1": "cut"}, listed=("/opt/x",))
    assert disagreements(root) == [
        "libcut.so.1: the cache says /opt/x/libcut.so.1, which cannot be used: cut",
        "libgone.so.1: the cache says /opt/x/libgone.so.1, which is not there",
        "libold.so.1: the cache says /opt/x/libold.so.1, which calls itself libold.so.2",
        "libsoft.so.1: the cache says /opt/x/libsoft.so.1, which is ELF32 little-endian ARM, soft float",
        *[
            f"{name}: /opt/x has it, the cache does not; run ldconfig on the board"
            for name in ("liblink.so.1", "libnew.so.1", "libold.so.2")
        ],
    ]
    without = replace(root, cache=None)
    assert disagreements(without) == ["/opt/x: ld.so.conf names it, but there is no cache; run ldconfig on the board"]
    assert not disagreements(replace(without, loader=LOADERS["musl"]))


# --- bundles


def test_a_boards_file_looks_where_its_own_runpath_says() -> None:
    middle = elf("libm1.so", needed=("liba.so.1",), runpath=("$ORIGIN/private",))
    root = board("glibc", "/usr/lib/private", more={"/usr/lib/libm1.so": middle})
    found = providers("bin/app", {"bin/app": app("libm1.so")}, root, ARCHES["armv7"])
    assert found == {"libm1.so": "/usr/lib/libm1.so", "liba.so.1": "/usr/lib/private/liba.so.1"}


def test_our_rpath_reaches_the_boards_files() -> None:
    """An RPATH of a program of ours is handed to the board's libraries: they may get our copy."""
    bundle = {"bin/app": app("libm1.so", rpath=("$ORIGIN/../lib",)), "lib/liba.so.1": LIB}
    root = board("glibc", "/lib", more={"/usr/lib/libm1.so": elf("libm1.so", needed=("liba.so.1",), runpath=())})
    assert providers("bin/app", bundle, root, ARCHES["armv7"])["liba.so.1"] == "bundle:lib/liba.so.1"


def test_an_absolute_runpath_of_ours_is_a_folder_of_the_board() -> None:
    found = providers("bin/app", {"bin/app": app(runpath=("/opt/x",))}, board("glibc", "/opt/x"), ARCHES["armv7"])
    assert found == {"liba.so.1": "/opt/x/liba.so.1"}


def test_with_musl_our_runpath_reaches_the_boards_files() -> None:
    bundle = {"bin/app": app("libm1.so", runpath=("$ORIGIN/../lib",)), "lib/liba.so.1": LIB}
    root = board("musl", "/lib", more={"/usr/lib/libm1.so": elf("libm1.so", needed=("liba.so.1",), runpath=())})
    assert providers("bin/app", bundle, root, ARCHES["armv7"])["liba.so.1"] == "bundle:lib/liba.so.1"
