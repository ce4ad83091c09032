"""Tasks of hosts: deploy, verify, roll back, say what runs there, and the whole chain from sources to a verdict."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

from invoke import Context, Exit

from deploy.cli.command import HOST, command
from recipes.errors import ConfigError, PreflightError, VerifyError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from deploy.release.deployment import DeployOutcome, HostVerdict

_AGAIN = "send everything, though it runs there already: what was damaged there is repaired"
_FAST = "look at the services, and do not wait for pictures"
_LONGEST_WATCH = 3600
_BUILD = "build and bundle again first what changed since the bundle was made"


@command(
    help={
        "host": HOST,
        "bundle": "file to deploy, or the id of a bundle here, or its beginning; the board's last one without it",
        "build": _BUILD,
        "again": _AGAIN,
        "fast": _FAST,
    }
)
def deploy(
    _: Context,
    host: str,
    bundle: str = "",
    build: bool = False,
    again: bool = False,
    fast: bool = False,
    json: bool = False,
    dry_run: bool = False,
) -> None:
    """Send a bundle, switch to it, check it; go back if red."""
    from deploy.cli.output import outcome_facts, print_outcome, print_release_plan
    from deploy.release.deployment import bundle_for, plan_deploy
    from recipes import console

    chosen = bundle_for(host, bundle, build=build and not dry_run, make=not dry_run)
    if dry_run:
        planned = plan_deploy(host, chosen, again=again)
        if json:
            console.emit({"host": host, "release": chosen.id, "steps": [step.detail for step in planned.steps]})
        else:
            print_release_plan(host, planned)
        return
    from deploy.release.deployment import deploy_to
    from deploy.verdicts.flow import publish_gate

    try:
        done = deploy_to(host, chosen, again=again, fast=fast, told=partial(publish_gate, bundle=chosen))
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
    iterable=["host"],
    help={
        "host": f"{HOST}; every reachable one without it",
        "cloud": "look also at what the service has of the streams: fragments, pictures, sound, clocks, a viewer",
        "watch": "seconds that each stream is watched at least; implies --cloud",
        "profile": "of your AWS configuration: ask AWS with it, and not the local service",
        "fast": _FAST,
        "aws": "ask AWS with the usual credentials, also while the local service runs",
    },
)
def verify(
    _: Context,
    host: list[str],
    fast: bool = False,
    cloud: bool = False,
    watch: int = 0,
    profile: str = "",
    aws: bool = False,
    json: bool = False,
    dry_run: bool = False,
) -> None:
    """Check what runs on boards, with evidence and JUnit."""
    from deploy.release.deployment import reachable_hosts, verify_each
    from deploy.verdicts.flow import CloudWay, finish
    from deploy.verify.verdict import require_green
    from recipes import console, paths

    names = host or reachable_hosts()
    _check_request(names, watch)
    if dry_run:
        checks = "release, loader and boardprobe checks" + (", then the cloud's side" if cloud or watch else "")
        if json:
            console.emit([{"host": name, "would run": checks} for name in names])
        else:
            console.out(*(f"{name}: {checks}" for name in names))
        return
    way = CloudWay(watch=watch, profile=profile, aws=aws) if cloud or watch else None
    finished = [finish(outcome, way) for outcome in verify_each(names, fast=fast)]
    done = [outcome for outcome, _ in finished]
    _tell(done, json=json)
    if not json:
        console.out(*(f"  page: {paths.shown_path(papers.page)}" for _, papers in finished if papers))
    verdicts = [outcome.verdict for outcome in done if outcome.verdict]
    # A host that was named has to answer; of all hosts, those that are off are no fault.
    errors = [outcome.error for outcome in done if outcome.error and (host or not outcome.off)]
    if not verdicts and not errors:
        errors = [PreflightError("no host answers", why=", ".join(names), next_step="invoke sim status")]
    try:
        for verdict in verdicts:
            require_green(verdict)
    except VerifyError as red:
        errors.insert(0, red)
    if errors:
        # The result is JSON already; a second one for the error would make both unreadable.
        raise Exit(errors[0].for_people(), int(errors[0].code)) if json else errors[0]


def _check_request(names: Sequence[str], watch: int) -> None:
    if not names:
        raise ConfigError(
            "no host to verify",
            why="no simulated board is up, no real one is in the inventory",
            next_step="invoke sim up",
        )
    if not 0 <= watch <= _LONGEST_WATCH:
        raise ConfigError(f"--watch {watch}: 0 to {_LONGEST_WATCH} seconds")


def _tell(done: Sequence[HostVerdict], *, json: bool) -> None:
    """Print what verifying came to; of a single host without a verdict the error that follows says all."""
    from deploy.cli.output import print_verdicts
    from recipes import console

    if json:
        console.emit([outcome.as_dict() for outcome in done])
        return
    print_verdicts([outcome.verdict for outcome in done if outcome.verdict])
    for outcome in done if len(done) > 1 else ():
        if outcome.error:
            console.out(f"  {outcome.host}: {outcome.state}")


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


@command(iterable=["stream"], help={"host": HOST, "stream": "name of a stream; all without it"})
def status(_: Context, host: str, stream: list[str], json: bool = False) -> None:
    """Say what runs on a host, what ran before, how its streams are."""
    from deploy.commands.streams import print_services
    from deploy.control.services import services_if_any
    from deploy.release.status import host_status
    from recipes import console

    found = host_status(host)
    services = services_if_any(host, stream) if found.release else ()
    if json:
        console.emit(found.as_dict() | {"services": [service.as_dict() for service in services]})
        return
    console.fields(host, found.lines())
    if services:
        print_services(host, services, json=False)


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
