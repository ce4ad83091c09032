"""Bring bundles to simulated boards: ours, `tar | ssh` and `rsync -az` side by side; then deploy, verify, start-up."""

from __future__ import annotations

import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from deploy.boards.board import load_board
from deploy.boards.index import board_index
from deploy.boards.inventory import SimState, host_target, load_host
from deploy.boards.session import connect
from deploy.bundle.assemble import make_bundle
from deploy.bundle.load import Bundle
from deploy.release.deployment import deploy_to
from deploy.release.run import ReleaseResult
from deploy.sim.boards import bring_up, is_up, prepare_board, take_down
from deploy.transfer.delta import make_delta
from deploy.transfer.packing import Packing, pack, packed_once
from recipes import console, paths
from recipes.builder.run import build_stage, prepare_build
from recipes.engine.docker import Engine
from recipes.errors import PreflightError
from recipes.toolchains.vendor import parse_arch
from tests.support import peers, shapes
from tests.support.bench import show
from tests.support.peers import bring

HOSTS = ("sim-tiny", "sim-armv7")
ROUNDS = 3
RATES = ("100mbit", "20mbit")
"""Of a link that bounds it: a camera's cable, and its Wi-Fi or a good LTE."""
TAGS = ("first", "again", "changed")
SHAPES = {"33 files, 3 MB": shapes.real_shape, "2,100 files, 12 MB": shapes.many_shape}


def seconds(work: Callable[[], object]) -> float:
    begun = time.perf_counter()
    work()
    return time.perf_counter() - begun


def clear(host: str, root: str) -> None:
    with connect(host_target(host)) as session:
        session.run('rm -rf "$1" "$2"', [root, peers.place(root)])


def compare(host: str, name: str, folder: Path) -> dict[str, object]:
    """Return the figures of one shape on one board, the better of several rounds each."""
    board, target = load_board(load_host(host).board), host_target(host)
    first, changed = SHAPES[name](board), SHAPES[name](board, changed=True)
    trees = [peers.lay_out(bundle, folder / tag) for bundle, tag in ((first, "first"), (changed, "changed"))]
    has_rsync, to = peers.bring_rsync(target), peers.place(board.file.root)
    times: dict[str, list[float]] = {}
    sent: dict[str, int] = {}

    def ours(key: str, bundle: Bundle) -> None:
        done: list[ReleaseResult] = []
        times.setdefault(key, []).append(seconds(lambda: done.append(bring(host, bundle))))
        sent[key], sent[f"{key}, trips"] = done[0].payload, done[0].round_trips

    def theirs(key: str, tree: Path) -> None:
        count: list[int] = []
        times.setdefault(key, []).append(seconds(lambda: count.append(peers.rsync(target, tree, folder, to))))
        sent[key] = count[0]

    for _ in range(ROUNDS):
        clear(host, board.file.root)
        times.setdefault("tar", []).append(seconds(lambda: peers.tar_over_ssh(target, trees[0], folder, to)))
        clear(host, board.file.root)
        ours("first", first)
        ours("again", first)
        ours("changed", changed)
        if has_rsync:
            clear(host, board.file.root)
            for key, tree in (("rsync first", trees[0]), ("rsync again", trees[0]), ("rsync changed", trees[1])):
                theirs(key, tree)
    best = {key: min(found) for key, found in times.items()}
    for key, count in sent.items():
        if key in best:
            told = f"{count:,} bytes, {best[key]:.2f} s; tar | ssh {best['tar']:.2f} s"
            console.say(f"{host}, {name}, {key}: {told}")
    title = f"{host}, {name}"
    rows: dict[str, object] = {
        f"{title}: first, s": f"{best['first']:.2f}; tar | ssh {best['tar']:.2f}: {best['first'] / best['tar']:.2f}x",
        f"{title}: first, bytes": f"{sent['first']:,}; packed bundle {first.packed:,}: "
        f"{sent['first'] / first.packed - 1:+.1%}",
        f"{title}: again": f"{best['again']:.2f} s, {sent['again']} bytes, {sent['again, trips']} round trip",
        f"{title}: one library changed": f"{best['changed']:.2f} s, {sent['changed']:,} bytes",
    }
    if has_rsync:
        for key in ("first", "again", "changed"):
            rows[f"{title}: rsync -az {key}"] = f"{best[f'rsync {key}']:.2f} s, {sent[f'rsync {key}']:,} bytes"
    return rows


