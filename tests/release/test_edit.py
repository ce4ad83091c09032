"""A release that is made of the one that runs: links on the board, and what makes its list, in place of all of it."""

from __future__ import annotations

import hashlib
import random
import shutil
import subprocess
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from deploy.boards.probe import probe_host
from deploy.bundle.assemble import pack_bundle
from deploy.bundle.load import Bundle
from deploy.release import run
from deploy.release.carried import Bases, older_contents, paper_sizes, release_rows
from deploy.release.plan import plan_release
from deploy.release.run import ReleaseResult, deploy_release
from deploy.release.scripts import ACTIVATE
from deploy.transfer.cargo import EDIT_MOST, edit_of_rows, lines_of
from recipes.errors import PreflightError
from tests.support import bundles
from tests.support.localboard import ARCH, LocalSession

pytestmark = [pytest.mark.process, pytest.mark.usefixtures("home")]
SHELLS = [("sh",), ("busybox", "sh")]
SEDS = [("sed",), ("busybox", "sed")]
FIRST = {
    "run/app": (b"#!/bin/sh\necho first\n", 0o755),
    "lib/a.so": (b"the same in both" * 999, 0o644),
    "lib/sub/b c.so": (b"of the first", 0o644),
    "share/gone.conf": (b"no longer", 0o644),
}
SECOND = {
    "run/app": (b"#!/bin/sh\necho second\n", 0o755),
    "lib/a.so": (b"the same in both" * 999, 0o644),
    "lib/sub/b c.so": (b"of the first", 0o755),
    "share/new/come.conf": (b"for the first time", 0o644),
}


@pytest.fixture(params=SHELLS, ids=" ".join)
def session(request: pytest.FixtureRequest) -> LocalSession:
    if not shutil.which(request.param[0]):
        pytest.skip("no BusyBox here")
    return LocalSession(request.param)


