"""The parts of `invoke bench verify` that are about many: fifty boards side by side, two hundred looks at a stream."""

from __future__ import annotations

import asyncio
import os
import platform
import shutil
import statistics
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import pytest

from deploy.boards.inventory import SimState
from deploy.bundle.load import Bundle
from deploy.cli.fleet import PARALLEL, verify_hosts
from deploy.cloud.collect import Look, observe
from deploy.cloud.judge import judge
from deploy.cloud.promise import StreamPromise
from deploy.cloud.session import Calls
from deploy.fleet.workers import side_by_side
from deploy.kvs.keys import Key
from deploy.release.deployment import deploy_to
from deploy.sim.boards import bring_up, take_down
from recipes import paths
from recipes.builder.request import BuildRequest
from recipes.builder.run import build_stage, prepare_build
from recipes.engine.docker import Engine
from recipes.errors import PreflightError
from recipes.toolchains.vendor import parse_arch
from tests.support.kvsclient import SMALL, Client, Place, lacking
from tests.support.livecamera import service_of
from tests.support.localservice import REGION, LocalService, local_service
from tests.support.putmedia import KEY, SECRET

BOARDS, CONTAINERS, MOST_RATIO = 50, 10, 1.3
SLOW_SECONDS = 4
"""That a board of the fleet needs for its answer, beyond what the simulated one does."""
RUNS, AT_ONCE, LEAST_GREEN = 200, 8, 0.99
"""P-28."""
_SLOW = f"""
def test_a_slow_board(host):
    assert host.run("sleep {SLOW_SECONDS}").rc == 0
"""
_PROMISE = StreamPromise(
    stream="front", name="cam01", region=REGION, width=64, height=48, rate=10.0, bitrate_kbps=64, codec="h264",
    audio=True, retention_hours=2,
)  # fmt: skip


@contextmanager
def fleet(bundle: Bundle, engine: Engine, folder: Path) -> Iterator[list[str]]:
    """Give the names of fifty hosts; several are one small container, each with an SSH server of its own."""
    simulated = [f"unit{number}" for number in range(CONTAINERS)]
    inventory = folder / "hosts.toml"
    shutil.copytree(paths.BOARDS / "sim-tiny", folder / "sim-tiny")
    head = "schema = 1\n" + "".join(f'[hosts.{name}]\nboard = "sim-tiny"\nsimulated = true\n' for name in simulated)
    inventory.write_text(head)
    names = [f"board{number:02}" for number in range(BOARDS)]
    with pytest.MonkeyPatch.context() as patch, ExitStack() as stack:
        patch.setenv("BOARDCAST_BOARDS", str(folder))
        units: list[SimState] = []
        for name in simulated:
            stack.callback(take_down, name, engine)
            units.append(bring_up(name, engine))
            deploy_to(name, bundle)
        hosts = [
            f'[hosts.{name}]\nboard = "sim-tiny"\naddress = "{unit.address}"\nkey = "{unit.key}"\n'
            f'host_key = "{unit.host_key}"\n'
            for name, unit in ((name, units[number % CONTAINERS]) for number, name in enumerate(names))
        ]
        inventory.write_text(head + "".join(hosts))
        yield names


def _seconds(names: list[str], parallel: int) -> float:
    begun = time.perf_counter()
    found = verify_hosts(names, None, fast=True, parallel=parallel)
    seconds = time.perf_counter() - begun
    if not all(outcome.verdict and outcome.verdict.green for outcome, _ in found):
        states = {outcome.host: outcome.state for outcome, _ in found}
        raise PreflightError("not every board is green", why=str(states))
    return seconds


def measure_fleet(bundle: Bundle, engine: Engine) -> dict[str, object]:
    """Measure how much longer fifty boards take than the same boards one by one would, shared by those at once."""
    figures: dict[str, object] = {}
    with tempfile.TemporaryDirectory() as place, fleet(bundle, engine, Path(place)) as names:
        checks = Path(place) / "sim-tiny" / "checks"
        for parallel, slow in ((os.cpu_count() or 1, False), (PARALLEL, True)):
            if slow:
                checks.mkdir()
                (checks / "test_slow.py").write_text(_SLOW)
            alone = [_seconds(names[:1], 1) for _ in range(3)]
            seconds = _seconds(names, parallel)
            alone += [_seconds(names[-1:], 1) for _ in range(3)]
            single = statistics.median(alone)
            ratio = seconds / (single * BOARDS / parallel)
            kind = f"that need {SLOW_SECONDS} s more" if slow else "that answer at once"
            label = f"{BOARDS} boards {kind}, {parallel} at once"
            figures[f"{label}: s (one alone)"] = f"{seconds:.1f} ({single:.2f})"
            figures[f"{label}: times the ideal (most {MOST_RATIO})"] = round(ratio, 2)
    return figures


@contextmanager
def live_client(local: LocalService, engine: Engine, folder: Path) -> Iterator[None]:
    """Send a test picture with kvsclient, in real time, until the block ends."""
    if platform.machine() != "x86_64" or lacking():
        raise PreflightError("kvsclient cannot send from this machine", why=lacking() or platform.machine())
    ask = BuildRequest(names=("kvsclient",))
    staged = build_stage(prepare_build(parse_arch("x86_64"), ask, engine=engine))
    shutil.copy(staged.tree / "bin/kvsclient", folder / "kvsclient")
    local.service.store.keys.add(Key(KEY, SECRET))
    place = Place(f"127.0.0.1:{local.tls_port}", local.authority.certificate)
    with Client(folder / "kvsclient").started(place, ["--stream", "cam01", *SMALL, "--seconds", "3600"]) as process:
        for stream in (process.stdout, process.stderr):
            assert stream is not None
            threading.Thread(target=stream.read, daemon=True).start()
        yield


def measure_healthy(engine: Engine) -> dict[str, object]:
    """Look two hundred times at a stream that is as it should be, eight at once, as verify does."""
    red: list[str] = []

    def look(_: int) -> float:
        begun, calls = time.perf_counter(), Calls(service_of(local), patient=True)
        try:
            found = judge(asyncio.run(observe(calls, _PROMISE, Look(known=frozenset({"cam01"})))))
        finally:
            calls.close()
        if wrong := [f"{one.check}: {one.evidence}" for one in found if one.state != "passed"]:
            red.append("; ".join(wrong))
        return time.perf_counter() - begun

    with ExitStack() as stack:
        place = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        local = stack.enter_context(local_service(place / "kvs"))
        stack.enter_context(live_client(local, engine, place))
        while _fragments(local) < 3:
            time.sleep(0.2)
        seconds = side_by_side(look, range(RUNS), AT_ONCE)
    green = 1 - len(red) / RUNS
    figures: dict[str, object] = {
        f"{RUNS} looks at a healthy stream of kvsclient: green": f"{green:.1%} (least {LEAST_GREEN:.0%})",
        "one of them, s (median; longest)": f"{statistics.median(seconds):.1f}; {max(seconds):.1f}",
    }
    return figures | ({"the first that was not": red[0][:400]} if red else {})


def _fragments(local: LocalService) -> int:
    store = local.service.store
    return sum(store.fragments.facts(stream)[0] for stream in store.streams.all())
