"""Verified git sources: bare repositories that hold one locked commit, and what its tree nests.

A commit id is a hash over everything below it, so a repository that has the commit, whole, is the right one; git
itself checks each object when it is transferred, and again here before a build. Shallow fetches by commit id:
https://git-scm.com/docs/git-fetch#Documentation/git-fetch.txt---depthltdepthgt
"""

from __future__ import annotations

import functools
import os
import re
import shutil
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from recipes import paths, process
from recipes.errors import BuildError, UserError
from recipes.files import whole_folder
from recipes.progress import file_size, progress
from recipes.sources.lock import Repository, lock_path, mirror_place
from recipes.text import one_line
from recipes.tools.base import proxies
from recipes.tools.box import Box, shared_tools, tools

_SECONDS = 900
_BRANCH = "refs/heads/pinned"
# A mirror may belong to somebody else and may not advertise the commit by a name; both are fine, the id decides.
# That is as safe as git itself is with the files of others, so a git before CVE-2022-24765 is not used at all.
_UPLOAD = "git -c safe.directory=* -c uploadpack.allowAnySHA1InWant=true upload-pack"
_PATCHED = {(2, 30): 3, (2, 31): 2, (2, 32): 1, (2, 33): 2, (2, 34): 2, (2, 35): 2}
"""The first release of each line that looks at who owns a repository; all later lines do.
https://github.com/git/git/security/advisories/GHSA-vw2c-22j4-2fh2"""


@dataclass(frozen=True, slots=True, kw_only=True)
class FetchedRepository:
    """One repository of the cache: where a build sees it, and which rung brought it."""

    url: str
    path: Path
    rung: str


def repository_path(url: str, commit: str) -> Path:
    return paths.cache() / "git" / f"{mirror_place(url).stem}-{commit[:16]}.git"


def run_git(
    *words: str | Path, repository: Path | None = None, check: bool = True, network: bool = False
) -> process.Result:
    """Run git for what it prints, with no prompts; `tools` says where.

    Raises
    ------
    BuildError
        It failed and `check` is set; or this machine's git is missing, or too old to be used on what others made, and
        no engine answers that could have another.
    """
    with _git(network=network) as box:
        return _run(box, *words, repository=repository, check=check)


@contextmanager
def _git(*, network: bool = False) -> Iterator[Box]:
    here = os.environ.get("PATH", "")
    with tools("git", network=network, fault=lambda: git_fault(here), wanted="git, 2.35.2 or later") as box:
        yield box


def _run(box: Box, *words: str | Path, repository: Path | None = None, check: bool = True) -> process.Result:
    """Run git without prompts; with the user's own configuration, which may name a company's mirror or proxy."""
    where = ("--git-dir", repository) if repository else ()
    quiet = {"GIT_TERMINAL_PROMPT": "0", "GIT_ASKPASS": "/bin/false", "LC_ALL": "C"}
    slow = ("-c", "http.lowSpeedLimit=1000", "-c", "http.lowSpeedTime=60", "-c", "gc.auto=0")
    return box.run(["git", *slow, *where, *words], env=proxies() | quiet, timeout=_SECONDS, check=check)


@functools.cache
def git_fault(search: str) -> str:
    """Say why the git on a search path is not to be used on files of others; empty where it is. Asked once per path."""
    printed = process.run(["git", "--version"], env={"PATH": search}).text
    numbers = re.search(r"(\d+)\.(\d+)(?:\.(\d+))?", printed)
    if numbers is None:
        return f"`git --version` says {one_line(printed)!r}"
    major, minor, patch = (int(number or 0) for number in numbers.groups())
    line = (major, minor)
    if line > max(_PATCHED) or patch >= _PATCHED.get(line, patch + 1) or _refuses_others(search):
        return ""
    return f"git {numbers[0]} takes settings, and commands in them, from a repository whoever owns it (CVE-2022-24765)"


def _refuses_others(search: str) -> bool:
    """Tell whether a git of an old number was patched by its distribution: it is asked as its own tests ask it."""
    with tempfile.TemporaryDirectory(prefix="boardcast-git-") as folder:
        process.run(["git", "init", "--quiet", "--bare", "--", folder], env={"PATH": search})
        asked = {"PATH": search, "GIT_TEST_ASSUME_DIFFERENT_OWNER": "1", "HOME": folder, "GIT_CONFIG_NOSYSTEM": "1"}
        return process.run(["git", "-C", folder, "rev-parse", "--git-dir"], env=asked, check=False).code != 0


