"""Two builds of the same inputs are the same bytes: other path, uid, umask, zone, language, host name, date and -j."""

from __future__ import annotations

import io
import os
import re
import stat
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

import pytest

from recipes import paths
from recipes.arch import ARCHES
from recipes.builder import recipe_build, reuse
from recipes.builder.plan import RecipeBuild
from recipes.builder.request import BuildRequest
from recipes.builder.run import build_stage, prepare_build
from recipes.engine.confinement import build_ids
from recipes.engine.container import ContainerSession, Job
from recipes.engine.docker import Engine
from recipes.engine.layout import WORK
from recipes.stage.manifest import STAGE_MANIFEST, Stage
from tests.support.standin import Standin

pytestmark = pytest.mark.engine
SDKS = BuildRequest(names=("producer", "webrtc"))
LATER = "+400d"
ELSEWHERE = ("Pacific/Kiritimati", "another")
"""Zone and host name."""
SURROUNDINGS = """
echo "uid=$(id -u)"; echo "gid=$(id -g)"; echo "now=$(date +%s)"
echo "zone=$TZ"; echo "host=$HOSTNAME"; echo "language=$LC_ALL"
"""


@pytest.fixture(scope="session")
def faked(engine: Engine, sdk: Callable[..., Stage]) -> str:
    """Return the armv7 toolchain image with libfaketime in it: a container shares our clock."""
    sdk("armv7")
    base = prepare_build(ARCHES["armv7"], SDKS).image.tag
    recipe = f"FROM {base}\nRUN apt-get update -qq && apt-get install -y -qq --no-install-recommends libfaketime\n"
    tag = f"boardcast/test-faketime:{base.rpartition(':')[2]}"
    if not engine.image_id(tag):
        engine.build({"Dockerfile": (recipe.encode(), 0o644)}, tag, {})
    return tag


@pytest.mark.parametrize(
    "kept",
    # The one large library among them: most of the time is its configure and its compiler, at -j1.
    [("libwebsockets",), pytest.param((), marks=pytest.mark.slow)],
    ids=["but libwebsockets", "all"],
)
def test_both_sdks_are_the_same_bytes_made_otherwise(
    kept: tuple[str, ...],
    sdk: Callable[..., Stage],
    standin: Standin,
    faked: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    first = sdk("armv7")
    prepared = prepare_build(ARCHES["armv7"], replace(SDKS, jobs=1))
    elsewhere = tmp_path / "a folder with spaces" / "elsewhere"
    cached = paths.cache()
    (tmp_path / "cache").mkdir()
    for name in ("sysroots", "archives", "git", "index", "images.json"):
        if (cached / name).exists():
            (tmp_path / "cache" / name).symlink_to(cached / name)
    (tmp_path / "cache" / "built").mkdir()
    made = [step for step in prepared.steps if step.recipe.name not in kept]
    for step in prepared.steps:
        if step not in made:
            (tmp_path / "cache" / "built" / step.built.name).symlink_to(step.built)
    monkeypatch.setenv("BOARDCAST_WORK", str(elsewhere))
    monkeypatch.setenv("BOARDCAST_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("TZ", ELSEWHERE[0])
    monkeypatch.setenv("LANG", "tr_TR.UTF-8")
    _another_user(monkeypatch)
    seen = _another_day(monkeypatch, faked)
    old = os.umask(0o077)
    try:
        second = build_stage(prepared, mirror=[standin.mirror])
    finally:
        os.umask(old)
    _was_otherwise(seen, made, elsewhere)
    assert second.folder != first.folder
    differ = sorted({file.path for file in first.manifest.files} ^ {file.path for file in second.manifest.files})
    assert not differ
    same = {file.path: file for file in first.manifest.files}
    assert [file.path for file in second.manifest.files if same[file.path] != file] == []
    assert (first.folder / STAGE_MANIFEST).read_bytes() == (second.folder / STAGE_MANIFEST).read_bytes()


def _another_user(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let the containers run as somebody else."""
    for module in (recipe_build, reuse):
        monkeypatch.setattr(module, "build_ids", lambda: "4711:4711")


@dataclass(frozen=True, slots=True, kw_only=True)
class Surroundings:
    """What one build was made in."""

    work: Path
    """Of this machine: what the folder to work in is a copy of."""
    mode: int
    """Of that folder."""
    told: dict[str, str]
    """What the container itself says."""


def _was_otherwise(seen: list[Surroundings], made: list[RecipeBuild], elsewhere: Path) -> None:
    """Check that the changes reached every build; without them the same bytes would prove nothing."""
    assert len(seen) == len(made) >= 2
    later = int(LATER.strip("+d")) * 86400
    for build in seen:
        assert elsewhere in build.work.parents
        assert build.mode == 0o700, "the umask of the caller"
        assert (build.told["uid"], build.told["gid"]) == ("4711", "4711")
        assert float(build.told["now"]) > time.time() + later - 3600
        assert (build.told["zone"], build.told["host"], build.told["language"]) == (*ELSEWHERE, "C")
    lines = [" ".join(command.argv) for step in made for command in step.commands]
    assert {jobs for line in lines for jobs in re.findall(r" (?:-j|--parallel )(\d+)", line)} == {"1"}


def _another_day(monkeypatch: pytest.MonkeyPatch, image: str) -> list[Surroundings]:
    """Let the containers live 400 days later, under another name, in another place of the world; note what they saw."""
    real = Engine.session
    seen: list[Surroundings] = []
    when = {
        "LD_PRELOAD": "/usr/lib/x86_64-linux-gnu/faketime/libfaketime.so.1",
        "FAKETIME": LATER,
        "FAKETIME_DONT_RESET": "1",
        "TZ": ELSEWHERE[0],
        "LC_ALL": "C",
        "HOSTNAME": ELSEWHERE[1],
    }

    @contextmanager
    def session(self: Engine, job: Job, **more: bool) -> Iterator[ContainerSession]:
        with real(self, replace(job, image=image, environment={**job.environment, **when}), **more) as opened:
            work = next(mount.source for mount in job.mounts if mount.target == WORK)
            answer = io.BytesIO()
            assert opened.run(["sh", "-c", SURROUNDINGS], log=answer) == 0
            told = dict(line.split("=", 1) for line in answer.getvalue().decode().splitlines())
            seen.append(Surroundings(work=work, mode=stat.S_IMODE(work.stat().st_mode), told=told))
            yield opened

    monkeypatch.setattr(Engine, "session", session)
    return seen


def test_a_build_is_the_callers_and_never_roots() -> None:
    assert build_ids() == (f"{os.getuid()}:{os.getgid()}" if os.getuid() else "65534:65534")
