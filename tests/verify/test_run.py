"""What pytest writes of checks is read back as a verdict, by a real run of pytest."""

from __future__ import annotations

import subprocess
import sys
import unicodedata
from pathlib import Path

import pytest

from deploy.verify.run import make_fit, read_checks
from deploy.verify.verdict import Check, Verdict, require_green
from recipes.errors import VerifyError

CHECKS = """
import pytest

def test_it_answers(record_property):
    record_property("other", "1")
    record_property("evidence", "armv7l, glibc 2.36 & more")

def test_nothing_is_said():
    pass

def test_it_fails(record_property):
    record_property("evidence", "seen before it failed")
    assert not ["x"], "libx.so.1 not found; liby.so.1 not found"

def test_it_raises():
    raise OSError("the board went away\\nsecond line")

def test_without_a_message():
    raise AssertionError

@pytest.fixture
def broken():
    raise RuntimeError("no such host")

def test_of_a_broken_fixture(broken):
    pass

@pytest.mark.parametrize("level", ["a_b"])
def test_many_of(level):
    pytest.skip("no camera here")
"""


@pytest.fixture(scope="module")
def checks(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Check]:
    folder = tmp_path_factory.mktemp("checks")
    (folder / "test_checks.py").write_text(CHECKS)
    own = ["--rootdir", str(folder), "-p", "no:cacheprovider", "-c", "/dev/null", "-o", "junit_family=xunit1"]
    argv = [sys.executable, "-m", "pytest", "-q", *own, "--junitxml=checks.xml", "test_checks.py"]
    done = subprocess.run(argv, cwd=folder, capture_output=True, text=True, check=False)
    assert done.returncode == 1, done.stdout + done.stderr
    read = read_checks(folder / "checks.xml")
    names = {check.name: check for check in read}
    assert len(names) == len(read)
    return names


pytestmark = pytest.mark.process


@pytest.mark.parametrize(
    ("name", "state", "evidence"),
    [
        ("it answers", "passed", "armv7l, glibc 2.36 & more"),
        ("nothing is said", "passed", ""),
        ("it fails", "failed", "libx.so.1 not found; liby.so.1 not found"),
        ("it raises", "failed", "OSError: the board went away"),
        ("without a message", "failed", "AssertionError"),
        ("of a broken fixture", "failed", 'failed on setup with "RuntimeError: no such host"'),
        ("many of: a_b", "skipped", "no camera here"),
    ],
)
def test_each_state_with_its_evidence(checks: dict[str, Check], name: str, state: str, evidence: str) -> None:
    assert (checks[name].state, checks[name].evidence) == (state, evidence)
    assert 0 <= checks[name].seconds < 60


def test_red_checks_are_named_with_what_they_saw(checks: dict[str, Check], tmp_path: Path) -> None:
    verdict = Verdict(host="cam", release="id", checks=tuple(checks.values()), junit=tmp_path / "checks.xml")
    assert not verdict.green
    with pytest.raises(VerifyError, match="4 of 7 checks are red") as caught:
        require_green(verdict)
    assert "it fails: libx.so.1 not found" in caught.value.why


PROBE = "boardprobe answers without an error"
LOADER = "every library comes from its named provider"


@pytest.mark.parametrize(
    ("loader", "probe", "again"),
    [
        (
            "libcurl.so.4 not found (bin/boardprobe, lib/libcproducer.so and 7 more)",
            "exit 127: bin/x: error while loading shared libraries: libcurl.so.4: cannot open shared object file: No",
            "libcurl.so.4",
        ),
        (
            "libc.musl-armv7.so not found (bin/boardprobe)",
            "exit 127: Error loading shared library libc.musl-armv7.so: No such file or directory (needed by x)",
            "libc.musl-armv7.so",
        ),
        (
            "bin/x: /lib/libc.so.6: version `GLIBC_2.38' not found (required by bin/x) (bin/boardprobe)",
            "exit 1: bin/x: /lib/libc.so.6: version `GLIBC_2.38' not found (required by bin/x)",
            "GLIBC_2.38",
        ),
    ],
)
def test_what_a_missing_library_stops_is_told_once_and_fits(
    loader: str, probe: str, again: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    red = {PROBE: probe, LOADER: loader}
    checks = tuple(Check(name=name, state="failed", evidence=seen, seconds=0) for name, seen in red.items())
    with pytest.raises(VerifyError) as caught:
        require_green(Verdict(host="cam01", release="x", checks=checks, junit=Path("cam01.xml")))
    assert caught.value.why.splitlines() == [
        f"{LOADER}: {loader} (docs/troubleshooting.md#other-libraries)",
        f"       {PROBE}: for want of {again} (docs/troubleshooting.md#boardprobe)",
    ]
    for columns in (80, 100, 160):
        monkeypatch.setenv("COLUMNS", str(columns))
        lines = caught.value.for_people().splitlines()
        assert max(map(len, lines)) <= min(columns, 100)
        assert any("invoke sysroot.pull --host cam01" in line for line in lines), "a command is on one line"
        told = f"error: {caught.value.what} where: cam01.xml why: {caught.value.why} next: {caught.value.next_step}"
        assert " ".join(lines).split() == told.split()


def test_another_fault_of_the_same_library_is_told_too(tmp_path: Path) -> None:
    red = {LOADER: "libz.so.1 not found (bin/x)", PROBE: "libcurl.so.4: cannot open shared object file"}
    checks = tuple(Check(name=name, state="failed", evidence=seen, seconds=0) for name, seen in red.items())
    with pytest.raises(VerifyError) as caught:
        require_green(Verdict(host="cam01", release="x", checks=checks, junit=tmp_path / "cam01.xml"))
    assert all(seen in caught.value.why for seen in red.values())


def test_no_check_is_no_evidence(tmp_path: Path) -> None:
    assert not Verdict(host="cam", release="id", checks=(), junit=tmp_path).green


HOSTILE = r"""
EVIL = "\x1b[2J\x9b2J\u202egreen\u200b\rdeploy: green"

def test_it_passes(record_property):
    record_property("evidence", EVIL)
    print(EVIL)

def test_it_fails():
    raise AssertionError(EVIL)
"""


@pytest.mark.hostile(kind="board")
def test_nothing_in_a_junit_file_acts(tmp_path: Path) -> None:
    (tmp_path / "test_checks.py").write_text(HOSTILE)
    junit = tmp_path / "checks.xml"
    own = ["--rootdir", str(tmp_path), "-p", "no:cacheprovider", "-c", "/dev/null", "-o", "junit_family=xunit1"]
    own += ["-o", "junit_logging=all", f"--junitxml={junit}", "test_checks.py"]
    subprocess.run([sys.executable, "-m", "pytest", "-q", *own], cwd=tmp_path, capture_output=True, check=False)
    assert "\x9b" in junit.read_text(), "pytest takes it out by itself now"
    before = {check.name: check.state for check in read_checks(junit)}
    make_fit(junit)
    text = junit.read_text()
    assert {letter for letter in text if unicodedata.category(letter)[0] == "C"} <= {"\n", "\t"}
    assert r"\x9b2J\u202egreen\u200b" in text
    assert "&#13;" not in text
    assert {check.name: check.state for check in read_checks(junit)} == before
