"""Many hosts: five hundred that do not answer, and their memory; a hundred small boards, and their time."""

from __future__ import annotations

import json
import os
import shutil
import socket
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import pytest

from deploy.boards.board import load_board
from deploy.boards.index import board_index
from deploy.bundle.assemble import make_bundle
from deploy.sim.boards import prepare_board
from deploy.sim.keys import ed25519_pair
from recipes import paths
from recipes.builder.run import build_stage, prepare_build
from recipes.engine.docker import Engine
from recipes.errors import PreflightError
from recipes.files import write_whole
from recipes.toolchains.vendor import parse_arch
from tests.support.bench import show
from tests.support.fleetboards import small_fleet
from tests.support.plot import plot
from tests.support.simrelease import FLASH, shell

SILENT, AT_ONCE, MOST_MIB = 500, 64, 150
LIGHT, CONCURRENCY, MOST_RATIO, ERRORS = 100, 32, 1.3, "5%"
SIZES = (10, 25, 50, 100)


@contextmanager
def silent_hosts(folder: Path, count: int) -> Iterator[None]:
    """Give an inventory of hosts on one port of this machine that takes connections and says nothing, ever."""
    shutil.copytree(paths.BOARDS / "sim-tiny", folder / "sim-tiny")
    key = ed25519_pair()[1]
    with socket.create_server(("127.0.0.1", 0), backlog=4 * count) as listener, pytest.MonkeyPatch.context() as patch:
        port = listener.getsockname()[1]
        hosts = [
            f'[hosts.silent{number:03}]\nboard = "sim-tiny"\naddress = "127.0.0.1"\nport = {port}\n'
            f'host_key = "{key}"\ngroups = ["silent"]\n'
            for number in range(count)
        ]
        (folder / "hosts.toml").write_text("schema = 1\n" + "".join(hosts))
        patch.setenv("BOARDCAST_BOARDS", str(folder))
        yield


def memory_of(root: int) -> tuple[int, int]:
    """Return the most that a process had resident so far, and what it and its children have now; KiB."""
    most, now = 0, 0
    for entry in Path("/proc").iterdir():
        if not entry.name.isdigit():
            continue
        try:
            status = dict(line.split(":", 1) for line in (entry / "status").read_text().splitlines() if ":" in line)
            if entry.name != str(root) and status["PPid"].strip() != str(root):
                continue
            now += int((entry / "smaps_rollup").read_text().split("Pss:")[1].split()[0])
            if entry.name == str(root):
                most = int(status["VmHWM"].split()[0])
        except (OSError, KeyError, IndexError):
            continue  # it ended meanwhile
    return most, now


def measured(*words: str) -> tuple[float, int, int, list[str]]:
    """Run invoke; returns its seconds, the most of its memory alone and with children in KiB, and its lines."""
    argv = [sys.executable, "-m", "invoke", *words]
    environment = {**os.environ, "PYTHONPATH": str(paths.CHECKOUT)}
    begun, most, together, lines = time.perf_counter(), 0, 0, list[str]()
    with subprocess.Popen(
        argv, cwd=paths.CHECKOUT, env=environment, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True
    ) as process:
        assert process.stdout is not None
        reader = threading.Thread(target=lambda: lines.extend(process.stdout or []), daemon=True)
        reader.start()
        while process.poll() is None:
            alone, all_of_it = memory_of(process.pid)
            most, together = max(most, alone), max(together, all_of_it)
            time.sleep(0.25)
        reader.join(10)
    return time.perf_counter() - begun, most, together, lines


def measure_silent() -> dict[str, object]:
    """Deploy to five hundred hosts of which none answers."""
    with tempfile.TemporaryDirectory() as place, silent_hosts(Path(place), SILENT):
        words = ("deploy", "--group", "silent", "--waves", "100%", "--errors", "100%", "--parallel", str(AT_ONCE))
        seconds, alone, together, lines = measured(*words, "--json")
    records = [json.loads(line) for line in lines]
    off = sum(record["state"] == "off" for record in records)
    if off != SILENT:
        raise PreflightError(f"{off} of {SILENT} hosts were told to be off", why=str(records[:2])[:400])
    waited = sum(record["seconds"] for record in records)
    label = f"{SILENT} hosts that do not answer, {AT_ONCE} at once"
    return {
        f"{label}: MiB, most (at most {MOST_MIB})": round(alone / 1024, 1),
        f"{label}: MiB with the process that checks (PSS)": round(together / 1024, 1),
        f"{label}: s (the time-outs one by one)": f"{seconds:.0f} ({waited:.0f})",
    }


