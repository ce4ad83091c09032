"""What CI is told, read by others than its writer: actionlint, GitLab's and GitHub's published schemas, shellcheck."""

from __future__ import annotations

import json
import re
import subprocess
from pathlib import Path

import jsonschema
import pytest
import yaml

from deploy.boards.board import board_names, load_board
from deploy.ci.matrix import deployable, matrix_rows, render_matrix
from recipes import paths
from recipes.arch import ARCHES
from tests.support.published import Fault, actionlint, schema

pytestmark = pytest.mark.process
WORKFLOWS = sorted((paths.CHECKOUT / ".github" / "workflows").glob("*.yml"))
TEXT = (paths.CHECKOUT / ".github" / "workflows" / "build.yml").read_text()


def pipeline() -> dict[str, object]:
    """Return GitLab's pipeline of this checkout's boards and of all architectures."""
    boards = [load_board(name) for name in board_names()]
    rows = matrix_rows(boards, list(ARCHES.values()), {name: name for name in board_names()})
    found: dict[str, object] = json.loads(render_matrix(rows, deployable(rows, boards), "gitlab"))
    return found


WRONG = (
    ("needs.matrix.outputs.empty", "needs.matrix.outputs.emtpy", '"emtpy" is not defined'),
    ("needs: [matrix, build]", "needs: build", '"matrix" is not defined'),
    ("timeout-minutes: 90", "timeout-minuets: 90", 'unexpected key "timeout-minuets"'),
    ("runs-on: ubuntu-24.04", "runs-on: ubuntu-24.05", 'label "ubuntu-24.05" is unknown'),
    ("steps.bundle.outputs.id", "steps.bundel.outputs.id", '"bundel" is not defined'),
    ("contents: write", "contents: wriet", '"wriet" is invalid'),
    ("startsWith(github.ref_name, 'v')", "startsWith(github.ref_name)", "number of arguments is wrong"),
    ("vars.BOARDCAST_MATRIX", "var.BOARDCAST_MATRIX", 'undefined variable "var"'),
)
"""What is right in it, what is wrong instead, and what is said of that."""


def shellchecked(script: str, *words: str) -> str:
    """Return what shellcheck has against a script, and the script."""
    argv = ["shellcheck", "--shell=bash", "--severity=style", *words, "-"]
    done = subprocess.run(argv, input=script, capture_output=True, text=True, check=False)
    return "" if done.returncode == 0 else script + done.stdout


@pytest.fixture(scope="module")
def said() -> list[list[Fault]]:
    """Return what actionlint says of our workflows, then of the wrong ones."""
    assert all(right in TEXT for right, _, _ in WRONG)
    return actionlint(*map(Path.read_text, WORKFLOWS), *(TEXT.replace(right, wrong) for right, wrong, _ in WRONG))


def test_actionlint_finds_nothing(said: list[list[Fault]]) -> None:
    assert dict(zip((path.name for path in WORKFLOWS), said, strict=False)) == {path.name: [] for path in WORKFLOWS}


def test_actionlint_finds_what_is_wrong(said: list[list[Fault]]) -> None:
    for (_, wrong, message), faults in zip(WRONG, said[len(WORKFLOWS) :], strict=True):
        assert any(message in fault.message for fault in faults), (wrong, faults)


@pytest.mark.parametrize("path", WORKFLOWS, ids=lambda path: path.name)
def test_githubs_schema_has_nothing_against_it(path: Path) -> None:
    rules = jsonschema.Draft7Validator(schema("github-workflows"))
    read = yaml.safe_load(path.read_text())
    # What YAML 1.1 takes for a truth, GitHub's reader of YAML 1.2 takes for a word.
    read["on"] = read.pop(True)
    assert [fault.message for fault in rules.iter_errors(read)] == []
    read["jobs"][next(iter(read["jobs"]))]["runs-no"] = "x"
    assert list(rules.iter_errors(read))


@pytest.mark.parametrize("path", WORKFLOWS, ids=lambda path: path.name)
def test_actions_are_pinned_by_commit_and_rights_are_least(path: Path) -> None:
    """Who can move a tag of an action cannot change what runs here; and every job but the release only reads."""
    text = path.read_text()
    uses = re.findall(r"^\s*-? ?uses: (.*)$", text, re.MULTILINE)
    assert uses
    commits: dict[str, set[str]] = {}
    for word in uses:
        found = re.fullmatch(r"([\w-]+/[\w-]+)(?:/[\w-]+)*@([0-9a-f]{40}) # v\d+\.\d+\.\d+", word)
        assert found, word
        commits.setdefault(found[1], set()).add(found[2])
    assert all(len(pins) == 1 for pins in commits.values()), "one commit of an action in all jobs"
    read = yaml.safe_load(text)
    assert read["permissions"] == {"contents": "read"}
    more = {name: job["permissions"] for name, job in read["jobs"].items() if "permissions" in job}
    assert more in ({}, {"release": {"contents": "write"}})
    checkouts = [step for job in read["jobs"].values() for step in job["steps"] if "checkout" in step.get("uses", "")]
    assert all(step["with"]["persist-credentials"] is False for step in checkouts)
    assert all("timeout-minutes" in job for job in read["jobs"].values())


