"""What a command line gets before and around every task: help at each place, near names, and a quiet end."""

from __future__ import annotations

import copy
import json
import os
import re
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

import tasks
from recipes import paths
from recipes.arch import ARCHES
from recipes.sources.recipe import load_catalogue
from tests.support.commandlines import answers

pytestmark = pytest.mark.process
NAMES = sorted(tasks.ns.task_names)
ARGUMENTS = {
    name: {argument.name: argument for argument in copy.deepcopy(tasks.ns)[name].get_arguments()} for name in NAMES
}


def shell(line: str, env: dict[str, str] | None = None) -> subprocess.CompletedProcess[str]:
    """Run a line of bash, where `invoke` is this interpreter's."""
    return subprocess.run(
        ["bash", "-c", f'invoke() {{ "{sys.executable}" -m invoke "$@"; }}\n{line}'],
        cwd=paths.CHECKOUT,
        env={**os.environ, **(env or {})},
        capture_output=True,
        text=True,
        check=False,
        timeout=900,
    )


def every_argument(name: str) -> list[str]:
    """Return words that give a task all of its arguments, the positional ones by their place."""
    words = ["7" for argument in ARGUMENTS[name].values() if argument.positional]
    for argument in ARGUMENTS[name].values():
        if not argument.positional:
            words += [f"--{argument.names[0]}", *(["7"] if argument.takes_value else [])]
    return words


def help_lines(name: str, *, both: bool) -> list[list[str]]:
    """Return command lines that each ask for a task's help, at another place among its arguments.

    Parameters
    ----------
    both:
        `--help` and `-h` at each place; else one of them, by turns.
    """
    words = every_argument(name)
    valued = [[f"--{argument.names[0]}"] for argument in ARGUMENTS[name].values() if argument.takes_value]
    befores = [[], words, *valued, *(words[:at] for at in range(1, len(words)))]
    spellings = ("--help", "-h")
    lines = [
        [name, *before, word]
        for place, before in enumerate(befores)
        for word in (spellings if both else spellings[place % 2 :][:1])
    ]
    return [*lines, [name, "--help", *words], ["pins", name, "-h"], ["--help", name]]


@pytest.mark.parametrize(
    "both", [False, pytest.param(True, marks=pytest.mark.slow)], ids=["by turns", "both at each place"]
)
def test_help_works_at_every_place_of_every_task(both: bool) -> None:
    lines = [(name, line) for name in NAMES for line in help_lines(name, both=both)]
    for (name, line), (code, out, err) in zip(lines, answers([line for _, line in lines]), strict=True):
        assert (code, err) == (0, ""), line
        assert out.startswith(f"Usage: inv[oke] [--core-opts] {name} "), line
        for argument in ARGUMENTS[name].values():
            assert f"--{argument.names[0]}" in out, line


def test_help_is_for_the_last_task_named_and_never_for_an_argument() -> None:
    lines = [["bench", "build", "--help"], ["fetch", "--offline", "sim", "up", "-h"], ["bundle", "-h"]]
    assert [out.split()[3] for _, out, _ in answers(lines)] == ["bench", "sim", "bundle.make"]


def test_help_has_the_lists_of_the_data() -> None:
    recipes = load_catalogue().values()
    names = {name for recipe in recipes for name in (*recipe.variants, *recipe.patches)}
    benches = {path.stem.removeprefix("bench_") for path in (paths.CHECKOUT / "tests" / "bench").glob("bench_*.py")}
    (_, build, _), (_, bench, _), (_, images, _) = answers([["build", "-h"], ["bench", "-h"], ["images", "-h"]])
    assert "small" in names
    assert "elf" in benches
    words = set(build.replace(",", " ").replace(";", " ").split())
    assert words >= {*ARCHES, *names}
    assert all(name in bench for name in benches)
    assert all(name in images for name in ARCHES)
    assert not [text for text in (build, bench, images) if "{" in text]


