"""The commands as a person types them: help, exit codes, dry runs, and no traceback for a mistake."""

from __future__ import annotations

import copy
import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

import tasks
from deploy.commands import project
from recipes import paths
from recipes.arch import ARCHES
from tests.support.commandlines import answers

pytestmark = pytest.mark.process
NAMES = sorted(tasks.ns.task_names)


def invoke(*words: str, env: dict[str, str] | None = None) -> subprocess.CompletedProcess[str]:
    # A session whose stand-in upstreams are up has a lock of its own.
    here = {key: value for key, value in os.environ.items() if key != "BOARDCAST_LOCK"}
    return subprocess.run(
        [sys.executable, "-m", "invoke", *words],
        cwd=paths.CHECKOUT,
        env={**here, "NO_COLOR": "1", **(env or {})},
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )


def test_the_list_reads_like_a_table_of_contents() -> None:
    out = invoke("--list").stdout
    for name in (
        "build",
        "bundle",
        "deploy",
        "verify",
        "rollback",
        "status",
        "up",
        "sim",
        "shell",
        "why",
        "matrix",
        "demo",
        "fetch",
        "images",
    ):
        assert re.search(rf"^  ({name}|{name}\.make \({name}\))\s+[A-Z]", out, re.MULTILINE), name


def test_start_up_loads_no_heavy_library() -> None:
    heavy = "docker fabric paramiko boto3 jinja2 pydantic rich requests pytest"
    code = f"import sys, tasks; sys.exit(' '.join(set('{heavy}'.split()) & sys.modules.keys()) or 0)"
    done = subprocess.run([sys.executable, "-c", code], cwd=paths.CHECKOUT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("name", NAMES)
def test_help_has_a_line_for_every_argument(name: str) -> None:
    task = copy.deepcopy(tasks.ns)[name]
    arguments = task.get_arguments()
    assert all(argument.help and len(argument.help) > 3 for argument in arguments)
    assert task.__doc__
    assert all(argument.nicknames == () for argument in arguments), "-h of --host would take -h away from help"


MISTAKES = [
    (["build", "--arch", "armv8"], 2, "did you mean 'armv7'?"),
    (["build", "--arch", "armv7", "--board", "cam9"], 2, "no board 'cam9'"),
    (["build", "--arch", "armv7", "--recipe", "kvs"], 2, "no recipe 'kvs'"),
    (["bundle", "--board", "nowhere"], 2, "known: sim-armv7, sim-camera, sim-tiny"),
    (["deploy", "--host", "cam77"], 2, "no host 'cam77'"),
    (["verify", "--host", "cam77"], 2, "no host 'cam77'"),
    (["rollback", "--host", "cam77"], 2, "no host 'cam77'"),
    (["status", "--host", "cam77"], 2, "no host 'cam77'"),
    (["up", "--host", "cam77"], 2, "no host 'cam77'"),
    (["status", "--host", "sim-tiny"], 5, "invoke sim up --host sim-tiny"),
    (["bundle.verify", "0123abcd"], 2, "no bundle begins with 0123abcd"),
    (["bundle.diff", "0123abcd", "0123abcd"], 2, "no bundle begins with 0123abcd"),
    (["deploy", "--host", "sim-tiny", "--bundle", "0123abcd"], 2, "no bundle begins with 0123abcd"),
    (["deploy", "--group", "camera"], 2, "no group 'camera'"),
    (["deploy", "--group", "all", "--waves", "1,10%"], 2, "the last wave has to be 100%"),
    (["deploy", "--host", "sim-tiny", "--errors", "few"], 2, "a count, or a percentage such as 5%"),
    (["deploy", "--host", "sim-tiny,sim-armv7", "--resume"], 2, "no rollout of --host sim-tiny --host sim-armv7"),
    (["deploy", "--host", "sim-tiny", "--resume", "--retry-failed"], 2, "one of the two"),
    (["activate", "--host", "sim-tiny", "--at", "noon"], 2, "is no time"),
    (["activate", "--label", "site"], 2, "a name and a value are needed"),
    (["prune", "--host", "sim-tiny", "--keep", "99"], 2, "1 to 64 releases"),
    (["status", "--group", "all", "--parallel", "0"], 2, "1 to 64 hosts at once"),
    (["verify", "--label", "site=north"], 2, "no label 'site=north'"),
    (["sim", "sideways"], 2, "known: up, down, status"),
    (["fetch", "--source", "zlib"], 2, "no source 'zlib'"),
    (["fetch", "--mirror", "/nonexistent"], 2, "is not a directory"),
    (["matrix", "--format", "xml"], 2, "no matrix format 'xml'"),
    (["sysroot", "--name", "debian1"], 2, "no sysroot 'debian1'"),
    (["bench", "everything"], 2, "no bench 'everything'"),
    (["bench", "elf", "--svg", "x.svg"], 2, "bench elf draws nothing"),
    (["test", "everything"], 2, "no kind of test 'everything'"),
    (["test", "faults", "--seed", "x"], 2, "--seed x: a number"),
    (["selftest.security", "--kind", "everything"], 2, "no kind of hostile input 'everything'"),
    (["build", "--arch", "armv7", "--board", "../sim-tiny"], 2, "cannot be the name of a board"),
    (["deploy", "--host", "-oProxyCommand=x"], 2, "cannot be the name of a host"),
    (["sysroot", "--name", "../lists/debian12"], 2, "cannot be the name of a sysroot"),
    (["build"], 1, "arch"),
    (["build", "--arch", "aarch64", "--board", "sim-armv7"], 2, "board sim-armv7 is armv7, not aarch64"),
]


@pytest.fixture(scope="module")
def mistakes(tmp_path_factory: pytest.TempPathFactory) -> dict[str, tuple[int, str, str]]:
    """Return the answer to each mistake."""
    lines = [words for words, _, _ in MISTAKES]
    told = answers(lines, {"BOARDCAST_WORK": str(tmp_path_factory.mktemp("work"))})
    return dict(zip(map(" ".join, lines), told, strict=True))


@pytest.mark.parametrize(("words", "code", "says"), MISTAKES)
def test_a_mistake_has_its_exit_code_and_no_traceback(
    words: list[str], code: int, says: str, mistakes: dict[str, tuple[int, str, str]]
) -> None:
    found, out, err = mistakes[" ".join(words)]
    assert found == code, err
    assert says in err + out
    assert "Traceback" not in err


def test_an_error_is_json_where_json_was_asked_for() -> None:
    done = invoke("build", "--arch", "armv8", "--json")
    assert done.returncode == 2
    error = json.loads(done.stdout)
    assert error["exit_code"] == 2
    assert "armv7" in error["why"]


def test_no_engine_says_which_socket_and_how_to_get_one(tmp_path: Path) -> None:
    socket = f"unix://{tmp_path}/none.sock"
    done = invoke("images", "--arch", "armv7", env={"DOCKER_HOST": socket})
    assert done.returncode == 3
    assert socket in done.stderr
    assert "./bootstrap install" in done.stderr
    assert "Traceback" not in done.stderr


def test_no_network_and_an_empty_cache(tmp_path: Path) -> None:
    done = invoke("fetch", "--source", "curl", "--offline", env={"BOARDCAST_CACHE": str(tmp_path)})
    assert done.returncode == 3
    assert "curl 8.14.1" in done.stderr
    assert "--mirror DIR" in done.stderr


@pytest.mark.parametrize(
    "words",
    [
        ["fetch", "--dry-run"],
        ["images", "--dry-run"],
        ["sysroot", "--dry-run"],
        ["demo", "--dry-run"],
        ["sim", "up", "--dry-run"],
        ["bench", "elf", "--dry-run"],
        ["test", "faults", "--dry-run"],
        ["bench", "dedupe", "--svg", "x.svg", "--dry-run"],
    ],
)
def test_a_dry_run_needs_no_engine_and_changes_nothing(words: list[str], tmp_path: Path) -> None:
    environment = {
        "DOCKER_HOST": "unix:///nonexistent",
        "BOARDCAST_WORK": str(tmp_path / "w"),
        "BOARDCAST_CACHE": str(tmp_path / "c"),
    }
    done = invoke(*words, env=environment)
    assert done.returncode == 0, done.stderr
    assert done.stdout.strip()
    assert not list(tmp_path.rglob("*"))


def test_the_matrix_is_for_github_as_it_stands() -> None:
    lines = dict(line.split("=", 1) for line in invoke("matrix", "--format", "github").stdout.splitlines())
    assert (lines["empty"], lines["no-boards"]) == ("false", "false")
    assert {row["arch"] for row in json.loads(lines["matrix"])["include"]} == set(ARCHES)
    assert {row["host"] for row in json.loads(lines["boards"])["include"]} == {"sim-armv7", "sim-camera", "sim-tiny"}
    chosen = json.loads(invoke("matrix", "--board", "sim-tiny", "--arch", "armv7").stdout)
    assert [row["name"] for row in chosen] == ["sim-tiny", "armv7-sdks"]


@pytest.mark.parametrize("action", ["demo", "test"])
def test_bootstrap_refuses_with_a_list_where_nothing_may_be_installed(tmp_path: Path, action: str) -> None:
    """A PATH with the bare minimum, and a socket that is not there."""
    tools = tmp_path / "bin"
    tools.mkdir()
    for name in ("sh", "dirname", "grep", "uname", "cat", "cksum", "id", "sed"):
        for folder in ("/usr/bin", "/bin"):
            if (Path(folder) / name).exists() and not (tools / name).exists():
                (tools / name).symlink_to(Path(folder) / name)
    done = subprocess.run(
        [str(tools / "sh"), "./bootstrap", action, "--no-install"],
        cwd=paths.CHECKOUT,
        env={"PATH": str(tools), "DOCKER_HOST": f"unix://{tmp_path}/none.sock", "BOOTSTRAP_ROOT": str(tmp_path)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 2
    for part in ("Python 3.11 or newer", "start that one, or name another", "emulation of"):
        assert part in done.stderr
    assert "mmdebstrap" not in done.stderr, "it is needed where no registry answers, and that is known later"
    for part in ("squashfs images", "types of libraries", "second opinion"):
        assert (part in done.stderr) == (action == "test")


def test_pins_are_a_table_and_json() -> None:
    rows = json.loads(invoke("pins", "--json").stdout)
    by_name = {row["name"]: row for row in rows}
    assert by_name["kvs-producer-cpp"]["pinned"] == "8e59b313950d4dbb1ecfb88e2108df87e3331c4e"
    assert by_name["openssl-1.1.1"]["flag"].startswith("EOL upstream since 2023-09-11")
    assert "kvs-webrtc-c" in invoke("pins").stdout


def test_check_says_what_an_empty_cache_lacks(tmp_path: Path) -> None:
    done = invoke(
        "fetch", "--check", "--source", "kvs-webrtc-c", "--source", "curl", env={"BOARDCAST_CACHE": str(tmp_path)}
    )
    assert done.returncode == 3
    assert done.stdout.count("not in the cache") == 2
    assert "2 of 2 sources are not whole" in done.stderr


@pytest.mark.parametrize(("eol", "code"), [("2026-09-07", 2), ("2999-01-01", 0)])
def test_a_default_past_its_end_of_life_is_exit_2(tmp_path: Path, eol: str, code: int) -> None:
    """Which the weekly job of CI goes by; the distribution's side of it is in tests/sources/test_pins.py."""
    text = re.sub(r"(?m)^eol = 2030-04-08$", f"eol = {eol}", (paths.CATALOG / "lock.toml").read_text())
    (tmp_path / "lock.toml").write_text(text)
    command = [sys.executable, "-m", "invoke", "pins", "--check", "--offline"]
    env = {**os.environ, "NO_COLOR": "1", "BOARDCAST_LOCK": str(tmp_path / "lock.toml")}
    done = subprocess.run(
        command, cwd=paths.CHECKOUT, env=env, capture_output=True, text=True, check=False, timeout=120
    )
    assert done.returncode == code, done.stderr
    assert ("openssl  3.5.7" in done.stdout and f"ended upstream on {eol}" in done.stdout) is (code == 2)
    assert "Traceback" not in done.stderr


def test_a_weekly_job_checks_the_pins() -> None:
    job = (paths.CHECKOUT / ".github" / "workflows" / "pins.yml").read_text()
    assert re.search(r'^ *- cron: "\d+ \d+ \* \* [0-6]"$', job, re.MULTILINE)
    assert re.findall(r"run: .*invoke (.*)", job) == ["pins --check"]
    assert all(re.search(r"@[0-9a-f]{40} # v", line) for line in job.splitlines() if "uses:" in line)


UNBUILDABLE = [
    (["--policy", "openssl"], "is no policy"),
    (["--variant", "smal"], "did you mean 'small'?"),
    (["--patch", "uploader"], "no patch 'uploader'"),
    (["--recipe", "producer", "--variant", "static"], "cannot be built as 'static'"),
    (["--recipe", "boardprobe", "--policy", "openssl=1.0.2"], "known: auto, board, source, 3.5.7, 3.0.20, 1.1.1t"),
    (["--policy", "opennssl=source"], "did you mean 'openssl'? known: curl, "),
    (["--policy", "openssl=sorce"], "did you mean 'source'? known: auto, board, source, 3.5.7, 3.0.20, 1.1.1t"),
    (["--policy", "webrtc=board"], "webrtc: always built"),
    (["--recipe", "webrtc", "--patch", "uploader-mp3"], "no recipe of this build takes the patch"),
]


@pytest.fixture(scope="module")
def refusals() -> dict[str, tuple[int, str, str]]:
    """Return the answer to each build that cannot be."""
    lines = [["build", "--arch", "armv7", "--dry-run", *words] for words, _ in UNBUILDABLE]
    return dict(zip((" ".join(words) for words, _ in UNBUILDABLE), answers(lines), strict=True))


@pytest.mark.parametrize(("words", "says"), UNBUILDABLE)
def test_what_cannot_be_built_so_is_told_before_anything_runs(
    words: list[str], says: str, refusals: dict[str, tuple[int, str, str]]
) -> None:
    code, _, err = refusals[" ".join(words)]
    assert code == 2
    assert says in " ".join(err.split()), "a long line is broken"
    assert "Traceback" not in err


def test_hostile_input_is_tried_and_counted() -> None:
    done = invoke("selftest.security", "--kind", "store", "--json")
    assert done.returncode == 0, done.stderr
    (row,) = json.loads(done.stdout).items()
    assert row[0] == "store"
    assert row[1]["inputs"] == row[1]["refused"] > 40


def test_our_own_tests_have_this_users_cache_and_mirrors(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Without them they would fetch and make anew, in another place, all that this machine has."""
    given = {
        "BOARDCAST_CACHE": str(tmp_path),
        "BOARDCAST_DEBIAN_MIRROR": "http://mirror.invalid/debian",
        "https_proxy": "http://proxy.invalid:3128",
    }
    for name, value in {**given, "BOARDCAST_BOARDS": "/elsewhere", "PYTEST_ADDOPTS": "-k nothing"}.items():
        monkeypatch.setenv(name, value)
    found = project._of_tests({"BOARDCAST_SEED": "7"})
    assert given.items() <= found.items()
    assert found["BOARDCAST_SEED"] == "7"
    assert not {"BOARDCAST_BOARDS", "PYTEST_ADDOPTS"} & found.keys()
