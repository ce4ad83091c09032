"""How fast a figure rises: what leaks, what comes and goes, and what is far off now and then."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from deploy.soak.series import MEMORY, OPEN, Measured
from deploy.soak.slope import FEWEST, trend, warm_up


def rising(per_hour: float, *, count: int = 60, every: float = 30.0, base: float = 20_000) -> list[tuple[float, float]]:
    return [(every * at, base + per_hour * every * at / 3600) for at in range(count)]


def measured(points: list[tuple[float, float]], name: str = MEMORY, warm: float = 0.0) -> Measured:
    return Measured(subject="front", name=name, points=tuple(points), warm_up=warm)


@given(st.floats(-1e6, 1e6), st.floats(0, 1e6))
def test_a_straight_line_has_its_own_slope(per_hour: float, base: float) -> None:
    goes = trend(rising(per_hour, base=base))
    assert goes is not None
    assert math.isclose(goes.slope, per_hour, rel_tol=1e-3, abs_tol=1.0)


def test_values_far_off_do_not_move_it() -> None:
    points = [(at, value + (50_000 if place % 5 == 0 else 0)) for place, (at, value) in enumerate(rising(3600))]
    goes = trend(points)
    assert goes is not None
    assert math.isclose(goes.slope, 3600, rel_tol=0.1)


def test_too_few_values_have_none() -> None:
    assert trend(rising(1000, count=FEWEST - 1)) is None
    assert trend([(1.0, float(value)) for value in range(20)]) is None, "all of one moment"


def test_a_long_soak_is_thinned() -> None:
    goes = trend(rising(1000, count=4000))
    assert goes is not None
    assert math.isclose(goes.slope, 1000, rel_tol=0.01)


def test_the_warm_up_is_a_part_and_has_a_bound() -> None:
    assert warm_up(60) == 15
    assert warm_up(36_000) == 300


@pytest.mark.parametrize(
    ("points", "leaks"),
    [
        (rising(2000), True),
        (rising(0), False),
        (rising(-5000), False),
        (rising(100), False),
        # A pool that is filled and emptied.
        ([(30.0 * at, 20_000 + 2000 * (at % 10)) for at in range(60)], False),
        # It grew once, in the warm-up.
        ([(30.0 * at, 20_000 if at < 10 else 30_000) for at in range(60)], False),
        # In steps, as an allocator asks the kernel.
        ([(30.0 * at, 20_000 + 1024 * (at // 8)) for at in range(60)], True),
    ],
)
def test_what_leaks_grows_and_does_not_come_down(points: list[tuple[float, float]], leaks: bool) -> None:
    assert measured(points, warm=300.0).leaks is leaks


def test_descriptors_leak_one_by_one() -> None:
    assert measured([(30.0 * at, 12.0 + at // 10) for at in range(60)], OPEN).leaks
    assert not measured([(30.0 * at, 12.0 + at % 2) for at in range(60)], OPEN).leaks


def test_a_record_has_its_numbers() -> None:
    record = measured(rising(2000)).record()
    assert (record.red, record.unit, len(record.times)) == (True, "KiB", 60)
    assert record.slope is not None
    assert math.isclose(record.slope, 2000, rel_tol=0.01)
