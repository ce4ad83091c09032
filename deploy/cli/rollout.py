"""What `invoke deploy` and `invoke activate` do for many hosts: plan, journal, table, and how it ends."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import partial

from invoke import Exit

from deploy.cli.fleet import write_index
from deploy.fleet.journal import HostRecord, Journal, now, read_journal, write_journal
from deploy.fleet.rollout import bring_to, by_board, held, roll_out
from deploy.fleet.selection import Selection, select_hosts
from deploy.fleet.show import Display, print_results
from deploy.fleet.waves import (
    USUAL_ERRORS,
    USUAL_WAVES,
    Course,
    Fate,
    Next,
    Rollout,
    failed_hosts,
    parse_errors,
    parse_waves,
    plan_next,
)
from deploy.release.deployment import Wishes
from deploy.transfer.packing import packed_once
from deploy.verify.warm import ready
from recipes import console
from recipes.errors import ConfigError, FleetError
from recipes.files import exclusive

MOST_PARALLEL = 64
_FEW = 5


@dataclass(frozen=True, slots=True, kw_only=True)
class RolloutAsked:
    """The words of the command."""

    chosen: Selection
    bundle: str = ""
    build: bool = False
    wishes: Wishes
    waves: str = ""
    errors: str = ""
    parallel: int
    stage: bool = False
    resume: bool = False
    retry: bool = False
    json: bool = False
    dry_run: bool = False

    @property
    def command(self) -> str:
        """What begins it again, without its bundle and plan: a journal has these."""
        wishes = self.wishes
        flags = {"stage-only": self.stage, "fast": wishes.fast, "again": wishes.again}
        flags["allow-downgrade"] = wishes.downgrade
        words = [f"--{name}" for name, wanted in flags.items() if wanted]
        words += [f"--via {wishes.via}"] if wishes.via else []
        return " ".join(["invoke deploy", self.chosen.words, *words])


def refuse_parallel(parallel: int, most: int = MOST_PARALLEL) -> None:
    """Raise ConfigError for a number of hosts at once that is out of bounds."""
    if not 1 <= parallel <= most:
        raise ConfigError(f"--parallel {parallel}: 1 to {most} hosts at once", next_step=f"--parallel {min(8, most)}")


def told_failures(records: Sequence[HostRecord]) -> str:
    """Return why hosts failed, a line each: those of a few, and how many more there are."""
    told = [f"{record.host}: {record.words}" for record in records[:_FEW]]
    return "\n       ".join([*told, *([f"and {len(records) - _FEW} more"] if len(records) > _FEW else [])])


def deploy_many(asked: RolloutAsked) -> None:
    """Carry a rollout out, from its beginning or from where a journal says that it stands.

    Raises
    ------
    ConfigError
        A word is wrong, a bundle is not here, or there is nothing to go on with; no host was touched.
    FleetError
        Some hosts failed, or it was stopped because too many did.
    Exit
        It was ended by hand: 130, with the command that goes on.
    """
    refuse_parallel(asked.parallel)
    if asked.resume and asked.retry:
        raise ConfigError("--resume does what is still to come, --retry-failed what failed: one of the two")
    with exclusive(f"rollout-{asked.chosen.key}"):
        journal = _kept(asked) if asked.resume or asked.retry else _fresh(asked)
        _carry_out(asked, journal)


def _fresh(asked: RolloutAsked) -> Journal:
    """Return the journal of a rollout that begins: its hosts, and the bundle of each board, checked."""
    from deploy.boards.inventory import load_hosts
    from deploy.release.deployment import bundle_for

    waves, errors = asked.waves or USUAL_WAVES, asked.errors or USUAL_ERRORS
    parse_waves(waves), parse_errors(errors)
    if not asked.dry_run:
        _tell_unfinished(asked)
    hosts, known = select_hosts(asked.chosen), load_hosts()
    boards = by_board(hosts, lambda host: known[host].board)
    build = asked.build and not asked.dry_run
    bundles = {
        board: bundle_for(names[0], asked.bundle, build=build, make=not asked.dry_run).id
        for board, names in boards.items()
    }
    return Journal(
        begun=now(),
        words=asked.chosen.words,
        waves=waves,
        errors=errors,
        stage=asked.stage,
        bundles=bundles,
        hosts=hosts,
    )


def _tell_unfinished(asked: RolloutAsked) -> None:
    """Say that an earlier rollout was not finished, whose place this one takes."""
    with suppress(ConfigError):
        old = read_journal(asked.chosen.key)
        if old is not None and (left := old.left()):
            console.say(
                f"the rollout that began {old.begun} was not finished, {len(left)} hosts were still to come; "
                "a new one begins (--resume goes on with it)"
            )


def _kept(asked: RolloutAsked) -> Journal:
    """Return the journal of a rollout that is gone on with."""
    journal = read_journal(asked.chosen.key)
    flag = "--resume" if asked.resume else "--retry-failed"
    if journal is None:
        raise ConfigError(f"{flag}: no rollout of {asked.chosen.words} was begun here", next_step=asked.command)
    if asked.waves or asked.bundle or asked.build:
        raise ConfigError(
            f"{flag} goes on with the bundle and the waves that it began with",
            why=f"waves {journal.waves}, begun {journal.begun}",
            next_step=f"without {flag} a new one begins: {asked.command}",
        )
    if asked.stage != journal.stage:
        what = "it only stages" if journal.stage else "it switches"
        raise ConfigError(
            f"{flag}: {what}", next_step=f"the same command with{'' if journal.stage else 'out'} --stage-only"
        )
    if asked.errors:
        parse_errors(asked.errors)
        journal = journal.model_copy(update={"errors": asked.errors})
    return journal


def _carry_out(asked: RolloutAsked, journal: Journal) -> None:
    fates = journal.fates()
    hosts = failed_hosts(journal.hosts, fates) if asked.retry else journal.hosts
    rollout = Rollout(hosts=hosts, waves=parse_waves(journal.waves), errors=parse_errors(journal.errors))
    tried: dict[str, Fate] = {} if asked.retry else fates
    if asked.dry_run:
        _print_plan(asked, journal, rollout, tried)
        return
    left = len([host for host in hosts if host not in tried])
    what = "staging" if journal.stage else "deploying"
    display = Display(title=f"{what} to {asked.chosen.words}", total=left, json=asked.json)
    write_journal(asked.chosen.key, journal)
    work = _worker(asked, journal, display) if left else None

    def told(record: HostRecord) -> None:
        journal.results[record.host] = record
        write_journal(asked.chosen.key, journal)
        display.told(record)

    if work is None:
        _end(asked, journal, plan_next(rollout, tried))
        return
    try:
        with display.shown(), ready(), packed_once():
            ended = roll_out(rollout, tried, work, asked.parallel, told, _begins)
    except KeyboardInterrupt:
        raise _interrupted(asked, journal) from None
    finally:
        write_index()
    _end(asked, journal, ended)


def _worker(asked: RolloutAsked, journal: Journal, display: Display) -> Callable[[str], HostRecord]:
    """Return what is done for one host; its bundles are read once for all hosts."""
    from deploy.boards.inventory import load_host
    from deploy.bundle.load import bundle_path, load_bundle

    bundles = {board: held(load_bundle(bundle_path(board, identity))) for board, identity in journal.bundles.items()}

    def bring(host: str) -> HostRecord:
        from deploy.fleet.rollout import outcome_of

        def work() -> HostRecord:
            board = load_host(host).board
            if board not in bundles:
                raise ConfigError(f"the board of {host} is another one since the rollout began", why=board)
            return bring_to(host, bundles[board], asked.wishes, stage=journal.stage)

        return display.watched(host, partial(outcome_of, host, work))

    return bring


def _begins(step: Next) -> None:
    hosts = f"{len(step.hosts)} host{'s' * (len(step.hosts) != 1)}"
    console.say(f"wave {step.wave} of {step.waves}: {hosts}: {console.first_few(step.hosts, _FEW)}")


def _interrupted(asked: RolloutAsked, journal: Journal) -> Exit:
    if not asked.json:
        print_results(asked.command, journal.hosts, journal.results)
    left = len(journal.left())
    return Exit(
        f"interrupted; {left} of {len(journal.hosts)} hosts are still to come\n  next: {asked.command} --resume", 130
    )


def _end(asked: RolloutAsked, journal: Journal, ended: Next) -> None:
    """Print what it came to; raises FleetError where a host failed, or it was stopped."""
    failed, left = failed_hosts(journal.hosts, journal.fates()), journal.left()
    stopped = ended.course is Course.STOPPED
    if not asked.json:
        print_results(asked.command, journal.hosts, journal.results)
    if not failed and not left:
        return
    if not failed and not stopped:
        console.say(f"{len(left)} hosts are still to come; next: {asked.command} --resume")
        return
    what = f"{len(failed)} of {len(journal.hosts)} hosts failed"
    if stopped:
        what += f"; the rollout was stopped before wave {ended.wave} of {ended.waves}: {ended.why}"
    why = told_failures([journal.results[host] for host in failed])
    error = FleetError(what, why=why, next_step=f"{asked.command} --retry-failed{_rest(left)}")
    raise Exit(error.for_people(), int(error.code)) if asked.json else error


def _rest(left: Sequence[str]) -> str:
    return f", then --resume for the other {len(left)}" if left else ""


def _print_plan(asked: RolloutAsked, journal: Journal, rollout: Rollout, tried: dict[str, Fate]) -> None:
    """Print which hosts come when, and what they would get; no host is asked."""
    from deploy.boards.inventory import load_hosts

    known = load_hosts()
    begin, waves = 0, []
    for end in rollout.ends():
        waves.append([host for host in rollout.hosts[begin:end] if host not in tried])
        begin = end
    rows = [(number, host) for number, wave in enumerate(waves, start=1) for host in wave]
    boards = {host: known[host].board if host in known else "" for _, host in rows}
    if asked.json:
        for number, host in rows:
            console.emit_line({"host": host, "wave": number, "release": journal.bundles.get(boards[host], "")})
        return
    title = f"{asked.command}: {len(rows)} hosts, at most {asked.parallel} at once, {journal.errors} may fail"
    cells = [[str(number), host, boards[host], journal.bundles.get(boards[host], "")[:12]] for number, host in rows]
    console.table(title, ["wave", "host", "board", "release"], cells, right=["wave"])
