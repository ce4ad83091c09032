"""The distribution's patches: read by rules of our own, applied without fuzz, told with what each fixes."""

from __future__ import annotations

import dataclasses
import hashlib
import io
import os
import subprocess
import tarfile
from collections.abc import Mapping
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from recipes.arch import ARCHES
from recipes.builder.commands import recipe_commands
from recipes.errors import BuildError
from recipes.sources import patches
from recipes.sources.fetch import archive_path, export_mirror, fetch_pins, missing_from_cache
from recipes.sources.lock import Archive, load_lock
from recipes.sources.patches import patch_facts, read_patches, without_effect, write_patches
from recipes.sources.recipe import load_catalogue
from tests.support.debiansource import ONE, debian_tar, patch_of

TWO = patch_of("src/two.c", "b", "B", described="Origin: upstream\nThis is CVE-2026-1111 and CVE-2026-22222.\n")
NEW = "--- /dev/null\n+++ b/src/new.c\n@@ -0,0 +1 @@\n+new\n"
GONE = "--- a/src/old.c\n+++ /dev/null\n@@ -1 +0,0 @@\n-old\n"


def archive(data: bytes = b"", *, without: tuple[str, ...] = (), sources: bytes = b"") -> Archive:
    return Archive.model_validate(
        {
            "name": "demo",
            "version": "1.0",
            "file": "demo_1.0.orig.tar.gz",
            "sha256": hashlib.sha256(sources).hexdigest(),
            "url": "http://127.0.0.1:9/none",
            "distribution": {"package": "libdemo", "suite": "trixie"},
            "revision": "1:1.0-2+deb13u1",
            "patches": hashlib.sha256(data).hexdigest(),
            "without": [{"patch": name, "because": "of no use here"} for name in without],
        }
    )


def read(
    tmp_path: Path, files: Mapping[str, str | bytes], series: str | None = None, *, without: tuple[str, ...] = ()
) -> tuple[patches.ReadPatch, ...]:
    path = tmp_path / "libdemo.debian.tar.xz"
    path.write_bytes(debian_tar(files, series))
    return read_patches(archive(without=without), path)


def test_patches_are_read_in_the_order_of_their_series_with_what_they_fix(tmp_path: Path) -> None:
    series = "# Fixes.\ntwo.patch -p1\n\nCVE-2025-333333.patch # the last\n"
    two, one = read(tmp_path, {"CVE-2025-333333.patch": ONE, "two.patch": TWO, "never.patch": "no patch"}, series)
    assert (two.facts.name, two.facts.cves) == ("two.patch", ("CVE-2026-1111", "CVE-2026-22222"))
    assert (one.facts.name, one.facts.cves) == ("CVE-2025-333333.patch", ("CVE-2025-333333",))
    assert two.facts.sha256 == hashlib.sha256(TWO.encode()).hexdigest()
    assert (two.files, one.files) == (("src/two.c",), ("src/one.c",))


def test_what_a_patch_removes_says_nothing_of_what_it_fixes(tmp_path: Path) -> None:
    (found,) = read(tmp_path, {"one.patch": patch_of("src/one.c", "CVE-2020-12345", "CVE-2020-54321")})
    assert found.facts.cves == ()


def test_a_patch_that_is_left_out_is_told_with_its_reason_and_not_applied(tmp_path: Path) -> None:
    found = read(tmp_path, {"one.patch": ONE, "two.patch": "what we cannot read"}, without=("two.patch",))
    facts = patch_facts(archive(without=("two.patch",)), found)
    assert facts is not None
    assert [patch.name for patch in facts.patches] == ["one.patch"]
    assert [(left.patch, left.because) for left in facts.without] == [("two.patch", "of no use here")]
    assert facts.archive == "libdemo_1.0-2+deb13u1.debian.tar.xz"


