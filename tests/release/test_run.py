"""A plan carried out by the real scripts, on a board that is a folder of this machine."""

from __future__ import annotations

import re
import shutil
import time
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path

import pytest

from deploy.boards.session import connect
from deploy.bundle.assemble import pack_bundle
from deploy.bundle.load import Bundle
from deploy.release.carried import bundle_papers, paper_sizes, read_carried
from deploy.release.plan import StepKind, plan_release
from deploy.release.run import roll_back_release, this_user
from recipes.errors import ConfigError, PreflightError, RolledBackError, VerifyError
from tests.support.localboard import LocalSession
from tests.support.plainrelease import bundle_of, deploy, probe, running
from tests.support.sshserver import ssh_line

pytestmark = [pytest.mark.process, pytest.mark.usefixtures("home")]


@pytest.fixture
def root(tmp_path: Path) -> Path:
    return tmp_path / "board" / "boardcast"


def numbered(root: Path, tag: str, number: int) -> Bundle:
    bundle = bundle_of(root, tag)
    return pack_bundle(
        bundle.manifest.model_copy(update={"number": number}),
        {file.path: (bundle.blobs()[file.blob], file.mode) for file in bundle.manifest.files},
    )


def test_an_older_bundle_is_refused_unless_asked_for(root: Path) -> None:
    """P-10: it is signed, and ran here once."""
    first, second, none = numbered(root, "first", 7), numbered(root, "second", 8), bundle_of(root, "none")
    deploy(first)
    deploy(second)
    before = {path: path.lstat().st_mtime_ns for path in root.rglob("*")}
    for older in (first, none):
        with pytest.raises(PreflightError, match="older than what runs on the board; nothing was changed") as caught:
            deploy(older)
        assert caught.value.code == 5
        assert "that of the release there is 8" in caught.value.why
    assert {path: path.lstat().st_mtime_ns for path in root.rglob("*")} == before
    assert running(root) == second.id
    deploy(numbered(root, "third", 8))
    deploy(first, downgrade=True)
    assert running(root) == first.id
    with pytest.raises(RolledBackError):
        deploy(numbered(root, "fourth", 9), red)
    deploy(numbered(root, "fifth", 8))


def test_a_bundle_without_a_number_is_written_as_before_there_were_some(root: Path) -> None:
    assert b'"number"' not in bundle_of(root, "first").manifest.canonical()
    assert numbered(root, "first", 7).id != bundle_of(root, "first").id


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
    facts = replace(probe(LocalSession(), second), files={"/etc/ld.so.cache": "absent"})
    planned = plan_release(second.id, second.manifest, facts, papers=paper_sizes(second))
    assert [step.kind for step in planned.steps] == [StepKind.SEND, StepKind.ACTIVATE]
    changed = next(file for file in second.manifest.files if file.path == "run/app")
    assert planned.steps[0].blobs == (changed.blob, *paper_sizes(second))
    assert planned.steps[0].detail.startswith("1 of 2 files and the manifest, ")
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
    deploy(first, session=session, without=frozenset({"tar", "sftp"}))
    blobs = [*(file.blob for file in first.manifest.files), *paper_sizes(first), "nothing"]
    assert [arguments[1] for arguments in session.asked[1:6]] == blobs
    assert running(root) == first.id


def test_what_the_power_left_of_an_upload_is_sent_again_in_the_same_run(root: Path) -> None:
    """The length is right, the bytes are not: only the hash on the board tells."""
    first = bundle_of(root, "first")
    blob, data = next(iter(first.blobs().items()))
    (root / "incoming").mkdir(parents=True)
    (root / "incoming" / blob).write_bytes(bytes(len(data)))
    (root / "incoming" / ("0" * 64)).write_bytes(b"of another bundle")
    deploy(first)
    assert running(root) == first.id
    assert not list((root / "incoming").iterdir())


def test_an_upload_that_came_whole_only_has_to_be_looked_at(root: Path) -> None:
    first, session = bundle_of(root, "first"), LocalSession()
    (root / "incoming").mkdir(parents=True)
    everything = first.blobs() | dict(bundle_papers(first).values())
    for blob, data in everything.items():
        (root / "incoming" / blob).write_bytes(data)
    deploy(first, session=session)
    assert session.asked[1][1] == "nothing"
    assert running(root) == first.id


