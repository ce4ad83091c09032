"""A runner of GitHub's workflows, for ours: every step in order, each job in a clean clone, with nothing skipped.

It knows the keys, contexts and actions that our workflow uses; any other is an error, so that none is passed over.
https://docs.github.com/en/actions/reference/workflows-and-actions/workflow-syntax
"""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import time
import uuid
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

from tests.support.actions import ACTIONS, ActionError, AfterJob, Given, Store
from tests.support.expressions import Status, filled, holds, value_of
from tests.support.otheruser import NUMBER, OtherUser

_WORKFLOW = {"name", "on", "permissions", "concurrency", "defaults", "env", "jobs"}
_JOB = {"name", "needs", "if", "strategy", "runs-on", "timeout-minutes", "env", "outputs", "permissions", "steps"}
_STEP = {"id", "name", "if", "uses", "with", "run", "env"}
# Unlike a step without a shell of its own: https://docs.github.com/en/actions/reference/workflows-and-actions/workflow-syntax#jobsjob_idstepsshell
_SHELLS = {"bash": ["bash", "--noprofile", "--norc", "-e", "-o", "pipefail"], "": ["bash", "-e"]}
_SUMMARY_BYTES = 1 << 20


class WorkflowError(Exception):
    """The workflow has something that this runner does not know, or that a runner refuses."""


class Lenient(dict[str, str]):
    """`vars` and `secrets`: what nobody set is empty there, and not a mistake."""

    def __contains__(self, key: object) -> bool:
        return True

    def __missing__(self, key: str) -> str:
        return ""


@dataclass(frozen=True)
class StepRun:
    """A step that was looked at: what it was, how it ended, what it said."""

    title: str
    result: str
    log: str = ""
    summary: str = ""
    seconds: float = 0.0


@dataclass
class JobRun:
    """A job, or one row of its matrix."""

    name: str
    steps: list[StepRun] = field(default_factory=list)
    outputs: dict[str, str] = field(default_factory=dict)
    result: str = "success"
    workspace: Path = Path()
    orphans: int = 0
    """Processes that were still there at its end."""

    def said(self) -> str:
        """Return all of it, for a test that failed."""
        parts = [f"--- {step.title}: {step.result}, {step.seconds:.1f} s\n{step.log}" for step in self.steps]
        return f"=== {self.name}: {self.result}\n" + "\n".join(parts)


@dataclass(frozen=True, kw_only=True)
class Machine:
    """What a runner's machine is like.

    Parameters
    ----------
    path:
        The folders of programs.
    environment:
        What is set there for every job.
    rooted:
        What `sudo` leaves of it.
    venv:
        Python's environment to begin with, a link in each clone; `bootstrap` makes one where it is none.
    user:
        Whom the jobs run as; who runs the tests, without it.
    """

    path: str
    environment: Mapping[str, str]
    rooted: Mapping[str, str] = field(default_factory=dict)
    venv: Path | None = None
    user: OtherUser | None = None

    def to_its_user(self, *folders: Path) -> None:
        """Give folders and all in them to whom the jobs run as."""
        if self.user is not None:
            for folder in folders:
                for path in (folder, *folder.rglob("*")):
                    os.chown(path, NUMBER, NUMBER, follow_symlinks=False)


def read_workflow(path: Path) -> dict[str, Any]:
    """Read it with every value as text, `on` and `true` too; raises WorkflowError at a key that is not known here."""
    found: dict[str, Any] = yaml.load(path.read_text(), Loader=yaml.BaseLoader)
    _known("the workflow", found, _WORKFLOW)
    for name, job in found["jobs"].items():
        _known(name, job, _JOB)
        for step in job["steps"]:
            _known(f"a step of {name}", step, _STEP)
            if ("uses" in step) == ("run" in step):
                raise WorkflowError(f"a step of {name} has neither `uses` nor `run`, or both")
    return found


def _known(what: str, found: Mapping[str, Any], known: set[str]) -> None:
    if odd := found.keys() - known:
        raise WorkflowError(f"{what}: {', '.join(sorted(odd))}: more than this runner knows")


