"""What the tasks print of plans, bundles, releases and verdicts."""

from __future__ import annotations

import shlex
import shutil
import textwrap
from typing import TYPE_CHECKING

from recipes import console
from recipes.errors import WIDEST, UserError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from deploy.bundle.load import Bundle
    from deploy.dedupe.decision import DedupePlan
    from deploy.release.deployment import DeployOutcome
    from deploy.release.plan import ReleasePlan
    from deploy.reports.explain import LibraryAnswer
    from deploy.reports.sizes import SizeReport
    from deploy.reports.static_twins import LinkedTwice
    from deploy.verify.verdict import Verdict
    from recipes.builder.plan import BuildPlan
    from recipes.stage.manifest import Stage

_NAME = 40
"""Letters of the name of a library that has nothing but a text for one."""


def print_resolution(prepared: BuildPlan) -> None:
    """Print which dependency comes from where, and why; what was asked for and changes nothing."""
    rows = [[made.name, made.version, made.origin.value, made.because] for made in prepared.resolution.values()]
    console.table(
        f"Resolution for {prepared.arch.name} ({prepared.sysroot.name})", ["recipe", "version", "from", "because"], rows
    )
    for note in prepared.notes:
        _fill(f"note: {note}", "  ", "    ")


def print_commands(prepared: BuildPlan, *, in_full: bool) -> None:
    """Print every command that a build would run, one a line; with `in_full` also what the cache spares, and scripts.

    Parameters
    ----------
    in_full:
        Nothing is cut, and scripts are shown.
    """
    width = _width()
    for step in prepared.steps:
        there = step.built.is_dir()
        state = "as it is" if step.kept else "in the cache" if there else "to be built"
        place = prepared.in_stage(step)
        console.out(f"{step.recipe.name} {step.recipe.version}: {state}; {place} (key {step.key[:12]})")
        for command in step.commands if in_full or not there else ():
            line = f"  {command.name}: {shlex.join(command.full) if in_full else command.brief}"
            shown = line.split("\n") if in_full else [line if len(line) <= width else f"{line[: width - 1]}…"]
            console.out(*shown)
    if not in_full and not all(step.built.is_dir() for step in prepared.steps):
        console.out("  every command in full, and those of what is in the cache: --verbose")


def print_stage(staged: Stage) -> None:
    """Print what a Stage holds."""
    manifest = staged.manifest
    console.fields(
        f"Stage for {manifest.arch}",
        {
            "recipes": ", ".join(f"{recipe.name} {recipe.version}" for recipe in manifest.recipes),
            "files": f"{len(manifest.files)}, {console.size(sum(file.size for file in manifest.files))}",
            "folder": staged.folder,
        },
    )


def print_bundle(made: Bundle, decided: DedupePlan) -> None:
    """Print the table of decisions, and what was saved."""
    rows = [
        [
            decision.library,
            decision.action.value,
            decision.because,
            decision.provider or "-",
            console.size(decision.size) if decision.size else "-",
        ]
        for decision in decided.decisions
    ]
    title = f"Bundle {made.id[:12]} for {made.manifest.board}"
    console.table(
        title, ["library", "action", "because", "provider", "bytes"], rows, right=["bytes"], roomy=["provider"]
    )
    for note in decided.notes:
        _fill(f"note: {note}", "  ", "    ")
    for proof in (*decided.proofs, *decided.refused):
        if proof.types:
            console.out(f"  types of {proof.library}: {proof.types}")
    payload, count = sum(file.size for file in made.manifest.files), len(made.manifest.files)
    _fill(
        f"{count} file{'s travel' if count != 1 else ' travels'} ({console.size(payload)}, {console.size(made.packed)} "
        f"packed); saved {console.size(decided.saved)} of {console.size(decided.total)}",
        "  ",
        "    ",
    )
    if made.path.is_file():
        console.out(f"  file: {made.path}")
        console.out(f"  next: {_next_of_bundle(made.manifest.board)}")


def _next_of_bundle(board: str) -> str:
    """Return the command that deploys a bundle, with the host filled in where the inventory has one for the board."""
    from deploy.boards.inventory import load_hosts

    try:
        hosts = [name for name, host in load_hosts().items() if host.board == board]
    except UserError:  # what is wrong with the inventory is told by the task that needs it
        hosts = []
    if not hosts:
        return f"invoke deploy --host HOST, once board-configs/hosts.toml names one of {board}"
    return f"invoke deploy --host {hosts[0]}"


def print_answers(answers: Sequence[LibraryAnswer]) -> None:
    """Print why libraries are where they are, each chain as a tree, once for all programs that it is the same for."""
    for answer in answers:
        _fill(f"{answer.library}: {answer.action}: {answer.because}", "", "  ")
        for entries, links in answer.folded():
            _fill(", ".join(entries), "  ", "  ")
            for depth, link in enumerate(links):
                step = f"  {'   ' * depth}"
                _fill(f"{link.name}  {link.provider or 'not found anywhere'}", f"{step}└─ ", f"{step}   ")
                _fill(f"tried {', '.join(link.tried)}", f"{step}   ", f"{step}   ")


def _fill(text: str, first: str, rest: str) -> None:
    """Print a text over as many lines as it takes, no wider than the terminal or WIDEST."""
    for line in textwrap.wrap(
        text, _width(), initial_indent=first, subsequent_indent=rest, break_long_words=False, break_on_hyphens=False
    ):
        console.out(line)


def _width() -> int:
    return min(WIDEST, shutil.get_terminal_size((WIDEST, 24)).columns)


