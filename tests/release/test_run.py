"""A plan carried out by the real scripts, on a board that is a folder of this machine."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from deploy.boards.probe import HostFacts, probe_host
from deploy.bundle.assemble import pack_bundle
from deploy.bundle.load import Bundle
from deploy.release.plan import StepKind, plan_release
from deploy.release.run import ReleaseResult, deploy_release, roll_back_release
from recipes.errors import ConfigError, PreflightError, RolledBackError, VerifyError
from tests.support import bundles
from tests.support.localboard import ARCH, LocalSession

pytestmark = [pytest.mark.process, pytest.mark.usefixtures("home")]


@pytest.fixture
def root(tmp_path: Path) -> Path:
    return tmp_path / "board" / "boardcast"


def bundle_of(root: Path, tag: str) -> Bundle:
    root.parent.mkdir(exist_ok=True)
    contents = {"run/app": (f"#!/bin/sh\necho {tag}\n".encode(), 0o755), "share/app.conf": (b"level = info\n", 0o644)}
    nothing: dict[str, Any] = {"entries": (), "decisions": (), "proofs": (), "refused": (), "providers": {}}
    plain = bundles.manifest(arch=ARCH.name, machines=ARCH.machine, root=str(root), build_ids={}, **nothing)
    return pack_bundle(plain, contents)


def probe(session: LocalSession, bundle: Bundle) -> HostFacts:
    return probe_host(session, bundle.manifest.root, [])


def deploy(
    bundle: Bundle,
    check: Callable[[], object] = lambda: None,
    session: LocalSession | None = None,
    without: frozenset[str] = frozenset(),
) -> ReleaseResult:
    session = session or LocalSession()
    facts = probe(session, bundle)
    facts = replace(facts, tools=facts.tools - without)
    planned = plan_release(bundle.id, bundle.manifest, replace(facts, files={"/etc/ld.so.cache": "absent"}))
    return deploy_release(session, "cam", bundle, check, planned=planned, tools=facts.tools)


def running(root: Path) -> str:
    """Return the id that `current` names, after a look at each of its files."""
    if not (root / "current").exists():
        return ""
    for line in (root / "current" / ".list").read_text().splitlines():
        blob, _, path = line.partition(" ")
        assert (root / "current" / path).read_bytes() == (root / "store" / blob).read_bytes()
        assert os.access(root / "current" / path, os.X_OK) == blob.endswith(".x")
    return (root / "current").readlink().name


def red() -> None:
    raise VerifyError("1 of 4 checks is red", why="loader: libx not found")


def interrupted() -> None:
    raise KeyboardInterrupt


def test_green_checks_confirm_the_release_and_the_second_time_nothing_is_done(root: Path) -> None:
    first = bundle_of(root, "first")
    seen: list[str] = []
    done = deploy(first, lambda: seen.append(running(root)))
    assert done.changed
    assert done.payload > 0
    assert seen == [running(root)] == [first.id], "the checks see the new release"
    facts = probe(LocalSession(), first)
    assert (facts.current, facts.confirmed) == (first.id, frozenset({first.id}))
    again = deploy(first, red)
    assert (again.changed, again.payload, again.round_trips) == (False, 0, 1)
    assert "runs there already" in again.because


def test_only_what_is_missing_is_sent(root: Path) -> None:
    first, second = bundle_of(root, "first"), bundle_of(root, "second")
    deploy(first)
    planned = plan_release(
        second.id, second.manifest, replace(probe(LocalSession(), second), files={"/etc/ld.so.cache": "absent"})
    )
    assert [step.kind for step in planned.steps] == [StepKind.SEND, StepKind.ACTIVATE]
    changed = next(file for file in second.manifest.files if file.path == "run/app")
    assert planned.steps[0].blobs == (changed.blob,)
    deploy(second)
    assert running(root) == second.id


def test_red_checks_go_back_and_say_why(root: Path) -> None:
    first, second = bundle_of(root, "first"), bundle_of(root, "second")
    deploy(first)
    with pytest.raises(RolledBackError) as caught:
        deploy(second, red)
    assert caught.value.code == 6
    assert f"{first.id[:12]} runs there again" in caught.value.what
    assert "libx not found" in caught.value.why
    assert running(root) == first.id
    assert not (root / "releases" / second.id).exists()


def test_a_red_first_release_leaves_nothing_running(root: Path) -> None:
    with pytest.raises(RolledBackError, match="nothing runs there, as before"):
        deploy(bundle_of(root, "first"), red)
    assert running(root) == ""


def test_ctrl_c_during_the_checks_goes_back_too(root: Path) -> None:
    first, second = bundle_of(root, "first"), bundle_of(root, "second")
    deploy(first)
    with pytest.raises(KeyboardInterrupt):
        deploy(second, interrupted)
    assert running(root) == first.id


def test_a_board_without_tar_gets_each_file_by_itself(root: Path) -> None:
    first, session = bundle_of(root, "first"), LocalSession()
    deploy(first, session=session, without=frozenset({"tar"}))
    blobs = sorted(file.blob for file in first.manifest.files)
    assert [arguments[1:] for arguments in session.asked[1:3]] == [(blob,) for blob in blobs]
    assert running(root) == first.id


def test_a_living_deploy_is_not_disturbed(root: Path) -> None:
    first, second = bundle_of(root, "first"), bundle_of(root, "second")
    deploy(first)
    (root / ".lock").mkdir()
    boot = Path("/proc/sys/kernel/random/boot_id").read_text()
    (root / ".lock" / "pid").write_text(f"{os.getpid()} {boot}")
    with pytest.raises(PreflightError, match="another deploy is at work there") as caught:
        deploy(second)
    assert f"locked by process {os.getpid()}" in caught.value.why
    assert running(root) == first.id


def test_a_folder_in_the_way_is_told_and_the_old_release_runs_on(root: Path) -> None:
    first, second = bundle_of(root, "first"), bundle_of(root, "second")
    deploy(first)
    shutil.rmtree(root / "incoming")
    (root / "incoming").write_text("a file where a folder has to be")
    with pytest.raises(PreflightError, match="a folder could not be made"):
        deploy(second)
    assert running(root) == first.id


def test_a_roll_back_goes_to_the_release_before_and_no_further(root: Path) -> None:
    first, second = bundle_of(root, "first"), bundle_of(root, "second")
    deploy(first)
    session = LocalSession()
    with pytest.raises(ConfigError, match="nothing to go back to"):
        roll_back_release(session, str(root), probe(session, first))
    deploy(second)
    assert roll_back_release(session, str(root), probe(session, second)) == first.id == running(root)
