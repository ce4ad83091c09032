"""Tasks of boards themselves: a new one described, simulated ones brought up and down, and the demo."""

from __future__ import annotations

import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING

from invoke import Context

from deploy.commands.command import HOST, command
from recipes.errors import ConfigError, PreflightError

if TYPE_CHECKING:
    from deploy.boards.board import Board
    from deploy.boards.introduce import BoardSelf
    from deploy.release.deployment import DeployOutcome
    from recipes.arch import Arch
    from recipes.engine.docker import Engine


@command(
    help={
        "host": "name for the new host in board-configs/hosts.toml",
        "address": "name or IP address of the board",
        "user": "who logs in",
        "port": "where its SSH server listens",
        "key": "path of the private key; the SSH agent and your own keys without it",
        "fingerprint": "of its host key, as `ssh-keygen -lf` prints it on the board; asked on a terminal without it",
        "board": "name of the board's folder in board-configs/; the host's name without it",
        "dry_run": "say what would be asked and written, and do nothing",
    }
)
def new(
    _: Context,
    host: str,
    address: str,
    user: str = "root",
    port: int = 22,
    key: str = "",
    fingerprint: str = "",
    board: str = "",
    json: bool = False,
    dry_run: bool = False,
) -> None:
    """Describe a board: its host key, what it is, and both files."""
    from deploy.boards.introduce import ask_board
    from deploy.boards.inventory import check_new_host, inventory_path, target_of
    from deploy.boards.session import connect
    from deploy.ssh.scan import shown_host_key
    from recipes import console, paths

    name = board or host
    values: dict[str, str | int] = {"board": name, "address": address, "port": port, "user": user, "key": key}
    fresh = check_new_host(host, name, values)
    files = [str(paths.BOARDS / name / "board.toml"), str(inventory_path())]
    if dry_run:
        plan = f"show the host key of {fresh.address}, ask the board what it is, and write {' and '.join(files)}"
        console.emit({"host": host, "would": plan}) if json else console.out(f"{host}: would {plan}")
        return
    shown = shown_host_key(fresh.address, fresh.port)
    _agree(host, shown, fingerprint)
    with connect(target_of(host, fresh.model_copy(update={"host_key": shown}))) as session:
        told = ask_board(session)
    arch = _write_board(host, name, values | {"host_key": shown}, told)
    steps = [
        f"invoke sysroot.pull --host {host}",
        f"invoke build --arch {arch.name} --board {name}",
        f"invoke bundle --board {name}",
        f"invoke deploy --host {host}",
    ]
    if json:
        console.emit({"host": host, "board": name, "arch": arch.name, "system": told.system, "files": files})
        return
    facts = {"system": told.system, "machine": told.describe(), "arch": arch.name, "files": ", ".join(files)}
    console.fields(f"Host {host}, board {name}", facts)
    console.out("Next:", *(f"  {step}" for step in steps))


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


def _write_board(host: str, name: str, values: dict[str, str | int], told: BoardSelf) -> Arch:
    """Write both files of a new board; one that is described already keeps its file, and has to be of its kind."""
    from deploy.boards.board import board_names, load_board
    from deploy.boards.introduce import arch_of, board_toml, refuse_other_board
    from deploy.boards.inventory import inventory_path, with_host
    from recipes import paths
    from recipes.files import write_whole
    from recipes.toolchains.vendor import parse_arch

    path = inventory_path()
    usual = {"port": 22, "key": ""}
    table = {key: value for key, value in values.items() if usual.get(key) != value}
    text = with_host(path.read_text() if path.is_file() else "", host, table)
    if name in board_names():
        arch = parse_arch(load_board(name).file.arch)
        refuse_other_board(told, name, arch)
    else:
        arch = arch_of(told)
        write_whole(paths.BOARDS / name / "board.toml", board_toml(name, told, arch).encode())
    write_whole(Path(path), text.encode())
    return arch


