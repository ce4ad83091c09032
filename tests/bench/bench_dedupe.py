"""Decide what a board gets: index, plan and proof, cold and again, its memory, and the cost by the size of the root.

With `--svg FILE` the costs of the made-up roots are drawn too.
"""

from __future__ import annotations

import argparse
import json
import os
import posixpath
import subprocess
import sys
import tarfile
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from deploy.boards.board import Board, load_board
from deploy.bundle.assemble import decide_for_board
from deploy.sim.boards import prepare_board
from recipes import console, paths
from recipes.builder.run import build_stage, prepare_build
from recipes.engine.docker import Engine
from recipes.files import write_whole
from recipes.rootfs.index import Index
from recipes.stage.manifest import Stage
from recipes.toolchains.sysroots import known_sysroot
from recipes.toolchains.vendor import parse_arch
from tests.bench.bench_elf import SAMPLE, lief_names, lief_walk, pyelftools_walk, timed
from tests.support import dedupechild
from tests.support.plot import plot
from tests.support.standin import lock_text, make

SIZES = (1250, 2500, 5000, 10_000)
SMALL = 24 << 10
"""Bytes: larger libraries are not copied into the made-up roots."""
_FOLDER = "usr/lib/arm-linux-gnueabihf"


@dataclass(frozen=True, slots=True, kw_only=True)
class Run:
    """One process: seconds of the whole decision, and of what a root's size has a part in."""

    seconds: float
    by_root: float
    parts: str
    files: int
    peak_mb: float
    costs: Sequence[str]


@contextmanager
def cache(indexed: Path | None = None) -> Iterator[Path]:
    """Yield a cache that has everything but indices; with `indexed`, what that one has indexed too."""
    with tempfile.TemporaryDirectory(prefix="boardcast-bench-") as name:
        folder = Path(name)
        for there in paths.cache().iterdir():
            if there.name != "index":
                (folder / there.name).symlink_to(there)
        (folder / "index").mkdir()
        for there in (indexed / "index").iterdir() if indexed else ():
            os.link(there, folder / "index" / there.name)
        yield folder


def child(staged: Stage, where: Path, *words: str) -> Run:
    env = {**os.environ, "BOARDCAST_CACHE": str(where), "PYTHONPATH": str(paths.CHECKOUT)}
    argv = [sys.executable, "-m", dedupechild.__name__, str(staged.folder), *words]
    done = subprocess.run(argv, cwd=paths.CHECKOUT, env=env, check=False, capture_output=True, text=True)
    if done.returncode != 0:
        raise SystemExit(done.stderr)
    said = json.loads(done.stdout.splitlines()[-1])
    parts = said["parts"]
    by_root = parts["board"] + parts["decide"]
    return Run(
        seconds=by_root + parts["sysroot"],
        by_root=by_root,
        parts=", ".join(f"{parts[name]:.3f}" for name in ("sysroot", "board", "decide")),
        files=parts["files"],
        peak_mb=said["peak_mb"],
        costs=said.get("costs", ()),
    )


def built(board: Board, engine: Engine, folder: Path) -> Stage:
    """Build both SDKs (the stand-ins) and the board's own recipes, in a work folder of their own."""
    made = make(folder / "mirror")
    (folder / "lock.toml").write_text(lock_text(made))
    os.environ |= {"BOARDCAST_LOCK": str(folder / "lock.toml"), "BOARDCAST_WORK": str(folder / "work")}
    ask = replace(board.ask(), names=("producer", "webrtc", *board.file.recipes))
    return build_stage(prepare_build(parse_arch(board.file.arch), ask, engine=engine), mirror=[made.mirror])