@pytest.fixture(autouse=True)
def _small_ones_too(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(run, "EDIT_LEAST", 0)


def made(root: Path, contents: dict[str, tuple[bytes, int]]) -> Bundle:
    nothing: dict[str, Any] = {"entries": (), "decisions": (), "proofs": (), "refused": (), "providers": {}}
    plain = bundles.manifest(arch=ARCH.name, machines=ARCH.machine, root=str(root), build_ids={}, **nothing)
    return pack_bundle(plain, contents)


def deploy(session: LocalSession, bundle: Bundle) -> ReleaseResult:
    facts = probe_host(session, bundle.manifest.root, [], wanted=bundle.id)
    facts = replace(facts, files={"/etc/ld.so.cache": "absent"}, tools=facts.tools - {"zstd", "xz"})
    planned = plan_release(bundle.id, bundle.manifest, facts, papers=paper_sizes(bundle))
    bases = older_contents(bundle, facts.current, [blob for step in planned.steps for blob in step.blobs], facts.blobs)
    return deploy_release(session, "cam", bundle, lambda: None, planned=planned, tools=facts.tools, bases=bases)


def whole(root: Path, bundle: Bundle) -> None:
    """Check that a release is on to its last byte, with nothing beside it."""
    assert (root / "current").readlink().name == bundle.id
    there = {
        path.relative_to(root / "current").as_posix(): path
        for path in (root / "current").rglob("*")
        if not path.is_dir() and not path.relative_to(root / "current").as_posix().startswith(".")
    }
    assert set(there) == {file.path for file in bundle.manifest.files}
    for file in bundle.manifest.files:
        assert hashlib.sha256(there[file.path].read_bytes()).hexdigest() == file.sha256
        assert not there[file.path].is_symlink()
        assert (there[file.path].stat().st_mode & 0o777) == file.mode
    listing = "".join(f"{blob} {path}\n" for blob, path in release_rows(bundle))
    assert (root / "releases" / bundle.id / ".list").read_text() == listing


def forms(session: LocalSession) -> list[str]:
    """Return how each release was asked for."""
    return [asked[5] for script, asked in zip(session.scripts, session.asked, strict=True) if script == ACTIVATE]


def test_a_release_is_made_of_the_one_before(session: LocalSession, tmp_path: Path) -> None:
    first, second = made(tmp_path, FIRST), made(tmp_path, SECOND)
    deploy(session, first)
    before = {path: path.read_bytes() for path in (tmp_path / "current").rglob("*") if path.is_file()}
    stamps = (tmp_path / "releases" / first.id / ".number").stat()
    done = deploy(session, second)
    assert forms(session) == ["tar", "edit"]
    assert done.round_trips - 4 == 4
    whole(tmp_path, second)
    # What ran before is as it was: it may be gone back to.
    assert {path: (tmp_path / "releases" / first.id / path.relative_to(tmp_path / "current")).read_bytes()
            for path in before} == before  # fmt: skip
    assert (tmp_path / "releases" / first.id / ".number").stat().st_ino == stamps.st_ino
    assert not (tmp_path / ".edit").exists()
    assert (tmp_path / "previous").readlink().name == first.id


DAMAGES = {
    "a file beside it": 'echo x > "$1/share/mine"',
    "a link beside it": 'ln -s /etc/passwd "$1/share/mine"',
    "a file that is damaged": 'rm "$1/lib/a.so"; echo x > "$1/lib/a.so"',
    "a file that is a link": 'cp "$1/lib/a.so" "$1/../../kept"; ln -sf ../../../kept "$1/lib/a.so"',
    "a file that is lost": 'rm "$1/lib/a.so"',
    "a list that is another": 'rm "$1/.list"; echo x > "$1/.list"',
    "no list": 'rm "$1/.list"',
    "a folder in its place": 'rm "$1/lib/a.so"; mkdir "$1/lib/a.so"',
}


@pytest.mark.parametrize("what", DAMAGES)
def test_one_that_is_not_as_it_was_made_is_not_built_upon(session: LocalSession, tmp_path: Path, what: str) -> None:
    first, second = made(tmp_path, FIRST), made(tmp_path, SECOND)
    deploy(session, first)
    assert session.run(DAMAGES[what], [str(tmp_path / "releases" / first.id)]).code == 0
    deploy(session, second)
    assert forms(session) == ["tar", "edit", "tar"]
    whole(tmp_path, second)


def test_a_board_that_links_nothing_by_cp_gets_all_of_it(tmp_path: Path) -> None:
    tools = tmp_path / "tools"
    tools.mkdir()
    (tools / "cp").write_text('#!/bin/sh\n[ "$1" != -al ] || exit 1\nexec /bin/cp "$@"\n')
    (tools / "cp").chmod(0o755)
    session = LocalSession(["env", f"PATH={tools}:/usr/bin:/bin", "sh"])
    root = tmp_path / "root"
    first, second = made(root, FIRST), made(root, SECOND)
    deploy(session, first)
    deploy(session, second)
    assert forms(session) == ["tar", "edit", "tar"]
    whole(root, second)


def test_a_content_that_is_damaged_in_the_store_is_named(session: LocalSession, tmp_path: Path) -> None:
    """It is found by the hash of the release, and thrown away: the next run sends it."""
    first, second = made(tmp_path, FIRST), made(tmp_path, SECOND)
    deploy(session, first)
    (tmp_path / "current" / "lib" / "a.so").write_bytes(b"through the link, into the store")
    with pytest.raises(PreflightError, match="damaged"):
        deploy(session, second)
    assert (tmp_path / "current").readlink().name == first.id
    deploy(session, second)
    whole(tmp_path, second)


def test_what_this_deploy_hashed_is_not_read_again(session: LocalSession, tmp_path: Path) -> None:
    """Only under its own mark: what a run before hashed, the flash may have lost since."""
    first = made(tmp_path, FIRST)
    deploy(session, first)
    blob = hashlib.sha256(FIRST["lib/a.so"][0]).hexdigest()
    every = [name for name, _ in release_rows(first)]
    for mark, hashed, found in (
        ("mine", every, False),
        ("mine", [name for name in every if name != blob], True),
        ("mine", [], True),
        ("another", every, True),
        ("", every, True),
    ):
        (tmp_path / "current").unlink()
        shutil.rmtree(tmp_path / "releases" / first.id)
        (tmp_path / "store" / blob).write_bytes(b"damaged")
        (tmp_path / ".fresh").write_text("mine\n")
        listing = "".join(f"{name} {path}\n" for name, path in release_rows(first)).encode()
        words = [str(tmp_path), first.id, hashlib.sha256(listing).hexdigest(), "me", "none", "list", "0", "", "switch"]
        reply = session.run(ACTIVATE, [*words, mark, lines_of(release_rows(first), hashed)], [listing])
        assert ("damaged=lib/a.so" in reply.out) == found, (mark, reply)
        assert (reply.code == 0) != found
        assert not (tmp_path / ".fresh").exists()
        if found:
            assert not (tmp_path / "current").is_symlink()
            (tmp_path / "store" / blob).write_bytes(FIRST["lib/a.so"][0])
            assert session.run(ACTIVATE, words, [listing]).code == 0


@pytest.mark.parametrize("sed", SEDS, ids=" ".join)
def test_the_lines_of_what_was_hashed_are_named(tmp_path: Path, sed: tuple[str, ...]) -> None:
    if not shutil.which(sed[0]):
        pytest.skip("no BusyBox here")
    draw = random.Random(3)
    all_of_it = [(blob, f"{path}, again") for blob, path in rows(4)] + rows(40)
    (tmp_path / "list").write_text("".join(f"{blob} {path}\n" for blob, path in all_of_it))
    for share in (0, 0.1, 0.5, 0.9, 1):
        known = {blob for blob, _ in all_of_it if draw.random() < share}
        argv = [*sed, "-e", lines_of(all_of_it, known), str(tmp_path / "list")]
        said = subprocess.run(argv, capture_output=True, text=True, check=True).stdout
        assert said == "".join(f"{blob} {path}\n" for blob, path in all_of_it if blob not in known)
    # What has no room in a command is said of none: all of it is read.
    many = rows(2000)
    assert lines_of(many, {blob for blob, _ in many}) == "1,2000d"
    assert lines_of(many, {blob for blob, _ in many[::2]}) == ""


def test_without_the_older_bundle_here_all_of_it_is_sent(session: LocalSession, tmp_path: Path) -> None:
    first, second = made(tmp_path, FIRST), made(tmp_path, SECOND)
    deploy(session, first)
    first.path.unlink()
    deploy(session, second)
    assert forms(session) == ["tar", "tar"]
    whole(tmp_path, second)


def rows(count: int, tag: str = "") -> list[tuple[str, str]]:
    return [(hashlib.sha256(f"{tag}{number}".encode()).hexdigest(), f"d/file {number}") for number in range(count)]


@pytest.mark.parametrize("sed", SEDS, ids=" ".join)
def test_the_board_makes_the_new_list_of_the_old_one(tmp_path: Path, sed: tuple[str, ...]) -> None:
    if not shutil.which(sed[0]):
        pytest.skip("no BusyBox here")
    draw = random.Random(20)
    pool = rows(40) + rows(40, "other")
    for _ in range(60):
        taken = sorted(draw.sample(range(len(pool)), 60))
        old = [pool[at] for at in taken if draw.random() > 0.2]
        new = [pool[at] for at in taken if draw.random() > 0.2]
        edit = edit_of_rows(old, new)
        assert edit is not None
        (tmp_path / "edit").write_bytes(edit)
        (tmp_path / "list").write_text("".join(f"{blob} {path}\n" for blob, path in old))
        argv = [*sed, "-f", str(tmp_path / "edit"), str(tmp_path / "list")]
        said = subprocess.run(argv, capture_output=True, text=True, check=True).stdout
        assert said == "".join(f"{blob} {path}\n" for blob, path in new)
        notes = [line for line in edit.decode().splitlines() if line.startswith("#")]
        assert sorted(notes) == sorted(
            [f"#-{path}" for blob, path in old if (blob, path) not in new]
            + [f"#+{blob} {path}" for blob, path in new if (blob, path) not in old]
        )


def test_what_is_too_much_or_in_another_order_is_sent_whole() -> None:
    old = rows(100)
    assert edit_of_rows(old, old[::-1]) is None
    assert edit_of_rows(old, rows(EDIT_MOST // 2 + 1, "new") + old[EDIT_MOST // 2 + 1 :]) is None
    assert edit_of_rows(old, old[EDIT_MOST:]) is not None
    assert edit_of_rows((), old) is None
    assert Bases().rows == ()


def test_the_store_is_listed_only_where_a_plan_needs_it(session: LocalSession, tmp_path: Path) -> None:
    first = made(tmp_path, FIRST)
    deploy(session, first)

    def listed(wanted: str) -> bool:
        return bool(probe_host(session, str(tmp_path), [], wanted=wanted).blobs)

    assert (listed(first.id), listed(""), listed("0" * 32)) == (False, True, True)
    assert deploy(session, first).payload == 0
    # Services of another release, or none that was verified: a run was cut there, and is made good.
    (tmp_path / ".serving").write_text("0" * 32 + "\n")
    assert listed(first.id)
    (tmp_path / ".serving").write_text(first.id + "\n")
    assert not listed(first.id)
    (tmp_path / "current" / ".confirmed").unlink()
    assert listed(first.id)


def test_what_no_release_has_goes_from_the_store(session: LocalSession, tmp_path: Path) -> None:
    first, second = made(tmp_path, FIRST), made(tmp_path, SECOND)
    deploy(session, first)
    (tmp_path / "store" / ("0" * 64)).write_bytes(b"of nobody")
    deploy(session, second)
    wanted = {blob for bundle in (first, second) for blob, _ in release_rows(bundle)}
    assert {path.name for path in (tmp_path / "store").iterdir()} == wanted
