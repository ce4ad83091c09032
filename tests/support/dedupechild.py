"""One run of index, plan and proof in a process of its own: seconds of each part, memory, and what cost the most.

`python -m tests.support.dedupechild STAGE [ROOT] [--profile]`; without a root it is the emulated board's. The caches
are those of BOARDCAST_CACHE: cold and warm are the caller's to make.
"""

from __future__ import annotations

import cProfile
import itertools
import json
import pstats
import sys
import time
from pathlib import Path

from deploy.boards.board import load_board
from deploy.boards.index import board_index
from deploy.bundle.assemble import decide_for_board
from recipes.rootfs.cache import load_index
from recipes.stage.manifest import Stage, load_stage
from recipes.toolchains.sysroots import known_sysroot

BOARD = "sim-armv7"
COSTS = 12


def work(staged: Stage, root: Path | None) -> dict[str, float]:
    """Decide for the board, and return the seconds of each part; the board's index counts without the sysroot's."""
    board = load_board(BOARD)
    sysroot = known_sysroot(staged.manifest.sysroot)
    assert sysroot is not None
    times = [time.perf_counter()]
    built = sysroot.index()
    times.append(time.perf_counter())
    index = load_index(root) if root else board_index(board)
    times.append(time.perf_counter())
    decided, _ = decide_for_board(board, staged, built, index)
    times.append(time.perf_counter())
    assert decided.proofs
    parts = [end - begun for begun, end in itertools.pairwise(times)]
    return {**dict(zip(("sysroot", "board", "decide"), parts, strict=True)), "files": len(index.files)}


def peak_mb() -> float:
    """Return the largest resident set of this process; getrusage would count what its parent had when it forked."""
    line = next(line for line in Path("/proc/self/status").read_text().splitlines() if line.startswith("VmHWM:"))
    return int(line.split()[1]) / 1000


def costs(profile: cProfile.Profile) -> list[str]:
    """Return the functions that took the most time of their own."""
    stats = pstats.Stats(profile).get_stats_profile()
    rows = sorted(stats.func_profiles.items(), key=lambda row: -row[1].tottime)[:COSTS]
    return [f"{one.tottime:.3f} s {Path(one.file_name).name}:{name} ({one.ncalls} calls)" for name, one in rows]


def main(words: list[str]) -> None:
    plain = [word for word in words if not word.startswith("--")]
    staged, root = load_stage(Path(plain[0])), Path(plain[1]) if len(plain) > 1 else None
    profile = cProfile.Profile()
    if "--profile" in words:
        profile.enable()
    parts = work(staged, root)
    profile.disable()
    said: dict[str, object] = {"parts": parts, "peak_mb": peak_mb()}
    if "--profile" in words:
        said["costs"] = costs(profile)
    print(json.dumps(said))


if __name__ == "__main__":
    main(sys.argv[1:])
