"""A verdict: the checks of one board with their evidence, and what makes it green."""

from __future__ import annotations

import itertools
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from deploy.cloud.boardside import StreamSeen
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
    streams: Mapping[str, StreamSeen] = field(default_factory=dict)
    """By its name in the board's file, of the check that looks at them."""


CLOCK_CHECK = "clock is right"
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
        checks = [{"name": check.name, "state": check.state, "evidence": check.evidence} for check in self.checks]
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


_CURES = {
    "files are intact": "invoke deploy --host {host} --again sends what is damaged once more",
    "modes are as planned": "invoke deploy --host {host} --again sends everything once more, with its modes",
    "current points to this release": "somebody switched meanwhile: invoke status --host {host} says to what",
    "every library comes from its named provider": "the board has other libraries than it was bundled for: "
    "invoke sysroot.pull --host {host}, then invoke up --host {host}",
    "clock is right": "set the board's clock, and let it use NTP",
    "boardprobe answers without an error": "repair what it names on the board, then invoke verify --host {host}; "
    "invoke rollback --host {host} goes back to the release before",
}


def _cure(verdict: Verdict) -> str:
    """Return what to do about the first red check; of files that are damaged everything else may be a consequence."""
    red = _causes_first(verdict)
    first = next((check.name for check in red if check.name in _CURES), "")
    if not first and red and red[0].cure:
        return red[0].cure
    usual = "the evidence is in the JUnit file; invoke rollback --host {host} goes back to the release before"
    return _CURES.get(first, usual).format(host=verdict.host)


def _causes_first(verdict: Verdict) -> list[Check]:
    """Return the red checks, those that others may be a consequence of before these."""
    turn = {name: at for at, name in enumerate(_CURES)}
    failed = [check for check in verdict.checks if check.state == "failed"]
    return sorted(failed, key=lambda check: turn.get(check.name, len(turn)))


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
        lines.append(f"{check.name}: {seen}")
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
