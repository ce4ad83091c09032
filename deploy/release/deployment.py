"""What the tasks do with a host: deploy, verify, roll back; here probe, proofs, plan, run and checks come together."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from dataclasses import dataclass, replace

from deploy.atboot.trial import told_reverted
from deploy.boards.board import load_board
from deploy.boards.inventory import host_target, load_host, load_hosts, sim_state
from deploy.boards.probe import HostFacts, probe_host
from deploy.boards.session import BoardSession, connect
from deploy.bundle.load import Bundle, find_bundle, load_bundle
from deploy.cloud.session import Service
from deploy.reach.ask import prepare
from deploy.release.carried import Bases, find_release, older_contents, paper_sizes
from deploy.release.fresh import current_bundle
from deploy.release.plan import ReleasePlan, plan_release, refuse_unfit
from deploy.release.preflight import (
    look_again_where_locked,
    look_before,
    refuse_greedy,
    refuse_unfounded,
    refuse_unwritable,
)
from deploy.release.recheck import still_proved, watched_paths
from deploy.release.run import ReleaseResult, deploy_release, refuse_no_way_back, roll_back_release, this_user
from deploy.transfer.means import Means, by_rsync, choose_means
from deploy.verify.gather import NOWHERE
from deploy.verify.run import (
    RUNNING_PATIENCE,
    RUNNING_STALL,
    TIMEOUT_SECONDS,
    own_checks,
    refuse_broken_checks,
    run_checks,
)
from deploy.verify.verdict import Verdict, require_green
from deploy.verify.warm import ready
from recipes import console
from recipes.errors import ConfigError, PreflightError, UserError

ServiceFor = Callable[[str], Service]
"""The service of a region."""


@dataclass(frozen=True, slots=True, kw_only=True)
class DeployOutcome:
    """What became of a deploy."""

    release: ReleaseResult
    plan: ReleasePlan
    verdict: Verdict | None
    proved_again: tuple[str, ...] = ()
    """What changed on the board since the bundle was made, and was proved again."""
    reverted: str = ""
    """That the board went back by itself since the last deploy, in words."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Prepared:
    """What is known of a host before anything is changed there."""

    facts: HostFacts
    plan: ReleasePlan
    means: Means
    bases: Bases
    proved_again: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Wishes:
    """What the user wants of a deploy, beyond its bundle."""

    again: bool = False
    """Send everything, though it runs there already: what was damaged there is repaired."""
    fast: bool = False
    """Do not wait for the pictures of its streams."""
    via: str = ""
    """The way that contents travel; the probe chooses without it."""
    rate: int = 0
    """Bytes a second that may be sent; 0 for no limit."""
    downgrade: bool = False
    """An older release than the one that runs may take its place."""


_NO_WISHES = Wishes()


def bundle_for(host_name: str, given: str = "", *, build: bool = False, make: bool = True) -> Bundle:
    """Return the bundle to deploy: the one that was named, the last one made, or one made now where there is none.

    Parameters
    ----------
    given:
        A file, or the id of a bundle here, or its beginning.
    build:
        Build and bundle again what is older than what it was made of.
    make:
        False for a dry run, which makes no first bundle.

    Raises
    ------
    ConfigError
        The bundle is for another board, is older than what it was made of, or nothing was built yet.
    """
    host = load_host(host_name)
    if given:
        loaded = load_bundle(find_bundle(given))
        if loaded.manifest.board != host.board:
            what = f"the bundle is for {loaded.manifest.board}, the board of {host_name} is {host.board}"
            raise ConfigError(what, where=given, next_step=f"invoke bundle --board {host.board}")
        return loaded
    return current_bundle(load_board(host.board), host_name, build=build, make=make)


def plan_deploy(host_name: str, bundle: Bundle, wishes: Wishes = _NO_WISHES) -> ReleasePlan:
    """Probe a host and return what a deploy would do; nothing is changed there."""
    with connect(host_target(host_name)) as session:
        return prepare_host(session, host_name, bundle, wishes).plan


