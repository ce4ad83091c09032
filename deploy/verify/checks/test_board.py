"""The board itself: its clock, and what it has left."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from deploy.verify.facts import Facts
from deploy.verify.verdict import SKEW_REFUSED
from recipes.console import size

_LEAST_FLASH = 64 << 10
"""Less is nothing: logs and the state of a service cannot be written any more."""
_LEAST_MEMORY = 2 << 20


def test_clock_is_right(facts: Facts, record_property: Callable[[str, object], None]) -> None:
    """By this machine's clock: a request that is signed 300 s off is refused by AWS."""
    if facts.skew is None:
        pytest.skip("the board's `date` prints no seconds")
    source = ", ".join(facts.time_sources) or "no program that sets it runs"
    source += ", which has set it" if facts.synchronized else ""
    if facts.rtc is not None and facts.clock is not None:
        source += f"; the hardware clock is {facts.rtc - facts.clock:+d} s to it"
    elif not facts.time_sources:
        source += ", and there is no hardware clock"
    record_property("evidence", f"{facts.skew:+d} s to this machine's; {source}")
    said = f"{facts.skew:+d} s off by this machine's clock, and AWS refuses what is signed 300 s off; {source}"
    assert abs(facts.skew) < SKEW_REFUSED, said


def test_memory_and_flash_are_left(facts: Facts, record_property: Callable[[str, object], None]) -> None:
    """Only a board that has nothing left is red: how much is enough is for a check of the user's own."""
    told, faults = [], []
    for name, whole, free, least in (
        ("memory", facts.memory, facts.memory_free, _LEAST_MEMORY),
        ("flash", facts.flash, facts.flash_free, _LEAST_FLASH),
    ):
        if whole is None or free is None:
            continue
        told.append(f"{size(free)} of {size(whole)} {name} free")
        faults += [told[-1]] * (free < least)
    if not told:
        pytest.skip("neither /proc/meminfo nor df says anything")
    told += [f"log of {stream.name} {size(stream.log_bytes)}" for stream in facts.streams.values()]
    record_property("evidence", ", ".join(told))
    assert not faults, "; ".join(faults)
