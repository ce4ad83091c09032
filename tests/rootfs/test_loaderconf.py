"""What the loader's rules are read out of: its cache, its configuration, whole roots; and what a bundle adds."""

from __future__ import annotations

import random
import tarfile
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from deploy.dedupe.closure import providers_of
from recipes.arch import ARCHES, Libc
from recipes.proof.consistency import cache_disagreements
from recipes.proof.search import Loader, first_file
from recipes.rootfs.cache import load_index
from recipes.rootfs.index import scan_root
from recipes.rootfs.loaderconf import (
    CacheEntry,
    built_in_folders,
    conf_folders,
    entry_fit,
    is_of_libc,
    read_cache,
    search_folders,
)
from tests.support import loadercache
from tests.support.facts import SOFT, elf
from tests.support.loaderboards import HARD, LIB, LOADERS, app, board, entry, got
from tests.support.smallelf import small_elf


def test_a_cache_is_read_in_both_layouts() -> None:
    rows = [("liba.so.1", "/opt/x/liba.so.1", HARD, 0), ("libb.so.1", "/lib/libb.so.1", 3, 1 << 62)]
    expected = {name: (CacheEntry(path, flags, hwcap),) for name, path, flags, hwcap in rows}
    assert read_cache(loadercache.glibc(rows)) == expected
    assert read_cache(loadercache.glibc(rows, behind=loadercache.old(rows))) == expected
    without = {name: (CacheEntry(path, flags, 0),) for name, path, flags, _ in rows}
    assert read_cache(loadercache.old(rows)) == without


@pytest.mark.hostile(kind="board")
def test_a_torn_cache_is_none() -> None:
    whole = loadercache.glibc([("liba.so.1", "/opt/x/liba.so.1", HARD, 0)])
    assert all(read_cache(whole[:end]) is None for end in range(len(whole)))


@pytest.mark.hostile(kind="board")
def test_a_changed_cache_is_read_or_is_none(record_property: Callable[[str, object], None]) -> None:
    rows = [("liba.so.1", "/opt/x/liba.so.1", HARD, 0), ("libb.so.1", "/lib/libb.so.1", 3, 1 << 62)]
    chance = random.Random(14)
    wholes = (loadercache.glibc(rows), loadercache.old(rows), loadercache.glibc(rows, behind=loadercache.old(rows)))
    mutants = 0
    for whole in wholes:
        for _ in range(33_400):
            data = bytearray(whole)
            for _ in range(chance.randint(1, 4)):
                data[chance.randrange(len(data))] = chance.choice((0, 1, 0x7F, 0x80, 0xFF, chance.randrange(256)))
            for libc in Libc:
                for entries in (read_cache(bytes(data), libc) or {}).values():
                    assert all(len(entry.path) <= len(whole) for entry in entries)
            mutants += 1
    record_property("inputs", mutants)


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
    assert entry_fit(CacheEntry("/x", loadercache.FLAGS[flags], 0), ARCHES[machine].identity) == fits


def test_glibc_asks_its_cache_once_and_uclibc_goes_on() -> None:
    rows = {"liba.so.1": (CacheEntry("/gone/liba.so.1", HARD, 0), CacheEntry("/opt/x/liba.so.1", HARD, 0))}
    assert got(board("glibc", "/opt/x", "/lib", cache=rows), app()) == "/lib/liba.so.1"
    assert got(board("uclibc", "/opt/x", "/lib", cache=rows), app()) == "/opt/x/liba.so.1"


def test_ld_so_conf_in_its_own_order_includes_at_their_place() -> None:
    confs = {
        "/etc/ld.so.conf": "/first # one\ninclude ld.so.conf.d/*.conf\n  include /etc/more/last.conf\n/first/\n",
        "/etc/ld.so.conf.d/2.conf": "/third",
        "/etc/ld.so.conf.d/1.conf": "/second\nhwcap 0 nosegneg\n",
        "/etc/ld.so.conf.d/1.txt": "/never",
        "/etc/ld.so.conf.d/below/1.conf": "/never",
        "/etc/more/last.conf": "/fourth\ninclude /etc/ld.so.conf\n",
    }
    assert conf_folders(confs) == ["/first", "/second", "/third", "/fourth"]


def test_glibcs_own_folders_are_read_out_of_it() -> None:
    built = (
        b"\x01\0/etc/suid-debug\0/lib/\0 \0/lib/arm-linux-gnueabihf/\0/usr/lib/arm-linux-gnueabihf/\0/lib/\0/usr/lib/\0"
    )
    folders = built_in_folders(built)
    assert folders == ("/lib/arm-linux-gnueabihf", "/usr/lib/arm-linux-gnueabihf", "/lib", "/usr/lib")
    listed = {"/etc/ld.so.conf": "/opt/x"}
    assert search_folders(LOADERS["glibc"], folders, listed, wide=False) == folders
    assert search_folders("", (), listed, wide=True) == ("/opt/x", "/lib64", "/usr/lib64", "/lib", "/usr/lib")


