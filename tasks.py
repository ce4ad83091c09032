"""The invoke tasks: parse flags, call one function, turn a UserError into a message and its exit code."""

from __future__ import annotations

import functools
import signal
import sys
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from invoke import Collection, Context, Exit, task

from recipes.errors import ConfigError, UserError

if TYPE_CHECKING:
    from recipes.buildplan import Plan

_ARCH = "armv7, aarch64, x86_64, armv5 or mipsel"
_JSON = "print the result as JSON"
_DRY = "print what would be done, and do nothing"
_HOST = "name of a host in board-configs/hosts.toml"
_BOARD = "name of a folder in board-configs/"
_MIRROR = "directory with archives/ and git/; may be given more than once"


def _interrupt(number: int, _frame: object) -> None:
    """End like Ctrl-C when a supervisor ends us: containers and half-made folders are cleaned up on the way."""
    raise KeyboardInterrupt(f"signal {number}")


def _command(**options: Any) -> Callable[[Callable[..., None]], Any]:
    """Make an invoke task that ends users' mistakes with a message and an exit code, never with a traceback."""

    def decorate(function: Callable[..., None]) -> Any:
        @functools.wraps(function)
        def wrapped(context: Context, **arguments: Any) -> None:
            signal.signal(signal.SIGTERM, _interrupt)
            signal.signal(signal.SIGHUP, _interrupt)
            # invoke's own --dry stops shell commands only; ours do not go through a shell.
            if "dry_run" in arguments and context.config.run.dry:
                arguments["dry_run"] = True
            try:
                function(context, **arguments)
            except UserError as error:
                if arguments.get("json"):
                    from recipes import console

                    console.emit(error.as_dict())
                raise Exit(str(error), int(error.code)) from None
            except KeyboardInterrupt:
                raise Exit("interrupted; what was half done is cleaned up", 130) from None

        return task(auto_shortflags=False, **options)(wrapped)

    return decorate


def _plan(
    arch: str, board: str, recipe: list[str], jobs: int = 0, *, verbose: bool = False, build: bool = True
) -> Plan:
    from recipes import buildplan
    from recipes.arch import Arch

    parsed = Arch.parse(arch)
    sysroot, names, policies = "", list(recipe), {}
    if board:
        from deploy.board import load_board

        file = load_board(board).file
        sysroot, names, policies = file.sysroot, names or list(file.recipes), dict(file.policy)
    return buildplan.prepare(parsed, names, sysroot=sysroot, policies=policies, jobs=jobs, verbose=verbose, build=build)


@_command(
    iterable=["recipe", "mirror"],
    help={
        "recipe": "source to fetch; all of the lock without it",
        "mirror": _MIRROR,
        "offline": "cache and mirrors only",
        "json": _JSON,
        "dry_run": _DRY,
    },
)
def fetch(
    _: Context, recipe: list[str], mirror: list[str], offline: bool = False, json: bool = False, dry_run: bool = False
) -> None:
    """Bring the locked sources into the cache, each byte checked."""
    from recipes import console, lock
    from recipes import fetch as fetching

    pins = lock.load()
    wanted = [pins.get(name) for name in recipe] or list(pins.archive)
    mirrors = fetching.mirrors(mirror)
    rows = []
    for archive in wanted:
        if dry_run:
            rung = "cache" if fetching.cached(archive).is_file() else f"to be fetched: {archive.url}"
        else:
            rung = fetching.fetch(archive, mirrors, offline=offline).rung
        rows.append([archive.name, archive.version, archive.file, rung])
    if json:
        console.emit([dict(zip(("name", "version", "file", "from"), row, strict=True)) for row in rows])
    else:
        console.table("Sources", ["source", "version", "file", "from"], rows)


@_command(
    iterable=["arch"],
    help={
        "arch": f"{_ARCH}; all without it",
        "check": "compile C and C++ in each, run the result under emulation, compare its ELF identity with the table",
        "json": _JSON,
        "dry_run": _DRY,
    },
)
def images(_: Context, arch: list[str], check: bool = False, json: bool = False, dry_run: bool = False) -> None:
    """Make the toolchain image of each architecture."""
    from recipes import console
    from recipes import images as making
    from recipes.arch import ARCHES, Arch

    rows = []
    for one in [Arch.parse(name) for name in arch] or list(ARCHES.values()):
        if dry_run:
            rows.append([one.name, making.tag(one), "recorded" if making.known(one) else "to be made"])
            continue
        from recipes.engine import Engine

        engine = Engine.connect()
        state = (
            ", ".join(sorted(set(making.check(one, engine).values()))) if check else making.ensure(one, engine).id[7:19]
        )
        rows.append([one.name, making.tag(one), f"compiles and runs: {state}" if check else state])
    if json:
        console.emit([dict(zip(("arch", "image", "state"), row, strict=True)) for row in rows])
    else:
        console.table("Toolchain images", ["arch", "image", "state"], rows)


