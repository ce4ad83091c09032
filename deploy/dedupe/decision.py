"""The decisions of a dedupe, as values: one row a library or group of files, each with its reason."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from deploy.dedupe.byname import OpenedByName
from recipes.elf import ElfFile
from recipes.proof.result import Proof
from recipes.rootfs.origin import Origin


class Action(StrEnum):
    """What happens to a library or a group of files; each is a rule with a test by its name."""

    USE_BOARD = "use-board"
    KEEP = "keep"
    KEEP_PRIVATE = "keep-private"
    MERGE = "merge"
    UNREFERENCED = "unreferenced"
    NOT_RUNTIME = "not-runtime"


@dataclass(frozen=True, slots=True, kw_only=True)
class Decision:
    """One row of the table."""

    library: str
    action: Action
    because: str
    provider: str
    size: int

    def as_dict(self) -> dict[str, str | int]:
        return {
            "library": self.library,
            "action": self.action.value,
            "because": self.because,
            "provider": self.provider,
            "size": self.size,
        }


@dataclass(frozen=True, slots=True, kw_only=True)
class Payload:
    """One file of the bundle: its path there, and where it is taken from."""

    path: str
    origin: Origin
    """A file of the Stage, or of the sysroot."""
    elf: ElfFile


@dataclass(frozen=True, slots=True, kw_only=True)
class DedupePlan:
    """Every decision for one board, with its proofs."""

    decisions: tuple[Decision, ...]
    proofs: tuple[Proof, ...]
    payload: tuple[Payload, ...]
    notes: tuple[str, ...] = ()
    named: tuple[OpenedByName, ...] = ()
    """What the processes open by name, beside what is needed."""
    refused: tuple[Proof, ...] = ()
    """Why the board's copy of each library that travels is not used; without a provider: it has none."""

    @property
    def saved(self) -> int:
        kept = {Action.KEEP, Action.KEEP_PRIVATE}
        return sum(decision.size for decision in self.decisions if decision.action not in kept)

    @property
    def total(self) -> int:
        programs = sum(file.elf.size for file in self.payload if file.path.startswith("bin/"))
        return programs + sum(decision.size for decision in self.decisions)
