"""Tiny git upstreams made at test time, the same commits on every machine."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Mapping
from pathlib import Path

_WHO = {
    "GIT_AUTHOR_NAME": "A",
    "GIT_AUTHOR_EMAIL": "a@example.com",
    "GIT_AUTHOR_DATE": "2024-05-01T12:00:00Z",
    "GIT_COMMITTER_NAME": "A",
    "GIT_COMMITTER_EMAIL": "a@example.com",
    "GIT_COMMITTER_DATE": "2024-05-01T12:00:00Z",
    "GIT_CONFIG_NOSYSTEM": "1",
    "GIT_CONFIG_GLOBAL": os.devnull,
}


def git(folder: Path, *words: str) -> str:
    done = subprocess.run(
        ["git", "-C", str(folder), *words],
        check=True,
        capture_output=True,
        text=True,
        env={"PATH": os.environ["PATH"], **_WHO},
    )
    return done.stdout.strip()


def upstream(
    work: Path,
    mirror: Path,
    url: str,
    files: Mapping[str, str],
    *,
    tag: str = "",
    nested: Mapping[str, str] | None = None,
) -> str:
    """Commit the files and put a bare clone into a mirror directory; `nested` is path to commit. Returns the commit."""
    source = work / url.rpartition("/")[2].removesuffix(".git")
    source.mkdir(parents=True, exist_ok=True)
    if not (source / ".git").exists():
        git(source, "init", "--quiet", "--initial-branch=main")
    for name, text in files.items():
        (source / name).parent.mkdir(parents=True, exist_ok=True)
        (source / name).write_text(text)
    git(source, "add", "--all")
    for path, commit in (nested or {}).items():
        git(source, "update-index", "--add", "--cacheinfo", f"160000,{commit},{path}")
    git(source, "commit", "--quiet", "--allow-empty", "-m", "state")
    if tag:
        git(source, "tag", "--force", tag)
    target = mirror / "git" / url.removeprefix("https://")
    target.parent.mkdir(parents=True, exist_ok=True)
    if target.exists():
        git(target, "fetch", "--quiet", "--force", "--tags", str(source), "main:main")
    else:
        git(work, "clone", "--quiet", "--bare", str(source), str(target))
    return git(source, "rev-parse", "HEAD")