def test_musls_list_stands_for_its_folders() -> None:
    path = LOADERS["musl"]
    assert search_folders(path, (), {}, wide=False) == ("/lib", "/usr/local/lib", "/usr/lib")
    listed = {"/etc/ld-musl-armhf.path": "/a\n/b:/c\n", "/etc/ld-musl-arm.path": "/d", "/etc/ld.so.conf": "/e"}
    assert search_folders(path, (), listed, wide=False) == ("/a", "/b", "/c")


def test_uclibcs_own_folders_are_read_out_of_it() -> None:
    """As `strings` shows them of one that has folders for more than one ABI, and of one that reads no cache."""
    whole = b"\x01\0/etc/ld.so.cache\0%s\0$ORIGIN\0/lib32/:/usr/lib32/\0/lib:/usr/lib\0\n\0"
    folders = built_in_folders(whole, Libc.UCLIBC)
    assert folders == ("/etc/ld.so.cache", "$ORIGIN", "/lib32/", "/usr/lib32/", "/lib", "/usr/lib")
    found = search_folders("/own/ld-uClibc.so.1", folders, {}, wide=False)
    assert found == ("/lib32", "/usr/lib32", "/own", "/lib", "/usr/lib")
    deaf = built_in_folders(b"\0/x/etc/ld.so.cache\0/x/lib:/x/usr/lib:/x/usr/X11R6/lib\0", Libc.UCLIBC)
    assert deaf == ("/x/lib", "/x/usr/lib", "/x/usr/X11R6/lib")


def test_uclibc_reads_the_older_cache_only_and_its_own_entries() -> None:
    rows = [("liba.so.1", "/a", 4, 0), ("liba.so.1", "/b", 3, 0), ("liba.so.1", "/c", 1, 0), ("libb.so.1", "/d", 3, 0)]
    taken = {"liba.so.1": (CacheEntry("/a", 4, 0), CacheEntry("/c", 1, 0))}
    assert read_cache(loadercache.old(rows), Libc.UCLIBC) == taken
    assert read_cache(loadercache.glibc(rows), Libc.UCLIBC) is None
    assert read_cache(loadercache.old(rows) + b"x", Libc.UCLIBC) is None


@pytest.mark.parametrize("beside", [True, False])
def test_a_uclibc_that_was_built_not_to_looks_not_beside_itself(tmp_path: Path, *, beside: bool) -> None:
    (tmp_path / "own").mkdir()
    exports = ("_dl_pagesize", "_dl_ldsopath") if beside else ("_dl_pagesize",)
    loader = small_elf(soname="ld-uClibc.so.1", exports=exports)
    (tmp_path / "own/ld-uClibc.so.1").write_bytes(loader + b"\0$ORIGIN\0/lib:/usr/lib\0")
    assert scan_root(tmp_path).directories == (("/own",) if beside else ()) + ("/lib", "/usr/lib")


@pytest.mark.parametrize("knows", [True, False])
def test_a_uclibc_of_before_origin_expands_it_nowhere(tmp_path: Path, *, knows: bool) -> None:
    (tmp_path / "lib").mkdir()
    (tmp_path / "opt").mkdir()
    (tmp_path / "lib/ld-uClibc.so.0").write_bytes(small_elf() + b"\0$ORIGIN\0" * knows + b"\0/lib:/usr/lib\0")
    (tmp_path / "opt/liba.so.1").write_bytes(small_elf())
    root = scan_root(tmp_path)
    assert root.expands is knows
    identity = root.files["/opt/liba.so.1"].identity
    program = first_file(
        "/bin/app", elf(needed=("liba.so.1",), identity=identity, runpath=(), rpath=("$ORIGIN/../opt",))
    )
    assert (Loader(root, identity).find("liba.so.1", program) is not None) is knows


@pytest.mark.parametrize("reads", [True, False])
def test_a_uclibc_that_was_built_without_its_cache_reads_none(tmp_path: Path, *, reads: bool) -> None:
    for below in ("lib", "opt/x", "etc"):
        (tmp_path / below).mkdir(parents=True)
    words = b"\0/etc/ld.so.cache\0" if reads else b"\0"
    (tmp_path / "lib/ld-uClibc.so.1").write_bytes(small_elf() + words + b"/lib:/usr/lib\0")
    (tmp_path / "opt/x/liba.so.1").write_bytes(small_elf())
    (tmp_path / "etc/ld.so.cache").write_bytes(loadercache.old([("liba.so.1", "/opt/x/liba.so.1", 4, 0)]))
    root = scan_root(tmp_path)
    assert (root.libc, root.directories) == ("uclibc", ("/lib", "/usr/lib"))
    identity = next(iter(root.files.values())).identity
    assert (root.find("liba.so.1", identity) is not None) is reads


