"""Services as part of a deploy: put in, started, changed and taken away with the switch, and put back with a roll-back.

The board is a folder of this machine whose init system is our own loop, so every script runs for real.
"""

from __future__ import annotations

import json
import os
import secrets
import signal
import subprocess
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from deploy.atboot.put_in import SERVICES
from deploy.boards.probe import probe_host
from deploy.bundle.assemble import pack_bundle
from deploy.bundle.load import Bundle
from deploy.bundle.streams import service_rows
from deploy.release.carried import paper_sizes
from deploy.release.plan import plan_release
from deploy.release.run import deploy_release, install_release, roll_back_release
from deploy.services.systems import Phase, ServiceState, parse_status
from deploy.upkeep.releases import board_releases
from deploy.upkeep.uninstall import Uninstalled, uninstall
from deploy.verify.run import run_checks
from deploy.verify.verdict import Verdict
from recipes.errors import PreflightError, RolledBackError
from tests.support import bundles
from tests.support.fakestream import board_of, contents_of, stream
from tests.support.localboard import ARCH, LocalSession

pytestmark = [pytest.mark.process, pytest.mark.usefixtures("home")]


@pytest.fixture
def names() -> Iterator[Callable[[str], str]]:
    """Give names of streams that no other run on this machine has."""
    tag = secrets.token_hex(4)
    yield lambda name: f"{name}-{tag}"
    for folder in Path("/var/run").glob(f"boardcast-*-{tag}"):
        subprocess.run(["rm", "-rf", folder], check=True)


@pytest.fixture
def root(tmp_path: Path, names: Callable[[str], str]) -> Iterator[Path]:
    """Give our folder on the board; what streams is taken away at the end, while its state is still there."""
    place = tmp_path / "flash" / "boardcast"
    yield place
    assert not place.is_dir() or run(LocalSession(), place, "") == 0
    # Who ends the log gives it two seconds.
    until(lambda: not left(names("")), 10)
    assert not left(names(""))


def left(tag: str) -> str:
    """Return the processes whose command line has a text, with that."""
    return subprocess.run(["pgrep", "-fa", "--", tag], capture_output=True, text=True, check=False).stdout


def test_nothing_of_ours_is_left_of_a_board_that_streamed(root: Path, names: Callable[[str], str]) -> None:
    name = names("front")
    deploy(bundle_of(root, {name: stream()}))
    assert running(root, name)
    (known,) = board_releases(LocalSession(), str(root))
    assert (known.role, known.streams, known.verified, known.brought_by) == ("current", True, True, "a test")
    (root / "note.txt").write_text("the owner's\n")
    assert uninstall(LocalSession(), str(root), "a test", dry_run=True) == Uninstalled(there=True)
    assert running(root, name)
    assert uninstall(LocalSession(), str(root), "a test") == Uninstalled(there=True, left=("note.txt",))
    assert [path.name for path in root.iterdir()] == ["note.txt"]
    assert until(lambda: not left(name), 10)
    assert not list(Path("/var/run").glob(f"boardcast-*{name}"))
    with pytest.raises(PreflightError, match="not ours"):
        uninstall(LocalSession(), str(root), "a test")
    (root / "note.txt").unlink()
    assert not uninstall(LocalSession(), str(root), "a test").there, "a cut in front of the last command leaves this"
    root.rmdir()
    assert not uninstall(LocalSession(), str(root), "a test").there
    assert board_releases(LocalSession(), str(root)) == []


def run(session: LocalSession, root: Path, identity: str) -> int:
    return session.run(SERVICES, [str(root), identity, "a test"]).code


def bundle_of(root: Path, streams: dict[str, Any], **changes: Any) -> Bundle:
    board = board_of(root, streams, **changes)
    root.parent.mkdir(exist_ok=True)
    nothing: dict[str, Any] = {"entries": (), "decisions": (), "proofs": (), "refused": (), "providers": {}}
    plain = bundles.manifest(arch=ARCH.name, machines=ARCH.machine, root=str(root), build_ids={}, **nothing)
    return pack_bundle(plain.model_copy(update={"services": service_rows(board)}), contents_of(board))


def deploy(bundle: Bundle, check: Callable[[], object] = lambda: None) -> LocalSession:
    session = LocalSession()
    facts = replace(probe_host(session, bundle.manifest.root, []), files={"/etc/ld.so.cache": "absent"})
    plan = plan_release(bundle.id, bundle.manifest, facts, papers=paper_sizes(bundle))
    deploy_release(session, "cam", bundle, check, planned=plan, tools=facts.tools, who="a test")
    return session