class Runner:
    """Runs the jobs of a workflow one after another."""

    def __init__(
        self,
        workflow: Mapping[str, Any],
        store: Store,
        machine: Machine,
        *,
        github: Mapping[str, str],
        variables: Mapping[str, str] | None = None,
        secrets: Mapping[str, str] | None = None,
    ) -> None:
        self.workflow, self.store, self.machine = workflow, store, machine
        self.github = github
        self.settings = {"vars": Lenient(variables or {}), "secrets": Lenient(secrets or {})}
        self.finished: dict[str, list[JobRun]] = {}
        self.results: dict[str, dict[str, Any]] = {}

    def run(self, *names: str) -> dict[str, list[JobRun]]:
        """Run these jobs, or all, each after what it needs; what a job needs has to be among them."""
        left = list(names or self.workflow["jobs"])
        while left:
            ready = [name for name in left if set(self._needs(name)) <= self.results.keys()]
            if not ready:
                raise WorkflowError(f"{', '.join(left)}: wait for each other, or for what is not run")
            left.remove(ready[0])
            self._job(ready[0])
        return self.finished

    def _needs(self, name: str) -> list[str]:
        needs = self.workflow["jobs"][name].get("needs", [])
        return [needs] if isinstance(needs, str) else list(needs)

    def _job(self, name: str) -> None:
        job = self.workflow["jobs"][name]
        needs = {need: self.results[need] for need in self._needs(name)}
        status = Status(failed=any(one["result"] != "success" for one in needs.values()))
        contexts = {"github": self.github, "needs": needs, **self.settings}
        self.finished[name] = []
        if not holds(job.get("if", "success()"), {key: contexts[key] for key in ("github", "needs", "vars")}, status):
            self.results[name] = {"result": "skipped", "outputs": dict.fromkeys(job.get("outputs", {}), "")}
            return
        rows = _rows(job, contexts)
        for number, row in enumerate(rows):
            more = {"matrix": row} if row is not None else {}
            self.finished[name].append(self._instance(job, f"{name}-{number}", contexts | more))
        done = self.finished[name]
        result = "success" if all(one.result == "success" for one in done) else "failure"
        self.results[name] = {"result": result, "outputs": done[-1].outputs}

    def _instance(self, job: Mapping[str, Any], name: str, contexts: dict[str, Any]) -> JobRun:
        folder = self.store.folder / "jobs" / f"{name}-{uuid.uuid4().hex[:6]}"
        place = Place(folder, self.machine)
        github = dict(self.github) | {"workspace": str(place.workspace)}
        contexts = contexts | {"github": github, "runner": {"os": "Linux", "temp": str(place.temp)}, "steps": {}}
        made = JobRun(filled(job.get("name", name), contexts), workspace=place.workspace)
        place.environment |= {key: filled(text, contexts) for key, text in self.workflow.get("env", {}).items()}
        place.environment |= {key: filled(text, contexts) for key, text in job.get("env", {}).items()}
        place.environment |= {f"GITHUB_{key.upper()}": str(value) for key, value in github.items() if key != "token"}
        shell = self.workflow.get("defaults", {}).get("run", {}).get("shell", "")
        after: list[AfterJob] = []
        try:
            for step in job["steps"]:
                status = Status(failed=made.result != "success")
                if not holds(step.get("if", "success()"), contexts | {"env": place.environment}, status):
                    made.steps.append(StepRun(_title(step), "skipped"))
                    continue
                ran, outputs = self._step(step, contexts, place, _SHELLS[shell], after)
                made.steps.append(ran)
                made.result = "failure" if ran.result != "success" else made.result
                if "id" in step:
                    contexts["steps"][step["id"]] = {
                        "outputs": outputs,
                        "outcome": ran.result,
                        "conclusion": ran.result,
                    }
            for then in reversed(after):
                then(made.result == "success")
            if made.result == "success":
                made.outputs = {key: filled(text, contexts) for key, text in job.get("outputs", {}).items()}
        finally:
            made.orphans = place.end()
        return made

    def _step(
        self,
        step: Mapping[str, Any],
        contexts: dict[str, Any],
        place: Place,
        shell: Sequence[str],
        after: list[AfterJob],
    ) -> tuple[StepRun, dict[str, str]]:
        begun = time.monotonic()
        here = contexts | {"env": place.environment}
        own = {key: filled(text, here) for key, text in step.get("env", {}).items()}
        if "run" in step:
            code, log, outputs, summary = place.run(filled(step["run"], here), own, shell)
            result = "success" if code == 0 else "failure"
            return StepRun(_title(step), result, log, summary, time.monotonic() - begun), outputs
        action = step["uses"].partition("@")[0]
        if action not in ACTIONS:
            raise WorkflowError(f"{action}: an action that this runner does not know")
        given = Given(
            {key: filled(text, here) for key, text in step.get("with", {}).items()}, place.workspace, self.store
        )
        try:
            outputs, then = ACTIONS[action](given)
        except ActionError as error:
            return StepRun(_title(step), "failure", str(error), "", time.monotonic() - begun), {}
        after += [then] if then else []
        self.machine.to_its_user(place.workspace)
        if action == "actions/checkout":
            place.checked_out()
        return StepRun(_title(step), "success", "", "", time.monotonic() - begun), outputs


