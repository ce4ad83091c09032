"""What watching over a stream costs: a rendered service under two shells beside the same pipeline in gst-launch-1.0.

A supervised stream has processes that the pipeline alone has not (the loop, and who keeps its log), and a program in
place of gst-launch-1.0. Both are counted, as processor time and as memory; the stream itself is not.
"""

from __future__ import annotations

import os
import secrets
import shutil
import signal
import subprocess
import tempfile
import time
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

from deploy.boards.board import Board, BoardFile
from deploy.bundle.streams import board_service, stream_contents
from deploy.launch.streams import StreamProgram, stream_programs
from deploy.services.supervise import supervise_script
from recipes.errors import PreflightError
from tests.support.bench import show
from tests.support.boardstream import Boardstream, compiled

SHELLS = {"dash": ["dash"], "BusyBox": ["busybox", "ash"]}
WARM, SECONDS, EVERY = 10, 60, 5
MOST_CPU, MOST_KIB = 0.5, 2048
"""Percent of a core, and memory: what the watchdog may cost on a board."""
_TICK = os.sysconf("SC_CLK_TCK")


@dataclass(frozen=True, slots=True, kw_only=True)
class Cost:
    """Of some processes, over one run."""

    seconds: float
    """Processor time since they began; that of children that have ended is with their parents."""
    pss_kib: int
    """Memory, what several processes share divided among them."""
    rss_kib: int


def _stat(process: int) -> list[str]:
    text = Path(f"/proc/{process}/stat").read_text()
    return text[text.rindex(")") + 2 :].split()


def tree(top: int) -> set[int]:
    """Return a process and all that descend from it."""
    parents: dict[int, int] = {}
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                parents[int(entry.name)] = int(_stat(int(entry.name))[1])
            except (OSError, ValueError):
                continue
    found = {top}
    while more := {child for child, parent in parents.items() if parent in found} - found:
        found |= more
    return found


def cost(processes: set[int]) -> Cost:
    seconds, sizes = 0.0, {"Pss": 0, "Rss": 0}
    for process in processes:
        try:
            # utime, stime, and those of children that were waited for: proc(5).
            seconds += sum(int(word) for word in _stat(process)[11:15]) / _TICK
            for line in Path(f"/proc/{process}/smaps_rollup").read_text().splitlines()[1:]:
                name, _, value = line.partition(":")
                if name in sizes:
                    sizes[name] += int(value.split()[0])
        except (OSError, IndexError):
            continue
    return Cost(seconds=seconds, pss_kib=sizes["Pss"], rss_kib=sizes["Rss"])


def board_of(root: Path, name: str) -> Board:
    stream = {
        "source": {"test": "ball"},
        "video": {"encoder": "x264enc", "width": 64, "height": 48, "framerate": 25, "key_frame_interval": 25},
        "sink": {"kvs": "bench", "storage_size": 16},
    }
    text = {"schema": 2, "arch": "x86_64", "sysroot": "debian12-x86_64", "root": str(root), "init": "none"}
    service = {"log_folder": str(root / "log"), "groups": [], "wait_for_network": False, "wait_for_clock": False}
    more = {"environment": {"region": "eu-west-1"}, "service": service, "streams": {name: stream}}
    return Board(name="bench", file=BoardFile.model_validate(text | more))


def placed(root: Path, made: Boardstream, name: str) -> tuple[Path, StreamProgram]:
    """Put a release with the stream on this machine; return the script of its supervising loop, and the program."""
    board = board_of(root, name)
    (program,) = stream_programs(board)
    release = root / "releases" / "one"
    for folder in (release / "bin", root / "services", root / "log", root / "state", Path(program.folder)):
        folder.mkdir(parents=True)
    shutil.copy(made.program, release / "bin")
    subprocess.run(["strip", release / "bin" / made.program.name], check=True)
    shutil.copytree(made.folder / "plugins", release / "gstreamer-1.0")
    for path, (content, mode) in stream_contents(board, {program.program}, plugins=True).items():
        if not path.startswith("services/"):
            (release / path).parent.mkdir(parents=True, exist_ok=True)
            (release / path).write_bytes(content)
            (release / path).chmod(mode)
    (root / "current").symlink_to("releases/one")
    service = replace(board_service(board, program), state_folder=str(root / "state"))
    script = Path(service.script)
    script.write_bytes(supervise_script(service))
    return script, program