def measure_threshold(names: Sequence[str]) -> str:
    """Deploy to half of the boards, one in ten of which is full: P-30."""
    half = names[::2]
    for host in half[3::10]:
        shell(host, "dd if=/dev/zero of=/flash/fill bs=65536 2>/dev/null; true")
    words = ("deploy", "--label", "site=north", "--waves", "1,10%,100%", "--errors", ERRORS, "--fast", "--json")
    argv = [sys.executable, "-m", "invoke", *words]
    environment = {**os.environ, "PYTHONPATH": str(paths.CHECKOUT)}
    done = subprocess.run(argv, cwd=paths.CHECKOUT, env=environment, capture_output=True, text=True, check=False)
    for host in half[3::10]:
        shell(host, "rm /flash/fill")
    records = [json.loads(line) for line in done.stdout.splitlines()]
    untouched = [host for host in half if not shell(host, f"ls -d {FLASH} 2>/dev/null; true")]
    failed = sum(record["exit_code"] != 0 for record in records)
    for record in records:
        shell(record["host"], f"rm -rf {FLASH}")
    return f"{len(records)} tried, {failed} failed, {len(untouched)} not touched, exit {done.returncode}"


def measure_light(engine: Engine) -> dict[str, object]:
    """Deploy to a hundred small boards; the ideal is the sum of what each took, shared by those at once."""
    with tempfile.TemporaryDirectory() as place, small_fleet(Path(place), engine, LIGHT, prefix="light") as names:
        words = ("--group", "cameras", "--parallel", str(CONCURRENCY))
        deploy = ("deploy", *words, "--waves", "100%", "--fast", "--json")
        label = f"{LIGHT // 2} boards, 1 in 10 full, {ERRORS} may fail"
        figures: dict[str, object] = {label: measure_threshold(names)}
        for what, most in (("first", f" (most {MOST_RATIO})"), ("again", "")):
            seconds, alone, _, lines = measured(*deploy)
            records = [json.loads(line) for line in lines]
            if {record["host"] for record in records if record["exit_code"] == 0} != set(names):
                raise PreflightError("not every board has it", why=str([one for one in records if one["error"]])[:400])
            begun, ideal = _start_up(), sum(record["seconds"] for record in records) / CONCURRENCY
            label = f"{LIGHT} boards, {CONCURRENCY} at once, {what}"
            figures[f"{label}: s (start-up)"] = f"{seconds:.1f} ({begun:.1f})"
            figures[f"{label}: times the ideal{most}"] = round((seconds - begun) / ideal, 2)
            figures[f"{label}: MiB, most"] = round(alone / 1024, 1)
        seconds, alone, _, lines = measured("status", *words, "--json")
        figures[f"{LIGHT} boards, status: s, MiB"] = f"{seconds:.1f}, {alone / 1024:.1f}"
        return figures


def measure_growth(engine: Engine) -> list[tuple[int, float, float]]:
    """Return the wall seconds of a first deploy by the number of boards, and the ideal's."""
    rows = []
    for count in SIZES:
        with tempfile.TemporaryDirectory() as place, small_fleet(Path(place), engine, count, prefix="grow"):
            words = ("--group", "cameras", "--parallel", str(CONCURRENCY), "--waves", "100%", "--fast", "--json")
            seconds, _, _, lines = measured("deploy", *words)
            shared = sum(json.loads(line)["seconds"] for line in lines) / min(count, CONCURRENCY)
            rows.append((count, seconds, _start_up() + shared))
    return rows


def _start_up() -> float:
    """Return the seconds that such a command takes before the first host: what it reads, and none is asked."""
    begun = time.perf_counter()
    argv = [sys.executable, "-m", "invoke", "deploy", "--group", "cameras", "--dry-run"]
    environment = {**os.environ, "PYTHONPATH": str(paths.CHECKOUT)}
    subprocess.run(argv, cwd=paths.CHECKOUT, env=environment, check=True, stdout=subprocess.DEVNULL)
    return time.perf_counter() - begun


def measure(svg: Path | None = None) -> dict[str, object]:
    engine = Engine.connect()
    board = load_board("sim-tiny")
    prepare_board(board, engine)
    make_bundle(
        board, build_stage(prepare_build(parse_arch(board.file.arch), board.ask(), engine=engine)), board_index(board)
    )
    load = f"{os.getloadavg()[0]:.1f} on {os.cpu_count()} processors"
    figures: dict[str, object] = {"other work on this machine (load)": load}
    if svg is None:
        return figures | measure_silent() | measure_light(engine)
    rows = measure_growth(engine)
    title = f"Seconds of a first deploy, by boards, {CONCURRENCY} at once"
    write_whole(svg, plot(title, ("all of it", "ideal"), rows).encode())
    return figures | {f"{count} boards: s (ideal)": f"{wall:.1f} ({ideal:.1f})" for count, wall, ideal in rows}


if __name__ == "__main__":
    show("Many hosts", measure, svg="only draw the time by the number of boards")