def _title(step: Mapping[str, Any]) -> str:
    return str(step.get("run") or step["uses"]).strip()


def _rows(job: Mapping[str, Any], contexts: Mapping[str, Any]) -> list[dict[str, Any] | None]:
    strategy = job.get("strategy")
    if strategy is None:
        return [None]
    _known("strategy", strategy, {"fail-fast", "matrix"})
    matrix = value_of(strategy["matrix"], contexts)
    _known("matrix", matrix, {"include"})
    if not 0 < len(matrix["include"]) <= 256:
        raise WorkflowError(f"a matrix of {len(matrix['include'])} rows")
    return list(matrix["include"])


class Place:
    """The folders and the environment of one job, whoever's runner it is."""

    def __init__(self, folder: Path, machine: Machine) -> None:
        self.machine = machine
        self.workspace, self.temp, self.home = (
            folder / "work" / "repo" / "repo",
            folder / "work" / "_temp",
            folder / "home",
        )
        for path in (self.workspace, self.temp, self.home):
            path.mkdir(parents=True)
        machine.to_its_user(folder)
        self.mark = f"boardcast-{uuid.uuid4().hex}"
        self.environment = {
            **machine.environment,
            "PATH": machine.path,
            "HOME": str(self.home),
            "USER": "runner",
            "CI": "true",
            "GITHUB_ACTIONS": "true",
            "RUNNER_TEMP": str(self.temp),
            "RUNNER_OS": "Linux",
            # A runner ends what still has this mark when the job is over.
            "RUNNER_TRACKING_ID": self.mark,
        }

    def checked_out(self) -> None:
        if self.machine.venv is not None:
            (self.workspace / ".venv").symlink_to(self.machine.venv)

    def run(self, script: str, own: Mapping[str, str], shell: Sequence[str]) -> tuple[int, str, dict[str, str], str]:
        """Run a script; return its exit code, what it said, its outputs and its part of the summary."""
        number = uuid.uuid4().hex[:8]
        files = {name: self.temp / f"{name.lower()}-{number}" for name in ("OUTPUT", "ENV", "PATH", "STEP_SUMMARY")}
        for file in files.values():
            file.touch()
        (self.temp / f"{number}.sh").write_text(script)
        self.machine.to_its_user(self.temp)
        who = self.machine.user.words() if self.machine.user else []
        environment = {**self.environment, **own} | {f"GITHUB_{name}": str(file) for name, file in files.items()}
        log = self.temp / f"{number}.log"
        with log.open("wb") as out:
            done = subprocess.run(
                [*who, *shell, str(self.temp / f"{number}.sh")],
                cwd=self.workspace,
                env=environment,
                stdin=subprocess.DEVNULL,
                stdout=out,
                stderr=subprocess.STDOUT,
                check=False,
            )
        self.environment |= _pairs(files["ENV"].read_text())
        for line in files["PATH"].read_text().splitlines():
            self.environment["PATH"] = f"{line}:{self.environment['PATH']}"
        summary = files["STEP_SUMMARY"].read_text()
        if len(summary.encode()) > _SUMMARY_BYTES:
            raise WorkflowError("the summary of a step is longer than a runner takes")
        text = log.read_text(errors="replace")
        return done.returncode, text, _pairs(files["OUTPUT"].read_text()), summary

    def end(self) -> int:
        """End what the job left running; return how many processes that were."""
        found = list(self._marked())
        for process in found:
            with contextlib.suppress(OSError):
                os.kill(process, signal.SIGKILL)
        return len(found)

    def _marked(self) -> Iterator[int]:
        wanted = f"RUNNER_TRACKING_ID={self.mark}".encode()
        for folder in Path("/proc").glob("[0-9]*"):
            # A program may have been given another environment; where it runs tells it too.
            with contextlib.suppress(OSError):
                marked = wanted in (folder / "environ").read_bytes().split(b"\0")
                if marked or Path(os.readlink(folder / "cwd")).is_relative_to(self.workspace.parent):
                    yield int(folder.name)


def _pairs(text: str) -> dict[str, str]:
    """Read what a step wrote to GITHUB_OUTPUT or GITHUB_ENV: `name=value`, or `name<<MARK` and lines up to the mark."""
    found: dict[str, str] = {}
    lines = iter(text.splitlines())
    for line in lines:
        name, sign, value = line.partition("=")
        if "<<" in name:
            name, _, mark = line.partition("<<")
            block = []
            for inner in lines:
                if inner == mark:
                    break
                block.append(inner)
            else:
                raise WorkflowError(f"{name}: {mark!r} does not come")
            value = "\n".join(block)
        elif not sign or not name:
            raise WorkflowError(f"{line!r} is neither NAME=VALUE nor NAME<<MARK")
        found[name] = value
    return found
