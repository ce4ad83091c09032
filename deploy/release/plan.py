"""What a deploy will do to a board, decided from the manifest and one probe, and printable."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from enum import Enum

from deploy.boards.probe import HostFacts, open_to_others
from deploy.bundle.manifest import Manifest
from deploy.release.recheck import cache_moved, changed_proofs
from deploy.ssh.answers import runs_there
from deploy.transfer.cargo import find_missing
from deploy.verify.verdict import SKEW_ODD, SKEW_REFUSED
from recipes import console
from recipes.arch import Identity
from recipes.errors import ConfigError, PreflightError
from recipes.rootfs.loaderconf import LD_CACHE
from recipes.toolchains.vendor import parse_arch

RESERVE_KIB = 1024
"""Left free on the board's file system, besides a fifth of what is sent."""


RESERVE_INODES = 64
"""Left free besides: services, locks and what is written for a moment."""


class StepKind(Enum):
    """What a remote step does."""

    SEND = "send"
    ACTIVATE = "activate"


@dataclass(frozen=True, slots=True, kw_only=True)
class RemoteStep:
    """One remote action of a plan."""

    kind: StepKind
    blobs: tuple[str, ...] = ()
    offsets: Mapping[str, int] = field(default_factory=dict)
    """Of contents that a cut left a part of: the bytes that are there already."""
    size: int = 0
    """Bytes that are still to travel, unpacked."""
    detail: str


@dataclass(frozen=True, slots=True, kw_only=True)
class ReleasePlan:
    """What a deploy will do; no steps means nothing is to be done, and `because` says why."""

    steps: tuple[RemoteStep, ...]
    because: str
    by: str = ""
    """How contents travel, in words."""
    warnings: tuple[str, ...] = ()
    """What is not as it should be, and no reason to refuse."""


def plan_release(
    identity: str,
    manifest: Manifest,
    facts: HostFacts,
    proved_again: Collection[str] = (),
    *,
    papers: Mapping[str, int] | None = None,
    again: bool = False,
    downgrade: bool = False,
) -> ReleasePlan:
    """Decide what a deploy sends and switches. Pure.

    Parameters
    ----------
    proved_again:
        Libraries of the board, and its loader's cache, that changed since the bundle was made and serve all the same
        (`deploy.release.recheck`).
    papers:
        Store name to bytes of what the release carries besides its files: the signed manifest.
    again:
        Send everything and switch, though it runs there: what was damaged on the board is repaired.
    downgrade:
        An older release than the one that runs may take its place.

    Raises
    ------
    PreflightError
        The board must not be touched: another machine, a changed library, no room, a clock that is off.
    """
    refuse_unfit(manifest, facts)
    if not downgrade:
        _refuse_older(manifest, facts)
    if cache_moved(manifest, facts.files) and LD_CACHE not in proved_again:
        raise PreflightError(
            f"{LD_CACHE} is another one; nothing was changed", next_step=f"invoke bundle --board {manifest.board}"
        )
    for proof, path in changed_proofs(manifest, facts.files):
        if proof.library not in proved_again:
            state = f"{path} is another one than was proved" if path else f"{proof.opened} is gone"
            raise PreflightError(f"{state}; nothing was changed", next_step=f"invoke bundle --board {manifest.board}")
    # Where services are of another release, a run was cut between its switch and them: it is made good.
    whole = facts.serving in ("", identity)
    if facts.current == identity and identity in facts.confirmed and whole and not again:
        return ReleasePlan(steps=(), because=f"{identity[:12]} runs there already, and was verified")
    steps = _send_step(manifest, facts, papers or {}, again=again)
    before = f"now {facts.current[:12]}" if facts.current else "nothing runs there now"
    steps.append(RemoteStep(kind=StepKind.ACTIVATE, detail=f"switch to {identity[:12]} ({before})"))
    return ReleasePlan(steps=tuple(steps), because="", warnings=_warnings(facts))


def _warnings(facts: HostFacts) -> tuple[str, ...]:
    if abs(facts.skew) < SKEW_ODD:
        return ()
    off = f"the board's clock is {facts.skew:+d} s off"
    return (f"{off}; from {SKEW_REFUSED} s on a deploy is refused: let it use NTP",)