def fetch_repository(
    repository: Repository, mirrors: Sequence[Path] = (), *, offline: bool = False
) -> tuple[FetchedRepository, ...]:
    """Bring a repository at its locked commit, and the submodules that the commit names, into the cache.

    Raises
    ------
    BuildError
        No rung has the commit, whole; says what each one answered. Or the commit nests what the lock does not know.
    """
    with shared_tools():
        return _fetched(repository, mirrors, offline=offline)


def _fetched(repository: Repository, mirrors: Sequence[Path], *, offline: bool) -> tuple[FetchedRepository, ...]:
    first = _bring(repository.url, repository.commit, repository.refs, mirrors, offline, repository.name)
    known = {module.path: module.url for module in repository.submodules}
    found = [first]
    for path, commit in gitlinks(first.path, repository.commit).items():
        if path not in known:
            raise BuildError(
                f"{repository.name}: the locked commit nests a repository that the lock does not know",
                where=f"{path} at {commit}",
                next_step=f'add {{ path = "{path}", url = "…" }} to its submodules in {lock_path().name}',
            )
        found.append(_bring(known[path], commit, (), mirrors, offline, f"{repository.name}:{path}"))
    return tuple(found)


def gitlinks(repository: Path, commit: str) -> dict[str, str]:
    """Return path and commit of each submodule in a commit's tree."""
    listed = run_git("ls-tree", "-r", "-z", "--", commit, repository=repository).text
    rows = [row.split(None, 3) for row in listed.split("\0") if row]
    return {row[3]: row[2] for row in rows if row[1] == "commit"}


def holds_commit(path: Path, commit: str) -> bool:
    """Tell whether a repository has a commit with every object below it, unchanged.

    Packs are indexed anew from their contents, so each object's id is computed; then each name in the tree must have
    its object. `git fsck` would also object to old but harmless spellings of real upstreams.
    """
    if not (path / "HEAD").is_file():
        return False
    packs = sorted((path / "objects" / "pack").glob("*.idx"))
    loose = [folder for folder in (path / "objects").iterdir() if len(folder.name) == 2]
    if not packs or loose or run_git("verify-pack", "--", *packs, repository=path, check=False).code != 0:
        return False
    return run_git("rev-list", "--objects", "--quiet", commit, "--", repository=path, check=False).code == 0


def _bring(
    url: str, commit: str, refs: Sequence[str], mirrors: Sequence[Path], offline: bool, name: str
) -> FetchedRepository:
    target = repository_path(url, commit)
    answers: list[str] = []
    if target.exists():
        if holds_commit(target, commit):
            for mirror in mirrors:
                _same_name(str(mirror.absolute() / "git" / mirror_place(url)), commit, refs)
            _name(target, commit, refs)
            return FetchedRepository(url=url, path=target, rung="cache")
        answers.append(f"cache: {target} does not hold the commit whole any more; set aside")
        shutil.rmtree(target)
    rungs = [(f"mirror {mirror}", str(mirror.absolute() / "git" / mirror_place(url))) for mirror in mirrors]
    if not offline:
        rungs.append((f"upstream {url}", url))
    for rung, source in rungs:
        if "://" not in source and not Path(source).is_dir():
            answers.append(f"{rung}: has no git/{mirror_place(url)}")
            continue
        try:
            _same_name(source, commit, refs)
            with whole_folder(target) as part, progress(f"bringing {name}", lambda: _packed(part)):
                _transfer(part, source, commit, refs)
            return FetchedRepository(url=url, path=target, rung=rung)
        except UserError as error:
            reason = (error.why or error.what).strip().splitlines()
            answers.append(f"{rung}: {reason[-1].strip() if reason else error.what}")
    raise BuildError(
        f"source {name} at {commit[:12]} is unavailable",
        where=url,
        why="\n       ".join(answers) or "no mirror was given and the network is not to be used",
        next_step=f"put a bare clone into DIR/git/{mirror_place(url)} and pass --mirror DIR",
    )


def _same_name(source: str, commit: str, refs: Sequence[str]) -> None:
    """Raise where a source knows a name of a commit, and it means another one: the lock says two different releases."""
    words = [f"refs/tags/{ref}{peeled}" for ref in refs for peeled in ("", "^{}")]
    listed = _ask_remote(source, words) if words else None
    rows = [line.split("\t") for line in listed.text.splitlines()] if listed is not None and listed.code == 0 else []
    known = {name: value for value, name in (row for row in rows if len(row) == 2)}
    for ref in refs:
        # An annotated tag is an object of its own; peeled it is the commit.
        means = known.get(f"refs/tags/{ref}^{{}}") or known.get(f"refs/tags/{ref}")
        if means is not None and means != commit:
            raise BuildError(f"{ref} is {one_line(means, most=40)} there, the lock says {commit}; refused")


