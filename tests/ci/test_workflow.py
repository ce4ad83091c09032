"""The workflow's own steps, all of them and in order, as a hosted runner has them: from the matrix to a release."""

from __future__ import annotations

import json
import os
import re
import tarfile
import zipfile
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import pytest

from deploy.boards.board import load_board
from deploy.sim.boards import prepare_board
from recipes import paths
from recipes.arch import ARCHES
from recipes.builder.plan import BuildPlan
from recipes.builder.run import build_stage, prepare_build
from recipes.engine.docker import Engine
from recipes.files import file_sha256
from recipes.stage.keys import public_pem
from recipes.toolchains.debian_root import BoardRoot
from tests.support.actions import Store, forget
from tests.support.hosted import machine, repository, saved_before
from tests.support.otheruser import NUMBER, other_user
from tests.support.runner import JobRun, Runner, read_workflow
from tests.support.standin import Standin
from tests.support.sudo import sudo

pytestmark = [pytest.mark.engine, pytest.mark.sim]
FILE = paths.CHECKOUT / ".github" / "workflows" / "build.yml"
CACHE, ROOTS = ".boardcast/cache", ".boardcast/cache/roots"
BRANCH = {"ref": "refs/heads/main", "ref_type": "branch", "ref_name": "main", "token": "a-token"}
TAG = {"ref": "refs/tags/v0.2.0", "ref_type": "tag", "ref_name": "v0.2.0", "token": "a-token"}
A_FEW = "test_bombs or test_words or test_text"
"""What of the tests the test job runs here: running them all is what it is for, and it runs this one too."""


def rows_of(job: JobRun) -> dict[str, dict[str, str]]:
    return {row["name"]: row for row in json.loads(job.outputs["matrix"])["include"]}


def green(*jobs: JobRun) -> None:
    """Fail with all that a job said where it is red, or left something running."""
    for job in jobs:
        assert job.result == "success", job.said()
        assert job.orphans == 0, job.said()


def log_of(job: JobRun, words: str) -> str:
    """Return what the one step with these words said."""
    [step] = [step for step in job.steps if words in step.title]
    assert step.result == "success", job.said()
    return step.log


def artefact(store: Store, name: str) -> zipfile.ZipFile:
    return zipfile.ZipFile(store.artefacts / f"{name}.zip")


def seed(store: Store, row: Mapping[str, str], plan: BuildPlan) -> None:
    """Put the cache of a row there as a run before left it: its sysroot and its builds, those of this machine."""
    parts = [plan.sysroot.tree.parent, paths.cache() / "images.json", *(step.built for step in plan.steps)]
    saved_before(store, CACHE, f"boardcast-{row['name']}-{row['toolchain']}-{row['key']}", parts)


def warm(board: str, engine: Engine) -> tuple[BoardRoot, BuildPlan]:
    """Make the root and the builds of a simulated board in this machine's own cache."""
    read = load_board(board)
    root, plan = prepare_board(read, engine), prepare_build(ARCHES[read.file.arch], read.ask(), engine=engine)
    build_stage(plan)
    return root, plan


def test_from_the_matrix_to_a_green_board(engine: Engine, tmp_path: Path) -> None:
    """The smallest board, with the caches of a run before: in every run of the tests, so that no step of it can rot."""
    root, plan = warm("sim-tiny", engine)
    store = Store(*repository(tmp_path), tmp_path / "outlives")
    host = machine(tmp_path / "machine", {}, venv=True)
    variables = {"BOARDCAST_MATRIX": "--board sim-tiny"}
    runner = Runner(read_workflow(FILE), store, host, github=BRANCH, variables=variables)
    [first] = runner.run("matrix")["matrix"]
    green(first)
    row = rows_of(first)["sim-tiny"]
    seed(store, row, plan)
    saved_before(store, ROOTS, f"boardcast-root-{row['root']}", [root.tar])

    done = runner.run("build", "board", "release")
    green(*done["build"], *done["board"])
    assert done["release"] == [], "a branch is not released"
    [watched] = [step for step in done["board"][0].steps if "--watch 30" in step.title]
    assert "sim-tiny: green" in watched.log
    assert "✓ green" in watched.summary.splitlines()[1]
    assert store.names() == ["bundle-sim-tiny", "stage-sim-tiny", "verdict-sim-tiny"]
    with artefact(store, "verdict-sim-tiny") as verdict:
        assert set(verdict.namelist()) == {"index.html", "sim-tiny.html", "sim-tiny.json", "sim-tiny.xml"}
        assert json.loads(verdict.read("sim-tiny.json"))["green"] is True
    assert len(store.saved) == 2, "what was found by its very key is not saved again"


