"""Boards made of values, with one library in the folders that a test names."""

from __future__ import annotations

from collections.abc import Mapping

from recipes.elf import ElfFile
from recipes.proof.search import Loader, first_file
from recipes.rootfs.index import Index
from recipes.rootfs.loaderconf import CacheEntry, processor_folders
from tests.support import loadercache
from tests.support.facts import ARM, elf

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
    cache: Mapping[str, tuple[CacheEntry, ...]] | None = None,
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
        some=processor_folders(files),
    )


def got(root: Index, program: ElfFile, *, environment: tuple[str, ...] = (), platform: str = "", of: str = "") -> str:
    """Return the path that a name of the process is found at."""
    loader = Loader(root, ARM, environment=environment, platform=platform)
    steps = {step.name: step.got for step in loader.process([first_file(APP, program)])}
    found = steps[of or "liba.so.1"]
    return found.found if found else ""


def entry(path: str, flags: int = HARD, hwcap: int = 0) -> dict[str, tuple[CacheEntry, ...]]:
    return {"liba.so.1": (CacheEntry(path, flags, hwcap),)}