def _ask_remote(source: str, words: Sequence[str]) -> process.Result:
    away = "://" in source
    return run_git("ls-remote", *_from(source), *words, check=False, network=away)


def _from(source: str) -> tuple[str | Path, ...]:
    """Return the words that name where git reads from."""
    return ("--", source) if "://" in source else ("--upload-pack", _UPLOAD, "--", Path(source))


def _packed(repository: Path) -> int:
    """Return the bytes of a repository's packs, those included that git is writing."""
    return sum(file_size(path) for path in (repository / "objects" / "pack").glob("*"))


def _transfer(part: Path, source: str, commit: str, refs: Sequence[str]) -> None:
    with _git(network="://" in source) as box, box.writing(part):
        _run(box, "init", "--quiet", "--bare", "--template=", "--", part)
        words = ("fetch", "--quiet", "--no-tags", "--depth", "1")
        _run(box, "-c", "fetch.unpackLimit=1", *words, *_from(source), f"{commit}:{_BRANCH}", repository=part)
        _change_names(box, part, _named(commit, refs), {_BRANCH: commit})
    if not holds_commit(part, commit):
        raise BuildError(f"what came is not commit {commit} with all that it names; refused")


def _named(commit: str, refs: Sequence[str]) -> dict[str, str]:
    """Return the names that builds ask for; a clone sees one branch, checked out by nobody."""
    return {_BRANCH: commit} | {f"refs/tags/{ref}": commit for ref in refs}


def _name(path: Path, commit: str, refs: Sequence[str]) -> None:
    """Give the commit of a repository of the cache its names, and no others."""
    listed = run_git("for-each-ref", "--format=%(refname) %(objectname)", repository=path).text
    present = dict(line.split(" ", 1) for line in listed.splitlines())
    shutil.rmtree(path / "hooks", ignore_errors=True)
    if present != _named(commit, refs) or (path / "HEAD").read_text() != f"ref: {_BRANCH}\n":
        with _git() as box, box.writing(path):
            _change_names(box, path, _named(commit, refs), present)


def _change_names(box: Box, path: Path, wanted: Mapping[str, str], present: Mapping[str, str]) -> None:
    _run(box, "symbolic-ref", "HEAD", _BRANCH, repository=path)
    for ref in sorted(present.keys() - wanted.keys()):
        _run(box, "update-ref", "-d", "--", ref, repository=path)
    for ref, value in wanted.items():
        if present.get(ref) != value:
            _run(box, "update-ref", "--", ref, value, repository=path)


def export_repository(repository: Repository, into: Path) -> None:
    """Add a repository of the cache, and its submodules, to a mirror directory, beside what is there already."""
    modules = gitlinks(repository_path(repository.url, repository.commit), repository.commit)
    known = {module.path: module.url for module in repository.submodules}
    wanted = [(repository.url, repository.commit, repository.refs)]
    wanted += [(known[path], commit, ()) for path, commit in modules.items()]
    for url, commit, refs in wanted:
        target = into / "git" / mirror_place(url)
        if (target / "HEAD").is_file():
            _add_to_mirror(target, url, commit, refs)
        else:
            with whole_folder(target) as part:
                _add_to_mirror(part, url, commit, refs)


def _add_to_mirror(target: Path, url: str, commit: str, refs: Sequence[str]) -> None:
    branch = f"refs/heads/pinned-{commit[:16]}"
    with _git() as box, box.writing(target):
        if not (target / "HEAD").is_file():
            _run(box, "init", "--quiet", "--bare", "--template=", "--", target)
        words = ("fetch", "--quiet", "--no-tags", "--depth", "1", "--", repository_path(url, commit))
        _run(box, *words, f"{_BRANCH}:{branch}", repository=target)
        for ref in refs:
            _run(box, "update-ref", "--", f"refs/tags/{ref}", commit, repository=target)
        _run(box, "symbolic-ref", "HEAD", branch, repository=target)


def check_out(url: str, commit: str, into: Path) -> None:
    """Check a locked commit of the cache out into an empty folder, for a person."""
    there = repository_path(url, commit)
    with _git() as box, box.writing(into, skip_odd=True):
        _run(box, "clone", "--quiet", "--no-checkout", "--", there, into)
        _run(box, "-C", into, "checkout", "--quiet", "--detach", commit)
        _run(box, "-C", into, "remote", "set-url", "origin", str(there))


def commit_date(url: str, commit: str) -> str:
    """Return the day of a commit as ISO text; empty where the cache does not have it."""
    path = repository_path(url, commit)
    if not (path / "HEAD").is_file():
        return ""
    shown = run_git("show", "--no-patch", "--format=%cs", commit, "--", repository=path, check=False)
    return shown.text.strip() if shown.code == 0 else ""
