"""A plan carried out on a board: send, switch, check, then confirm or go back."""

from __future__ import annotations

import datetime as dt
import hashlib
import secrets
import socket
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field

from deploy.atboot.put_in import ServicesMoved, put_in, services_moved
from deploy.boards.probe import HostFacts
from deploy.boards.session import BoardSession, Reply, within
from deploy.bundle.load import Bundle
from deploy.release.carried import Bases, KnownRelease, bundle_papers, release_rows
from deploy.release.plan import ReleasePlan, RemoteStep, StepKind
from deploy.release.scripts import ACTIVATE, CONFIRM, DAMAGED, ROLL_BACK, UNLIKE, ServicesDownError, check_reply
from deploy.transfer.cargo import EDIT_LEAST, edit_of_rows, fits, lines_of, parts_of, tar_of_links, with_deltas
from deploy.transfer.means import Means, choose_means
from deploy.transfer.pace import paced
from deploy.transfer.packing import pack, shared_packs
from deploy.transfer.send import send_parts
from recipes.errors import ConfigError, PreflightError, RolledBackError, UserError
from recipes.process import user_name
from recipes.progress import progress
from recipes.text import one_line

BACK_SECONDS = 180
"""For going back, the services of the release before started: a board that is gone by then is told to be."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ReleaseResult:
    """What a deploy did to one host."""

    host: str
    id: str
    changed: bool
    because: str
    round_trips: int
    payload: int
    """Bytes sent, contents and lists."""
    services: ServicesMoved = field(default_factory=ServicesMoved)


def this_user() -> str:
    """Return who deploys, and since when: `user@workstation since TIME`, in UTC."""
    now = dt.datetime.now(dt.UTC)
    return one_line(f"{user_name()}@{socket.gethostname()} since {now:%Y-%m-%dT%H:%M:%SZ}", most=120)


def install_release(
    session: BoardSession,
    bundle: Bundle,
    planned: ReleasePlan,
    tools: frozenset[str],
    who: str = "",
    *,
    means: Means | None = None,
    bases: Bases | None = None,
    stage: bool = False,
) -> bool:
    """Send what a board lacks and switch to the release; its services and the checks are still to come.

    Returns whether there are services to start, or of an earlier release to take away.

    Parameters
    ----------
    who:
        Shown to another who comes while this one is at work.
    means:
        How contents travel; chosen by the board's tools without it.
    bases:
        What changed files were, of which the board makes the new ones.
    stage:
        Do not switch: the release is whole and read back there, and what runs stays.

    Raises
    ------
    PreflightError
        Something arrived damaged, the disk filled up or the connection went; the old release runs on.
    """
    services, means, bases, mark = False, means or choose_means(tools), bases or Bases(), secrets.token_hex(8)
    sent: frozenset[str] = frozenset()
    for step in planned.steps:
        if step.kind is StepKind.SEND:
            _send(session, bundle, step, means, who, bases, mark)
            sent |= frozenset(step.blobs)
        else:
            hashed = lines_of(release_rows(bundle), sent)
            services = _activate(session, bundle, means, who, bases, [mark, hashed], stage=stage)
    return services


def _send(
    session: BoardSession, bundle: Bundle, step: RemoteStep, means: Means, who: str, bases: Bases, mark: str
) -> None:
    """Send contents to the board's store; what is damaged there after all is sent again, once."""
    root, contents = bundle.manifest.root, bundle.blobs() | dict(bundle_papers(bundle).values())
    paths = dict(release_rows(bundle))
    parts = parts_of(step.blobs, contents, step.offsets, paths)
    parts = with_deltas(parts, bases.contents) if means.patch else parts
    reply = send_parts(session, root, parts, means, who, mark=mark)
    if reply.code == DAMAGED:
        # A part of an earlier run may be what the power left of it; and one of another bundle is none of ours.
        again = [blob for blob in _damaged(reply) if blob in contents]
        if not again:
            return
        reply = send_parts(session, root, parts_of(again, contents, {}), means, who, mark=mark)
    check_reply(reply, root)


def _damaged(reply: Reply) -> list[str]:
    rows = (line.partition("=") for line in reply.out.splitlines())
    return [value for name, _, value in rows if name == "damaged"]


