"""A verdict: the checks of one board with their evidence, and what makes it green."""

from __future__ import annotations

import itertools
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from deploy.causes.boardside import StreamSeen
from deploy.causes.catalogue import cause_of, causes, causes_of_checks, written_at
from recipes.errors import VerifyError


@dataclass(frozen=True, slots=True, kw_only=True)
class Check:
    """One check and what it saw."""

    name: str
    state: str
    """`passed`, `failed` or `skipped`."""
    evidence: str
    seconds: float
    cure: str = ""
    """The command that comes next, where the check knows it."""
    cause: str = ""
    """Of a red one: its name in the catalogue of causes, or of a symptom of logs; empty where nobody knows it."""
    streams: Mapping[str, StreamSeen] = field(default_factory=dict)
    """By its name in the board's file, of the check that looks at them."""


CLOCK_CHECK = "clock is right"
SKEW_ODD = 60
"""Seconds that a board's clock may be off before that is told."""
SKEW_REFUSED = 240
"""Seconds that a board's clock may be off; AWS refuses requests whose clock is 300 s off."""


def check_name(test: str) -> str:
    """Return the name of a check, in words, from its test's: `test_it_goes_on[front_door]` is `it goes on: front_door`.

    What is in brackets is what the check is about, a stream as a rule, and stays as it is.
    """
    name, bracket, about = test.partition("[")
    words = name.removeprefix("test_").replace("_", " ")
    return f"{words}: {about.removesuffix(']')}" if bracket else words


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
        checks = [
            {"name": check.name, "state": check.state, "evidence": check.evidence}
            | ({"cause": written_at(check.cause), "next": check.cure} if check.cause else {})
            for check in self.checks
        ]
        return {
            "host": self.host,
            "release": self.release,
            "green": self.green,
            "checks": checks,
            "notes": list(self.notes),
        }


def require_green(verdict: Verdict) -> Verdict:
    """Return a green verdict; raises VerifyError for a red one, with the red checks, what they saw, and a cure."""
    if verdict.green:
        return verdict
    red = _causes_first(verdict)
    raise VerifyError(
        f"{verdict.host}: {len(red)} of {len(verdict.checks)} checks are red",
        where=str(verdict.junit),
        why="\n       ".join(_told_once(red)) or "no check passed",
        next_step=_cure(verdict),
    )


_OWN = "own-check"
"""The cause of a check that has none of its own: it is the user's."""


def _cure(verdict: Verdict) -> str:
    """Return what to do about the first red check; of files that are damaged everything else may be a consequence."""
    red = _causes_first(verdict)
    if not red:
        return causes()[_OWN].next_step.replace("HOST", verdict.host)
    return red[0].cure or causes()[_OWN].next_step.replace("HOST", verdict.host)


def _causes_first(verdict: Verdict) -> list[Check]:
    """Return the red checks, those that others may be a consequence of before these."""
    turn = {cause: at for at, cause in enumerate(causes())}
    failed = [explained(check, verdict.host) for check in verdict.checks if check.state == "failed"]
    return sorted(failed, key=lambda check: turn.get(check.cause, len(turn)))


def explained(check: Check, host: str) -> Check:
    """Return a red check with its cause and the command that comes next, where it does not say them itself.

    What a check says of either is the user's own text at most: a cause that nobody knows is none.
    """
    if check.state != "failed":
        return replace(check, cause="", cure="")
    usual = causes_of_checks().get(check.name.partition(": ")[0], causes()[_OWN])
    name = check.cause if written_at(check.cause) else usual.name
    known = cause_of(name) or usual
    return replace(check, cause=name, cure=(check.cure or known.next_step or usual.next_step).replace("HOST", host))


# What the loaders of glibc, musl and uClibc say where a program does not start, and what our check says of the same.
_LOST = re.compile(
    r"version `(?P<version>[^']+)' not found|library (?P<musl>[\w.+-]+): No such file"
    r"|can't load library '(?P<uclibc>[^']+)'"
    r"|(?P<name>[\w.+-]+\.so[\w.+-]*)(?: not found|: cannot open shared object file)"
)


def _told_once(red: Sequence[Check]) -> list[str]:
    """Return a line for each red check; a library or version that an earlier one misses is only named again."""
    told: set[str] = set()
    lines = []
    for check in red:
        lost = {found[found.lastgroup or 0] for found in _LOST.finditer(check.evidence)}
        again = bool(lost) and lost <= told
        seen = f"for want of {', '.join(sorted(lost))}" if again else check.evidence
        place = written_at(check.cause)
        lines.append(f"{check.name}: {seen}{f' ({place})' if place else ''}")
        told |= lost
    return lines


def verdict_rows(verdicts: Sequence[Verdict]) -> list[list[str]]:
    """Return the rows of the table that `invoke verify` prints."""
    return [[verdict.host, *row] for verdict in verdicts for row in _folded(verdict.checks)]


def _folded(checks: Sequence[Check]) -> list[list[str]]:
    """Return a row a check; of checks in a row that were left out for one reason, only how many they are."""
    rows = []
    for (state, evidence), group in itertools.groupby(checks, key=lambda check: (check.state, check.evidence)):
        names = [check.name for check in group]
        if state == "skipped" and len(names) > 2:
            names = [f"{names[0]}, and {len(names) - 1} more"]
        rows += [[name, state, evidence] for name in names]
    return rows
