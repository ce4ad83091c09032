"""A group of small boards, some of them broken: waves, threshold, retry, an end by hand, a page, a common moment."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator

import pytest
from invoke import Exit

from deploy.boards.inventory import host_target
from deploy.boards.session import connect
from deploy.bundle.load import Bundle
from deploy.cli.activating import ActivationAsked, activate_many
from deploy.cli.rollout import RolloutAsked, deploy_many
from deploy.fleet.journal import Journal, read_journal
from deploy.fleet.page import fleet_page, kind_of
from deploy.fleet.selection import Selection, selection_of
from deploy.fleet.survey import Manifests, view_of, with_drift
from deploy.fleet.waves import parse_errors
from deploy.release.deployment import Wishes, deploy_to
from deploy.upkeep.prune import prune
from recipes import paths
from recipes.engine.docker import Engine
from recipes.errors import FleetError
from tests.support.fleetboards import small_fleet
from tests.support.simrelease import FLASH, shell, variant

pytestmark = [pytest.mark.engine, pytest.mark.sim]
FAST = Wishes(fast=True)
LIBRARY = "/lib/x86_64-linux-gnu/libgcc_s.so.1"
"""One that a proof rests on, and that the board itself does without."""
FILL = "set -- $(df -Pk /flash | tail -n 1); dd if=/dev/zero of=/flash/fill bs=1024 count=$(($4 - 400)) 2>/dev/null"
REPAIR = f"rm -f /flash/fill; [ ! -f {LIBRARY}.away ] || mv {LIBRARY}.away {LIBRARY}"
EMPTY = f"rm -rf {FLASH}; {REPAIR}"


@pytest.fixture(scope="module")
def boards(tiny_bundle: Bundle, engine: Engine, tmp_path_factory: pytest.TempPathFactory) -> Iterator[list[str]]:
    """Give three boards that are up, and one that nobody answers for."""
    assert tiny_bundle
    with small_fleet(tmp_path_factory.mktemp("fleet"), engine, 3, down=["gone"]) as names:
        yield names


@pytest.fixture
def clean(boards: list[str]) -> list[str]:
    """Give the boards with nothing of ours on them, and all their flash free."""
    for host in boards[:-1]:
        shell(host, EMPTY)
    return boards


@pytest.fixture
def same(boards: list[str], tiny_bundle: Bundle) -> list[str]:
    """Give the boards with one release on all of them, which is there already after most tests."""
    for host in boards[:-1]:
        shell(host, REPAIR)
    deploy_many(asked(tiny_bundle, selection_of(boards[:-1], [], []), waves="100%"))
    return boards


def asked(bundle: Bundle | None, chosen: Selection, **changes: object) -> RolloutAsked:
    words = {
        "chosen": chosen, "bundle": str(bundle.path) if bundle else "", "wishes": FAST, "waves": "", "errors": "",
        "parallel": 4,
    }  # fmt: skip
    return RolloutAsked(**{**words, **changes})  # type: ignore[arg-type]


def activate(chosen: Selection, errors: str = "0", at: str = "") -> None:
    activate_many(ActivationAsked(chosen=chosen, errors=parse_errors(errors), at=at, parallel=8, wishes=FAST))


def journal(chosen: Selection) -> Journal:
    found = read_journal(chosen.key)
    assert found is not None
    return found


def running(host: str) -> str:
    return shell(host, f"readlink {FLASH}/current 2>/dev/null; true").strip().rpartition("/")[2]


def test_it_stops_at_the_threshold_goes_on_and_does_again_what_failed(
    clean: list[str], tiny_bundle: Bundle, capsys: pytest.CaptureFixture[str]
) -> None:
    """P-30: one board is full and one is gone; what comes behind the wave that they are in keeps what it has."""
    first, full, last, gone = clean
    shell(full, FILL)
    order = selection_of([first, full, gone, last], [], [])
    with pytest.raises(FleetError) as stopped:
        deploy_many(asked(tiny_bundle, order, waves="1,3,100%", errors="40%"))
    assert stopped.value.code == 8
    assert "stopped before wave 3 of 3: 2 of 3 hosts failed, and 40% may" in stopped.value.what
    assert [running(host) for host in (first, full, last)] == [tiny_bundle.id, "", ""]
    states = {host: record.state for host, record in journal(order).results.items()}
    assert states == {first: "deployed", full: "failed", gone: "off"}
    assert f"{full}: there is no room on the board" in stopped.value.why
    assert "still to come" in capsys.readouterr().out

    # The board is repaired; what failed is done again, and nothing else.
    shell(full, "rm /flash/fill")
    with pytest.raises(FleetError, match="1 of 4 hosts failed"):
        deploy_many(asked(None, order, retry=True, errors="100%"))
    assert journal(order).results[full].state == "deployed"
    assert [running(host) for host in (first, full, last)] == [tiny_bundle.id, tiny_bundle.id, ""]

    # Then the one that was still to come; the one that is gone is told again, and is no reason to stop.
    capsys.readouterr()
    with pytest.raises(Exit) as end:
        deploy_many(asked(None, order, resume=True, errors="40%", json=True))
    assert end.value.code == 8
    (line,) = map(json.loads, capsys.readouterr().out.splitlines())
    assert (line["host"], line["state"], line["release"]) == (last, "deployed", tiny_bundle.id)


def test_staged_on_all_and_switched_at_one_moment(same: list[str], tiny_bundle: Bundle) -> None:
    first, second, third, _ = same
    chosen = selection_of([first, second, third], [], [])
    old, new = tiny_bundle, variant(tiny_bundle, "staged")
    with pytest.raises(FleetError, match="3 of 3 hosts were not switched") as nothing:
        activate(chosen)
    assert "nothing is staged" in nothing.value.why
    deploy_many(asked(new, chosen, waves="100%", stage=True))
    assert {running(host) for host in chosen.hosts} == {old.id}, "nothing of what runs is touched"
    assert {record.state for record in journal(chosen).results.values()} == {"staged"}

    # One is damaged since, and under another a library that the proof rests on is gone: neither is switched on.
    shell(first, f"rm {FLASH}/releases/{new.id}/run/note")
    shell(second, f"mv {LIBRARY} {LIBRARY}.away")
    with pytest.raises(FleetError, match="3 of 3 hosts were not switched, 1 of them were ready") as refused:
        activate(chosen)
    assert {running(host) for host in chosen.hosts} == {old.id}, "where more are refused than may, none is switched"
    assert f"what is staged on {first} is damaged: run/note" in refused.value.why
    assert f"{second}: {LIBRARY} is gone" in refused.value.why
    with pytest.raises(FleetError, match="2 of 3 hosts were not switched"):
        activate(chosen, "2")
    assert [running(host) for host in chosen.hosts] == [old.id, old.id, new.id]
    shell(second, f"mv {LIBRARY}.away {LIBRARY}")
    deploy_many(asked(new, selection_of([first], [], []), stage=True))
    activate(chosen, at="+3s")
    assert {running(host) for host in chosen.hosts} == {new.id}
    assert shell(third, f"ls {FLASH}/current/.confirmed; readlink {FLASH}/previous").split()[1] == f"releases/{old.id}"
    assert shell(third, f"ls -A {FLASH} | grep -e staged -e lock; true") == ""


def test_the_page_has_them_all_and_marks_what_drifted(same: list[str], tiny_bundle: Bundle) -> None:
    first, second, third, gone = same
    deploy_to(second, variant(tiny_bundle, "another"), FAST)
    shell(third, f"printf X >> {FLASH}/current/run/boardprobe; rm {FLASH}/current/lib/libwebsockets.so.19")
    shell(first, f"mv {LIBRARY} {LIBRARY}.away")
    manifests = Manifests()
    views = {view.host: view for view in with_drift([view_of(host, manifests) for host in same])}
    shell(third, f"rm -rf {FLASH}")
    assert {host: kind_of(view) for host, view in views.items()} == dict.fromkeys(same, "drift") | {gone: "off"}
    assert views[second].drift == (f"another release: most have {tiny_bundle.id[:12]}",)
    assert set(views[third].changed_files) == {"lib/libwebsockets.so.19", "run/boardprobe"}
    assert (views[first].proof, views[first].proof_changes) == ("changed", ("libgcc_s.so.1",))
    seen = views[second]
    assert seen.proof == "holds"
    assert seen.verified_at is not None
    assert seen.proof_at is not None
    assert abs(time.time() - seen.verified_at) < 300
    assert abs(time.time() - seen.proof_at) < 300
    assert 0 < (seen.free or 0) < 32 << 20
    assert all(f">{host}<" in fleet_page("cameras", list(views.values())) for host in same)


@pytest.mark.slow
def test_an_end_by_hand_is_gone_on_from(clean: list[str], tiny_bundle: Bundle) -> None:
    """Ctrl-C: who is at work comes to an end, nobody more is begun, and no board is left between two releases."""
    hosts = clean[:-1]
    chosen = selection_of(hosts, [], [])
    argv = [sys.executable, "-m", "invoke", *asked(None, chosen).command.split()[1:]]
    argv += ["--parallel", "1", "--bundle", str(tiny_bundle.path)]
    environment = {**os.environ, "PYTHONPATH": str(paths.CHECKOUT)}
    with subprocess.Popen(argv, cwd=paths.CHECKOUT, env=environment, stderr=subprocess.PIPE, text=True) as process:
        assert process.stderr is not None
        begun = next(line for line in process.stderr if "wave 2" in line)
        assert hosts[1] in begun
        process.send_signal(signal.SIGINT)
        said = process.stderr.read()
        assert process.wait(120) == 130
    assert f"next: {asked(None, chosen).command} --resume" in said
    assert "Traceback" not in said
    done = journal(chosen).results
    assert {hosts[0]} <= done.keys() < set(hosts)
    assert {running(host) for host in done} == {tiny_bundle.id}
    assert {running(host) for host in hosts if host not in done} == {""}
    before = {host: record.ended for host, record in done.items()}
    deploy_many(asked(None, chosen, resume=True))
    after = journal(chosen)
    assert not after.left()
    assert {running(host) for host in hosts} == {tiny_bundle.id}
    assert {host: after.results[host].ended for host in before} == before, "none that was done is done again"


@pytest.mark.slow
def test_a_staged_release_that_is_red_is_taken_back(same: list[str], tiny_bundle: Bundle) -> None:
    chosen = selection_of(same[:1], [], [])
    bad = variant(tiny_bundle, "bad", run__boardprobe=b"#!/bin/sh\nexit 9\n")
    deploy_many(asked(bad, chosen, stage=True))
    with pytest.raises(FleetError, match="1 of 1 hosts were not switched") as red:
        activate(chosen)
    assert "runs there again" in red.value.why
    assert running(same[0]) == tiny_bundle.id


@pytest.mark.slow
def test_prune_leaves_what_can_be_gone_back_to(clean: list[str], tiny_bundle: Bundle) -> None:
    """P-31, on a board: keep one asks for less than may go."""
    host, ids = clean[0], []
    for number in range(3):
        release = variant(tiny_bundle, f"release {number}")
        deploy_to(host, release, FAST)
        ids.append(release.id)
    deploy_many(asked(variant(tiny_bundle, "waits"), selection_of([host], [], []), stage=True))
    with connect(host_target(host)) as session:
        assert prune(session, FLASH, 1, "a test", dry_run=True).removed == (ids[0],)
        assert len(shell(host, f"ls {FLASH}/releases").split()) == 4
        assert prune(session, FLASH, 1, "a test").removed == (ids[0],)
        assert prune(session, FLASH, 1, "a test").removed == ()
    assert len(shell(host, f"ls {FLASH}/releases").split()) == 3
    blobs = shell(host, f"ls {FLASH}/store").split()
    listed = shell(host, f"cat {FLASH}/releases/*/.list | cut -d' ' -f1 | sort -u").split()
    assert sorted(blobs) == sorted(listed), "the store has what no release uses"
