"""What `invoke prune` does: old releases off one board or many, and what that freed."""

from __future__ import annotations

from invoke import Exit

from deploy.cli.rollout import refuse_parallel
from deploy.fleet.selection import Selection, select_hosts
from deploy.fleet.workers import side_by_side
from deploy.upkeep.prune import Pruned
from recipes import console
from recipes.errors import ConfigError, FleetError, UserError
from recipes.progress import phases_of, progress

_MOST_KEPT = 64


def prune_many(chosen: Selection, *, keep: int, parallel: int, json: bool, dry_run: bool) -> None:
    """Remove old releases of each host that is meant, and print which.

    Raises
    ------
    ConfigError
        A word is wrong.
    FleetError
        Some of many hosts could not be pruned; the error of one alone is its own.
    """
    refuse_parallel(parallel)
    if not 0 <= keep <= _MOST_KEPT:
        raise ConfigError(f"--keep {keep}: 1 to {_MOST_KEPT} releases")
    hosts = select_hosts(chosen)

    def work(host: str) -> Pruned | UserError:
        with phases_of(host):
            try:
                return prune_host(host, keep, dry_run=dry_run)
            except UserError as error:
                return error

    with progress(f"pruning {len(hosts)} hosts") as step:
        step.at("")
        found = dict(zip(hosts, side_by_side(work, hosts, parallel), strict=True))
    _print(found, json=json, dry_run=dry_run)
    failed = {host: done for host, done in found.items() if isinstance(done, UserError)}
    if not failed:
        return
    error = next(iter(failed.values()))
    if chosen.many:
        why = "\n       ".join(f"{host}: {done.what}" for host, done in list(failed.items())[:5])
        error = FleetError(f"{len(failed)} of {len(hosts)} hosts could not be pruned", why=why)
    raise Exit(error.for_people(), int(error.code)) if json else error


def prune_host(host: str, keep: int, *, dry_run: bool) -> Pruned:
    """Remove old releases of one host; raises PreflightError where it does not answer, or another is at work there."""
    from deploy.boards.board import load_board
    from deploy.boards.inventory import host_target, load_host
    from deploy.boards.session import connect
    from deploy.release.run import this_user
    from deploy.upkeep.prune import prune

    board = load_board(load_host(host).board).file
    with connect(host_target(host)) as session:
        return prune(session, board.root, keep or board.keep, this_user(), dry_run=dry_run)


def _print(found: dict[str, Pruned | UserError], *, json: bool, dry_run: bool) -> None:
    for host, done in found.items():
        if json:
            console.emit_line({"host": host, "done": not dry_run, **done.as_dict()})
        elif isinstance(done, Pruned):
            gone = ", ".join(identity[:12] for identity in done.removed) or "nothing"
            what = "would remove" if dry_run else "removed"
            freed = f", {console.size(done.freed)} free again" if done.freed else ""
            console.out(f"{host}: {what} {gone}; {len(done.kept)} stay{freed}")
        else:
            console.out(f"{host}: {done.what}")