@contextmanager
def started(argv: list[str], environment: Mapping[str, str], folder: Path) -> Iterator[int]:
    """Run something as a group of its own; whatever happens, nothing of it outlives the block."""
    with (folder / "said").open("wb") as said:
        process = subprocess.Popen(
            argv, env=dict(environment), cwd=folder, stdin=subprocess.DEVNULL, stdout=said, stderr=said
        )
        try:
            yield process.pid
        finally:
            process.terminate()
            try:
                process.wait(timeout=30)
            except subprocess.TimeoutExpired:
                for left in tree(process.pid):
                    os.kill(left, signal.SIGKILL)
                process.wait()


def tools(shell: str, folder: Path) -> str:
    """Return the PATH of a board with that shell: BusyBox's own applets, or this machine's."""
    if shell != "BusyBox":
        return os.environ["PATH"]
    folder.mkdir()
    subprocess.run([str(shutil.which("busybox")), "--install", "-s", folder], check=True, capture_output=True)
    return str(folder)


def split(top: int) -> tuple[set[int], set[int]]:
    """Return the processes that watch, and the one that streams."""
    everybody = tree(top)
    streams = {process for process in everybody if os.readlink(f"/proc/{process}/exe").endswith("/boardstream")}
    if len(streams) != 1:
        raise PreflightError("the stream did not start", next_step="invoke bench watchdog, with a look at its log")
    return everybody - streams, streams


def watch(tops: Mapping[str, int], alone: int) -> dict[str, object]:
    """Measure all of them over the same seconds."""
    parts = {shell: split(top) for shell, top in tops.items()}
    first = {shell: (cost(split(top)[0]), cost(split(top)[1])) for shell, top in tops.items()}
    plain, begun = cost({alone}), time.monotonic()
    sizes: dict[str, list[tuple[Cost, Cost]]] = {shell: [] for shell in tops}
    plains: list[Cost] = []
    while time.monotonic() - begun < SECONDS:
        time.sleep(EVERY)
        for shell, top in tops.items():
            sizes[shell].append((cost(split(top)[0]), cost(parts[shell][1])))
        plains.append(cost({alone}))
    passed = time.monotonic() - begun
    used = (plains[-1].seconds - plain.seconds) / passed * 100
    figures: dict[str, object] = {"seconds": round(passed), "gst-launch-1.0 alone, % of a core": round(used, 2)}
    for shell, samples in sizes.items():
        loop = (samples[-1][0].seconds - first[shell][0].seconds) / passed * 100
        more = (samples[-1][1].seconds - first[shell][1].seconds) / passed * 100 - used
        kib = max(watcher.pss_kib for watcher, _ in samples)
        resident = max(watcher.rss_kib for watcher, _ in samples)
        above = max(stream.pss_kib for _, stream in samples) - max(other.pss_kib for other in plains)
        figures |= {
            f"{shell}: loop and log, % of a core": round(loop, 2),
            f"{shell}: boardstream above gst-launch-1.0, % of a core": round(more, 2),
            f"{shell}: loop and log, KiB (PSS; RSS)": f"{kib:,}; {resident:,}",
            f"{shell}: boardstream above gst-launch-1.0, KiB (PSS)": f"{above:,}",
            f"{shell}: within {MOST_CPU} % and {MOST_KIB:,} KiB": loop + more <= MOST_CPU and kib + above <= MOST_KIB,
        }
    return figures


def measure() -> dict[str, object]:
    with tempfile.TemporaryDirectory() as folder:
        place = Path(folder)
        made = compiled(place)
        tag = secrets.token_hex(4)
        environment = {**made.environment, "LC_ALL": "C"}
        with ExitStack() as stack:
            tops, words = {}, []
            for shell, argv in SHELLS.items():
                if not shutil.which(argv[0]):
                    raise PreflightError(f"{argv[0]} is not on this machine", next_step=f"apt-get install {argv[0]}")
                name = f"bench-{shell.lower()}-{tag}"
                root = place / shell
                script, program = placed(root, made, name)
                status = Path(program.status).parent
                status.mkdir()
                stack.callback(shutil.rmtree, status)
                run = [str(shutil.which(argv[0])), *argv[1:], str(script)]
                path = tools(shell, place / "applets")
                tops[shell] = stack.enter_context(started(run, {**os.environ, "PATH": path, "LC_ALL": "C"}, root))
                words = list(program.arguments[program.arguments.index("--") + 1 :])
            (place / "alone").mkdir()
            alone = stack.enter_context(started(["gst-launch-1.0", "-q", *words], environment, place / "alone"))
            time.sleep(WARM)
            return watch(tops, alone)


if __name__ == "__main__":
    show("Watching over a stream", measure)
