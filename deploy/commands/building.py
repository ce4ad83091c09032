"""Tasks of building: images, sysroots, Stages, and why something would be built again."""

from __future__ import annotations

from typing import TYPE_CHECKING

from invoke import Context, Exit

from deploy.commands.command import ARCH, BOARD, DRY, JSON, MIRROR, command
from recipes.errors import ConfigError

if TYPE_CHECKING:
    from recipes.ask import Ask


@command(
    iterable=["arch"],
    help={
        "arch": f"{ARCH}; all without it",
        "check": "compile C and C++ in each, run the result under emulation, compare its ELF identity with the table",
        "json": JSON,
        "dry_run": DRY,
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


_RECIPE = "folder in recipes/catalog; the default ones without it; may be given more than once"
_VARIANT = "small, static, mbedtls, aligned, frames or debug; may be given more than once"


def _asked(
    board: str,
    recipe: list[str],
    policy: list[str] | None = None,
    variant: list[str] | None = None,
    patch: list[str] | None = None,
    *,
    jobs: int = 0,
    verbose: bool = False,
) -> Ask:
    """Return what the command line wants, on top of what the board's file wants."""
    from dataclasses import replace

    from recipes.ask import Ask
    from recipes.resolve import Policy

    ask = Ask()
    if board:
        from deploy.board import load_board

        ask = load_board(board).ask()
    given: dict[str, Policy | str] = {}
    for one in policy or []:
        name, equals, value = one.partition("=")
        if not equals or not name or not value:
            raise ConfigError(f"{one!r} is no policy", next_step="--policy openssl=source (or auto, board, a version)")
        given[name] = Policy(value) if value in {known.value for known in Policy} else value
    return replace(
        ask,
        names=tuple(recipe) or ask.names,
        policies={**ask.policies, **given},
        variants=(*ask.variants, *(variant or [])),
        patches=(*ask.patches, *(patch or [])),
        jobs=jobs,
        verbose=verbose,
    )


@command(
    iterable=["recipe", "mirror", "policy", "variant", "patch"],
    help={
        "arch": f"{ARCH}; several with commas between them",
        "recipe": _RECIPE,
        "board": f"{BOARD}: its sysroot, recipes, policies, variants and patches",
        "policy": "DEPENDENCY=auto, board, source or a version; may be given more than once",
        "variant": _VARIANT,
        "patch": "named change of upstream: uploader-mp3, uploader-alsa, keep-dependencies",
        "verbose": "every compiler command into the log (make VERBOSE=1)",
        "jobs": "parallel compiler processes; one per processor without it",
        "force": "build again what the cache has",
        "mirror": MIRROR,
        "json": JSON,
        "dry_run": DRY,
    },
)
def build(
    _: Context,
    arch: str,
    recipe: list[str],
    mirror: list[str],
    policy: list[str],
    variant: list[str],
    patch: list[str],
    board: str = "",
    verbose: bool = False,
    jobs: int = 0,
    force: bool = False,
    json: bool = False,
    dry_run: bool = False,
) -> None:
    """Cross-build recipes into a Stage, with no network."""
    from recipes import build as building
    from recipes import buildplan, console, paths
    from recipes.arch import Arch
    from recipes.fetch import mirrors

    folders = mirrors(mirror)
    arches = [Arch.parse(name) for name in arch.split(",")]
    ask = _asked(board, recipe, policy, variant, patch, jobs=jobs, verbose=verbose)
    if dry_run:
        planned = [buildplan.prepare(one, ask, build=False) for one in arches]
        if json:
            shown = [one.as_dict() for one in planned]
            console.emit(shown[0] if len(shown) == 1 else shown)
            return
        from deploy import report

        for one in planned:
            report.resolution(one)
            report.commands(one)
        return
    with paths.exclusive("build"):
        planned = [buildplan.prepare(one, ask) for one in arches]
        stages = building.run_all(planned, mirror=folders, force=force)
    if json:
        made = [staged.manifest.model_dump() for staged in stages]
        console.emit(made[0] if len(made) == 1 else made)
        return
    from deploy import report

    for one, staged in zip(planned, stages, strict=True):
        report.resolution(one)
        report.stage(staged)


@command(
    iterable=["recipe"],
    help={
        "arch": ARCH,
        "recipe": "as for build",
        "board": f"{BOARD}, as for build",
        "json": JSON,
        "dry_run": "accepted; this task only reads",
    },
)
def why(_: Context, arch: str, recipe: list[str], board: str = "", json: bool = False, dry_run: bool = False) -> None:
    """Say what would be built again, and what changed."""
    from recipes import build as building
    from recipes import buildplan, console
    from recipes.arch import Arch

    rows = building.why(buildplan.prepare(Arch.parse(arch), _asked(board, recipe), build=False))
    if json:
        console.emit(rows)
    else:
        table = [[row["recipe"], row["state"], row["changed"] or "-", row["key"]] for row in rows]
        console.table("Why", ["recipe", "state", "changed", "key"], table)


@command(help={"arch": ARCH, "board": f"{BOARD}, as for build", "json": JSON, "dry_run": "print the command line only"})
def shell(_: Context, arch: str, board: str = "", json: bool = False, dry_run: bool = False) -> None:
    """Open a shell where a build runs, with its environment."""
    import shlex

    from recipes import buildplan, console, process, worker
    from recipes.arch import Arch
    from recipes.engine import Engine

    prepared = buildplan.prepare(Arch.parse(arch), _asked(board, []))
    argv = Engine.connect().interactive(worker.shell(prepared))
    if json:
        console.emit(argv)
    elif dry_run:
        print(shlex.join(argv))
    elif code := process.passthrough(argv):
        raise Exit("", code)
