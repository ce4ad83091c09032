"""Tasks of boards themselves: what one is and has, its first file, and what its files say."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

from invoke import Context, Exit

from deploy.cli.command import BOARD, HOST, command
from recipes.errors import ConfigError, ExitCode, PreflightError

if TYPE_CHECKING:
    from deploy.boardfiles.check import CheckedBoard
    from deploy.boards.inventory import Host
    from deploy.probe.facts import BoardFacts
    from deploy.ssh.dial import Target

_FOLDERS = ("/opt/boardcast", "/data", "/overlay", "/flash", "/mnt", "/tmp")  # noqa: S108 - folders of a board
"""Where a board's releases may have room."""


@command(
    help={
        "host": HOST,
        "elements": "ask GStreamer for its elements where it has kept no list of them too: seconds on a slow board",
    }
)
def probe(_: Context, host: str, elements: bool = False, json: bool = False) -> None:
    """Print what a board is and has, and what to do about it."""
    from dataclasses import asdict

    from deploy.boardfiles.live import wanted_findings
    from deploy.boards.board import load_board
    from deploy.boards.inventory import known_host, load_host, target_of
    from deploy.boards.layers import board_paths
    from deploy.probe.page import facts_page
    from recipes import console

    # Its board may have no file yet: `board.init` comes after this.
    entry = known_host(host) or load_host(host)
    file = load_board(entry.board).file if entry.board in board_paths() else None
    root = file.root if file else _FOLDERS[0]
    facts, told = _ask(target_of(host, entry), (root, "/tmp"), scan=elements)  # noqa: S108 - a folder of the board
    found = wanted_findings(facts, file)
    if json:
        rows = [asdict(finding) | {"level": finding.level.name.lower()} for finding in found]
        console.emit({**facts.as_dict(), "findings": rows, **told})
        return
    console.out(*facts_page(facts, found).splitlines())
    console.say(f"asked in {told['round_trips']} round trip, {told['seconds']:.1f} s")


def _ask(target: Target, folders: tuple[str, ...], *, scan: bool = True) -> tuple[BoardFacts, dict[str, Any]]:
    """Probe a board; return the facts, and what it cost once the session was open."""
    import time

    from deploy.boards.session import connect
    from deploy.probe.probe import ProbeRequest, probe_board
    from recipes.progress import progress

    # A list of GStreamer's elements that has to be made takes up to five times as long as any other answer.
    request = ProbeRequest(
        folders=tuple(dict.fromkeys(folders)),
        boardprobe=f"{folders[0]}/current/bin/boardprobe",
        scan=scan,
        seconds=12 if scan else 4,
    )
    with connect(target) as session:
        begun = time.monotonic()
        with progress(f"{target.name}: asking what it is and has"):
            facts = probe_board(session, target.name, request)
        return facts, {"round_trips": session.traffic.round_trips, "seconds": round(time.monotonic() - begun, 2)}


@command(
    help={
        "host": "name of a host; one that board-configs/hosts.toml does not have yet gets a table there",
        "address": "name or IP address of a new host",
        "user": "who logs in",
        "port": "where its SSH server listens",
        "key": "path of the private key; the SSH agent and your own keys without it",
        "fingerprint": "of its host key, as `ssh-keygen -lf` prints it on the board; asked on a terminal without it",
        "board": "name of the board's folder in board-configs/; of a new host its own name without it",
        "dry_run": "say what would be asked and written, and do nothing",
    }
)
def init(
    _: Context,
    host: str,
    address: str = "",
    user: str = "root",
    port: int = 22,
    key: str = "",
    fingerprint: str = "",
    board: str = "",
    json: bool = False,
    dry_run: bool = False,
) -> None:
    """Write a board's first file from what it says of itself."""
    from deploy.boards.inventory import check_new_host, inventory_path, known_host, target_of
    from deploy.boards.layers import board_paths
    from deploy.ssh.scan import shown_host_key
    from recipes import paths

    known = known_host(host)
    if known is not None:
        _init_known(host, known, address, board, as_json=json, dry_run=dry_run)
        return
    name = board or host
    values: dict[str, str | int] = {"board": name, "address": address, "port": port, "user": user, "key": key}
    fresh = check_new_host(host, name, values)
    place = board_paths().get(name, paths.board_folders()[0] / name / "board.toml")
    if dry_run:
        what = f"show the host key of {fresh.address}, ask the board what it is and has"
        _would(host, f"{what}, and write {place} and {inventory_path()}", as_json=json)
        return
    shown = shown_host_key(fresh.address, fresh.port)
    _agree(host, shown, fingerprint)
    facts, _ = _ask(target_of(host, fresh.model_copy(update={"host_key": shown})), _FOLDERS)
    files = _write_board(host, name, values | {"host_key": shown}, facts)
    _tell_next(host, name, facts, files, as_json=json)