@pytest.mark.parametrize(
    ("soname", "expected"),
    [
        *((name, True) for name in ("libc.so.6", "libm.so.6", "libresolv.so.2", "ld-linux-armhf.so.3", "ld.so.1")),
        *((name, True) for name in ("libc.so", "libc.musl-x86_64.so.1", "ld-musl-armhf.so.1")),
        *((name, True) for name in ("ld-uClibc.so.0", "ld64-uClibc.so.1", "libuClibc-1.0.45.so")),
        *((name, False) for name in ("libcurl.so.4", "libmount.so.1", "libcrypt.so.1", "libutils.so", "libld.so.1")),
    ],
)
def test_the_c_librarys_own_libraries_are_known_by_name(soname: str, *, expected: bool) -> None:
    assert is_of_libc(soname) is expected


def test_uclibc_looks_beside_its_loader() -> None:
    assert search_folders("/opt/lib/ld-uClibc.so.0", (), {}, wide=False) == ("/opt/lib", "/lib", "/usr/lib")


def root_folder(folder: Path) -> Path:
    """Make a root whose files are small enough to write out, with a cache and a loader."""
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
    index = scan_root(root)
    assert (index.loader, index.libc) == (LOADERS["glibc"], "glibc")
    assert (index.directories, index.listed) == (("/lib", "/usr/lib"), ("/opt/x",))
    assert index.cache == entry("/opt/x/liba.so.1", 3)
    assert load_index(root) == index
    assert load_index(root) == index
    assert not cache_disagreements(index)


def test_another_cache_is_another_root(cache: Path, tmp_path: Path) -> None:
    root = root_folder(tmp_path / "root")
    before = load_index(root)
    (root / "etc/ld.so.cache").write_bytes(loadercache.glibc([]))
    after = load_index(root)
    assert after.cache == {}
    assert after.fingerprint != before.fingerprint


def test_a_cache_that_disagrees_with_its_folders_is_told() -> None:
    rows = {
        "libgone.so.1": (CacheEntry("/opt/x/libgone.so.1", HARD, 0),),
        "libold.so.1": (CacheEntry("/opt/x/libold.so.1", HARD, 0),),
        "liblink.so": (CacheEntry("/opt/x/liblink.so", HARD, 0),),
        "libsoft.so.1": (CacheEntry("/opt/x/libsoft.so.1", HARD, 0),),
        "libcut.so.1": (CacheEntry("/opt/x/libcut.so.1", HARD, 0),),
    }
    more = {
        "/opt/x/libold.so.1": elf("libold.so.2"),
        "/opt/x/liblink.so": elf("liblink.so.1"),
        "/opt/x/libsoft.so.1": elf("libsoft.so.1", identity=SOFT),
        "/opt/x/libnew.so.1": elf("libnew.so.1"),
    }
    root = replace(board("glibc", more=more, cache=rows), damaged={"/opt/x/libcut.so.1": "cut"}, listed=("/opt/x",))
    assert cache_disagreements(root) == [
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
    assert cache_disagreements(without) == [
        "/opt/x: ld.so.conf names it, but there is no cache; run ldconfig on the board"
    ]
    assert not cache_disagreements(replace(without, loader=LOADERS["musl"]))


def test_a_boards_file_looks_where_its_own_runpath_says() -> None:
    middle = elf("libm1.so", needed=("liba.so.1",), runpath=("$ORIGIN/private",))
    root = board("glibc", "/usr/lib/private", more={"/usr/lib/libm1.so": middle})
    found = providers_of("bin/app", {"bin/app": app("libm1.so")}, root, ARCHES["armv7"])
    assert found == {"libm1.so": "/usr/lib/libm1.so", "liba.so.1": "/usr/lib/private/liba.so.1"}


def test_our_rpath_reaches_the_boards_files() -> None:
    """An RPATH of a program of ours is handed to the board's libraries: they may get our copy."""
    bundle = {"bin/app": app("libm1.so", rpath=("$ORIGIN/../lib",)), "lib/liba.so.1": LIB}
    root = board("glibc", "/lib", more={"/usr/lib/libm1.so": elf("libm1.so", needed=("liba.so.1",), runpath=())})
    assert providers_of("bin/app", bundle, root, ARCHES["armv7"])["liba.so.1"] == "bundle:lib/liba.so.1"


def test_an_absolute_runpath_of_ours_is_a_folder_of_the_board() -> None:
    found = providers_of("bin/app", {"bin/app": app(runpath=("/opt/x",))}, board("glibc", "/opt/x"), ARCHES["armv7"])
    assert found == {"liba.so.1": "/opt/x/liba.so.1"}


def test_with_musl_our_runpath_reaches_the_boards_files() -> None:
    bundle = {"bin/app": app("libm1.so", runpath=("$ORIGIN/../lib",)), "lib/liba.so.1": LIB}
    root = board("musl", "/lib", more={"/usr/lib/libm1.so": elf("libm1.so", needed=("liba.so.1",), runpath=())})
    assert providers_of("bin/app", bundle, root, ARCHES["armv7"])["liba.so.1"] == "bundle:lib/liba.so.1"
