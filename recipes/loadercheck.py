"""Where a root's loader may give something else than its folders say: copies for some processors, old caches. Pure."""

from __future__ import annotations

import posixpath
from collections.abc import Iterable

from recipes.elf import ElfFile
from recipes.elfindex import Index
from recipes.loaderconf import GLIBC, UCLIBC, says


def unlike(one: ElfFile, other: ElfFile) -> bool:
    """Tell whether two copies of a library differ in anything that a proof looks at, code apart."""
    return _facts(one) != _facts(other)


def _facts(file: ElfFile) -> tuple[object, ...]:
    symbols = (file.exports, file.objects, file.imports)
    lists = (file.needed, file.version_defs, file.version_needs)
    return (file.soname, file.mappable, *(sorted(one.split()) for one in symbols), *(sorted(one) for one in lists))


def unread(files: Iterable[ElfFile], process: Iterable[ElfFile]) -> list[ElfFile]:
    """Return those of which uClibc's loader may see no symbol: they have only GNU's table of them.

    It reads that if it was built so (LDSO_GNU_HASH_SUPPORT, which is off unless somebody asks for it). It was where the
    C library, or itself, has no other table.
    """
    if any(one.soname.startswith(("libc.so.", "ld-uClibc", "ld64-uClibc")) and not one.sysv for one in process):
        return []
    return [one for one in files if not one.sysv and one.exports]


def disagreements(root: Index) -> list[str]:
    """Say where a root's cache is not what its folders are: a library is then not found, or another one is."""
    if root.libc not in (GLIBC, UCLIBC):
        return []
    if root.cache is None:
        unread = [folder for folder in root.listed if folder not in root.directories and _libraries(root, folder)]
        return [f"{folder}: ld.so.conf names it, but there is no cache; run ldconfig on the board" for folder in unread]
    said: list[str] = []
    for name, entries in sorted(root.cache.items()):
        for entry in entries:
            place = root.resolve(entry.path)
            file = root.files.get(place)
            line = f"{name}: the cache says {entry.path}"
            if place in root.damaged:
                said.append(f"{line}, which cannot be used: {root.damaged[place]}")
            elif file is None:
                said.append(f"{line}, which is not there")
            elif file.soname not in ("", name) and not name.endswith(".so"):
                said.append(f"{line}, which calls itself {file.soname}")
            elif root.libc == GLIBC and not says(entry, file.identity):
                said.append(f"{line}, which is {file.identity.describe()}")
    for folder in root.listed:
        if folder not in root.directories:
            lost = sorted(name for name in _libraries(root, folder) if name not in root.cache)
            said += [f"{name}: {folder} has it, the cache does not; run ldconfig on the board" for name in lost]
    return said


def _libraries(root: Index, folder: str) -> set[str]:
    """Return the SONAMEs of a folder of the root."""
    real = root.resolve(folder)
    return {one.soname for path, one in root.files.items() if one.soname and posixpath.dirname(path) == real}