@command(
    help={
        "host": "name of a host of board-configs/hosts.toml",
        "fingerprint": "of its host key, as `ssh-keygen -lf` prints it on the board; asked on a terminal without it",
        "dry_run": "show the key that it has now, and write nothing",
    }
)
def enroll(_: Context, host: str, fingerprint: str = "", json: bool = False, dry_run: bool = False) -> None:
    """Accept a board's host key, new or changed, once a person vouches for it."""
    from deploy.boards.inventory import inventory_of, known_host, with_host_key
    from deploy.ssh import keys
    from deploy.ssh.scan import shown_host_key
    from recipes import console
    from recipes.files import write_whole

    known = known_host(host, any_key=True)
    if known is None:
        raise ConfigError(f"no host {host!r}", next_step=f"invoke board.init --host {host} --address ADDRESS adds it")
    if known.simulated:
        raise ConfigError(f"{host} is simulated", why="its key is made with it: there is nobody to be asked")
    path = inventory_of(host)
    shown = shown_host_key(known.address, known.port)
    before = keys.fingerprint(known.host_key) if known.host_key else ""
    told = {"host": host, "fingerprint": keys.fingerprint(shown), "before": before, "inventory": str(path)}
    changes = known.host_key != shown
    if changes and not dry_run:
        if before:
            console.note(f"{host} is known by {before}, and shows another key now: a new system, or another machine")
        _agree(host, shown, fingerprint)
        write_whole(path, with_host_key(path.read_text(), host, shown).encode())
    if json:
        console.emit({**told, "changed": changes and not dry_run})
        return
    what = "shows the key that is known" if not changes else "shows another key than" if dry_run else "is known now by"
    console.out(f"{host} {what}{f' in {path}' if changes and dry_run else ''}: {told['fingerprint']}")


def _init_known(host: str, known: Host, address: str, board: str, *, as_json: bool, dry_run: bool) -> None:
    """Write the file of a board whose host is described already; a file that is there stays."""
    from deploy.boards.inventory import target_of
    from deploy.boards.layers import board_paths
    from recipes import paths
    from recipes.files import write_whole

    if address:
        raise ConfigError(f"there is a host {host} already", next_step="edit its table, or take another --host")
    name = board or known.board
    if name in board_paths():
        raise ConfigError(
            f"there is a board {name} already",
            where=str(board_paths()[name]),
            next_step=f"invoke board.init --host {host} --board NAME writes another one; or invoke board.check "
            f"--host {host} checks this one against the board",
        )
    path = paths.board_folders()[0] / name / "board.toml"
    if dry_run:
        _would(host, f"ask the board what it is and has, and write {path}", as_json=as_json)
        return
    facts, _ = _ask(target_of(host, known), _FOLDERS)
    write_whole(path, _first_file(name, facts))
    _tell_next(host, name, facts, [path], as_json=as_json)


