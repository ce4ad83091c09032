"""Boards side by side: as many at once as asked for, in their order, and an error ends it at once."""

from __future__ import annotations

import threading
import time

import pytest

from deploy.fleet.workers import side_by_side
from recipes.errors import ConfigError


def test_results_come_in_the_order_of_what_was_asked() -> None:
    def work(number: int) -> int:
        time.sleep(0.02 * (5 - number))
        return number * 10

    assert side_by_side(work, range(5), 5) == [0, 10, 20, 30, 40]
    assert side_by_side(work, [], 5) == []


@pytest.mark.parametrize("parallel", [1, 3])
def test_no_more_are_at_work_than_asked_for(parallel: int) -> None:
    lock, at_work, most = threading.Lock(), 0, 0

    def work(_: int) -> None:
        nonlocal at_work, most
        with lock:
            at_work += 1
            most = max(most, at_work)
        time.sleep(0.02)
        with lock:
            at_work -= 1

    side_by_side(work, range(12), parallel)
    assert most == parallel


def test_an_error_of_one_is_raised_and_nothing_more_is_begun() -> None:
    begun: list[int] = []

    def work(number: int) -> None:
        begun.append(number)
        if number == 1:
            raise ConfigError("the AWS profile cannot be used")
        time.sleep(0.2)

    with pytest.raises(ConfigError, match="profile"):
        side_by_side(work, range(50), 2)
    time.sleep(0.5)
    assert len(begun) < 6
