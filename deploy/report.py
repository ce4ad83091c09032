"""What the tasks print of plans, bundles, releases and verdicts."""

from __future__ import annotations

from collections.abc import Sequence

from deploy.bundle import Bundle
from deploy.decision import DedupePlan
from deploy.explain import Answer
from deploy.host import Outcome
from deploy.release import ReleasePlan
from deploy.sizes import Report
from deploy.verify import Verdict, summary
from recipes import console
from recipes.buildplan import Plan
from recipes.stage import Stage


def resolution(prepared: Plan) -> None:
    """Print which dependency comes from where, and why."""
    rows = [[one.name, one.version, one.origin.value, one.because] for one in prepared.resolution.values()]
    console.table(
        f"Resolution for {prepared.arch.name} ({prepared.sysroot.name})", ["recipe", "version", "from", "because"], rows
    )


def commands(prepared: Plan) -> None:
    """Print every command that a build would run."""
    for step in prepared.steps:
        state = "in the cache" if step.built.is_dir() else "to be built"
        print(f"{step.recipe.name} {step.recipe.version}: {state} (key {step.key[:24]})")
        for command in step.commands:
            print(f"  {command.name}: {' '.join(command.full)}")


def stage(staged: Stage) -> None:
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


def bundle(made: Bundle, decided: DedupePlan) -> None:
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
    payload = sum(file.size for file in made.manifest.files)
    print(
        f"  {len(made.manifest.files)} files travel ({console.size(payload)}, {console.size(made.packed)} "
        f"packed); saved {console.size(decided.saved)} of {console.size(decided.total)}"
    )


def answers(found: Sequence[Answer]) -> None:
    """Print why libraries are where they are, each chain as a tree."""
    for answer in found:
        print(f"{answer.library}: {answer.action}: {answer.because}")
        for entry, links in answer.chains:
            print(f"  {entry}")
            for depth, link in enumerate(links):
                print(f"  {'   ' * depth}└─ {link.name}  {link.provider or 'nowhere'}")
                print(f"  {'   ' * depth}   tried {', '.join(link.tried)}")


def sizes(report: Report, title: str) -> None:
    """Print where the bytes of a bundle go, the largest first."""
    columns = ["file", "bytes", "gzip", "xz", "code", "data", "symbols", "other"]
    rows = [
        [
            one.path,
            console.size(one.raw),
            console.size(one.gzip),
            console.size(one.xz),
            *(console.size(one.parts[kind]) if one.parts.get(kind) else "-" for kind in columns[4:]),
        ]
        for one in sorted(report.files, key=lambda one: -one.raw)
    ]
    console.table(title, columns, rows, right=columns[1:], roomy=columns[4:])
    print(
        f"  {console.size(report.raw)} travel ({console.size(sum(one.gzip for one in report.files))} gzipped, "
        f"{console.size(sum(one.xz for one in report.files))} as xz); "
        f"saved {console.size(report.saved)} of {console.size(report.naive)}"
    )


def release_plan(host: str, planned: ReleasePlan) -> None:
    """Print what a deploy would do."""
    if not planned.steps:
        print(f"{host}: nothing to do: {planned.because}")
    for step in planned.steps:
        print(f"{host}: {step.kind.value}: {step.detail}")


def outcome(done: Outcome) -> None:
    """Print what a deploy did, and the verdict of its checks."""
    release = done.release
    trips = f"{release.round_trips} round trip{'s' * (release.round_trips != 1)}"
    if not release.changed:
        print(f"Deploy to {release.host}: nothing to do: {release.because} (0 B payload, {trips})")
        return
    print(f"Deploy to {release.host}: release {release.id[:12]} is on ({console.size(release.payload)} sent, {trips})")
    if done.verdict is not None:
        verdicts([done.verdict])


def verdicts(found: Sequence[Verdict]) -> None:
    """Print the checks of one or more boards."""
    rows = [
        [host, name, "ok" if state == "passed" else state, evidence or "-"]
        for host, name, state, evidence in summary(found)
    ]
    console.table("Verify", ["host", "check", "result", "evidence"], rows)
    for verdict in found:
        print(f"  {verdict.host}: {'green' if verdict.green else 'red'} (JUnit: {verdict.junit})")
