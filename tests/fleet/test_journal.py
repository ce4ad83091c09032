"""A journal is whole or not there, bounded, and what was put into its place is refused with words."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from deploy.fleet.journal import HostRecord, Journal, failed_record, journal_path, read_journal, write_journal
from deploy.fleet.waves import Fate
from recipes.errors import ConfigError, PreflightError

pytestmark = pytest.mark.usefixtures("cache")


def journal(**changes: object) -> Journal:
    values = {
        "begun": "2026-01-02T03:04:05+00:00",
        "words": "--group cameras",
        "waves": "1,100%",
        "errors": "0",
        "bundles": {"mycam": "a" * 32},
        "hosts": ("cam01", "cam02", "cam03"),
    }
    return Journal.model_validate(values | changes)


def test_it_comes_back_as_it_was_written() -> None:
    error = PreflightError(
        "cam02 does not answer", why="No route to host\x1b[2J", next_step="invoke status --host HOST"
    )
    results = {
        "cam01": HostRecord(host="cam01", state="deployed", release="a" * 32, sent=7, round_trips=4, seconds=1.5),
        "cam02": failed_record("cam02", error, 20.03),
    }
    written = journal(results=results)
    assert read_journal("0" * 16) is None
    write_journal("0" * 16, written)
    read = read_journal("0" * 16)
    assert read == written
    assert read.fates() == {"cam01": Fate.DONE, "cam02": Fate.FAILED}
    assert read.left() == ("cam03",)
    bad = read.results["cam02"]
    assert (bad.state, bad.exit_code, bad.words) == ("off", 5, "No route to host\\x1b[2J")
    assert bad.next_step == "invoke status --host cam02"
    assert [path.name for path in journal_path("0" * 16).parent.iterdir()] == ["0000000000000000.json"]


@pytest.mark.parametrize(
    "text",
    [
        "",
        "[]",
        "null",
        "{",
        '{"schema": 2}',
        '{"schema": 1, "hosts": ["../../etc"]}',
        "[" * 100_000,
        '{"a": ' * 5000,
        "\xff\xfe",
    ],
)
def test_what_is_no_journal_is_told_and_never_a_traceback(text: str) -> None:
    path = journal_path("1" * 16)
    path.parent.mkdir(parents=True)
    path.write_bytes(text.encode("latin-1"))
    with pytest.raises(ConfigError, match="journal") as caught:
        read_journal("1" * 16)
    assert caught.value.where == str(path)


def test_one_that_is_larger_than_any_is_not_read() -> None:
    path = journal_path("2" * 16)
    path.parent.mkdir(parents=True)
    with path.open("wb") as file:
        file.truncate(64 << 20)
    with pytest.raises(ConfigError, match="larger"):
        read_journal("2" * 16)


def test_a_hostile_name_of_a_host_is_refused() -> None:
    for name in ("../x", "a b", "", "x" * 200, "a\nb"):
        with pytest.raises(ValueError, match="must be"):
            journal(hosts=(name,))
    with pytest.raises(ValueError, match="hosts"):
        journal(hosts=tuple(f"h{number}" for number in range(5001)))


def test_old_ones_make_room() -> None:
    folder: Path = journal_path("x").parent
    for number in range(70):
        write_journal(f"{number:016}", journal())
        os.utime(journal_path(f"{number:016}"), (number, number))
    names = sorted(path.name for path in folder.iterdir())
    assert len(names) == 64
    assert names[0] == "0000000000000006.json"
    assert names[-1] == "0000000000000069.json"
