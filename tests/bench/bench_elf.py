"""Index a board root: our reader, lief and pyelftools on the same files in one run. Prints ratios."""

from __future__ import annotations

import os
import tarfile
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from deploy.boards.board import load_board
from deploy.sim.boards import prepare_board
from recipes import elf
from recipes.engine.docker import Engine
from recipes.rootfs.cache import load_index
from recipes.rootfs.index import scan_root
from tests.support.bench import show

SAMPLE = 60
"""pyelftools reads about this many of the files; ours reads the same ones again for the ratio."""


def timed(work: Callable[[], Any]) -> tuple[float, Any]:
    begun = time.perf_counter()
    result = work()
    return time.perf_counter() - begun, result


def lief_walk(files: list[Path]) -> int:
    """Read with lief the facts that an index has: each dynamic symbol with its version, and which relocations name."""
    import lief

    count = 0
    for path in files:
        binary = lief.ELF.parse(str(path))
        if binary is None:
            continue
        _ = list(binary.libraries), [len(one.auxiliary_symbols) for one in binary.symbols_version_definition]
        for symbol in binary.dynamic_symbols:
            version = symbol.symbol_version
            auxiliary = version.symbol_version_auxiliary if version else None
            kind = symbol.type, symbol.binding, symbol.visibility, symbol.shndx
            _ = symbol.name, auxiliary.name if auxiliary else "", kind, symbol.value, symbol.size
            count += 1
        _ = {one.symbol.name for one in binary.dynamic_relocations if one.has_symbol and one.symbol}
    return count


def lief_names(files: list[Path]) -> int:
    """Read with lief the names of libraries and symbols only: less than any decision needs."""
    import lief

    count = 0
    for path in files:
        if (binary := lief.ELF.parse(str(path))) is not None:
            _ = list(binary.libraries)
            count += len([(symbol.name, symbol.binding, symbol.shndx) for symbol in binary.dynamic_symbols])
    return count


def pyelftools_walk(files: list[Path]) -> int:
    """Read the same facts with pyelftools."""
    from elftools.elf.dynamic import DynamicSection
    from elftools.elf.elffile import ELFFile
    from elftools.elf.gnuversions import GNUVerDefSection, GNUVerNeedSection, GNUVerSymSection
    from elftools.elf.relocation import RelocationSection
    from elftools.elf.sections import SymbolTableSection

    count = 0
    for path in files:
        with path.open("rb") as stream:
            for section in ELFFile(stream).iter_sections():
                if isinstance(section, DynamicSection):
                    _ = [tag.entry.d_tag for tag in section.iter_tags()]
                elif isinstance(section, SymbolTableSection) and section.name == ".dynsym":
                    count += len([(symbol.name, symbol.entry) for symbol in section.iter_symbols()])
                elif isinstance(section, GNUVerDefSection | GNUVerNeedSection):
                    _ = [(one.name, [more.name for more in parts]) for one, parts in section.iter_versions()]
                elif isinstance(section, GNUVerSymSection):
                    _ = [one.entry.ndx for one in section.iter_symbols()]
                elif isinstance(section, RelocationSection) and section.name.startswith((".rel.dyn", ".rela.dyn")):
                    _ = {one.entry.r_info_sym for one in section.iter_relocations()}
    return count


def measure() -> dict[str, object]:
    root = prepare_board(load_board("sim-armv7"), Engine.connect())
    with tempfile.TemporaryDirectory(prefix="boardcast-bench-") as folder:
        tree, cache = Path(folder) / "root", Path(folder) / "cache"
        with tarfile.open(root.tar) as archive:
            archive.extraction_filter = staticmethod(lambda member, _path: None if member.isdev() else member)
            archive.extractall(tree)
        os.environ["BOARDCAST_CACHE"] = str(cache)
        scan_root(tree)  # the files are in the page cache for every side alike
        scan, index = timed(lambda: scan_root(tree))
        files = [tree / path.lstrip("/") for path in index.files]
        lief_seconds, _ = timed(lambda: lief_walk(files))
        names_seconds, _ = timed(lambda: lief_names(files))
        cold, _ = timed(lambda: load_index(tree))
        warm, _ = timed(lambda: load_index(tree))
        some = files[:: max(1, len(files) // SAMPLE)]
        elftools, _ = timed(lambda: pyelftools_walk(some))
        mine, _ = timed(lambda: [elf.read(path) for path in some])
    symbols = sum(one.exports.count(" ") + one.imports.count(" ") for one in index.files.values())
    return {
        "elf files": len(files),
        "dynamic symbols": symbols,
        "cold, s": round(cold, 2),
        "cold for 1,250 files, s": round(cold * 1250 / len(files), 2),
        "again, s": round(warm, 3),
        "lief, the same facts / ours": round(lief_seconds / scan, 2),
        "lief, names only / ours with all": round(names_seconds / scan, 2),
        "pyelftools, the same facts / ours": round(elftools / mine, 1),
    }


if __name__ == "__main__":
    show("Index of a board root (ratios above 1: ours is faster)", measure)