def test_a_broken_catalogue_does_not_take_the_help_away(tmp_path: Path) -> None:
    line = "import sys; from recipes import paths; from pathlib import Path; paths.CATALOG = Path(sys.argv.pop())"
    (tmp_path / "odd").mkdir()
    (tmp_path / "odd" / "recipe.toml").write_text("schema = \n")
    code = f"{line}\nfrom invoke.main import program\nprogram.run()"
    done = subprocess.run(
        [sys.executable, "-c", code, "build", "--help", str(tmp_path)],
        cwd=paths.CHECKOUT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert "(not readable: " in done.stdout


SLIPS = [
    (["sim", "status", "--hots", "cam01"], "sim has no flag '--hots'\n  why: did you mean '--host'?"),
    (["build", "--arhc", "armv7"], "did you mean '--arch'?\n  next: invoke build --help"),
    (["build", "--arch=armv7", "--bord=x"], "did you mean '--board'?"),
    (["bundle.why", "libz", "--broad", "x"], "did you mean '--board'?"),
    (["bundle.why", "libz"], "--board is missing"),
    (["buld"], "did you mean 'build'?\n  next: invoke --list"),
    (["--lst"], "did you mean '--list'?"),
    (["pins", "matrix", "--dry-run"], "matrix has no --dry-run\n  why: it only reads"),
    (["build", "--arch"], "--arch needs a value"),
    (["bundle.diff", "a"], "bundle.diff needs new"),
    (["bundle.diff", "a"], "next: invoke bundle.diff a NEW"),
    (["bundle"], "known: sim-armv7, sim-camera, sim-tiny\n  next: invoke bundle --board BOARD"),
    (["deploy"], "known: sim-armv7, sim-tiny, sim-camera\n  next: invoke deploy --host HOST"),
    (["bundle.why"], "next: invoke bundle.why LIBRARY --board BOARD"),
    (["verify", "--host"], "--host needs a value\n  next: invoke verify --help"),
    (["build", "--arch", "armv7", "--recipe", "--force"], "--recipe needs a value"),
    (["build"], "next: the same command with --arch armv7, or with --board BOARD"),
    (["why"], "--arch is missing, and no --board"),
    (["build", "--arch", "armv7", "--jobs", "many"], "a number was expected"),
]


@pytest.fixture(scope="module")
def slips() -> dict[str, tuple[int, str, str]]:
    """Return the answer to each line with a slip in it."""
    return dict(zip((" ".join(words) for words, _ in SLIPS), answers([words for words, _ in SLIPS]), strict=True))


@pytest.mark.parametrize(("words", "says"), SLIPS)
def test_a_slip_is_answered_with_what_was_meant(
    words: list[str], says: str, slips: dict[str, tuple[int, str, str]]
) -> None:
    code, out, err = slips[" ".join(words)]
    assert (code, out) == (1, "")
    assert says in err
    assert "Traceback" not in err


def test_a_slip_is_json_where_json_was_asked_for() -> None:
    ((code, out, _),) = answers([["sim", "status", "--json", "--hots", "x"]])
    assert code == 1
    assert json.loads(out)["why"] == "did you mean '--host'?"


DRY: dict[str, tuple[list[str], int]] = {
    "activate": (["--host", "sim-tiny"], 8),
    "bench": (["elf"], 0),
    "board.init": (["--host", "cam01", "--address", "192.0.2.17"], 0),
    "build": (["--arch", "armv7"], 3),
    "bundle.make": (["--board", "sim-tiny"], 2),
    "bundle.sizes": (["--board", "sim-tiny"], 2),
    "demo": ([], 0),
    "enroll": (["--host", "sim-tiny"], 2),
    "deploy": (["--host", "sim-tiny"], 2),
    "fetch": ([], 0),
    "images": ([], 0),
    "kvs": (["up"], 0),
    "pins": (["--update", "curl", "--to-version", "9"], 0),
    "prune": (["--host", "sim-tiny"], 5),
    "restart": (["--host", "sim-tiny"], 5),
    "rollback": (["--host", "sim-tiny"], 5),
    "selftest.security": ([], 0),
    "shell": (["--arch", "armv7"], 3),
    "sim": (["up"], 0),
    "start": (["--host", "sim-tiny"], 5),
    "stop": (["--host", "sim-tiny", "--stream", "front"], 5),
    "sysroot.index": (["recipes"], 0),
    "sysroot.make": ([], 0),
    "sysroot.pull": (["--host", "sim-tiny"], 0),
    "uninstall": (["--host", "sim-tiny"], 5),
    "test": (["faults"], 0),
    "up": (["--host", "sim-tiny"], 0),
    "verify": ([], 2),
}
"""Words for each task that would change something, and the exit code where there is no engine, cache or board."""


def test_what_changes_something_offers_a_dry_run_and_all_offer_json() -> None:
    assert {name for name in NAMES if "dry_run" in ARGUMENTS[name]} == DRY.keys()
    assert [name for name in NAMES if "json" not in ARGUMENTS[name]] == []
    texts = [argument.help for name in NAMES for argument in ARGUMENTS[name].values()]
    assert not [text for text in texts if text.startswith("accepted")]


def test_json_with_a_dry_run_is_json_everywhere_and_changes_nothing(tmp_path: Path) -> None:
    environment = {
        "DOCKER_HOST": "unix:///nonexistent",
        "BOARDCAST_WORK": str(tmp_path / "work"),
        "BOARDCAST_CACHE": str(tmp_path / "cache"),
    }
    lines = [[name, *words, "--json", "--dry-run"] for name, (words, _) in DRY.items()]
    for line, (code, out, err) in zip(lines, answers(lines, environment), strict=True):
        data: Any = json.loads(out)
        assert code == DRY[line[0]][1], (line, err)
        assert data, line
        assert ("exit_code" in data) == (code != 0), line
    # What a root is known by is a cache: it may be written, and deleted, at any time.
    left = [path for path in tmp_path.rglob("*") if path.is_file() and tmp_path / "cache" / "index" not in path.parents]
    assert left == []


def without_progress(text: str) -> str:
    """Leave out what a command says of itself where it takes more than three seconds, as on a busy machine."""
    return "".join(line for line in text.splitlines(keepends=True) if not re.match(r"\[ *\d+\.\ds\] ", line))


@pytest.mark.parametrize("words", ["--list", "build --help", "pins", "pins --json", "matrix"])
def test_a_reader_that_has_seen_enough_ends_it_quietly(words: str) -> None:
    done = shell(f"set -o pipefail; invoke {words} | head -n 1")
    assert (done.returncode, without_progress(done.stderr)) == (0, "")
    assert done.stdout.count("\n") == 1
    done = shell(f"set -o pipefail; invoke {words} | true")
    assert (done.returncode, done.stdout, without_progress(done.stderr)) == (0, "", "")


@pytest.mark.parametrize("words", ["--list", "build --help", "pins", "pins --json", "build --arch x --json"])
def test_a_full_disk_under_the_output_is_one_line(words: str) -> None:
    done = shell(f"invoke {words} > /dev/full")
    assert done.returncode in (1, 2)
    assert without_progress(done.stderr) == "error: cannot write to standard output: No space left on device\n"


@pytest.fixture
def odd(tmp_path: Path) -> list[str]:
    """Return the start of a command line of tasks that go wrong in ways that nobody foresaw."""
    (tmp_path / "odd.py").write_text(
        "import os, time\n"
        "from deploy.cli.command import command\n"
        "@command()\ndef fault(_, json=False):\n    'Fault.'\n    {}['no such\\nkey']\n"
        "@command()\ndef pipe(_, json=False):\n    'Pipe.'\n    raise BrokenPipeError('the engine hung up')\n"
        "@command()\ndef slow(_, json=False):\n    'Slow.'\n    from recipes import progress\n"
        "    progress.QUIET_SECONDS = 0.2\n    time.sleep(1.5)\n    print('{}')\n"
        "@command()\ndef wait(_, json=False):\n    'Wait.'\n    print('here', flush=True)\n    time.sleep(60)\n"
    )
    return [sys.executable, "-m", "invoke", "--collection", "odd", "--search-root", str(tmp_path)]


@pytest.mark.parametrize(
    ("task", "what"), [("fault", r"KeyError: 'no such\nkey'"), ("pipe", "BrokenPipeError: the engine hung up")]
)
def test_a_fault_of_ours_is_saved_and_never_shown(odd: list[str], task: str, what: str, tmp_path: Path) -> None:
    environment = {**os.environ, "BOARDCAST_WORK": str(tmp_path / "work")}
    done = subprocess.run(
        [*odd, task], cwd=paths.CHECKOUT, env=environment, capture_output=True, text=True, check=False
    )
    assert done.returncode == 70
    (saved,) = (tmp_path / "work" / "crash").iterdir()
    first, where, advice = done.stderr.splitlines()
    assert first == f"error: a fault of Boardcast itself: {what}"
    assert where == f"  traceback: {saved}"
    assert advice.startswith("  next: report this file")
    text = saved.read_text()
    assert "Traceback (most recent call last)" in text
    assert text.startswith("invoke --collection odd ")
    done = subprocess.run(
        [*odd, task, "--json"], cwd=paths.CHECKOUT, env=environment, capture_output=True, text=True, check=False
    )
    assert json.loads(done.stdout)["exit_code"] == done.returncode == 70


def test_a_fault_that_cannot_be_saved_is_told_all_the_same(odd: list[str], tmp_path: Path) -> None:
    (tmp_path / "work").write_text("a file where a folder should be")
    environment = {**os.environ, "BOARDCAST_WORK": str(tmp_path / "work")}
    done = subprocess.run(
        [*odd, "fault"], cwd=paths.CHECKOUT, env=environment, capture_output=True, text=True, check=False
    )
    assert done.returncode == 70
    assert "KeyError" in done.stderr
    assert "traceback: not saved: " in done.stderr
    assert "Traceback" not in done.stderr


def test_whatever_takes_long_is_at_work_and_says_so_beside_its_result(odd: list[str]) -> None:
    done = subprocess.run([*odd, "slow", "--json"], cwd=paths.CHECKOUT, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout) == (0, "{}\n")
    assert re.fullmatch(r"\[ +[\d.]+s\] at work: \d s so far\n", done.stderr)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_an_interrupt_ends_with_130(odd: list[str], number: signal.Signals) -> None:
    with subprocess.Popen(
        [*odd, "wait"], cwd=paths.CHECKOUT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as running:
        assert running.stdout is not None
        assert running.stdout.readline() == "here\n"
        running.send_signal(number)
        _, err = running.communicate(timeout=900)
    assert running.returncode == 130
    assert err == "interrupted; what was half done is cleaned up\n"
