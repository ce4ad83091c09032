"""Pins: shown with age and flags from the sources themselves; moved on purpose, checked before the lock changes."""

from __future__ import annotations

import datetime as dt
import hashlib
import io
import tarfile
from pathlib import Path

import pytest

from recipes.errors import BuildError, ConfigError
from recipes.sources.fetch import fetch_pins
from recipes.sources.lock import Archive, Repository, load_lock
from recipes.sources.pins import move_pin, pin_age, pin_rows
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


def test_the_lock_holds_every_upstream_of_both_releases() -> None:
    held = load_lock()
    for name, unit in (("kvs-producer-cpp", "producer-3.4.1"), ("kvs-webrtc-c", "webrtc-1.10.2")):
        nested = [pin for pin in held.needed(name)[1:] if isinstance(pin, Repository)]
        assert {pin.name.rpartition("-")[0] for pin in nested} == {"kvs-producer-c", "kvs-pic"}
        assert {pin.unit for pin in nested} == {unit}
    on_request = {pin.name for pin in held.pins if pin.on_request}
    third = {"sdk-log4cplus", "sdk-curl", "sdk-libwebsockets", "sdk-libsrtp", "sdk-usrsctp"}
    assert third | {"openssl-1.1.1", "autoconf", "automake"} == on_request
