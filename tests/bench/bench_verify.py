"""Forty board-side checks of a simulated board: seconds, processor time and round trips; and the whole of verify.

And `tests/bench/fleet_verify.py`: fifty boards side by side, and two hundred looks at a healthy stream.
"""

from __future__ import annotations

import os
import resource
import statistics
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from deploy.boards.board import load_board
from deploy.boards.index import board_index
from deploy.boards.inventory import host_target
from deploy.boards.session import SshSession, connect
from deploy.bundle.assemble import make_bundle
from deploy.bundle.load import Bundle
from deploy.release.deployment import deploy_to, verify_host
from deploy.sim.boards import bring_up, is_up, prepare_board, take_down
from deploy.verify.run import run_checks
from deploy.verify.warm import ready
from recipes.builder.run import build_stage, prepare_build
from recipes.engine.docker import Engine
from recipes.errors import PreflightError
from recipes.toolchains.vendor import parse_arch
from tests.bench.fleet_verify import measure_fleet, measure_healthy
from tests.support.bench import show

MOST_SECONDS = {"sim-tiny": 1.0, "sim-armv7": 4.0}
MOST_TRIPS = 5
CHECKS, ROUNDS = 40, 5
# What a user's own checks are made of: one of them looks at the board itself, the rest at what it said already.
OWN = """
import pytest

def test_shadow_is_closed(host):
    assert not host.file("/etc/shadow").mode & 0o004

@pytest.mark.parametrize("number", range({count}))
def test_files(number, facts, release):
    file = release["files"][number % len(release["files"])]
    seen = facts.files[file["path"]]
    assert (seen.sha256, seen.size) == (file["sha256"], file["size"])
"""


@contextmanager
def board_up(host: str, engine: Engine) -> Iterator[None]:
    if is_up(host, engine):
        # Somebody else may be at work on it, and would lose it at the end.
        raise PreflightError(f"{host} is up already", next_step=f"invoke sim down --host {host}, once nobody uses it")
    bring_up(host, engine)
    try:
        yield
    finally:
        take_down(host, engine)


def bundle_of(host: str, engine: Engine) -> Bundle:
    board = load_board(host)
    prepare_board(board, engine)
    staged = build_stage(prepare_build(parse_arch(board.file.arch), board.ask(), engine=engine))
    return make_bundle(board, staged, board_index(board))[0]


def spent() -> float:
    """Return the processor seconds of this process and of its children that have ended."""
    both = (resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN))
    return sum(usage.ru_utime + usage.ru_stime for usage in both)


def timed(what: Callable[[], object]) -> tuple[float, float]:
    begun, used = time.perf_counter(), spent()
    what()
    return time.perf_counter() - begun, spent() - used


def forty(session: SshSession, host: str, bundle: Bundle, folder: Path) -> int:
    """Write as many checks as are missing; returns the round trips of all."""
    (folder / "test_own.py").write_text(OWN.format(count=0))
    count = len(run_checks(session, host, bundle.id, bundle.manifest, own=[folder], fast=True).checks)
    (folder / "test_own.py").write_text(OWN.format(count=CHECKS - count + 1))
    before = session.traffic.round_trips
    verdict = run_checks(session, host, bundle.id, bundle.manifest, own=[folder], fast=True)
    if len(verdict.checks) != CHECKS or not verdict.green:
        raise PreflightError(f"{host}: {len(verdict.checks)} checks, and they have to be {CHECKS} green ones")
    return session.traffic.round_trips - before


def measure_board(host: str, engine: Engine) -> dict[str, object]:
    bundle = bundle_of(host, engine)
    with board_up(host, engine), tempfile.TemporaryDirectory() as folder:
        deploy_to(host, bundle)
        with connect(host_target(host)) as session:
            trips = forty(session, host, bundle, Path(folder))

            def run() -> object:
                return run_checks(session, host, bundle.id, bundle.manifest, own=[Path(folder)], fast=True)

            cold = timed(run)
            with ready():  # as every command has it, from before the board is dialled on
                run()
                runs = [timed(run) for _ in range(ROUNDS)]
        whole = [timed(lambda: verify_host(host, fast=True)) for _ in range(ROUNDS)]
    best, middle = min(runs), statistics.median(seconds for seconds, _ in runs)
    return {
        f"{host}: {CHECKS} checks, s (best; median of {ROUNDS})": f"{best[0]:.2f}; {middle:.2f}",
        f"{host}: the same without a process that is ready, s": round(cold[0], 2),
        f"{host}: round trips": trips,
        f"{host}: within {MOST_SECONDS[host]} s and {MOST_TRIPS}": best[0] <= MOST_SECONDS[host]
        and trips <= MOST_TRIPS,
        f"{host}: invoke verify --fast with its hand-shake, s": round(min(whole)[0], 2),
    }


def measure() -> dict[str, object]:
    engine = Engine.connect()
    figures: dict[str, object] = {}
    for host in MOST_SECONDS:
        figures |= measure_board(host, engine)
    figures |= measure_fleet(bundle_of("sim-tiny", engine), engine)
    figures |= measure_healthy(engine)
    return figures | {"load of this machine, at the end": round(os.getloadavg()[0], 1)}


if __name__ == "__main__":
    show("Verify", measure)