def _would(host: str, what: str, *, as_json: bool) -> None:
    from recipes import console

    console.emit({"host": host, "would": what}) if as_json else console.out(f"{host}: would {what}")


def _first_file(name: str, facts: BoardFacts) -> bytes:
    from deploy.boardfiles.first import first_board_file
    from recipes.toolchains.sysroots import sysroot_names

    return first_board_file(facts, name, sysroot_names()).encode()


def _agree(host: str, shown: str, given: str) -> None:
    """Let a person vouch for a host key: by the fingerprint that was given, or by a yes on the terminal.

    Raises
    ------
    PreflightError
        The key is another one, or nobody vouches for it; nothing was written.
    """
    from deploy.ssh.keys import fingerprint
    from recipes import console, progress

    here = fingerprint(shown)
    kind = shown.partition(" ")[0]
    how = "on the board's own console: ssh-keygen -lf /etc/ssh/ssh_host_ed25519_key.pub, or dropbearkey -y -f FILE"
    if given:
        if given.removeprefix("SHA256:").rstrip("=") == here.removeprefix("SHA256:"):
            return
        raise PreflightError(
            f"{host} shows another host key; nothing was written",
            why=f"it is {here} ({kind}), not {given}",
            next_step=how,
        )
    console.note(f"The host key that {host} shows: {here} ({kind})")
    console.note(f"  compare it {how}")
    if not sys.stdin.isatty():
        raise PreflightError(
            "nobody vouches for the host key; nothing was written",
            why=f"{host} shows {here}, and there is no terminal to ask on",
            next_step="compare it on the board, then give it with --fingerprint",
        )
    with progress.quiet():
        console.note("Is it the same? [y/N] ", end="")
        answer = sys.stdin.readline()
    if answer.strip().lower() not in ("y", "yes"):
        raise PreflightError("the host key was not accepted; nothing was written", next_step=how)


def _write_board(host: str, name: str, values: dict[str, str | int], facts: BoardFacts) -> list[Path]:
    """Write both files of a new board; one that is described already keeps its file, and has to be of its kind."""
    from deploy.boards.board import load_board
    from deploy.boards.introduce import BoardSelf, refuse_other_board
    from deploy.boards.inventory import inventory_path, with_host
    from deploy.boards.layers import board_paths
    from recipes import paths
    from recipes.files import write_whole
    from recipes.toolchains.vendor import parse_arch

    path = inventory_path()
    usual = {"port": 22, "key": ""}
    table = {key: value for key, value in values.items() if usual.get(key) != value}
    text = with_host(path.read_text() if path.is_file() else "", host, table)
    file = board_paths().get(name)
    if file is not None:
        told = BoardSelf(machine=facts.kernel.machine, identity=facts.userland.identity, loaders=(), release={})
        refuse_other_board(told, name, parse_arch(load_board(name).file.arch))
    else:
        file = paths.board_folders()[0] / name / "board.toml"
        write_whole(file, _first_file(name, facts))
    write_whole(path, text.encode())
    return [file, path]


def _tell_next(host: str, name: str, facts: BoardFacts, files: list[Path], *, as_json: bool) -> None:
    """Say what was written, what needs care, and the commands that come next."""
    from deploy.boards.board import load_board
    from deploy.probe.findings import findings
    from recipes import console

    board = load_board(name).file
    where = ", ".join(map(str, files))
    if as_json:
        written = {"host": host, "board": name, "arch": board.arch, "system": facts.system}
        console.emit({**written, "files": [str(path) for path in files]})
        return
    identity = facts.userland.identity.describe() if facts.userland.identity else "unknown"
    machine = f"{facts.kernel.machine}, {identity}"
    told = {"system": facts.system or "unknown", "machine": machine, "arch": board.arch, "files": where}
    care = {finding.check: finding.text for finding in findings(facts, camera_wanted=False) if finding.level > 1}
    console.fields(f"Host {host}, board {name}", told | care)
    steps = [
        f"invoke board.check --host {host}",
        f"invoke sysroot.pull --host {host}",
        f"invoke build --board {name}",
        f"invoke bundle --board {name}",
        f"invoke deploy --host {host}",
    ]
    console.out("Next:", *(f"  {step}" for step in steps))


