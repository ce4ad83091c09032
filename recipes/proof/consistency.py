"""Where a root's loader cache is not what its folders are: a library is then not found, or another one is."""

from __future__ import annotations

import posixpath

from recipes.arch import Libc
from recipes.rootfs.index import Index
from recipes.rootfs.loaderconf import entry_fit


def cache_disagreements(root: Index) -> list[str]:
    """Say where a root's cache is not what its folders are: a library is then not found, or another one is."""
    if root.libc not in (Libc.GLIBC, Libc.UCLIBC):
        return []
    if root.cache is None:
        unread = [folder for folder in root.listed if folder not in root.directories and _libraries(root, folder)]
        return [f"{folder}: ld.so.conf names it, but there is no cache; run ldconfig on the board" for folder in unread]
    lines: list[str] = []
    for name, entries in sorted(root.cache.items()):
        for entry in entries:
            place = root.resolve(entry.path)
            file = root.files.get(place)
            line = f"{name}: the cache says {entry.path}"
            if place in root.others:
                lines.append(f"{line}, which {root.others[place]}: the loader ends there")
            elif place in root.damaged:
                lines.append(f"{line}, which cannot be used: {root.damaged[place]}")
            elif file is None:
                lines.append(f"{line}, which is not there")
            elif file.soname not in ("", name) and not name.endswith(".so"):
                lines.append(f"{line}, which calls itself {file.soname}")
            elif root.libc is Libc.GLIBC and not entry_fit(entry, file.identity):
                lines.append(f"{line}, which is {file.identity.describe()}")
    for folder in root.listed:
        if folder not in root.directories:
            lost = sorted(name for name in _libraries(root, folder) if name not in root.cache)
            lines += [f"{name}: {folder} has it, the cache does not; run ldconfig on the board" for name in lost]
    return lines


def _libraries(root: Index, folder: str) -> set[str]:
    """Return the SONAMEs of a folder of the root."""
    real = root.resolve(folder)
    return {file.soname for path, file in root.files.items() if file.soname and posixpath.dirname(path) == real}
