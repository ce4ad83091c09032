"""What travels to a board and what does not, each with its reason. Pure: indices in, decisions out.

Sound first: a library stays out of the bundle only when every symbol that our files bind to it is proved on the
board's own copy, and that copy itself loads there.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

from deploy import shadow
from deploy.decision import Action, Decision, DedupePlan, Payload
from deploy.leftover import left_over
from deploy.proof import Exports, Proof, closure, prove
from recipes.arch import Arch
from recipes.elf import ElfFile
from recipes.elfindex import Index
from recipes.errors import ProofError
from recipes.stage import Stage

# One process has one C library, and GStreamer's types are registered once: a second copy of either cannot work.
_LIBC = re.compile(r"(ld-linux.*|ld-musl.*|libc|libm|libpthread|libdl|librt|libresolv|libutil|libc\.musl.*)\.so[.\d]*")
_NEVER = re.compile(r"lib(gst.*-1\.0|glib-2\.0|gobject-2\.0|gmodule-2\.0|gio-2\.0)\.so[.\d]*")


@dataclass(slots=True, kw_only=True)
class _Work:
    """The state of one planning run; nothing outside `plan` sees it."""

    arch: Arch
    stage_files: dict[str, ElfFile]
    by_soname: dict[str, tuple[str, ElfFile]]
    sysroot: Index
    board: Index
    kept: dict[str, Payload] = field(default_factory=dict)
    exports: dict[str, Exports] = field(default_factory=dict)

    def candidate(self, soname: str) -> tuple[str, ElfFile] | None:
        """Return the copy that our files were linked with: the Stage's, else the sysroot's."""
        if soname in self.by_soname:
            path, found = self.by_soname[soname]
            return f"stage:{path}", found
        in_sysroot = self.sysroot.find(soname, self.arch.identity)
        return (f"sysroot:{in_sysroot[0]}", in_sysroot[1]) if in_sysroot else None

    def built_with(self, users: Sequence[ElfFile]) -> Mapping[str, Exports]:
        """Return the exports of every library that these files were linked with."""
        names = dict.fromkeys(name for user in users for name in user.needed)
        for name in names:
            if name not in self.exports and (found := self.candidate(name)) is not None:
                self.exports[name] = Exports(found[1])
        return {name: self.exports[name] for name in names if name in self.exports}

    @property
    def musl(self) -> bool:
        """Tell whether the board's loader is musl's, which knows no versions."""
        return any("/ld-musl-" in path for path in (*self.board.files, *self.board.links))

    def users(self) -> dict[str, list[ElfFile]]:
        """Return who needs what among the files that travel."""
        needed: dict[str, list[ElfFile]] = {}
        for payload in self.kept.values():
            for name in payload.elf.needed:
                needed.setdefault(name, []).append(payload.elf)
        return needed


def plan(stage: Stage, stage_index: Index, sysroot: Index, board: Index, arch: Arch) -> DedupePlan:
    """Decide for every library and file of a Stage whether it travels to a board.

    Raises
    ------
    ProofError
        The board cannot run it: its C library or GStreamer is too old, or a library is to be had nowhere.
    """
    files = {path.lstrip("/"): found for path, found in stage_index.files.items()}
    work = _Work(
        arch=arch,
        stage_files=files,
        by_soname={found.soname: (path, found) for path, found in files.items() if found.soname},
        sysroot=sysroot,
        board=board,
    )
    for recipe in stage.manifest.recipes:
        for path, kind in recipe.outputs.items():
            if kind in ("program", "plugin"):
                work.kept[path] = Payload(path=path, origin=f"stage:{path}", elf=files[path])
    proofs, decisions = _settle(work)
    by_name = [name for recipe in stage.manifest.recipes for name in recipe.dlopen]
    shadow.check({place: one.elf for place, one in work.kept.items()}, board, arch, by_name)
    hashes = board.digests([proof.provider for proof in proofs.values()])
    proofs = {name: replace(proof, sha256=hashes[proof.provider]) for name, proof in proofs.items()}
    notes, extra = _run_time(stage, work, proofs)
    decisions += extra + left_over(stage, work.stage_files, work.kept.values(), {one.library for one in decisions})
    order = list(Action)
    return DedupePlan(
        decisions=tuple(sorted(decisions, key=lambda one: (order.index(one.action), one.library))),
        proofs=tuple(proofs[name] for name in sorted(proofs)),
        payload=tuple(work.kept[path] for path in sorted(work.kept)),
        notes=tuple(notes),
    )


def _settle(work: _Work) -> tuple[dict[str, Proof], list[Decision]]:
    """Decide until nothing changes: a kept library is a new user, and may need more of the board than before."""
    while True:
        proofs: dict[str, Proof] = {}
        decisions: list[Decision] = []
        grown = False
        for soname, users in sorted(work.users().items()):
            decision, proof, payload = _decide(work, soname, users)
            decisions.append(decision)
            if proof is not None and proof.holds and decision.action is Action.USE_BOARD:
                proofs[soname] = proof
            if payload is not None and payload.path not in work.kept:
                work.kept[payload.path] = payload
                grown = True
        if not grown:
            return proofs, decisions


def _decide(work: _Work, soname: str, users: Sequence[ElfFile]) -> tuple[Decision, Proof | None, Payload | None]:
    candidate = work.candidate(soname)
    found = work.board.find(soname, work.arch.identity)
    size = candidate[1].size if candidate else 0
    fixed = bool(_LIBC.fullmatch(soname) or _NEVER.fullmatch(soname))
    place = f"lib/{soname}"
    proof = None
    if found is not None:
        path, copy = found
        companions, unloadable = closure(work.board, path, copy, work.arch.identity)
        proof = prove(soname, path, copy, users, work.built_with(users), companions.values(), musl=work.musl)
        if proof.holds and not unloadable and place not in work.kept:
            kind = "all names" if proof.weaker else "all names and nodes"
            because = f"{len(proof.symbols)} symbols checked, {kind} there"
            decision = Decision(
                library=soname, action=Action.USE_BOARD, because=because, provider=path, size=0 if fixed else size
            )
            return decision, proof, None
        action, because = Action.KEEP_PRIVATE, _fault(proof, unloadable)
    else:
        action, because = _absent(work, soname, users)
    if fixed:
        raise _stuck(soname, because, users)
    if candidate is None:
        raise ProofError(
            f"{soname} is to be had nowhere",
            why=f"{because}; neither the Stage nor the sysroot has it; needed by {_needed_by(users)}",
            next_step="add a recipe for it, or put its package into the sysroot's file",
        )
    origin, library = candidate
    decision = Decision(library=soname, action=action, because=because, provider=f"bundle:{place}", size=size)
    return decision, proof, Payload(path=place, origin=origin, elf=library)


def _fault(proof: Proof, unloadable: Sequence[str]) -> str:
    if proof.missing:
        return f"board's lacks {_few(proof.missing)}"
    if proof.faults:
        return f"board's: {_few(proof.faults)}"
    return (
        f"board's own copy needs {_few(unloadable)}" if unloadable else "board's does not serve all of its users here"
    )


def _absent(work: _Work, soname: str, users: Sequence[ElfFile]) -> tuple[Action, str]:
    """Say what the board has instead: nothing, or another version of the same library and what that one lacks."""
    others = work.board.family(soname, work.arch.identity)
    if not others:
        return Action.KEEP, "board has none"
    other, path = others[0]
    lacking = prove(soname, path, work.board.files[path], users, work.built_with(users)).missing
    plain = [name for name in lacking if not name.startswith("node ")]
    return Action.KEEP_PRIVATE, f"board has {other}" + (f", without {_few(plain)}" if plain else "")


def _needed_by(users: Sequence[ElfFile]) -> str:
    return _few([user.soname or "a program" for user in users])


def _few(names: Sequence[str]) -> str:
    """Return the first names of a list, and how many more there are."""
    shown = ", ".join(names[:2])
    return shown if len(names) <= 2 else f"{shown} and {len(names) - 2} more"


def _stuck(soname: str, because: str, users: Sequence[ElfFile]) -> ProofError:
    return ProofError(
        f"the board's {soname} does not do, and it is never bundled",
        why=f"{because}; needed by {_needed_by(users)}",
        next_step="build against a sysroot no newer than the board: name its suite in board-configs/sysroots/",
    )


def _run_time(stage: Stage, work: _Work, proofs: Mapping[str, Proof]) -> tuple[list[str], list[Decision]]:
    """Add what programs load by name at run time: it is used where the board has it, and never bundled."""
    notes, decisions = [], []
    for recipe in stage.manifest.recipes:
        for soname in recipe.dlopen:
            found = work.board.find(soname, work.arch.identity)
            if found is None:
                notes.append(f"{soname} is not on this board; {recipe.name} says so and goes without")
            elif soname not in proofs:
                because = f"loaded by {recipe.name} at run time, if it is there"
                decisions.append(
                    Decision(library=soname, action=Action.USE_BOARD, because=because, provider=found[0], size=0)
                )
    return notes, decisions
