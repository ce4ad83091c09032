"""A bundle and a host become a release: one probe, a pure plan that can be printed, then a short run of it."""

from __future__ import annotations

import hashlib
import io
import tarfile
import time
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from enum import Enum

from deploy import reproof, scripts
from deploy.bundle import Bundle, Manifest
from deploy.session import Reply, Session
from recipes import console
from recipes.errors import ConfigError, PreflightError, RolledBackError, UserError, VerifyError

RESERVE_KIB = 1024
"""Left free on the board's file system, besides a fifth of what is sent."""
SKEW_REFUSED = 240
"""Seconds; AWS refuses requests whose clock is 300 s off."""


@dataclass(frozen=True, slots=True, kw_only=True)
class HostFacts:
    """What one probe of a board returned, in one round trip."""

    machine: str
    uid: int
    clock: int
    skew: int
    free_kib: int
    writable: bool
    tools: frozenset[str]
    current: str
    previous: str
    confirmed: frozenset[str]
    blobs: frozenset[str]
    files: Mapping[str, str]


class Kind(Enum):
    """What a remote step does."""

    SEND = "send"
    ACTIVATE = "activate"


@dataclass(frozen=True, slots=True, kw_only=True)
class RemoteStep:
    """One remote action of a plan."""

    kind: Kind
    blobs: tuple[str, ...] = ()
    size: int = 0
    detail: str


@dataclass(frozen=True, slots=True, kw_only=True)
class ReleasePlan:
    """What a deploy will do; no steps means nothing is to be done, and `because` says why."""

    steps: tuple[RemoteStep, ...]
    because: str


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


def probe(session: Session, root: str, watched: Iterable[str]) -> HostFacts:
    """Ask a board everything that a plan needs, in one round trip that changes nothing there.

    Raises
    ------
    PreflightError
        The board's shell did not run the probe to its end.
    """
    lines = "".join(f"{path}\n" for path in watched).encode()
    begun = time.time()
    reply = session.run(scripts.PROBE, [root], [lines])
    if reply.code != 0:
        raise PreflightError("the probe did not run through", why=(reply.err or reply.out).strip()[-400:])
    return parse_facts(reply.out, now=(begun + time.time()) / 2)


def parse_facts(text: str, *, now: float) -> HostFacts:
    """Read the probe's `name=value` lines."""
    single: dict[str, str] = {}
    many: dict[str, list[str]] = {}
    for line in text.splitlines():
        name, _, value = line.partition("=")
        single[name] = value
        many.setdefault(name, []).append(value)
    clock = int(single.get("clock") or 0)
    return HostFacts(
        machine=single.get("machine", ""),
        uid=int(single.get("uid") or -1),
        clock=clock,
        skew=round(clock - now),
        free_kib=int(single.get("free_kib") or 0),
        writable=single.get("writable") == "yes",
        tools=frozenset(many.get("tool", ())),
        current=single.get("current", ""),
        previous=single.get("previous", ""),
        confirmed=frozenset(many.get("confirmed", ())),
        blobs=frozenset(many.get("blob", ())),
        files={path: digest for digest, _, path in (value.partition(" ") for value in many.get("file", ()))},
    )


def plan(identity: str, manifest: Manifest, facts: HostFacts, proved_again: Collection[str] = ()) -> ReleasePlan:
    """Decide what a deploy sends and switches. Pure.

    Parameters
    ----------
    proved_again:
        Libraries of the board, and its loader's cache, that changed since the bundle was made and serve all the same
        (`deploy.reproof`).

    Raises
    ------
    PreflightError
        The board must not be touched: another machine, a changed library, no room, a clock that is off.
    """
    refuse(manifest, facts)
    if reproof.moved(manifest, facts.files) and reproof.CACHE not in proved_again:
        raise PreflightError(
            f"{reproof.CACHE} is another one; nothing was changed", next_step=f"invoke bundle --board {manifest.board}"
        )
    for proof, path in reproof.changed(manifest, facts.files):
        if proof["library"] not in proved_again:
            state = f"{path} is another one than was proved" if path else f"{proof['opened']} is gone"
            raise PreflightError(f"{state}; nothing was changed", next_step=f"invoke bundle --board {manifest.board}")
    if facts.current == identity and identity in facts.confirmed:
        return ReleasePlan(steps=(), because=f"{identity[:12]} runs there already, and was verified")
    sizes = {file.blob: file.size for file in manifest.files}
    missing = tuple(sorted(sizes.keys() - facts.blobs))
    payload = sum(sizes[blob] for blob in missing)
    needed = payload * 12 // 10 // 1024 + RESERVE_KIB
    if facts.free_kib < needed:
        raise PreflightError(
            "there is no room on the board; nothing was changed",
            where=manifest.root,
            why=f"{needed:,} KiB needed, {facts.free_kib:,} KiB free",
            next_step="free some space there, or lower `keep` in the board's file",
        )
    steps = []
    if missing:
        detail = f"{len(missing)} of {len(sizes)} files, {console.size(payload)}"
        steps.append(RemoteStep(kind=Kind.SEND, blobs=missing, size=payload, detail=detail))
    before = f"now {facts.current[:12]}" if facts.current else "nothing runs there now"
    steps.append(RemoteStep(kind=Kind.ACTIVATE, detail=f"switch to {identity[:12]} ({before})"))
    return ReleasePlan(steps=tuple(steps), because="")