def state(root: Path, name: str) -> ServiceState:
    script = root / "applied" / name / "status"
    if not script.is_file():
        return parse_status("")
    return parse_status(subprocess.run(["sh", script], capture_output=True, text=True, check=True).stdout)


def until(what: Callable[[], bool], seconds: float = 20) -> bool:
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        if what():
            return True
        time.sleep(0.1)
    return False


def running(root: Path, name: str) -> bool:
    return until(lambda: state(root, name).phase is Phase.RUNNING)


def runs_of(root: Path, name: str, bundle: Bundle) -> bool:
    """Tell whether a stream's program is a release's; right behind the fork it is still the loop's shell."""
    try:
        told = Path(f"/proc/{state(root, name).pid}/cmdline").read_text()
    except OSError:
        return False
    return f"releases/{bundle.id}/bin/" in told


def look(bundle: Bundle) -> Verdict:
    return run_checks(LocalSession(), "cam", bundle.id, bundle.manifest, patience=12)


def streams_check(verdict: Verdict) -> tuple[str, str]:
    check = next(check for check in verdict.checks if check.name == "every stream goes on")
    return check.state, check.evidence


def test_what_a_release_brings_is_started_and_seen_to_go_on(root: Path, names: Callable[[str], str]) -> None:
    front = names("front")
    bundle = bundle_of(root, {front: stream(7)})
    deploy(bundle)
    assert running(root, front)
    assert (root / "work" / front).is_dir()
    status = Path(f"/var/run/boardcast-{front}/stream.json")
    assert until(lambda: status.is_file() and json.loads(status.read_text())["frames"] >= 7)
    found, evidence = streams_check(look(bundle))
    assert found == "passed", evidence
    assert evidence.startswith(f"{front}: ")
    assert "pictures, 2.0 a second" in evidence


def test_a_process_that_lives_and_sends_nothing_is_red(root: Path, names: Callable[[str], str]) -> None:
    front = names("front")
    bundle = bundle_of(root, {front: stream(0)})
    deploy(bundle)
    assert running(root, front)
    assert streams_check(look(bundle)) == ("failed", f"{front}: no picture since the last look, 0 in all")


def test_another_release_changes_takes_away_and_adds_what_streams(root: Path, names: Callable[[str], str]) -> None:
    front, back, side = names("front"), names("back"), names("side")
    first = bundle_of(root, {front: stream(1), back: stream(2)})
    deploy(first)
    assert running(root, front)
    assert running(root, back)
    before = state(root, front).pid
    second = bundle_of(root, {front: stream(3), side: stream(4)})
    deploy(second)
    assert running(root, front)
    assert running(root, side)
    assert state(root, front).pid != before
    assert not state(root, back).installed
    assert not (root / "services" / f"{back}.sh").exists()
    assert not Path(f"/var/run/boardcast-{back}").exists()
    assert sorted(path.name for path in (root / "applied").iterdir()) == sorted(("_boot", front, side))
    facts = probe_host(LocalSession(), str(root), [])
    assert roll_back_release(LocalSession(), "cam", str(root), facts, lambda: None) == first.id
    assert running(root, front)
    assert running(root, back)
    assert not state(root, side).installed
    last = bundle_of(root, {})
    deploy(last)
    assert not (root / "applied").exists()
    assert not (root / "services").exists()


def test_red_checks_put_the_old_services_back(root: Path, names: Callable[[str], str]) -> None:
    front, back = names("front"), names("back")
    good = bundle_of(root, {front: stream(5)})
    deploy(good)
    silent = bundle_of(root, {front: stream(0), back: stream(1)})

    def check() -> None:
        raise PreflightError("the checks found no picture")

    with pytest.raises(RolledBackError, match=good.id[:12]):
        deploy(silent, check)
    assert running(root, front)
    assert not state(root, back).installed
    assert streams_check(look(good))[0] == "passed"


def test_a_service_that_cannot_be_put_in_goes_back_and_says_why(root: Path, names: Callable[[str], str]) -> None:
    front = names("front")
    good = bundle_of(root, {front: stream(5)})
    deploy(good)
    nobody = bundle_of(root, {front: stream(6)}, service={"user": "no-such-user-here"})
    with pytest.raises(RolledBackError) as caught:
        deploy(nobody)
    assert "a service could not be put in or started" in caught.value.why
    assert "no user no-such-user-here" in caught.value.why
    assert running(root, front)
    assert streams_check(look(good))[0] == "passed"


