"""A hosted runner on this machine: a repository made of the checkout as it is, programs that are hidden, caches."""

from __future__ import annotations

import os
import shlex
import subprocess
import sys
import tarfile
from collections.abc import Collection, Mapping
from pathlib import Path

from recipes import paths
from tests.support.actions import Store, git
from tests.support.runner import Machine

HIDDEN = ("apt", "apt-get", "apt-cache", "dpkg", "dpkg-deb", "dpkg-query", "dpkg-split", "mmdebstrap", "debootstrap")
"""What only a Debian has. A step finds none of it; what it does as root, `bootstrap` and the tests, may."""
_OF_THE_MACHINE = ("PIP_", "NPM_CONFIG_", "HTTP_PROXY", "HTTPS_PROXY", "NO_PROXY", "NODE_EXTRA", "GIT_SSL", "SSL_CERT")
"""How this machine reaches its registries, which is none of the workflow's business."""
_SUDO = """#!/bin/sh
# The tests are root already; of the environment as little is left as sudo leaves.
case ${{1:-}} in -*) echo "sudo: no options are known here" >&2; exit 64 ;; esac
exec env -i {kept} RUNNER_TRACKING_ID="$RUNNER_TRACKING_ID" SUDO_UID=0 "$@"
"""
_GH = """#!/bin/sh
# Nothing is released here: what it was given is kept.
set -eu
test -n "$GH_TOKEN"
mkdir -p {folder}
printf '%s\\n' "$@" > {folder}/arguments
for word; do if [ -f "$word" ]; then cp "$word" {folder}/; fi; done
"""


def repository(folder: Path, more: Mapping[str, bytes] | None = None) -> tuple[Path, str]:
    """Make a bare repository of one commit: the checkout as it is, edits and new files too, and what is given here."""
    bare, index = folder / "source.git", str(folder / "index")
    git("init", "--quiet", "--bare", "--initial-branch=main", str(bare))
    git("config", "--file", str(bare / "config"), "uploadpack.allowAnySHA1InWant", "true")
    where = {"GIT_DIR": str(bare), "GIT_INDEX_FILE": index, "GIT_CONFIG_GLOBAL": os.devnull, "GIT_CONFIG_NOSYSTEM": "1"}
    who = {f"GIT_{role}_{key}": text for role in ("AUTHOR", "COMMITTER") for key, text in _WHO.items()}

    def run(*words: str, stdin: bytes = b"") -> str:
        # Of the parent's environment nothing: a hook of git's own sets GIT_DIR and more.
        environment = {"PATH": os.environ["PATH"], "HOME": str(folder)} | where | who
        done = subprocess.run(
            ["git", *words], cwd=paths.CHECKOUT, env=environment, input=stdin, capture_output=True, check=False
        )
        assert done.returncode == 0, done.stderr.decode()
        return done.stdout.decode().strip()

    run("--work-tree", str(paths.CHECKOUT), "add", "--all")
    for name, content in (more or {}).items():
        blob = run("hash-object", "-w", "--stdin", stdin=content)
        run("update-index", "--add", "--cacheinfo", f"100644,{blob},{name}")
    commit = run("commit-tree", run("write-tree"), "-m", "the checkout as it is")
    run("update-ref", "refs/heads/main", commit)
    return bare, commit


_WHO = {"NAME": "Boardcast", "EMAIL": "boardcast@example.invalid", "DATE": "1700000000 +0000"}


def machine(folder: Path, environment: Mapping[str, str], *, hidden: Collection[str] = HIDDEN, venv: bool) -> Machine:
    """Make the programs of a runner's machine: those of this one but for the hidden, and sudo and gh of our own.

    Parameters
    ----------
    venv:
        Begin with this Python's own environment where `bootstrap` made it of the same lock.
    """
    own = Path(sys.prefix).resolve()
    places = [Path(part) for part in os.environ["PATH"].split(os.pathsep) if Path(part).resolve() != own / "bin"]
    programs = folder / "programs"
    programs.mkdir(parents=True)
    for place in places:
        for program in sorted(place.glob("*")) if place.is_dir() else ():
            target = programs / program.name
            if program.name not in (*hidden, "sudo", "gh") and not os.path.lexists(target):
                target.symlink_to(program)
    kept = {key: value for key, value in os.environ.items() if key.upper().startswith(_OF_THE_MACHINE)}
    kept |= {"LANG": "C.UTF-8"}
    rooted = {**kept, "PATH": os.pathsep.join(map(str, places)), "HOME": str(folder / "root")}
    rooted |= {key: value for key, value in environment.items() if key.startswith("PYTEST_")}
    (folder / "root").mkdir()
    words = " ".join(f"{key}={shlex.quote(value)}" for key, value in rooted.items())
    for name, text in (
        ("sudo", _SUDO.format(kept=words)),
        ("gh", _GH.format(folder=shlex.quote(str(folder / "released")))),
    ):
        (programs / name).write_text(text)
        (programs / name).chmod(0o755)
    begin = own if venv and is_ours(own) else None
    return Machine(path=str(programs), environment=kept | dict(environment), rooted=rooted, venv=begin)


def is_ours(venv: Path) -> bool:
    """Tell whether `bootstrap` would leave an environment as it is."""
    with (paths.CHECKOUT / ".requirements.lock").open("rb") as lock:
        stamp = subprocess.run(["cksum"], stdin=lock, capture_output=True, text=True, check=True).stdout
    file = venv / ".stamp"
    return file.is_file() and file.read_text().strip() == stamp.strip()


def saved_before(store: Store, path: str, key: str, parts: Collection[Path]) -> None:
    """Put a cache of an earlier run there, with these parts of this machine's own cache."""
    import hashlib

    target = store.folder / "caches" / hashlib.sha256(path.encode()).hexdigest()[:16] / f"{key}.tar"
    target.parent.mkdir(parents=True, exist_ok=True)
    with tarfile.open(target, "w") as archive:
        for part in parts:
            archive.add(part, f".boardcast/cache/{part.relative_to(paths.cache())}")
    store.saved.append(key)
