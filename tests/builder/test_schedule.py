"""Side by side, each after what it waits for; the first failure ends the rest."""

from __future__ import annotations

import graphlib
import threading
import time

import pytest

from recipes.builder.schedule import run_in_order


def test_each_runs_after_what_it_waits_for() -> None:
    order: list[str] = []
    waits = {"app": {"tls", "http"}, "http": {"tls"}, "tls": set(), "alone": set()}
    run_in_order(waits, order.append, workers=1, stop=lambda: None)
    assert sorted(order) == sorted(waits)
    assert order.index("tls") < order.index("http") < order.index("app")


def test_independent_ones_run_at_the_same_time_and_no_more_than_told() -> None:
    meet = threading.Barrier(2, timeout=20)
    running, most, guard = 0, 0, threading.Lock()

    def work(_: str) -> None:
        nonlocal running, most
        with guard:
            running += 1
            most = max(most, running)
        meet.wait()
        with guard:
            running -= 1

    run_in_order({name: set() for name in "abcd"}, work, workers=2, stop=lambda: None)
    assert most == 2


def test_the_first_failure_stops_the_others_and_is_the_one_that_is_told() -> None:
    stopped, started = threading.Event(), []

    def work(name: str) -> None:
        started.append(name)
        if name == "bad":
            time.sleep(0.05)
            raise RuntimeError("the reason")
        assert stopped.wait(20), "a running piece was not told to stop"
        raise ConnectionError("its container is gone")

    with pytest.raises(RuntimeError, match="the reason"):
        run_in_order({"bad": set(), "long": set(), "never": {"bad"}}, work, workers=2, stop=stopped.set)
    assert sorted(started) == ["bad", "long"]


def test_the_longest_chain_starts_first() -> None:
    order: list[str] = []
    waits = {"alone": set[str](), "end": {"middle"}, "middle": {"begin"}, "begin": set[str](), "last": set[str]()}
    run_in_order(waits, order.append, workers=1, stop=lambda: None)
    assert order == ["begin", "middle", "alone", "end", "last"]


def test_pieces_that_wait_for_each_other_are_a_mistake_and_nothing_starts() -> None:
    started: list[str] = []
    waits = {"free": set[str](), "hen": {"egg"}, "egg": {"hen"}}
    with pytest.raises(graphlib.CycleError):
        run_in_order(waits, started.append, workers=2, stop=lambda: None)
    assert started == []