def test_services_that_do_not_come_back_are_told_as_such(root: Path, names: Callable[[str], str]) -> None:
    """The switch back was made: it must not be said that the new release is still on."""
    front = names("front")
    good = bundle_of(root, {front: stream(5)})
    deploy(good)

    def check() -> None:
        (root / "releases" / good.id / "services" / front / "start").write_text("echo no such camera >&2; exit 1\n")
        raise PreflightError("the checks found no picture")

    with pytest.raises(PreflightError, match="runs there again, but not all of its services") as caught:
        deploy(bundle_of(root, {front: stream(6)}), check)
    assert "no such camera" in caught.value.why
    assert caught.value.next_step == "invoke doctor --host cam"
    assert (root / "current").readlink().name == good.id


def test_the_program_comes_back_when_it_is_killed(root: Path, names: Callable[[str], str]) -> None:
    front = names("front")
    deploy(bundle_of(root, {front: stream(5)}))
    assert running(root, front)
    first = state(root, front).pid
    os.kill(first, signal.SIGKILL)
    assert until(lambda: state(root, front).pid not in (0, first))
    assert state(root, front).restarts == 1


@pytest.mark.parametrize("seconds", [pytest.param(0.3, marks=pytest.mark.slow), 1.5])
def test_a_run_that_was_cut_is_made_good_by_the_next(root: Path, names: Callable[[str], str], seconds: float) -> None:
    front, back = names("front"), names("back")
    deploy(bundle_of(root, {front: stream(1), names("old"): stream(1)}))
    second = bundle_of(root, {front: stream(2), back: stream(3)})
    session = LocalSession()

    def cut() -> None:
        """End the script in its middle, as a connection that breaks does."""
        argv = ["sh", "-c", SERVICES, "boardcast", str(root), second.id, "a test"]
        with subprocess.Popen(argv, start_new_session=True, stderr=subprocess.DEVNULL) as script:
            time.sleep(seconds)
            os.killpg(script.pid, signal.SIGKILL)

    deploy(second, cut)
    assert run(session, root, second.id) == 0
    assert running(root, front)
    assert running(root, back)
    assert not state(root, names("old")).installed
    assert sorted(path.name for path in (root / "applied").iterdir()) == sorted(("_boot", front, back))
    assert streams_check(look(second))[0] == "passed"


def test_a_switch_without_its_services_streams_the_old_release(root: Path, names: Callable[[str], str]) -> None:
    """The power went between the two: the next deploy goes on, though the new one is there and was verified once."""
    front = names("front")
    first, second = bundle_of(root, {front: stream(1)}), bundle_of(root, {front: stream(2)})
    deploy(first)
    assert running(root, front)
    session = LocalSession()
    facts = replace(probe_host(session, str(root), []), files={"/etc/ld.so.cache": "absent"})
    assert facts.serving == first.id
    plan = plan_release(second.id, second.manifest, facts, papers=paper_sizes(second))
    install_release(session, second, plan, facts.tools, "a test")
    assert (root / "current").readlink().name == second.id
    before = state(root, front).pid
    os.kill(before, signal.SIGKILL)
    assert until(lambda: state(root, front).pid != before and runs_of(root, front, first))
    (root / "releases" / second.id / ".confirmed").touch()
    deploy(second)
    assert running(root, front)
    assert until(lambda: runs_of(root, front, second))
    facts = replace(probe_host(session, str(root), []), files=facts.files)
    assert (facts.serving, plan_release(second.id, second.manifest, facts).steps) == (second.id, ())


def test_only_root_puts_in_what_starts_at_boot(root: Path, names: Callable[[str], str]) -> None:
    bundle = bundle_of(root, {names("front"): stream(1)})
    facts = probe_host(LocalSession(), str(root), [])
    with pytest.raises(PreflightError, match="only root may put in what starts at boot"):
        plan_release(bundle.id, bundle.manifest, replace(facts, uid=1000))


def test_a_stream_that_is_started_by_hand_is_no_service(root: Path, names: Callable[[str], str]) -> None:
    front = names("front")
    bundle = bundle_of(root, {front: stream(1, runs="hand")})
    assert bundle.manifest.services == ()
    assert f"run/{front}" in {file.path for file in bundle.manifest.files}
    deploy(bundle)
    assert not (root / "applied").exists()
