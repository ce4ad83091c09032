"""What travels to a board and what does not, each with its reason. Pure: indices in, decisions out.

Sound first: a library stays out of the bundle only when every symbol that our files bind to it is proved on the
board's own copy, and that copy itself loads there.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

from deploy.dedupe.byname import UNWINDER, wants_unwinder
from deploy.dedupe.decision import Action, Decision, DedupePlan, Payload
from deploy.dedupe.preferences import Prefer, Preference, Preferences
from deploy.dedupe.reasons import absent_proof, loader_path, main_fault, older_than_headers, one_per_soname
from deploy.dedupe.shadowing import check_shadowing
from deploy.dedupe.unused import unused_files
from recipes.arch import Arch, Libc
from recipes.console import first_few
from recipes.elf import ElfFile
from recipes.errors import ProofError
from recipes.proof.binding import Exports, exports_of
from recipes.proof.prove import check_copy, demand_of, library_closure, private_names
from recipes.proof.result import Proof
from recipes.rootfs.index import Index
from recipes.rootfs.origin import Origin
from recipes.stage.manifest import Stage


@dataclass(slots=True, kw_only=True)
class _Work:
    """The state of one planning run; nothing outside this module sees it."""

    arch: Arch
    by_soname: dict[str, tuple[str, ElfFile]]
    sysroot: Index
    board: Index
    preferences: Preferences
    kept: dict[str, Payload] = field(default_factory=dict)
    exports: dict[str, Exports] = field(default_factory=dict)
    proofs: dict[tuple[str, frozenset[ElfFile]], Proof] = field(default_factory=dict)
    """What was worked out already: most libraries get no new users from one round to the next."""

    def candidate(self, soname: str) -> tuple[Origin, ElfFile] | None:
        """Return the copy that our files were linked with: the Stage's, else the sysroot's."""
        if soname in self.by_soname:
            path, found = self.by_soname[soname]
            return Origin.stage(path), found
        in_sysroot = self.sysroot.find(soname, self.arch.identity)
        return (Origin.sysroot(in_sysroot[0]), in_sysroot[1]) if in_sysroot else None

    def built_with(self, users: Sequence[ElfFile]) -> Mapping[str, Exports]:
        """Return the exports of every library that these files were linked with."""
        names = dict.fromkeys(name for user in users for name in user.needed)
        for name in names:
            if name not in self.exports and (found := self.candidate(name)) is not None:
                self.exports[name] = exports_of(found[1])
        return {name: self.exports[name] for name in names if name in self.exports}

    def users(self) -> dict[str, list[ElfFile]]:
        """Return who needs what among the files that travel."""
        needed: dict[str, list[ElfFile]] = {}
        for payload in self.kept.values():
            for name in payload.elf.needed:
                needed.setdefault(name, []).append(payload.elf)
            # No file names it; where the board has none, ours travels and the launch script brings it in.
            if UNWINDER not in payload.elf.needed and wants_unwinder(payload.elf, self.board.libc):
                needed.setdefault(UNWINDER, []).append(payload.elf)
        return needed


def plan_dedupe(
    stage: Stage,
    stage_index: Index,
    sysroot: Index,
    board: Index,
    arch: Arch,
    preferences: Preferences | None = None,
    *,
    idle: frozenset[str] = frozenset(),
) -> DedupePlan:
    """Decide for every library and file of a Stage whether it travels to a board.

    Parameters
    ----------
    idle:
        Programs of the Stage that this board does not use: neither they nor what only they need travels.

    Raises
    ------
    ProofError
        The board cannot run it: its C library or GStreamer is too old, a library is not found anywhere, two recipes
        bring different ones of one name, or a rule of the board asks for an unsuitable copy.
    ConfigError
        A rule of the board decides nothing: no library has its name, or it is the board's own on every board.
    """
    files = {path.lstrip("/"): library for path, library in stage_index.files.items()}
    by_soname, merged = one_per_soname(stage, files)
    work = _Work(
        arch=arch,
        by_soname=by_soname,
        sysroot=sysroot,
        board=board,
        preferences=preferences or Preferences(),
        kept=_entries(stage, files, idle),
    )
    proofs, refused, decisions = _settle(work)
    by_name = [name for recipe in stage.manifest.recipes for name in recipe.dlopen]
    check_shadowing({place: file.elf for place, file in work.kept.items()}, board, arch, by_name)
    proofs = _hashed(proofs, board)
    notes, extra = _run_time(stage, work, proofs)
    known = {decision.library for decision in (*decisions, *merged)}
    decisions += merged + extra + unused_files(stage, files, work.kept.values(), known, idle)
    work.preferences.refuse_idle(decision.library for decision in decisions)
    return DedupePlan(
        decisions=_in_order(decisions),
        proofs=tuple(proofs[name] for name in sorted(proofs)),
        payload=tuple(work.kept[path] for path in sorted(work.kept)),
        notes=tuple(notes),
        refused=tuple(refused[name] for name in sorted(refused)),
    )


def _entries(stage: Stage, files: Mapping[str, ElfFile], idle: frozenset[str]) -> dict[str, Payload]:
    """Return the programs and plugins that travel by themselves: all else is what they need."""
    outputs = {path: kind for recipe in stage.manifest.recipes for path, kind in recipe.outputs.items()}
    entries = [path for path, kind in outputs.items() if kind in ("program", "plugin") and path not in idle]
    return {path: Payload(path=path, origin=Origin.stage(path), elf=files[path]) for path in entries}


def _in_order(decisions: Sequence[Decision]) -> tuple[Decision, ...]:
    order = list(Action)
    return tuple(sorted(decisions, key=lambda decision: (order.index(decision.action), decision.library)))


def _hashed(proofs: Mapping[str, Proof], board: Index) -> dict[str, Proof]:
    hashes = board.digests([proof.provider for proof in proofs.values()])
    return {name: replace(proof, sha256=hashes[proof.provider]) for name, proof in proofs.items()}


def _settle(work: _Work) -> tuple[dict[str, Proof], dict[str, Proof], list[Decision]]:
    """Decide until nothing changes: a kept library is a new user, and may need more of the board than before."""
    while True:
        proofs: dict[str, Proof] = {}
        refused: dict[str, Proof] = {}
        decisions: list[Decision] = []
        grown = False
        for soname, users in sorted(work.users().items()):
            decision, proof, payload = _decide(work, soname, users)
            decisions.append(decision)
            (proofs if decision.action is Action.USE_BOARD else refused)[soname] = proof
            if payload is not None and payload.path not in work.kept:
                work.kept[payload.path] = payload
                grown = True
        if not grown:
            return proofs, refused, decisions


def _decide(work: _Work, soname: str, users: Sequence[ElfFile]) -> tuple[Decision, Proof, Payload | None]:
    candidate = work.candidate(soname)
    rule = work.preferences.of(soname)
    fixed = work.preferences.always(soname)
    known = (soname, frozenset(users))
    proof = work.proofs.get(known) or _proof(work, soname, users)
    work.proofs[known] = proof
    against = _against(work, proof, rule)
    size = candidate[1].size if candidate and not fixed else 0
    if not against:
        kind = "all names" if proof.weaker else "all names and nodes"
        because = f"{len(proof.symbols)} symbols checked, {kind} there"
        because += f"; {rule.because}" if rule is not None and not fixed else ""
        if candidate is not None and not fixed:
            older = older_than_headers(candidate[1], work.board.files[Origin(proof.provider)])
            because += f"; {older}" if older else ""
        return _decision(soname, Action.USE_BOARD, because, proof.provider, size), proof, None
    if rule is not None and rule.of_board:
        # Nobody's word makes a loader find what is not there, or start without a node of the C library.
        hopeless = not proof.opened or (fixed and proof.missing)
        if hopeless or not work.preferences.i_know:
            raise _stuck(soname, against, users, rule, fixed=fixed)
        because = f"{against}; used all the same: {work.preferences.i_know}"
        all_the_same = replace(proof, overridden=work.preferences.i_know)
        return _decision(soname, Action.USE_BOARD, because, proof.provider, size), all_the_same, None
    if candidate is None:
        raise ProofError(
            f"{soname} is not found anywhere",
            why=f"{against}; neither the Stage nor the sysroot has it; needed by {_needed_by(users)}",
            next_step="add a recipe for it, or put its package into the sysroot's file",
        )
    origin, library = candidate
    place = f"lib/{soname}"
    action = Action.KEEP_PRIVATE if proof.provider else Action.KEEP
    decision = _decision(soname, action, against, Origin.bundle(place), size)
    return decision, replace(proof, faults=proof.faults or (against,)), Payload(path=place, origin=origin, elf=library)


def _decision(soname: str, action: Action, because: str, provider: str, size: int) -> Decision:
    return Decision(library=soname, action=action, because=because, provider=provider, size=size)


def _proof(work: _Work, soname: str, users: Sequence[ElfFile]) -> Proof:
    """Check what our files ask of a library against the board's copy, or against what it has instead."""
    demand = demand_of(soname, users, work.built_with(users))
    found = work.board.find(soname, work.arch.identity)
    if found is not None:
        path, copy = found
        companions, lost = library_closure(work.board, path, copy, work.arch.identity)
        proof = check_copy(demand, path, copy, companions.values(), users, lost, libc=work.board.libc or Libc.GLIBC)
        opened, earlier = loader_path(work.board, soname, work.arch.identity, path)
        return _typed(work, _in_range(work, _of_one_build(work, replace(proof, opened=opened, earlier=earlier))))
    family = work.board.family(soname, work.arch.identity)
    if not family:
        return absent_proof(demand)
    version, path = family[0]
    proof = check_copy(demand, path, work.board.files[path], libc=work.board.libc or Libc.GLIBC)
    lacking = [name for name in proof.missing if not name.startswith("node ")]
    fault = f"board has {version}" + (f", without {first_few(lacking)}" if lacking else "")
    return replace(proof, faults=(fault, *proof.faults))


