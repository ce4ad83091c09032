"""Pins: shown with age and flags from the sources themselves; moved on purpose, checked before the lock changes."""

from __future__ import annotations

import datetime as dt
import hashlib
import io
import shutil
import subprocess
import tarfile
from itertools import pairwise
from pathlib import Path

import pytest

from recipes.errors import BuildError, ConfigError
from recipes.sources.debian import Distribution, Offered, _order, later
from recipes.sources.fetch import fetch_pins
from recipes.sources.lock import Archive, Lock, Repository, load_lock
from recipes.sources.pins import move_pin, pin_age, pin_rows, stale_pins
from tests.support.debiansource import ONE, debian_tar
from tests.support.repos import upstream

pytestmark = pytest.mark.process
URL = "https://git.example.com/group/demo.git"
TODAY = dt.date(2026, 11, 22)


def archive(day: dt.date) -> bytes:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w:gz") as made:
        member = tarfile.TarInfo("demo-1/a.txt")
        member.size, member.mtime = 3, int(dt.datetime(day.year, day.month, day.day, tzinfo=dt.UTC).timestamp())
        made.addfile(member, io.BytesIO(b"abc"))
    return buffer.getvalue()


@pytest.fixture
def mirror(cache: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Make a lock of one archive and one repository, with comments, and a mirror that has both in two versions."""
    folder = tmp_path / "mirror"
    (folder / "archives").mkdir(parents=True)
    (folder / "archives" / "tls-1.tar.gz").write_bytes(archive(dt.date(2023, 2, 7)))
    (folder / "archives" / "tls-2.tar.gz").write_bytes(archive(dt.date(2026, 1, 1)))
    work = tmp_path / "upstreams"
    work.mkdir()
    commit = upstream(work, folder, URL, {"a.txt": "1"}, tag="v1")
    digest = hashlib.sha256((folder / "archives" / "tls-1.tar.gz").read_bytes()).hexdigest()
    (tmp_path / "lock.toml").write_text(
        f"""schema = 1
# A comment that stays.
[[archive]]
name = "tls"
version = "1"  # before the break of its interface
file = "tls-1.tar.gz"
sha256 = "{digest}"
url = "https://example.com/tls-1.tar.gz"
eol = 2023-09-11  # and this one

[[repository]]
name = "demo"
version = "1"
unit = "demo-1"
url = "{URL}"
commit = "{commit}"
refs = ["v1"]
"""
    )
    monkeypatch.setenv("BOARDCAST_LOCK", str(tmp_path / "lock.toml"))
    return folder


def test_rows_tell_age_from_the_sources_and_the_end_of_life(mirror: Path) -> None:
    before = {row.name: row for row in pin_rows(load_lock(), TODAY)}
    assert before["tls"].date == before["demo"].date == ""
    fetch_pins(load_lock().pins, [mirror], offline=True)
    after = {row.name: row for row in pin_rows(load_lock(), TODAY)}
    assert after["tls"].date == "2023-02-07"
    assert pin_age(after["tls"], TODAY) == "3 y 9 m"
    assert after["tls"].flag == "EOL upstream since 2023-09-11"
    assert after["demo"].date == "2024-05-01"


def test_a_pin_is_moved_with_its_comments_left_alone(mirror: Path, tmp_path: Path) -> None:
    before, first = (tmp_path / "lock.toml").read_text(), load_lock().get("tls").pinned
    digest = hashlib.sha256((mirror / "archives" / "tls-2.tar.gz").read_bytes()).hexdigest()
    move_pin("tls", {"version": "2", "file": "tls-2.tar.gz", "sha256": digest}, [mirror], offline=True)
    changes = {
        'version = "1"': 'version = "2"',
        'file = "tls-1.tar.gz"': 'file = "tls-2.tar.gz"',
        f'sha256 = "{first}"': f'sha256 = "{digest}"',
    }
    for old, new in changes.items():
        before = before.replace(old, new, 1)
    assert (tmp_path / "lock.toml").read_text() == before
    moved = load_lock().get("tls")
    assert (moved.version, moved.pinned) == ("2", digest)
    assert load_lock().get("demo").version == "1"


def test_a_key_that_was_not_there_is_added_to_its_own_table(mirror: Path, tmp_path: Path) -> None:
    lock = tmp_path / "lock.toml"
    last = f'\n# The last one.\n[[repository]]\nname = "last"\nversion = "1"\nunit = "last-1"\nurl = "{URL}"\n'
    lock.write_text(lock.read_text().replace('refs = ["v1"]\n', "") + last + f'commit = "{"0" * 40}"\n')
    before = lock.read_text()
    move_pin("demo", {"refs": "v1"}, [mirror], offline=True)
    assert lock.read_text() == before.replace(last, 'refs = ["v1"]\n' + last)


def test_a_quote_in_a_value_stays_in_its_value(mirror: Path, tmp_path: Path) -> None:
    strange = 'https://example.com/a"b\\c.tar.gz'
    move_pin("tls", {"url": strange}, [mirror], offline=True)
    pin = load_lock().get("tls")
    assert isinstance(pin, Archive)
    assert pin.url == strange


def test_a_repository_is_moved_with_its_tag(mirror: Path, tmp_path: Path) -> None:
    commit = upstream(tmp_path / "upstreams", mirror, URL, {"a.txt": "2"}, tag="v2")
    move_pin("demo", {"version": "2", "commit": commit, "refs": "v2"}, [mirror], offline=True)
    moved = load_lock().get("demo")
    assert isinstance(moved, Repository)
    assert (moved.commit, moved.refs) == (commit, ("v2",))


@pytest.mark.parametrize(
    ("name", "changes", "kind", "says"),
    [
        ("tls", {"sha256": "0" * 64}, BuildError, "is unavailable"),
        ("demo", {"commit": "0" * 40}, BuildError, "is unavailable"),
        ("demo", {"commit": "main"}, ConfigError, "cannot be pinned so"),
        ("demo", {"sha256": "0" * 64}, ConfigError, "has no sha256"),
        ("tls", {}, ConfigError, "nothing to change"),
        ("tsl", {"version": "2"}, ConfigError, "no source 'tsl'"),
    ],
)
def test_a_move_that_cannot_be_leaves_the_lock_as_it_was(
    mirror: Path, tmp_path: Path, name: str, changes: dict[str, str], kind: type[Exception], says: str
) -> None:
    before = (tmp_path / "lock.toml").read_bytes()
    with pytest.raises(kind, match=says):
        move_pin(name, changes, [mirror], offline=True)
    assert (tmp_path / "lock.toml").read_bytes() == before


def offering(*versions: str) -> Distribution:
    """Return a distribution that has these versions of every package, the later ones in its security suite."""

    def offered(package: str, suite: str) -> list[Offered]:
        found = []
        for number, version in enumerate(versions):
            upstream = version.rpartition("-")[0]
            files = {
                f"{package}_{version}.debian.tar.xz": ("http://127.0.0.1:9/p", "b" * 64),
                f"{package}_{upstream}.orig.tar.gz": ("http://127.0.0.1:9/o", "c" * 64),
            }
            found.append(Offered(version=version, suite=f"{suite}-security" if number else suite, files=files))
        return found

    def download(address: str, into: Path) -> None:
        raise BuildError(f"{address} is not asked for by a check", where=str(into))

    return Distribution(offered=offered, download=download)


def pinned(**changes: object) -> Lock:
    curl = {
        "name": "curl",
        "version": "8.14.1",
        "file": "curl_8.14.1.orig.tar.gz",
        "sha256": "a" * 64,
        "url": "https://example.com/curl-8.14.1.tar.gz",
        "distribution": {"package": "curl", "suite": "trixie"},
        "revision": "8.14.1-2+deb13u5",
        "patches": "d" * 64,
    }
    kept = {name: value for name, value in (curl | changes).items() if value is not None}
    return Lock.model_validate({"schema": 1, "archive": [kept]})


@pytest.mark.parametrize(
    ("has", "newest"),
    [
        (("8.14.1-2+deb13u5",), ""),
        (("8.14.1-2+deb13u4",), ""),
        (("8.14.1-2+deb13u5~bpo12+1",), ""),
        (("8.14.1-2+deb13u10",), "trixie has 8.14.1-2+deb13u10"),
        (("8.14.1-2+deb13u5", "8.14.1-2+deb13u6"), "trixie-security has 8.14.1-2+deb13u6"),
        (("8.14.1-2+deb13u7", "8.14.1-2+deb13u6"), "trixie has 8.14.1-2+deb13u7"),
        (("8.20.0-1",), "trixie has 8.20.0-1"),
        ((), ""),
    ],
)
def test_a_default_behind_its_distribution_is_to_be_moved(has: tuple[str, ...], newest: str) -> None:
    found = stale_pins(pinned(), TODAY, offering(*has))
    assert [stale.because for stale in found] == ([newest] if newest else [])


def test_the_command_that_moves_it_says_all_that_the_index_says() -> None:
    (patch_level,) = stale_pins(pinned(), TODAY, offering("8.14.1-2+deb13u7"))
    assert patch_level.cure == f"invoke pins --update curl --to-revision 8.14.1-2+deb13u7 --to-patches {'b' * 64}"
    (release,) = stale_pins(pinned(), TODAY, offering("8.20.0-1"))
    assert release.cure == (
        f"invoke pins --update curl --to-version 8.20.0 --to-file curl_8.20.0.orig.tar.gz --to-sha256 {'c' * 64} "
        f"--to-url https://example.com/curl-8.20.0.tar.gz --to-revision 8.20.0-1 --to-patches {'b' * 64}"
    )


def test_a_release_without_any_patch_level_is_behind_the_first() -> None:
    bare = pinned(revision=None, patches=None)
    (found,) = stale_pins(bare, TODAY, offering("8.14.1-2"))
    assert (found.has, found.because) == ("8.14.1", "trixie has 8.14.1-2")


@pytest.mark.parametrize(
    ("day", "ended"), [(dt.date(2026, 11, 21), True), (TODAY, True), (dt.date(2026, 11, 23), False)]
)
def test_a_default_past_its_end_of_life_is_to_be_moved(day: dt.date, ended: bool) -> None:
    found = stale_pins(pinned(eol=day), TODAY, offering("8.14.1-2+deb13u5"))
    assert [stale.because for stale in found] == ([f"its line ended upstream on {day}"] if ended else [])
    assert stale_pins(pinned(eol=day), TODAY, None) == found, "the lock alone says it"


def test_what_is_built_on_request_may_be_old() -> None:
    old = pinned(eol=dt.date(2020, 1, 1), **{"on-request": "for who must have it"})
    assert stale_pins(old, TODAY, offering("9-1")) == []


def test_no_default_of_the_lock_is_past_its_end() -> None:
    """The row of the report: OpenSSL 3.0.20 was the default, whose line ended upstream on 2026-09-07."""
    held = load_lock()
    assert stale_pins(held, dt.date(2026, 11, 27), None) == []
    by_name = {pin.name: pin for pin in held.pins}
    assert [name for name, pin in by_name.items() if pin.eol and not pin.on_request] == ["openssl"]
    assert by_name["openssl"].eol == dt.date(2030, 4, 8)
    for name in ("openssl-3.0", "openssl-1.1.1", "mbedtls"):
        assert by_name[name].on_request
        assert by_name[name].eol


VERSIONS = [
    *("1.0", "1.0-1", "1.0~rc1-1", "1.0-1~deb13u1", "1.0-1+deb13u9", "1.0-1+deb13u10", "1:0.9-1", "1.0a", "1.0+b"),
    *("8.14.1-2+deb13u7", "8.14.1-2", "3.5.9-1~deb13u1", "3.5.7-1~deb13u3", "2.28.3-1", "0.9.5.0-2", "1.0.1"),
]


@pytest.mark.skipif(shutil.which("dpkg") is None, reason="the second opinion is dpkg's")
def test_versions_are_in_dpkgs_order() -> None:
    ours = sorted(VERSIONS, key=_order)
    for before, after in pairwise(ours):
        says = subprocess.run(["dpkg", "--compare-versions", before, "lt", after], check=False, capture_output=True)
        assert says.returncode == 0, (before, after, says.stderr)
        assert later(after, before)
        assert not later(before, after)


def test_a_pin_is_not_moved_to_patches_that_are_refused(mirror: Path, tmp_path: Path) -> None:
    lock = tmp_path / "lock.toml"
    lock.write_text(
        lock.read_text().replace(
            "eol = 2023-09-11", 'distribution = { package = "tls", suite = "trixie" }\neol = 2023-09-11'
        )
    )
    for revision, text in (("1-1", ONE), ("1-2", ONE.replace("a/src/", "a/../"))):
        data = debian_tar({"one.patch": text})
        (mirror / "archives" / f"tls_{revision}.debian.tar.xz").write_bytes(data)
        before = lock.read_bytes()
        changes = {"revision": revision, "patches": hashlib.sha256(data).hexdigest()}
        if revision == "1-1":
            move_pin("tls", changes, [mirror], offline=True)
            moved = load_lock().get("tls")
            assert isinstance(moved, Archive)
            assert moved.revision == "1-1"
            assert next(row.revision for row in pin_rows(load_lock(), TODAY) if row.name == "tls") == "1-1"
        else:
            with pytest.raises(BuildError, match="are refused"):
                move_pin("tls", changes, [mirror], offline=True)
            assert lock.read_bytes() == before


def test_the_lock_holds_every_upstream_of_both_releases() -> None:
    held = load_lock()
    for name, unit in (("kvs-producer-cpp", "producer-3.4.1"), ("kvs-webrtc-c", "webrtc-1.10.2")):
        nested = [pin for pin in held.needed(name)[1:] if isinstance(pin, Repository)]
        assert {pin.name.rpartition("-")[0] for pin in nested} == {"kvs-producer-c", "kvs-pic"}
        assert {pin.unit for pin in nested} == {unit}
    on_request = {pin.name for pin in held.pins if pin.on_request}
    third = {"sdk-log4cplus", "sdk-curl", "sdk-libwebsockets", "sdk-libsrtp", "sdk-usrsctp"}
    assert third | {"openssl-1.1.1", "openssl-3.0", "mbedtls", "autoconf", "automake"} == on_request