def others(tree: Path, index: Index) -> dict[str, float]:
    """Return what a walk of the same files takes with lief, and with pyelftools: of a sample, for all of them."""
    files = [tree / path.lstrip("/") for path in index.files]
    some = files[:: max(1, len(files) // SAMPLE)]
    lief, _ = timed(lambda: lief_walk(files))
    names, _ = timed(lambda: lief_names(files))
    elftools, _ = timed(lambda: pyelftools_walk(some))
    whole, part = (sum(path.stat().st_size for path in group) for group in (files, some))
    return {"lief": lief, "names": names, "pyelftools": elftools * (len(files) / len(some) + whole / part) / 2}


def needed(staged: Stage, index: Index, board: Board) -> set[str]:
    """Return the board's files that a decision on this Stage looks at: all that the processes would load there."""
    sysroot = known_sysroot(staged.manifest.sysroot)
    assert sysroot is not None
    decided, closed = decide_for_board(board, staged, sysroot.index(), index)
    found = {path for closure in closed.values() for path in closure.values() if path.startswith("/")}
    return found | {one.provider for one in decided.proofs} | {index.resolve(index.loader)}


def made_up(tree: Path, index: Index, seed: set[str], count: int, into: Path) -> Path:
    """Make a root of so many ELF files: what the decision looks at, and small libraries under other names."""
    small = [path for path, file in index.files.items() if file.size <= SMALL and file.soname and path not in seed]
    for path in sorted(seed):
        target = into / path.lstrip("/")
        target.parent.mkdir(parents=True, exist_ok=True)
        os.link(tree / path.lstrip("/"), target)
    for path, link in index.links.items():
        if path == "/lib" or index.resolve(path) in seed:
            (into / path.lstrip("/")).parent.mkdir(parents=True, exist_ok=True)
            (into / path.lstrip("/")).symlink_to(link)
    for number in range(count - len(seed)):
        source = small[number % len(small)]
        folder = into / _FOLDER / f"part-{number // 500}"
        folder.mkdir(exist_ok=True)
        os.link(tree / source.lstrip("/"), folder / f"{number}-{posixpath.basename(source)}")
    return into


def by_size(staged: Stage, tree: Path, index: Index, seed: set[str], indexed: Path) -> list[tuple[int, Run, Run]]:
    """Return (files, cold, again) for each made-up root; the sysroot's index is there already."""
    found = []
    for count in SIZES:
        root = made_up(tree, index, seed, count, tree.parent / f"made-{count}")
        with cache(indexed) as where:
            cold, warm = child(staged, where, str(root)), child(staged, where, str(root))
        found.append((cold.files, cold, warm))
    return found


def measure(svg: Path | None) -> Mapping[str, object]:
    engine, board = Engine.connect(), load_board(dedupechild.BOARD)
    root = prepare_board(board, engine)
    with tempfile.TemporaryDirectory(prefix="boardcast-bench-") as folder, cache() as where:
        staged = built(board, engine, Path(folder))
        assert known_sysroot(staged.manifest.sysroot) is not None
        child(staged, where)  # the files are in the page cache for every side alike
        for kept in (where / "index").iterdir():
            kept.unlink()
        cold, again = child(staged, where), [child(staged, where) for _ in range(3)]
        warm = min(again, key=lambda one: one.seconds)
        profiled = child(staged, where, "--profile")
        tree = Path(folder) / "root"
        with tarfile.open(root.tar) as archive:
            archive.extraction_filter = staticmethod(lambda member, _path: None if member.isdev() else member)
            archive.extractall(tree)
        index = root.index()
        walks = others(tree, index)
        rows = by_size(staged, tree, index, needed(staged, index, board), where)
    if svg:
        points = [(files, one.by_root, two.by_root) for files, one, two in rows]
        write_whole(svg, plot("Seconds to decide, by ELF files of the root", ("cold", "again"), points).encode())
    growth = {
        f"{files:,} files: cold, again, s per 1,000": ", ".join(f"{run.by_root * 1000 / files:.3f}" for run in runs)
        for files, *runs in rows
    }
    return {
        "recipes": " ".join(one.name for one in staged.manifest.recipes),
        "elf files": cold.files,
        "cold, s": round(cold.seconds, 2),
        "again, s": round(warm.seconds, 3),
        "cold: sysroot, board, decide, s": cold.parts,
        "again: sysroot, board, decide, s": warm.parts,
        "cold peak, MB": round(cold.peak_mb),
        "again peak, MB": round(warm.peak_mb),
        "pyelftools, a walk of the same facts / cold": round(walks["pyelftools"] / cold.seconds, 1),
        "lief, a walk of the same facts / cold": round(walks["lief"] / cold.seconds, 2),
        "lief, a walk of the names only / cold": round(walks["names"] / cold.seconds, 2),
        **growth,
        "10,000 files: cold, again peak, MB": f"{rows[-1][1].peak_mb:.0f}, {rows[-1][2].peak_mb:.0f}",
        "most of again": list(profiled.costs),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--json", action="store_true")
    parser.add_argument("--svg", type=Path, help="also draw the cost by the size of the root")
    options = parser.parse_args()
    figures: dict[str, Any] = dict(measure(options.svg))
    if options.json:
        print(json.dumps(figures, indent=1))
        return
    most = figures.pop("most of again")
    console.fields("Decide what a board gets (ratios above 1: ours is faster)", figures)
    print("  most of again:")
    for line in most:
        print(f"    {line}")


if __name__ == "__main__":
    main()