def _of_one_build(work: _Work, proof: Proof) -> Proof:
    """Check that what the C library keeps for itself (GLIBC_PRIVATE) is bound to the very build that we link with."""
    private = private_names(proof.symbols, proof.nodes)
    linked = work.sysroot.find(proof.library, work.arch.identity)
    if not private or (linked is not None and proof.build_id and linked[1].build_id == proof.build_id):
        return proof
    fault = f"ours binds {first_few(private)}, which any other build of the C library may have otherwise"
    return replace(proof, faults=(*proof.faults, fault))


def _in_range(work: _Work, proof: Proof) -> Proof:
    """Check a library without version nodes against the versions asked for; names alone are not enough then."""
    asked = work.preferences.ranges.get(proof.library, "")
    if not (asked and proof.weaker):
        return proof
    rule = work.preferences.of(proof.library)
    linked = work.sysroot.find(proof.library, work.arch.identity)
    if linked is not None and proof.build_id and linked[1].build_id == proof.build_id:
        return replace(proof, range=f"{asked}: the same build as the sysroot's")
    if rule is not None and rule.prefer is Prefer.PIN and proof.build_id.startswith(rule.build_id):
        return replace(proof, range=f"{asked}: the board's file says so of this build")
    unknown = f"it has no version nodes, and nothing says that it is one of {asked}"
    return replace(proof, range=asked, faults=(*proof.faults, unknown))