def on_a_slow_link(state: SimState, engine: Engine, folder: Path, rate: str) -> dict[str, object]:
    """Return what a first deploy takes where the link bounds it, as one to a camera does; each side in turn."""
    host, rows = state.name, dict[str, object]()
    root, target = load_board(load_host(host).board).file.root, host_target(state.name)
    for name, shape in SHAPES.items():
        bundle = shape(load_board(load_host(host).board))
        tree, times = peers.lay_out(bundle, folder / "slow"), dict[str, list[float]]()
        with peers.link_of(state, engine, rate):
            for _ in range(ROUNDS):
                clear(host, root)
                took = seconds(lambda tree=tree: peers.tar_over_ssh(target, tree, folder, peers.place(root)))  # type: ignore[misc]
                times.setdefault("tar", []).append(took)
                clear(host, root)
                times.setdefault("ours", []).append(seconds(lambda bundle=bundle: bring(host, bundle)))  # type: ignore[misc]
        ours, tar = min(times["ours"]), min(times["tar"])
        rows[f"{host} behind {rate}, {name}: first, s"] = f"{ours:.2f}; tar | ssh {tar:.2f}: {ours / tar:.2f}x"
    return rows


def ten(engine: Engine, folder: Path) -> dict[str, object]:
    """Return the figures of ten small boards at once: ours from one process, the peers by ten of each program."""
    configs = folder / "boards"
    shutil.copytree(paths.BOARDS, configs)
    names = [f"sim-tiny-{number:02}" for number in range(10)]
    tables = [f'\n[hosts.{name}]\nboard = "sim-tiny"\nsimulated = true\n' for name in names]
    (configs / "hosts.toml").write_text((configs / "hosts.toml").read_text() + "".join(tables))
    paths.BOARDS = configs
    try:
        for name in names:
            bring_up(name, engine)
        times = _at_once(names, folder)
    finally:
        for name in names:
            take_down(name, engine, keep_network=True)
        paths.BOARDS = paths.CHECKOUT / "board-configs"
    rows: dict[str, object] = {}
    for tag in TAGS:
        others = f"tar | ssh {times['tar']:.2f}: {times[tag] / times['tar']:.2f}x; " if tag == "first" else ""
        others += f"rsync -az {times[f'rsync {tag}']:.2f}" if f"rsync {tag}" in times else "no rsync"
        rows[f"ten boards of BusyBox at once, 2,100 files: {tag}, s"] = f"{times[tag]:.2f}; {others}"
    return rows


def _at_once(names: list[str], folder: Path) -> dict[str, float]:
    board = load_board("sim-tiny")
    root, to = board.file.root, peers.place(board.file.root)
    first, changed = shapes.many_shape(board), shapes.many_shape(board, changed=True)
    bundles = dict(zip(TAGS, (first, first, changed), strict=True))
    trees = {tag: peers.lay_out(bundle, folder / f"ten-{tag}") for tag, bundle in bundles.items()}
    has_rsync = [peers.bring_rsync(host_target(name)) for name in names]
    works: list[tuple[str, Callable[[str], object]]] = [
        ("", lambda name: clear(name, root)),
        ("tar", lambda name: peers.tar_over_ssh(host_target(name), trees["first"], folder, to)),
        ("", lambda name: clear(name, root)),
    ]
    if all(has_rsync):
        works += [
            (f"rsync {tag}", lambda name, tag=tag: peers.rsync(host_target(name), trees[tag], folder, to))  # type: ignore[misc]
            for tag in TAGS
        ]
    works += [("", lambda name: clear(name, root))]
    works += [(tag, lambda name, tag=tag: bring(name, bundles[tag])) for tag in TAGS]  # type: ignore[misc]
    times: dict[str, float] = {}
    for _ in range(ROUNDS):
        with packed_once(), ThreadPoolExecutor(len(names)) as pool:
            for key, work in works:
                took = seconds(lambda work=work: list(pool.map(work, names)))  # type: ignore[misc]
                times[key] = min(took, times.get(key, took))
    return times