def _activate(
    session: BoardSession, bundle: Bundle, means: Means, who: str, bases: Bases, read: Sequence[str], *, stage: bool
) -> bool:
    """Build the release from the board's store and switch to it; returns whether there are services to start.

    Parameters
    ----------
    read:
        The mark of this deploy, and the lines of the list whose content it hashed as it came.
    """
    manifest, rows = bundle.manifest, release_rows(bundle)
    listing = "".join(f"{blob} {path}\n" for blob, path in rows).encode()
    digest = hashlib.sha256(listing).hexdigest()

    def build(form: str, stream: Iterable[bytes], old: str = "") -> Reply:
        arguments = [manifest.root, bundle.id, digest, who, means.packing.value, form, str(manifest.number), old]
        arguments += ["stage" if stage else "switch", *read]
        packs, key = shared_packs(), f"{form} {bundle.id} {old} {means.packing.value} {means.slow}"
        packed: Iterable[bytes] = pack(stream, means.packing, slow=means.slow)
        if packs:
            packed = packs.get(key, lambda made=packed: made)  # type: ignore[misc]
        return session.run(ACTIVATE, arguments, paced(packed, means.rate))

    with progress(f"reading the release back on the board{'' if stage else ', and switching to it'}"):
        edit = (
            edit_of_rows(bases.rows, rows) if bases.release not in ("", bundle.id) and len(rows) > EDIT_LEAST else None
        )
        reply = build("edit", [edit], bases.release) if edit else Reply(code=UNLIKE, out="", err="")
        if reply.code == UNLIKE and means.tar:
            folder = f"releases/.{bundle.id}.part"
            form = "tar" if all(fits(f"{folder}/{path}") for _, path in rows) else "some"
            reply = build(form, tar_of_links(listing, rows, folder))
        elif reply.code == UNLIKE:
            reply = build("list", [listing])
    check_reply(reply, manifest.root)
    return has_services(reply)


def has_services(reply: Reply) -> bool:
    return "services=yes" in reply.out.splitlines()


def _start_services(session: BoardSession, root: str, identity: str, who: str) -> ServicesMoved:
    """Put in and start what a release brings for boot, and take away what an earlier one brought; returns what became.

    Raises
    ------
    ServicesDownError
        A service could not be put in or started; the message has what the board said.
    """
    with progress("starting the services"):
        reply = put_in(session, root, identity, who)
    try:
        check_reply(reply, root)
    except PreflightError as error:
        raise ServicesDownError(error.what, where=error.where, why=error.why, next_step=error.next_step) from error
    return services_moved(reply.out)


def deploy_release(
    session: BoardSession,
    host: str,
    bundle: Bundle,
    check: Callable[[], object],
    *,
    planned: ReleasePlan,
    tools: frozenset[str],
    who: str = "",
    means: Means | None = None,
    bases: Bases | None = None,
) -> ReleaseResult:
    """Install a release and check it: confirm it where the checks are green, else go back.

    Parameters
    ----------
    check:
        Raises a UserError where the release is not to stay.

    Raises
    ------
    PreflightError
        It could not be installed or confirmed; or the board was lost before a red release was taken back.
    RolledBackError
        The checks were red: the release from before runs again, and the reason is given.
    """
    before, moved = session.traffic.sent, ServicesMoved()
    if planned.steps:
        services = install_release(session, bundle, planned, tools, who, means=means, bases=bases)
        moved = settle_release(session, host, bundle, check, services=services, who=who)
    return ReleaseResult(
        host=host,
        id=bundle.id,
        changed=bool(planned.steps),
        because=planned.because,
        round_trips=session.traffic.round_trips,
        payload=session.traffic.sent - before,
        services=moved,
    )


def settle_release(
    session: BoardSession, host: str, release: KnownRelease, check: Callable[[], object], *, services: bool, who: str
) -> ServicesMoved:
    """Start the services of a release that was switched on, check it, and confirm it, or go back.

    Returns what became of the services.

    Parameters
    ----------
    services:
        Whether there are any to start or to take away.

    Raises
    ------
    PreflightError
        It could not be confirmed; or the board was lost before a red release was taken back.
    RolledBackError
        The checks were red: the release from before runs again.
    """
    root, moved = release.manifest.root, ServicesMoved()
    try:
        if services:
            moved = _start_services(session, root, release.id, who)
        check()
    except UserError as error:
        raise _rolled_back(host, _taken_back(session, release, host, error, who), error) from error
    except KeyboardInterrupt:
        # Nobody will read the verdict: an unverified release must not stay on because a person went away.
        with within(session, BACK_SECONDS):
            _go_back(session, release, who)
        raise
    check_reply(session.run(CONFIRM, [root, release.id, str(release.manifest.keep), who]), root)
    return moved


