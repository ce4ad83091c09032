"""Tasks of building: images, sysroots, Stages, and why something would be built again."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from invoke import Context, Exit

from deploy.cli.command import ARCH, BOARD, MIRROR, command
from recipes.errors import ConfigError, UserError

if TYPE_CHECKING:
    from recipes.arch import Arch
    from recipes.builder.request import BuildRequest


@command(
    iterable=["arch"],
    help={
        "arch": f"{ARCH}; all without it",
        "check": "compile C and C++ in each, run the result under emulation, compare its ELF identity with the table",
        "load": "take them out of this folder where it has them, and make none",
        "save": "make them, and put them into this folder, as a CI's cache wants them",
    },
)
def images(
    _: Context,
    arch: list[str],
    check: bool = False,
    load: str = "",
    save: str = "",
    json: bool = False,
    dry_run: bool = False,
) -> None:
    """Make the toolchain image of each architecture."""
    from recipes import console
    from recipes.arch import ARCHES
    from recipes.engine.docker import Engine
    from recipes.toolchains.images import check_image, ensure_image, image_tag, known_image, load_image, save_image
    from recipes.toolchains.vendor import parse_arch

    if sum(map(bool, (check, load, save))) > 1:
        raise ConfigError("--check, --load and --save are one at a time", next_step="invoke images --help")
    rows = []
    for target in [parse_arch(name) for name in arch] or list(ARCHES.values()):
        if dry_run:
            state = "recorded" if known_image(target) else "to be made"
        elif check:
            identities = sorted(set(check_image(target, Engine.connect()).values()))
            state = f"compiles and runs: {', '.join(identities)}"
        elif load:
            there = load_image(target, Path(load), Engine.connect())
            state = "in the engine" if there else "not in the folder: to be made"
        elif save:
            engine = Engine.connect()
            ensure_image(target, engine)
            state = f"saved: {save_image(target, Path(save), engine).name}"
        else:
            state = ensure_image(target, Engine.connect()).id[7:19]
        rows.append([target.name, image_tag(target), state])
    if json:
        console.emit([dict(zip(("arch", "image", "state"), row, strict=True)) for row in rows])
    else:
        console.table("Toolchain images", ["arch", "image", "state"], rows)


_RECIPE = "folder in recipes/catalog; the default ones without it; may be given more than once"
_VARIANT = "{variants}; may be given more than once"


def _asked(
    board: str,
    recipe: list[str],
    policy: list[str] | None = None,
    variant: list[str] | None = None,
    patch: list[str] | None = None,
    *,
    jobs: int = 0,
    verbose: bool = False,
) -> BuildRequest:
    """Return what the command line wants, on top of what the board's file wants."""
    from dataclasses import replace

    from deploy.boards.board import load_board
    from deploy.boards.layers import board_path
    from recipes.builder.request import BuildRequest, SourcePolicy, check_policies
    from recipes.sources.recipe import load_catalogue

    ask = BuildRequest()
    if board:
        ask = load_board(board).ask()
        check_policies(ask.policies, load_catalogue(), where=str(board_path(board)))
    given: dict[str, SourcePolicy | str] = {}
    for text in policy or []:
        name, equals, value = text.partition("=")
        if not equals or not name or not value:
            raise ConfigError(f"{text!r} is no policy", next_step="--policy openssl=source (or auto, board, a version)")
        given[name] = SourcePolicy(value) if value in {known.value for known in SourcePolicy} else value
    check_policies(given, load_catalogue(), where="--policy")
    return replace(
        ask,
        names=tuple(recipe) or ask.names,
        policies={**ask.policies, **given},
        variants=(*ask.variants, *(variant or [])),
        patches=(*ask.patches, *(patch or [])),
        jobs=jobs,
        verbose=verbose,
        keep=bool(recipe),
    )


def _arches(given: str, board: str) -> list[Arch]:
    """Return the architectures of a command line: those that are named there, else the one of the board.

    Raises
    ------
    UserError
        Neither is given.
    ConfigError
        An architecture is unknown, or is not the board's.
    """
    from deploy.boards.board import load_board
    from recipes.arch import ARCHES
    from recipes.toolchains.vendor import parse_arch

    arches = [parse_arch(name) for name in given.split(",") if name]
    own = parse_arch(load_board(board).file.arch) if board else None
    if own is None and not arches:
        raise UserError(
            "--arch is missing, and no --board that says which it is",
            why=f"known: {', '.join(ARCHES)}",
            next_step="the same command with --arch armv7, or with --board BOARD; --help has the rest",
        )
    if own is None:
        return arches
    if wrong := [arch.name for arch in arches if arch.name != own.name]:
        raise ConfigError(
            f"board {board} is {own.name}, not {', '.join(wrong)}", next_step=f"--board {board} without --arch"
        )
    return [own]


