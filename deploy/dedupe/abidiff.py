"""The types behind the symbols: libabigail's `abidiff` on our copy of a library and the board's.

The proof of a bundle holds names, versions and sizes of symbols; it cannot see that a struct got another layout. This
can, where both copies have debug information, and is a stronger verdict of its own: it replaces no proof, and where it
cannot tell it says so. It looks at what is bound alone: a struct of a function that nobody calls may change.
Exit codes: https://sourceware.org/libabigail/manual/abidiff.html#return-values
"""

from __future__ import annotations

import functools
import re
import shutil
import tempfile
from collections.abc import Collection
from dataclasses import dataclass
from enum import Enum
from pathlib import Path

from deploy.dedupe.preferences import CompareTypes
from recipes import elf, paths
from recipes.elf.sections import section_sizes
from recipes.errors import BuildError, ConfigError
from recipes.rootfs.index import Index
from recipes.rootfs.origin import Origin, OriginKind
from recipes.stage.manifest import Stage
from recipes.tools.box import tools

ABIDIFF = "abidiff"
REPORT_LINES = 12
"""Lines of the report that are kept."""
ABIDIFF_SECONDS = 600
_SYSTEM = Path("/usr/lib/debug")
"""Where distributions put split debug files; a Stage has those of its own builds."""
_ERROR, _USAGE, _CHANGE, _INCOMPATIBLE = 1, 2, 4, 8
# A list of symbols is read before types are; a suppression is applied after abidiff has left out, as redundant, what it
# has reported of another symbol, and would so hide a change.
_LIST, _LISTED = "[abi_whitelist]", "--kmi-whitelist"
_PLAIN = re.compile(r"[A-Za-z0-9_]+")
# What the board's copy has more cannot harm; what a user's own settings leave out would.
_OPTIONS = ("--no-added-syms", "--no-default-suppression", "--no-show-locs")


class TypeVerdict(Enum):
    """What is known of the types of two copies of a library."""

    COMPATIBLE = "compatible"
    CHANGED = "changed"
    UNKNOWN = "unknown"


@dataclass(frozen=True, slots=True, kw_only=True)
class TypeComparison:
    """The verdict on one library.

    Parameters
    ----------
    because:
        One sentence: what was compared, or why nothing could be.
    lines:
        The first lines of the report on what changed.
    breaks:
        True where libabigail calls a change incompatible whatever the users of the library do, such as a function that
        is gone. False for `changed` means: it depends on what they use, and is for a person to judge.
    """

    library: str
    verdict: TypeVerdict
    because: str
    lines: tuple[str, ...] = ()
    breaks: bool = False

    def as_dict(self) -> dict[str, object]:
        return {
            "library": self.library,
            "verdict": self.verdict.value,
            "because": self.because,
            "lines": list(self.lines),
            "breaks": self.breaks,
        }

    def describe(self) -> str:
        """Return one line for a reader, labelled as what it is."""
        return f"{self.library}: types {self.verdict.value}: {self.because}"


