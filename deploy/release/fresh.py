"""Whether a Stage and a bundle are still those of the recipes, the board's file and the board's index as they are now.

What was changed and not built again must not be deployed as if it were: the old bundle would go to the board again.
"""

from __future__ import annotations

from dataclasses import replace

from deploy.boards.board import Board
from deploy.boards.index import board_index
from deploy.bundle.assemble import made_of, make_bundle, stage_for
from deploy.bundle.load import Bundle, bundles_folder, latest_bundle, read_made_of
from recipes import console
from recipes.builder.plan import BuildPlan
from recipes.builder.run import build_stage, prepare_build
from recipes.errors import ConfigError
from recipes.files import exclusive
from recipes.sources.fetch import mirror_folders
from recipes.sources.recipe import load_catalogue
from recipes.stage.manifest import STAGE_MANIFEST, Stage, StagedRecipe, stage_folder
from recipes.toolchains.images import known_image
from recipes.toolchains.sysroots import known_sysroot
from recipes.toolchains.vendor import parse_arch


def outdated_recipes(board: Board, staged: Stage) -> list[str]:
    """Return the recipes of a Stage that would be built otherwise today, each with what changed.

    Variants and patches that it was built with count as asked for. Empty, too, where this machine has neither the image
    nor the sysroot: the Stage came from elsewhere, and nothing can be said.
    """
    arch, ask = parse_arch(board.file.arch), board.ask()
    if known_image(arch) is None or known_sysroot(ask.sysroot) is None:
        return []
    has = {recipe.name: recipe for recipe in staged.manifest.recipes}
    variants = {name for recipe in has.values() for name in recipe.variants}
    known = {name for recipe in load_catalogue().values() for name in recipe.patches}
    patches = known & {name for recipe in has.values() for name in recipe.patches}
    ask = replace(
        ask,
        variants=tuple(dict.fromkeys((*ask.variants, *sorted(variants)))),
        patches=tuple(dict.fromkeys((*ask.patches, *sorted(patches)))),
    )
    return changed_recipes(prepare_build(arch, ask, build=False), has)


def changed_recipes(prepared: BuildPlan, has: dict[str, StagedRecipe]) -> list[str]:
    """Return what a plan would build otherwise than it is in a Stage: `NAME (what changed)`. Pure."""
    found = []
    for step in prepared.steps:
        before = has.get(step.recipe.name)
        if before is None:
            found.append(f"{step.recipe.name} (not in the Stage)")
        elif before.key != step.key:
            names = sorted(step.parts.keys() | before.parts.keys())
            changed = [name for name in names if step.parts.get(name) != before.parts.get(name)]
            found.append(f"{step.recipe.name} ({', '.join(changed) or 'its key'})")
    return found


def current_stage(board: Board, *, build: bool = False, as_built: bool = False) -> Stage:
    """Return the Stage of a board, which is that of its recipes as they are now.

    Parameters
    ----------
    build:
        Build it where it is not.
    as_built:
        Take it as it is, though something changed since.

    Raises
    ------
    ConfigError
        It was not built, or recipes or the board's file changed since.
    """
    if build:
        with exclusive("build"):
            prepared = prepare_build(parse_arch(board.file.arch), board.ask())
            return build_stage(prepared, mirror=mirror_folders())
    staged = stage_for(board)
    if not as_built and (changed := outdated_recipes(board, staged)):
        raise ConfigError(
            f"what was built for {board.name} is older than its recipes",
            where=str(staged.folder),
            why=f"changed since: {console.first_few(changed, 5)}",
            next_step=f"invoke build --arch {board.file.arch} --board {board.name}; or `--as-built` takes it as it is",
        )
    return staged


