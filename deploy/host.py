"""What the tasks do with a host: deploy, verify, roll back. Composes session, release and verify."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path

from deploy import assemble, release, reproof, verify
from deploy import bundle as bundles
from deploy.board import load_board, load_host, load_hosts
from deploy.bundle import Bundle
from deploy.release import HostFacts, Release, ReleasePlan
from deploy.session import Session, connect
from deploy.sim import boards
from deploy.verify import Verdict
from recipes import elf
from recipes.errors import ConfigError


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
        loaded = bundles.load(Path(given))
        if loaded.manifest.board != host.board:
            raise ConfigError(f"the bundle is for {loaded.manifest.board}, {host_name} is a {host.board}", where=given)
        return loaded
    if (bundles.folder(host.board) / "latest").is_file():
        return bundles.latest(host.board)
    board = load_board(host.board)
    return assemble.make(board, assemble.stage_for(board), assemble.board_index(board))[0]


def plan_deploy(host_name: str, bundle: Bundle) -> ReleasePlan:
    """Probe a host and return what a deploy would do; nothing is changed there."""
    with connect(boards.target(host_name)) as session:
        return _planned(session, bundle)[1]


def _planned(session: Session, bundle: Bundle) -> tuple[HostFacts, ReleasePlan, tuple[str, ...]]:
    """Probe a board and plan; what changed there since the proofs is proved again, or refused."""
    manifest = bundle.manifest
    facts = release.probe(session, manifest.root, reproof.watched(manifest))
    release.refuse(manifest, facts)
    said: dict[str, str] = {}
    elsewhere = reproof.moved(manifest, facts.files)
    if found := reproof.look(session, manifest) if elsewhere else reproof.changed(manifest, facts.files):
        blobs = bundle.blobs()
        ours = {
            file.path: elf.parse(data) for file in manifest.files if (data := blobs[file.blob]).startswith(elf.MAGIC)
        }
        said = reproof.again(session, manifest, ours, found)
    if elsewhere:
        # Every path was asked for again, so what the old ones say does not count.
        said[reproof.CACHE] = f"{reproof.CACHE} was changed; {len(manifest.proofs)} libraries were looked up again"
        known = {path: row["sha256"] for row in manifest.proofs for path in [row["opened"]]}
        facts = replace(facts, files={**known, reproof.CACHE: facts.files[reproof.CACHE]})
    return facts, release.plan(bundle.id, manifest, facts, said.keys()), tuple(said.values())


def deploy(host_name: str, bundle: Bundle) -> Outcome:
    """Bring a bundle to a host, switch to it, check it, and go back where the checks are red."""
    target = boards.target(host_name)
    seen: list[Verdict] = []

    def check() -> None:
        seen.append(verify.run(target, bundle))
        verify.demand(seen[-1])

    with connect(target) as session:
        facts, planned, said = _planned(session, bundle)
        done = release.deploy(session, host_name, bundle, check, planned=planned, tools=facts.tools)
    return Outcome(release=done, plan=planned, verdict=seen[-1] if seen else None, proved_again=said)


def _facts(host_name: str) -> tuple[str, HostFacts]:
    root = load_board(load_host(host_name).board).file.root
    with connect(boards.target(host_name)) as session:
        return root, release.probe(session, root, [])


def free_flash(host_name: str) -> int:
    """Return the bytes that are free on a board's file system for releases."""
    return _facts(host_name)[1].free_kib * 1024


def verify_host(host_name: str) -> Verdict:
    """Check the release that runs on a host.

    Raises
    ------
    ConfigError
        Nothing runs there, or its bundle is not on this workstation.
    """
    _, facts = _facts(host_name)
    if not facts.current:
        raise ConfigError(f"nothing of ours runs on {host_name}", next_step=f"invoke deploy --host {host_name}")
    path = bundles.find(load_host(host_name).board, facts.current)
    return verify.run(boards.target(host_name), bundles.load(path))


def reachable() -> list[str]:
    """Return the hosts that `verify` without a name means: every real one, and the simulated ones that are up."""
    return [name for name, host in load_hosts().items() if not host.simulated or boards.state(name) is not None]


def roll_back(host_name: str, *, dry_run: bool) -> str:
    """Go back to the release before and return its id; with `dry_run` only say which one that would be."""
    root, facts = _facts(host_name)
    if dry_run:
        return facts.previous
    with connect(boards.target(host_name)) as session:
        return release.roll_back(session, root, facts)