HEAD = "--- a/src/one.c\n+++ b/src/one.c\n"
HOSTILE = {
    "out of the sources": "--- a/../one.c\n+++ b/../one.c\n@@ -1 +1 @@\n-a\n+b\n",
    "absolute": "--- /etc/passwd\n+++ /etc/passwd\n@@ -1 +1 @@\n-a\n+b\n",
    "absolute below its first folder": "--- a//etc/passwd\n+++ b//etc/passwd\n@@ -1 +1 @@\n-a\n+b\n",
    "no folder": "--- one.c\n+++ one.c\n@@ -1 +1 @@\n-a\n+b\n",
    "git's own": "--- a/.git/config\n+++ b/.git/config\n@@ -1 +1 @@\n-a\n+b\n",
    "a quoted name": '--- "a/src/\\157ne.c"\n+++ "b/src/\\157ne.c"\n@@ -1 +1 @@\n-a\n+b\n',
    "a name with a blank": "--- a/src/one c\n+++ b/src/one c\n@@ -1 +1 @@\n-a\n+b\n",
    "an option": "--- a/-one.c\n+++ b/-one.c\n@@ -1 +1 @@\n-a\n+b\n",
    "two names": "--- a/src/one.c\n+++ b/src/two.c\n@@ -1 +1 @@\n-a\n+b\n",
    "a link": f"diff --git a/l b/l\nnew file mode 120000\n{NEW}",
    "a submodule": f"diff --git a/l b/l\nnew file mode 160000\n{NEW}",
    "a rename": f"diff --git a/x b/y\nrename from x\nrename to y\n{ONE}",
    "a copy": f"diff --git a/x b/y\ncopy from x\ncopy to y\n{ONE}",
    "a binary": "diff --git a/x b/x\nindex 1..2\nGIT binary patch\nliteral 3\n",
    "binary files": "diff --git a/x b/x\nBinary files a/x and b/x differ\n",
    "a copy to elsewhere": "diff --git a/x b/../y\ncopy from x\ncopy to ../y\n",
    "a copy of elsewhere": "diff --git a/x b/y\ncopy from ../x\ncopy to y\n",
    "half a copy": "diff --git a/x b/y\ncopy to y\n",
    "a copy of a file to itself": "diff --git a/x b/x\ncopy from x\ncopy to x\n",
    "a mode that gives rights": "diff --git a/x b/x\nold mode 100644\nnew mode 104755\n",
    "two names without a word": "diff --git a/x b/y\n--- a/x\n+++ b/y\n@@ -1 +1 @@\n-a\n+b\n",
    "a header that says another": f"diff --git a/x b/x\n{NEW}",
    "a header alone": "diff --git a/x b/x\nindex 1..2 100644\n",
    "a header of nothing": "diff --git /dev/null /dev/null\nold mode 100644\nnew mode 100755\n",
    "a quoted header": 'diff --git "a/\\157" "b/\\157"\nold mode 100644\nnew mode 100755\n',
    "an ed script": "0a\nr !sh -c id\n.\nw\n",
    "a context diff": "*** a/src/one.c\n--- b/src/one.c\n***************\n*** 1 ****\n! a\n--- 1 ----\n! b\n",
    "nothing": "",
    "a description alone": "Description: nothing\n",
    "no hunk": HEAD,
    "a hunk that is cut": f"{HEAD}@@ -1,3 +1,3 @@\n a\n-b\n",
    "a hunk that is longer than it says": f"{HEAD}@@ -1 +1 @@\n-a\n-b\n+c\n",
    "numbers without end": f"{HEAD}@@ -{'9' * 400} +1 @@\n-a\n+b\n",
}


@pytest.mark.hostile(kind="build")
@pytest.mark.parametrize("kind", HOSTILE)
def test_a_patch_that_asks_for_more_than_a_change_of_text_is_refused(tmp_path: Path, kind: str) -> None:
    with pytest.raises(BuildError, match="are refused") as caught:
        read(tmp_path, {"one.patch": HOSTILE[kind]})
    assert caught.value.where == "one.patch"
    assert "without" in caught.value.next_step


