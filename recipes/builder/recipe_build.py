"""One recipe, from its sources to an entry of the cache that has passed the gate."""

from __future__ import annotations

import contextlib
import io
import os
import shutil
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path, PurePosixPath

from recipes import console, paths
from recipes.arch import Arch
from recipes.archives.intake import AbsoluteLinks, Limits, Part, RefusedError
from recipes.builder.commands import LEAVE, in_one_call, json_digest
from recipes.builder.diagnosis import CallLog, failed_command
from recipes.builder.plan import BuildPlan, RecipeBuild, own_sources
from recipes.builder.reuse import compiled_folder, keep_answers, place_answers, read_answers
from recipes.engine.confinement import build_ids
from recipes.engine.container import LONGEST_LOG, AbsentError, ContainerSession, Job, Mount
from recipes.engine.docker import Engine
from recipes.engine.layout import (
    ARCHIVE,
    CCACHE,
    DEBUG,
    GIT,
    LEFT,
    OUT,
    OWN,
    PATCHES,
    PREFIX,
    SOURCE,
    SYSROOT,
    WORK,
)
from recipes.errors import BuildError, ConfigError
from recipes.files import whole_folder, write_whole
from recipes.progress import timed
from recipes.rootfs.index import scan_root
from recipes.sources.fetch import FetchedArchive, archive_path
from recipes.sources.git import FetchedRepository
from recipes.sources.lock import Archive, Lock, PatchArchive, Repository, load_lock, lock_path, mirror_place
from recipes.sources.patches import (
    DistributionPatches,
    ReadPatch,
    patch_facts,
    read_patches,
    without_effect,
    write_patches,
)
from recipes.sources.recipe import Recipe, in_order, load_catalogue
from recipes.stage.gate import gate_faults
from recipes.stage.manifest import (
    STAGE_MANIFEST,
    StagedRecipe,
    StageManifest,
    graft_tree,
    is_intact,
    load_stage,
    prune_tree,
    walk_tree,
    write_manifest,
)
from recipes.text import one_line
from recipes.toolchains.environment import build_environment, build_files

Sources = Sequence[FetchedArchive | FetchedRepository]
_OUTPUT = Limits(members=100_000, bytes=2 << 30)
"""Of an installed tree, and of its debug information."""
# A cold build spends less on what a later one saves: headers are hashed once, and objects are not packed. What is built
# does not depend on it, so it is no part of a key. https://ccache.dev/manual/4.7.5.html#config_inode_cache
_CCACHE_SPEED = {"CCACHE_INODECACHE": "1", "CCACHE_NOCOMPRESS": "1"}
# Prints the commit of each checkout below the sources, nested ones too.
_HEADS = """find "$1" -name .git -prune | sort | while read -r path; do
    printf '%s ' "${path%/.git}"
    git -C "${path%/.git}" rev-parse HEAD
done"""


def build_recipe(prepared: BuildPlan, step: RecipeBuild, engine: Engine, sources: Sources) -> None:
    """Build one recipe and put it into the cache under its key.

    Raises
    ------
    BuildError
        A command failed (with the cause and the cure where the log shows a known one), the build cloned something that
        is not the lock's, or an output did not pass the gate.
    """
    recipe, arch = step.recipe, prepared.arch
    log_path = paths.work() / "logs" / f"{arch.name}-{recipe.name}.log"
    log_path.parent.mkdir(parents=True, exist_ok=True)
    scratch_root = paths.work() / "scratch"
    scratch_root.mkdir(parents=True, exist_ok=True)
    with (
        timed(f"{recipe.name} {recipe.version} for {arch.name}") as told,
        tempfile.TemporaryDirectory(prefix=".scratch.part-", dir=scratch_root) as scratch_name,
        log_path.open("wb") as log,
    ):
        job = _job(prepared, step, Path(scratch_name), sources)
        with engine.session(job, later=True) as session:
            watched = CallLog(log=log, told=told, commands=(*step.commands, LEAVE))
            most = (1 + len(watched.commands)) * LONGEST_LOG  # of each it is the log that counts
            code = session.run(in_one_call(watched.commands, watched.mark), log=watched, most=most)
            watched.close()
            if code != 0:
                raise failed_command(prepared, recipe, watched.current, log_path, code)
            _same_unit(recipe, session)
            session.still()
            told.at("what it installed", moved=lambda: session.taken)
            answers = _keep(prepared, step, session)
        keep_answers(recipe, step.parts, answers)


