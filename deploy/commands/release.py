"""Tasks of hosts: deploy, verify, roll back, say what runs there, and the whole chain from sources to a verdict."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

from invoke import Context, Exit

from deploy.cli.command import GROUP, HOST, LABEL, command
from deploy.cli.verifying import FULL_WATCH, OUTAGE, WITHIN
from deploy.fleet.waves import USUAL_ERRORS, USUAL_WAVES

if TYPE_CHECKING:
    from deploy.release.deployment import DeployOutcome, Wishes

_AGAIN = "send everything, though it runs there already: what was damaged there is repaired"
_FAST = "look at the services, and do not wait for pictures"
_BUILD = "build and bundle again first what changed since the bundle was made"


@command(
    iterable=["host", "group", "label"],
    help={
        "host": f"{HOST}; may be given more than once",
        "group": GROUP,
        "label": LABEL,
        "waves": f"how many hosts have it after each wave, for a group; {USUAL_WAVES} without it",
        "parallel": "hosts that are worked on at once",
        "errors": f"hosts that may fail, a count or 5%: the wave that crosses it is the last; {USUAL_ERRORS}",
        "resume": "go on with the last rollout of these hosts, which was cut or stopped",
        "retry_failed": "do again those hosts of the last rollout that failed, and no others",
        "stage_only": "all up to the switch: sent, hashed and proved there; invoke activate switches",
        "bundle": "file to deploy, or the id of a bundle here, or its beginning; the board's last one without it",
        "build": _BUILD,
        "again": _AGAIN,
        "fast": _FAST,
        "via": "way that files travel: tar, sftp, rsync or cat; what the probe finds best without it",
        "allow_downgrade": "deploy a bundle whose `number` is lower than that of what runs there",
        "limit": "of what is sent, for a camera that streams over the same link: a rate such as 200KiB (a second)",
    },
)
def deploy(
    _: Context,
    host: list[str],
    group: list[str],
    label: list[str],
    bundle: str = "",
    waves: str = "",
    errors: str = "",
    parallel: int = 8,
    resume: bool = False,
    retry_failed: bool = False,
    stage_only: bool = False,
    build: bool = False,
    again: bool = False,
    fast: bool = False,
    via: str = "",
    limit: str = "",
    allow_downgrade: bool = False,
    json: bool = False,
    dry_run: bool = False,
) -> None:
    """Send a bundle, switch to it, check it; go back if red."""
    from deploy.cli.command import require_hosts
    from deploy.cli.rollout import RolloutAsked, deploy_many
    from deploy.fleet.selection import selection_of
    from deploy.release.deployment import Wishes
    from deploy.transfer.means import known_way
    from deploy.transfer.pace import parse_rate

    chosen = selection_of(host, group, label)
    require_hosts("deploy", named=chosen.named)
    wishes = Wishes(again=again, fast=fast, via=known_way(via), rate=parse_rate(limit), downgrade=allow_downgrade)
    if not (chosen.many or stage_only or waves or errors or resume or retry_failed):
        _deploy_one(chosen.hosts[0], bundle, wishes, build=build, json=json, dry_run=dry_run)
        return
    deploy_many(
        RolloutAsked(
            chosen=chosen, bundle=bundle, build=build, wishes=wishes, waves=waves, errors=errors, parallel=parallel,
            stage=stage_only, resume=resume, retry=retry_failed, json=json, dry_run=dry_run,
        )
    )  # fmt: skip


def _deploy_one(host: str, bundle: str, wishes: Wishes, *, build: bool, json: bool, dry_run: bool) -> None:
    from deploy.cli.output import outcome_facts, print_outcome, print_release_plan
    from deploy.release.deployment import bundle_for, plan_deploy
    from recipes import console

    chosen = bundle_for(host, bundle, build=build and not dry_run, make=not dry_run)
    if dry_run:
        planned = plan_deploy(host, chosen, wishes)
        if json:
            console.emit({"host": host, "release": chosen.id, "steps": [step.detail for step in planned.steps]})
        else:
            print_release_plan(host, planned)
        return
    from deploy.release.deployment import deploy_to
    from deploy.verdicts.flow import publish_gate

    try:
        done = deploy_to(host, chosen, wishes, told=partial(publish_gate, bundle=chosen))
    except KeyboardInterrupt:
        raise _interrupted(host) from None
    if json:
        console.emit(outcome_facts(done))
    else:
        print_outcome(done)


def _interrupted(host: str) -> Exit:
    return Exit(
        "interrupted; what arrived is kept, and what ran there runs on\n"
        f"  next: give the same command again: invoke deploy --host {host}",
        130,
    )


@command(
    iterable=["host", "group", "label"],
    help={
        "host": f"{HOST}; may be given more than once",
        "group": GROUP,
        "label": LABEL,
        "at": "when: 02:00, 2026-12-01T02:00 or +10m, within a day; as soon as all are ready without it",
        "errors": "hosts that may be left behind, a count or 5%: of more none is switched; 0 without it",
        "parallel": "hosts that are switched together",
        "fast": _FAST,
        "allow_downgrade": "switch to a release whose `number` is lower than that of what runs there",
        "dry_run": "look at what is staged, prove it on the boards as they are now, and switch nothing",
    },
)
def activate(
    _: Context,
    host: list[str],
    group: list[str],
    label: list[str],
    at: str = "",
    errors: str = "",
    parallel: int = 64,
    fast: bool = False,
    allow_downgrade: bool = False,
    json: bool = False,
    dry_run: bool = False,
) -> None:
    """Switch on what is staged on boards, at one moment; check it."""
    from deploy.cli.activating import ActivationAsked, activate_many, asked_errors
    from deploy.cli.command import require_hosts
    from deploy.fleet.selection import selection_of
    from deploy.release.deployment import Wishes

    chosen = selection_of(host, group, label)
    require_hosts("activate", named=chosen.named)
    activate_many(
        ActivationAsked(
            chosen=chosen, at=at, errors=asked_errors(errors), parallel=parallel,
            wishes=Wishes(fast=fast, downgrade=allow_downgrade), json=json, dry_run=dry_run,
        )
    )  # fmt: skip


@command(
    iterable=["host", "group", "label", "drill"],
    help={
        "host": f"{HOST}; every reachable one without it, and without --group and --label",
        "group": GROUP,
        "label": LABEL,
        "cloud": "look also at what the service has of the streams: fragments, pictures, sound, clocks, a viewer",
        "watch": "seconds that each stream is watched at least; implies --cloud",
        "profile": "of your AWS configuration: ask AWS with it, and not the local service",
        "fast": _FAST,
        "full": f"all that can be looked at in one go: the board, and the service for {FULL_WATCH} s",
        "soak": "watch one board for so long (30m, 90s, 2h) for leaks, restarts, heat and gaps; Ctrl-C ends it earlier",
        "interval": "of --soak: from one sample to the next, such as 10s",
        "drill": "make a fault and see what comes back: network, power, camera or service; may be given more than once",
        "outage": f"of --drill: how long network or camera are away; {OUTAGE} without it",
        "within": f"of --drill: time in which all has to be back; {WITHIN} without it",
        "aws": "ask AWS with the usual credentials, also while the local service runs",
        "parallel": "hosts that are checked at once",
    },
)
def verify(
    _: Context,
    host: list[str],
    group: list[str],
    label: list[str],
    drill: list[str],
    fast: bool = False,
    full: bool = False,
    cloud: bool = False,
    watch: int = 0,
    soak: str = "",
    interval: str = "",
    outage: str = "",
    within: str = "",
    profile: str = "",
    aws: bool = False,
    parallel: int = 8,
    json: bool = False,
    dry_run: bool = False,
) -> None:
    """Check what runs on boards, with evidence and JUnit."""
    from deploy.cli.fleet import verify_hosts
    from deploy.cli.verifying import asked_of, check_request, how_it_ends, print_outcomes, steps_of
    from deploy.fleet.selection import select_hosts, selection_of
    from deploy.release.deployment import reachable_hosts
    from recipes import console, paths

    chosen = selection_of(host, group, label)
    names = select_hosts(chosen) if group or label else host or reachable_hosts()
    check_request(names, watch, parallel)
    asked = asked_of(
        names, fast=fast, full=full, cloud=cloud, watch=watch, profile=profile, aws=aws,
        drill=drill, outage=outage, within=within, soak=soak, interval=interval,
    )  # fmt: skip
    if dry_run:
        checks = ", then ".join(steps_of(asked))
        if json:
            console.emit([{"host": name, "would run": checks} for name in names])
        else:
            console.out(*(f"{name}: {checks}" for name in names))
        return
    finished = verify_hosts(names, asked.way, further=asked.further, fast=fast, parallel=parallel)
    done = [outcome for outcome, _ in finished]
    ends = how_it_ends(names, done, named=bool(host))
    print_outcomes(done, ends, json=json)
    if not json:
        console.out(*(f"  page: {paths.shown_path(papers.page)}" for _, papers in finished if papers))
    if ends:
        # The result is JSON already; a second one for the error would make both unreadable.
        raise Exit(ends.for_people(), int(ends.code)) if json else ends


@command(help={"host": HOST, "dry_run": "prove the release before on the board, and print which one it is"})
def rollback(_: Context, host: str, json: bool = False, dry_run: bool = False) -> None:
    """Go back to the release that ran before, proved and checked."""
    from deploy.release.deployment import roll_back_host
    from recipes import console

    identity = roll_back_host(host, dry_run=dry_run)
    if json:
        console.emit({"host": host, "release": identity, "done": not dry_run})
    elif dry_run:
        console.out(f"{host}: would go back to {identity[:12]}, which is proved on the board as it is now")
    else:
        console.out(f"{host}: went back to {identity[:12]}; its checks are green")


@command(help={"host": HOST})
def releases(_: Context, host: str, json: bool = False) -> None:
    """List the releases that a host has, and which it can go back to."""
    from deploy.boards.inventory import host_target
    from deploy.boards.session import connect
    from deploy.release.deployment import board_root
    from deploy.upkeep.releases import board_releases
    from recipes import console

    with connect(host_target(host)) as session:
        found = board_releases(session, board_root(host))
    if json:
        console.emit([release.as_dict() for release in found])
        return
    rows = [
        [
            release.id[:12],
            f"{release.role}{', streams' * release.streams}{', taken back at a start' * release.reverted}",
            "yes" if release.verified else "no",
            str(release.files),
            release.brought_by.replace(" since ", ", ") or "not written down",
        ]
        for release in found
    ]
    if not found:
        console.out(f"{host} has no release of ours")
        return
    console.table(host, ["release", "is", "verified", "files", "brought by"], rows, right=["files"])


@command(
    iterable=["host", "group", "label"],
    help={
        "host": f"{HOST}; may be given more than once",
        "group": GROUP,
        "label": LABEL,
        "keep": "releases that stay; as many as the board's file says without it",
        "parallel": "hosts that are worked on at once",
        "dry_run": "say which releases would go, and remove nothing",
    },
)
def prune(
    _: Context,
    host: list[str],
    group: list[str],
    label: list[str],
    keep: int = 0,
    parallel: int = 16,
    json: bool = False,
    dry_run: bool = False,
) -> None:
    """Remove old releases; what runs or can be gone back to stays."""
    from deploy.cli.command import require_hosts
    from deploy.cli.pruning import prune_many
    from deploy.fleet.selection import selection_of

    chosen = selection_of(host, group, label)
    require_hosts("prune", named=chosen.named)
    prune_many(chosen, keep=keep, parallel=parallel, json=json, dry_run=dry_run)


@command(help={"host": HOST, "dry_run": "say whether there is anything of ours, and remove nothing"})
def uninstall(_: Context, host: str, json: bool = False, dry_run: bool = False) -> None:
    """Take everything of ours off a host: services, releases, folder."""
    from deploy.boards.inventory import host_target
    from deploy.boards.session import connect
    from deploy.release.deployment import board_root
    from deploy.release.run import this_user
    from deploy.upkeep.uninstall import uninstall as take_off
    from recipes import console

    root = board_root(host)
    with connect(host_target(host)) as session:
        done = take_off(session, root, this_user(), dry_run=dry_run)
    if json:
        console.emit({"host": host, "root": root, "there": done.there, "left": list(done.left), "done": not dry_run})
        return
    if not done.there:
        console.out(f"{host}: nothing of ours is in {root}")
    elif dry_run:
        console.out(f"{host}: would stop and remove the services, then {root}")
    else:
        kept = f"; not ours, and left there: {', '.join(done.left)}" if done.left else ""
        console.out(f"{host}: nothing of ours is left{kept}")


@command(help={"host": HOST})
def up(_: Context, host: str, json: bool = False, dry_run: bool = False) -> None:
    """Build, bundle, deploy and verify for one host; skip what is done."""
    from deploy.boards.board import load_board
    from deploy.boards.inventory import host_target, load_host
    from deploy.cli.output import outcome_facts, print_outcome, print_verdicts
    from deploy.release.deployment import deploy_to, verify_host
    from deploy.release.fresh import plan_chain, up_to_date_bundle
    from deploy.verdicts.flow import publish_gate
    from deploy.verify.verdict import require_green
    from recipes import console

    board = load_board(load_host(host).board)
    if dry_run:
        steps = plan_chain(board)
        console.emit({"host": host, "steps": steps}) if json else console.out(*(f"{host}: {step}" for step in steps))
        return
    host_target(host)  # a simulated board that is not up is told before minutes of compiling
    bundle = up_to_date_bundle(board)
    try:
        done: DeployOutcome = deploy_to(host, bundle, told=partial(publish_gate, bundle=bundle))
    except KeyboardInterrupt:
        raise _interrupted(host) from None
    verdict = done.verdict
    if not json:
        print_outcome(done)
    if verdict is None:
        console.say("verify: nothing was deployed, so what runs there is checked now")
        verdict = verify_host(host)
        if not json:
            print_verdicts([verdict])
    if json:
        console.emit(outcome_facts(done) | {"verdict": verdict.as_dict()})
    require_green(verdict)