def test_a_longer_hunk_does_not_hide_a_name(tmp_path: Path) -> None:
    """A removed line `-- x` reads as a header, `--- x`: which of the two it is, the hunk's own numbers say."""
    text = f"{HEAD}@@ -1,2 +1,2 @@\n--- a/../../etc/passwd\n-old\n+++ b/../../etc/passwd\n+new\n"
    (found,) = read(tmp_path, {"one.patch": text})
    assert found.files == ("src/one.c",)


@pytest.mark.hostile(kind="build")
@pytest.mark.parametrize(
    ("series", "why"),
    [
        ("../../etc/passwd\n", "not understood"),
        ("/etc/passwd\n", "not understood"),
        ("one.patch -p0\n", "not understood"),
        ("one.patch -R\n", "not understood"),
        ("one.patch\none.patch\n", "not understood"),
        ("one.patch\nother.patch\n", "has no such file"),
        ("\x1b[2J.patch\n", "has no such file|not understood"),
    ],
)
def test_a_series_that_is_not_understood_is_refused(tmp_path: Path, series: str, why: str) -> None:
    with pytest.raises(BuildError, match="are refused") as caught:
        read(tmp_path, {"one.patch": ONE}, series)
    assert any(part in caught.value.why for part in why.split("|"))
    assert "\x1b" not in str(caught.value)


@pytest.mark.hostile(kind="build")
def test_a_link_in_the_place_of_a_patch_is_none(tmp_path: Path) -> None:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w:xz") as made:
        link = tarfile.TarInfo("debian/patches/one.patch")
        link.type, link.linkname = tarfile.SYMTYPE, "/etc/passwd"
        made.addfile(link)
        series = tarfile.TarInfo("debian/patches/series")
        series.size = 10
        made.addfile(series, io.BytesIO(b"one.patch\n"))
    path = tmp_path / "a.debian.tar.xz"
    path.write_bytes(buffer.getvalue())
    with pytest.raises(BuildError) as caught:
        read_patches(archive(), path)
    assert "has no such file" in caught.value.why


@pytest.mark.hostile(kind="build")
def test_more_than_a_package_has_is_refused_before_it_is_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(patches, "_LARGEST", 1000)
    with pytest.raises(BuildError) as caught:
        read(tmp_path, {"one.patch": ONE, "large.patch": b"x" * 1001})
    assert "more than 1,000 bytes" in caught.value.why
    monkeypatch.setattr(patches, "_MOST", 1)
    with pytest.raises(BuildError) as caught:
        read(tmp_path, {"one.patch": ONE, "two.patch": TWO})
    assert "more than 1 patches" in caught.value.why


def test_a_name_that_is_left_out_and_not_there_is_a_fault(tmp_path: Path) -> None:
    with pytest.raises(BuildError) as caught:
        read(tmp_path, {"one.patch": ONE}, without=("gone.patch",))
    assert caught.value.where == "gone.patch"


@given(st.binary(max_size=400), st.sampled_from(["", HEAD, f"{HEAD}@@ -1 +1 @@\n"]))
def test_whatever_a_patch_is_it_is_read_or_refused(data: bytes, before: str) -> None:
    try:
        _, changes = patches._changes([line + b"\n" for line in (before.encode() + data).split(b"\n")])
    except ValueError:
        return
    assert changes
    assert all("/../" not in f"/{change.before}/{change.after}/" for change in changes)


def test_a_change_of_what_configure_is_made_from_is_told(tmp_path: Path) -> None:
    tests = patch_of("tests/data/Makefile.am", "a", "b")
    real = patch_of("configure.ac", "a", "b")
    found = read(tmp_path, {"one.patch": ONE, "tests.patch": tests, "real.patch": real})
    assert without_effect(found) == "real.patch"
    assert without_effect(found[:2]) == ""


def apply(tmp_path: Path, found: tuple[patches.ReadPatch, ...]) -> subprocess.CompletedProcess[bytes]:
    """Run what a build runs, in a folder of this machine."""
    folder = tmp_path / "patches"
    write_patches(found, folder)
    made = recipe_commands(load_catalogue()["curl"], ARCHES["armv7"], jobs=1, verbose=False, patched=True)
    names = [step.name for step in made]
    assert names.index("unpack") < names.index("patch") < names.index("configure")
    argv = [str(folder) if word == "/bc/work/patches" else word for word in made[names.index("patch")].argv]
    return subprocess.run(argv, cwd=tmp_path / "sources", capture_output=True, check=False)