@command(
    positional=["action"],
    help={
        "action": "up, down or status",
        "host": f"{HOST}; every simulated one without it",
    },
)
def sim(_: Context, action: str, host: str = "", json: bool = False, dry_run: bool = False) -> None:
    """Bring simulated boards up or down, or list them."""
    from deploy.boards.inventory import load_host, load_hosts, sim_state
    from deploy.sim.boards import bring_up, take_down
    from recipes import console
    from recipes.engine.docker import Engine

    if action not in ("up", "down", "status"):
        raise ConfigError(f"no action {action!r}", why="known: up, down, status", next_step="invoke sim status")
    if host:
        load_host(host)
    names = [host] if host else [name for name, known in load_hosts().items() if known.simulated]
    engine = None if dry_run else Engine.connect()
    rows = []
    for name in names:
        if engine is not None and action == "up":
            bring_up(name, engine)
        elif engine is not None and action == "down":
            take_down(name, engine)
        there = sim_state(name)
        running = there is not None and engine is not None and engine.services.running(there.container)
        state = "up" if running else "recorded" if there else "down"
        if dry_run and action != "status":
            state = f"{state}; to be {'brought up' if action == 'up' else 'taken down'}"
        rows.append([name, state, there.address if there else "-"])
    if json:
        console.emit([dict(zip(("host", "state", "address"), row, strict=True)) for row in rows])
    else:
        console.table("Simulated boards", ["host", "state", "address"], rows)


@command(help={"host": f"{HOST}, a simulated one"})
def demo(_: Context, host: str = "sim-armv7", json: bool = False, dry_run: bool = False) -> None:
    """Build, dedupe, deploy to a simulated board, verify."""
    from deploy.boards.board import load_board
    from deploy.boards.inventory import load_host
    from deploy.commands.output import outcome_facts
    from deploy.sim.boards import bring_up, is_up, take_down
    from recipes import console
    from recipes.engine.docker import Engine

    board = load_board(load_host(host).board)
    if dry_run:
        steps = [f"build the recipes of {board.name}", f"bring {host} up", "bundle", "deploy", "verify", "deploy again"]
        steps.append(f"take {host} down, unless it was up before")
        console.emit({"host": host, "steps": steps}) if json else console.out(*steps)
        return
    begun = time.monotonic()
    engine = Engine.connect()
    _build_beside_the_root(board, engine, quiet=json)
    was_up = is_up(host, engine)
    try:
        bring_up(host, engine)
        outcomes = _deploy_twice(host, board, quiet=json)
    finally:
        # Somebody else may be at work on a board that was up: it is not taken away under their hands.
        if not was_up:
            take_down(host, engine)
    seconds = time.monotonic() - begun
    if json:
        console.emit({"host": host, "deploys": [outcome_facts(done) for done in outcomes], "seconds": round(seconds)})
    left = "stays up, as it was" if was_up else "is gone"
    console.say(f"the demo took {seconds:.0f} s; the board {left}, the bundle stays in .boardcast/bundles")


def _build_beside_the_root(board: Board, engine: Engine, *, quiet: bool) -> None:
    """Build while the board's root is made: the one waits for the mirror, the other for emulation."""
    from concurrent.futures import ThreadPoolExecutor

    from deploy.commands.output import print_resolution, print_stage
    from deploy.sim.boards import prepare_board
    from recipes import console
    from recipes.builder.run import build_stage, prepare_build
    from recipes.engine.docker import Engine
    from recipes.files import exclusive
    from recipes.toolchains.images import ensure_base_image
    from recipes.toolchains.vendor import parse_arch

    second = Engine.connect()
    ensure_base_image(engine)
    with ThreadPoolExecutor(max_workers=1) as pool:
        root = pool.submit(prepare_board, board, second)
        try:
            with exclusive("build"):
                prepared = prepare_build(parse_arch(board.file.arch), board.ask(), engine=engine)
                if not quiet:
                    print_resolution(prepared)
                staged = build_stage(prepared)
            if not root.done():
                console.say("the build is done; the board's packages are still being configured under emulation …")
            root.result()
        except BaseException:
            if not root.done():
                second.abort()  # its container goes, so its command ends
            raise
    if not quiet:
        print_stage(staged)


def _deploy_twice(host: str, board: Board, *, quiet: bool) -> list[DeployOutcome]:
    """Deploy a new bundle, and the same again: the second time nothing is left to do."""
    from deploy.boards.index import board_index
    from deploy.bundle.assemble import make_bundle, stage_for
    from deploy.commands.output import print_bundle, print_outcome
    from deploy.release.deployment import deploy_to

    made, decided = make_bundle(board, stage_for(board), board_index(board))
    if not quiet:
        print_bundle(made, decided)
    outcomes = []
    for _ in range(2):
        outcomes.append(deploy_to(host, made))
        if not quiet:
            print_outcome(outcomes[-1])
    return outcomes