@command(
    iterable=["board"],
    help={
        "board": f"{BOARD}, or of an example; all of both without it; may be given more than once",
        "host": f"{HOST}: its board's file is also checked against what a probe of it sees",
    },
)
def check(_: Context, board: list[str], host: str = "", json: bool = False) -> None:
    """Say all that is wrong with board files, each with file, line and key."""
    from deploy.boardfiles.check import check_board
    from deploy.boards.layers import board_paths, example_paths
    from recipes import console
    from recipes.sources.recipe import load_catalogue

    names = board or ([] if host else [*board_paths(), *example_paths()])
    catalogue = load_catalogue()
    done = [check_board(name, catalogue=catalogue) for name in names]
    if host:
        done.append(_checked_live(host))
    if json:
        console.emit([_checked_facts(checked) for checked in done])
        if any(checked.faults for checked in done):
            raise Exit("", int(ExitCode.CONFIG))
        return
    for checked in done:
        for advice in checked.advice:
            console.out(f"advice: {advice}")
    told = [str(fault) for checked in done for fault in checked.faults]
    if told:
        raise ConfigError(
            f"{len(told)} fault{'s' * (len(told) > 1)} in {sum(bool(checked.faults) for checked in done)} of "
            f"{len(done)} board{'s' * (len(done) > 1)}",
            why="\n       ".join(told),
            next_step="every key is in docs/reference.md; then the same command again",
        )
    for checked in done:
        console.out(f"{checked.board}: right; streams: {', '.join(checked.streams) or 'none'}")


def _checked_live(host: str) -> CheckedBoard:
    """Check the file of a host's board against a probe of it."""
    from deploy.boardfiles.check import check_board
    from deploy.boardfiles.live import stream_facts
    from deploy.boards.board import load_board
    from deploy.boards.inventory import host_target, load_host

    name = load_host(host).board
    if (without := check_board(name)).faults:
        return without
    file = load_board(name).file
    facts, _ = _ask(host_target(host), (file.root, "/tmp"))  # noqa: S108 - a folder of the board
    return check_board(name, stream_facts(facts, file.limits.uplink_kbps))


def _checked_facts(checked: CheckedBoard) -> dict[str, Any]:
    from recipes.paths import shown_path

    rows = {
        kind: [{"file": shown_path(fault.path), "line": fault.line, "text": fault.text} for fault in faults]
        for kind, faults in (("faults", checked.faults), ("advice", checked.advice))
    }
    return {"board": checked.board, "file": shown_path(checked.path), "streams": list(checked.streams), **rows}


@command(
    help={
        "board": f"{BOARD}, or of an example",
        "origin": "also what is not written, and for each value the file and the line that it is from",
    }
)
def show(_: Context, board: str, origin: bool = False, json: bool = False) -> None:
    """Print a board's file as it is with all that it extends."""
    from deploy.boardfiles.show import board_as_toml, shown_values
    from deploy.boards.board import load_board
    from deploy.boards.layers import read_layers
    from recipes import console

    values = shown_values(read_layers(board), load_board(board).file)
    if json:
        rows = [{"key": ".".join(map(str, row.place)), "value": row.value, "origin": row.origin} for row in values]
        console.emit([row for row in rows if origin or row["origin"] != "default"])
        return
    console.out(*board_as_toml(values, origin=origin).splitlines())


@command(help={"json": "the same: it is JSON"})
def schema(_: Context, json: bool = False) -> None:
    """Print the JSON Schema of board files, for editors."""
    from deploy.boardfiles.schema import schema_text
    from recipes import console

    console.out(*schema_text().splitlines())
