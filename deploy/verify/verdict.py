"""A verdict: the checks of one board with their evidence, and what makes it green."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from recipes.errors import VerifyError


@dataclass(frozen=True, slots=True, kw_only=True)
class Check:
    """One check and what it saw."""

    name: str
    state: str
    """`passed`, `failed` or `skipped`."""
    evidence: str
    seconds: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Verdict:
    """Every check of one board."""

    host: str
    release: str
    checks: tuple[Check, ...]
    junit: Path
    notes: tuple[str, ...] = ()
    """What was overridden when the bundle was made, said each time."""

    @property
    def green(self) -> bool:
        """True only when something passed and nothing failed: no checks are no evidence."""
        return any(check.state == "passed" for check in self.checks) and all(
            check.state != "failed" for check in self.checks
        )

    def as_dict(self) -> dict[str, object]:
        checks = [{"name": check.name, "state": check.state, "evidence": check.evidence} for check in self.checks]
        return {
            "host": self.host,
            "release": self.release,
            "green": self.green,
            "checks": checks,
            "notes": list(self.notes),
        }


def require_green(verdict: Verdict) -> Verdict:
    """Return a green verdict; raises VerifyError for a red one, with the red checks."""
    if verdict.green:
        return verdict
    red = [f"{check.name}: {check.evidence}" for check in verdict.checks if check.state == "failed"]
    raise VerifyError(
        f"{verdict.host}: {len(red)} of {len(verdict.checks)} checks are red",
        where=str(verdict.junit),
        why="\n       ".join(red) or "no check passed",
        next_step=f"invoke verify --host {verdict.host}",
    )


def verdict_rows(verdicts: Sequence[Verdict]) -> list[list[str]]:
    """Return the rows of the table that `invoke verify` prints."""
    return [[verdict.host, check.name, check.state, check.evidence] for verdict in verdicts for check in verdict.checks]
