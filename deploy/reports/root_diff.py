"""What a firmware update changed for us: libraries that came, went, or lost symbols and version nodes."""

from __future__ import annotations

import posixpath

from recipes.console import first_few
from recipes.elf import ElfFile
from recipes.rootfs.index import Index


def root_differences(old: Index, new: Index) -> list[tuple[str, str]]:
    """Return (library, change), the ones that take something away first."""
    before, after = _libraries(old), _libraries(new)
    worse: list[tuple[str, str]] = [(name, "gone") for name in sorted(before.keys() - after.keys())]
    rest: list[tuple[str, str]] = []
    for name in sorted(before.keys() & after.keys()):
        lost = _lost(before[name], after[name])
        if lost:
            worse.append((name, lost))
        elif before[name] != after[name]:
            rest.append((name, "other content, nothing lost"))
    rest += [(name, "new") for name in sorted(after.keys() - before.keys())]
    return worse + rest


def _libraries(root: Index) -> dict[str, ElfFile]:
    """Return what the loader would find, by SONAME; a plugin by its path."""
    found: dict[str, ElfFile] = {}
    for path, file in root.files.items():
        if "/gstreamer-1.0/" in path and path.endswith(".so"):
            found[f"gstreamer-1.0/{posixpath.basename(path)}"] = file
        elif file.soname and (loaded := root.find(file.soname, file.identity)) is not None:
            found[file.soname] = loaded[1]
    return found


def _lost(old: ElfFile, new: ElfFile) -> str:
    nodes = sorted(set(old.version_defs) - set(new.version_defs))
    symbols = sorted(set(_names(old)) - set(_names(new)))
    parts = []
    if old.identity != new.identity:
        parts.append(f"is for {new.identity.describe()} now")
    for what, names in (("nodes", nodes), ("symbols", symbols)):
        if names:
            parts.append(f"lost {what} {first_few(names, 3)}")
    return "; ".join(parts)


def _names(library: ElfFile) -> list[str]:
    """Return exports as references see them: a default version is the same node."""
    return [symbol.replace("@@", "@") for symbol in library.exports.split()]