def _send_step(manifest: Manifest, facts: HostFacts, papers: Mapping[str, int], *, again: bool) -> list[RemoteStep]:
    """Return the step that sends what is not there, or none; raises PreflightError where the board has no room."""
    sizes = {file.blob: file.size for file in manifest.files}
    needs = find_missing({**sizes, **papers}, () if again else facts.blobs, {} if again else facts.incoming)
    payload = sum({**sizes, **papers}[blob] - needs.offsets.get(blob, 0) for blob in needs.blobs)
    needed = payload * 12 // 10 // 1024 + RESERVE_KIB
    if facts.free_kib < needed:
        raise PreflightError(
            "there is no room on the board; nothing was changed",
            where=manifest.root,
            why=f"{needed:,} KiB needed, {facts.free_kib:,} KiB free",
            next_step="free some space there, or lower `keep` in the board's file",
        )
    _refuse_few_inodes(manifest, facts, len(needs.blobs) + len(needs.arrived))
    if not needs.blobs and not needs.arrived:
        return []
    files = sum(blob in sizes for blob in needs.blobs)
    detail = f"{files} of {len(sizes)} files"
    detail += " and the manifest" if any(blob in papers for blob in needs.blobs) else ""
    detail += f", {console.size(payload)}"
    if kept := len(needs.arrived) + len(needs.offsets):
        detail += f"; {kept} came in an earlier run, whole or in part"
    return [
        RemoteStep(kind=StepKind.SEND, blobs=needs.blobs, offsets=needs.offsets, size=payload, detail=detail),
    ]


def _refuse_few_inodes(manifest: Manifest, facts: HostFacts, contents: int) -> None:
    """Raise PreflightError where the file system takes too few new files; of a release itself only folders are new."""
    folders = {""}
    for file in manifest.files:
        path = file.path
        while (path := path.rpartition("/")[0]) not in folders:
            folders.add(path)
    needed = contents + len(folders) + RESERVE_INODES
    if facts.free_inodes is not None and facts.free_inodes < needed:
        raise PreflightError(
            "there is no room for more files on the board; nothing was changed",
            where=manifest.root,
            why=f"{needed:,} inodes needed, {facts.free_inodes:,} free",
            next_step="remove files there, or lower `keep` in the board's file",
        )


def _refuse_older(manifest: Manifest, facts: HostFacts) -> None:
    if manifest.number < facts.number:
        raise PreflightError(
            "the bundle is older than what runs on the board; nothing was changed",
            why=f"its number is {manifest.number}, that of the release there is {facts.number}",
            next_step="invoke rollback takes back the last release; --allow-downgrade deploys the older bundle",
        )


def refuse_unfit(manifest: Manifest, facts: HostFacts) -> None:
    """Raise PreflightError for a board that this bundle was not made for, or that is in no state for it."""
    _refuse_machine(manifest, facts)
    if "sha256sum" not in facts.tools:
        raise PreflightError("the board has no sha256sum", why="what arrives there could not be checked")
    if exposed := open_to_others(facts, manifest.root):
        raise PreflightError(
            f"another user of the board could change what is below {manifest.root}; nothing was changed",
            why=exposed,
            next_step="take that right away there (chmod, chown, setfacl -b), or set `root` in the board's file",
        )
    if not facts.writable:
        owners = [f"{folder.path} belongs to user {folder.owner} ({folder.mode})" for folder in facts.folders[:1]]
        raise PreflightError(
            f"{manifest.root} cannot be written to",
            why="; ".join([f"user {facts.uid} could not make a file there", *owners]),
            next_step="log in as its owner, mount it for writing, or set `root` in the board's file",
        )
    if manifest.services and facts.uid != 0:
        raise PreflightError(
            f"only root may put in what starts at boot, and this is user {facts.uid}; nothing was changed",
            why=f"the bundle brings {len(manifest.services)} service{'s' * (len(manifest.services) > 1)}",
            next_step='log in as root, or set runs = "hand" for the streams in the board\'s file',
        )
    if not facts.executes:
        raise PreflightError(
            f"no program can be started below {manifest.root}; nothing was changed",
            why="a script that was written there could not be run: the file system is mounted noexec, as a rule",
            next_step="set `root` in the board's file to a folder on another file system",
        )
    if abs(facts.skew) >= SKEW_REFUSED:
        raise PreflightError(
            f"the board's clock is {facts.skew:+d} s off",
            why="AWS refuses requests that are signed more than 300 s off",
            next_step="set its clock, and let it use NTP",
        )


def _refuse_machine(manifest: Manifest, facts: HostFacts) -> None:
    """Refuse a board of another machine: by its own programs, and by its kernel's word where they do not tell."""
    wanted = _identity_of(manifest)
    if facts.identity is None or wanted is None:
        fits, has = facts.machine in manifest.machines, facts.machine or "silent about its machine"
    else:
        fits = runs_there(facts.identity, facts.machine, wanted, manifest.machines)
        has = f"{facts.machine}, its own programs are {facts.identity.describe()}"
    if not fits:
        raise PreflightError(
            f"the bundle is for {manifest.arch}, the board is {has}",
            next_step="is hosts.toml naming the right board?",
        )


def _identity_of(manifest: Manifest) -> Identity | None:
    """Return what the bundle's files are made for; None where its toolchain is unknown on this workstation."""
    try:
        return parse_arch(manifest.arch).identity
    except ConfigError:
        return None