@_command(
    iterable=["name"],
    help={"name": "file in board-configs/sysroots; debian12-armv7 without it", "json": _JSON, "dry_run": _DRY},
)
def sysroot(_: Context, name: list[str], json: bool = False, dry_run: bool = False) -> None:
    """Unpack and index the roots that are compiled against."""
    from recipes import console, roots

    found = []
    for one in name or ["debian12-armv7"]:
        spec = roots.spec(one)
        root = roots.known_sysroot(one)
        if root is None and not dry_run:
            from recipes.engine import Engine

            root = roots.ensure_sysroot(one, Engine.connect())
        found.append(roots.describe(root) if root else {"sysroot": one, "to be made of": " ".join(spec.packages)})
    if json:
        console.emit(found)
    else:
        for facts in found:
            console.fields("Sysroot", facts)


@_command(
    iterable=["recipe", "mirror"],
    help={
        "arch": _ARCH,
        "recipe": "folder in recipes/catalog; the default ones without it; may be given more than once",
        "board": f"{_BOARD}: its sysroot, recipes and policies",
        "verbose": "every compiler command into the log (make VERBOSE=1)",
        "jobs": "parallel compiler processes; one per processor without it",
        "force": "build again what the cache has",
        "mirror": _MIRROR,
        "json": _JSON,
        "dry_run": _DRY,
    },
)
def build(
    _: Context,
    arch: str,
    recipe: list[str],
    mirror: list[str],
    board: str = "",
    verbose: bool = False,
    jobs: int = 0,
    force: bool = False,
    json: bool = False,
    dry_run: bool = False,
) -> None:
    """Cross-build recipes into a Stage, with no network."""
    from recipes import build as building
    from recipes import console, paths
    from recipes.fetch import mirrors

    folders = mirrors(mirror)
    if dry_run:
        prepared = _plan(arch, board, recipe, jobs, verbose=verbose, build=False)
        if json:
            console.emit(prepared.as_dict())
        else:
            from deploy import report

            report.resolution(prepared)
            report.commands(prepared)
        return
    with paths.exclusive("build"):
        prepared = _plan(arch, board, recipe, jobs, verbose=verbose)
        staged = building.run(prepared, mirror=folders, force=force)
    if json:
        console.emit(staged.manifest.model_dump())
        return
    from deploy import report

    report.resolution(prepared)
    report.stage(staged)


@_command(
    iterable=["recipe"],
    help={
        "arch": _ARCH,
        "recipe": "as for build",
        "board": f"{_BOARD}, as for build",
        "json": _JSON,
        "dry_run": "accepted; this task only reads",
    },
)
def why(_: Context, arch: str, recipe: list[str], board: str = "", json: bool = False, dry_run: bool = False) -> None:
    """Say what would be built again, and what changed."""
    from recipes import build as building
    from recipes import console

    rows = building.why(_plan(arch, board, recipe, build=False))
    if json:
        console.emit(rows)
    else:
        table = [[row["recipe"], row["state"], row["changed"] or "-", row["key"]] for row in rows]
        console.table("Why", ["recipe", "state", "changed", "key"], table)


@_command(
    help={"arch": _ARCH, "board": f"{_BOARD}, as for build", "json": _JSON, "dry_run": "print the command line only"}
)
def shell(_: Context, arch: str, board: str = "", json: bool = False, dry_run: bool = False) -> None:
    """Open a shell where a build runs, with its environment."""
    import shlex

    from recipes import build as building
    from recipes import console, process
    from recipes.engine import Engine

    argv = Engine.connect().interactive(building.shell_job(_plan(arch, board, [])))
    if json:
        console.emit(argv)
    elif dry_run:
        print(shlex.join(argv))
    elif code := process.passthrough(argv):
        raise Exit("", code)


@_command(help={"board": _BOARD, "json": _JSON, "dry_run": "decide and print; write no archive"})
def bundle(_: Context, board: str, json: bool = False, dry_run: bool = False) -> None:
    """Decide what a board gets, prove what it has, pack the rest."""
    from deploy import bundle as bundles
    from deploy import report
    from deploy.board import load_board
    from recipes import console

    read = load_board(board)
    made, decided = bundles.make(read, bundles.stage_for(read), bundles.board_index(read), write=not dry_run)
    if json:
        console.emit(made.manifest.model_dump() | {"id": made.id, "file": str(made.path)})
    else:
        report.bundle(made, decided)


@_command(
    help={
        "host": _HOST,
        "bundle": "file to deploy; the last one made for the board without it",
        "json": _JSON,
        "dry_run": _DRY,
    }
)
def deploy(_: Context, host: str, bundle: str = "", json: bool = False, dry_run: bool = False) -> None:
    """Send a bundle, switch to it, check it; go back if red."""
    from deploy import host as hosts
    from deploy import report
    from recipes import console

    chosen = hosts.bundle_for(host, bundle)
    if dry_run:
        planned = hosts.plan_deploy(host, chosen)
        if json:
            console.emit({"host": host, "release": chosen.id, "steps": [step.detail for step in planned.steps]})
        else:
            report.release_plan(host, planned)
        return
    done = hosts.deploy(host, chosen)
    if json:
        console.emit(
            {
                "host": host,
                "release": done.release.id,
                "changed": done.release.changed,
                "payload": done.release.payload,
                "round_trips": done.release.round_trips,
                "verdict": done.verdict.as_dict() if done.verdict else None,
            }
        )
    else:
        report.outcome(done)


