"""From a build plan to a Stage: one short run, what is there already left alone, nothing half-done taken for whole."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Sequence
from pathlib import Path

from recipes import console, gate, images, lock, paths, stage, steps
from recipes.buildplan import BuildStep, Plan
from recipes.engine import Engine, Job, Mount, caller
from recipes.errors import BuildError
from recipes.fetch import Fetched, fetch
from recipes.recipe import Recipe, catalogue, closure
from recipes.stage import Stage, StagedRecipe, StageManifest


def run(prepared: Plan, *, mirror: Sequence[Path] = (), force: bool = False) -> Stage:
    """Build what is missing and put the Stage together.

    Raises
    ------
    BuildError
        A source cannot be had, a command failed, or an output did not pass the gate. What was built before stays.
    """
    todo = [step for step in prepared.steps if force or not _whole(step)]
    if todo:
        pins = lock.load()
        sources = {
            step.recipe.name: fetch(pins.get(step.recipe.source), mirror)
            for step in todo
            if not step.recipe.source.startswith("path:")
        }
        engine = Engine.connect()
        if images.ensure(prepared.arch, engine).id != prepared.image.id:
            raise BuildError(
                "the toolchain image was made anew meanwhile",
                where=prepared.image.tag,
                next_step="the same command again",
            )
        for step in todo:
            _build(prepared, step, engine, sources.get(step.recipe.name))
    return _assemble(prepared)


def _whole(step: BuildStep) -> bool:
    """Tell whether the cache has this build, whole and unchanged; a damaged entry is removed."""
    try:
        kept = stage.load(step.built)
    except Exception:  # noqa: BLE001 - any damage means the same: build it again
        shutil.rmtree(step.built, ignore_errors=True)
        return False
    if stage.intact(kept.tree, kept.manifest.files):
        return True
    console.say(f"{step.recipe.name}: the cache entry was changed on disk; it is built again")
    shutil.rmtree(step.built, ignore_errors=True)
    return False


def _build(prepared: Plan, step: BuildStep, engine: Engine, source: Fetched | None) -> None:
    recipe, arch = step.recipe, prepared.arch
    log_path = paths.work() / "logs" / f"{arch.name}-{recipe.name}.log"
    log_path.parent.mkdir(parents=True, exist_ok=True)
    scratch_root = paths.work() / "scratch"
    scratch_root.mkdir(parents=True, exist_ok=True)
    with (
        console.timed(f"{recipe.name} {recipe.version} for {arch.name}"),
        tempfile.TemporaryDirectory(prefix=".scratch.part-", dir=scratch_root) as scratch_name,
        log_path.open("wb") as log,
    ):
        scratch = Path(scratch_name)
        job = _job(prepared, step, scratch, source)
        with engine.session(job) as session:
            for command in step.commands:
                log.write(f"\n==> {command.name}: {' '.join(command.full)}\n".encode())
                code = session.run(command.full, log=log, cwd=command.cwd)
                log.flush()
                if code != 0:
                    raise _failed(recipe, command, log_path, code, arch.name)
        _keep(prepared, step, scratch / "work" / "out" / str(steps.PREFIX).lstrip("/"))


def _job(prepared: Plan, step: BuildStep, scratch: Path, source: Fetched | None) -> Job:
    """Lay out the folders of one build and describe its container: no network, only `work` can be written to."""
    for folder in ("work/src", "work/build", "work/out", "prefix"):
        (scratch / folder).mkdir(parents=True)
    built = {other.recipe.name: other for other in prepared.steps}
    for need in closure(
        {name: one.recipe for name, one in built.items()} | _stubs(prepared, built), [step.recipe.name]
    ):
        if need.name != step.recipe.name and need.name in built:
            stage.graft(built[need.name].built / "tree", scratch / "prefix")
    mounts = [
        Mount(source=scratch / "work", target=steps.WORK, read_only=False),
        Mount(source=scratch / "prefix", target=steps.PREFIX),
        Mount(source=prepared.sysroot.tree, target=steps.SYSROOT),
    ]
    if source is not None:
        mounts.append(Mount(source=source.path, target=steps.ARCHIVE))
    else:
        own = step.recipe.folder() / step.recipe.source.removeprefix("path:")
        mounts.append(Mount(source=own, target=steps.SOURCE))
    return _container(prepared, mounts)


def shell_job(prepared: Plan) -> Job:
    """Describe the container of a build for a person: the Stage so far is the prefix, and the work is their own."""
    where = paths.work() / "shell"
    for folder in ("src", "build", "out"):
        (where / folder).mkdir(parents=True, exist_ok=True)
    prefix = prepared.folder / "tree"
    mounts = [
        Mount(source=where, target=steps.WORK, read_only=False),
        Mount(source=prepared.sysroot.tree, target=steps.SYSROOT),
        *([Mount(source=prefix, target=steps.PREFIX)] if prefix.is_dir() else []),
    ]
    return _container(prepared, mounts)


def _container(prepared: Plan, mounts: Sequence[Mount]) -> Job:
    return Job(
        image=prepared.image.tag,
        environment=steps.environment(prepared.arch),
        mounts=tuple(mounts),
        network="none",
        user=caller(),
        cwd=steps.WORK,
    )


def _stubs(prepared: Plan, built: dict[str, BuildStep]) -> dict[str, Recipe]:
    """Return the recipes that the board provides, without their own needs: the closure ends at them."""
    recipes = catalogue()
    return {name: recipes[name].model_copy(update={"depends": ()}) for name in prepared.resolution if name not in built}


def _failed(recipe: Recipe, command: steps.Step, log_path: Path, code: int, arch: str) -> BuildError:
    lines = log_path.read_text("utf-8", "replace").rstrip().splitlines()
    start = next((at for at, line in enumerate(lines) if line.startswith(f"==> {command.name}:")), 0)
    shown = lines[start + 1 :]
    marks = ("error:", "Error ", "fatal:", "undefined reference", "CMake Error", "not found")
    first = next((at for at, line in enumerate(shown) if any(mark in line for mark in marks)), None)
    part = shown[max(0, first - 1) : first + 9] if first is not None else shown[-10:]
    return BuildError(
        f"{recipe.name} {recipe.version}: {command.name} failed with exit code {code}",
        where=str(log_path),
        why="\n       ".join(part),
        next_step=f"read the log; or `invoke shell --arch {arch}` and run: {' '.join(command.full)[:160]}",
    )


def _keep(prepared: Plan, step: BuildStep, out: Path) -> None:
    """Pass an installed tree through the gate and put it into the cache under its key."""
    recipe = step.recipe
    if not out.is_dir():
        raise BuildError(f"{recipe.name}: nothing was installed", where=str(steps.PREFIX))
    # A .la file would make libtool write our build prefix into the RUNPATH of whatever links against it.
    for pattern in ("lib/*.la", *recipe.prune):
        for path in out.glob(pattern):
            shutil.rmtree(path) if path.is_dir() and not path.is_symlink() else path.unlink()
    wrong = gate.faults(recipe, prepared.arch, out)
    if wrong:
        raise BuildError(
            f"{recipe.name}: the build went through, its output does not pass", why="\n       ".join(wrong)
        )
    with paths.making(step.built) as part:
        shutil.copytree(out, part / "tree", symlinks=True)
        stage.write(_manifest(prepared, (step,), part / "tree"), part)


def _manifest(prepared: Plan, done: Sequence[BuildStep], tree: Path) -> StageManifest:
    return StageManifest(
        schema_=1,
        arch=prepared.arch.name,
        sysroot=prepared.sysroot.name,
        sysroot_fingerprint=prepared.sysroot.fingerprint,
        image=prepared.image.id,
        resolution=tuple(one.as_dict() for one in prepared.resolution.values()),
        recipes=tuple(
            StagedRecipe(
                name=step.recipe.name,
                version=step.recipe.version,
                licence=step.recipe.licence,
                source=step.recipe.source,
                key=step.key,
                parts=step.parts,
                outputs={output.path: output.kind for output in step.recipe.outputs},
                dlopen=step.recipe.dlopen,
            )
            for step in done
        ),
        files=tuple(stage.walk(tree)),
    )


def _assemble(prepared: Plan) -> Stage:
    """Put the built trees together; nothing is touched where the Stage is already this one."""
    keys = [step.key for step in prepared.steps]
    if (prepared.folder / stage.MANIFEST).is_file():
        try:
            there = stage.load(prepared.folder)
        except Exception:  # noqa: BLE001 - an old or damaged Stage is simply made anew
            there = None
        if (
            there
            and [one.key for one in there.manifest.recipes] == keys
            and stage.intact(there.tree, there.manifest.files)
        ):
            return there
    with paths.making(prepared.folder) as part:
        (part / "tree").mkdir()
        for step in prepared.steps:
            stage.graft(step.built / "tree", part / "tree")
        stage.write(_manifest(prepared, prepared.steps, part / "tree"), part)
    return stage.load(prepared.folder)


def why(prepared: Plan) -> list[dict[str, str]]:
    """Say for each recipe of a plan what would be rebuilt, and which part of its key changed since the last Stage."""
    try:
        last = {one.name: one for one in stage.load(prepared.folder).manifest.recipes}
    except Exception:  # noqa: BLE001 - no readable Stage: everything is new
        last = {}
    rows = []
    for step in prepared.steps:
        before = last.get(step.recipe.name)
        if step.built.is_dir():
            state, reason = "cached", ""
        elif before is None:
            state, reason = "build", "never built for this stage"
        else:
            names = sorted(set(step.parts) | set(before.parts))
            changed = [name for name in names if step.parts.get(name) != before.parts.get(name)]
            state, reason = "build", ", ".join(changed) or "the cache entry is gone"
        rows.append({"recipe": step.recipe.name, "state": state, "changed": reason, "key": step.key[:24]})
    return rows