@pytest.fixture
def sources(tmp_path: Path) -> Path:
    folder = tmp_path / "sources"
    (folder / "src").mkdir(parents=True)
    for name, text in {"one": "x\na\ny\n", "two": "x\nb\ny\n", "old": "old\n"}.items():
        (folder / "src" / f"{name}.c").write_text(text)
        os.utime(folder / "src" / f"{name}.c", (1_000_000_000, 1_000_000_000))
    return folder / "src"


@pytest.mark.process
def test_patches_are_applied_in_order_and_no_file_is_newer_for_it(tmp_path: Path, sources: Path) -> None:
    again = patch_of("src/one.c", "A", "AA")
    done = apply(tmp_path, read(tmp_path, {"z.patch": ONE, "a.patch": again, "n.patch": NEW, "g.patch": GONE}))
    assert done.returncode == 0, done.stderr
    assert (sources / "one.c").read_text() == "x\nAA\ny\n"
    assert (sources / "new.c").read_text() == "new\n"
    assert not (sources / "old.c").exists()
    assert (sources / "one.c").stat().st_mtime == 1_000_000_000
    assert sorted(path.name for path in sources.iterdir()) == ["new.c", "one.c", "two.c"]


@pytest.mark.process
def test_copies_renames_and_modes_are_what_git_means_by_them(tmp_path: Path, sources: Path) -> None:
    """Debian's curl copies tests in its security patches: without these none of them would fit."""
    copied = "diff --git a/src/one.c b/src/more.c\nsimilarity index 60%\ncopy from src/one.c\ncopy to src/more.c\n"
    copied += "index 1..2 100644\n--- a/src/one.c\n+++ b/src/more.c\n@@ -1,3 +1,3 @@\n x\n-a\n+more\n y\n"
    whole = "diff --git a/src/two.c b/src/twin.c\nsimilarity index 100%\ncopy from src/two.c\ncopy to src/twin.c\n"
    moved = "diff --git a/src/old.c b/src/gone.c\nsimilarity index 100%\nrename from src/old.c\nrename to src/gone.c\n"
    mode = f"diff --git a/src/new.c b/src/new.c\nnew file mode 100755\nindex 0..1\n{NEW}"
    (found,) = read(tmp_path, {"all.patch": f"Copies.\n{copied}{whole}{moved}{mode}-- \n2.39\n"})
    assert found.files == tuple(f"src/{name}.c" for name in ("one", "more", "two", "twin", "old", "gone", "new"))
    done = apply(tmp_path, (found,))
    assert done.returncode == 0, done.stdout + done.stderr
    there = {path.name: path.read_text() for path in sources.iterdir()}
    assert there == {
        "one.c": "x\na\ny\n",
        "more.c": "x\nmore\ny\n",
        "two.c": "x\nb\ny\n",
        "twin.c": "x\nb\ny\n",
        "gone.c": "old\n",
        "new.c": "new\n",
    }
    assert (sources / "new.c").stat().st_mode & 0o111


@pytest.mark.process
@pytest.mark.parametrize("there", ["x\na\nz\n", "x\nA\ny\n", "other\n"], ids=["fuzz", "applied already", "another"])
def test_a_patch_that_does_not_fit_exactly_stops_the_build(tmp_path: Path, sources: Path, there: str) -> None:
    (sources / "one.c").write_text(there)
    done = apply(tmp_path, read(tmp_path, {"one.patch": ONE, "two.patch": TWO}))
    assert done.returncode != 0
    assert b"one.patch does not fit this release" in done.stderr
    assert (sources / "two.c").read_text() == "x\nb\ny\n", "nothing after it is applied"


