"""A plan carried out on a board: send, switch, check, then confirm or go back."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from deploy.boards.probe import HostFacts
from deploy.boards.session import BoardSession, Reply
from deploy.bundle.load import Bundle
from deploy.release.plan import ReleasePlan, StepKind
from deploy.release.scripts import ACTIVATE, CONFIRM, RECEIVE, ROLL_BACK
from recipes import console
from recipes.errors import ConfigError, PreflightError, RolledBackError, UserError
from recipes.tarfiles import USTAR, TarEntry, tar_bytes


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


def install_release(session: BoardSession, bundle: Bundle, planned: ReleasePlan, tools: frozenset[str]) -> None:
    """Send what a board lacks and switch to the release; the checks are still to come.

    Raises
    ------
    PreflightError
        Something arrived damaged, the disk filled up or the connection went; the old release runs on.
    """
    for step in planned.steps:
        if step.kind is StepKind.SEND:
            _send(session, bundle, step.blobs, tools)
        else:
            _activate(session, bundle)


def _send(session: BoardSession, bundle: Bundle, names: Sequence[str], tools: frozenset[str]) -> None:
    """Send blobs to the board's store: in one stream where it has tar, else each by itself."""
    root, blobs = bundle.manifest.root, bundle.blobs()
    total, before = sum(len(blobs[name]) for name in names), session.traffic.sent
    with console.progress(f"sending {len(names)} files", lambda: session.traffic.sent - before, total=total):
        if "tar" in tools:
            _check(session.run(RECEIVE, [root, "tar"], _tar_stream(blobs, names)), root)
            return
        for name in names:
            _check(session.run(RECEIVE, [root, name], _chunks(blobs[name])), root)


def _activate(session: BoardSession, bundle: Bundle) -> None:
    """Build the release from the board's store and switch to it."""
    manifest = bundle.manifest
    listing = "".join(f"{file.blob} {file.path}\n" for file in manifest.files).encode()
    digest = hashlib.sha256(listing).hexdigest()
    with console.progress("reading the release back on the board, and switching to it"):
        _check(session.run(ACTIVATE, [manifest.root, bundle.id, digest], [listing]), manifest.root)


def _chunks(data: bytes) -> Iterator[bytes]:
    for start in range(0, len(data), 65536):
        yield data[start : start + 65536]


def _tar_stream(blobs: Mapping[str, bytes], names: Sequence[str]) -> Iterator[bytes]:
    return _chunks(tar_bytes((TarEntry(name=name, content=blobs[name]) for name in names), form=USTAR))


_REASONS = {
    70: "a folder could not be made",
    71: "what was sent could not be written",
    72: "a rename failed",
    73: "a file was damaged on its way or on the flash; it was thrown away",
    74: "there is no verified release to go back to",
    75: "another deploy is at work there",
    76: "the board's shell was told to stop",
    77: "the list of files was cut on its way",
    78: "another release was switched on while the checks ran",
}


def _check(reply: Reply, root: str) -> None:
    """Raise PreflightError for a script that did not run to its end, with the reason behind its exit code."""
    if reply.code == 0:
        return
    detail = " ".join((reply.out.strip() + " " + reply.err.strip()).split())[-300:]
    full = "; no space left on the board" if "No space" in detail else ""
    raise PreflightError(
        f"the board stopped: {_REASONS.get(reply.code, f'exit code {reply.code}')}{full}",
        where=root,
        why=detail,
        next_step="the release that ran there runs on; fix the cause and give the same command again",
    )


def deploy_release(
    session: BoardSession,
    host: str,
    bundle: Bundle,
    check: Callable[[], object],
    *,
    planned: ReleasePlan,
    tools: frozenset[str],
) -> ReleaseResult:
    """Install a release and check it: confirm it where the checks are green, else go back.

    Parameters
    ----------
    check:
        Raises a UserError where the release is not to stay.

    Raises
    ------
    PreflightError
        It could not be installed or confirmed.
    RolledBackError
        The checks were red: the release from before runs again, and the reason is given.
    """
    before = session.traffic.sent
    if planned.steps:
        install_release(session, bundle, planned, tools)
        try:
            check()
        except UserError as error:
            raise _rolled_back(host, _go_back(session, bundle), error) from error
        except KeyboardInterrupt:
            # Nobody will read the verdict: an unverified release must not stay on because a person went away.
            _go_back(session, bundle)
            raise
        root, keep = bundle.manifest.root, str(bundle.manifest.keep)
        _check(session.run(CONFIRM, [root, bundle.id, keep]), root)
    return ReleaseResult(
        host=host,
        id=bundle.id,
        changed=bool(planned.steps),
        because=planned.because,
        round_trips=session.traffic.round_trips,
        payload=session.traffic.sent - before,
    )


def _go_back(session: BoardSession, bundle: Bundle) -> str:
    """Take back a release that was not confirmed; returns the id that runs now, empty for none."""
    root = bundle.manifest.root
    reply = session.run(ROLL_BACK, [root, bundle.id, "drop"])
    _check(reply, root)
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


def roll_back_release(session: BoardSession, root: str, facts: HostFacts) -> str:
    """Go back to the release before; returns the id that runs now.

    Raises
    ------
    ConfigError
        Nothing runs there, or nothing that was verified came before it.
    PreflightError
        The board stopped before the switch.
    """
    if not facts.current or not facts.previous or facts.previous not in facts.confirmed:
        have = f"{len(facts.confirmed)} verified releases" if facts.confirmed else "no verified release"
        raise ConfigError("there is nothing to go back to", where=root, why=f"the board has {have}, no earlier one")
    reply = session.run(ROLL_BACK, [root, facts.current, "keep"])
    if reply.code != 0:
        raise PreflightError("the roll-back stopped", why=_REASONS.get(reply.code, reply.err.strip()))
    return _current(reply)
