"""A bundle and a host become a release: one probe, a pure plan that can be printed, then a short run of it."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from deploy.boards.probe import HostFacts
from deploy.boards.session import BoardSession, Reply
from deploy.bundle.load import Bundle
from deploy.bundle.manifest import Manifest
from deploy.release.plan import ReleasePlan, StepKind
from deploy.release.scripts import ACTIVATE, CONFIRM, RECEIVE, ROLL_BACK
from recipes.errors import ConfigError, PreflightError, RolledBackError, UserError, VerifyError
from recipes.tarfiles import USTAR, TarEntry, tar_bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class Release:
    """What a deploy did."""

    host: str
    id: str
    changed: bool
    because: str
    round_trips: int
    payload: int
    """Bytes sent, contents and lists."""


def carry_out(session: BoardSession, bundle: Bundle, planned: ReleasePlan, tools: frozenset[str]) -> None:
    """Carry out a plan up to the switch.

    Raises
    ------
    PreflightError
        Something arrived damaged, the disk filled up or the connection went; the old release runs on.
    """
    manifest = bundle.manifest
    blobs = bundle.blobs()
    for step in planned.steps:
        if step.kind is StepKind.SEND:
            if "tar" in tools:
                _check(session.run(RECEIVE, [manifest.root, "tar"], _tar_stream(blobs, step.blobs)), manifest)
            else:
                for blob in step.blobs:
                    _check(session.run(RECEIVE, [manifest.root, blob], _chunks(blobs[blob])), manifest)
        else:
            listing = "".join(f"{file.blob} {file.path}\n" for file in manifest.files).encode()
            digest = hashlib.sha256(listing).hexdigest()
            _check(session.run(ACTIVATE, [manifest.root, bundle.id, digest], [listing]), manifest)


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


def _check(reply: Reply, manifest: Manifest) -> None:
    if reply.code == 0:
        return
    detail = " ".join((reply.out.strip() + " " + reply.err.strip()).split())[-300:]
    full = "; no space left on the board" if "No space" in detail else ""
    raise PreflightError(
        f"the board stopped: {_REASONS.get(reply.code, f'exit code {reply.code}')}{full}",
        where=manifest.root,
        why=detail,
        next_step="the release that ran there runs on; cure the cause and give the same command again",
    )


def deploy_release(
    session: BoardSession,
    host: str,
    bundle: Bundle,
    check: Callable[[], object],
    *,
    planned: ReleasePlan,
    tools: frozenset[str],
) -> Release:
    """Send, switch, verify; go back where the checks are red.

    Raises
    ------
    RolledBackError
        The checks were red: the release from before runs again, and the reason is given.
    """
    before = session.traffic.sent
    if planned.steps:
        carry_out(session, bundle, planned, tools)
        try:
            check()
        except UserError as error:
            _back(session, bundle, host, error)
        except KeyboardInterrupt:
            # Nobody will read the verdict: an unverified release must not stay on because a person went away.
            _check(session.run(ROLL_BACK, [bundle.manifest.root, bundle.id, "drop"]), bundle.manifest)
            raise
        keep = str(bundle.manifest.keep)
        _check(session.run(CONFIRM, [bundle.manifest.root, bundle.id, keep]), bundle.manifest)
    return Release(
        host=host,
        id=bundle.id,
        changed=bool(planned.steps),
        because=planned.because,
        round_trips=session.traffic.round_trips,
        payload=session.traffic.sent - before,
    )


def _back(session: BoardSession, bundle: Bundle, host: str, error: UserError) -> None:
    reply = session.run(ROLL_BACK, [bundle.manifest.root, bundle.id, "drop"])
    _check(reply, bundle.manifest)
    now = reply.out.strip().rpartition("current=")[2]
    state = f"{now[:12]} runs there again" if now else "nothing runs there, as before"
    raise RolledBackError(
        f"{host}: the new release did not hold; {state}",
        why=f"{error.what}: {error.why}" if error.why else error.what,
        next_step=error.next_step or f"invoke verify --host {host}",
    ) from (error if isinstance(error, VerifyError) else None)


def roll_back_release(session: BoardSession, root: str, facts: HostFacts) -> str:
    """Go back to the release before; returns the id that runs now.

    Raises
    ------
    ConfigError
        Nothing runs there, or nothing that was verified came before it.
    """
    if not facts.current or not facts.previous or facts.previous not in facts.confirmed:
        have = f"{len(facts.confirmed)} verified releases" if facts.confirmed else "no verified release"
        raise ConfigError("there is nothing to go back to", where=root, why=f"the board has {have}, no earlier one")
    reply = session.run(ROLL_BACK, [root, facts.current, "keep"])
    if reply.code != 0:
        raise PreflightError("the roll-back stopped", why=_REASONS.get(reply.code, reply.err.strip()))
    return reply.out.strip().rpartition("current=")[2]