def _typed(work: _Work, proof: Proof) -> Proof:
    """Compare the types of both copies too, where the proof holds so far, and that was asked for and can be told."""
    candidate = work.candidate(proof.library)
    if work.preferences.types is None or not proof.holds or candidate is None or work.preferences.always(proof.library):
        return proof
    names = tuple(dict.fromkeys(symbol.partition("@")[0] for symbol in proof.symbols))
    verdict, differ = work.preferences.types(proof.library, candidate[0], proof.provider, names)
    faults = (f"its types are not those of ours ({verdict})",) if differ else ()
    return replace(proof, types=verdict, faults=faults)


def _against(work: _Work, proof: Proof, rule: Preference | None) -> str:
    """Say why the board's copy is not used; empty where it is."""
    if not proof.provider:
        return "board has none"
    if not proof.holds:
        return main_fault(proof)
    if rule is not None and rule.prefer is Prefer.BUNDLE:
        return f"the board's file prefers ours: {rule.because}"
    if rule is not None and rule.prefer is Prefer.PIN and not proof.build_id.startswith(rule.build_id):
        return f"the board's file pins build {rule.build_id[:12]}, it is {proof.build_id[:12]}: {rule.because}"
    if f"lib/{proof.library}" in work.kept:
        return "board's does not serve all of its users here"
    return ""


def _needed_by(users: Sequence[ElfFile]) -> str:
    return first_few([user.soname or "a program" for user in users])


def _stuck(soname: str, because: str, users: Sequence[ElfFile], rule: Preference, *, fixed: bool) -> ProofError:
    if fixed:
        cure = "build against a sysroot no newer than the board: name its suite in board-configs/sysroots/"
        what = f"the board's {soname} is unsuitable, and it is never bundled"
    else:
        cure = f"let it travel: take the rule for {soname} out of the board's file; or --i-know 'REASON'"
        what = f"the board's {soname} is unsuitable, and its file asks for no other ({rule.prefer.value})"
    why = f"{because}; needed by {_needed_by(users)}; the rule: {rule.because}"
    return ProofError(what, why=why, next_step=cure)


def _run_time(stage: Stage, work: _Work, proofs: Mapping[str, Proof]) -> tuple[list[str], list[Decision]]:
    """Add what programs load by name at run time: it is used where the board has it, and never bundled."""
    notes = [
        f"{proof.library}: the board's copy is used though its proof fails ({main_fault(proof)}): {proof.overridden}"
        for proof in proofs.values()
        if proof.overridden
    ]
    decisions = []
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
