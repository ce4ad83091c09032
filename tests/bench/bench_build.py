"""Build boardprobe and libwebsockets cold: `invoke build` against the same commands typed by hand in one container."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from recipes import buildplan, fetch, lock, paths, steps
from recipes.arch import Arch
from recipes.engine import Engine, caller
from tests.support.bench import show

ARCH = "armv7"
ROUNDS = 2
"""Turn and turn about; the best of each side counts, since the machine has other things to do."""


def by_hand(prepared: buildplan.Plan, folder: Path) -> float:
    """Type the commands into one container with plain `docker`, as a person would: no checks, no cache, no Stage."""
    image = prepared.image.tag
    environment = [
        word for name, value in steps.environment(prepared.arch).items() for word in ("-e", f"{name}={value}")
    ]
    begun = time.perf_counter()
    prefix = folder / "prefix"
    prefix.mkdir()
    for step in prepared.steps:
        work = folder / step.recipe.name
        for name in ("src", "build", "out"):
            (work / name).mkdir(parents=True)
        if step.recipe.source.startswith("path:"):
            shutil.copytree(step.recipe.folder() / "src", work / "src", dirs_exist_ok=True)
            mounts = []
        else:
            mounts = ["-v", f"{fetch.cached(lock.load().get(step.recipe.source))}:{steps.ARCHIVE}:ro"]
        mounts += ["-v", f"{work}:{steps.WORK}", "-v", f"{prefix}:{steps.PREFIX}"]
        mounts += ["-v", f"{prepared.sysroot.tree}:{steps.SYSROOT}:ro"]
        script = " && ".join(f"(cd {one.cwd} && {' '.join(one.full)})" for one in step.commands)
        argv = ["docker", "run", "--rm", "--network", "none", "--user", caller(), *environment, *mounts, image]
        subprocess.run([*argv, "sh", "-c", script], check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        shutil.copytree(work / "out" / str(steps.PREFIX).lstrip("/"), prefix, dirs_exist_ok=True, symlinks=True)
    return time.perf_counter() - begun


def ours(folder: Path, *words: str) -> float:
    """Run `invoke build` as a person does, in a process of its own, with nothing built before."""
    environment = {**os.environ, "BOARDCAST_WORK": str(folder / "work"), "BOARDCAST_CACHE": str(folder / "cache")}
    begun = time.perf_counter()
    argv = [sys.executable, "-m", "invoke", "build", "--arch", ARCH, *words]
    subprocess.run(
        argv, cwd=paths.CHECKOUT, env=environment, check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )
    return time.perf_counter() - begun


def measure() -> dict[str, object]:
    engine = Engine.connect()
    prepared = buildplan.prepare(Arch.parse(ARCH), [], engine=engine)
    for step in prepared.steps:
        if not step.recipe.source.startswith("path:"):
            fetch.fetch(lock.load().get(step.recipe.source))
    hands, colds, agains = [], [], []
    for _ in range(ROUNDS):
        with tempfile.TemporaryDirectory(prefix="boardcast-bench-") as name:
            folder = Path(name)
            (folder / "cache").mkdir()
            for shared in ("archives", "sysroots", "images.json", "index"):
                if (paths.cache() / shared).exists():
                    (folder / "cache" / shared).symlink_to(paths.cache() / shared)
            hands.append(by_hand(prepared, folder))
            colds.append(ours(folder))
            agains += [ours(folder) for _ in range(3)]
    hand, cold, again = min(hands), min(colds), min(agains)
    return {
        "by hand, s": round(hand, 1),
        "invoke build, cold, s": round(cold, 1),
        "cold / by hand": round(cold / hand, 2),
        "nothing changed, s": round(again, 2),
    }


if __name__ == "__main__":
    show("boardprobe and libwebsockets for armv7", measure)
