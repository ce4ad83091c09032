"""The stand-in upstreams: the same each time, with the places that recipes edit and the pins that they follow."""

from __future__ import annotations

import os
import re
import subprocess
from pathlib import Path

import pytest

from tests.support import standin
from tests.support.standin import Standin

pytestmark = pytest.mark.process
UPLOADER = "samples/kvs_gstreamer_file_uploader_sample.cpp"
AUDIO_LEG = '"demuxer. ! queue ! aacparse ! audio/mpeg,stream-format=raw ! sink."'
RELEASES = {
    "producer-cpp": ("producer-sdk-cpp", "v3.4.1"),
    "producer-c-1.5.1": ("producer-c", "v1.5.1"),
    "pic-1.0.1": ("pic", "v1.0.1"),
    "webrtc-c": ("webrtc-sdk-c", "v1.10.2"),
    "producer-c-1.5.2": ("producer-c", "v1.5.2"),
    "pic-1.1.0": ("pic", "v1.1.0"),
}


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Standin:
    return standin.make(tmp_path_factory.mktemp("standin"))


def repository(made: Standin, key: str) -> Path:
    return made.mirror / "git/github.com/awslabs" / f"amazon-kinesis-video-streams-{RELEASES[key][0]}.git"


def git(*words: str | Path) -> str:
    # A repository of a fixture may belong to another user; what the machine's own settings say is not asked.
    environment = {"PATH": os.environ["PATH"], "GIT_CONFIG_NOSYSTEM": "1", "HOME": "/nonexistent"}
    return subprocess.run(
        ["git", *map(str, words)], env=environment, capture_output=True, text=True, check=True
    ).stdout.strip()


def shown(made: Standin, key: str, path: str) -> str:
    return git("-C", repository(made, key), "show", f"{made.commits[key]}:{path}")


def test_making_twice_gives_the_same_commits(made: Standin, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GIT_AUTHOR_NAME", "Somebody")
    monkeypatch.setenv("GIT_DIR", "/nonexistent")
    before = os.umask(0o077)
    try:
        other = standin.make(tmp_path)
        again = standin.make(tmp_path)
    finally:
        os.umask(before)
    assert other.commits == again.commits == made.commits
    assert made.commits.keys() == RELEASES.keys()
    modes = {path.stat().st_mode & 0o777 for path in (tmp_path / "git/github.com/awslabs").rglob("*")}
    assert modes == {0o755, 0o644}


@pytest.mark.parametrize("key", RELEASES)
def test_a_plain_clone_has_branch_tag_and_commit(made: Standin, tmp_path: Path, key: str) -> None:
    git("clone", "--quiet", repository(made, key), tmp_path / "clone")
    assert git("-C", tmp_path / "clone", "symbolic-ref", "--short", "HEAD") == "main"
    assert git("-C", tmp_path / "clone", "rev-parse", RELEASES[key][1]) == made.commits[key]
    git("-C", tmp_path / "clone", "checkout", "--quiet", made.commits[key])
    assert (tmp_path / "clone/CMakeLists.txt").is_file()
    assert git("-C", tmp_path / "clone", "status", "--porcelain") == ""


@pytest.mark.parametrize("key", RELEASES)
def test_every_file_is_plain_text_without_an_open_mark(made: Standin, key: str) -> None:
    listed = git("-C", repository(made, key), "ls-tree", "-r", made.commits[key]).split("\n")
    assert {line.split()[0] for line in listed} == {"100644"}
    for path in (line.split("\t")[1] for line in listed):
        text = shown(made, key, path)
        assert "\0" not in text
        assert "\r" not in text
        assert not re.search(r"@(PIC|PRODUCER_C)_(VERSION|TAG|COMMIT)@", text), path


def test_the_places_that_recipes_edit_are_there_as_often_as_in_the_real_release(made: Standin) -> None:
    assert shown(made, "webrtc-c", "CMake/Utilities.cmake").count("  file(REMOVE_RECURSE") == 2
    assert shown(made, "producer-cpp", UPLOADER).count(AUDIO_LEG) == 1


def test_nested_sources_are_pinned_as_in_the_real_releases(made: Standin) -> None:
    wrapper = "CMake/Dependencies/lib{}-CMakeLists.txt"
    for key, name, pin in (
        ("producer-cpp", "kvscproducer", made.commits["producer-c-1.5.1"]),
        ("webrtc-c", "kvsCommonLws", made.commits["producer-c-1.5.2"]),
        ("producer-c-1.5.1", "kvspic", "v1.0.1"),
        ("producer-c-1.5.2", "kvspic", "v1.1.0"),
    ):
        assert f"GIT_TAG {pin}\n" in shown(made, key, wrapper.format(name))
    assert "VERSION 1.5.1 " in shown(made, "producer-c-1.5.1", "CMakeLists.txt")
    assert "VERSION 1.5.2 " in shown(made, "producer-c-1.5.2", "CMakeLists.txt")
