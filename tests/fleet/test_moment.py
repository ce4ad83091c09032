"""The moment at which boards are switched together: all that are ready, none where too many are not."""

from __future__ import annotations

import datetime as dt
import threading
import time
from collections.abc import Callable

import pytest

from deploy.cli.activating import moment_of
from deploy.fleet import staged
from deploy.fleet.staged import Moment
from deploy.fleet.waves import parse_errors
from recipes.errors import ConfigError, PreflightError

NOON = dt.datetime(2026, 6, 1, 12, 0, 0, tzinfo=dt.timezone(dt.timedelta(hours=2)))


def all_at(moment: Moment, works: list[Callable[[], None]]) -> list[str]:
    """Run each in a thread of its own; returns what became of each."""
    said: list[str] = []

    def run(work: Callable[[], None]) -> None:
        try:
            work()
            said.append("switched")
        except PreflightError as error:
            said.append(error.why)

    threads = [threading.Thread(target=run, args=(work,)) for work in works]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    return sorted(said)


def test_all_go_once_the_last_is_ready() -> None:
    moment = Moment(hosts=3, errors=parse_errors("0"))
    late = threading.Event()

    def last() -> None:
        late.wait(60)
        moment.wait()

    begun = time.monotonic()
    threading.Timer(0.3, late.set).start()
    assert all_at(moment, [moment.wait, moment.wait, last]) == ["switched"] * 3
    assert time.monotonic() - begun >= 0.3


@pytest.mark.parametrize(("errors", "switched"), [("0", 0), ("1", 2), ("20%", 0), ("34%", 2)])
def test_where_more_are_refused_than_may_none_is_switched(errors: str, switched: int) -> None:
    moment = Moment(hosts=3, errors=parse_errors(errors))
    said = all_at(moment, [moment.wait, moment.wait, moment.refuse])
    assert said.count("switched") == switched + 1, "the one that was refused has its own words"
    if not switched:
        assert "1 of 3 hosts cannot be switched" in said[0]


def test_a_time_is_waited_for_and_who_comes_late_stays() -> None:
    at = time.time() + 0.5
    moment = Moment(hosts=2, errors=parse_errors("0"), at=at)
    assert all_at(moment, [moment.wait, moment.wait]) == ["switched", "switched"]
    assert time.time() >= at
    gone = Moment(hosts=1, errors=parse_errors("0"), at=time.time() - staged.LATE_SECONDS - 1)
    assert "after the moment" in all_at(gone, [gone.wait])[0]


def test_it_is_called_off_by_hand(monkeypatch: pytest.MonkeyPatch) -> None:
    moment = Moment(hosts=2, errors=parse_errors("0"))
    threading.Timer(0.2, moment.call_off, ["it was ended by hand"]).start()
    assert all_at(moment, [moment.wait]) == ["it was ended by hand"]
    monkeypatch.setattr(staged, "PATIENCE_SECONDS", 0.2)
    alone = Moment(hosts=2, errors=parse_errors("0"))
    assert "not all were ready" in all_at(alone, [alone.wait])[0]


@pytest.mark.parametrize(
    ("text", "ahead"),
    [
        ("12:00:01", 1),
        ("11:59", 24 * 3600 - 60),
        ("9:30", 21.5 * 3600),
        ("2026-06-01T13:00", 3600),
        ("2026-06-01T11:30:00+00:00", 5400),
        ("+90s", 90),
        ("+2h", 7200),
    ],
)
def test_a_time_is_the_next_that_it_is(text: str, ahead: float) -> None:
    assert moment_of(text, NOON) - NOON.timestamp() == ahead


@pytest.mark.parametrize(
    "text", ["noon", "25:00", "12:61", "+0s", "+25h", "+x", "2026-06-01T11:59", "2026-06-03T12:00", "12", "9" * 400]
)
def test_what_is_no_time_within_a_day_is_refused(text: str) -> None:
    with pytest.raises(ConfigError):
        moment_of(text, NOON)


def test_without_a_time_it_is_at_once() -> None:
    assert moment_of("", NOON) == 0