def known_archives(folder: Path) -> Path:
    """Make a mirror of the archives that this machine's cache has: their upstreams are not what is tried here."""
    (folder / "archives").mkdir(parents=True)
    for archive in (paths.cache() / "archives").glob("*/*"):
        if not archive.name.endswith(".lock"):
            (folder / "archives" / archive.name).symlink_to(archive)
    return folder


def slower_camera() -> bytes:
    """Return the simulated camera's file with less to encode: other tests run beside its emulated processor."""
    text = (paths.BOARDS / "sim-camera" / "board.toml").read_text()
    for key, value in (("width", 160), ("height", 120), ("framerate", 2), ("key_frame_interval", 2)):
        text, count = re.subn(rf"^{key} = \d+$", f"{key} = {value}", text, flags=re.MULTILINE)
        assert count == 1, key
    return text.encode()


def signing_keys() -> tuple[str, bytes]:
    """Return a private key as a secret has it, and the public half as a checkout has it."""
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
    from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

    private = Ed25519PrivateKey.generate()
    return private.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()).decode().strip(), public_pem(
        private
    )


@pytest.mark.slow
def test_a_user_who_is_not_root_needs_to_be_it_for_bootstrap_alone(engine: Engine, tmp_path: Path) -> None:
    """A hosted runner's user is none, and may use the engine: so it is here. `sudo` asks the tests, which are root."""
    root, plan = warm("sim-tiny", engine)
    store = Store(*repository(tmp_path), tmp_path / "outlives")
    host = machine(tmp_path / "machine", {}, venv=True)
    host = replace(host, user=other_user(tmp_path, paths.cache()))
    # Nor does bootstrap find apt, dpkg or mmdebstrap there.
    with sudo(Path(host.path) / "sudo", tmp_path / "sudo", {**host.rooted, "PATH": host.path}):
        runner = Runner(
            read_workflow(FILE), store, host, github=BRANCH, variables={"BOARDCAST_MATRIX": "--board sim-tiny"}
        )
        [first] = runner.run("matrix")["matrix"]
        green(first)
        row = rows_of(first)["sim-tiny"]
        seed(store, row, plan)
        saved_before(store, ROOTS, f"boardcast-root-{row['root']}", [root.tar])
        done = runner.run("build", "board")
        green(*done["build"], *done["board"])
    files = (done["build"][0].workspace / ".boardcast" / "stage").rglob("*")
    assert {path.lstat().st_uid for path in files} == {NUMBER}


@pytest.mark.slow
@pytest.mark.timeout(3600)
def test_every_job_of_a_tag(engine: Engine, tmp_path: Path) -> None:
    """All five jobs, with the caches of a run before: the board streams and is watched, and the tag is released."""
    root, plan = warm("sim-camera", engine)
    secret, public = signing_keys()
    more = {"board-configs/trusted-keys/ci.pub": public, "board-configs/sim-camera/board.toml": slower_camera()}
    store = Store(*repository(tmp_path, more), tmp_path / "outlives")
    host = machine(tmp_path / "machine", {"PYTEST_ADDOPTS": f"-k '{A_FEW}'"}, venv=True)
    variables, secrets = {"BOARDCAST_MATRIX": "--board sim-camera"}, {"BOARDCAST_SIGNING_KEY": secret}
    runner = Runner(read_workflow(FILE), store, host, github=TAG, variables=variables, secrets=secrets)
    [first] = runner.run("matrix")["matrix"]
    green(first)
    row = rows_of(first)["sim-camera"]
    seed(store, row, plan)
    saved_before(store, ROOTS, f"boardcast-root-{row['root']}", [root.tar])

    done = runner.run("build", "board", "release", "test")
    assert set(done) == set(runner.workflow["jobs"])
    green(*(job for jobs in done.values() for job in jobs))
    assert secret not in "".join(job.said() for jobs in done.values() for job in jobs)
    look_at_streams(store, done["board"][0])
    look_at_release(tmp_path / "machine" / "released", store, done["release"][0].workspace)