def libraries(folder: Path) -> dict[str, object]:
    """Return what a rebuilt libwebsockets costs, of the two most alike of one architecture that were built here."""
    built = sorted((paths.cache() / "built").glob("libwebsockets-*/tree/lib/libwebsockets.so.19"))
    texts = {path.read_bytes(): path for path in built}
    pairs = [
        (old, new) for old in texts for new in texts if old is not new and old[:20] == new[:20] and len(old) < len(new)
    ]
    if not pairs:
        return {}
    old, new = min(pairs, key=lambda pair: len(pair[1]) - len(pair[0]))
    delta = make_delta("0" * 64, old, new) or new
    ours = sum(map(len, pack([delta], Packing.GZIP, slow=False)))
    (folder / "there").write_bytes(old)
    (folder / "here").write_bytes(new)
    argv = ["rsync", "-Iz", "--no-whole-file", "--stats", str(folder / "here"), str(folder / "there")]
    said = subprocess.run(argv, capture_output=True, text=True, check=True).stdout
    line = next(line for line in said.splitlines() if line.startswith("Total bytes sent"))
    return {f"libwebsockets, {len(old):,} bytes to {len(new):,}": f"{ours:,} bytes; rsync -z: {line.split()[-1]}"}


def whole_way(engine: Engine) -> dict[str, object]:
    """Deploy the demo's bundle with its checks, and again; and how long commands take to start."""
    host = HOSTS[1]
    board = load_board(host)
    staged = build_stage(prepare_build(parse_arch(board.file.arch), board.ask(), engine=engine))
    bundle = make_bundle(board, staged, board_index(board))[0]
    clear(host, board.file.root)
    begun = time.perf_counter()
    first = deploy_to(host, bundle).release
    deployed = time.perf_counter() - begun
    begun = time.perf_counter()
    again = deploy_to(host, bundle).release
    repeated = time.perf_counter() - begun
    begun = time.perf_counter()
    for _ in range(5):
        argv = [sys.executable, "-m", "invoke", "--list"]
        subprocess.run(argv, cwd=paths.CHECKOUT, check=True, stdout=subprocess.DEVNULL)
    listing = (time.perf_counter() - begun) / 5
    return {
        "first deploy and verify, s": round(deployed, 1),
        "first: bytes, round trips": f"{first.payload}, {first.round_trips}",
        "again, s": round(repeated, 1),
        "again: bytes, round trips": f"{again.payload}, {again.round_trips}",
        "invoke --list, s": round(listing, 2),
    }


def measure() -> dict[str, object]:
    engine = Engine.connect()
    for host in HOSTS:
        prepare_board(load_board(load_host(host).board), engine)
        if is_up(host, engine):
            # Somebody else may be at work on it, and would lose it at the end.
            raise PreflightError(f"{host} is up already", next_step=f"invoke sim down --host {host}, if nobody uses it")
    found: dict[str, object] = {}
    try:
        for host in HOSTS:
            found[f"cached {host} up, s"] = round(seconds(lambda host=host: bring_up(host, engine)), 1)  # type: ignore[misc]
        with tempfile.TemporaryDirectory() as folder:
            for host in HOSTS:
                for name in SHAPES:
                    found |= compare(host, name, Path(folder))
            for rate in RATES:
                found |= on_a_slow_link(bring_up(HOSTS[0], engine), engine, Path(folder), rate)
            found |= libraries(Path(folder))
            found |= ten(engine, Path(folder))
        found |= whole_way(engine)
    finally:
        for host in HOSTS:
            take_down(host, engine)
    return found


if __name__ == "__main__":
    show("Deploy to simulated boards", measure)