def refuse(manifest: Manifest, facts: HostFacts) -> None:
    """Raise PreflightError for a board that this bundle was not made for, or that is in no state for it."""
    if facts.machine not in manifest.machines:
        raise PreflightError(
            f"the bundle is for {manifest.arch}, the board is {facts.machine or 'silent about its machine'}",
            next_step="is hosts.toml naming the right board?",
        )
    if "sha256sum" not in facts.tools:
        raise PreflightError("the board has no sha256sum", why="what arrives there could not be checked")
    if not facts.writable:
        raise PreflightError(f"{manifest.root} cannot be written to", next_step="set `root` in the board's file")
    if abs(facts.skew) >= SKEW_REFUSED:
        raise PreflightError(
            f"the board's clock is {facts.skew:+d} s off",
            why="AWS refuses requests that are signed more than 300 s off",
            next_step="set its clock, and let it use NTP",
        )


def run(session: Session, bundle: Bundle, planned: ReleasePlan, tools: frozenset[str]) -> None:
    """Carry out a plan up to the switch.

    Raises
    ------
    PreflightError
        Something arrived damaged, the disk filled up or the connection went; the old release runs on.
    """
    manifest = bundle.manifest
    blobs = bundle.blobs()
    for step in planned.steps:
        if step.kind is Kind.SEND:
            if "tar" in tools:
                _check(session.run(scripts.RECEIVE, [manifest.root, "tar"], _tar_stream(blobs, step.blobs)), manifest)
            else:
                for blob in step.blobs:
                    _check(session.run(scripts.RECEIVE, [manifest.root, blob], _chunks(blobs[blob])), manifest)
        else:
            listing = "".join(f"{file.blob} {file.path}\n" for file in manifest.files).encode()
            digest = hashlib.sha256(listing).hexdigest()
            _check(session.run(scripts.ACTIVATE, [manifest.root, bundle.id, digest], [listing]), manifest)


def _chunks(data: bytes) -> Iterator[bytes]:
    for start in range(0, len(data), 65536):
        yield data[start : start + 65536]


def _tar_stream(blobs: Mapping[str, bytes], names: Sequence[str]) -> Iterator[bytes]:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w", format=tarfile.USTAR_FORMAT) as archive:
        for name in names:
            member = tarfile.TarInfo(name)
            member.size, member.mode = len(blobs[name]), 0o644
            archive.addfile(member, io.BytesIO(blobs[name]))
    return _chunks(buffer.getvalue())


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


def deploy(
    session: Session,
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
        run(session, bundle, planned, tools)
        try:
            check()
        except UserError as error:
            _back(session, bundle, host, error)
        except KeyboardInterrupt:
            # Nobody will read the verdict: an unverified release must not stay on because a person went away.
            _check(session.run(scripts.ROLL_BACK, [bundle.manifest.root, bundle.id, "drop"]), bundle.manifest)
            raise
        keep = str(bundle.manifest.keep)
        _check(session.run(scripts.CONFIRM, [bundle.manifest.root, bundle.id, keep]), bundle.manifest)
    return Release(
        host=host,
        id=bundle.id,
        changed=bool(planned.steps),
        because=planned.because,
        round_trips=session.traffic.round_trips,
        payload=session.traffic.sent - before,
    )


def _back(session: Session, bundle: Bundle, host: str, error: UserError) -> None:
    reply = session.run(scripts.ROLL_BACK, [bundle.manifest.root, bundle.id, "drop"])
    _check(reply, bundle.manifest)
    now = reply.out.strip().rpartition("current=")[2]
    state = f"{now[:12]} runs there again" if now else "nothing runs there, as before"
    raise RolledBackError(
        f"{host}: the new release did not hold; {state}",
        why=f"{error.what}: {error.why}" if error.why else error.what,
        next_step=error.next_step or f"invoke verify --host {host}",
    ) from (error if isinstance(error, VerifyError) else None)


def roll_back(session: Session, root: str, facts: HostFacts) -> str:
    """Go back to the release before; returns the id that runs now.

    Raises
    ------
    ConfigError
        Nothing runs there, or nothing that was verified came before it.
    """
    if not facts.current or not facts.previous or facts.previous not in facts.confirmed:
        have = f"{len(facts.confirmed)} verified releases" if facts.confirmed else "no verified release"
        raise ConfigError("there is nothing to go back to", where=root, why=f"the board has {have}, no earlier one")
    reply = session.run(scripts.ROLL_BACK, [root, facts.current, "keep"])
    if reply.code != 0:
        raise PreflightError("the roll-back stopped", why=_REASONS.get(reply.code, reply.err.strip()))
    return reply.out.strip().rpartition("current=")[2]
