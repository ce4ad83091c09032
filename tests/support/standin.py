"""Stand-in upstreams: bare git repositories of our own miniature SDKs, with the same commit ids on every machine."""

from __future__ import annotations

import os
import subprocess
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from recipes.sources.lock import load_lock, lock_path

TREES = Path(__file__).parent.parent / "standin"
_WHO = b"Boardcast Stand-in <standin@example.invalid>"
_FIRST = 1_700_000_000
PINS = {
    "kvs-producer-cpp": "producer-cpp",
    "kvs-producer-c-1.5.1": "producer-c-1.5.1",
    "kvs-pic-1.0.1": "pic-1.0.1",
    "kvs-webrtc-c": "webrtc-c",
    "kvs-producer-c-1.5.2": "producer-c-1.5.2",
    "kvs-pic-1.1.0": "pic-1.1.0",
}
"""Names in our lock to the stand-ins' own."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Standin:
    """A mirror folder with the bare repositories, and the commit of each release in them."""

    mirror: Path
    commits: dict[str, str]


@dataclass(frozen=True, slots=True, kw_only=True)
class _Release:
    """A tag of a repository: trees laid over each other, and what their `@MARKS@` stand for."""

    tag: str
    trees: tuple[str, ...]
    marks: Mapping[str, str] = field(default_factory=dict)


def make(folder: Path) -> Standin:
    """Make the bare repositories below `folder`/git/github.com/awslabs."""
    pic = _repository(
        folder,
        "pic",
        *(
            _Release(tag=f"v{version}", trees=("every", "pic"), marks={"PIC_VERSION": version})
            for version in ("1.0.1", "1.1.0")
        ),
    )
    producer_c = _repository(
        folder,
        "producer-c",
        *(
            _Release(
                tag=f"v{version}",
                trees=("every", "thirdparty", "producers", "producer-c"),
                marks={"PRODUCER_C_VERSION": version, "PIC_TAG": pic_tag},
            )
            for version, pic_tag in (("1.5.1", "v1.0.1"), ("1.5.2", "v1.1.0"))
        ),
    )
    cpp = _repository(
        folder,
        "producer-sdk-cpp",
        _Release(
            tag="v3.4.1",
            trees=("every", "producers", "producer-cpp"),
            marks={"PRODUCER_C_COMMIT": producer_c["v1.5.1"]},
        ),
    )
    webrtc = _repository(
        folder,
        "webrtc-sdk-c",
        _Release(
            tag="v1.10.2",
            trees=("every", "thirdparty", "webrtc"),
            marks={"PRODUCER_C_COMMIT": producer_c["v1.5.2"]},
        ),
    )
    return Standin(
        mirror=folder,
        commits={
            "producer-cpp": cpp["v3.4.1"],
            "producer-c-1.5.1": producer_c["v1.5.1"],
            "pic-1.0.1": pic["v1.0.1"],
            "webrtc-c": webrtc["v1.10.2"],
            "producer-c-1.5.2": producer_c["v1.5.2"],
            "pic-1.1.0": pic["v1.1.0"],
        },
    )


def tree(release: _Release) -> dict[str, bytes]:
    """Return the files of a release by path, their marks filled in; a later tree wins."""
    files: dict[str, bytes] = {}
    for name in release.trees:
        for path in (TREES / name).rglob("*"):
            if path.is_file():
                text = path.read_text(encoding="utf-8")
                for mark, value in release.marks.items():
                    text = text.replace(f"@{mark}@", value)
                files[path.relative_to(TREES / name).as_posix()] = text.encode()
    return files


def _repository(folder: Path, name: str, *releases: _Release) -> dict[str, str]:
    """Make a bare repository with one commit and one tag for each release; return their commits by tag."""
    bare = folder / "git" / "github.com" / "awslabs" / f"amazon-kinesis-video-streams-{name}.git"
    bare.parent.mkdir(parents=True, exist_ok=True)
    _git("init", "--quiet", "--bare", "--template=", "--initial-branch=main", str(bare))
    # fast-import takes modes, dates and contents as they are written here: no checkout, no umask, no filter.
    _git("-C", str(bare), "fast-import", "--quiet", stdin=b"".join(map(_commit, releases, range(len(releases)))))
    for path in (bare, *bare.rglob("*")):
        path.chmod(0o755 if path.is_dir() else 0o644)
    return {one.tag: _git("-C", str(bare), "rev-parse", f"refs/tags/{one.tag}^{{commit}}") for one in releases}


def _commit(release: _Release, number: int) -> bytes:
    """Write one commit and its tag in the language of fast-import."""
    stamp = _WHO + f" {_FIRST + number * 86400} +0000\n".encode()
    lines = [b"commit refs/heads/main\nmark :%d\n" % (number + 1), b"author ", stamp, b"committer ", stamp]
    lines += [_data(f"Stand-in of {release.tag}\n".encode()), b"deleteall\n"]
    for path, content in sorted(tree(release).items()):
        lines += [f"M 100644 inline {path}\n".encode(), _data(content)]
    return b"".join([*lines, f"reset refs/tags/{release.tag}\nfrom :{number + 1}\n\n".encode()])


def _data(content: bytes) -> bytes:
    return b"data %d\n%b\n" % (len(content), content)


def _git(*words: str, stdin: bytes = b"") -> str:
    with tempfile.TemporaryDirectory() as empty:
        environment = {
            "PATH": os.environ["PATH"],
            "HOME": empty,
            "GIT_CONFIG_NOSYSTEM": "1",
            "GIT_CONFIG_GLOBAL": os.devnull,
        }
        done = subprocess.run(["git", *words], input=stdin, env=environment, capture_output=True, check=False)
    assert done.returncode == 0, done.stderr.decode()
    return done.stdout.decode().strip()


def lock_text(made: Standin) -> str:
    """Return our lock with the stand-ins' commits in the place of the real ones."""
    text = lock_path().read_text()
    for name, key in PINS.items():
        text = text.replace(load_lock().get(name).pinned, made.commits[key])
    return text