@command(
    iterable=["recipe", "mirror", "policy", "variant", "patch"],
    help={
        "arch": f"{ARCH}; several with commas between them; the board's own without it",
        "recipe": f"{_RECIPE}; the others of the Stage stay in it",
        "board": f"{BOARD}: its sysroot, recipes, policies, variants and patches",
        "policy": "DEPENDENCY=auto, board, source or a version; may be given more than once",
        "variant": _VARIANT,
        "patch": "named change of upstream: {patches}; may be given more than once",
        "verbose": "every compiler command into the log (make VERBOSE=1); with --dry-run every command in full",
        "jobs": "parallel compiler processes; one per processor without it",
        "force": "build again what the cache has, and compile all of it",
        "mirror": MIRROR,
    },
)
def build(
    _: Context,
    recipe: list[str],
    mirror: list[str],
    policy: list[str],
    variant: list[str],
    patch: list[str],
    arch: str = "",
    board: str = "",
    verbose: bool = False,
    jobs: int = 0,
    force: bool = False,
    json: bool = False,
    dry_run: bool = False,
) -> None:
    """Cross-build recipes into a Stage, with no network."""
    from deploy.cli.output import print_commands, print_resolution, print_stage
    from recipes import console
    from recipes.builder.run import build_stages, prepare_build
    from recipes.files import exclusive
    from recipes.sources.fetch import mirror_folders

    folders = mirror_folders(mirror)
    arches = _arches(arch, board)
    ask = _asked(board, recipe, policy, variant, patch, jobs=jobs, verbose=verbose)
    if dry_run:
        planned = [prepare_build(target, ask, build=False) for target in arches]
        if json:
            shown = [plan.as_dict() for plan in planned]
            console.emit(shown[0] if len(shown) == 1 else shown)
            return

        for plan in planned:
            print_resolution(plan)
            print_commands(plan, in_full=verbose)
        return
    with exclusive("build"):
        planned = [prepare_build(target, ask) for target in arches]
        stages = build_stages(planned, mirror=folders, force=force)
    if json:
        made = [staged.manifest.model_dump() for staged in stages]
        console.emit(made[0] if len(made) == 1 else made)
        return

    for plan, staged in zip(planned, stages, strict=True):
        print_resolution(plan)
        print_stage(staged)


@command(
    iterable=["recipe"],
    help={
        "arch": f"{ARCH}; the board's own without it",
        "recipe": "as for build",
        "board": f"{BOARD}, as for build",
    },
)
def why(_: Context, recipe: list[str], arch: str = "", board: str = "", json: bool = False) -> None:
    """Say what would be built again, and what changed."""
    from recipes import console
    from recipes.builder.run import explain_rebuilds, prepare_build

    ask = _asked(board, recipe)
    plans = [prepare_build(target, ask, build=False) for target in _arches(arch, board)]
    rows = [{"arch": plan.arch.name, **row} for plan in plans for row in explain_rebuilds(plan)]
    if json:
        console.emit(rows)
    else:
        columns = ["arch", "recipe", "state", "changed", "key"]
        console.table("What would be built again", columns, [[row[name] or "-" for name in columns] for row in rows])


@command(
    help={
        "arch": f"{ARCH}; the board's own without it",
        "board": f"{BOARD}, as for build",
        "dry_run": "print the command line only",
    }
)
def shell(_: Context, arch: str = "", board: str = "", json: bool = False, dry_run: bool = False) -> None:
    """Open a shell where a build runs, with its environment."""
    import shlex

    from recipes import console, process
    from recipes.builder.recipe_build import shell_job
    from recipes.builder.run import prepare_build
    from recipes.engine.docker import Engine

    targets = _arches(arch, board)
    if len(targets) > 1:
        raise ConfigError("a shell is for one architecture", next_step=f"invoke shell --arch {targets[0].name}")
    prepared = prepare_build(targets[0], _asked(board, []))
    argv = Engine.connect().interactive(shell_job(prepared))
    if json:
        console.emit(argv)
    elif dry_run:
        console.out(*shlex.join(argv).splitlines())
    elif code := process.passthrough(argv):
        raise Exit("", code)
