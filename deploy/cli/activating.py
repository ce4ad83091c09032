"""What `invoke activate` does: a moment for all hosts, a look at each long before it, and one table."""

from __future__ import annotations

import datetime as dt
import re
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial

from invoke import Exit

from deploy.cli.durations import in_words, seconds_of
from deploy.cli.fleet import write_index
from deploy.cli.rollout import MOST_PARALLEL, refuse_parallel, told_failures
from deploy.fleet.journal import HostRecord, failed_record
from deploy.fleet.rollout import crew_ended, outcome_of
from deploy.fleet.selection import Selection, select_hosts
from deploy.fleet.show import BAD, Display, print_results
from deploy.fleet.staged import Moment, NothingStagedError, NotSwitchedError, activate_on, looked_at
from deploy.fleet.waves import Share, parse_errors
from deploy.fleet.workers import Crew
from deploy.release.deployment import Wishes
from deploy.verify.warm import ready
from recipes import console
from recipes.errors import ConfigError, FleetError

MOST_AHEAD = 24 * 3600
"""Seconds that a moment may be away: this command waits for it."""
LEAD_SECONDS = 60.0
"""Before the moment: connections are opened then, and each board is looked at once more."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ActivationAsked:
    """The words of the command."""

    chosen: Selection
    at: str = ""
    errors: Share
    parallel: int
    wishes: Wishes
    json: bool = False
    dry_run: bool = False

    @property
    def command(self) -> str:
        return f"invoke activate {self.chosen.words}"


def moment_of(text: str, now: dt.datetime) -> float:
    """Return the seconds since 1970 that a text means; 0 for an empty one.

    Parameters
    ----------
    text:
        `02:00` or `02:00:30`, the next time that it is so by this workstation's clock; `2026-12-01T02:00`, or with an
        offset; or `+90s`, `+10m`, `+2h`.
    now:
        With its zone.

    Raises
    ------
    ConfigError
        It is no time, is past, or is more than a day away.
    """
    if not text:
        return 0.0
    try:
        if text.startswith("+"):
            return now.timestamp() + seconds_of(text[1:], "--at", least=1, most=MOST_AHEAD)
        if re.fullmatch(r"\d{1,2}:\d{2}(:\d{2})?", text):
            hour, minute, second = [int(part) for part in f"{text}:0".split(":")[:3]]
            at = now.replace(hour=hour, minute=minute, second=second, microsecond=0)
            at = at if at > now else at + dt.timedelta(days=1)
        else:
            at = dt.datetime.fromisoformat(text)
            at = at if at.tzinfo else at.replace(tzinfo=now.tzinfo)
    except (ValueError, OverflowError) as error:
        raise ConfigError(
            f"--at {text[:40]!r} is no time", next_step="--at 02:00, --at 2026-12-01T02:00, or --at +10m"
        ) from error
    ahead = at.timestamp() - now.timestamp()
    if not 0 < ahead <= MOST_AHEAD:
        why = "it is past" if ahead <= 0 else f"it is {in_words(int(ahead))} away, and this command waits for it"
        raise ConfigError(f"--at {text}: within the next {MOST_AHEAD // 3600} hours", why=why)
    return at.timestamp()


def activate_many(asked: ActivationAsked) -> None:
    """Switch on what is staged on each host, all at one moment; those that were not ready are told.

    Raises
    ------
    ConfigError
        A word is wrong; no host was touched.
    FleetError
        A host was not switched, or went back.
    Exit
        It was ended by hand before the moment: nothing was switched.
    """
    refuse_parallel(asked.parallel)
    hosts = select_hosts(asked.chosen)
    at = moment_of(asked.at, dt.datetime.now().astimezone())
    if at and len(hosts) > asked.parallel:
        raise ConfigError(
            f"{len(hosts)} hosts cannot be switched at one moment, {asked.parallel} can",
            why=f"each has a connection of its own; --parallel {MOST_PARALLEL} at most",
            next_step="a smaller group, or without --at: then so many at a time",
        )
    results: dict[str, HostRecord] = {}
    display = Display(title=f"switching {asked.chosen.words}", total=len(hosts), json=asked.json)

    def told(record: HostRecord) -> None:
        results[record.host] = record
        display.told(record)

    try:
        if asked.dry_run or at - time.time() > LEAD_SECONDS:
            found = _look(asked, hosts)
            _refuse_too_many(asked, found)
            if asked.dry_run:
                return
            _wait(at)
        with display.shown(), ready():
            for begin in range(0, len(hosts), asked.parallel):
                _switch(asked, hosts[begin : begin + asked.parallel], at, display, told)
    except KeyboardInterrupt:
        raise Exit(f"interrupted; what is staged waits there still\n  next: {asked.command}", 130) from None
    finally:
        write_index()
    _end(asked, hosts, results)


def _switch(
    asked: ActivationAsked, hosts: Sequence[str], at: float, display: Display, told: Callable[[HostRecord], object]
) -> None:
    """Switch hosts that go together: each is made ready, then all are switched at once, then checked."""
    moment = Moment(hosts=len(hosts), errors=asked.errors, at=at)

    def work(host: str) -> HostRecord:
        return display.watched(host, partial(outcome_of, host, partial(_activated, host, moment, asked.wishes)))

    crew = Crew(work, hosts, len(hosts))
    try:
        crew_ended(crew, told, ending=lambda: moment.call_off("it was ended by hand"))
    finally:
        if moment.switched:
            first = dt.datetime.fromtimestamp(min(moment.switched), dt.UTC)
            console.say(
                f"{len(moment.switched)} of {len(hosts)} hosts switched at {first:%H:%M:%S} UTC, "
                f"within {moment.spread():.1f} s"
            )


def _activated(host: str, moment: Moment, wishes: Wishes) -> HostRecord:
    try:
        done = activate_on(host, moment, wishes)
    except NothingStagedError as error:
        if not error.switched:
            raise
        return HostRecord(host=host, state="unchanged", release=error.current)
    except NotSwitchedError as error:
        return failed_record(host, error, 0).model_copy(update={"state": "waiting"})
    return HostRecord(host=host, state="activated", release=done.id, sent=done.payload, round_trips=done.round_trips)


def _look(asked: ActivationAsked, hosts: Sequence[str]) -> dict[str, HostRecord]:
    """Look at what waits on each host, and say it; nothing is changed there."""
    found: dict[str, HostRecord] = {}

    def look(host: str) -> HostRecord:
        def work() -> HostRecord:
            try:
                return HostRecord(host=host, state="staged", release=looked_at(host, asked.wishes))
            except NothingStagedError as error:
                if not error.switched:
                    raise
                return HostRecord(host=host, state="unchanged", release=error.current)

        return display.watched(host, partial(outcome_of, host, work))

    display = Display(title="looking", total=len(hosts), json=asked.json and asked.dry_run)
    with display.shown():
        crew_ended(Crew(look, hosts, asked.parallel), lambda record: _kept(found, display, record))
    if not asked.json:
        print_results(f"{asked.command}: what waits", hosts, found)
    return found


def _kept(found: dict[str, HostRecord], display: Display, record: HostRecord) -> None:
    found[record.host] = record
    display.told(record)


def _refuse_too_many(asked: ActivationAsked, found: dict[str, HostRecord]) -> None:
    bad = [record for record in found.values() if record.state in BAD]
    if asked.errors.exceeded_by(len(bad), len(found)):
        error = FleetError(
            f"{len(bad)} of {len(found)} hosts cannot be switched, and {asked.errors} may be left behind",
            why=told_failures(bad),
            next_step=f"cure that, or: {asked.command} --errors {len(bad)}",
        )
        raise Exit(error.for_people(), int(error.code)) if asked.json else error


def _wait(at: float) -> None:
    """Wait until shortly before the moment, and say for when."""
    then = dt.datetime.fromtimestamp(at).astimezone()
    console.say(
        f"switching at {then:%Y-%m-%d %H:%M:%S %z}, in {in_words(max(1, int(at - time.time())))}; Ctrl-C calls it off"
    )
    while (left := at - LEAD_SECONDS - time.time()) > 0:
        time.sleep(min(left, 30.0))


def _end(asked: ActivationAsked, hosts: Sequence[str], results: dict[str, HostRecord]) -> None:
    if not asked.json:
        print_results(asked.command, hosts, results)
    found = [results[host] for host in hosts if host in results]
    bad = [record for record in found if record.state in BAD]
    ready = [record for record in found if record.state == "waiting"]
    if not bad and not ready:
        return
    what = f"{len(bad) + len(ready)} of {len(hosts)} hosts were not switched"
    what += f", {len(ready)} of them were ready: {ready[0].why}" if ready else ""
    error = FleetError(what, why=told_failures(bad), next_step=f"{asked.command}, once that is cured")
    raise Exit(error.for_people(), int(error.code)) if asked.json else error


def asked_errors(text: str) -> Share:
    """Return how many hosts may be left behind; none without a text."""
    return parse_errors(text or "0")
