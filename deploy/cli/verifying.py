"""What `invoke verify` was asked for: board, service, drills and a soak, with their times; and what that comes to."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, cast, get_args

from deploy.cli.durations import in_words, seconds_of
from recipes.errors import ConfigError, PreflightError, UserError, VerifyError, unknown

if TYPE_CHECKING:
    from deploy.drills.faults import Kind
    from deploy.release.deployment import HostVerdict
    from deploy.verdicts.cloudside import Beyond
    from deploy.verdicts.flow import CloudWay, Further

FULL_WATCH = 20
"""Seconds that `--full` watches each stream at least."""
OUTAGE, WITHIN = "60s", "60s; 3m after power"
_USUAL, _BOOTS = 60, 180
_LONGEST = 72 * 3600
_LONGEST_WATCH = 3600
_MOST_PARALLEL = 64


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """All that a verify is to do behind the board's own checks.

    Attributes
    ----------
    way:
        To the service; None where nobody asks it.
    soak, interval, outage:
        Seconds; 0 for none, or the usual.
    within:
        Seconds; 0 for what is usual after each fault.
    """

    way: CloudWay | None
    full: bool = False
    drills: tuple[Kind, ...] = ()
    outage: int = _USUAL
    within: int = 0
    soak: int = 0
    interval: int = 0

    @property
    def further(self) -> Further | None:
        """What makes drills and soak of a host; None where neither was asked for."""
        return self._make if self.drills or self.soak else None

    def _make(self, outcome: HostVerdict) -> Beyond:
        from deploy.drills.run import drill_host
        from deploy.soak.run import soak_host
        from deploy.soak.watch import Plan
        from deploy.verdicts.cloudside import Beyond

        done = Beyond()
        if self.drills and self.way is not None:
            done = drill_host(outcome.host, self.drills, self.outage, self.patience, self.way)
        if self.soak:
            plan = Plan(seconds=float(self.soak), interval=float(self.interval))
            done = done.together(soak_host(outcome.host, plan, self.way))
        return done

    def patience(self, kind: Kind) -> float:
        """Return the seconds in which everything has to be back after a fault."""
        return float(self.within or (_BOOTS if kind == "power" else _USUAL))


def asked_of(
    names: Sequence[str],
    *,
    fast: bool,
    full: bool,
    cloud: bool,
    watch: int,
    profile: str,
    aws: bool,
    drill: Sequence[str],
    outage: str,
    within: str,
    soak: str,
    interval: str,
) -> Asked:
    """Return what the words of the command come to.

    Raises
    ------
    ConfigError
        A time is none or out of bounds, a fault is unknown, words do not go together, or there are several hosts.
    """
    from deploy.verdicts.flow import CloudWay

    if fast and (full or drill or soak):
        raise ConfigError(
            "--fast waits for nothing; --full, --drill and --soak wait", next_step="leave out --fast, or the others"
        )
    if (drill or soak) and len(names) != 1:
        raise ConfigError(
            "--drill and --soak are for one host at a time", why=", ".join(names), next_step="add --host HOST"
        )
    if interval and not soak:
        raise ConfigError("--interval belongs to --soak")
    if (outage or within) and not drill:
        raise ConfigError(f"{'--outage' if outage else '--within'} belongs to --drill")
    asks = cloud or watch or full or drill
    watched = max(watch, FULL_WATCH) if full else watch
    lasts = seconds_of(soak, "--soak", least=10, most=_LONGEST) if soak else 0
    return Asked(
        way=CloudWay(watch=watched, profile=profile, aws=aws) if asks else None,
        full=full,
        drills=_kinds(drill),
        outage=seconds_of(outage, "--outage", least=10, most=900) if outage else _USUAL,
        within=seconds_of(within, "--within", least=1, most=3600) if within else 0,
        soak=lasts,
        interval=seconds_of(interval, "--interval", least=1, most=max(1, math.floor(lasts / 10))) if interval else 0,
    )


def _kinds(words: Sequence[str]) -> tuple[Kind, ...]:
    from deploy.drills.faults import Kind

    for word in words:
        if word not in get_args(Kind):
            raise unknown("drill", word, get_args(Kind), next_step="invoke verify --host HOST --drill service")
    return tuple(cast("Kind", word) for word in dict.fromkeys(words))


def steps_of(asked: Asked) -> list[str]:
    """Return what is done, in words."""
    steps = ["release, loader and boardprobe checks"]
    if asked.way is not None:
        steps.append("the cloud's side")
    for kind in asked.drills:
        away = f" for {in_words(asked.outage)}" if kind in ("network", "camera") else ""
        steps.append(f"drill {kind}{away}, to be back within {in_words(int(asked.patience(kind)))}")
    if asked.soak:
        steps.append(f"a soak of {in_words(asked.soak)}")
    return steps


def how_it_ends(names: Sequence[str], done: Sequence[HostVerdict], *, named: bool) -> UserError | None:
    """Return the error that verifying ends with: the first red verdict, else the first host that has none.

    A host that was named has to answer; of all hosts, those that are off are no fault.
    """
    from deploy.verify.verdict import require_green

    verdicts = [outcome.verdict for outcome in done if outcome.verdict]
    errors = [outcome.error for outcome in done if outcome.error and (named or not outcome.off)]
    if not verdicts and not errors:
        return PreflightError("no host answers", why=", ".join(names), next_step="invoke sim status")
    try:
        for verdict in verdicts:
            require_green(verdict)
    except VerifyError as red:
        return red
    return errors[0] if errors else None


def check_request(names: Sequence[str], watch: int, parallel: int) -> None:
    if not names:
        raise ConfigError(
            "no host to verify",
            why="no simulated board is up, no real one is in the inventory",
            next_step="invoke sim up",
        )
    if not 0 <= watch <= _LONGEST_WATCH:
        raise ConfigError(f"--watch {watch}: 0 to {_LONGEST_WATCH} seconds")
    if not 1 <= parallel <= _MOST_PARALLEL:
        raise ConfigError(f"--parallel {parallel}: 1 to {_MOST_PARALLEL} hosts at once")


def print_outcomes(done: Sequence[HostVerdict], ends: UserError | None, *, json: bool) -> None:
    """Print what verifying came to; the error that follows says all of its host, so that host is not told twice."""
    from deploy.cli.output import print_verdicts
    from recipes import console

    if json:
        console.emit([outcome.as_dict() for outcome in done])
        return
    print_verdicts([outcome.verdict for outcome in done if outcome.verdict])
    for outcome in done:
        if outcome.error and outcome.error is not ends:
            console.out(f"  {outcome.host}: {outcome.state}")
