"""What the build benches share: a cache of their own, and a build as a person runs it, timed and weighed."""

from __future__ import annotations

import os
import resource
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from recipes import paths
from recipes.builder.commands import Command
from recipes.builder.plan import BuildPlan, own_sources
from recipes.builder.recipe_build import write_work
from recipes.engine.layout import ARCHIVE, CCACHE, GIT, OWN, PREFIX, SYSROOT, WORK
from recipes.sources.fetch import fetch_pins
from recipes.sources.git import FetchedRepository
from recipes.sources.lock import PatchArchive, load_lock, mirror_place
from recipes.toolchains.environment import build_environment

_SHARED = ("archives", "git", "sysroots", "images.json", "index")
"""Parts of the user's cache that no build writes: what a cold build may have."""


_ROOM = 8_000_000_000
"""Bytes: twice what the largest bench writes, and the compilers' own memory."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Run:
    """One run of `invoke build` in a process of its own."""

    seconds: float
    peak_mb: float
    """Largest resident set of our own processes so far, in MB; the engine's are not ours."""


@contextmanager
def place(*, sources: bool = True) -> Iterator[Path]:
    """Yield a folder with an empty work folder and a cache without any build in it; in memory, where there is room.

    What compilers write goes to a disk on both sides: to the engine's volume, and to a person's folder.

    Parameters
    ----------
    sources:
        With the git sources that were fetched already; not for upstreams that are stand-ins of this run.
    """
    memory = Path("/dev/shm")
    roomy = memory.is_dir() and shutil.disk_usage(memory).free > _ROOM
    with tempfile.TemporaryDirectory(prefix="boardcast-bench-", dir=memory if roomy else None) as name:
        folder = Path(name)
        (folder / "cache").mkdir()
        for shared in _SHARED:
            if (paths.cache() / shared).exists() and (sources or shared != "git"):
                (folder / "cache" / shared).symlink_to(paths.cache() / shared)
        yield folder


def ours(folder: Path, *words: str, env: Mapping[str, str] | None = None) -> Run:
    """Run `invoke build` as a person does."""
    here = {"BOARDCAST_WORK": str(folder / "work"), "BOARDCAST_CACHE": str(folder / "cache")}
    begun = time.perf_counter()
    done = subprocess.run(
        [sys.executable, "-m", "invoke", "build", *words],
        cwd=paths.CHECKOUT,
        env={**os.environ, **here, **(env or {})},
        check=False,
        capture_output=True,
        text=True,
    )
    seconds = time.perf_counter() - begun
    if done.returncode != 0:
        raise SystemExit(done.stderr)
    return Run(seconds=seconds, peak_mb=resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss / 1000)


def once_more(folder: Path, *words: str) -> Run:
    """Build what was built already as if its entries were gone: what the compilers made is in ccache."""
    shutil.rmtree(folder / "cache" / "built")
    return ours(folder, *words)


def by_hand(prepared: BuildPlan, folder: Path, *, ccache: bool = False, mirror: Sequence[Path] = ()) -> float:
    """Type the commands into one container with plain `docker`, as a person would: no checks, no cache, no Stage.

    With `ccache` the compilers are the ones that our builds have, ccache with an empty folder; else the bare ones.
    """
    bare = {"PATH": "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"}
    if ccache:
        bare = {"CCACHE_DIR": str(CCACHE)}
        (folder / "ccache").mkdir()
    with tempfile.TemporaryDirectory(prefix="bench-", dir=paths.cache()) as name:
        return _typed(prepared, folder, Path(name), bare, mirror)


def _typed(prepared: BuildPlan, folder: Path, disk: Path, bare: dict[str, str], mirror: Sequence[Path]) -> float:
    begun = time.perf_counter()
    prefix = disk / "prefix"
    prefix.mkdir()
    for step in prepared.steps:
        work = disk / step.recipe.name
        write_work(prepared.arch, step.recipe, work)
        mounts = ["-v", f"{work}:{WORK}", "-v", f"{prefix}:{PREFIX}"]
        mounts += ["-v", f"{prepared.sysroot.tree}:{SYSROOT}:ro"]
        mounts += ["-v", f"{folder / 'ccache'}:{CCACHE}"] if "CCACHE_DIR" in bare else []
        if step.recipe.source.startswith("path:"):
            mounts += ["-v", f"{own_sources(step.recipe)}:{OWN}:ro"]
        else:
            for source in fetch_pins(load_lock().needed(step.recipe.source), mirror):
                if isinstance(source, FetchedRepository):
                    mounts += ["-v", f"{source.path}:{GIT / mirror_place(source.url)}:ro"]
                elif not isinstance(source.archive, PatchArchive):
                    mounts += ["-v", f"{source.path}:{ARCHIVE}:ro"]
        environment = build_environment(prepared.arch, step.recipe) | bare
        words = [word for name, value in environment.items() for word in ("-e", f"{name}={value}")]
        argv = [
            "docker",
            "run",
            "--rm",
            "--network",
            "none",
            "--user",
            f"{os.getuid()}:{os.getgid()}",
            *words,
            *mounts,
            prepared.image.tag,
        ]
        script = " && ".join(f'(cd {one.cwd} && "${{@:{at}:{len(one.full)}}}")' for at, one in _placed(step.commands))
        typed = [word for one in step.commands for word in one.full]
        quiet = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
        subprocess.run([*argv, "bash", "-c", script, "hand", *typed], check=True, **quiet)  # type: ignore[call-overload]
        made = work / "out" / str(PREFIX).lstrip("/")
        shutil.copytree(made, prefix, dirs_exist_ok=True, symlinks=True)
    return time.perf_counter() - begun


def _placed(commands: tuple[Command, ...]) -> Iterator[tuple[int, Command]]:
    at = 1
    for one in commands:
        yield at, one
        at += len(one.full)
