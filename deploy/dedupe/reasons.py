"""Why a library is not left to the board, in words, and which of two that share a name is meant. Pure."""

from __future__ import annotations

import re
from collections.abc import Mapping

from deploy.dedupe.decision import Action, Decision
from recipes.arch import Identity
from recipes.console import first_few
from recipes.elf import ElfFile
from recipes.errors import ProofError
from recipes.proof.binding import spelled
from recipes.proof.demand import Demand
from recipes.proof.result import Proof
from recipes.rootfs.index import Index
from recipes.stage.manifest import Stage

_NOBODY = "no recipe's outputs"


def main_fault(proof: Proof) -> str:
    """Say the first thing that speaks against a board's copy."""
    if proof.faults and proof.faults[0].startswith("board has "):
        return proof.faults[0]
    if proof.missing:
        return f"board's lacks {first_few(proof.missing)}"
    return f"board's: {first_few(proof.faults)}"


def older_than_headers(ours: ElfFile, theirs: ElfFile) -> str:
    """Say that a board's copy is of an older release than what our files were compiled with; empty where it is not.

    Its version nodes tell: each release adds its own. What is bound is proved all the same; what headers do by
    themselves (macros, sizes) is not.
    """
    lost = set(ours.version_defs) - set(theirs.version_defs)
    if not lost or set(theirs.version_defs) - set(ours.version_defs):
        return ""
    newest = max(theirs.version_defs, key=_node_order, default="none")
    return f"older than the headers compiled against ({newest}, theirs is {max(lost, key=_node_order)})"


def _node_order(node: str) -> tuple[int, ...]:
    return tuple(int(number[:9]) for number in re.findall(r"\d+", node))


def absent_proof(demand: Demand) -> Proof:
    """Return the proof that fails because the board has nothing of that name."""
    symbols = tuple(sorted(spelled(name, node) for name, node in demand.wants))
    return Proof(
        library=demand.library,
        provider="",
        build_id="",
        symbols=symbols,
        missing=symbols,
        weaker=False,
        faults=("board has none",),
        nodes=demand.nodes,
    )


def loader_path(board: Index, soname: str, identity: Identity, provider: str) -> tuple[str, tuple[str, ...]]:
    """Return the path by which the loader gets to a library, and those that it tries before.

    An update may leave the file and change the link that leads to it, or put another file where nothing was.
    """
    tried: list[str] = []
    for path in board.candidates(soname, identity):
        if board.resolve(path) == provider:
            return path, tuple(tried)
        if board.take(path, identity) is None and path not in tried:
            tried.append(path)
    return provider, ()


def one_per_soname(stage: Stage, files: Mapping[str, ElfFile]) -> tuple[dict[str, tuple[str, ElfFile]], list[Decision]]:
    """Return one file for each SONAME of a Stage, and a row for each that is there twice with the same content.

    Raises
    ------
    ProofError
        Two files of one SONAME differ: a process would get one of them, whichever it meets first.
    """
    digests = {file.path: file.sha256 for file in stage.manifest.files}
    found: dict[str, tuple[str, ElfFile]] = {}
    rows: list[Decision] = []
    for path, library in sorted(files.items(), key=lambda item: (item[0].count("/"), item[0])):
        soname = library.soname
        if not soname:
            continue
        first = found.setdefault(soname, (path, library))[0]
        if first == path:
            continue
        if digests.get(first) != digests.get(path):
            raise ProofError(
                f"conflict: two files of the Stage call themselves {soname}, and differ",
                why=f"{first} of {stage.owner(first) or _NOBODY}\n       {path} of {stage.owner(path) or _NOBODY}",
                next_step="build one of the two recipes with --policy, so that both use the other's",
            )
        because = f"{stage.owner(first) or _NOBODY} and {stage.owner(path) or _NOBODY} bring the same; one travels"
        rows.append(Decision(library=soname, action=Action.MERGE, because=because, provider=first, size=library.size))
    return found, rows