@_command(iterable=["host"], help={"host": f"{_HOST}; every reachable one without it", "json": _JSON, "dry_run": _DRY})
def verify(_: Context, host: list[str], json: bool = False, dry_run: bool = False) -> None:
    """Check what runs on boards, with evidence and JUnit."""
    from deploy import host as hosts
    from deploy import report
    from deploy import verify as verifying
    from recipes import console

    names = host or hosts.reachable()
    if not names:
        raise ConfigError(
            "no host to verify",
            why="no simulated board is up, no real one is in the inventory",
            next_step="invoke sim up",
        )
    if dry_run:
        print("\n".join(f"{name}: release, loader and boardprobe checks" for name in names))
        return
    verdicts = [hosts.verify_host(name) for name in names]
    if json:
        console.emit([verdict.as_dict() for verdict in verdicts])
    else:
        report.verdicts(verdicts)
    for verdict in verdicts:
        verifying.demand(verdict)


@_command(help={"host": _HOST, "json": _JSON, "dry_run": "print which release it would be"})
def rollback(_: Context, host: str, json: bool = False, dry_run: bool = False) -> None:
    """Go back to the release that ran before."""
    from deploy import host as hosts
    from recipes import console

    identity = hosts.roll_back(host, dry_run=dry_run)
    if json:
        console.emit({"host": host, "release": identity, "done": not dry_run})
    else:
        print(
            f"{host}: {'would go' if dry_run else 'went'} back to {identity[:12] or 'nothing: no release came before'}"
        )


@_command(
    positional=["action"],
    help={
        "action": "up, down or status",
        "host": f"{_HOST}; every simulated one without it",
        "json": _JSON,
        "dry_run": _DRY,
    },
)
def sim(_: Context, action: str, host: str = "", json: bool = False, dry_run: bool = False) -> None:
    """Bring simulated boards up or down, or list them."""
    from deploy.board import load_host, load_hosts
    from deploy.sim import boards
    from recipes import console
    from recipes.engine import Engine

    if action not in ("up", "down", "status"):
        raise ConfigError(f"no action {action!r}", why="known: up, down, status", next_step="invoke sim status")
    if host:
        load_host(host)
    names = [host] if host else [name for name, one in load_hosts().items() if one.simulated]
    engine = None if dry_run else Engine.connect()
    rows = []
    for name in names:
        if engine is not None and action == "up":
            boards.up(name, engine)
        elif engine is not None and action == "down":
            boards.down(name, engine)
        there = boards.state(name)
        running = there is not None and engine is not None and engine.running(there.container)
        rows.append([name, "up" if running else "recorded" if there else "down", there.address if there else "-"])
    if json:
        console.emit([dict(zip(("host", "state", "address"), row, strict=True)) for row in rows])
    else:
        console.table("Simulated boards", ["host", "state", "address"], rows)


@_command(
    iterable=["board"],
    help={
        "format": "github, gitlab or json",
        "board": f"{_BOARD}; all without it",
        "json": "the same as --format json",
        "dry_run": "accepted; this task only reads",
    },
)
def matrix(_: Context, board: list[str], format: str = "json", json: bool = False, dry_run: bool = False) -> None:  # noqa: A002
    """Print the CI matrix: a row per board and its recipes."""
    from deploy import matrix as matrices
    from deploy.board import board_names, load_board

    found = matrices.rows([load_board(name) for name in board or board_names()])
    if not found:
        print("no board is configured: the matrix is empty", file=sys.stderr)
    print(matrices.render(found, "json" if json else format))


@_command(help={"host": f"{_HOST}, a simulated one", "json": "accepted; the demo is for people", "dry_run": _DRY})
def demo(_: Context, host: str = "sim-armv7", json: bool = False, dry_run: bool = False) -> None:
    """Build, dedupe, deploy to a simulated board, verify."""
    from deploy import demo as showing

    if dry_run:
        print(f"build the recipes of {host}, bring it up, bundle, deploy, verify, deploy again, take it down")
        return
    showing.run(host)


@_command(
    positional=["what"],
    help={"what": "elf, build or deploy", "json": _JSON, "dry_run": _DRY},
)
def bench(_: Context, what: str, json: bool = False, dry_run: bool = False) -> None:
    """Measure ratios side by side in one run."""
    from recipes import process

    script = Path(__file__).parent / "tests" / "bench" / f"bench_{what}.py"
    known = sorted(path.stem.removeprefix("bench_") for path in script.parent.glob("bench_*.py"))
    if what not in known:
        raise ConfigError(f"no bench {what!r}", why=f"known: {', '.join(known)}", next_step="invoke bench elf")
    argv = [sys.executable, str(script), *(["--json"] if json else [])]
    if dry_run:
        print(" ".join(argv))
    elif code := process.passthrough(argv, env={"PYTHONPATH": str(Path(__file__).parent)}):
        raise Exit("", code)


ns = Collection(fetch, images, sysroot, build, why, shell, bundle, deploy, verify, rollback, sim, matrix, demo, bench)
