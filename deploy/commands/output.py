"""What the tasks print of plans, bundles, releases and verdicts."""

from __future__ import annotations

from collections.abc import Sequence

from deploy.bundle.load import Bundle
from deploy.dedupe.decision import DedupePlan
from deploy.release.deployment import DeployOutcome
from deploy.release.plan import ReleasePlan
from deploy.reports.explain import LibraryAnswer
from deploy.reports.sizes import SizeReport
from deploy.verify.verdict import Verdict, verdict_rows
from recipes import console
from recipes.builder.plan import BuildPlan
from recipes.stage.manifest import Stage


def print_resolution(prepared: BuildPlan) -> None:
    """Print which dependency comes from where, and why."""
    rows = [[one.name, one.version, one.origin.value, one.because] for one in prepared.resolution.values()]
    console.table(
        f"Resolution for {prepared.arch.name} ({prepared.sysroot.name})", ["recipe", "version", "from", "because"], rows
    )


def print_commands(prepared: BuildPlan) -> None:
    """Print every command that a build would run."""
    for step in prepared.steps:
        state = "in the cache" if step.built.is_dir() else "to be built"
        print(f"{step.recipe.name} {step.recipe.version}: {state} (key {step.key[:24]})")
        for command in step.commands:
            print(f"  {command.name}: {' '.join(command.full)}")


def print_stage(staged: Stage) -> None:
    """Print what a Stage holds."""
    manifest = staged.manifest
    console.fields(
        f"Stage for {manifest.arch}",
        {
            "recipes": ", ".join(f"{one.name} {one.version}" for one in manifest.recipes),
            "files": f"{len(manifest.files)}, {console.size(sum(file.size for file in manifest.files))}",
            "folder": staged.folder,
        },
    )


def print_bundle(made: Bundle, decided: DedupePlan) -> None:
    """Print the table of decisions, and what was saved."""
    rows = [
        [one.library, one.action.value, one.because, one.provider or "-", console.size(one.size) if one.size else "-"]
        for one in decided.decisions
    ]
    title = f"Bundle {made.id[:12]} for {made.manifest.board}"
    console.table(
        title, ["library", "action", "because", "provider", "bytes"], rows, right=["bytes"], roomy=["provider"]
    )
    for note in decided.notes:
        print(f"  note: {note}")
    for proof in (*decided.proofs, *decided.refused):
        if proof.types:
            print(f"  types of {proof.library}: {proof.types}")
    payload = sum(file.size for file in made.manifest.files)
    print(
        f"  {len(made.manifest.files)} files travel ({console.size(payload)}, {console.size(made.packed)} "
        f"packed); saved {console.size(decided.saved)} of {console.size(decided.total)}"
    )


def print_answers(found: Sequence[LibraryAnswer]) -> None:
    """Print why libraries are where they are, each chain as a tree."""
    for answer in found:
        print(f"{answer.library}: {answer.action}: {answer.because}")
        for entry, links in answer.chains:
            print(f"  {entry}")
            for depth, link in enumerate(links):
                print(f"  {'   ' * depth}└─ {link.name}  {link.provider or 'nowhere'}")
                print(f"  {'   ' * depth}   tried {', '.join(link.tried)}")


def print_sizes(report: SizeReport, title: str) -> None:
    """Print where the bytes of a bundle go, the largest first, and what they come to."""
    columns = ["file", "bytes", "gzip", "xz", "squashfs", "code", "data", "symbols", "other"]
    kinds = columns[5:]
    rows = [
        [
            one.path,
            console.size(one.raw),
            console.size(one.gzip),
            console.size(one.xz),
            "-",
            *(console.size(one.parts[kind]) if one.parts.get(kind) else "-" for kind in kinds),
        ]
        for one in sorted(report.files, key=lambda one: -one.raw)
    ]
    totals = [report.raw, sum(one.gzip for one in report.files), sum(one.xz for one in report.files)]
    packed = "-" if report.squashfs is None else console.size(report.squashfs)
    parts = [console.size(sum(one.parts.get(kind, 0) for one in report.files)) for kind in kinds]
    rows.append([f"all {len(report.files)} files", *map(console.size, totals), packed, *parts])
    console.table(title, columns, rows, right=columns[1:], roomy=kinds)
    image = f"squashfs: {report.squashfs_note}"
    if report.squashfs is not None:
        image = f"{console.size(report.squashfs)} as one squashfs ({report.squashfs_note})"
    print(
        f"  {console.size(totals[0])} travel ({console.size(totals[1])} gzipped, {console.size(totals[2])} as xz; "
        f"{image}); saved {console.size(report.saved)} of {console.size(report.naive)}"
    )
    for twin in report.twins:
        print(f"  linked in twice: {twin.describe()}")
    if report.free_flash is not None and report.left is not None:
        free = console.size(report.free_flash)
        fits = f"leaves {console.size(report.left)} of {free} free"
        short = f"does not fit: {console.size(-report.left)} more than the {free} that are free"
        print(f"  {fits if report.left >= 0 else short}")


def print_release_plan(host: str, planned: ReleasePlan) -> None:
    """Print what a deploy would do."""
    if not planned.steps:
        print(f"{host}: nothing to do: {planned.because}")
    for step in planned.steps:
        print(f"{host}: {step.kind.value}: {step.detail}")


def print_outcome(done: DeployOutcome) -> None:
    """Print what a deploy did, and the verdict of its checks."""
    release = done.release
    trips = f"{release.round_trips} round trip{'s' * (release.round_trips != 1)}"
    if not release.changed:
        print(f"Deploy to {release.host}: nothing to do: {release.because} (0 B payload, {trips})")
        return
    print(f"Deploy to {release.host}: release {release.id[:12]} is on ({console.size(release.payload)} sent, {trips})")
    for line in done.proved_again:
        print(f"  note: {line}")
    if done.verdict is not None:
        print_verdicts([done.verdict])


def print_verdicts(found: Sequence[Verdict]) -> None:
    """Print the checks of one or more boards."""
    rows = [
        [host, name, "ok" if state == "passed" else state, evidence or "-"]
        for host, name, state, evidence in verdict_rows(found)
    ]
    console.table("Verify", ["host", "check", "result", "evidence"], rows)
    for verdict in found:
        for note in verdict.notes:
            print(f"  note: {verdict.host}: {note}")
        print(f"  {verdict.host}: {'green' if verdict.green else 'red'} (JUnit: {verdict.junit})")