def _job(prepared: BuildPlan, step: RecipeBuild, scratch: Path, sources: Sources) -> Job:
    """Lay out the folders of one build and describe its container: no network, and `work` is its own copy."""
    recipe = step.recipe
    write_work(prepared.arch, recipe, scratch / "work")
    place_answers(recipe, step.parts, scratch / "work")
    (scratch / "prefix").mkdir()
    for need in needed_builds(prepared, step):
        graft_tree(need.built / "tree", scratch / "prefix")
    mounts = [
        Mount(source=scratch / "work", target=WORK, read_only=False),
        Mount(source=scratch / "prefix", target=PREFIX),
        Mount(source=compiled_folder(prepared, step), target=CCACHE, read_only=False, kept=True),
    ]
    if recipe.source.startswith("path:"):
        mounts.append(Mount(source=own_sources(recipe), target=OWN))
    for source in sources:
        if isinstance(source, FetchedArchive) and isinstance(source.archive, PatchArchive):
            continue  # read here: what is applied goes into `work`
        if isinstance(source, FetchedArchive):
            mounts.append(Mount(source=source.path, target=ARCHIVE))
        else:
            mounts.append(Mount(source=source.path, target=GIT / mirror_place(source.url)))
    return build_container(prepared, mounts, recipe)


def write_work(arch: Arch, recipe: Recipe, work: Path) -> None:
    """Write what a build's working folder holds at first: empty folders, the recipe's own files, what is applied."""
    for folder in ("src", "build", "out", "debug"):
        (work / folder).mkdir(parents=True)
    for name, text in build_files(arch).items():
        (work / name).write_text(text)
    if (recipe.folder() / "files").is_dir():
        # A link in a recipe's folder may name any file of this machine: it stays a link, which leads nowhere there.
        shutil.copytree(recipe.folder() / "files", work / "files", symlinks=True)
        _with_version(work / "files", recipe.version)
    if found := patches_of(recipe):
        write_patches(found, work / PATCHES.name)


def patches_of(recipe: Recipe) -> tuple[ReadPatch, ...]:
    """Read the distribution's patches of a recipe's source, which was fetched.

    Raises
    ------
    BuildError
        A patch is refused; or it would have no effect, because `configure` is not made anew from what it changes.
    """
    pin = None if recipe.source.startswith("path:") else load_lock().get(recipe.source)
    if not isinstance(pin, Archive) or pin.patch_archive is None:
        return ()
    found = read_patches(pin, archive_path(pin.patch_archive))
    if recipe.build == "autotools" and (idle := without_effect(found)):
        raise BuildError(
            f"{recipe.name}: a patch of {pin.revision} would have no effect",
            where=idle,
            why="it changes what `configure` is made from, and the release's own `configure` is used",
            next_step=f"name it in `without` of {recipe.source} in {lock_path().name}, with the reason",
        )
    return found


def _with_version(files: Path, version: str) -> None:
    """Put the version of what is built in the place of @VERSION@ in a recipe's own `.pc` and CMake files."""
    for path in [*files.rglob("*.pc"), *files.rglob("*.cmake")]:
        if path.is_file() and not path.is_symlink():
            path.write_text(path.read_text().replace("@VERSION@", version))


def build_container(prepared: BuildPlan, mounts: Sequence[Mount], recipe: Recipe | None = None) -> Job:
    """Describe the container of a build: the toolchain image, the sysroot, no network, no rights."""
    root = Mount(source=prepared.sysroot.tree, target=SYSROOT, key=f"sysroot-{prepared.sysroot.fingerprint[:16]}")
    return Job(
        image=prepared.image.tag,
        environment=build_environment(prepared.arch, recipe) | _CCACHE_SPEED,
        mounts=(*mounts, root),
        present={CCACHE: ("CCACHE_DIR", "CCACHE_DISABLE")},
        network="none",
        user=build_ids(),
        cwd=WORK,
    )


