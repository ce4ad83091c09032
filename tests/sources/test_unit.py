"""A release's own files say what it nests, and the lock says the same."""

from __future__ import annotations

import tomllib
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from recipes.errors import BuildError
from recipes.sources.fetch import fetch_pins
from recipes.sources.lock import Lock, Repository
from recipes.sources.unit import Asked, clones_of, refuse_mixed_unit
from tests.support.repos import upstream

TOP, NESTED = "https://example.com/sdk/top.git", "https://example.com/sdk/common.git"
FILE = "CMake/Dependencies/libcommon-CMakeLists.txt"
CMAKE = """ExternalProject_Add(libcommon-download
  GIT_REPOSITORY {url}
  # GIT_TAG master
  GIT_TAG        {tag}
  GIT_SHALLOW TRUE)
"""


def unit(tmp_path: Path, text: str, *, refs: tuple[str, ...] = ("v1.5.2",), version: str = "1.5.2") -> list[Repository]:
    """Return a release with one CMake file and what it nests, both fetched."""
    mirror = tmp_path / "mirror"
    common = upstream(tmp_path / "upstreams", mirror, NESTED, {"a.c": "x"}, tag="v1.5.2")
    files = {FILE: text.replace("COMMIT", common).replace("SHORT", common[:9]), "README": "GIT_TAG of nobody"}
    top = upstream(tmp_path / "upstreams", mirror, TOP, files, tag="v1.10.2")
    pins = [
        Repository(name="top", version="1.10.2", url=TOP, commit=top, unit="u", refs=("v1.10.2",)),
        Repository(name="common", version=version, url=NESTED, commit=common, unit="u", refs=refs),
    ]
    fetch_pins(pins, [mirror], offline=True)
    return pins


@pytest.mark.process
@pytest.mark.usefixtures("cache")
@pytest.mark.parametrize(
    ("url", "tag"),
    [
        (NESTED, "v1.5.2"),
        (NESTED.removesuffix(".git"), "COMMIT"),
        (NESTED, "SHORT"),
        (NESTED, '"refs/tags/v1.5.2"'),
        ("git@example.com:sdk/common.git", "v1.5.2"),
        ("https://example.com/sdk/another.git", "v9"),
        (NESTED, "${COMMON_VERSION}"),
    ],
)
def test_what_is_locked_is_what_is_asked_for(tmp_path: Path, url: str, tag: str) -> None:
    refuse_mixed_unit(unit(tmp_path, CMAKE.format(url=url, tag=tag)))


@pytest.mark.process
@pytest.mark.usefixtures("cache")
@pytest.mark.parametrize("tag", ["v1.5.3", "0" * 40, "develop", "abcdef0"])
def test_another_release_than_the_sdk_asks_for_is_refused(tmp_path: Path, tag: str) -> None:
    """WebRTC 1.11.0 asked for 1.5.3 and compiled on 1.5.2."""
    with pytest.raises(BuildError, match=rf"top 1\.10\.2 asks for {tag} of common, the lock has v1\.5\.2") as caught:
        refuse_mixed_unit(unit(tmp_path, CMAKE.format(url=NESTED, tag=tag)))
    assert caught.value.where == f"{FILE} of top"


def test_a_variable_that_its_own_file_sets_is_filled_in() -> None:
    text = 'set(V "v1.5.3" CACHE STRING "")\nset(W a)\nset(W b)\n' + CMAKE.format(url=NESTED, tag="${V}")
    assert list(clones_of(FILE, text)) == [Asked(file=FILE, url=NESTED, ref="v1.5.3")]
    assert not list(clones_of(FILE, text.replace("${V}", "${W}")))


def test_the_tag_may_stand_before_the_repository() -> None:
    text = f"FetchContent_Declare(x GIT_TAG v2 GIT_REPOSITORY {NESTED})\nFetchContent_Declare(y URL z)"
    assert list(clones_of(FILE, text)) == [Asked(file=FILE, url=NESTED, ref="v2")]


@given(st.text(max_size=400))
@settings(max_examples=200, deadline=None)
def test_any_text_is_read(text: str) -> None:
    list(clones_of(FILE, f"ExternalProject_Add({text} GIT_TAG {text}"))


@pytest.mark.process
@pytest.mark.usefixtures("cache")
def test_a_tag_that_is_another_commit_upstream_is_refused(tmp_path: Path) -> None:
    """An entry called v1.3.1 at the commit of 1.2.0: the mirror knows, also where the cache has the commit."""
    pins = unit(tmp_path, CMAKE.format(url=NESTED, tag="v1.5.2"))
    upstream(tmp_path / "upstreams", tmp_path / "mirror", NESTED, {"a.c": "y"}, tag="v1.5.3")
    wrong = pins[1].model_copy(update={"version": "1.5.3", "refs": ("v1.5.3",)})
    with pytest.raises(BuildError, match=r"v1\.5\.3 is [0-9a-f]{40} there, the lock says"):
        fetch_pins([wrong], [tmp_path / "mirror"], offline=True)


LOCK = """schema = 1
[[repository]]
name = "a"
version = "{version}"
unit = "u"
url = "https://example.com/a.git"
commit = "{commit}"
refs = ["{ref}"]
"""


@pytest.mark.parametrize(
    ("version", "ref", "fits"),
    [
        ("1.5.2", "v1.5.2", True),
        ("2.0.1", "REL_2_0_1", True),
        ("7.68.0", "curl-7_68_0", True),
        ("1.1.1t", "OpenSSL_1_1_1t", True),
        ("1.5.3", "v1.5.2", False),
        ("1.5", "v1.6.2", False),
    ],
)
def test_a_version_is_what_its_tag_says(version: str, ref: str, *, fits: bool) -> None:
    data = tomllib.loads(LOCK.format(version=version, ref=ref, commit="a" * 40))
    if fits:
        Lock.model_validate(data)
    else:
        with pytest.raises(ValidationError, match="one of them is wrong"):
            Lock.model_validate(data)


def test_one_commit_has_one_version() -> None:
    first = LOCK.format(version="1.2.0", ref="v1.2.0", commit="a" * 40)
    second = LOCK.format(version="1.3.1", ref="v1.3.1", commit="a" * 40).replace("schema = 1\n", "")
    second = second.replace('name = "a"', 'name = "b"').replace('unit = "u"', 'unit = "v"')
    with pytest.raises(ValidationError, match=r"a 1\.2\.0 and b 1\.3\.1 are one commit"):
        Lock.model_validate(tomllib.loads(first + second))