def test_they_are_fetched_checked_and_exported_like_their_archive(cache: Path, tmp_path: Path) -> None:
    data, orig = debian_tar({"one.patch": ONE}), b"the sources"
    pin = archive(data, sources=orig)
    folder = tmp_path / "mirror" / "archives"
    folder.mkdir(parents=True)
    (folder / pin.file).write_bytes(orig)
    with pytest.raises(BuildError, match=r"patches of demo 1:1\.0-2"):
        fetch_pins([pin], [tmp_path / "mirror"], offline=True)
    (folder / "libdemo_1.0-2+deb13u1.debian.tar.xz").write_bytes(data)
    assert len(fetch_pins([pin], [tmp_path / "mirror"], offline=True)) == 2
    assert missing_from_cache(pin) == ""
    export_mirror([pin], tmp_path / "out")
    assert sorted(path.name for path in (tmp_path / "out" / "archives").iterdir()) == [
        "demo_1.0.orig.tar.gz",
        "libdemo_1.0-2+deb13u1.debian.tar.xz",
    ]
    assert pin.patch_archive is not None
    archive_path(pin.patch_archive).write_bytes(b"other")
    assert missing_from_cache(pin) == "its patches: the cache has other bytes"


@pytest.mark.parametrize(
    ("version", "revision", "fits"),
    [
        ("1.0", "1:1.0-2", True),
        ("1.0", "1.0+dfsg-2", True),
        ("1.0", "1.0.1-2", False),
        ("1.0.1", "1.0-2", False),
        ("1.0", "1.0a-2", False),
        ("1.0", "2-1.0", False),
    ],
)
def test_a_revision_is_one_of_the_release(version: str, revision: str, fits: bool) -> None:
    """Else a release that is moved alone would be built with the patches of the one before it."""
    fields = archive().model_dump(by_alias=True) | {"version": version, "revision": revision}
    if fits:
        assert Archive.model_validate(fields).revision == revision
        return
    with pytest.raises(ValidationError, match="is not one of version"):
        Archive.model_validate(fields)


@pytest.mark.parametrize("gone", ["revision", "distribution", "patches"])
def test_a_lock_says_all_of_a_patched_source_or_nothing(gone: str) -> None:
    fields = archive(without=("one.patch",)).model_dump(by_alias=True)
    with pytest.raises(ValidationError, match="go together"):
        Archive.model_validate({name: value for name, value in fields.items() if name != gone})
    bare = {name: value for name, value in fields.items() if name not in ("revision", "patches")}
    with pytest.raises(ValidationError, match="of no meaning"):
        Archive.model_validate(bare)


def test_every_library_that_is_built_of_itself_has_the_distributions_patches() -> None:
    pins = load_lock()
    built = {recipe.source for recipe in load_catalogue().values() if not recipe.source.startswith("path:")}
    archives = [pin for name in sorted(built) if isinstance(pin := pins.get(name), Archive) and not pin.on_request]
    assert {pin.name for pin in archives} == {
        *("curl", "libsrtp2", "libwebsockets", "log4cplus", "openssl", "usrsctp"),
    }
    for pin in archives:
        assert pin.patch_archive is not None, pin.name
        # A revision is of the release that it is a revision of.
        assert pin.revision.rpartition("-")[0] == pin.version


def test_a_build_is_another_where_its_patches_are() -> None:
    """What is applied decides, not the reasons in the lock for what is not."""
    from recipes.builder.plan import _source_digest

    recipe, pins = load_catalogue()["curl"], load_lock()
    pin = pins.get("curl")
    assert isinstance(pin, Archive)

    def digest(**changes: object) -> str:
        moved = pin.model_copy(update=changes)
        others = tuple(other for other in pins.archive if other.name != "curl")
        return _source_digest(recipe, pins.model_copy(update={"archive": (*others, moved)}))

    assert digest(patches="0" * 64) != digest() != digest(without=pin.without[1:])
    assert digest(without=tuple(left.model_copy(update={"because": "x"}) for left in pin.without)) == digest()
    assert dataclasses.is_dataclass(pin.patch_archive)
