"""Tasks of boards: bundle, deploy, verify, roll back, simulate."""

from __future__ import annotations

from invoke import Context

from deploy.commands.command import HOST, command
from recipes.errors import ConfigError


@command(
    help={
        "host": HOST,
        "bundle": "file to deploy; the last one made for the board without it",
    }
)
def deploy(_: Context, host: str, bundle: str = "", json: bool = False, dry_run: bool = False) -> None:
    """Send a bundle, switch to it, check it; go back if red."""
    from deploy.commands.output import outcome_facts, print_outcome, print_release_plan
    from deploy.release.deployment import bundle_for, deploy_to, plan_deploy
    from recipes import console

    chosen = bundle_for(host, bundle)
    if dry_run:
        planned = plan_deploy(host, chosen)
        if json:
            console.emit({"host": host, "release": chosen.id, "steps": [step.detail for step in planned.steps]})
        else:
            print_release_plan(host, planned)
        return
    done = deploy_to(host, chosen)
    if json:
        console.emit(outcome_facts(done))
    else:
        print_outcome(done)


@command(iterable=["host"], help={"host": f"{HOST}; every reachable one without it"})
def verify(_: Context, host: list[str], json: bool = False, dry_run: bool = False) -> None:
    """Check what runs on boards, with evidence and JUnit."""
    from deploy.commands.output import print_verdicts
    from deploy.release.deployment import reachable_hosts, verify_host
    from deploy.verify.verdict import require_green
    from recipes import console

    names = host or reachable_hosts()
    if not names:
        raise ConfigError(
            "no host to verify",
            why="no simulated board is up, no real one is in the inventory",
            next_step="invoke sim up",
        )
    if dry_run:
        checks = "release, loader and boardprobe checks"
        if json:
            console.emit([{"host": name, "would run": checks} for name in names])
        else:
            print("\n".join(f"{name}: {checks}" for name in names))
        return
    verdicts = [verify_host(name) for name in names]
    if json:
        console.emit([verdict.as_dict() for verdict in verdicts])
    else:
        print_verdicts(verdicts)
    for verdict in verdicts:
        require_green(verdict)


@command(help={"host": HOST, "dry_run": "print which release it would be"})
def rollback(_: Context, host: str, json: bool = False, dry_run: bool = False) -> None:
    """Go back to the release that ran before."""
    from deploy.release.deployment import roll_back_host
    from recipes import console

    identity = roll_back_host(host, dry_run=dry_run)
    if json:
        console.emit({"host": host, "release": identity, "done": not dry_run})
    else:
        print(
            f"{host}: {'would go' if dry_run else 'went'} back to {identity[:12] or 'nothing: no release came before'}"
        )
