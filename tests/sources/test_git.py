"""Git sources: the commit id decides, whatever brought it; what is damaged, wrong or unknown is refused."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

import pytest

from recipes.errors import BuildError
from recipes.sources.fetch import export_mirror, missing_from_cache
from recipes.sources.git import fetch_repository, git_fault, holds_commit, run_git
from recipes.sources.lock import Repository, Submodule
from tests.support.repos import git, upstream

pytestmark = pytest.mark.process
URL = "https://git.example.com/group/demo.git"
INNER = "https://git.example.com/group/inner.git"


def repository(commit: str, *, refs: tuple[str, ...] = (), submodules: tuple[Submodule, ...] = ()) -> Repository:
    return Repository(name="demo", version="1", url=URL, commit=commit, refs=refs, unit="demo-1", submodules=submodules)


@pytest.fixture
def places(cache: Path, tmp_path: Path) -> tuple[Path, Path]:
    """Return a folder to make upstreams in, and a mirror."""
    work, mirror = tmp_path / "upstreams", tmp_path / "mirror"
    work.mkdir()
    mirror.mkdir()
    return work, mirror


def test_one_commit_is_taken_out_of_a_long_history(places: tuple[Path, Path]) -> None:
    work, mirror = places
    upstream(work, mirror, URL, {"a.txt": "old"})
    commit = upstream(work, mirror, URL, {"a.txt": "wanted"})
    upstream(work, mirror, URL, {"a.txt": "newer", "b.txt": "x" * 100_000})
    found = fetch_repository(repository(commit, refs=("v1",)), [mirror], offline=True)
    assert [repository.rung for repository in found] == [f"mirror {mirror}"]
    listed = git(found[0].path, "rev-list", "--all", "--objects").splitlines()
    assert len(listed) == 3, "a commit, its tree and its file; nothing before or after"
    assert git(found[0].path, "for-each-ref", "--format=%(refname)").splitlines() == [
        "refs/heads/pinned",
        "refs/tags/v1",
    ]


def test_a_plain_clone_of_the_cache_gives_the_tag_and_the_commit(places: tuple[Path, Path], tmp_path: Path) -> None:
    work, mirror = places
    commit = upstream(work, mirror, URL, {"a.txt": "wanted"})
    path = fetch_repository(repository(commit, refs=("v1",)), [mirror], offline=True)[0].path
    for name, ref in (("by-tag", "v1"), ("by-commit", commit)):
        git(tmp_path, "clone", "--quiet", "--no-checkout", str(path), name)
        git(tmp_path / name, "checkout", "--quiet", ref)
        assert git(tmp_path / name, "rev-parse", "HEAD") == commit


def test_the_cache_answers_the_second_time_and_without_a_mirror(places: tuple[Path, Path]) -> None:
    work, mirror = places
    pin = repository(upstream(work, mirror, URL, {"a.txt": "wanted"}))
    fetch_repository(pin, [mirror], offline=True)
    assert fetch_repository(pin, [], offline=True)[0].rung == "cache"
    assert missing_from_cache(pin) == ""


def test_a_mirror_without_the_commit_is_told_and_the_next_one_asked(places: tuple[Path, Path], tmp_path: Path) -> None:
    work, mirror = places
    upstream(work, mirror, URL, {"a.txt": "other"})
    good = tmp_path / "good"
    commit = upstream(tmp_path / "second", good, URL, {"a.txt": "wanted"})
    pin = repository(commit)
    with pytest.raises(BuildError, match="is unavailable") as caught:
        fetch_repository(pin, [mirror, tmp_path / "empty"], offline=True)
    assert "not our ref" in caught.value.why
    assert "has no git/git.example.com/group/demo.git" in caught.value.why
    assert fetch_repository(pin, [mirror, good], offline=True)[0].rung == f"mirror {good}"


def damage(repository: Path) -> None:
    """Flip one byte in the middle of every pack and loose object."""
    for path in [*repository.glob("objects/pack/*.pack"), *repository.glob("objects/??/*")]:
        path.chmod(0o644)
        data = bytearray(path.read_bytes())
        data[len(data) // 2] ^= 0xFF
        path.write_bytes(data)


def test_a_damaged_mirror_is_refused_and_nothing_of_it_stays(places: tuple[Path, Path], cache: Path) -> None:
    work, mirror = places
    pin = repository(upstream(work, mirror, URL, {"a.txt": "wanted " * 1000}))
    damage(mirror / "git" / "git.example.com" / "group" / "demo.git")
    with pytest.raises(BuildError, match="is unavailable"):
        fetch_repository(pin, [mirror], offline=True)
    assert not list((cache / "git").iterdir())


@pytest.mark.hostile(kind="build")
def test_a_mirrors_hooks_settings_and_alternates_do_nothing_here(
    places: tuple[Path, Path], cache: Path, tmp_path: Path
) -> None:
    work, mirror = places
    pin = repository(upstream(work, mirror, URL, {"a.txt": "wanted"}))
    bare = mirror / "git" / "git.example.com" / "group" / "demo.git"
    ran, program = tmp_path / "ran", tmp_path / "program"
    program.write_text(f'#!/bin/sh\necho "$0" >> {ran}\nexec "$@"\n')
    program.chmod(0o755)
    (bare / "hooks").mkdir(exist_ok=True)
    for hook in ("post-checkout", "reference-transaction", "post-update", "pre-auto-gc", "post-index-change"):
        shutil.copy(program, bare / "hooks" / hook)
    for name in ("uploadpack.packObjectsHook", "core.fsmonitor", "core.sshCommand", "core.pager", "core.editor"):
        git(bare, "config", name, str(program))
    git(bare, "config", "alias.upload-pack", f"!{program}")
    secret = tmp_path / "secret"
    secret.mkdir()
    git(secret, "init", "--quiet", "--bare", "private.git")
    (bare / "objects/info").mkdir(exist_ok=True)
    (bare / "objects/info/alternates").write_text(f"{secret}/private.git/objects\n")
    path = fetch_repository(pin, [mirror], offline=True)[0].path
    assert not ran.exists()
    assert not (path / "objects/info/alternates").exists()
    assert not list(path.glob("hooks/*"))
    assert str(program) not in (path / "config").read_text()
    shutil.rmtree(mirror)
    assert holds_commit(path, pin.commit)


def test_a_damaged_cache_is_found_and_fetched_again(places: tuple[Path, Path]) -> None:
    work, mirror = places
    pin = repository(upstream(work, mirror, URL, {"a.txt": "wanted " * 1000}))
    path = fetch_repository(pin, [mirror], offline=True)[0].path
    damage(path)
    assert missing_from_cache(pin) == "damaged in the cache"
    assert fetch_repository(pin, [mirror], offline=True)[0].rung == f"mirror {mirror}"
    assert holds_commit(path, pin.commit)


def test_a_cache_that_lost_an_object_is_not_whole(places: tuple[Path, Path]) -> None:
    work, mirror = places
    pin = repository(upstream(work, mirror, URL, {"a.txt": "wanted"}))
    path = fetch_repository(pin, [mirror], offline=True)[0].path
    for pack in path.glob("objects/pack/*"):
        pack.chmod(0o644)
        pack.unlink()
    assert not holds_commit(path, pin.commit)


def test_submodules_are_pinned_by_the_parents_tree(places: tuple[Path, Path]) -> None:
    work, mirror = places
    inner = upstream(work, mirror, INNER, {"inner.txt": "1"})
    outer = upstream(work, mirror, URL, {"a.txt": "1"}, nested={"third/inner": inner})
    known = (Submodule(path="third/inner", url=INNER),)
    found = fetch_repository(repository(outer, submodules=known), [mirror], offline=True)
    assert [repository.url for repository in found] == [URL, INNER]
    assert holds_commit(found[1].path, inner)


def test_a_submodule_that_the_lock_does_not_know_is_refused_with_the_line_to_add(places: tuple[Path, Path]) -> None:
    work, mirror = places
    inner = upstream(work, mirror, INNER, {"inner.txt": "1"})
    outer = upstream(work, mirror, URL, {"a.txt": "1"}, nested={"third/inner": inner})
    with pytest.raises(BuildError, match="does not know") as caught:
        fetch_repository(repository(outer), [mirror], offline=True)
    assert 'add { path = "third/inner"' in caught.value.next_step


def test_an_exported_mirror_is_enough_for_an_empty_cache(
    places: tuple[Path, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    work, mirror = places
    inner = upstream(work, mirror, INNER, {"inner.txt": "1"})
    known = (Submodule(path="third/inner", url=INNER),)
    first = upstream(work, mirror, URL, {"a.txt": "1"})
    second = upstream(work, mirror, URL, {"a.txt": "2"}, nested={"third/inner": inner})
    pins = [repository(first, refs=("v1",)), repository(second, refs=("v2",), submodules=known)]
    export_mirror(pins, tmp_path / "exported", [mirror])
    monkeypatch.setenv("BOARDCAST_CACHE", str(tmp_path / "another"))
    for pin in pins:
        assert {fetched.rung for fetched in fetch_repository(pin, [tmp_path / "exported"], offline=True)} == {
            f"mirror {tmp_path / 'exported'}"
        }
    plain = tmp_path / "plain"
    subprocess.run(["git", "clone", "-q", tmp_path / "exported" / "git" / pins[0].folder, plain], check=True)
    assert git(plain, "rev-parse", "v1") == first


def fake(folder: Path, version: str, *, patched: bool) -> Path:
    """Put a git of another number into a folder; otherwise it is the real one, or one without the owner's check."""
    real = shutil.which("git")
    forget = "" if patched else "unset GIT_TEST_ASSUME_DIFFERENT_OWNER; "
    folder.mkdir()
    (folder / "git").write_text(
        f'#!/bin/sh\n[ "$1" != --version ] || {{ echo \'git version {version}\'; exit; }}\n{forget}exec {real} "$@"\n'
    )
    (folder / "git").chmod(0o755)
    return folder


