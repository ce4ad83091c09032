"""A rollout carried out: wave after wave, a bounded number of boards at once, each outcome written down as it comes."""

from __future__ import annotations

import time
import traceback
from collections.abc import Callable, MutableMapping, Sequence
from dataclasses import dataclass
from functools import partial

from deploy.bundle.load import Bundle
from deploy.fleet.journal import HostRecord, failed_record, now
from deploy.fleet.staged import stage_to
from deploy.fleet.waves import Course, Fate, Next, Rollout, plan_next
from deploy.fleet.workers import Crew
from deploy.release.deployment import Wishes, deploy_to
from deploy.verdicts.flow import publish_gate
from recipes import console, paths
from recipes.errors import UserError
from recipes.files import write_whole
from recipes.text import one_line

UNEXPECTED = 70
"""The exit code of a fault of ours, as the command line has it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class HeldBundle(Bundle):
    """A bundle whose contents are held: many boards get the same, and reading them for each costs as much again."""

    contents: dict[str, bytes]
    signed: dict[str, bytes]

    def blobs(self) -> dict[str, bytes]:
        """Return the contents by store name; they were checked when they were read."""
        return dict(self.contents)

    def papers(self) -> dict[str, bytes]:
        """Return the manifest and its signature."""
        return dict(self.signed)


def held(bundle: Bundle) -> HeldBundle:
    """Return a bundle that reads its file no more; raises ConfigError where that was changed since."""
    return HeldBundle(
        id=bundle.id,
        path=bundle.path,
        manifest=bundle.manifest,
        packed=bundle.packed,
        contents=bundle.blobs(),
        signed=bundle.papers(),
    )


def bring_to(host: str, bundle: Bundle, wishes: Wishes, *, stage: bool) -> HostRecord:
    """Deploy a bundle to one of many hosts, or stage it there; what goes wrong is an outcome too."""

    def work() -> HostRecord:
        if stage:
            done = stage_to(host, bundle, wishes)
            state = "staged"
        else:
            done = deploy_to(host, bundle, wishes, told=partial(publish_gate, bundle=bundle, index=False)).release
            state = "deployed"
        return HostRecord(
            host=host,
            state=state if done.changed else "unchanged",
            release=done.id,
            sent=done.payload,
            round_trips=done.round_trips,
        )

    return outcome_of(host, work)


def outcome_of(host: str, work: Callable[[], HostRecord]) -> HostRecord:
    """Return what work on one of many hosts came to, with its time; an error of any kind is told in the record."""
    begun = time.monotonic()
    try:
        record = work()
    except UserError as error:
        return failed_record(host, error, time.monotonic() - begun)
    except Exception as error:  # noqa: BLE001 - a fault of ours at one board is no reason to leave the others
        return _crashed(host, error, time.monotonic() - begun)
    return record.model_copy(update={"seconds": round(time.monotonic() - begun, 2), "ended": now()})


def _crashed(host: str, error: Exception, seconds: float) -> HostRecord:
    path = paths.work() / "crash" / f"fleet-{host}.txt"
    record = failed_record(host, UserError(f"a fault of Boardcast itself: {type(error).__name__}: {error}"), seconds)
    try:
        write_whole(path, "".join(traceback.format_exception(error)).encode("utf-8", "replace"))
        told = f"the traceback is in {path}"
    except UserError:
        told = "the traceback could not be written"
    return record.model_copy(update={"next_step": one_line(told), "exit_code": UNEXPECTED})


def roll_out(
    rollout: Rollout,
    fates: MutableMapping[str, Fate],
    work: Callable[[str], HostRecord],
    parallel: int,
    told: Callable[[HostRecord], object],
    begun: Callable[[Next], object],
) -> Next:
    """Carry a rollout out from where it stands; returns how it ended.

    Parameters
    ----------
    fates:
        What became of hosts so far; it grows.
    told:
        Gets each outcome as it comes: writes it down, shows it.
    begun:
        Gets each wave before it begins.

    Raises
    ------
    KeyboardInterrupt
        Nothing more is begun, and what was at work has ended, unless it came a second time.
    """
    while (step := plan_next(rollout, fates)).course is Course.GOES_ON:
        begun(step)

        def ended(record: HostRecord) -> None:
            fates[record.host] = record.fate
            told(record)

        crew_ended(Crew(work, step.hosts, parallel), ended)
    return step


def crew_ended(
    crew: Crew[str, HostRecord], told: Callable[[HostRecord], object], *, ending: Callable[[], object] | None = None
) -> None:
    """Take what a crew brings until it has ended; an end by hand waits for what is at work, and is raised then.

    Parameters
    ----------
    ending:
        Called on an end by hand, before that wait.
    """
    try:
        for _, record in crew:
            told(record)
    except KeyboardInterrupt:
        left = crew.stop()
        if ending is not None:
            ending()
        if left:
            told_of = console.first_few(crew.at_work(), 4)
            console.say(f"no host more is begun; {left} at work come to their end: {told_of}; Ctrl-C again leaves them")
        for _, record in crew:
            told(record)
        raise


def by_board(hosts: Sequence[str], board_of: Callable[[str], str]) -> dict[str, list[str]]:
    """Return the hosts of each board, in their order."""
    found: dict[str, list[str]] = {}
    for host in hosts:
        found.setdefault(board_of(host), []).append(host)
    return found
