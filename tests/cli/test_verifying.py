"""What `invoke verify` is asked for: times are read strictly, and words that do not go together are refused."""

from __future__ import annotations

import contextlib
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from deploy.cli.durations import in_words, seconds_of
from deploy.cli.verifying import FULL_WATCH, Asked, asked_of, steps_of
from recipes.errors import ConfigError


def seconds(text: str) -> int:
    return seconds_of(text, "--soak", least=10, most=7200)


@pytest.mark.parametrize(("text", "value"), [("90s", 90), ("30m", 1800), ("2h", 7200), ("10s", 10)])
def test_a_time_is_a_number_and_a_unit(text: str, value: int) -> None:
    assert seconds(text) == value
    assert seconds(in_words(value)) == value


@pytest.mark.parametrize(
    "text",
    [
        "",
        "30",
        "m",
        "30 m",
        " 30m",
        "30m\n",
        "1h30m",
        "-5m",
        "+5m",
        "0s",
        "030s",
        "1.5h",
        "30M",
        "٣0s",
        "5d",
        "9" * 40 + "s",
    ],
)
def test_anything_else_is_none(text: str) -> None:
    with pytest.raises(ConfigError, match="is no time"):
        seconds(text)


@pytest.mark.parametrize("text", ["9s", "3h", "121m"])
def test_a_time_has_bounds(text: str) -> None:
    with pytest.raises(ConfigError, match="10s to 2h"):
        seconds(text)


@given(st.text(max_size=12))
def test_a_time_is_read_or_refused(text: str) -> None:
    with contextlib.suppress(ConfigError):
        assert 10 <= seconds(text) <= 7200


def asked(*names: str, **given: Any) -> Asked:
    values: dict[str, Any] = {
        "fast": False, "full": False, "cloud": False, "watch": 0, "profile": "", "aws": False, "drill": [],
        "outage": "", "within": "", "soak": "", "interval": "",
    }  # fmt: skip
    return asked_of(names or ("h1",), **values | given)


def test_nothing_more_than_the_board_is_asked_without_a_word() -> None:
    plain = asked()
    assert (plain.way, plain.further, steps_of(plain)) == (None, None, ["release, loader and boardprobe checks"])


def test_full_is_all_that_can_be_looked_at() -> None:
    full = asked(full=True)
    assert full.way is not None
    assert full.way.watch == FULL_WATCH
    assert asked(full=True, watch=90).way == asked(cloud=True, watch=90).way


def test_a_drill_asks_the_service_and_has_its_times() -> None:
    drill = asked(drill=["power", "network", "power"], outage="30s")
    assert drill.way is not None
    assert drill.drills == ("power", "network")
    assert (drill.outage, drill.patience("network"), drill.patience("power")) == (30, 60, 180)
    assert asked(drill=["power"], within="2m").patience("power") == 120
    assert steps_of(drill)[2:] == ["drill power, to be back within 3m", "drill network for 30s, to be back within 1m"]


def test_a_soak_has_its_time_and_asks_the_service_only_where_told() -> None:
    soak = asked(soak="30m", interval="10s")
    assert (soak.soak, soak.interval, soak.way) == (1800, 10, None)
    assert asked(soak="30m", cloud=True).way is not None


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"fast": True, "full": True}, "waits for nothing"),
        ({"fast": True, "soak": "30m"}, "waits for nothing"),
        ({"soak": "half an hour"}, "is no time"),
        ({"soak": "5s"}, "10s to 72h"),
        ({"interval": "5s"}, "belongs to --soak"),
        ({"soak": "10s", "interval": "5s"}, "1s to 1s"),
        ({"within": "5s"}, "belongs to --drill"),
        ({"outage": "5s", "soak": "30m"}, "belongs to --drill"),
        ({"drill": ["fire"]}, "no drill 'fire'"),
        ({"drill": ["network"], "outage": "3s"}, "10s to 15m"),
    ],
)
def test_what_does_not_go_together_is_refused(given: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        asked(**given)


def test_one_host_at_a_time() -> None:
    with pytest.raises(ConfigError, match="one host"):
        asked("h1", "h2", soak="30m")