def prepare_host(session: BoardSession, host_name: str, bundle: Bundle, wishes: Wishes = _NO_WISHES) -> Prepared:
    """Probe a board, check that the bundle is still proved there, and plan.

    Raises
    ------
    PreflightError
        The bundle is not for this board, is not proved there any more, or could not run there.
    """
    manifest = bundle.manifest
    wanted = "" if wishes.again else bundle.id
    facts = probe_host(session, manifest.root, watched_paths(manifest), wanted=wanted)
    if not facts.writable and facts.machine in manifest.machines:
        raise refuse_unwritable(look_before(session, manifest.root, manifest.loader), manifest.root)
    refuse_unfit(manifest, facts)
    proved = still_proved(session, bundle, facts, host_name)
    papers = paper_sizes(bundle)
    tools = facts.tools if shutil.which("rsync") else facts.tools - {"rsync"}
    means = choose_means(tools, forced=wishes.via, rate=wishes.rate, latency=session.traffic.latency)
    plan = plan_release(
        bundle.id,
        manifest,
        proved.facts,
        proved.notes.keys(),
        papers=papers,
        again=wishes.again,
        downgrade=wishes.downgrade,
    )
    changed = [blob for step in plan.steps for blob in step.blobs] if means.patch and not wishes.again else []
    bases = older_contents(bundle, facts.current, changed, facts.blobs)
    if not wishes.via and not wishes.again:
        size, known = sum(step.size for step in plan.steps), bool(bases.rows) or not facts.current
        means = by_rsync(means, tools, known=known, files=len(changed), size=size)
    plan = replace(plan, by=means.words())
    if plan.steps:
        refuse_greedy(bundle, facts)
        footing = look_before(session, manifest.root, manifest.loader)
        refuse_unfounded(look_again_where_locked(session, manifest, footing), manifest)
    return Prepared(facts=facts, plan=plan, means=means, bases=bases, proved_again=tuple(proved.notes.values()))


def deploy_to(
    host_name: str, bundle: Bundle, wishes: Wishes = _NO_WISHES, *, told: Callable[[Verdict], object] | None = None
) -> DeployOutcome:
    """Bring a bundle to a host, switch to it, check it, and go back where the checks are red; over one connection.

    Parameters
    ----------
    told:
        Takes the verdict of the gate, a red one too, once it is settled which release runs.

    Raises
    ------
    ConfigError
        A check of the user's own cannot be read; the host was not touched.
    PreflightError
        The host was not touched, or its old release runs on.
    RolledBackError
        The checks were red: the release from before runs again.
    """
    verdicts: list[Verdict] = []
    own = own_checks(load_host(host_name).board)
    refuse_broken_checks(host_name, bundle.id, bundle.manifest, own)
    with ready(), connect(host_target(host_name)) as session:

        def check() -> None:
            verdicts.append(run_checks(session, host_name, bundle.id, bundle.manifest, own=own, fast=wishes.fast))
            require_green(verdicts[-1])

        prepared = prepare_host(session, host_name, bundle, wishes)
        try:
            result = deploy_release(
                session,
                host_name,
                bundle,
                check,
                planned=prepared.plan,
                tools=prepared.facts.tools,
                who=this_user(),
                means=prepared.means,
                bases=prepared.bases,
            )
        finally:
            if told is not None and verdicts:
                told(verdicts[-1])
    return DeployOutcome(
        release=result,
        plan=prepared.plan,
        verdict=verdicts[-1] if verdicts else None,
        proved_again=prepared.proved_again,
        reverted=told_reverted(prepared.facts.reverted),
    )


def board_root(host_name: str) -> str:
    """Return the folder that is ours on a host."""
    return load_board(load_host(host_name).board).file.root


def free_flash(host_name: str) -> int:
    """Return the bytes that are free on a board's file system for releases."""
    with connect(host_target(host_name)) as session:
        return probe_host(session, board_root(host_name), []).free_kib * 1024


def free_flash_if_on(host_name: str) -> int | None:
    """Return what `free_flash` does; None, and a line on stderr, where the board does not answer."""
    try:
        return free_flash(host_name)
    except PreflightError as error:
        if not is_off(error):
            raise
        console.say(f"{host_name} does not answer ({error.why}): what its flash has left is not known")
        return None