def _stubs(prepared: BuildPlan, built: dict[str, RecipeBuild]) -> dict[str, Recipe]:
    """Return the recipes that the board provides, without their own needs: the closure ends at them."""
    recipes = load_catalogue()
    return {name: recipes[name].model_copy(update={"depends": ()}) for name in prepared.resolution if name not in built}


def _same_unit(recipe: Recipe, session: ContainerSession) -> None:
    """Raise where the build checked out a commit of another unit: a mix of releases builds, and fails on the board."""
    if recipe.source.startswith("path:"):
        return
    pins = load_lock()
    allowed = {pin.commit: pin.name for pin in pins.needed(recipe.source) if isinstance(pin, Repository)}
    if not allowed:
        return
    printed = io.BytesIO()
    session.run(("sh", "-c", _HEADS, "heads", str(SOURCE)), log=printed)
    for line in printed.getvalue().decode("utf-8", "replace").splitlines():
        where, _, commit = line.rpartition(" ")
        if commit not in allowed and not _submodule(pins, where):
            raise BuildError(
                f"{recipe.name}: the build checked out {one_line(commit)}, which is not of this SDK release",
                where=one_line(where),
                why=f"locked together are: {', '.join(allowed.values())}",
                next_step=f"move the whole unit at once in {lock_path().name}",
            )


def _submodule(pins: Lock, where: str) -> bool:
    return any(where.endswith(f"/{module.path}") for pin in pins.repository for module in pin.submodules)


def _keep(prepared: BuildPlan, step: RecipeBuild, session: ContainerSession) -> bytes:
    """Take an installed tree out of its container, through the gate, and put it into the cache under its key.

    Returns what its configure found out.
    """
    recipe = step.recipe
    with whole_folder(step.built) as part:
        tree = part / "tree"
        answers = _take(recipe, session, part)
        # A .la file would make libtool write our build prefix into the RUNPATH of whatever links against it.
        prune_tree(tree, ("lib/*.la", *recipe.prune))
        if wrong := gate_of(prepared, step, tree):
            raise BuildError(
                f"{recipe.name}: the build went through, its output does not pass",
                why="\n       ".join(map(one_line, wrong)),
            )
        write_manifest(stage_manifest(prepared, (step,), tree), part)
    return answers


def gate_of(prepared: BuildPlan, step: RecipeBuild, tree: Path) -> list[str]:
    """Return all that is wrong with what a recipe installed, beside what it depends on and in the sysroot."""
    brought = {library.soname for made in prepared.steps for library in made.recipe.libraries}
    depends = [scan_root(made.built / "tree") for made in needed_builds(prepared, step)]
    return gate_faults(step.recipe, prepared.arch, tree, prepared.sysroot.index(), brought, depends)


def needed_builds(prepared: BuildPlan, step: RecipeBuild) -> list[RecipeBuild]:
    """Return what was built that a recipe depends on, in the order in which they were."""
    built = {made.recipe.name: made for made in prepared.steps}
    known = {name: made.recipe for name, made in built.items()} | _stubs(prepared, built)
    ordered = in_order(known, [step.recipe.name])
    return [built[need.name] for need in ordered if need.name != step.recipe.name and need.name in built]


def _take(recipe: Recipe, session: ContainerSession, part: Path) -> bytes:
    """Take the installed tree and its debug information, by the rules for what a stranger's container holds.

    Returns what its configure found out.
    """
    for name in ("tree", "debug", "answers"):
        (part / name).mkdir()
        (part / name).chmod(0o755)
    tree = PurePosixPath(OUT.name, *PREFIX.parts[1:])
    parts = [
        Part(into=part / "tree", below=tree, absolute=AbsoluteLinks.INSIDE, root=PREFIX),
        Part(into=part / "debug", below=PurePosixPath(DEBUG.name)),
        Part(into=part / "answers", below=PurePosixPath("answers")),
    ]
    with _what_is_left(recipe):
        taken, debug, _ = session.take_parts(LEFT, parts, limits=_OUTPUT)
        answers = read_answers(part / "answers")
    if not (taken.files or taken.links):
        raise BuildError(f"{recipe.name}: nothing was installed", where=str(PREFIX))
    shutil.rmtree(part / "answers")
    if not debug.files:
        shutil.rmtree(part / "debug")
    return answers


