"""The services of a host: how each is, and start, stop and restart. By what the release there brought, signed."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

from deploy.boards.inventory import host_target, load_host
from deploy.boards.probe import probe_host
from deploy.boards.session import BoardSession, connect
from deploy.bundle.manifest import Manifest, ServiceRow
from deploy.release.carried import find_release
from deploy.release.deployment import board_root
from deploy.release.scripts import SERVICE
from deploy.services.systems import Phase, ServiceState, parse_status
from recipes.errors import ConfigError, PreflightError, unknown
from recipes.progress import progress
from recipes.text import one_line

VERBS = ("start", "stop", "restart")


@dataclass(frozen=True, slots=True, kw_only=True)
class HostService:
    """One service of a host."""

    row: ServiceRow
    state: ServiceState

    def as_dict(self) -> dict[str, object]:
        state = self.state
        return {
            "service": self.row.name,
            "stream": self.row.stream,
            "state": state.phase.value,
            "pid": state.pid,
            "since": state.since,
            "restarts": state.restarts,
            "last_exit": state.last_exit,
            "at_boot": state.enabled,
            "reason": state.reason,
            "log": self.row.log,
        }


@contextmanager
def running_release(host_name: str) -> Iterator[tuple[BoardSession, Manifest]]:
    """Connect to a host and give the manifest of the release that runs there.

    Raises
    ------
    ConfigError
        Nothing of ours runs there.
    PreflightError
        It does not answer, or nothing that is trusted here says what runs there.
    """
    board, root = load_host(host_name).board, board_root(host_name)
    with connect(host_target(host_name)) as session:
        current = probe_host(session, root, []).current
        if not current:
            raise ConfigError(f"nothing of ours runs on {host_name}", next_step=f"invoke deploy --host {host_name}")
        release, _ = find_release(session, host_name, board, root, current)
        yield session, release.manifest


def wanted_rows(manifest: Manifest, streams: Sequence[str], host_name: str) -> tuple[ServiceRow, ...]:
    """Return the services of these streams, of all without any.

    Raises
    ------
    ConfigError
        The release has no such stream, or none at all.
    """
    if not manifest.services:
        raise ConfigError(
            f"the release on {host_name} starts nothing at boot",
            next_step=f"write [streams.<name>] into the file of {manifest.board}, then invoke up --host {host_name}",
        )
    for name in streams:
        known = {word for row in manifest.services for word in (row.stream, row.name)}
        if name not in known:
            raise unknown("stream", name, sorted(known))
    return tuple(row for row in manifest.services if not streams or {row.stream, row.name} & set(streams))


def ask_services(session: BoardSession, root: str, rows: Sequence[ServiceRow]) -> tuple[HostService, ...]:
    """Ask how services are, in one round trip."""
    said = _carry_out(session, root, "status", rows)
    return tuple(HostService(row=row, state=parse_status(said.get(row.name, ""))) for row in rows)


def _carry_out(session: BoardSession, root: str, verb: str, rows: Sequence[ServiceRow]) -> dict[str, str]:
    """Run one script of each service; returns what each said, without those that are not put in."""
    names = "".join(f"{row.name}\n" for row in rows).encode()
    reply = session.run(SERVICE, [root, verb], [names])
    parts = re.split(r"^service=(.*)$", reply.out, flags=re.MULTILINE)
    return dict(zip(parts[1::2], parts[2::2], strict=True))


def services_if_any(host_name: str, streams: Sequence[str] = ()) -> tuple[HostService, ...]:
    """Return how the services of a host are; none where its release starts nothing at boot, and no stream is named."""
    with running_release(host_name) as (session, manifest):
        if not manifest.services and not streams:
            return ()
        return ask_services(session, manifest.root, wanted_rows(manifest, streams, host_name))


def service_names(host_name: str, streams: Sequence[str]) -> tuple[str, ...]:
    """Return the names of the services of these streams; raises as `running_release` and `wanted_rows` do."""
    with running_release(host_name) as (_, manifest):
        return tuple(row.name for row in wanted_rows(manifest, streams, host_name))


def _awake(session: BoardSession, root: str, verb: str, rows: tuple[ServiceRow, ...]) -> tuple[ServiceRow, ...]:
    """Stop what waits after an end that a restart does not cure, before it is started: who asks has cured it."""
    if verb == "start":
        waiting = [one.row for one in ask_services(session, root, rows) if one.state.phase is Phase.FAILED]
        if waiting:
            _carry_out(session, root, "stop", waiting)
    return rows


def carry_out(host_name: str, verb: str, streams: Sequence[str]) -> tuple[HostService, ...]:
    """Start, stop or restart the services of a host, and return how they are after it.

    Raises
    ------
    PreflightError
        A service is not put in, or did not do what it was told.
    """
    with running_release(host_name) as (session, manifest):
        rows = wanted_rows(manifest, streams, host_name)
        with progress(f"{verb}: {', '.join(row.name for row in rows)}"):
            said = _carry_out(session, manifest.root, verb, _awake(session, manifest.root, verb, rows))
        after = ask_services(session, manifest.root, rows)
    if absent := [row.name for row in rows if row.name not in said]:
        raise PreflightError(
            f"{', '.join(absent)} is not put in on {host_name}",
            why="the release brings it, and the run that was to put it in was cut",
            next_step=f"invoke deploy --host {host_name} --again",
        )
    wrong = [one for one in after if (one.state.phase is Phase.STOPPED) != (verb == "stop")]
    if wrong:
        told = "; ".join(f"{one.row.name} is {one.state.phase}: {one_line(said[one.row.name])}" for one in wrong)
        raise PreflightError(
            f"{verb} did not do it on {host_name}", why=told, next_step=f"invoke logs --host {host_name}"
        )
    return after