def _taken_back(session: BoardSession, release: KnownRelease, host: str, error: UserError, who: str) -> str:
    """Take back a release that did not hold; says what is on where the board is not reached for that."""
    try:
        with within(session, BACK_SECONDS):
            return _go_back(session, release, who)
    except ServicesDownError as down:
        raise PreflightError(
            f"{host}: the release from before runs there again, but not all of its services",
            why=f"{error.what}; then: {down.why}",
            next_step=f"invoke doctor --host {host}",
        ) from error
    except PreflightError as lost:
        raise PreflightError(
            f"{host}: the new release is switched on, and neither confirmed nor taken back",
            where=release.id[:12],
            why=f"{error.what}; then: {lost.what}",
            next_step=f"once it answers: invoke deploy --host {host}, which checks it, and goes back where it is red",
        ) from error


def _go_back(session: BoardSession, release: KnownRelease, who: str) -> str:
    """Take back a release that was not confirmed, its services too; returns the id that runs now, empty for none."""
    return _switch_back(session, release.manifest.root, release.id, "drop", who)


def _switch_back(session: BoardSession, root: str, gone: str, keep: str, who: str) -> str:
    """Switch to the release before and start its services; returns the id that runs now, empty for none."""
    words = [root, gone, keep, who]
    try:
        reply = session.run(ROLL_BACK, words)
    except PreflightError:
        # A command that Ctrl-C cut may have taken the connection with it; carried out twice it comes to the same.
        reply = session.run(ROLL_BACK, words)
    check_reply(reply, root)
    if has_services(reply):
        _start_services(session, root, _current(reply), who)
    return _current(reply)


def _current(reply: Reply) -> str:
    return reply.out.strip().rpartition("current=")[2]


def _rolled_back(host: str, current: str, error: UserError) -> RolledBackError:
    state = f"{current[:12]} runs there again" if current else "nothing runs there, as before"
    return RolledBackError(
        f"{host}: the new release did not hold; {state}",
        why=f"{error.what}: {error.why}" if error.why else error.what,
        next_step=error.next_step or f"invoke verify --host {host}",
    )


def refuse_no_way_back(root: str, facts: HostFacts) -> None:
    """Raise ConfigError where nothing runs, or nothing that was verified came before it."""
    if facts.current and facts.previous and facts.previous != facts.current and facts.previous in facts.confirmed:
        return
    verified = len(facts.confirmed)
    why = "no release of ours runs there"
    if facts.current:
        count = f"{verified} releases there were verified" if verified != 1 else "one release there was verified"
        why = f"{count if verified else 'no release there was verified'}, and none of them ran before this one"
    raise ConfigError("there is nothing to go back to", where=root, why=why)


def roll_back_release(
    session: BoardSession, host: str, root: str, facts: HostFacts, check: Callable[[], object], who: str = ""
) -> str:
    """Go back to the release before and check it; returns the id that runs now.

    Raises
    ------
    ConfigError
        There is none.
    PreflightError
        The board stopped before the switch.
    RolledBackError
        The checks were red: the release that ran before the roll-back runs again.
    """
    refuse_no_way_back(root, facts)
    reply = session.run(ROLL_BACK, [root, facts.current, "keep", who])
    check_reply(reply, root)
    now = _current(reply)
    try:
        if has_services(reply):
            _start_services(session, root, now, who)
        check()
    except (UserError, KeyboardInterrupt) as error:
        with within(session, BACK_SECONDS):
            again = _switch_back(session, root, now, "keep", who)
        if isinstance(error, KeyboardInterrupt):
            raise
        raise RolledBackError(
            f"{host}: {now[:12]} did not hold either; {again[:12]} runs there again, as before",
            why=f"{error.what}: {error.why}" if error.why else error.what,
            next_step=f"repair the board, or: invoke sysroot.pull --host {host}, then invoke up --host {host}",
        ) from error
    return now