def compare_types(
    library: str,
    ours: bytes,
    theirs: bytes,
    *,
    symbols: Collection[str] = (),
    our_debug: Path | None = None,
    their_debug: Path | None = None,
) -> TypeComparison:
    """Compare the types of our copy of a library with the board's.

    Parameters
    ----------
    symbols:
        The names that are bound, without versions; only what they lead to is compared. Empty: the whole library.
    our_debug, their_debug:
        Folders with split debug files by build id (`.build-id/12/34….debug`), such as a Stage's `debug`; not needed
        for a copy that has its debug information in itself.
    """
    # abidiff finds no difference between files without debug information, and its own option against that does nothing.
    bare = [name for name, data, debug in _sides(ours, theirs, our_debug, their_debug) if not _debuggable(data, debug)]
    if bare:
        return _unknown(library, f"no debug information for {' and '.join(bare)}")
    paths.work().mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix="abidiff-", dir=paths.work()) as name:
        folder = Path(name)
        argv: list[str | Path] = [ABIDIFF, *_OPTIONS]
        for number, (side, data, debug) in enumerate(_sides(ours, theirs, our_debug, their_debug), 1):
            argv += _side(folder / side.split()[0], number, data, debug)
        # The names become a regular expression.
        listed = all(_PLAIN.fullmatch(symbol) for symbol in symbols) and symbols
        if listed:
            (folder / "symbols").write_text("\n  ".join([_LIST, *sorted(set(symbols))]) + "\n")
            argv += [_LISTED, folder / "symbols"]
        try:
            with tools(ABIDIFF) as box:
                done = box.run(argv, timeout=ABIDIFF_SECONDS, check=False)
        except BuildError as error:
            return _unknown(library, error.what)
    what = f"behind what is bound ({len(set(symbols))})" if listed else "all over the library"
    return judge_report(library, done.code, done.text, done.stderr.decode("utf-8", "replace"), what)


def judge_report(library: str, code: int, text: str, errors: str, what: str = "") -> TypeComparison:
    """Read abidiff's exit code, which is a set of bits, and its report; `what` says what was compared."""
    if code < 0 or code & (_ERROR | _USAGE) or code & ~(_CHANGE | _INCOMPATIBLE):
        why = " ".join((errors or text).split())[:200]
        return _unknown(library, f"{ABIDIFF} failed with exit code {code}: {why}")
    if code == 0:
        because = f"the debug information of both copies describes the same types {what}".rstrip()
        return TypeComparison(library=library, verdict=TypeVerdict.COMPATIBLE, because=because)
    # The summary's lines come first, and say nothing of what changed.
    lines = [line.rstrip() for line in text.splitlines() if line.strip() and " changes summary: " not in line]
    breaks = bool(code & _INCOMPATIBLE)
    kind = "an incompatible change" if breaks else "a change that may break its users"
    return TypeComparison(
        library=library,
        verdict=TypeVerdict.CHANGED,
        because=f"{ABIDIFF} reports {kind} from our copy to the board's",
        lines=tuple(lines[:REPORT_LINES]),
        breaks=breaks,
    )


def _sides(
    ours: bytes, theirs: bytes, our_debug: Path | None, their_debug: Path | None
) -> tuple[tuple[str, bytes, Path | None], ...]:
    return ("our copy", ours, our_debug), ("board's copy", theirs, their_debug)


def _side(folder: Path, number: int, data: bytes, debug: Path | None) -> list[str | Path]:
    """Write one copy, and of the debug files the one that is its own; return the words for both."""
    folder.mkdir()
    (folder / "library.so").write_bytes(data)
    split = _split(data, debug)
    if split is None or debug is None:
        return [folder / "library.so"]
    own = folder / "debug" / split.relative_to(debug)
    own.parent.mkdir(parents=True)
    shutil.copyfile(split, own)
    return [f"--d{number}", folder / "debug", folder / "library.so"]


def _debuggable(data: bytes, debug: Path | None) -> bool:
    """Tell whether a library has debug information, in itself or in a file beside it."""
    if _described(data):
        return True
    split = _split(data, debug)
    return split is not None and _described(split.read_bytes())


def _split(data: bytes, debug: Path | None) -> Path | None:
    """Return the debug file of a library's build id; None where there is none."""
    try:
        name = elf.parse(data).build_id
    except elf.ElfError:
        return None
    split = debug / ".build-id" / name[:2] / f"{name[2:]}.debug" if debug is not None and name else None
    return split if split is not None and split.is_file() else None


def _described(data: bytes) -> bool:
    return any(name in (".debug_info", ".zdebug_info") and size for name, size, _ in section_sizes(data))


def _unknown(library: str, because: str) -> TypeComparison:
    return TypeComparison(library=library, verdict=TypeVerdict.UNKNOWN, because=because)


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