@pytest.mark.slow
@pytest.mark.timeout(3600)
def test_builds_in_clean_clones_and_again_from_their_caches(engine: Engine, standin: Standin, tmp_path: Path) -> None:
    """A board's recipes, and both SDKs of the stand-ins; Python's packages, sysroots and all else are made first.

    What is there is the compiler's cache, by the beginning of the key alone, as after a change of recipes.
    """
    store = Store(*repository(tmp_path), tmp_path / "outlives")
    environment = {
        "BOARDCAST_LOCK": str(standin.mirror / "lock.toml"),
        "BOARDCAST_MIRROR": os.pathsep.join(map(str, (standin.mirror, known_archives(tmp_path / "archives")))),
    }
    host = machine(tmp_path / "machine", environment, venv=False)
    variables = {"BOARDCAST_MATRIX": "--board sim-camera --arch armv7"}
    runner = Runner(read_workflow(FILE), store, host, github=BRANCH, variables=variables)
    [first] = runner.run("matrix")["matrix"]
    green(first)
    assert "installing Boardcast's Python packages" in log_of(first, "bootstrap install")
    rows = rows_of(first)
    assert list(rows) == ["sim-camera", "armv7-sdks"]
    kept = [folder for name in ("ccache", "configure") if (folder := paths.cache() / name).is_dir()]
    for row in rows.values():
        saved_before(store, CACHE, f"boardcast-{row['name']}-{row['toolchain']}-older", kept)
    runner.machine = replace(host, venv=first.workspace / ".venv")
    green(*runner.run("build")["build"])
    assert store.names() == ["stage-armv7-sdks", "stage-sim-camera"]
    assert len(store.saved) == 4, "that of a beginning is no hit: all is saved by the whole key"
    with tarfile.open(unpacked(store, "stage-armv7-sdks", tmp_path)) as stage:
        names = stage.getnames()
        assert any(name.endswith("/gstreamer-1.0/libgstkvssink.so") for name in names)
        assert any(name.endswith("/bin/kvsWebrtcClientMaster") for name in names)

    forget(store)
    again = Runner(read_workflow(FILE), store, runner.machine, github=BRANCH, variables=variables)
    done = again.run("matrix", "build")
    green(*done["build"])
    for job in done["build"]:
        assert "done in" not in log_of(job, "invoke build"), "nothing is made a second time"
        assert [step.result for step in job.steps if "--save" in step.title] == ["skipped"]
    assert len(store.saved) == 4


def unpacked(store: Store, name: str, folder: Path) -> Path:
    """Return the tar file of a Stage's artefact."""
    with artefact(store, name) as archive:
        return Path(archive.extract("stage.tar", folder / name))


def look_at_streams(store: Store, board: JobRun) -> None:
    """Look whether the board streamed to the local service and was watched, and the page that says so is kept."""
    assert "sim-camera: green" in log_of(board, "--watch 30")
    with artefact(store, "verdict-sim-camera") as verdict:
        record = json.loads(verdict.read("sim-camera.json"))
        assert record["green"] is True
        [stream] = record["streams"]
        assert stream["picture"] in verdict.namelist()
        assert b"data:image/jpeg;base64," in verdict.read("sim-camera.html")


def look_at_release(folder: Path, store: Store, checkout: Path) -> None:
    """Look whether the bundle that ran on the board is released, with bill of materials and the version's notes."""
    names = {path.name for path in folder.iterdir()}
    [bundle] = [name for name in names if name.endswith(".tar.zst")]
    bill = bundle.replace(".tar.zst", ".cdx.json")
    assert names == {"arguments", "notes.md", "SHA256SUMS", "sim-camera.bundle", bundle, bill}
    assert (folder / "sim-camera.bundle").read_text().strip() == bundle.removesuffix(".tar.zst")
    with artefact(store, "bundle-sim-camera") as kept:
        assert kept.read(bundle) == (folder / bundle).read_bytes()
    assert f"{file_sha256(folder / bundle)}  {bundle}" in (folder / "SHA256SUMS").read_text().splitlines()
    assert json.loads((folder / bill).read_text())["bomFormat"] == "CycloneDX"
    notes, changes = (folder / "notes.md").read_text(), (checkout / "CHANGELOG.md").read_text()
    assert notes in changes
    assert changes.partition(notes)[0].splitlines()[-1].startswith("## 0.2.0 ")
    words = (folder / "arguments").read_text().splitlines()
    assert words[:4] == ["release", "create", "v0.2.0", "--verify-tag"]