def verify_host(host_name: str, *, fast: bool = False, service: ServiceFor | None = None) -> Verdict:
    """Check the release that runs on a host; the verdict says where its manifest is from.

    Parameters
    ----------
    fast:
        Wait neither for the pictures of its streams nor for the network.
    service:
        Says which service is asked for the names of a region's endpoints; without it the local one is, where it runs.

    Raises
    ------
    ConfigError
        Nothing runs there.
    PreflightError
        Nothing that is trusted here says what runs there: neither a bundle nor what the release carries.
    """
    board, root = load_host(host_name).board, board_root(host_name)
    reach = prepare(load_board(board), service) if not fast else NOWHERE
    with ready(), connect(host_target(host_name), seconds=TIMEOUT_SECONDS) as session:
        current = probe_host(session, root, []).current
        if not current:
            raise ConfigError(f"nothing of ours runs on {host_name}", next_step=f"invoke deploy --host {host_name}")
        release, source = find_release(session, host_name, board, root, current)
        own = own_checks(board)
        return run_checks(
            session, host_name, release.id, release.manifest, [source],
            patience=RUNNING_PATIENCE, stall=RUNNING_STALL, own=own, fast=fast, reach=reach,
        )  # fmt: skip


def reachable_hosts() -> list[str]:
    """Return the hosts that `verify` without a name means: every real one, and the simulated ones that are up."""
    return [name for name, host in load_hosts().items() if not host.simulated or sim_state(name) is not None]


@dataclass(frozen=True, slots=True, kw_only=True)
class HostVerdict:
    """What verifying one of several hosts came to: a verdict, or the reason why there is none."""

    host: str
    verdict: Verdict | None = None
    error: UserError | None = None

    @property
    def off(self) -> bool:
        """True for a host that does not answer: that is no fault of what runs there."""
        return self.error is not None and is_off(self.error)

    @property
    def state(self) -> str:
        """In words: `green`, `red`, `off`, or why it could not be checked."""
        if self.verdict:
            return "green" if self.verdict.green else "red"
        return f"off ({self.error.why or 'it does not answer'})" if self.off and self.error else str(self.error)

    def as_dict(self) -> dict[str, object]:
        if self.verdict:
            return self.verdict.as_dict()
        why = self.error.as_dict() if self.error else {}
        return {"host": self.host, "state": "off" if self.off else "error", **why}


def is_off(error: UserError) -> bool:
    """Tell whether an error says that nothing answers at a board's address."""
    return isinstance(error, PreflightError) and error.what.endswith("does not answer")


def verdict_on(name: str, *, fast: bool = False, service: ServiceFor | None = None) -> HostVerdict:
    """Check what runs on one of several hosts; why it cannot be checked is a result too. See `verify_host`."""
    try:
        return HostVerdict(host=name, verdict=verify_host(name, fast=fast, service=service))
    except UserError as error:
        return HostVerdict(host=name, error=error)


def roll_back_host(host_name: str, *, dry_run: bool) -> str:
    """Go back to the release before and return its id; with `dry_run` only prove it and say which one it would be.

    It is proved on the board as it is now before the switch and checked after it, as a new release is.

    Raises
    ------
    ConfigError
        There is no release to go back to.
    PreflightError
        The release before would not run on the board as it is now; what runs there runs on.
    RolledBackError
        Its checks were red: the release that ran runs again.
    """
    board, root = load_host(host_name).board, board_root(host_name)
    with ready(), connect(host_target(host_name)) as session:
        facts = probe_host(session, root, [])
        refuse_no_way_back(root, facts)
        release, source = find_release(session, host_name, board, root, facts.previous)
        older = probe_host(session, root, watched_paths(release.manifest))
        still_proved(session, release, older, host_name)
        if dry_run:
            return facts.previous

        def check() -> None:
            require_green(run_checks(session, host_name, release.id, release.manifest, [source], own=own_checks(board)))

        return roll_back_release(session, host_name, root, facts, check, who=this_user())
