"""What is read of a host, what is marked, and the page: whatever a board says, nothing of it acts."""

from __future__ import annotations

import base64
import datetime as dt
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from deploy.fleet.page import age_words, cells, fleet_page, kind_of
from deploy.fleet.survey import HostView, certificate_paths, proof_changes, with_drift, with_warnings
from deploy.fleet.survey import _days as certificate_days
from deploy.kvs.tls import Authority
from tests.support.bundles import LIBC, manifest

ONE, OTHER = "1" * 32, "2" * 32
HOSTILE = "<script>alert(1)</script>\x1b[2J\u202egpj\n=end"


def view(host: str, release: str = ONE, **changes: object) -> HostView:
    seen = HostView(
        host=host, board="mycam", groups=("cameras",), state="ok", release=release, verified=True, verified_at=1000,
        proof="holds", proof_at=900, free=9 << 20, skew=0,
    )  # fmt: skip
    return replace(seen, **changes)  # type: ignore[arg-type]


def test_another_release_than_most_of_the_group_have_is_drift() -> None:
    views = [view("a"), view("b"), view("c", OTHER), view("d", ""), HostView(host="e", board="mycam", state="off")]
    drift = {one.host: one.drift for one in with_drift(views)}
    assert drift == {
        "a": (),
        "b": (),
        "c": ("another release: most have 111111111111",),
        "d": ("no release: most have 111111111111",),
        "e": (),
    }


def test_groups_and_boards_of_their_own_have_releases_of_their_own() -> None:
    views = [view("a"), view("b", OTHER, groups=("canary",)), view("c", OTHER, board="yourcam")]
    assert all(not one.drift for one in with_drift(views))


def test_of_two_as_frequent_the_one_verified_last_counts() -> None:
    found = with_drift([view("a", verified_at=5000), view("b", OTHER, verified_at=6000)])
    assert [bool(one.drift) for one in found] == [True, False]


@given(st.lists(st.tuples(st.sampled_from(["a", "b", "c", ""]), st.integers(0, 9)), max_size=12))
def test_some_release_is_never_drift(rows: list[tuple[str, int]]) -> None:
    views = [view(f"h{number}", release, verified_at=at) for number, (release, at) in enumerate(rows)]
    marked = with_drift(views)
    assert [one.host for one in marked] == [one.host for one in views]
    running = [one for one in marked if one.release]
    assert not running or any(not one.drift for one in running)


@pytest.mark.parametrize(
    ("changes", "kind", "words"),
    [
        ({}, "ok", ""),
        ({"changed_files": ("lib/a.so", "run/x", "and 3 more")}, "drift", "files changed: lib/a.so, run/x and 1 more"),
        ({"proof": "changed", "proof_changes": ("libssl.so.3",)}, "drift", "changed since the proof: libssl.so.3"),
        ({"verified": False}, "warn", "not verified"),
        ({"skew": 59}, "ok", ""),
        ({"skew": -61}, "warn", "clock -61 s"),
        ({"skew": 300}, "warn", "clock +300 s: refused by AWS"),
        ({"free": (2 << 20) - 1}, "warn", "2.0 MiB free"),
        ({"certificate_days": 31}, "ok", ""),
        ({"certificate_days": 30}, "warn", "a certificate ends in 30 d"),
        ({"certificate_days": -1}, "warn", "a certificate has ended"),
        ({"locked": "me@desk"}, "warn", "at work there: me@desk"),
        ({"staged": OTHER}, "ok", "staged: 222222222222"),
    ],
)
def test_what_is_said_of_a_host(changes: dict[str, object], kind: str, words: str) -> None:
    seen = with_warnings(replace(view("a"), **changes))  # type: ignore[arg-type]
    assert (kind_of(seen), cells(seen, 2000)[-1]) == (kind, words)


def test_ages_are_rounded_to_what_counts() -> None:
    told = [age_words(seconds) for seconds in (None, -3, 0, 119, 120, 7199, 7200, 172_799, 172_800, 9e7)]
    assert told == ["-", "0 s", "0 s", "119 s", "2 min", "120 min", "2 h", "48 h", "2 d", "1042 d"]


def test_what_a_proof_rests_on_is_compared() -> None:
    made = manifest()
    opened, proved = made.proofs[0].opened, made.proofs[0].sha256
    assert opened == LIBC
    assert proof_changes(made, {LIBC: proved}) == ()
    assert proof_changes(made, {LIBC: proved, "/etc/ld.so.cache": "absent"}) == ()
    assert proof_changes(made, {LIBC: proved, "/etc/ld.so.cache": "a" * 64}) == ("/etc/ld.so.cache",)
    assert proof_changes(made, {LIBC: "b" * 64}) == ("libc.so.6",)
    assert proof_changes(made, {}) == ("libc.so.6",)


def test_the_first_certificate_that_ends_counts_and_what_is_none_says_nothing(tmp_path: Path) -> None:
    authority = Authority(tmp_path)
    pems = [authority.issue("cam01", days=days)[0].decode() for days in (20, 90)]
    rows = ["".join(pem.splitlines()[1:-1]) + " /etc/iot/cert.pem" for pem in pems]
    now = dt.datetime.now(dt.UTC)
    assert certificate_days(rows, now) == 19
    assert certificate_days([*rows, "AAAA /x", " /y", base64.b64encode(b"junk").decode() + " /z"], now) == 19
    assert certificate_days(rows, now + dt.timedelta(days=40)) == -21
    assert certificate_days(["AAAA /x"], now) is None


def test_certificates_are_found_wherever_settings_name_one() -> None:
    settings = {
        "credentials": {"iot": {"cert_path": "/a", "key_path": "/k"}},
        "streams": {"x": {"sinks": [{"iot": {"cert_path": "/b"}}, {"iot": None}]}, "y": {"iot": {"cert_path": "/a"}}},
        "notes": ["cert_path"],
    }
    assert certificate_paths(settings) == ("/a", "/b")


def test_the_page_needs_nothing_else_and_nothing_of_it_acts() -> None:
    views = [
        view("a", drift=(HOSTILE,)),
        view("b", warnings=(HOSTILE,)),
        HostView(host="c", board="mycam", state="error", error=HOSTILE, labels={"site": HOSTILE}),
    ]
    text = fleet_page(f"group {HOSTILE}", views)
    assert "<script" not in text
    assert "\x1b" not in text
    assert "\u202e" not in text
    assert "://" not in text
    assert "src=" not in text
    assert "default-src 'none'" in text
    assert text.index(">a<") < text.index(">b<") < text.index(">c<"), "those that want a look come first"