@contextlib.contextmanager
def _what_is_left(recipe: Recipe) -> Iterator[None]:
    """Say whose build it is that left what is not taken."""
    try:
        yield
    except (AbsentError, RefusedError) as error:
        raise BuildError(
            f"{recipe.name}: what its build left is refused",
            where=error.where,
            why=error.why if error.where else f"{error.what}{': ' * bool(error.why)}{error.why}",
            next_step=f"correct what {recipe.name} installs: files, and links that stay below the prefix",
        ) from error


def is_built(step: RecipeBuild) -> bool:
    """Tell whether the cache has this build, whole and unchanged; a damaged entry is removed."""
    try:
        kept = load_stage(step.built)
    except ConfigError:  # none, or damaged: both mean that it is to be built
        shutil.rmtree(step.built, ignore_errors=True)
        return False
    if is_intact(kept.tree, kept.manifest.files):
        return True
    console.say(f"{step.recipe.name}: the cache entry was changed on disk; it is built again")
    shutil.rmtree(step.built, ignore_errors=True)
    return False


def stage_manifest(prepared: BuildPlan, done: Sequence[RecipeBuild], tree: Path) -> StageManifest:
    """Return what a tree is and what it was made of."""
    pins = load_lock()
    return StageManifest(
        schema_=1,
        arch=prepared.arch.name,
        sysroot=prepared.sysroot.name,
        sysroot_fingerprint=prepared.sysroot.fingerprint,
        image=prepared.image.id,
        resolution=tuple(decision.as_dict() for decision in prepared.resolution.values()),
        recipes=tuple(step.kept or _staged(step, pins) for step in done),
        files=tuple(walk_tree(tree)),
    )


def _staged(step: RecipeBuild, pins: Lock) -> StagedRecipe:
    recipe = step.recipe
    used = () if recipe.source.startswith("path:") else pins.needed(recipe.source)
    return StagedRecipe(
        name=recipe.name,
        version=recipe.version,
        licence=recipe.licence,
        source=recipe.source,
        key=step.key,
        parts=step.parts,
        outputs={output.path: output.kind for output in recipe.outputs},
        dlopen=recipe.dlopen,
        pins={pin.name: pin.pinned for pin in used},
        variants=recipe.varied,
        patches={name: json_digest(recipe.patches[name].model_dump()) for name in recipe.applied}
        | ({"always": json_digest([edit.model_dump() for edit in recipe.edits])} if recipe.edits else {}),
        distribution=_distribution(step, used),
    )


def _distribution(step: RecipeBuild, used: Sequence[Archive | Repository]) -> DistributionPatches | None:
    """Return which of the distribution's patches a build has; of one that is there already what it says itself."""
    pin = used[0] if used else None
    if not isinstance(pin, Archive) or pin.patch_archive is None:
        return None
    if (step.built / STAGE_MANIFEST).is_file():
        return load_stage(step.built).manifest.recipes[0].distribution
    return patch_facts(pin, patches_of(step.recipe))


def shell_job(prepared: BuildPlan) -> Job:
    """Describe the container of a build for a person: the Stage so far is the prefix, and the work is their own.

    The work folder stays from one shell to the next, so nothing is written into it by name; the small files of a build
    are mounted over it, from a folder that no container can write to.
    """
    work = paths.work() / "shell"
    files = paths.work() / "shell-files"
    for folder in (work, files):
        folder.mkdir(parents=True, exist_ok=True)
    work.chmod(0o700)
    if os.getuid() == 0:
        os.chown(work, *(int(part) for part in build_ids().split(":")))
    mounts = [Mount(source=work, target=WORK, read_only=False, kept=True)]
    for name, text in build_files(prepared.arch).items():
        write_whole(files / name, text.encode())
        mounts.append(Mount(source=files / name, target=WORK / name))
    prefix = prepared.folder / "tree"
    if prefix.is_dir():
        mounts.append(Mount(source=prefix, target=PREFIX))
    return build_container(prepared, mounts)