@pytest.mark.parametrize("path", WORKFLOWS, ids=lambda path: path.name)
def test_no_script_is_made_of_what_others_write(path: Path) -> None:
    """An expression within a script is text that becomes program: names come by the environment instead."""
    scripts = [
        step["run"]
        for job in yaml.safe_load(path.read_text())["jobs"].values()
        for step in job["steps"]
        if "run" in step
    ]
    assert scripts
    for text in scripts:
        assert "${{" not in text
        assert shellchecked(f"set -e\n{text}") == ""


def test_gitlabs_schema_has_nothing_against_the_pipeline() -> None:
    rules = jsonschema.Draft7Validator(schema("gitlab-ci"))
    made = pipeline()
    assert [f"{list(fault.path)}: {fault.message}" for fault in rules.iter_errors(made)] == []
    assert [fault.message for fault in rules.iter_errors(json.loads(render_matrix([], [], "gitlab")))] == []
    job = dict(made["build sim-tiny"], artifacts={"paths": "not a list"})  # type: ignore[call-overload]
    assert list(rules.iter_errors({**made, "build sim-tiny": job}))
    assert list(rules.iter_errors({**made, "build sim-tiny": {"script": 1}})), "a script of a number"


def test_the_parent_in_the_page_is_one_for_gitlab() -> None:
    page = (paths.CHECKOUT / "docs" / "workstations-and-ci.md").read_text()
    [text] = re.findall(r"```yaml\n(.*?)```", page, re.DOTALL)
    read = yaml.safe_load(text)
    assert [fault.message for fault in jsonschema.Draft7Validator(schema("gitlab-ci")).iter_errors(read)] == []
    [child] = read["builds"]["trigger"]["include"]
    assert child["artifact"] in read[child["job"]]["artifacts"]["paths"]
    assert read["rows"]["script"][-1] == f".venv/bin/invoke matrix --format gitlab > {child['artifact']}"


def test_gitlabs_jobs_hang_together() -> None:
    """What the schema cannot tell: every job that is needed is there, in an earlier stage; every stage is used."""
    made = pipeline()
    stages = made["stages"]
    assert isinstance(stages, list)
    jobs = {name: job for name, job in made.items() if isinstance(job, dict) and "script" in job}
    assert {job["stage"] for job in jobs.values()} == set(stages)
    for job in jobs.values():
        for need in job.get("needs", []):
            assert stages.index(jobs[need]["stage"]) < stages.index(job["stage"])
    assert {name for name in jobs if name.startswith("build ")} == {
        *(f"build {name}" for name in board_names()),
        *(f"build {name}-sdks" for name in ARCHES),
    }


def test_gitlab_gives_the_commands_of_github() -> None:
    """The same tasks with the same options in the same order; what is a variable in one is a name in the other."""

    def tasks(script: str) -> list[str]:
        found = re.findall(r"\.venv/bin/invoke ([^\n|>&]*)", script)
        return [
            re.sub(r'"[^"]*"|sim-tiny|debian12-\w+|tiny-x86_64|x86_64|--board X|\.tar\.\w+', "X", line).strip()
            for line in found
        ]

    read, made = yaml.safe_load(TEXT)["jobs"], pipeline()
    for job, name in (("build", "build sim-tiny"), ("board", "board sim-tiny")):
        ours = "\n".join(step.get("run", "") for step in read[job]["steps"])
        theirs: dict[str, list[str]] = made[name]  # type: ignore[assignment]
        script = "\n".join([*theirs["script"], *theirs.get("after_script", [])])
        assert [line.split()[0] for line in tasks(script)] == [line.split()[0] for line in tasks(ours)]
        assert {word for line in tasks(script) for word in line.split() if word.startswith("--")} - {"--board"} == {
            word for line in tasks(ours) for word in line.split() if word.startswith("--")
        } - {"--board"}


@pytest.mark.parametrize("name", ["build sim-tiny", "board sim-tiny", "release"])
def test_gitlabs_scripts_are_shell(name: str) -> None:
    job: dict[str, list[str]] = pipeline()[name]  # type: ignore[assignment]
    for part in ("script", "after_script"):
        assert shellchecked("\n".join(["set -e", *job.get(part, [])])) == ""
