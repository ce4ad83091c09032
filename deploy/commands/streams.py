"""Tasks of what streams: rendered, started and stopped, their logs, and what is wrong with them."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

from invoke import Context

from deploy.cli.command import BOARD, GROUP, HOST, LABEL, command
from recipes.errors import ConfigError, ExitCode

if TYPE_CHECKING:
    from collections.abc import Sequence

    from deploy.control.services import HostService

_STREAM = "name of a stream of the board's file; all without it; may be given more than once"


@command(
    help={
        "board": f"{BOARD}; the host's without it",
        "host": f"{HOST}, for --diff",
        "diff": "print what would change on the host, and nothing else",
        "files": "print every file that is made from the streams, with its content",
    }
)
def render(
    _: Context, board: str = "", host: str = "", diff: bool = False, files: bool = False, json: bool = False
) -> None:
    """Show what a board's streams become: pipelines, scripts, services."""
    from deploy.boards.board import load_board
    from deploy.boards.inventory import load_host
    from deploy.control.render import changes_on, render_board, rendered_files
    from recipes import console

    if diff and not host:
        raise ConfigError("--diff needs a host to compare with", next_step="invoke render --host HOST --diff")
    if not board and not host:
        raise ConfigError("which board?", next_step="invoke render --board BOARD")
    chosen = load_board(board or load_host(host).board)
    if diff:
        lines = changes_on(host, chosen)
        if json:
            console.emit({"host": host, "board": chosen.name, "diff": list(lines)})
        else:
            console.out(*(lines or [f"{host}: scripts and services are those of the board's file"]))
        return
    if files:
        contents = {path: content.decode() for path, (content, _) in sorted(rendered_files(chosen).items())}
        if json:
            console.emit(contents)
        else:
            console.out(*(line for path, text in contents.items() for line in (f"---- {path}", *text.splitlines())))
        return
    streams = render_board(chosen)
    if json:
        console.emit([stream.as_dict() for stream in streams])
        return
    shown = [line for stream in streams for line in stream.lines()]
    console.out(*(shown or [f"{chosen.name} streams nothing"]))


def _verb(host: str, verb: str, stream: Sequence[str], *, json: bool, dry_run: bool) -> None:
    from deploy.control.services import carry_out, service_names
    from recipes import console

    if dry_run:
        names = service_names(host, stream)
        console.emit({"host": host, verb: list(names)}) if json else console.out(
            f"{host}: would {verb} {', '.join(names)}"
        )
        return
    print_services(host, carry_out(host, verb, stream), json=json)
    if verb == "stop" and not json:
        console.out(f"  they start again at the next boot, or by invoke start --host {host}")


def print_services(host: str, services: Sequence[HostService], *, json: bool) -> None:
    """Print how services are."""
    import datetime as dt

    from recipes import console

    if json:
        console.emit([service.as_dict() for service in services])
        return
    rows = []
    for service in services:
        state = service.state
        since = f"{dt.datetime.fromtimestamp(state.since, dt.UTC):%Y-%m-%d %H:%M:%S} UTC" if state.since else "-"
        boot = "yes" if state.enabled else "no"
        rows.append([service.row.name, state.phase.value, since, str(state.restarts), boot, state.reason or "-"])
    console.table(
        f"Streams of {host}", ["service", "state", "since", "restarts", "at boot", "reason"], rows, right=["restarts"]
    )


@command(iterable=["stream"], help={"host": HOST, "stream": _STREAM})
def start(_: Context, host: str, stream: list[str], json: bool = False, dry_run: bool = False) -> None:
    """Start streams of a host."""
    _verb(host, "start", stream, json=json, dry_run=dry_run)


@command(iterable=["stream"], help={"host": HOST, "stream": _STREAM})
def stop(_: Context, host: str, stream: list[str], json: bool = False, dry_run: bool = False) -> None:
    """Stop streams of a host; the next boot starts them again."""
    _verb(host, "stop", stream, json=json, dry_run=dry_run)