@pytest.mark.parametrize("version", ["2.30.3", "2.34.2", "2.35.2", "2.36.0", "2.39.5 (Apple Git-154)", "3.0.0"])
def test_a_git_that_looks_at_owners_is_used(tmp_path: Path, version: str) -> None:
    assert git_fault(f"{fake(tmp_path / 'bin', version, patched=False)}:/usr/bin:/bin") == ""


@pytest.mark.parametrize("version", ["2.25.1", "2.30.2", "2.34.1", "2.35.1", "1.8.3", "2.35"])
def test_an_older_one_is_not_unless_its_distribution_patched_it(tmp_path: Path, version: str) -> None:
    fault = git_fault(f"{fake(tmp_path / 'old', version, patched=False)}:/usr/bin:/bin")
    assert f"git {version} takes settings" in fault
    assert git_fault(f"{fake(tmp_path / 'patched', version, patched=True)}:/usr/bin:/bin") == ""


def test_an_older_one_is_told_where_no_engine_has_another(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", f"{fake(tmp_path / 'old', '2.25.1', patched=False)}:{os.environ['PATH']}")
    monkeypatch.setenv("DOCKER_HOST", "tcp://127.0.0.1:9")
    with pytest.raises(BuildError, match="CVE-2022-24765") as caught:
        run_git("--version")
    assert "no container engine answers" in caught.value.why
    assert caught.value.next_step.startswith("install git, 2.35.2 or later; or ")


def test_an_answer_that_is_no_version_is_shown_on_one_line(tmp_path: Path) -> None:
    fault = git_fault(f"{fake(tmp_path / 'odd', chr(27) + '[2J no', patched=False)}:/usr/bin:/bin")
    assert fault.isprintable()


@pytest.mark.hostile(kind="names")
def test_a_mirror_that_is_named_like_an_option_is_a_folder(
    places: tuple[Path, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is made absolute, and comes behind `--`: git would run what `--upload-pack=` says."""
    work, mirror = places
    commit = upstream(work, mirror, URL, {"a.txt": "wanted"})
    evil = Path(f"--upload-pack=touch {tmp_path.name};")
    mirror.rename(tmp_path / evil)
    monkeypatch.chdir(tmp_path)
    (found,) = fetch_repository(repository(commit), [evil], offline=True)
    assert found.rung == f"mirror {evil}"
    assert holds_commit(found.path, commit)
    assert not (tmp_path / tmp_path.name).exists()
