"""Bundles of two shapes for a board: the real one, and one of very many files."""

from __future__ import annotations

import random
from pathlib import Path
from typing import Any

from deploy.boards.board import Board
from deploy.bundle.assemble import pack_bundle
from deploy.bundle.load import Bundle
from recipes import paths
from recipes.toolchains.vendor import parse_arch
from tests.support import bundles

LIBRARY = 200_000
"""Bytes of the largest library that is taken."""


def board_libraries(least: int) -> list[Path]:
    """Return real libraries of armv7 from the sysroots that are here, of 20 KB to LIBRARY bytes; nothing runs them."""
    roots = sorted((paths.cache() / "sysroots").glob("debian12-armv7-*/tree/usr/lib"))
    found = {path.name: path for root in roots for path in root.rglob("lib*.so.*") if not path.is_symlink()}
    taken = [path for _, path in sorted(found.items()) if 20_000 < path.stat().st_size <= LIBRARY]
    if len(taken) < least:
        raise AssertionError(f"{len(taken)} libraries of armv7 here, {least} wanted: invoke sysroot --arch armv7")
    return taken


def _read(library: Path) -> bytes:
    """Return a library that is none any more: nobody asks who brings what it needs."""
    return b"-" + library.read_bytes()[1:]


def _pack(board: Board, contents: dict[str, tuple[bytes, int]]) -> Bundle:
    arch = parse_arch(board.file.arch)
    nothing: dict[str, Any] = {"entries": (), "decisions": (), "proofs": (), "refused": (), "providers": {}}
    plain = bundles.manifest(
        board=board.name, arch=arch.name, machines=arch.machine, root=board.file.root, build_ids={}, **nothing
    )
    return pack_bundle(plain, contents)


def real_shape(board: Board, *, changed: bool = False) -> Bundle:
    """Return 33 files of 3 MB: libraries, a program's script and a setting; `changed` has one library rebuilt."""
    contents: dict[str, tuple[bytes, int]] = {}
    left = 3_000_000
    for library in board_libraries(31):
        if len(contents) == 31:
            break
        data = _read(library)
        if left - len(data) > (30 - len(contents)) * 60_000:
            contents[f"lib/{library.name}"] = (data, 0o755)
            left -= len(data)
    contents["run/app"] = (b"#!/bin/sh\necho on\n", 0o755)
    contents["share/app.conf"] = (b"level = info\n", 0o644)
    return _pack(board, rebuilt(contents) if changed else contents)


def many_shape(board: Board, *, changed: bool = False) -> Bundle:
    """Return 2,100 files of 12 MB: 20 libraries, and pictures that nothing makes smaller."""
    draw = random.Random(2100)
    contents: dict[str, tuple[bytes, int]] = {}
    for library in board_libraries(20)[:20]:
        contents[f"lib/{library.name}"] = (_read(library), 0o755)
    left = 12_000_000 - sum(len(data) for data, _ in contents.values())
    for number in range(2080):
        size = left // 2080 + draw.randrange(-2000, 2000)
        contents[f"share/frames/frame-{number:04}.h264"] = (draw.randbytes(size), 0o644)
    return _pack(board, rebuilt(contents) if changed else contents)


def rebuilt(contents: dict[str, tuple[bytes, int]]) -> dict[str, tuple[bytes, int]]:
    """Change the largest library as a small patch does: some code is put in, and calls past it change their length."""
    path = max((name for name in contents if name.startswith("lib/")), key=lambda name: len(contents[name][0]))
    data, mode = contents[path]
    draw = random.Random(7)
    at = len(data) // 3
    changed = bytearray(data[:at] + draw.randbytes(96) + data[at:])
    for place in range(4096, len(changed) - 4, 160):
        word = int.from_bytes(changed[place : place + 4], "little")
        changed[place : place + 4] = ((word + 96) & 0xFFFFFFFF).to_bytes(4, "little")
    return contents | {path: (bytes(changed), mode)}