@pytest.mark.loopback
def test_a_connection_that_goes_between_the_switch_and_the_checks(
    root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is opened again; where nothing answers any more, what is switched on is said."""
    monkeypatch.setenv("HOME", str(tmp_path))
    first, second = bundle_of(root, "first"), bundle_of(root, "second")
    with ExitStack() as server:
        line = server.enter_context(ssh_line(tmp_path))
        with connect(line.target) as session:

            def cut() -> None:
                line.cut()
                time.sleep(0.3)
                assert session.run("echo on").out == "on\n"

            deploy(first, cut, session)
            assert probe(session, first).confirmed == {first.id}

            def gone() -> None:
                server.close()
                session.run("echo nobody is there")

            with pytest.raises(PreflightError, match="switched on, and neither confirmed nor taken back") as caught:
                deploy(second, gone, session)
            assert caught.value.where == second.id[:12]
            assert "invoke deploy --host cam" in caught.value.next_step
    assert running(root) == second.id
    with pytest.raises(RolledBackError, match="runs there again"):
        deploy(second, red)
    assert running(root) == first.id


def test_who_deployed_is_written_down_on_the_board(root: Path) -> None:
    first = bundle_of(root, "first")
    deploy(first, who=this_user())
    written = (root / "current" / ".deployed").read_text().strip()
    assert re.fullmatch(r"\S+@\S+ since \d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ", written)


def test_what_was_damaged_is_sent_again_where_that_is_asked_for(root: Path) -> None:
    first = bundle_of(root, "first")
    deploy(first)
    (root / "current" / "run" / "app").write_bytes(b"damaged")
    assert not deploy(first).changed, "it was verified"
    assert deploy(first, again=True).changed
    assert running(root) == first.id


def test_a_release_carries_its_signed_manifest(root: Path) -> None:
    first = bundle_of(root, "first")
    deploy(first)
    carried = read_carried(LocalSession(), str(root), first.id)
    assert carried is not None
    assert carried.manifest == first.manifest
    assert carried.blobs() == first.blobs()
    assert read_carried(LocalSession(), str(root), "0" * 32) is None


@pytest.mark.hostile(kind="board")
def test_what_a_board_sends_is_not_believed_before_its_signature(root: Path) -> None:
    first, second = bundle_of(root, "first"), bundle_of(root, "second")
    deploy(first)
    papers = root / "current" / ".bundle"
    good = {path.name: path.read_bytes() for path in papers.iterdir()}
    other = {name.rpartition("/")[2]: content for name, (_, content) in bundle_papers(second).items()}
    hostile: list[tuple[dict[str, bytes], str]] = [
        ({"manifest.json": good["manifest.json"].replace(b"app.conf", b"bpp.conf")}, "does not fit its manifest"),
        (other, "is that of another release"),
        ({"signature.json": b"[" * 4000}, "this is no manifest"),
        ({"signature.json": good["signature.json"] + b" "}, "is not written as Boardcast writes it"),
        ({"signature.json": b"x" * 5000}, "does not send the manifest that it says it has"),
        ({"manifest.json": b""}, "does not fit its manifest"),
    ]
    for change, says in hostile:
        for name, content in {**good, **change}.items():
            (papers / name).unlink()
            (papers / name).write_bytes(content)
        with pytest.raises((ConfigError, PreflightError), match=says):
            read_carried(LocalSession(), str(root), first.id)


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
    with pytest.raises(ConfigError, match="nothing to go back to") as caught:
        roll_back(first)
    assert caught.value.why == "one release there was verified, and none of them ran before this one"
    deploy(second)
    assert roll_back(second) == first.id == running(root)
    assert roll_back(first) == second.id == running(root), "and forth"


def test_a_roll_back_whose_checks_are_red_returns_to_where_it_was(root: Path) -> None:
    first, second = bundle_of(root, "first"), bundle_of(root, "second")
    deploy(first)
    deploy(second)
    with pytest.raises(RolledBackError) as caught:
        roll_back(second, red)
    assert caught.value.code == 6
    assert f"{second.id[:12]} runs there again" in caught.value.what
    assert "libx not found" in caught.value.why
    assert running(root) == second.id
    facts = probe(LocalSession(), second)
    assert (facts.previous, facts.confirmed) == (first.id, frozenset({first.id, second.id})), "nothing else changed"
    with pytest.raises(KeyboardInterrupt):
        roll_back(second, interrupted)
    assert running(root) == second.id


def roll_back(now: Bundle, check: Callable[[], object] = lambda: None) -> str:
    session = LocalSession()
    return roll_back_release(session, "cam", now.manifest.root, probe(session, now), check)