@command(iterable=["stream"], help={"host": HOST, "stream": _STREAM})
def restart(_: Context, host: str, stream: list[str], json: bool = False, dry_run: bool = False) -> None:
    """Stop streams of a host and start them again."""
    _verb(host, "restart", stream, json=json, dry_run=dry_run)


@command(
    iterable=["stream"],
    help={
        "host": HOST,
        "stream": _STREAM,
        "lines": "how many of each log's last lines",
        "follow": "go on with what the logs get from now on, until Ctrl-C",
    },
)
def logs(_: Context, host: str, stream: list[str], lines: int = 100, follow: bool = False, json: bool = False) -> None:
    """Show the logs of a host's streams, without secrets."""
    from deploy.control.logs import follow_logs, log_end
    from deploy.control.services import running_release, wanted_rows
    from recipes import console

    if not 1 <= lines <= 100_000:
        raise ConfigError(f"--lines {lines}: 1 to 100000")
    if follow and json:
        raise ConfigError("--follow has no end, and JSON needs one", next_step="one of the two")
    with running_release(host) as (session, manifest):
        rows = wanted_rows(manifest, stream, host)
        ends = {row.name: log_end(session, row, lines) for row in rows}
        if json:
            console.emit(ends)
            return
        for name, text in ends.items():
            mark = f"{name}: " if len(rows) > 1 else ""
            console.out(*([f"{mark}{line}" for line in text] or [f"{name}: its log is empty"]))
        for name, line in follow_logs(session, rows) if follow else ():
            console.out(f"{name}: {line}" if len(rows) > 1 else line)
            sys.stdout.flush()


@command(iterable=["stream"], help={"host": HOST, "stream": _STREAM})
def doctor(_: Context, host: str, stream: list[str], json: bool = False) -> None:
    """Say what is wrong with a host's streams, worst first, and what cures it."""
    from invoke import Exit

    from deploy.control.examine import examine_host
    from deploy.doctor.page import diagnosis_dict, diagnosis_page
    from deploy.probe.findings import Level
    from recipes import console

    found = examine_host(host, tuple(stream))
    if json:
        console.emit(diagnosis_dict(host, found.streams, found.diagnoses))
    else:
        console.out(*diagnosis_page(host, found.streams, found.diagnoses).splitlines())
    if any(diagnosis.level is Level.ERROR for diagnosis in found.diagnoses):
        raise Exit(None, int(ExitCode.VERIFY))


@command(
    iterable=["host", "group", "label", "stream"],
    help={
        "host": f"{HOST}; may be given more than once; of one alone more is told",
        "group": f"{GROUP}; all without it, and without --host and --label",
        "label": LABEL,
        "stream": "of one host: name of a stream; all without it",
        "html": "file that a page of all hosts is written to",
        "parallel": "hosts that are asked at once",
    },
)
def status(
    _: Context,
    host: list[str],
    group: list[str],
    label: list[str],
    stream: list[str],
    html: str = "",
    parallel: int = 32,
    json: bool = False,
) -> None:
    """Say what runs on hosts, what has drifted, how their streams are."""
    from deploy.cli.surveying import survey
    from deploy.fleet.selection import selection_of

    chosen = selection_of(host, group, label)
    if chosen.hosts and not chosen.many and not html:
        _status_of_one(chosen.hosts[0], stream, json=json)
    else:
        survey(chosen, parallel=parallel, json=json, html=html)


def _status_of_one(host: str, stream: list[str], *, json: bool) -> None:
    from deploy.control.services import services_if_any
    from deploy.release.status import host_status
    from recipes import console

    found = host_status(host)
    services = services_if_any(host, stream) if found.release else ()
    if json:
        console.emit(found.as_dict() | {"services": [service.as_dict() for service in services]})
        return
    console.fields(host, found.lines())
    if services:
        print_services(host, services, json=False)
