"""What the tasks do with a host: deploy, verify, roll back; here probe, proofs, plan, run and checks come together."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from deploy.boards.board import load_board
from deploy.boards.index import board_index
from deploy.boards.inventory import host_target, load_host, load_hosts, sim_state
from deploy.boards.probe import HostFacts, probe_host
from deploy.boards.session import BoardSession, connect
from deploy.bundle.assemble import make_bundle, stage_for
from deploy.bundle.load import Bundle, bundle_path, bundles_folder, latest_bundle, load_bundle
from deploy.release.plan import ReleasePlan, plan_release, refuse_unfit
from deploy.release.recheck import still_proved, watched_paths
from deploy.release.run import ReleaseResult, deploy_release, roll_back_release
from deploy.verify.run import run_checks
from deploy.verify.verdict import Verdict, require_green
from recipes.errors import ConfigError


@dataclass(frozen=True, slots=True, kw_only=True)
class DeployOutcome:
    """What became of a deploy."""

    release: ReleaseResult
    plan: ReleasePlan
    verdict: Verdict | None
    proved_again: tuple[str, ...] = ()
    """What changed on the board since the bundle was made, and was proved again."""


@dataclass(frozen=True, slots=True, kw_only=True)
class _Prepared:
    """What is known of a host before anything is changed there."""

    facts: HostFacts
    plan: ReleasePlan
    proved_again: tuple[str, ...]


def bundle_for(host_name: str, given: str = "") -> Bundle:
    """Return the bundle to deploy: the file that was named, the last one made, or a first one made now.

    Raises
    ------
    ConfigError
        The bundle is for another board, or nothing was built yet.
    """
    host = load_host(host_name)
    if given:
        loaded = load_bundle(Path(given))
        if loaded.manifest.board != host.board:
            raise ConfigError(f"the bundle is for {loaded.manifest.board}, {host_name} is a {host.board}", where=given)
        return loaded
    if (bundles_folder(host.board) / "latest").is_file():
        return latest_bundle(host.board)
    board = load_board(host.board)
    return make_bundle(board, stage_for(board), board_index(board))[0]


def plan_deploy(host_name: str, bundle: Bundle) -> ReleasePlan:
    """Probe a host and return what a deploy would do; nothing is changed there."""
    with connect(host_target(host_name)) as session:
        return _prepare(session, bundle).plan


def _prepare(session: BoardSession, bundle: Bundle) -> _Prepared:
    """Probe a board, check that the bundle is still proved there, and plan.

    Raises
    ------
    PreflightError
        The bundle is not for this board, or is not proved there any more.
    """
    manifest = bundle.manifest
    facts = probe_host(session, manifest.root, watched_paths(manifest))
    refuse_unfit(manifest, facts)
    proved = still_proved(session, bundle, facts)
    plan = plan_release(bundle.id, manifest, proved.facts, proved.notes.keys())
    return _Prepared(facts=facts, plan=plan, proved_again=tuple(proved.notes.values()))


def deploy_to(host_name: str, bundle: Bundle) -> DeployOutcome:
    """Bring a bundle to a host, switch to it, check it, and go back where the checks are red.

    Raises
    ------
    PreflightError
        The host was not touched, or its old release runs on.
    RolledBackError
        The checks were red: the release from before runs again.
    """
    target = host_target(host_name)
    verdicts: list[Verdict] = []

    def check() -> None:
        verdicts.append(run_checks(target, bundle))
        require_green(verdicts[-1])

    with connect(target) as session:
        prepared = _prepare(session, bundle)
        result = deploy_release(session, host_name, bundle, check, planned=prepared.plan, tools=prepared.facts.tools)
    return DeployOutcome(
        release=result,
        plan=prepared.plan,
        verdict=verdicts[-1] if verdicts else None,
        proved_again=prepared.proved_again,
    )


def _host_facts(host_name: str) -> tuple[str, HostFacts]:
    root = load_board(load_host(host_name).board).file.root
    with connect(host_target(host_name)) as session:
        return root, probe_host(session, root, [])


def free_flash(host_name: str) -> int:
    """Return the bytes that are free on a board's file system for releases."""
    return _host_facts(host_name)[1].free_kib * 1024


def verify_host(host_name: str) -> Verdict:
    """Check the release that runs on a host.

    Raises
    ------
    ConfigError
        Nothing runs there, or its bundle is not on this workstation.
    """
    _, facts = _host_facts(host_name)
    if not facts.current:
        raise ConfigError(f"nothing of ours runs on {host_name}", next_step=f"invoke deploy --host {host_name}")
    path = bundle_path(load_host(host_name).board, facts.current)
    return run_checks(host_target(host_name), load_bundle(path))


def reachable_hosts() -> list[str]:
    """Return the hosts that `verify` without a name means: every real one, and the simulated ones that are up."""
    return [name for name, host in load_hosts().items() if not host.simulated or sim_state(name) is not None]


def roll_back_host(host_name: str, *, dry_run: bool) -> str:
    """Go back to the release before and return its id; with `dry_run` only say which one that would be."""
    root, facts = _host_facts(host_name)
    if dry_run:
        return facts.previous
    with connect(host_target(host_name)) as session:
        return roll_back_release(session, root, facts)