def print_sizes(report: SizeReport, title: str) -> None:
    """Print where the bytes of a bundle go, the largest first, and what they come to."""
    from deploy.reports.static_twins import group_twins

    columns = ["file", "bytes", "gzip", "xz", "squashfs", "code", "data", "symbols", "other"]
    kinds = columns[5:]
    rows = [
        [
            file.path,
            console.size(file.raw),
            console.size(file.gzip),
            console.size(file.xz),
            "-",
            *(console.size(file.parts[kind]) if file.parts.get(kind) else "-" for kind in kinds),
        ]
        for file in sorted(report.files, key=lambda file: -file.raw)
    ]
    totals = [report.raw, sum(file.gzip for file in report.files), sum(file.xz for file in report.files)]
    packed = "-" if report.squashfs is None else console.size(report.squashfs)
    parts = [console.size(sum(file.parts.get(kind, 0) for file in report.files)) for kind in kinds]
    rows.append([f"all {len(report.files)} files", *map(console.size, totals), packed, *parts])
    console.table(title, columns, rows, right=columns[1:], roomy=kinds)
    image = f"squashfs: {report.squashfs_note}"
    if report.squashfs is not None:
        image = f"{console.size(report.squashfs)} as one squashfs ({report.squashfs_note})"
    raw, gzipped, xz = map(console.size, totals)
    _fill(f"{raw} travel ({gzipped} gzipped, {xz} as xz; {image})", "  ", "    ")
    console.out(f"  saved {console.size(report.saved)} of {console.size(report.naive)}")
    _print_twins(group_twins(report.twins))
    if report.free_flash is not None and report.left is not None:
        free = console.size(report.free_flash)
        fits = f"leaves {console.size(report.left)} of {free} free"
        short = f"does not fit: {console.size(-report.left)} more than the {free} that are free"
        console.out(f"  {fits if report.left >= 0 else short}")


def _print_twins(libraries: Sequence[LinkedTwice]) -> None:
    """Print which libraries were linked into several files, what that costs, and what to do about it."""
    for library in libraries:
        name = library.name if len(library.name) <= _NAME else f"{library.name[: _NAME - 1]}…"
        shown = repr(name) if " " in name else name  # a text, where no symbol has a name
        costs = f"about {console.size(library.total)} in all, {console.size(library.spared)} of it to spare"
        _fill(f"linked in {len(library.files)} times: {shown}: {costs}", "  ", "    ")
        _fill(f"in {console.first_few(library.files, 4)}", "    ", "      ")
        _fill(f"the same in each: {'; '.join(library.evidence)}", "    ", "      ")
    if libraries:
        cure = "build such a library once, as a shared one: a recipe of its own, and no --variant static"
        _fill(f"cure: {cure}; every pair: --json", "  ", "    ")


def print_release_plan(host: str, planned: ReleasePlan) -> None:
    """Print what a deploy would do."""
    if not planned.steps:
        console.out(f"{host}: nothing to do: {planned.because}")
    for step in planned.steps:
        by = f" (by {planned.by})" if step.size else ""
        console.out(f"{host}: {step.kind.value}: {step.detail}{by}")
    for line in planned.warnings:
        _fill(f"note: {line}", "  ", "    ")


def outcome_facts(done: DeployOutcome) -> dict[str, object]:
    """Return what a deploy did, for `--json`."""
    release = done.release
    return {
        "host": release.host,
        "release": release.id,
        "changed": release.changed,
        "payload": release.payload,
        "round_trips": release.round_trips,
        "via": done.plan.by,
        "services_kept": list(release.services.kept),
        "services_down_seconds": dict(release.services.down),
        "reverted": done.reverted,
        "warnings": list(done.plan.warnings),
        "verdict": done.verdict.as_dict() if done.verdict else None,
    }


def print_outcome(done: DeployOutcome) -> None:
    """Print what a deploy did, and the verdict of its checks."""
    release = done.release
    trips = f"{release.round_trips} round trip{'s' * (release.round_trips != 1)}"
    if not release.changed:
        console.out(f"Deploy to {release.host}: nothing to do: {release.because} (0 B payload, {trips})")
        if done.reverted:
            _fill(f"note: {done.reverted}", "  ", "    ")
        return
    sent = console.size(release.payload)
    console.out(f"Deploy to {release.host}: {release.id[:12]} runs there now ({sent} sent, {trips})")
    moved = release.services
    if moved.down:
        longest = ", ".join(f"{name} {seconds:.1f} s" for name, seconds in moved.down.items())
        _fill(f"streams were down for: {longest}", "  ", "    ")
    if moved.kept:
        _fill(f"not changed, so not restarted: {', '.join(moved.kept)}", "  ", "    ")
    for line in (*filter(None, [done.reverted]), *done.plan.warnings, *done.proved_again):
        _fill(f"note: {line}", "  ", "    ")
    if done.verdict is not None:
        print_verdicts([done.verdict])


def print_verdicts(verdicts: Sequence[Verdict]) -> None:
    """Print the checks of boards; nothing where there are none.

    The error that follows a red verdict has what was seen of the first red board: it is not printed twice.
    """
    if not verdicts:
        return
    from deploy.verify.verdict import verdict_rows

    told = next((verdict for verdict in verdicts if not verdict.green), None)
    rows = [
        [host, name, "ok" if state == "passed" else state, evidence or "-"]
        for verdict in verdicts
        for host, name, state, evidence in verdict_rows([verdict])
        if verdict is not told or state != "failed"
    ]
    if rows:
        console.table("Verify", ["host", "check", "result", "evidence"], rows)
    for verdict in verdicts:
        for note in verdict.notes:
            _fill(f"note: {verdict.host}: {note}", "  ", "    ")
        if verdict is not told:
            console.out(f"  {verdict.host}: {'green' if verdict.green else 'red'} (JUnit: {verdict.junit})")
