"""GitLab's runner, as far as our child pipeline goes: jobs in clean clones, with caches and artefacts.

https://docs.gitlab.com/ci/yaml/
"""

from __future__ import annotations

import shutil
import tarfile
import uuid
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from tests.support.actions import Store, git
from tests.support.runner import JobRun, Machine, Place, StepRun, WorkflowError

_JOB = {"stage", "needs", "script", "after_script", "cache", "artifacts", "rules", "release"}
_SHELL = ["bash", "-e", "-o", "pipefail"]


def run_job(
    pipeline: Mapping[str, Any], name: str, store: Store, machine: Machine, variables: Mapping[str, str]
) -> JobRun:
    """Run one job: the artefacts of what it needs, its cache, its script in one shell, then what follows always."""
    job = pipeline[name]
    if odd := job.keys() - _JOB:
        raise WorkflowError(f"{name}: {', '.join(odd)}: more than this runner knows")
    place = Place(store.folder / "jobs" / f"gitlab-{uuid.uuid4().hex[:6]}", machine)
    git("clone", "--quiet", f"file://{store.repository}", str(place.workspace))
    # As the Docker executor clones, with a umask of 0.
    for path in (place.workspace, *place.workspace.rglob("*")):
        if not path.is_symlink():
            path.chmod(path.stat().st_mode | 0o066)
    place.checked_out()
    place.environment |= {**variables, "CI_PROJECT_DIR": str(place.workspace)}
    for key, text in pipeline["variables"].items():
        place.environment[key] = text.replace("$CI_PROJECT_DIR", str(place.workspace))
    made = JobRun(name, workspace=place.workspace)
    try:
        for need in job.get("needs", []):
            _unpack(store.folder / "gitlab" / f"{need}.tar", place.workspace)
        for cache in job.get("cache", []):
            if (there := cache_file(store, cache)).is_file():
                _unpack(there, place.workspace)
        for part in ("script", "after_script"):
            code, log, _, _ = place.run("\n".join(job.get(part, [])), {}, _SHELL)
            made.steps.append(StepRun(part, "failure" if code else "success", log))
        # What follows always does not make a job red.
        made.result = made.steps[0].result
        for cache in job.get("cache", []):
            if made.result == "success" and cache["policy"] == "pull-push":
                _pack(cache_file(store, cache), place.workspace, cache["paths"])
        _pack(store.folder / "gitlab" / f"{name}.tar", place.workspace, job["artifacts"]["paths"])
    finally:
        made.orphans = place.end()
    return made


def cache_file(store: Store, cache: Mapping[str, Any]) -> Path:
    return store.folder / "gitlab-caches" / f"{cache['key']}.tar"


def _pack(target: Path, workspace: Path, names: list[str]) -> None:
    target.parent.mkdir(parents=True, exist_ok=True)
    with tarfile.open(target, "w") as archive:
        for name in names:
            if (workspace / name).exists():
                archive.add(workspace / name, name)


def _unpack(archive: Path, into: Path) -> None:
    with tarfile.open(archive) as opened:
        opened.extractall(into, filter="fully_trusted")


def artefacts_of(store: Store, name: str, into: Path) -> Path:
    """Unpack what a job left."""
    shutil.rmtree(into, ignore_errors=True)
    into.mkdir(parents=True)
    _unpack(store.folder / "gitlab" / f"{name}.tar", into)
    return into