def changed_since(board: Board, identity: str) -> list[str]:
    """Return what changed since a bundle was made of it, in words; empty for a bundle that would be made again."""
    before = read_made_of(board.name, identity)
    if before is None:
        return ["nothing says what it was made of"]
    if not (stage_folder(board.file.arch, board.file.sysroot) / STAGE_MANIFEST).is_file():
        # A bundle that came with its folder to a machine that does not build: its board's file alone can be compared.
        same = board.digest == before.board
        return [] if same else ["the board's file"]
    staged = stage_for(board)
    now = made_of(board, staged, board_index(board))
    words = {"stage": "the Stage (built again)", "board": "the board's file", "index": "what the board has (its index)"}
    changed = [text for name, text in words.items() if getattr(now, name) != getattr(before, name)]
    return changed + [f"the recipe {recipe}" for recipe in outdated_recipes(board, staged)]


def current_bundle(board: Board, host: str, *, build: bool = False, make: bool = True) -> Bundle:
    """Return the last bundle of a board, or one made now where there is none yet.

    Parameters
    ----------
    host:
        For the next step.
    build:
        Build and bundle again what changed.
    make:
        False for a dry run, which makes none.

    Raises
    ------
    ConfigError
        There is none and none is to be made, or something that it was made of changed since, and is named.
    """
    if not (bundles_folder(board.name) / "latest").is_file():
        if not make:
            latest_bundle(board.name)  # says that there is none, and how to make one
        console.say(f"there is no bundle of {board.name} yet: it is made now")
        return make_bundle(board, current_stage(board, build=build), board_index(board))[0]
    last = latest_bundle(board.name)
    changed = changed_since(board, last.id)
    if changed and build:
        console.say(f"changed since {last.id[:12]} was made: {', '.join(changed)}; bundled again")
        return make_bundle(board, current_stage(board, build=True), board_index(board))[0]
    if changed:
        raise ConfigError(
            f"the last bundle of {board.name}, {last.id[:12]}, is older than what it was made of",
            where=str(last.path),
            why=f"changed since: {', '.join(changed)}",
            next_step=f"invoke deploy --host {host} --build; or --bundle {last.id[:12]}, to deploy it as it is",
        )
    return last


def build_needed(board: Board) -> str:
    """Return why a board's Stage has to be built, in words; empty where it is that of the recipes as they are now."""
    try:
        changed = outdated_recipes(board, stage_for(board))
    except ConfigError as error:
        return error.what
    return f"changed since: {console.first_few(changed, 5)}" if changed else ""


def bundle_needed(board: Board) -> str:
    """Return why a board's bundle has to be made, in words; empty where the last one is as it would be made now."""
    if not (bundles_folder(board.name) / "latest").is_file():
        return f"there is none of {board.name} yet"
    changed = changed_since(board, latest_bundle(board.name).id)
    return f"changed since: {', '.join(changed)}" if changed else ""


def plan_chain(board: Board) -> list[str]:
    """Return what `up` would do, a line a step, with what is skipped and why; nothing is built."""
    build = build_needed(board)
    bundle = "the Stage will be another one" if build else bundle_needed(board)
    return [
        f"build: {build}" if build else f"build: {_SAME_STAGE}",
        f"bundle: {bundle}" if bundle else f"bundle: {_SAME_BUNDLE}",
        "deploy: send what is missing and switch; nothing, where it runs there already and was verified",
        "verify: check what runs there",
    ]


def up_to_date_bundle(board: Board) -> Bundle:
    """Build and bundle what is missing or older than what it is made of, and say what is skipped and why."""
    build = build_needed(board)
    console.say(f"build: {build or _SAME_STAGE}")
    staged = current_stage(board, build=bool(build))
    bundle = bundle_needed(board)
    console.say(f"bundle: {bundle or _SAME_BUNDLE}")
    return make_bundle(board, staged, board_index(board))[0] if bundle else latest_bundle(board.name)


_SAME_STAGE = "skipped, the Stage is that of the recipes as they are now"
_SAME_BUNDLE = "skipped, the last one is as it would be made now"
