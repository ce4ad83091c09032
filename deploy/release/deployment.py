"""What the tasks do with a host: deploy, verify, roll back. Composes session, release and verify."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path

from deploy.boards.board import load_board
from deploy.boards.index import board_index
from deploy.boards.inventory import host_target, load_host, load_hosts, sim_state
from deploy.boards.probe import HostFacts, probe_host
from deploy.boards.session import BoardSession, connect
from deploy.bundle.assemble import make_bundle, stage_for
from deploy.bundle.load import Bundle, bundle_path, bundles_folder, latest_bundle, load_bundle
from deploy.release.plan import ReleasePlan, plan_release, refuse_unfit
from deploy.release.recheck import cache_moved, changed_proofs, look_up_again, prove_again, watched_paths
from deploy.release.run import Release, deploy_release, roll_back_release
from deploy.verify.run import run_checks
from deploy.verify.verdict import Verdict, require_green
from recipes import elf
from recipes.errors import ConfigError
from recipes.rootfs.loaderconf import LD_CACHE


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """What became of a deploy."""

    release: Release
    plan: ReleasePlan
    verdict: Verdict | None
    proved_again: tuple[str, ...] = ()
    """What changed on the board since the bundle was made, and was proved again."""


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
        return _planned(session, bundle)[1]


def _planned(session: BoardSession, bundle: Bundle) -> tuple[HostFacts, ReleasePlan, tuple[str, ...]]:
    """Probe a board and plan; what changed there since the proofs is proved again, or refused."""
    manifest = bundle.manifest
    facts = probe_host(session, manifest.root, watched_paths(manifest))
    refuse_unfit(manifest, facts)
    said: dict[str, str] = {}
    elsewhere = cache_moved(manifest, facts.files)
    if found := look_up_again(session, manifest) if elsewhere else changed_proofs(manifest, facts.files):
        blobs = bundle.blobs()
        ours = {
            file.path: elf.parse(data) for file in manifest.files if (data := blobs[file.blob]).startswith(elf.MAGIC)
        }
        said = prove_again(session, manifest, ours, found)
    if elsewhere:
        # Every path was asked for again, so what the old ones say does not count.
        said[LD_CACHE] = f"{LD_CACHE} was changed; {len(manifest.proofs)} libraries were looked up again"
        known = {proof.opened: proof.sha256 for proof in manifest.proofs}
        facts = replace(facts, files={**known, LD_CACHE: facts.files[LD_CACHE]})
    return facts, plan_release(bundle.id, manifest, facts, said.keys()), tuple(said.values())


def deploy_to(host_name: str, bundle: Bundle) -> Outcome:
    """Bring a bundle to a host, switch to it, check it, and go back where the checks are red."""
    target = host_target(host_name)
    seen: list[Verdict] = []

    def check() -> None:
        seen.append(run_checks(target, bundle))
        require_green(seen[-1])

    with connect(target) as session:
        facts, planned, said = _planned(session, bundle)
        done = deploy_release(session, host_name, bundle, check, planned=planned, tools=facts.tools)
    return Outcome(release=done, plan=planned, verdict=seen[-1] if seen else None, proved_again=said)


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
