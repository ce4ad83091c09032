"""Where the two copies of a library are whose types are compared, and what their comparison means for a proof."""

from __future__ import annotations

import functools
from pathlib import Path

from deploy.dedupe.abidiff import TypeVerdict, compare_types
from deploy.dedupe.preferences import CompareTypes
from recipes.errors import ConfigError
from recipes.rootfs.index import Index
from recipes.rootfs.origin import Origin, OriginKind
from recipes.stage.manifest import Stage

_SYSTEM = Path("/usr/lib/debug")
"""Where distributions put split debug files; a Stage has those of its own builds."""


def type_comparer(staged: Stage, sysroot: Index, board: Index) -> CompareTypes:
    """Return the function that a plan asks of each library whose symbols are proved."""

    @functools.cache
    def compare(soname: str, ours: Origin, theirs: str, symbols: tuple[str, ...]) -> tuple[str, bool]:
        try:
            staged_copy = ours.kind is OriginKind.STAGE
            our_copy = (staged.tree / ours.path).read_bytes() if staged_copy else sysroot.content(ours.path)
            board_copy = board.content(theirs)
        except ConfigError as error:
            return f"unknown: {error.what}", False
        debug = staged.folder / "debug"
        found = compare_types(
            soname,
            our_copy,
            board_copy,
            symbols=symbols,
            our_debug=debug if debug.is_dir() else None,
            their_debug=_SYSTEM if _SYSTEM.is_dir() else None,
        )
        first = f": {found.lines[0].strip()}" if found.lines else ""
        return f"{found.verdict.value}: {found.because}{first}", found.verdict is TypeVerdict.CHANGED

    return compare
