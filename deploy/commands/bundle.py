"""Tasks of bundles: make one, explain a decision, weigh it, compare two, check one that came from elsewhere."""

from __future__ import annotations

from pathlib import Path

from invoke import Context

from deploy.cli.command import BOARD, HOST, command, known_names

_FILE = "id of a bundle here, or its beginning as printed; or a bundle file, such as one from elsewhere"


@command(
    default=True,
    help={
        "board": BOARD,
        "budget": "fail if what travels is larger, such as 6MiB",
        "types": "also compare types with libabigail, where both copies have debug information",
        "i_know": "reason to use a board's copy whose proof fails, where a rule of the board allows no other",
        "as_built": "take the Stage as it is, though recipes or the board's file changed since it was built",
        "dry_run": "decide and print; write no archive",
    },
)
def make(
    _: Context,
    board: str,
    budget: str = "",
    types: bool = False,
    i_know: str = "",
    as_built: bool = False,
    json: bool = False,
    dry_run: bool = False,
) -> None:
    """Decide what a board gets, prove what it has, pack the rest."""
    from deploy.boards.board import load_board
    from deploy.boards.index import board_index
    from deploy.bundle.assemble import make_bundle
    from deploy.cli.output import print_bundle
    from deploy.release.fresh import current_stage
    from deploy.reports.sizes import check_budget, parse_size, weigh_bundle
    from recipes import console

    limit = parse_size(budget) if budget else None
    read = load_board(board)
    staged, index = current_stage(read, as_built=as_built), board_index(read)
    made, decided = make_bundle(read, staged, index, write=not dry_run, i_know=i_know, types=types)
    if json:
        console.emit(made.manifest.model_dump() | {"id": made.id, "file": str(made.path)})
    else:
        print_bundle(made, decided)
        if not dry_run:
            host = known_names({"board": board})["HOST"] or "HOST"
            console.out(f"  {made.path}", f"  next: invoke deploy --host {host}")
    if limit is not None and not dry_run:
        check_budget(weigh_bundle(made, decided), limit)


@command(
    positional=["library"],
    help={
        "library": "SONAME, or the name without its version: libcrypto",
        "board": BOARD,
    },
)
def why(_: Context, library: str, board: str, json: bool = False) -> None:
    """Print the chain from each entry point to a library's decision."""
    from deploy.boards.board import load_board
    from deploy.boards.index import board_index
    from deploy.bundle.assemble import make_bundle, stage_for
    from deploy.cli.output import print_answers
    from deploy.reports.explain import explain_library
    from recipes import console
    from recipes.toolchains.vendor import parse_arch

    read = load_board(board)
    index = board_index(read)
    _made, decided = make_bundle(read, stage_for(read), index, write=False)
    answers = explain_library(library, decided, index, parse_arch(read.file.arch))
    if json:
        console.emit([answer.as_dict() for answer in answers])
    else:
        print_answers(answers)


@command(
    help={
        "board": BOARD,
        "host": f"{HOST}: also say what its flash has left",
        "svg": "also write the picture to this file",
        "budget": "fail if what travels is larger, such as 6MiB",
        "dry_run": "weigh and print; draw no picture",
    }
)
def sizes(
    _: Context,
    board: str,
    host: str = "",
    svg: str = "",
    budget: str = "",
    json: bool = False,
    dry_run: bool = False,
) -> None:
    """Weigh a bundle per file and section, raw and packed."""
    from deploy.boards.board import load_board
    from deploy.boards.index import board_index
    from deploy.bundle.assemble import make_bundle, stage_for
    from deploy.cli.output import print_sizes
    from deploy.release.deployment import free_flash_if_on
    from deploy.reports.sizes import check_budget, parse_size, weigh_bundle
    from deploy.reports.svg import draw_sizes
    from recipes import console
    from recipes.files import write_whole

    limit = parse_size(budget) if budget else None
    read = load_board(board)
    made, decided = make_bundle(read, stage_for(read), board_index(read))
    free = free_flash_if_on(host) if host else None
    weighed = weigh_bundle(made, decided, squashed=True, free_flash=free)
    if svg and not dry_run:
        write_whole(Path(svg), draw_sizes(weighed, f"Bundle {made.id[:12]} for {board}").encode())
    if json:
        console.emit(weighed.as_dict())
    else:
        print_sizes(weighed, f"Bundle {made.id[:12]} for {board}")
    if limit is not None:
        check_budget(weighed, limit)


@command(
    positional=["old", "new"],
    help={"old": _FILE, "new": _FILE},
)
def diff(_: Context, old: str, new: str, json: bool = False) -> None:
    """Say what changed from one bundle to another."""
    from deploy.bundle.load import find_bundle, load_bundle
    from deploy.reports.bundle_diff import bundle_differences
    from recipes import console

    rows = bundle_differences(load_bundle(find_bundle(old)).manifest, load_bundle(find_bundle(new)).manifest)
    if json:
        console.emit([dict(zip(("what", "name", "change"), row, strict=True)) for row in rows])
    elif rows:
        console.table("Changes", ["what", "name", "change"], [list(row) for row in rows])
    else:
        console.out("the two bundles have the same content")


@command(
    positional=["file"],
    help={
        "file": _FILE,
    },
)
def verify(_: Context, file: str, json: bool = False) -> None:
    """Check a bundle offline: signature, every byte, bill of materials."""
    from deploy.bundle.load import find_bundle, verify_bundle
    from recipes import console

    facts = verify_bundle(find_bundle(file)).as_dict()
    console.emit(facts) if json else console.fields("Whole, and signed by a trusted key", facts)
