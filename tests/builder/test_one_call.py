"""The commands of a recipe in one call: in order, each in its folder, to the first that fails; and their log."""

from __future__ import annotations

import io
import os
import re
import subprocess
from collections.abc import Sequence
from pathlib import Path, PurePosixPath

import pytest

from recipes import progress
from recipes.builder import diagnosis
from recipes.builder.commands import LEAVE, Command, in_one_call
from recipes.builder.diagnosis import CallLog
from recipes.errors import BuildError

pytestmark = pytest.mark.process
STEPS = ("configure", "build", "install")


def watched(commands: Sequence[Command], log: io.BytesIO, mark: str = "MARK") -> CallLog:
    return CallLog(log=log, told=progress.Step(what="x"), commands=commands, mark=mark)


def step(name: str, script: str, folder: Path) -> Command:
    return Command(name=name, argv=("bash", "-c", script, "a word", "", "two\nlines"), cwd=PurePosixPath(folder))


def carried_out(commands: Sequence[Command], *, size: int = 1 << 16) -> tuple[int, CallLog, str]:
    """Run commands as a container does, and give the log what they print in pieces of this size."""
    log = io.BytesIO()
    told = watched(commands, log)
    done = subprocess.run(in_one_call(commands, told.mark), stdout=subprocess.PIPE, check=False)
    for start in range(0, len(done.stdout), size):
        told.write(done.stdout[start : start + size])
    told.close()
    return done.returncode, told, log.getvalue().decode()


@pytest.mark.parametrize("size", [1, 2, 5, 1 << 16])
def test_each_runs_in_its_folder_and_the_log_has_them_apart(tmp_path: Path, size: int) -> None:
    (tmp_path / "build").mkdir()
    commands = [
        step("configure", 'echo out; echo err >&2; printf "%s|" "$0" "$@"; exec 3>&2; echo; pwd', tmp_path),
        step("build", "pwd; printf '[ 50%%] half, no line break'", tmp_path / "build"),
        step("install", "printf 'MAR'", tmp_path),
    ]
    code, told, log = carried_out(commands, size=size)
    assert code == 0
    assert told.current.name == "install"
    parts = re.split(r"\n==> (\w+): [^=]*?\n(?=out|/|MAR)", log)
    assert parts[1::2] == [*STEPS]
    texts = [re.sub(r"\n<== \w+: \d\.\d s\n$", "", text) for text in parts[2::2]]
    assert texts == [
        f"out\nerr\na word||two\nlines|\n{tmp_path}\n",
        f"{tmp_path}/build\n[ 50%] half, no line break",
        "MAR",
    ]
    assert "MARK" not in log


@pytest.mark.parametrize("at", range(3))
def test_the_first_that_fails_ends_it_with_its_code(tmp_path: Path, at: int) -> None:
    commands = [step(name, f"exit {7 * (number == at)}", tmp_path) for number, name in enumerate(STEPS)]
    code, told, log = carried_out(commands)
    assert code == 7
    assert told.current.name == STEPS[at]
    assert re.findall(r"^==> (\w+):", log, re.MULTILINE) == [*STEPS[: at + 1]]
    assert re.findall(r"^<== (\w+):", log, re.MULTILINE) == [*STEPS[: at + 1]]


@pytest.mark.parametrize(
    ("argv", "folder", "says"), [("no-such-program", "", "not found"), ("true", "none", "No such file")]
)
def test_what_cannot_even_start_says_so_in_the_log(tmp_path: Path, argv: str, folder: str, says: str) -> None:
    broken = Command(name="build", argv=(argv,), cwd=PurePosixPath(tmp_path / folder))
    code, told, log = carried_out([step("configure", "true", tmp_path), broken])
    assert code != 0
    assert told.current is broken
    assert says in log.partition("==> build")[2]


def test_a_command_sees_no_variable_of_the_shell_that_starts_it(tmp_path: Path) -> None:
    """PWD goes into debug information, where a compiler believes it."""
    commands = [Command(name="build", argv=("env",), cwd=PurePosixPath(tmp_path))] * 2
    log = io.BytesIO()
    done = subprocess.run(
        in_one_call(commands, "MARK"), stdout=subprocess.PIPE, env={"PATH": os.environ["PATH"], "A": "1"}, check=True
    )
    told = watched(commands, log)
    told.write(done.stdout)
    told.close()
    printed = [line for line in log.getvalue().decode().splitlines() if line[:1].isalnum() or line[:1] == "_"]
    assert {line.partition("=")[0] for line in printed} == {"PATH", "A", "_"}


def test_a_mark_too_many_changes_nothing() -> None:
    commands = [Command(name="build", argv=("x",))]
    log = io.BytesIO()
    told = watched(commands, log)
    told.write(b"\nMARK\none\nMARK\n\nMARK\ntwo")
    told.close()
    assert told.current.name == "build"
    assert log.getvalue().count(b"==> ") == 1
    assert b"one" in log.getvalue()
    assert b"two" in log.getvalue()


def test_each_command_has_a_limit_of_its_own(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(diagnosis, "LONGEST_LOG", 10)
    told = watched([Command(name="one", argv=("one",)), Command(name="two", argv=("two",))], io.BytesIO())
    told.write(b"\nMARK\n12345678\nMARK\n12345678")
    with pytest.raises(BuildError, match="two prints without end"):
        told.write(b"90abc")


def test_what_is_left_is_below_one_folder(tmp_path: Path) -> None:
    script = LEAVE.argv[:4]
    for name in ("out", "debug"):
        (tmp_path / name).mkdir()
    (tmp_path / "config.cache").symlink_to("nowhere")
    words = [str(tmp_path / name) for name in ("left", "out", "debug", "config.cache")]
    subprocess.run([*script, *words], check=True)
    assert {path.name for path in (tmp_path / "left").rglob("*")} == {"out", "debug", "answers", "config.cache"}
    assert subprocess.run([*script, *words], check=False, capture_output=True).returncode != 0, "it is there already"
