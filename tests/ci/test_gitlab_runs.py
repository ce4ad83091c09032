"""The child pipeline's own scripts, in order, as GitLab's runner has them: from a build to bundles that are checked."""

from __future__ import annotations

import json
import subprocess
import sys
import tarfile
from pathlib import Path
from typing import Any

import pytest

from deploy.boards.board import load_board
from deploy.sim.boards import prepare_board
from recipes import paths
from recipes.arch import ARCHES
from recipes.builder.run import build_stage, prepare_build
from recipes.engine.docker import Engine
from tests.ci.test_workflow import green, signing_keys
from tests.support.actions import Store
from tests.support.gitlab import artefacts_of, cache_file, run_job
from tests.support.hosted import machine, repository

pytestmark = [pytest.mark.engine, pytest.mark.sim, pytest.mark.slow]


def pipeline() -> dict[str, Any]:
    """Return what a job of the parent's writes into its artefact."""
    argv = [sys.executable, "-m", "invoke", "matrix", "--format", "gitlab", "--board", "sim-tiny"]
    done = subprocess.run(argv, cwd=paths.CHECKOUT, capture_output=True, text=True, check=True)
    found: dict[str, Any] = json.loads(done.stdout)
    return found


def test_the_child_pipeline_from_a_build_to_a_release(engine: Engine, tmp_path: Path) -> None:
    board = load_board("sim-tiny")
    prepare_board(board, engine)
    plan = prepare_build(ARCHES["x86_64"], board.ask(), engine=engine)
    build_stage(plan)
    secret, public = signing_keys()
    # As GitLab's Docker executor writes a variable of the kind `file`.
    (tmp_path / "tmp").mkdir()
    (tmp_path / "tmp").chmod(0o777)
    key = tmp_path / "tmp" / "key.pem"
    key.write_text(secret)
    key.chmod(0o666)
    store = Store(*repository(tmp_path, {"board-configs/trusted-keys/ci.pub": public}), tmp_path / "outlives")
    # bootstrap looks for mmdebstrap itself, and nothing but it runs as root there: nothing is hidden.
    host = machine(tmp_path / "machine", {}, hidden=(), venv=True)
    variables = {"CI_COMMIT_TAG": "v0.2.0", "BOARDCAST_SIGNING_KEY": str(key)}
    made = pipeline()
    jobs = [
        name for stage in made["stages"] for name, job in made.items() if name != "default" and stage_of(job) == stage
    ]
    assert jobs == ["build sim-tiny", "board sim-tiny", "release"]
    before = cache_file(store, made["build sim-tiny"]["cache"][0])
    before.parent.mkdir(parents=True)
    with tarfile.open(before, "w") as archive:
        for part in (plan.sysroot.tree.parent, paths.cache() / "images.json", *(step.built for step in plan.steps)):
            archive.add(part, f".boardcast/cache/{part.relative_to(paths.cache())}")

    done = {name: run_job(made, name, store, host, variables) for name in jobs}
    green(*done.values())
    with tarfile.open(before) as archive:
        assert any("/images/toolchain-x86_64." in name for name in archive.getnames()), "the image travels with it"
    left = artefacts_of(store, "board sim-tiny", tmp_path / "board")
    assert json.loads((left / "verdict" / "sim-tiny.json").read_text())["green"] is True
    assert (left / "verdict" / "sim-tiny.html").is_file()
    assert [step.result for step in done["board sim-tiny"].steps] == ["success", "success"]
    released = artefacts_of(store, "release", tmp_path / "release")
    [bundle] = (released / "bundle").glob("*.tar.zst")
    assert bundle.read_bytes() == (left / "bundle" / bundle.name).read_bytes()
    assert json.loads(bundle.with_name(bundle.name.replace(".tar.zst", ".cdx.json")).read_text())["components"]
    assert (released / "notes.md").read_text() in (paths.CHECKOUT / "CHANGELOG.md").read_text()


def stage_of(job: object) -> object:
    return job.get("stage") if isinstance(job, dict) else None
